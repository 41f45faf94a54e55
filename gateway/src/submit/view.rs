//! What the submission listener says, as JSON. The names are an interface.

use serde::{Deserialize, Serialize};

/// Which chain this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainView {
    /// Its chain-id.
    pub chain: String,
    /// Its genesis tag, 16 hex digits.
    pub tag: String,
    /// Its family.
    pub family: String,
    /// Its outbox, in hex.
    pub outbox: String,
    /// The newest final block.
    pub head: HeadView,
}

/// A final block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadView {
    /// Its height.
    pub height: u64,
    /// Its hash, in hex.
    pub block: String,
    /// Its time, in Unix seconds.
    pub time: u64,
}

/// An account of the own chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// The local address.
    pub account: String,
    /// What it holds, in the smallest unit, decimal.
    pub balance: String,
    /// The number its next transaction must carry.
    pub nonce: u64,
}

/// A transaction that the chain has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedView {
    /// Its hash, in hex.
    pub transaction: String,
    /// Messages that the chain would not take, and why.
    #[serde(default)]
    pub refused: Vec<RefusedView>,
}

/// A message that the chain would not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// The message.
    pub id: String,
    /// The reply code.
    pub code: String,
    /// Why, in words.
    pub text: String,
}

/// The messages of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagesView {
    /// Their ids.
    pub messages: Vec<String>,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the own chain.
    Out,
    /// To the own chain.
    In,
}

/// How a message has ended, for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Delivered there, by its receipt.
    Delivered,
    /// Refused there, and refunded here.
    Refunded,
}

/// How a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// The message.
    pub id: String,
    /// Which way it goes.
    pub direction: Direction,
    /// The queue's word for where it is: `queued`, `accepted`, `delivered`, …
    pub state: String,
    /// The other chain.
    pub peer: String,
    /// The last reply code, if there was one.
    pub code: Option<String>,
    /// What was said with it.
    pub text: Option<String>,
    /// Where it was, in order.
    pub steps: Vec<StepView>,
    /// How it has ended; none while it is under way.
    pub outcome: Option<Outcome>,
}

/// A state that a message has reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// The state.
    pub state: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The reply code: class 4 may succeed later, class 5 never.
    pub code: String,
    /// Why, in words.
    pub text: String,
}
