//! Bytes are refused, or are the one encoding of the receipt they say. Signed ones read back.
#![no_main]

use distpos_proto::{
    cbor::{Reader, Writer},
    receipt::{Receipt, SignedReceipt},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::from_bytes(bytes) {
        assert_eq!(receipt.bytes(), bytes);
        assert!(bytes.len() <= Receipt::BYTES_MAX);
    }
    if let Ok(signed) = SignedReceipt::read(&mut Reader::new(bytes)) {
        let mut out = Writer::default();
        signed.write(&mut out);
        assert_eq!(SignedReceipt::read(&mut Reader::new(&out.finish())), Ok(signed));
    }
});
