//! What a configuration that can be read may still have wrong with it.

use distpos_proto::key::KeySet;

use super::{Config, Node};

/// The first thing that makes the configuration unusable: its key, and what is wrong with it.
pub(super) fn refusal(config: &Config) -> Option<(&'static str, String)> {
    submission_is_guarded(config)
        .or_else(|| own_chain_is_no_peer(config))
        .or_else(|| ledger_counts_in_one_asset(config))
        .or_else(|| threshold_fits(config))
        .or_else(|| keys_are_not_taken_unsigned(config))
        .or_else(|| level_is_a_filter(config))
}

fn submission_is_guarded(config: &Config) -> Option<(&'static str, String)> {
    let listen = &config.listen;
    (!listen.submission.ip().is_loopback() && listen.token.is_none()).then(|| {
        let what = format!(
            "{} is not on loopback, expected listen.token (a file) beside it",
            listen.submission
        );
        ("listen.submission", what)
    })
}

fn own_chain_is_no_peer(config: &Config) -> Option<(&'static str, String)> {
    let own = config.chain.id;
    let what = format!("found {own}, expected other chains: that is chain.id");
    if config.peers.contains_key(&own) {
        return Some(("peer", what));
    }
    config.routes.contains_key(&own).then_some(("route", what))
}

/// The embedded ledger has one pot, in one unit.
fn ledger_counts_in_one_asset(config: &Config) -> Option<(&'static str, String)> {
    let Node::Ledger(_) = config.chain.node else { return None };
    let (chain, peer) = config.peers.iter().find(|(_, peer)| peer.assets.len() > 1)?;
    let found = peer.assets.len();
    Some(("peer", format!("{chain} has {found} assets, expected one: a ledger counts in one")))
}

fn threshold_fits(config: &Config) -> Option<(&'static str, String)> {
    let (keys, th) = (&config.identity.keys, config.identity.th);
    if keys.is_empty() {
        return (th != 1).then(|| {
            ("identity.th", format!("found {th}, expected 1, or identity.keys beside it"))
        });
    }
    let error = KeySet::new(keys.iter().copied(), th).err()?;
    Some(("identity.th", error.to_string()))
}

/// First-seen keys are not implemented: a setting that promised them would mislead.
fn keys_are_not_taken_unsigned(config: &Config) -> Option<(&'static str, String)> {
    (config.trust.keys < super::TrustLevel::Dnssec).then(|| {
        let what = "found \"pinned\", expected \"static\" or \"dnssec\": this version takes no \
                    keys from unsigned DNS";
        ("trust.keys", what.into())
    })
}

fn level_is_a_filter(config: &Config) -> Option<(&'static str, String)> {
    let level = &config.log.level;
    // The filter's own parser takes a misspelt level for the name of a module.
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    let first = level.split(',').next().is_some_and(|word| known.contains(&word));
    let parses = tracing_subscriber::EnvFilter::builder().parse(level).is_ok();
    (!first || !parses).then(|| {
        let what = format!(
            "found {level:?}, expected off, error, warn, info, debug or trace, \
             then perhaps `,module=level`"
        );
        ("log.level", what)
    })
}

/// What is allowed, but seldom meant; for `distpos-gateway check`.
#[must_use]
pub fn warnings(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if config.resolver.roots.is_empty() && config.routes.is_empty() {
        found.push(
            "resolver.roots is empty and there is no route: no other chain can be found".into(),
        );
    }
    if config.resolver.allow_special {
        found.push(
            "resolver.allow_special = true: DNS records can make this gateway connect to \
             loopback and private addresses"
                .into(),
        );
    }
    for (chain, peer) in &config.peers {
        if peer.assets.values().all(|value_max| value_max.is_zero()) {
            found.push(format!(
                "peer.{chain}.value_max is 0: every message with value from {chain} is refused (5.2.2)"
            ));
        }
    }
    if let Node::Evm(node) = &config.chain.node
        && node.finality == super::Finality::Confirmations(0)
    {
        found.push(
            "chain.evm.confirmations is 0: a message that a reorganisation takes back is delivered \
             all the same, and the float pays for it"
                .into(),
        );
    }
    if let Node::Ledger(node) = &config.chain.node
        && node.float.is_zero()
    {
        found.push(
            "chain.ledger.float is 0: nothing can be paid out before something came in".into(),
        );
    }
    found
}
