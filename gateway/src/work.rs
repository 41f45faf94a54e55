//! Runs what is due: the loop both pipelines share.
//!
//! Due batches are grouped by (state, peer) into one job each, and at most one job of a group runs
//! at a time, so one chain's slow gateway delays nobody else. A job does its I/O, then moves its
//! messages in one commit; whatever it does not move stays due and is tried again.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

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

/// Most due batches looked at in one scan. More wait on disk, in the order of their due times.
const SCAN_BATCHES_MAX: usize = 1024;
/// Most bytes of messages that one scan may bring up.
const SCAN_BYTES_MAX: u64 = 64 * 1024 * 1024;
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
    while !stop.is_asked() {
        // Registered before the scan, so that a commit during the scan is not missed.
        let notified = changed.notified();
        let pause = match due(&gateway, direction, &busy) {
            Ok(due) => {
                for (group, batches) in due.jobs {
                    busy.insert(group);
                    running.push(job(gateway.clone(), group, batches).map(move |()| group).boxed());
                }
                due.pause
            }
            Err(error) => {
                gateway.emit(Event::Alert { what: format!("spool: {error}") });
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
    let now = gateway.now();
    let (batches, next) = gateway.spool.read(|tx| {
        let batches = tx.due(direction, now, SCAN_BATCHES_MAX, SCAN_BYTES_MAX)?;
        Ok::<_, SpoolError>((batches, tx.next_due_after(direction, now)?))
    })?;
    let pause = next.map_or(SLEEP_MAX, |next| next.since(now).min(SLEEP_MAX));
    let mut jobs: Vec<(Group, Vec<Batch>, usize, u64)> = Vec::new();
    for batch in batches {
        let group = (batch.state, batch.peer);
        if busy.contains(&group) {
            continue;
        }
        let messages = batch.items.len();
        let bytes = batch.bytes();
        match jobs.iter_mut().find(|(other, ..)| *other == group) {
            None => jobs.push((group, vec![batch], messages, bytes)),
            Some((_, batches, count, size)) => {
                if *count + messages <= REQUEST_MESSAGES_MAX && *size + bytes <= BODY_SHARE_MAX {
                    *count += messages;
                    *size += bytes;
                    batches.push(batch);
                }
            }
        }
    }
    let jobs = jobs.into_iter().map(|(group, batches, ..)| (group, batches)).collect();
    Ok(Due { jobs, pause })
}

/// Most bytes of messages in one job: a request's body less room for its frame.
const BODY_SHARE_MAX: u64 = BODY_BYTES_MAX as u64 - 256 * 1024;
