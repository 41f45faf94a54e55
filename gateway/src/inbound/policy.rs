//! Step 5: what is let in. The local chain is asked what it would do; the named checks of
//! [`distpos_proto::policy`] and the reservation in the book happen in one commit.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{
    chain::Family,
    code::{Code, Reply},
    message::MessageId,
    policy::{self, Decision},
    retry::Cause,
    stage::{Admitted, Proven, Refused},
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{Batch, Direction, SpoolError, State, Tx};

use crate::{
    chain::{ChainError, Simulation},
    event::Event,
    gateway::Gateway,
    inbound::deliver::{PutOff, Stopped, waiting},
    outbound::watch::release,
    transition::{Move, shift},
};

/// What is told where the reason is this side's.
pub(super) const SILENT: &str = "the local chain does not answer";

/// What is to become of proven messages.
#[derive(Debug, Default)]
pub struct Decided {
    /// To be delivered; their sums are reserved.
    pub admitted: Vec<Admitted>,
    /// To be voided.
    pub refused: Vec<Refused>,
    /// In the chain's guard already: the final event will tell.
    pub ended: Vec<MessageId>,
    /// Not now, and why.
    pub deferred: Vec<(MessageId, Reply)>,
}

/// Decides about each proven message.
///
/// # Errors
/// [`Stopped`] if the local chain does not answer, or the spool fails.
pub async fn decide(
    gateway: &Gateway,
    proven: BTreeMap<MessageId, Proven>,
) -> Result<Decided, Stopped> {
    let mut asked = simulated(gateway, proven).await?;
    // In the order in which the source chain sent them: a limit is filled from the front.
    asked.sort_by_key(|(_, proven, _)| proven.message().fields().sequence);
    let now = chain_time(gateway).await.map_err(|error| {
        gateway.emit(Event::Alert { what: format!("chain: {error}") });
        PutOff { cause: Cause::Unreachable, reply: Reply::new(Code::NOT_NOW, SILENT) }
    })?;
    let own = gateway.own();
    let limits: BTreeMap<_, _> = asked
        .iter()
        .map(|(_, proven, _)| proven.message().fields().source)
        .map(|source| (source, gateway.correspondents.limits(source)))
        .collect();
    let (at, jitter) = (gateway.now(), gateway.random_u64());
    let decided = gateway
        .spool
        .transact(move |tx| {
            let mut decided = Decided::default();
            for (id, proven, simulation) in asked {
                // In the guard, though perhaps not finally: what is reserved stays so until it is. Or
                // ended by a sibling gateway while the chain was asked.
                let ended = tx.ended(Direction::Inbound, &id)?.is_some();
                if simulation == Simulation::Ended && !ended {
                    decided.ended.push(id);
                    continue;
                }
                // Decided once already, before a restart or a repeat: judge without its own share.
                release(tx, id)?;
                if ended {
                    decided.ended.push(id);
                    continue;
                }
                let source = proven.message().fields().source;
                let book = match &proven.message().fields().value {
                    Some(value) => tx.book(source, &value.asset)?,
                    None => policy::Book::default(),
                };
                let allowed = limits.get(&source).cloned().unwrap_or_default();
                let decision = policy::admit(proven, own, &allowed, &book, now);
                place(tx, &mut decided, id, decision, simulation)?;
            }
            let admitted: Vec<MessageId> =
                decided.admitted.iter().map(|admitted| admitted.message().id()).collect();
            let refused: Vec<MessageId> =
                decided.refused.iter().map(|refused| refused.message().id()).collect();
            mark(tx, &admitted, State::Delivering, at, jitter)?;
            mark(tx, &refused, State::Voiding, at, jitter)?;
            Ok::<_, SpoolError>(decided)
        })
        .await?;
    for admitted in &decided.admitted {
        gateway.emit(Event::Admitted { id: admitted.message().id() });
    }
    for refused in &decided.refused {
        let id = refused.message().id();
        gateway.emit(Event::Refused { id, reply: refused.reply().clone() });
    }
    Ok(decided)
}

/// What the chain would do with each.
async fn simulated(
    gateway: &Gateway,
    proven: BTreeMap<MessageId, Proven>,
) -> Result<Vec<(MessageId, Proven, Simulation)>, PutOff> {
    let mut asked = Vec::with_capacity(proven.len());
    let mut told = BTreeSet::new();
    for (id, message) in proven {
        let simulation = match gateway.chain.simulate(message.message()).await {
            Ok(simulation) => simulation,
            Err(error) => {
                // Once for each reason: a batch may hold a thousand messages.
                let what = format!("chain: {error}");
                if told.insert(what.clone()) {
                    gateway.emit(Event::Alert { what });
                }
                let reply = Reply::new(Code::NOT_NOW, SILENT);
                if matches!(error, ChainError::Unreachable { .. }) {
                    return Err(PutOff { cause: Cause::Unreachable, reply });
                }
                // One odd message must not hold up the others.
                Simulation::Deferred(reply)
            }
        };
        asked.push((id, message, simulation));
    }
    Ok(asked)
}

/// The time by which messages expire: that of the chain's final head, so that a gateway's wrong clock
/// voids nothing. The ledger makes no empty blocks: its time is the gateway's.
pub(super) async fn chain_time(gateway: &Gateway) -> Result<UnixSeconds, ChainError> {
    match gateway.facts().family {
        Family::Evm => Ok(gateway.chain.head().await?.time),
        Family::Ledger | Family::Attested => Ok(gateway.now_seconds()),
    }
}

/// Puts one decision into its place, and reserves what is admitted.
fn place(
    tx: &mut Tx<'_>,
    decided: &mut Decided,
    id: MessageId,
    decision: Decision,
    simulation: Simulation,
) -> Result<(), SpoolError> {
    let admitted = match decision {
        Decision::Admitted(admitted) => admitted,
        Decision::Refused(refused) => {
            decided.refused.push(refused);
            return Ok(());
        }
    };
    match simulation {
        Simulation::Deferred(reply) => decided.deferred.push((id, reply)),
        Simulation::Refused(reply) => match admitted.into_proven().refuse(reply.clone()) {
            Ok(refused) => decided.refused.push(refused),
            // A code that may not void only makes it wait.
            Err(_) => decided.deferred.push((id, reply)),
        },
        Simulation::Passes | Simulation::Ended => {
            let fields = admitted.message().fields();
            if let Some(value) = &fields.value {
                let mut book = tx.book(fields.source, &value.asset)?;
                // `admit` has just checked that the sum fits.
                book.pending_in =
                    book.pending_in.checked_add(value.amount).unwrap_or(book.pending_in);
                tx.put_book(fields.source, &value.asset, &book);
                tx.put_reserved(&id, fields.source, &value.asset, value.amount);
            }
            decided.admitted.push(admitted);
        }
    }
    Ok(())
}

/// Notes the decision before anything is submitted: after a crash it is taken up from here.
fn mark(
    tx: &mut Tx<'_>,
    ids: &[MessageId],
    state: State,
    now: UnixMillis,
    jitter: u64,
) -> Result<(), SpoolError> {
    let from = [State::Claimed, State::Delivering, State::Voiding];
    let decided = |held: &Batch| Move {
        // The round counts when it is submitted or put off.
        attempts: if held.state == state { held.attempts } else { 0 },
        ..waiting(state, now, jitter)(held)
    };
    shift(tx, Direction::Inbound, ids, &from, decided, now)?;
    Ok(())
}
