//! What counts as a signature, on other people's vectors: `verify_strict` and no weak key. Gateways
//! that disagree here would fork on evidence, so the verdicts are part of the protocol.

#![allow(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

use distpos_proto::key::PublicKey;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    number: u32,
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof {
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    public_key: Key,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Key {
    pk: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: u32,
    msg: String,
    sig: String,
    result: String,
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// The project's rule without the domain's text in front, which foreign vectors do not have.
fn accepts(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    let Ok(public) = PublicKey::from_bytes(key) else { return false };
    let key = VerifyingKey::from_bytes(public.as_bytes()).expect("a public key is a point");
    key.verify_strict(message, &signature).is_ok()
}

#[test]
fn wycheproofs_verdicts_are_ours() {
    let text = include_str!("vectors/ed25519/wycheproof_ed25519_test.json");
    let file: Wycheproof = serde_json::from_str(text).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &file.test_groups {
        let key = unhex(&group.public_key.pk);
        for test in &group.tests {
            let expected = test.result == "valid";
            let found = accepts(&key, &unhex(&test.msg), &unhex(&test.sig));
            assert_eq!(found, expected, "case {}", test.tc_id);
            *(if expected { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert_eq!((valid, invalid), (50, 37));
}

/// Refused: keys and nonces of small order, encodings that are not the shortest, equations that
/// hold only after multiplication by the cofactor, and hashes over another encoding of the key.
#[test]
fn cctvs_edge_cases_are_judged_strictly() {
    const REFUSED: [&str; 6] = [
        "low_order_A",
        "low_order_R",
        "non_canonical_A",
        "non_canonical_R",
        "low_order_residue",
        "reencoded_k",
    ];
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/ed25519/cctv.json")).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for case in &cases {
        let flags = case.flags.as_deref().unwrap_or_default();
        let expected = !flags.iter().any(|flag| REFUSED.contains(&flag.as_str()));
        let found = accepts(&unhex(&case.key), case.msg.as_bytes(), &unhex(&case.sig));
        assert_eq!(found, expected, "case {}: {flags:?}", case.number);
        *(if expected { &mut taken } else { &mut refused }) += 1;
    }
    assert_eq!(taken + refused, 548);
    assert!(taken > 0 && refused > taken);
}

#[test]
fn no_key_of_small_order_is_a_public_key() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/ed25519/cctv.json")).unwrap();
    let mut weak = 0;
    for case in &cases {
        let flags = case.flags.as_deref().unwrap_or_default();
        if flags.iter().any(|flag| flag == "low_order_A") {
            assert!(PublicKey::from_bytes(unhex(&case.key).try_into().unwrap()).is_err());
            weak += 1;
        }
    }
    assert_eq!(weak, 302);
}
