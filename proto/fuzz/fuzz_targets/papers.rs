//! Bytes are refused, or are the one encoding of the terms, statement or request they say. Signed
//! ones read back. The first byte is the kind.
#![no_main]

use distpos_proto::{
    signed::{Document, Signed},
    statement::{ReserveRequest, Statement},
    terms::Terms,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    match first % 3 {
        0 => paper::<Terms>(bytes),
        1 => paper::<Statement>(bytes),
        _ => paper::<ReserveRequest>(bytes),
    }
});

fn paper<D: Document>(bytes: &[u8]) {
    if let Ok(paper) = D::from_bytes(bytes) {
        assert_eq!(paper.bytes(), bytes);
        assert!(bytes.len() <= D::BYTES_MAX);
    }
    if let Ok(signed) = Signed::<D>::from_bytes(bytes) {
        assert_eq!(Signed::from_bytes(&signed.to_bytes()), Ok(signed));
    }
}
