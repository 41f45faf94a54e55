//! An envelope: a message and where its chain says it is.

use crate::{chain::Height, message::Message};

/// The place of a message in its source chain, as the sending gateway claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The final block that holds it.
    pub height: Height,
    /// Its place among the block's outgoing messages: from 0, in the order of (destination,
    /// sequence), which is the order of the block's leaves.
    pub index: u32,
}

/// What travels: a message, and where to look for it. Identity is the message's id; the same
/// message under another origin is the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The message.
    pub message: Message,
    /// Where it is claimed to be.
    pub origin: Origin,
}
