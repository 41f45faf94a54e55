//! Looking at what waits: in pages, in sums, and by reason.

use std::collections::BTreeMap;

use distpos_proto::{chain::ChainId, code::Reply, message::MessageId, time::UnixMillis};
use distpos_spool::{BatchId, Direction, Line, SpoolError, State, Tx};
use serde::{Deserialize, Serialize};

use crate::queue::{Cursor, direction_word, filter::Filter};

/// Batches that one look passes at most: a few milliseconds, and the asker comes back for more.
pub const PASSED_MAX: usize = 20_000;
/// Most batches read at a time.
const READ_AT_ONCE: usize = 1_000;
/// Looks without a find that one page makes at most.
const IN_VAIN_MAX: usize = 8;
/// Reasons told apart; what is beyond them is counted together.
const REASONS_MAX: usize = 1_000;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingView {
    /// The message.
    pub id: String,
    /// `out` or `in`.
    pub direction: String,
    /// The other chain.
    pub chain: String,
    /// The word of its state.
    pub state: String,
    /// When it came into this spool, in Unix milliseconds.
    pub created_ms: u64,
    /// When it came into this state.
    pub since_ms: u64,
    /// When something is to be done next; none while it waits for an event.
    pub due_ms: Option<u64>,
    /// When it expires, in Unix seconds.
    pub expires: u64,
    /// How often the step was tried.
    pub attempts: u32,
    /// What it carries, in the smallest unit.
    pub amount: String,
    /// The reply code of its reason.
    pub code: Option<String>,
    /// The reason.
    pub text: Option<String>,
}

/// Some of what waits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueView {
    /// The messages, by batch.
    pub messages: Vec<WaitingView>,
    /// Where to go on; none at the end.
    pub next: Option<String>,
}

/// How many messages of one chain are in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumView {
    /// `out` or `in`.
    pub direction: String,
    /// The other chain.
    pub chain: String,
    /// The word of the state.
    pub state: String,
    /// How many messages.
    pub messages: u64,
    /// When the oldest of those that were looked at came into the spool, in Unix milliseconds.
    pub oldest_ms: Option<u64>,
}

/// Messages that wait for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonView {
    /// `out` or `in`.
    pub direction: String,
    /// The other chain.
    pub chain: String,
    /// The word of the state.
    pub state: String,
    /// The reply code; none where nothing was said.
    pub code: Option<String>,
    /// What was said.
    pub text: Option<String>,
    /// How many messages.
    pub messages: u64,
}

/// Sums, or reasons, and whether all of the queue was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summed<T> {
    /// One a line.
    pub rows: Vec<T>,
    /// False if there are more batches than one look passes: ages and reasons are then of the first.
    pub whole: bool,
}

/// Batches that may have what is meant.
pub type Found = Vec<(Direction, Line)>;

/// The place at which a look begins.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn start(tx: &Tx<'_>, filter: &Filter) -> Result<Cursor, SpoolError> {
    let newest = |direction| Ok::<_, SpoolError>(tx.newest(direction)?.map_or(0, |id| id.0));
    let until = [newest(Direction::Outbound)?, newest(Direction::Inbound)?];
    Ok(Cursor { direction: filter.direction.unwrap_or(Direction::Outbound), after: 0, until })
}

/// The next batches that may have what is meant, at most `batches_max` of them, and where to go on.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn pass(
    tx: &Tx<'_>,
    filter: &Filter,
    mut cursor: Cursor,
    now: UnixMillis,
    batches_max: usize,
) -> Result<(Found, Option<Cursor>), SpoolError> {
    let (mut found, mut passed) = (Vec::new(), 0);
    // Who wants few is not made to wait for many.
    let at_once = batches_max.saturating_mul(8).clamp(16, READ_AT_ONCE);
    loop {
        let direction = cursor.direction;
        let until = cursor.until[direction as usize];
        let lines = tx.lines(direction, Some(BatchId(cursor.after)), at_once)?;
        let is_last = lines.len() < at_once;
        for line in lines {
            if line.id.0 > until {
                break;
            }
            (cursor.after, passed) = (line.id.0, passed + 1);
            if filter.admits(direction, &line, now) {
                found.push((direction, line));
                if found.len() == batches_max {
                    return Ok((found, Some(cursor)));
                }
            }
        }
        if is_last || cursor.after >= until {
            if direction == Direction::Inbound || filter.direction.is_some() {
                return Ok((found, None));
            }
            (cursor.direction, cursor.after) = (Direction::Inbound, 0);
        } else if passed >= PASSED_MAX {
            return Ok((found, Some(cursor)));
        }
    }
}

/// A page: at least `messages_max` messages if there are so many among the batches that one look
/// passes, and the whole of the last batch.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn list(
    tx: &Tx<'_>,
    filter: &Filter,
    cursor: Cursor,
    now: UnixMillis,
    messages_max: usize,
) -> Result<QueueView, SpoolError> {
    let (mut view, mut next) = (QueueView::default(), Some(cursor));
    let mut in_vain = 0;
    while let Some(cursor) = next {
        if view.messages.len() >= messages_max || in_vain == IN_VAIN_MAX {
            break;
        }
        let (lines, further) = pass(tx, filter, cursor, now, 1)?;
        (next, in_vain) = (further, in_vain + usize::from(lines.is_empty()));
        for (direction, line) in lines {
            view.messages.extend(of_batch(tx, filter, direction, line.id, now)?);
        }
    }
    view.next = next.map(|cursor| cursor.to_string());
    Ok(view)
}

fn of_batch(
    tx: &Tx<'_>,
    filter: &Filter,
    direction: Direction,
    id: BatchId,
    now: UnixMillis,
) -> Result<Vec<WaitingView>, SpoolError> {
    let Some(batch) = tx.batch(direction, id)? else { return Ok(Vec::new()) };
    let positions = filter.positions(tx, &batch, now.seconds())?;
    let view = |position: usize| {
        let item = &batch.items[position];
        let (code, text) = said(batch.reply.as_ref());
        WaitingView {
            id: item.id.to_string(),
            direction: direction_word(direction).to_owned(),
            chain: batch.peer.to_string(),
            state: batch.state.word().to_owned(),
            created_ms: batch.created.0,
            since_ms: batch.since.0,
            due_ms: batch.due.map(|due| due.0),
            expires: item.expires.0,
            attempts: batch.attempts,
            amount: item.amount.to_string(),
            code,
            text,
        }
    };
    Ok(positions.into_iter().map(view).collect())
}

fn said(reply: Option<&Reply>) -> (Option<String>, Option<String>) {
    (reply.map(|reply| reply.code.to_string()), reply.map(|reply| reply.text().to_owned()))
}

/// One message that waits; none if it is not in the queue.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn one(
    tx: &Tx<'_>,
    id: &MessageId,
    now: UnixMillis,
) -> Result<Option<WaitingView>, SpoolError> {
    for direction in Direction::BOTH {
        if let Some((batch, _)) = tx.find(direction, id)? {
            let id = id.to_string();
            let views = of_batch(tx, &Filter::default(), direction, batch, now)?;
            return Ok(views.into_iter().find(|view| view.id == id));
        }
    }
    Ok(None)
}

/// How many messages there are, by chain and state.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn summary(
    tx: &Tx<'_>,
    filter: &Filter,
    now: UnixMillis,
) -> Result<Summed<SumView>, SpoolError> {
    let mut oldest: BTreeMap<(Direction, ChainId, State), UnixMillis> = BTreeMap::new();
    let (lines, next) = pass(tx, filter, start(tx, filter)?, now, usize::MAX)?;
    for (direction, line) in lines {
        let at = oldest.entry((direction, line.peer, line.state)).or_insert(line.created);
        *at = line.created.min(*at);
    }
    let mut rows = Vec::new();
    for direction in Direction::BOTH {
        for ((chain, state), messages) in tx.count(direction)? {
            let wanted = filter.direction.is_none_or(|wanted| wanted == direction)
                && filter.chain.is_none_or(|wanted| wanted == chain)
                && (filter.states.is_empty() || filter.states.contains(&state));
            if wanted {
                rows.push(SumView {
                    direction: direction_word(direction).to_owned(),
                    chain: chain.to_string(),
                    state: state.word().to_owned(),
                    messages,
                    oldest_ms: oldest.get(&(direction, chain, state)).map(|at| at.0),
                });
            }
        }
    }
    Ok(Summed { rows, whole: next.is_none() })
}

/// What messages wait for, the most frequent first.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn reasons(
    tx: &Tx<'_>,
    filter: &Filter,
    now: UnixMillis,
) -> Result<Summed<ReasonView>, SpoolError> {
    let (lines, next) = pass(tx, filter, start(tx, filter)?, now, usize::MAX)?;
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for (direction, line) in lines {
        let mut key = (direction, line.peer, line.state, said(line.reply.as_ref()));
        if counts.len() >= REASONS_MAX && !counts.contains_key(&key) {
            key.3.1 = Some("(other reasons)".to_owned());
        }
        *counts.entry(key).or_default() += line.messages;
    }
    let view = |((direction, chain, state, (code, text)), messages)| ReasonView {
        direction: direction_word(direction).to_owned(),
        chain: ChainId::to_string(&chain),
        state: State::word(state).to_owned(),
        code,
        text,
        messages,
    };
    let mut rows: Vec<ReasonView> = counts.into_iter().map(view).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.messages));
    Ok(Summed { rows, whole: next.is_none() })
}
