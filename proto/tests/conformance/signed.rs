//! `header.json`, `receipt.json`, `key-set.json`: what is signed, by keys of known seeds.

use distpos_proto::{
    cbor::{Reader, Writer},
    chain::{BlockHash, GenesisTag, Height},
    code::Code,
    header::{Header, HeaderHash, SignedHeader},
    key::{Domain, KeySet, KeySignature, SecretKey},
    message::{Message, MessageId},
    receipt::{Call, Outcome, Receipt, SignedReceipt, Standing, Status},
    time::UnixSeconds,
};
use serde_json::{Value as Json, json};

use crate::{
    message::plain,
    raw::{Pairs, array, bytes, diagnostic, hex, text, uint, unhex},
};

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn key_set() -> KeySet {
    KeySet::new([key(1).public(), key(2).public()], 1).unwrap()
}

fn sign_json(signature: &KeySignature) -> Json {
    json!({ "key": hex(signature.key.as_bytes()), "signature": hex(&signature.signature) })
}

pub(crate) fn build_key_sets() -> Json {
    let domains: Vec<_> =
        Domain::ALL.iter().map(|domain| std::str::from_utf8(domain.prefix()).unwrap()).collect();
    let keys: Vec<_> = (1..=3)
        .map(|seed| {
            let key = key(seed);
            json!({
                "seed": hex(&[seed; 32]),
                "public": hex(key.public().as_bytes()),
                "text": key.public().to_string(),
            })
        })
        .collect();
    let sets: Vec<_> = [(1u8, 1), (3, 2), (3, 3)]
        .map(|(count, threshold)| {
            let set = KeySet::new((1..=count).map(|seed| key(seed).public()), threshold).unwrap();
            let keys: Vec<_> = set.keys().map(|key| hex(key.as_bytes())).collect();
            json!({ "threshold": threshold, "keys": keys, "hash": hex(&set.hash()) })
        })
        .into();
    json!({
        "comment": "A set's hash is SHA-256(\"distpos/key-set/1\" || CBOR [threshold, [keys in \
            ascending order]]). A signature is ed25519 over the domain's text and the bytes.",
        "domains": domains,
        "keys": keys,
        "sets": sets,
    })
}

pub(crate) fn header() -> Header {
    Header {
        chain: "e2e4".parse().unwrap(),
        tag: GenesisTag([1, 2, 3, 4, 5, 6, 7, 8]),
        height: Height(1000),
        block: BlockHash([0xb1; 32]),
        time: UnixSeconds(1_795_651_200),
        previous: HeaderHash::NONE,
        key_set: key_set().hash(),
        leaf_count: 3,
        root: [0x20; 32],
    }
}

pub(crate) fn build_headers() -> Json {
    let second = Header {
        height: Height(1007),
        previous: header().hash(),
        leaf_count: 1,
        time: UnixSeconds(1_795_651_284),
        ..header()
    };
    let valid: Vec<_> = [("a chain's first header", header()), ("one after it", second)]
        .map(|(name, header)| {
            let signed = header.sign([&key(1), &key(2)]);
            let mut out = Writer::default();
            signed.write(&mut out);
            let signatures: Vec<_> = signed.signatures.iter().map(sign_json).collect();
            json!({
                "name": name,
                "diagnostic": diagnostic(&header.bytes()),
                "bytes": hex(&header.bytes()),
                "hash": hex(&header.hash().0),
                "signatures": signatures,
                "signed": hex(&out.finish()),
            })
        })
        .into();
    let refused: Vec<_> = refused_headers()
        .into_iter()
        .map(|(reason, bytes)| {
            let error = Header::from_bytes(&bytes).expect_err(reason).to_string();
            json!({ "reason": reason, "bytes": hex(&bytes), "error": error })
        })
        .collect();
    json!({
        "comment": "hash = SHA-256(\"distpos/header/1\" || bytes); signatures by the keys of the \
            seeds 01… and 02… under the same domain.",
        "valid": valid,
        "refused": refused,
    })
}

fn refused_headers() -> Vec<(&'static str, Vec<u8>)> {
    let h = header();
    let pairs = Pairs::of(vec![
        text("e2e4"),
        bytes(&h.tag.0),
        uint(1000),
        bytes(&h.block.0),
        uint(h.time.0),
        bytes(&h.previous.0),
        bytes(&h.key_set),
        uint(3),
        bytes(&h.root),
    ]);
    assert_eq!(pairs.map(), h.bytes(), "by hand and by the code");
    let mut missing = pairs.clone();
    missing.0.pop();
    let mut unknown = pairs.clone();
    unknown.0.push((uint(9), uint(0)));
    let mut swapped = pairs.clone();
    swapped.0.swap(2, 3);
    vec![
        ("the root is missing", missing.map()),
        ("an unknown key", unknown.map()),
        ("keys 2 and 3 change places", swapped.map()),
        ("chain-id in upper case", pairs.with(0, text("E2E4")).map()),
        ("root of 31 bytes", pairs.with(8, bytes(&[1; 31])).map()),
        ("height that is not in its shortest form", {
            pairs.with(2, vec![0x1a, 0, 0, 0x03, 0xe8]).map()
        }),
        ("a byte follows", [pairs.map(), vec![0]].concat()),
        ("nothing", vec![]),
    ]
}

pub(crate) fn receipts() -> Vec<(&'static str, Receipt)> {
    let id = Message::new(plain()).unwrap().id();
    let receipt = |outcome| Receipt {
        id,
        source: "e2e4".parse().unwrap(),
        destination: "b1c2".parse().unwrap(),
        outcome,
    };
    let delivered = |call, length| {
        receipt(Outcome::Delivered { height: Height(77), transaction: vec![0x33; length], call })
    };
    let refused = |code, text: &str| receipt(Outcome::Refused { code, text: text.to_owned() });
    vec![
        ("delivered, nothing to call", delivered(Call::None, 32)),
        ("delivered, the call went through", delivered(Call::Ok, 1)),
        ("delivered, the call failed and the payment was kept", delivered(Call::Failed, 64)),
        ("refused, unknown recipient", refused(Code::UNKNOWN_RECIPIENT, "no such account")),
        ("refused, no text", refused(Code::EXPIRED, "")),
        ("refused, longest text", refused(Code::CALL_REVERTS, &"ä".repeat(100))),
    ]
}

pub(crate) fn build_receipts() -> Json {
    let valid: Vec<_> = receipts()
        .into_iter()
        .map(|(name, receipt)| {
            let bytes = receipt.bytes();
            let signed = receipt.sign([&key(2)]);
            let mut out = Writer::default();
            signed.write(&mut out);
            json!({
                "name": name,
                "diagnostic": diagnostic(&bytes),
                "bytes": hex(&bytes),
                "signatures": [sign_json(&signed.signatures[0])],
                "signed": hex(&out.finish()),
            })
        })
        .collect();
    let refused: Vec<_> = refused_receipts()
        .into_iter()
        .map(|(reason, bytes)| {
            let error = Receipt::from_bytes(&bytes).expect_err(reason).to_string();
            json!({ "reason": reason, "bytes": hex(&bytes), "error": error })
        })
        .collect();
    let statuses: Vec<_> = [("pending", Standing::Pending), ("unknown", Standing::Unknown)]
        .map(|(name, standing)| {
            let id = Message::new(plain()).unwrap().id();
            let status = Status::sign(id, "b1c2".parse().unwrap(), standing, &key(2));
            assert!(status.is_by(&key_set()));
            json!({ "standing": name, "id": hex(&id.0), "destination": "b1c2",
                "signature": sign_json(&status.signature) })
        })
        .into();
    json!({
        "comment": "Signed by the key of the seed 02…, receipts under \"distpos/receipt/1\", \
            statuses under \"distpos/status/1\" over [id, destination, standing].",
        "valid": valid,
        "refused": refused,
        "statuses": statuses,
    })
}

fn refused_receipts() -> Vec<(&'static str, Vec<u8>)> {
    let receipt = |outcome: Vec<u8>| array(&[bytes(&[9; 32]), text("e2e4"), text("b1c2"), outcome]);
    let delivered = |hash: &[u8], call| array(&[uint(0), uint(77), bytes(hash), uint(call)]);
    let refused = |code: &str, words: &str| array(&[uint(1), text(code), text(words)]);
    let good = receipt(delivered(&[1], 0));
    assert!(Receipt::from_bytes(&good).is_ok());
    let by =
        |id: &[u8], source| array(&[bytes(id), text(source), text("b1c2"), refused("5.1.1", "")]);
    vec![
        ("delivered without a transaction", receipt(delivered(&[], 0))),
        ("transaction of 65 bytes", receipt(delivered(&[1; 65], 0))),
        ("call 3", receipt(delivered(&[1], 3))),
        ("an outcome of a third kind", receipt(array(&[uint(2), text("5.1.1"), text("")]))),
        ("refused with the length of delivered", {
            receipt(array(&[uint(1), text("5.1.1"), text(""), uint(0)]))
        }),
        ("refused with a code that is temporary", receipt(refused("4.7.5", ""))),
        ("refused with a code of success", receipt(refused("2.0.0", ""))),
        ("refused for an invalid proof, which never voids", receipt(refused("5.7.26", ""))),
        ("refused for conflicting headers, which never void", receipt(refused("5.7.27", ""))),
        ("a code with a leading zero", receipt(refused("5.01.1", ""))),
        ("a text of 201 bytes", receipt(refused("5.1.1", &"a".repeat(201)))),
        ("an id of 31 bytes", by(&[9; 31], "e2e4")),
        ("a source in upper case", by(&[9; 32], "E2E4")),
        ("a number that is not in its shortest form", {
            receipt([vec![0x84, 0x18, 0], uint(77), bytes(&[1]), uint(0)].concat())
        }),
        ("a byte follows", [good.clone(), vec![0]].concat()),
        ("the last byte is missing", good[..good.len() - 1].to_vec()),
    ]
}

#[test]
fn the_files_headers_read_back_and_their_signatures_count() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/header.json")).unwrap();
    for vector in file["valid"].as_array().unwrap() {
        let header = Header::from_bytes(&unhex(&vector["bytes"])).unwrap();
        assert_eq!(hex(&header.hash().0), vector["hash"]);
        let signed = unhex(&vector["signed"]);
        let read = SignedHeader::read(&mut Reader::new(&signed)).unwrap();
        assert_eq!(read.header, header);
        assert!(key_set().endorses(Domain::Header, &header.bytes(), &read.signatures));
        assert!(!key_set().endorses(Domain::Receipt, &header.bytes(), &read.signatures));
    }
    for vector in file["refused"].as_array().unwrap() {
        let error = Header::from_bytes(&unhex(&vector["bytes"])).unwrap_err();
        assert_eq!(error.to_string(), vector["error"], "{}", vector["reason"]);
    }
}

#[test]
fn the_files_receipts_read_back_and_verify() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/receipt.json")).unwrap();
    for vector in file["valid"].as_array().unwrap() {
        let receipt = Receipt::from_bytes(&unhex(&vector["bytes"])).unwrap();
        let signed = unhex(&vector["signed"]);
        let read = SignedReceipt::read(&mut Reader::new(&signed)).unwrap();
        assert_eq!(*read.verify(&key_set()).unwrap().receipt(), receipt);
        let mut other = receipt.clone();
        other.id = MessageId([0; 32]);
        let forged = SignedReceipt { receipt: other, ..receipt.sign([&key(2)]) };
        assert!(forged.verify(&key_set()).is_err());
    }
    for vector in file["refused"].as_array().unwrap() {
        let error = Receipt::from_bytes(&unhex(&vector["bytes"])).unwrap_err();
        assert_eq!(error.to_string(), vector["error"], "{}", vector["reason"]);
    }
}
