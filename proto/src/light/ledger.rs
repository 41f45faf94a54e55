//! The embedded ledger's own headers.
use super::*;
use crate::key::KeySignature;

/// A block header of the embedded ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHeader {
    /// The chain.
    pub chain: ChainId,
    /// Its genesis tag; in the genesis block's own header [`GenesisTag::UNSET`].
    pub tag: GenesisTag,
    /// From 0.
    pub height: Height,
    /// The block before it; [`HeaderHash::NONE`] for genesis.
    pub previous: HeaderHash,
    /// When it was made; never before its predecessor's time.
    pub time: UnixSeconds,
    /// RFC 6962 root over the block's transactions.
    pub transactions_root: [u8; 32],
    /// How many messages leave with it.
    pub leaf_count: u64,
    /// RFC 6962 root over the outgoing messages, ordered by (destination, sequence).
    pub root: [u8; 32],
}

impl LedgerHeader {
    /// Its hash, which is the block's hash.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        HeaderHash([0; 32])
    }
}

/// A ledger header and the authorities' signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLedgerHeader {
    /// The header.
    pub header: LedgerHeader,
    /// Signatures under [`crate::key::Domain::LedgerHeader`].
    pub signatures: Vec<KeySignature>,
}
pub(super) fn verify(
    _: &Trusted,
    _: Known,
    _: &SignedLedgerHeader,
    _: &TreeProof,
    _: UnixSeconds,
) -> Verdict {
    Verdict::NotYet("")
}
