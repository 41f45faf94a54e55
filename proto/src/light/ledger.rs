//! The embedded ledger's own headers.
use super::*;
use crate::{
    cbor::{CborError, Reader, Writer},
    key::KeySignature,
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

impl LedgerHeader {
    /// Its hash, which is the block's hash.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        HeaderHash([0; 32])
    }
}

/// A ledger header and the authorities' signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLedgerHeader {
    /// The header.
    pub header: LedgerHeader,
    /// Signatures under [`crate::key::Domain::LedgerHeader`].
    pub signatures: Vec<KeySignature>,
}
pub(super) fn verify(
    _: &Trusted,
    _: Known,
    _: &SignedLedgerHeader,
    _: &TreeProof,
    _: UnixSeconds,
) -> Verdict {
    Verdict::NotYet("")
}

impl SignedLedgerHeader {
    /// Writes `[header bytes, signatures]`.
    pub fn write(&self, out: &mut Writer) {
        let header = &self.header;
        let mut inner = Writer::default();
        inner.map(8);
        inner.uint(0).text(&header.chain.to_string());
        inner.uint(1).bytes(&header.tag.0);
        inner.uint(2).uint(header.height.0);
        inner.uint(3).bytes(&header.previous.0);
        inner.uint(4).uint(header.time.0);
        inner.uint(5).bytes(&header.transactions_root);
        inner.uint(6).uint(header.leaf_count);
        inner.uint(7).bytes(&header.root);
        out.array(2).bytes(&inner.finish());
        KeySignature::write_all(&self.signatures, out);
    }

    /// Reads `[header bytes, signatures]`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        if input.array("signed ledger header", 2)? != 2 {
            let expected = "header and signatures";
            return Err(CborError { field: "signed ledger header", expected });
        }
        let mut inner = Reader::new(input.bytes("ledger header", 512)?);
        if inner.map("ledger header", 8)? != 8 {
            return Err(CborError { field: "ledger header", expected: "its 8 keys" });
        }
        inner.key("ledger header chain", 0)?;
        let chain =
            inner.text("ledger header chain", ChainId::TEXT_MAX)?.parse().map_err(|_| {
                CborError { field: "ledger header chain", expected: "a chain-id in lower case" }
            })?;
        inner.key("ledger header tag", 1)?;
        let tag = GenesisTag(inner.fixed("ledger header tag")?);
        inner.key("ledger header height", 2)?;
        let height = Height(inner.uint("ledger header height")?);
        inner.key("ledger header previous", 3)?;
        let previous = HeaderHash(inner.fixed("ledger header previous")?);
        inner.key("ledger header time", 4)?;
        let time = UnixSeconds(inner.uint("ledger header time")?);
        inner.key("ledger header transactions_root", 5)?;
        let transactions_root = inner.fixed("ledger header transactions_root")?;
        inner.key("ledger header leaf_count", 6)?;
        let leaf_count = inner.uint("ledger header leaf_count")?;
        inner.key("ledger header root", 7)?;
        let root = inner.fixed("ledger header root")?;
        inner.end("ledger header")?;
        let header = LedgerHeader {
            chain,
            tag,
            height,
            previous,
            time,
            transactions_root,
            leaf_count,
            root,
        };
        Ok(Self { header, signatures: KeySignature::read_all(input)? })
    }
}
