//! Which of what waits is meant.

use std::time::Duration;

use distpos_proto::{
    address::Local,
    chain::ChainId,
    code::Code,
    message::MessageId,
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{Batch, Direction, Line, SpoolError, State, Tx};
use serde::{Deserialize, Serialize};

/// All of what is named has to hold; what is not named is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// This way only.
    pub direction: Option<Direction>,
    /// To or from this chain.
    pub chain: Option<ChainId>,
    /// In one of these states; none: in any.
    pub states: Vec<State>,
    /// Waiting for this reason.
    pub code: Option<Code>,
    /// In the spool for longer than this.
    pub older_than: Option<Duration>,
    /// Whose time is up.
    pub expired: bool,
    /// Sent by this account of the source chain.
    pub sender: Option<Local>,
}

/// A filter as calls carry it. Every field is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterView {
    /// `out` or `in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// A chain-id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Words of states.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// A reply code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// Whether only what has expired is meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// An account of the source chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
}

impl FilterView {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, with the field's name and what was expected.
    pub fn read(&self) -> Result<Filter, String> {
        fn one<T: std::str::FromStr>(
            field: &str,
            text: Option<&String>,
        ) -> Result<Option<T>, String>
        where
            T::Err: std::fmt::Display,
        {
            let read = |text: &String| text.parse().map_err(|error| format!("{field}: {error}"));
            text.map(read).transpose()
        }
        let direction = match self.direction.as_deref() {
            None => None,
            Some("out") => Some(Direction::Outbound),
            Some("in") => Some(Direction::Inbound),
            Some(other) => return Err(format!("direction: found {other:?}, expected out or in")),
        };
        Ok(Filter {
            direction,
            chain: one("chain", self.chain.as_ref())?,
            states: self.states.iter().map(|word| state(word)).collect::<Result<_, _>>()?,
            code: one("code", self.code.as_ref())?,
            older_than: self.older_than.map(Duration::from_secs),
            expired: self.expired,
            sender: one("sender", self.sender.as_ref())?,
        })
    }
}

/// A state by its word.
fn state(word: &str) -> Result<State, String> {
    State::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| {
        let all: Vec<&str> = State::ALL.iter().map(|state| state.word()).collect();
        format!("state: found {word:?}, expected one of {}", all.join(", "))
    })
}

impl Filter {
    /// Whether it lets nothing pass by: it names nothing.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether messages of one batch may differ in what it asks for.
    #[must_use]
    pub fn is_by_message(&self) -> bool {
        self.expired || self.sender.is_some()
    }

    /// Whether a batch may have what is meant, by what is known without its messages.
    #[must_use]
    pub fn admits(&self, direction: Direction, line: &Line, now: UnixMillis) -> bool {
        self.direction.is_none_or(|wanted| wanted == direction)
            && self.chain.is_none_or(|chain| chain == line.peer)
            && (self.states.is_empty() || self.states.contains(&line.state))
            && self
                .code
                .is_none_or(|code| line.reply.as_ref().is_some_and(|reply| reply.code == code))
            && self.older_than.is_none_or(|age| now.since(line.created) > age)
    }

    /// The positions of the messages of a batch that are meant.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn positions(
        &self,
        tx: &Tx<'_>,
        batch: &Batch,
        now: UnixSeconds,
    ) -> Result<Vec<usize>, SpoolError> {
        let mut positions: Vec<usize> = (0..batch.items.len()).collect();
        if self.expired {
            positions.retain(|position| batch.items[*position].expires < now);
        }
        if let (Some(sender), false) = (&self.sender, positions.is_empty()) {
            let envelopes = tx.messages(batch.direction, batch.id)?;
            let sent: Vec<MessageId> = envelopes
                .iter()
                .filter(|envelope| envelope.message.fields().sender == *sender)
                .map(|envelope| envelope.message.id())
                .collect();
            positions.retain(|position| sent.contains(&batch.items[*position].id));
        }
        Ok(positions)
    }
}
