//! What a gateway that is asked for proofs gives, when it cannot give all of them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use distpos_gateway::{
    chain::{
        Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission,
        Submitted, Watched, evm::NOT_PROVABLE, ledger::Ledger,
    },
    outbound::prove::prove,
};
use distpos_proto::{
    address::Local,
    chain::{ChainId, Family, Height},
    envelope::{Envelope, Origin},
    message::{Message, MessageId},
    time::UnixMillis,
    wire::Head,
};
use distpos_spool::{Direction, NewBatch, SpoolError, State, Tx};

use crate::{
    hostile::rebuilt,
    support::world::{World, cid},
};

/// A chain on which one message can be proven to nobody.
struct Picky(Arc<Ledger>, MessageId);

#[async_trait]
impl LocalChain for Picky {
    fn facts(&self) -> &Facts {
        self.0.facts()
    }
    async fn head(&self) -> Result<Head, ChainError> {
        self.0.head().await
    }
    async fn watch(&self, after: Option<Cursor>) -> Result<Watched, ChainError> {
        self.0.watch(after).await
    }
    async fn prove(&self, height: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError> {
        if ids.contains(&self.1) {
            return Err(ChainError::Garbage { call: NOT_PROVABLE, what: "receipt".into() });
        }
        self.0.prove(height, ids).await
    }
    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError> {
        self.0.simulate(message).await
    }
    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        self.0.submit(submission).await
    }
    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        self.0.account(local).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_message_that_cannot_be_proven_keeps_no_other_of_its_block_back() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.network.set_down(b.address, true);
    let good = world.send("e2e4", world.user("b1c2"), 1, 0).await;
    let bad = world.send("e2e4", world.user("b1c2"), 2, 0).await;
    world.until("queued", Duration::from_secs(9), || a.waiting() == 2).await;
    let ledger = world.chains[&cid("e2e4")].ledger.clone();
    let chain = &world.chains[&cid("e2e4")];
    let key = chain.secrets().remove(0);
    let gateway = rebuilt(a, Arc::new(Picky(ledger, bad)), key, chain.key_set());
    gateway.spool.transact(|tx| into_one_block(tx, cid("b1c2"))).await.unwrap();
    let proofs = prove(&gateway, cid("b1c2"), Family::Ledger, vec![good, bad]).await;
    let absent: Vec<_> = proofs.absent.iter().map(|(id, _)| *id).collect();
    assert_eq!((absent, proofs.blocks.len()), (vec![bad], 1));
}

/// Makes what is queued look as if the first block had sent all of it.
fn into_one_block(tx: &mut Tx<'_>, peer: ChainId) -> Result<(), SpoolError> {
    let mut messages: Vec<Envelope> = Vec::new();
    for batch in tx.batches(Direction::Outbound, None, 9)? {
        messages.extend(tx.messages(Direction::Outbound, batch.id)?);
        tx.remove(Direction::Outbound, batch.id)?;
    }
    let height = messages[0].origin.height;
    for (index, message) in (0..).zip(&mut messages) {
        message.origin = Origin { height, index };
    }
    let (direction, state) = (Direction::Outbound, State::Queued);
    tx.put(NewBatch { direction, peer, height, state, due: None, messages }, UnixMillis(0))?;
    Ok(())
}
