//! The engine without a disk: for tests and deterministic simulation.

use std::{
    array,
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    changes::Changes,
    error::SpoolError,
    spool::Space,
    store::{Order, Row, Snapshot, Span, Store, Table},
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// One map a table. A snapshot shares them; a commit copies a table only if a snapshot is alive.
#[derive(Clone)]
struct Tables([Arc<Rows>; Table::COUNT]);

impl Default for Tables {
    fn default() -> Self {
        Self(array::from_fn(|_| Arc::default()))
    }
}

/// What stands for the disk under a spool in memory: as full as a simulation says.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<AtomicBool>);

impl MemoryDisk {
    /// Whether there is less space than the spool wants to have free.
    pub fn set_full(&self, full: bool) {
        self.0.store(full, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    tables: RwLock<Tables>,
    disk: MemoryDisk,
}

impl Memory {
    /// An engine on this disk.
    pub(crate) fn on(disk: MemoryDisk) -> Self {
        Self { tables: RwLock::default(), disk }
    }
}

impl Store for Memory {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, SpoolError> {
        // A commit cannot fail half-way, so what a poisoned lock guards is whole.
        Ok(Box::new(self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn commit(&self, changes: &Changes) -> Result<(), SpoolError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for table in Table::ALL {
            let changed = changes.of(table);
            if changed.is_empty() {
                continue;
            }
            let rows = Arc::make_mut(&mut tables.0[table.index()]);
            for (key, value) in changed {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        Ok(())
    }

    fn space(&self) -> Result<Option<Space>, SpoolError> {
        let full = self.disk.0.load(Ordering::Relaxed);
        Ok(full.then_some(Space { free: 0, total: 1024 * 1024 }))
    }
}

impl Snapshot for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SpoolError> {
        Ok(self.0[table.index()].get(key).cloned())
    }

    fn rows(
        &self,
        table: Table,
        span: &Span,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, SpoolError> {
        let Some(bounds) = span.bounds() else { return Ok(Vec::new()) };
        let rows = self.0[table.index()].range::<[u8], _>(bounds);
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Ascending => rows.take(limit).map(owned).collect(),
            Order::Descending => rows.rev().take(limit).map(owned).collect(),
        })
    }

    fn len(&self, table: Table) -> Result<u64, SpoolError> {
        Ok(self.0[table.index()].len() as u64)
    }
}
