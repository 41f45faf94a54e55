//! Moving messages between states: the one place that does it for both pipelines.

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    code::Reply,
    message::MessageId,
    retry::{self, Cause},
    time::UnixMillis,
};
use distpos_spool::{Batch, BatchId, Change, Direction, SpoolError, State, Tx};

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

impl Move {
    /// The move that changes nothing: to be updated with what shall become different.
    #[must_use]
    pub fn stay(held: &Batch) -> Self {
        let (due, attempts, reply) = (held.due, held.attempts, held.reply.clone());
        Self { state: None, due, attempts, reply }
    }
}

/// Moves these messages, wherever they are queued, from one of the states `from` to what `to` says
/// of the batch that holds them: messages of one job share neither attempts nor ages nor expiry.
///
/// A batch that moves as a whole keeps its id; otherwise the moving part leaves it as a batch of
/// its own. Messages in another state stay: something else happened to them while the caller was
/// waiting for a network. Gives back those that moved, in the order of their batches.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn shift(
    tx: &mut Tx<'_>,
    direction: Direction,
    ids: &[MessageId],
    from: &[State],
    to: impl Fn(&Batch) -> Move,
    now: UnixMillis,
) -> Result<Vec<MessageId>, SpoolError> {
    let mut moved = Vec::new();
    for (batch, positions) in places(tx, direction, ids)? {
        let Some(held) = tx.batch(direction, batch)? else { continue };
        if !from.contains(&held.state) {
            continue;
        }
        moved.extend(positions.iter().map(|position| held.items[*position].id));
        let Move { state, due, attempts, reply } = to(&held);
        let change = Change { state: state.unwrap_or(held.state), due, attempts, reply };
        tx.split(direction, batch, &positions, change, now)?;
    }
    Ok(moved)
}

/// A move to a state that waits until `due`, or for an event if there is none.
pub fn to(state: State, due: Option<UnixMillis>, reply: Option<Reply>) -> impl Fn(&Batch) -> Move {
    move |_| Move { state: Some(state), due, attempts: 0, reply: reply.clone() }
}

/// When something that failed is tried again.
#[derive(Debug, Clone)]
pub struct Later {
    /// The time.
    pub now: UnixMillis,
    /// Any random number.
    pub jitter: u64,
    /// The reason, kept with the messages; none to leave the one they have.
    pub reply: Option<Reply>,
}

impl Later {
    /// Leaves these messages in their state until each batch's own schedule says to try again. The
    /// shortest of the waits is given back, for whoever reads the log.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn put_off(
        self,
        tx: &mut Tx<'_>,
        direction: Direction,
        ids: &[MessageId],
        from: &[State],
        cause: impl Fn(&Batch) -> Cause,
    ) -> Result<Duration, SpoolError> {
        let shortest = std::cell::Cell::new(Duration::MAX);
        let to = |held: &Batch| {
            // The attempt that has just failed counts.
            let attempts = held.attempts.saturating_add(1);
            let delay = retry::delay(cause(held), attempts, self.jitter);
            shortest.set(shortest.get().min(delay));
            Move {
                state: None,
                due: Some(self.now.after(delay)),
                attempts,
                reply: self.reply.clone().or_else(|| held.reply.clone()),
            }
        };
        let moved = shift(tx, direction, ids, from, to, self.now)?;
        Ok(if moved.is_empty() { Duration::ZERO } else { shortest.get() })
    }
}

/// Takes these messages out of the queue.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
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
