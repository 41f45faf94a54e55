//! A running gateway of a chain.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use distpos_gateway::{
    config::{AccountPolicy, GasBudget, Policy},
    gateway::{Anchor, Correspondents, Gateway},
    stop::Stopper,
};
use distpos_proto::{
    account::Figures,
    amount::Amount,
    chain::{ChainId, Family},
    key::SpkiPin,
    light::Trusted,
    message::{Asset, MessageId},
    trust::{Least, TrustLevel},
    wire::{Request, RequestKind, Response},
};
use distpos_spool::{AccountRow, Batch, Direction, Entry, Spool, SpoolError, State};
use tokio::task::JoinHandle;

use super::network::{Call, Network};

/// What the operator says, changeable by the test; it outlives the gateway.
#[derive(Default)]
pub struct Book {
    /// The chains that are believed.
    pub trusted: Mutex<BTreeMap<ChainId, Trusted>>,
    /// What is said of accounts; the usual if nothing.
    pub accounts: Mutex<BTreeMap<(ChainId, Asset), AccountPolicy>>,
    /// Who may send what to whom.
    pub policy: Mutex<Arc<Policy>>,
    /// Gas for each source; the usual budget if none.
    pub gas: Mutex<Option<GasBudget>>,
    /// How much memory the gateway has, in bytes.
    pub memory: AtomicU64,
    /// How good what DNS says has to be; for keys it is never good enough if none.
    pub least: Mutex<Option<Least>>,
}

impl Correspondents for Book {
    fn anchor(&self, chain: ChainId) -> Option<Anchor> {
        let trusted = self.trusted.lock().unwrap().get(&chain).cloned();
        trusted.map(|trusted| Anchor { trusted, found_at: None })
    }

    fn least(&self) -> Least {
        let usual = Least { route: TrustLevel::Pinned, keys: TrustLevel::Static };
        self.least.lock().unwrap().unwrap_or(usual)
    }

    fn policy(&self) -> Arc<Policy> {
        self.policy.lock().unwrap().clone()
    }

    fn account(&self, chain: ChainId, asset: &Asset) -> AccountPolicy {
        self.accounts.lock().unwrap().get(&(chain, asset.clone())).cloned().unwrap_or_default()
    }

    fn gas_budget(&self, _chain: ChainId, own: Family) -> GasBudget {
        self.gas.lock().unwrap().unwrap_or(GasBudget::of(own))
    }

    fn is_named(&self, chain: ChainId) -> bool {
        self.trusted.lock().unwrap().contains_key(&chain)
    }
}

/// A gateway of a chain, with its spool.
pub struct Site {
    /// The gateway itself.
    pub gateway: Arc<Gateway>,
    /// What its operator says.
    pub book: Arc<Book>,
    /// Its chain.
    pub chain: ChainId,
    /// Its number among the gateways of its chain, from 1.
    pub n: u8,
    /// Where it is called.
    pub address: SocketAddr,
    pub(super) network: Arc<Network>,
    pub(super) stopper: Option<Stopper>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Site {
    /// How many messages wait here, both ways.
    pub fn waiting(&self) -> usize {
        let count = |way: &Direction| self.gateway.spool.read(|tx| tx.count(*way)).unwrap();
        let messages = Direction::BOTH.iter().flat_map(|way| count(way).into_values()).sum::<u64>();
        usize::try_from(messages).unwrap()
    }

    /// The queue.
    pub fn batches(&self, direction: Direction) -> Vec<Batch> {
        let read = self.gateway.spool.read(|tx| tx.batches(direction, None, usize::MAX));
        read.unwrap_or_else(|error: SpoolError| panic!("{error}"))
    }

    /// The state of a message in the queue; none if it is not there.
    pub fn state(&self, direction: Direction, id: &MessageId) -> Option<State> {
        let batches = self.batches(direction);
        batches.iter().find(|b| b.items.iter().any(|item| item.id == *id)).map(|b| b.state)
    }

    /// The queue, for people.
    pub fn queue(&self) -> String {
        let batches = Direction::BOTH.iter().flat_map(|way| self.batches(*way));
        let lines = batches.map(|batch| {
            let ids: Vec<String> = batch.items.iter().map(|item| item.id.to_string()).collect();
            format!("{:?} {:?} {:?} {ids:?}", batch.state, batch.due, batch.reply)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The account with a peer, as this gateway knows it.
    pub fn account(&self, peer: ChainId, asset: &str) -> AccountRow {
        let asset = asset.parse().unwrap();
        let row = self.gateway.spool.read(|tx| tx.account(peer, &asset)).unwrap();
        row.unwrap_or_default()
    }

    /// Its figures.
    pub fn figures(&self, peer: ChainId, asset: &str) -> Figures {
        self.account(peer, asset).account.figures
    }

    /// Its journal.
    pub fn journal(&self, peer: ChainId, asset: &str) -> Vec<Entry> {
        let asset = asset.parse().unwrap();
        let entries =
            self.gateway.spool.read(|tx| tx.entries(peer, &asset, 1, usize::MAX)).unwrap();
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How many messages wait for room, in all accounts.
    pub fn suspended(&self) -> usize {
        let count = self.gateway.spool.read(|tx| tx.count(Direction::Inbound)).unwrap();
        let suspended = count.into_iter().filter(|((_, state), _)| *state == State::Suspended);
        usize::try_from(suspended.map(|(_, messages)| messages).sum::<u64>()).unwrap()
    }

    /// What all that waits for room in an account carries.
    pub fn wanted(&self, peer: ChainId, asset: &str) -> Amount {
        let asset = asset.parse().unwrap();
        let row = self.gateway.spool.read(|tx| tx.waiting(peer, &asset, usize::MAX)).unwrap();
        row.into_iter().fold(Amount::ZERO, |sum, waiting| sum.saturating_add(waiting.amount))
    }

    /// What waits for room in an account, in its order.
    pub fn waiting_for_room(&self, peer: ChainId, asset: &str) -> Vec<MessageId> {
        let asset = asset.parse().unwrap();
        let row = self.gateway.spool.read(|tx| tx.waiting(peer, &asset, usize::MAX)).unwrap();
        row.into_iter().map(|waiting| waiting.id).collect()
    }

    /// What the operator says of an account from now on.
    pub fn set_account(&self, peer: ChainId, asset: &str, policy: AccountPolicy) {
        self.book.accounts.lock().unwrap().insert((peer, asset.parse().unwrap()), policy);
    }

    /// Whether a chain is frozen here.
    pub fn is_frozen(&self, chain: ChainId) -> bool {
        self.gateway.spool.read(|tx| tx.frozen(chain)).unwrap().is_some()
    }

    /// The operator lets a frozen chain go on.
    pub async fn thaw(&self, chain: ChainId) {
        let thawed = self.gateway.spool.transact(move |tx| {
            tx.thaw(chain);
            Ok::<_, SpoolError>(())
        });
        thawed.await.unwrap();
    }

    /// Asks this gateway, as the holder of a TLS key that speaks for a chain.
    pub async fn ask(&self, pin: SpkiPin, from: ChainId, request: &Request) -> Response {
        self.post(pin, from, self.chain, request.kind(), request.body()).await
    }

    /// The same with any body at all.
    pub async fn post(
        &self,
        pin: SpkiPin,
        from: ChainId,
        to: ChainId,
        kind: RequestKind,
        body: Vec<u8>,
    ) -> Response {
        let call = Call { from, to, at: self.address, kind };
        self.network.post(pin, call, body).await.unwrap()
    }

    /// Stops the gateway and gives its spool back. The records stay.
    pub async fn stop(mut self) -> Spool {
        self.network.close(self.address);
        drop(self.stopper.take());
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        self.gateway.spool.clone()
    }

    /// Kills it: nothing is finished. The records stay.
    pub fn kill(self) -> Spool {
        self.network.close(self.address);
        for task in &self.tasks {
            task.abort();
        }
        self.gateway.spool.clone()
    }
}
