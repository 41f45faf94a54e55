//! Telling that messages take long: after each of [`NOTICE_AFTER`], once, whatever they wait for.
//!
//! How far it was told is kept in the spool, so a restart neither repeats a notice nor leaves out
//! one that fell due while the gateway was away.

use std::{collections::BTreeSet, time::Duration};

use distpos_proto::{
    chain::ChainId,
    notice::{self, NOTICE_AFTER},
    time::UnixMillis,
};
use distpos_spool::{BatchId, Direction, SpoolError, State, Tx};
use tokio::time::sleep;

use crate::{
    event::{Delay, Event},
    gateway::Gateway,
    stop::Stop,
    watchdog::Task,
};

/// Longest sleep without looking: clocks jump. What comes meanwhile is not due for a notice yet.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Batches read at a time.
const PAGE: usize = 256;
/// Ids that a notice names; the queue has the others.
const IDS_MAX: usize = 8;
/// The note that says until when it was told.
const TOLD_UNTIL: &str = "notices_told_until";

/// Runs until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let (mut told_until, mut failing) = (None, false);
    loop {
        gateway.tasks.beat(Task::Notices);
        let pause = match tell(gateway, &mut told_until).await {
            Ok(next) => {
                failing = false;
                next.map_or(SLEEP_MAX, |next| next.since(gateway.now()).min(SLEEP_MAX))
            }
            Err(error) => {
                // Said once, not every half a minute for as long as it lasts.
                if !std::mem::replace(&mut failing, true) {
                    gateway.emit(Event::Alert { what: format!("spool: {error}") });
                }
                SLEEP_MAX
            }
        };
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Tells what has fallen due; when the next notice will.
async fn tell(
    gateway: &Gateway,
    told_until: &mut Option<UnixMillis>,
) -> Result<Option<UnixMillis>, SpoolError> {
    let now = gateway.now();
    let noted = match *told_until {
        Some(until) => Some(until),
        None => gateway.spool.read(read_note)?,
    };
    // A clock that was set back has nothing told yet of what comes from now on.
    let until = noted.map_or(now, |until| until.min(now));
    let (delays, next) = gateway.spool.read(|tx| look(tx, until, now))?;
    let is_news = noted != Some(until) || !delays.is_empty();
    for delay in delays {
        gateway.emit(Event::Delayed(delay));
    }
    // Behind the telling: rather twice than never.
    if is_news {
        let note = move |tx: &mut Tx<'_>| {
            tx.meta_set(TOLD_UNTIL, &now.0.to_be_bytes());
            Ok::<_, SpoolError>(())
        };
        gateway.spool.transact(note).await?;
    }
    *told_until = Some(now);
    Ok(next)
}

fn read_note(tx: &Tx<'_>) -> Result<Option<UnixMillis>, SpoolError> {
    let note = tx.meta_get(TOLD_UNTIL)?;
    let bytes = note.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Ok(bytes.map(|bytes| UnixMillis(u64::from_be_bytes(bytes))))
}

/// What fell due after `until`, by chain and age, and when the next notice will.
fn look(
    tx: &Tx<'_>,
    until: UnixMillis,
    now: UnixMillis,
) -> Result<(Vec<Delay>, Option<UnixMillis>), SpoolError> {
    let (mut delays, mut next) = (Vec::new(), None);
    let peers: BTreeSet<ChainId> =
        tx.count(Direction::Outbound)?.into_keys().map(|(peer, _)| peer).collect();
    for peer in peers {
        for age in NOTICE_AFTER {
            delays.extend(of_peer(tx, peer, age, until, now)?);
            let from = now.before(age);
            let later = (UnixMillis(from.0 + 1), UnixMillis(u64::MAX));
            let first = tx.by_age(Direction::Outbound, peer, later, None, 1)?;
            let at = first.first().map(|(created, _)| created.after(age));
            next = [next, at].into_iter().flatten().min();
        }
    }
    Ok((delays, next))
}

/// The notice for one chain's messages of one age; none if there are none.
fn of_peer(
    tx: &Tx<'_>,
    peer: ChainId,
    age: Duration,
    until: UnixMillis,
    now: UnixMillis,
) -> Result<Option<Delay>, SpoolError> {
    let Some(within) = notice::came_within(age, until, now) else { return Ok(None) };
    let (mut delay, mut after) = (None::<Delay>, None);
    loop {
        let page = tx.by_age(Direction::Outbound, peer, within, after, PAGE)?;
        for (created, batch) in &page {
            if notice::due(*created, until, now) == Some(age) {
                add(tx, *batch, (peer, age), &mut delay)?;
            }
        }
        after = page.last().copied();
        if page.len() < PAGE {
            return Ok(delay);
        }
    }
}

fn add(
    tx: &Tx<'_>,
    batch: BatchId,
    (chain, age): (ChainId, Duration),
    delay: &mut Option<Delay>,
) -> Result<(), SpoolError> {
    let Some(line) = tx.line(Direction::Outbound, batch)? else { return Ok(()) };
    // How the others end is known, and nothing that anybody could help along.
    if ![State::Queued, State::Accepted, State::Held].contains(&line.state) {
        return Ok(());
    }
    let (state, reply) = (line.state, line.reply);
    let delay = delay.get_or_insert_with(|| Delay {
        chain,
        age,
        state,
        reply,
        messages: 0,
        ids: Vec::new(),
    });
    delay.messages += line.messages;
    if delay.ids.len() < IDS_MAX
        && let Some(batch) = tx.batch(Direction::Outbound, batch)?
    {
        delay.ids.extend(batch.items.iter().map(|item| item.id));
        delay.ids.truncate(IDS_MAX);
    }
    Ok(())
}
