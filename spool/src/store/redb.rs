//! The engine on disk: redb, one file in a directory that one process locks.
//!
//! Every commit is durable when it returns (`Durability::Immediate`: fdatasync) and saves the
//! allocator's state (`quick_repair`), so that opening after a crash takes milliseconds, however
//! much is queued.

use std::{
    array,
    cell::OnceCell,
    fs::{self, DirBuilder, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    AccessGuard, Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction,
    ReadableDatabase, ReadableTableMetadata, StorageError, TableDefinition, TableError,
};

use crate::{
    changes::Changes,
    error::SpoolError,
    row,
    spool::Space,
    store::{Order, Row, Snapshot, Span, Store, Table},
};

#[cfg(test)]
mod power;

/// The format this version writes, and the only one it reads: 1 kept other books.
const FORMAT: u64 = 2;
/// The row that says the format. Its name and shape never change, whatever the format.
const FORMAT_KEY: &[u8] = b"format";
const FILE: &str = "spool.redb";
/// A file that is being made: it gets its name when it is whole.
const FILE_NEW: &str = "spool.redb.new";
/// Most memory for cached pages: what is hot of a queue is small.
const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

type Bytes = &'static [u8];
type Guard<'a> = AccessGuard<'a, Bytes>;

pub(crate) struct Redb {
    database: Database,
    directory: PathBuf,
    /// Locked while it is open; behind `database`, so that it is released last.
    _lock: File,
}

impl Redb {
    /// Whether its file is there.
    pub(crate) fn is_in(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Opens the spool in `directory`, or makes one there.
    pub(crate) fn open(directory: &Path) -> Result<Self, SpoolError> {
        let at = directory.display();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).map_err(io("create", directory))?;
        let lock = File::open(directory).map_err(io("open", directory))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError::Locked { directory: directory.into() },
            TryLockError::Error(error) => SpoolError::io(format!("lock {at}"))(error),
        })?;
        let file = directory.join(FILE);
        if !file.try_exists().map_err(io("look for", &file))? {
            create(directory, &file)?;
        }
        let database = guarded("file", || open_file(directory, &file))?;
        Ok(Self { database, directory: directory.into(), _lock: lock })
    }
}

/// Makes an empty spool beside its place and moves it there, so that a crash never leaves half a
/// file.
fn create(directory: &Path, file: &Path) -> Result<(), SpoolError> {
    let new = directory.join(FILE_NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("remove", &new)(error)),
        _ => {}
    }
    let database = builder().create(&new).map_err(|error| opening(directory, error))?;
    let mut changes = Changes::default();
    let format = row::write(1, |out| {
        out.uint(FORMAT);
    });
    changes.set(Table::Meta, FORMAT_KEY, Some(format));
    write(&database, &changes).map_err(|error| SpoolError::Flush(error.to_string()))?;
    database.close().map_err(|error| opening(directory, error))?;
    fs::rename(&new, file).map_err(io("rename", &new))?;
    // The file's name, and that of a directory just made, must survive a loss of power too.
    sync_directory(directory)?;
    match directory.canonicalize().map_err(io("find", directory))?.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

fn sync_directory(directory: &Path) -> Result<(), SpoolError> {
    let opened = File::open(directory).map_err(io("open", directory))?;
    opened.sync_all().map_err(io("flush", directory))
}

fn open_file(directory: &Path, file: &Path) -> Result<Database, SpoolError> {
    // Opening for writing already writes, so the format is looked at before.
    match builder().open_read_only(file) {
        Ok(database) => check_format(&database)?,
        // Not closed cleanly in a way that a reader could mend: the check below has to do.
        Err(DatabaseError::RepairAborted) => {}
        Err(error) => return Err(opening(directory, error)),
    }
    let database = builder().open(file).map_err(|error| opening(directory, error))?;
    check_format(&database)?;
    Ok(database)
}

fn check_format(database: &impl ReadableDatabase) -> Result<(), SpoolError> {
    let transaction = database.begin_read().map_err(|error| reading("meta", error))?;
    let snapshot = ReadSnapshot::new(transaction);
    let Some(bytes) = snapshot.get(Table::Meta, FORMAT_KEY)? else {
        return Err(row::corrupt(Table::Meta, "no format, expected one in every spool"));
    };
    let found = row::read(Table::Meta, &bytes, 1, |input| input.uint("format"))?;
    if found < FORMAT {
        return Err(SpoolError::Older { found, supported: FORMAT });
    }
    if found > FORMAT {
        return Err(SpoolError::Newer { found, supported: FORMAT });
    }
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES_MAX);
    builder
}

impl Store for Redb {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, SpoolError> {
        let transaction = self.database.begin_read().map_err(|error| reading("file", error))?;
        Ok(Box::new(ReadSnapshot::new(transaction)))
    }

    fn commit(&self, changes: &Changes) -> Result<(), SpoolError> {
        let written = guarded("file", || {
            write(&self.database, changes).map_err(|error| SpoolError::Flush(error.to_string()))
        });
        written.map_err(|error| match error {
            SpoolError::Flush(_) => error,
            other => SpoolError::Flush(other.to_string()),
        })
    }

    fn space(&self) -> Result<Option<Space>, SpoolError> {
        let found = rustix::fs::statvfs(&self.directory)
            .map_err(|error| io("look for space in", &self.directory)(error.into()))?;
        Ok(Some(Space {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
        }))
    }
}

fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    for table in Table::ALL {
        let changed = changes.of(table);
        if changed.is_empty() {
            continue;
        }
        let mut rows = transaction.open_table(definition(table))?;
        for (key, value) in changed {
            match value {
                Some(value) => rows.insert(key.as_slice(), value.as_slice())?,
                None => rows.remove(key.as_slice())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

fn definition(table: Table) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(table.name())
}

/// A read transaction, with the tables it has opened: opening one costs a look-up.
struct ReadSnapshot {
    transaction: ReadTransaction,
    tables: [OnceCell<Option<ReadOnlyTable<Bytes, Bytes>>>; Table::COUNT],
}

impl ReadSnapshot {
    fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, tables: array::from_fn(|_| OnceCell::new()) }
    }

    /// The table; none if nothing was ever written to it.
    fn table(&self, table: Table) -> Result<Option<&ReadOnlyTable<Bytes, Bytes>>, SpoolError> {
        let cell = &self.tables[table.index()];
        if cell.get().is_none() {
            let opened = match self.transaction.open_table(definition(table)) {
                Ok(opened) => Some(opened),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(reading(table.name(), error)),
            };
            return Ok(cell.get_or_init(|| opened).as_ref());
        }
        Ok(cell.get().and_then(Option::as_ref))
    }
}

impl Snapshot for ReadSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SpoolError> {
        guarded(table.name(), || {
            let Some(rows) = self.table(table)? else { return Ok(None) };
            let value = rows.get(key).map_err(|error| reading(table.name(), error))?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    fn rows(
        &self,
        table: Table,
        span: &Span,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, SpoolError> {
        guarded(table.name(), || {
            let Some(bounds) = span.bounds() else { return Ok(Vec::new()) };
            let Some(rows) = self.table(table)? else { return Ok(Vec::new()) };
            let range =
                rows.range::<&[u8]>(bounds).map_err(|error| reading(table.name(), error))?;
            let owned = |row: Result<(Guard<'_>, Guard<'_>), StorageError>| {
                let (key, value) = row.map_err(|error| reading(table.name(), error))?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            };
            match order {
                Order::Ascending => range.take(limit).map(owned).collect(),
                Order::Descending => range.rev().take(limit).map(owned).collect(),
            }
        })
    }

    fn len(&self, table: Table) -> Result<u64, SpoolError> {
        guarded(table.name(), || {
            let Some(rows) = self.table(table)? else { return Ok(0) };
            rows.len().map_err(|error| reading(table.name(), error))
        })
    }
}

/// redb trusts its file and may panic over one that somebody else has altered. That is an error of
/// the file, not of this program; nothing half-done is left, as redb aborts what was not committed.
fn guarded<T>(
    table: &'static str,
    work: impl FnOnce() -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().copied();
        let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let what = format!("the engine gave up: {}", words.unwrap_or("it did not say why"));
        Err(SpoolError::Corrupt { table, what })
    })
}

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> SpoolError {
    SpoolError::io(format!("{doing} {}", path.display()))
}

fn opening(directory: &Path, error: DatabaseError) -> SpoolError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => SpoolError::Locked { directory: directory.into() },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != ErrorKind::InvalidData =>
        {
            io("open", &directory.join(FILE))(error)
        }
        other => SpoolError::Corrupt { table: "file", what: other.to_string() },
    }
}

fn reading(table: &'static str, error: impl Into<redb::Error>) -> SpoolError {
    match error.into() {
        redb::Error::Io(error) => SpoolError::io(format!("read table {table}"))(error),
        redb::Error::PreviousIo => SpoolError::Flush("an earlier write has failed".into()),
        other => SpoolError::Corrupt { table, what: other.to_string() },
    }
}
