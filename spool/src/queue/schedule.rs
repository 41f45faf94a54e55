//! What is due, in the order in which it became due.

use distpos_proto::{chain::ChainId, time::UnixMillis};

use crate::{
    error::SpoolError,
    queue::{Batch, BatchId, Direction, State},
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
    /// What is due at `now`: ascending by due time, then by number; at most `batches_max`, and no
    /// further batch once `bytes_max` are passed. The first is returned whatever its size.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn due(
        &self,
        direction: Direction,
        now: UnixMillis,
        batches_max: usize,
        bytes_max: u64,
    ) -> Result<Vec<Batch>, SpoolError> {
        let table = Table::Due(direction);
        let span = Span::through(&[], &now.0.to_be_bytes());
        let mut due = Vec::new();
        let mut bytes: u64 = 0;
        for (key, _) in self.rows(table, &span, Order::Ascending, batches_max)? {
            let batch = self.batch_of(direction, BatchId(row::number_at(table, &key, 8)?))?;
            bytes = bytes.saturating_add(batch.bytes());
            if bytes > bytes_max && !due.is_empty() {
                break;
            }
            due.push(batch);
        }
        Ok(due)
    }

    /// What is due at `now` and wanted, in the order of [`Self::due`]. `wanted` is told the state,
    /// the peer and the number of messages of each batch in turn; at most `looked_at_max` batches
    /// are looked at, so a longer backlog of what is not wanted hides what comes after it.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn due_where(
        &self,
        direction: Direction,
        now: UnixMillis,
        looked_at_max: usize,
        mut wanted: impl FnMut(State, ChainId, u64) -> bool,
    ) -> Result<Vec<Batch>, SpoolError> {
        let table = Table::Due(direction);
        let span = Span::through(&[], &now.0.to_be_bytes());
        let mut due = Vec::new();
        for (key, _) in self.rows(table, &span, Order::Ascending, looked_at_max)? {
            let id = BatchId(row::number_at(table, &key, 8)?);
            let state = self.state_row_of(direction, id)?;
            if wanted(state.state, state.peer, state.messages) {
                due.push(self.batch_of(direction, id)?);
            }
        }
        Ok(due)
    }

    /// When the next batch becomes due after `now`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn next_due_after(
        &self,
        direction: Direction,
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, SpoolError> {
        let table = Table::Due(direction);
        let last = [now.0.to_be_bytes(), u64::MAX.to_be_bytes()].concat();
        let span = Span::after(&last);
        let rows = self.rows(table, &span, Order::Ascending, 1)?;
        let first = rows.first().map(|(key, _)| row::number_at(table, key, 0));
        Ok(first.transpose()?.map(UnixMillis))
    }

    /// When the next batch is due, be it in the past or in the future.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn next_due(&self, direction: Direction) -> Result<Option<UnixMillis>, SpoolError> {
        let table = Table::Due(direction);
        let rows = self.rows(table, &Span::all(), Order::Ascending, 1)?;
        let first = rows.first().map(|(key, _)| row::number_at(table, key, 0));
        Ok(first.transpose()?.map(UnixMillis))
    }
}
