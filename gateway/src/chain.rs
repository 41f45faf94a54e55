//! The local chain as the gateway sees it: one trait, one sibling module a family.
//!
//! `gateway/src/chain/x.rs` speaks to the local node, `proto/src/light/x.rs` judges the same
//! family's evidence on the other side.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use distpos_proto::{
    account::{Change, Limits},
    address::Local,
    amount::Amount,
    chain::{BlockHash, ChainId, Family, GenesisTag, Height},
    code::{Code, Reply},
    light::{evm::ReceiptProof, ledger::SignedLedgerHeader},
    message::{Asset, Message, MessageId, TermsHash, Value},
    proof::merkle::TreeProof,
    receipt::{Call, Ending},
    stage::{Admitted, Refused},
    time::UnixSeconds,
    wire::Head,
};
use thiserror::Error;

pub mod evm;
pub mod ledger;

/// What never changes of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its chain-id, as addresses and DNS name it.
    pub chain: ChainId,
    /// First 8 bytes of its genesis hash.
    pub tag: GenesisTag,
    /// The family of evidence it can give (attested evidence is always possible beside it).
    pub family: Family,
    /// Its outbox, as messages name it: on EVM the contract's 20 bytes.
    pub outbox: Vec<u8>,
}

/// The last final block whose messages and events are in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its height.
    pub height: Height,
    /// Its hash: a final block that later has another one means the node was swapped or rolled back.
    pub block: BlockHash,
}

/// What is new since a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Final blocks that hold something for the gateway, ascending.
    pub blocks: Vec<FinalBlock>,
    /// Everything up to here was looked at.
    pub cursor: Cursor,
}

/// A final block, as far as the gateway cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalBlock {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub block: BlockHash,
    /// Its time.
    pub time: UnixSeconds,
    /// Messages that left with it, ordered by (destination, sequence): the order of the leaves.
    pub outgoing: Vec<Message>,
    /// Ends of messages, in the order of the block.
    pub events: Vec<ChainEvent>,
    /// What sibling gateways want and cannot do alone; empty where one gateway is enough.
    pub proposals: Vec<Proposal>,
}

/// The end of a message on this chain: in its guard (as destination) or its outbox (as source).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainEvent {
    /// Delivered here.
    Delivered {
        /// The message.
        id: MessageId,
        /// Where it came from.
        source: ChainId,
        /// What it carried.
        value: Option<Value>,
        /// The delivering transaction's hash.
        transaction: Vec<u8>,
        /// What became of the recipient's call.
        call: Call,
    },
    /// Marked void here: it will never be delivered.
    Voided {
        /// The message.
        id: MessageId,
        /// Where it came from.
        source: ChainId,
        /// Why.
        code: Code,
        /// Why, in words.
        text: String,
    },
    /// Delivered there; its refund is impossible now.
    Closed {
        /// The message.
        id: MessageId,
        /// Where it went.
        destination: ChainId,
        /// What it carried.
        value: Option<Value>,
    },
    /// Refunded to its sender.
    Refunded {
        /// The message.
        id: MessageId,
    },
    /// An account was opened, closed, or its limits changed.
    AccountSet {
        /// The peer.
        chain: ChainId,
        /// What it counts in.
        asset: Asset,
        /// Its terms; none: it is closed.
        terms: Option<TermsHash>,
        /// Its limits.
        limits: Limits,
    },
    /// A peer's reserve here changed.
    ReserveChanged {
        /// The peer.
        chain: ChainId,
        /// What it counts in.
        asset: Asset,
        /// By how much.
        change: Change,
        /// Whose transaction it was, as this chain writes accounts.
        by: String,
        /// Why, in its own words; empty for a deposit.
        note: String,
    },
}

/// What a sibling gateway wants of this chain, where several have to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// To deliver or void this message. Nothing is proven by that: this gateway judges for itself,
    /// from the proof on.
    Inbound(Box<Message>),
    /// To close or refund this message of the own chain: this gateway needs its receipt, too.
    Outbound(MessageId),
}

/// The family's own part of the evidence for messages of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeProof {
    /// A ledger header and a multiproof under its root.
    Ledger(SignedLedgerHeader, TreeProof),
    /// The block's RLP header and receipts under its root; recomputed before they are given.
    Evm(ReceiptProof),
}

/// What the chain would do with a message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Simulation {
    /// It would be delivered.
    Passes,
    /// Its id is already in the guard (delivered or void): its final event will tell.
    Ended,
    /// It would be refused for good.
    Refused(Reply),
    /// Not now: the vault is short, the node busy.
    Deferred(Reply),
}

/// What the gateway, or a user through it, asks of the chain. The types say what was checked.
#[derive(Debug)]
pub enum Submission {
    /// A user's signed native transaction, as it came.
    User(Vec<u8>),
    /// Deliver these. An id that is already in the guard is passed over.
    Deliver(Vec<Admitted>),
    /// Void these. An id that is already in the guard is passed over.
    Void(Vec<Refused>),
    /// Close or refund these. An id that is closed or refunded already is passed over.
    End(Vec<Ending>),
    /// Open an account, close it, or change its limits, where that is the gateway's to do.
    Account {
        /// The peer.
        chain: ChainId,
        /// The peer's genesis tag, as it is believed; none leaves it as it is registered.
        tag: Option<GenesisTag>,
        /// What it counts in.
        asset: Asset,
        /// The terms both sides signed; none closes it.
        terms: Option<TermsHash>,
        /// How far the peer is trusted.
        limits: Limits,
    },
    /// Note a settlement that happened elsewhere, where that is the gateway's to do.
    Settle {
        /// The peer.
        chain: ChainId,
        /// What it counts in.
        asset: Asset,
        /// What it does to the peer's reserve here.
        change: Change,
        /// Who is paid what is taken; none: it becomes the community's float.
        to: Option<Local>,
        /// Why.
        note: String,
    },
}

/// What became of a submission so far; final events tell the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The native transaction's hash.
    pub transaction: Vec<u8>,
    /// Messages the chain would not take at once, and why.
    pub refused: Vec<(MessageId, Reply)>,
}

/// A user's account, for whoever builds a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What it holds, in the native coin's smallest unit.
    pub balance: Amount,
    /// The number its next transaction must carry.
    pub nonce: u64,
}

/// What went wrong with the local chain. Unless it says otherwise, trying again may help.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The node does not answer.
    #[error("node at {node} does not answer: {cause}")]
    Unreachable {
        /// Where it was asked.
        node: String,
        /// What the connection said.
        cause: String,
    },
    /// The node answers with something that is not what was asked for.
    #[error("node's answer to {call}: {what}")]
    Garbage {
        /// The call.
        call: &'static str,
        /// What was found and what was expected.
        what: String,
    },
    /// The node wants to be asked less; waiting was not enough.
    #[error("node at {node} is asked too often{}", Wait(*wait))]
    RateLimited {
        /// Where it was asked.
        node: String,
        /// How long it wants to be left alone, if it says.
        wait: Option<Duration>,
    },
    /// No node has what must exist: it was pruned, or the node is behind.
    #[error(
        "no node has {what} ({call} at {nodes}): a node is needed that keeps blocks, receipts and \
         logs from there on"
    )]
    HistoryMissing {
        /// The call.
        call: &'static str,
        /// What was asked for, such as `block 17`.
        what: String,
        /// Who was asked.
        nodes: String,
    },
    /// The node gives the logs of no range, not even of one block.
    #[error("node refuses the logs of block {height} alone: {what}")]
    LogsRefused {
        /// The block.
        height: Height,
        /// What the node says.
        what: String,
    },
    /// Nodes give different answers where a quorum must agree: one of them is wrong.
    #[error("nodes disagree about {call}: {nodes}")]
    Disagreement {
        /// The call.
        call: &'static str,
        /// Who says one thing and who another.
        nodes: String,
    },
    /// The node is of another chain, or has lost final blocks: the operator must look.
    #[error("node is not the chain that was configured: {0}")]
    OtherChain(String),
    /// The chain refuses a transaction for good.
    #[error("transaction refused: {0}")]
    Refused(Reply),
    /// The gateway's own transaction did not go out, or was lost.
    #[error("transaction not sent: {0}")]
    Unsent(String),
    /// A transaction that was signed is in no block yet, and may still come into one.
    #[error("a transaction waits: {0}")]
    Waiting(String),
    /// The embedded chain's own store.
    #[error("ledger store: {0}")]
    Store(String),
}

impl ChainError {
    /// Whether the same may succeed later without the operator.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Garbage { .. }
            | Self::RateLimited { .. }
            | Self::HistoryMissing { .. }
            | Self::LogsRefused { .. }
            | Self::Disagreement { .. }
            | Self::Unsent(_)
            | Self::Waiting(_)
            | Self::Store(_) => true,
            Self::OtherChain(_) | Self::Refused(_) => false,
        }
    }
}

/// `: again in 7 s`, where it is known.
struct Wait(Option<Duration>);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |wait| write!(f, ": again in {} s", wait.as_secs_f32().ceil()))
    }
}

/// The local chain. Every method may be dropped half-way and called again.
#[async_trait]
pub trait LocalChain: Send + Sync {
    /// Which chain this is.
    fn facts(&self) -> &Facts;

    /// The newest final block.
    async fn head(&self) -> Result<Head, ChainError>;

    /// Waits until there are final blocks after `after` (from the outbox's first block if none)
    /// and gives a bounded number of them.
    async fn watch(&self, after: Option<Cursor>) -> Result<Watched, ChainError>;

    /// The family's own proof for messages that left with the final block `height`.
    async fn prove(&self, height: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError>;

    /// What would become of this message if it were delivered now; changes nothing.
    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError>;

    /// What the recipient's call would use of gas, in this chain's unit and with a margin; 0 where the
    /// recipient is never called. None where the chain cannot tell, or the call reverts.
    async fn estimate(&self, message: &Message) -> Result<Option<u64>, ChainError> {
        let _ = message;
        Ok(None)
    }

    /// Hands a transaction to the chain. Returning is no promise that it is final: [`Self::watch`]
    /// tells that.
    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError>;

    /// An account, for whoever builds a user's transaction; none if the chain has no such account.
    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError>;
}
