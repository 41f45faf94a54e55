//! The neutral tree: RFC 6962, with multiproofs.

/// Leaves of one tree and what else is needed to reach its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeProof {
    /// The leaves' indices, strictly ascending.
    pub indices: Vec<u64>,
    /// The leaves' bytes (a message each), in the order of `indices`.
    pub leaves: Vec<Vec<u8>>,
    /// The missing hashes.
    pub hashes: Vec<[u8; 32]>,
}
