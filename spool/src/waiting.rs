//! Proven messages that wait for room in their account, in the order in which they were sent.

use distpos_proto::{
    amount::Amount,
    chain::ChainId,
    message::{Asset, MessageId},
};

use crate::{
    accounts::{account_key, entry_key, exactly, read_amount, read_asset},
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// A message that waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number between the two chains: its place in the row.
    pub sequence: u64,
    /// The message.
    pub id: MessageId,
    /// What it carries.
    pub amount: Amount,
}

impl Tx<'_> {
    /// Puts a message into the row of those that wait for room in this account.
    pub fn put_waiting(&mut self, chain: ChainId, asset: &Asset, waiting: Waiting) {
        let Waiting { sequence, id, amount } = waiting;
        let value = row::write(2, |out| {
            out.bytes(&id.0).bytes(&amount.to_minimal_bytes());
        });
        self.set(Table::Waiting, &entry_key(&account_key(chain, asset), sequence), value);
        let place = row::write(1, |out| {
            out.array(3).bytes(&row::chain_key(chain)).text(asset.as_str()).uint(sequence);
        });
        self.set(Table::WaitingIds, &id.0, place);
    }

    /// Takes a message out of the row it waits in, and says which account's; none if it waits in
    /// none.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn take_waiting(&mut self, id: &MessageId) -> Result<Option<(ChainId, Asset)>, SpoolError> {
        let Some(bytes) = self.get(Table::WaitingIds, &id.0)? else { return Ok(None) };
        let (chain, asset, sequence) = row::read(Table::WaitingIds, &bytes, 1, |input| {
            exactly(input, "waiting", 3)?;
            Ok((row::read_chain(input)?, read_asset(input)?, input.uint("sequence")?))
        })?;
        self.unset(Table::WaitingIds, &id.0);
        self.unset(Table::Waiting, &entry_key(&account_key(chain, &asset), sequence));
        Ok(Some((chain, asset)))
    }

    /// The first `limit` messages that wait for room in this account, lowest sequence first.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn waiting(
        &self,
        chain: ChainId,
        asset: &Asset,
        limit: usize,
    ) -> Result<Vec<Waiting>, SpoolError> {
        let key = account_key(chain, asset);
        let span = Span::prefix(&[key.as_slice(), &[0]].concat());
        let rows = self.rows(Table::Waiting, &span, Order::Ascending, limit)?;
        rows.iter()
            .map(|(row_key, value)| {
                let sequence = row::number_at(Table::Waiting, row_key, key.len() + 1)?;
                row::read(Table::Waiting, value, 2, |input| {
                    let id = MessageId(input.fixed("id")?);
                    Ok(Waiting { sequence, id, amount: read_amount(input)? })
                })
            })
            .collect()
    }
}
