//! What a configuration that can be read may still have wrong with it.

use distpos_proto::{
    address::{Address, Local},
    chain::ChainId,
    key::KeySet,
    message::Message,
    record::HostName,
};

use super::{Admin, Config, GasBudget, Hooks, Limits, Node, policy::POINTS_AT_FIRST};

/// The first thing that makes the configuration unusable: its key, and what is wrong with it.
pub(super) fn refusal(config: &Config) -> Option<(&'static str, String)> {
    submission_is_guarded(config)
        .or_else(|| own_chain_is_no_peer(config))
        .or_else(|| threshold_fits(config))
        .or_else(|| roots_are_asked(config))
        .or_else(|| level_is_a_filter(config))
        .or_else(|| hooks_can_be_asked(config))
        .or_else(|| rules_name_local_addresses(config))
        .or_else(|| socket_path_fits(config))
        .or_else(|| memory_suffices(config))
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

fn memory_suffices(config: &Config) -> Option<(&'static str, String)> {
    let (found, least) = (config.limits.memory_max, Limits::MEMORY_MAX_LEAST);
    (found < least)
        .then(|| ("limits.memory_max", format!("found {found}, expected at least {least}")))
}

fn own_chain_is_no_peer(config: &Config) -> Option<(&'static str, String)> {
    let own = config.chain.id;
    let what = format!("found {own}, expected other chains: that is chain.id");
    if config.peers.contains_key(&own) {
        return Some(("peer", what));
    }
    config.routes.contains_key(&own).then_some(("route", what))
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

/// RFC 6761: names that resolvers answer by themselves, so that a chain there is never found.
const SPECIAL_NAMES: [&str; 4] = ["local", "localhost", "onion", "invalid"];

fn roots_are_asked(config: &Config) -> Option<(&'static str, String)> {
    let last = |root: &HostName| root.as_str().rsplit('.').next().unwrap_or_default().to_owned();
    let is_special = |root: &&HostName| SPECIAL_NAMES.contains(&last(root).as_str());
    let root = config.resolver.roots.iter().find(is_special)?;
    let what =
        format!("found {root}, expected a domain that name servers are asked for (RFC 6761)");
    Some(("resolver.roots", what))
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

fn hooks_can_be_asked(config: &Config) -> Option<(&'static str, String)> {
    let hooks = &config.policy.hooks;
    if !(Hooks::TIMEOUT_MIN..=Hooks::TIMEOUT_MAX).contains(&hooks.timeout) {
        let (found, least, most) = (hooks.timeout, Hooks::TIMEOUT_MIN, Hooks::TIMEOUT_MAX);
        let what = format!("found {found:?}, expected {least:?} to {most:?}");
        return Some(("policy.hooks.timeout", what));
    }
    let (key, url) = hooks.named().find(|(_, url)| !url.is_loopback() && !hooks.allow_remote)?;
    let what = format!(
        "{url} is not on this host, expected policy.hooks.allow_remote = true beside it: messages \
         travel there in the clear"
    );
    Some((key, what))
}

/// A whole address in a rule would never match, and let everything through that it was to stop.
/// Only where its front is a chain that is named elsewhere: other chains' addresses may look so too.
fn rules_name_local_addresses(config: &Config) -> Option<(&'static str, String)> {
    let whole = |local: &Local| local.as_str().parse::<Address>().ok();
    config.policy.rules.as_slice().iter().enumerate().find_map(|(at, rule)| {
        let known = |chain: &ChainId| {
            let named = config.peers.contains_key(chain) || config.routes.contains_key(chain);
            rule.chain == Some(*chain) || named
        };
        let sender = rule.sender.as_ref().and_then(whole).filter(|a| known(&a.chain()));
        let own = |address: &Address| address.chain() == config.chain.id;
        let recipient = rule.recipient.as_ref().and_then(whole).filter(own);
        let (name, address) =
            sender.map(|a| ("sender", a)).or_else(|| recipient.map(|a| ("recipient", a)))?;
        let what = format!(
            "rule {}: {name} is {address}, expected the part behind the first x, {}",
            at + 1,
            address.local()
        );
        Some(("policy.rule", what))
    })
}

fn socket_path_fits(config: &Config) -> Option<(&'static str, String)> {
    let (path, most) = (config.admin_socket(), Admin::PATH_BYTES_MAX);
    let found = path.as_os_str().len();
    (found > most).then(|| {
        let what = format!(
            "path of the socket, {}, has {found} bytes, expected at most {most}: set admin.socket \
             to a shorter one",
            path.display()
        );
        ("admin.socket", what)
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
    let peers = config.peers.iter().map(|(chain, peer)| (format!("peer.{chain}"), peer.gas_max));
    let all = std::iter::once(("policy".to_owned(), config.policy.gas_max));
    for (table, max) in all.chain(peers) {
        if let Some(max) = max.filter(|max| *max < GasBudget::MESSAGE) {
            found.push(format!(
                "{table}.gas_max is {max}, less than the {} that every message counts: all are \
                 refused (5.2.3)",
                GasBudget::MESSAGE
            ));
        }
    }
    if let Some(grace) = config.policy.refund_without_receipt {
        let days = Message::EXPIRES_AFTER_MAX / (24 * 60 * 60);
        let hasty = grace.as_secs() < Message::EXPIRES_AFTER_MAX;
        let more = if hasty { format!(", and is shorter than {days} days") } else { String::new() };
        found.push(format!(
            "policy.refund_without_receipt is set{more}: a message that was delivered there may be \
             refunded here as well"
        ));
    }
    let (found_min, at_first) = (config.policy.standing_min, POINTS_AT_FIRST);
    if found_min > at_first {
        found.push(format!(
            "policy.standing_min is {found_min}: a new chain stands at {at_first}, so its messages \
             wait, and nothing that it delivers can raise it"
        ));
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
