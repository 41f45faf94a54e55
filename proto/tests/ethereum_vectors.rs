//! Tries, receipts, transactions and headers of Ethereum, made by others or taken from mainnet.
//!
//! alloy-trie builds the tries and the proofs, our verifier judges them.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
use data_encoding::HEXLOWER_PERMISSIVE;
use distpos_proto::{
    light::evm::{BlockHeader, Receipt},
    proof::{
        patricia::{Nodes, PatriciaError, verify},
        rlp::{Item, RlpError, number_key},
    },
};
use serde_json::Value;

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
    let plain = run_tries(include_str!("vectors/ethereum-mpt/TrieTests/trietest.json"), false);
    assert_eq!(plain, ["emptyValues", "insert-middle-leaf", "jeff"]);
    let any = run_tries(include_str!("vectors/ethereum-mpt/TrieTests/trieanyorder.json"), false);
    assert!(any.len() >= 5, "{any:?}");
}

#[test]
fn secure_trie_tests() {
    let files = [
        include_str!("vectors/ethereum-mpt/TrieTests/trietest_secureTrie.json"),
        include_str!("vectors/ethereum-mpt/TrieTests/trieanyorder_secureTrie.json"),
        include_str!("vectors/ethereum-mpt/TrieTests/hex_encoded_securetrie_test.json"),
    ];
    let counts = files.map(|text| run_tries(text, true).len());
    assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
}

#[test]
fn what_is_between_the_keys_of_a_trie_is_absent() {
    let case = &json(include_str!("vectors/ethereum-mpt/TrieTests/trietestnextprev.json"))["basic"];
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
    let valid = include_str!("vectors/ethereum-mpt/syscoin_nevmspv/nevmspv_valid.json");
    assert_eq!(run(valid), (16, 16));
    let invalid = include_str!("vectors/ethereum-mpt/syscoin_nevmspv/nevmspv_invalid.json");
    assert_eq!(run(invalid), (11, 0));
}

const BLOCK: &str = include_str!("vectors/ethereum-mpt/mainnet_21925176/block.json");

/// A header's RLP out of JSON-RPC's fields, in their order.
fn header_rlp(block: &Value) -> Vec<u8> {
    let fixed = |name: &str| alloy_rlp::encode(hex(block[name].as_str().unwrap()).as_slice());
    let number = |name: &str| {
        let digits = block[name].as_str().unwrap().trim_start_matches("0x");
        alloy_rlp::encode(u64::from_str_radix(digits, 16).unwrap())
    };
    let mut payload = vec![];
    for name in ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot"] {
        payload.extend(fixed(name));
    }
    payload.extend(fixed("receiptsRoot"));
    payload.extend(fixed("logsBloom"));
    for name in ["difficulty", "number", "gasLimit", "gasUsed", "timestamp"] {
        payload.extend(number(name));
    }
    payload.extend([fixed("extraData"), fixed("mixHash"), fixed("nonce")].concat());
    payload.extend([number("baseFeePerGas"), fixed("withdrawalsRoot")].concat());
    payload.extend([number("blobGasUsed"), number("excessBlobGas")].concat());
    payload.extend(fixed("parentBeaconBlockRoot"));
    list(&payload)
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend(payload);
    out
}

/// A receipt as it stands in the trie, out of JSON-RPC's fields.
fn receipt_bytes(receipt: &Value) -> Vec<u8> {
    let string = |value: &Value| alloy_rlp::encode(hex(value.as_str().unwrap()).as_slice());
    let number = |value: &Value| {
        let digits = value.as_str().unwrap().trim_start_matches("0x");
        alloy_rlp::encode(u64::from_str_radix(digits, 16).unwrap())
    };
    let logs: Vec<u8> = (receipt["logs"].as_array().unwrap().iter())
        .flat_map(|log| {
            let topics: Vec<u8> =
                log["topics"].as_array().unwrap().iter().flat_map(&string).collect();
            list(&[string(&log["address"]), list(&topics), string(&log["data"])].concat())
        })
        .collect();
    let fields = [
        number(&receipt["status"]),
        number(&receipt["cumulativeGasUsed"]),
        string(&receipt["logsBloom"]),
        list(&logs),
    ];
    let body = list(&fields.concat());
    match receipt["type"].as_str().unwrap() {
        "0x0" => body,
        kind => [vec![kind.trim_start_matches("0x").parse().unwrap()], body].concat(),
    }
}

#[test]
fn a_mainnet_blocks_header_and_every_receipt() {
    let block = json(BLOCK);
    let rlp = header_rlp(&block);
    let header = BlockHeader::read(&rlp).unwrap();
    assert_eq!(header.hash.0, fixed(&block["hash"]));
    assert_eq!(header.receipts_root, fixed(&block["receiptsRoot"]));
    assert_eq!((header.number.0, header.time.0), (0x014e_8d38, 0x67be_0db3));

    let receipts = json(include_str!("vectors/ethereum-mpt/mainnet_21925176/receipts.json"));
    let receipts: Vec<Vec<u8>> = receipts.as_array().unwrap().iter().map(receipt_bytes).collect();
    let keys: Vec<Vec<u8>> = (0..receipts.len() as u64).map(number_key).collect();
    let entries = keys.iter().cloned().zip(receipts.clone()).collect();
    let (mut reverted, mut proof_nodes) = (0, 0);
    for (key, receipt) in keys.iter().zip(&receipts) {
        let (root, nodes) = build(&entries, &[key]);
        assert_eq!(root, header.receipts_root);
        assert_eq!(verify(root, key, &nodes), Ok(receipt.as_slice()));
        proof_nodes += nodes.len();
        reverted += usize::from(Receipt::read(receipt).is_err());
        for missing in 0..nodes.len() {
            let mut short = nodes.clone();
            short.remove(missing);
            assert!(matches!(verify(root, key, &short), Err(PatriciaError::Missing { .. })));
        }
    }
    assert_eq!((receipts.len(), reverted), (202, 3), "receipts, and those of status 0");
    assert!(proof_nodes > 2 * receipts.len());

    // One proof for all of them needs each node once.
    let all: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let (root, nodes) = build(&entries, &all);
    let mut shared = Nodes::new(root, &nodes).unwrap();
    for (key, receipt) in keys.iter().zip(&receipts) {
        assert_eq!(shared.value(key), Ok(receipt.as_slice()));
    }
    assert_eq!(shared.clone().end(), Ok(()));
    let mut one = Nodes::new(root, &nodes).unwrap();
    one.value(&keys[0]).unwrap();
    assert!(matches!(one.end(), Err(PatriciaError::Unused { .. })));
}

#[test]
fn a_mainnet_receipt_with_its_proof() {
    let case = json(include_str!("vectors/ethereum-mpt/mainnet_21925176/receipt_with_proof.json"));
    let nodes: Vec<Vec<u8>> = case["receiptProof"].as_array().unwrap().iter().map(bytes).collect();
    let root = fixed(&json(BLOCK)["receiptsRoot"]);
    let index = case["receipt"]["transactionIndex"].as_str().unwrap();
    let index = u64::from_str_radix(index.trim_start_matches("0x"), 16).unwrap();
    let receipt = receipt_bytes(&case["receipt"]);
    assert_eq!(verify(root, &number_key(index), &nodes), Ok(receipt.as_slice()));
    assert!(verify(root, &number_key(index + 1), &nodes).is_err());
    for (at, node) in nodes.iter().enumerate() {
        for byte in 0..node.len() {
            let mut bad = nodes.clone();
            bad[at][byte] ^= 1;
            assert!(verify(root, &number_key(index), &bad).is_err(), "node {at}, byte {byte}");
        }
    }
}

#[test]
fn accounts_and_storage_of_mainnet() {
    let root = fixed(&json(BLOCK)["stateRoot"]);
    for text in [
        include_str!("vectors/ethereum-mpt/mainnet_21925176/proof.json"),
        include_str!("vectors/ethereum-mpt/mainnet_21925176/account.json"),
    ] {
        let case = json(text);
        let address = hex("00000000219ab540356cbb839cbe05303d7705fa");
        let nodes: Vec<Vec<u8>> =
            case["accountProof"].as_array().unwrap().iter().map(bytes).collect();
        let key = keccak256(&address);
        // The two answers are of different blocks: each leads from its own first node.
        let first = keccak256(&nodes[0]).0;
        let account = verify(first, key.as_slice(), &nodes).unwrap();
        let [_nonce, _balance, storage, _code] = Item::only(account).unwrap().array().unwrap();
        let account = case.get("account").unwrap_or(&case);
        let named = account.get("storageHash").unwrap_or(&account["storageRoot"]);
        assert_eq!(storage.fixed(), Ok(fixed(named)));
        let wrong = verify(first, keccak256(b"another").as_slice(), &nodes);
        assert!(matches!(wrong, Err(PatriciaError::Missing { .. } | PatriciaError::Absent { .. })));
        if first == root {
            assert_eq!(nodes.len(), 8);
        }
        for slot in case["storageProof"].as_array().unwrap() {
            check_slot(fixed(named), slot);
        }
    }
}

fn check_slot(root: [u8; 32], slot: &Value) {
    let nodes: Vec<Vec<u8>> = slot["proof"].as_array().unwrap().iter().map(bytes).collect();
    let mut key = [0; 32];
    let digits = slot["key"].as_str().unwrap().trim_start_matches("0x");
    let named = hex(&format!("{digits:0>64}"));
    key.copy_from_slice(&named);
    let value = hex(&format!("{:0>64}", slot["value"].as_str().unwrap().trim_start_matches("0x")));
    let value: Vec<u8> = value.into_iter().skip_while(|byte| *byte == 0).collect();
    match verify(root, keccak256(key).as_slice(), &nodes) {
        Ok(found) => assert_eq!(Item::only(found).unwrap().string(), Ok(value.as_slice())),
        Err(error) => {
            assert!(matches!(error, PatriciaError::Absent { .. }), "{error}");
            assert!(value.is_empty(), "a slot that is not there is zero");
        }
    }
}

#[test]
fn mainnet_blocks_hashes_and_transaction_roots() {
    let blocks: [(&[u8], u64); 5] = [
        (include_bytes!("vectors/ethereum-mpt/mainnet_blocks/block_62717.rlp"), 62_717),
        (include_bytes!("vectors/ethereum-mpt/mainnet_blocks/block_300005.rlp"), 300_005),
        (include_bytes!("vectors/ethereum-mpt/mainnet_blocks/block_1200000.rlp"), 1_200_000),
        (include_bytes!("vectors/ethereum-mpt/mainnet_blocks/block_4400000.rlp"), 4_400_000),
        (include_bytes!("vectors/ethereum-mpt/mainnet_blocks/block_4400002.rlp"), 4_400_002),
    ];
    let mut counts = vec![];
    for (rlp, number) in blocks {
        let [header, transactions, _ommers] = Item::only(rlp).unwrap().array().unwrap();
        let read = BlockHeader::read(header.raw).unwrap();
        assert_eq!(read.number.0, number);
        assert_eq!(read.hash.0, keccak256(header.raw).0);
        let root: [u8; 32] = header.items(15, 15).unwrap()[4].fixed().unwrap();
        let transactions = transactions.items(0, 1000).unwrap();
        let raw: Vec<&[u8]> = transactions.iter().map(|transaction| transaction.raw).collect();
        assert_eq!(root, alloy_trie::root::ordered_trie_root_encoded(&raw).0, "block {number}");
        let keys = (0..raw.len() as u64).map(number_key);
        let entries = keys.zip(raw.iter().map(|raw| raw.to_vec())).collect();
        check_trie(&entries, root);
        counts.push(raw.len());
    }
    assert_eq!(counts[3..], [66, 35]);
}

#[test]
fn rlp_in_its_one_encoding() {
    let cases = json(include_str!("vectors/ethereum-mpt/RLPTests/rlptest.json"));
    let cases = cases.as_object().unwrap();
    for (name, case) in cases {
        let out = bytes(&case["out"]);
        let item = Item::only(&out).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(same(&item, &case["in"]), "{name}");
    }
    assert_eq!(cases.len(), 15);
}

/// Whether an item says what the file says in JSON.
fn same(item: &Item<'_>, expected: &Value) -> bool {
    match expected {
        Value::Array(expected) => {
            let items = item.items(0, 100).unwrap();
            items.len() == expected.len() && items.iter().zip(expected).all(|(i, e)| same(i, e))
        }
        Value::Number(number) => item.number() == Ok(number.as_u64().unwrap()),
        text => match text.as_str().unwrap().strip_prefix('#') {
            // A number past 64 bits, in decimal.
            Some(decimal) => {
                let number: alloy_primitives::U256 = decimal.parse().unwrap();
                item.string() == Ok(number.to_be_bytes_trimmed_vec().as_slice())
                    && item.number() == Err(RlpError::Number)
            }
            None => item.string() == Ok(text.as_str().unwrap().as_bytes()),
        },
    }
}

#[test]
fn rlp_in_any_other_encoding_is_refused() {
    fn deep(item: &Item<'_>) -> Result<(), RlpError> {
        if item.is_list { item.items(0, 1000)?.iter().try_for_each(deep) } else { Ok(()) }
    }
    let cases = json(include_str!("vectors/ethereum-mpt/RLPTests/invalidRLPTest.json"));
    let cases = cases.as_object().unwrap();
    for (name, case) in cases {
        let out = hex(case["out"].as_str().unwrap());
        let outcome = Item::only(&out).and_then(|item| deep(&item));
        assert!(outcome.is_err(), "{name}");
    }
    assert_eq!(cases.len(), 16);
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
