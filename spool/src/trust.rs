//! What DNS has told of other chains' keys so far.

use distpos_proto::{chain::ChainId, trust::DnsTrust};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
    /// What is kept of what DNS has told of a chain; none if nothing was good enough yet.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn dns_trust(&self, chain: ChainId) -> Result<Option<DnsTrust>, SpoolError> {
        self.get(Table::DnsTrust, &row::chain_key(chain))?.map(|bytes| read(&bytes)).transpose()
    }

    /// Keeps it, in place of what was kept before.
    pub fn set_dns_trust(&mut self, chain: ChainId, state: &DnsTrust) {
        let value = row::write(1, |out| {
            out.bytes(&state.to_bytes());
        });
        self.set(Table::DnsTrust, &row::chain_key(chain), value);
    }

    /// Forgets it: an operator's decision. The next answer of DNS is a first one again.
    pub fn forget_dns_trust(&mut self, chain: ChainId) {
        self.unset(Table::DnsTrust, &row::chain_key(chain));
    }

    /// Of every chain of which something is kept, ascending.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn dns_trusts(&self) -> Result<Vec<(ChainId, DnsTrust)>, SpoolError> {
        let rows = self.rows(Table::DnsTrust, &Span::all(), Order::Ascending, usize::MAX)?;
        let chain_of = |key: &[u8]| {
            let bytes = <[u8; 16]>::try_from(key).ok()?;
            row::chain_of(bytes).ok()
        };
        rows.iter()
            .map(|(key, value)| {
                let chain = chain_of(key);
                let chain = chain.ok_or_else(|| row::corrupt(Table::DnsTrust, "a key is no chain"));
                Ok((chain?, read(value)?))
            })
            .collect()
    }
}

fn read(bytes: &[u8]) -> Result<DnsTrust, SpoolError> {
    row::read(Table::DnsTrust, bytes, 1, |input| {
        DnsTrust::from_bytes(input.bytes("trust", usize::MAX)?)
    })
}
