//! A running gateway of a chain.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use distpos_gateway::{
    gateway::{Correspondents, Gateway},
    stop::Stopper,
};
use distpos_proto::{
    amount::Amount,
    chain::ChainId,
    key::SpkiPin,
    light::Trusted,
    message::MessageId,
    policy::{Book as Figures, Limits},
    wire::{Request, RequestKind, Response},
};
use distpos_spool::{Batch, Direction, Spool, SpoolError, State};
use tokio::task::JoinHandle;

use super::network::{Call, Network};

/// What the operator says, changeable by the test; it outlives the gateway.
#[derive(Default)]
pub struct Book {
    pub trusted: Mutex<BTreeMap<ChainId, Trusted>>,
    pub limits: Mutex<BTreeMap<ChainId, Limits>>,
}

impl Correspondents for Book {
    fn trusted(&self, chain: ChainId) -> Option<Trusted> {
        self.trusted.lock().unwrap().get(&chain).cloned()
    }

    fn limits(&self, chain: ChainId) -> Limits {
        self.limits.lock().unwrap().get(&chain).cloned().unwrap_or_default()
    }

    fn is_named(&self, chain: ChainId) -> bool {
        self.trusted.lock().unwrap().contains_key(&chain)
            || self.limits.lock().unwrap().contains_key(&chain)
    }
}

pub struct Site {
    pub gateway: Arc<Gateway>,
    pub book: Arc<Book>,
    pub chain: ChainId,
    pub n: u8,
    pub address: SocketAddr,
    pub(super) network: Arc<Network>,
    pub(super) stopper: Option<Stopper>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Site {
    /// How many messages wait here, both ways.
    pub fn waiting(&self) -> usize {
        Direction::BOTH.iter().flat_map(|way| self.batches(*way)).map(|b| b.items.len()).sum()
    }

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

    /// The figures of a pair.
    pub fn figures(&self, peer: ChainId, asset: &str) -> Figures {
        let asset = asset.parse().unwrap();
        self.gateway.spool.read(|tx| tx.book(peer, &asset)).unwrap()
    }

    pub fn is_frozen(&self, chain: ChainId) -> bool {
        self.gateway.spool.read(|tx| tx.frozen(chain)).unwrap().is_some()
    }

    pub async fn thaw(&self, chain: ChainId) {
        let thawed = self.gateway.spool.transact(move |tx| {
            tx.thaw(chain);
            Ok::<_, SpoolError>(())
        });
        thawed.await.unwrap();
    }

    pub fn set_value_max(&self, peer: ChainId, asset: &str, value_max: u64) {
        let limits = Limits::one(asset.parse().unwrap(), Amount::from(value_max));
        self.book.limits.lock().unwrap().insert(peer, limits);
    }

    /// Asks this gateway, as the holder of a TLS key that speaks for a chain.
    pub async fn ask(&self, pin: SpkiPin, from: ChainId, request: &Request) -> Response {
        self.post(pin, from, self.chain, request.kind(), request.body()).await
    }

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
