//! `docs/protocol.md` and `docs/credit.md` say what the code does, as far as a test can tell.

use distpos_proto::{
    code::Code,
    key::Domain,
    standing::{Happening, Kind, sequences::GAP_GRACE},
    wire::{DESTINATION_FIELD, MEDIA_TYPE, RequestKind, SOURCE_FIELD},
};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const CREDIT: &str = include_str!("../../docs/credit.md");

#[test]
fn every_code_path_field_and_domain_is_documented() {
    for code in Code::ALL {
        assert!(PROTOCOL.contains(&format!("| {code} |")), "the table of codes lacks {code}");
    }
    for kind in RequestKind::ALL {
        assert!(PROTOCOL.contains(kind.path()), "{}", kind.path());
    }
    for domain in Domain::ALL {
        let text = std::str::from_utf8(domain.prefix()).unwrap();
        assert!(PROTOCOL.contains(&format!("`{text}`")), "{text}");
    }
    for field in [SOURCE_FIELD, DESTINATION_FIELD, MEDIA_TYPE] {
        assert!(PROTOCOL.contains(&format!("`{field}`")), "{field}");
    }
}

/// The keys of the CDDL's `message` are those of the vectors, in their order.
#[test]
fn the_cddl_of_a_message_names_its_keys_in_order() {
    let start = PROTOCOL.find("\nmessage = {").expect("the CDDL defines message");
    let body = &PROTOCOL[start..];
    let body = &body[..body.find("\n}").expect("and closes it")];
    let keys: Vec<&str> =
        body.lines().filter_map(|line| line.trim().split_once(':')).map(|(key, _)| key).collect();
    let expected: Vec<String> = (0..16).map(|key| key.to_string()).collect();
    assert_eq!(keys, expected);
    let names = [
        "version",
        "source",
        "source_tag",
        "destination",
        "destination_tag",
        "outbox",
        "sequence",
        "sender",
        "recipient",
        "asset",
        "terms",
        "amount",
        "data",
        "gas",
        "on_fail",
        "expires",
    ];
    for (key, name) in names.iter().enumerate() {
        let line = body.lines().find(|line| line.trim().starts_with(&format!("{key}:")));
        assert!(line.is_some_and(|line| line.contains(&format!("; {name}"))), "{key} {name}");
    }
}

/// The published weights of standing are those of the code, and none is left out.
#[test]
fn the_weights_of_standing_are_the_published_ones() {
    let section = CREDIT.split("\n## ").find(|section| section.starts_with("Standing\n"));
    let rows = section.expect("docs/credit.md has a section Standing").lines();
    let rows: Vec<Vec<&str>> = rows
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let expected: Vec<Vec<String>> = Happening::ALL
        .into_iter()
        .map(|happening| {
            let points = |kind| {
                let weight = happening.weight(kind);
                assert_eq!(weight % 1000, 0, "{happening} is published in whole points");
                if weight > 0 { format!("+{}", weight / 1000) } else { (weight / 1000).to_string() }
            };
            let hours = happening.interval().as_secs() / 3600;
            let word = format!("`{happening}`");
            vec![word, points(Kind::Chain), points(Kind::Gateway), format!("{hours} h")]
        })
        .collect();
    let found: Vec<&[&str]> = rows.iter().map(|row| &row[..4]).collect();
    assert_eq!(found, expected);
    let grace = format!("for {} h", GAP_GRACE.as_secs() / 3600);
    assert!(rows.iter().any(|row| row[0] == "`sequence-gap`" && row[4].ends_with(&grace)));
}
