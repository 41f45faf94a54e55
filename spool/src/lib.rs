//! What must survive a crash: queue, chain cursor, copies of guard and accounts, in one store.
//!
//! A [`Spool`] is one directory and one writer. Work is handed in as closures over a transaction,
//! [`Tx`]; a committer thread takes all that are waiting, runs them one after the other, writes
//! what they changed in one commit, flushes it, and only then answers any of them. So a queue
//! entry, its place in the due order, its id and the cursor behind it appear together or not at
//! all, and what was acknowledged is on the disk.
//!
//! ```text
//! Spool::transact(closure) --> committer --> Tx over Changes over a Snapshot --> Store::commit
//! Spool::read(closure)     -------------------> Tx over a Snapshot
//! ```
//!
//! The unit of the queue is the [`Batch`]: consecutive messages of one source block for one
//! destination. Its rows are kept apart by how often they change: the small state, the list of its
//! messages, their bodies. A message leaves its batch only when it fares differently
//! ([`Tx::split`]).
//!
//! Papers of accounts (terms, statements, requests for reserve) are kept with what came of sending
//! them, beside the closed messages that a peer's statements are held against.
//!
//! The guard's and the accounts' authority is the chain; what is kept here are copies that commit
//! together with the queue.

mod accounts;
mod changes;
mod committer;
mod correspondence;
mod error;
mod frozen;
mod guard;
mod headers;
mod notes;
mod proven;
mod queue;
mod row;
mod signed;
mod silence;
mod spool;
mod standing;
mod store;
mod suspended;
mod transaction;
mod trust;
mod waiting;

pub use accounts::{AccountRow, Act, Entry, Reserved, Suspension};
pub use correspondence::{
    AgreedTerms, CHECKPOINT_ROWS_MAX, OwnTerms, RequestRow, Sending, StatementRow, Tally, TermsRow,
    TheirTerms, Unmatched,
};
pub use error::SpoolError;
pub use guard::{End, EndPlace, Old, Pruned};
pub use headers::KNOWN_HEADERS_MAX;
pub use notes::Cursor;
pub use proven::Prover;
pub use queue::{
    Batch, BatchId, Change, Direction, HISTORY_MAX, Item, Line, NewBatch, Place, State,
};
pub use signed::{ATTEMPTS_MAX, Account, Attempt, SignedTransaction};
pub use silence::Silence;
pub use spool::{Space, Spool, Stats};
pub use standing::{STANDING_ENTRIES_MAX, STANDING_GATEWAYS_MAX, StandingEntry, StandingRow};
pub use store::memory::MemoryDisk;
pub use suspended::PairSuspension;
pub use transaction::Tx;
pub use waiting::Waiting;
