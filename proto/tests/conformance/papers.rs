//! `terms.json`, `statement.json`, `reserve-request.json`: what the two sides of an account sign.

use distpos_proto::{
    amount::Amount,
    chain::{GenesisTag, Height},
    key::{KeySet, SecretKey},
    message::TermsHash,
    signed::{Document, Signed},
    statement::{ReserveRequest, Statement},
    terms::{Side, Terms},
    time::UnixSeconds,
};
use serde_json::{Value as Json, json};

use crate::{
    raw::{array, bytes, diagnostic, hex, text, uint, unhex},
    signed::key,
};

/// The keys of `e2e4` and `b1c2`, in these files.
fn keys() -> [SecretKey; 2] {
    [key(1), key(2)]
}

fn side(chain: &str, tag: u8, backing: &str) -> Side {
    let tag = GenesisTag([tag; 8]);
    Side { chain: chain.parse().unwrap(), tag, backing: backing.parse().unwrap() }
}

pub(crate) fn terms() -> Terms {
    let (here, there) = (side("e2e4", 1, "coin"), side("b1c2", 2, "ledger"));
    Terms::new("e2e4/coin".parse().unwrap(), 18, here, there).unwrap()
}

pub(crate) fn statement() -> Statement {
    Statement {
        maker: "b1c2".parse().unwrap(),
        peer: "e2e4".parse().unwrap(),
        asset: "e2e4/coin".parse().unwrap(),
        terms: Some(terms().hash()),
        height: Height(900),
        count: 12,
        received: Amount::from(1_000_000_000_000_000_000_u64),
        reserve: Amount::from(500_u64),
        time: UnixSeconds(1_795_651_200),
    }
}

pub(crate) fn request() -> ReserveRequest {
    ReserveRequest {
        maker: "b1c2".parse().unwrap(),
        peer: "e2e4".parse().unwrap(),
        asset: "e2e4/coin".parse().unwrap(),
        terms: terms().hash(),
        wanted: Amount::from(250_u64),
        by: UnixSeconds(1_795_737_600),
        time: UnixSeconds(1_795_651_200),
        reason: "9 of 10 of the limit are used".into(),
    }
}

fn all_terms() -> Vec<(&'static str, Terms)> {
    let token = format!("erc20:{}", "5f".repeat(20));
    let tokens = Terms::new(
        "c0/usd.6".parse().unwrap(),
        6,
        side("b1c2", 2, &token),
        side(&"f".repeat(32), 3, "ledger"),
    );
    let none = Terms::new("a/x".parse().unwrap(), 0, side("1", 4, "coin"), side("2", 5, "coin"));
    vec![
        ("a coin against a ledger's", terms()),
        ("a token, issued by a third chain", tokens.unwrap()),
        ("no decimals", none.unwrap()),
    ]
}

fn statements() -> Vec<(&'static str, Statement)> {
    let nothing = Statement {
        height: Height(0),
        count: 0,
        received: Amount::ZERO,
        reserve: Amount::ZERO,
        ..statement()
    };
    let closed = Statement { terms: None, received: Amount::MAX, count: u64::MAX, ..statement() };
    vec![
        ("of an account in use", statement()),
        ("of one that nothing came over yet", nothing),
        ("of one that is closed, with the largest figures", closed),
    ]
}

fn reserve_requests() -> Vec<(&'static str, ReserveRequest)> {
    let terse = ReserveRequest { reason: String::new(), wanted: Amount::from(1_u64), ..request() };
    let long = ReserveRequest { reason: "ä".repeat(100), wanted: Amount::MAX, ..request() };
    let over = ReserveRequest { reason: String::new(), wanted: Amount::ZERO, ..request() };
    vec![
        ("with a reason", request()),
        ("without one", terse),
        ("with the longest one", long),
        ("that withdraws", over),
    ]
}

/// The file of one kind of paper, each signed by these keys.
fn build<D: Document>(
    comment: &str,
    valid: Vec<(&'static str, D)>,
    refused: Vec<(&'static str, Vec<u8>)>,
    signers: &[SecretKey],
) -> Json {
    let valid: Vec<_> = valid
        .into_iter()
        .map(|(name, paper)| {
            let bytes = paper.bytes();
            assert!(bytes.len() <= D::BYTES_MAX);
            json!({
                "name": name,
                "diagnostic": diagnostic(&bytes),
                "bytes": hex(&bytes),
                "hash": hex(&D::DOMAIN.hash(&bytes)),
                "signed": hex(&paper.sign(signers).to_bytes()),
            })
        })
        .collect();
    let refused: Vec<_> = refused
        .into_iter()
        .map(|(reason, bytes)| {
            let error = D::from_bytes(&bytes).expect_err(reason).to_string();
            json!({ "reason": reason, "bytes": hex(&bytes), "error": error })
        })
        .collect();
    json!({ "comment": comment, "valid": valid, "refused": refused })
}

pub(crate) fn build_terms() -> Json {
    let comment = "hash = SHA-256(\"distpos/terms/1\" || bytes); signed by both sides under the \
        same domain, here by the keys of the seeds 01… and 02….";
    build(comment, all_terms(), refused_terms(), &keys())
}

pub(crate) fn build_statements() -> Json {
    let comment = "Signed by the key of the seed 02… under \"distpos/statement/1\"; hash is \
        SHA-256 over the same and is used nowhere.";
    build(comment, statements(), refused_statements(), &keys()[1..])
}

pub(crate) fn build_reserve_requests() -> Json {
    let comment = "Signed by the key of the seed 02… under \"distpos/reserve-request/1\"; hash is \
        SHA-256 over the same and is used nowhere.";
    build(comment, reserve_requests(), refused_requests(), &keys()[1..])
}

/// The same items with another one at a place.
fn with(items: &[Vec<u8>], at: usize, item: Vec<u8>) -> Vec<u8> {
    let mut items = items.to_vec();
    items[at] = item;
    array(&items)
}

fn refused_terms() -> Vec<(&'static str, Vec<u8>)> {
    let side =
        |chain: &str, tag: &[u8], backing: &str| array(&[text(chain), bytes(tag), text(backing)]);
    let (b1c2, e2e4) = (side("b1c2", &[2; 8], "ledger"), side("e2e4", &[1; 8], "coin"));
    let items = [text("e2e4/coin"), uint(18), b1c2.clone(), e2e4.clone()];
    let good = array(&items);
    assert_eq!(good, terms().bytes(), "by hand and by the code");
    vec![
        ("the sides change places", array(&[text("e2e4/coin"), uint(18), e2e4.clone(), b1c2])),
        ("one chain twice", with(&items, 2, e2e4)),
        ("a side without a genesis tag", with(&items, 2, side("b1c2", &[0; 8], "ledger"))),
        ("a tag of 7 bytes", with(&items, 2, side("b1c2", &[2; 7], "ledger"))),
        ("a chain-id in upper case", with(&items, 2, side("B1C2", &[2; 8], "ledger"))),
        ("a backing that does not exist", with(&items, 2, side("b1c2", &[2; 8], "gold"))),
        ("a token in upper case", {
            with(&items, 2, side("b1c2", &[2; 8], &format!("erc20:{}", "5F".repeat(20))))
        }),
        ("a side of four items", {
            with(&items, 2, array(&[text("b1c2"), bytes(&[2; 8]), text("ledger"), uint(0)]))
        }),
        ("78 decimals", with(&items, 1, uint(78))),
        ("256 decimals", with(&items, 1, uint(256))),
        ("decimals that are not in their shortest form", with(&items, 1, vec![0x19, 0, 18])),
        ("an asset without an issuer", with(&items, 0, text("coin"))),
        ("a fifth item", array(&[&items[..], &[uint(0)]].concat())),
        ("a byte follows", [good.clone(), vec![0]].concat()),
        ("the last byte is missing", good[..good.len() - 1].to_vec()),
        ("nothing", vec![]),
    ]
}

fn refused_statements() -> Vec<(&'static str, Vec<u8>)> {
    let s = statement();
    let items = [
        text("b1c2"),
        text("e2e4"),
        text("e2e4/coin"),
        bytes(&terms().hash().0),
        uint(900),
        uint(12),
        bytes(&s.received.to_minimal_bytes()),
        bytes(&s.reserve.to_minimal_bytes()),
        uint(s.time.0),
    ];
    let good = array(&items);
    assert_eq!(good, s.bytes(), "by hand and by the code");
    vec![
        ("of a chain with itself", with(&items, 1, text("b1c2"))),
        ("a maker in upper case", with(&items, 0, text("B1C2"))),
        ("an asset without a label", with(&items, 2, text("e2e4/"))),
        ("terms of 31 bytes", with(&items, 3, bytes(&[7; 31]))),
        ("a sum with a leading zero", with(&items, 6, bytes(&[0, 1]))),
        ("a sum of 33 bytes", with(&items, 6, bytes(&[1; 33]))),
        ("a negative count", with(&items, 5, vec![0x20])),
        ("a count that is not in its shortest form", with(&items, 5, vec![0x18, 12])),
        ("the time is missing", array(&items[..8])),
        ("a tenth item", array(&[&items[..], &[uint(0)]].concat())),
        ("a byte follows", [good.clone(), vec![0]].concat()),
        ("the last byte is missing", good[..good.len() - 1].to_vec()),
    ]
}

fn refused_requests() -> Vec<(&'static str, Vec<u8>)> {
    let r = request();
    let items = [
        text("b1c2"),
        text("e2e4"),
        text("e2e4/coin"),
        bytes(&terms().hash().0),
        bytes(&r.wanted.to_minimal_bytes()),
        uint(r.by.0),
        uint(r.time.0),
        text(&r.reason),
    ];
    let good = array(&items);
    assert_eq!(good, r.bytes(), "by hand and by the code");
    vec![
        ("of a chain to itself", with(&items, 1, text("b1c2"))),
        ("without terms", with(&items, 3, bytes(&[]))),
        ("a sum with a leading zero", with(&items, 4, bytes(&[0, 1]))),
        ("a reason of 201 bytes", with(&items, 7, text(&"a".repeat(201)))),
        ("a reason that is no text", with(&items, 7, bytes(b"why"))),
        ("the reason is missing", array(&items[..7])),
        ("a byte follows", [good.clone(), vec![0]].concat()),
    ]
}

/// Every valid paper of a file reads back and is by these keys and by no others; every refused one
/// is refused for its reason.
fn check<D: Document>(file: &str, by: &[SecretKey]) {
    let file: Json = serde_json::from_str(file).unwrap();
    let set = |key: &SecretKey| KeySet::new([key.public()], 1).unwrap();
    for vector in file["valid"].as_array().unwrap() {
        let paper = D::from_bytes(&unhex(&vector["bytes"])).unwrap();
        assert_eq!(hex(&D::DOMAIN.hash(&paper.bytes())), vector["hash"]);
        let signed = Signed::<D>::from_bytes(&unhex(&vector["signed"])).unwrap();
        assert_eq!(signed.document, paper);
        for key in by {
            assert_eq!(signed.clone().verify(&set(key)).unwrap().document(), &paper);
        }
        assert!(signed.clone().verify(&set(&key(3))).is_err());
        let unsigned = Signed { signatures: vec![], ..signed };
        assert!(unsigned.verify(&set(&by[0])).is_err());
    }
    for vector in file["refused"].as_array().unwrap() {
        let error = D::from_bytes(&unhex(&vector["bytes"])).unwrap_err();
        assert_eq!(error.to_string(), vector["error"], "{}", vector["reason"]);
    }
}

#[test]
fn the_files_papers_read_back_and_verify() {
    check::<Terms>(include_str!("../../vectors/terms.json"), &keys());
    check::<Statement>(include_str!("../../vectors/statement.json"), &keys()[1..]);
    check::<ReserveRequest>(include_str!("../../vectors/reserve-request.json"), &keys()[1..]);
}

#[test]
fn the_files_hashes_are_those_that_messages_carry() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/terms.json")).unwrap();
    for (vector, (_, terms)) in file["valid"].as_array().unwrap().iter().zip(all_terms()) {
        let hash: TermsHash = vector["hash"].as_str().unwrap().parse().unwrap();
        assert_eq!(hash, terms.hash());
        assert_eq!(hash.to_string(), vector["hash"]);
    }
}
