//! Real blocks: headers, receipts, transactions, accounts.

use alloy_primitives::keccak256;
use distpos_proto::{
    light::evm::{BlockHeader, Receipt},
    proof::{
        patricia::{Nodes, PatriciaError, verify},
        rlp::{Item, number_key},
    },
};
use serde_json::Value;

use super::{build, bytes, check_trie, fixed, hex, json, list};

const BLOCK: &str = include_str!("../vectors/ethereum-mpt/mainnet_21925176/block.json");

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

    let receipts = json(include_str!("../vectors/ethereum-mpt/mainnet_21925176/receipts.json"));
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
    let case =
        json(include_str!("../vectors/ethereum-mpt/mainnet_21925176/receipt_with_proof.json"));
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
        include_str!("../vectors/ethereum-mpt/mainnet_21925176/proof.json"),
        include_str!("../vectors/ethereum-mpt/mainnet_21925176/account.json"),
    ] {
        let case = json(text);
        let address = hex("00000000219ab540356cbb839cbe05303d7705fa");
        let nodes: Vec<Vec<u8>> =
            case["accountProof"].as_array().unwrap().iter().map(bytes).collect();
        let key = keccak256(&address);
        let account = verify(root, key.as_slice(), &nodes).unwrap();
        let [_nonce, _balance, storage, _code] = Item::only(account).unwrap().array().unwrap();
        let account = case.get("account").unwrap_or(&case);
        let named = account.get("storageHash").unwrap_or(&account["storageRoot"]);
        assert_eq!(storage.fixed(), Ok(fixed(named)));
        let wrong = verify(root, keccak256(b"another").as_slice(), &nodes);
        assert!(matches!(wrong, Err(PatriciaError::Missing { .. } | PatriciaError::Absent { .. })));
        assert_eq!(nodes.len(), 8);
        for slot in case["storageProof"].as_array().unwrap() {
            check_slot(fixed(named), slot);
        }
    }
}

fn check_slot(root: [u8; 32], slot: &Value) {
    let nodes: Vec<Vec<u8>> = slot["proof"].as_array().unwrap().iter().map(bytes).collect();
    let digits = slot["key"].as_str().unwrap().trim_start_matches("0x");
    let key = hex(&format!("{digits:0>64}"));
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
        (include_bytes!("../vectors/ethereum-mpt/mainnet_blocks/block_62717.rlp"), 62_717),
        (include_bytes!("../vectors/ethereum-mpt/mainnet_blocks/block_300005.rlp"), 300_005),
        (include_bytes!("../vectors/ethereum-mpt/mainnet_blocks/block_1200000.rlp"), 1_200_000),
        (include_bytes!("../vectors/ethereum-mpt/mainnet_blocks/block_4400000.rlp"), 4_400_000),
        (include_bytes!("../vectors/ethereum-mpt/mainnet_blocks/block_4400002.rlp"), 4_400_002),
    ];
    let mut counts = vec![];
    for (rlp, number) in blocks {
        // The first one is of a later fork: more header fields, typed transactions, withdrawals.
        let parts = Item::only(rlp).unwrap().items(3, 4).unwrap();
        let (header, transactions) = (parts[0], parts[1]);
        let read = BlockHeader::read(header.raw).unwrap();
        assert_eq!(read.number.0, number);
        assert_eq!(read.hash.0, keccak256(header.raw).0);
        let root: [u8; 32] = header.items(15, 18).unwrap()[4].fixed().unwrap();
        let transactions = transactions.items(0, 1000).unwrap();
        let bytes = |item: &Item<'_>| if item.is_list { item.raw } else { item.payload }.to_vec();
        let raw: Vec<Vec<u8>> = transactions.iter().map(bytes).collect();
        assert_eq!(root, alloy_trie::root::ordered_trie_root_encoded(&raw).0, "block {number}");
        let keys = (0..raw.len() as u64).map(number_key);
        let entries = keys.zip(raw.iter().cloned()).collect();
        check_trie(&entries, root);
        counts.push(raw.len());
    }
    assert_eq!(counts, [4, 1, 0, 66, 35]);
}
