//! Rows of peer chains: their tags, the accounts with them, and which account is open.

use distpos_proto::{
    account::{Account, Bucket, Figures, Limits, Window},
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag},
    message::{Asset, TermsHash},
    time::UnixSeconds,
};

use super::{Row, exactly, read_amount};
use crate::chain::ledger::LedgerError;

/// What the ledger knows of a peer chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chain::ledger) struct Peer {
    /// For messages to it, and expected of messages from it unless unset.
    pub(in crate::chain::ledger) tag: GenesisTag,
}

impl Row for Peer {
    type Key = ChainId;
    const KIND: u8 = b'p';
    const NAME: &'static str = "peer row";

    fn key(key: &ChainId) -> Vec<u8> {
        key.number().to_be_bytes().to_vec()
    }

    fn write(&self, out: &mut Writer) {
        out.bytes(&self.tag.0);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        Ok(Self { tag: GenesisTag(input.fixed(Self::NAME)?) })
    }
}

/// An account with a peer chain in one asset. Closed ones stay, and what left for a chain without an
/// account is counted in one that was never open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chain::ledger) struct Correspondent(pub(in crate::chain::ledger) Account);

impl Correspondent {
    /// Whose account a row's key names, without the key's first byte.
    pub(in crate::chain::ledger) fn read_key(key: &[u8]) -> Result<(ChainId, Asset), LedgerError> {
        let read = || {
            let (chain, asset) = key.split_first_chunk::<16>()?;
            let chain = ChainId::from_number(u128::from_be_bytes(*chain))?;
            Some((chain, std::str::from_utf8(asset).ok()?.parse().ok()?))
        };
        let what = "its key is no chain-id and asset";
        read().ok_or_else(|| LedgerError::Corrupt { row: Self::NAME, what: what.into() })
    }
}

impl Row for Correspondent {
    type Key = (ChainId, Asset);
    const KIND: u8 = b'c';
    const NAME: &'static str = "correspondent row";

    fn key((chain, asset): &(ChainId, Asset)) -> Vec<u8> {
        [&chain.number().to_be_bytes(), asset.as_str().as_bytes()].concat()
    }

    // Nothing is pending in on a chain where a delivery is decided and done at once.
    fn write(&self, out: &mut Writer) {
        let Account { terms, limits, figures, bucket } = &self.0;
        out.array(10).bytes(terms_bytes(terms.as_ref()));
        write_limits(limits, out);
        let Figures { reserve, received, sent, pending_in: _, pending_out } = figures;
        for figure in [reserve, received, sent, pending_out] {
            out.bytes(&figure.to_minimal_bytes());
        }
        out.bytes(&bucket.used.to_minimal_bytes()).uint(bucket.at.0);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        exactly(input, field, 10)?;
        let (terms, limits) = (read_terms(input, field)?, read_limits(input, field)?);
        let mut figure = || read_amount(input, field);
        let figures = Figures {
            reserve: figure()?,
            received: figure()?,
            sent: figure()?,
            pending_in: Amount::ZERO,
            pending_out: figure()?,
        };
        let used = figure()?;
        let bucket = Bucket { used, at: UnixSeconds(input.uint(field)?) };
        Ok(Self(Account { terms, limits, figures, bucket }))
    }
}

/// In which asset the account with a peer is open. A ledger has one coin: it counts it in one asset
/// with each peer at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::chain::ledger) struct OpenAsset(pub(in crate::chain::ledger) Option<Asset>);

impl Row for OpenAsset {
    type Key = ChainId;
    const KIND: u8 = b'o';
    const NAME: &'static str = "open account row";

    fn key(key: &ChainId) -> Vec<u8> {
        key.number().to_be_bytes().to_vec()
    }

    // Rows are never deleted: no account is an empty text.
    fn write(&self, out: &mut Writer) {
        out.text(self.0.as_ref().map_or("", Asset::as_str));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        let text = input.text(field, Asset::TEXT_MAX)?;
        let wrong = |_| CborError { field, expected: "<issuer chain-id>/<label> or nothing" };
        Ok(Self((!text.is_empty()).then(|| text.parse().map_err(wrong)).transpose()?))
    }
}

/// A terms hash as bytes; none is empty.
pub(in crate::chain::ledger) fn terms_bytes(terms: Option<&TermsHash>) -> &[u8] {
    terms.map_or(&[], |terms| terms.0.as_slice())
}

/// Credit limit, window's size and length, in three places of the array; no window has length 0.
pub(in crate::chain::ledger) fn write_limits(limits: &Limits, out: &mut Writer) {
    let window = limits.window.unwrap_or(Window { max: Amount::ZERO, seconds: 0 });
    out.bytes(&limits.credit_limit.to_minimal_bytes());
    out.bytes(&window.max.to_minimal_bytes()).uint(window.seconds);
}

/// Reads what [`write_limits`] wrote.
pub(in crate::chain::ledger) fn read_limits(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<Limits, CborError> {
    let (credit_limit, max) = (read_amount(input, field)?, read_amount(input, field)?);
    let window = match input.uint(field)? {
        0 => None,
        seconds => Some(Window { max, seconds }),
    };
    Ok(Limits { credit_limit, window })
}

/// A terms hash, or nothing.
pub(in crate::chain::ledger) fn read_terms(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<Option<TermsHash>, CborError> {
    match input.bytes(field, 32)? {
        [] => Ok(None),
        bytes => {
            let wrong = CborError { field, expected: "a hash or nothing" };
            Ok(Some(TermsHash(bytes.try_into().map_err(|_| wrong)?)))
        }
    }
}
