//! Which chains are frozen, and why.

use distpos_proto::chain::ChainId;

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
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
