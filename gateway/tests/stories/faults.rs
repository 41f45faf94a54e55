//! What breaks for a while: everything arrives, or comes back, once.

use std::time::Duration;

use distpos_proto::{chain::Family, wire::RequestKind};
use distpos_resolver::{Fault, LookupFailure};
use distpos_spool::{Direction, MemoryDisk, Spool, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(4 * 60 * 60);

/// Both ways, one each that arrives and one that does not.
async fn send_four(world: &World) {
    for (from, to) in [("e2e4", "b1c2"), ("b1c2", "e2e4")] {
        world.send(from, world.user(to), 25, 0).await;
        world.send(from, world.stranger(to), 4, 0).await;
    }
}

const FOUR: Tally = Tally { delivered: 2, refunded: 2, unroutable: 0 };

#[tokio::test(start_paused = true)]
async fn dns_that_is_away_for_a_while_delays_and_loses_nothing() {
    for (seed, fault) in [
        (1, Fault::Fails(LookupFailure::ServFail)),
        (2, Fault::Fails(LookupFailure::Timeout)),
        (3, Fault::Silent),
    ] {
        let (world, a, b) = World::pair(seed, 5_000).await;
        world.zone.fail("", fault);
        send_four(&world).await;
        world.pass(Duration::from_secs(600)).await;
        assert!(world.happened_with(&["deferred", "4.4.3"]) > 4);
        assert_eq!(world.happened("sent chain"), 0);
        world.zone.heal();
        world.until_empty(HOURS, &[&a, &b]).await;
        assert_eq!(world.audit(&[&a, &b]).await, FOUR);
    }
}

/// What was looked up before serves for a day (RFC 8767).
#[tokio::test(start_paused = true)]
async fn dns_that_goes_away_later_is_not_missed_for_a_day() {
    let (world, a, b) = World::pair(4, 5_000).await;
    send_four(&world).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.zone.fail("", Fault::Fails(LookupFailure::ServFail));
    world.pass(Duration::from_hours(20)).await;
    send_four(&world).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 4, refunded: 4, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
async fn the_second_gateway_that_is_listed_takes_over() {
    let (world, a, first) = World::pair(5, 5_000).await;
    let second = world.start("b1c2", 2, Family::Ledger);
    send_four(&world).await;
    world.until_empty(SOON, &[&a, &first, &second]).await;
    let spool = first.kill();
    let before = world.happened_with(&["sent chain=b1c2 gateway=gw2.b1c2.test:7333"]);
    send_four(&world).await;
    world.until_empty(SOON, &[&a, &second]).await;
    let after = world.happened_with(&["sent chain=b1c2 gateway=gw2.b1c2.test:7333"]);
    assert!(after > before, "{after}");
    // The first comes back and finds that everything has ended.
    let first = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(SOON, &[&a, &first, &second]).await;
    let tally = world.audit(&[&a, &first, &second]).await;
    assert_eq!(tally, Tally { delivered: 4, refunded: 4, unroutable: 0 });
}

/// It had taken messages and goes away before their proofs; the second has never heard of them.
#[tokio::test(start_paused = true)]
async fn what_the_first_gateway_took_with_it_is_sent_to_the_second() {
    let (world, a, first) = World::pair(6, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.until("taken", SOON, || a.state(Direction::Outbound, &id) == Some(State::Accepted)).await;
    let spool = first.kill();
    world.network.heal();
    let second = world.start("b1c2", 2, Family::Ledger);
    world.until_empty(HOURS, &[&a, &second]).await;
    let first = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &first, &second]).await;
    let tally = world.audit(&[&a, &first, &second]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

/// The kinds of calls, and of loss. Every such call of the first `minutes` is lost, or every second.
async fn lossy(seed: u64, kind: RequestKind, fate: Fate, minutes: u64) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    let clock = world.clock.clone();
    let end = world.now().0 + minutes * 60;
    // A status is asked for only where no receipt comes.
    let status = kind == RequestKind::Status;
    world.network.fates(move |call| {
        if clock().seconds().0 >= end {
            return Fate::Arrives;
        }
        match call.kind {
            found if found == kind => fate,
            RequestKind::Receipts if status => Fate::RequestLost,
            _ => Fate::Arrives,
        }
    });
    send_four(&world).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, FOUR, "{kind:?} {fate:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_calls_and_lost_answers_delay_and_lose_nothing() {
    let kinds =
        [RequestKind::Messages, RequestKind::Proofs, RequestKind::Receipts, RequestKind::Status];
    for (seed, kind) in (10..).zip(kinds) {
        for fate in [Fate::AnswerLost, Fate::RequestLost] {
            lossy(seed, kind, fate, 5).await;
            lossy(seed, kind, fate, 45).await;
        }
    }
}

/// Not one receipt ever arrives by itself: they are asked for.
#[tokio::test(start_paused = true)]
async fn receipts_that_never_arrive_are_asked_for() {
    let (world, a, b) = World::pair(20, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Receipts => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    send_four(&world).await;
    world
        .until("settled", HOURS, || {
            world.happened("closed id=") == 2 && world.happened("refunded id=") == 2
        })
        .await;
    assert!(world.network.arrived(RequestKind::Status, cid("b1c2")) > 0);
    assert_eq!(world.network.arrived(RequestKind::Receipts, cid("e2e4")), 0);
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, FOUR);
}

/// Receipts that can never be delivered are given up after a week; nothing hangs on them.
#[tokio::test(start_paused = true)]
async fn receipts_are_offered_for_a_week_and_no_longer() {
    let (world, a, b) = World::pair(21, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Receipts => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    send_four(&world).await;
    world.until_empty(Duration::from_hours(8 * 24), &[&a, &b]).await;
    assert_eq!(world.happened_with(&["alert", "were not taken in 7 days"]), 2);
    assert_eq!(world.audit(&[&a, &b]).await, FOUR);
}

/// The source's spool is gone: its chain is read anew, and its guard knows what has ended.
#[tokio::test(start_paused = true)]
async fn a_spool_that_is_lost_is_filled_anew_from_the_chain() {
    for (seed, site) in [(30, "e2e4"), (31, "b1c2")] {
        let (world, a, b) = World::pair(seed, 5_000).await;
        send_four(&world).await;
        world.until_empty(SOON, &[&a, &b]).await;
        let (received, sent) = figures(&a);
        // Under way: sent, taken, not ended.
        world.network.fates(|call| match call.kind {
            RequestKind::Proofs => Fate::RequestLost,
            _ => Fate::Arrives,
        });
        send_four(&world).await;
        world.pass(Duration::from_secs(5)).await;
        let lost = |other: &str| other == site;
        let again = |chain: &str, site: Site| {
            let spool = site.kill();
            let spool = if lost(chain) { Spool::in_memory() } else { spool };
            world.start_with(chain, 1, Family::Ledger, spool)
        };
        let (a, b) = (again("e2e4", a), again("b1c2", b));
        world.network.heal();
        world.until_empty(HOURS, &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { delivered: 4, refunded: 4, unroutable: 0 }, "{site}");
        let twice = (received.checked_add(received), sent.checked_add(sent));
        assert_eq!((Some(figures(&a).0), Some(figures(&a).1)), twice, "the books are read anew");
    }
}

fn figures(site: &Site) -> (distpos_proto::amount::Amount, distpos_proto::amount::Amount) {
    let figures = site.figures(cid("b1c2"), "e2e4/coin");
    (figures.received, figures.sent)
}

/// More than a thousand batches for a chain whose DNS never answers do not hold up another chain.
#[tokio::test(start_paused = true)]
async fn the_backlog_of_one_chain_delays_no_other() {
    let (world, a, b) = World::pair(40, 5_000).await;
    world.zone.fail("_distpos.f00d.chains.test", Fault::Silent);
    let to = distpos_proto::address::Address::new(cid("f00d"), world.user("b1c2").local().clone());
    let spool = a.stop().await;
    // A block each, so a batch each.
    for _ in 0..1_100 {
        world.send("e2e4", to.clone(), 0, 0).await;
    }
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    world.until("read", SOON, || a.waiting() == 1_100).await;
    let spool = a.stop().await;
    // All of them are due when it comes back.
    world.pass(Duration::from_hours(3)).await;
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world
        .until("closed", Duration::from_secs(5), || world.happened(&format!("closed id={id}")) == 1)
        .await;
    assert_eq!(a.waiting(), 1_100);
    assert_eq!(b.waiting(), 0);
    assert_eq!(world.balance("b1c2"), amount(10_025));
}

/// Nothing is taken and nothing delivered that could not be kept; what is there stays.
#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_intake_and_delivery_until_there_is_room() {
    let (world, a, b) = World::pair(50, 5_000).await;
    let disk = MemoryDisk::default();
    b.kill();
    let b = world.start_with("b1c2", 1, Family::Ledger, Spool::in_memory_on(disk.clone()));
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let taken = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.until("claimed", SOON, || b.waiting() == 1).await;
    disk.set_full(true);
    world.network.heal();
    let kept_out = world.send("e2e4", world.user("b1c2"), 4, 0).await;
    let not_sent = world.send("b1c2", world.user("e2e4"), 3, 0).await;
    world.pass(HOURS).await;
    assert!(world.happened_with(&["e2e4/1 deferred", "4.3.1"]) > 3);
    assert_eq!(a.state(Direction::Outbound, &kept_out), Some(State::Queued));
    assert_eq!(b.state(Direction::Inbound, &taken), Some(State::Claimed));
    assert_eq!(b.state(Direction::Outbound, &not_sent), Some(State::Queued));
    assert_eq!(world.balance("b1c2"), amount(10_000 - 3));
    let alerts = world.happened_with(&["b1c2/1 alert", "spool"]);
    assert_eq!(alerts, 2, "one a pipeline: neither silent nor a flood");
    disk.set_full(false);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 3, ..Tally::default() });
}
