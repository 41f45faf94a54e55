//! What a crash left between the decision and its submission is judged again at the next start.
//!
//! The decision is on disk before anything is submitted, with the watchdog's due time; a process
//! that dies in between leaves a message for which nobody does anything until then.

use distpos_proto::time::UnixMillis;
use distpos_spool::{Direction, Spool, SpoolError, State};

use crate::transition::{shift, to};

/// Most batches of one group looked at: what is past them is left to the watchdog.
const BATCHES_MAX: usize = 1024;
/// Most bytes of messages that these may hold.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// When everything is due.
const EVER: UnixMillis = UnixMillis(u64::MAX);

/// Makes due what was decided and, as far as is known, not submitted. If it was submitted after
/// all, the chain's guard knows it.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written.
pub async fn resume(spool: &Spool, now: UnixMillis) -> Result<(), SpoolError> {
    let direction = Direction::Inbound;
    let work = move |tx: &mut distpos_spool::Tx<'_>| {
        for (peer, state) in tx.count(direction)?.into_keys() {
            if !matches!(state, State::Delivering | State::Voiding) {
                continue;
            }
            let waiting = tx.due(direction, (peer, state), EVER, BATCHES_MAX, BYTES_MAX)?;
            // Each submission counts as an attempt once it was made.
            let decided = waiting.iter().filter(|batch| batch.attempts == 0);
            let ids: Vec<_> =
                decided.flat_map(|batch| batch.items.iter().map(|item| item.id)).collect();
            shift(tx, direction, &ids, &[state], to(state, Some(now), None), now)?;
        }
        Ok(())
    };
    spool.transact(work).await
}

#[cfg(test)]
mod tests {
    use distpos_proto::{
        chain::{ChainId, Height},
        envelope::{Envelope, Origin},
    };
    use distpos_spool::NewBatch;

    use super::*;
    use crate::{inbound::deliver::waiting, testing::message};

    fn envelope(source: ChainId, sequence: u64) -> Envelope {
        let message = message(&source.to_string(), "a1", sequence, 2_000_000);
        Envelope { message, origin: Origin { height: Height(1), index: 0 } }
    }

    #[tokio::test]
    async fn what_was_decided_and_not_submitted_is_due_at_the_start() {
        let (spool, source) = (Spool::in_memory(), "b2".parse::<ChainId>().unwrap());
        let crashed = UnixMillis(1_000);
        let decided =
            [(State::Delivering, false), (State::Voiding, false), (State::Delivering, true)];
        let put = move |tx: &mut distpos_spool::Tx<'_>| {
            for (sequence, (state, submitted)) in (1..).zip(decided) {
                let envelope = envelope(source, sequence);
                let id = envelope.message.id();
                let batch = NewBatch {
                    direction: Direction::Inbound,
                    peer: source,
                    height: Height(1),
                    state: State::Claimed,
                    due: Some(crashed),
                    messages: vec![envelope],
                };
                tx.put(batch, crashed)?;
                let open = [State::Claimed, state];
                for _ in 0..1 + usize::from(submitted) {
                    let change = waiting(state, crashed, 0);
                    shift(tx, Direction::Inbound, &[id], &open, change, crashed)?;
                }
            }
            Ok::<_, SpoolError>(())
        };
        spool.transact(put).await.unwrap();
        let started = UnixMillis(2_000);
        let due = |state| {
            let due = |tx: &distpos_spool::Tx<'_>| {
                tx.due(Direction::Inbound, (source, state), started, 9, 9_999)
            };
            spool.read(due).unwrap().len()
        };
        assert_eq!((due(State::Delivering), due(State::Voiding)), (0, 0));
        resume(&spool, started).await.unwrap();
        // The third was submitted: its final event is waited for.
        assert_eq!((due(State::Delivering), due(State::Voiding)), (1, 1));
    }
}
