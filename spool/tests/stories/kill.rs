//! SIGKILL at random moments: what was acknowledged is there.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use distpos_proto::{chain::Height, time::UnixMillis};
use distpos_spool::{Cursor, Spool};

use crate::support::{Outbound, batch, due, message, read};

/// Where the child works, and from which number on.
const DIRECTORY: &str = "DISTPOS_SPOOL_KILL_DIRECTORY";
const FIRST: &str = "DISTPOS_SPOOL_KILL_FIRST";
const ROUNDS: u64 = 10;
const PRODUCERS: u64 = 8;

#[test]
fn after_sigkill_everything_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("spool");
    let mut random: u64 = 0x5EED;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        // A linear congruence is random enough for moments, and the same in every run.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let kill_after = 1 + (random >> 33) % 120;
        acknowledged.extend(run_and_kill(&place, 1 + round * 1_000_000, kill_after));
        assert!(acknowledged.len() as u64 > round, "round {round} acknowledged nothing");
        let spool = Spool::open(&place).unwrap();
        read(&spool, |tx| {
            for number in &acknowledged {
                let id = message("a1", "b2", *number, 300).id();
                let (batch, position) = tx.find(Outbound, &id)?.expect("acknowledged");
                assert_eq!(tx.messages(Outbound, batch)?[position].message.id(), id);
            }
            // Batches and cursor were changed together, so they agree however it ended.
            let batches = tx.batches(Outbound, None, usize::MAX)?;
            assert_eq!(tx.cursor()?.unwrap().height, Height(batches.len() as u64));
            assert_eq!(batches.last().unwrap().id.0, batches.len() as u64);
            assert_eq!(due(tx, Outbound, UnixMillis(0))?.len(), batches.len());
            Ok(())
        })
        .unwrap();
    }
}

/// The numbers that the child acknowledged before and while it was killed.
fn run_and_kill(place: &Path, first: u64, kill_after: u64) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, place)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut numbers = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        // A last line may be cut off; only whole ones count.
        let number = line.strip_prefix("acknowledged ").and_then(|line| line.strip_suffix('.'));
        numbers.extend(number.map(|number| number.parse::<u64>().unwrap()));
        if numbers.len() as u64 == kill_after {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    numbers
}

#[test]
#[ignore = "the child of the test above"]
fn child() {
    let (Ok(place), Ok(first)) = (env::var(DIRECTORY), env::var(FIRST)) else { return };
    let first: u64 = first.parse().unwrap();
    let spool = Spool::open(Path::new(&place)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let producers = (0..PRODUCERS).map(|producer| {
            let spool = spool.clone();
            tokio::spawn(async move {
                for turn in 0.. {
                    let number = first + turn * PRODUCERS + producer;
                    let work = move |tx: &mut distpos_spool::Tx<'_>| {
                        let last = tx.cursor()?.map_or(0, |cursor| cursor.height.0);
                        let block = distpos_proto::chain::BlockHash([0; 32]);
                        tx.set_cursor(Cursor { height: Height(last + 1), block });
                        let new = batch(Outbound, "b2", 1, [number], 300);
                        tx.put(new, UnixMillis(0)).map(|_| ())
                    };
                    spool.transact::<_, distpos_spool::SpoolError>(work).await.unwrap();
                    // In one write, so that lines of several tasks are not mixed.
                    let line = format!("acknowledged {number}.\n");
                    if std::io::stdout().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            })
        });
        for producer in producers.collect::<Vec<_>>() {
            producer.await.unwrap();
        }
    });
}
