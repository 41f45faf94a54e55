//! The queue for its operator: what waits, why, and what may be done about it (`docs/queue.md`).
//!
//! A message carries value that its chain has locked, so nothing here ends one that may have reached
//! another chain: only a receipt does. What a verb may do to a batch is one function, [`rule`].

use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
    time::UnixMillis,
};
use distpos_spool::{Change, Direction, State};

pub mod change;
pub mod filter;
pub mod look;

/// What an operator does to what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Tries it now, in its order.
    Flush,
    /// Lets it wait until somebody releases it, or its time is up.
    Hold,
    /// Lets it go on.
    Release,
    /// Begins anew: as if it had just come, and had never been tried.
    Requeue,
    /// Gives it up, where nobody can have got it: its sender is paid back.
    Expire,
    /// Forgets it here, where its chain will tell of it again.
    Drop,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 6] =
        [Self::Flush, Self::Hold, Self::Release, Self::Requeue, Self::Expire, Self::Drop];

    /// The word in commands and calls.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Requeue => "requeue",
            Self::Expire => "expire",
            Self::Drop => "drop",
        }
    }
}

/// What messages are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<MessageId>),
    /// All that the filter lets through.
    Filter(filter::Filter),
}

/// What a verb does to messages in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// They become this.
    Become(Change),
    /// They leave the queue.
    Remove,
    /// They are refunded, if nothing was ever sent to their chain.
    GiveUp,
}

/// What the verb does to messages of a direction that are `now` as `before` says; `until` is when a
/// hold ends by itself, and `why` what the operator said.
///
/// # Errors
/// Why it does nothing to these, for people.
pub fn rule(
    verb: Verb,
    direction: Direction,
    before: Change,
    now: UnixMillis,
    (until, why): (UnixMillis, &str),
) -> Result<Act, &'static str> {
    use State::{
        Accepted, Claimed, Closing, Delivering, Ended, Held, Queued, Refunding, Suspended, Voiding,
    };
    let due_now = |before: Change| Act::Become(Change { due: Some(now), ..before });
    let anew = |state| Act::Become(Change { state, due: Some(now), attempts: 0, reply: None });
    match (verb, before.state) {
        (Verb::Flush, Held) => Err("it is held: release it"),
        (Verb::Flush, _) => Ok(due_now(before)),
        (Verb::Hold, Queued | Claimed | Held) => {
            let reply = Some(Reply::new(Code::NOT_NOW, format!("held by the operator: {why}")));
            Ok(Act::Become(Change { state: Held, due: Some(until), attempts: 0, reply }))
        }
        (Verb::Release, Held) => Ok(anew(match direction {
            Direction::Outbound => Queued,
            Direction::Inbound => Claimed,
        })),
        (Verb::Release, _) => Err("it is not held"),
        (Verb::Requeue, Queued | Accepted) => Ok(anew(Queued)),
        (Verb::Requeue, Claimed) => Ok(anew(Claimed)),
        (Verb::Requeue, Ended) => Ok(anew(Ended)),
        (Verb::Requeue, Held) => Err("it is held: release it"),
        (Verb::Expire, Queued) => Ok(Act::GiveUp),
        (Verb::Expire, Held) if direction == Direction::Outbound => {
            Err("it is held: release it, and expire it then")
        }
        (Verb::Expire | Verb::Drop, Accepted) | (Verb::Hold, Accepted) => {
            Err("the other chain has it: only its receipt says how it ends")
        }
        (Verb::Drop, Claimed | Ended) => Ok(Act::Remove),
        (Verb::Drop, Held) if direction == Direction::Inbound => Ok(Act::Remove),
        (Verb::Drop, Queued | Held) => {
            Err("its sender's value is locked in the outbox: hold it, or let it end")
        }
        (Verb::Expire, Claimed | Held | Suspended) => {
            Err("it is another chain's: its source refunds it, on a receipt from here")
        }
        (Verb::Requeue | Verb::Hold | Verb::Drop, Suspended) => {
            Err("it waits for room in its account: `account show` says what would free it")
        }
        (Verb::Hold | Verb::Expire, Ended) => Err("it has ended; its receipt is on the way back"),
        (_, Delivering | Voiding | Closing | Refunding) => {
            Err("it is with the own chain, which decides")
        }
    }
}

/// A direction in the words of commands.
#[must_use]
pub fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "out",
        Direction::Inbound => "in",
    }
}

/// A place in the order in which the queue is looked through: of the batches up to `until`, those
/// behind `after` are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Outbound comes first.
    pub direction: Direction,
    /// The last batch that was looked at, or 0.
    pub after: u64,
    /// The newest batch when the look began: what comes later is not waited for.
    pub until: [u64; 2],
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [out, inward] = self.until;
        write!(f, "{}-{}-{out}-{inward}", direction_word(self.direction), self.after)
    }
}

impl std::str::FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected what an answer gave as \"next\"");
        let parts: Vec<&str> = text.split('-').collect();
        let [direction, after, out, inward] = parts[..] else { return Err(wrong()) };
        let direction = match direction {
            "out" => Direction::Outbound,
            "in" => Direction::Inbound,
            _ => return Err(wrong()),
        };
        let number = |text: &str| text.parse().map_err(|_| wrong());
        let (after, until) = (number(after)?, [number(out)?, number(inward)?]);
        Ok(Self { direction, after, until })
    }
}

#[cfg(test)]
mod tests;
