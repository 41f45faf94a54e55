//! Headers signed by the chain's published keys.
//!
//! The header says how many messages the block sends out and the root over them; who signs it is
//! the chain's gateways. It protects against everyone but them.

use super::{
    Authenticated, Known, SignedHeader, Trusted, Verdict,
    check::{Block, authenticate},
};
use crate::{proof::merkle::TreeProof, stage::Proven, time::UnixSeconds};

/// The header, then the tree, then each message.
pub(super) fn verify(
    cache: &mut Authenticated,
    trusted: &Trusted,
    known: Known,
    signed: &SignedHeader,
    tree: &TreeProof,
    now: UnixSeconds,
) -> Result<Vec<Proven>, Verdict> {
    let header = &signed.header;
    let hash = authenticate(cache, trusted, known, &signed.into(), now)?;
    let block = Block { trusted, hash, height: header.height, time: header.time };
    Ok(block.messages_of_tree(tree, header.leaf_count, &header.root)?)
}
