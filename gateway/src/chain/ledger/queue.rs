//! What waits for the next block. Whoever makes it takes everything along: one flush serves all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::transaction::{Action, SignedTransaction};
use crate::chain::{ChainError, Submitted};

/// Most submissions that wait.
const WAITING_MAX: usize = 16 * 1024;
/// Most bytes of messages and transactions that wait.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of messages and transactions that go into one block; one submission always does.
const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Something to put into a block.
#[derive(Debug)]
pub(super) enum Work {
    /// A user's transaction.
    User(Box<SignedTransaction>),
    /// What an authority does, a transaction each.
    Authority(Vec<Action>),
    /// A block, whatever is in it.
    Nothing,
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Self::User(signed) => signed.bytes.len(),
            Self::Authority(actions) => actions.iter().map(action_bytes).sum(),
            Self::Nothing => 0,
        }
    }
}

fn action_bytes(action: &Action) -> usize {
    match action {
        Action::Deliver(messages) => messages.iter().map(|message| message.bytes().len()).sum(),
        Action::Void(items) => items.iter().map(|(message, _)| message.bytes().len()).sum(),
        Action::End(items) => items.len() * 40,
        Action::Open
        | Action::Transfer { .. }
        | Action::Send(_)
        | Action::Deposit { .. }
        | Action::Register(..)
        | Action::Account(_)
        | Action::Settle(_) => 0,
    }
}

/// Waiting work in the order it came, and what became of work that is done.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next: u64,
    waiting: VecDeque<(u64, Work)>,
    /// Of all that waits.
    bytes: usize,
    done: BTreeMap<u64, Result<Submitted, ChainError>>,
}

impl Queue {
    /// Takes the work for one block.
    pub(super) fn take(&mut self) -> Vec<(u64, Work)> {
        let mut bytes = 0;
        let count = self.waiting.iter().take_while(|(_, work)| {
            let first = bytes == 0;
            bytes += work.bytes().max(1);
            first || bytes <= BLOCK_BYTES_MAX
        });
        let count = count.count();
        let taken: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes = self.waiting.iter().map(|(_, work)| work.bytes()).sum();
        taken
    }

    /// Leaves a result for whoever waits for it.
    pub(super) fn finish(&mut self, number: u64, result: Result<Submitted, ChainError>) {
        self.done.insert(number, result);
    }
}

/// A place in the queue. Dropped, it takes back what is not in a block yet.
#[derive(Debug)]
pub(super) struct Ticket<'q> {
    queue: &'q Mutex<Queue>,
    number: u64,
}

impl<'q> Ticket<'q> {
    /// Queues work.
    ///
    /// # Errors
    /// [`ChainError::Unreachable`] if too much is waiting: come again.
    pub(super) fn new(queue: &'q Mutex<Queue>, work: Work) -> Result<Self, ChainError> {
        let mut held = lock(queue);
        let (waiting, bytes) = (held.waiting.len(), held.bytes + work.bytes());
        if waiting >= WAITING_MAX || (waiting > 0 && bytes > WAITING_BYTES_MAX) {
            let cause = format!("{waiting} submissions wait for a block already");
            return Err(ChainError::Unreachable { node: "embedded ledger".into(), cause });
        }
        let number = held.next;
        held.next += 1;
        held.bytes = bytes;
        held.waiting.push_back((number, work));
        Ok(Self { queue, number })
    }

    /// What became of it, once it is in a block.
    pub(super) fn result(&self) -> Option<Result<Submitted, ChainError>> {
        lock(self.queue).done.remove(&self.number)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut queue = lock(self.queue);
        queue.done.remove(&self.number);
        if let Ok(at) = queue.waiting.binary_search_by_key(&self.number, |(number, _)| *number)
            && let Some((_, work)) = queue.waiting.remove(at)
        {
            queue.bytes = queue.bytes.saturating_sub(work.bytes());
        }
    }
}

/// A panic elsewhere leaves a queue that is whole: its parts change one at a time.
pub(super) fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use distpos_proto::{chain::GenesisTag, key::SecretKey};

    use super::*;
    use crate::chain::ledger::transaction::{self, Place};

    fn user(seed: u8) -> Work {
        let place = Place { chain: "e2e4".parse().unwrap(), tag: GenesisTag([1; 8]), nonce: 0 };
        let bytes = transaction::open(place, &SecretKey::from_seed(&[seed; 32]));
        Work::User(Box::new(SignedTransaction::from_bytes(&bytes).unwrap()))
    }

    #[test]
    fn who_leaves_the_queue_takes_his_work_along_and_the_count_is_right() {
        let queue = Mutex::new(Queue::default());
        let first = Ticket::new(&queue, user(1)).unwrap();
        let second = Ticket::new(&queue, user(2)).unwrap();
        let bytes = lock(&queue).bytes;
        drop(first);
        assert_eq!(lock(&queue).bytes * 2, bytes);
        let taken = lock(&queue).take();
        assert_eq!((taken.len(), taken[0].0, lock(&queue).bytes), (1, second.number, 0));
        assert!(second.result().is_none());
    }

    #[test]
    fn a_full_queue_says_come_again() {
        let queue = Mutex::new(Queue::default());
        let tickets: Vec<_> =
            (0..WAITING_MAX).map(|_| Ticket::new(&queue, Work::Nothing).unwrap()).collect();
        let refused = Ticket::new(&queue, Work::Nothing).unwrap_err();
        assert!(refused.is_temporary(), "{refused}");
        drop(tickets);
        assert!(Ticket::new(&queue, Work::Nothing).is_ok());
    }
}
