//! The embedded chain: accounts, signed transfers, blocks, an outbox and a guard, in one file.
//!
//! It is for communities without a node of their own, for demonstrations and for tests: the main
//! job runs with no other program installed. One process makes the blocks; other chains verify
//! them by the signatures of the authorities that genesis names.
//!
//! - An **account** is an ed25519 key, its address the key's 64 hex digits. It exists once it was
//!   opened, by genesis or by its owner; nothing is ever paid to one that does not, so a typing
//!   error swallows no money.
//! - A **block** is made when something waits for one: at once, or not before an interval after
//!   the block before it. There are no empty blocks unless [`Ledger::seal`] is asked for one. Its
//!   time is the clock's, never before its predecessor's; it is final when it is on disk.
//! - What **leaves** is locked in escrow until its receipt comes: closed, it goes to the vault;
//!   refunded, to its sender. What **arrives** is paid from the vault (the float of genesis, what
//!   was closed and what was deposited), never from open escrow. There is one coin: the asset of
//!   the account with a peer is paid in it, one to one. Accounts, escrow and vault add up to the
//!   supply of genesis after every block.
//! - Each **peer** has one open account here ([`distpos_proto::account`]): without one no value
//!   arrives. Its cover, what left and was deposited less what arrived, is that peer's part of the
//!   vault; the rest is the community's float. Both together are the vault, so that no peer's
//!   credit is paid from another one's deposit.
//! - The **guard** has every message that was delivered or voided here, for ever. Whatever several
//!   gateways of this chain submit at once, a message ends once.
//!
//! Two gateways of one ledger share it within a process (an [`std::sync::Arc`]); a second process
//! is refused by the lock on the store.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as Held},
    time::Duration,
};

use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{BlockHash, Family, GenesisTag, Height},
    code::{Code, Reply},
    key::{PublicKey, SecretKey},
    message::{Message, MessageId},
    wire::Head,
};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, watch};

use super::{ChainError, Facts};
use crate::clock::Clock;
use block::Block;
use execute::Rules;
use judge::Own;
use prove::Proving;
use queue::{Queue, Work, lock};
use state::{AccountRow, Guard, IncludedRow, Overlay, Row, load};
use store::{Commit, Rows, Snapshot, Store};
use transaction::{Action, SignedTransaction};

pub use genesis::Genesis;
pub use transaction::TransactionId;

mod accounts;
pub mod address;
mod block;
mod credit;
mod execute;
mod genesis;
mod judge;
mod local_chain;
mod prove;
mod queue;
mod seal;
mod state;
mod store;
pub mod transaction;

#[cfg(test)]
mod tests;

pub use distpos_proto::light::ledger::OUTBOX;

/// The embedded chain.
pub struct Ledger {
    facts: Facts,
    genesis: Genesis,
    /// Of these authorities this process has the secret keys; never empty.
    keys: Arc<[SecretKey]>,
    /// Whose signatures peers look for on headers: the authorities' unless others were named.
    sealers: Held<Arc<[SecretKey]>>,
    clock: Clock,
    /// Least time between two blocks; none makes them on demand.
    interval: Option<Duration>,
    store: Store,
    head: watch::Sender<Head>,
    /// Wakes those who wait for a block in the order in which they came: a watch channel has an
    /// order of its own choice, and a simulation would not be the same twice.
    sealed: Notify,
    queue: Held<Queue>,
    /// Held by whoever makes a block; tells when the last one was made.
    sealing: Mutex<Option<tokio::time::Instant>>,
    /// The tree of the block that was proven last: batches of one block are asked for in a row.
    proving: Held<Option<Proving>>,
}

/// Why a ledger cannot be opened, or its store not be used.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The configuration's fault.
    #[error("genesis: {0}")]
    Genesis(String),
    /// A key that may not sign for this chain. The configuration's fault.
    #[error("key {0} is no authority of this ledger's genesis")]
    Authority(PublicKey),
    /// Nobody to sign. The configuration's fault.
    #[error("no authority's secret key was given, expected at least one")]
    NoAuthority,
    /// The store is of another ledger. The configuration's fault.
    #[error("store was begun with another genesis than the configured one of tag {expected}")]
    OtherGenesis {
        /// The configured genesis's tag.
        expected: GenesisTag,
    },
    /// Another process has it open: stop that one.
    #[error("{} is in use: another process runs this ledger", .0.display())]
    Locked(PathBuf),
    /// Written by another version of this program: that one reads it, or begin a new one.
    #[error("store has format {}, expected {expected}: another version of this program wrote it",
        .found.map_or_else(|| "unknown".to_owned(), |found| found.to_string()))]
    Format {
        /// What the store says.
        found: Option<u64>,
        /// What this version reads.
        expected: u64,
    },
    /// A row that this program did not write: restore a backup.
    #[error("store is damaged: {row}: {what}")]
    Corrupt {
        /// The kind of row.
        row: &'static str,
        /// What was found and what was expected.
        what: String,
    },
    /// The disk is full or fails. What is on it is whole; the store is opened anew when it is next
    /// used, so trying again may help.
    #[error("store cannot be read or written: {0}")]
    Disk(String),
    /// The database says that its file is not one of its own, or damaged: restore a backup.
    #[error("store: {0}")]
    Engine(String),
}

impl From<LedgerError> for ChainError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::OtherGenesis { .. } => Self::OtherChain(error.to_string()),
            other => Self::Store(other.to_string()),
        }
    }
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    /// The block.
    pub height: Height,
    /// The message that left with it, if it was a send.
    pub message: Option<MessageId>,
}

/// How a message that came here ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Delivered; with its data, which the recipient reads here.
    Delivered {
        /// The block.
        height: Height,
        /// The message.
        message: Message,
    },
    /// Void for this reason.
    Void(Reply),
}

impl Ledger {
    /// Opens the ledger in `directory`, or begins it there. Blocks are made on demand.
    ///
    /// # Errors
    /// [`LedgerError`]: another process has it, another genesis, a newer format, a damaged file, or
    /// keys that are no authority's.
    pub fn open(
        directory: &Path,
        genesis: Genesis,
        keys: Vec<SecretKey>,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        Self::with_store(Store::open(directory)?, genesis, keys, clock)
    }

    /// A ledger that lives as long as the value. Blocks are made on demand.
    ///
    /// # Errors
    /// [`LedgerError`]: a genesis that makes no chain, or keys that are no authority's.
    pub fn in_memory(
        genesis: Genesis,
        keys: Vec<SecretKey>,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        Self::with_store(Store::in_memory()?, genesis, keys, clock)
    }

    /// These keys are on its headers from now on, so that peers follow the chain's keys when they
    /// turn over; its authorities stay those of genesis. Shown headers are signed with them whenever
    /// they were made.
    pub fn seal_with(&self, keys: Vec<SecretKey>) {
        *lock(&self.sealers) = keys.into();
    }

    /// The same ledger with at least `interval` between two blocks; zero for blocks on demand.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = (!interval.is_zero()).then_some(interval);
        self
    }

    fn with_store(
        store: Store,
        genesis: Genesis,
        keys: Vec<SecretKey>,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        let signers: BTreeSet<_> = keys.iter().map(SecretKey::public).collect();
        if let Some(stranger) = signers.difference(&genesis.authorities).next() {
            return Err(LedgerError::Authority(*stranger));
        }
        if keys.is_empty() {
            return Err(LedgerError::NoAuthority);
        }
        let (tag, keys) = (genesis.tag(), Arc::from(keys));
        match store.genesis()? {
            None => begin(&store, &genesis, &keys)?,
            Some(held) if held != genesis.bytes() => {
                return Err(LedgerError::OtherGenesis { expected: tag });
            }
            Some(_) => {}
        }
        let head = newest(&store.snapshot()?)?.head();
        let (chain, family) = (genesis.chain, Family::Ledger);
        Ok(Self {
            facts: Facts { chain, tag, family, outbox: OUTBOX.to_vec() },
            genesis,
            sealers: Held::new(Arc::clone(&keys)),
            keys,
            clock,
            interval: None,
            store,
            head: watch::Sender::new(head),
            sealed: Notify::new(),
            queue: Held::default(),
            sealing: Mutex::default(),
            proving: Held::default(),
        })
    }

    /// What an account holds; none if it is not open.
    ///
    /// # Errors
    /// [`ChainError::Refused`] for what is no address, else [`ChainError::Store`].
    pub fn balance(&self, local: &Local) -> Result<Option<Amount>, ChainError> {
        Ok(self.row_of(local)?.map(|account| account.balance.into()))
    }

    /// The sum of all accounts, escrow and vault: always the supply of genesis.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn total(&self) -> Result<Amount, ChainError> {
        let snapshot = self.store.snapshot()?;
        let totals = judge::totals(&snapshot)?;
        let mut total = Amount::from(totals.escrow).checked_add(totals.vault.into());
        snapshot.each_row(AccountRow::KIND, |_, row| {
            let account = AccountRow::from_bytes(row)?;
            total = total.and_then(|total| total.checked_add(account.balance.into()));
            Ok(())
        })?;
        let past = || LedgerError::Corrupt { row: "sums", what: "past 2^256".into() };
        Ok(total.ok_or_else(past)?)
    }

    /// What open messages hold in escrow, and what the vault can pay.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn pots(&self) -> Result<(Amount, Amount), ChainError> {
        let totals = judge::totals(&self.store.snapshot()?)?;
        Ok((totals.escrow.into(), totals.vault.into()))
    }

    /// Where a transaction is; none if no block has it.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn included(&self, id: &TransactionId) -> Result<Option<Included>, ChainError> {
        let row = load::<IncludedRow>(&self.store.snapshot()?, id)?;
        Ok(row.map(|row| Included { height: Height(row.height), message: row.message }))
    }

    /// How a message from elsewhere ended here; none if it has not.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn ended(&self, id: &MessageId) -> Result<Option<Ended>, ChainError> {
        let snapshot = self.store.snapshot()?;
        let (height, index, item) = match load::<Guard>(&snapshot, id)? {
            None => return Ok(None),
            Some(Guard::Void { code, text }) => {
                return Ok(Some(Ended::Void(Reply::new(code, text))));
            }
            Some(Guard::Delivered { height, index, item }) => (height, index, item),
        };
        let corrupt =
            |what: String| ChainError::from(LedgerError::Corrupt { row: "transaction row", what });
        let bytes = snapshot.transaction(height, index)?;
        let bytes = bytes.ok_or_else(|| corrupt(format!("{height}/{index} is missing")))?;
        let signed = SignedTransaction::from_bytes(&bytes).map_err(|r| corrupt(r.to_string()))?;
        let message = match signed.transaction.action {
            Action::Deliver(mut messages) => usize::try_from(item)
                .ok()
                .filter(|item| *item < messages.len())
                .map(|item| messages.swap_remove(item)),
            _ => None,
        };
        match message.filter(|message| message.id() == *id) {
            Some(message) => Ok(Some(Ended::Delivered { height: Height(height), message })),
            None => Err(corrupt(format!("{height}/{index} does not deliver {id}"))),
        }
    }

    /// Makes a block even if it is empty: time passes on the chain, too.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub async fn seal(&self) -> Result<Head, ChainError> {
        self.in_a_block(Work::Nothing).await?;
        Ok(*self.head.borrow())
    }

    fn row_of(&self, local: &Local) -> Result<Option<AccountRow>, ChainError> {
        let key = address::public_key(local).map_err(ChainError::Refused)?;
        Ok(load(&self.store.snapshot()?, &key)?)
    }

    fn rules(&self) -> Rules<'_> {
        Rules { own: self.own(), genesis: &self.genesis }
    }

    fn own(&self) -> Own {
        Own { chain: self.facts.chain, tag: self.facts.tag }
    }

    fn block(&self, height: Height) -> Result<Block, ChainError> {
        let Some(bytes) = self.store.snapshot()?.block(height.0)? else {
            let text = format!("block {height} is not made yet");
            return Err(ChainError::Refused(Reply::new(Code::NOT_FINAL, text)));
        };
        Ok(Block::from_bytes(height.0, &bytes)?)
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("facts", &self.facts).field("head", &self.head).finish()
    }
}

fn begin(store: &Store, genesis: &Genesis, keys: &[SecretKey]) -> Result<(), LedgerError> {
    let mut state = Overlay::on(&NoRows);
    genesis.write(&mut state)?;
    let header = genesis.header().sign(keys);
    let block = Block { header, outgoing: Vec::new(), events: Vec::new() }.bytes();
    let (transactions, changes) = (&[], &state.into_changes());
    store.begin(&genesis.bytes(), &Commit { height: 0, block: &block, transactions, changes })
}

fn newest(snapshot: &Snapshot) -> Result<Block, LedgerError> {
    let missing = || LedgerError::Corrupt { row: "block row", what: "no block at all".into() };
    let (height, bytes) = snapshot.newest()?.ok_or_else(missing)?;
    Block::from_bytes(height, &bytes)
}

/// Before genesis there is nothing.
struct NoRows;

impl Rows for NoRows {
    fn row(&self, _: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(None)
    }
}

/// What a cursor at this block looks like.
fn cursor(head: Head) -> super::Cursor {
    let block: BlockHash = head.block;
    super::Cursor { height: head.height, block }
}
