//! What an operator suspends stands still, and nothing else does; it goes on by itself in time.

use std::time::Duration;

use distpos_gateway::suspension::{resume, suspend};
use distpos_proto::{chain::Family, code::Code, wire::RequestKind};
use distpos_spool::{Direction, PairSuspension, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{World, cid},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

async fn halt(site: &Site, peer: &str, direction: Direction, lasts: Duration) {
    let since = site.gateway.now();
    let (by, why) = ("uid 7".to_owned(), "the other side moves house".to_owned());
    let held = PairSuspension { since, until: since.after(lasts), by, why };
    assert!(suspend(&site.gateway, cid(peer), vec![direction], held).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_a_suspended_chain_waits_to_the_second_and_through_a_restart() {
    let (world, a, b) = World::pair(1, 5_000).await;
    halt(&a, "b1c2", Direction::Outbound, 10 * MINUTE).await;
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    // The pair of the other direction goes on.
    let back = world.send("b1c2", world.user("e2e4"), 9, 0).await;
    let closed = format!("b1c2/1 closed id={back}");
    world.until("the other pair goes on", MINUTE, || world.happened(&closed) == 1).await;
    let batch = a.batches(Direction::Outbound).remove(0);
    let reply = batch.reply.expect("a reason");
    assert_eq!((batch.state, reply.code), (State::Queued, Code::SUSPENDED));
    assert!(reply.text().ends_with(" by uid 7: the other side moves house"), "{reply}");
    assert!(reply.text().starts_with("suspended until "), "{reply}");

    let spool = a.kill();
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    let left = batch.due.unwrap().since(a.gateway.now());
    world.pass(left - SECOND).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(world.network.arrived(RequestKind::Messages, cid("b1c2")), 0);
    world.pass(2 * SECOND).await;
    assert_eq!(world.network.arrived(RequestKind::Messages, cid("b1c2")), 1);
    assert_eq!(world.happened("e2e4/1 note b1c2 out is no longer suspended"), 1);
    world.until_empty(MINUTE, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_suspended_chain_is_refused_before_anything_is_claimed_and_told_when_to_come() {
    let (world, a, b) = World::pair(2, 5_000).await;
    halt(&b, "e2e4", Direction::Inbound, 10 * MINUTE).await;
    let start = b.gateway.now();
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(MINUTE).await;
    assert!(world.happened_with(&["e2e4/1 deferred", "4.2.1 ", "suspended by the operator"]) == 1);
    assert_eq!(world.happened("b1c2/1 claimed"), 0);
    let told = a.batches(Direction::Outbound).remove(0).reply.unwrap();
    assert!(!told.text().contains("moves house"), "{told}");
    let seconds = told.retry_after.expect("when to come again");
    assert!((590..=600).contains(&seconds), "{seconds}");
    // A tenth of jitter at most.
    world.until_empty(Duration::from_secs(670) + MINUTE, &[&a, &b]).await;
    assert_eq!(world.happened("b1c2/1 claimed"), 1);
    assert!(b.gateway.now().since(start) >= 10 * MINUTE);
    assert_eq!(a.state(Direction::Outbound, &id), None);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_suspension_of_days_alarms_nobody_and_what_expires_in_it_is_paid_back_after_it() {
    let (world, a, b) = World::pair(5, 5_000).await;
    let lasts = Duration::from_hours(24 * 3);
    halt(&a, "b1c2", Direction::Outbound, lasts).await;
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(MINUTE).await;
    // No further ahead than the watchdog allows a queued message (27 h).
    let due = a.batches(Direction::Outbound).remove(0).due.unwrap();
    assert!(due.since(a.gateway.now()) <= Duration::from_hours(24));
    world.pass(lasts - 2 * MINUTE).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(world.network.arrived(RequestKind::Messages, cid("b1c2")), 0);
    world.until_empty(Duration::from_hours(2), &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_before_waits_unproven_until_it_is_resumed() {
    let (world, a, b) = World::pair(4, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.until("claimed", MINUTE, || world.happened("b1c2/1 claimed") == 1).await;
    halt(&b, "e2e4", Direction::Inbound, Duration::from_hours(24)).await;
    world.network.heal();
    world.pass(10 * MINUTE).await;
    let batch = b.batches(Direction::Inbound).remove(0);
    let code = batch.reply.as_ref().map(|reply| reply.code);
    assert_eq!((batch.state, code), (State::Claimed, Some(Code::SUSPENDED)));
    assert_eq!(world.happened("b1c2/1 proven"), 0);
    resume(&b.gateway, cid("e2e4"), vec![Direction::Inbound]).await.unwrap();
    world.until_empty(10 * MINUTE, &[&a, &b]).await;
    assert_eq!(a.state(Direction::Outbound, &id), None);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn what_is_resumed_goes_on_at_once_and_other_chains_never_waited() {
    let world = World::new(3, &["e2e4", "b1c2", "c0de"]);
    world.befriend(5_000).await;
    let sites: Vec<Site> =
        ["e2e4", "b1c2", "c0de"].map(|chain| world.start(chain, 1, Family::Ledger)).into();
    let all: Vec<&Site> = sites.iter().collect();
    let a = &sites[0];
    halt(a, "b1c2", Direction::Outbound, Duration::from_hours(24)).await;
    let waits = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    let goes = world.send("e2e4", world.user("c0de"), 26, 0).await;
    let closed = format!("e2e4/1 closed id={goes}");
    world.until("the other chain has its own", MINUTE, || world.happened(&closed) == 1).await;
    assert_eq!(a.state(Direction::Outbound, &waits), Some(State::Queued));
    let both = Direction::BOTH.to_vec();
    let resumed = resume(&a.gateway, cid("b1c2"), both.clone()).await.unwrap();
    assert_eq!(resumed, [Direction::Outbound]);
    world.until_empty(MINUTE, &all).await;
    assert_eq!(resume(&a.gateway, cid("b1c2"), both).await.unwrap(), []);
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}
