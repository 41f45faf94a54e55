//! Messages and batches to tell stories with.

use distpos_proto::{
    account::Step,
    amount::Amount,
    chain::{ChainId, GenesisTag, Height},
    envelope::{Envelope, Origin},
    message::{Fields, Message, OnFail, Value},
    time::{UnixMillis, UnixSeconds},
    trust::{DnsTrust, Least, Published, TrustLevel, observe},
};
use distpos_spool::{
    Act, Batch, BatchId, Change, Direction, Entry, NewBatch, Spool, SpoolError, State, Tx,
};

pub(crate) use Direction::{Inbound, Outbound};

pub(crate) fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

/// Message `sequence` from `source` to `destination`, with so many bytes of data.
pub(crate) fn message(source: &str, destination: &str, sequence: u64, data: usize) -> Message {
    Message::new(Fields {
        source: chain(source),
        source_tag: GenesisTag([1; 8]),
        destination: chain(destination),
        destination_tag: GenesisTag([2; 8]),
        outbox: b"escrow".to_vec(),
        sequence,
        sender: "alice".parse().unwrap(),
        recipient: "bob".parse().unwrap(),
        value: Some(Value {
            asset: "a1/coin".parse().unwrap(),
            amount: Amount::from(sequence),
            terms: None,
        }),
        data: vec![7; data],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(2_000_000 + sequence),
    })
    .unwrap()
}

/// What is known of a chain that has published nothing but where it is.
pub(crate) fn dns_trust(found_at: &str) -> DnsTrust {
    let (found_at, level) = (found_at.to_owned(), TrustLevel::Pinned);
    let (policy, keys, lasts) = (None, Default::default(), Default::default());
    let published = Published { found_at, policy, keys, level, lasts };
    let least = Least { route: level, keys: level };
    observe(None, None, &published, least, UnixSeconds(1)).state.unwrap()
}

/// A batch of block `height`: the messages with these sequences, between the own chain `a1` and
/// `peer`, `data` bytes each, due at once.
pub(crate) fn batch(
    direction: Direction,
    peer: &str,
    height: u64,
    sequences: impl IntoIterator<Item = u64>,
    data: usize,
) -> NewBatch {
    let height = Height(height);
    let messages = (0..).zip(sequences).map(|(index, sequence)| {
        let message = match direction {
            Outbound => message("a1", peer, sequence, data),
            Inbound => message(peer, "a1", sequence, data),
        };
        Envelope { message, origin: Origin { height, index } }
    });
    NewBatch {
        direction,
        peer: chain(peer),
        height,
        state: match direction {
            Outbound => State::Queued,
            Inbound => State::Claimed,
        },
        due: Some(UnixMillis(0)),
        messages: messages.collect(),
    }
}

pub(crate) fn change(state: State, due: Option<u64>) -> Change {
    Change { state, due: due.map(UnixMillis), attempts: 0, reply: None }
}

/// Runs a closure, on a runtime of its own.
pub(crate) fn transact<R: Send + 'static>(
    spool: &Spool,
    work: impl FnOnce(&mut Tx<'_>) -> Result<R, SpoolError> + Send + 'static,
) -> Result<R, SpoolError> {
    runtime().block_on(spool.transact(work))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

pub(crate) fn read<R>(
    spool: &Spool,
    look: impl FnOnce(&Tx<'_>) -> Result<R, SpoolError>,
) -> Result<R, SpoolError> {
    spool.read(look)
}

pub(crate) fn put(spool: &Spool, batch: NewBatch, now: u64) -> Result<BatchId, SpoolError> {
    transact(spool, move |tx| tx.put(batch, UnixMillis(now)))
}

/// A spool of each engine; the directory lives as long as its guard.
pub(crate) fn engines() -> [(Spool, Option<tempfile::TempDir>); 2] {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = Spool::open(&directory.path().join("spool")).unwrap();
    [(Spool::in_memory(), None), (on_disk, Some(directory))]
}

/// Everything that is due, whatever its peer and state: by time, then by number.
pub(crate) fn due(
    tx: &Tx<'_>,
    direction: Direction,
    now: UnixMillis,
) -> Result<Vec<Batch>, SpoolError> {
    let mut due = Vec::new();
    for (group, _) in tx.count(direction)? {
        due.extend(tx.due(direction, group, now, usize::MAX, u64::MAX)?);
    }
    due.sort_by_key(|batch| (batch.due, batch.id));
    Ok(due)
}

/// When anything is due next.
pub(crate) fn next_due(
    tx: &Tx<'_>,
    direction: Direction,
) -> Result<Option<UnixMillis>, SpoolError> {
    let mut next = None;
    for (group, _) in tx.count(direction)? {
        let at = tx.next_due(direction, group)?;
        next = [next, at].into_iter().flatten().min();
    }
    Ok(next)
}

/// A step that nobody in particular made.
pub(crate) fn entry(step: Step) -> Entry {
    let (by, why) = (String::new(), String::new());
    Entry { act: Act::Step(step), id: None, height: None, by, why, at: UnixMillis(1) }
}
