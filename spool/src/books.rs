//! Copies of the books, and which chains are frozen.

use distpos_proto::{
    amount::Amount,
    cbor::{CborError, Reader},
    chain::ChainId,
    message::{Asset, MessageId},
    policy::Book,
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
    /// The figures of a pair; zeros if there are none.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn book(&self, chain: ChainId, asset: &Asset) -> Result<Book, SpoolError> {
        let bytes = self.get(Table::Books, &book_key(chain, asset))?;
        bytes.map_or(Ok(Book::default()), |bytes| read_book(&bytes))
    }

    /// Sets the figures of a pair.
    pub fn put_book(&mut self, chain: ChainId, asset: &Asset, book: &Book) {
        let value = row::write(3, |out| {
            for amount in [book.received, book.sent, book.pending_in] {
                out.bytes(&amount.to_minimal_bytes());
            }
        });
        self.set(Table::Books, &book_key(chain, asset), value);
    }

    /// Every pair with its figures, by chain and asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn books(&self) -> Result<Vec<(ChainId, Asset, Book)>, SpoolError> {
        let rows = self.rows(Table::Books, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (chain, asset) = read_book_key(key)?;
                Ok((chain, asset, read_book(value)?))
            })
            .collect()
    }

    /// Notes that a sum is part of a pair's `pending_in` for this message.
    pub fn put_reserved(&mut self, id: &MessageId, chain: ChainId, asset: &Asset, amount: Amount) {
        let value = row::write(3, |out| {
            out.bytes(&row::chain_key(chain)).text(asset.as_str());
            out.bytes(&amount.to_minimal_bytes());
        });
        self.set(Table::Reserved, &id.0, value);
    }

    /// What is reserved for this message, and forgets it; none if nothing is.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn take_reserved(
        &mut self,
        id: &MessageId,
    ) -> Result<Option<(ChainId, Asset, Amount)>, SpoolError> {
        let Some(bytes) = self.get(Table::Reserved, &id.0)? else { return Ok(None) };
        let reserved = row::read(Table::Reserved, &bytes, 3, |input| {
            let chain = row::read_chain(input)?;
            let asset = input.text("asset", Asset::TEXT_MAX)?;
            let amount = Amount::from_minimal_bytes(input.bytes("amount", 32)?);
            Ok((
                chain,
                asset.parse().map_err(|_| CborError { field: "asset", expected: "an asset" })?,
                amount.map_err(|_| CborError { field: "amount", expected: "its shortest form" })?,
            ))
        })?;
        self.unset(Table::Reserved, &id.0);
        Ok(Some(reserved))
    }

    /// Why a chain is frozen; none if it is not.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn frozen(&self, chain: ChainId) -> Result<Option<Vec<u8>>, SpoolError> {
        let bytes = self.get(Table::Frozen, &row::chain_key(chain))?;
        bytes.map(|bytes| read_reason(&bytes)).transpose()
    }

    /// Freezes a chain for a reason: the evidence of a conflict. A chain that is frozen stays so
    /// for its first reason.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn set_frozen(&mut self, chain: ChainId, reason: &[u8]) -> Result<(), SpoolError> {
        if self.frozen(chain)?.is_none() {
            let value = row::write(1, |out| {
                out.bytes(reason);
            });
            self.set(Table::Frozen, &row::chain_key(chain), value);
        }
        Ok(())
    }

    /// Lets a frozen chain go on: an operator's decision.
    pub fn thaw(&mut self, chain: ChainId) {
        self.unset(Table::Frozen, &row::chain_key(chain));
    }

    /// Every frozen chain and why.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn frozen_chains(&self) -> Result<Vec<(ChainId, Vec<u8>)>, SpoolError> {
        let rows = self.rows(Table::Frozen, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let chain = <[u8; 16]>::try_from(key.as_slice()).ok();
                let chain = chain.and_then(|bytes| row::chain_of(bytes).ok());
                let chain = chain.ok_or_else(|| row::corrupt(Table::Frozen, "a key is no chain"));
                Ok((chain?, read_reason(value)?))
            })
            .collect()
    }
}

fn read_reason(bytes: &[u8]) -> Result<Vec<u8>, SpoolError> {
    row::read(Table::Frozen, bytes, 1, |input| Ok(input.bytes("reason", usize::MAX)?.to_vec()))
}

fn book_key(chain: ChainId, asset: &Asset) -> Vec<u8> {
    [&row::chain_key(chain), asset.as_str().as_bytes()].concat()
}

fn read_book_key(key: &[u8]) -> Result<(ChainId, Asset), SpoolError> {
    let parts = || {
        let (chain, asset) = key.split_at_checked(16)?;
        let chain = row::chain_of(chain.try_into().ok()?).ok()?;
        Some((chain, std::str::from_utf8(asset).ok()?.parse().ok()?))
    };
    parts().ok_or_else(|| row::corrupt(Table::Books, "a key is no chain and asset"))
}

fn read_book(bytes: &[u8]) -> Result<Book, SpoolError> {
    row::read(Table::Books, bytes, 3, |input| {
        Ok(Book {
            received: read_amount(input)?,
            sent: read_amount(input)?,
            pending_in: read_amount(input)?,
        })
    })
}

fn read_amount(input: &mut Reader<'_>) -> Result<Amount, CborError> {
    let wrong = CborError { field: "amount", expected: "its shortest form" };
    Amount::from_minimal_bytes(input.bytes("amount", 32)?).map_err(|_| wrong)
}
