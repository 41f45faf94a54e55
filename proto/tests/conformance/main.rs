//! The files in `proto/vectors` against this code, in both directions.
//!
//! The files are for other implementations: what they hold never changes within a version. After a
//! deliberate change of the format, the ignored test `vectors_are_rewritten` writes them anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod key_change;
mod message;
mod papers;
mod raw;
mod signed;
mod wire;

use serde_json::Value;

/// Every file with what this code makes of it.
fn files() -> [(&'static str, &'static str, Value); 9] {
    [
        ("message.json", include_str!("../../vectors/message.json"), message::build()),
        ("header.json", include_str!("../../vectors/header.json"), signed::build_headers()),
        ("receipt.json", include_str!("../../vectors/receipt.json"), signed::build_receipts()),
        ("key-set.json", include_str!("../../vectors/key-set.json"), signed::build_key_sets()),
        ("terms.json", include_str!("../../vectors/terms.json"), papers::build_terms()),
        (
            "statement.json",
            include_str!("../../vectors/statement.json"),
            papers::build_statements(),
        ),
        (
            "reserve-request.json",
            include_str!("../../vectors/reserve-request.json"),
            papers::build_reserve_requests(),
        ),
        ("key-change.json", include_str!("../../vectors/key-change.json"), key_change::build()),
        ("wire.json", include_str!("../../vectors/wire.json"), wire::build()),
    ]
}

#[test]
fn what_this_code_writes_is_what_the_files_say() {
    for (name, text, built) in files() {
        let file: Value = serde_json::from_str(text).unwrap();
        assert_eq!(file, built, "{name}");
    }
}

#[test]
#[ignore = "rewrites the vectors"]
#[expect(
    clippy::disallowed_methods,
    reason = "a tool that writes files, not part of the pure core"
)]
fn vectors_are_rewritten() {
    for (name, _, built) in files() {
        let path = format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = serde_json::to_string_pretty(&built).unwrap() + "\n";
        std::fs::write(path, text).unwrap();
    }
}
