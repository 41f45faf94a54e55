//! What waits for the next block. Whoever makes it takes everything along: one flush serves all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::transaction::{Action, SignedTransaction};
use crate::chain::{ChainError, Submitted};

/// Most submissions that wait.
const WAITING_MAX: usize = 16 * 1024;
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
        Action::Open | Action::Transfer { .. } | Action::Send(_) | Action::Register(..) => 0,
    }
}

/// Waiting work in the order it came, and what became of work that is done.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next: u64,
    waiting: VecDeque<(u64, Work)>,
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
        self.waiting.drain(..count).collect()
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
        if held.waiting.len() >= WAITING_MAX {
            let cause = format!("{WAITING_MAX} submissions wait for a block already");
            return Err(ChainError::Unreachable { node: "embedded ledger".into(), cause });
        }
        let number = held.next;
        held.next += 1;
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
        queue.waiting.retain(|(number, _)| *number != self.number);
    }
}

/// A panic elsewhere leaves a queue that is whole: its parts change one at a time.
pub(super) fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
