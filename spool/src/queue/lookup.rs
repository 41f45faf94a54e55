//! Batches by number and messages by id.

use distpos_proto::message::MessageId;

use crate::{
    error::SpoolError,
    queue::{
        Batch, BatchId, Direction,
        rows::{batch_key, join},
    },
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
    /// A batch by its number.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn batch(&self, direction: Direction, id: BatchId) -> Result<Option<Batch>, SpoolError> {
        let Some(state) = self.state_row(direction, id)? else { return Ok(None) };
        let items = self.items_row_of(direction, id)?;
        let counted = items.items.len() as u64;
        if counted != state.messages || counted == 0 {
            let what = format!("batch {id} lists {counted} messages, counts {}", state.messages);
            return Err(row::corrupt(Table::Items(direction), what));
        }
        Ok(Some(join(direction, id, state, items)))
    }

    /// Where a message is: its batch, and its position among the items.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn find(
        &self,
        direction: Direction,
        id: &MessageId,
    ) -> Result<Option<(BatchId, usize)>, SpoolError> {
        let table = Table::Ids(direction);
        let Some(bytes) = self.get(table, &id.0)? else { return Ok(None) };
        let batch = BatchId(row::read(table, &bytes, 1, |input| input.uint("batch"))?);
        let items = self.items_row_of(direction, batch)?;
        match items.items.iter().position(|stored| stored.item.id == *id) {
            Some(position) => Ok(Some((batch, position))),
            None => Err(row::corrupt(table, format!("message {id} is not in batch {batch}"))),
        }
    }

    /// Batches in the order of their numbers, from the one above `after`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn batches(
        &self,
        direction: Direction,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, SpoolError> {
        let table = Table::Batches(direction);
        let span = after.map_or_else(Span::all, |after| Span::after(&batch_key(after)));
        let rows = self.rows(table, &span, Order::Ascending, limit)?;
        let ids = rows.iter().map(|(key, _)| row::number_at(table, key, 0).map(BatchId));
        ids.map(|id| self.batch_of(direction, id?)).collect()
    }

    /// A batch that another row names.
    pub(crate) fn batch_of(
        &self,
        direction: Direction,
        batch: BatchId,
    ) -> Result<Batch, SpoolError> {
        self.batch(direction, batch)?.ok_or_else(|| {
            row::corrupt(Table::Batches(direction), format!("batch {batch} is missing"))
        })
    }
}
