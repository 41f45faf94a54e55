//! A batch comes in, changes, and goes.

use std::collections::BTreeSet;

use distpos_proto::{
    chain::Height,
    envelope::Envelope,
    time::UnixMillis,
    wire::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX},
};

use crate::{
    error::SpoolError,
    queue::{
        BatchId, Change, Direction, Item, NewBatch,
        bodies::lay_out,
        rows::{ItemsRow, StateRow, batch_key},
    },
    row,
    store::Table,
    transaction::Tx,
};

impl Tx<'_> {
    /// Puts a batch into the queue.
    ///
    /// # Errors
    /// [`SpoolError::Batch`] if it is out of its bounds, [`SpoolError::Duplicate`] if one of its
    /// messages is in this queue already.
    pub fn put(&mut self, batch: NewBatch, now: UnixMillis) -> Result<BatchId, SpoolError> {
        check(&batch)?;
        let NewBatch { direction, peer, height, state, due, messages } = batch;
        for envelope in &messages {
            let id = envelope.message.id();
            if self.get(Table::Ids(direction), &id.0)?.is_some() {
                return Err(SpoolError::Duplicate { direction, id });
            }
        }
        let state = StateRow {
            peer,
            height,
            state,
            due,
            attempts: 0,
            since: now,
            created: now,
            reply: None,
            messages: messages.len() as u64,
            history: vec![(state, now)],
        };
        let items = messages.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        let bytes = messages.iter().map(|envelope| envelope.message.bytes());
        let (items, bodies) = lay_out(items.into_iter().zip(bytes));
        self.add_batch(direction, &state, &items, &bodies)
    }

    /// Changes a batch; its due entry, counters and history follow.
    ///
    /// # Errors
    /// [`SpoolError::Absent`] if there is no such batch.
    pub fn update(
        &mut self,
        direction: Direction,
        batch: BatchId,
        change: Change,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let before = self.state_row_of(direction, batch)?;
        let mut after = before.clone();
        after.apply(change, now);
        self.set_state_row(direction, batch, Some(&before), Some(&after))
    }

    /// Takes a batch out of the queue, with everything that belongs to it.
    ///
    /// # Errors
    /// [`SpoolError::Absent`] if there is no such batch.
    pub fn remove(&mut self, direction: Direction, batch: BatchId) -> Result<(), SpoolError> {
        let state = self.state_row_of(direction, batch)?;
        let items = self.items_row_of(direction, batch)?;
        for stored in &items.items {
            self.unset(Table::Ids(direction), &stored.item.id.0);
        }
        self.unset_bodies(direction, batch, items.stored_bytes);
        self.unset(Table::Items(direction), &batch_key(batch));
        self.set_state_row(direction, batch, Some(&state), None)
    }

    /// Writes a batch under the next number: its rows, bodies, ids, due entry and counters.
    pub(crate) fn add_batch(
        &mut self,
        direction: Direction,
        state: &StateRow,
        items: &ItemsRow,
        bodies: &[u8],
    ) -> Result<BatchId, SpoolError> {
        let batch = self.next_batch(direction)?;
        let pointer = row::write(1, |out| {
            out.uint(batch.0);
        });
        for stored in &items.items {
            self.set(Table::Ids(direction), &stored.item.id.0, pointer.clone());
        }
        self.set_bodies(direction, batch, bodies);
        self.set_items_row(direction, batch, items);
        self.set_state_row(direction, batch, None, Some(state))?;
        Ok(batch)
    }

    fn next_batch(&mut self, direction: Direction) -> Result<BatchId, SpoolError> {
        let key: &[u8] = match direction {
            Direction::Outbound => b"batch/outbound",
            Direction::Inbound => b"batch/inbound",
        };
        let last = match self.get(Table::Meta, key)? {
            Some(bytes) => row::read(Table::Meta, &bytes, 1, |input| input.uint("last batch"))?,
            None => 0,
        };
        let next = last.checked_add(1);
        let next = next.ok_or_else(|| row::corrupt(Table::Meta, "batch numbers are used up"))?;
        let value = row::write(1, |out| {
            out.uint(next);
        });
        self.set(Table::Meta, key, value);
        Ok(BatchId(next))
    }
}

fn item(envelope: &Envelope) -> Result<Item, SpoolError> {
    let fields = envelope.message.fields();
    let length = envelope.message.bytes().len();
    let bytes = u32::try_from(length)
        .map_err(|_| out_of_bounds(format!("a message of {length} bytes"), "less than 2^32"))?;
    Ok(Item {
        index: envelope.origin.index,
        sequence: fields.sequence,
        id: envelope.message.id(),
        expires: fields.expires,
        bytes,
        amount: envelope.message.amount(),
    })
}

/// The order of checks: number, size, block, peer, one place for each message.
fn check(batch: &NewBatch) -> Result<(), SpoolError> {
    let messages = &batch.messages;
    if !(1..=BATCH_MESSAGES_MAX).contains(&messages.len()) {
        let found = format!("{} messages", messages.len());
        return Err(out_of_bounds(found, format!("1 to {BATCH_MESSAGES_MAX}")));
    }
    let bytes: usize = messages.iter().map(|envelope| envelope.message.bytes().len()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(out_of_bounds(format!("{bytes} bytes"), format!("at most {BATCH_BYTES_MAX}")));
    }
    check_height(messages, batch.height)?;
    check_peer(batch)?;
    let mut ids = BTreeSet::new();
    match messages.iter().map(|envelope| envelope.message.id()).find(|id| !ids.insert(*id)) {
        Some(id) => Err(SpoolError::Duplicate { direction: batch.direction, id }),
        None => Ok(()),
    }
}

fn check_height(messages: &[Envelope], height: Height) -> Result<(), SpoolError> {
    match messages.iter().find(|envelope| envelope.origin.height != height) {
        Some(other) => {
            let found = format!("a message of block {}", other.origin.height);
            Err(out_of_bounds(found, format!("block {height}")))
        }
        None => Ok(()),
    }
}

fn check_peer(batch: &NewBatch) -> Result<(), SpoolError> {
    let peer = |envelope: &Envelope| match batch.direction {
        Direction::Outbound => envelope.message.fields().destination,
        Direction::Inbound => envelope.message.fields().source,
    };
    match batch.messages.iter().map(peer).find(|peer| *peer != batch.peer) {
        Some(other) => {
            let found = format!("a message whose peer is chain {other}");
            Err(out_of_bounds(found, format!("chain {}", batch.peer)))
        }
        None => Ok(()),
    }
}

fn out_of_bounds(found: impl Into<String>, expected: impl Into<String>) -> SpoolError {
    SpoolError::Batch { found: found.into(), expected: expected.into() }
}
