//! Messages' bytes: one after the other, cut into rows, written once.

use distpos_proto::{
    chain::Height,
    envelope::{Envelope, Origin},
    message::Message,
};

use crate::{
    error::SpoolError,
    queue::{
        BatchId, Direction,
        rows::{ItemsRow, StoredItem},
    },
    row,
    store::Table,
    transaction::Tx,
};

/// Longest row. An engine that rounds large values up to a power of two of pages (redb) then takes
/// 64 KiB for it, headers included, and not 128.
const PART_BYTES_MAX: usize = 65_472;

impl Tx<'_> {
    /// The messages of a batch, in the order of its items; none if there is no such batch.
    ///
    /// # Errors
    /// [`SpoolError::Corrupt`] if a body is not the message its item names.
    pub fn messages(
        &self,
        direction: Direction,
        batch: BatchId,
    ) -> Result<Vec<Envelope>, SpoolError> {
        let Some(state) = self.state_row(direction, batch)? else { return Ok(Vec::new()) };
        let items = self.items_row_of(direction, batch)?;
        let bodies = self.bodies(direction, batch, &items)?;
        let table = Table::Bodies(direction);
        items.items.iter().map(|item| envelope(table, state.height, item, &bodies)).collect()
    }

    /// All of a batch's bodies, with those of messages that have left it.
    pub(crate) fn bodies(
        &self,
        direction: Direction,
        batch: BatchId,
        items: &ItemsRow,
    ) -> Result<Vec<u8>, SpoolError> {
        let table = Table::Bodies(direction);
        let mut bodies = Vec::new();
        for part in 0..parts(items.stored_bytes) {
            match self.get(table, &part_key(batch, part))? {
                Some(bytes) => bodies.extend_from_slice(&bytes),
                None => {
                    let what = format!("batch {batch} has no part {part}");
                    return Err(row::corrupt(table, what));
                }
            }
        }
        Ok(bodies)
    }

    pub(crate) fn set_bodies(&mut self, direction: Direction, batch: BatchId, bodies: &[u8]) {
        for (part, bytes) in (0u32..).zip(bodies.chunks(PART_BYTES_MAX)) {
            self.set(Table::Bodies(direction), &part_key(batch, part), bytes.to_vec());
        }
    }

    pub(crate) fn unset_bodies(&mut self, direction: Direction, batch: BatchId, stored_bytes: u64) {
        for part in 0..parts(stored_bytes) {
            self.unset(Table::Bodies(direction), &part_key(batch, part));
        }
    }
}

/// Puts bodies behind each other and says where each starts.
pub(crate) fn lay_out<'b>(
    items: impl IntoIterator<Item = (crate::queue::Item, &'b [u8])>,
) -> (ItemsRow, Vec<u8>) {
    let mut bodies = Vec::new();
    let items = items
        .into_iter()
        .map(|(item, bytes)| {
            let offset = bodies.len() as u64;
            bodies.extend_from_slice(bytes);
            StoredItem { offset, item }
        })
        .collect();
    (ItemsRow { stored_bytes: bodies.len() as u64, items }, bodies)
}

/// The bytes of one item in its batch's bodies.
pub(crate) fn body<'b>(
    table: Table,
    stored: &StoredItem,
    bodies: &'b [u8],
) -> Result<&'b [u8], SpoolError> {
    let slice = || {
        let from = usize::try_from(stored.offset).ok()?;
        let to = from.checked_add(usize::try_from(stored.item.bytes).ok()?)?;
        bodies.get(from..to)
    };
    slice().ok_or_else(|| row::corrupt(table, format!("message {} is cut off", stored.item.id)))
}

fn envelope(
    table: Table,
    height: Height,
    stored: &StoredItem,
    bodies: &[u8],
) -> Result<Envelope, SpoolError> {
    let id = stored.item.id;
    let message = Message::from_bytes(body(table, stored, bodies)?)
        .map_err(|error| row::corrupt(table, format!("message {id}: {error}")))?;
    if message.id() != id {
        return Err(row::corrupt(table, format!("found message {}, expected {id}", message.id())));
    }
    Ok(Envelope { message, origin: Origin { height, index: stored.item.index } })
}

fn parts(stored_bytes: u64) -> u32 {
    // A corrupt length ends at the first part that is missing, whatever it is cut to here.
    u32::try_from(stored_bytes.div_ceil(PART_BYTES_MAX as u64)).unwrap_or(u32::MAX)
}

fn part_key(batch: BatchId, part: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&batch.0.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}
