//! Light clients: foreign evidence in, a verdict out. One sibling module a chain family.
//!
//! The receiving gateway delivers a message only when it holds three things it checked itself:
//! inclusion (a Merkle proof to a root in a header), authenticity of that header (the family's
//! rule, from an anchor the operator accepts) and content (the proven bytes *are* the message).
//!
//! This module imports nothing from [`crate::wire`] or [`crate::policy`].

use thiserror::Error;

use crate::{
    chain::{ChainId, Family, GenesisTag, Height},
    header::{HeaderHash, SignedHeader},
    key::KeySet,
    proof::merkle::TreeProof,
    stage::Proven,
    time::UnixSeconds,
};

pub mod attested;
pub mod evm;
pub mod ledger;

mod authenticated;
mod check;

pub use authenticated::Authenticated;

/// What an operator accepts of a foreign chain: the anchor of everything proven about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The chain.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
    /// How it is verified.
    pub family: Family,
    /// Its outbox: on EVM the contract's 20 bytes.
    pub outbox: Vec<u8>,
    /// The keys that speak for it.
    pub keys: KeySet,
}

/// What was seen before of the headers around the one that is judged, as [`Evidence::links`] gives
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// The authenticated header of this height.
    pub at_height: Option<HeaderHash>,
    /// The authenticated header with the same predecessor.
    pub after_previous: Option<HeaderHash>,
}

/// What a gateway shows for messages of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A header signed by the chain's keys, and a multiproof.
    Attested {
        /// The header.
        header: SignedHeader,
        /// The messages under its root.
        tree: TreeProof,
    },
    /// A block header of the embedded ledger, and a multiproof.
    Ledger {
        /// The header.
        header: ledger::SignedLedgerHeader,
        /// The messages under its root.
        tree: TreeProof,
    },
    /// An attested block hash, that block's raw header, and receipts under its root.
    Evm {
        /// Attests the block's hash.
        header: SignedHeader,
        /// The block's RLP header and the receipts.
        receipts: evm::ReceiptProof,
    },
}

impl Evidence {
    /// The family whose verifier judges it.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Attested { .. } => Family::Attested,
            Self::Ledger { .. } => Family::Ledger,
            Self::Evm { .. } => Family::Evm,
        }
    }

    /// The block's height, as claimed.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Attested { header, .. } | Self::Evm { header, .. } => header.header.height,
            Self::Ledger { header, .. } => header.header.height,
        }
    }

    /// The block's time, as claimed.
    #[must_use]
    pub fn time(&self) -> UnixSeconds {
        match self {
            Self::Attested { header, .. } | Self::Evm { header, .. } => header.header.time,
            Self::Ledger { header, .. } => header.header.time,
        }
    }

    /// What the header says of its block, as a hash, and the hash of its predecessor: to look up
    /// what is [`Known`], and to note it.
    #[must_use]
    pub fn links(&self) -> (HeaderHash, HeaderHash) {
        match self {
            Self::Attested { header, .. } | Self::Evm { header, .. } => {
                (header.header.content(), header.header.previous)
            }
            Self::Ledger { header, .. } => (header.header.hash(), header.header.previous),
        }
    }
}

/// What comes of evidence. The default of every doubt is not to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// These messages are in a block of the chain, in the order of the evidence.
    Proven(Vec<Proven>),
    /// Not final yet, or from the future: ask again later.
    NotYet(&'static str),
    /// The trusted state is too old for this header.
    NeedsUpdate(&'static str),
    /// Wrong: the giver loses standing, another gateway is asked.
    Invalid(Invalid),
    /// Authenticated, and in contradiction to what was authenticated before: freeze.
    Conflict {
        /// What is held.
        held: HeaderHash,
        /// What was shown now.
        offered: HeaderHash,
    },
}

/// Which check evidence failed. The giver's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Evidence of another family than the chain is trusted by.
    #[error("evidence is of family {found}, expected {expected}")]
    Family {
        /// The evidence's family.
        found: Family,
        /// The trusted family.
        expected: Family,
    },
    /// A header of another chain or another genesis.
    #[error("header is of chain {found}, expected {expected}")]
    Chain {
        /// What the header says.
        found: String,
        /// The trusted chain and tag.
        expected: String,
    },
    /// Not signed by enough of the chain's keys.
    #[error("header is not signed by {threshold} distinct keys of the chain")]
    Signatures {
        /// How many keys must sign.
        threshold: usize,
    },
    /// The inclusion proof does not lead to the header's root.
    #[error("inclusion proof: {0}")]
    Inclusion(String),
    /// The proven bytes are no message of this chain.
    #[error("proven bytes: {0}")]
    Content(String),
    /// A message's `expires` is further from the block's time than allowed.
    #[error("message expires {after} s after its block, expected at most {max}")]
    Expires {
        /// Seconds from the block's time to `expires`.
        after: u64,
        /// The most allowed.
        max: u64,
    },
}

/// How far a block's time may lie in the receiver's future, in seconds: clocks differ.
pub const CLOCK_SKEW_MAX: u64 = 120;

/// Judges evidence for a foreign chain, by the family its operator trusts it by.
///
/// `known` is what was authenticated before around this header, `now` the receiver's time. The
/// order of checks: family, header (chain, signatures, time), conflict, inclusion, content.
pub fn verify(trusted: &Trusted, known: Known, evidence: &Evidence, now: UnixSeconds) -> Verdict {
    verify_with(&mut Authenticated::new(1), trusted, known, evidence, now)
}

/// Like [`verify`], for many batches of one block: the signatures of a header found in `cache` are
/// not verified again, and a header whose signatures suffice is put there. Every other check is
/// made each time.
pub fn verify_with(
    cache: &mut Authenticated,
    trusted: &Trusted,
    known: Known,
    evidence: &Evidence,
    now: UnixSeconds,
) -> Verdict {
    if evidence.family() != trusted.family {
        let (found, expected) = (evidence.family(), trusted.family);
        return Verdict::Invalid(Invalid::Family { found, expected });
    }
    let proven = match evidence {
        Evidence::Attested { header, tree } => {
            attested::verify(cache, trusted, known, header, tree, now)
        }
        Evidence::Ledger { header, tree } => {
            ledger::verify(cache, trusted, known, header, tree, now)
        }
        Evidence::Evm { header, receipts } => {
            evm::verify(cache, trusted, known, header, receipts, now)
        }
    };
    match proven {
        Ok(proven) => Verdict::Proven(proven),
        Err(verdict) => verdict,
    }
}

impl From<Invalid> for Verdict {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

#[cfg(test)]
mod tests;
