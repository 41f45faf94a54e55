//! Findings of a hostile review, as tests that fail while they stand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use distpos_gateway::{
    chain::{
        Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission,
        Submitted, Watched, ledger::Ledger,
    },
    destinations::Destinations,
    gateway::{ChainKeys, Gateway, Identity},
    inbound,
    load::Load,
    outbound, stop,
};
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{Family, Height},
    key::{KeySet, SecretKey},
    light::Authenticated,
    message::{Message, MessageId},
    wire::{Batch as WireBatch, Head, IncomingBatch},
};
use distpos_spool::{Direction, SpoolError, State};
use rand::SeedableRng;

use crate::support::world::{START, World, amount, cid};

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_sibling_has_ended_meanwhile_does_not_spoil_the_others() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.network.set_down(b.address, true);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    let second = world.send("e2e4", world.user("b1c2"), 20, 0).await;
    world.until("queued", Duration::from_secs(9), || a.waiting() == 2).await;
    let gateway = a.gateway.clone();
    let spool = a.kill();
    let stale = spool.read(|tx| tx.batches(Direction::Outbound, None, 9)).unwrap();
    let gone = stale[0].id;
    spool.transact(move |tx| tx.remove(Direction::Outbound, gone)).await.unwrap();
    world.network.set_down(b.address, false);
    gateway.destinations.forget(cid("b1c2"));
    outbound::send::send(&gateway, cid("b1c2"), stale).await.unwrap();
    let held = spool.read(|tx| {
        let (batch, _) = tx.find(Direction::Outbound, &second)?.unwrap();
        Ok::<_, SpoolError>(tx.batch(Direction::Outbound, batch)?.unwrap())
    });
    let held = held.unwrap();
    assert_eq!(held.state, State::Accepted, "{:?} due {:?}", held.reply, held.due);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_message_does_not_wait_as_long_as_the_oldest_of_its_job() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.network.set_down(b.address, true);
    world.send("e2e4", world.user("b1c2"), 10, START.seconds().0 + 30).await;
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let fresh = world.send("e2e4", world.user("b1c2"), 20, 0).await;
    world.until("queued", Duration::from_secs(9), || a.waiting() == 2).await;
    let gateway = a.gateway.clone();
    let spool = a.kill();
    let batches = spool.read(|tx| tx.batches(Direction::Outbound, None, 9)).unwrap();
    outbound::send::send(&gateway, cid("b1c2"), batches).await.unwrap();
    let due = spool.read(|tx| {
        let (batch, _) = tx.find(Direction::Outbound, &fresh)?.unwrap();
        Ok::<_, SpoolError>(tx.batch(Direction::Outbound, batch)?.unwrap().due.unwrap())
    });
    let wait = due.unwrap().since(gateway.now());
    assert!(wait < Duration::from_secs(600), "{wait:?}: not the hour of what is expired");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_takes_nothing_does_not_keep_its_sibling_from_taking_it() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let _second = world.start("b1c2", 2, Family::Ledger);
    b.book.trusted.lock().unwrap().clear();
    let id = world.send("e2e4", world.user("b1c2"), 10, 0).await;
    let closed = format!("closed id={id}");
    world.until("closed", Duration::from_secs(6 * 3600), || world.happened(&closed) == 1).await;
    drop(a);
}

/// A node that takes its time to answer.
struct Slow(Arc<Ledger>, Duration, Duration, Arc<Mutex<usize>>);

#[async_trait]
impl LocalChain for Slow {
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
        self.0.prove(height, ids).await
    }
    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError> {
        let found = self.0.simulate(message).await;
        tokio::time::sleep(self.1).await;
        found
    }
    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        if matches!(submission, Submission::Deliver(_)) {
            *self.3.lock().unwrap() += 1;
            tokio::time::sleep(self.2).await;
        }
        self.0.submit(submission).await
    }
    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        self.0.account(local).await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_reserved_when_a_sibling_delivers_between_simulation_and_decision() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.network.set_down(b.address, true);
    let second = world.start("b1c2", 2, Family::Ledger);
    world.network.set_down(second.address, true);
    let chain = Slow(
        world.chains[&cid("b1c2")].ledger.clone(),
        Duration::from_secs(30),
        Duration::ZERO,
        Arc::default(),
    );
    let key = || SecretKey::from_seed(&world.chains[&cid("b1c2")].keys[0]);
    let set = KeySet::new([key().public()], 1).unwrap();
    let slow = rebuilt(second, Arc::new(chain), key(), set);
    let spool = slow.spool.clone();
    let (_stopper, stop) = stop::channel();
    tokio::spawn(outbound::run(slow.clone(), stop.clone()));
    tokio::spawn(inbound::run(slow.clone(), stop));
    let id = world.send("e2e4", world.user("b1c2"), 100, 0).await;
    world.until("queued", Duration::from_secs(5), || a.waiting() == 1).await;
    let envelopes = a.gateway.spool.read(|tx| {
        let (batch, _) = tx.find(Direction::Outbound, &id)?.unwrap();
        tx.messages(Direction::Outbound, batch)
    });
    let envelopes: Vec<_> = envelopes.unwrap();
    let batch = WireBatch { height: envelopes[0].origin.height, envelopes };
    inbound::accept::messages(&slow, cid("e2e4"), vec![IncomingBatch::from(batch)]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.network.set_down(b.address, false);
    let closed = format!("closed id={id}");
    world.until("closed", Duration::from_secs(60), || world.happened(&closed) == 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asset = crate::support::world::ASSET.parse().unwrap();
    let row = spool.read(|tx| tx.account(cid("e2e4"), &asset)).unwrap().unwrap();
    let book = row.account.figures;
    assert_eq!(book.received, amount(100));
    assert_eq!(book.pending_in, Amount::ZERO, "reserved for ever");
}

/// The same gateway with another node or other keys, not running.
pub(crate) fn rebuilt(
    site: crate::support::site::Site,
    chain: Arc<dyn LocalChain>,
    key: SecretKey,
    key_set: KeySet,
) -> Arc<Gateway> {
    let parts = site.gateway.clone();
    let spool = site.kill();
    Arc::new(Gateway {
        clock: parts.clock.clone(),
        random: Mutex::new(Box::new(rand_chacha::ChaCha8Rng::seed_from_u64(9))),
        spool,
        resolver: parts.resolver.clone(),
        peers: parts.peers.clone(),
        chain,
        identity: Identity::new(ChainKeys { secrets: vec![key], set: key_set }, parts.identity.pin),
        correspondents: parts.correspondents.clone(),
        papers: tokio::sync::Notify::new(),
        progress: Mutex::default(),
        hooks: inbound::hooks::Hooks::new(distpos_gateway::config::Hooks::default()),
        events: parts.events.clone(),
        metrics: Arc::default(),
        tasks: distpos_gateway::watchdog::Tasks::default(),
        worked: distpos_gateway::watchdog::states::Worked::default(),
        answers: Mutex::default(),
        destinations: Destinations::default(),
        load: Load::default(),
        authenticated: Mutex::new(Authenticated::default()),
    })
}

#[tokio::test(start_paused = true)]
async fn a_delivery_under_way_is_not_submitted_a_second_time() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let count = Arc::new(Mutex::new(0));
    let ledger = world.chains[&cid("b1c2")].ledger.clone();
    let chain = Slow(ledger, Duration::ZERO, Duration::from_secs(150), count.clone());
    let key = || SecretKey::from_seed(&world.chains[&cid("b1c2")].keys[0]);
    let set = KeySet::new([key().public()], 1).unwrap();
    let address = b.address;
    let pin = b.gateway.identity.pin;
    let slow = rebuilt(b, Arc::new(chain), key(), set);
    world.network.listen(
        address,
        Arc::new(distpos_gateway::service::Service::new(slow.clone())),
        pin,
    );
    let (_stopper, stop) = stop::channel();
    tokio::spawn(outbound::run(slow.clone(), stop.clone()));
    tokio::spawn(inbound::run(slow.clone(), stop));
    let id = world.send("e2e4", world.user("b1c2"), 100, 0).await;
    let closed = format!("closed id={id}");
    world.until("closed", Duration::from_secs(600), || world.happened(&closed) == 1).await;
    drop(a);
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_just_published_does_not_wait_an_hour_for_its_peers_dns() {
    let (world, a, _b) = World::pair(1, 5_000).await;
    let first = world.send("e2e4", world.user("b1c2"), 1, 0).await;
    let closed = format!("closed id={first}");
    world.until("closed", Duration::from_secs(60), || world.happened(&closed) == 1).await;
    let _second = world.start("e2e4", 2, Family::Ledger);
    world.network.set_down(a.address, true);
    a.stop().await;
    let id = world.send("e2e4", world.user("b1c2"), 1, 0).await;
    let closed = format!("closed id={id}");
    world.until("closed", Duration::from_secs(900), || world.happened(&closed) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_joins_after_the_key_set_changed_does_not_contradict_its_sibling() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.network.set_down(b.address, true);
    world.send("e2e4", world.user("b1c2"), 1, 0).await;
    world.until("queued", Duration::from_secs(9), || a.waiting() == 1).await;
    let ledger = world.chains[&cid("e2e4")].ledger.clone();
    let one = || SecretKey::from_seed(&world.chains[&cid("e2e4")].keys[0]);
    let two = || SecretKey::from_seed(&[77; 32]);
    let set = || KeySet::new([one().public(), two().public()], 1).unwrap();
    let old = rebuilt(a, ledger.clone(), one(), set());
    let joins = rebuilt(world.start("e2e4", 2, Family::Attested), ledger, two(), set());
    let (_stopper, stop) = stop::channel();
    tokio::spawn(outbound::run(old.clone(), stop.clone()));
    tokio::spawn(outbound::run(joins.clone(), stop));
    let id = world.send("e2e4", world.user("b1c2"), 1, 0).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut trusted = world.anchor(cid("e2e4"), Family::Attested);
    trusted.keys = set();
    for gateway in [&old, &joins] {
        let proofs = outbound::prove::prove(gateway, cid("b1c2"), Family::Attested, vec![id]).await;
        let proven = inbound::verify::verify(&b.gateway, &trusted, "", &proofs.blocks[..1]).await;
        assert_eq!(proven.unwrap().len(), 1);
    }
}
