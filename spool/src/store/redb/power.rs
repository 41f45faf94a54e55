//! Loss of power: every write since the last flush may be there, missing or torn, in any order.
//!
//! A recording disk notes writes, flushes and acknowledgements; for each crash point the file is
//! made up as such a disk could have left it, opened, and asked for all that was acknowledged.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use distpos_proto::{
    amount::Amount,
    chain::{BlockHash, GenesisTag, Height},
    envelope::{Envelope, Origin},
    message::{Fields, Message, OnFail, Value},
    time::{UnixMillis, UnixSeconds},
};
use redb::StorageBackend;

use super::*;
use crate::{BatchId, Cursor, Direction, NewBatch, Spool, State};

/// A disk writes whole sectors.
const SECTOR: usize = 512;
const BATCHES: u64 = 40;
const CRASHES: u64 = 80;

#[derive(Debug)]
enum Event {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
    Flush,
    Acknowledged(u64),
}

#[derive(Debug, Default)]
struct Tape {
    file: Vec<u8>,
    events: Vec<Event>,
}

#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Tape>>);

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Recorder {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().file.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let from = place(offset);
        out.copy_from_slice(&self.0.lock().unwrap().file[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut tape = self.0.lock().unwrap();
        tape.file.resize(place(len), 0);
        tape.events.push(Event::Length(place(len)));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.lock().unwrap().events.push(Event::Flush);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut tape = self.0.lock().unwrap();
        let offset = place(offset);
        tape.file[offset..offset + data.len()].copy_from_slice(data);
        tape.events.push(Event::Write { offset, bytes: data.to_vec() });
        Ok(())
    }
}

/// The same numbers in every run, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        place((self.0 >> 33) % limit as u64)
    }
}

/// The file as it may be after a crash behind `events`: whole up to the last flush; of what came
/// later any sectors of any writes.
fn after_crash(events: &[Event], random: &mut Random) -> Vec<u8> {
    let flushed = events.iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    let mut file = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Length(length) => file.resize(*length, 0),
            Event::Write { offset, bytes } => {
                for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                    if at < flushed || random.below(2) == 0 {
                        let from = offset + sector * SECTOR;
                        file[from..from + bytes.len()].copy_from_slice(bytes);
                    }
                }
            }
            Event::Flush | Event::Acknowledged(_) => {}
        }
    }
    file
}

fn batch(number: u64) -> NewBatch {
    let envelope = |sequence: u64| Envelope {
        message: Message::new(Fields {
            source: "b2".parse().unwrap(),
            source_tag: GenesisTag([1; 8]),
            destination: "a1".parse().unwrap(),
            destination_tag: GenesisTag([2; 8]),
            outbox: vec![1],
            sequence: number * 10 + sequence,
            sender: "alice".parse().unwrap(),
            recipient: "bob".parse().unwrap(),
            value: Some(Value {
                asset: "b2/coin".parse().unwrap(),
                amount: Amount::from(1u64),
                terms: None,
            }),
            data: vec![7; 3000],
            gas: 0,
            on_fail: OnFail::Return,
            expires: UnixSeconds(1),
        })
        .unwrap(),
        origin: Origin { height: Height(number), index: u32::try_from(sequence).unwrap() },
    };
    NewBatch {
        direction: Direction::Inbound,
        peer: "b2".parse().unwrap(),
        height: Height(number),
        state: State::Claimed,
        due: Some(UnixMillis(number)),
        messages: (0..5).map(envelope).collect(),
    }
}

/// Puts one batch after the other, each with the cursor, and removes every third again.
fn record() -> Vec<Event> {
    let recorder = Recorder::default();
    let database = builder().create_with_backend(recorder.clone()).unwrap();
    let mut changes = Changes::default();
    let format = row::write(1, |out| {
        out.uint(FORMAT);
    });
    changes.set(Table::Meta, FORMAT_KEY, Some(format));
    write(&database, &changes).unwrap();
    recorder.0.lock().unwrap().events.push(Event::Acknowledged(0));
    let directory = tempfile::tempdir().unwrap();
    let lock = File::open(directory.path()).unwrap();
    let store = Redb { database, directory: directory.path().into(), _lock: lock };
    let spool = Spool::over(Box::new(store)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 1..=BATCHES {
        let work = move |tx: &mut crate::Tx<'_>| {
            let id = tx.put(batch(number), UnixMillis(0))?;
            assert_eq!(id, BatchId(number));
            if number % 3 == 0 {
                tx.remove(Direction::Inbound, BatchId(number - 2))?;
            }
            tx.set_cursor(Cursor { height: Height(number), block: BlockHash([0; 32]) });
            Ok::<_, SpoolError>(())
        };
        runtime.block_on(spool.transact(work)).unwrap();
        recorder.0.lock().unwrap().events.push(Event::Acknowledged(number));
    }
    drop(spool);
    std::mem::take(&mut recorder.0.lock().unwrap().events)
}

#[test]
fn after_loss_of_power_everything_acknowledged_is_there_and_nothing_is_half_there() {
    let events = record();
    let acknowledged = |events: &[Event]| {
        events.iter().rev().find_map(|event| match event {
            Event::Acknowledged(number) => Some(*number),
            _ => None,
        })
    };
    // A spool gets its name only when it is whole, so that crashes before do not count.
    let made = events.iter().position(|event| matches!(event, Event::Acknowledged(_))).unwrap();
    let mut random = Random(0x5EED);
    let mut unacknowledged = 0;
    for crash in 0..CRASHES {
        let until = made + 1 + random.below(events.len() - made);
        let lasting = acknowledged(&events[..until]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = after_crash(&events[..until], &mut random);
        fs::write(directory.path().join(FILE), file).unwrap();
        let spool = Spool::open(directory.path()).unwrap_or_else(|e| panic!("crash {crash}: {e}"));
        let found = spool.read(|tx| {
            let last = tx.cursor()?.map_or(0, |cursor| cursor.height.0);
            let batches = tx.batches(Direction::Inbound, None, usize::MAX)?;
            let there: Vec<_> = batches.iter().map(|batch| batch.id.0).collect();
            let removed = |n: &u64| n % 3 == 1 && n + 2 <= last;
            let expected: Vec<_> = (1..=last).filter(|n| !removed(n)).collect();
            assert_eq!(there, expected, "crash {crash}: half a commit");
            for found in batches {
                let messages = tx.messages(Direction::Inbound, found.id)?;
                assert_eq!(messages, batch(found.id.0).messages);
            }
            Ok::<_, SpoolError>(last)
        });
        let last = found.unwrap();
        assert!((lasting..=lasting + 1).contains(&last), "crash {crash}: {last} of {lasting}");
        unacknowledged += last - lasting;
    }
    // Some commits were whole on the disk and not yet acknowledged: the points do fall inside.
    assert!(unacknowledged > 0);
}
