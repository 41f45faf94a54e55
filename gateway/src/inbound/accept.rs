//! Step 3, first half: take what a peer claims onto the disk. The answer never waits for a proof.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    envelope::Envelope,
    message::MessageId,
    time::UnixMillis,
    wire::{IncomingBatch, Response, WireError},
};
use distpos_spool::{Direction, NewBatch, SpoolError, State, Tx};

use crate::{
    event::Event,
    gateway::{CLAIMED_MESSAGES_MAX, Gateway, SUSPENDED_MESSAGES_MAX},
    suspension,
    trust::dns,
};

/// When a chain that is not trusted here may come again: its operator and ours may be on the phone.
const UNTRUSTED_SECONDS: u32 = 300;

/// Takes the batches of a peer that speaks for `source`; one reply a message, in order, or one
/// refusal of them all, which makes the peer try a sibling gateway.
pub async fn messages(gateway: &Gateway, source: ChainId, batches: Vec<IncomingBatch>) -> Response {
    let count = batches.iter().map(|batch| batch.claims.len()).sum();
    if let Some(reply) = refusal(gateway, source, count) {
        return Response::Refused(reply);
    }
    let (mut replies, mut taken) = (Vec::with_capacity(count), Vec::new());
    let is_full = suspended(gateway, source) > SUSPENDED_MESSAGES_MAX;
    for batch in batches {
        let mut envelopes = Vec::with_capacity(batch.claims.len());
        for claim in batch.claims {
            match check(gateway, source, claim).and_then(|envelope| room(envelope, is_full)) {
                Ok(envelope) => {
                    envelopes.push(envelope);
                    replies.push(Reply::new(Code::ACCEPTED, "on disk, not yet proven"));
                }
                Err(reply) => replies.push(reply),
            }
        }
        taken.push(envelopes);
    }
    let now = gateway.now();
    match gateway.spool.transact(move |tx| store(tx, source, taken, now)).await {
        Ok(ids) => {
            if !ids.is_empty() {
                gateway.emit(Event::Claimed { source, ids });
            }
            Response::Messages(replies)
        }
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            let full = Reply::new(Code::SPOOL_FULL, "the spool takes nothing now").retry_after(60);
            Response::Refused(full)
        }
    }
}

/// Why nothing of a request is taken.
fn refusal(gateway: &Gateway, source: ChainId, count: usize) -> Option<Reply> {
    if let Err(reply) = dns::believed(gateway, source) {
        tracing::warn!(target: "distpos", "{}: {count} messages of it have to wait", reply.text());
        return Some(reply.retry_after(UNTRUSTED_SECONDS));
    }
    if gateway.load.sheds() {
        return Some(Reply::new(Code::SPOOL_FULL, "too much load now").retry_after(60));
    }
    let state = gateway.spool.healthy().and_then(|()| {
        gateway.spool.read(|tx| {
            let claimed = tx.count_for(Direction::Inbound, source, State::Claimed)?;
            let suspended = tx.pair_suspension(Direction::Inbound, source, gateway.now())?;
            Ok::<_, SpoolError>((claimed, tx.frozen(source)?.is_some(), suspended))
        })
    });
    match state {
        Err(error) => {
            // The pipelines have raised the alert; here it would come at each knock of each peer.
            tracing::warn!(target: "distpos", "spool: {error}");
            Some(Reply::new(Code::SPOOL_FULL, "the spool takes nothing now").retry_after(60))
        }
        Ok((_, true, _)) => Some(Reply::new(Code::CONFLICT, "frozen after conflicting evidence")),
        Ok((_, false, Some(suspended))) => {
            Some(suspension::refusal(&suspended, source, gateway.now()))
        }
        Ok((claimed, false, None)) => {
            let full = claimed.saturating_add(count as u64) > CLAIMED_MESSAGES_MAX;
            let text = format!("{claimed} messages of {source} are waiting for their proofs");
            full.then(|| Reply::new(Code::RATE_LIMIT, text).retry_after(10))
        }
    }
}

/// How many proven messages of a chain wait for room.
fn suspended(gateway: &Gateway, source: ChainId) -> u64 {
    let of = |tx: &Tx<'_>| tx.count_for(Direction::Inbound, source, State::Suspended);
    // A spool that fails takes nothing at all: `store` tells.
    gateway.spool.read(of).unwrap_or(0)
}

/// Where too many messages wait for room, no more value is taken; what has none goes on.
fn room(envelope: Envelope, is_full: bool) -> Result<Envelope, Reply> {
    if is_full && envelope.message.fields().value.is_some() {
        let text = "too many messages of this chain wait for room in their accounts";
        return Err(Reply::new(Code::RATE_LIMIT, text).retry_after(600));
    }
    Ok(envelope)
}

/// Whether a claim is a message from that chain to this one. Nothing is believed yet.
fn check(
    gateway: &Gateway,
    source: ChainId,
    claim: Result<Envelope, WireError>,
) -> Result<Envelope, Reply> {
    let envelope = claim.map_err(|error| error.reply())?;
    let fields = envelope.message.fields();
    if fields.source != source {
        let text = format!("message is from {}, the request speaks for {source}", fields.source);
        return Err(Reply::new(Code::POLICY, text));
    }
    let own = gateway.facts().chain;
    if fields.destination != own {
        let text = format!("message is for {}, this is {own}", fields.destination);
        return Err(Reply::new(Code::POLICY, text));
    }
    Ok(envelope)
}

/// Puts what is new into the spool. What is here already is acknowledged again; what has ended is
/// queued for its receipt.
fn store(
    tx: &mut Tx<'_>,
    source: ChainId,
    batches: Vec<Vec<Envelope>>,
    now: UnixMillis,
) -> Result<Vec<MessageId>, SpoolError> {
    let mut seen = BTreeSet::new();
    let mut new: Vec<MessageId> = Vec::new();
    for envelopes in batches {
        let mut by_state: BTreeMap<State, Vec<Envelope>> = BTreeMap::new();
        for envelope in envelopes {
            let id = envelope.message.id();
            if !seen.insert(id) || tx.find(Direction::Inbound, &id)?.is_some() {
                continue;
            }
            let state = match tx.ended(Direction::Inbound, &id)? {
                Some(_) => State::Ended,
                None => {
                    new.push(id);
                    State::Claimed
                }
            };
            by_state.entry(state).or_default().push(envelope);
        }
        for (state, messages) in by_state {
            let height = messages[0].origin.height;
            let direction = Direction::Inbound;
            let batch =
                NewBatch { direction, peer: source, height, state, due: Some(now), messages };
            tx.put(batch, now)?;
        }
    }
    tx.set_seen(source, now)?;
    Ok(new)
}
