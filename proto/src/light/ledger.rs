//! The embedded ledger's own headers, signed by its authorities.

use super::{
    Authenticated, Known, Trusted, Verdict,
    check::{Block, Shown, authenticate},
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag, Height},
    header::HeaderHash,
    key::{Domain, KeySignature, SecretKey},
    proof::merkle::TreeProof,
    stage::Proven,
    time::UnixSeconds,
};

/// A block header of the embedded ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHeader {
    /// The chain.
    pub chain: ChainId,
    /// Its genesis tag; in the genesis block's own header [`GenesisTag::UNSET`].
    pub tag: GenesisTag,
    /// From 0.
    pub height: Height,
    /// The block before it; [`HeaderHash::NONE`] for genesis.
    pub previous: HeaderHash,
    /// When it was made; never before its predecessor's time.
    pub time: UnixSeconds,
    /// RFC 6962 root over the block's transactions.
    pub transactions_root: [u8; 32],
    /// How many messages leave with it.
    pub leaf_count: u64,
    /// RFC 6962 root over the outgoing messages, ordered by (destination, sequence).
    pub root: [u8; 32],
}

/// The outbox of every embedded ledger, as its messages name it.
pub const OUTBOX: &[u8] = b"ledger";

/// The keys of the map.
const KEYS: usize = 8;

impl LedgerHeader {
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
        out.uint(3).bytes(&self.previous.0);
        out.uint(4).uint(self.time.0);
        out.uint(5).bytes(&self.transactions_root);
        out.uint(6).uint(self.leaf_count);
        out.uint(7).bytes(&self.root);
        out.finish()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`CborError`] names the field, or `ledger header` where the encoding is not the canonical
    /// one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.map("ledger header", KEYS)? != KEYS {
            return Err(CborError { field: "ledger header", expected: "its 8 keys" });
        }
        input.key("ledger header chain", 0)?;
        let chain = input.text("ledger header chain", ChainId::TEXT_MAX)?;
        let chain = chain.parse().map_err(|_| CborError {
            field: "ledger header chain",
            expected: "a chain-id in lower case",
        })?;
        input.key("ledger header tag", 1)?;
        let tag = GenesisTag(input.fixed("ledger header tag")?);
        input.key("ledger header height", 2)?;
        let height = Height(input.uint("ledger header height")?);
        input.key("ledger header previous", 3)?;
        let previous = HeaderHash(input.fixed("ledger header previous")?);
        input.key("ledger header time", 4)?;
        let time = UnixSeconds(input.uint("ledger header time")?);
        input.key("ledger header transactions_root", 5)?;
        let transactions_root = input.fixed("ledger header transactions_root")?;
        input.key("ledger header leaf_count", 6)?;
        let leaf_count = input.uint("ledger header leaf_count")?;
        input.key("ledger header root", 7)?;
        let root = input.fixed("ledger header root")?;
        input.end("ledger header")?;
        let header =
            Self { chain, tag, height, previous, time, transactions_root, leaf_count, root };
        if header.bytes() == bytes {
            return Ok(header);
        }
        Err(CborError { field: "ledger header", expected: "its one deterministic encoding" })
    }

    /// Its hash, which is the block's hash.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        HeaderHash(Domain::LedgerHeader.hash(&self.bytes()))
    }

    /// Signs it. The caller has persisted (height, hash) first, so that a crash never leads to two
    /// headers for one height.
    #[must_use]
    pub fn sign<'k>(&self, keys: impl IntoIterator<Item = &'k SecretKey>) -> SignedLedgerHeader {
        let bytes = self.bytes();
        let sign = |key: &SecretKey| key.sign(Domain::LedgerHeader, &bytes);
        let signatures = keys.into_iter().map(sign).collect();
        SignedLedgerHeader { header: self.clone(), signatures }
    }
}

/// A ledger header and the authorities' signatures; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLedgerHeader {
    /// The header.
    pub header: LedgerHeader,
    /// Signatures under [`crate::key::Domain::LedgerHeader`].
    pub signatures: Vec<KeySignature>,
}

impl SignedLedgerHeader {
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
        let field = "signed ledger header";
        if input.array(field, 2)? != 2 {
            return Err(CborError { field, expected: "header and signatures" });
        }
        let bytes = input.bytes("ledger header", LedgerHeader::BYTES_MAX)?;
        let header = LedgerHeader::from_bytes(bytes)?;
        Ok(Self { header, signatures: KeySignature::read_all(input)? })
    }
}

impl<'h> From<&'h SignedLedgerHeader> for Shown<'h> {
    fn from(signed: &'h SignedLedgerHeader) -> Self {
        let header = &signed.header;
        Self {
            chain: header.chain,
            tag: header.tag,
            time: header.time,
            previous: header.previous,
            content: header.hash(),
            domain: Domain::LedgerHeader,
            bytes: header.bytes(),
            signatures: &signed.signatures,
        }
    }
}

/// The header, then the tree, then each message. (No message leaves with genesis, whose header
/// has no tag and is therefore refused.)
pub(super) fn verify(
    cache: &mut Authenticated,
    trusted: &Trusted,
    known: Known,
    signed: &SignedLedgerHeader,
    tree: &TreeProof,
    now: UnixSeconds,
) -> Result<Vec<Proven>, Verdict> {
    let header = &signed.header;
    let hash = authenticate(cache, trusted, known, &signed.into(), now)?;
    let block = Block { trusted, hash, height: header.height, time: header.time };
    Ok(block.messages_of_tree(tree, header.leaf_count, &header.root)?)
}
