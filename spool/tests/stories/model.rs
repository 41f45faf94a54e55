//! Random operations on both engines and on a model too simple to be wrong.

use std::collections::BTreeMap;

use distpos_proto::{chain::ChainId, envelope::Envelope, message::MessageId, time::UnixMillis};
use distpos_spool::{Batch, BatchId, Direction, Spool, SpoolError, State, Tx};
use proptest::{collection::vec, prelude::*};

use crate::support::{batch, chain, change, due as all_due, next_due, read, transact};

const PEERS: [&str; 3] = ["b2", "c3", "d4"];
const STATES: [State; 4] = [State::Queued, State::Claimed, State::Delivering, State::Held];

/// What is done; batches are chosen by their place among those that are there.
#[derive(Debug, Clone)]
enum Operation {
    Put { peer: usize, sequences: Vec<u64>, data: usize, due: Option<u64> },
    Update { place: usize, state: usize, due: Option<u64> },
    Split { place: usize, positions: Vec<usize>, state: usize, due: Option<u64> },
    Remove { place: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    let due = || prop::option::weighted(0.8, 0u64..20);
    // Few sequences, so that some messages come twice and are refused.
    let sequences = prop::collection::btree_set(1u64..40, 1..6);
    let put = (0..PEERS.len(), sequences, prop_oneof![Just(10), Just(30_000)], due());
    prop_oneof![
        3 => put.prop_map(|(peer, sequences, data, due)| {
            Operation::Put { peer, sequences: sequences.into_iter().collect(), data, due }
        }),
        2 => (any::<usize>(), 0..STATES.len(), due())
            .prop_map(|(place, state, due)| Operation::Update { place, state, due }),
        2 => (any::<usize>(), vec(0usize..6, 0..4), 0..STATES.len(), due()).prop_map(
            |(place, positions, state, due)| Operation::Split { place, positions, state, due }
        ),
        1 => any::<usize>().prop_map(|place| Operation::Remove { place }),
    ]
}

/// One closure: its operations, and whether it fails in the end.
#[derive(Debug, Clone)]
struct Closure {
    direction: Direction,
    operations: Vec<Operation>,
    fails: bool,
}

fn closure() -> impl Strategy<Value = Closure> {
    let direction = prop_oneof![Just(Direction::Outbound), Just(Direction::Inbound)];
    (direction, vec(operation(), 1..6), prop::bool::weighted(0.2))
        .prop_map(|(direction, operations, fails)| Closure { direction, operations, fails })
}

/// The queue as plain maps that are scanned.
#[derive(Debug, Clone, Default)]
struct Model {
    queues: BTreeMap<Direction, Queue>,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    last: u64,
    batches: BTreeMap<BatchId, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    peer: ChainId,
    state: State,
    created: UnixMillis,
    due: Option<UnixMillis>,
    messages: Vec<Envelope>,
}

impl Queue {
    fn has(&self, id: &MessageId) -> bool {
        self.batches.values().flat_map(|b| &b.messages).any(|e| e.message.id() == *id)
    }

    fn at(&self, place: usize) -> Option<BatchId> {
        let length = self.batches.len();
        (length > 0).then(|| *self.batches.keys().nth(place % length).unwrap())
    }

    fn add(&mut self, entry: Entry) -> BatchId {
        self.last += 1;
        self.batches.insert(BatchId(self.last), entry);
        BatchId(self.last)
    }
}

/// Does the same to a spool and to the model, which must agree on whether it can be done.
fn perform(
    tx: &mut Tx<'_>,
    model: &mut Model,
    direction: Direction,
    operation: Operation,
) -> Result<(), SpoolError> {
    let queue = model.queues.entry(direction).or_default();
    let now = UnixMillis(1);
    match operation {
        Operation::Put { peer, sequences, data, due } => {
            // Some come later than others that have a higher number.
            let now = UnixMillis(1 + sequences[0] % 7);
            let mut new = batch(direction, PEERS[peer], 1, sequences, data);
            new.due = due.map(UnixMillis);
            let doubles = new.messages.iter().map(|e| e.message.id()).find(|id| queue.has(id));
            let (peer, messages) = (new.peer, new.messages.clone());
            let (state, due) = (new.state, new.due);
            match (tx.put(new, now), doubles) {
                (Ok(id), None) => {
                    let entry = Entry { peer, state, created: now, due, messages };
                    assert_eq!(id, queue.add(entry));
                }
                (Err(error), Some(id)) => {
                    assert_eq!(error, SpoolError::Duplicate { direction, id });
                }
                other => panic!("{other:?}"),
            }
        }
        Operation::Update { place, state, due } => {
            let Some(id) = queue.at(place) else { return Ok(()) };
            tx.update(direction, id, change(STATES[state], due), now)?;
            let entry = queue.batches.get_mut(&id).unwrap();
            (entry.state, entry.due) = (STATES[state], due.map(UnixMillis));
        }
        Operation::Split { place, positions, state, due } => {
            let Some(id) = queue.at(place) else { return Ok(()) };
            split(tx, queue, direction, id, &positions, STATES[state], due);
        }
        Operation::Remove { place } => {
            let Some(id) = queue.at(place) else { return Ok(()) };
            tx.remove(direction, id)?;
            queue.batches.remove(&id);
        }
    }
    Ok(())
}

fn split(
    tx: &mut Tx<'_>,
    queue: &mut Queue,
    direction: Direction,
    id: BatchId,
    positions: &[usize],
    state: State,
    due: Option<u64>,
) {
    let entry = queue.batches.get_mut(&id).unwrap();
    let length = entry.messages.len();
    let result = tx.split(direction, id, positions, change(state, due), UnixMillis(1));
    if positions.is_empty() || positions.iter().any(|position| *position >= length) {
        assert!(matches!(result, Err(SpoolError::Batch { .. })), "{result:?}");
        return;
    }
    let due = due.map(UnixMillis);
    let (mut leaving, mut staying) = (Vec::new(), Vec::new());
    for (position, message) in entry.messages.drain(..).enumerate() {
        if positions.contains(&position) { leaving.push(message) } else { staying.push(message) }
    }
    let (peer, created) = (entry.peer, entry.created);
    let expected = if staying.is_empty() {
        *entry = Entry { peer, state, created, due, messages: leaving };
        id
    } else {
        entry.messages = staying;
        queue.add(Entry { peer, state, created, due, messages: leaving })
    };
    assert_eq!(result, Ok(expected));
}

/// Everything that can be asked about the queue, against scans of the model.
fn compare(tx: &Tx<'_>, model: &Model) -> Result<(), SpoolError> {
    for direction in Direction::BOTH {
        let empty = Queue::default();
        let queue = model.queues.get(&direction).unwrap_or(&empty);
        let batches = tx.batches(direction, None, usize::MAX)?;
        assert_eq!(
            batches.iter().map(|b| b.id).collect::<Vec<_>>(),
            queue.batches.keys().copied().collect::<Vec<_>>()
        );
        let mut counts = BTreeMap::new();
        for (batch, (id, entry)) in batches.iter().zip(&queue.batches) {
            assert_eq!((batch.peer, batch.state, batch.due), (entry.peer, entry.state, entry.due));
            assert_eq!(tx.messages(direction, *id)?, entry.messages);
            for (position, envelope) in entry.messages.iter().enumerate() {
                let id = envelope.message.id();
                assert_eq!(tx.find(direction, &id)?, Some((batch.id, position)));
                assert_eq!(batch.items[position].id, id);
            }
            *counts.entry((entry.peer, entry.state)).or_default() += entry.messages.len() as u64;
        }
        assert_eq!(tx.count(direction)?, counts);
        for sequence in 1..40 {
            for peer in PEERS {
                let id = batch(direction, peer, 1, [sequence], 10).messages[0].message.id();
                assert_eq!(tx.find(direction, &id)?.is_some(), queue.has(&id));
            }
        }
        compare_due(tx, direction, queue)?;
        compare_ages(tx, direction, queue)?;
    }
    Ok(())
}

fn compare_due(tx: &Tx<'_>, direction: Direction, queue: &Queue) -> Result<(), SpoolError> {
    let mut due: Vec<_> =
        queue.batches.iter().filter_map(|(id, entry)| Some((entry.due?, *id))).collect();
    due.sort();
    assert_eq!(next_due(tx, direction)?, due.first().map(|(due, _)| *due));
    let now = UnixMillis(10);
    let ids = |batches: Vec<Batch>| batches.into_iter().map(|b| b.id).collect::<Vec<_>>();
    let expected: Vec<_> = due.iter().filter(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
    assert_eq!(ids(all_due(tx, direction, now)?), expected);
    Ok(())
}

fn compare_ages(tx: &Tx<'_>, direction: Direction, queue: &Queue) -> Result<(), SpoolError> {
    for peer in PEERS.map(chain) {
        let of_peer = queue.batches.iter().filter(|(_, entry)| entry.peer == peer);
        let mut all: Vec<_> = of_peer.map(|(id, entry)| (entry.created, *id)).collect();
        all.sort();
        assert_eq!(tx.oldest(direction, peer)?, all.first().map(|(created, _)| *created));
        let (from, to) = (UnixMillis(2), UnixMillis(5));
        all.retain(|(created, _)| (from..=to).contains(created));
        let (mut pages, mut after) = (Vec::new(), None);
        while let Some(place) = tx.by_age(direction, peer, (from, to), after, 1)?.pop() {
            pages.push(place);
            after = Some(place);
        }
        assert_eq!(pages, all);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_do_what_the_model_does(closures in vec(closure(), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let on_disk = Spool::open(directory.path()).unwrap();
        let in_memory = Spool::in_memory();
        let mut model = Model::default();
        for Closure { direction, operations, fails } in closures {
            let mut after = None;
            for spool in [&in_memory, &on_disk] {
                let (mut trial, operations) = (model.clone(), operations.clone());
                let done = transact(spool, move |tx| {
                    for operation in operations {
                        perform(tx, &mut trial, direction, operation)?;
                    }
                    compare(tx, &trial)?;
                    if fails { Err(SpoolError::Flush("as told".into())) } else { Ok(trial) }
                });
                after = match done {
                    Ok(trial) => Some(trial),
                    Err(error) => {
                        prop_assert_eq!(error, SpoolError::Flush("as told".into()));
                        None
                    }
                };
            }
            model = after.unwrap_or(model);
            for spool in [&in_memory, &on_disk] {
                read(spool, |tx| compare(tx, &model)).unwrap();
            }
        }
        drop(on_disk);
        let reopened = Spool::open(directory.path()).unwrap();
        read(&reopened, |tx| compare(tx, &model)).unwrap();
    }
}
