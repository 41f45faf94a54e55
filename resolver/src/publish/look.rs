//! Gathering what is published, from every side.

use std::collections::BTreeMap;

use distpos_proto::{
    chain::ChainId,
    record::{self, Anchor},
};

use super::lint::{Found, View};
use crate::{Authority, HickoryLookup, lookup::Lookup};

/// Asks every authoritative server, and the resolver where there is one, for all that a chain
/// publishes at a place: gateways, policy, and the keys that the policy names.
pub async fn look(
    lookup: Option<&HickoryLookup>,
    authority: &Authority,
    chain: ChainId,
    anchor: &Anchor,
) -> View {
    let mut names = BTreeMap::new();
    for name in [anchor.gateways(), anchor.policy()] {
        let found = found(lookup, authority, &name).await;
        names.insert(name, found);
    }
    let answers = &names[&anchor.policy()].servers;
    let policies = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let policy = policies.filter_map(|answer| record::policy(&answer.records, chain).ok()?).next();
    for selector in policy.iter().flat_map(|policy| &policy.selectors) {
        let name = anchor.key(selector);
        let found = found(lookup, authority, &name).await;
        names.insert(name, found);
    }
    // Beside the chain's name, as far as that is this zone's.
    let (zone, place) = (authority.zone(), anchor.to_string());
    let beside = place.split_once('.').map(|(_, parent)| parent);
    let beside = beside.filter(|parent| parent.ends_with(zone.as_str())).unwrap_or(&zone);
    let nobody = format!("_distpos.nobody-0.{beside}");
    let wildcard = authority.txt(&nobody).await.into_iter().find_map(|(_, answer)| answer.ok());
    View { chain, anchor: anchor.clone(), names, wildcard }
}

async fn found(lookup: Option<&HickoryLookup>, authority: &Authority, name: &str) -> Found {
    let servers = authority.txt(name).await;
    let resolver = match lookup {
        Some(lookup) => Some(lookup.txt(name).await),
        None => None,
    };
    let servers = servers.into_iter().map(|(server, answer)| (server.to_string(), answer));
    Found { servers: servers.collect(), resolver, alias: authority.alias(name).await }
}
