//! What should go on by itself is watched: every long-lived task of the daemon ([`tasks`]), and every
//! batch of the queue ([`states`]).
//!
//! A task that ends, panics, or is silent for too long stops the daemon with exit 70, and the service
//! manager starts it again: everything is in the spool, opening it takes no time, and a process that
//! begins anew is better understood than one that lost a part and made another. A batch that is stuck is
//! told of once, by the id of its first message, and made due now.

pub mod states;
pub mod tasks;

use thiserror::Error;

pub use tasks::{Task, Tasks};

/// A task of the daemon is dead. The program's own fault; start it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TaskFailed {
    /// It panicked.
    #[error("task {} panicked: start it again, the spool has everything", .0.word())]
    Panicked(Task),
    /// It ended while nobody had asked.
    #[error("task {} ended by itself: start it again, the spool has everything", .0.word())]
    Ended(Task),
    /// It shows no sign of life.
    #[error("task {} is silent for {silent} s: start it again, the spool has everything", task.word())]
    Silent {
        /// The task.
        task: Task,
        /// For how many seconds.
        silent: u64,
    },
}
