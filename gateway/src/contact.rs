//! Reaching another chain: its route, and its gateways one after the other.

use std::sync::Arc;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    wire::{Request, Response},
};
use distpos_resolver::{Contact, Gateway as Listed, Host, Route, RouteSource, TrustLevel};

use crate::{
    destinations, event::Event, gateway::Gateway, outbound::silence, peer::Target, standing,
    trust::dns,
};

/// A gateway that answered.
pub struct Contacted {
    /// `host:port`, for people.
    pub gateway: String,
    /// What it said.
    pub response: Response,
}

/// The route to a chain (the paper's routing table).
///
/// # Errors
/// The reply says what is wrong: `5.1.2` and `5.1.10` are permanent, `4.4.3` is not, `5.4.6` means
/// that the chain's records name this very gateway.
pub async fn route(gateway: &Gateway, chain: ChainId) -> Result<Arc<Route>, Reply> {
    let route = gateway
        .resolver
        .route(chain)
        .await
        .map_err(|error| Reply::new(error.code(), error.to_string()))?;
    dns::observe(gateway, &route).await?;
    let route = standing::in_order(gateway, route);
    gateway.emit(Event::Resolved {
        chain,
        gateways: route.to_try().iter().map(name).collect(),
        source: source(&route),
    });
    if route.admits(&gateway.identity.pin) {
        let text = format!("the records of {chain} name this gateway, which serves another chain");
        return Err(Reply::new(Code::LOOP, text));
    }
    Ok(route)
}

/// The route to a chain that is to be called now. While the breaker of the chain is open nobody is
/// asked, and the reply says what the last attempt found.
///
/// # Errors
/// As [`route`].
pub async fn reach(gateway: &Gateway, chain: ChainId) -> Result<Arc<Route>, Reply> {
    if let Some(reply) = gateway.destinations.shut(chain, gateway.now()) {
        return Err(reply);
    }
    let found = route(gateway, chain).await;
    if let Err(reply) = &found
        && reply.code == Code::DNS
    {
        destinations::failed(gateway, chain, reply);
    }
    found
}

/// Asks the gateways of a route in order until one does the call. `turn` counts the rounds so far:
/// each begins with another gateway, so that one which answers without helping is not asked alone.
///
/// A gateway that refuses the whole call is passed over like one that does not answer (its disk may
/// be full, its view of DNS old); the last such refusal comes back if no gateway does better.
///
/// # Errors
/// A temporary reply that says what the last gateway's connection said.
pub async fn call(
    gateway: &Gateway,
    route: &Route,
    turn: u32,
    request: &Request,
) -> Result<Contacted, Reply> {
    let mut last = Err(Reply::new(Code::NO_ANSWER, format!("no gateway of {}", route.chain)));
    let mut order: Vec<&Listed> = route.to_try().iter().collect();
    if !order.is_empty() {
        let first = usize::try_from(turn).unwrap_or(0) % order.len();
        order.rotate_left(first);
    }
    for listed in order {
        match one(gateway, route.chain, listed, request).await {
            Ok(Response::Refused(reply)) => {
                let response = Response::Refused(reply);
                last = Ok(Contacted { gateway: name(listed), response });
            }
            Ok(response) => return Ok(Contacted { gateway: name(listed), response }),
            Err(reply) if last.is_err() => last = Err(reply),
            Err(_) => {}
        }
    }
    match &last {
        Ok(Contacted { response: Response::Refused(reply), .. }) if reply.code.is_temporary() => {
            gateway.destinations.refused(route.chain);
        }
        Ok(_) => {}
        Err(reply) => {
            destinations::failed(gateway, route.chain, reply);
            if reply.code == Code::NO_ANSWER {
                standing::if_all_silent(gateway, route, reply).await;
            }
        }
    }
    last
}

/// Asks one gateway. Whether it answered is remembered, so that a dead one is tried last.
///
/// # Errors
/// A temporary reply that says what its name or connection said.
pub async fn one(
    gateway: &Gateway,
    chain: ChainId,
    listed: &Listed,
    request: &Request,
) -> Result<Response, Reply> {
    let addresses = gateway
        .resolver
        .addresses(listed)
        .await
        .map_err(|error| Reply::new(Code::DNS, format!("{}: {error}", name(listed))))?;
    let target = Target { addresses, host: host(listed), pins: listed.pins.clone() };
    let own = gateway.facts().chain;
    match gateway.peers.call(&target, own, chain, request.clone()).await {
        Ok(response) => {
            gateway.resolver.report(chain, listed, Contact::Reached);
            standing::answered(gateway, chain, &name(listed)).await;
            silence::heard(gateway, chain).await;
            destinations::answered(gateway, chain).await;
            Ok(response)
        }
        Err(error) => {
            gateway.resolver.report(chain, listed, Contact::Failed);
            standing::silent(gateway, chain, &name(listed), &error).await;
            if error.is_from_peer() {
                silence::heard(gateway, chain).await;
            }
            Err(Reply::new(Code::NO_ANSWER, format!("{}: {error}", name(listed))))
        }
    }
}

/// `host:port`.
#[must_use]
pub fn name(listed: &Listed) -> String {
    listed.to_string()
}

fn host(listed: &Listed) -> String {
    match &listed.host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => address.to_string(),
    }
}

fn source(route: &Route) -> String {
    let stale = if route.stale { ", expired" } else { "" };
    match &route.source {
        RouteSource::Static => "configuration".to_owned(),
        RouteSource::Dns { name } => {
            let level = match route.level {
                TrustLevel::Pinned => "unsigned",
                TrustLevel::Dnssec => "DNSSEC",
                TrustLevel::Static => "configured",
            };
            format!("TXT {name} ({level}{stale})")
        }
    }
}
