//! Texts against what another implementation encodes, and texts that are no call.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    data: String,
}

#[test]
fn a_text_becomes_what_another_implementation_encodes() {
    let file = include_str!("../../../../tests/vectors/calldata.json");
    let vectors: Vectors = serde_json::from_str(file).unwrap();
    assert!(vectors.cases.len() > 5);
    for Case { text, data } in vectors.cases {
        let found = encode(&text).map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
        assert_eq!(found.as_ref(), Ok(&data), "{text}");
    }
}

#[test]
fn an_error_names_the_argument_and_its_type() {
    let cases = [
        (
            "f(uint8) 256",
            "argument 1 (uint8): found \"256\", expected a whole number from 0, below 2^8",
        ),
        (
            "f(bool,int8) true 128",
            "argument 2 (int8): found \"128\", expected a whole number from -2^7, below 2^7",
        ),
        ("f(bool) yes", "argument 1 (bool): found \"yes\", expected true or false"),
        (
            "f(uint256[],(address,uint256)[]) [1] [(0x01,2)]",
            "argument 2[0][0] (address): found \"0x01\", expected 0x and 40 hex digits (account is \
             not 40 hex digits)",
        ),
        (
            "f(address) 0x5fbDB2315678afecb367f032d93F642f64180aa3",
            "argument 1 (address): found \"0x5fbDB2315678afecb367f032d93F642f64180a…\", expected 0x \
             and 40 hex digits (account's mixed case is not its EIP-55 checksum: mistyped)",
        ),
        (
            "f(bytes2) 0x010203",
            "argument 1 (bytes2): found \"0x010203\", expected 0x and 4 hex digits",
        ),
        ("f(bytes) 123", "argument 1 (bytes): found \"123\", expected 0x and pairs of hex digits"),
        ("f(uint8[2]) [1]", "argument 1 (uint8[2]): found \"1 values\", expected 2"),
        (
            "f((uint8,bool)) (1,true,2)",
            "argument 1 ((uint8,bool)): found \"2)\", expected ) after 2 values",
        ),
        (
            "f(uint8[]) 1",
            "argument 1 (uint8[]): found \"1\", expected values between [ and ], such as [1,2]",
        ),
        ("f(uint8[]) [1 2]", "argument 1 (uint8[]): found \"2]\", expected , or ] after a value"),
        (
            "f(string) \"open",
            "argument 1 (string): found \"\\\"open\", expected a second quotation mark",
        ),
        (
            "greet(string,uint) hi",
            "found 1 values, expected 2: one for each argument of greet(string,uint256)",
        ),
        ("f(uint8) 1 2 3", "found 3 values, expected 1: one for each argument of f(uint8)"),
        (
            "f(uint7) 1",
            "found \"uint7) 1\" in the signature, expected a type: uint256, int8, address, bool, \
             bytes, bytes32, string, or a tuple",
        ),
        ("f uint8", "found \"uint8\" in the signature, expected ( and the types of the arguments"),
        ("f(uint8", "found \"\" in the signature, expected , or ) after a type"),
    ];
    for (text, expected) in cases {
        assert_eq!(encode(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn what_looks_like_a_number_elsewhere_is_none() {
    for wrong in ["", "1e3", "1_000", "+1", "--1", "0x", "0xg", "1.0", "1 ether", "-1", "٣"] {
        assert!(encode(&format!("f(uint256) {wrong}")).is_err(), "{wrong}");
    }
    assert!(encode(&format!("f(uint256) 1{}", "0".repeat(78))).is_err(), "2^256 and more");
    assert!(encode("f(int256) -0").is_ok());
}

#[test]
fn no_text_makes_it_panic_or_go_deep() {
    let deep = format!("f({}uint8{}) 1", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(encode(&deep), Err(CalldataError::Signature { .. })));
    let arrays = format!("f(uint8{}) 1", "[]".repeat(100_000));
    assert!(matches!(encode(&arrays), Err(CalldataError::Signature { .. })));
    for odd in
        ["", "(", ")", "f()", "f(uint8[99999999999999999999]) []", "f(ü) 1", "f(string) \"\\"]
    {
        let _ = encode(odd);
    }
    assert!(encode("f(uint8[4000000000]) [1]").is_err(), "nothing is allocated for it");
}
