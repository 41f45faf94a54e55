//! What a group of transactions has changed and not yet committed.

use std::{array, cmp::Ordering, collections::BTreeMap, iter::Peekable};

use crate::{
    error::SpoolError,
    store::{Order, Row, Snapshot, Span, Table},
};

/// New values by key; none for a key that is removed.
pub(crate) type Changed = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The changes of a whole group, in one map a table, with a log to undo those of the transaction
/// that is running: reads see one layer over the store, however many transactions went before.
pub(crate) struct Changes {
    tables: [Changed; Table::COUNT],
    undo: Vec<Undo>,
    bytes: usize,
}

impl Default for Changes {
    fn default() -> Self {
        // Arrays of more than 32 have no default of their own.
        Self { tables: array::from_fn(|_| Changed::new()), undo: Vec::new(), bytes: 0 }
    }
}

struct Undo {
    table: Table,
    key: Vec<u8>,
    /// What the map held for the key; the outer none: nothing.
    before: Option<Option<Vec<u8>>>,
}

impl Changes {
    /// The changes of one table, by key.
    pub(crate) fn of(&self, table: Table) -> &Changed {
        &self.tables[table.index()]
    }

    /// Whether nothing would be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// How many bytes were written so far, about: what bounds a group.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets a key, or removes it.
    pub(crate) fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        let before = self.tables[table.index()].insert(key.to_vec(), value);
        self.undo.push(Undo { table, key: key.to_vec(), before });
    }

    /// Keeps what was set since the last `keep` or `undo`.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Takes back what was set since the last `keep` or `undo`.
    pub(crate) fn undo(&mut self) {
        while let Some(Undo { table, key, before }) = self.undo.pop() {
            let changed = &mut self.tables[table.index()];
            match before {
                Some(value) => changed.insert(key, value),
                None => changed.remove(&key),
            };
        }
    }

    /// The value of a key, as the running transaction sees it.
    pub(crate) fn get(
        &self,
        base: &dyn Snapshot,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, SpoolError> {
        match self.of(table).get(key) {
            Some(value) => Ok(value.clone()),
            None => base.get(table, key),
        }
    }

    /// The first `limit` rows of a span, as the running transaction sees them.
    pub(crate) fn rows(
        &self,
        base: &dyn Snapshot,
        table: Table,
        span: &Span,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, SpoolError> {
        let Some(bounds) = span.bounds() else { return Ok(Vec::new()) };
        let changed = || self.of(table).range::<[u8], _>(bounds);
        // Each removed key hides at most one row of the store: with so many more, `limit` remain.
        let removed = changed().filter(|(_, value)| value.is_none()).count();
        let stored = base.rows(table, span, order, limit.saturating_add(removed))?;
        Ok(match order {
            Order::Ascending => merge(stored, changed().peekable(), Ordering::Less, limit),
            Order::Descending => {
                merge(stored, changed().rev().peekable(), Ordering::Greater, limit)
            }
        })
    }

    /// How many rows a table has, as the running transaction sees it.
    pub(crate) fn len(&self, base: &dyn Snapshot, table: Table) -> Result<u64, SpoolError> {
        let mut length = base.len(table)?;
        for (key, value) in self.of(table) {
            match (base.get(table, key)?.is_some(), value.is_some()) {
                (false, true) => length += 1,
                (true, false) => length -= 1,
                (true, true) | (false, false) => {}
            }
        }
        Ok(length)
    }
}

/// Merges two ordered sequences of rows; `first` is how the key that comes earlier compares.
fn merge<'c>(
    stored: Vec<Row>,
    mut changed: Peekable<impl Iterator<Item = (&'c Vec<u8>, &'c Option<Vec<u8>>)>>,
    first: Ordering,
    limit: usize,
) -> Vec<Row> {
    let mut stored = stored.into_iter().peekable();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let order = match (stored.peek(), changed.peek()) {
            (None, None) => break,
            (Some(_), None) => first,
            (None, Some(_)) => first.reverse(),
            (Some((stored, _)), Some((changed, _))) => stored.cmp(changed),
        };
        if order == first {
            merged.extend(stored.next());
            continue;
        }
        if order == Ordering::Equal {
            stored.next();
        }
        let row = changed.next().and_then(|(key, value)| Some((key.clone(), value.clone()?)));
        merged.extend(row);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, memory::Memory};

    fn keys(rows: &[Row]) -> Vec<u8> {
        rows.iter().map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn changes_lie_over_the_store_in_both_orders() {
        let store = Memory::default();
        let mut committed = Changes::default();
        for key in [1u8, 3, 5, 7] {
            committed.set(Table::Seen, &[key], Some(vec![0]));
        }
        store.commit(&committed).unwrap();
        let base = store.snapshot().unwrap();
        let mut changes = Changes::default();
        changes.set(Table::Seen, &[3], None);
        changes.set(Table::Seen, &[4], Some(vec![1]));
        changes.set(Table::Seen, &[7], Some(vec![1]));
        let rows = |span: &Span, order, limit| {
            keys(&changes.rows(base.as_ref(), Table::Seen, span, order, limit).unwrap())
        };
        assert_eq!(rows(&Span::all(), Order::Ascending, 9), [1, 4, 5, 7]);
        assert_eq!(rows(&Span::all(), Order::Ascending, 2), [1, 4]);
        assert_eq!(rows(&Span::all(), Order::Descending, 3), [7, 5, 4]);
        assert_eq!(rows(&Span::after(&[4]), Order::Ascending, 1), [5]);
        assert_eq!(changes.get(base.as_ref(), Table::Seen, &[7]).unwrap(), Some(vec![1]));
        assert_eq!(changes.get(base.as_ref(), Table::Seen, &[3]).unwrap(), None);
        assert_eq!(changes.len(base.as_ref(), Table::Seen), Ok(4));
        changes.set(Table::Seen, &[5], None);
        changes.set(Table::Seen, &[6], None);
        assert_eq!(changes.len(base.as_ref(), Table::Seen), Ok(3));
    }

    #[test]
    fn undo_goes_back_to_the_transaction_before_and_no_further() {
        let mut changes = Changes::default();
        changes.set(Table::Seen, &[1], Some(vec![1]));
        changes.keep();
        changes.set(Table::Seen, &[1], None);
        changes.set(Table::Seen, &[1], Some(vec![2]));
        changes.set(Table::Seen, &[2], Some(vec![2]));
        changes.undo();
        let held: Vec<_> = changes.of(Table::Seen).iter().collect();
        assert_eq!(held, [(&vec![1], &Some(vec![1]))]);
    }
}
