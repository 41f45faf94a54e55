//! Tries, receipts, transactions and headers of Ethereum, made by others or taken from mainnet.
//!
//! alloy-trie builds the tries and the proofs, our verifier judges them.

#![allow(clippy::unwrap_used, reason = "clippy takes helpers of an integration test for no test")]

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
use data_encoding::HEXLOWER_PERMISSIVE;
use distpos_proto::proof::patricia::{PatriciaError, verify};
use serde_json::Value;

#[path = "ethereum_vectors/mainnet.rs"]
mod mainnet;
#[path = "ethereum_vectors/rlp.rs"]
mod rlp;
#[path = "ethereum_vectors/tries.rs"]
mod tries;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(text.trim_start_matches("0x").as_bytes()).unwrap()
}

/// The bytes of a string in these files: hex after `0x`, else the text itself.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    if text.starts_with("0x") { hex(text) } else { text.as_bytes().to_vec() }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn fixed(value: &Value) -> [u8; 32] {
    hex(value.as_str().unwrap()).try_into().unwrap()
}

/// The root of a trie of these entries, and the nodes that prove the entry of `key`.
fn build(entries: &BTreeMap<Vec<u8>, Vec<u8>>, keys: &[&[u8]]) -> ([u8; 32], Vec<Vec<u8>>) {
    let retainer = ProofRetainer::new(keys.iter().map(Nibbles::unpack).collect());
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in entries {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root().0;
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    let mut nodes: Vec<Vec<u8>> = nodes.into_iter().map(|(_, node)| node.to_vec()).collect();
    // alloy-trie also gives the nodes that stand inside their parents.
    nodes.retain(|node| node.len() >= 32 || keccak256(node).0 == root);
    (root, nodes)
}

/// Every entry is proven and found; nothing is found under a key that is not there.
fn check_trie(entries: &BTreeMap<Vec<u8>, Vec<u8>>, expected: [u8; 32]) {
    for (key, value) in entries {
        let (root, nodes) = build(entries, &[key]);
        assert_eq!(root, expected);
        assert_eq!(verify(root, key, &nodes), Ok(value.as_slice()));
        let mut absent = key.clone();
        absent.push(0);
        assert!(matches!(verify(root, &absent, &nodes), Err(PatriciaError::Absent { .. })));
    }
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend(payload);
    out
}
