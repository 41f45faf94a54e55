//! Step 1: follow the final blocks of the local chain from a durable cursor.
//!
//! What a block sends, how messages ended on this chain, the accounts and the cursor go into the spool
//! in one commit: after a crash everything of a block is there, or nothing and it is looked at again.

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    account::{Change, Step},
    amount::Amount,
    chain::ChainId,
    message::{Asset, MessageId, Value},
    receipt::{EndingKind, Outcome},
    standing::{Happening, Subject},
    time::UnixMillis,
    wire,
};
use distpos_spool::{
    Act, Cursor as Kept, Direction, End, Entry, HISTORY_MAX, NewBatch, Reserved, SpoolError, State,
    Tx,
};
use tokio::time::sleep;

use crate::{
    account::{self, Changed, Told},
    chain::{ChainEvent, Cursor, FinalBlock, Watched},
    event::Event,
    gateway::Gateway,
    outbound::{bounce, sibling, stamp},
    standing,
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
    let key_set = gateway.identity.keys().set.hash();
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
    lock(tx, block, now, events)?;
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

/// Enters what the block locks, account by account, until it ends.
fn lock(
    tx: &mut Tx<'_>,
    block: &FinalBlock,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let mut told = told(block, now, events);
    for message in &block.outgoing {
        let (chain, id) = (message.fields().destination, message.id());
        let Some(Value { asset, amount, .. }) = &message.fields().value else { continue };
        told.step(tx, (chain, asset), Step::Lock(*amount), id)?;
        tx.put_reserved(&id, &Reserved { chain, value: Some((asset.clone(), *amount)) });
    }
    Ok(())
}

fn told<'e>(block: &FinalBlock, now: UnixMillis, events: &'e mut Vec<Event>) -> Told<'e> {
    let (height, time, changed) = (block.height, block.time, Changed::default());
    Told { height, time, now, changed, events }
}

/// Follows how messages ended on this chain, and what became of its accounts. The chain has
/// decided; the spool copies.
fn follow_events(
    tx: &mut Tx<'_>,
    block: &FinalBlock,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let mut here: Vec<MessageId> = Vec::new();
    let mut gone: Vec<MessageId> = Vec::new();
    let mut told = told(block, now, events);
    for event in &block.events {
        match event {
            ChainEvent::Delivered { id, source, value, transaction, call } => {
                commit_value(tx, &mut told, *id, *source, value.as_ref())?;
                let (transaction, call) = (transaction.clone(), *call);
                let outcome = Outcome::Delivered { height: block.height, transaction, call };
                here.push(end_here(tx, &mut told, *id, *source, outcome)?);
            }
            ChainEvent::Voided { id, source, code, text } => {
                let outcome = Outcome::Refused { code: *code, text: text.clone() };
                here.push(end_here(tx, &mut told, *id, *source, outcome)?);
            }
            ChainEvent::Closed { id, destination, value } => {
                let locked = tx.take_reserved(id)?.is_some();
                if let Some(Value { asset, amount, .. }) = value {
                    let step = Step::Close { amount: *amount, locked };
                    told.step(tx, (*destination, asset), step, *id)?;
                }
                settle(tx, *id, EndingKind::Close, now)?;
                note_settled(tx, *id, *destination, value.as_ref())?;
                gone.push(*id);
                told.events.push(Event::Closed { id: *id });
            }
            ChainEvent::Refunded { id } => {
                if let Some(Reserved { chain, value: Some((asset, amount)) }) =
                    tx.take_reserved(id)?
                {
                    let entry = refund(tx, &told, *id, Step::Refund(amount))?;
                    told.enter(tx, chain, &asset, entry)?;
                }
                settle(tx, *id, EndingKind::Refund, now)?;
                gone.push(*id);
                told.events.push(Event::Refunded { id: *id });
            }
            ChainEvent::AccountSet { .. } | ChainEvent::ReserveChanged { .. } => {
                follow_account(tx, &mut told, event)?;
            }
        }
    }
    shift(tx, Direction::Inbound, &here, &OPEN, to(State::Ended, Some(now), None), now)?;
    remove(tx, Direction::Outbound, &gone, now)?;
    told.changed.tend(tx, now, told.time, told.events)
}

/// The journal's line for a refund: one without a receipt says so, and why.
fn refund(tx: &Tx<'_>, told: &Told<'_>, id: MessageId, step: Step) -> Result<Entry, SpoolError> {
    let mut entry = Entry::of(step, id, Some(told.height), told.now);
    let queued = match tx.find(Direction::Outbound, &id)? {
        Some((batch, _)) => tx.batch(Direction::Outbound, batch)?,
        None => None,
    };
    let reason = queued.filter(|batch| batch.state == State::Refunding).and_then(|b| b.reply);
    if let Some(reason) = reason.filter(bounce::is_own_reason) {
        entry.by = account::GATEWAY.to_owned();
        entry.why = format!("without a receipt: {reason}");
    }
    Ok(entry)
}

/// Enters what the chain says of an account itself.
fn follow_account(
    tx: &mut Tx<'_>,
    told: &mut Told<'_>,
    event: &ChainEvent,
) -> Result<(), SpoolError> {
    let (height, at) = (Some(told.height), told.now);
    match event {
        ChainEvent::AccountSet { chain, asset, terms, limits } => {
            let act = Act::Step(Step::Set { terms: *terms, limits: *limits });
            let (by, why) = (String::new(), String::new());
            told.enter(tx, *chain, asset, Entry { act, id: None, height, by, why, at })?;
            let (chain, asset, terms, limits) = (*chain, asset.clone(), *terms, *limits);
            told.events.push(Event::AccountSet { chain, asset, terms, limits });
        }
        ChainEvent::ReserveChanged { chain, asset, change, by, note } => {
            if let Change::Added(amount) = change {
                honoured(tx, told, *chain, asset, *amount)?;
            }
            let (act, by, why) = (Act::Step((*change).into()), by.clone(), note.clone());
            told.events.push(Event::ReserveChanged {
                chain: *chain,
                asset: asset.clone(),
                change: *change,
                by: by.clone(),
                note: note.clone(),
            });
            told.enter(tx, *chain, asset, Entry { act, id: None, height, by, why, at })?;
        }
        ChainEvent::Delivered { .. }
        | ChainEvent::Voided { .. }
        | ChainEvent::Closed { .. }
        | ChainEvent::Refunded { .. } => {}
    }
    Ok(())
}

/// Notes in the peer's favour that it paid what it was asked for, in full and in time.
fn honoured(
    tx: &mut Tx<'_>,
    told: &mut Told<'_>,
    chain: ChainId,
    asset: &Asset,
    amount: Amount,
) -> Result<(), SpoolError> {
    let Some(row) = tx.reserve_request(Direction::Outbound, chain, asset)? else { return Ok(()) };
    let asked = &row.request.document;
    if asked.is_withdrawal() || amount < asked.wanted || told.time > asked.by {
        return Ok(());
    }
    let (subject, happening) = (Subject::chain(chain), Happening::SettlementHonoured);
    let cause = format!("{amount} of {asset}, asked for were {}", asked.wanted);
    standing::note(tx, &subject, happening, &cause, told.now, told.events)
}

/// Enters what was delivered here; a sibling gateway may have delivered it.
fn commit_value(
    tx: &mut Tx<'_>,
    told: &mut Told<'_>,
    id: MessageId,
    source: ChainId,
    value: Option<&Value>,
) -> Result<(), SpoolError> {
    let reserved = tx.take_reserved(&id)?.is_some();
    let Some(Value { asset, amount, .. }) = value else { return Ok(()) };
    let step = Step::Commit { amount: *amount, reserved };
    told.step(tx, (source, asset), step, id)
}

/// The states in which an inbound message has not ended. A sibling may deliver what is held here.
const OPEN: [State; 5] =
    [State::Claimed, State::Suspended, State::Delivering, State::Voiding, State::Held];

/// Notes how an inbound message ended, and gives back what is still set aside for it.
fn end_here(
    tx: &mut Tx<'_>,
    told: &mut Told<'_>,
    id: MessageId,
    source: ChainId,
    outcome: Outcome,
) -> Result<MessageId, SpoolError> {
    let now = told.now;
    account::release(tx, id, now, &mut told.changed, told.events)?;
    account::leave(tx, id, &mut told.changed)?;
    standing::ended(tx, &id, source, &outcome, now, told.events)?;
    told.events.push(Event::Ended { id, outcome: outcome.clone() });
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

/// Notes what the destination's statements are held against: value that was delivered there, in
/// which of its blocks.
fn note_settled(
    tx: &mut Tx<'_>,
    id: MessageId,
    destination: ChainId,
    value: Option<&Value>,
) -> Result<(), SpoolError> {
    let Some(Value { asset, amount, .. }) = value else { return Ok(()) };
    let height = match tx.ended(Direction::Outbound, &id)?.and_then(|end| end.outcome) {
        Some(Outcome::Delivered { height, .. }) => Some(height),
        Some(Outcome::Refused { .. }) | None => None,
    };
    tx.put_settled(destination, asset, &id, *amount, height);
    Ok(())
}
