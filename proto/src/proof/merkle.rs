//! The neutral tree: RFC 6962 (Certificate Transparency), with multiproofs.
//!
//! A block's outgoing messages are its leaves, ordered by (destination, sequence), so that one
//! destination's batch is a contiguous range and its proof nearly free. Leaves and nodes are hashed
//! with different prefixes, the leaf count stands in the signed header, indices strictly ascend and
//! every hash must be consumed: one set of leaves has exactly one proof.
//!
//! Proofs of one leaf and of consistency, as logs publish them, are in [`path`].

use sha2::{Digest, Sha256};
use thiserror::Error;

pub mod path;

/// A leaf's, node's or tree's hash.
pub type Hash = [u8; 32];

/// Most leaves of one tree, that is, messages that one block sends out. Indices fit 32 bits.
pub const LEAF_COUNT_MAX: u64 = 1 << 32;
/// Most leaves of one proof: as many ids as one request asks for.
pub const PROOF_LEAVES_MAX: usize = 1024;

/// Leaves of one tree and what else is needed to reach its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeProof {
    /// The leaves' indices, strictly ascending.
    pub indices: Vec<u64>,
    /// The leaves' bytes (a message each), in the order of `indices`.
    pub leaves: Vec<Vec<u8>>,
    /// The missing hashes, from the left to the right of the tree ([`Tree::prove`]).
    pub hashes: Vec<Hash>,
}

/// Why a proof does not lead to a root. The giver's fault; another gateway may do better.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MerkleError {
    /// A proof of nothing.
    #[error("proof has no leaves, expected at least one")]
    Empty,
    /// More leaves than a proof may have.
    #[error("proof has {found} leaves, expected at most {max}", max = PROOF_LEAVES_MAX)]
    LeavesMax {
        /// How many there are.
        found: usize,
    },
    /// More leaves than a tree may have.
    #[error("tree has {found} leaves, expected at most {max}", max = LEAF_COUNT_MAX)]
    LeafCountMax {
        /// How many the header says there are.
        found: u64,
    },
    /// Indices and leaves are not as many.
    #[error("proof has {leaves} leaves, expected {indices} as there are indices")]
    Counts {
        /// How many indices.
        indices: usize,
        /// How many leaves.
        leaves: usize,
    },
    /// An index that does not follow its predecessor.
    #[error("index {found} follows {before}, expected strictly ascending indices")]
    Order {
        /// The index before it.
        before: u64,
        /// The index.
        found: u64,
    },
    /// An index outside of the tree.
    #[error("index {found} of a tree of {leaf_count} leaves")]
    Index {
        /// The index.
        found: u64,
        /// How many leaves the tree has.
        leaf_count: u64,
    },
    /// The proof ends before the root is reached.
    #[error("proof has {found} hashes, expected more")]
    HashMissing {
        /// How many there are.
        found: usize,
    },
    /// Hashes are left over when the root is reached.
    #[error("proof has {found} hashes, expected {expected}")]
    HashUnused {
        /// How many there are.
        found: usize,
        /// How many lead to the root.
        expected: usize,
    },
    /// The root reached is another one.
    #[error("proof leads to another root than the expected one")]
    Root,
    /// A range of leaves that is no subtree, or sizes in the wrong order.
    #[error("no subtree from {start} to {end} in a tree of {size} leaves")]
    Subtree {
        /// First leaf.
        start: u64,
        /// Leaf after the last.
        end: u64,
        /// The tree's leaves.
        size: u64,
    },
}

/// The hash of a leaf's bytes: SHA-256 of 0x00 and the bytes (RFC 6962, 2.1).
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of a node: SHA-256 of 0x01 and its children's hashes (RFC 6962, 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves: SHA-256 of nothing (RFC 6962, 2.1).
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over these leaf hashes.
#[must_use]
pub fn root_of(leaf_hashes: &[Hash]) -> Hash {
    Tree::new(leaf_hashes.to_vec()).root()
}

/// A tree with all its levels, so that proving a batch hashes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// From the leaves up; a last node without sibling rises unchanged. Never empty.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over these leaf hashes.
    #[must_use]
    pub fn new(leaf_hashes: Vec<Hash>) -> Self {
        let mut levels = vec![leaf_hashes];
        loop {
            let below = &levels[levels.len() - 1];
            if below.len() <= 1 {
                return Self { levels };
            }
            let level = below.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(left, right),
                lone => lone[0],
            });
            let level = level.collect();
            levels.push(level);
        }
    }

    /// How many leaves it has.
    #[must_use]
    pub fn leaf_count(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1].first().copied().unwrap_or_else(empty_root)
    }

    /// The hashes that prove the leaves of `indices`, from the left to the right of the tree.
    ///
    /// # Errors
    /// [`MerkleError`] where no proof can be of these indices.
    pub fn prove(&self, indices: &[u64]) -> Result<Vec<Hash>, MerkleError> {
        check_indices(indices, self.leaf_count())?;
        let mut hashes = Vec::new();
        self.collect(0, self.leaf_count(), indices, &mut hashes);
        Ok(hashes)
    }

    /// Adds the hashes missing below the node over `start..end`.
    fn collect(&self, start: u64, end: u64, indices: &[u64], hashes: &mut Vec<Hash>) {
        if indices.is_empty() {
            hashes.push(self.node(start, end));
        } else if end - start > 1 {
            let middle = start + split(end - start);
            let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
            self.collect(start, middle, left, hashes);
            self.collect(middle, end, right, hashes);
        }
    }

    /// The hash of the node over `start..end`, which `split` made.
    fn node(&self, start: u64, end: u64) -> Hash {
        let level = (end - start).next_power_of_two().trailing_zeros();
        let at = usize::try_from(start >> level).expect("an index into memory fits");
        self.levels[level as usize][at]
    }
}

impl TreeProof {
    /// Checks that the leaves are in the tree of this size and root.
    ///
    /// # Errors
    /// [`MerkleError`] names the first rule that is broken.
    pub fn verify(&self, leaf_count: u64, root: &Hash) -> Result<(), MerkleError> {
        if self.indices.len() != self.leaves.len() {
            let (indices, leaves) = (self.indices.len(), self.leaves.len());
            return Err(MerkleError::Counts { indices, leaves });
        }
        check_indices(&self.indices, leaf_count)?;
        let leaves = self.indices.iter().zip(&self.leaves);
        let leaves: Vec<_> = leaves.map(|(index, leaf)| (*index, leaf_hash(leaf))).collect();
        let mut rest = self.hashes.iter();
        let reached = rebuild(0, leaf_count, &leaves, &mut rest)
            .ok_or(MerkleError::HashMissing { found: self.hashes.len() })?;
        let found = self.hashes.len();
        match rest.len() {
            0 if reached == *root => Ok(()),
            0 => Err(MerkleError::Root),
            unused => Err(MerkleError::HashUnused { found, expected: found - unused }),
        }
    }
}

/// The hash of the node over `start..end` with these leaves in it; none if `hashes` run out.
///
/// Goes only where leaves are: depth 32 at most ([`LEAF_COUNT_MAX`]), two calls a node on a path.
fn rebuild(
    start: u64,
    end: u64,
    leaves: &[(u64, Hash)],
    hashes: &mut std::slice::Iter<'_, Hash>,
) -> Option<Hash> {
    match leaves {
        [] => hashes.next().copied(),
        [(_, leaf)] if end - start == 1 => Some(*leaf),
        _ => {
            let middle = start + split(end - start);
            let (left, right) = leaves.split_at(leaves.partition_point(|leaf| leaf.0 < middle));
            let left = rebuild(start, middle, left, hashes)?;
            let right = rebuild(middle, end, right, hashes)?;
            Some(node_hash(&left, &right))
        }
    }
}

/// The largest power of two below `leaves`, which are at least 2 (RFC 6962, 2.1).
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn check_indices(indices: &[u64], leaf_count: u64) -> Result<(), MerkleError> {
    if leaf_count > LEAF_COUNT_MAX {
        return Err(MerkleError::LeafCountMax { found: leaf_count });
    }
    if indices.len() > PROOF_LEAVES_MAX {
        return Err(MerkleError::LeavesMax { found: indices.len() });
    }
    let Some(last) = indices.last() else { return Err(MerkleError::Empty) };
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(MerkleError::Order { before: pair[0], found: pair[1] });
    }
    if *last >= leaf_count {
        return Err(MerkleError::Index { found: *last, leaf_count });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
