//! An ed25519 public key as TLS carries it: the SubjectPublicKeyInfo of RFC 8410, always 44 bytes.

use distpos_proto::key::PublicKey;
use thiserror::Error;

/// Length of an ed25519 SPKI in bytes.
pub const SPKI_BYTES: usize = 44;

/// The DER in front of the key's 32 bytes (RFC 8410, section 4): a sequence of the algorithm
/// 1.3.101.112 and a bit string.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Bytes that are no ed25519 SPKI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpkiError {
    /// Another algorithm, or a certificate.
    #[error("found {found} bytes of another form, expected the 44 bytes of an ed25519 SPKI")]
    Form {
        /// How many bytes were found.
        found: usize,
    },
    /// No point on the curve, or a weak one: anybody could sign for it.
    #[error("found an ed25519 key that is invalid or weak")]
    Key,
}

/// The SPKI of a key.
#[must_use]
pub fn encode(key: &PublicKey) -> Vec<u8> {
    encode_bytes(key.as_bytes())
}

/// The SPKI of a key's bytes.
pub(crate) fn encode_bytes(key: &[u8; 32]) -> Vec<u8> {
    [PREFIX.as_slice(), key].concat()
}

/// The key of an SPKI.
///
/// # Errors
/// [`SpkiError`] for anything but ed25519, and for keys that no one person holds.
pub fn decode(spki: &[u8]) -> Result<PublicKey, SpkiError> {
    let form = SpkiError::Form { found: spki.len() };
    let key = spki.strip_prefix(&PREFIX).ok_or(form)?;
    let key: [u8; 32] = key.try_into().map_err(|_| form)?;
    PublicKey::from_bytes(key).map_err(|_| SpkiError::Key)
}

#[cfg(test)]
mod tests {
    use distpos_proto::key::SecretKey;

    use super::*;

    #[test]
    fn only_an_ed25519_spki_of_a_sound_key_is_read() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let spki = encode(&key);
        assert_eq!(spki.len(), SPKI_BYTES);
        assert_eq!(decode(&spki), Ok(key));
        assert_eq!(decode(&[]), Err(SpkiError::Form { found: 0 }));
        assert_eq!(decode(&spki[..43]), Err(SpkiError::Form { found: 43 }));
        assert_eq!(decode(&[&spki[..], &[0]].concat()), Err(SpkiError::Form { found: 45 }));
        for at in 0..PREFIX.len() {
            let mut other = spki.clone();
            other[at] ^= 1;
            assert_eq!(decode(&other), Err(SpkiError::Form { found: 44 }), "byte {at}");
        }
        let mut weak = PREFIX.to_vec();
        weak.extend([0; 32]);
        assert_eq!(decode(&weak), Err(SpkiError::Key), "a weak key verifies for anyone");
    }
}
