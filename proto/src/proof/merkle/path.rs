//! Proofs as transparency logs publish them: one leaf's audit path, and that one tree is the
//! beginning of another. Also for subtrees, as in the draft *Merkle Tree Certificates*, where a
//! subtree is a range of leaves that starts at a multiple of its own size, rounded up to a power
//! of two.
//!
//! A chain of headers whose roots grow can be held together by consistency proofs alone.

use super::{Hash, MerkleError, empty_root, node_hash};

/// Checks that the leaf at `index` is in a tree of `size` leaves (RFC 9162, 2.1.3.2).
///
/// # Errors
/// [`MerkleError`] names the rule that is broken.
pub fn inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::Index { found: index, leaf_count: size });
    }
    // Up to `inner` the path has siblings on both sides, above it only on its left.
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    let expected = (inner + border) as usize;
    check_length(proof, expected)?;
    let (below, above) = proof.split_at(inner as usize);
    let mut reached = *leaf;
    for (level, sibling) in below.iter().enumerate() {
        let is_left = index >> level & 1 == 0;
        reached = if is_left { node_hash(&reached, sibling) } else { node_hash(sibling, &reached) };
    }
    for sibling in above {
        reached = node_hash(sibling, &reached);
    }
    if reached == *root { Ok(()) } else { Err(MerkleError::Root) }
}

/// Checks that the leaf at `index` is in the subtree over `start..end` with the root `root`.
///
/// # Errors
/// [`MerkleError`] names the rule that is broken.
pub fn subtree_inclusion(
    index: u64,
    (start, end): (u64, u64),
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), MerkleError> {
    check_subtree(start, end, end)?;
    let outside = MerkleError::Index { found: index, leaf_count: end };
    let within = index.checked_sub(start).ok_or(outside)?;
    inclusion(within, end - start, leaf, proof, root)
}

/// Checks that the tree of `old_size` leaves is the beginning of the tree of `size` leaves
/// (RFC 9162, 2.1.4.2). Nothing can be proven from an empty tree.
///
/// # Errors
/// [`MerkleError`] names the rule that is broken.
pub fn consistency(
    old_size: u64,
    size: u64,
    proof: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> Result<(), MerkleError> {
    if old_size == 0 {
        return Err(MerkleError::Subtree { start: 0, end: 0, size });
    }
    subtree_consistency((0, old_size), size, proof, old_root, root)
}

/// Checks that the subtree over `start..end` is part of the tree of `size` leaves. The empty
/// subtree is part of every tree.
///
/// # Errors
/// [`MerkleError`] names the rule that is broken.
pub fn subtree_consistency(
    (start, end): (u64, u64),
    size: u64,
    proof: &[Hash],
    subtree_root: &Hash,
    root: &Hash,
) -> Result<(), MerkleError> {
    check_subtree_of(start, end, size)?;
    if start == end {
        check_length(proof, 0)?;
        return if *subtree_root == empty_root() { Ok(()) } else { Err(MerkleError::Root) };
    }
    let mut at = Walk { first: start, last: end - 1, tree_last: size - 1 };
    // Climb to the largest complete node that ends the subtree: its hash is what both roots share.
    if at.last == at.tree_last {
        at.up_while(|at| at.first != at.last);
    } else {
        at.up_while(|at| at.first != at.last && at.last & 1 == 1);
    }
    let (seed, rest) = if at.first == at.last {
        (subtree_root, proof)
    } else {
        proof.split_first().ok_or(MerkleError::HashMissing { found: 0 })?
    };
    let (mut subtree_reached, mut reached) = (*seed, *seed);
    for (used, sibling) in rest.iter().enumerate() {
        if at.tree_last == 0 {
            let expected = proof.len() - rest.len() + used;
            return Err(MerkleError::HashUnused { found: proof.len(), expected });
        }
        if at.last & 1 == 1 || at.last == at.tree_last {
            if at.first < at.last {
                subtree_reached = node_hash(sibling, &subtree_reached);
            }
            reached = node_hash(sibling, &reached);
            // A node without sibling rises unchanged. (`last` is not 0: `tree_last` is not.)
            at.up_while(|at| at.last & 1 == 0);
        } else {
            reached = node_hash(&reached, sibling);
        }
        at.up();
    }
    if at.tree_last != 0 {
        return Err(MerkleError::HashMissing { found: proof.len() });
    }
    let leads = subtree_reached == *subtree_root && reached == *root;
    if leads { Ok(()) } else { Err(MerkleError::Root) }
}

/// Places on one level of the tree: the subtree's first and last node, the whole tree's last.
struct Walk {
    first: u64,
    last: u64,
    tree_last: u64,
}

impl Walk {
    fn up(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
        self.tree_last >>= 1;
    }

    fn up_while(&mut self, holds: impl Fn(&Self) -> bool) {
        while holds(self) {
            self.up();
        }
    }
}

fn check_length(proof: &[Hash], expected: usize) -> Result<(), MerkleError> {
    let found = proof.len();
    match found {
        _ if found < expected => Err(MerkleError::HashMissing { found }),
        _ if found > expected => Err(MerkleError::HashUnused { found, expected }),
        _ => Ok(()),
    }
}

fn check_subtree(start: u64, end: u64, size: u64) -> Result<(), MerkleError> {
    let wrong = MerkleError::Subtree { start, end, size };
    // `start` is a multiple of the size rounded up. Past 2^63 that has no power of two above it,
    // and only 0 is a multiple.
    let aligned = match end.checked_sub(start).map(u64::checked_next_power_of_two) {
        Some(Some(span)) => start.is_multiple_of(span),
        Some(None) => start == 0,
        None => false,
    };
    if aligned && end <= size { Ok(()) } else { Err(wrong) }
}

/// Like [`check_subtree`], in a tree that has leaves.
fn check_subtree_of(start: u64, end: u64, size: u64) -> Result<(), MerkleError> {
    if size == 0 {
        return Err(MerkleError::Subtree { start, end, size });
    }
    check_subtree(start, end, size)
}
