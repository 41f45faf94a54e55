//! Receipts under an attested block hash.
//!
//! The chain's keys attest the hash of a final block; everything below it is checked here: the
//! block's header by that hash, each receipt by the header's `receiptsRoot`, the outbox's log in
//! the receipt, the message in the log. A *receipt* is proven, never only a transaction: a
//! transaction's proof also holds for a reverted one.

use super::{
    Authenticated, Invalid, Known, SignedHeader, Trusted, Verdict,
    check::{Block, authenticate},
};
use crate::{
    header::Header,
    proof::{merkle::PROOF_LEAVES_MAX, patricia::Nodes, rlp::number_key},
    stage::Proven,
    time::UnixSeconds,
};

mod block;
mod log;

pub use block::{BlockError, BlockHeader};
pub use log::{LogError, Receipt, SENT_TOPIC, message_in_log};

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
    /// Index of the log in the transaction's receipt (not in the block, as JSON-RPC counts them).
    pub log: u32,
}

/// Most logs of one proof: as many ids as one request asks for.
pub const LOG_PLACES_MAX: usize = PROOF_LEAVES_MAX;

/// The attested header, then the block's header, then the receipts.
pub(super) fn verify(
    cache: &mut Authenticated,
    trusted: &Trusted,
    known: Known,
    signed: &SignedHeader,
    receipts: &ReceiptProof,
    now: UnixSeconds,
) -> Result<Vec<Proven>, Verdict> {
    let header = &signed.header;
    let hash = authenticate(cache, trusted, known, &signed.into(), now)?;
    let receipts_root = block_of(header, &receipts.block)?;
    let block = Block { trusted, hash, height: header.height, time: header.time };
    check_places(&receipts.logs)?;
    Ok(messages(&block, receipts_root, receipts)?)
}

/// The receipt root of the block that is attested.
fn block_of(header: &Header, rlp: &[u8]) -> Result<[u8; 32], Invalid> {
    let block = BlockHeader::read(rlp);
    let block = block.map_err(|error| Invalid::Inclusion(error.to_string()))?;
    let differs = |field: &str, found: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
        Err(Invalid::Inclusion(format!("block's {field} is {found}, expected {expected}")))
    };
    if block.hash != header.block {
        return differs("hash", &block.hash, &header.block);
    }
    if block.number != header.height {
        return differs("number", &block.number, &header.height);
    }
    if block.time != header.time {
        return differs("timestamp", &block.time.0, &header.time.0);
    }
    Ok(block.receipts_root)
}

fn check_places(places: &[LogPlace]) -> Result<(), Invalid> {
    let found = places.len();
    if found == 0 || found > LOG_PLACES_MAX {
        let text = format!("proof has {found} logs, expected 1 to {LOG_PLACES_MAX}");
        return Err(Invalid::Inclusion(text));
    }
    match places.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let text = format!("log {:?} follows {:?}, expected ascending", pair[1], pair[0]);
            Err(Invalid::Inclusion(text))
        }
    }
}

/// The messages of the logs, in their order.
///
/// A message's index in its block is not provable from a receipt (it counts the block's messages
/// by destination and sequence), so [`crate::envelope::Origin::index`] is here the log's place in
/// the evidence: a hint. Identity is the message's id.
fn messages(
    block: &Block<'_>,
    receipts_root: [u8; 32],
    proof: &ReceiptProof,
) -> Result<Vec<Proven>, Invalid> {
    let inclusion = |error: &dyn std::fmt::Display| Invalid::Inclusion(error.to_string());
    let content = |error: LogError| Invalid::Content(error.to_string());
    let mut nodes = Nodes::new(receipts_root, &proof.nodes).map_err(|error| inclusion(&error))?;
    let mut proven = Vec::new();
    let mut index = 0;
    for places in proof.logs.chunk_by(|a, b| a.transaction == b.transaction) {
        let value = nodes.value(&number_key(places[0].transaction));
        let value = value.map_err(|error| inclusion(&error))?;
        let receipt = Receipt::read(value).map_err(content)?;
        for place in places {
            let message = receipt.message(place.log, &block.trusted.outbox).map_err(content)?;
            proven.push(block.proven(message, index)?);
            index += 1;
        }
    }
    nodes.end().map_err(|error| inclusion(&error))?;
    Ok(proven)
}

#[cfg(test)]
mod tests;
