//! What is due, in the order in which it became due, for each peer and state by itself.
//!
//! The order is kept for each (peer, state), so that what is due for one destination is found
//! without passing over another's backlog: a dead chain with a million batches costs a living one
//! nothing.

use distpos_proto::{chain::ChainId, time::UnixMillis};

use crate::{
    error::SpoolError,
    queue::{Batch, BatchId, Direction, State, counts},
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
        (peer, state): (ChainId, State),
        now: UnixMillis,
        batches_max: usize,
        bytes_max: u64,
    ) -> Result<Vec<Batch>, SpoolError> {
        let table = Table::Due(direction);
        let group = counts::key(peer, state);
        let span = Span::through(&group, &[&group[..], &now.0.to_be_bytes()].concat());
        let mut due = Vec::new();
        let mut bytes: u64 = 0;
        for (key, _) in self.rows(table, &span, Order::Ascending, batches_max)? {
            let id = BatchId(row::number_at(table, &key, GROUP + 8)?);
            let batch = self.batch_of(direction, id)?;
            bytes = bytes.saturating_add(batch.bytes());
            if bytes > bytes_max && !due.is_empty() {
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
}
