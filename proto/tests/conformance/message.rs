//! `message.json`: fields, bytes and id; and bytes that must be refused, each with the reason.

use distpos_proto::{
    amount::Amount,
    chain::GenesisTag,
    message::{Fields, Message, OnFail, TermsHash, Value},
    time::UnixSeconds,
};
use serde_json::{Value as Json, json};

use crate::raw::{Pairs, bytes, described, head, hex, text, uint, unhex};

pub(crate) fn build() -> Json {
    let valid: Vec<_> = valid()
        .into_iter()
        .map(|(name, fields)| {
            let message = Message::new(fields).unwrap();
            json!({
                "name": name,
                "fields": describe(&message),
                "bytes": described(message.bytes()),
                "id": message.id().to_string(),
            })
        })
        .collect();
    let refused: Vec<_> = refused()
        .into_iter()
        .map(|(reason, bytes)| {
            let error = Message::from_bytes(&bytes).expect_err(reason).to_string();
            json!({ "reason": reason, "bytes": hex(&bytes), "error": error })
        })
        .collect();
    json!({
        "comment": "id = SHA-256(\"distpos/message/1\" || bytes). Amounts are decimal, byte strings \
            hex. The text of \"error\" is this implementation's; that there is one, and why, is the \
            protocol's.",
        "valid": valid,
        "refused": refused,
    })
}

pub(crate) fn plain() -> Fields {
    Fields {
        source: "e2e4".parse().unwrap(),
        source_tag: GenesisTag([1, 2, 3, 4, 5, 6, 7, 8]),
        destination: "b1c2".parse().unwrap(),
        destination_tag: GenesisTag([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]),
        outbox: b"escrow".to_vec(),
        sequence: 7,
        sender: "63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab".parse().unwrap(),
        recipient: "cosmos1qypqxpq9".parse().unwrap(),
        value: Some(Value {
            asset: "e2e4/coin".parse().unwrap(),
            amount: Amount::from(1_000_000_000_000_000_000u64),
            terms: None,
        }),
        data: vec![],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(1_795_737_600),
    }
}

fn valid() -> Vec<(&'static str, Fields)> {
    let longest = Fields {
        source: "f".repeat(32).parse().unwrap(),
        source_tag: GenesisTag([255; 8]),
        destination: "1".repeat(32).parse().unwrap(),
        destination_tag: GenesisTag([254; 8]),
        outbox: vec![0xab; Message::OUTBOX_BYTES_MAX],
        sequence: u64::MAX,
        sender: "-._:/+@=".repeat(16).parse().unwrap(),
        recipient: "aZ09".repeat(32).parse().unwrap(),
        value: Some(Value {
            asset: format!("{}/{}", "f".repeat(32), "A-._z".repeat(7).get(..32).unwrap())
                .parse()
                .unwrap(),
            amount: Amount::from_word([255; 32]),
            terms: Some(TermsHash([0xcd; 32])),
        }),
        data: vec![0x5a; Message::DATA_BYTES_MAX],
        gas: u64::MAX,
        on_fail: OnFail::Keep,
        expires: UnixSeconds(u64::MAX),
    };
    let shortest = Fields {
        source: "1".parse().unwrap(),
        destination: "2".parse().unwrap(),
        destination_tag: GenesisTag::UNSET,
        outbox: vec![0],
        sequence: 1,
        sender: "a".parse().unwrap(),
        recipient: "b".parse().unwrap(),
        value: None,
        expires: UnixSeconds(0),
        ..plain()
    };
    let call = Fields {
        value: None,
        data: vec![0xa9, 0x05, 0x9c, 0xbb, 0, 1],
        gas: 100_000,
        on_fail: OnFail::Keep,
        destination_tag: GenesisTag::UNSET,
        ..plain()
    };
    let terms = Fields {
        value: Some(Value {
            asset: "b1c2/coin".parse().unwrap(),
            amount: Amount::from(256u64),
            terms: Some(TermsHash([0x77; 32])),
        }),
        ..plain()
    };
    let borders = Fields {
        sequence: 24,
        gas: 0x1_0000_0000,
        data: vec![0xff; 256],
        expires: UnixSeconds(0xffff),
        ..plain()
    };
    vec![
        ("a payment", plain()),
        ("a call without value; the source has not registered the destination's tag", call),
        ("a payment under terms", terms),
        ("every field at its shortest", shortest),
        ("numbers and lengths at the borders of their CBOR heads", borders),
        ("every field at its longest; data is 65536 times 5a", longest),
    ]
}

fn describe(message: &Message) -> Json {
    let fields = message.fields();
    let value = fields.value.as_ref().map(|value| {
        json!({
            "asset": value.asset.as_str(),
            "amount": value.amount.to_string(),
            "terms": value.terms.map(|terms| hex(&terms.0)),
        })
    });
    json!({
        "source": fields.source.to_string(),
        "source_tag": fields.source_tag.to_string(),
        "destination": fields.destination.to_string(),
        "destination_tag": fields.destination_tag.to_string(),
        "outbox": hex(&fields.outbox),
        "sequence": fields.sequence,
        "sender": fields.sender.as_str(),
        "recipient": fields.recipient.as_str(),
        "value": value,
        "data": described(&fields.data),
        "gas": fields.gas,
        "on_fail": match fields.on_fail { OnFail::Return => "return", OnFail::Keep => "keep" },
        "expires": fields.expires.0,
    })
}

/// The payment above as pairs, encoded by hand.
fn pairs() -> Pairs {
    Pairs::of(vec![
        uint(1),
        text("e2e4"),
        bytes(&[1, 2, 3, 4, 5, 6, 7, 8]),
        text("b1c2"),
        bytes(&[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]),
        bytes(b"escrow"),
        uint(7),
        text("63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab"),
        text("cosmos1qypqxpq9"),
        text("e2e4/coin"),
        bytes(&[]),
        bytes(&[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0, 0]),
        bytes(&[]),
        uint(0),
        uint(0),
        uint(1_795_737_600),
    ])
}

fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = wrong_shapes();
    let p = pairs();
    let long = "a".repeat(129);
    all.extend(
        [
            ("another version", p.with(0, uint(2))),
            ("version 0", p.with(0, uint(0))),
            ("chain-id in upper case", p.with(1, text("E2E4"))),
            ("chain-id with a leading zero", p.with(1, text("0e2e4"))),
            ("chain-id 0, which never travels", p.with(1, text("0"))),
            ("chain-id of no digits", p.with(3, text(""))),
            ("chain-id of 33 digits", p.with(3, text(&"1".repeat(33)))),
            ("chain-id as a number", p.with(1, uint(0xe2e4))),
            ("a message of a chain to itself", p.with(3, text("e2e4"))),
            ("tag of 7 bytes", p.with(2, bytes(&[1; 7]))),
            ("tag of 9 bytes", p.with(4, bytes(&[1; 9]))),
            ("no outbox", p.with(5, bytes(&[]))),
            ("outbox of 65 bytes", p.with(5, bytes(&[1; 65]))),
            ("sequence 0", p.with(6, uint(0))),
            ("negative sequence", p.with(6, head(1, 6))),
            ("no sender", p.with(7, text(""))),
            ("sender with a space", p.with(7, text("a b"))),
            ("sender of 129 characters", p.with(7, text(&long))),
            ("sender that is not UTF-8", p.with(7, vec![0x62, 0xc3, 0x28])),
            ("sender as bytes", p.with(7, bytes(b"abc"))),
            ("recipient in letters beyond ASCII", p.with(8, text("köln"))),
            ("asset without a label", p.with(9, text("e2e4/"))),
            ("asset without an issuer", p.with(9, text("coin"))),
            ("asset with an issuer in upper case", p.with(9, text("E2E4/coin"))),
            ("asset null", p.with(9, vec![0xf6])),
            ("an asset and no amount", p.with(11, bytes(&[]))),
            ("an amount and no asset", p.with(9, text(""))),
            ("terms and neither asset nor amount", {
                p.with(9, text("")).with(11, bytes(&[])).with(10, bytes(&[7; 32]))
            }),
            ("terms of 31 bytes", p.with(10, bytes(&[7; 31]))),
            ("amount with a leading zero", p.with(11, bytes(&[0, 1]))),
            ("amount of one zero byte", p.with(11, bytes(&[0]))),
            ("amount of 2^256", p.with(11, bytes(&[&[1][..], &[0; 32]].concat()))),
            ("amount as a number", p.with(11, uint(5))),
            ("amount as a CBOR bignum", p.with(11, [vec![0xc2], bytes(&[5])].concat())),
            ("data as a text", p.with(12, text("data"))),
            ("gas as a float", p.with(13, vec![0xf9, 0x3c, 0x00])),
            ("on_fail 2", p.with(14, uint(2))),
            ("on_fail as a boolean", p.with(14, vec![0xf5])),
            ("expires with a time's tag", p.with(15, [vec![0xc1], uint(5)].concat())),
        ]
        .map(|(reason, pairs)| (reason, pairs.map())),
    );
    all
}

/// Wrong in their shape: keys, order, and second encodings of the same message.
fn wrong_shapes() -> Vec<(&'static str, Vec<u8>)> {
    let p = pairs();
    let good = p.map();
    let edit = |change: &dyn Fn(&mut Pairs)| {
        let mut pairs = pairs();
        change(&mut pairs);
        pairs.map()
    };
    vec![
        ("nothing", vec![]),
        ("the last byte is missing", good[..good.len() - 1].to_vec()),
        ("a byte follows", [good.clone(), vec![0]].concat()),
        ("an array in place of the map", [head(4, 32), p.body()].concat()),
        ("the map says 15 pairs and holds 16", [head(5, 15), p.body()].concat()),
        ("key 12 is missing", edit(&|p| drop(p.0.remove(12)))),
        ("the last key is missing", edit(&|p| drop(p.0.pop()))),
        ("an unknown key 16 follows", edit(&|p| p.0.push((uint(16), uint(0))))),
        ("an unknown key in place of the last", edit(&|p| p.0[15].0 = uint(16))),
        ("key 6 comes twice, 7 never", edit(&|p| p.0[7].0 = uint(6))),
        ("key 6 comes twice, besides all others", edit(&|p| p.0.insert(7, p.0[6].clone()))),
        ("keys 6 and 7 change places", edit(&|p| p.0.swap(6, 7))),
        ("a text as key", edit(&|p| p.0[6].0 = text("sequence"))),
        ("a number that is not in its shortest form", p.with(6, vec![0x18, 7]).map()),
        ("a number in eight bytes where four would do", {
            p.with(15, [vec![0x1b], 1_795_737_600u64.to_be_bytes().to_vec()].concat()).map()
        }),
        ("a key that is not in its shortest form", edit(&|p| p.0[0].0 = vec![0x18, 0])),
        ("a text's length that is not in its shortest form", {
            p.with(1, [&[0x78, 4][..], b"e2e4"].concat()).map()
        }),
        ("a byte string's length that is not in its shortest form", {
            p.with(5, [&[0x59, 0, 6][..], b"escrow"].concat()).map()
        }),
        ("the map's length that is not in its shortest form", {
            [vec![0xb8, 16], p.body()].concat()
        }),
        ("a map of indefinite length", [vec![0xbf], p.body(), vec![0xff]].concat()),
        ("a byte string of indefinite length", p.with(12, vec![0x5f, 0x41, 1, 0xff]).map()),
        ("a text of indefinite length", {
            p.with(1, [&[0x7f, 0x64][..], b"e2e4", &[0xff]].concat()).map()
        }),
        ("a tag around the whole", [vec![0xd9, 0xd9, 0xf7], good].concat()),
    ]
}

#[test]
fn the_files_messages_read_back_as_their_fields() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/message.json")).unwrap();
    let mut read = 0;
    for vector in file["valid"].as_array().unwrap() {
        let Some(_) = vector["bytes"].as_str() else { continue };
        let message = Message::from_bytes(&unhex(&vector["bytes"])).unwrap();
        assert_eq!(describe(&message), vector["fields"]);
        assert_eq!(message.id().to_string(), vector["id"]);
        read += 1;
    }
    assert_eq!(read, 5);
}

#[test]
fn the_longest_message_keeps_its_limit_and_a_byte_more_is_refused() {
    let (_, mut fields) = valid().pop().unwrap();
    let message = Message::new(fields.clone()).unwrap();
    assert!(message.bytes().len() <= Message::BYTES_MAX);
    assert_eq!(Message::from_bytes(message.bytes()).unwrap(), message);
    fields.data.push(0);
    assert!(Message::new(fields).is_err());
    let data = bytes(&vec![0x5a; Message::DATA_BYTES_MAX + 1]);
    assert!(Message::from_bytes(&pairs().with(12, data).map()).is_err());
}

#[test]
fn the_payment_encoded_by_hand_is_the_payment() {
    assert_eq!(Message::new(plain()).unwrap().bytes(), pairs().map());
}

#[test]
fn every_refused_message_is_refused_for_its_reason() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/message.json")).unwrap();
    for vector in file["refused"].as_array().unwrap() {
        let error = Message::from_bytes(&unhex(&vector["bytes"])).unwrap_err();
        assert_eq!(error.to_string(), vector["error"], "{}", vector["reason"]);
    }
    assert!(file["refused"].as_array().unwrap().len() >= 60);
}
