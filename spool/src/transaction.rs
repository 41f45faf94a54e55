//! A transaction: typed reads and writes over the store and what the group has changed before.

use crate::{
    changes::Changes,
    error::SpoolError,
    store::{Order, Row, Snapshot, Span, Table},
};

/// What a closure of [`crate::Spool::transact`] works on. It sees the committed state, what earlier
/// closures of its group have changed, and its own changes; all of them are flushed before anybody
/// is answered. A closure of [`crate::Spool::read`] sees the committed state.
///
/// Its methods are grouped by what they keep: the queue, the guard's copy, headers, accounts, notes,
/// signed transactions.
pub struct Tx<'a> {
    base: &'a dyn Snapshot,
    changes: &'a mut Changes,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(base: &'a dyn Snapshot, changes: &'a mut Changes) -> Self {
        Self { base, changes }
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SpoolError> {
        self.changes.get(self.base, table, key)
    }

    pub(crate) fn rows(
        &self,
        table: Table,
        span: &Span,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, SpoolError> {
        self.changes.rows(self.base, table, span, order, limit)
    }

    pub(crate) fn len(&self, table: Table) -> Result<u64, SpoolError> {
        self.changes.len(self.base, table)
    }

    pub(crate) fn set(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.changes.set(table, key, Some(value));
    }

    pub(crate) fn unset(&mut self, table: Table, key: &[u8]) {
        self.changes.set(table, key, None);
    }
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("changed_bytes", &self.changes.bytes()).finish_non_exhaustive()
    }
}
