//! Proofs for messages of one block, with the tree of the last block kept: batches of one block
//! are asked for one after the other.

use std::{collections::BTreeMap, sync::Arc};

use distpos_proto::{
    chain::Height,
    code::{Code, Reply},
    message::MessageId,
    proof::merkle::{Tree, TreeProof},
};

use super::{
    Ledger,
    block::{Block, tree_over},
    queue::lock,
};
use crate::chain::{ChainError, NativeProof};

/// A block and all levels of its tree.
pub(super) struct Proving(Arc<Levels>);

struct Levels {
    block: Block,
    tree: Tree,
    indices: BTreeMap<MessageId, u64>,
}

impl Ledger {
    /// The signed header of `height` and a multiproof of these messages under it.
    pub(super) fn prove_in(
        &self,
        height: Height,
        ids: &[MessageId],
    ) -> Result<NativeProof, ChainError> {
        let levels = self.levels(height)?;
        let mut indices = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(index) = levels.indices.get(id) else {
                let text = format!("message {id} did not leave with block {height}");
                return Err(ChainError::Refused(Reply::new(Code::POLICY, text)));
            };
            indices.push(*index);
        }
        indices.sort_unstable();
        indices.dedup();
        let hashes = levels
            .tree
            .prove(&indices)
            .map_err(|error| ChainError::Refused(Reply::new(Code::MALFORMED, error.to_string())))?;
        let outgoing = (0..).zip(&levels.block.outgoing);
        let leaves = outgoing.filter(|(index, _)| indices.binary_search(index).is_ok());
        let leaves = leaves.map(|(_, message)| message.bytes().to_vec()).collect();
        let tree = TreeProof { indices, leaves, hashes };
        // It may have been sealed with keys that have turned over since.
        let header = levels.block.header.header.sign(self.sealers().iter());
        Ok(NativeProof::Ledger(header, tree))
    }

    fn levels(&self, height: Height) -> Result<Arc<Levels>, ChainError> {
        let kept = lock(&self.proving).as_ref().map(|proving| Arc::clone(&proving.0));
        if let Some(kept) = kept.filter(|kept| kept.block.header.header.height == height) {
            return Ok(kept);
        }
        let block = self.block(height)?;
        let tree = tree_over(&block.outgoing);
        let indices = block.outgoing.iter().map(distpos_proto::message::Message::id).zip(0..);
        let levels = Arc::new(Levels { indices: indices.collect(), tree, block });
        *lock(&self.proving) = Some(Proving(Arc::clone(&levels)));
        Ok(levels)
    }
}
