//! The ledger as the gateway sees it.

use async_trait::async_trait;
use distpos_proto::{
    address::Local,
    chain::Height,
    code::{Code, Reply},
    message::{Message, MessageId},
    receipt::Ending,
    stage::{Admitted, Refused},
    wire::Head,
};

use super::{
    Ledger, address,
    block::Block,
    cursor,
    judge::judge,
    queue::Work,
    state::{AccountRow, load},
    transaction::{AccountOrder, Action, BYTES_MAX, ITEMS_MAX, SettleOrder, SignedTransaction},
};
use crate::chain::{
    Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission, Submitted,
    Watched,
};

/// Most blocks in one answer of [`LocalChain::watch`].
const WATCHED_BLOCKS_MAX: usize = 64;
/// Most messages and events in one answer, unless one block alone has more.
const WATCHED_ITEMS_MAX: usize = 1024;
/// Most bytes of stored blocks read for one answer, unless one block alone has more.
const WATCHED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most heights looked at for one answer: most blocks may hold nothing for the gateway.
const WATCHED_HEIGHTS_MAX: u64 = 1024;
/// Most bytes of messages in one transaction; more go into several of the same block.
const ACTION_BYTES_MAX: usize = BYTES_MAX / 2;

#[async_trait]
impl LocalChain for Ledger {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn head(&self) -> Result<Head, ChainError> {
        Ok(*self.head.borrow())
    }

    async fn watch(&self, after: Option<Cursor>) -> Result<Watched, ChainError> {
        let from = match after {
            None => 0,
            Some(after) => {
                self.check_cursor(after)?;
                after.height.0.saturating_add(1)
            }
        };
        loop {
            // Made before looking, so that a block made in between is not missed.
            let sealed = self.sealed.notified();
            if self.head.borrow().height.0 >= from {
                break;
            }
            sealed.await;
        }
        self.blocks_from(from)
    }

    async fn prove(&self, height: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError> {
        self.prove_in(height, ids)
    }

    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError> {
        let time = (self.clock)().seconds().max(self.head.borrow().time);
        Ok(judge(&self.store.snapshot()?, self.own(), message, time)?)
    }

    /// Accounts are paid and never called.
    async fn estimate(&self, _message: &Message) -> Result<Option<u64>, ChainError> {
        Ok(Some(0))
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        let work = match submission {
            Submission::User(bytes) => {
                let signed = SignedTransaction::from_bytes(&bytes).map_err(ChainError::Refused)?;
                // An authority acts from within this process. Whoever else has its key, perhaps one
                // that was retired because it was stolen, does nothing with it here.
                if signed.transaction.action.is_authoritys() {
                    let text = "only the gateway itself does this";
                    return Err(ChainError::Refused(Reply::new(Code::POLICY, text)));
                }
                Work::User(Box::new(signed))
            }
            Submission::Deliver(admitted) => Work::Authority(deliveries(&admitted)),
            Submission::Void(refused) => Work::Authority(voids(&refused)),
            Submission::End(endings) => Work::Authority(ends(&endings)),
            Submission::Account { chain, tag, asset, terms, limits } => {
                let order = AccountOrder { chain, asset, terms, limits };
                let known = self.registered(chain)?;
                let tag = tag.filter(|tag| known != Some(*tag));
                let register = tag.map(|tag| Action::Register(chain, tag));
                Work::Authority(register.into_iter().chain([Action::Account(order)]).collect())
            }
            Submission::Settle { chain, asset, change, to, note } => {
                let to = to.as_ref().map(address::public_key).transpose();
                let to = to.map_err(ChainError::Refused)?;
                let order = SettleOrder { chain, asset, change, to, note };
                Work::Authority(vec![Action::Settle(order)])
            }
        };
        self.in_a_block(work).await
    }

    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        let Ok(key) = address::public_key(local) else { return Ok(None) };
        let row = load::<AccountRow>(&self.store.snapshot()?, &key)?;
        Ok(row.map(|row| Account { balance: row.balance.into(), nonce: row.nonce }))
    }
}

impl Ledger {
    /// A cursor must be of a block of this chain: anything else was rolled back or swapped.
    fn check_cursor(&self, after: Cursor) -> Result<(), ChainError> {
        let found = match self.store.snapshot()?.block(after.height.0)? {
            None => format!("its newest block is {}", self.head.borrow().height),
            Some(bytes) => {
                let found = Block::from_bytes(after.height.0, &bytes)?.head().block;
                if found == after.block {
                    return Ok(());
                }
                format!("block {} is {found}", after.height)
            }
        };
        let expected = format!("expected block {} to be {}", after.height, after.block);
        Err(ChainError::OtherChain(format!("{found}, {expected}")))
    }

    fn blocks_from(&self, from: u64) -> Result<Watched, ChainError> {
        let snapshot = self.store.snapshot()?;
        let (mut blocks, mut items, mut bytes, mut seen) = (Vec::new(), 0, 0, None);
        for height in from..from.saturating_add(WATCHED_HEIGHTS_MAX) {
            let Some(row) = snapshot.block(height)? else { break };
            let block = Block::from_bytes(height, &row)?;
            items += block.outgoing.len() + block.events.len();
            bytes += row.len();
            let full = blocks.len() == WATCHED_BLOCKS_MAX
                || items > WATCHED_ITEMS_MAX
                || bytes > WATCHED_BYTES_MAX;
            if full && seen.is_some() {
                break;
            }
            seen = Some(cursor(block.head()));
            if block.concerns_gateway() {
                blocks.push(block.into_final());
            }
        }
        let missing = || ChainError::Store(format!("block {from} is missing, expected it stored"));
        Ok(Watched { blocks, cursor: seen.ok_or_else(missing)? })
    }
}

fn deliveries(admitted: &[Admitted]) -> Vec<Action> {
    let messages = admitted.iter().map(|admitted| admitted.message().clone());
    let chunks = chunked(messages, |message| message.bytes().len());
    chunks.into_iter().map(Action::Deliver).collect()
}

fn voids(refused: &[Refused]) -> Vec<Action> {
    let items = refused.iter().map(|refused| {
        let reply = Reply::new(refused.code(), refused.reply().text());
        (refused.message().clone(), reply)
    });
    let chunks = chunked(items, |(message, _)| message.bytes().len() + 2 * Reply::TEXT_MAX);
    chunks.into_iter().map(Action::Void).collect()
}

fn ends(endings: &[Ending]) -> Vec<Action> {
    let items = endings.iter().map(|ending| (ending.id(), ending.kind()));
    chunked(items, |_| 40).into_iter().map(Action::End).collect()
}

/// Cuts items into transactions within their limits.
fn chunked<T>(items: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut chunks, mut room) = (Vec::<Vec<T>>::new(), 0);
    for item in items {
        let size = bytes(&item);
        match chunks.last_mut() {
            Some(chunk) if size <= room && chunk.len() < ITEMS_MAX => {
                room -= size;
                chunk.push(item);
            }
            _ => {
                room = ACTION_BYTES_MAX.saturating_sub(size);
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_of_any_size_is_cut_into_transactions_within_their_limits() {
        let cut = |sizes: &[usize]| {
            let chunks = chunked(sizes.iter().copied(), |size| *size);
            assert_eq!(chunks.concat(), sizes, "all of it, in order");
            chunks.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[]), Vec::<usize>::new());
        assert_eq!(cut(&[1; ITEMS_MAX + 1]), [ITEMS_MAX, 1]);
        let half = ACTION_BYTES_MAX / 2;
        assert_eq!(cut(&[half, half, 1]), [2, 1]);
        assert_eq!(cut(&[half, half + 1, half - 1]), [1, 2]);
        // Even the largest messages with their framing stay within a transaction's bytes.
        let largest = Message::BYTES_MAX + 2 * Reply::TEXT_MAX;
        let longest: usize = cut(&[largest; 200]).into_iter().max().unwrap() * (largest + 16);
        assert!(longest < BYTES_MAX, "{longest}");
    }
}
