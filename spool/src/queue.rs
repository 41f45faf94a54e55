//! The queue: batches in both directions, by due time, by id, and counted.

use std::fmt;

use distpos_proto::{
    amount::Amount,
    chain::{ChainId, Height},
    code::Reply,
    envelope::Envelope,
    message::MessageId,
    time::{UnixMillis, UnixSeconds},
};

mod ages;
mod bodies;
mod counts;
mod enqueue;
mod lines;
mod lookup;
mod rows;
mod schedule;
mod split;

pub use lines::Line;
pub use schedule::Place;

/// Which way messages go, seen from this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From this chain to another.
    Outbound,
    /// From another chain to this one.
    Inbound,
}

impl Direction {
    /// Both, in their order.
    pub const BOTH: [Self; 2] = [Self::Outbound, Self::Inbound];

    /// The word in logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A batch's number: ascending from 1 in each direction, assigned in the committer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far the messages of a batch have come. Being in flight is no state: it ends with the
/// process, and the batch is then where it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Outbound: to be sent.
    Queued,
    /// Outbound: the peer has it; its receipt is awaited.
    Accepted,
    /// Outbound: a receipt says delivered; closing it is not yet final on this chain.
    Closing,
    /// Outbound: refused or unroutable; the refund is not yet final on this chain.
    Refunding,
    /// Inbound: taken from a peer, not proven yet.
    Claimed,
    /// Inbound: proven and admitted; the delivery is not yet final on this chain.
    Delivering,
    /// Inbound: proven and refused; the void is not yet final on this chain.
    Voiding,
    /// Inbound: ended here; the source has not acknowledged the receipt yet.
    Ended,
    /// Either: stopped by an operator or by doubt, until somebody releases it.
    Held,
    /// Inbound: proven, and waiting for room in its account.
    Suspended,
}

impl State {
    /// Every state, in the order of a message's way.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Accepted,
        Self::Closing,
        Self::Refunding,
        Self::Claimed,
        Self::Suspended,
        Self::Delivering,
        Self::Voiding,
        Self::Ended,
        Self::Held,
    ];

    /// The word in logs, metrics and commands.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Closing => "closing",
            Self::Refunding => "refunding",
            Self::Claimed => "claimed",
            Self::Delivering => "delivering",
            Self::Voiding => "voiding",
            Self::Ended => "ended",
            Self::Held => "held",
            Self::Suspended => "suspended",
        }
    }

    /// The number in rows and keys: part of the format, so never renumbered.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Queued => 1,
            Self::Accepted => 2,
            Self::Closing => 3,
            Self::Refunding => 4,
            Self::Claimed => 5,
            Self::Delivering => 6,
            Self::Voiding => 7,
            Self::Ended => 8,
            Self::Held => 9,
            Self::Suspended => 10,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A message in a batch, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place among its block's outgoing messages.
    pub index: u32,
    /// Its number between the two chains.
    pub sequence: u64,
    /// Its id.
    pub id: MessageId,
    /// When it expires.
    pub expires: UnixSeconds,
    /// Length of its encoding.
    pub bytes: u32,
    /// What it carries.
    pub amount: Amount,
}

/// Messages of one source block for one destination that fare alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: BatchId,
    /// Which way it goes.
    pub direction: Direction,
    /// The other chain.
    pub peer: ChainId,
    /// The source block.
    pub height: Height,
    /// How far it has come.
    pub state: State,
    /// When something is to be done; none while it waits for an event.
    pub due: Option<UnixMillis>,
    /// How often the present step was tried.
    pub attempts: u32,
    /// When it came into this state.
    pub since: UnixMillis,
    /// When its messages came into this spool.
    pub created: UnixMillis,
    /// Why it is not further, if a reason was given.
    pub reply: Option<Reply>,
    /// Its messages; never empty.
    pub items: Vec<Item>,
    /// The states it has been in and since when, the present one last; the first and the newest,
    /// at most [`HISTORY_MAX`].
    pub history: Vec<(State, UnixMillis)>,
}

/// Most entries of a batch's history.
pub const HISTORY_MAX: usize = 16;

impl Batch {
    /// Length of its messages' encodings together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.bytes)).sum()
    }

    /// When the first of its messages expires.
    #[must_use]
    pub fn expires(&self) -> UnixSeconds {
        self.items.iter().map(|item| item.expires).min().unwrap_or(UnixSeconds(u64::MAX))
    }

    /// The change that changes nothing: to be updated with what shall become different.
    #[must_use]
    pub fn change(&self) -> Change {
        Change {
            state: self.state,
            due: self.due,
            attempts: self.attempts,
            reply: self.reply.clone(),
        }
    }
}

/// A batch to be put into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// Which way it goes.
    pub direction: Direction,
    /// The other chain: the destination of outbound, the source of inbound messages.
    pub peer: ChainId,
    /// The source block, which every origin names.
    pub height: Height,
    /// Where it starts.
    pub state: State,
    /// When something is to be done; none if it waits for an event.
    pub due: Option<UnixMillis>,
    /// The messages, within the limits of `distpos_proto::wire`.
    pub messages: Vec<Envelope>,
}

/// What a batch is to become. All of it is set: take [`Batch::change`] for what stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The state; a new one is noted in the history.
    pub state: State,
    /// When something is to be done; none to wait for an event.
    pub due: Option<UnixMillis>,
    /// How often the step was tried.
    pub attempts: u32,
    /// Why it is not further.
    pub reply: Option<Reply>,
}
