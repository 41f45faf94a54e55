//! The ledger's own store: one redb file, one atomic and flushed commit a block.
//!
//! In memory it is the same engine over a buffer, so that tests and simulation run the code that
//! runs on disk.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::Path,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, TableDefinition, backends::InMemoryBackend,
};

use super::LedgerError;

/// Format version, genesis: what is written once.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Height to block: signed header, outgoing messages, events.
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Height and index in the block to signed transaction.
const TRANSACTIONS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("transactions");
/// The state's rows, each kind with its own first byte ([`super::state`]).
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// The file in the ledger's directory.
const FILE: &str = "ledger.redb";
/// A file that is being made: it gets its name when it is whole.
const FILE_NEW: &str = "ledger.redb.new";
/// Locked while the file is made. Not the directory itself: the spool may be in the same one, and
/// holds that.
const FILE_LOCK: &str = "ledger.lock";
/// The format this version writes and reads.
const FORMAT: u64 = 2;
/// Pages kept in memory, in bytes; redb's default of 1 GiB would be the daemon's whole budget.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows of the state that a block changes. Rows are replaced, never deleted.
pub(super) type Changes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Something rows of the state are read from: a snapshot of the store, or an overlay on one.
pub(super) trait Rows {
    /// The row of `key`.
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError>;
}

/// What is committed with a block, all or nothing.
pub(super) struct Commit<'c> {
    /// The block's height.
    pub(super) height: u64,
    /// Its encoding.
    pub(super) block: &'c [u8],
    /// Its signed transactions, in order.
    pub(super) transactions: &'c [Vec<u8>],
    /// What it changes.
    pub(super) changes: &'c Changes,
}

/// Opens the database, the first time and after the disk has failed.
type Opener = Box<dyn Fn() -> Result<Database, LedgerError> + Send + Sync>;

/// The open store. redb does nothing more once a write has failed (a full disk), so the database
/// is opened anew then, at whatever commit was the last to reach the disk.
pub(super) struct Store {
    open: Opener,
    database: RwLock<Option<Database>>,
    failed: AtomicBool,
}

impl Store {
    /// Opens or makes the file in `directory`. The whole file is read and its checksums are
    /// verified: a damaged file is an error here and no surprise later.
    pub(super) fn open(directory: &Path) -> Result<Self, LedgerError> {
        let directory = directory.to_owned();
        Self::opened_by(Box::new(move || open_file(&directory)))
    }

    /// A store that lives as long as the value.
    pub(super) fn in_memory() -> Result<Self, LedgerError> {
        let database = builder().create_with_backend(InMemoryBackend::new()).map_err(engine)?;
        let lost = || LedgerError::Engine("a store in memory cannot be opened again".into());
        let (database, failed) = (RwLock::new(Some(database)), AtomicBool::new(false));
        Ok(Self { open: Box::new(move || Err(lost())), database, failed })
    }

    fn opened_by(open: Opener) -> Result<Self, LedgerError> {
        let database = RwLock::new(Some(open()?));
        Ok(Self { open, database, failed: AtomicBool::new(false) })
    }

    /// Does something with the database, opened anew if it had failed.
    fn with<T>(
        &self,
        job: impl FnOnce(&Database) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if self.failed.load(Ordering::Acquire) {
            self.reopen()?;
        }
        // A panic elsewhere leaves the database as it was: open, or not.
        let held = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = held.as_ref().ok_or_else(|| LedgerError::Disk("store is closed".into()))?;
        let result = job(database);
        if matches!(result, Err(LedgerError::Disk(_))) {
            self.failed.store(true, Ordering::Release);
        }
        result
    }

    fn reopen(&self) -> Result<(), LedgerError> {
        let mut held = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Acquire) {
            // Closed first: the file is locked as long as it is open.
            *held = None;
            *held = Some((self.open)()?);
            self.failed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The genesis this store was begun with; none if it is new.
    pub(super) fn genesis(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        let read = self.with(|database| database.begin_read().map_err(engine))?;
        let meta = match read.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(engine)?,
        };
        let format = meta.get("format").map_err(engine)?;
        let format = format.and_then(|row| row.value().try_into().ok()).map(u64::from_be_bytes);
        if format != Some(FORMAT) {
            return Err(LedgerError::Format { found: format, expected: FORMAT });
        }
        Ok(meta.get("genesis").map_err(engine)?.map(|row| row.value().to_vec()))
    }

    /// Begins a new store.
    pub(super) fn begin(&self, genesis: &[u8], first: &Commit<'_>) -> Result<(), LedgerError> {
        self.with(|database| write(database, Some(genesis), first))
    }

    /// Writes a block and everything it changes; on disk and flushed when this returns.
    pub(super) fn commit(&self, commit: &Commit<'_>) -> Result<(), LedgerError> {
        self.with(|database| write(database, None, commit))
    }

    /// The state and the blocks as they are now, whatever is committed meanwhile.
    pub(super) fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        self.with(|database| {
            let read = database.begin_read().map_err(engine)?;
            let state = read.open_table(STATE).map_err(engine)?;
            Ok(Snapshot { read, state })
        })
    }
}

fn write(
    database: &Database,
    genesis: Option<&[u8]>,
    commit: &Commit<'_>,
) -> Result<(), LedgerError> {
    let write = database.begin_write().map_err(engine)?;
    {
        let mut meta = write.open_table(META).map_err(engine)?;
        if let Some(genesis) = genesis {
            meta.insert("format", FORMAT.to_be_bytes().as_slice()).map_err(engine)?;
            meta.insert("genesis", genesis).map_err(engine)?;
        }
        let mut blocks = write.open_table(BLOCKS).map_err(engine)?;
        blocks.insert(commit.height, commit.block).map_err(engine)?;
        let mut transactions = write.open_table(TRANSACTIONS).map_err(engine)?;
        for (index, bytes) in (0..).zip(commit.transactions) {
            transactions.insert((commit.height, index), bytes.as_slice()).map_err(engine)?;
        }
        let mut state = write.open_table(STATE).map_err(engine)?;
        for (key, row) in commit.changes {
            state.insert(key.as_slice(), row.as_slice()).map_err(engine)?;
        }
    }
    write.commit().map_err(engine)
}

/// One consistent view of a begun store.
pub(super) struct Snapshot {
    read: ReadTransaction,
    state: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot {
    /// The newest block's height and encoding.
    pub(super) fn newest(&self) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        let blocks = self.read.open_table(BLOCKS).map_err(engine)?;
        let newest = blocks.last().map_err(engine)?;
        Ok(newest.map(|(height, block)| (height.value(), block.value().to_vec())))
    }

    /// The newest block's height.
    pub(super) fn newest_height(&self) -> Result<Option<u64>, LedgerError> {
        let blocks = self.read.open_table(BLOCKS).map_err(engine)?;
        let newest = blocks.last().map_err(engine)?;
        Ok(newest.map(|(height, _)| height.value()))
    }

    /// The encoding of the block at `height`.
    pub(super) fn block(&self, height: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let blocks = self.read.open_table(BLOCKS).map_err(engine)?;
        let block = blocks.get(height).map_err(engine)?;
        Ok(block.map(|block| block.value().to_vec()))
    }

    /// The signed transaction at a place.
    pub(super) fn transaction(
        &self,
        height: u64,
        index: u64,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        let transactions = self.read.open_table(TRANSACTIONS).map_err(engine)?;
        let transaction = transactions.get((height, index)).map_err(engine)?;
        Ok(transaction.map(|transaction| transaction.value().to_vec()))
    }

    /// Gives every row whose key starts with `kind` to `each`, in the order of keys, with the rest
    /// of its key.
    pub(super) fn each_row(
        &self,
        kind: u8,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let (from, to) = ([kind], [kind + 1]);
        for row in self.state.range(from.as_slice()..to.as_slice()).map_err(engine)? {
            let (key, row) = row.map_err(engine)?;
            each(key.value().get(1..).unwrap_or_default(), row.value())?;
        }
        Ok(())
    }
}

impl Rows for Snapshot {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        let row = self.state.get(key).map_err(engine)?;
        Ok(row.map(|row| row.value().to_vec()))
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES_MAX);
    builder
}

fn open_file(directory: &Path) -> Result<Database, LedgerError> {
    let unusable =
        |error: std::io::Error| LedgerError::Disk(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(unusable)?;
    let path = directory.join(FILE);
    if !path.try_exists().map_err(unusable)? {
        create_file(directory, &path)?;
    }
    builder().set_check_integrity_on_open(true).open(&path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => LedgerError::Locked(path.clone()),
        other => engine(other),
    })
}

/// Makes an empty file beside its place and moves it there: a process that dies in between leaves
/// no half-made file, which the database would take for damage for ever after.
fn create_file(directory: &Path, path: &Path) -> Result<(), LedgerError> {
    let unusable =
        |error: std::io::Error| LedgerError::Disk(format!("{}: {error}", directory.display()));
    // Two that begin at once must not move their files over each other's.
    let lock = File::create(directory.join(FILE_LOCK)).map_err(unusable)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => LedgerError::Locked(path.into()),
        TryLockError::Error(error) => unusable(error),
    })?;
    if path.try_exists().map_err(unusable)? {
        return Ok(());
    }
    let new = directory.join(FILE_NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    drop(builder().create(&new).map_err(engine)?);
    fs::rename(&new, path).map_err(unusable)?;
    // The file's own name must survive a power loss, too.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)
}

fn engine(error: impl Into<redb::Error>) -> LedgerError {
    match error.into() {
        redb::Error::Io(error) if error.kind() != ErrorKind::InvalidData => {
            LedgerError::Disk(error.to_string())
        }
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
            LedgerError::Disk(error.to_string())
        }
        other => LedgerError::Engine(other.to_string()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    fn first(changes: &Changes) -> Commit<'_> {
        Commit { height: 0, block: b"block", transactions: &[], changes }
    }

    #[test]
    fn a_store_is_new_once_and_its_blocks_and_rows_come_back_together() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.genesis().unwrap(), None);
        let changes = Changes::from([(b"ak".to_vec(), b"v".to_vec())]);
        store.begin(b"genesis", &first(&changes)).unwrap();
        assert_eq!(store.genesis().unwrap().as_deref(), Some(b"genesis".as_slice()));
        let before = store.snapshot().unwrap();
        let changes = Changes::from([(b"ak".to_vec(), b"w".to_vec())]);
        let transactions = [b"one".to_vec(), b"two".to_vec()];
        let commit =
            Commit { height: 1, block: b"next", transactions: &transactions, changes: &changes };
        store.commit(&commit).unwrap();
        assert_eq!(before.row(b"ak").unwrap().as_deref(), Some(b"v".as_slice()));
        let after = store.snapshot().unwrap();
        assert_eq!(after.row(b"ak").unwrap().as_deref(), Some(b"w".as_slice()));
        assert_eq!(after.newest().unwrap(), Some((1, b"next".to_vec())));
        assert_eq!(after.transaction(1, 1).unwrap().as_deref(), Some(b"two".as_slice()));
    }

    #[test]
    fn a_store_of_another_format_is_refused_by_its_number() {
        for other in [FORMAT - 1, FORMAT + 1] {
            let store = Store::in_memory().unwrap();
            store.begin(b"genesis", &first(&Changes::new())).unwrap();
            let held = store.database.read().unwrap();
            let write = held.as_ref().unwrap().begin_write().unwrap();
            let number = other.to_be_bytes();
            write.open_table(META).unwrap().insert("format", number.as_slice()).unwrap();
            write.commit().unwrap();
            let refused = store.genesis().unwrap_err();
            let LedgerError::Format { found, expected } = refused else { panic!("{refused}") };
            assert_eq!((found, expected), (Some(other), FORMAT));
        }
    }

    #[test]
    fn a_second_process_is_told_that_the_store_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let _held = Store::open(directory.path()).unwrap();
        let second = Store::open(directory.path()).err().unwrap();
        assert!(matches!(second, LedgerError::Locked(_)), "{second}");
    }

    /// A disk that can be full, and keeps what reached it when the database is dropped.
    #[derive(Debug, Clone, Default)]
    struct Disk {
        bytes: Arc<InMemoryBackend>,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn check(&self) -> Result<(), std::io::Error> {
            match self.full.load(Ordering::SeqCst) {
                true => Err(ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl redb::StorageBackend for Disk {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.bytes.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.bytes.read(offset, out)
        }

        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.check().and_then(|()| self.bytes.set_len(len))
        }

        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.check()
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.check().and_then(|()| self.bytes.write(offset, data))
        }
    }

    /// A store on a disk, and the switch that makes the disk full.
    pub(in crate::chain::ledger) fn on_a_disk() -> (Store, Arc<AtomicBool>) {
        let disk = Disk::default();
        let full = Arc::clone(&disk.full);
        let open = move || builder().create_with_backend(disk.clone()).map_err(engine);
        (Store::opened_by(Box::new(open)).unwrap(), full)
    }

    #[test]
    fn a_full_disk_commits_nothing_and_the_store_goes_on_when_there_is_room() {
        let (store, full) = on_a_disk();
        let changes = Changes::from([(b"ak".to_vec(), vec![1; 100_000])]);
        store.begin(b"genesis", &first(&Changes::new())).unwrap();
        full.store(true, Ordering::SeqCst);
        let commit = Commit { height: 1, block: b"next", transactions: &[], changes: &changes };
        for _ in 0..2 {
            let refused = store.commit(&commit).unwrap_err();
            assert!(matches!(refused, LedgerError::Disk(_)), "{refused}");
        }
        full.store(false, Ordering::SeqCst);
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.newest_height().unwrap(), Some(0));
        assert_eq!(snapshot.row(b"ak").unwrap(), None);
        store.commit(&commit).unwrap();
        assert_eq!(store.snapshot().unwrap().newest_height().unwrap(), Some(1));
    }
}
