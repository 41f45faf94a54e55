//! Deterministic CBOR (RFC 8949, 4.2): the few shapes the protocol uses, each error naming a field.
//!
//! [`Writer`] can only write the shortest, definite-length form. [`Reader`] reads definite lengths
//! and checks every length against a limit before anything is allocated; who needs *one encoding
//! for one value* writes what was read again and compares ([`Reader`] alone does not promise it).

use minicbor::{Decoder, Encoder, data::Type};
use thiserror::Error;

/// Why bytes are not what a field should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: expected {expected}")]
pub struct CborError {
    /// The field's name in the CDDL.
    pub field: &'static str,
    /// What was expected there.
    pub expected: &'static str,
}

/// Writes deterministic CBOR into a growing buffer.
#[derive(Debug)]
pub struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self(Encoder::new(Vec::new()))
    }
}

/// Writing into a `Vec` has no way to fail.
const INFALLIBLE: &str = "writing CBOR into memory cannot fail";

impl Writer {
    /// Starts a map of `pairs` pairs.
    pub fn map(&mut self, pairs: usize) -> &mut Self {
        self.0.map(pairs as u64).expect(INFALLIBLE);
        self
    }

    /// Starts an array of `items` items.
    pub fn array(&mut self, items: usize) -> &mut Self {
        self.0.array(items as u64).expect(INFALLIBLE);
        self
    }

    /// An unsigned number (also a map's key).
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.0.u64(value).expect(INFALLIBLE);
        self
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.bytes(value).expect(INFALLIBLE);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.0.str(value).expect(INFALLIBLE);
        self
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads CBOR from foreign bytes.
#[derive(Debug)]
pub struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// The head of a definite-length map of `max` pairs at most.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn map(&mut self, field: &'static str, max: usize) -> Result<usize, CborError> {
        let wrong = CborError { field, expected: "a map of definite length within its limit" };
        bounded(self.0.map(), max).ok_or(wrong)
    }

    /// The head of a definite-length array of `max` items at most.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn array(&mut self, field: &'static str, max: usize) -> Result<usize, CborError> {
        let wrong = CborError { field, expected: "an array of definite length within its limit" };
        bounded(self.0.array(), max).ok_or(wrong)
    }

    /// An unsigned number.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn uint(&mut self, field: &'static str) -> Result<u64, CborError> {
        self.0.u64().map_err(|_| CborError { field, expected: "an unsigned number" })
    }

    /// An unsigned number below 2^32.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn uint32(&mut self, field: &'static str) -> Result<u32, CborError> {
        self.0.u32().map_err(|_| CborError { field, expected: "an unsigned number below 2^32" })
    }

    /// A byte string of `max` bytes at most, borrowed from the input.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'b [u8], CborError> {
        let wrong = CborError { field, expected: "a byte string within its limit" };
        self.0.bytes().ok().filter(|bytes| bytes.len() <= max).ok_or(wrong)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CborError> {
        let wrong = CborError { field, expected: "a byte string of its fixed length" };
        self.bytes(field, N)?.try_into().map_err(|_| wrong)
    }

    /// A text of `max` bytes at most, borrowed from the input.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn text(&mut self, field: &'static str, max: usize) -> Result<&'b str, CborError> {
        let wrong = CborError { field, expected: "a text within its limit" };
        self.0.str().ok().filter(|text| text.len() <= max).ok_or(wrong)
    }

    /// The number `expected`, as a strict map's next key.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn key(&mut self, field: &'static str, expected: u64) -> Result<(), CborError> {
        let wrong = CborError { field, expected: "its key, in ascending order" };
        if self.0.u64().ok() == Some(expected) { Ok(()) } else { Err(wrong) }
    }

    /// Passes over one value of any kind: the value of a key that this version does not know.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn skip(&mut self, field: &'static str) -> Result<(), CborError> {
        self.0.skip().map_err(|_| CborError { field, expected: "a well-formed value" })
    }

    /// Whether the next value is a byte string (for unions of a structure and bytes).
    #[must_use]
    pub fn next_is_bytes(&self) -> bool {
        matches!(self.0.datatype(), Ok(Type::Bytes))
    }

    /// Where the next value starts, in bytes from the start.
    #[must_use]
    pub fn position(&self) -> usize {
        self.0.position()
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// [`CborError`] if bytes are left over.
    pub fn end(self, field: &'static str) -> Result<(), CborError> {
        if self.0.position() == self.0.input().len() {
            return Ok(());
        }
        Err(CborError { field, expected: "nothing after it" })
    }
}

fn bounded(length: Result<Option<u64>, minicbor::decode::Error>, max: usize) -> Option<usize> {
    usize::try_from(length.ok()??).ok().filter(|length| *length <= max)
}
