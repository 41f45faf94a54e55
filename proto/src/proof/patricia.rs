//! The Merkle Patricia trie of Ethereum: inclusion proofs (Yellow Paper, appendix D).
//!
//! [`Nodes`] holds the nodes of a proof, each once, found by their keccak-256. Any number of keys
//! is looked up in them; [`Nodes::end`] then checks that none was superfluous. So one set of keys
//! has exactly one proof. Absence is not proven here: a key that leads nowhere is an error.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use thiserror::Error;

use super::rlp::{Item, RlpError};

/// Most nodes of one proof: a leaf for each of 1,024 receipts, and the branches above them.
pub const NODES_MAX: usize = 4096;
/// Most bytes of one node. A leaf holds a whole receipt, with every log of its transaction.
pub const NODE_BYTES_MAX: usize = 3 << 20;
/// Most bytes of a key. Each node on the way takes a nibble at least, so this bounds the depth.
pub const KEY_BYTES_MAX: usize = 64;
/// A node of fewer bytes stands in its parent in place of its hash.
const EMBEDDED_BYTES_MAX: usize = 31;

/// Why a proof does not lead to a value. The giver's fault; another gateway may do better.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatriciaError {
    /// More nodes than a proof may have.
    #[error("proof has {found} nodes, expected at most {max}", max = NODES_MAX)]
    NodesMax {
        /// How many there are.
        found: usize,
    },
    /// A node longer than any may be.
    #[error("node has {found} bytes, expected at most {max}", max = NODE_BYTES_MAX)]
    NodeBytesMax {
        /// Its length.
        found: usize,
    },
    /// A key longer than any may be.
    #[error("key has {found} bytes, expected at most {max}", max = KEY_BYTES_MAX)]
    KeyBytesMax {
        /// Its length.
        found: usize,
    },
    /// A node that is there twice.
    #[error("node {hash} is there twice")]
    Twice {
        /// Its keccak-256 in hex.
        hash: String,
    },
    /// A node on the way is not there.
    #[error("node {hash} on the way to the value is missing, {depth} nibbles below the root")]
    Missing {
        /// Its keccak-256 in hex.
        hash: String,
        /// How many nibbles of the key lead to it.
        depth: usize,
    },
    /// Nodes that are on no way.
    #[error("{found} nodes lead to none of the values, expected none")]
    Unused {
        /// How many.
        found: usize,
    },
    /// The trie has no value under this key.
    #[error("no value under this key: the trie parts from it after {depth} nibbles")]
    Absent {
        /// How many nibbles of the key are in the trie.
        depth: usize,
    },
    /// A node that is no RLP.
    #[error("node {depth} nibbles below the root: {error}")]
    Rlp {
        /// How many nibbles of the key lead to it.
        depth: usize,
        /// What is wrong.
        error: RlpError,
    },
    /// A node that is none of branch, extension and leaf.
    #[error("node {depth} nibbles below the root: expected {expected}")]
    Node {
        /// How many nibbles of the key lead to it.
        depth: usize,
        /// What was expected.
        expected: &'static str,
    },
}

/// The nodes of a proof and the root they are to lead from.
#[derive(Debug, Clone)]
pub struct Nodes<'n> {
    root: [u8; 32],
    by_hash: BTreeMap<[u8; 32], Node<'n>>,
}

#[derive(Debug, Clone)]
struct Node<'n> {
    bytes: &'n [u8],
    used: bool,
}

impl<'n> Nodes<'n> {
    /// Takes the nodes of a proof, in any order, each once.
    ///
    /// # Errors
    /// [`PatriciaError`] if they are too many, too long, or one is there twice.
    pub fn new(root: [u8; 32], nodes: &'n [Vec<u8>]) -> Result<Self, PatriciaError> {
        if nodes.len() > NODES_MAX {
            return Err(PatriciaError::NodesMax { found: nodes.len() });
        }
        let mut by_hash = BTreeMap::new();
        for bytes in nodes {
            if bytes.len() > NODE_BYTES_MAX {
                return Err(PatriciaError::NodeBytesMax { found: bytes.len() });
            }
            let hash = keccak256(bytes).0;
            if by_hash.insert(hash, Node { bytes, used: false }).is_some() {
                return Err(PatriciaError::Twice { hash: hex(&hash) });
            }
        }
        Ok(Self { root, by_hash })
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// [`PatriciaError`] if the nodes do not lead to one.
    pub fn value(&mut self, key: &[u8]) -> Result<&'n [u8], PatriciaError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(PatriciaError::KeyBytesMax { found: key.len() });
        }
        let mut path = Path { nibbles: nibbles(key), taken: 0 };
        let root = self.root;
        let mut node = self.find(&root, &path)?;
        // Every turn but the last takes a nibble.
        loop {
            let child = match step(&node, &mut path)? {
                Step::Value(value) => return Ok(value),
                Step::Child(child) => child,
            };
            node = self.resolve(&child, &path)?;
        }
    }

    /// Ends the proof: every node has been on the way to a value.
    ///
    /// # Errors
    /// [`PatriciaError::Unused`] if not.
    pub fn end(self) -> Result<(), PatriciaError> {
        match self.by_hash.values().filter(|node| !node.used).count() {
            0 => Ok(()),
            found => Err(PatriciaError::Unused { found }),
        }
    }

    /// The node of a hash, as an RLP item.
    fn find(&mut self, hash: &[u8; 32], path: &Path) -> Result<Item<'n>, PatriciaError> {
        let missing = || PatriciaError::Missing { hash: hex(hash), depth: path.taken };
        let node = self.by_hash.get_mut(hash).ok_or_else(missing)?;
        node.used = true;
        Item::only(node.bytes).map_err(|error| path.rlp(error))
    }

    /// The node that a child stands for: embedded, or found by its hash.
    fn resolve(&mut self, child: &Item<'n>, path: &Path) -> Result<Item<'n>, PatriciaError> {
        if child.is_list {
            if child.raw.len() > EMBEDDED_BYTES_MAX {
                return Err(path.node("a node of 32 bytes and more by its hash"));
            }
            return Ok(*child);
        }
        if child.payload.is_empty() {
            return Err(PatriciaError::Absent { depth: path.taken });
        }
        let hash = child.fixed().map_err(|error| path.rlp(error))?;
        let node = self.find(&hash, path)?;
        if node.raw.len() <= EMBEDDED_BYTES_MAX {
            return Err(path.node("a node under 32 bytes inside its parent"));
        }
        Ok(node)
    }
}

/// The value under `key`, by a proof for this key alone.
///
/// # Errors
/// [`PatriciaError`] if the nodes do not lead to it, or not all of them do.
pub fn verify<'n>(
    root: [u8; 32],
    key: &[u8],
    nodes: &'n [Vec<u8>],
) -> Result<&'n [u8], PatriciaError> {
    let mut nodes = Nodes::new(root, nodes)?;
    let value = nodes.value(key)?;
    nodes.end()?;
    Ok(value)
}

/// What a node leads to.
enum Step<'n> {
    Value(&'n [u8]),
    Child(Item<'n>),
}

/// A node has 17 items, a child for each nibble and a value, or two, a path and what is there.
fn step<'n>(node: &Item<'n>, path: &mut Path) -> Result<Step<'n>, PatriciaError> {
    const BRANCH: usize = 17;
    let items = node.items(2, BRANCH).map_err(|error| path.rlp(error))?;
    match items.as_slice() {
        [compact, target] => {
            let compact = compact.string().map_err(|error| path.rlp(error))?;
            step_path(compact, *target, path)
        }
        branch if branch.len() == BRANCH => match path.next() {
            Some(nibble) => Ok(Step::Child(branch[usize::from(nibble)])),
            None => value(&branch[BRANCH - 1], path),
        },
        _ => Err(path.node("2 or 17 items")),
    }
}

/// Follows an extension or reaches a leaf, by the path in its hex-prefix form.
fn step_path<'n>(
    compact: &[u8],
    target: Item<'n>,
    path: &mut Path,
) -> Result<Step<'n>, PatriciaError> {
    let Some((first, rest)) = compact.split_first() else {
        return Err(path.node("a path in hex-prefix form"));
    };
    let (flags, first) = (first >> 4, first & 0x0f);
    let (is_leaf, is_odd) = (flags & 2 != 0, flags & 1 != 0);
    if flags > 3 || (!is_odd && first != 0) {
        return Err(path.node("a path in hex-prefix form"));
    }
    let mut partial = if is_odd { vec![first] } else { vec![] };
    partial.extend(nibbles(rest));
    if partial.is_empty() && !is_leaf {
        return Err(path.node("an extension by one nibble or more"));
    }
    path.take(&partial)?;
    if !is_leaf {
        return Ok(Step::Child(target));
    }
    if !path.is_at_end() {
        return Err(PatriciaError::Absent { depth: path.taken });
    }
    value(&target, path)
}

/// A value; the empty string stands for none.
fn value<'n>(item: &Item<'n>, path: &Path) -> Result<Step<'n>, PatriciaError> {
    match item.string().map_err(|error| path.rlp(error))? {
        [] => Err(PatriciaError::Absent { depth: path.taken }),
        bytes => Ok(Step::Value(bytes)),
    }
}

/// A key as nibbles and how many of them were taken.
struct Path {
    nibbles: Vec<u8>,
    taken: usize,
}

impl Path {
    fn next(&mut self) -> Option<u8> {
        let nibble = self.nibbles.get(self.taken).copied()?;
        self.taken += 1;
        Some(nibble)
    }

    fn take(&mut self, partial: &[u8]) -> Result<(), PatriciaError> {
        let rest = &self.nibbles[self.taken..];
        let same = rest.iter().zip(partial).take_while(|(a, b)| a == b).count();
        self.taken += same;
        if same == partial.len() {
            return Ok(());
        }
        Err(PatriciaError::Absent { depth: self.taken })
    }

    fn is_at_end(&self) -> bool {
        self.taken == self.nibbles.len()
    }

    fn rlp(&self, error: RlpError) -> PatriciaError {
        PatriciaError::Rlp { depth: self.taken, error }
    }

    fn node(&self, expected: &'static str) -> PatriciaError {
        PatriciaError::Node { depth: self.taken, expected }
    }
}

fn nibbles(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).collect()
}

fn hex(hash: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

#[cfg(test)]
mod tests;
