//! The directory and the file: whose it is, which format it has, and what happens if it is damaged
//! or full.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use distpos_proto::{
    account::Step,
    amount::Amount,
    chain::{BlockHash, GenesisTag, Height},
    code::Code,
    header::{Header, HeaderHash},
    receipt::Outcome,
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{BatchId, Cursor, End, Spool, SpoolError, Tx};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::support::{
    Inbound, Outbound, batch, chain, dns_trust, due, entry, message, put, read, transact,
};

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// Changes the values of a table behind the spool's back.
fn tamper(directory: &Path, table: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let database = Database::open(directory.join("spool.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(Rows::new(table)).unwrap();
        let all: Vec<_> = rows
            .iter()
            .unwrap()
            .map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
            .collect::<Result<_, _>>()
            .unwrap();
        assert_ne!(all, [], "nothing to tamper with in {table}");
        for (key, value) in all {
            rows.insert(key.as_slice(), change(value).as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// A spool with something in every table.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path()).unwrap();
    let header = Header {
        chain: chain("a1"),
        tag: GenesisTag([1; 8]),
        height: Height(1),
        block: BlockHash([3; 32]),
        time: UnixSeconds(1),
        previous: HeaderHash::NONE,
        key_set: [4; 32],
        leaf_count: 0,
        root: [0; 32],
    };
    let end = End {
        peer: chain("b2"),
        outcome: Some(Outcome::Refused { code: Code::EXPIRED, text: String::new() }),
        settled: None,
        at: UnixMillis(1),
        history: vec![],
    };
    transact(&spool, move |tx| {
        tx.put(batch(Inbound, "b2", 1, 1..=3, 100), UnixMillis(0))?;
        tx.set_ended(Inbound, &message("b2", "a1", 9, 0).id(), &end)?;
        tx.put_own_header(&header, &[])?;
        tx.put_known(chain("b2"), Height(1), HeaderHash([1; 32]), HeaderHash([2; 32]))?;
        tx.set_frozen(chain("b2"), b"why")?;
        tx.set_dns_trust(chain("b2"), &dns_trust("_distpos.b2.chains.test"));
        let deposit = entry(Step::Deposit(Amount::from(5u64)));
        tx.enter(chain("b2"), &"a1/coin".parse().unwrap(), &deposit, UnixSeconds(0))?.unwrap();
        tx.set_seen(chain("b2"), UnixMillis(1))?;
        tx.set_cursor(Cursor { height: Height(1), block: BlockHash([0; 32]) });
        Ok(())
    })
    .unwrap();
    directory
}

#[test]
fn a_directory_is_made_for_its_owner_only_and_opened_once_at_a_time() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("deep").join("spool");
    let spool = Spool::open(&directory).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let locked = Spool::open(&directory).map(|_| ());
    assert_eq!(locked, Err(SpoolError::Locked { directory: directory.clone() }));
    // Not before the last handle is gone.
    let other = spool.clone();
    drop(spool);
    assert_eq!(
        Spool::open(&directory).map(|_| ()).unwrap_err(),
        SpoolError::Locked { directory: directory.clone() }
    );
    drop(other);
    Spool::open(&directory).unwrap();
}

#[test]
fn a_spool_of_another_format_is_refused_and_not_touched() {
    refused_untouched(3, SpoolError::Newer { found: 3, supported: 2 });
    refused_untouched(1, SpoolError::Older { found: 1, supported: 2 });
}

fn refused_untouched(format: u8, expected: SpoolError) {
    let directory = filled();
    let file = directory.path().join("spool.redb");
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = Rows::new("meta");
    // A row of version 1 that says the format.
    transaction.open_table(meta).unwrap().insert(&b"format"[..], &[0x82, 1, format][..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(&file).unwrap();
    let changed = fs::metadata(&file).unwrap().modified().unwrap();
    let refused = Spool::open(directory.path()).map(|_| ());
    assert_eq!(refused, Err(expected));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), changed);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_spool_that_was_half_made_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("spool.redb.new"), b"half").unwrap();
    let spool = Spool::open(directory.path()).unwrap();
    put(&spool, batch(Inbound, "b2", 1, 1..=1, 0), 0).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_no_spool_is_refused() {
    let open = |content: &[u8]| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("spool.redb");
        fs::write(&file, content).unwrap();
        let error = Spool::open(directory.path()).map(|_| ()).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), content, "it was changed");
        error
    };
    for content in [&b""[..], b"not a spool", &[0; 8192]] {
        let error = open(content);
        assert!(matches!(error, SpoolError::Corrupt { table: "file", .. }), "{error:?}");
    }
    // A file of the engine that is no spool: it has no format.
    let directory = tempfile::tempdir().unwrap();
    let database = Database::create(directory.path().join("spool.redb")).unwrap();
    drop(database);
    let error = Spool::open(directory.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, SpoolError::Corrupt { table: "meta", .. }), "{error:?}");
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let directory = filled();
    let file = directory.path().join("spool.redb");
    let whole = fs::read(&file).unwrap();
    let step = whole.len() / 97;
    let mut refused = 0;
    for at in (0..whole.len()).step_by(step) {
        let mut damaged = whole.clone();
        let until = (at + 512).min(damaged.len());
        damaged[at..until].fill(0xA5);
        fs::write(&file, damaged).unwrap();
        let opened = Spool::open(directory.path());
        let looked = opened.and_then(|spool| read(&spool, look_at_everything));
        match looked {
            Ok(()) => {}
            Err(SpoolError::Corrupt { .. } | SpoolError::Io { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    // Most of a small file is empty pages, but what matters was hit as well.
    assert!(refused >= 3, "{refused}");
}

fn look_at_everything(tx: &Tx<'_>) -> Result<(), SpoolError> {
    tx.batches(Inbound, None, 99)?;
    tx.messages(Inbound, BatchId(1))?;
    due(tx, Inbound, UnixMillis(9))?;
    tx.find(Inbound, &message("b2", "a1", 1, 100).id())?;
    tx.count(Inbound)?;
    tx.ended(Inbound, &message("b2", "a1", 9, 0).id())?;
    tx.last_own_header()?;
    tx.known(chain("b2"), Height(1), HeaderHash([2; 32]))?;
    tx.frozen_chains()?;
    tx.dns_trusts()?;
    tx.accounts()?;
    tx.seen(chain("b2"))?;
    tx.cursor()?;
    Ok(())
}

#[test]
fn a_row_that_was_altered_is_an_error_that_names_its_table() {
    // Every table, each value cut short, made a later version, or made something else.
    let garble: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |mut value| {
            value.pop();
            value
        },
        |mut value| {
            value[1] = 9;
            value
        },
        |_| vec![0xFF],
        |mut value| {
            value.push(0);
            value
        },
    ];
    let tables = [
        "inbound_batches",
        "inbound_items",
        "inbound_ids",
        "inbound_counts",
        "inbound_ended",
        "own_headers",
        "known_headers",
        "known_previous",
        "frozen",
        "dns_trust",
        "accounts",
        "seen",
    ];
    for table in tables {
        for garble in garble {
            let directory = filled();
            tamper(directory.path(), table, garble);
            let spool = Spool::open(directory.path()).unwrap();
            let error = read(&spool, look_at_everything).unwrap_err();
            assert!(
                matches!(error, SpoolError::Corrupt { table: t, .. } if t == table),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_body_that_was_altered_is_never_given_out() {
    let bend: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        // The last byte belongs to `expires`: a message all the same, but another one.
        |mut body| {
            *body.last_mut().unwrap() ^= 1;
            body
        },
        |mut body| {
            body[0] = 0;
            body
        },
        |body| body[..body.len() - 1].to_vec(),
    ];
    for bend in bend {
        let directory = filled();
        tamper(directory.path(), "inbound_bodies", bend);
        let spool = Spool::open(directory.path()).unwrap();
        let error = read(&spool, |tx| tx.messages(Inbound, BatchId(1))).unwrap_err();
        let named = matches!(error, SpoolError::Corrupt { table: "inbound_bodies", .. });
        assert!(named, "{error:?}");
    }
}

#[test]
fn a_row_that_is_missing_is_an_error() {
    let directory = filled();
    {
        let database = Database::open(directory.path().join("spool.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        for table in ["inbound_items", "inbound_bodies"] {
            let mut rows = transaction.open_table(Rows::new(table)).unwrap();
            rows.retain(|_, _| false).unwrap();
        }
        transaction.commit().unwrap();
        let left = database.begin_read().unwrap().open_table(Rows::new("inbound_due")).unwrap();
        assert_eq!(left.iter().unwrap().count(), 1);
    }
    let spool = Spool::open(directory.path()).unwrap();
    let error = read(&spool, |tx| due(tx, Inbound, UnixMillis(9))).unwrap_err();
    let what = "batch 1 has no items".to_owned();
    assert_eq!(error, SpoolError::Corrupt { table: "inbound_items", what });
}

/// A small file system of its own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(directory: &Path, size: &str) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(directory)
            .status()
            .unwrap();
        assert!(status.success(), "mount: {status}");
        Self(directory.into())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root for a tmpfs"]
fn on_a_full_disk_nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let _tmpfs = Tmpfs::mount(directory.path(), "16m");
    let filler = directory.path().join("filler");
    fs::write(&filler, vec![1; 6 * 1024 * 1024]).unwrap();
    let place = directory.path().join("spool");
    let spool = Spool::open(&place).unwrap();
    assert_eq!(spool.healthy(), Ok(()));
    let mut acknowledged = Vec::new();
    let mut was_full = false;
    let error = loop {
        if let Err(error) = spool.healthy() {
            assert!(matches!(error, SpoolError::Full { free, expected } if free < expected));
            was_full = true;
        }
        let first = acknowledged.len() as u64 * 128 + 1;
        let new = batch(Outbound, "b2", first, first..first + 128, 600);
        match put(&spool, new.clone(), 0) {
            Ok(id) => acknowledged.push((id, new.messages)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Flush(_)), "{error:?}");
    assert!(was_full, "intake was never told to stop");
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    // It stays so until it is reopened, even though there is room again.
    fs::remove_file(&filler).unwrap();
    assert_eq!(spool.healthy(), Err(error.clone()));
    assert_eq!(put(&spool, batch(Outbound, "b2", 1, [9_999_999], 0), 0), Err(error));
    drop(spool);

    let spool = Spool::open(&place).unwrap();
    assert_eq!(spool.healthy(), Ok(()));
    for (id, messages) in acknowledged {
        assert_eq!(read(&spool, |tx| tx.messages(Outbound, id)), Ok(messages));
    }
    put(&spool, batch(Outbound, "b2", 1, [9_999_999], 0), 0).unwrap();
}
