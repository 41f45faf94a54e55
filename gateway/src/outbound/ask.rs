//! A receipt is late: ask the destination how the messages stand.
//!
//! Nothing here refunds: a status binds nobody. Only a receipt with the chain's signatures ends a
//! message, wherever it comes from.

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    receipt::{SignedReceipt, Standing},
    retry::{self, Cause},
    wire::{IDS_MAX, Request, Response, StatusAnswer},
};
use distpos_spool::{Batch, Direction, SpoolError, State};

use crate::{
    contact::{self, Contacted},
    gateway::Gateway,
    outbound::{settle, silence},
    transition::{Later, Move, shift, to},
    trust::dns::{self, Believed},
};

/// After so many questions without a receipt a message is sent again.
const ASKED_MAX: u32 = 4;

/// Asks about accepted batches of one destination.
///
/// # Errors
/// [`SpoolError`] if what came of it cannot be noted.
pub async fn ask(gateway: &Gateway, peer: ChainId, batches: Vec<Batch>) -> Result<(), SpoolError> {
    let turn = batches.iter().map(|batch| batch.attempts).max().unwrap_or(0);
    let items = batches.iter().flat_map(|batch| &batch.items);
    let ids: Vec<MessageId> = items.map(|item| item.id).take(IDS_MAX).collect();
    let answered = match contact::reach(gateway, peer).await {
        Ok(route) => contact::call(gateway, &route, turn, &Request::Status(ids.clone())).await,
        Err(reply) => Err(reply),
    };
    let (unknown, receipts, reply) = match answered {
        Ok(Contacted { response: Response::Status(answers), .. }) if answers.len() == ids.len() => {
            let (unknown, receipts) = sort(gateway, peer, &ids, answers);
            (unknown, receipts, Reply::new(Code::NOT_FINAL, "waiting for the receipt"))
        }
        Ok(Contacted { response: Response::Refused(reply), .. }) => (Vec::new(), Vec::new(), reply),
        Err(reply) => {
            silence::failed(gateway, peer).await?;
            (Vec::new(), Vec::new(), reply)
        }
        Ok(Contacted { gateway, .. }) => {
            let text = format!("{gateway} answered something else");
            (Vec::new(), Vec::new(), Reply::new(Code::NO_ANSWER, text))
        }
    };
    settle::receipts(gateway, receipts).await;
    move_on(gateway, ids, unknown, reply).await
}

/// What is unknown there by a signed answer, and the receipts that came along.
fn sort(
    gateway: &Gateway,
    peer: ChainId,
    ids: &[MessageId],
    answers: Vec<StatusAnswer>,
) -> (Vec<MessageId>, Vec<SignedReceipt>) {
    let Ok(Believed { trusted, .. }) = dns::believed(gateway, peer) else {
        return (Vec::new(), Vec::new());
    };
    let (mut unknown, mut receipts) = (Vec::new(), Vec::new());
    for (id, answer) in ids.iter().zip(answers) {
        match answer {
            StatusAnswer::Ended(receipt) => receipts.push(receipt),
            StatusAnswer::Open(status) => {
                let about = status.id == *id && status.destination == peer;
                if about && status.standing == Standing::Unknown && status.is_by(&trusted.keys) {
                    unknown.push(*id);
                }
            }
        }
    }
    (unknown, receipts)
}

/// Sends again what is unknown there, or what nobody has told of for long: a gateway that took it
/// may be gone for good, another one may not know of it. The others are asked about later.
async fn move_on(
    gateway: &Gateway,
    ids: Vec<MessageId>,
    unknown: Vec<MessageId>,
    reply: Reply,
) -> Result<(), SpoolError> {
    let now = gateway.now();
    let later = Later { now, jitter: gateway.random_u64(), reply: Some(reply) };
    let waiting: Vec<MessageId> = ids.into_iter().filter(|id| !unknown.contains(id)).collect();
    gateway
        .spool
        .transact(move |tx| {
            let (direction, from) = (Direction::Outbound, [State::Accepted]);
            shift(tx, direction, &unknown, &from, to(State::Queued, Some(now), None), now)?;
            let (mut silent, mut asked) = (Vec::new(), Vec::new());
            for id in waiting {
                let held = match tx.find(direction, &id)? {
                    Some((batch, _)) => tx.batch(direction, batch)?,
                    None => None,
                };
                let is_silent = held.is_some_and(|held| {
                    held.attempts >= ASKED_MAX || held.expires() < now.seconds()
                });
                if is_silent { silent.push(id) } else { asked.push(id) }
            }
            // It keeps its count, so that another gateway is tried first, and waits as it did.
            let again = |held: &Batch| {
                let delay = retry::delay(Cause::Accepted, held.attempts, later.jitter);
                let (state, due) = (Some(State::Queued), Some(now.after(delay)));
                Move { state, due, attempts: held.attempts, reply: held.reply.clone() }
            };
            shift(tx, direction, &silent, &from, again, now)?;
            later.clone().put_off(tx, direction, &asked, &from, |_| Cause::Accepted)?;
            Ok::<_, SpoolError>(())
        })
        .await
}
