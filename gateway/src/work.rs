//! Runs what is due: the loop both pipelines share.
//!
//! What is due is taken for each (state, peer) by itself, as one job each, and at most one job of a
//! kind runs at a time for a peer: one chain's slow gateway, or its backlog, delays nobody else. A
//! job does its I/O, then moves its messages in one commit; whatever it does not move stays due and
//! is tried again.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use distpos_proto::{
    chain::ChainId,
    time::UnixMillis,
    wire::{BODY_BYTES_MAX, REQUEST_MESSAGES_MAX},
};
use distpos_spool::{Batch, Direction, SpoolError, State, Tx};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{event::Event, gateway::Gateway, stop::Stop};

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

/// Most bytes of messages in one job: a request's body less room for its frame.
const JOB_BYTES_MAX: u64 = BODY_BYTES_MAX as u64 - 256 * 1024;
/// Most jobs at a time, so that memory stays bounded: about 4 MiB of messages each.
const JOBS_MAX: usize = 64;
/// How long a group rests after its job failed on the spool, before it is tried again.
const SPOOL_PAUSE: Duration = Duration::from_secs(5);
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
    let mut running: FuturesUnordered<BoxFuture<'static, Group>> = FuturesUnordered::new();
    let mut busy: BTreeSet<(Lane, ChainId)> = BTreeSet::new();
    let mut failing = false;
    while !stop.is_asked() {
        // Registered before the scan, so that a commit during the scan is not missed.
        let notified = changed.notified();
        let pause = match due(&gateway, direction, &busy) {
            Ok(due) => {
                for (group, batches) in due.jobs {
                    busy.insert(lane(group));
                    let work = job(gateway.clone(), group, batches);
                    running.push(rest_on_error(gateway.clone(), group, work).boxed());
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
            Some(group) = running.next(), if !running.is_empty() => { busy.remove(&lane(group)); }
            () = notified => {}
            () = sleep(pause) => {}
        }
    }
    while running.next().await.is_some() {}
}

/// A job that failed on the spool has moved nothing: its group rests, or it would spin.
async fn rest_on_error(
    gateway: Arc<Gateway>,
    group: Group,
    work: impl Future<Output = Result<(), SpoolError>>,
) -> Group {
    if let Err(error) = work.await {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
        sleep(SPOOL_PAUSE).await;
    }
    group
}

struct Due {
    jobs: Vec<(Group, Vec<Batch>)>,
    pause: Duration,
}

/// What can start now, and how long until something else is due. Groups that are due longest come
/// first, so that none waits for ever for one of the [`JOBS_MAX`].
fn due(
    gateway: &Gateway,
    direction: Direction,
    busy: &BTreeSet<(Lane, ChainId)>,
) -> Result<Due, SpoolError> {
    // Both directions pause while nothing can be kept: what was done could not be noted.
    gateway.spool.healthy()?;
    let now = gateway.now();
    gateway.spool.read(|tx| {
        let (mut waiting, mut next): (Vec<(UnixMillis, Group)>, Option<UnixMillis>) =
            (Vec::new(), None);
        for (peer, state) in tx.count(direction)?.into_keys() {
            match tx.next_due(direction, (peer, state))? {
                Some(at) if at > now => next = Some(next.map_or(at, |next| next.min(at))),
                Some(at) if !busy.contains(&lane((state, peer))) => {
                    waiting.push((at, (state, peer)));
                }
                // A busy group is looked at when its job ends.
                Some(_) | None => {}
            }
        }
        waiting.sort_unstable();
        // One of each lane, the one that is due longest. What only concerns the own chain, or a
        // chain that the operator named, always finds a place: strangers that are slow must not
        // hold it up, and how many are named is the operator's choice.
        let foreign = busy.iter().filter(|(lane, _)| *lane != Lane::Settle).count();
        let (mut taken, mut places) = (busy.clone(), JOBS_MAX.saturating_sub(foreign));
        waiting.retain(|(_, group)| {
            let own = lane(*group).0 == Lane::Settle || gateway.correspondents.is_named(group.1);
            if !taken.insert(lane(*group)) || (!own && places == 0) {
                return false;
            }
            places = places.saturating_sub(usize::from(!own));
            true
        });
        let mut jobs = Vec::with_capacity(waiting.len());
        for (_, group) in waiting {
            jobs.push((group, take(tx, direction, group, now)?));
        }
        let pause = next.map_or(SLEEP_MAX, |next| next.since(now).min(SLEEP_MAX));
        Ok(Due { jobs, pause })
    })
}

/// The due batches of a group that fit into one request.
fn take(
    tx: &Tx<'_>,
    direction: Direction,
    (state, peer): Group,
    now: UnixMillis,
) -> Result<Vec<Batch>, SpoolError> {
    let mut batches = tx.due(direction, (peer, state), now, REQUEST_MESSAGES_MAX, JOB_BYTES_MAX)?;
    let mut messages = 0;
    let fits = |batch: &Batch| {
        messages += batch.items.len();
        messages <= REQUEST_MESSAGES_MAX
    };
    let count = batches.iter().map(fits).take_while(|fits| *fits).count();
    batches.truncate(count.max(1));
    Ok(batches)
}
