//! Step 5: what is let in. The local chain is asked what it would do; the named checks of
//! [`distpos_proto::policy`] and the reservation in the book happen in one commit.

use std::collections::BTreeMap;

use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
    policy::{self, Decision},
    retry::Cause,
    stage::{Admitted, Proven, Refused},
};
use distpos_spool::{Direction, SpoolError, State, Tx};

use crate::{
    chain::Simulation,
    event::Event,
    gateway::Gateway,
    inbound::deliver::{PutOff, Stopped},
    outbound::watch::release,
    transition::shift,
};

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
    let mut asked = Vec::with_capacity(proven.len());
    for (id, message) in proven {
        let simulation = gateway.chain.simulate(message.message()).await.map_err(|error| {
            gateway.emit(Event::Alert { what: format!("chain: {error}") });
            PutOff { cause: Cause::Unreachable, reply: Reply::new(Code::NOT_NOW, "local chain") }
        })?;
        asked.push((id, message, simulation));
    }
    // In the order in which the source chain sent them: a limit is filled from the front.
    asked.sort_by_key(|(_, proven, _)| proven.message().fields().sequence);
    let (own, now) = (gateway.own(), gateway.now_seconds());
    let limits: BTreeMap<_, _> = asked
        .iter()
        .map(|(_, proven, _)| proven.message().fields().source)
        .map(|source| (source, gateway.correspondents.limits(source)))
        .collect();
    let at = gateway.now();
    let decided = gateway
        .spool
        .transact(move |tx| {
            let mut decided = Decided::default();
            for (id, proven, simulation) in asked {
                if simulation == Simulation::Ended {
                    decided.ended.push(id);
                    continue;
                }
                let source = proven.message().fields().source;
                // Decided once already, before a restart or a repeat: judge without its own share.
                release(tx, id)?;
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
            mark(tx, &admitted, State::Delivering, at)?;
            mark(tx, &refused, State::Voiding, at)?;
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
    now: distpos_proto::time::UnixMillis,
) -> Result<(), SpoolError> {
    let from = [State::Claimed, State::Delivering, State::Voiding];
    let change = crate::inbound::deliver::waiting(state, now, 0);
    shift(tx, Direction::Inbound, ids, &from, &change, now)?;
    Ok(())
}
