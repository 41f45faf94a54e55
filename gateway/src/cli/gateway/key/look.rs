//! What the authoritative servers show of the own keys.

use std::time::Duration;

use distpos_proto::{
    chain::ChainId,
    record::{self, Mode, Selector},
};
use distpos_resolver::{Answers, Authority, LookupError, TxtAnswer, publish::RecordSet};

use super::{Failure, RotateArguments};
use crate::{
    config::Config,
    keyring::walk::{Shown, View},
};

/// What every authoritative server shows of the keys.
pub(super) async fn look(
    arguments: &RotateArguments,
    config: &Config,
    set: &RecordSet,
) -> Result<View, Failure> {
    let name = set.anchor.gateways();
    let found = match arguments.server.as_slice() {
        [] => Authority::of(&config.lookup().map_err(Failure::configuration)?, &name).await,
        servers => Authority::at(servers, &name).await,
    };
    let authority = found.map_err(|error| {
        Failure::temporary(format_args!("authoritative servers of {name}: {error}"))
    })?;
    let (mut keys, mut longest) = (std::collections::BTreeMap::new(), set.ttl);
    for selector in set.keys.keys() {
        let answers = authority.txt(&set.anchor.key(selector)).await;
        longest = longest.max(longest_of(&answers));
        let read = answers.into_iter().map(|(server, answer)| match answer {
            Ok(answer) => match record::key(&answer.records, config.chain.id) {
                Ok(record) => Shown::from(record),
                Err(wrong) => Shown::Unsettled(format!("{server}: {wrong}")),
            },
            Err(LookupError::NotFound { .. }) => Shown::Nothing,
            Err(error) => Shown::Unsettled(format!("{server}: {error}")),
        });
        keys.insert(selector.clone(), together(read));
    }
    let policies = authority.txt(&set.anchor.policy()).await;
    // Resolvers hold the policy that does not name the new key as long as any of its answers.
    longest = longest.max(longest_of(&policies));
    let named = named(policies, config.chain.id);
    let nothing = authority.negative_ttl().await.map_err(Failure::temporary)?;
    let held_for = Duration::from_secs(longest.max(nothing).into());
    Ok(View { keys, named, held_for })
}

/// The longest TTL of what servers answer, in seconds.
fn longest_of(answers: &Answers<TxtAnswer>) -> u32 {
    let ttls = answers.iter().filter_map(|(_, answer)| Some(answer.as_ref().ok()?.ttl));
    ttls.max().unwrap_or(0)
}

/// The selectors that every server's policy names, or why peers take no word of keys from it.
fn named(answers: Answers<TxtAnswer>, chain: ChainId) -> Result<Vec<Selector>, String> {
    let mut all: Option<Vec<Selector>> = None;
    for (server, answer) in answers {
        let answer = answer.map_err(|error| format!("policy at {server}: {error}"))?;
        let policy = record::policy(&answer.records, chain)
            .map_err(|wrong| format!("policy at {server}: {wrong}"))?
            .ok_or_else(|| format!("policy at {server}: found none"))?;
        if policy.mode != Mode::Enforce {
            return Err(format!(
                "policy at {server}: mode is {}, expected enforce: keys count only with it",
                policy.mode
            ));
        }
        if all.as_ref().is_some_and(|before| *before != policy.selectors) {
            return Err("the policy is not the same on every server".to_owned());
        }
        all = Some(policy.selectors);
    }
    all.ok_or_else(|| "the policy was asked of no server".to_owned())
}

/// What all servers show, or that they do not show the same.
fn together(shown: impl Iterator<Item = Shown>) -> Shown {
    let mut shown = shown.peekable();
    let Some(first) = shown.next() else { return Shown::Unsettled("no server".into()) };
    match shown.find(|other| *other != first) {
        None => first,
        Some(Shown::Unsettled(what)) => Shown::Unsettled(what),
        Some(_) => Shown::Unsettled("servers differ".into()),
    }
}

#[cfg(test)]
mod tests {
    use distpos_resolver::{AuthorityServer, Negative, Security};

    use super::*;

    /// What servers answer, each with its TTL; none: there is no such name.
    fn answers(each: &[Option<(&str, u32)>]) -> Answers<TxtAnswer> {
        let server = |number: usize| AuthorityServer {
            name: format!("ns{number}"),
            address: ([192, 0, 2, 1], 53).into(),
        };
        let answer = |it: &Option<(&str, u32)>| match it {
            Some((text, ttl)) => Ok(TxtAnswer {
                records: vec![text.as_bytes().into()],
                ttl: *ttl,
                secure: Security::Insecure,
            }),
            None => Err(LookupError::NotFound {
                negative_ttl: 60,
                kind: Negative::NxDomain,
                secure: Security::Insecure,
            }),
        };
        each.iter().enumerate().map(|(number, it)| (server(number), answer(it))).collect()
    }

    #[test]
    fn a_policy_names_keys_if_every_server_has_it_and_peers_heed_it() {
        let policy = |mode: &str, sel: &str| {
            format!(
                "v=DPOSPOL1; c=e2e4; id=1; mode={mode}; ma=604800; proof=ledger; \
                 gen=0303030303030303; conf=0; sel={sel}; th=1"
            )
        };
        let found = |each: &[Option<(&str, u32)>]| named(answers(each), "e2e4".parse().unwrap());
        let (both, one) = (policy("enforce", "k1,k2"), policy("enforce", "k1"));
        let selectors: Vec<Selector> = ["k1", "k2"].map(|it| it.parse().unwrap()).to_vec();
        assert_eq!(found(&[Some((&both, 60)), Some((&both, 30))]), Ok(selectors));
        let wrong = |each: &[Option<(&str, u32)>], what: &str| {
            let why = found(each).unwrap_err();
            assert!(why.contains(what), "{why}");
        };
        wrong(&[Some((&both, 60)), Some((&one, 60))], "not the same on every server");
        wrong(&[Some((&both, 60)), None], "ns1");
        wrong(&[Some((&policy("testing", "k1,k2"), 60))], "mode is testing, expected enforce");
        wrong(&[Some((&both.replace("e2e4", "b1c2"), 60))], "ns0");
        wrong(&[Some(("v=spf1", 60))], "found none");
        wrong(&[], "no server");
    }

    #[test]
    fn the_longest_ttl_of_any_server_counts() {
        assert_eq!(longest_of(&answers(&[Some(("a", 60)), None, Some(("a", 86_400))])), 86_400);
        assert_eq!(longest_of(&answers(&[None])), 0);
    }
}
