//! What happened, one event a transition: for logs, for the example that prints the six steps, and
//! for the test that compares two runs of one seed.

use std::{fmt, sync::Arc};

use distpos_proto::{
    account::{Change, Limits},
    chain::{ChainId, Family, Height},
    code::Reply,
    message::{Asset, MessageId, TermsHash},
    receipt::Outcome,
    standing::{Happening, Standing, Subject},
};

mod delay;
mod paper;
mod watchdog;

pub use delay::Delay;
pub use paper::{Paper, What};
pub use watchdog::{Found, Why};

/// One transition. The texts are stable enough to grep for, and hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Step 1: a final block of the local chain sends messages to other chains.
    Watched {
        /// The block.
        height: Height,
        /// The messages, each with its destination.
        messages: Vec<(MessageId, ChainId)>,
    },
    /// Step 2: DNS (or a static route) says where a chain's gateways are.
    Resolved {
        /// The chain looked up.
        chain: ChainId,
        /// Gateways in the order in which they are tried, `host:port`.
        gateways: Vec<String>,
        /// Where the answer is from and how far it is trusted.
        source: String,
    },
    /// Step 2: messages went to a gateway; the reply says what it made of them.
    Sent {
        /// The chain.
        chain: ChainId,
        /// The gateway that took them, `host:port`.
        gateway: String,
        /// The messages.
        ids: Vec<MessageId>,
        /// The reply to the first of them.
        reply: Reply,
    },
    /// Step 3: messages of another chain are on this side's disk.
    Claimed {
        /// The chain they claim to come from.
        source: ChainId,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// Step 3: a gateway of the source chain was asked for the Merkle proof.
    ProofAsked {
        /// The source chain.
        source: ChainId,
        /// The gateway asked, `host:port`.
        gateway: String,
        /// How many messages were asked about.
        messages: usize,
    },
    /// Step 4: evidence was verified; these messages are in that block of their chain.
    Proven {
        /// The source chain.
        source: ChainId,
        /// Its block.
        height: Height,
        /// Whose rule the evidence was judged by.
        family: Family,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// Step 4: evidence was refused. The giver's fault.
    ProofInvalid {
        /// The source chain.
        source: ChainId,
        /// The gateway that gave it.
        gateway: String,
        /// Which check it failed.
        reason: String,
    },
    /// Two authenticated headers contradict each other, or two outcomes: the chain is frozen.
    Conflict {
        /// The chain.
        chain: ChainId,
        /// What contradicts what.
        what: String,
    },
    /// Step 5: policy admits a message.
    Admitted {
        /// The message.
        id: MessageId,
    },
    /// Step 5: a check failed for good; the message will be voided and refunded.
    Refused {
        /// The message.
        id: MessageId,
        /// Which check, and why.
        reply: Reply,
    },
    /// Step 5: value waits for room in its account, in the order in which it was sent.
    Suspended {
        /// The source chain.
        chain: ChainId,
        /// The account's asset.
        asset: Asset,
        /// The messages.
        ids: Vec<MessageId>,
        /// Why, and what would free the first of them.
        reply: Reply,
    },
    /// There is room again: these messages go on.
    Woken {
        /// The source chain.
        chain: ChainId,
        /// The account's asset.
        asset: Asset,
        /// The messages, in the order in which they were sent.
        ids: Vec<MessageId>,
    },
    /// An account was opened, closed, or its limits changed on the chain.
    AccountSet {
        /// The peer.
        chain: ChainId,
        /// Its asset.
        asset: Asset,
        /// Its terms; none: it is closed.
        terms: Option<TermsHash>,
        /// Its limits.
        limits: Limits,
    },
    /// A peer's reserve here changed on the chain: a deposit, a settlement.
    ReserveChanged {
        /// The peer.
        chain: ChainId,
        /// The account's asset.
        asset: Asset,
        /// By how much.
        change: Change,
        /// Whose transaction it was.
        by: String,
        /// Why.
        note: String,
    },
    /// A paper of an account came, was made, or was compared.
    Paper(Paper),
    /// Step 6: the delivering (or voiding) transaction was handed to the local chain.
    Submitted {
        /// `deliver`, `void` or `end`.
        what: &'static str,
        /// The transaction's hash.
        transaction: Vec<u8>,
        /// The messages in it.
        ids: Vec<MessageId>,
    },
    /// Step 6: final on the destination.
    Ended {
        /// The message.
        id: MessageId,
        /// How.
        outcome: Outcome,
    },
    /// A signed receipt went to the source chain's gateway.
    ReceiptSent {
        /// The source chain.
        source: ChainId,
        /// The gateway that took it.
        gateway: String,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// A signed receipt of the destination arrived and was verified.
    ReceiptTaken {
        /// The message.
        id: MessageId,
        /// How it ended there.
        outcome: Outcome,
    },
    /// The outbox has closed the message: delivered, no refund is possible.
    Closed {
        /// The message.
        id: MessageId,
    },
    /// The outbox has paid the sender back.
    Refunded {
        /// The message.
        id: MessageId,
    },
    /// What a chain or a gateway did moved its standing here.
    Standing {
        /// Whose.
        subject: Subject,
        /// What it did.
        happening: Happening,
        /// The particulars.
        cause: String,
        /// The score now.
        standing: Standing,
    },
    /// No gateway of a chain was reached several times in a row: it is probed from now on.
    Unreachable {
        /// The chain.
        chain: ChainId,
        /// What the last attempt found.
        reply: Reply,
    },
    /// A gateway of a chain that could not be reached answers.
    Reachable {
        /// The chain.
        chain: ChainId,
    },
    /// Something has to wait.
    Deferred {
        /// The other chain.
        chain: ChainId,
        /// How many messages.
        messages: usize,
        /// Why.
        reply: Reply,
        /// For how long, in milliseconds.
        delay: u64,
    },
    /// Messages of this chain take long.
    Delayed(Delay),
    /// Something that should have gone on by itself did not.
    Watchdog(Found),
    /// What the operator was alerted of is well again.
    Note {
        /// What.
        what: String,
    },
    /// The operator should look.
    Alert {
        /// At what.
        what: String,
    },
}

impl Event {
    /// That something has to wait for `delay`.
    #[must_use]
    pub fn deferred(
        chain: ChainId,
        messages: usize,
        reply: Reply,
        delay: std::time::Duration,
    ) -> Self {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self::Deferred { chain, messages, reply, delay }
    }
}

/// Takes events. Must not block.
pub trait Events: Send + Sync {
    /// Called at each transition, in order for each pipeline.
    fn emit(&self, event: Event);
}

/// Sends every event to `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Events for Log {
    fn emit(&self, event: Event) {
        match event {
            Event::Alert { .. }
            | Event::Conflict { .. }
            | Event::ProofInvalid { .. }
            | Event::Unreachable { .. }
            | Event::Watchdog(_)
            | Event::Delayed(_) => {
                tracing::warn!(target: "distpos", "{event}");
            }
            Event::Paper(paper) if paper.is_alarming() => {
                tracing::warn!(target: "distpos", "{paper}");
            }
            _ => tracing::info!(target: "distpos", "{event}"),
        }
    }
}

impl<T: Events + ?Sized> Events for Arc<T> {
    fn emit(&self, event: Event) {
        (**self).emit(event);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watched { height, messages } => {
                write!(f, "watched block={height} messages=[{}]", Pairs(messages))
            }
            Self::Resolved { chain, gateways, source } => {
                write!(f, "resolved chain={chain} gateways={} by={source}", gateways.join(","))
            }
            Self::Sent { chain, gateway, ids, reply } => {
                write!(f, "sent chain={chain} gateway={gateway} reply={reply:?} {}", Ids(ids))
            }
            Self::Claimed { source, ids } => write!(f, "claimed source={source} {}", Ids(ids)),
            Self::ProofAsked { source, gateway, messages } => {
                write!(f, "proof-asked source={source} gateway={gateway} messages={messages}")
            }
            Self::Proven { source, height, family, ids } => {
                write!(f, "proven source={source} block={height} family={family} {}", Ids(ids))
            }
            Self::ProofInvalid { source, gateway, reason } => {
                write!(f, "proof-invalid source={source} gateway={gateway} reason={reason:?}")
            }
            Self::Conflict { chain, what } => write!(f, "conflict chain={chain} {what}"),
            Self::Admitted { id } => write!(f, "admitted id={id}"),
            Self::Refused { id, reply } => write!(f, "refused id={id} reply=\"{reply}\""),
            Self::Suspended { chain, asset, ids, reply } => {
                write!(f, "suspended chain={chain} asset={asset} reply=\"{reply}\" {}", Ids(ids))
            }
            Self::Woken { chain, asset, ids } => {
                write!(f, "woken chain={chain} asset={asset} {}", Ids(ids))
            }
            Self::AccountSet { chain, asset, terms, limits } => {
                write!(f, "account-set chain={chain} asset={asset} {}", Set(limits, *terms))
            }
            Self::ReserveChanged { chain, asset, change, by, note } => {
                let (sign, amount) = match change {
                    Change::Added(amount) => ('+', amount),
                    Change::Taken(amount) => ('-', amount),
                };
                write!(f, "reserve chain={chain} asset={asset} {sign}{amount} by={by} {note:?}")
            }
            Self::Paper(paper) => paper.fmt(f),
            Self::Submitted { what, transaction, ids } => {
                let hash = data_encoding::HEXLOWER.encode(transaction);
                write!(f, "submitted {what} transaction={hash} {}", Ids(ids))
            }
            Self::Ended { id, outcome } => write!(f, "ended id={id} {}", Ending(outcome)),
            Self::ReceiptSent { source, gateway, ids } => {
                write!(f, "receipt-sent source={source} gateway={gateway} {}", Ids(ids))
            }
            Self::ReceiptTaken { id, outcome } => {
                write!(f, "receipt-taken id={id} {}", Ending(outcome))
            }
            Self::Closed { id } => write!(f, "closed id={id}"),
            Self::Refunded { id } => write!(f, "refunded id={id}"),
            Self::Standing { subject, happening, cause, standing } => {
                write!(f, "standing of={subject} now={standing} for={happening} cause={cause:?}")
            }
            Self::Unreachable { chain, reply } => {
                write!(f, "unreachable chain={chain} \"{reply}\"")
            }
            Self::Reachable { chain } => write!(f, "reachable chain={chain}"),
            Self::Deferred { chain, messages, reply, delay } => {
                write!(f, "deferred chain={chain} messages={messages} delay={delay}ms \"{reply}\"")
            }
            Self::Delayed(delay) => delay.fmt(f),
            Self::Watchdog(found) => found.fmt(f),
            Self::Note { what } => write!(f, "note {what}"),
            Self::Alert { what } => write!(f, "alert {what}"),
        }
    }
}

/// What an account was set to.
struct Set<'a>(&'a Limits, Option<TermsHash>);

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Limits { credit_limit, window }, terms) = self;
        write!(f, "credit_limit={credit_limit}")?;
        if let Some(window) = window {
            write!(f, " window_max={} window={}s", window.max, window.seconds)?;
        }
        match terms {
            Some(terms) => write!(f, " terms={terms}"),
            None => write!(f, " closed"),
        }
    }
}

struct Ids<'a>(&'a [MessageId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ids=")?;
        for (n, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

struct Pairs<'a>(&'a [(MessageId, ChainId)]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (id, chain)) in self.0.iter().enumerate() {
            write!(f, "{}{id}->{chain}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

struct Ending<'a>(&'a Outcome);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Delivered { height, call, .. } => {
                write!(f, "delivered block={height} call={call:?}")
            }
            Outcome::Refused { code, text } => write!(f, "refused \"{code} {text}\""),
        }
    }
}
