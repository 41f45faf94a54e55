//! What DNS says of a chain's keys: how far it is believed, how keys turn over, and who cannot make
//! them.

use std::{sync::Arc, time::Duration};

use distpos_gateway::{
    chain::LocalChain,
    gateway::ChainKeys,
    inbound, outbound,
    peer::{Caller, PeerService},
    service::Service,
    stop,
    trust::dns,
};
use distpos_proto::{
    chain::{ChainId, Family, GenesisTag},
    code::Code,
    key::{KeySet, SecretKey},
    message::MessageId,
    record::{Anchor, GatewayRecord, KeyRecord, Mode, PolicyRecord, Selector},
    trust::{Least, TrustLevel},
    wire::{Request, RequestKind, Response, StatusAnswer},
};
use distpos_resolver::{Fault, Security};
use distpos_spool::{Direction, State};

use crate::hostile::rebuilt;
use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{FUNDS, Plan, ROOT, World, amount, cid, zone_name},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_hours(3);
/// Time enough for every answer to expire and for every chain to be looked up again.
const SEEN: Duration = Duration::from_mins(90);
const TTL: u32 = 300;

fn e2e4() -> ChainId {
    cid("e2e4")
}

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

/// What the administrator of `e2e4` publishes: its keys by selector, and which of them the policy
/// names.
struct Published<'w> {
    world: &'w World,
    anchor: Anchor,
    policy: PolicyRecord,
}

impl<'w> Published<'w> {
    fn new(world: &'w World, family: Family) -> Self {
        let facts = world.chains[&e2e4()].ledger.facts();
        let policy = PolicyRecord {
            chain: e2e4(),
            id: "1".into(),
            mode: Mode::Enforce,
            pin_for: Duration::from_hours(24 * 7),
            family,
            genesis: facts.tag,
            outbox: (family == Family::Attested).then(|| facts.outbox.clone()),
            confirmations: 0,
            selectors: Vec::new(),
            threshold: 1,
        };
        Self { world, anchor: Anchor::under(e2e4(), &ROOT.parse().unwrap()), policy }
    }

    /// The n-th key of the chain, at the selector `k<n>`; endorsed by another, if one is named.
    fn key(&self, n: usize, by: Option<usize>) -> &Self {
        let secret = |n: usize| SecretKey::from_seed(&self.world.chains[&e2e4()].keys[n - 1]);
        let at = selector(&format!("k{n}"));
        let record = KeyRecord::new(e2e4(), Some(secret(n).public()));
        let record = record.endorsed(self.policy.genesis, &at, by.map(secret).iter());
        self.world.zone.publish(&self.anchor.key(&at), TTL, [record]);
        self
    }

    fn revoke(&self, n: usize) -> &Self {
        let at = selector(&format!("k{n}"));
        self.world.zone.publish(&self.anchor.key(&at), TTL, [KeyRecord::new(e2e4(), None)]);
        self
    }

    fn select(&self, selectors: &[&str]) -> &Self {
        let selectors = selectors.iter().map(|text| selector(text)).collect();
        let policy = PolicyRecord { selectors, ..self.policy.clone() };
        self.world.zone.publish(&self.anchor.policy(), TTL, [policy]);
        self
    }
}

/// Two chains; `e2e4` has two keys, and its gateway number `n` signs with the n-th.
async fn two_keys(seed: u64) -> World {
    let plan = Plan { keys: 2, ..Plan::from(seed) };
    let world = World::new(plan, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    world
}

/// A gateway of `b1c2` that knows `e2e4` from DNS alone.
fn by_dns(world: &World, family: Family, keys: TrustLevel) -> Site {
    let b = world.start("b1c2", 1, family);
    b.book.trusted.lock().unwrap().remove(&e2e4());
    *b.book.least.lock().unwrap() = Some(Least { route: TrustLevel::Pinned, keys });
    b
}

/// The records of `e2e4` name its gateway number `n`, and no other.
fn moved_to(world: &World, n: u8) {
    let host = format!("gw{n}.e2e4.test").parse().unwrap();
    let record = GatewayRecord::new(e2e4(), host, world.chains[&e2e4()].pin(n));
    world.zone.publish(&zone_name(e2e4()), TTL, [record]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_believed_as_far_as_dns_proves_what_it_says() {
    let world = two_keys(1).await;
    Published::new(&world, Family::Ledger).key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = by_dns(&world, Family::Ledger, TrustLevel::Dnssec);
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("deferred", SOON, || world.happened_with(&["deferred", "4.7.20"]) > 0).await;
    assert_eq!((b.waiting(), a.state(Direction::Outbound, &id)), (0, Some(State::Queued)));
    // The zone is signed: nobody has to be asked.
    world.zone.set_security(Security::Secure);
    world.until_empty(HOURS, &[&a, &b]).await;
    let believed = dns::believed(&b.gateway, e2e4()).unwrap();
    assert_eq!(believed.level, TrustLevel::Dnssec);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_only_first_seen_brings_no_value() {
    let world = two_keys(2).await;
    Published::new(&world, Family::Ledger).key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = by_dns(&world, Family::Ledger, TrustLevel::Pinned);
    let word = world.send("e2e4", world.user("b1c2"), 0, 0).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={word}")) == 1).await;
    let value = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("put off", SOON, || world.happened_with(&["b1c2/1", "level that value"]) > 0).await;
    assert_eq!(a.state(Direction::Outbound, &value), Some(State::Accepted));
    world.zone.set_security(Security::Secure);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.happened("trust of e2e4: keys are known from a secure answer now"), 1);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

/// The gateway moves to another host with another TLS key, and signs with the new chain key: its
/// messages and receipts are under way all the time.
#[tokio::test(start_paused = true)]
async fn a_chain_key_and_a_host_turn_over_with_messages_in_flight() {
    let world = two_keys(3).await;
    world.zone.set_security(Security::Secure);
    let published = Published::new(&world, Family::Attested);
    published.key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Attested);
    let b = by_dns(&world, Family::Attested, TrustLevel::Dnssec);
    let first = world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={first}")) == 1).await;

    // Claimed there, proven nowhere; and the other way round a receipt that cannot come.
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs | RequestKind::Receipts | RequestKind::Status => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let old = world.send("e2e4", world.user("b1c2"), 20, 0).await;
    let back = world.send("b1c2", world.user("e2e4"), 30, 0).await;
    world.until("claimed", SOON, || b.state(Direction::Inbound, &old).is_some()).await;
    world.until("claimed", SOON, || a.state(Direction::Inbound, &back).is_some()).await;

    published.key(2, Some(1)).select(&["k1", "k2"]);
    world.pass(SEEN).await;
    assert_eq!(world.happened_with(&["trust of e2e4", "is believed, endorsed by"]), 1);
    let spool = a.stop().await;
    let a = world.start_with("e2e4", 2, Family::Attested, spool);
    moved_to(&world, 2);
    world.network.heal();
    let new = world.send("e2e4", world.user("b1c2"), 40, 0).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    for id in [old, new, back] {
        assert_eq!(world.happened(&format!("closed id={id}")), 1);
    }
    // The old key is published on, then revoked, then gone: nobody notices.
    published.revoke(1).select(&["k2"]);
    world.pass(SEEN).await;
    assert_eq!(world.happened_with(&["alert", "trust of e2e4", "at k1 is revoked"]), 1);
    world.zone.remove(&published.anchor.key(&selector("k1")));
    world.pass(SEEN).await;
    world.send("e2e4", world.user("b1c2"), 50, 0).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 5, ..Tally::default() });
}

/// While two keys are in use, a peer whose operator wrote down the old one alone believes headers,
/// receipts and answers about what is open.
#[tokio::test(start_paused = true)]
async fn who_knows_the_old_key_alone_believes_what_both_sign() {
    let world = two_keys(17).await;
    let chain = &world.chains[&e2e4()];
    let [old, new] = [0, 1].map(|at| move || SecretKey::from_seed(&chain.keys[at]));
    let only_old = KeySet::new([old().public()], 1).unwrap();
    let a = world.start("e2e4", 1, Family::Attested);
    let b = world.start("b1c2", 1, Family::Attested);
    b.book.trusted.lock().unwrap().get_mut(&e2e4()).unwrap().keys = only_old.clone();
    let (address, pin) = (a.address, a.gateway.identity.pin);
    let a = rebuilt(a, chain.ledger.clone(), new(), chain.key_set());
    a.identity.take_up(ChainKeys { secrets: vec![new(), old()], set: chain.key_set() });
    let service = Arc::new(Service::new(a.clone()));
    world.network.listen(address, service.clone(), pin);
    let (_stopper, stop) = stop::channel();
    tokio::spawn(outbound::run(a.clone(), stop.clone()));
    tokio::spawn(inbound::run(a.clone(), stop));
    let there = world.send("e2e4", world.user("b1c2"), 10, 0).await;
    let back = world.send("b1c2", world.user("e2e4"), 20, 0).await;
    for id in [there, back] {
        let closed = format!("closed id={id}");
        world.until("closed", SOON, || world.happened(&closed) == 1).await;
    }
    let caller = Caller { pin: b.gateway.identity.pin, source: b.chain, destination: e2e4() };
    let request = Request::Status(vec![MessageId([7; 32])]);
    let answer = service.answer(&caller, request.path(), request.body().into()).await;
    match Response::from_body(RequestKind::Status, &answer).unwrap() {
        Response::Status(answers) => match answers.as_slice() {
            [StatusAnswer::Open(status)] => assert!(status.is_by(&only_old), "{status:?}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The policy names only the new key; what the old one signs counts for as long as it is published.
#[tokio::test(start_paused = true)]
async fn what_an_old_key_signs_is_believed_while_it_is_published() {
    let world = two_keys(12).await;
    world.zone.set_security(Security::Secure);
    let published = Published::new(&world, Family::Attested);
    published.key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Attested);
    let b = by_dns(&world, Family::Attested, TrustLevel::Dnssec);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    published.key(2, Some(1)).select(&["k1", "k2"]);
    world.pass(SEEN).await;
    published.select(&["k2"]);
    world.pass(SEEN).await;
    // Headers there, receipts here, by the first key alone.
    world.send("e2e4", world.user("b1c2"), 20, 0).await;
    world.send("b1c2", world.user("e2e4"), 30, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    // A server that fails for the old key's name alone says nothing of it, and holds up nothing.
    let name = published.anchor.key(&selector("k1"));
    world.zone.fail(&name, Fault::Silent);
    world.pass(SEEN).await;
    world.send("e2e4", world.user("b1c2"), 40, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.zone.heal();
    // Proven to be gone, it counts no more.
    world.zone.remove(&name);
    world.pass(SEEN).await;
    assert_eq!(world.happened_with(&["trust of e2e4", "is published no more"]), 1);
    let id = world.send("e2e4", world.user("b1c2"), 50, 0).await;
    world.pass(HOURS).await;
    assert_eq!(world.happened(&format!("closed id={id}")), 0);
    let a = world.start_with("e2e4", 2, Family::Attested, a.stop().await);
    moved_to(&world, 2);
    world.until_empty(Duration::from_hours(6), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 5, ..Tally::default() });
}

/// Somebody has taken the zone, or the chain has lost its key: nobody here can tell them apart.
#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_endorsed_waits_three_days_and_through_a_restart() {
    let world = two_keys(4).await;
    world.zone.set_security(Security::Secure);
    let published = Published::new(&world, Family::Attested);
    published.key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Attested);
    let b = by_dns(&world, Family::Attested, TrustLevel::Dnssec);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;

    let spool = a.stop().await;
    let a = world.start_with("e2e4", 2, Family::Attested, spool);
    moved_to(&world, 2);
    published.revoke(1).key(2, None).select(&["k2"]);
    world.pass(SEEN).await;
    assert_eq!(world.happened_with(&["alert", "keys have changed without endorsement"]), 1);
    let in_five_days = world.now().0 + 5 * 86_400;
    let id = world.send("e2e4", world.user("b1c2"), 20, in_five_days).await;
    world.pass(Duration::from_hours(36)).await;
    let b = world.start_with("b1c2", 1, Family::Attested, b.stop().await);
    world.pass(Duration::from_hours(33)).await;
    assert_eq!(dns::believed(&b.gateway, e2e4()).unwrap_err().code, Code::NOT_NOW);
    assert_eq!(world.happened(&format!("closed id={id}")), 0);
    world.until_empty(Duration::from_hours(5), &[&a, &b]).await;
    assert_eq!(world.happened_with(&["trust of e2e4", "the wait is over"]), 1);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

/// Unsigned, the same stops nothing and brings nothing in.
#[tokio::test(start_paused = true)]
async fn who_forges_answers_neither_stops_a_chain_nor_speaks_for_it() {
    let world = two_keys(5).await;
    let published = Published::new(&world, Family::Attested);
    published.key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Attested);
    let b = by_dns(&world, Family::Attested, TrustLevel::Dnssec);
    world.zone.set_security(Security::Secure);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    world.zone.set_security(Security::Indeterminate);
    published.key(2, None).select(&["k2"]);
    world.pass(Duration::from_hours(80)).await;
    assert_eq!(world.happened_with(&["alert", "not good enough differs"]), 1, "told once");
    let key = SecretKey::from_seed(&world.chains[&e2e4()].keys[0]).public();
    let believed = dns::believed(&b.gateway, e2e4()).unwrap().trusted.keys;
    assert_eq!(believed.keys().collect::<Vec<_>>(), [&key]);
    world.send("e2e4", world.user("b1c2"), 20, 0).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

/// The key of a gateway is stolen. Its operator revokes it in DNS, and every other gateway that has
/// it from its own operator hears of it.
#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_at_once_also_where_an_operator_wrote_it_down() {
    let world = two_keys(6).await;
    let published = Published::new(&world, Family::Attested);
    published.key(1, None).key(2, None).select(&["k1", "k2"]);
    let a = world.start("e2e4", 1, Family::Attested);
    let b = world.start("b1c2", 1, Family::Attested);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    // Its header is authenticated, its proof is lost: only the message is still missing.
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let id = world.send("e2e4", world.user("b1c2"), 20, 0).await;
    world.until("claimed", SOON, || b.state(Direction::Inbound, &id).is_some()).await;
    published.revoke(1).select(&["k2"]);
    world.pass(SEEN).await;
    world.network.heal();
    world.pass(HOURS).await;
    assert_eq!(b.state(Direction::Inbound, &id), Some(State::Claimed), "nothing by a stolen key");
    assert!(world.happened_with(&["alert", "trust of e2e4", "at k1 is revoked"]) >= 1);
    // The gateway goes on with its other key.
    let a = world.start_with("e2e4", 2, Family::Attested, a.stop().await);
    moved_to(&world, 2);
    world.until_empty(Duration::from_hours(6), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_turns_up_elsewhere_or_anew_is_somebody_else() {
    let mut world = two_keys(7).await;
    world.roots.insert(0, "first.test".parse().unwrap());
    let world = world;
    let published = Published::new(&world, Family::Ledger);
    published.key(1, None).select(&["k1"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = world.start("b1c2", 1, Family::Ledger);
    world.send("b1c2", world.user("e2e4"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;

    // Somebody registers the same chain-id under the root that is asked first, and lets his own
    // gateway be found there.
    let captured = Anchor::under(e2e4(), &"first.test".parse().unwrap());
    let thief = GatewayRecord::new(
        e2e4(),
        "gw9.thief.test".parse().unwrap(),
        distpos_proto::key::SpkiPin([9; 32]),
    );
    world.zone.publish(&captured.gateways(), TTL, [thief]);
    world.pass(SEEN).await;
    let id = world.send("b1c2", world.user("e2e4"), 20, 0).await;
    world
        .until("deferred", SOON, || {
            world.happened_with(&["b1c2/1 deferred", "4.7.1", "first accepted at"]) > 0
        })
        .await;
    assert_eq!(b.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(world.happened_with(&["b1c2/1 alert", "route of e2e4 is not used"]), 1);
    world.zone.remove(&captured.gateways());
    world.until_empty(HOURS, &[&a, &b]).await;

    // A chain that was started anew under its old name.
    let policy = PolicyRecord { genesis: GenesisTag([9; 8]), ..published.policy.clone() };
    let policy = PolicyRecord { selectors: vec![selector("k1")], ..policy };
    world.zone.publish(&published.anchor.policy(), TTL, [policy]);
    world.pass(SEEN).await;
    let id = world.send("b1c2", world.user("e2e4"), 30, 0).await;
    world
        .until("deferred", SOON, || {
            world.happened_with(&["b1c2/1 deferred", "4.7.1", "first accepted with"]) > 0
        })
        .await;
    assert_eq!(b.state(Direction::Outbound, &id), Some(State::Queued));
    published.select(&["k1"]);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 3, ..Tally::default() });
}

/// An operator may want more than an unsigned route, too.
#[tokio::test(start_paused = true)]
async fn a_route_that_is_not_known_well_enough_is_not_used() {
    let (world, a, b) = World::pair(8, 5_000).await;
    *a.book.least.lock().unwrap() =
        Some(Least { route: TrustLevel::Dnssec, keys: TrustLevel::Static });
    let id = world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world
        .until("deferred", SOON, || {
            world.happened_with(&["e2e4/1 deferred", "4.7.1", "known at the level pinned"]) > 0
        })
        .await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    world.zone.set_security(Security::Secure);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_goes_null_keeps_what_is_in_flight_until_it_is_back() {
    let (world, a, b) = World::pair(9, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let there = world.send("e2e4", world.user("b1c2"), 10, 0).await;
    let back = world.send("b1c2", world.user("e2e4"), 20, 0).await;
    world.until("claimed", SOON, || b.state(Direction::Inbound, &there).is_some()).await;
    world.until("claimed", SOON, || a.state(Direction::Inbound, &back).is_some()).await;
    world.zone.publish(&zone_name(cid("b1c2")), TTL, [GatewayRecord::null(cid("b1c2"))]);
    world.network.heal();
    world.pass(SEEN).await;
    let late = world.send("e2e4", world.user("b1c2"), 30, 0).await;
    world.pass(SEEN).await;
    assert!(world.happened_with(&["e2e4/1 deferred", "5.1.10"]) > 0, "for good, says DNS");
    assert_eq!(a.state(Direction::Outbound, &late), Some(State::Queued), "it was there once");
    assert_eq!((world.happened("refunded"), world.balance("e2e4") < amount(FUNDS)), (0, true));
    let record = GatewayRecord::new(
        cid("b1c2"),
        "gw1.b1c2.test".parse().unwrap(),
        world.chains[&cid("b1c2")].pin(1),
    );
    world.zone.publish(&zone_name(cid("b1c2")), TTL, [record]);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 3, ..Tally::default() });
}

/// A day without DNS, with messages under way and new ones coming.
#[tokio::test(start_paused = true)]
async fn all_name_servers_may_be_away_for_a_day() {
    for (seed, fault) in
        [(10, Fault::Silent), (11, Fault::Fails(distpos_resolver::LookupFailure::ServFail))]
    {
        let world = two_keys(seed).await;
        world.zone.set_security(Security::Secure);
        Published::new(&world, Family::Ledger).key(1, None).select(&["k1"]);
        let a = world.start("e2e4", 1, Family::Ledger);
        let b = by_dns(&world, Family::Ledger, TrustLevel::Dnssec);
        let mut sent = 0;
        world.send("e2e4", world.user("b1c2"), 10, 0).await;
        world.send("b1c2", world.user("e2e4"), 10, 0).await;
        world.until_empty(SOON, &[&a, &b]).await;
        world.zone.fail("", fault);
        let begin = world.now().0;
        while world.now().0 < begin + 24 * 3600 {
            for (from, to) in [("e2e4", "b1c2"), ("b1c2", "e2e4")] {
                world.send(from, world.user(to), 5, 0).await;
                sent += 1;
            }
            world.pass(Duration::from_hours(2)).await;
        }
        let closed = world.happened(" closed ");
        assert!(closed > 2, "known chains are reached by what was known of them");
        world.zone.heal();
        world.until_empty(Duration::from_hours(12), &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { delivered: sent + 2, ..Tally::default() });
        assert_eq!(world.happened("refunded"), 0);
    }
}
