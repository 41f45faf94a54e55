//! Bytes are refused, or are the one encoding of the header they say. Signed ones read back.
#![no_main]

use distpos_proto::{
    cbor::{Reader, Writer},
    header::{Header, SignedHeader},
    light::ledger::SignedLedgerHeader,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::from_bytes(bytes) {
        assert_eq!(header.bytes(), bytes);
    }
    if let Ok(signed) = SignedHeader::read(&mut Reader::new(bytes)) {
        let mut out = Writer::default();
        signed.write(&mut out);
        assert_eq!(SignedHeader::read(&mut Reader::new(&out.finish())), Ok(signed));
    }
    if let Ok(signed) = SignedLedgerHeader::read(&mut Reader::new(bytes)) {
        let mut out = Writer::default();
        signed.write(&mut out);
        assert_eq!(SignedLedgerHeader::read(&mut Reader::new(&out.finish())), Ok(signed));
    }
});
