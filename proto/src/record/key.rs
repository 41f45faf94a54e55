//! Key records: a key that speaks for a chain, as DKIM publishes those of mail.

use std::fmt;

use super::{
    RecordError,
    tags::{Tags, is_value_byte, wrong},
};
use crate::{chain::ChainId, key::PublicKey};

/// A chain key, or the word that it is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// `c`: the chain.
    pub chain: ChainId,
    /// `p`: the key; none when it is revoked.
    pub key: Option<PublicKey>,
    /// `by`: which keys signed this change, unread.
    pub by: Option<String>,
    /// `sig`: their signatures, unread.
    pub signature: Option<String>,
}

impl KeyRecord {
    /// What such a record starts with.
    pub const VERSION: &'static str = "v=DPOSKEY1";

    /// The record of a key, or of a revoked one.
    #[must_use]
    pub fn new(chain: ChainId, key: Option<PublicKey>) -> Self {
        Self { chain, key, by: None, signature: None }
    }

    /// Reads one record, its strings joined.
    ///
    /// # Errors
    /// [`RecordError`] names the tag, what was found and what was expected.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let tags = Tags::parse(text, Self::VERSION)?;
        Ok(Self {
            chain: tags.chain()?,
            key: public_key(&tags)?,
            by: tags.optional("by").map(str::to_owned),
            signature: tags.optional("sig").map(str::to_owned),
        })
    }
}

fn public_key(tags: &Tags<'_>) -> Result<Option<PublicKey>, RecordError> {
    let expected = "43 characters of base64url that are an ed25519 key, or nothing when revoked";
    // A revocation counts whatever kind of key it was: an empty p= ends a key at once.
    if tags.required("p", expected)?.is_empty() {
        return Ok(None);
    }
    let kind = tags.required("k", "ed25519")?;
    if kind != "ed25519" {
        return Err(wrong("k", kind, "ed25519"));
    }
    tags.read("p", expected).map(Some)
}

impl fmt::Display for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; c={}; k=ed25519; p=", Self::VERSION, self.chain)?;
        if let Some(key) = &self.key {
            write!(f, "{key}")?;
        }
        for (tag, value) in [("by", &self.by), ("sig", &self.signature)] {
            // What no record could carry is left out rather than printed as something else.
            if let Some(value) = value.as_ref().filter(|value| value.bytes().all(is_value_byte)) {
                write!(f, "; {tag}={value}")?;
            }
        }
        Ok(())
    }
}
