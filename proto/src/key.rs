//! Chain keys: ed25519, verified strictly, each signature valid for one purpose only.
//!
//! `verify_strict` is part of the protocol: `verify` and `verify_strict` disagree on 165 of CCTV's
//! 914 edge cases, and gateways that disagree would fork on evidence.

use std::{collections::BTreeSet, fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::cbor::{CborError, Reader, Writer};

/// What a signature or hash is for. The text goes in front of what is signed, so nothing signed
/// for one purpose passes for another; no text is a prefix of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Domain {
    /// The hash that is a message's id.
    Message,
    /// An attested header of a final block.
    Header,
    /// What a header says of its block: how two headers of one height are compared.
    HeaderContent,
    /// A key set's hash inside a header.
    KeySet,
    /// A block header of the embedded ledger.
    LedgerHeader,
    /// A user's or gateway's transaction on the embedded ledger.
    LedgerTransaction,
    /// A receipt: how a message ended.
    Receipt,
    /// A status: how a message stands, binding nobody.
    Status,
    /// The terms of an account: their hash, and both sides' signatures.
    Terms,
    /// A statement of an account.
    Statement,
    /// A request to raise the reserve of an account.
    ReserveRequest,
    /// A new key of a chain, endorsed by those before it.
    KeyChange,
}

impl Domain {
    /// Every domain, for the test that none is a prefix of another.
    pub const ALL: [Self; 12] = [
        Self::Message,
        Self::Header,
        Self::HeaderContent,
        Self::KeySet,
        Self::LedgerHeader,
        Self::LedgerTransaction,
        Self::Receipt,
        Self::Status,
        Self::Terms,
        Self::Statement,
        Self::ReserveRequest,
        Self::KeyChange,
    ];

    /// The bytes that go in front.
    #[must_use]
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Self::Message => b"distpos/message/1",
            Self::Header => b"distpos/header/1",
            Self::HeaderContent => b"distpos/header-content/1",
            Self::KeySet => b"distpos/key-set/1",
            Self::LedgerHeader => b"distpos/ledger-header/1",
            Self::LedgerTransaction => b"distpos/ledger-transaction/1",
            Self::Receipt => b"distpos/receipt/1",
            Self::Status => b"distpos/status/1",
            Self::Terms => b"distpos/terms/1",
            Self::Statement => b"distpos/statement/1",
            Self::ReserveRequest => b"distpos/reserve-request/1",
            Self::KeyChange => b"distpos/key-change/1",
        }
    }

    /// SHA-256 over the domain's text and `parts`.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.prefix()).chain_update(bytes).finalize().into()
    }

    fn prefixed(self, bytes: &[u8]) -> Vec<u8> {
        [self.prefix(), bytes].concat()
    }
}

/// An ed25519 public key that names a real point and is not one of the weak ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Why bytes or a text are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not 32 bytes of base64url without padding.
    #[error("key is not 43 characters of base64url without padding")]
    Encoding,
    /// 32 bytes that no key has.
    #[error("key is not a point on ed25519, or a weak one")]
    Point,
}

impl PublicKey {
    /// Checks 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Point`] if no signature could ever verify strictly with them.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() { Err(KeyError::Point) } else { Ok(Self(bytes)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this key's over `bytes` for that purpose, by `verify_strict`.
    #[must_use]
    pub fn verifies(&self, domain: Domain, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        key.verify_strict(&domain.prefixed(bytes), &signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(base64url_array(text).ok_or(KeyError::Encoding)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// SHA-256 of a TLS public key's SPKI: what a gateway record's `spki=` pins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiPin(pub [u8; 32]);

impl SpkiPin {
    /// The pin of a DER-encoded SubjectPublicKeyInfo (44 bytes for ed25519, RFC 8410).
    #[must_use]
    pub fn of(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }
}

impl FromStr for SpkiPin {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        base64url_array(text).map(Self).ok_or(KeyError::Encoding)
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpkiPin({self})")
    }
}

fn base64url_array(text: &str) -> Option<[u8; 32]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// An ed25519 secret key; wiped from memory when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032's secret key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `bytes` for one purpose.
    #[must_use]
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> KeySignature {
        KeySignature {
            key: self.public(),
            signature: self.0.sign(&domain.prefixed(bytes)).to_bytes(),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A signature and the key it claims to be by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySignature {
    /// The signing key.
    pub key: PublicKey,
    /// 64 bytes, RFC 8032.
    pub signature: [u8; 64],
}

/// Most signatures looked at on one header, receipt, status or statement; a chain has at most as many keys.
pub const SIGNATURES_MAX: usize = 16;

/// Most signatures on what two chains sign: each as many as it has keys.
pub const AGREED_SIGNATURES_MAX: usize = 2 * SIGNATURES_MAX;

impl KeySignature {
    /// Writes `[key, signature]`.
    pub fn write(&self, out: &mut Writer) {
        out.array(2).bytes(self.key.as_bytes()).bytes(&self.signature);
    }

    /// Reads `[key, signature]`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = "signature";
        if input.array(field, 2)? != 2 {
            return Err(CborError { field, expected: "a key and a signature" });
        }
        let key = PublicKey::from_bytes(input.fixed("signature key")?)
            .map_err(|_| CborError { field: "signature key", expected: "an ed25519 key" })?;
        Ok(Self { key, signature: input.fixed(field)? })
    }

    /// Writes an array of them.
    pub fn write_all(signatures: &[Self], out: &mut Writer) {
        out.array(signatures.len());
        for signature in signatures {
            signature.write(out);
        }
    }

    /// Reads an array of at most [`SIGNATURES_MAX`].
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read_all(input: &mut Reader<'_>) -> Result<Vec<Self>, CborError> {
        Self::read_up_to(input, SIGNATURES_MAX)
    }

    /// Reads an array of at most `max`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read_up_to(input: &mut Reader<'_>, max: usize) -> Result<Vec<Self>, CborError> {
        let count = input.array("signatures", max)?;
        (0..count).map(|_| Self::read(input)).collect()
    }
}

/// The keys that speak for a chain, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
}

/// Why keys and threshold make no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("th is {threshold} of {keys} distinct keys, expected 1 to {keys} of at most 16")]
pub struct KeySetError {
    /// The threshold asked for.
    pub threshold: usize,
    /// Distinct keys given.
    pub keys: usize,
}

impl KeySet {
    /// A set in which `threshold` distinct keys must sign.
    ///
    /// # Errors
    /// [`KeySetError`] if the threshold is zero or above the number of distinct keys, or there are
    /// more than [`SIGNATURES_MAX`].
    pub fn new(
        keys: impl IntoIterator<Item = PublicKey>,
        threshold: usize,
    ) -> Result<Self, KeySetError> {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        if threshold == 0 || threshold > keys.len() || keys.len() > SIGNATURES_MAX {
            return Err(KeySetError { threshold, keys: keys.len() });
        }
        Ok(Self { keys, threshold })
    }

    /// The keys, ascending by their bytes.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    /// How many distinct keys must sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// SHA-256 over threshold and keys in ascending order, as attested headers carry it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut out = Writer::default();
        out.array(2).uint(self.threshold as u64).array(self.keys.len());
        for key in &self.keys {
            out.bytes(key.as_bytes());
        }
        Domain::KeySet.hash(&out.finish())
    }

    /// Whether enough of these keys signed `bytes`. Distinct key bytes count, once each;
    /// signatures by other keys, or wrong ones, count for nothing.
    #[must_use]
    pub fn endorses(&self, domain: Domain, bytes: &[u8], signatures: &[KeySignature]) -> bool {
        self.counting(domain, bytes, signatures).take(self.threshold).count() >= self.threshold
    }

    /// The signatures of `bytes` that count: right ones, one for each of these keys.
    pub fn counting<'s>(
        &self,
        domain: Domain,
        bytes: &[u8],
        signatures: &'s [KeySignature],
    ) -> impl Iterator<Item = &'s KeySignature> {
        let mut signed = BTreeSet::new();
        signatures.iter().take(AGREED_SIGNATURES_MAX).filter(move |s| {
            self.keys.contains(&s.key)
                && !signed.contains(&s.key)
                && s.key.verifies(domain, bytes, &s.signature)
                && signed.insert(s.key)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    #[test]
    fn no_domain_is_a_prefix_of_another() {
        for a in Domain::ALL {
            for b in Domain::ALL {
                assert!(a == b || !b.prefix().starts_with(a.prefix()), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_signature_serves_one_purpose_and_one_body() {
        let (key, body) = (key(1), b"body".as_slice());
        let s = key.sign(Domain::Receipt, body);
        assert!(s.key.verifies(Domain::Receipt, body, &s.signature));
        assert!(!s.key.verifies(Domain::Status, body, &s.signature));
        assert!(!s.key.verifies(Domain::Receipt, b"bodx", &s.signature));
    }

    #[test]
    fn one_key_signing_twice_is_one_signature() {
        let (a, b, stranger) = (key(1), key(2), key(3));
        let set = KeySet::new([a.public(), b.public()], 2).unwrap();
        let sign = |key: &SecretKey| key.sign(Domain::Header, b"x");
        assert!(!set.endorses(Domain::Header, b"x", &[sign(&a), sign(&a)]));
        assert!(!set.endorses(Domain::Header, b"x", &[sign(&a), sign(&stranger)]));
        assert!(set.endorses(Domain::Header, b"x", &[sign(&stranger), sign(&b), sign(&a)]));
        assert!(!set.endorses(Domain::Header, b"y", &[sign(&a), sign(&b)]));
    }

    #[test]
    fn a_key_set_of_nobody_is_refused() {
        assert!(KeySet::new([], 0).is_err());
        assert!(KeySet::new([key(1).public()], 2).is_err());
        assert!(KeySet::new([key(1).public(), key(1).public()], 2).is_err());
        assert!(PublicKey::from_bytes([0; 32]).is_err(), "a weak key verifies for anyone");
    }
}
