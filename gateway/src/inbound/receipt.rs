//! The way back: send signed receipts of what is final here, until the source has taken them.

use std::time::Duration;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    receipt::{Outcome, Receipt, SignedReceipt},
    retry::Cause,
    wire::{Request, Response},
};
use distpos_spool::{Batch, Direction, SpoolError, State};

use crate::{
    contact::{self, Contacted},
    event::Event,
    gateway::Gateway,
    transition::{Later, remove},
};

/// How long a receipt is offered. After that the source has to ask (`/status`), which it does.
pub const OFFERED_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Sends the receipts of ended messages to their source chain.
///
/// # Errors
/// [`SpoolError`] if outcomes cannot be read, or what came of it not be noted.
pub async fn send(
    gateway: &Gateway,
    source: ChainId,
    batches: Vec<Batch>,
) -> Result<(), SpoolError> {
    let turn = batches.iter().map(|batch| batch.attempts).max().unwrap_or(0);
    let items = batches.iter().flat_map(|batch| &batch.items);
    let ids: Vec<MessageId> = items.map(|item| item.id).collect();
    let outcomes = gateway.spool.read(|tx| {
        ids.iter()
            .map(|id| Ok(tx.ended(Direction::Inbound, id)?.and_then(|end| end.outcome)))
            .collect::<Result<Vec<_>, SpoolError>>()
    })?;
    let receipts: Vec<SignedReceipt> = outcomes
        .into_iter()
        .zip(&ids)
        .filter_map(|(outcome, id)| outcome.map(|outcome| sign(gateway, source, *id, outcome)))
        .collect();
    if receipts.is_empty() {
        // Taken back since they became due, by a sibling gateway or an operator.
        return move_on(gateway, source, ids.clone(), ids, Reply::new(Code::NO_ANSWER, "")).await;
    }
    let sent: Vec<MessageId> = receipts.iter().map(|signed| signed.receipt.id).collect();
    let answered = match contact::reach(gateway, source).await {
        Ok(route) => contact::call(gateway, &route, turn, &Request::Receipts(receipts)).await,
        Err(reply) => Err(reply),
    };
    let (taken, reply) = match answered {
        Ok(Contacted { gateway: name, response: Response::Receipts(replies) })
            if replies.len() == sent.len() =>
        {
            let taken = taken(&sent, &replies);
            if !taken.is_empty() {
                let ids = taken.clone();
                gateway.emit(Event::ReceiptSent { source, gateway: name, ids });
            }
            let other = replies.into_iter().find(|reply| !reply.code.is_success());
            (taken, other.unwrap_or_else(|| Reply::new(Code::NO_ANSWER, "no outcome kept")))
        }
        Ok(Contacted { response: Response::Refused(reply), .. }) | Err(reply) => {
            (Vec::new(), reply)
        }
        Ok(Contacted { gateway: name, .. }) => {
            let text = format!("{name} answered something else");
            (Vec::new(), Reply::new(Code::NO_ANSWER, text))
        }
    };
    move_on(gateway, source, ids, taken, reply).await
}

/// The receipt of an outcome, signed with the chain's current keys.
pub fn sign(gateway: &Gateway, source: ChainId, id: MessageId, outcome: Outcome) -> SignedReceipt {
    let destination = gateway.facts().chain;
    Receipt { id, source, destination, outcome }.sign(&gateway.identity.keys().secrets)
}

fn taken(sent: &[MessageId], replies: &[Reply]) -> Vec<MessageId> {
    let pairs = sent.iter().zip(replies);
    pairs.filter(|(_, reply)| reply.code.is_success()).map(|(id, _)| *id).collect()
}

/// Lets go of what was taken, and offers the rest again later, each for [`OFFERED_FOR_MAX`].
async fn move_on(
    gateway: &Gateway,
    source: ChainId,
    ids: Vec<MessageId>,
    taken: Vec<MessageId>,
    reply: Reply,
) -> Result<(), SpoolError> {
    let now = gateway.now();
    let rest: Vec<MessageId> = ids.into_iter().filter(|id| !taken.contains(id)).collect();
    let cause = if reply.code.is_temporary() {
        Cause::Temporary { retry_after: reply.retry_after }
    } else {
        Cause::Hint
    };
    let later = Later { now, jitter: gateway.random_u64(), reply: Some(reply.clone()) };
    let moving = gateway.spool.transact(move |tx| {
        remove(tx, Direction::Inbound, &taken, now)?;
        let (mut old, mut kept) = (Vec::new(), Vec::new());
        for id in rest {
            let held = match tx.find(Direction::Inbound, &id)? {
                Some((batch, _)) => tx.batch(Direction::Inbound, batch)?,
                None => None,
            };
            let is_old = held.is_some_and(|held| now.since(held.since) > OFFERED_FOR_MAX);
            if is_old { old.push(id) } else { kept.push(id) }
        }
        remove(tx, Direction::Inbound, &old, now)?;
        old.iter().for_each(|id| tx.set_untaken(id));
        let direction = Direction::Inbound;
        let delay = later.put_off(tx, direction, &kept, &[State::Ended], |_| cause)?;
        Ok::<_, SpoolError>((old.len(), kept.len(), delay))
    });
    let (old, kept, delay) = moving.await?;
    if old > 0 {
        let what = format!("{old} receipts for {source} were not taken in 7 days");
        gateway.emit(Event::Alert { what });
    }
    if kept > 0 {
        gateway.emit(Event::deferred(source, kept, reply, delay));
    }
    Ok(())
}
