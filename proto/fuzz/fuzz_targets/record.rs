//! A TXT record is refused, or what it says survives being printed; and so is what was kept of it.
#![no_main]

use distpos_proto::record::{GatewayRecord, KeyRecord, PolicyRecord};
use distpos_proto::trust::DnsTrust;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = DnsTrust::from_bytes(bytes) {
        assert_eq!(DnsTrust::from_bytes(&state.to_bytes()), Ok(state));
    }
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
