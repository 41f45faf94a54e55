//! Messages of a batch that fare differently leave it.

use distpos_proto::time::UnixMillis;

use crate::{
    error::SpoolError,
    queue::{
        BatchId, Change, Direction,
        bodies::{body, lay_out},
        rows::{ItemsRow, StoredItem},
    },
    store::Table,
    transaction::Tx,
};

impl Tx<'_> {
    /// Moves the messages at these positions into a batch of their own, with `change` made to it;
    /// the others stay as they are. If it is all of them, the batch itself is changed and keeps its
    /// number. Positions may come in any order; the new batch has them in the old batch's order.
    ///
    /// # Errors
    /// [`SpoolError::Absent`] if there is no such batch, [`SpoolError::Batch`] if there is no
    /// message at a position, or no position.
    pub fn split(
        &mut self,
        direction: Direction,
        batch: BatchId,
        positions: &[usize],
        change: Change,
        now: UnixMillis,
    ) -> Result<BatchId, SpoolError> {
        let before = self.state_row_of(direction, batch)?;
        let items = self.items_row_of(direction, batch)?;
        check(positions, items.items.len())?;
        let bodies = self.bodies(direction, batch, &items)?;
        let ItemsRow { stored_bytes, items } = items;
        let (leaving, staying) = partition(items, positions);
        if staying.is_empty() {
            self.update(direction, batch, change, now)?;
            return Ok(batch);
        }
        let mut apart = before.clone();
        apart.messages = leaving.len() as u64;
        apart.apply(change, now);
        let (apart_items, apart_bodies) = copy(direction, &leaving, &bodies)?;

        let mut rest = before.clone();
        rest.messages = staying.len() as u64;
        self.set_state_row(direction, batch, Some(&before), Some(&rest))?;
        let rest_items = self.shrink(direction, batch, stored_bytes, staying, &bodies)?;
        self.set_items_row(direction, batch, &rest_items);
        self.add_batch(direction, &apart, &apart_items, &apart_bodies)
    }

    /// Leaves the bodies of what has left where they are, as rewriting the rest would cost more
    /// than they do; once they are more than half of all, the rest is rewritten.
    fn shrink(
        &mut self,
        direction: Direction,
        batch: BatchId,
        stored_bytes: u64,
        staying: Vec<StoredItem>,
        bodies: &[u8],
    ) -> Result<ItemsRow, SpoolError> {
        let live: u64 = staying.iter().map(|stored| u64::from(stored.item.bytes)).sum();
        if live >= stored_bytes / 2 {
            return Ok(ItemsRow { stored_bytes, items: staying });
        }
        let (items, rest) = copy(direction, &staying, bodies)?;
        self.unset_bodies(direction, batch, stored_bytes);
        self.set_bodies(direction, batch, &rest);
        Ok(items)
    }
}

fn check(positions: &[usize], length: usize) -> Result<(), SpoolError> {
    let found = match positions.iter().find(|position| **position >= length) {
        Some(position) => format!("no message at position {position}"),
        None if positions.is_empty() => "no position to split at".to_owned(),
        None => return Ok(()),
    };
    Err(SpoolError::Batch { found, expected: format!("positions below {length}") })
}

fn partition(items: Vec<StoredItem>, positions: &[usize]) -> (Vec<StoredItem>, Vec<StoredItem>) {
    let mut leaves = vec![false; items.len()];
    for position in positions {
        leaves[*position] = true;
    }
    let (leaving, staying): (Vec<_>, Vec<_>) =
        items.into_iter().zip(leaves).partition(|(_, leaves)| *leaves);
    let items = |part: Vec<(StoredItem, bool)>| part.into_iter().map(|(item, _)| item).collect();
    (items(leaving), items(staying))
}

fn copy(
    direction: Direction,
    items: &[StoredItem],
    bodies: &[u8],
) -> Result<(ItemsRow, Vec<u8>), SpoolError> {
    let table = Table::Bodies(direction);
    let parts = items
        .iter()
        .map(|stored| Ok((stored.item.clone(), body(table, stored, bodies)?)))
        .collect::<Result<Vec<_>, SpoolError>>()?;
    Ok(lay_out(parts))
}
