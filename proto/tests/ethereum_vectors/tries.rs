//! ethereum/tests' tries, and syscoin's proofs, of which many were spoiled by their makers.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use alloy_trie::Nibbles;
use distpos_proto::proof::{
    patricia::{Nodes, PatriciaError, verify},
    rlp::Item,
};
use serde_json::Value;

use super::{build, bytes, check_trie, fixed, hex, json, list};

/// Tries in which no key is the beginning of another: alloy-trie builds no other ones.
fn run_tries(text: &str, secure: bool) -> Vec<String> {
    let mut names = vec![];
    for (name, case) in json(text).as_object().unwrap() {
        let mut entries = BTreeMap::new();
        let pairs: Vec<(Vec<u8>, &Value)> = match &case["in"] {
            Value::Array(pairs) => pairs.iter().map(|p| (bytes(&p[0]), &p[1])).collect(),
            pairs => pairs
                .as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (bytes(&Value::from(k.as_str())), v))
                .collect(),
        };
        for (key, value) in pairs {
            let key = if secure { keccak256(&key).to_vec() } else { key };
            if value.is_null() {
                entries.remove(&key);
            } else {
                entries.insert(key, bytes(value));
            }
        }
        let keys: Vec<&Vec<u8>> = entries.keys().collect();
        if keys.windows(2).any(|pair| pair[1].starts_with(pair[0])) {
            check_nested(&entries, fixed(&case["root"]));
        } else {
            check_trie(&entries, fixed(&case["root"]));
        }
        names.push(name.clone());
    }
    names
}

#[test]
fn trie_tests() {
    let plain = run_tries(include_str!("../vectors/ethereum-mpt/TrieTests/trietest.json"), false);
    assert_eq!(plain, ["emptyValues", "insert-middle-leaf", "jeff"]);
    let any = run_tries(include_str!("../vectors/ethereum-mpt/TrieTests/trieanyorder.json"), false);
    assert_eq!(any, ["dogs", "foo", "hex", "puppy"]);
}

#[test]
fn secure_trie_tests() {
    let files = [
        include_str!("../vectors/ethereum-mpt/TrieTests/trietest_secureTrie.json"),
        include_str!("../vectors/ethereum-mpt/TrieTests/trieanyorder_secureTrie.json"),
        include_str!("../vectors/ethereum-mpt/TrieTests/hex_encoded_securetrie_test.json"),
    ];
    let counts = files.map(|text| run_tries(text, true).len());
    assert_eq!(counts, [2, 4, 2]);
}

#[test]
fn what_is_between_the_keys_of_a_trie_is_absent() {
    let case =
        &json(include_str!("../vectors/ethereum-mpt/TrieTests/trietestnextprev.json"))["basic"];
    let keys: Vec<Vec<u8>> = case["in"].as_array().unwrap().iter().map(bytes).collect();
    let entries: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    for test in case["tests"].as_array().unwrap() {
        let key = bytes(&test[0]);
        let (root, nodes) = build(&entries, &[&key]);
        // The neighbours named by the file are in the trie, the key itself only if it is one.
        for near in [&test[1], &test[2]].into_iter().map(bytes).filter(|near| !near.is_empty()) {
            let (root, nodes) = build(&entries, &[&near]);
            assert_eq!(verify(root, &near, &nodes), Ok(near.as_slice()));
        }
        match verify(root, &key, &nodes) {
            Ok(value) => assert!(keys.contains(&key) && value == key),
            Err(error) => {
                assert!(!keys.contains(&key));
                assert!(matches!(error, PatriciaError::Absent { .. }), "{key:?}: {error}");
            }
        }
    }
}

#[test]
fn syscoin_proofs() {
    let run = |text: &str| {
        let mut accepted = 0;
        let cases = json(text);
        let cases = cases.as_array().unwrap();
        for case in cases {
            let get = |field: &str| hex(case[field].as_str().unwrap());
            let root = Item::only(&get("spv_root_rlp")).unwrap().fixed().unwrap();
            let list = get("spv_parent_nodes_rlp");
            let nodes = Item::only(&list).and_then(|list| list.items(0, 64));
            // Upstream takes the nodes in order; here each is found by its hash.
            let nodes: Vec<Vec<u8>> =
                nodes.unwrap_or_default().iter().map(|node| node.raw.to_vec()).collect();
            let value = verify(root, &get("spv_path"), &nodes);
            // Upstream strips the byte of the EIP-2718 type from transactions of type 2.
            let typed = [&[2], get("spv_value").as_slice()].concat();
            let found = matches!(value, Ok(v) if v == get("spv_value") || v == typed);
            let expected = case["upstream_expects_valid"].as_bool().unwrap();
            assert_eq!(found, expected, "{:?}: {value:?}", case["notes"]);
            accepted += usize::from(found);
        }
        (cases.len(), accepted)
    };
    let valid = include_str!("../vectors/ethereum-mpt/syscoin_nevmspv/nevmspv_valid.json");
    assert_eq!(run(valid), (16, 16));
    let invalid = include_str!("../vectors/ethereum-mpt/syscoin_nevmspv/nevmspv_invalid.json");
    assert_eq!(run(invalid), (11, 0));
}

/// A trie in which a key is the beginning of another, so that a branch has a value of its own:
/// built here by the Yellow Paper's definition, node by node.
fn check_nested(entries: &BTreeMap<Vec<u8>, Vec<u8>>, expected: [u8; 32]) {
    let unpacked: Vec<(Vec<u8>, &Vec<u8>)> =
        entries.iter().map(|(key, value)| (Nibbles::unpack(key).to_vec(), value)).collect();
    let mut nodes = vec![];
    let root = node(&unpacked, 0, &mut nodes);
    nodes.push(root.clone());
    assert_eq!(keccak256(&root).0, expected);
    nodes.sort();
    nodes.dedup();
    let mut all = Nodes::new(expected, &nodes).unwrap();
    for (key, value) in entries {
        assert_eq!(all.value(key), Ok(value.as_slice()));
    }
    assert_eq!(all.end(), Ok(()));
}

/// Appendix D's `c(J, i)`: the node over these entries, `depth` nibbles down.
fn node(entries: &[(Vec<u8>, &Vec<u8>)], depth: usize, nodes: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let [(key, value)] = entries else { return inner(entries, depth, nodes) };
    let path = alloy_rlp::encode(compact(&key[depth..], true).as_slice());
    list(&[path, alloy_rlp::encode(value.as_slice())].concat())
}

fn inner(entries: &[(Vec<u8>, &Vec<u8>)], depth: usize, nodes: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let first = &entries[0].0;
    let shared = (depth..first.len())
        .take_while(|at| entries.iter().all(|(key, _)| key.get(*at) == Some(&first[*at])))
        .count();
    if shared > 0 {
        let path = alloy_rlp::encode(compact(&first[depth..depth + shared], false).as_slice());
        let child = child(entries, depth + shared, nodes);
        return list(&[path, child].concat());
    }
    let mut payload = vec![];
    for nibble in 0..16 {
        let below: Vec<_> =
            entries.iter().filter(|(key, _)| key.get(depth) == Some(&nibble)).cloned().collect();
        match below.is_empty() {
            true => payload.push(0x80),
            false => payload.extend(child(&below, depth + 1, nodes)),
        }
    }
    let own = entries.iter().find(|(key, _)| key.len() == depth);
    payload.extend(alloy_rlp::encode(own.map_or(&[][..], |(_, value)| value.as_slice())));
    list(&payload)
}

fn child(entries: &[(Vec<u8>, &Vec<u8>)], depth: usize, nodes: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let node = node(entries, depth, nodes);
    if node.len() < 32 {
        return node;
    }
    let reference = alloy_rlp::encode(keccak256(&node).as_slice());
    nodes.push(node);
    reference
}

/// Hex-prefix (appendix C).
fn compact(nibbles: &[u8], is_leaf: bool) -> Vec<u8> {
    let flags = if is_leaf { 2 } else { 0 };
    let head = if nibbles.len() % 2 == 1 { vec![flags | 1] } else { vec![flags, 0] };
    let all = [head.as_slice(), nibbles].concat();
    all.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
