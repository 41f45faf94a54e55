//! How many messages there are for each peer and state: stored counters, never a scan.

use std::collections::BTreeMap;

use distpos_proto::chain::ChainId;

use crate::{
    error::SpoolError,
    queue::{Direction, State},
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

impl Tx<'_> {
    /// How many messages are in the queue, by peer and state; what has none is not listed.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn count(
        &self,
        direction: Direction,
    ) -> Result<BTreeMap<(ChainId, State), u64>, SpoolError> {
        let table = Table::Counts(direction);
        let rows = self.rows(table, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.into_iter()
            .map(|(key, value)| Ok((read_key(table, &key)?, read(table, &value)?)))
            .collect()
    }

    /// How many messages of one peer are in one state: for quotas.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn count_for(
        &self,
        direction: Direction,
        peer: ChainId,
        state: State,
    ) -> Result<u64, SpoolError> {
        let table = Table::Counts(direction);
        let bytes = self.get(table, &key(peer, state))?;
        bytes.map_or(Ok(0), |bytes| read(table, &bytes))
    }

    pub(crate) fn count_in(
        &mut self,
        direction: Direction,
        added: Counted,
    ) -> Result<(), SpoolError> {
        let Some((peer, state, messages)) = added else { return Ok(()) };
        let count = self.count_for(direction, peer, state)?.checked_add(messages);
        self.set_count(direction, peer, state, count)
    }

    pub(crate) fn count_out(
        &mut self,
        direction: Direction,
        gone: Counted,
    ) -> Result<(), SpoolError> {
        let Some((peer, state, messages)) = gone else { return Ok(()) };
        let count = self.count_for(direction, peer, state)?.checked_sub(messages);
        self.set_count(direction, peer, state, count)
    }

    fn set_count(
        &mut self,
        direction: Direction,
        peer: ChainId,
        state: State,
        count: Option<u64>,
    ) -> Result<(), SpoolError> {
        let (table, key) = (Table::Counts(direction), key(peer, state));
        match count {
            None => return Err(row::corrupt(table, format!("count of {state} of {peer} is off"))),
            Some(0) => self.unset(table, &key),
            Some(count) => self.set(
                table,
                &key,
                row::write(1, |out| {
                    out.uint(count);
                }),
            ),
        }
        Ok(())
    }
}

/// Peer, state and number of messages of a batch; none where there is no batch.
type Counted = Option<(ChainId, State, u64)>;

/// The key of a peer and state, also the front part of a key in the due order.
pub(crate) fn key(peer: ChainId, state: State) -> [u8; 17] {
    let mut key = [0; 17];
    key[..16].copy_from_slice(&row::chain_key(peer));
    key[16] = state.number();
    key
}

fn read_key(table: Table, key: &[u8]) -> Result<(ChainId, State), SpoolError> {
    let parts = || {
        let (chain, state) = key.split_at_checked(16)?;
        let [state] = *state else { return None };
        let chain = row::chain_of(chain.try_into().ok()?).ok()?;
        Some((chain, State::from_number(state)?))
    };
    parts().ok_or_else(|| row::corrupt(table, "a key is no peer and state"))
}

fn read(table: Table, bytes: &[u8]) -> Result<u64, SpoolError> {
    row::read(table, bytes, 1, |input| input.uint("count"))
}
