//! Step 2, second half: resolve the destination, and hand it its batches.

use std::collections::BTreeMap;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    retry::{self, Cause},
    time::UnixMillis,
    wire::{Batch as WireBatch, Request, Response},
};
use distpos_resolver::Route;
use distpos_spool::{Batch, Direction, SpoolError, State, Tx};

use crate::{
    contact::{self, Contacted},
    event::Event,
    gateway::Gateway,
    outbound::{bounce, silence},
    suspension,
    transition::{Later, shift, to},
};

/// Sends the queued batches of one destination.
///
/// # Errors
/// [`SpoolError`] if what came of it cannot be noted.
pub async fn send(gateway: &Gateway, peer: ChainId, batches: Vec<Batch>) -> Result<(), SpoolError> {
    warn_of_expired(gateway, peer, &batches);
    if gateway.spool.read(|tx| tx.frozen(peer))?.is_some() {
        let reply = Reply::new(Code::NOT_NOW, format!("{peer} is frozen after a conflict"));
        return defer(gateway, peer, ids(&batches), Cause::Hint, reply).await;
    }
    let now = gateway.now();
    let suspended = |tx: &Tx<'_>| tx.pair_suspension(Direction::Outbound, peer, now);
    if gateway.spool.read(suspended)?.is_some() {
        let (direction, ids) = (Direction::Outbound, ids(&batches));
        return suspension::wait(gateway, direction, peer, ids, State::Queued).await;
    }
    match contact::reach(gateway, peer).await {
        Ok(route) => offer(gateway, &route, &batches).await,
        Err(reply) if bounce::is_permanent(&reply) => {
            let rest = bounce::bounce(gateway, peer, &batches, reply.clone()).await?;
            unanswered(gateway, peer, rest, reply).await
        }
        Err(reply) => unanswered(gateway, peer, ids(&batches), reply).await,
    }
}

/// Nobody there was reached.
async fn unanswered(
    gateway: &Gateway,
    peer: ChainId,
    ids: Vec<MessageId>,
    reply: Reply,
) -> Result<(), SpoolError> {
    let rest = silence::give_up(gateway, peer, ids, &reply).await?;
    defer(gateway, peer, rest, Cause::Unreachable, reply).await
}

/// Delivery ends at `expires`, the message does not: it is offered until a receipt says how.
fn warn_of_expired(gateway: &Gateway, peer: ChainId, batches: &[Batch]) {
    let now = gateway.now_seconds();
    let expired: usize =
        batches.iter().flat_map(|batch| &batch.items).filter(|item| item.expires < now).count();
    if expired > 0 {
        let what = format!("{expired} messages for {peer} are expired and have no receipt yet");
        gateway.emit(Event::Alert { what });
    }
}

/// Offers the batches to the chain's gateways, in order, until one takes them.
async fn offer(gateway: &Gateway, route: &Route, batches: &[Batch]) -> Result<(), SpoolError> {
    let peer = route.chain;
    let bodies = gateway.spool.read(|tx| {
        let mut bodies = Vec::with_capacity(batches.len());
        for batch in batches {
            let envelopes = tx.messages(Direction::Outbound, batch.id)?;
            // Ended since it became due, by a sibling gateway or a receipt: nothing is left to send.
            if !envelopes.is_empty() {
                bodies.push(WireBatch { height: batch.height, envelopes });
            }
        }
        Ok::<_, SpoolError>(bodies)
    })?;
    let sent: Vec<MessageId> = bodies
        .iter()
        .flat_map(|batch| batch.envelopes.iter().map(|envelope| envelope.message.id()))
        .collect();
    if sent.is_empty() {
        return Ok(());
    }
    // Before the first byte leaves: from now on only a receipt may refund what goes there.
    let now = gateway.now();
    gateway.spool.transact(move |tx| tx.set_seen(peer, now)).await?;
    let turn = batches.iter().map(|batch| batch.attempts).max().unwrap_or(0);
    match contact::call(gateway, route, turn, &Request::Messages(bodies)).await {
        Ok(Contacted { gateway: name, response: Response::Messages(replies) })
            if replies.len() == sent.len() =>
        {
            record(gateway, peer, name, sent, replies).await
        }
        Ok(Contacted { gateway: name, response: Response::Refused(reply) }) => {
            let cause = cause_of(&reply);
            let mut named = Reply::new(reply.code, format!("{name}: {}", reply.text()));
            named.retry_after = reply.retry_after;
            defer(gateway, peer, sent, cause, named).await
        }
        Ok(Contacted { gateway: name, .. }) => {
            let reply = Reply::new(Code::NO_ANSWER, format!("{name} answered something else"));
            defer(gateway, peer, sent, Cause::Unreachable, reply).await
        }
        Err(reply) => unanswered(gateway, peer, sent, reply).await,
    }
}

/// Moves each message by its own reply.
async fn record(
    gateway: &Gateway,
    peer: ChainId,
    name: String,
    ids: Vec<MessageId>,
    replies: Vec<Reply>,
) -> Result<(), SpoolError> {
    if let Some(reply) = replies.first().cloned() {
        gateway.emit(Event::Sent { chain: peer, gateway: name, ids: ids.clone(), reply });
    }
    let mut taken = Vec::new();
    // Messages that fare alike stay together.
    let mut others: BTreeMap<(Code, Option<u32>), (Reply, Vec<MessageId>)> = BTreeMap::new();
    for (id, reply) in ids.into_iter().zip(replies) {
        if reply.code.is_success() {
            taken.push(id);
        } else {
            let key = (reply.code, reply.retry_after);
            others.entry(key).or_insert_with(|| (reply, Vec::new())).1.push(id);
        }
    }
    let now = gateway.now();
    let watchdog = now.after(retry::delay(Cause::Accepted, 0, gateway.random_u64()));
    let accepted = gateway
        .spool
        .transact(move |tx| {
            let accepted = to(State::Accepted, Some(watchdog), None);
            shift(tx, Direction::Outbound, &taken, &[State::Queued], accepted, now)
        })
        .await?;
    gateway.metrics.accepted(peer, accepted.len());
    for (reply, ids) in others.into_values() {
        defer(gateway, peer, ids, cause_of(&reply), reply).await?;
    }
    Ok(())
}

/// Leaves messages queued for later, with the reason.
async fn defer(
    gateway: &Gateway,
    peer: ChainId,
    ids: Vec<MessageId>,
    cause: Cause,
    reply: Reply,
) -> Result<(), SpoolError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (now, messages) = (gateway.now(), ids.len());
    let later = Later { now, jitter: gateway.random_u64(), reply: Some(reply.clone()) };
    let putting_off = gateway.spool.transact(move |tx| {
        // Those of a batch that are in time do not wait as long as those that are late anyway.
        let (late, fresh) = by_expiry(tx, ids, now)?;
        let (direction, from) = (Direction::Outbound, [State::Queued]);
        let expired = later.clone().put_off(tx, direction, &late, &from, |_| Cause::Expired)?;
        match fresh.is_empty() {
            true => Ok(expired),
            false => later.put_off(tx, direction, &fresh, &from, |_| cause),
        }
    });
    let delay = putting_off.await?;
    gateway.emit(Event::deferred(peer, messages, reply, delay));
    Ok(())
}

/// Those of these messages that are expired, and the others.
fn by_expiry(
    tx: &Tx<'_>,
    ids: Vec<MessageId>,
    now: UnixMillis,
) -> Result<(Vec<MessageId>, Vec<MessageId>), SpoolError> {
    let (mut late, mut fresh) = (Vec::new(), Vec::new());
    for id in ids {
        let Some((batch, position)) = tx.find(Direction::Outbound, &id)? else { continue };
        let held = tx.batch(Direction::Outbound, batch)?;
        match held.as_ref().and_then(|batch| batch.items.get(position)) {
            Some(item) if item.expires < now.seconds() => late.push(id),
            Some(_) => fresh.push(id),
            None => {}
        }
    }
    Ok((late, fresh))
}

/// How long a reply makes us wait. Class 5 without a receipt is a hint, not an end.
fn cause_of(reply: &Reply) -> Cause {
    if reply.code.is_temporary() {
        Cause::Temporary { retry_after: reply.retry_after }
    } else {
        Cause::Hint
    }
}

fn ids(batches: &[Batch]) -> Vec<MessageId> {
    batches.iter().flat_map(|batch| batch.items.iter().map(|item| item.id)).collect()
}
