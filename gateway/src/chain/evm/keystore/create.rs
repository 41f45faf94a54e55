//! Writing a keystore that any Ethereum wallet opens.

use alloy_primitives::Keccak256;
use data_encoding::HEXLOWER;
use serde_json::json;
use zeroize::Zeroizing;

use super::{EvmKey, KeystoreError, encrypt, scrypt_params};

/// What wallets use (geth's *standard* parameters): 256 MiB and about a second.
const SCRYPT_N: u64 = 1 << 18;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

/// Encrypts a key: the text of a keystore of version 3 (Web3 Secret Storage), with a salt, an
/// initialisation vector and an id of its own.
///
/// # Errors
/// [`KeystoreError::EmptyPassword`], and [`KeystoreError::Random`] if the system gives no random
/// numbers.
pub fn seal(key: &EvmKey, password: &str) -> Result<String, KeystoreError> {
    if password.is_empty() {
        return Err(KeystoreError::EmptyPassword);
    }
    let (salt, iv): ([u8; 32], [u8; 16]) = (random()?, random()?);
    let mut derived = Zeroizing::new([0; 32]);
    let params = scrypt_params(SCRYPT_N, SCRYPT_R, SCRYPT_P)?;
    scrypt::scrypt(password.as_bytes(), &salt, &params, derived.as_mut_slice())
        .map_err(|_| KeystoreError::TooHard)?;
    let mut secret = key.secret();
    encrypt(&derived, &iv, secret.as_mut_slice());
    let mut mac = Keccak256::new();
    mac.update(&derived[16..]);
    mac.update(secret.as_slice());
    let keystore = json!({
        "address": HEXLOWER.encode(key.address().as_slice()),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": HEXLOWER.encode(&iv) },
            "ciphertext": HEXLOWER.encode(secret.as_slice()),
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": derived.len(), "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P,
                "salt": HEXLOWER.encode(&salt),
            },
            "mac": HEXLOWER.encode(mac.finalize().as_slice()),
        },
        "id": uuid(random()?),
        "version": 3,
    });
    Ok(keystore.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeystoreError::Random)?;
    Ok(bytes)
}

/// A random UUID (RFC 9562, version 4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::{super::open, *};

    #[test]
    fn a_sealed_key_opens_with_its_password_only_and_never_looks_the_same() {
        let key = EvmKey::random().unwrap();
        let sealed = seal(&key, "correct horse").unwrap();
        assert_eq!(open(&sealed, "correct horse").unwrap().address(), key.address());
        assert!(matches!(open(&sealed, "correct hors"), Err(KeystoreError::Password)));
        let again: serde_json::Value =
            serde_json::from_str(&seal(&key, "correct horse").unwrap()).unwrap();
        let sealed: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        for field in ["/id", "/crypto/ciphertext", "/crypto/kdfparams/salt", "/crypto/mac"] {
            assert_ne!(sealed.pointer(field).unwrap(), again.pointer(field).unwrap(), "{field}");
        }
        assert_eq!(sealed["address"], key.local().as_str());
        assert!(matches!(seal(&key, ""), Err(KeystoreError::EmptyPassword)));
    }

    #[test]
    fn an_id_is_a_uuid_of_version_4() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
