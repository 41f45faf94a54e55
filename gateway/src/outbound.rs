//! Outbound: watch -> stamp -> spool -> resolve -> send -> ask -> settle.
//!
//! | state | what is done when it is due | leaves for |
//! | --- | --- | --- |
//! | `queued` | [`send`]: resolve the chain (step 2), hand the batch to a gateway of it | `accepted`; `refunding` if the chain does not exist ([`bounce`]), or is gone and its operator allows it ([`silence`]) |
//! | `accepted` | [`ask`]: the receipt is late, ask how the message stands | `queued` if it is unknown there |
//! | `closing`, `refunding` | [`settle`]: tell the outbox how it ended | gone, when that is final |
//!
//! A receipt may come at any time ([`settle::receipts`]) and moves a message to `closing` or
//! `refunding` from wherever it is.

use std::sync::Arc;

use distpos_spool::{Batch, Direction, SpoolError, State};

use crate::{
    clock::back,
    gateway::Gateway,
    queue::change,
    stop::Stop,
    suspension,
    watchdog::Task,
    work::{self, Group},
};

// In the order in which a message passes them.

pub mod watch;

pub mod stamp;

pub mod send;

pub mod probe;

pub mod bounce;

pub mod silence;

pub mod ask;

pub mod prove;

pub mod settle;

pub mod notice;

pub mod sibling;

pub mod simulate;

/// Runs until asked to stop: one task watches the chain, one works on what is due, one looks whether
/// chains that were away are back, one tells what takes long; one minds the clock and
/// one what was suspended, for both directions.
pub async fn run(gateway: Arc<Gateway>, stop: Stop) {
    tokio::join!(
        gateway.tasks.pulse(Task::Watch, watch::run(&gateway, &stop)),
        probe::run(&gateway, &stop),
        notice::run(&gateway, &stop),
        back::run(&gateway, &stop),
        suspension::run(&gateway, &stop),
        work::run(gateway.clone(), Direction::Outbound, stop.clone(), step),
    );
}

/// One piece of due work.
async fn step(
    gateway: Arc<Gateway>,
    (state, peer): Group,
    batches: Vec<Batch>,
) -> Result<(), SpoolError> {
    match state {
        State::Queued => send::send(&gateway, peer, batches).await,
        State::Accepted => ask::ask(&gateway, peer, batches).await,
        State::Closing | State::Refunding => settle::end(&gateway, state, batches).await,
        State::Held => change::hold_ended(&gateway, batches).await,
        // Inbound states never stand in this queue.
        State::Claimed | State::Suspended | State::Delivering | State::Voiding | State::Ended => {
            Ok(())
        }
    }
}
