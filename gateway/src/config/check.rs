//! What a configuration that can be read may still have wrong with it.

use distpos_proto::{
    address::{Address, Local},
    chain::ChainId,
    key::KeySet,
    message::Message,
    record::HostName,
};

use super::{Admin, Config, GasBudget, Hooks, Limits, Node, policy::POINTS_AT_FIRST};

/// The key of an array's table is named with its number: `policy.rule[1].sender`.
pub(super) type Refusal = (String, String);

/// Everything that makes the configuration unusable: each key, and what is wrong with it.
pub(super) fn refusals(config: &Config) -> Vec<Refusal> {
    let single = [
        submission_is_guarded(config),
        threshold_fits(config),
        roots_are_asked(config),
        level_is_a_filter(config),
        hooks_answer_in_time(config),
        socket_path_fits(config),
        memory_suffices(config),
    ];
    let mut found: Vec<Refusal> =
        single.into_iter().flatten().map(|(key, what)| (key.to_owned(), what)).collect();
    found.extend(own_chain_is_no_peer(config));
    found.extend(hooks_are_here(config));
    found.extend(rules_name_local_addresses(config));
    found
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

fn own_chain_is_no_peer(config: &Config) -> impl Iterator<Item = Refusal> {
    let own = config.chain.id;
    let named =
        [("peer", config.peers.contains_key(&own)), ("route", config.routes.contains_key(&own))];
    named.into_iter().filter(|(_, is_there)| *is_there).map(move |(table, _)| {
        let what = format!("found {own}, expected other chains: that is chain.id");
        (format!("{table}.{own}"), what)
    })
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

fn hooks_answer_in_time(config: &Config) -> Option<(&'static str, String)> {
    let (found, least, most) =
        (config.policy.hooks.timeout, Hooks::TIMEOUT_MIN, Hooks::TIMEOUT_MAX);
    (!(least..=most).contains(&found)).then(|| {
        ("policy.hooks.timeout", format!("found {found:?}, expected {least:?} to {most:?}"))
    })
}

fn hooks_are_here(config: &Config) -> impl Iterator<Item = Refusal> {
    let hooks = &config.policy.hooks;
    let away = hooks.named().filter(|(_, url)| !url.is_loopback() && !hooks.allow_remote);
    away.map(|(key, url)| {
        let what = format!(
            "{url} is not on this host, expected policy.hooks.allow_remote = true beside it: \
             messages travel there in the clear"
        );
        (key.to_owned(), what)
    })
}

/// A whole address in a rule would never match, and let everything through that it was to stop.
/// Only where its front is a chain that is named elsewhere: other chains' addresses may look so too.
fn rules_name_local_addresses(config: &Config) -> impl Iterator<Item = Refusal> {
    let whole = |local: &Local| local.as_str().parse::<Address>().ok();
    config.policy.rules.as_slice().iter().enumerate().filter_map(move |(at, rule)| {
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
        Some((format!("policy.rule[{}].{name}", at + 1), what))
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
