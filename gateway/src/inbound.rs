//! Inbound: accept -> fetch evidence -> verify -> policy -> deliver -> receipt.
//!
//! | state | what is done when it is due | leaves for |
//! | --- | --- | --- |
//! | `claimed` | `judge`: ask the source chain for the proof (step 3), verify it (4), decide (5), hand it to the chain (6) | `delivering` or `voiding` |
//! | `suspended` | the same, when its account has room (or an hour has passed) | as above |
//! | `delivering`, `voiding` | the same again: nothing was final in time, and the chain's guard makes repeating harmless | `ended`, when it is final |
//! | `ended` | [`receipt`]: send the signed receipt back | gone, when it is acknowledged |
//!
//! A message becomes `ended` only by a final event of the local chain, seen by
//! [`crate::outbound::watch`]: the chain's guard decides, whatever gateway submitted it.

use std::sync::Arc;

use distpos_proto::chain::ChainId;
use distpos_spool::{Batch, Direction, SpoolError, State, Tx};

use crate::{
    event::Event,
    gateway::Gateway,
    inbound::deliver::Stopped,
    queue::change,
    standing,
    stop::Stop,
    suspension,
    work::{self, Group},
};

// In the order in which a message passes them.

pub mod accept;

pub mod evidence;

pub mod verify;

pub mod hooks;

pub mod policy;

mod ground;

pub mod deliver;

pub mod receipt;

pub mod simulate;

pub mod resume;

/// Runs until asked to stop.
pub async fn run(gateway: Arc<Gateway>, stop: Stop) {
    if let Err(error) = resume::resume(&gateway.spool, gateway.now()).await {
        // The watchdog comes back to these messages, too.
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
    }
    tokio::join!(
        standing::watch(&gateway, &stop),
        work::run(gateway.clone(), Direction::Inbound, stop.clone(), step),
    );
}

/// One piece of due work.
async fn step(
    gateway: Arc<Gateway>,
    (state, source): Group,
    batches: Vec<Batch>,
) -> Result<(), SpoolError> {
    match state {
        State::Claimed | State::Suspended | State::Delivering | State::Voiding => {
            judge(&gateway, source, state, batches).await
        }
        State::Ended => receipt::send(&gateway, source, batches).await,
        State::Held => change::hold_ended(&gateway, batches).await,
        // Outbound states never stand in this queue.
        State::Queued | State::Accepted | State::Closing | State::Refunding => Ok(()),
    }
}

/// Steps 3 to 6 for messages that claim to come from one chain.
async fn judge(
    gateway: &Gateway,
    source: ChainId,
    state: State,
    batches: Vec<Batch>,
) -> Result<(), SpoolError> {
    let claim = deliver::Claim::new(source, state, &batches);
    // What the own chain has been told already goes on: it may have it.
    if matches!(state, State::Claimed | State::Suspended) {
        let now = gateway.now();
        let suspended = |tx: &Tx<'_>| tx.pair_suspension(Direction::Inbound, source, now);
        if gateway.spool.read(suspended)?.is_some() {
            let (direction, ids) = (Direction::Inbound, claim.ids().to_vec());
            return suspension::wait(gateway, direction, source, ids, state).await;
        }
    }
    let verdict = async {
        // Delivered but not removable from the spool would mean repeating without end.
        gateway.spool.healthy()?;
        // Of a chain that is not believed nothing is asked for.
        verify::trusted(gateway, source)?;
        let proven = evidence::fetch(gateway, source, &claim).await?;
        let trusted = verify::trusted(gateway, source)?;
        let decided = policy::decide(gateway, &trusted, proven).await?;
        deliver::submit(gateway, &claim, decided).await
    };
    match verdict.await {
        Ok(()) => Ok(()),
        Err(Stopped::PutOff(why)) => deliver::put_off(gateway, &claim, claim.ids(), &why).await,
        Err(Stopped::Spool(error)) => Err(error),
    }
}
