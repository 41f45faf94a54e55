//! Group commit: whoever waits shares one commit and one flush.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    changes::Changes,
    error::SpoolError,
    queue::Direction,
    store::{Store, Table},
    transaction::Tx,
};

/// Most closures that wait, and most in one group. Enough that a flush costs each of them nothing;
/// beyond it callers wait their turn.
pub(crate) const GROUP_JOBS_MAX: usize = 4096;
/// Once a group has changed so many bytes it is committed, and the others wait for the next: what
/// is not yet on the disk is in memory.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the committer and all readers share.
pub(crate) struct Core {
    pub(crate) store: Box<dyn Store>,
    /// The first flush that failed. There is no second.
    pub(crate) failed: OnceLock<SpoolError>,
    pub(crate) changed: [Arc<Notify>; 2],
    pub(crate) commits: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) commit_nanoseconds: AtomicU64,
}

impl Core {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self {
            store,
            failed: OnceLock::new(),
            changed: Default::default(),
            commits: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            commit_nanoseconds: AtomicU64::new(0),
        }
    }
}

/// A closure and whoever waits for it.
pub(crate) trait Job: Send {
    /// Runs the closure and remembers what it returned; whether to keep what it changed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Tells the caller, after the flush. A closure that failed is answered then as well: it may
    /// have failed for what an earlier one of its group has changed.
    fn answer(self: Box<Self>, flushed: Result<(), SpoolError>);
}

/// What a closure returned, or the panic it ended in, which goes on in its caller.
pub(crate) type Outcome<R, E> = Result<Result<R, E>, Box<dyn Any + Send>>;

/// The [`Job`] of one call of [`crate::Spool::transact`].
pub(crate) struct Call<F, R, E> {
    work: Option<F>,
    outcome: Option<Outcome<R, E>>,
    caller: oneshot::Sender<Outcome<R, E>>,
}

impl<F, R, E> Call<F, R, E> {
    pub(crate) fn new(work: F) -> (Self, oneshot::Receiver<Outcome<R, E>>) {
        let (caller, answer) = oneshot::channel();
        (Self { work: Some(work), outcome: None, caller }, answer)
    }
}

impl<F, R, E> Job for Call<F, R, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<R, E> + Send,
    R: Send,
    E: From<SpoolError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        if let Some(work) = self.work.take() {
            // What a closure had changed when it panicked is taken back like that of one that
            // failed, so nothing half-done can be seen.
            self.outcome = Some(catch_unwind(AssertUnwindSafe(|| work(tx))));
        }
        matches!(self.outcome, Some(Ok(Ok(_))))
    }

    fn answer(self: Box<Self>, flushed: Result<(), SpoolError>) {
        let outcome = match (flushed, self.outcome) {
            (Err(error), _) => Ok(Err(E::from(error))),
            (Ok(()), Some(outcome)) => outcome,
            // Never run: dropping the sender tells the caller.
            (Ok(()), None) => return,
        };
        // A caller that went away does not want to know; what it asked for is done all the same.
        let _ = self.caller.send(outcome);
    }
}

/// The committer thread: until all handles of the spool are gone.
pub(crate) fn run(core: &Core, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut taken = Vec::new();
    let mut waiting = VecDeque::new();
    while jobs.blocking_recv_many(&mut taken, GROUP_JOBS_MAX) > 0 {
        waiting.extend(taken.drain(..));
        while !waiting.is_empty() {
            group(core, &mut waiting);
        }
    }
}

/// Runs waiting jobs, commits what they changed, and answers them.
pub(crate) fn group(core: &Core, waiting: &mut VecDeque<Box<dyn Job>>) {
    let mut done = Vec::new();
    let flushed = commit(core, waiting, &mut done);
    if flushed.is_err() {
        // What was not run cannot be either: the store is not readable or not writable.
        done.extend(waiting.drain(..));
    }
    for job in done {
        job.answer(flushed.as_ref().map(|_| ()).map_err(Clone::clone));
    }
    for direction in flushed.unwrap_or_default() {
        let changed = &core.changed[direction as usize];
        // Whoever waits now, and whoever comes to wait next: a wake-up too many is harmless, one
        // too few would leave a batch until the next.
        changed.notify_waiters();
        changed.notify_one();
    }
}

/// The directions whose due order was changed by this group.
fn commit(
    core: &Core,
    waiting: &mut VecDeque<Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<Vec<Direction>, SpoolError> {
    if let Some(error) = core.failed.get() {
        return Err(error.clone());
    }
    let base = core.store.snapshot()?;
    let mut changes = Changes::default();
    while changes.bytes() < GROUP_BYTES_MAX
        && let Some(mut job) = waiting.pop_front()
    {
        if job.run(&mut Tx::new(base.as_ref(), &mut changes)) {
            changes.keep();
        } else {
            changes.undo();
        }
        done.push(job);
    }
    // Pages that a snapshot can see cannot be used again by the commit.
    drop(base);
    core.transactions.fetch_add(done.len() as u64, Ordering::Relaxed);
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let started = Instant::now();
    core.store.commit(&changes).map_err(|error| core.failed.get_or_init(|| error).clone())?;
    let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    core.commits.fetch_add(1, Ordering::Relaxed);
    core.commit_nanoseconds.fetch_add(took, Ordering::Relaxed);
    let is_due = |direction: &Direction| !changes.of(Table::Due(*direction)).is_empty();
    Ok(Direction::BOTH.into_iter().filter(is_due).collect())
}
