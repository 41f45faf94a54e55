//! Step 2, second half: resolve the destination, and hand it its batches.

use std::collections::BTreeMap;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    envelope::Envelope,
    message::MessageId,
    retry::{self, Cause},
    time::UnixSeconds,
    wire::{Batch as WireBatch, Request, Response},
};
use distpos_resolver::Route;
use distpos_spool::{Batch, Direction, SpoolError, State};

use crate::{
    contact::{self, Contacted},
    event::Event,
    gateway::Gateway,
    transition::{Move, shift, to},
};

/// Sends the queued batches of one destination.
///
/// # Errors
/// [`SpoolError`] if what came of it cannot be noted.
pub async fn send(gateway: &Gateway, peer: ChainId, batches: Vec<Batch>) -> Result<(), SpoolError> {
    let job = Job::new(peer, &batches);
    match contact::route(gateway, peer).await {
        Ok(route) => offer(gateway, &job, &route, &batches).await,
        Err(reply) if is_unroutable(gateway, peer, &reply).await => {
            refund(gateway, &job, reply).await
        }
        Err(reply) => defer(gateway, &job, job.ids.clone(), Cause::Unreachable, reply).await,
    }
}

/// What one job sends.
struct Job {
    peer: ChainId,
    ids: Vec<MessageId>,
    attempts: u32,
    /// When the first of the messages expires.
    expires: UnixSeconds,
}

impl Job {
    fn new(peer: ChainId, batches: &[Batch]) -> Self {
        let ids = batches.iter().flat_map(|batch| batch.items.iter().map(|item| item.id));
        Self {
            peer,
            ids: ids.collect(),
            attempts: batches.iter().map(|batch| batch.attempts).max().unwrap_or(0),
            expires: batches.iter().map(Batch::expires).min().unwrap_or_default(),
        }
    }
}

/// Offers the batches to the chain's gateways, in order, until one takes them.
async fn offer(
    gateway: &Gateway,
    job: &Job,
    route: &Route,
    batches: &[Batch],
) -> Result<(), SpoolError> {
    let bodies = gateway.spool.read(|tx| {
        let read = |batch: &Batch| {
            let envelopes = tx.messages(Direction::Outbound, batch.id)?;
            Ok::<_, SpoolError>(WireBatch { height: batch.height, envelopes })
        };
        batches.iter().map(read).collect::<Result<Vec<_>, _>>()
    })?;
    let sent: Vec<MessageId> =
        bodies.iter().flat_map(|batch| batch.envelopes.iter().map(id_of)).collect();
    // Before the first byte leaves: from now on only a receipt may refund what goes there.
    let (peer, now) = (job.peer, gateway.now());
    gateway.spool.transact(move |tx| tx.set_seen(peer, now)).await?;
    let request = Request::Messages(bodies);
    match contact::call(gateway, route, &request).await {
        Ok(Contacted { gateway: name, response: Response::Messages(replies) })
            if replies.len() == sent.len() =>
        {
            record(gateway, job, name, sent, replies).await
        }
        Ok(Contacted { gateway: name, response: Response::Refused(reply) }) => {
            let cause = cause_of(&reply);
            let reply = Reply::new(reply.code, format!("{name}: {}", reply.text()));
            defer(gateway, job, job.ids.clone(), cause, reply).await
        }
        Ok(Contacted { gateway: name, .. }) => {
            let reply = Reply::new(Code::NO_ANSWER, format!("{name} answered something else"));
            defer(gateway, job, job.ids.clone(), Cause::Unreachable, reply).await
        }
        Err(reply) => defer(gateway, job, job.ids.clone(), Cause::Unreachable, reply).await,
    }
}

/// Moves each message by its own reply.
async fn record(
    gateway: &Gateway,
    job: &Job,
    name: String,
    ids: Vec<MessageId>,
    replies: Vec<Reply>,
) -> Result<(), SpoolError> {
    if let Some(reply) = replies.first().cloned() {
        gateway.emit(Event::Sent { chain: job.peer, gateway: name, ids: ids.clone(), reply });
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
    gateway
        .spool
        .transact(move |tx| {
            let change = to(State::Accepted, Some(watchdog), None);
            shift(tx, Direction::Outbound, &taken, &[State::Queued], &change, now)
        })
        .await?;
    for (reply, ids) in others.into_values() {
        defer(gateway, job, ids, cause_of(&reply), reply).await?;
    }
    Ok(())
}

/// Leaves messages queued for later, with the reason.
async fn defer(
    gateway: &Gateway,
    job: &Job,
    ids: Vec<MessageId>,
    cause: Cause,
    reply: Reply,
) -> Result<(), SpoolError> {
    let (peer, attempts, now) = (job.peer, job.attempts, gateway.now());
    // Delivery ends at `expires`, the message does not: it is offered until a receipt says how.
    let cause = if now.seconds() > job.expires {
        let what = format!("{} messages for {peer} are expired and have no receipt", ids.len());
        gateway.emit(Event::Alert { what });
        Cause::Expired
    } else {
        cause
    };
    let delay = retry::delay(cause, attempts, gateway.random_u64());
    let wait = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    let event =
        Event::Deferred { chain: peer, messages: ids.len(), reply: reply.clone(), delay: wait };
    let change = Move {
        state: Some(State::Queued),
        due: Some(now.after(delay)),
        attempts: attempts.saturating_add(1),
        reply: Some(reply),
    };
    gateway
        .spool
        .transact(move |tx| shift(tx, Direction::Outbound, &ids, &[State::Queued], &change, now))
        .await?;
    gateway.emit(event);
    Ok(())
}

/// Whether a message there can be refunded without a receipt (`docs/protocol.md`, *Ends*): the
/// chain does not exist, the operator never named it, and no gateway of this chain ever sent
/// anything to it.
async fn is_unroutable(gateway: &Gateway, peer: ChainId, reply: &Reply) -> bool {
    let permanent = reply.code == Code::UNKNOWN_CHAIN || reply.code == Code::NULL_RECORD;
    permanent
        && !gateway.correspondents.is_named(peer)
        && matches!(gateway.spool.read(|tx| tx.seen(peer)), Ok(None))
        && is_alone(gateway).await
}

/// Whether this chain has no other gateway, by its keys and by its own records. What a sibling has
/// sent is not known here, so with siblings nothing is refunded without a receipt.
async fn is_alone(gateway: &Gateway) -> bool {
    if gateway.identity.key_set.keys().count() > 1 {
        return false;
    }
    match gateway.resolver.route(gateway.facts().chain).await {
        Ok(own) => own.gateways.iter().all(|listed| listed.pins.contains(&gateway.identity.pin)),
        // Not published: nobody else can be listed. Any other failure leaves a doubt.
        Err(error) => error.is_permanent(),
    }
}

async fn refund(gateway: &Gateway, job: &Job, reply: Reply) -> Result<(), SpoolError> {
    let (now, ids) = (gateway.now(), job.ids.clone());
    for id in &ids {
        gateway.emit(Event::Refused { id: *id, reply: reply.clone() });
    }
    let change = to(State::Refunding, Some(now), Some(reply));
    gateway
        .spool
        .transact(move |tx| shift(tx, Direction::Outbound, &ids, &[State::Queued], &change, now))
        .await?;
    Ok(())
}

/// How long a reply makes us wait. Class 5 without a receipt is a hint, not an end.
fn cause_of(reply: &Reply) -> Cause {
    if reply.code.is_temporary() {
        Cause::Temporary { retry_after: reply.retry_after }
    } else {
        Cause::Hint
    }
}

fn id_of(envelope: &Envelope) -> MessageId {
    envelope.message.id()
}
