//! Load that is too much is shed: nothing more is taken in and nothing more is begun, so that what
//! was taken is kept. What waits is in the spool, and peers are told to come back (`4.3.1`).
//!
//! A disk without space and a flush that failed are the spool's ([`distpos_spool::Spool::healthy`]).
//! Memory is this module's: every queue and every body in the gateway has its bound, and this one
//! is for what their sum, the libraries and the allocator make of it.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use distpos_spool::SpoolError;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{bytes::Bytes, event::Event, gateway::Gateway, stop::Stop, watchdog::Task};

/// How often memory is looked at.
const LOOKED_AT: Duration = Duration::from_secs(2);
/// An allocator may keep what was freed. If nothing was begun for so long and memory is not less,
/// only a new process has it back; the spool makes that cheap.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Tells how many bytes of memory the process has; none where the system does not say.
pub type Meter = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Memory, and whether it is too much.
pub struct Load {
    memory_max: u64,
    meter: Meter,
    sheds: AtomicBool,
}

/// Why load is shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The disk has less free than the spool's reserve.
    Disk,
    /// A flush has failed: what is on the disk is not known until the spool is opened anew.
    Flush,
    /// The process has more memory than it may.
    Memory,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Disk, Self::Flush, Self::Memory];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Flush => "flush",
            Self::Memory => "memory",
        }
    }
}

/// Too much memory for too long. The process's own fault; start it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "memory stays at {} with nothing begun for {} s, limits.memory_max is {}: start it again, the \
     spool has everything", Bytes(*.found), STUCK_AFTER.as_secs(), Bytes(*.memory_max)
)]
pub struct Stuck {
    found: u64,
    memory_max: u64,
}

impl Load {
    /// With so many bytes at most, as `meter` tells them.
    #[must_use]
    pub fn new(memory_max: u64, meter: Meter) -> Self {
        Self { memory_max, meter, sheds: AtomicBool::new(false) }
    }

    /// Whether there is too much memory for anything to be taken in or begun.
    #[must_use]
    pub fn sheds(&self) -> bool {
        self.sheds.load(Ordering::Relaxed)
    }

    /// Below this load is taken again: an eighth less, so that it does not flutter.
    fn resumes_below(&self) -> u64 {
        self.memory_max - self.memory_max / 8
    }

    /// Looks at memory; what has become different.
    fn look(&self) -> Look {
        let Some(found) = (self.meter)() else { return Look::AsBefore };
        match self.sheds() {
            false if found > self.memory_max => {
                self.sheds.store(true, Ordering::Relaxed);
                Look::TooMuch(found)
            }
            true if found <= self.resumes_below() => {
                self.sheds.store(false, Ordering::Relaxed);
                Look::Enough(found)
            }
            true => Look::StillTooMuch(found),
            false => Look::AsBefore,
        }
    }
}

impl Default for Load {
    /// Whatever there is.
    fn default() -> Self {
        Self::new(u64::MAX, Box::new(|| None))
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_max, sheds, .. } = self;
        f.debug_struct("Load")
            .field("memory_max", memory_max)
            .field("sheds", sheds)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    AsBefore,
    TooMuch(u64),
    StillTooMuch(u64),
    Enough(u64),
}

/// Minds memory until asked to stop.
///
/// # Errors
/// [`Stuck`] if shedding load has not helped.
pub async fn run(gateway: &Gateway, stop: &Stop) -> Result<(), Stuck> {
    let load = &gateway.load;
    let mut since = Instant::now();
    loop {
        gateway.tasks.beat(Task::Load);
        match load.look() {
            Look::AsBefore => {}
            Look::TooMuch(found) => {
                since = Instant::now();
                let (max, below) = (Bytes(load.memory_max), Bytes(load.resumes_below()));
                let what = format!(
                    "memory is at {}, limits.memory_max is {max}: nothing is taken in or begun \
                     until it is below {below}",
                    Bytes(found)
                );
                gateway.emit(Event::Alert { what });
            }
            Look::StillTooMuch(found) if since.elapsed() >= STUCK_AFTER => {
                return Err(Stuck { found, memory_max: load.memory_max });
            }
            Look::StillTooMuch(_) => {}
            Look::Enough(found) => {
                let what = format!("memory is at {}: it goes on", Bytes(found));
                gateway.emit(Event::Note { what });
            }
        }
        tokio::select! { biased;
            () = stop.asked() => return Ok(()),
            () = sleep(LOOKED_AT) => {}
        }
    }
}

/// Why load is shed now; empty if it is not.
#[must_use]
pub fn causes(gateway: &Gateway) -> Vec<Cause> {
    let spool = match gateway.spool.healthy() {
        Ok(()) => None,
        Err(SpoolError::Full { .. }) => Some(Cause::Disk),
        Err(_) => Some(Cause::Flush),
    };
    spool.into_iter().chain(gateway.load.sheds().then_some(Cause::Memory)).collect()
}

/// The physical memory of this process in bytes: `statm` of proc(5), in pages.
#[must_use]
pub fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicU64};

    use super::*;

    #[test]
    fn load_is_shed_above_the_limit_and_taken_again_an_eighth_below_it() {
        let bytes = Arc::new(AtomicU64::new(0));
        let meter = bytes.clone();
        let load = Load::new(800, Box::new(move || Some(meter.load(Ordering::Relaxed))));
        let at = |found| {
            bytes.store(found, Ordering::Relaxed);
            (load.look(), load.sheds())
        };
        assert_eq!(at(800), (Look::AsBefore, false));
        assert_eq!(at(801), (Look::TooMuch(801), true));
        assert_eq!(at(801), (Look::StillTooMuch(801), true));
        assert_eq!(at(701), (Look::StillTooMuch(701), true));
        assert_eq!(at(700), (Look::Enough(700), false));
        assert_eq!(at(701), (Look::AsBefore, false));
    }

    #[test]
    fn the_system_says_how_much_memory_there_is() {
        let found = resident().unwrap();
        assert!((1 << 20..1 << 36).contains(&found), "{found}");
    }
}
