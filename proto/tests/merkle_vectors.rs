//! Every case of transparency-dev/merkle: most are wrong on purpose and have to be refused.

#![allow(clippy::unwrap_used, reason = "clippy takes helpers of an integration test for no test")]

use std::collections::BTreeMap;

use data_encoding::BASE64;
use distpos_proto::proof::merkle::{
    Hash, MerkleError,
    path::{consistency, inclusion, subtree_consistency, subtree_inclusion},
};
use serde_json::Value;

/// Runs every case and counts those accepted; a case that ends otherwise than it should fails.
fn run(text: &str, check: impl Fn(&Case<'_>) -> Result<(), MerkleError>) -> (usize, usize) {
    let cases: BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
    let mut accepted = 0;
    for (name, value) in &cases {
        let outcome = check(&Case(value));
        let must_refuse = value["wantErr"].as_bool().unwrap();
        assert_eq!(outcome.is_err(), must_refuse, "{name}: {outcome:?}");
        accepted += usize::from(outcome.is_ok());
    }
    (cases.len(), accepted)
}

struct Case<'v>(&'v Value);

impl Case<'_> {
    fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap()
    }

    /// Some roots and leaf hashes are texts of another length, which our types cannot hold: they
    /// are filled up, so that these cases run too. Leaves are filled up otherwise than roots, so
    /// that an empty leaf hash is no empty root.
    fn hash(&self, field: &str) -> Hash {
        hash(&self.0[field], if field == "leafHash" { 1 } else { 0 })
    }

    fn proof(&self) -> Vec<Hash> {
        self.0["proof"].as_array().into_iter().flatten().map(|value| hash(value, 2)).collect()
    }
}

fn hash(value: &Value, fill: u8) -> Hash {
    let bytes = BASE64.decode(value.as_str().unwrap_or_default().as_bytes()).unwrap();
    let mut hash = [fill; 32];
    hash[..bytes.len()].copy_from_slice(&bytes);
    hash
}

#[test]
fn inclusion_cases() {
    let counts = run(include_str!("vectors/merkle-rfc6962/inclusion.json"), |case| {
        let (index, size) = (case.number("leafIdx"), case.number("treeSize"));
        inclusion(index, size, &case.hash("leafHash"), &case.proof(), &case.hash("root"))
    });
    assert_eq!(counts, (59, 4));
}

#[test]
fn consistency_cases() {
    let counts = run(include_str!("vectors/merkle-rfc6962/consistency.json"), |case| {
        let (old, new) = (case.hash("root1"), case.hash("root2"));
        consistency(case.number("size1"), case.number("size2"), &case.proof(), &old, &new)
    });
    assert_eq!(counts, (59, 4));
}

#[test]
fn subtree_inclusion_cases() {
    let counts = run(include_str!("vectors/merkle-rfc6962/subtreeinclusion.json"), |case| {
        let range = (case.number("start"), case.number("end"));
        let (leaf, root) = (case.hash("leafHash"), case.hash("root"));
        subtree_inclusion(case.number("leafIdx"), range, &leaf, &case.proof(), &root)
    });
    assert_eq!(counts, (122, 7));
}

#[test]
fn subtree_consistency_cases() {
    let counts = run(include_str!("vectors/merkle-rfc6962/subtreeconsistency.json"), |case| {
        let range = (case.number("start"), case.number("end"));
        let (subtree, root) = (case.hash("root1"), case.hash("root2"));
        subtree_consistency(range, case.number("size"), &case.proof(), &subtree, &root)
    });
    assert_eq!(counts, (71, 7));
}
