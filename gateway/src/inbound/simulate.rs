//! A dry run: what would become of a message if it came, proven, now. Asked by a gateway of its
//! source chain before its user sends it.
//!
//! The checks are those of [`super::policy`], in the same order; but nobody has proven anything, so
//! nothing here makes a `Proven` or an `Admitted`, and neither spool nor accounts are touched. The
//! operator's hooks are not asked: they are told of messages that are there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    light::Trusted,
    message::Message,
    policy::Check,
    time::UnixMillis,
    wire::{Response, Simulated},
};
use distpos_spool::SpoolError;
use tokio::sync::Semaphore;

use super::{
    ground::Ground,
    policy::{SILENT, chain_time},
};
use crate::{
    chain::{ChainError, Simulation},
    event::Event,
    gateway::Gateway,
    trust::dns,
};

/// Most simulations at a time: each is a few calls of the node, which has messages to deliver.
pub const SIMULATIONS_MAX: usize = 4;

/// Most simulations at once for one source chain, after a pause…
pub const BURST_MAX: u32 = 20;

/// …and how long one of them takes to be free again: a person asks once or twice before sending.
pub const REFILL_MS: u64 = 1_000;

/// What bounds the dry runs of a gateway.
pub struct Simulations {
    running: Semaphore,
    /// When all that a chain has asked for will be free again. Only chains that are trusted here
    /// get an entry, so there are as many as the operator named.
    used_until: Mutex<BTreeMap<ChainId, UnixMillis>>,
}

impl Default for Simulations {
    fn default() -> Self {
        Self { running: Semaphore::new(SIMULATIONS_MAX), used_until: Mutex::default() }
    }
}

impl Simulations {
    /// Takes one simulation from what a chain may ask for.
    fn take(&self, source: ChainId, now: UnixMillis) -> Result<(), Reply> {
        let mut used_until = self.used_until.lock().unwrap_or_else(PoisonError::into_inner);
        let refill = Duration::from_millis(REFILL_MS);
        let most = now.after(refill.saturating_mul(BURST_MAX));
        // A clock that is set back makes nobody wait longer than all of it.
        let until = used_until.get(&source).copied().unwrap_or(now).clamp(now, most);
        let next = until.after(refill);
        if next > most {
            used_until.insert(source, until);
            let text = format!("{source} asks for more dry runs than one in {REFILL_MS} ms");
            return Err(Reply::new(Code::RATE_LIMIT, text).retry_after(2));
        }
        used_until.insert(source, next);
        Ok(())
    }
}

/// Answers a gateway of chain `source`.
pub async fn simulate(
    gateway: &Gateway,
    simulations: &Simulations,
    source: ChainId,
    message: &Message,
) -> Response {
    match judged(gateway, simulations, source, message).await {
        Ok(simulated) => Response::Simulations(simulated),
        Err(reply) => Response::Refused(reply),
    }
}

/// The verdict; an error is none, but why there is none.
async fn judged(
    gateway: &Gateway,
    simulations: &Simulations,
    source: ChainId,
    message: &Message,
) -> Result<Simulated, Reply> {
    let trusted = dns::believed(gateway, source)?.trusted;
    let named = message.fields().source;
    if named != source {
        let text = format!("message is from {named}, the request speaks for {source}");
        return Err(Reply::new(Code::POLICY, text));
    }
    simulations.take(source, gateway.now())?;
    let busy = |_| Reply::new(Code::RATE_LIMIT, "too many dry runs at once").retry_after(2);
    let _running = simulations.running.try_acquire().map_err(busy)?;
    match by_policy(gateway, &trusted, message).await? {
        Some(reply) => Ok(Simulated { reply, gas: None }),
        None => by_chain(gateway, message).await,
    }
}

/// The check of this gateway's own policy that fails.
async fn by_policy(
    gateway: &Gateway,
    trusted: &Trusted,
    message: &Message,
) -> Result<Option<Reply>, Reply> {
    let source = trusted.chain;
    let now = chain_time(gateway).await.map_err(silent)?;
    let ground = Ground::of(gateway, trusted, now);
    let read = gateway.spool.read(|tx| {
        let ahead = match &message.fields().value {
            Some(value) => tx.waiting(source, &value.asset, 1)?.first().map(|first| first.sequence),
            None => None,
        };
        let failing = ground.failing(tx, message, ahead)?;
        Ok::<_, SpoolError>((tx.frozen(source)?.is_some(), failing))
    });
    let (is_frozen, failing) = read.map_err(|error| {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
        Reply::new(Code::SPOOL_FULL, "not now").retry_after(60)
    })?;
    if is_frozen {
        return Ok(Some(Reply::new(Code::CONFLICT, "frozen after conflicting evidence")));
    }
    Ok(failing.map(|failing| match failing.check {
        // The score is this gateway's own view of its peer.
        Check::Standing => Reply::new(Code::NOT_NOW, "the source chain's standing is too low now"),
        _ => failing.reply,
    }))
}

/// What the chain would do.
async fn by_chain(gateway: &Gateway, message: &Message) -> Result<Simulated, Reply> {
    let reply = match gateway.chain.simulate(message).await.map_err(silent)? {
        Simulation::Passes => Reply::new(Code::DELIVERED, "would be delivered"),
        Simulation::Ended => Reply::new(Code::POLICY, "this message has ended already"),
        Simulation::Refused(reply) | Simulation::Deferred(reply) => reply,
    };
    let gas = gateway.chain.estimate(message).await.map_err(silent)?;
    Ok(Simulated { reply, gas })
}

/// No verdict. Whoever watches the chain tells the operator; a stranger's question is no alert.
fn silent(error: ChainError) -> Reply {
    tracing::debug!(%error, "a dry run is not answered");
    Reply::new(Code::NOT_NOW, SILENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chains_many_questions_leave_the_others_theirs() {
        let simulations = Simulations::default();
        let (busy, quiet) = ("e2e4".parse().unwrap(), "b1c2".parse().unwrap());
        let start = UnixMillis(1_000_000);
        for _ in 0..BURST_MAX {
            simulations.take(busy, start).unwrap();
        }
        let refused = simulations.take(busy, start).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::RATE_LIMIT, Some(2)));
        simulations.take(quiet, start).unwrap();
        let refill = Duration::from_millis(REFILL_MS);
        simulations.take(busy, start.after(refill)).unwrap();
        simulations.take(busy, start.after(refill)).unwrap_err();
        // A clock that is set back locks nobody out.
        let back = UnixMillis(5);
        simulations.take(busy, back).unwrap_err();
        simulations.take(busy, back.after(refill)).unwrap();
    }
}
