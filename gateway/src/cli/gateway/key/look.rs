//! What the authoritative servers show of the own keys.

use std::time::Duration;

use distpos_proto::record;
use distpos_resolver::{Authority, LookupError, publish::RecordSet};

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
        longest = answers
            .iter()
            .filter_map(|(_, it)| it.as_ref().ok())
            .map(|it| it.ttl)
            .fold(longest, u32::max);
        let read = answers.into_iter().map(|(server, answer)| match answer {
            Ok(answer) => match record::key(&answer.records, config.chain.id) {
                Ok(record) => record.key.map_or(Shown::Revoked, Shown::Key),
                Err(wrong) => Shown::Unsettled(format!("{server}: {wrong}")),
            },
            Err(LookupError::NotFound { .. }) => Shown::Nothing,
            Err(error) => Shown::Unsettled(format!("{server}: {error}")),
        });
        keys.insert(selector.clone(), together(read));
    }
    let mut named = None;
    for (at, (_, answer)) in authority.txt(&set.anchor.policy()).await.into_iter().enumerate() {
        let policy =
            answer.ok().and_then(|it| record::policy(&it.records, config.chain.id).ok()?);
        let selectors = policy.map(|policy| policy.selectors);
        if at > 0 && named != selectors {
            named = None;
            break;
        }
        named = selectors;
    }
    let nothing = authority.negative_ttl().await.map_err(Failure::temporary)?;
    let held_for = Duration::from_secs(longest.max(nothing).into());
    Ok(View { keys, named, held_for })
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
