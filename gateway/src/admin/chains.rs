//! Calls about other chains: suspending pairs, and letting them go on.

use std::time::Duration;

use distpos_proto::{chain::ChainId, code::Code};
use distpos_spool::{Direction, PairSuspension};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    calls::{Call, parsed},
};
use crate::{
    gateway::Gateway,
    queue::direction_word,
    submit::answer::{self, Body},
    suspension::{self, SUSPENDED_FOR_MAX, SUSPENDED_PAIRS_MAX},
};

type Answer = Result<Response<Body>, Refusal>;

/// What is to be suspended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuspendAsked {
    /// Why it is done.
    pub reason: String,
    /// `out`, `in`, or `both`; both if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// How long at most, in seconds; [`SUSPENDED_FOR_MAX`] if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
}

/// What is to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeAsked {
    /// Why it is done.
    pub reason: String,
    /// `out`, `in`, or `both`; both if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
}

/// A suspended pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedView {
    /// The other chain.
    pub chain: String,
    /// `out` (to it) or `in` (from it).
    pub direction: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// When it ends by itself.
    pub until_ms: u64,
    /// Who did it.
    pub by: String,
    /// Why.
    pub why: String,
}

pub(super) fn suspended(gateway: &Gateway) -> Answer {
    let now = gateway.now();
    let pairs = gateway.spool.read(|tx| tx.suspended_pairs())?;
    let going = pairs.into_iter().filter(|(_, _, held)| held.until > now);
    let view = |(direction, chain, held): (Direction, ChainId, PairSuspension)| SuspendedView {
        chain: chain.to_string(),
        direction: direction_word(direction).to_owned(),
        since_ms: held.since.0,
        until_ms: held.until.0,
        by: held.by,
        why: held.why,
    };
    Ok(answer::object(&going.map(view).collect::<Vec<_>>()))
}

pub(super) async fn suspend(call: &mut Call<'_>, chain: &str) -> Answer {
    let chain = peer(call, chain)?;
    let (asked, reason) = call.read(|body: &SuspendAsked| &body.reason)?;
    let directions = directions(asked.direction.as_deref())?;
    let most = SUSPENDED_FOR_MAX.as_secs();
    let lasts = match asked.for_seconds {
        None => SUSPENDED_FOR_MAX,
        Some(seconds) if (1..=most).contains(&seconds) => Duration::from_secs(seconds),
        Some(found) => {
            let what = format!("for_seconds: found {found}, expected 1 to {most}");
            return Err(Refusal::malformed(what));
        }
    };
    let (gateway, since) = (&call.admin.gateway, call.admin.gateway.now());
    let (by, why) = (call.caller.to_string(), reason.to_string());
    let held = PairSuspension { since, until: since.after(lasts), by, why };
    if !suspension::suspend(gateway, chain, directions, held).await? {
        let text = format!("{SUSPENDED_PAIRS_MAX} pairs are suspended, and no more can be");
        return Err(Refusal::new(StatusCode::CONFLICT, Code::POLICY, text));
    }
    suspended(gateway)
}

pub(super) async fn resume(call: &mut Call<'_>, chain: &str) -> Answer {
    let chain = peer(call, chain)?;
    let (asked, _) = call.read(|body: &ResumeAsked| &body.reason)?;
    let directions = directions(asked.direction.as_deref())?;
    let gateway = &call.admin.gateway;
    if suspension::resume(gateway, chain, directions).await?.is_empty() {
        let way = asked.direction.filter(|way| way != "both");
        let way = way.map(|way| format!(" {way}")).unwrap_or_default();
        return Err(Refusal::absent(format_args!("{chain}{way} is not suspended")));
    }
    suspended(gateway)
}

/// Another chain than the own one.
fn peer(call: &Call<'_>, chain: &str) -> Result<ChainId, Refusal> {
    let chain: ChainId = parsed("chain", chain)?;
    if chain == call.admin.gateway.facts().chain {
        let text = format!("chain: {chain} is this gateway's own, expected another one");
        return Err(Refusal::malformed(text));
    }
    Ok(chain)
}

fn directions(text: Option<&str>) -> Result<Vec<Direction>, Refusal> {
    match text {
        None | Some("both") => Ok(Direction::BOTH.to_vec()),
        Some("out") => Ok(vec![Direction::Outbound]),
        Some("in") => Ok(vec![Direction::Inbound]),
        Some(found) => {
            let what = format!("direction: found {found:?}, expected out, in or both");
            Err(Refusal::malformed(what))
        }
    }
}
