//! Papers that a chain's keys sign: terms, statements, requests. Each has one encoding and one
//! domain; who signed it is checked before anything in it is believed.

use std::fmt::Debug;

use thiserror::Error;

use crate::{
    cbor::{CborError, Reader, Writer},
    key::{AGREED_SIGNATURES_MAX, Domain, KeySet, KeySignature, SIGNATURES_MAX, SecretKey},
};

/// Something that is signed as bytes.
pub trait Document: Debug + Clone + PartialEq + Eq {
    /// What it is called in errors.
    const NAME: &'static str;
    /// What its signatures are for, and nothing else.
    const DOMAIN: Domain;
    /// Longest encoding, in bytes.
    const BYTES_MAX: usize;

    /// The one encoding.
    #[must_use]
    fn bytes(&self) -> Vec<u8>;

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`CborError`] names the field, or the document where the encoding is not the canonical one.
    fn from_bytes(bytes: &[u8]) -> Result<Self, CborError>;

    /// Signs it.
    #[must_use]
    fn sign<'k>(self, keys: impl IntoIterator<Item = &'k SecretKey>) -> Signed<Self> {
        let bytes = self.bytes();
        let signatures = keys.into_iter().map(|key| key.sign(Self::DOMAIN, &bytes)).collect();
        Signed { document: self, signatures }
    }
}

/// A document and who signed it; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<D> {
    /// The document.
    pub document: D,
    /// Its signatures, in any order.
    pub signatures: Vec<KeySignature>,
}

/// A document that was not signed by enough keys of the chain that it should be by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} is not signed by {threshold} distinct keys of its chain")]
pub struct SignedError {
    /// What was to be verified.
    pub what: &'static str,
    /// How many keys were expected.
    pub threshold: usize,
}

impl<D: Document> Signed<D> {
    /// Whether enough of these keys signed it.
    #[must_use]
    pub fn is_by(&self, keys: &KeySet) -> bool {
        keys.endorses(D::DOMAIN, &self.document.bytes(), &self.signatures)
    }

    /// Checks the signatures against the keys that are valid now for the chain it should be by, and
    /// drops those that count for nothing: whoever sent it chose them. The one way to a
    /// [`Verified`].
    ///
    /// # Errors
    /// [`SignedError`] if fewer than the threshold of distinct keys signed it.
    pub fn verify(self, keys: &KeySet) -> Result<Verified<D>, SignedError> {
        let bytes = self.document.bytes();
        let signatures: Vec<_> =
            keys.counting(D::DOMAIN, &bytes, &self.signatures).cloned().collect();
        if signatures.len() >= keys.threshold() {
            return Ok(Verified(Self { document: self.document, signatures }));
        }
        Err(SignedError { what: D::NAME, threshold: keys.threshold() })
    }

    /// Writes `[document bytes, signatures]`.
    pub fn write(&self, out: &mut Writer) {
        out.array(2).bytes(&self.document.bytes());
        KeySignature::write_all(&self.signatures, out);
    }

    /// Reads `[document bytes, signatures]`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        Self::read_up_to(input, SIGNATURES_MAX)
    }

    fn read_up_to(input: &mut Reader<'_>, signatures_max: usize) -> Result<Self, CborError> {
        if input.array(D::NAME, 2)? != 2 {
            return Err(CborError { field: D::NAME, expected: "its bytes and signatures" });
        }
        let document = D::from_bytes(input.bytes(D::NAME, D::BYTES_MAX)?)?;
        Ok(Self { document, signatures: KeySignature::read_up_to(input, signatures_max)? })
    }

    /// Reads what [`Signed::write`] wrote, and nothing after it.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        Self::from_bytes_up_to(bytes, SIGNATURES_MAX)
    }

    /// Reads what both sides signed: as [`Signed::from_bytes`], with room for the signatures of two
    /// chains. It is kept so, and never sent so.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn agreed_from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        Self::from_bytes_up_to(bytes, AGREED_SIGNATURES_MAX)
    }

    fn from_bytes_up_to(bytes: &[u8], signatures_max: usize) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        let signed = Self::read_up_to(&mut input, signatures_max)?;
        input.end(D::NAME)?;
        Ok(signed)
    }

    /// The bytes of [`Signed::write`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.finish()
    }
}

/// A document that enough keys of its chain signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<D>(Signed<D>);

impl<D: Document> Verified<D> {
    /// The document.
    #[must_use]
    pub fn document(&self) -> &D {
        &self.0.document
    }

    /// It with its signatures, to be kept or shown to others.
    #[must_use]
    pub fn signed(&self) -> &Signed<D> {
        &self.0
    }
}

/// The error of a document whose bytes decode, but are not its one encoding.
pub(crate) fn not_canonical(field: &'static str) -> CborError {
    CborError { field, expected: "its one deterministic encoding" }
}
