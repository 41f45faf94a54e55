//! The queue's rows: a batch's state, its items, and keys.

use distpos_proto::{
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    code::Reply,
    message::MessageId,
    time::{UnixMillis, UnixSeconds},
    wire::BATCH_MESSAGES_MAX,
};

use crate::{
    error::SpoolError,
    queue::{Batch, BatchId, Change, Direction, HISTORY_MAX, Item, State, counts},
    row,
    store::Table,
    transaction::Tx,
};

/// The row that changes often: small.
#[derive(Debug, Clone)]
pub(crate) struct StateRow {
    pub(crate) peer: ChainId,
    pub(crate) height: Height,
    pub(crate) state: State,
    pub(crate) due: Option<UnixMillis>,
    pub(crate) attempts: u32,
    pub(crate) since: UnixMillis,
    pub(crate) created: UnixMillis,
    pub(crate) reply: Option<Reply>,
    /// How many messages: what the counters count.
    pub(crate) messages: u64,
    pub(crate) history: Vec<(State, UnixMillis)>,
}

/// The row that changes at a split only.
#[derive(Debug, Clone)]
pub(crate) struct ItemsRow {
    /// Length of the stored bodies, with those of messages that have left.
    pub(crate) stored_bytes: u64,
    pub(crate) items: Vec<StoredItem>,
}

/// An item, and where its body starts in the batch's bodies.
#[derive(Debug, Clone)]
pub(crate) struct StoredItem {
    pub(crate) offset: u64,
    pub(crate) item: Item,
}

impl StateRow {
    const FIELDS: usize = 10;

    fn bytes(&self) -> Vec<u8> {
        row::write(Self::FIELDS, |out| {
            out.bytes(&row::chain_key(self.peer)).uint(self.height.0);
            row::write_state(self.state, out);
            row::write_option(self.due, out, |due, out| {
                out.uint(due.0);
            });
            out.uint(self.attempts.into()).uint(self.since.0).uint(self.created.0);
            row::write_option(self.reply.as_ref(), out, row::write_reply);
            out.uint(self.messages);
            row::write_history(&self.history, out);
        })
    }

    pub(crate) fn read(table: Table, bytes: &[u8]) -> Result<Self, SpoolError> {
        row::read(table, bytes, Self::FIELDS, |input| {
            Ok(Self {
                peer: row::read_chain(input)?,
                height: Height(input.uint("height")?),
                state: row::read_state(input)?,
                due: row::read_option(input, "due", |input| input.uint("due").map(UnixMillis))?,
                attempts: input.uint32("attempts")?,
                since: UnixMillis(input.uint("since")?),
                created: UnixMillis(input.uint("created")?),
                reply: row::read_option(input, "reply", row::read_reply)?,
                messages: input.uint("messages")?,
                history: row::read_history(input)?,
            })
        })
    }

    /// Sets what `change` says; a new state starts a new entry of the history.
    pub(crate) fn apply(&mut self, change: Change, now: UnixMillis) {
        let Change { state, due, attempts, reply } = change;
        if state != self.state {
            self.since = now;
            self.history.push((state, now));
            if self.history.len() > HISTORY_MAX {
                // The first entry says how it came in; the newest matter most of the others.
                self.history.remove(1);
            }
        }
        (self.state, self.due, self.attempts, self.reply) = (state, due, attempts, reply);
    }
}

impl ItemsRow {
    fn bytes(&self) -> Vec<u8> {
        row::write(2, |out| {
            out.uint(self.stored_bytes).array(self.items.len());
            for item in &self.items {
                item.write(out);
            }
        })
    }

    fn read(table: Table, bytes: &[u8]) -> Result<Self, SpoolError> {
        row::read(table, bytes, 2, |input| {
            let stored_bytes = input.uint("stored_bytes")?;
            let length = input.array("items", BATCH_MESSAGES_MAX)?;
            let items = (0..length).map(|_| StoredItem::read(input)).collect::<Result<_, _>>()?;
            Ok(Self { stored_bytes, items })
        })
    }
}

impl StoredItem {
    const FIELDS: usize = 7;

    fn write(&self, out: &mut Writer) {
        let Item { index, sequence, id, expires, bytes, amount } = &self.item;
        out.array(Self::FIELDS).uint(self.offset).uint((*index).into()).uint(*sequence);
        out.bytes(&id.0).uint(expires.0).uint((*bytes).into()).bytes(&amount.to_minimal_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        if input.array("item", Self::FIELDS)? != Self::FIELDS {
            return Err(CborError { field: "item", expected: "its 7 fields" });
        }
        let offset = input.uint("item offset")?;
        let index = input.uint32("item index")?;
        let sequence = input.uint("item sequence")?;
        let id = MessageId(input.fixed("item id")?);
        let expires = UnixSeconds(input.uint("item expires")?);
        let bytes = input.uint32("item bytes")?;
        let amount = Amount::from_minimal_bytes(input.bytes("item amount", 32)?)
            .map_err(|_| CborError { field: "item amount", expected: "its shortest form" })?;
        Ok(Self { offset, item: Item { index, sequence, id, expires, bytes, amount } })
    }
}

/// The key of a batch's rows.
pub(crate) fn batch_key(batch: BatchId) -> [u8; 8] {
    batch.0.to_be_bytes()
}

/// The key in the due order: peer and state, then time, then number.
pub(crate) fn due_key((group, due): ([u8; 17], UnixMillis), batch: BatchId) -> Vec<u8> {
    [&group[..], &due.0.to_be_bytes(), &batch.0.to_be_bytes()].concat()
}

/// The batch that both of its rows describe.
pub(crate) fn join(direction: Direction, id: BatchId, state: StateRow, items: ItemsRow) -> Batch {
    Batch {
        id,
        direction,
        peer: state.peer,
        height: state.height,
        state: state.state,
        due: state.due,
        attempts: state.attempts,
        since: state.since,
        created: state.created,
        reply: state.reply,
        items: items.items.into_iter().map(|stored| stored.item).collect(),
        history: state.history,
    }
}

impl Tx<'_> {
    pub(crate) fn state_row(
        &self,
        direction: Direction,
        batch: BatchId,
    ) -> Result<Option<StateRow>, SpoolError> {
        let table = Table::Batches(direction);
        let bytes = self.get(table, &batch_key(batch))?;
        bytes.map(|bytes| StateRow::read(table, &bytes)).transpose()
    }

    /// The state row of a batch that the caller says is there.
    pub(crate) fn state_row_of(
        &self,
        direction: Direction,
        batch: BatchId,
    ) -> Result<StateRow, SpoolError> {
        self.state_row(direction, batch)?.ok_or(SpoolError::Absent { direction, batch })
    }

    /// The items row of a batch that has a state row.
    pub(crate) fn items_row_of(
        &self,
        direction: Direction,
        batch: BatchId,
    ) -> Result<ItemsRow, SpoolError> {
        let table = Table::Items(direction);
        match self.get(table, &batch_key(batch))? {
            Some(bytes) => ItemsRow::read(table, &bytes),
            None => Err(row::corrupt(table, format!("batch {batch} has no items"))),
        }
    }

    /// Writes a state row, and keeps counters, due order and ages in step with it. `before` is what the
    /// row was; both none together never happens.
    pub(crate) fn set_state_row(
        &mut self,
        direction: Direction,
        batch: BatchId,
        before: Option<&StateRow>,
        after: Option<&StateRow>,
    ) -> Result<(), SpoolError> {
        let counted = |row: &StateRow| (row.peer, row.state, row.messages);
        let (old, new) = (before.map(counted), after.map(counted));
        if old != new {
            self.count_out(direction, old)?;
            self.count_in(direction, new)?;
        }
        let due = |row: Option<&StateRow>| {
            row.and_then(|row| Some((counts::key(row.peer, row.state), row.due?)))
        };
        if due(before) != due(after) {
            if let Some(due) = due(before) {
                self.unset(Table::Due(direction), &due_key(due, batch));
            }
            if let Some(due) = due(after) {
                self.set(Table::Due(direction), &due_key(due, batch), Vec::new());
            }
        }
        self.set_age(direction, batch, before, after);
        let (table, key) = (Table::Batches(direction), batch_key(batch));
        match after {
            Some(row) => self.set(table, &key, row.bytes()),
            None => self.unset(table, &key),
        }
        Ok(())
    }

    pub(crate) fn set_items_row(&mut self, direction: Direction, batch: BatchId, row: &ItemsRow) {
        self.set(Table::Items(direction), &batch_key(batch), row.bytes());
    }
}
