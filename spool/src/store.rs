//! The small interface behind which an engine keeps rows: consistent reads, and one atomic,
//! durable commit at a time. Engines are siblings.

use std::ops::Bound;

use crate::{changes::Changes, error::SpoolError, queue::Direction, spool::Space};

pub(crate) mod memory;
pub(crate) mod redb;

/// A table of byte keys, in ascending order, and byte values. Numbers in keys are big-endian.
///
/// Tables of the queue exist once a direction, so that ascending ids append at the right edge. A
/// table is made when something is first written to it: a spool from before it was thought of reads
/// as one in which it is empty, so a further table is no new format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// name -> single facts: format, next batch ids, cursor, pins.
    Meta,
    /// batch -> its state, small, rewritten at each change.
    Batches(Direction),
    /// batch -> its messages without their bodies, rewritten at a split.
    Items(Direction),
    /// (batch, part) -> the messages' bytes, written once.
    Bodies(Direction),
    /// (peer, state, due time, batch) -> nothing.
    Due(Direction),
    /// message id -> batch.
    Ids(Direction),
    /// (peer, state) -> number of messages.
    Counts(Direction),
    /// message id -> how it ended.
    Ended(Direction),
    /// (time, message id) -> nothing: ends by age.
    EndedAt(Direction),
    /// height -> attested header of the own chain, and its leaves.
    OwnHeaders,
    /// (chain, height) -> hash and predecessor of an authenticated foreign header.
    KnownHeaders,
    /// (chain, predecessor) -> hash of the authenticated foreign header after it.
    KnownPrevious,
    /// chain -> why it is frozen.
    Frozen,
    /// (chain, asset) -> terms, limits and figures of the account.
    Accounts,
    /// chain -> when it was first known or sent to.
    Seen,
    /// message id -> what was set aside for it in an account.
    Reserved,
    /// (account, number) -> the gateway's own transaction that is in no block yet, as signed.
    Signed,
    /// (chain, asset, number) -> an entry of the account's journal.
    Entries,
    /// (chain, asset, sequence) -> a proven message that waits for room in the account.
    Waiting,
    /// message id -> its place among those.
    WaitingIds,
    /// chain -> what it has used of its gas budget.
    Gas,
    /// (chain, asset) -> the terms that each side signed, and those that both did.
    Terms,
    /// (direction, chain, asset) -> the newest request for reserve.
    Requests,
    /// (direction, chain, asset) -> the newest statement.
    Statements,
    /// (chain, asset, height there, message id) -> the sum of a message that was delivered there.
    Settled,
    /// (chain, message id) -> asset and sum of a message that was delivered at an unknown height.
    Unplaced,
    /// (chain, asset) -> how many messages the account has seen, and what was settled long ago.
    Tallies,
    /// chain, or chain and gateway -> how far it has earned trust.
    Standing,
    /// (chain, or chain and gateway; number) -> what moved its standing.
    StandingEntries,
    /// message id -> who proved it, until it ends.
    Provers,
    /// chain -> which of its messages were proven, by sequence.
    Sequences,
    /// chain -> what DNS has told of its keys.
    DnsTrust,
    /// (peer, when its messages came, batch) -> nothing.
    Ages(Direction),
    /// message id -> nothing: inbound ends whose receipt the source has not taken.
    Untaken,
}

impl Table {
    /// How many tables there are.
    pub(crate) const COUNT: usize = 43;

    /// Every table, in the order of [`Table::index`].
    pub(crate) const ALL: [Self; Self::COUNT] = {
        use Direction::{Inbound, Outbound};
        [
            Self::Meta,
            Self::Batches(Outbound),
            Self::Batches(Inbound),
            Self::Items(Outbound),
            Self::Items(Inbound),
            Self::Bodies(Outbound),
            Self::Bodies(Inbound),
            Self::Due(Outbound),
            Self::Due(Inbound),
            Self::Ids(Outbound),
            Self::Ids(Inbound),
            Self::Counts(Outbound),
            Self::Counts(Inbound),
            Self::Ended(Outbound),
            Self::Ended(Inbound),
            Self::EndedAt(Outbound),
            Self::EndedAt(Inbound),
            Self::OwnHeaders,
            Self::KnownHeaders,
            Self::KnownPrevious,
            Self::Frozen,
            Self::Accounts,
            Self::Seen,
            Self::Reserved,
            Self::Signed,
            Self::Entries,
            Self::Waiting,
            Self::WaitingIds,
            Self::Gas,
            Self::Terms,
            Self::Requests,
            Self::Statements,
            Self::Settled,
            Self::Unplaced,
            Self::Tallies,
            Self::Standing,
            Self::StandingEntries,
            Self::Provers,
            Self::Sequences,
            Self::DnsTrust,
            Self::Ages(Outbound),
            Self::Ages(Inbound),
            Self::Untaken,
        ]
    };

    /// Its place in [`Table::ALL`].
    pub(crate) fn index(self) -> usize {
        let of = |first: usize, direction| match direction {
            Direction::Outbound => first,
            Direction::Inbound => first + 1,
        };
        match self {
            Self::Meta => 0,
            Self::Batches(direction) => of(1, direction),
            Self::Items(direction) => of(3, direction),
            Self::Bodies(direction) => of(5, direction),
            Self::Due(direction) => of(7, direction),
            Self::Ids(direction) => of(9, direction),
            Self::Counts(direction) => of(11, direction),
            Self::Ended(direction) => of(13, direction),
            Self::EndedAt(direction) => of(15, direction),
            Self::OwnHeaders => 17,
            Self::KnownHeaders => 18,
            Self::KnownPrevious => 19,
            Self::Frozen => 20,
            Self::Accounts => 21,
            Self::Seen => 22,
            Self::Reserved => 23,
            Self::Signed => 24,
            Self::Entries => 25,
            Self::Waiting => 26,
            Self::WaitingIds => 27,
            Self::Gas => 28,
            Self::Terms => 29,
            Self::Requests => 30,
            Self::Statements => 31,
            Self::Settled => 32,
            Self::Unplaced => 33,
            Self::Tallies => 34,
            Self::Standing => 35,
            Self::StandingEntries => 36,
            Self::Provers => 37,
            Self::Sequences => 38,
            Self::DnsTrust => 39,
            Self::Ages(direction) => of(40, direction),
            Self::Untaken => 42,
        }
    }

    /// Its name in the file and in errors. Part of the format.
    pub(crate) fn name(self) -> &'static str {
        const NAMES: [&str; Table::COUNT] = [
            "meta",
            "outbound_batches",
            "inbound_batches",
            "outbound_items",
            "inbound_items",
            "outbound_bodies",
            "inbound_bodies",
            "outbound_due",
            "inbound_due",
            "outbound_ids",
            "inbound_ids",
            "outbound_counts",
            "inbound_counts",
            "outbound_ended",
            "inbound_ended",
            "outbound_ended_at",
            "inbound_ended_at",
            "own_headers",
            "known_headers",
            "known_previous",
            "frozen",
            "accounts",
            "seen",
            "reserved",
            "signed",
            "entries",
            "waiting",
            "waiting_ids",
            "gas",
            "terms",
            "reserve_requests",
            "statements",
            "settled",
            "unplaced",
            "tallies",
            "standing",
            "standing_entries",
            "provers",
            "sequences",
            "dns_trust",
            "outbound_ages",
            "inbound_ages",
            "untaken",
        ];
        NAMES[self.index()]
    }
}

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Which end of a [`Span`] comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Lowest key first.
    Ascending,
    /// Highest key first.
    Descending,
}

/// Keys from one (included) up to another (excluded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl Span {
    /// Every key.
    pub(crate) fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// Keys that start with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), to: after_prefix(prefix) }
    }

    /// Keys above `key`.
    pub(crate) fn after(key: &[u8]) -> Self {
        // Nothing lies between a key and the same key with a zero byte behind it.
        Self { from: [key, &[0]].concat(), to: None }
    }

    /// Keys of at least `from` that are below every key that starts with `last` or is above it.
    pub(crate) fn through(from: &[u8], last: &[u8]) -> Self {
        Self { from: from.to_vec(), to: after_prefix(last) }
    }

    /// The span as bounds; none if it is empty (engines differ in what they do with such).
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let to = match &self.to {
            Some(to) if *to <= self.from => return None,
            Some(to) => Bound::Excluded(to.as_slice()),
            None => Bound::Unbounded,
        };
        Some((Bound::Included(self.from.as_slice()), to))
    }
}

/// The form in which maps and engines take a span.
type Bounds<'s> = (Bound<&'s [u8]>, Bound<&'s [u8]>);

/// The lowest key above all that start with `prefix`; none if there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// The committed state at one moment.
pub(crate) trait Snapshot {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, SpoolError>;

    /// The first `limit` rows of a span, in this order.
    fn rows(
        &self,
        table: Table,
        span: &Span,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, SpoolError>;

    /// How many rows a table has; cheap.
    fn len(&self, table: Table) -> Result<u64, SpoolError>;
}

/// An engine. Commits come from one thread at a time.
pub(crate) trait Store: Send + Sync {
    /// The committed state now, unmoved by later commits.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, SpoolError>;

    /// Writes all changes or none; they are on the disk when it returns.
    fn commit(&self, changes: &Changes) -> Result<(), SpoolError>;

    /// The space of the file system; none where there is no disk.
    fn space(&self) -> Result<Option<Space>, SpoolError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_own_place_and_name() {
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table.index(), place);
            assert_eq!(Table::ALL.iter().filter(|other| other.name() == table.name()).count(), 1);
        }
        assert_eq!(Table::Bodies(Direction::Inbound).name(), "inbound_bodies");
    }

    #[test]
    fn a_prefix_ends_before_its_neighbour() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(&[]), None);
        assert_eq!(Span::through(&[2], &[1]).bounds(), None);
    }
}
