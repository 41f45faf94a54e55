//! The engine without a disk: for tests and deterministic simulation.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    changes::Changes,
    error::SpoolError,
    spool::Space,
    store::{Order, Row, Snapshot, Span, Store, Table},
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// One map a table. A snapshot shares them; a commit copies a table only if a snapshot is alive.
#[derive(Clone, Default)]
struct Tables([Arc<Rows>; Table::COUNT]);

#[derive(Default)]
pub(crate) struct Memory(RwLock<Tables>);

impl Store for Memory {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, SpoolError> {
        // A commit cannot fail half-way, so what a poisoned lock guards is whole.
        Ok(Box::new(self.0.read().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn commit(&self, changes: &Changes) -> Result<(), SpoolError> {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
        Ok(None)
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
}
