//! What a watchdog has found.

use std::{fmt, time::Duration};

use distpos_proto::{chain::ChainId, message::MessageId};
use distpos_spool::{Direction, State};

use crate::watchdog::Task;

/// Something that should have gone on by itself, and did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A task has ended while nobody asked it to: the gateway stops, to be started again.
    Ended {
        /// The task.
        task: Task,
        /// Whether it panicked.
        panicked: bool,
    },
    /// A task shows no sign of life.
    Silent {
        /// The task.
        task: Task,
        /// For how long.
        silent: Duration,
    },
    /// A job was cut off that took too long; its messages are where they were.
    Job {
        /// Which way they go.
        direction: Direction,
        /// The other chain.
        chain: ChainId,
        /// Their state.
        state: State,
        /// How long it took.
        took: Duration,
    },
    /// A batch was in a state for longer than is possible; it is due now.
    Stuck {
        /// Which way it goes.
        direction: Direction,
        /// The other chain.
        chain: ChainId,
        /// Its state.
        state: State,
        /// The first of its messages.
        id: MessageId,
        /// How many there are.
        messages: u64,
        /// What is wrong with it.
        why: Why,
    },
}

/// Why a batch would have waited for ever, or nearly so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It waits for no time.
    NoDue,
    /// It waits for a time that is too far away.
    TooFar,
    /// Its time has passed, and nobody works on its like.
    Overdue,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDue => "never due",
            Self::TooFar => "due too late",
            Self::Overdue => "overdue, and nobody works on it",
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { task, panicked } => {
                let how = if *panicked { "panicked" } else { "ended by itself" };
                write!(f, "watchdog task={} {how}: the gateway stops", task.word())
            }
            Self::Silent { task, silent } => {
                write!(f, "watchdog task={} silent={}s", task.word(), silent.as_secs())
            }
            Self::Job { direction, chain, state, took } => write!(
                f,
                "watchdog job direction={direction} chain={chain} state={state} cut off after {}s",
                took.as_secs()
            ),
            Self::Stuck { direction, chain, state, id, messages, why } => write!(
                f,
                "watchdog stuck direction={direction} chain={chain} state={state} \
                 messages={messages} {why}: due now ids={id}"
            ),
        }
    }
}
