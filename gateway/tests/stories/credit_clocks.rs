//! Clocks that are two minutes apart, either way: of a chain and its gateway against the other
//! chain, of a gateway against its own chain, and one that is set while messages are under way. A
//! wrong clock costs time, or a refund; it moves no value twice and keeps none.

use std::time::Duration;

use distpos_proto::{
    account::{Limits, Window},
    message::MessageId,
    wire::RequestKind,
};

use crate::support::{
    audit::Tally,
    held::lose,
    site::Site,
    world::{ASSET, FUNDS, Order, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const APART: [i64; 2] = [120, -120];

/// Two chains; the clocks of b1c2 and of its gateway are so many seconds from e2e4's.
async fn pair(seed: u64, chain: i64, gateway: i64) -> (World, Site, Site) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    world.set_clock("b1c2", 0, chain);
    world.set_clock("b1c2", 1, gateway);
    (world, a, b)
}

/// Both ways, ten each that arrive and ten that come back.
async fn send_forty(world: &World) {
    for k in 0..10 {
        for (from, to) in [("e2e4", "b1c2"), ("b1c2", "e2e4")] {
            world.send(from, world.user(to), 5 + k, 0).await;
            world.send(from, world.stranger(to), 3, 0).await;
        }
    }
}

const FORTY: Tally = Tally { delivered: 20, refunded: 20, unroutable: 0 };

#[tokio::test(start_paused = true)]
async fn chains_two_minutes_apart_work_as_if_they_were_not() {
    for (seed, skew) in (1..).zip(APART) {
        let (world, a, b) = pair(seed, skew, skew).await;
        send_forty(&world).await;
        world.until_empty(SOON, &[&a, &b]).await;
        assert_eq!(world.audit(&[&a, &b]).await, FORTY, "{skew}");
        assert_eq!(world.happened("alert"), 0, "{skew}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_two_minutes_from_its_own_chain_works_as_if_it_were_not() {
    for (seed, skew) in (3..).zip(APART) {
        let (world, a, b) = pair(seed, 0, skew).await;
        send_forty(&world).await;
        world.until_empty(SOON, &[&a, &b]).await;
        assert_eq!(world.audit(&[&a, &b]).await, FORTY, "{skew}");
    }
}

/// A block that seems to come out of the future is waited for, and not called a lie.
#[tokio::test(start_paused = true)]
async fn further_apart_than_that_the_proof_waits_until_its_time_has_come() {
    let (world, a, b) = pair(5, -180, -180).await;
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(Duration::from_secs(50)).await;
    assert_eq!(world.happened(&format!("b1c2/1 admitted id={id}")), 0);
    assert!(world.happened_with(&["proof-invalid", "in this gateway's future"]) > 0);
    world.until_empty(SOON, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

/// Where its destination's clock is ahead, a message is late before its time, and comes back.
#[tokio::test(start_paused = true)]
async fn a_destination_that_is_ahead_voids_what_has_expired_by_its_clock() {
    for (seed, chain) in [(6, 120), (7, 0)] {
        let (world, a, b) = pair(seed, chain, 120).await;
        let id = soon(&world, 100).await;
        world.until_empty(SOON, &[&a, &b]).await;
        assert_eq!(world.happened(&format!("ended id={id} refused \"5.4.7 ")), 1);
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { refunded: 1, ..Tally::default() }, "chain {chain}");
        assert_eq!(world.balance("e2e4"), amount(FUNDS));
    }
}

/// Where it is behind, a message may arrive when its source calls it expired: that is no refund.
#[tokio::test(start_paused = true)]
async fn a_destination_that_is_behind_may_deliver_what_has_expired_at_the_source() {
    let (world, a, b) = pair(8, -120, -120).await;
    lose(&world, RequestKind::Proofs);
    let id = soon(&world, 100).await;
    world.pass(Duration::from_secs(140)).await;
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 25), "expired here, and not paid back");
    world.network.heal();
    world.until("closed", HOURS, || world.happened(&format!("closed id={id}")) == 1).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

/// A gateway that is behind its own chain thinks that there is time left; its chain knows better.
#[tokio::test(start_paused = true)]
async fn a_chain_does_not_deliver_late_for_a_gateway_that_is_behind() {
    let (world, a, b) = pair(9, 0, -120).await;
    lose(&world, RequestKind::Proofs);
    let id = soon(&world, 100).await;
    world.pass(Duration::from_secs(140)).await;
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.happened(&format!("ended id={id} refused \"5.4.7 ")), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
}

/// The window's time is the chain's for what arrived, and the gateway's for what may.
#[tokio::test(start_paused = true)]
async fn a_window_frees_itself_though_gateway_and_chain_disagree_on_the_time() {
    for (seed, skew) in (10..).zip(APART) {
        let (world, a, b) = pair(seed, 0, skew).await;
        let window = Some(Window { max: amount(50), seconds: 100 });
        let limits = Limits { credit_limit: amount(5_000), window };
        world.open(cid("b1c2"), cid("e2e4"), limits).await;
        let order = Order { to: world.user("b1c2"), value: 50, data: Vec::new(), expires: 0 };
        let start = world.now().0;
        let ids = world.order("e2e4", vec![order; 4]).await;
        world.until_empty(HOURS, &[&a, &b]).await;
        let took = world.now().0 - start;
        assert!((300..900).contains(&took), "four windows' worth took {took} s, {skew} apart");
        // In turn, as far as the two agree: what the chain puts off is tried again by itself.
        assert!(ids.iter().all(|id| world.happened(&format!("closed id={id}")) == 1));
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { delivered: 4, ..Tally::default() });
    }
}

/// Somebody sets the clocks right, or wrong, in the middle of it.
#[tokio::test(start_paused = true)]
async fn clocks_that_are_set_while_messages_are_under_way_lose_none() {
    for (seed, skew) in (12..).zip(APART) {
        let (world, a, b) = pair(seed, skew, skew).await;
        world.slow_nodes(20);
        // What is due stands two minutes ahead, or behind, after each of these.
        for (chain, skew) in [("b1c2", -skew), ("e2e4", skew), ("b1c2", skew), ("e2e4", -skew)] {
            send_forty(&world).await;
            world.pass(Duration::from_millis(90)).await;
            world.set_clock(chain, 0, skew);
            world.set_clock(chain, 1, skew);
        }
        world.until_empty(HOURS, &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { delivered: 80, refunded: 80, unroutable: 0 }, "{skew}");
        let (at_a, at_b) = (a.figures(cid("b1c2"), ASSET), b.figures(cid("e2e4"), ASSET));
        assert_eq!((at_a.sent, at_a.received), (at_b.received, at_b.sent));
    }
}

/// A payment of 25 that expires in so many seconds, by e2e4's clock.
async fn soon(world: &World, seconds: u64) -> MessageId {
    world.send("e2e4", world.user("b1c2"), 25, world.now().0 + seconds).await
}
