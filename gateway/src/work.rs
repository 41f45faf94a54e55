//! Runs what is due: the loop both pipelines share.
//!
//! What is due is taken for each (state, peer) by itself, as one job each: one chain's slow gateway,
//! or its backlog, delays nobody else. At most one job of a kind runs at a time for a peer, but for
//! sending, where it is as many as the destination has earned ([`distpos_proto::destination`]). A job
//! does its I/O, then moves its messages in one commit; whatever it does not move stays due and is
//! tried again.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use distpos_proto::{chain::ChainId, time::UnixMillis, wire::REQUEST_MESSAGES_MAX};
use distpos_spool::{Batch, BatchId, Direction, SpoolError, State, Tx};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use crate::{
    event::{Event, Found},
    gateway::Gateway,
    stop::Stop,
    watchdog::Task,
};

mod busy;

use busy::{Busy, Ended};

/// What a job works on: batches in one state, for one peer.
pub type Group = (State, ChainId);

/// Work on one peer's messages that must not run beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Send,
    Ask,
    Settle,
    /// Claimed, suspended, delivering and voiding messages take the same steps: beside each other they would
    /// submit a message twice.
    Judge,
    Receipt,
    Held,
}

fn lane((state, peer): Group) -> (Lane, ChainId) {
    let lane = match state {
        State::Queued => Lane::Send,
        State::Accepted => Lane::Ask,
        State::Closing | State::Refunding => Lane::Settle,
        State::Claimed | State::Suspended | State::Delivering | State::Voiding => Lane::Judge,
        State::Ended => Lane::Receipt,
        State::Held => Lane::Held,
    };
    (lane, peer)
}

/// How long a group rests after its job failed on the spool, before it is tried again.
const SPOOL_PAUSE: Duration = Duration::from_secs(5);
/// How long nothing is begun while there is too much memory, before it is looked again.
const LOAD_PAUSE: Duration = Duration::from_secs(1);
/// Longest that a job may take: whatever it waits for has a shorter time-out, several times over. It is
/// cut off as a crash would, and what it works on is tried again.
pub const JOB_TIME_MAX: Duration = Duration::from_mins(15);
/// Longest sleep without looking: a clock that jumps must not stop the queue.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Runs due batches of one direction through `job` until asked to stop; then lets the jobs that
/// are running end (the daemon bounds how long).
pub async fn run<J, F>(gateway: Arc<Gateway>, direction: Direction, stop: Stop, job: J)
where
    J: Fn(Arc<Gateway>, Group, Vec<Batch>) -> F,
    F: Future<Output = Result<(), SpoolError>> + Send + 'static,
{
    let changed = gateway.spool.changed(direction);
    let mut running: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
    let mut busy = Busy::default();
    let mut failing = false;
    let task = match direction {
        Direction::Outbound => Task::Outbound,
        Direction::Inbound => Task::Inbound,
    };
    while !stop.is_asked() {
        gateway.tasks.beat(task);
        // Registered before the scan, so that a commit during the scan is not missed.
        let notified = changed.notified();
        let pause = match due(&gateway, direction, &busy) {
            Ok(due) => {
                for (group, batches) in due.jobs {
                    let ended = busy.begin(lane(group), &batches);
                    gateway.worked.note(direction, group);
                    let work = job(gateway.clone(), group, batches);
                    running.push(
                        rest_on_error(gateway.clone(), direction, group, ended, work).boxed(),
                    );
                }
                failing = false;
                due.pause
            }
            Err(error) => {
                // Said once, not every few seconds for as long as it lasts.
                if !std::mem::replace(&mut failing, true) {
                    gateway.emit(Event::Alert { what: format!("spool: {error}") });
                }
                SPOOL_PAUSE
            }
        };
        tokio::select! { biased;
            () = stop.asked() => break,
            Some(ended) = running.next(), if !running.is_empty() => busy.end(&ended),
            () = notified => {}
            () = sleep(pause) => {}
        }
    }
    while running.next().await.is_some() {}
}

/// A job that failed on the spool, or was cut off, has moved nothing: its group rests, or it would
/// spin.
async fn rest_on_error(
    gateway: Arc<Gateway>,
    direction: Direction,
    (state, chain): Group,
    ended: Ended,
    work: impl Future<Output = Result<(), SpoolError>>,
) -> Ended {
    let failed = match timeout(JOB_TIME_MAX, work).await {
        Ok(done) => done.err().map(|error| Event::Alert { what: format!("spool: {error}") }),
        Err(_) => {
            let took = JOB_TIME_MAX;
            Some(Event::Watchdog(Found::Job { direction, chain, state, took }))
        }
    };
    if let Some(event) = failed {
        gateway.emit(event);
        sleep(SPOOL_PAUSE).await;
    }
    gateway.worked.note(direction, (state, chain));
    ended
}

struct Due {
    jobs: Vec<(Group, Vec<Batch>)>,
    pause: Duration,
}

/// What can start now, and how long until something else is due. Groups that are due longest come
/// first, so that none waits for ever for one of the places; a further job for a destination
/// that has one comes after a first one for everybody else.
fn due(gateway: &Gateway, direction: Direction, busy: &Busy) -> Result<Due, SpoolError> {
    // Both directions pause while nothing can be kept: what was done could not be noted.
    gateway.spool.healthy()?;
    if gateway.load.sheds() {
        return Ok(Due { jobs: Vec::new(), pause: LOAD_PAUSE });
    }
    let now = gateway.now();
    gateway.spool.read(|tx| {
        let (mut waiting, mut next) = waiting(tx, gateway, direction, busy, now)?;
        let mut soonest = |at: UnixMillis| next = Some(next.map_or(at, |next| next.min(at)));
        let mut planned = busy.clone();
        let mut jobs = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let (mut again, mut bytes) = (Vec::new(), planned.share(waiting.len()));
            for group in waiting {
                let lane = lane(group);
                if !planned.has_room(gateway, lane) {
                    // Looked at when one of its jobs ends.
                    continue;
                }
                let batches = take(tx, direction, group, now, bytes, planned.under_way(lane))?;
                if batches.is_empty() {
                    if let Some(at) = tx.next_due_after(direction, (group.1, group.0), now)? {
                        soonest(at);
                    }
                    continue;
                }
                planned.begin(lane, &batches);
                jobs.push((group, batches));
                again.push(group);
                bytes = planned.share(1).min(bytes);
            }
            waiting = again;
        }
        let pause = next.map_or(SLEEP_MAX, |next| next.since(now).min(SLEEP_MAX));
        Ok(Due { jobs, pause })
    })
}

/// The groups of which something is due and that have room for a job, those that are due longest
/// first; and when the next of the others is due.
fn waiting(
    tx: &Tx<'_>,
    gateway: &Gateway,
    direction: Direction,
    busy: &Busy,
    now: UnixMillis,
) -> Result<(Vec<Group>, Option<UnixMillis>), SpoolError> {
    let (mut waiting, mut next): (Vec<(UnixMillis, Group)>, Option<UnixMillis>) =
        (Vec::new(), None);
    for (peer, state) in tx.count(direction)?.into_keys() {
        match tx.next_due(direction, (peer, state))? {
            Some(at) if at > now => next = Some(next.map_or(at, |next| next.min(at))),
            Some(at) if busy.has_room(gateway, lane((state, peer))) => {
                waiting.push((at, (state, peer)));
            }
            // A busy group is looked at when its job ends.
            Some(_) | None => {}
        }
    }
    waiting.sort_unstable();
    Ok((waiting.into_iter().map(|(_, group)| group).collect(), next))
}

/// The due batches of a group that fit into one request.
fn take(
    tx: &Tx<'_>,
    direction: Direction,
    (state, peer): Group,
    now: UnixMillis,
    bytes_max: u64,
    under_way: &BTreeSet<BatchId>,
) -> Result<Vec<Batch>, SpoolError> {
    let limits = (REQUEST_MESSAGES_MAX, bytes_max);
    let mut batches = tx.due_beside(direction, (peer, state), now, limits, under_way)?;
    let mut messages = 0;
    let fits = |batch: &Batch| {
        messages += batch.items.len();
        messages <= REQUEST_MESSAGES_MAX
    };
    let count = batches.iter().map(fits).take_while(|fits| *fits).count();
    batches.truncate(count.max(1));
    Ok(batches)
}
