//! A body is refused, or what it says survives being written again. The first byte is the call.
#![no_main]

use distpos_proto::wire::{RequestKind, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = RequestKind::ALL[usize::from(*first) % RequestKind::ALL.len()];
    if let Ok(response) = Response::from_body(kind, body) {
        assert_eq!(Response::from_body(kind, &response.body()), Ok(response));
    }
});
