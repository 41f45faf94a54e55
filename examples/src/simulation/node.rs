//! The way to a ledger, slow if the story wants it: between a decision and its transaction there is
//! time for others, and for a crash.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use distpos_gateway::chain::{
    Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission, Submitted,
    Watched, ledger::Ledger,
};
use distpos_proto::{
    address::Local,
    chain::Height,
    message::{Message, MessageId},
    wire::Head,
};
use tokio::time::sleep;

/// A gateway's node.
pub struct Node {
    /// The chain.
    pub ledger: Arc<Ledger>,
    /// How long each call takes to the node and back, each way, in milliseconds.
    pub delay: Arc<AtomicU64>,
}

impl Node {
    async fn pause(&self) {
        let delay = self.delay.load(Ordering::Relaxed);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
    }
}

#[async_trait]
impl LocalChain for Node {
    fn facts(&self) -> &Facts {
        self.ledger.facts()
    }

    async fn head(&self) -> Result<Head, ChainError> {
        self.ledger.head().await
    }

    async fn watch(&self, after: Option<Cursor>) -> Result<Watched, ChainError> {
        let watched = self.ledger.watch(after).await;
        self.pause().await;
        watched
    }

    async fn prove(&self, height: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError> {
        self.pause().await;
        self.ledger.prove(height, ids).await
    }

    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError> {
        let simulation = self.ledger.simulate(message).await;
        self.pause().await;
        simulation
    }

    async fn estimate(&self, message: &Message) -> Result<Option<u64>, ChainError> {
        self.pause().await;
        self.ledger.estimate(message).await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        self.pause().await;
        let submitted = self.ledger.submit(submission).await;
        self.pause().await;
        submitted
    }

    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        self.ledger.account(local).await
    }
}
