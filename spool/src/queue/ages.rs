//! Batches of each peer in the order in which their messages came: how long the oldest has waited,
//! and whom to tell that it takes long.

use distpos_proto::{chain::ChainId, time::UnixMillis};

use crate::{
    error::SpoolError,
    queue::{BatchId, Direction, rows::StateRow},
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Length of the peer's part of a key.
const PEER: usize = 16;

impl Tx<'_> {
    /// Batches of a peer whose messages came within a time, the oldest first: from `from`
    /// (included) to `to` (included), behind the place `after` if one is given; at most `limit`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn by_age(
        &self,
        direction: Direction,
        peer: ChainId,
        (from, to): (UnixMillis, UnixMillis),
        after: Option<(UnixMillis, BatchId)>,
        limit: usize,
    ) -> Result<Vec<(UnixMillis, BatchId)>, SpoolError> {
        let table = Table::Ages(direction);
        let peer = row::chain_key(peer);
        let at = |time: UnixMillis| [&peer[..], &time.0.to_be_bytes()].concat();
        let first = match after {
            // No key is longer, so nothing lies between it and the same one with a byte behind it.
            Some((time, batch)) => [&at(time)[..], &batch.0.to_be_bytes(), &[0]].concat(),
            None => at(from),
        };
        let rows = self.rows(table, &Span::through(&first, &at(to)), Order::Ascending, limit)?;
        let place = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let time = UnixMillis(row::number_at(table, key, PEER)?);
            Ok((time, BatchId(row::number_at(table, key, PEER + 8)?)))
        };
        rows.iter().map(place).collect()
    }

    /// When the oldest message of a peer came that is in the queue.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn oldest(
        &self,
        direction: Direction,
        peer: ChainId,
    ) -> Result<Option<UnixMillis>, SpoolError> {
        let ever = (UnixMillis(0), UnixMillis(u64::MAX));
        Ok(self.by_age(direction, peer, ever, None, 1)?.first().map(|(time, _)| *time))
    }

    /// Keeps the order by age in step with a state row.
    pub(crate) fn set_age(
        &mut self,
        direction: Direction,
        batch: BatchId,
        before: Option<&StateRow>,
        after: Option<&StateRow>,
    ) {
        let key = |row: &StateRow| {
            let (peer, created) = (row::chain_key(row.peer), row.created.0.to_be_bytes());
            [&peer[..], &created, &batch.0.to_be_bytes()].concat()
        };
        let (before, after) = (before.map(key), after.map(key));
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.unset(Table::Ages(direction), &before);
        }
        if let Some(after) = after {
            self.set(Table::Ages(direction), &after, Vec::new());
        }
    }
}
