use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
use proptest::prelude::*;

use super::*;

/// A trie of these entries by alloy-trie, and the nodes that prove some of its keys.
fn build(entries: &BTreeMap<Vec<u8>, Vec<u8>>, keys: &[Vec<u8>]) -> ([u8; 32], Vec<Vec<u8>>) {
    let retainer = ProofRetainer::new(keys.iter().map(Nibbles::unpack).collect());
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in entries {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root().0;
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    let mut nodes: Vec<Vec<u8>> = nodes.into_iter().map(|(_, node)| node.to_vec()).collect();
    nodes.retain(|node| node.len() > EMBEDDED_BYTES_MAX || keccak256(node).0 == root);
    (root, nodes)
}

fn entries() -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..40u64).map(|i| (alloy_rlp::encode(i), format!("receipt {i} {:>40}", i).into())).collect()
}

/// The root that a lone node leads from.
fn lone(node: &[u8], key: &[u8]) -> Result<(), PatriciaError> {
    verify(keccak256(node).0, key, &[node.to_vec()]).map(|_| ())
}

#[test]
fn every_rule_of_a_proof_has_its_own_error() {
    use PatriciaError as E;
    let key = alloy_rlp::encode(7u64);
    let (root, nodes) = build(&entries(), std::slice::from_ref(&key));
    assert!(verify(root, &key, &nodes).unwrap().starts_with(b"receipt 7"));

    let mut twice = nodes.clone();
    twice.push(nodes[0].clone());
    assert_eq!(verify(root, &key, &twice), Err(E::Twice { hash: hex(&keccak256(&nodes[0]).0) }));
    let mut more = nodes.clone();
    more.push(vec![0xc0]);
    assert_eq!(verify(root, &key, &more), Err(E::Unused { found: 1 }));
    let missing = E::Missing { hash: hex(&root), depth: 0 };
    assert_eq!(verify(root, &key, &nodes[1..]), Err(missing));
    assert_eq!(verify(root, &key, &[]), Err(E::Missing { hash: hex(&root), depth: 0 }));
    assert_eq!(verify(root, &[], &nodes), Err(E::Absent { depth: 0 }));
    let long = vec![0; KEY_BYTES_MAX + 1];
    assert_eq!(verify(root, &long, &nodes), Err(E::KeyBytesMax { found: KEY_BYTES_MAX + 1 }));
    let huge = vec![vec![0; NODE_BYTES_MAX + 1]];
    assert_eq!(verify(root, &key, &huge), Err(E::NodeBytesMax { found: NODE_BYTES_MAX + 1 }));
    let many = vec![vec![]; NODES_MAX + 1];
    assert_eq!(verify(root, &key, &many), Err(E::NodesMax { found: NODES_MAX + 1 }));
}

#[test]
fn a_node_is_a_branch_an_extension_or_a_leaf_in_its_one_form() {
    use PatriciaError as E;
    let node = |depth, expected| Err(E::Node { depth, expected });
    let prefix = "a path in hex-prefix form";
    assert_eq!(lone(&[0xc3, 0x20, 0x80, 0x80], &[]), node(0, "2 or 17 items"));
    assert_eq!(lone(&[0xc2, 0x20, 1], &[]), Ok(()), "a leaf with an empty path");
    assert_eq!(lone(&[0xc2, 0x20, 0x80], &[]), Err(E::Absent { depth: 0 }), "an empty value");
    assert_eq!(lone(&[0xc2, 0x21, 1], &[]), node(0, prefix), "padding that is not zero");
    assert_eq!(lone(&[0xc2, 0x40, 1], &[]), node(0, prefix), "unknown flags");
    assert_eq!(lone(&[0xc2, 0x80, 1], &[]), node(0, prefix), "no flags");
    assert_eq!(lone(&[0xc2, 0x00, 0xc0], &[]), node(0, "an extension by one nibble or more"));
    assert_eq!(lone(&[0xc2, 0x20, 1], &[7]), Err(E::Absent { depth: 0 }), "the key goes on");
    let item = |depth, found| {
        let error = RlpError::Kind { found, expected: "a string" };
        Err(E::Rlp { depth, error })
    };
    assert_eq!(lone(&[0xc2, 0x20, 0xc0], &[]), item(0, "a list"), "a list as value");
    assert_eq!(lone(&[0xc2, 0xc0, 1], &[]), item(0, "a list"), "a list as path");
    let kind = RlpError::Kind { found: "a string", expected: "a list" };
    assert_eq!(lone(&[0x80], &[]), Err(E::Rlp { depth: 0, error: kind }));
    let trailing = RlpError::Trailing { found: 1 };
    assert_eq!(lone(&[0xc2, 0x20, 1, 0], &[]), Err(E::Rlp { depth: 0, error: trailing }));
    // An extension by the nibble 7 to a child of no valid form.
    let length = RlpError::Length { found: 2, expected: 32 };
    assert_eq!(lone(&[0xc4, 0x17, 0x82, 1, 1], &[0x7a]), Err(E::Rlp { depth: 1, error: length }));
}

#[test]
fn a_node_stands_in_its_parent_exactly_if_it_is_short() {
    // An extension by 7 and an embedded leaf for the nibble a.
    let leaf = [0xc2, 0x3a, 1];
    assert_eq!(lone(&[&[0xc4, 0x17], leaf.as_slice()].concat(), &[0x7a]), Ok(()));
    // The same leaf by its hash.
    let parent = [&[0xe2, 0x17, 0xa0], keccak256(leaf).as_slice()].concat();
    let proof = [parent.clone(), leaf.to_vec()];
    let expected = "a node under 32 bytes inside its parent";
    let found = verify(keccak256(&parent).0, &[0x7a], &proof);
    assert_eq!(found, Err(PatriciaError::Node { depth: 1, expected }));
    // A leaf of 32 bytes inside its parent.
    let leaf = [&[0xdf, 0x3a, 0x9d], [1; 29].as_slice()].concat();
    assert_eq!(leaf.len(), 32);
    let expected = "a node of 32 bytes and more by its hash";
    let found = lone(&[&[0xe1, 0x17], leaf.as_slice()].concat(), &[0x7a]);
    assert_eq!(found, Err(PatriciaError::Node { depth: 1, expected }));
}

proptest! {
    #[test]
    fn a_proof_of_any_keys_holds_and_any_flipped_bit_is_refused(
        entries in proptest::collection::btree_map(
            prop::array::uniform4(any::<u8>()).prop_map(Vec::from),
            proptest::collection::vec(any::<u8>(), 1..60),
            1..40,
        ),
        which in any::<prop::sample::Index>(),
        bit in 0usize..8,
        every in 1usize..5,
    ) {
        let keys: Vec<Vec<u8>> = entries.keys().step_by(every).cloned().collect();
        let (root, nodes) = build(&entries, &keys);
        let judge = |nodes: &[Vec<u8>]| {
            let mut nodes = Nodes::new(root, nodes)?;
            for key in &keys {
                assert_eq!(nodes.value(key)?, entries[key]);
            }
            nodes.end()
        };
        prop_assert_eq!(judge(&nodes), Ok(()));
        let mut bad = nodes.clone();
        let mut bytes: Vec<&mut u8> = bad.iter_mut().flatten().collect();
        let at = which.index(bytes.len());
        *bytes[at] ^= 1 << bit;
        prop_assert!(judge(&bad).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(
        nodes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..4),
        key in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let root = keccak256(&nodes[0]).0;
        let _ = verify(root, &key, &nodes);
    }
}
