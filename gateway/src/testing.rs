//! What unit tests of several modules need.

use distpos_proto::{
    chain::{ChainId, GenesisTag},
    message::{Fields, Message, OnFail},
    time::UnixSeconds,
};

/// A message of one byte without value.
pub(crate) fn message(source: &str, destination: &str, sequence: u64, expires: u64) -> Message {
    let chain = |text: &str| -> ChainId { text.parse().unwrap() };
    let fields = Fields {
        source: chain(source),
        source_tag: GenesisTag([1; 8]),
        destination: chain(destination),
        destination_tag: GenesisTag([2; 8]),
        outbox: b"ledger".to_vec(),
        sequence,
        sender: "ann".parse().unwrap(),
        recipient: "bob".parse().unwrap(),
        value: None,
        data: vec![1],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(expires),
    };
    Message::new(fields).unwrap()
}
