//! `key-change.json`: endorsements of a new key, and records that endorse nothing.

use distpos_proto::{
    chain::GenesisTag,
    key::Domain,
    record::{KeyRecord, Selector},
};
use serde_json::{Value as Json, json};

use crate::{
    raw::{diagnostic, hex},
    signed::key,
};

pub(crate) fn build() -> Json {
    let (chain, tag) = ("e2e4".parse().unwrap(), GenesisTag([1; 8]));
    let selector: Selector = "k20261126".parse().unwrap();
    let new = key(3).public();
    let body = KeyRecord::change_bytes(chain, tag, &selector, &new);
    let record = |by: &[u8]| {
        let by: Vec<_> = by.iter().map(|seed| key(*seed)).collect();
        KeyRecord::new(chain, Some(new)).endorsed(tag, &selector, &by)
    };
    let valid: Vec<_> = [&[1][..], &[1, 2]]
        .map(|by| {
            let record = record(by);
            assert_eq!(record.endorsers(tag, &selector, |_| true).count(), by.len());
            json!({ "seeds": by, "record": record.to_string() })
        })
        .into();
    let good = record(&[1, 2]).to_string();
    let [first, second] = [1, 2].map(|seed| key(seed).public().to_string());
    let wrong = [
        (
            "the keys change places",
            good.replace(&format!("by={first},{second}"), &format!("by={second},{first}")),
        ),
        ("another chain", good.replace("c=e2e4", "c=b1c2")),
        ("another key", good.replace(&new.to_string(), &key(4).public().to_string())),
    ];
    let void: Vec<_> = wrong
        .into_iter()
        .map(|(reason, text)| {
            let read = KeyRecord::parse(text.as_bytes()).unwrap();
            assert_eq!(read.endorsers(tag, &selector, |_| true).count(), 0, "{reason}");
            json!({ "reason": reason, "record": text })
        })
        .collect();
    let refused: Vec<_> = [
        ("by without sig", good[..good.find("; sig=").unwrap()].to_owned()),
        ("one signature for two keys", good[..good.rfind(',').unwrap()].to_owned()),
        ("a key twice", good.replace(&second, &first)),
    ]
    .into_iter()
    .map(|(reason, text)| {
        let error = KeyRecord::parse(text.as_bytes()).expect_err(reason).to_string();
        json!({ "reason": reason, "record": text, "error": error })
    })
    .collect();
    json!({
        "comment": "The key of the seed 03… at the selector k20261126 of e2e4, genesis tag 01…, \
            endorsed by the keys of the named seeds: ed25519 over \"distpos/key-change/1\" || bytes. \
            What is void is a record all the same, and endorses nothing there.",
        "domain": std::str::from_utf8(Domain::KeyChange.prefix()).unwrap(),
        "bytes": hex(&body),
        "diagnostic": diagnostic(&body),
        "valid": valid,
        "void": void,
        "refused": refused,
    })
}
