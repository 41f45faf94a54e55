//! Attested headers: a chain's gateways sign what a final block says to other chains.
//!
//! What an attested header says of its block is a pure function of the final block, so that honest
//! gateways of one chain never contradict each other. Two headers are compared by that
//! ([`Header::content`]): the chain of `previous` hashes and the key set also depend on when a
//! gateway began to attest, and on which keys its chain had then. Heights strictly rise; blocks without outgoing messages get none.

use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{BlockHash, ChainId, GenesisTag, Height},
    key::{Domain, KeySignature, SecretKey},
    time::UnixSeconds,
};

/// SHA-256 of a header under its domain: what the next header points back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderHash(pub [u8; 32]);

impl HeaderHash {
    /// What a chain's first attested header points back to.
    pub const NONE: Self = Self([0; 32]);
}

/// What is attested of one final block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The chain.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
    /// The block's height.
    pub height: Height,
    /// The block's hash, by its chain's rule.
    pub block: BlockHash,
    /// The block's time.
    pub time: UnixSeconds,
    /// The attested header before this one, at the gateway that made it.
    pub previous: HeaderHash,
    /// [`crate::key::KeySet::hash`] of the chain's keys when the header was made. Signatures are
    /// judged by the keys that are trusted when it is shown.
    pub key_set: [u8; 32],
    /// How many messages the block sends out, to all destinations.
    pub leaf_count: u64,
    /// RFC 6962 root over them, ordered by (destination, sequence); a leaf is a message's bytes.
    pub root: [u8; 32],
}

/// The keys of the map.
const KEYS: usize = 9;

impl Header {
    /// Longest encoding, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// The one encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.map(KEYS);
        out.uint(0).text(&self.chain.to_string());
        out.uint(1).bytes(&self.tag.0);
        out.uint(2).uint(self.height.0);
        out.uint(3).bytes(&self.block.0);
        out.uint(4).uint(self.time.0);
        out.uint(5).bytes(&self.previous.0);
        out.uint(6).bytes(&self.key_set);
        out.uint(7).uint(self.leaf_count);
        out.uint(8).bytes(&self.root);
        out.finish()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`CborError`] names the field, or `header` where the encoding is not the canonical one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.map("header", KEYS)? != KEYS {
            return Err(CborError { field: "header", expected: "its 9 keys" });
        }
        input.key("header chain", 0)?;
        let chain = input.text("header chain", ChainId::TEXT_MAX)?.parse().map_err(|_| {
            CborError { field: "header chain", expected: "a chain-id in lower case" }
        })?;
        input.key("header tag", 1)?;
        let tag = GenesisTag(input.fixed("header tag")?);
        input.key("header height", 2)?;
        let height = Height(input.uint("header height")?);
        input.key("header block", 3)?;
        let block = BlockHash(input.fixed("header block")?);
        input.key("header time", 4)?;
        let time = UnixSeconds(input.uint("header time")?);
        input.key("header previous", 5)?;
        let previous = HeaderHash(input.fixed("header previous")?);
        input.key("header key_set", 6)?;
        let key_set = input.fixed("header key_set")?;
        input.key("header leaf_count", 7)?;
        let leaf_count = input.uint("header leaf_count")?;
        input.key("header root", 8)?;
        let root = input.fixed("header root")?;
        input.end("header")?;
        let header = Self { chain, tag, height, block, time, previous, key_set, leaf_count, root };
        if header.bytes() == bytes {
            return Ok(header);
        }
        Err(CborError { field: "header", expected: "its one deterministic encoding" })
    }

    /// This header's hash.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        HeaderHash(Domain::Header.hash(&self.bytes()))
    }

    /// SHA-256 over what the header says of its block: chain, tag, height, block, time, leaf count
    /// and root. Two authenticated headers of one height that differ in it are equivocation.
    #[must_use]
    pub fn content(&self) -> HeaderHash {
        let mut out = Writer::default();
        out.array(7).text(&self.chain.to_string()).bytes(&self.tag.0).uint(self.height.0);
        out.bytes(&self.block.0).uint(self.time.0).uint(self.leaf_count).bytes(&self.root);
        HeaderHash(Domain::HeaderContent.hash(&out.finish()))
    }

    /// Signs it. The caller has persisted (height, hash) first, so that a crash never leads to two
    /// headers for one height.
    #[must_use]
    pub fn sign<'k>(&self, keys: impl IntoIterator<Item = &'k SecretKey>) -> SignedHeader {
        let bytes = self.bytes();
        let signatures = keys.into_iter().map(|key| key.sign(Domain::Header, &bytes)).collect();
        SignedHeader { header: self.clone(), signatures }
    }
}

/// A header and who signed it; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// Its signatures, in any order.
    pub signatures: Vec<KeySignature>,
}

impl SignedHeader {
    /// Writes `[header bytes, signatures]`.
    pub fn write(&self, out: &mut Writer) {
        out.array(2).bytes(&self.header.bytes());
        KeySignature::write_all(&self.signatures, out);
    }

    /// Reads `[header bytes, signatures]`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        if input.array("signed header", 2)? != 2 {
            return Err(CborError { field: "signed header", expected: "header and signatures" });
        }
        let header = Header::from_bytes(input.bytes("header", Header::BYTES_MAX)?)?;
        Ok(Self { header, signatures: KeySignature::read_all(input)? })
    }
}
