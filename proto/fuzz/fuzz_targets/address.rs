//! A text is refused, or is an address that prints as it reads.
#![no_main]

use distpos_proto::address::{Address, AddressInput};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        let printed = address.to_string();
        assert_eq!(printed.parse(), Ok(address));
        assert_eq!(printed.to_ascii_lowercase(), text.to_ascii_lowercase());
    }
    if let Ok(AddressInput::Here(local)) = text.parse() {
        assert_eq!(text, format!("0x{local}"));
    }
});
