//! Bytes are refused, or are the one encoding of the message they say.
#![no_main]

use distpos_proto::message::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::from_bytes(bytes) {
        assert_eq!(message.bytes(), bytes);
        let again = Message::new(message.fields().clone()).expect("read fields are valid");
        assert_eq!(again.id(), message.id());
    }
});
