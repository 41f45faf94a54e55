//! What is let in: named checks in a fixed order, over a proven message.
//!
//! Until accounts exist the operator states `peer.<cid>.value_max`, a limit on
//! `in − out + pending_in` for each asset, not for each message.

use std::collections::BTreeMap;

use crate::{
    amount::Amount,
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    message::{Asset, Message},
    stage::{Admitted, Proven, Refused},
    time::UnixSeconds,
};

pub mod rules;

/// The receiving chain, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Its id.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
}

/// What the operator allows one peer chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// The assets that are counted with this peer, each with its `value_max`: the most that
    /// `in − out + pending_in` may come to, in its smallest unit. Without one no value passes.
    pub assets: BTreeMap<Asset, Amount>,
}

impl Limits {
    /// One asset and its `value_max`.
    #[must_use]
    pub fn one(asset: Asset, value_max: Amount) -> Self {
        Self { assets: BTreeMap::from([(asset, value_max)]) }
    }
}

/// The figures of one (peer, asset), in the asset's smallest unit (`docs/protocol.md`, *Value*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Book {
    /// Delivered here.
    pub received: Amount,
    /// Delivered there, by their receipts.
    pub sent: Amount,
    /// Proven here, admitted and not ended.
    pub pending_in: Amount,
}

impl Book {
    /// Whether `amount` more fits under `value_max`: `in + pending_in + amount ≤ value_max + out`.
    #[must_use]
    pub fn has_room(&self, amount: Amount, value_max: Amount) -> bool {
        let owed =
            self.received.checked_add(self.pending_in).and_then(|owed| owed.checked_add(amount));
        // A limit past 2^256 is no limit; a debt past 2^256 fits under none.
        match (owed, value_max.checked_add(self.sent)) {
            (Some(owed), Some(limit)) => owed <= limit,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// What policy says of a proven message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Deliver it. Its amount has to be added to `pending_in` in the same commit.
    Admitted(Admitted),
    /// Void it, then send a refusal.
    Refused(Refused),
}

/// Puts a proven message through every check ([`failing`]). Each refusal has its own code.
pub fn admit(proven: Proven, own: Own, limits: &Limits, book: &Book, now: UnixSeconds) -> Decision {
    match failing(proven.message(), own, limits, book, now) {
        None => Decision::Admitted(Admitted::by_policy(proven)),
        Some(reply) => match proven.refuse(reply) {
            Ok(refused) => Decision::Refused(refused),
            Err(_) => unreachable!("every code below is of class 5 and may void"),
        },
    }
}

/// The first check that a message fails, in this order:
/// `destination`, `expiry`, `genesis`, `asset`, `value`; none if it passes them all.
///
/// A judgement and no more: whoever only asks what would become of a message gets nothing that could
/// be delivered or voided. That takes a [`Proven`].
#[must_use]
pub fn failing(
    message: &Message,
    own: Own,
    limits: &Limits,
    book: &Book,
    now: UnixSeconds,
) -> Option<Reply> {
    destination(message, own)
        .or_else(|| expiry(message, now))
        .or_else(|| genesis(message, own))
        .or_else(|| asset(message, limits))
        .or_else(|| value(message, limits, book))
}

fn destination(message: &Message, own: Own) -> Option<Reply> {
    let found = message.fields().destination;
    (found != own.chain)
        .then(|| Reply::new(Code::POLICY, format!("destination is {found}, this is {}", own.chain)))
}

fn expiry(message: &Message, now: UnixSeconds) -> Option<Reply> {
    let expires = message.fields().expires;
    (now > expires)
        .then(|| Reply::new(Code::EXPIRED, format!("expired at {} (Unix seconds)", expires.0)))
}

fn genesis(message: &Message, own: Own) -> Option<Reply> {
    let tag = message.fields().destination_tag;
    let passes = tag == own.tag || (tag.is_unset() && message.fields().value.is_none());
    (!passes).then(|| {
        let text = format!("destination_tag is {tag}, this chain's genesis tag is {}", own.tag);
        Reply::new(Code::POLICY, text)
    })
}

fn asset(message: &Message, limits: &Limits) -> Option<Reply> {
    let value = message.fields().value.as_ref()?;
    if value.terms.is_some() {
        return Some(Reply::new(Code::NO_ACCOUNT, "no account under these terms"));
    }
    if limits.assets.is_empty() {
        return Some(Reply::new(Code::VALUE_MAX, "no value is accepted from this chain"));
    }
    (!limits.assets.contains_key(&value.asset)).then(|| {
        let counted: Vec<_> = limits.assets.keys().map(Asset::as_str).collect();
        let text = format!("asset is {}, expected {}", value.asset, counted.join(" or "));
        Reply::new(Code::NO_ACCOUNT, text)
    })
}

fn value(message: &Message, limits: &Limits, book: &Book) -> Option<Reply> {
    let value = message.fields().value.as_ref()?;
    let value_max = limits.assets.get(&value.asset).copied().unwrap_or(Amount::ZERO);
    if book.has_room(value.amount, value_max) {
        return None;
    }
    let text = format!("amount {} passes value_max {value_max} of this pair", value.amount);
    Some(Reply::new(Code::VALUE_MAX, text))
}
