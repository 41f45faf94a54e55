//! Making blocks: wait for one's turn, execute what waits, sign, commit, tell the watchers.

use std::sync::Arc;

use distpos_proto::{
    chain::Height,
    header::HeaderHash,
    key::SecretKey,
    light::ledger::LedgerHeader,
    proof::merkle::{Tree, leaf_hash},
    wire::Head,
};
use tokio::time::{Instant, sleep_until};

use super::{
    Ledger, LedgerError,
    block::{Block, tree_over},
    execute::Draft,
    newest,
    queue::{Ticket, Work, lock},
    state::{AuthorityNonce, load},
    store::{Commit, Snapshot},
    transaction::{Action, Place, SignedTransaction},
};
use crate::chain::{ChainError, Submitted};

impl Ledger {
    /// Puts work into a block and returns when that block is on disk, or when the work was refused.
    ///
    /// Nobody else makes blocks: whoever waits longest makes the next one, for all who wait.
    /// Dropped while it waits, nothing has happened.
    pub(super) async fn in_a_block(&self, work: Work) -> Result<Submitted, ChainError> {
        let ticket = Ticket::new(&self.queue, work)?;
        loop {
            let mut last = self.sealing.lock().await;
            if let Some(result) = ticket.result() {
                return result;
            }
            let due = self.interval.zip(*last).map(|(interval, last)| last + interval);
            match due.filter(|due| *due > Instant::now()) {
                Some(due) => {
                    drop(last);
                    sleep_until(due).await;
                }
                None => {
                    // One file and one flush: this blocks its thread for about as long as a
                    // thread switch would take, and keeps a simulation deterministic.
                    self.seal_waiting();
                    *last = Some(Instant::now());
                }
            }
        }
    }

    /// Makes one block of what waits. The caller holds `sealing`.
    fn seal_waiting(&self) {
        let taken = lock(&self.queue).take();
        let (numbers, works): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        let mut results = Vec::with_capacity(works.len());
        if let Err(error) = self.seal_block(&works, &mut results) {
            // Nothing is in a block then, whatever was executed.
            let failed = |_: &u64| Err(ChainError::Store(error.to_string()));
            results = numbers.iter().map(failed).collect();
        }
        let mut queue = lock(&self.queue);
        for (number, result) in numbers.into_iter().zip(results) {
            queue.finish(number, result);
        }
    }

    fn seal_block(
        &self,
        works: &[Work],
        results: &mut Vec<Result<Submitted, ChainError>>,
    ) -> Result<(), LedgerError> {
        let snapshot = self.store.snapshot()?;
        let before = self.newest_of(&snapshot)?;
        let time = (self.clock)().seconds().max(before.time);
        let height = before.height.0.checked_add(1).map(Height);
        let height = height
            .ok_or_else(|| LedgerError::Corrupt { row: "block row", what: "past 2^64".into() })?;
        let mut draft = Draft::new(self.rules(), &snapshot, height, time);
        for work in works {
            results.push(self.execute(&mut draft, work));
        }
        let wanted = works.iter().any(|work| matches!(work, Work::Nothing));
        if draft.transactions.is_empty() && !wanted {
            return Ok(());
        }
        let head = self.commit(draft, before)?;
        self.head.send_replace(head);
        self.sealed.notify_waiters();
        Ok(())
    }

    /// The newest block there is. A commit that the disk failed at the very end may be there after
    /// all, once the store was opened anew.
    fn newest_of(&self, snapshot: &Snapshot) -> Result<Head, LedgerError> {
        let known = *self.head.borrow();
        if snapshot.newest_height()? == Some(known.height.0) {
            return Ok(known);
        }
        let head = newest(snapshot)?.head();
        self.head.send_replace(head);
        self.sealed.notify_waiters();
        Ok(head)
    }

    fn execute(&self, draft: &mut Draft<'_>, work: &Work) -> Result<Submitted, ChainError> {
        let mut submitted = Submitted { transaction: Vec::new(), refused: Vec::new() };
        match work {
            Work::User(signed) => {
                draft.apply(signed)?;
                submitted.transaction = signed.id.0.to_vec();
            }
            Work::Authority(actions) => {
                for action in actions {
                    let signed = self.sign(draft, action.clone())?;
                    submitted.refused.extend(draft.apply(&signed)?.refused);
                    submitted.transaction = signed.id.0.to_vec();
                }
            }
            Work::Nothing => {}
        }
        Ok(submitted)
    }

    /// The gateway's own transaction, by the first of its keys.
    fn sign(&self, draft: &Draft<'_>, action: Action) -> Result<SignedTransaction, LedgerError> {
        let key: &SecretKey = self.keys.first().ok_or(LedgerError::NoAuthority)?;
        let nonce = load::<AuthorityNonce>(draft.rows(), &key.public())?.unwrap_or_default().0;
        let place = Place { chain: self.facts.chain, tag: self.facts.tag, nonce };
        Ok(SignedTransaction::sign(place, action, key))
    }

    /// Whose signatures a header carries.
    pub(super) fn sealers(&self) -> Arc<[SecretKey]> {
        lock(&self.sealers).clone()
    }

    /// Orders, signs and writes the block.
    fn commit(&self, mut draft: Draft<'_>, before: Head) -> Result<Head, LedgerError> {
        let mut outgoing = std::mem::take(&mut draft.outgoing);
        outgoing.sort_by_key(|message| (message.fields().destination, message.fields().sequence));
        let transactions = std::mem::take(&mut draft.transactions);
        let leaves = transactions.iter().map(|bytes| leaf_hash(bytes)).collect();
        let header = LedgerHeader {
            chain: self.facts.chain,
            tag: self.facts.tag,
            height: draft.height,
            previous: HeaderHash(before.block.0),
            time: draft.time,
            transactions_root: Tree::new(leaves).root(),
            leaf_count: outgoing.len() as u64,
            root: tree_over(&outgoing).root(),
        };
        let events = std::mem::take(&mut draft.events);
        let header = header.sign(self.sealers().iter());
        let block = Block { header, outgoing, events };
        self.store.commit(&Commit {
            height: draft.height.0,
            block: &block.bytes(),
            transactions: &transactions,
            changes: &draft.into_changes(),
        })?;
        Ok(block.head())
    }
}
