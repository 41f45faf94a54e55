//! What a peer's statements are held against: messages with value that this side sent and closed,
//! by the height of the peer's chain that their receipts name; and how many messages an account has
//! seen.
//!
//! Once a statement matched, the messages up to its height are only a sum ([`Tx::checkpoint`]), so
//! that what is kept one by one is what passed since the last match.

use distpos_proto::{
    account::Step,
    amount::Amount,
    chain::{ChainId, Height},
    message::{Asset, MessageId},
    statement::{Closed, Open},
};

use super::papers::{read_closed, write_closed};
use crate::{
    accounts::{account_key, read_amount, read_asset},
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Most closed messages that become part of the sum at once, so that no commit is long; the rest
/// follows with the next match.
pub const CHECKPOINT_ROWS_MAX: usize = 4096;

/// How many messages with value an account has seen. Their sums are its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Delivered here: the `count` of the own statements.
    pub delivered: u64,
    /// Left here and not ended.
    pub open: u64,
}

/// What was summed up after a statement matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Checkpoint {
    height: Height,
    closed: Closed,
}

impl Tx<'_> {
    /// How many messages an account has seen.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn tally(&self, chain: ChainId, asset: &Asset) -> Result<Tally, SpoolError> {
        Ok(self.tally_row(chain, asset)?.0)
    }

    /// Counts a step of an account, with the entry that makes it.
    pub(crate) fn count_step(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        step: &Step,
    ) -> Result<(), SpoolError> {
        let (tally, checkpoint) = self.tally_row(chain, asset)?;
        let Tally { delivered, open } = tally;
        let tally = match step {
            Step::Commit { .. } => Tally { delivered: delivered.saturating_add(1), open },
            Step::Lock(_) => Tally { delivered, open: open.saturating_add(1) },
            Step::Close { locked: true, .. } | Step::Refund(_) => {
                Tally { delivered, open: open.saturating_sub(1) }
            }
            Step::Close { locked: false, .. }
            | Step::Set { .. }
            | Step::Deposit(_)
            | Step::Withdraw(_)
            | Step::Reserve(_)
            | Step::Release(_) => return Ok(()),
        };
        self.set_tally_row(chain, asset, tally, checkpoint);
        Ok(())
    }

    /// Notes that a message with value was finally closed, delivered in this block of its
    /// destination; none where a sibling gateway has the receipt that says so.
    pub fn put_settled(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        id: &MessageId,
        amount: Amount,
        height: Option<Height>,
    ) {
        match height {
            Some(height) => {
                let value = row::write(1, |out| {
                    out.bytes(&amount.to_minimal_bytes());
                });
                self.set(Table::Settled, &settled_key(chain, asset, height, id), value);
            }
            None => {
                let value = row::write(2, |out| {
                    out.text(asset.as_str()).bytes(&amount.to_minimal_bytes());
                });
                self.set(Table::Unplaced, &unplaced_key(chain, id), value);
            }
        }
    }

    /// Notes the block in which a message was delivered that was closed before its receipt was
    /// here; nothing happens if it was not.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn place_settled(
        &mut self,
        chain: ChainId,
        id: &MessageId,
        height: Height,
    ) -> Result<(), SpoolError> {
        let key = unplaced_key(chain, id);
        let Some(bytes) = self.get(Table::Unplaced, &key)? else { return Ok(()) };
        let (asset, amount) = read_unplaced(&bytes)?;
        self.unset(Table::Unplaced, &key);
        self.put_settled(chain, &asset, id, amount, Some(height));
        Ok(())
    }

    /// Messages to a chain that were closed and whose receipts are not here, by id from the one
    /// after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn unplaced(
        &self,
        chain: ChainId,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageId>, SpoolError> {
        let chain = row::chain_key(chain);
        let from = after.map_or_else(|| chain.to_vec(), |id| [&chain[..], &id.0, &[0]].concat());
        let span = Span::through(&from, &chain);
        let rows = self.rows(Table::Unplaced, &span, Order::Ascending, limit)?;
        rows.iter()
            .map(|(key, _)| {
                let id = key.get(16..).and_then(|id| id.try_into().ok()).map(MessageId);
                id.ok_or_else(|| row::corrupt(Table::Unplaced, "a key is no chain and message id"))
            })
            .collect()
    }

    /// Messages that were closed and delivered in blocks up to this one of their destination. None
    /// if the height is below that of the last match: what was summed up then cannot be taken
    /// apart.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn closed_up_to(
        &self,
        chain: ChainId,
        asset: &Asset,
        height: Height,
    ) -> Result<Option<Closed>, SpoolError> {
        let Checkpoint { height: least, closed } = self.tally_row(chain, asset)?.1;
        if height < least {
            return Ok(None);
        }
        let rows = self.settled_rows(chain, asset, height, usize::MAX)?;
        rows.into_iter().try_fold(closed, |closed, (_, amount)| with(closed, amount)).map(Some)
    }

    /// Messages whose place before or after any height is not known here: `pending_out` of the
    /// account, and those that were closed without a receipt that is here.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn open_towards(
        &self,
        chain: ChainId,
        asset: &Asset,
        pending_out: Amount,
    ) -> Result<Open, SpoolError> {
        let mut open = Closed { count: self.tally(chain, asset)?.open, sum: pending_out };
        let span = Span::prefix(&row::chain_key(chain));
        for (_, value) in self.rows(Table::Unplaced, &span, Order::Ascending, usize::MAX)? {
            let (of, amount) = read_unplaced(&value)?;
            if of == *asset {
                open = with(open, amount)?;
            }
        }
        Ok(Open { count: open.count, sum: open.sum })
    }

    /// Sums up what was closed up to a height whose statement matched, at most
    /// [`CHECKPOINT_ROWS_MAX`] messages of it. What comes late for a block below it is counted with
    /// the sum all the same. The highest of the summed is from then on the least that can be asked
    /// for, not the height itself: the peer may name any.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn checkpoint(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        height: Height,
    ) -> Result<(), SpoolError> {
        let (tally, mut checkpoint) = self.tally_row(chain, asset)?;
        let rows = self.settled_rows(chain, asset, height, CHECKPOINT_ROWS_MAX)?;
        for (key, amount) in rows {
            checkpoint.closed = with(checkpoint.closed, amount)?;
            let at = key.len().saturating_sub(40);
            let of = Height(row::number_at(Table::Settled, &key, at)?);
            checkpoint.height = checkpoint.height.max(of);
            self.unset(Table::Settled, &key);
        }
        self.set_tally_row(chain, asset, tally, checkpoint);
        Ok(())
    }

    /// Closed messages up to a height, ascending, with their keys.
    fn settled_rows(
        &self,
        chain: ChainId,
        asset: &Asset,
        height: Height,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Amount)>, SpoolError> {
        let prefix = settled_prefix(chain, asset);
        let last = [prefix.as_slice(), &height.0.to_be_bytes()].concat();
        let span = Span::through(&prefix, &last);
        let rows = self.rows(Table::Settled, &span, Order::Ascending, limit)?;
        rows.into_iter()
            .map(|(key, value)| Ok((key, row::read(Table::Settled, &value, 1, read_amount)?)))
            .collect()
    }

    fn tally_row(&self, chain: ChainId, asset: &Asset) -> Result<(Tally, Checkpoint), SpoolError> {
        let bytes = self.get(Table::Tallies, &account_key(chain, asset))?;
        let Some(bytes) = bytes else { return Ok((Tally::default(), Checkpoint::default())) };
        row::read(Table::Tallies, &bytes, 5, |input| {
            let delivered = input.uint("delivered")?;
            let tally = Tally { delivered, open: input.uint("open")? };
            let height = Height(input.uint("checkpoint height")?);
            Ok((tally, Checkpoint { height, closed: read_closed(input)? }))
        })
    }

    fn set_tally_row(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        tally: Tally,
        checkpoint: Checkpoint,
    ) {
        let value = row::write(5, |out| {
            out.uint(tally.delivered).uint(tally.open).uint(checkpoint.height.0);
            write_closed(checkpoint.closed, out);
        });
        self.set(Table::Tallies, &account_key(chain, asset), value);
    }
}

fn with(closed: Closed, amount: Amount) -> Result<Closed, SpoolError> {
    let sum = closed.sum.checked_add(amount);
    let sum = sum.ok_or_else(|| row::corrupt(Table::Settled, "a sum of 2^256 or more"))?;
    Ok(Closed { count: closed.count.saturating_add(1), sum })
}

/// No asset's text holds a zero byte, so that no account's keys start with another's.
fn settled_prefix(chain: ChainId, asset: &Asset) -> Vec<u8> {
    [account_key(chain, asset).as_slice(), &[0]].concat()
}

fn settled_key(chain: ChainId, asset: &Asset, height: Height, id: &MessageId) -> Vec<u8> {
    let prefix = settled_prefix(chain, asset);
    [prefix.as_slice(), &height.0.to_be_bytes(), &id.0].concat()
}

fn unplaced_key(chain: ChainId, id: &MessageId) -> Vec<u8> {
    [row::chain_key(chain).as_slice(), &id.0].concat()
}

fn read_unplaced(bytes: &[u8]) -> Result<(Asset, Amount), SpoolError> {
    row::read(Table::Unplaced, bytes, 2, |input| Ok((read_asset(input)?, read_amount(input)?)))
}
