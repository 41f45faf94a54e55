//! Local addresses of the ledger: the account's ed25519 public key, 64 lower-case hex digits.

use data_encoding::HEXLOWER;
use distpos_proto::{
    address::Local,
    chain::hex_array,
    code::{Code, Reply},
    key::PublicKey,
};

/// The address of the account that this key signs for.
#[must_use]
pub fn local(key: &PublicKey) -> Local {
    HEXLOWER.encode(key.as_bytes()).parse().expect("64 hex digits are a local address")
}

/// The key that signs for an address.
///
/// # Errors
/// `5.1.3` if it is not 64 lower-case hex digits of a point on the curve: a typing error is caught
/// here more often than not, and otherwise because nobody opened that account.
pub fn public_key(local: &Local) -> Result<PublicKey, Reply> {
    let wrong = || {
        let text = "address is not the 64 lower-case hex digits of an ed25519 key";
        Reply::new(Code::BAD_ADDRESS, text)
    };
    let bytes = hex_array(local.as_str()).map_err(|_| wrong())?;
    PublicKey::from_bytes(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use distpos_proto::key::SecretKey;

    use super::*;

    #[test]
    fn an_address_is_its_key_and_has_one_spelling() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let address = local(&key);
        assert_eq!(public_key(&address), Ok(key));
        let upper: Local = address.as_str().to_uppercase().parse().unwrap();
        let zeros: Local = "0".repeat(64).parse().unwrap();
        for wrong in [upper, zeros, "63ea".parse().unwrap(), format!("{address}0").parse().unwrap()]
        {
            assert_eq!(public_key(&wrong).unwrap_err().code, Code::BAD_ADDRESS, "{wrong}");
        }
    }
}
