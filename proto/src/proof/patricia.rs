//! The Merkle Patricia trie of Ethereum: inclusion proofs.
