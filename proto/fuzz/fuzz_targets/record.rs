//! A TXT record is refused, or what it says survives being printed.
#![no_main]

use distpos_proto::record::{GatewayRecord, KeyRecord, PolicyRecord};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = GatewayRecord::parse(bytes) {
        assert_eq!(GatewayRecord::parse(record.to_string().as_bytes()), Ok(record));
    }
    if let Ok(record) = KeyRecord::parse(bytes) {
        assert_eq!(KeyRecord::parse(record.to_string().as_bytes()), Ok(record));
    }
    if let Ok(record) = PolicyRecord::parse(bytes) {
        assert_eq!(PolicyRecord::parse(record.to_string().as_bytes()), Ok(record));
    }
});
