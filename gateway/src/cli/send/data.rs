//! `--data`: hex, a call in text, or a file.

use std::{fs::File, io::Read};

use distpos_proto::message::Message;

use crate::{chain::evm::calldata, config::text::parse_hex};

/// What a message carries beside its value.
#[derive(Clone)]
pub(super) struct Data(Vec<u8>);

impl Data {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads `0x…` or hex digits, `name(types) values` as a call, or `@file` for its bytes.
pub(super) fn data(text: &str) -> Result<Data, String> {
    let bytes = match text.strip_prefix('@') {
        Some(file) => file_bytes(file)?,
        // No hex has a bracket, and no call is without.
        None if text.contains('(') => calldata::encode(text).map_err(|error| error.to_string())?,
        None => parse_hex(text)
            .map_err(|error| format!("{error}, a call such as 'greet(string) hello', or @file"))?,
    };
    match bytes.len() {
        0..=Message::DATA_BYTES_MAX => Ok(Data(bytes)),
        found => Err(format!("found {found} bytes, expected at most {}", Message::DATA_BYTES_MAX)),
    }
}

/// At most one byte more than a message takes, so that a longer file is noticed and not read.
fn file_bytes(name: &str) -> Result<Vec<u8>, String> {
    let failed = |error| format!("{name}: {error}");
    let mut bytes = Vec::new();
    let file = File::open(name).map_err(failed)?;
    file.take(Message::DATA_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
