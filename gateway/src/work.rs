//! Runs what is due: the loop both pipelines share.
//!
//! Due batches are grouped by (state, peer) into one job each, and at most one job of a group runs
//! at a time, so one chain's slow gateway delays nobody else. A job does its I/O, then moves its
//! messages in one commit; whatever it does not move stays due and is tried again.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use distpos_proto::{
    chain::ChainId,
    wire::{BODY_BYTES_MAX, REQUEST_MESSAGES_MAX},
};
use distpos_spool::{Batch, Direction, SpoolError, State};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{event::Event, gateway::Gateway, stop::Stop};

/// What a job works on: batches in one state, for one peer.
pub type Group = (State, ChainId);

/// Most due batches looked at in one scan, some microseconds each. A group's job takes no more than
/// a request's messages of them, so that the backlog of one group does not hide the others; beyond
/// this many they wait on disk, in the order of their due times.
const SCAN_BATCHES_MAX: usize = 16 * 1024;
/// How long to wait when the spool itself fails, before looking again.
const SPOOL_PAUSE: Duration = Duration::from_secs(5);
/// Longest sleep without looking: a clock that jumps must not stop the queue.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Runs due batches of one direction through `job` until asked to stop; then lets the jobs that
/// are running end (the daemon bounds how long).
pub async fn run<J, F>(gateway: Arc<Gateway>, direction: Direction, stop: Stop, job: J)
where
    J: Fn(Arc<Gateway>, Group, Vec<Batch>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let changed = gateway.spool.changed(direction);
    let mut running: FuturesUnordered<BoxFuture<'static, Group>> = FuturesUnordered::new();
    let mut busy: BTreeSet<Group> = BTreeSet::new();
    let mut failing = false;
    while !stop.is_asked() {
        // Registered before the scan, so that a commit during the scan is not missed.
        let notified = changed.notified();
        let pause = match due(&gateway, direction, &busy) {
            Ok(due) => {
                for (group, batches) in due.jobs {
                    busy.insert(group);
                    running.push(job(gateway.clone(), group, batches).map(move |()| group).boxed());
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
            Some(group) = running.next(), if !running.is_empty() => { busy.remove(&group); }
            () = notified => {}
            () = sleep(pause) => {}
        }
    }
    while running.next().await.is_some() {}
}

struct Due {
    jobs: Vec<(Group, Vec<Batch>)>,
    pause: Duration,
}

/// What can start now, in the order of due times, and how long until something else is due.
fn due(gateway: &Gateway, direction: Direction, busy: &BTreeSet<Group>) -> Result<Due, SpoolError> {
    // Both directions pause while nothing can be kept: a job that cannot move its messages leaves
    // them due, and would be started again at once, without end.
    gateway.spool.healthy()?;
    let now = gateway.now();
    let mut taken: BTreeMap<Group, u64> = BTreeMap::new();
    let wanted = |state: State, peer: ChainId, messages: u64| {
        let count = taken.entry((state, peer)).or_default();
        *count = count.saturating_add(messages);
        !busy.contains(&(state, peer)) && *count <= REQUEST_MESSAGES_MAX as u64
    };
    let (batches, next) = gateway.spool.read(|tx| {
        let batches = tx.due_where(direction, now, SCAN_BATCHES_MAX, wanted)?;
        Ok::<_, SpoolError>((batches, tx.next_due_after(direction, now)?))
    })?;
    let pause = next.map_or(SLEEP_MAX, |next| next.since(now).min(SLEEP_MAX));
    let mut jobs: Vec<(Group, Vec<Batch>, u64)> = Vec::new();
    for batch in batches {
        let (group, bytes) = ((batch.state, batch.peer), batch.bytes());
        match jobs.iter_mut().find(|(other, ..)| *other == group) {
            None => jobs.push((group, vec![batch], bytes)),
            Some((_, batches, size)) if *size + bytes <= BODY_SHARE_MAX => {
                *size += bytes;
                batches.push(batch);
            }
            Some(_) => {}
        }
    }
    let jobs = jobs.into_iter().map(|(group, batches, ..)| (group, batches)).collect();
    Ok(Due { jobs, pause })
}

/// Most bytes of messages in one job: a request's body less room for its frame.
const BODY_SHARE_MAX: u64 = BODY_BYTES_MAX as u64 - 256 * 1024;
