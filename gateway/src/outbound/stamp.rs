//! Step 2, first half: what a final block says to other chains, as leaves, header and envelopes.
//!
//! The source chain-id was written into each message by the family's rule (the outbox, the ledger);
//! the header over them is a pure function of the block, the same at every gateway of the chain.

use distpos_proto::{
    envelope::{Envelope, Origin},
    header::{Header, HeaderHash},
    proof::merkle::{Tree, leaf_hash},
};
use distpos_spool::{SpoolError, Tx};

use crate::chain::{Facts, FinalBlock};

/// A block's attested header, and the hashes of its leaves in their order.
pub type Stamped = (Header, Vec<[u8; 32]>);

/// The attested header of a block and the hashes of its leaves; none for a block that sends nothing.
///
/// # Errors
/// [`SpoolError`] if the header before it cannot be read.
pub fn header(
    tx: &Tx<'_>,
    facts: &Facts,
    key_set: [u8; 32],
    block: &FinalBlock,
) -> Result<Option<Stamped>, SpoolError> {
    if block.outgoing.is_empty() {
        return Ok(None);
    }
    let leaves: Vec<[u8; 32]> = block.outgoing.iter().map(|m| leaf_hash(m.bytes())).collect();
    let previous = tx.last_own_header()?.map_or(HeaderHash::NONE, |header| header.hash());
    let header = Header {
        chain: facts.chain,
        tag: facts.tag,
        height: block.height,
        block: block.block,
        time: block.time,
        previous,
        key_set,
        leaf_count: leaves.len() as u64,
        root: Tree::new(leaves.clone()).root(),
    };
    Ok(Some((header, leaves)))
}

/// The block's messages with their places, in the order of the leaves.
pub fn envelopes(block: &FinalBlock) -> impl Iterator<Item = Envelope> + '_ {
    (0u32..).zip(&block.outgoing).map(|(index, message)| Envelope {
        message: message.clone(),
        origin: Origin { height: block.height, index },
    })
}
