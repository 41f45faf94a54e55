//! The daemon's long-lived tasks, and their signs of life.
//!
//! A task whose loop turns by itself beats at each turn. One that waits for others (a listener, the
//! chain's next block) is polled every [`PULSE`], which shows that nothing blocks it: what it waits for
//! has timeouts of its own.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, interval, sleep};

use super::TaskFailed;
use crate::{
    event::{Event, Found},
    gateway::Gateway,
    stop::Stop,
};

/// How often a task that only waits shows that it can.
pub const PULSE: Duration = Duration::from_secs(5);
/// How often it is looked who is silent.
pub const LOOKED_AT: Duration = Duration::from_secs(5);
/// If the watchdog itself was not run for so long the process was stopped, and says nothing of others.
const STOPPED_FOR: Duration = Duration::from_secs(30);
/// A task that is silent for so many times its limit is not waited for any more.
pub const GIVEN_UP_AFTER: u32 = 3;

macro_rules! tasks {
    ($($(#[$doc:meta])* $name:ident $word:literal $seconds:literal $about:literal;)*) => {
        /// A long-lived task, or a loop of one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Task { $($(#[$doc])* $name,)* }

        impl Task {
            /// Every task.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in metrics and logs.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// How long it may be silent: several of its turns, each with all that can delay it.
            #[must_use]
            pub fn silent_max(self) -> Duration {
                Duration::from_secs(match self { $(Self::$name => $seconds,)* })
            }

            /// What it does, for the documentation.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

// Name, word, seconds of silence, what it does: one line a task, as the table in `docs/metrics.md`.
tasks! {
    /// Follows the local chain.
    Watch "watch" 60 "follows the final blocks of the own chain";
    /// Works on the outbound queue.
    Outbound "outbound" 300 "sends, asks and settles what is due in the outbound queue";
    /// Works on the inbound queue.
    Inbound "inbound" 300 "proves, delivers and answers what is due in the inbound queue";
    /// Probes chains that were away.
    Probe "probe" 600 "probes chains that could not be reached";
    /// Tells of delays.
    Notices "notices" 600 "tells which messages take long";
    /// Ends suspensions.
    Suspensions "suspensions" 600 "ends suspensions of chains when their time is up";
    /// Minds the clock.
    Clock "clock" 600 "notices a clock that was set back";
    /// Notices gaps of sequences.
    Gaps "gaps" 2_400 "notices messages that a chain has left out";
    /// Exchanges papers of accounts.
    Papers "papers" 300 "exchanges statements and requests about accounts";
    /// Looks chains up.
    Trust "trust" 14_400 "looks up the keys of quiet correspondents";
    /// Follows the own keys.
    Keys "keys" 60 "takes up own keys that turn over";
    /// Looks at the spool.
    Spool "spool" 60 "notices a flush that has failed";
    /// Minds memory.
    Load "load" 60 "sheds load when there is too much memory";
    /// Forgets what nobody asks for any more.
    Upkeep "upkeep" 2_400 "forgets how messages ended long ago";
    /// Tells when to settle.
    Settlement "settlement" 120 "tells when an account is to be settled";
    /// Listens for peers.
    Peers "peers" 60 "listens for other gateways";
    /// Listens for users.
    Submission "submission" 60 "listens for users";
    /// Listens for the operator.
    Admin "admin" 60 "listens for the operator's commands";
    /// Reads gauges.
    Metrics "metrics" 120 "reads what metrics show";
    /// Listens for scrapes.
    Scrapes "scrapes" 60 "listens for scrapes and questions after health";
    /// Looks for stuck batches.
    Stuck "stuck" 120 "looks for batches that nobody works on";
}

/// When each task showed its last sign of life; one that never did is not there.
#[derive(Debug)]
pub struct Tasks {
    began: Instant,
    /// Milliseconds since `began`, and 1; 0: not there, [`u64::MAX`]: ended.
    beats: Vec<AtomicU64>,
}

const ABSENT: u64 = 0;
const ENDED: u64 = u64::MAX;

impl Default for Tasks {
    fn default() -> Self {
        let beats = Task::ALL.iter().map(|_| AtomicU64::new(ABSENT)).collect();
        Self { began: Instant::now(), beats }
    }
}

impl Tasks {
    /// A sign of life.
    pub fn beat(&self, task: Task) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(ENDED - 2);
        self.beats[task as usize].store(since + 1, Ordering::Relaxed);
    }

    /// It has ended, and will show none any more.
    pub fn ended(&self, task: Task) {
        self.beats[task as usize].store(ENDED, Ordering::Relaxed);
    }

    /// Runs `work`, and shows signs of life for it as long as nothing blocks it.
    pub async fn pulse<T>(&self, task: Task, work: impl Future<Output = T>) -> T {
        let mut pulse = interval(PULSE);
        tokio::pin!(work);
        loop {
            tokio::select! { biased;
                done = &mut work => return done,
                _ = pulse.tick() => self.beat(task),
            }
        }
    }

    /// How long a task has been silent; none if it is not there, the longest time if it has ended.
    #[must_use]
    pub fn silent(&self, task: Task) -> Option<Duration> {
        match self.beats[task as usize].load(Ordering::Relaxed) {
            ABSENT => None,
            ENDED => Some(Duration::MAX),
            beat => Some(self.began.elapsed().saturating_sub(Duration::from_millis(beat - 1))),
        }
    }

    /// Every task that is there, and whether it is alive.
    #[must_use]
    pub fn all(&self) -> Vec<(Task, bool)> {
        let alive = |task: &Task| Some((*task, self.silent(*task)? <= task.silent_max()));
        Task::ALL.iter().filter_map(alive).collect()
    }

    /// The process was stopped: nobody could show a sign of life.
    fn forgive(&self) {
        for (task, _) in self.all() {
            if self.silent(task) != Some(Duration::MAX) {
                self.beat(task);
            }
        }
    }
}

/// Watches all tasks until asked to stop.
///
/// # Errors
/// [`TaskFailed::Silent`] if one is silent for [`GIVEN_UP_AFTER`] times its limit.
pub async fn run(gateway: &Gateway, stop: &Stop) -> Result<(), TaskFailed> {
    let mut told: Vec<Task> = Vec::new();
    let mut looked = Instant::now();
    loop {
        tokio::select! { biased;
            () = stop.asked() => return Ok(()),
            () = sleep(LOOKED_AT) => {}
        }
        if looked.elapsed() > LOOKED_AT + STOPPED_FOR {
            gateway.tasks.forgive();
        }
        looked = Instant::now();
        for task in Task::ALL {
            let Some(silent) = gateway.tasks.silent(*task) else { continue };
            if silent <= task.silent_max() {
                if told.contains(task) {
                    told.retain(|other| other != task);
                    let what = format!("task {} goes on", task.word());
                    gateway.emit(Event::Note { what });
                }
                continue;
            }
            // One that has ended was told of when it did.
            if silent != Duration::MAX && !told.contains(task) {
                told.push(*task);
                gateway.emit(Event::Watchdog(Found::Silent { task: *task, silent }));
            }
            if silent > task.silent_max().saturating_mul(GIVEN_UP_AFTER) {
                let silent = silent.as_secs();
                return Err(TaskFailed::Silent { task: *task, silent });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_is_alive_until_it_is_silent_for_longer_than_its_limit_or_has_ended() {
        let tasks = Tasks::default();
        assert_eq!(tasks.all(), [], "nothing is expected of what does not run");
        tasks.beat(Task::Keys);
        tokio::time::advance(Task::Keys.silent_max()).await;
        assert_eq!(tasks.all(), [(Task::Keys, true)]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(tasks.all(), [(Task::Keys, false)]);
        tasks.beat(Task::Keys);
        assert_eq!(tasks.all(), [(Task::Keys, true)]);
        tasks.ended(Task::Keys);
        assert_eq!(tasks.all(), [(Task::Keys, false)]);
        tasks.forgive();
        assert_eq!(tasks.all(), [(Task::Keys, false)], "who was stopped is not who has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_waits_is_alive_as_long_as_nothing_blocks() {
        let tasks = Tasks::default();
        let waits = tasks.pulse(Task::Peers, sleep(Duration::from_hours(1)));
        let looks = async {
            for _ in 0..60 {
                sleep(Duration::from_secs(59)).await;
                assert_eq!(tasks.all(), [(Task::Peers, true)]);
            }
        };
        tokio::join!(waits, looks);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(tasks.all(), [(Task::Peers, false)]);
    }
}
