//! ethereum/tests' RLP: one encoding for one value.

use distpos_proto::proof::rlp::{Item, RlpError};
use serde_json::Value;

use super::{bytes, hex, json};

#[test]
fn rlp_in_its_one_encoding() {
    let cases = json(include_str!("../vectors/ethereum-mpt/RLPTests/rlptest.json"));
    let cases = cases.as_object().unwrap();
    for (name, case) in cases {
        let out = bytes(&case["out"]);
        let item = Item::only(&out).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(same(&item, &case["in"]), "{name}");
    }
    assert_eq!(cases.len(), 17);
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
    let cases = json(include_str!("../vectors/ethereum-mpt/RLPTests/invalidRLPTest.json"));
    let cases = cases.as_object().unwrap();
    for (name, case) in cases {
        let out = hex(case["out"].as_str().unwrap());
        let outcome = Item::only(&out).and_then(|item| deep(&item));
        assert!(outcome.is_err(), "{name}");
    }
    assert_eq!(cases.len(), 16);
}
