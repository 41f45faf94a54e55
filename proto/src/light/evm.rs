//! Receipts under an attested block hash.
use super::*;
/// Receipts of one block and the way to its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptProof {
    /// The block's header, RLP.
    pub block: Vec<u8>,
    /// Nodes of the receipt trie, each once.
    pub nodes: Vec<Vec<u8>>,
    /// Where the messages are, ascending.
    pub logs: Vec<LogPlace>,
}
/// A log's place in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// Index of the transaction in the block.
    pub transaction: u64,
    /// Index of the log in the transaction's receipt.
    pub log: u32,
}
pub(super) fn verify(
    _: &Trusted,
    _: Known,
    _: &SignedHeader,
    _: &ReceiptProof,
    _: UnixSeconds,
) -> Verdict {
    Verdict::NotYet("")
}
