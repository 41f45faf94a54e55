//! Doing something to what waits: a bounded number of batches a call, each batch as it is then.

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    time::UnixMillis,
};
use distpos_spool::{Batch, BatchId, Direction, SpoolError, Tx};
use serde::{Deserialize, Serialize};

use crate::{
    admin::Reason,
    gateway::Gateway,
    outbound::bounce,
    queue::{Act, Cursor, Selection, Verb, filter::Filter, look, rule},
};

/// Batches that one call changes at most: the caller comes back for more.
const BATCHES_MAX: usize = 4_096;
/// Batches that one commit changes: others' commits wait no longer.
const COMMIT_BATCHES: usize = 64;

/// How long a hold lasts if nothing is said: as long as a message may live. Nothing waits for ever.
pub const HELD_FOR: Duration = Duration::from_hours(5 * 24);
/// How long a hold may last.
pub const HELD_FOR_MAX: Duration = Duration::from_hours(30 * 24);

/// What a call has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DoneView {
    /// To how many messages it was done.
    pub done: u64,
    /// To how many it was not, by why not.
    pub refused: BTreeMap<String, u64>,
    /// Ids that are not in the queue.
    pub absent: Vec<String>,
    /// Where to go on; none at the end.
    pub next: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What to do.
    pub verb: Verb,
    /// To what.
    pub selection: Selection,
    /// Where to go on; none to begin.
    pub cursor: Option<Cursor>,
    /// How long a hold lasts at most.
    pub lasts: Duration,
    /// Why.
    pub reason: Reason,
}

/// The messages of one batch that are meant.
type Meant = (Direction, BatchId, Option<Vec<MessageId>>);

/// Does it to the next batches that are meant.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written; what was done before is done.
pub async fn change(gateway: &Gateway, asked: &Asked) -> Result<DoneView, SpoolError> {
    let mut done = DoneView::default();
    let now = gateway.now();
    let (meant, filter) = match &asked.selection {
        Selection::Ids(ids) => {
            let meant = gateway.spool.read(|tx| by_id(tx, ids, &mut done))?;
            (meant, Filter::default())
        }
        Selection::Filter(filter) => {
            let (lines, next) = gateway.spool.read(|tx| {
                let cursor = match asked.cursor {
                    Some(cursor) => cursor,
                    None => look::start(tx, filter)?,
                };
                look::pass(tx, filter, cursor, now, BATCHES_MAX)
            })?;
            done.next = next.map(|cursor| cursor.to_string());
            let meant = lines.into_iter().map(|(direction, line)| (direction, line.id, None));
            (meant.collect(), filter.clone())
        }
    };
    for some in meant.chunks(COMMIT_BATCHES) {
        commit(gateway, asked, &filter, some.to_vec(), now, &mut done).await?;
    }
    Ok(done)
}

/// Where these messages are, batch by batch.
fn by_id(tx: &Tx<'_>, ids: &[MessageId], done: &mut DoneView) -> Result<Vec<Meant>, SpoolError> {
    let mut places: BTreeMap<(Direction, BatchId), Vec<MessageId>> = BTreeMap::new();
    for id in ids {
        let mut is_there = false;
        for direction in Direction::BOTH {
            if let Some((batch, _)) = tx.find(direction, id)? {
                places.entry((direction, batch)).or_default().push(*id);
                is_there = true;
            }
        }
        if !is_there {
            done.absent.push(id.to_string());
        }
    }
    Ok(places.into_iter().map(|((direction, batch), ids)| (direction, batch, Some(ids))).collect())
}

/// One commit's part of it.
async fn commit(
    gateway: &Gateway,
    asked: &Asked,
    filter: &Filter,
    meant: Vec<Meant>,
    now: UnixMillis,
    done: &mut DoneView,
) -> Result<(), SpoolError> {
    let (asked, filter) = (asked.clone(), filter.clone());
    let given_up_for = asked.reason.to_string();
    let changing = gateway.spool.transact(move |tx| {
        let (mut part, mut to_give_up) = (DoneView::default(), Vec::new());
        for (direction, id, ids) in meant {
            // As it is now: it may have moved on since it was looked at.
            let Some(batch) = tx.batch(direction, id)? else { continue };
            let positions = positions(tx, &filter, &batch, ids, now)?;
            if !positions.is_empty() {
                apply(tx, &asked, &batch, &positions, now, (&mut part, &mut to_give_up))?;
            }
        }
        Ok::<_, SpoolError>((part, to_give_up))
    });
    let (part, to_give_up) = changing.await?;
    done.done += part.done;
    for (why, messages) in part.refused {
        *done.refused.entry(why).or_default() += messages;
    }
    give_up(gateway, to_give_up, &given_up_for, done).await
}

/// The messages of a batch that are meant still.
fn positions(
    tx: &Tx<'_>,
    filter: &Filter,
    batch: &Batch,
    ids: Option<Vec<MessageId>>,
    now: UnixMillis,
) -> Result<Vec<usize>, SpoolError> {
    if let Some(ids) = ids {
        let all = 0..batch.items.len();
        return Ok(all.filter(|position| ids.contains(&batch.items[*position].id)).collect());
    }
    let line = tx.line(batch.direction, batch.id)?;
    if !line.is_some_and(|line| filter.admits(batch.direction, &line, now)) {
        return Ok(Vec::new());
    }
    filter.positions(tx, batch, now.seconds())
}

fn apply(
    tx: &mut Tx<'_>,
    asked: &Asked,
    batch: &Batch,
    positions: &[usize],
    now: UnixMillis,
    (part, to_give_up): (&mut DoneView, &mut Vec<Batch>),
) -> Result<(), SpoolError> {
    let (direction, messages) = (batch.direction, positions.len() as u64);
    let (until, why) = (now.after(asked.lasts), asked.reason.as_str());
    let ruled = rule(asked.verb, direction, batch.change(), now, (until, why));
    match ruled {
        Ok(Act::Become(change)) => {
            tx.split(direction, batch.id, positions, change, now)?;
            part.done += messages;
        }
        Ok(Act::Remove) => {
            let apart = tx.split(direction, batch.id, positions, batch.change(), now)?;
            tx.remove(direction, apart)?;
            part.done += messages;
        }
        Ok(Act::GiveUp) => {
            let mut some = batch.clone();
            some.items = positions.iter().map(|position| batch.items[*position].clone()).collect();
            to_give_up.push(some);
        }
        Err(why) => *part.refused.entry(why.to_owned()).or_default() += messages,
    }
    Ok(())
}

/// Refunds what no gateway can have delivered, by the rule for chains that do not exist.
async fn give_up(
    gateway: &Gateway,
    batches: Vec<Batch>,
    why: &str,
    done: &mut DoneView,
) -> Result<(), SpoolError> {
    let mut by_chain: BTreeMap<ChainId, Vec<Batch>> = BTreeMap::new();
    for batch in batches {
        by_chain.entry(batch.peer).or_default().push(batch);
    }
    for (chain, batches) in by_chain {
        let all: usize = batches.iter().map(|batch| batch.items.len()).sum();
        let text = format!("given up by the operator, nothing was ever sent there: {why}");
        let reply = Reply::new(Code::UNKNOWN_CHAIN, text);
        let rest = bounce::bounce(gateway, chain, &batches, reply).await?.len();
        done.done += (all - rest.min(all)) as u64;
        if rest > 0 {
            let why = "something was sent to its chain, or the chain is named or has an account: \
                       only a receipt says how it ends";
            *done.refused.entry(why.to_owned()).or_default() += rest as u64;
        }
    }
    Ok(())
}

/// Lets go on what was held until now.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be written.
pub async fn hold_ended(gateway: &Gateway, batches: Vec<Batch>) -> Result<(), SpoolError> {
    let now = gateway.now();
    let releasing = gateway.spool.transact(move |tx| {
        let mut messages = 0;
        for id in batches.iter().map(|batch| (batch.direction, batch.id)) {
            let Some(batch) = tx.batch(id.0, id.1)? else { continue };
            let ruled = rule(Verb::Release, id.0, batch.change(), now, (now, ""));
            if let (Ok(Act::Become(change)), true) =
                (ruled, batch.due.is_some_and(|due| due <= now))
            {
                tx.update(id.0, id.1, change, now)?;
                messages += batch.items.len();
            }
        }
        Ok::<_, SpoolError>(messages)
    });
    let messages = releasing.await?;
    if messages > 0 {
        let what = format!("{messages} held messages go on: their time is up");
        gateway.emit(crate::event::Event::Note { what });
    }
    Ok(())
}
