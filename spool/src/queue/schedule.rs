//! What is due, in the order in which it became due, for each peer and state by itself.
//!
//! The order is kept for each (peer, state), so that what is due for one destination is found
//! without passing over another's backlog: a dead chain with a million batches costs a living one
//! nothing.

use std::collections::BTreeSet;

use distpos_proto::{chain::ChainId, code::Reply, time::UnixMillis};

use crate::{
    error::SpoolError,
    queue::{Batch, BatchId, Direction, State, counts, rows::due_key},
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Length of the peer's and the state's part of a key.
const GROUP: usize = 17;

impl Tx<'_> {
    /// Which batches of one peer in one state are due at `now`: ascending by due time, then by
    /// number; at most `batches_max`, and no further batch once `bytes_max` are passed. The first
    /// is returned whatever its size.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn due(
        &self,
        direction: Direction,
        group: (ChainId, State),
        now: UnixMillis,
        batches_max: usize,
        bytes_max: u64,
    ) -> Result<Vec<Batch>, SpoolError> {
        self.due_beside(direction, group, now, (batches_max, bytes_max), &BTreeSet::new())
    }

    /// [`Tx::due`] without those that are being worked on.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn due_beside(
        &self,
        direction: Direction,
        (peer, state): (ChainId, State),
        now: UnixMillis,
        (batches_max, bytes_max): (usize, u64),
        under_way: &BTreeSet<BatchId>,
    ) -> Result<Vec<Batch>, SpoolError> {
        let table = Table::Due(direction);
        let group = counts::key(peer, state);
        let span = Span::through(&group, &[&group[..], &now.0.to_be_bytes()].concat());
        let (mut due, mut bytes): (Vec<Batch>, u64) = (Vec::new(), 0);
        let rows_max = batches_max.saturating_add(under_way.len());
        for (key, _) in self.rows(table, &span, Order::Ascending, rows_max)? {
            let id = BatchId(row::number_at(table, &key, GROUP + 8)?);
            if under_way.contains(&id) {
                continue;
            }
            let batch = self.batch_of(direction, id)?;
            bytes = bytes.saturating_add(batch.bytes());
            if due.len() == batches_max || (bytes > bytes_max && !due.is_empty()) {
                break;
            }
            due.push(batch);
        }
        Ok(due)
    }

    /// When the next batch of one peer in one state is due, be it in the past or in the future.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn next_due(
        &self,
        direction: Direction,
        (peer, state): (ChainId, State),
    ) -> Result<Option<UnixMillis>, SpoolError> {
        let table = Table::Due(direction);
        let span = Span::prefix(&counts::key(peer, state));
        let rows = self.rows(table, &span, Order::Ascending, 1)?;
        let first = rows.first().map(|(key, _)| row::number_at(table, key, GROUP));
        Ok(first.transpose()?.map(UnixMillis))
    }

    /// When the first batch of one peer in one state is due later than `now`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn next_due_after(
        &self,
        direction: Direction,
        (peer, state): (ChainId, State),
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, SpoolError> {
        let rows = self.later(direction, (peer, state), Place::all_until(now), 1)?;
        Ok(rows.first().map(|place| place.due))
    }

    /// Makes batches of one peer in one state due now that would be due later, and whose reason for
    /// waiting `applies`: of the next `batches_max` after `from` ([`Place::all_until`] now to begin
    /// with). Where to go on; none when there are no more. The others are not touched.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn hasten(
        &mut self,
        direction: Direction,
        group: (ChainId, State),
        now: UnixMillis,
        (from, batches_max): (Place, usize),
        applies: impl Fn(Option<&Reply>) -> bool,
    ) -> Result<Option<Place>, SpoolError> {
        let places = self.later(direction, group, from, batches_max)?;
        for place in &places {
            let before = self.state_row_of(direction, place.batch)?;
            if applies(before.reply.as_ref()) {
                let mut after = before.clone();
                after.due = Some(now);
                self.set_state_row(direction, place.batch, Some(&before), Some(&after))?;
            }
        }
        Ok(places.last().copied().filter(|_| places.len() == batches_max))
    }

    /// The first places of one peer and state behind another one.
    fn later(
        &self,
        direction: Direction,
        (peer, state): (ChainId, State),
        Place { due, batch }: Place,
        limit: usize,
    ) -> Result<Vec<Place>, SpoolError> {
        let (table, group) = (Table::Due(direction), counts::key(peer, state));
        let behind = due_key((group, due), batch);
        let span = Span::through(&[&behind[..], &[0]].concat(), &group);
        let rows = self.rows(table, &span, Order::Ascending, limit)?;
        let place = |key: &[u8]| {
            let due = UnixMillis(row::number_at(table, key, GROUP)?);
            Ok(Place { due, batch: BatchId(row::number_at(table, key, GROUP + 8)?) })
        };
        rows.iter().map(|(key, _)| place(key)).collect()
    }
}

/// A place in the due order of one peer and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    due: UnixMillis,
    batch: BatchId,
}

impl Place {
    /// The place behind everything that is due at `time` or before.
    #[must_use]
    pub fn all_until(time: UnixMillis) -> Self {
        Self { due: time, batch: BatchId(u64::MAX) }
    }
}
