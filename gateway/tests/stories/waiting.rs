//! What happens to messages that only wait: notices, holds, clocks that jump, and a gateway that has
//! too much to do.

use std::{sync::atomic::Ordering, time::Duration};

use distpos_gateway::{
    admin::Reason,
    queue::{
        Selection, Verb,
        change::{Asked, HELD_FOR, change},
        filter::Filter,
    },
};
use distpos_proto::{chain::Family, message::MessageId};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{MEMORY_MAX, World, cid},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Nobody of a chain can be called.
fn lose_calls_to(world: &World, to: &str) {
    let to = cid(to);
    world.network.fates(move |call| match call.to == to {
        true => Fate::RequestLost,
        false => Fate::Arrives,
    });
}

async fn act(site: &Site, verb: Verb, ids: &[MessageId], lasts: Duration) -> u64 {
    let selection = match ids {
        [] => Selection::Filter(Filter::default()),
        ids => Selection::Ids(ids.to_vec()),
    };
    let reason: Reason = "a story".parse().unwrap();
    let asked = Asked { verb, selection, cursor: None, lasts, reason };
    change(&site.gateway, &asked).await.unwrap().done
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_after_a_quarter_of_an_hour_and_after_four_hours_once_each() {
    let (world, a, _b) = World::pair(1, 5_000).await;
    lose_calls_to(&world, "b1c2");
    let ids = [
        world.send("e2e4", world.user("b1c2"), 25, 0).await,
        world.send("e2e4", world.user("b1c2"), 26, 0).await,
    ];
    world.pass(15 * MINUTE - SECOND).await;
    assert_eq!(world.happened("delayed"), 0);
    world.pass(2 * SECOND).await;
    let told = "e2e4/1 delayed chain=b1c2 age=900s messages=";
    let messages: u64 = world
        .story()
        .iter()
        .filter_map(|line| line.split(told).nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(messages, 2, "{}", world.story().join("\n"));
    for id in ids {
        assert_eq!(world.happened_with(&[told, "state=queued", "4.4.1", &id.to_string()]), 1);
    }

    // A restart in between repeats nothing, and what fell due meanwhile is told after it.
    let before = world.happened("delayed");
    let spool = a.stop().await;
    world.pass(230 * MINUTE).await;
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    world.pass(SECOND).await;
    assert_eq!(world.happened(told), before);
    assert_eq!(world.happened("delayed chain=b1c2 age=14400s messages=2"), 1);
    world.pass(DAY).await;
    assert_eq!(world.happened("delayed"), before + 1);
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_to_the_second_and_survives_a_restart() {
    let (world, a, b) = World::pair(2, 5_000).await;
    lose_calls_to(&world, "b1c2");
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(MINUTE).await;
    assert_eq!(act(&a, Verb::Hold, &[id], 10 * MINUTE).await, 1);
    world.network.heal();
    world.pass(5 * MINUTE).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Held));
    let spool = a.stop().await;
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    world.pass(5 * MINUTE - SECOND).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Held));
    world.until_empty(3 * SECOND, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_is_held_comes_back_when_it_is_let_go() {
    let (world, a, b) = World::pair(3, 5_000).await;
    lose_calls_to(&world, "b1c2");
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(MINUTE).await;
    assert_eq!(act(&a, Verb::Hold, &[], HELD_FOR).await, 1);
    world.network.heal();
    world.pass(HELD_FOR - MINUTE).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Held));
    // Its proof shows b1c2 that it came too late, and nobody has it twice.
    world.pass(MINUTE).await;
    world.until_empty(2 * Duration::from_hours(1), &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
}

/// Also while the gateway is away, as when a machine comes up with an empty battery.
#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_a_day_delays_nothing_by_a_day() {
    for (seed, away) in [(4, false), (5, true)] {
        let (world, a, b) = World::pair(seed, 5_000).await;
        lose_calls_to(&world, "b1c2");
        world.send("e2e4", world.user("b1c2"), 25, 0).await;
        world.pass(2 * Duration::from_hours(1)).await;
        let a = if away {
            let spool = a.stop().await;
            world.set_clock("e2e4", 1, -DAY_SECONDS);
            world.network.heal();
            world.start_with("e2e4", 1, Family::Ledger, spool)
        } else {
            world.set_clock("e2e4", 1, -DAY_SECONDS);
            world.network.heal();
            a
        };
        world.pass(MINUTE).await;
        // Known to the hour where it is known from the spool.
        assert_eq!(world.happened("alert the clock went back by 8"), 1, "away: {away}");
        world.until_empty(10 * MINUTE, &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { delivered: 1, ..Tally::default() }, "away: {away}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_forward_a_day_costs_a_refund_and_no_value() {
    let (world, a, b) = World::pair(6, 5_000).await;
    lose_calls_to(&world, "b1c2");
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(MINUTE).await;
    world.set_clock("e2e4", 1, DAY_SECONDS);
    world.pass(MINUTE).await;
    world.network.heal();
    world.set_clock("e2e4", 1, 0);
    world.until_empty(Duration::from_hours(2), &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally.delivered + tally.refunded, 1);
}

/// Nothing is taken in or begun, nothing is lost, and it goes on by itself.
#[tokio::test(start_paused = true)]
async fn a_gateway_without_memory_sheds_its_load_and_says_so() {
    let (world, a, b) = World::pair(7, 5_000).await;
    b.book.memory.store(MEMORY_MAX + 1, Ordering::Relaxed);
    world.pass(3 * SECOND).await;
    let told = "b1c2/1 alert memory is at 1 GiB, limits.memory_max is 1 GiB: nothing is taken in";
    assert_eq!(world.happened(told), 1);
    let there = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    let back = world.send("b1c2", world.user("e2e4"), 9, 0).await;
    world.pass(MINUTE).await;
    assert!(world.happened("e2e4/1 deferred chain=b1c2 messages=1") > 0);
    assert!(world.happened_with(&["e2e4/1 deferred", "4.3.1 ", "too much load now"]) > 0);
    assert_eq!(a.state(Direction::Outbound, &there), Some(State::Queued));
    assert_eq!(b.state(Direction::Outbound, &back), Some(State::Queued), "nothing is begun");
    assert_eq!(world.happened("b1c2/1 claimed"), 0);

    // Just below the limit is not enough yet.
    b.book.memory.store(MEMORY_MAX, Ordering::Relaxed);
    world.pass(20 * SECOND).await;
    assert_eq!(b.state(Direction::Outbound, &back), Some(State::Queued));
    b.book.memory.store(MEMORY_MAX / 8 * 7, Ordering::Relaxed);
    world.until_empty(2 * MINUTE, &[&a, &b]).await;
    assert_eq!(world.happened("b1c2/1 note memory is at 896 MiB: it goes on"), 1);
    assert_eq!(world.happened("alert memory"), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}

/// Then only a new process has it back.
#[tokio::test(start_paused = true)]
async fn memory_that_does_not_come_back_ends_the_process() {
    let (world, _a, b) = World::pair(8, 5_000).await;
    b.book.memory.store(MEMORY_MAX + 1, Ordering::Relaxed);
    world.pass(2 * MINUTE).await;
    assert_eq!(world.happened("memory stays"), 0);
    world.pass(5 * SECOND).await;
    let told = "memory stays at 1 GiB with nothing begun for 120 s, limits.memory_max is 1 GiB: \
                start it again, the spool has everything";
    assert_eq!(world.happened(told), 1);
}
