//! Chains that are not to be found: what is refunded at once, and what has to wait.

use std::time::Duration;

use distpos_proto::{address::Address, chain::Family, light::Trusted, record::GatewayRecord};
use distpos_resolver::{Fault, LookupFailure};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    world::{FUNDS, ROOT, World, amount, cid, zone_name},
};

const SOON: Duration = Duration::from_secs(60);
const DAYS: Duration = Duration::from_hours(24 * 3);

fn somebody(world: &World, chain: &str) -> Address {
    Address::new(cid(chain), world.user("e2e4").local().clone())
}

#[tokio::test(start_paused = true)]
async fn a_message_to_an_unknown_chain_or_a_null_record_is_refunded_without_a_receipt() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.zone.publish(&zone_name(cid("dead")), 300, [GatewayRecord::null(cid("dead"))]);
    let unknown = world.send("e2e4", somebody(&world, "f00d"), 40, 0).await;
    let null = world.send("e2e4", somebody(&world, "dead"), 50, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.happened(&format!("refused id={unknown} reply=\"5.1.2 ")), 1);
    assert_eq!(world.happened(&format!("refused id={null} reply=\"5.1.10 ")), 1);
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_the_operator_named_needs_a_receipt() {
    let (world, a, _b) = World::pair(2, 5_000).await;
    let anchor = world.anchor(cid("b1c2"), Family::Ledger);
    let named = Trusted { chain: cid("f00d"), ..anchor };
    a.book.trusted.lock().unwrap().insert(cid("f00d"), named);
    let id = world.send("e2e4", somebody(&world, "f00d"), 40, 0).await;
    world.pass(DAYS).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued), "expired long ago");
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 40));
    assert_eq!(world.happened("refunded"), 0);
    // The operator thinks again: what is left of the chain is nothing.
    a.book.trusted.lock().unwrap().remove(&cid("f00d"));
    world.until("refunded", Duration::from_hours(2), || world.happened("refunded") == 1).await;
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
}

#[tokio::test(start_paused = true)]
async fn a_chain_to_which_something_was_sent_needs_a_receipt() {
    let world = World::new(3, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = world.start("b1c2", 1, Family::Ledger);
    // Nothing on a's side names b1c2 but DNS.
    let anchor = a.book.trusted.lock().unwrap().remove(&cid("b1c2")).unwrap();
    let spool = b.kill();
    let id = world.send("e2e4", world.user("b1c2"), 40, 0).await;
    world.until("tried", SOON, || world.happened("e2e4/1 deferred") > 0).await;
    world.zone.remove(&zone_name(cid("b1c2")));
    world.zone.remove(&format!("gw1.b1c2.{ROOT}"));
    world.pass(DAYS).await;
    assert!(world.happened_with(&["deferred", "5.1.2"]) > 10, "unknown for more than a day");
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 40));
    // It comes back: the message has expired, and is void by its receipt only.
    a.book.trusted.lock().unwrap().insert(cid("b1c2"), anchor);
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(Duration::from_hours(3), &[&a, &b]).await;
    assert_eq!(world.happened(&format!("receipt-taken id={id} refused \"5.4.7 ")), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn dns_that_fails_says_nothing_about_a_chain() {
    let faults = [
        Fault::Fails(LookupFailure::ServFail),
        Fault::Fails(LookupFailure::Refused),
        Fault::Fails(LookupFailure::Timeout),
        Fault::Silent,
    ];
    for (seed, fault) in (10..).zip(faults) {
        let (world, a, b) = World::pair(seed, 5_000).await;
        world.zone.fail("", fault);
        let unknown = world.send("e2e4", somebody(&world, "f00d"), 40, 0).await;
        world.pass(Duration::from_hours(6)).await;
        assert_eq!(a.state(Direction::Outbound, &unknown), Some(State::Queued));
        assert!(world.happened_with(&["deferred chain=f00d", "4.4.3"]) > 5);
        assert_eq!(world.happened("refunded"), 0);
        world.zone.heal();
        world.until_empty(Duration::from_hours(2), &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_malformed_are_no_end_either() {
    let (world, a, b) = World::pair(4, 5_000).await;
    world.zone.publish(&zone_name(cid("f00d")), 30, ["v=DPOS1; c=e2e4; h=gw1.f00d.test"]);
    let id = world.send("e2e4", somebody(&world, "f00d"), 40, 0).await;
    world.pass(Duration::from_hours(30)).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert!(world.happened_with(&["deferred chain=f00d", "4.4.3"]) > 5);
    world.zone.publish(&zone_name(cid("f00d")), 30, [GatewayRecord::null(cid("f00d"))]);
    world.until_empty(Duration::from_hours(2), &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
}

/// The records of another chain name this gateway: nothing goes round in circles.
#[tokio::test(start_paused = true)]
async fn a_chain_whose_records_name_this_gateway_is_a_loop() {
    let (world, a, b) = World::pair(5, 5_000).await;
    let own = world.chains[&cid("e2e4")].pin(1);
    let record = GatewayRecord::new(cid("f00d"), "gw1.e2e4.test".parse().unwrap(), own);
    world.zone.publish(&zone_name(cid("f00d")), 30, [record]);
    let id = world.send("e2e4", somebody(&world, "f00d"), 40, 0).await;
    world.until("deferred", SOON, || world.happened_with(&["deferred", "5.4.6"]) > 0).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    world.zone.remove(&zone_name(cid("f00d")));
    world.until_empty(Duration::from_hours(30), &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
}
