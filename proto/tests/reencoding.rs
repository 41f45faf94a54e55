//! One message, one encoding: whatever bytes come, they are refused or are exactly what writing
//! the message again gives.

#![allow(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

use distpos_proto::{
    amount::Amount,
    cbor::CborError,
    chain::{ChainId, GenesisTag},
    header::Header,
    message::{Fields, Message, MessageError, OnFail, TermsHash, Value},
    receipt::Receipt,
    signed::Document,
    statement::{ReserveRequest, Statement},
    terms::Terms,
    time::UnixSeconds,
    wire::{Request, RequestKind, Response},
};
use proptest::{collection::vec, option, prelude::*};

fn fields() -> impl Strategy<Value = Fields> {
    let local = "[A-Za-z0-9._:/+@=-]{1,128}";
    let value = ("[1-9a-f][0-9a-f]{0,31}/[A-Za-z0-9._-]{1,32}", any::<[u8; 32]>(), 0..32usize)
        .prop_flat_map(|(asset, mut word, zeros)| {
            word[..zeros].fill(0);
            word[31] |= 1;
            option::of(any::<[u8; 32]>()).prop_map(move |terms| Value {
                asset: asset.parse().unwrap(),
                amount: Amount::from_word(word),
                terms: terms.map(TermsHash),
            })
        });
    let ends = (1..=u128::MAX, 1..=u128::MAX, any::<[u8; 8]>(), any::<[u8; 8]>(), local, local)
        .prop_filter("two chains", |ends| ends.0 != ends.1);
    let rest = (
        vec(any::<u8>(), 1..=64),
        1..=u64::MAX,
        option::of(value),
        vec(any::<u8>(), 0..600),
        any::<u64>(),
        any::<bool>(),
        any::<u64>(),
    );
    (ends, rest).prop_map(|(ends, (outbox, sequence, value, data, gas, keep, expires))| Fields {
        source: ChainId::from_number(ends.0).unwrap(),
        source_tag: GenesisTag(ends.2),
        destination: ChainId::from_number(ends.1).unwrap(),
        destination_tag: GenesisTag(ends.3),
        outbox,
        sequence,
        sender: ends.4.parse().unwrap(),
        recipient: ends.5.parse().unwrap(),
        value,
        data,
        gas,
        on_fail: if keep { OnFail::Keep } else { OnFail::Return },
        expires: UnixSeconds(expires),
    })
}

/// Bytes changed in a few places: replaced, removed, or put in.
fn mutated(bytes: &[u8], changes: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (kind, at, byte) in changes {
        let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match kind % 3 {
            0 if !bytes.is_empty() => bytes[at] = *byte,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, u8)>> {
    vec((any::<u8>(), any::<prop::sample::Index>(), any::<u8>()), 1..4)
}

/// Where each head of flat CBOR stands, with its length.
fn heads(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut heads) = (0, Vec::new());
    while at < bytes.len() {
        let width = match bytes[at] & 31 {
            0..=23 => 0,
            short => 1usize << (short - 24),
        };
        heads.push((at, 1 + width));
        let mut number = u64::from(bytes[at] & 31);
        if width > 0 {
            number = bytes[at + 1..=at + width].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        }
        at += 1 + width;
        if matches!(bytes[at - 1 - width] >> 5, 2 | 3) {
            at += usize::try_from(number).unwrap();
        }
    }
    heads
}

/// The same value with one head a size wider than it must be; none if it has the widest already.
fn widened(bytes: &[u8], (at, length): (usize, usize)) -> Option<Vec<u8>> {
    let (kind, number) = (bytes[at] & 0b1110_0000, &bytes[at + 1..at + length]);
    let head = match length {
        1 => vec![kind | 24, bytes[at] & 31],
        2 => [&[kind | 25, 0], number].concat(),
        3 => [&[kind | 26, 0, 0], number].concat(),
        5 => [&[kind | 27, 0, 0, 0, 0], number].concat(),
        _ => return None,
    };
    Some([&bytes[..at], &head, &bytes[at + length..]].concat())
}

/// The bytes of the files' vectors, to start from.
fn seeds(file: &str, list: &str, key: &str) -> Vec<Vec<u8>> {
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let hex = file[list].as_array().unwrap().iter().filter_map(|vector| vector[key].as_str());
    hex.map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).collect()
}

#[test]
fn headers_and_receipts_with_any_head_too_wide_are_refused() {
    for bytes in seeds(include_str!("../vectors/header.json"), "valid", "bytes") {
        for wide in heads(&bytes).iter().filter_map(|head| widened(&bytes, *head)) {
            let expected = "its one deterministic encoding";
            assert_eq!(Header::from_bytes(&wide), Err(CborError { field: "header", expected }));
        }
    }
    for bytes in seeds(include_str!("../vectors/receipt.json"), "valid", "bytes") {
        for wide in heads(&bytes).iter().filter_map(|head| widened(&bytes, *head)) {
            let expected = "its one deterministic encoding";
            assert_eq!(Receipt::from_bytes(&wide), Err(CborError { field: "receipt", expected }));
        }
    }
}

const TERMS: &str = include_str!("../vectors/terms.json");
const STATEMENTS: &str = include_str!("../vectors/statement.json");
const REQUESTS: &str = include_str!("../vectors/reserve-request.json");

fn any_head_too_wide_is_refused<D: Document>(file: &str) {
    for bytes in seeds(file, "valid", "bytes") {
        let wide: Vec<_> = heads(&bytes).iter().filter_map(|h| widened(&bytes, *h)).collect();
        assert!(wide.len() >= 9);
        let expected = "its one deterministic encoding";
        for bytes in wide {
            assert_eq!(D::from_bytes(&bytes), Err(CborError { field: D::NAME, expected }));
        }
    }
}

#[test]
fn papers_of_accounts_with_any_head_too_wide_are_refused() {
    any_head_too_wide_is_refused::<Terms>(TERMS);
    any_head_too_wide_is_refused::<Statement>(STATEMENTS);
    any_head_too_wide_is_refused::<ReserveRequest>(REQUESTS);
}

/// Changed bytes are refused, or are the one encoding of what they say now.
fn has_one_encoding<D: Document>(
    file: &str,
    at: prop::sample::Index,
    changes: &[(u8, prop::sample::Index, u8)],
) {
    let papers = seeds(file, "valid", "bytes");
    let bytes = mutated(&papers[at.index(papers.len())], changes);
    if let Ok(paper) = D::from_bytes(&bytes) {
        assert_eq!(paper.bytes(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn any_valid_message_reads_back_as_itself(fields in fields()) {
        let message = Message::new(fields.clone()).unwrap();
        let read = Message::from_bytes(message.bytes()).unwrap();
        prop_assert_eq!(read.fields(), &fields);
        prop_assert_eq!(read.id(), message.id());
        prop_assert!(message.bytes().len() <= Message::BYTES_MAX);
    }

    #[test]
    fn a_message_written_with_any_head_too_wide_is_refused(fields in fields()) {
        let message = Message::new(fields).unwrap();
        let heads = heads(message.bytes());
        prop_assert_eq!(heads.len(), 33, "the map, 16 keys, 16 values");
        let wide: Vec<_> = heads.iter().filter_map(|h| widened(message.bytes(), *h)).collect();
        prop_assert!(wide.len() >= 30, "all but the numbers of eight bytes");
        for bytes in wide {
            prop_assert_eq!(Message::from_bytes(&bytes), Err(MessageError::NotCanonical));
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_are_another_messages_one_encoding(
        fields in fields(),
        changes in changes(),
    ) {
        let message = Message::new(fields).unwrap();
        let bytes = mutated(message.bytes(), &changes);
        if let Ok(read) = Message::from_bytes(&bytes) {
            prop_assert_eq!(read.bytes(), bytes.as_slice());
            prop_assert_eq!(read.id() == message.id(), bytes == message.bytes());
        }
    }

    #[test]
    fn changed_headers_and_receipts_are_refused_or_have_one_encoding(
        at in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        let headers = seeds(include_str!("../vectors/header.json"), "valid", "bytes");
        let bytes = mutated(&headers[at.index(headers.len())], &changes);
        if let Ok(header) = Header::from_bytes(&bytes) {
            prop_assert_eq!(header.bytes(), bytes);
        }
        let receipts = seeds(include_str!("../vectors/receipt.json"), "valid", "bytes");
        let bytes = mutated(&receipts[at.index(receipts.len())], &changes);
        if let Ok(receipt) = Receipt::from_bytes(&bytes) {
            prop_assert_eq!(receipt.bytes(), bytes);
        }
    }

    #[test]
    fn changed_papers_of_accounts_are_refused_or_have_one_encoding(
        at in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        has_one_encoding::<Terms>(TERMS, at, &changes);
        has_one_encoding::<Statement>(STATEMENTS, at, &changes);
        has_one_encoding::<ReserveRequest>(REQUESTS, at, &changes);
    }

    #[test]
    fn changed_bodies_are_refused_or_read_and_never_panic(
        at in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        let requests = seeds(include_str!("../vectors/wire.json"), "requests", "body");
        let responses = seeds(include_str!("../vectors/wire.json"), "responses", "body");
        let request = mutated(&requests[at.index(requests.len())], &changes);
        let response = mutated(&responses[at.index(responses.len())], &changes);
        for kind in RequestKind::ALL {
            let _ = Request::from_parts(kind.path(), &request);
            // What a response says survives being written again, whatever was ignored in it.
            if let Ok(read) = Response::from_body(kind, &response) {
                prop_assert_eq!(Response::from_body(kind, &read.body()), Ok(read));
            }
        }
    }
}
