//! What is refused, with the reason: a second process, a newer format, a wrong configuration, a
//! peer whose key DNS does not list.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    time::Duration,
};

use distpos_certs::{SecretKind, write_secret};
use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use redb::{Database, TableDefinition};

use crate::{daemon::until, world::World};

/// Runs a command that is expected to end by itself: its exit code, and what it said.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = until("the command ends", Duration::from_secs(60), || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

#[test]
fn a_second_process_on_the_same_spool_or_ledger_is_refused() {
    let world = World::running();
    let (code, said) = ended(world.a.command());
    assert_eq!(code, Some(75), "{said}");
    let spool = world.a.directory.join("spool").display().to_string();
    let expected = format!("spool.directory {spool}: spool {spool} is in use by another process");
    assert!(said.contains(&expected), "{said}");

    // With a spool of its own it gets as far as the ledger.
    world.a.edit("directory = \"spool\"", "directory = \"spool-2\"");
    let (code, said) = ended(world.a.command());
    assert_eq!(code, Some(75), "{said}");
    let ledger = world.a.directory.join("ledger").display().to_string();
    assert!(said.contains(&format!("chain.ledger.directory {ledger}: ")), "{said}");
    assert!(said.contains("is in use: another process runs this ledger"), "{said}");

    // The first has not noticed.
    let id = world.a.send(0, &world.b.village.address(), 10);
    let view = world.a.message_when(id, Duration::from_secs(60), |view| view.outcome.is_some());
    assert_eq!(view.outcome, Some(Outcome::Delivered));
}

#[test]
fn another_format_is_refused_and_not_touched() {
    let world = World::prepared();
    world.a.start();
    world.a.terminate();

    let ledger = world.a.directory.join("ledger/ledger.redb");
    let held = fs::read(&ledger).unwrap();
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    for format in [1_u64, 3] {
        rewrite(&ledger, meta, "format", &format.to_be_bytes());
        let (code, said) = ended(world.a.command());
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(&format!("store has format {format}, expected 2")), "{said}");
    }
    fs::write(&ledger, held).unwrap();

    let spool = world.a.directory.join("spool/spool.redb");
    let meta = TableDefinition::<&[u8], &[u8]>::new("meta");
    let refusals = [
        (1, "spool has format 1, this version reads 2: let the version that wrote it"),
        (3, "spool has format 3, this version reads up to 2"),
    ];
    for (format, expected) in refusals {
        // A row of version 1 that says the format.
        rewrite(&spool, meta, b"format", &[0x82, 1, format]);
        let before = fs::read(&spool).unwrap();
        let (code, said) = ended(world.a.command());
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(fs::read(&spool).unwrap() == before, "the spool was touched");
    }
}

fn rewrite<K: redb::Key + 'static>(
    file: &std::path::Path,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
    value: &[u8],
) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line_and_key() {
    let world = World::prepared();
    world.a.edit("float = \"1000000\"", "float = \"many\"");
    let text = fs::read_to_string(world.a.config_file()).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("float")).unwrap();
    let (code, said) = ended(world.a.command());
    assert_eq!(code, Some(78), "{said}");
    let expected = format!("gateway.toml:{line}: chain.ledger.float: ");
    assert!(said.contains(&expected), "expected {expected} in {said}");
    assert!(!world.a.directory.join("spool").exists(), "nothing was made");

    // Another genesis on a ledger that has begun is another chain.
    world.a.edit("float = \"many\"", "float = \"1000000\"");
    world.a.start();
    world.a.terminate();
    world.a.edit("balance = \"10000\"", "balance = \"10001\"");
    let (code, said) = ended(world.a.command());
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("begun with another genesis"), "{said}");

    // On a ledger of its own it wants a spool of its own, too: the queue is the old one's.
    world.a.edit("directory = \"ledger\"", "directory = \"ledger-2\"");
    let (code, said) = ended(world.a.command());
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("the spool is of chain "), "{said}");
    assert!(said.contains("wants a new spool.directory"), "{said}");
    world.a.edit("directory = \"spool\"", "directory = \"spool-2\"");
    world.a.start();
}

#[test]
fn a_gateway_whose_key_dns_does_not_list_is_neither_heard_nor_told() {
    let mut world = World::prepared();
    world.publish();
    // Somebody has the chain's key and its gateway's address, but not the key that DNS lists.
    let file = world.a.directory.join("keys").join(distpos_certs::identity::TLS_FILE);
    let listed = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    write_secret(&file, SecretKind::Tls, &[7; 32]).unwrap();
    world.a.start();
    world.b.start();
    let soon = Duration::from_secs(60);

    let out = world.a.send(0, &world.b.village.address(), 10);
    let view = world.a.message_when(out, soon, |view| view.code.is_some());
    assert_eq!((view.code.as_deref(), view.state.as_str()), (Some("4.7.20"), "queued"), "{view:?}");
    assert!(view.text.unwrap().ends_with("is not in the records of chain e2e4"));
    assert!(world.b.message(out).is_none(), "nothing was taken");

    let back = world.b.send(0, &world.a.village.address(), 10);
    let view = world.b.message_when(back, soon, |view| view.code.is_some());
    assert_eq!((view.code.as_deref(), view.state.as_str()), (Some("4.4.1"), "queued"), "{view:?}");
    assert!(world.a.message(back).is_none(), "nothing was told");
    assert_eq!((world.a.balance(), world.b.balance()), (BALANCE - 10, BALANCE - 10));

    // Nothing is lost: when the right gateway is back, it is told.
    world.a.terminate();
    fs::write(&file, listed).unwrap();
    world.a.start();
    let view = world.b.message_when(back, soon, |view| view.outcome.is_some());
    assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
}
