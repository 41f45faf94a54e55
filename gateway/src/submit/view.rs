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

/// A message that a user would send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulationAsked {
    /// The local address that would send it.
    pub from: String,
    /// The whole address that it is for, `e2e4x63ea…`.
    pub to: String,
    /// How much, in the asset's smallest unit, decimal.
    #[serde(default)]
    pub amount: Option<String>,
    /// What the amount counts, such as `e2e4/coin`; the own coin unless said otherwise.
    #[serde(default)]
    pub asset: Option<String>,
    /// Call data or a note, in hex.
    #[serde(default)]
    pub data: String,
    /// Gas for the recipient's call; 0: no call.
    #[serde(default)]
    pub gas: u64,
    /// What happens to the value when the call fails.
    #[serde(default)]
    pub on_fail: Fails,
    /// Not delivered after this, in Unix seconds; in 24 hours unless said otherwise.
    #[serde(default)]
    pub expires: Option<u64>,
}

/// What happens to the value when a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fails {
    /// It comes back.
    #[default]
    Return,
    /// The recipient keeps it.
    Keep,
}

/// What would become of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationView {
    /// The gateway of the destination that answered; none if none did.
    pub gateway: Option<String>,
    /// The reply code: `2.0.0` would be delivered; class 4 may pass later, class 5 would be refused.
    pub code: String,
    /// Why, in words.
    pub text: String,
    /// When to ask again, in seconds, if that is known.
    pub retry_after: Option<u32>,
    /// What the recipient's call would use of gas, with a margin; 0: it is not called.
    pub gas: Option<u64>,
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
