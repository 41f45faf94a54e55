//! The spool itself: opening it, and handing work to it.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::{self, JoinHandle},
};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    changes::Changes,
    committer::{self, Call, Core, GROUP_JOBS_MAX, Job, Outcome},
    error::SpoolError,
    queue::Direction,
    store::{
        Store,
        memory::{Memory, MemoryDisk},
        redb::Redb,
    },
    transaction::Tx,
};

/// What must survive a crash. Handles are cheap to clone; the last one to go commits what is still
/// waiting and closes the spool.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    committer: Committer,
}

/// Who commits.
enum Committer {
    /// The caller, one at a time: no thread, so that a simulation stays deterministic.
    Caller(Mutex<()>),
    /// A thread of its own, as a flush blocks. Both are none only while it is being stopped.
    Thread { jobs: Option<mpsc::Sender<Box<dyn Job>>>, handle: Option<JoinHandle<()>> },
}

/// The space of the file system the spool is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for this user.
    pub free: u64,
    /// Altogether.
    pub total: u64,
}

impl Space {
    /// What must stay free, so that what is in the spool can still be changed and removed: 10 %.
    #[must_use]
    pub fn reserve(self) -> u64 {
        self.total / 10
    }
}

/// What the committer has done since the spool was opened, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Commits, each with its flush.
    pub commits: u64,
    /// Closures run.
    pub transactions: u64,
    /// Time spent in commits, in nanoseconds.
    pub commit_nanoseconds: u64,
}

impl Spool {
    /// A spool without a disk. Closures run on the caller, at once and in the order of the calls.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_on(MemoryDisk::default())
    }

    /// The same, on a disk that may be said to be full.
    #[must_use]
    pub fn in_memory_on(disk: MemoryDisk) -> Self {
        let core = Arc::new(Core::new(Box::new(Memory::on(disk))));
        Self(Arc::new(Inner { core, committer: Committer::Caller(Mutex::new(())) }))
    }

    /// Whether there is a spool in `directory`: opening would make one.
    #[must_use]
    pub fn is_in(directory: &Path) -> bool {
        Redb::is_in(directory)
    }

    /// Opens the spool in `directory`, which is made (for its owner only) if it is not there, and
    /// locks it: one process has it open. Starts the committer thread.
    ///
    /// # Errors
    /// [`SpoolError::Locked`], [`SpoolError::Newer`] and [`SpoolError::Corrupt`] leave everything
    /// as it is; [`SpoolError::Io`] says what the system did not allow.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        Self::over(Box::new(Redb::open(directory)?))
    }

    /// A spool over any engine, with a committer thread.
    pub(crate) fn over(store: Box<dyn Store>) -> Result<Self, SpoolError> {
        let core = Arc::new(Core::new(store));
        let (jobs, waiting) = mpsc::channel(GROUP_JOBS_MAX);
        let shared = Arc::clone(&core);
        let handle = thread::Builder::new()
            .name("spool".into())
            .spawn(move || committer::run(&shared, waiting))
            .map_err(SpoolError::io("start the committer thread"))?;
        let committer = Committer::Thread { jobs: Some(jobs), handle: Some(handle) };
        Ok(Self(Arc::new(Inner { core, committer })))
    }

    /// Runs `work` inside the next group commit. It sees its own writes and everything before; if
    /// it returns an error, nothing of it is kept. Resolves when the group is on the disk.
    ///
    /// Once the work is handed over it is done even if the caller stops waiting. It runs on the
    /// committer, so it should compute little and never block.
    ///
    /// # Errors
    /// What `work` returned, or [`SpoolError::Flush`] if the group did not reach the disk: what was
    /// in it may or may not be there after reopening.
    ///
    /// # Panics
    /// If `work` panics, its caller does; nothing of it is kept, and others are not disturbed.
    pub async fn transact<R, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<SpoolError> + Send + 'static,
    {
        let (call, answer) = Call::new(work);
        self.hand_over(Box::new(call)).await?;
        answered(answer).await
    }

    async fn hand_over(&self, job: Box<dyn Job>) -> Result<(), SpoolError> {
        match &self.0.committer {
            Committer::Caller(turn) => {
                self.commit_here(turn, job);
                Ok(())
            }
            Committer::Thread { jobs, .. } => match jobs {
                Some(jobs) => jobs.send(job).await.map_err(|_| stopped()),
                None => Err(stopped()),
            },
        }
    }

    fn commit_here(&self, turn: &Mutex<()>, job: Box<dyn Job>) {
        // Panics of closures are caught before they could poison it.
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        committer::group(&self.0.core, &mut VecDeque::from([job]));
    }

    /// Reads the committed state, at one moment. Cheap, but it may read from the disk.
    ///
    /// # Errors
    /// What `look` returned, or [`SpoolError`] if the store cannot be read.
    pub fn read<R, E: From<SpoolError>>(
        &self,
        look: impl FnOnce(&Tx<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let base = self.0.core.store.snapshot()?;
        look(&Tx::new(base.as_ref(), &mut Changes::default()))
    }

    /// Wakes whoever waits on it after each commit that changed the due order of this direction. A
    /// wake-up may come for nothing, and one that nobody waited for is kept for the next to wait.
    #[must_use]
    pub fn changed(&self, direction: Direction) -> Arc<Notify> {
        Arc::clone(&self.0.core.changed[direction as usize])
    }

    /// Whether new messages may come in and deliveries go on.
    ///
    /// # Errors
    /// [`SpoolError::Flush`] once a flush has failed, until the spool is reopened;
    /// [`SpoolError::Full`] while the file system has less than a tenth free.
    pub fn healthy(&self) -> Result<(), SpoolError> {
        if let Some(error) = self.0.core.failed.get() {
            return Err(error.clone());
        }
        match self.space()? {
            Some(space) if space.free < space.reserve() => {
                Err(SpoolError::Full { free: space.free, expected: space.reserve() })
            }
            _ => Ok(()),
        }
    }

    /// The space of the file system; none in memory, unless that is said to be full.
    ///
    /// # Errors
    /// [`SpoolError::Io`] if the system does not say.
    pub fn space(&self) -> Result<Option<Space>, SpoolError> {
        self.0.core.store.space()
    }

    /// What the committer has done since the spool was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = &self.0.core;
        Stats {
            commits: core.commits.load(Ordering::Relaxed),
            transactions: core.transactions.load(Ordering::Relaxed),
            commit_nanoseconds: core.commit_nanoseconds.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

async fn answered<R, E: From<SpoolError>>(
    answer: oneshot::Receiver<Outcome<R, E>>,
) -> Result<R, E> {
    match answer.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(E::from(stopped())),
    }
}

fn stopped() -> SpoolError {
    SpoolError::Flush("the committer has stopped".into())
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Committer::Thread { jobs, handle } = &mut self.committer else { return };
        drop(jobs.take());
        if let Some(handle) = handle.take()
            // A closure may hold the last handle: the committer cannot wait for itself.
            && handle.thread().id() != thread::current().id()
        {
            // It catches every panic of a closure; one of its own is told by the hook.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::store::Snapshot;

    /// A disk that can be told to fail.
    struct Failing {
        memory: Memory,
        fails: Arc<AtomicBool>,
    }

    impl Store for Failing {
        fn snapshot(&self) -> Result<Box<dyn Snapshot>, SpoolError> {
            self.memory.snapshot()
        }

        fn commit(&self, changes: &Changes) -> Result<(), SpoolError> {
            if self.fails.load(Ordering::SeqCst) {
                return Err(SpoolError::Flush("no".into()));
            }
            self.memory.commit(changes)
        }

        fn space(&self) -> Result<Option<Space>, SpoolError> {
            let free = if self.fails.load(Ordering::SeqCst) { 9 } else { 10 };
            Ok(Some(Space { free, total: 100 }))
        }
    }

    async fn note(spool: &Spool, fails: bool) -> Result<(), SpoolError> {
        let work = move |tx: &mut Tx<'_>| {
            tx.meta_set("note", b"there");
            if fails { Err(SpoolError::Flush("its own".into())) } else { Ok(()) }
        };
        spool.transact(work).await
    }

    #[test]
    fn a_failed_flush_is_told_to_everybody_and_lasts() {
        let fails = Arc::new(AtomicBool::new(false));
        let store = Failing { memory: Memory::default(), fails: Arc::clone(&fails) };
        let spool = Spool::over(Box::new(store)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(note(&spool, false).await, Ok(()));
            assert_eq!(spool.healthy(), Ok(()));
            fails.store(true, Ordering::SeqCst);
            assert_eq!(spool.healthy(), Err(SpoolError::Full { free: 9, expected: 10 }));
            let failed = Err(SpoolError::Flush("no".into()));
            // The second would have said something else, but that may rest on what was lost.
            let both = tokio::join!(note(&spool, false), note(&spool, true));
            assert_eq!(both, (failed.clone(), failed.clone()));
            fails.store(false, Ordering::SeqCst);
            assert_eq!(spool.healthy(), failed, "space or not, it has to be reopened");
            assert_eq!(note(&spool, false).await, failed);
        });
    }

    #[test]
    fn the_last_handle_may_go_inside_a_closure() {
        let spool = Spool::over(Box::new(Memory::default())).unwrap();
        let held = spool.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let mut call = Box::pin(spool.transact(move |_| {
                drop(held);
                Ok::<_, SpoolError>(())
            }));
            call.as_mut().await.unwrap();
        });
    }
}
