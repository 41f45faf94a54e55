//! Looking through the queue without reading what its batches hold.

use distpos_proto::{
    chain::{ChainId, Height},
    code::Reply,
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    queue::{
        BatchId, Direction, State,
        rows::{StateRow, batch_key},
    },
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// A batch without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub id: BatchId,
    /// The other chain.
    pub peer: ChainId,
    /// The source block.
    pub height: Height,
    /// How far it has come.
    pub state: State,
    /// When something is to be done; none while it waits for an event.
    pub due: Option<UnixMillis>,
    /// How often the present step was tried.
    pub attempts: u32,
    /// When it came into this state.
    pub since: UnixMillis,
    /// When its messages came into this spool.
    pub created: UnixMillis,
    /// Why it is not further, if a reason was given.
    pub reply: Option<Reply>,
    /// How many messages it has.
    pub messages: u64,
}

impl Tx<'_> {
    /// Batches in the order of their numbers, from the one above `after`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn lines(
        &self,
        direction: Direction,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Line>, SpoolError> {
        let table = Table::Batches(direction);
        let span = after.map_or_else(Span::all, |after| Span::after(&batch_key(after)));
        let rows = self.rows(table, &span, Order::Ascending, limit)?;
        let line = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let id = BatchId(row::number_at(table, key, 0)?);
            Ok(line(id, StateRow::read(table, value)?))
        };
        rows.iter().map(line).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn line(&self, direction: Direction, id: BatchId) -> Result<Option<Line>, SpoolError> {
        Ok(self.state_row(direction, id)?.map(|row| line(id, row)))
    }

    /// The number of the newest batch in the queue.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn newest(&self, direction: Direction) -> Result<Option<BatchId>, SpoolError> {
        let table = Table::Batches(direction);
        let rows = self.rows(table, &Span::all(), Order::Descending, 1)?;
        rows.first().map(|(key, _)| row::number_at(table, key, 0).map(BatchId)).transpose()
    }
}

fn line(id: BatchId, row: StateRow) -> Line {
    let StateRow { peer, height, state, due, attempts, since, created, reply, messages, .. } = row;
    Line { id, peer, height, state, due, attempts, since, created, reply, messages }
}
