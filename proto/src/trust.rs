//! What is believed of another chain's keys, and what DNS may change of it.
//!
//! A chain is trusted from an *anchor*: the operator's word, or the first answer of DNS that is good
//! enough. From then on DNS may only tighten what is held, and keys change by rule
//! (`docs/protocol.md`, *Keys change*):
//!
//! - An empty `p=` ends a key at once, at any level, whoever anchored it.
//! - A new key counts at once when enough of the keys that are held endorse it.
//! - Any other change wants a secure answer and [`KEY_CHANGE_WAIT`] without deliveries, or the
//!   operator. What the operator wrote down, DNS changes in no other way.
//! - The place in DNS and the genesis that were accepted first are the chain's; others are refused.
//!
//! [`observe`] takes an answer in, [`trusted`] says what is believed now. An answer that nobody
//! signed cannot undo what a better one said: it is told as a doubt, and stops nothing.

mod observe;
mod state;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use thiserror::Error;

use crate::{
    chain::{ChainId, GenesisTag},
    key::{KeySet, PublicKey},
    light::Trusted,
    record::{KeyRecord, PolicyRecord, Selector},
    time::UnixSeconds,
};

pub use observe::{Observed, RouteRefused, observe};
pub use state::DnsTrust;

/// How long a change of keys that nobody endorsed keeps deliveries waiting before it is accepted:
/// time enough for a chain's people to see that somebody has taken their zone.
pub const KEY_CHANGE_WAIT: Duration = Duration::from_hours(72);

/// How something came to be believed; a later one is a better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustLevel {
    /// An answer of DNS that nobody signed, the first one seen here.
    Pinned,
    /// An answer of DNS that DNSSEC proves.
    Dnssec,
    /// The operator's own word: configuration or pin.
    Static,
}

/// What the operator demands, for each use of what DNS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Least {
    /// For where a chain's gateways are.
    pub route: TrustLevel,
    /// For its keys.
    pub keys: TrustLevel,
}

/// What one look-up found of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The owner of the gateway records: `_distpos.e2e4.chains.example`.
    pub found_at: String,
    /// The policy; none if there is none.
    pub policy: Option<PolicyRecord>,
    /// The key records, of the selectors that the policy names and of those that are held
    /// ([`DnsTrust::held_selectors`]); none where there is nothing any more.
    pub keys: BTreeMap<Selector, Option<KeyRecord>>,
    /// How good the worst of these answers is: never [`TrustLevel::Static`].
    pub level: TrustLevel,
    /// For how long they may be kept.
    pub lasts: Duration,
}

/// What the operator says of a chain.
#[derive(Debug, Clone, Copy)]
pub struct OperatorAnchor<'a> {
    /// What is to be believed.
    pub trusted: &'a Trusted,
    /// The owner of the gateway records at which it was found, if it was pinned from DNS.
    pub found_at: Option<&'a str>,
}

/// Why nothing of a chain is believed now. All of these pass: time, DNS or the operator heals them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// No anchor: neither the operator nor DNS has said anything that counts.
    #[error("no trusted keys are known")]
    Unknown,
    /// What is known is not known well enough.
    #[error("its keys are known at the level {found}, expected {least}")]
    Level {
        /// How well they are known.
        found: TrustLevel,
        /// What the operator demands.
        least: TrustLevel,
    },
    /// Its keys have changed, and nobody endorsed the change.
    #[error("its keys have changed without endorsement; they are believed from {}", until.0)]
    Waiting {
        /// When the wait is over, if DNS says the same then.
        until: UnixSeconds,
    },
    /// A secure answer contradicts what is held.
    #[error("what DNS says contradicts what is held: {0}")]
    Contradiction(String),
    /// Too few keys are left.
    #[error("{left} keys are left that are not revoked, {threshold} must sign")]
    Revoked {
        /// How many are left.
        left: usize,
        /// How many must sign.
        threshold: usize,
    },
    /// DNS has not said it again for longer than the policy's `ma`.
    #[error("its keys were last confirmed too long ago: they were good until {}", until.0)]
    Expired {
        /// Until when they were good.
        until: UnixSeconds,
    },
}

/// What is believed of a chain now: the operator's anchor as DNS has tightened and its own keys have
/// moved it, or what DNS said, where `least` allows that.
///
/// `state` is what [`observe`] gave last for this chain. One that was learnt under another word of
/// the operator's does not count.
///
/// # Errors
/// [`Untrusted`] says why nothing is.
pub fn trusted(
    chain: ChainId,
    state: Option<&DnsTrust>,
    operator: Option<OperatorAnchor<'_>>,
    least: TrustLevel,
    now: UnixSeconds,
) -> Result<(Trusted, TrustLevel), Untrusted> {
    let state = state.filter(|state| state.is_under(operator));
    let Some(state) = state else {
        let anchor = operator.ok_or(Untrusted::Unknown)?;
        return Ok((anchor.trusted.clone(), TrustLevel::Static));
    };
    let (held, tag) = state.held.as_ref().zip(state.genesis).ok_or(Untrusted::Unknown)?;
    if held.level < least {
        return Err(Untrusted::Level { found: held.level, least });
    }
    if let Some(what) = &state.contradiction {
        return Err(Untrusted::Contradiction(what.clone()));
    }
    if let Some(pending) = &state.pending {
        return Err(Untrusted::Waiting { until: pending.until() });
    }
    if now > held.until {
        return Err(Untrusted::Expired { until: held.until });
    }
    let (left, threshold) = (held.keys.len(), held.threshold);
    let keys = KeySet::new(held.keys.iter().copied(), threshold)
        .map_err(|_| Untrusted::Revoked { left, threshold })?;
    let (family, outbox) = (held.family, held.outbox.clone());
    Ok((Trusted { chain, tag, family, outbox, keys }, held.level))
}

/// What an answer has changed, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Its keys are believed from now on.
    FirstSeen {
        /// How well they are known.
        level: TrustLevel,
        /// The keys.
        keys: BTreeSet<PublicKey>,
    },
    /// What was known from an unsigned answer is known from a secure one now.
    Secured,
    /// A key came, endorsed by those before it.
    KeyAdded {
        /// Where it is published.
        selector: Selector,
        /// The key.
        key: PublicKey,
        /// Who endorsed it.
        by: BTreeSet<PublicKey>,
    },
    /// A key is published no more.
    KeyGone {
        /// The key.
        key: PublicKey,
    },
    /// A key was revoked.
    Revoked {
        /// Where it was published.
        selector: Selector,
        /// The key.
        key: PublicKey,
    },
    /// More keys must sign than before.
    ThresholdRaised {
        /// How many.
        threshold: usize,
    },
    /// Keys have changed without endorsement; nothing is delivered until then.
    Waiting {
        /// When the wait is over.
        until: UnixSeconds,
    },
    /// What was waited for is over: the new keys are believed.
    Accepted {
        /// The keys.
        keys: BTreeSet<PublicKey>,
    },
    /// DNS says again what is held.
    PutBack,
    /// A secure answer contradicts what is held: nothing is delivered until the operator has looked.
    Contradiction {
        /// What differs.
        what: String,
    },
    /// An answer that is not good enough differs from what is held. It stops nothing.
    Doubt {
        /// What differs.
        what: String,
    },
}

impl News {
    /// Whether somebody has to look.
    #[must_use]
    pub fn is_alert(&self) -> bool {
        match self {
            Self::Revoked { .. }
            | Self::Waiting { .. }
            | Self::Contradiction { .. }
            | Self::Doubt { .. } => true,
            Self::FirstSeen { .. }
            | Self::Secured
            | Self::KeyAdded { .. }
            | Self::KeyGone { .. }
            | Self::ThresholdRaised { .. }
            | Self::Accepted { .. }
            | Self::PutBack => false,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstSeen { level, keys } => {
                write!(f, "keys are believed from now on ({level}): {}", Keys(keys))
            }
            Self::Secured => f.write_str("keys are known from a secure answer now"),
            Self::KeyAdded { selector, key, by } => {
                write!(f, "key {key} at {selector} is believed, endorsed by {}", Keys(by))
            }
            Self::KeyGone { key } => write!(f, "key {key} is published no more"),
            Self::Revoked { selector, key } => write!(f, "key {key} at {selector} is revoked"),
            Self::ThresholdRaised { threshold } => write!(f, "{threshold} keys must sign now"),
            Self::Waiting { until } => write!(
                f,
                "keys have changed without endorsement: nothing is delivered until {}, unless the \
                 operator pins them",
                until.0
            ),
            Self::Accepted { keys } => {
                write!(f, "the wait is over, keys are believed: {}", Keys(keys))
            }
            Self::PutBack => f.write_str("DNS says again what is held"),
            Self::Contradiction { what } => {
                write!(f, "nothing is delivered until the operator has looked: {what}")
            }
            Self::Doubt { what } => write!(f, "an answer that is not good enough differs: {what}"),
        }
    }
}

struct Keys<'a>(&'a BTreeSet<PublicKey>);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{key}")?;
        }
        Ok(())
    }
}

impl TrustLevel {
    const ALL: [Self; 3] = [Self::Pinned, Self::Dnssec, Self::Static];

    /// The word in configuration, logs and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Dnssec => "dnssec",
            Self::Static => "static",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no level.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {0:?}, expected pinned, dnssec or static")]
pub struct TrustLevelError(pub String);

impl FromStr for TrustLevel {
    type Err = TrustLevelError;

    fn from_str(text: &str) -> Result<Self, TrustLevelError> {
        let known = Self::ALL.into_iter().find(|level| level.word() == text);
        known.ok_or_else(|| TrustLevelError(text.chars().take(40).collect()))
    }
}

/// Whether a genesis is the one that is held; for refusals.
fn differs(held: Option<GenesisTag>, found: GenesisTag) -> Option<GenesisTag> {
    held.filter(|held| *held != found)
}
