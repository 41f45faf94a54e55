//! Step 1: follow the final blocks of the local chain from a durable cursor.
//!
//! What a block sends, how messages ended on this chain, the books and the cursor go into the spool
//! in one commit: after a crash everything of a block is there, or nothing and it is looked at again.

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    amount::Amount, chain::ChainId, message::MessageId, message::Value, policy::Book,
    receipt::EndingKind, receipt::Outcome, time::UnixMillis, wire,
};
use distpos_spool::{Cursor as Kept, Direction, End, HISTORY_MAX, NewBatch, SpoolError, State, Tx};
use tokio::time::sleep;

use crate::{
    chain::{ChainEvent, Cursor, FinalBlock, Watched},
    event::Event,
    gateway::Gateway,
    outbound::{bounce, sibling, stamp},
    stop::Stop,
    transition::{remove, shift, to},
};

/// Pause after the node failed, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Follows the chain until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let mut pause = PAUSE_MIN;
    let mut told = None;
    while !stop.is_asked() {
        let outcome = tokio::select! { biased;
            () = stop.asked() => return,
            outcome = follow(gateway) => outcome,
        };
        if let Err(what) = outcome {
            // Once for each reason, however long it takes.
            if told.replace(what.clone()).is_none_or(|before: String| before != what) {
                gateway.emit(Event::Alert { what });
            }
            tokio::select! { biased;
                () = stop.asked() => return,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        } else {
            pause = PAUSE_MIN;
            if told.take().is_some() {
                let what = "chain: its blocks are followed again".into();
                gateway.emit(Event::Note { what });
            }
        }
    }
}

/// Waits for final blocks after the cursor and commits what they hold.
async fn follow(gateway: &Gateway) -> Result<(), String> {
    let cursor = gateway.spool.read(|tx| tx.cursor()).map_err(|error| format!("spool: {error}"))?;
    let after = cursor.map(|kept| Cursor { height: kept.height, block: kept.block });
    let watched = gateway.chain.watch(after).await.map_err(|error| format!("chain: {error}"))?;
    let events = commit(gateway, watched).await.map_err(|error| format!("spool: {error}"))?;
    for event in events {
        gateway.emit(event);
    }
    Ok(())
}

async fn commit(gateway: &Gateway, watched: Watched) -> Result<Vec<Event>, SpoolError> {
    let now = gateway.now();
    let facts = gateway.facts().clone();
    let key_set = gateway.identity.key_set.hash();
    gateway
        .spool
        .transact(move |tx| {
            let mut events = Vec::new();
            for block in &watched.blocks {
                if let Some((header, leaves)) = stamp::header(tx, &facts, key_set, block)? {
                    tx.put_own_header(&header, &leaves)?;
                    queue(tx, block, now, &mut events)?;
                }
                follow_events(tx, block, now, &mut events)?;
                sibling::follow(tx, block, now, &mut events)?;
            }
            tx.set_cursor(Kept { height: watched.cursor.height, block: watched.cursor.block });
            Ok(events)
        })
        .await
}

/// Queues what the block sends, cut into batches for each destination.
fn queue(
    tx: &mut Tx<'_>,
    block: &FinalBlock,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let mut by_destination: BTreeMap<ChainId, Vec<_>> = BTreeMap::new();
    for envelope in stamp::envelopes(block) {
        let destination = envelope.message.fields().destination;
        by_destination.entry(destination).or_default().push(envelope);
    }
    let named = |m: &distpos_proto::message::Message| (m.id(), m.fields().destination);
    let messages = block.outgoing.iter().map(named).collect();
    events.push(Event::Watched { height: block.height, messages });
    for (peer, envelopes) in by_destination {
        for batch in wire::batches(block.height, envelopes) {
            let new = NewBatch {
                direction: Direction::Outbound,
                peer,
                height: batch.height,
                state: State::Queued,
                due: Some(now),
                messages: batch.envelopes,
            };
            tx.put(new, now)?;
        }
    }
    Ok(())
}

/// Follows how messages ended on this chain. The chain's guard has decided; the spool copies.
fn follow_events(
    tx: &mut Tx<'_>,
    block: &FinalBlock,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let mut here: Vec<MessageId> = Vec::new();
    let mut gone: Vec<MessageId> = Vec::new();
    for event in &block.events {
        match event {
            ChainEvent::Delivered { id, source, value, transaction, call } => {
                book(tx, *source, value.as_ref(), |book| &mut book.received)?;
                let (transaction, call) = (transaction.clone(), *call);
                let outcome = Outcome::Delivered { height: block.height, transaction, call };
                here.push(end_here(tx, *id, *source, outcome, now, events)?);
            }
            ChainEvent::Voided { id, source, code, text } => {
                let outcome = Outcome::Refused { code: *code, text: text.clone() };
                here.push(end_here(tx, *id, *source, outcome, now, events)?);
            }
            ChainEvent::Closed { id, destination, value } => {
                book(tx, *destination, value.as_ref(), |book| &mut book.sent)?;
                settle(tx, *id, EndingKind::Close, now)?;
                gone.push(*id);
                events.push(Event::Closed { id: *id });
            }
            ChainEvent::Refunded { id } => {
                settle(tx, *id, EndingKind::Refund, now)?;
                gone.push(*id);
                events.push(Event::Refunded { id: *id });
            }
            ChainEvent::AccountSet { .. } | ChainEvent::ReserveChanged { .. } => {}
        }
    }
    let open = [State::Claimed, State::Delivering, State::Voiding];
    shift(tx, Direction::Inbound, &here, &open, to(State::Ended, Some(now), None), now)?;
    remove(tx, Direction::Outbound, &gone, now)
}

/// Notes how an inbound message ended, and releases what was reserved for it.
fn end_here(
    tx: &mut Tx<'_>,
    id: MessageId,
    source: ChainId,
    outcome: Outcome,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<MessageId, SpoolError> {
    release(tx, id)?;
    events.push(Event::Ended { id, outcome: outcome.clone() });
    let history = history(tx, Direction::Inbound, &id, now)?;
    let end = End { peer: source, outcome: Some(outcome), settled: None, at: now, history };
    tx.set_ended(Direction::Inbound, &id, &end)?;
    Ok(id)
}

/// The states a message was in here until it ended now.
fn history(
    tx: &Tx<'_>,
    direction: Direction,
    id: &MessageId,
    now: UnixMillis,
) -> Result<Vec<(State, UnixMillis)>, SpoolError> {
    let batch = match tx.find(direction, id)? {
        Some((batch, _)) => tx.batch(direction, batch)?,
        None => None,
    };
    let mut history = batch.map_or_else(Vec::new, |batch| batch.history);
    history.truncate(HISTORY_MAX - 1);
    history.push((State::Ended, now));
    Ok(history)
}

/// Gives back what was reserved in the book for an inbound message; nothing if nothing was.
pub(crate) fn release(tx: &mut Tx<'_>, id: MessageId) -> Result<(), SpoolError> {
    if let Some((chain, asset, amount)) = tx.take_reserved(&id)? {
        let mut held = tx.book(chain, &asset)?;
        held.pending_in = held.pending_in.checked_sub(amount).unwrap_or(Amount::ZERO);
        tx.put_book(chain, &asset, &held);
    }
    Ok(())
}

/// Notes that the outbox has closed or refunded a message. How it ended there is known from its
/// receipt; a sibling gateway may have been the one that got it.
fn settle(
    tx: &mut Tx<'_>,
    id: MessageId,
    kind: EndingKind,
    now: UnixMillis,
) -> Result<(), SpoolError> {
    let queued = match tx.find(Direction::Outbound, &id)? {
        Some((batch, _)) => tx.batch(Direction::Outbound, batch)?,
        None => None,
    };
    let (peer, outcome) = match (tx.ended(Direction::Outbound, &id)?, queued) {
        (Some(end), _) => (end.peer, end.outcome),
        (None, Some(batch)) => {
            let bounced = batch.state == State::Refunding && kind == EndingKind::Refund;
            (batch.peer, batch.reply.filter(|_| bounced).and_then(bounce::outcome))
        }
        // Sent before this spool began: there is nothing to follow.
        (None, None) => return Ok(()),
    };
    let history = history(tx, Direction::Outbound, &id, now)?;
    let end = End { peer, outcome, settled: Some(kind), at: now, history };
    tx.set_ended(Direction::Outbound, &id, &end)
}

/// Adds a value to one figure of its book.
fn book(
    tx: &mut Tx<'_>,
    chain: ChainId,
    value: Option<&Value>,
    figure: impl FnOnce(&mut Book) -> &mut Amount,
) -> Result<(), SpoolError> {
    let Some(value) = value else { return Ok(()) };
    let mut book = tx.book(chain, &value.asset)?;
    let figure = figure(&mut book);
    // The chain itself keeps these figures below 2^256; past it, the copy stays at the top and
    // policy lets nothing more in.
    *figure = figure.checked_add(value.amount).unwrap_or(Amount::MAX);
    tx.put_book(chain, &value.asset, &book);
    Ok(())
}
