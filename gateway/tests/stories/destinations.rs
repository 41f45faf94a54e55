//! Chains that are away, slow, or back: when they are tried, and what wakes what waits for them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use distpos_proto::{
    chain::Family,
    wire::{Request, RequestKind},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{Order, Plan, World, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_hours(6);

/// When a chain was called, in milliseconds since the calls are lost, and for what.
type Calls = Arc<Mutex<Vec<(u64, RequestKind)>>>;

/// Every call between any two chains is lost from now on; those to `to` are written down.
fn lose_all(world: &World, to: &str) -> Calls {
    let (calls, clock, to) = (Calls::default(), world.clock.clone(), cid(to));
    let (log, start) = (calls.clone(), clock().0);
    world.network.fates(move |call| {
        if call.to == to {
            log.lock().unwrap().push((clock().0 - start, call.kind));
        }
        Fate::RequestLost
    });
    calls
}

/// Times and delays of what was put off, in milliseconds.
fn deferrals(world: &World) -> Vec<(u64, u64)> {
    let story = world.story();
    let lines = story.iter().filter(|line| line.contains("e2e4/1 deferred chain=b1c2"));
    lines
        .map(|line| {
            let at = line.split_whitespace().next().unwrap().parse().unwrap();
            let delay = line.split("delay=").nth(1).unwrap().split("ms").next().unwrap();
            (at, delay.parse().unwrap())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_tried_by_the_schedule_to_the_second() {
    let (world, a, _b) = World::pair(1, 5_000).await;
    lose_all(&world, "b1c2");
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(HOURS).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    let found = deferrals(&world);
    let schedule = [10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 3600, 3600];
    assert!(found.len() >= schedule.len(), "{found:?}");
    for (n, (found, seconds)) in found.windows(2).zip(schedule).enumerate() {
        let (at, delay) = found[0];
        assert!((seconds * 900..=seconds * 1100).contains(&delay), "attempt {n}: {delay} ms");
        let late = found[1].0 - (at + delay);
        assert!(late < 1000, "attempt {n} came {late} ms late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_away_is_asked_ever_more_seldom_and_found_within_minutes_of_its_return() {
    let (world, a, b) = World::pair(2, 5_000).await;
    let calls = lose_all(&world, "b1c2");
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(HOURS).await;
    let calls = calls.lock().unwrap().clone();
    assert_eq!(world.happened("e2e4/1 unreachable chain=b1c2 \"4.4.1 "), 1);
    let probes = calls.iter().filter(|(_, kind)| *kind == RequestKind::Hello).count();
    assert!(probes > 40, "{probes} probes in {HOURS:?}");
    let gaps: Vec<u64> = calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    // The third opens the breaker. What the queue itself tries then is not tried for its sake.
    let steady = &gaps[8..];
    assert!(steady.iter().all(|gap| (269_000..=332_000).contains(gap)), "{gaps:?}");

    world.network.heal();
    let back = world.now();
    world.until_empty(Duration::from_secs(400), &[&a, &b]).await;
    assert!(world.now().0 - back.0 < 340, "it does not wait for the hour");
    assert_eq!(world.happened("e2e4/1 reachable chain=b1c2"), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

/// RFC 1123, 5.3.1.1.
#[tokio::test(start_paused = true)]
async fn a_call_from_a_chain_wakes_what_waits_for_it() {
    for restart in [false, true] {
        let (world, a, b) = World::pair(3, 5_000).await;
        lose_all(&world, "b1c2");
        let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
        world.pass(HOURS).await;
        // What was learnt of it is gone with the process; that something waits is not.
        let a = if restart {
            let spool = a.stop().await;
            world.start_with("e2e4", 1, Family::Ledger, spool)
        } else {
            a
        };
        world.pass(Duration::from_secs(10)).await;
        world.network.heal();
        assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
        a.ask(world.chains[&cid("b1c2")].pin(1), cid("b1c2"), &Request::Hello).await;
        let closed = format!("closed id={id}");
        world.until("closed", Duration::from_secs(5), || world.happened(&closed) == 1).await;
        world.until_empty(SOON, &[&a, &b]).await;
        world.audit(&[&a, &b]).await;
    }
}

/// It can call and cannot be called: a wall that lets out only.
#[tokio::test(start_paused = true)]
async fn a_chain_that_calls_each_second_and_cannot_be_reached_is_not_tried_each_second() {
    let (world, a, b) = World::pair(4, 5_000).await;
    let calls = lose_all(&world, "b1c2");
    let log = calls.clone();
    let clock = world.clock.clone();
    world.network.fates(move |call| {
        if call.to == cid("b1c2") {
            log.lock().unwrap().push((clock().0, call.kind));
            return Fate::RequestLost;
        }
        Fate::Arrives
    });
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(Duration::from_secs(60)).await;
    calls.lock().unwrap().clear();
    for _ in 0..600 {
        a.ask(world.chains[&cid("b1c2")].pin(1), cid("b1c2"), &Request::Hello).await;
        world.pass(Duration::from_secs(1)).await;
    }
    let tried = calls.lock().unwrap().len();
    assert!((10..=50).contains(&tried), "{tried} times in 600 s");
    drop(b);
}

/// Messages of 64 KiB, about four requests of them.
async fn big(world: &World, number: usize) -> Vec<distpos_proto::message::MessageId> {
    let order =
        |_| Order { to: world.user("b1c2"), value: 1, data: vec![7; 64 * 1024], expires: 0 };
    world.order("e2e4", (0..number).map(order).collect()).await
}

#[tokio::test(start_paused = true)]
async fn a_chain_gets_several_requests_at_a_time() {
    let plan = Plan { interval: Duration::from_secs(5), ..5.into() };
    let world = World::new(plan, &["e2e4", "b1c2"]);
    world.befriend(1_000_000).await;
    let sites: Vec<Site> =
        ["e2e4", "b1c2"].map(|chain| world.start(chain, 1, Family::Ledger)).into();
    let (calls, clock) = (Calls::default(), world.clock.clone());
    let log = calls.clone();
    world.network.fates(move |call| {
        if call.kind == RequestKind::Messages {
            log.lock().unwrap().push((clock().0, call.kind));
        }
        Fate::Arrives
    });
    big(&world, 400).await;
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(Duration::from_secs(600), &all).await;
    assert_eq!(world.audit(&all).await, Tally { delivered: 400, ..Tally::default() });
    // Calls that began before any of them can have been answered (a call takes 10 ms at least).
    let calls = calls.lock().unwrap().clone();
    let beside = |at: u64| calls.iter().filter(|(other, _)| (at..at + 10).contains(other)).count();
    let most = calls.iter().map(|(at, _)| beside(*at)).max();
    assert!((3..=16).contains(&most.unwrap()), "{calls:?}");
}

/// Two hundred batches wait for a chain that is away: it is called no more often for it.
#[tokio::test(start_paused = true)]
async fn a_backlog_for_a_chain_that_is_away_costs_no_more_calls_than_one_message() {
    let (world, a, b) = World::pair(6, 5_000).await;
    let calls = lose_all(&world, "b1c2");
    // A block each, so a batch each.
    for _ in 0..200 {
        world.send("e2e4", world.user("b1c2"), 1, 0).await;
    }
    world.pass(HOURS).await;
    let tried = calls.lock().unwrap().len();
    assert!((60..=110).contains(&tried), "{tried} calls");
    assert_eq!(a.waiting(), 200);
    world.network.heal();
    world.until_empty(Duration::from_secs(400), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 200, ..Tally::default() });
}
