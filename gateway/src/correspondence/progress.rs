//! How far the work on papers is: whether this gateway has read its own chain, and which receipts
//! it asks for next. Nothing of it survives a restart, and nothing has to.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use distpos_proto::{
    chain::{ChainId, Height},
    message::MessageId,
    time::UnixMillis,
};
use distpos_spool::SpoolError;
use tokio::time::timeout;

use crate::gateway::Gateway;

/// How long a gateway counts as caught up after it was: a few looks, so that a slow one ends no
/// doubt and starts none.
const CAUGHT_UP_FOR: Duration = Duration::from_secs(2 * 60);
/// How long the node has to say what its newest block is: papers do not wait for it.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How far the work on papers is.
#[derive(Debug, Default)]
pub struct Progress {
    /// The newest block of the own chain when that was looked at; to be read by the next look.
    head: Option<Height>,
    /// When all blocks were read that there were at the look before.
    caught_up: Option<UnixMillis>,
    /// Of each peer, the message whose receipt was asked for last.
    asked: BTreeMap<ChainId, MessageId>,
}

fn lock(gateway: &Gateway) -> MutexGuard<'_, Progress> {
    // Every change of it is whole.
    gateway.progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks how far the own chain is read.
pub(super) async fn observe(gateway: &Gateway) -> Result<(), SpoolError> {
    let cursor = gateway.spool.read(|tx| tx.cursor())?.map(|cursor| cursor.height);
    // A node that does not answer is told of by the pipeline that follows it.
    let Ok(Ok(head)) = timeout(HEAD_WAIT, gateway.chain.head()).await else { return Ok(()) };
    let now = gateway.now();
    let mut progress = lock(gateway);
    match progress.head {
        None => progress.head = Some(head.height),
        Some(before) if cursor.is_some_and(|cursor| cursor >= before) => {
            progress.head = Some(head.height);
            progress.caught_up = Some(now);
        }
        Some(_) => {}
    }
    Ok(())
}

/// Whether this gateway has read its own chain. One that has not is not yet in a position to doubt
/// what others say of its messages.
pub(super) fn is_caught_up(gateway: &Gateway, now: UnixMillis) -> bool {
    let caught_up = lock(gateway).caught_up;
    caught_up.is_some_and(|at| at <= now && now.since(at) < CAUGHT_UP_FOR)
}

/// The message whose receipt a peer was asked for last.
pub(super) fn asked(gateway: &Gateway, peer: ChainId) -> Option<MessageId> {
    lock(gateway).asked.get(&peer).copied()
}

/// Notes the message whose receipt a peer was asked for last; none: it is begun anew.
pub(super) fn set_asked(gateway: &Gateway, peer: ChainId, id: Option<MessageId>) {
    let asked = &mut lock(gateway).asked;
    match id {
        Some(id) => _ = asked.insert(peer, id),
        None => _ = asked.remove(&peer),
    }
}
