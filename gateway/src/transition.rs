//! Moving messages between states: the one place that does it for both pipelines.

use std::collections::BTreeMap;

use distpos_proto::{code::Reply, message::MessageId, time::UnixMillis};
use distpos_spool::{BatchId, Change, Direction, SpoolError, State, Tx};

/// What is to become of messages that move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The state; none to stay in the present one.
    pub state: Option<State>,
    /// When something is to be done; none to wait for an event.
    pub due: Option<UnixMillis>,
    /// How often the step was tried.
    pub attempts: u32,
    /// Why it is not further.
    pub reply: Option<Reply>,
}

/// Moves these messages, wherever they are queued, from one of the states `from` by `to`.
///
/// A batch that moves as a whole keeps its id; otherwise the moving part leaves it as a batch of
/// its own. Messages in another state stay: something else happened to them while the caller was
/// waiting for a network. Gives back those that moved, in the order of their batches.
pub fn shift(
    tx: &mut Tx<'_>,
    direction: Direction,
    ids: &[MessageId],
    from: &[State],
    to: &Move,
    now: UnixMillis,
) -> Result<Vec<MessageId>, SpoolError> {
    let mut moved = Vec::new();
    for (batch, positions) in places(tx, direction, ids)? {
        let Some(held) = tx.batch(direction, batch)? else { continue };
        if !from.contains(&held.state) {
            continue;
        }
        moved.extend(positions.iter().map(|position| held.items[*position].id));
        let change = Change {
            state: to.state.unwrap_or(held.state),
            due: to.due,
            attempts: to.attempts,
            reply: to.reply.clone(),
        };
        tx.split(direction, batch, &positions, change, now)?;
    }
    Ok(moved)
}

/// Takes these messages out of the queue.
pub fn remove(
    tx: &mut Tx<'_>,
    direction: Direction,
    ids: &[MessageId],
    now: UnixMillis,
) -> Result<(), SpoolError> {
    for (batch, positions) in places(tx, direction, ids)? {
        let Some(held) = tx.batch(direction, batch)? else { continue };
        let part = tx.split(direction, batch, &positions, held.change(), now)?;
        tx.remove(direction, part)?;
    }
    Ok(())
}

/// Where messages are queued: batch by batch, positions ascending. Those that are not are left out.
fn places(
    tx: &Tx<'_>,
    direction: Direction,
    ids: &[MessageId],
) -> Result<BTreeMap<BatchId, Vec<usize>>, SpoolError> {
    let mut places: BTreeMap<BatchId, Vec<usize>> = BTreeMap::new();
    for id in ids {
        if let Some((batch, position)) = tx.find(direction, id)? {
            places.entry(batch).or_default().push(position);
        }
    }
    for positions in places.values_mut() {
        positions.sort_unstable();
        positions.dedup();
    }
    Ok(places)
}

/// A move to a state that waits until `due`, or for an event if there is none.
#[must_use]
pub fn to(state: State, due: Option<UnixMillis>, reply: Option<Reply>) -> Move {
    Move { state: Some(state), due, attempts: 0, reply }
}
