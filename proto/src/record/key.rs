//! Key records: a key that speaks for a chain, as DKIM publishes those of mail.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use super::{
    RecordError, Selector,
    tags::{List, Tags, wrong},
};
use crate::{
    cbor::Writer,
    chain::{ChainId, GenesisTag},
    key::{Domain, KeySignature, PublicKey, SecretKey},
};

/// A chain key, or the word that it is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// `c`: the chain.
    pub chain: ChainId,
    /// `p`: the key; none when it is revoked.
    pub key: Option<PublicKey>,
    /// `by` and `sig`: who of the chain's other keys says that this one speaks for it, too. Claims:
    /// [`KeyRecord::endorsers`] tells which are true. None on a revoked key.
    pub endorsements: Vec<KeySignature>,
}

/// Most endorsements that one record has room for, whatever the length of its chain-id.
pub const ENDORSEMENTS_MAX: usize = 6;

const KEYS_EXPECTED: &str = "1 to 6 different ed25519 keys in base64url, separated by commas";
const SIGNATURES_EXPECTED: &str =
    "as many signatures of 86 characters of base64url as by has keys, separated by commas";

impl KeyRecord {
    /// What such a record starts with.
    pub const VERSION: &'static str = "v=DPOSKEY1";

    /// The record of a key, or of a revoked one.
    #[must_use]
    pub fn new(chain: ChainId, key: Option<PublicKey>) -> Self {
        Self { chain, key, endorsements: Vec::new() }
    }

    /// This record with the signatures of keys that peers believe already, so that they follow the
    /// change without asking anybody. At most [`ENDORSEMENTS_MAX`] count.
    #[must_use]
    pub fn endorsed<'k>(
        mut self,
        genesis: GenesisTag,
        selector: &Selector,
        by: impl IntoIterator<Item = &'k SecretKey>,
    ) -> Self {
        if let Some(key) = &self.key {
            let bytes = Self::change_bytes(self.chain, genesis, selector, key);
            let signed = by.into_iter().map(|key| key.sign(Domain::KeyChange, &bytes));
            self.endorsements = signed.take(ENDORSEMENTS_MAX).collect();
        }
        self
    }

    /// What an endorsement signs, for [`Domain::KeyChange`]: CBOR
    /// `[chain, genesis tag, selector, key]` (`docs/protocol.md`, *Keys change*).
    #[must_use]
    pub fn change_bytes(
        chain: ChainId,
        genesis: GenesisTag,
        selector: &Selector,
        key: &PublicKey,
    ) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(4).text(&chain.to_string()).bytes(&genesis.0);
        out.text(selector.as_str()).bytes(key.as_bytes());
        out.finish()
    }

    /// The keys whose endorsement under `selector` verifies, of those that `may_count`.
    pub fn endorsers<'r, F: Fn(&PublicKey) -> bool + 'r>(
        &'r self,
        genesis: GenesisTag,
        selector: &Selector,
        may_count: F,
    ) -> impl Iterator<Item = PublicKey> + use<'r, F> {
        let key = self.key.as_ref();
        let bytes = key.map(|key| Self::change_bytes(self.chain, genesis, selector, key));
        self.endorsements.iter().filter(move |it| may_count(&it.key)).filter_map(move |it| {
            let bytes = bytes.as_ref()?;
            it.key.verifies(Domain::KeyChange, bytes, &it.signature).then_some(it.key)
        })
    }

    /// Reads one record, its strings joined.
    ///
    /// # Errors
    /// [`RecordError`] names the tag, what was found and what was expected.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let tags = Tags::parse(text, Self::VERSION)?;
        let (chain, key) = (tags.chain()?, public_key(&tags)?);
        let endorsements = if key.is_some() { endorsements(&tags)? } else { Vec::new() };
        Ok(Self { chain, key, endorsements })
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

fn endorsements(tags: &Tags<'_>) -> Result<Vec<KeySignature>, RecordError> {
    let (by, sig) = match (tags.optional("by"), tags.optional("sig")) {
        (None, None) => return Ok(Vec::new()),
        (Some(by), Some(sig)) => (by, sig),
        (None, Some(_)) => {
            return Err(RecordError::Missing { tag: "by", expected: KEYS_EXPECTED });
        }
        (Some(_), None) => {
            return Err(RecordError::Missing { tag: "sig", expected: SIGNATURES_EXPECTED });
        }
    };
    let keys: Result<Vec<PublicKey>, _> = by.split(',').map(str::parse).collect();
    let keys = keys.map_err(|_| wrong("by", by, KEYS_EXPECTED))?;
    let is_twice = |(at, key): (usize, &PublicKey)| keys[..at].contains(key);
    if keys.len() > ENDORSEMENTS_MAX || keys.iter().enumerate().any(is_twice) {
        return Err(wrong("by", by, KEYS_EXPECTED));
    }
    let signatures: Option<Vec<[u8; 64]>> = sig.split(',').map(signature).collect();
    let signatures = signatures.filter(|signatures| signatures.len() == keys.len());
    let signatures = signatures.ok_or_else(|| wrong("sig", sig, SIGNATURES_EXPECTED))?;
    let pairs = keys.into_iter().zip(signatures);
    Ok(pairs.map(|(key, signature)| KeySignature { key, signature }).collect())
}

fn signature(text: &str) -> Option<[u8; 64]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

impl fmt::Display for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; c={}; k=ed25519; p=", Self::VERSION, self.chain)?;
        let Some(key) = &self.key else { return Ok(()) };
        write!(f, "{key}")?;
        if self.endorsements.is_empty() {
            return Ok(());
        }
        let by: Vec<_> = self.endorsements.iter().map(|it| it.key).collect();
        let encoded = self.endorsements.iter().map(|it| BASE64URL_NOPAD.encode(&it.signature));
        let signatures: Vec<_> = encoded.collect();
        write!(f, "; by={}; sig={}", List(&by), List(&signatures))
    }
}
