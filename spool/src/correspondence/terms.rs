//! Terms: what this side signed, what the other side signed, and what both agreed to.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::ChainId,
    message::{Asset, TermsHash},
    signed::Document,
    terms::{SignedTerms, Terms},
    time::UnixMillis,
};

use super::{Sending, read_agreed, read_sending, read_signed, write_sending, write_signed};
use crate::{
    accounts::{account_key, read_account_key},
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Everything that is known of one account's terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermsRow {
    /// What this side's operator signs; none before.
    pub ours: Option<OwnTerms>,
    /// The newest that the other side signed; none before.
    pub theirs: Option<TheirTerms>,
    /// The newest that both signed. It stays when one side proposes others.
    pub agreed: Option<AgreedTerms>,
}

/// Terms that this side's operator agrees to. They are signed with current keys when they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTerms {
    /// The terms.
    pub terms: Terms,
    /// When the operator agreed.
    pub at: UnixMillis,
    /// How far they are on their way.
    pub sending: Sending,
}

/// Terms that the other side signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TheirTerms {
    /// The terms with the signatures that were verified.
    pub signed: SignedTerms,
    /// When they came.
    pub at: UnixMillis,
}

/// Terms that both sides signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedTerms {
    /// The terms with the signatures of both sides.
    pub signed: SignedTerms,
    /// When the second of them was here.
    pub at: UnixMillis,
}

impl TermsRow {
    /// The hash of what both sides agreed to last; none before.
    #[must_use]
    pub fn agreed_hash(&self) -> Option<TermsHash> {
        self.agreed.as_ref().map(|agreed| agreed.signed.document.hash())
    }
}

impl Tx<'_> {
    /// What is known of an account's terms; nothing if there is no row.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn terms(&self, chain: ChainId, asset: &Asset) -> Result<TermsRow, SpoolError> {
        let bytes = self.get(Table::Terms, &account_key(chain, asset))?;
        bytes.map_or_else(|| Ok(TermsRow::default()), |bytes| read(&bytes))
    }

    /// Puts what is known of an account's terms, in place of what was there.
    pub fn put_terms(&mut self, chain: ChainId, asset: &Asset, terms: &TermsRow) {
        self.set(Table::Terms, &account_key(chain, asset), write(terms));
    }

    /// The terms of every account that any are known of, by chain and asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn all_terms(&self) -> Result<Vec<(ChainId, Asset, TermsRow)>, SpoolError> {
        let rows = self.rows(Table::Terms, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (chain, asset) = read_account_key(Table::Terms, key)?;
                Ok((chain, asset, read(value)?))
            })
            .collect()
    }
}

fn write(row: &TermsRow) -> Vec<u8> {
    row::write(3, |out| {
        row::write_option(row.ours.as_ref(), out, |ours, out| {
            out.array(3).bytes(&ours.terms.bytes()).uint(ours.at.0);
            write_sending(&ours.sending, out);
        });
        row::write_option(row.theirs.as_ref(), out, |theirs, out| {
            write_dated(&theirs.signed, theirs.at, out);
        });
        row::write_option(row.agreed.as_ref(), out, |agreed, out| {
            write_dated(&agreed.signed, agreed.at, out);
        });
    })
}

fn read(bytes: &[u8]) -> Result<TermsRow, SpoolError> {
    row::read(Table::Terms, bytes, 3, |input| {
        let ours = row::read_option(input, "own terms", |input| {
            if input.array("own terms", 3)? != 3 {
                return Err(CborError { field: "own terms", expected: "terms, at, sending" });
            }
            let terms = Terms::from_bytes(input.bytes("own terms", Terms::BYTES_MAX)?)?;
            let at = UnixMillis(input.uint("own terms at")?);
            Ok(OwnTerms { terms, at, sending: read_sending(input)? })
        })?;
        let theirs =
            row::read_option(input, "their terms", |input| read_dated(input, read_signed))?;
        let agreed =
            row::read_option(input, "agreed terms", |input| read_dated(input, read_agreed))?;
        Ok(TermsRow {
            ours,
            theirs: theirs.map(|(signed, at)| TheirTerms { signed, at }),
            agreed: agreed.map(|(signed, at)| AgreedTerms { signed, at }),
        })
    })
}

fn write_dated(signed: &SignedTerms, at: UnixMillis, out: &mut Writer) {
    out.array(2);
    write_signed(signed, out);
    out.uint(at.0);
}

fn read_dated(
    input: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<SignedTerms, CborError>,
) -> Result<(SignedTerms, UnixMillis), CborError> {
    if input.array("signed terms", 2)? != 2 {
        return Err(CborError { field: "signed terms", expected: "terms and time" });
    }
    Ok((read(input)?, UnixMillis(input.uint("signed terms at")?)))
}
