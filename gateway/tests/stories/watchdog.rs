//! What would wait for ever is found, told of once, and goes on; a task that hangs ends the gateway.

use std::{sync::Arc, time::Duration};

use distpos_gateway::{
    gateway::Gateway,
    stop,
    watchdog::{self, Task, TaskFailed},
};
use distpos_proto::{message::MessageId, time::UnixMillis};
use distpos_spool::{Change, Direction, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{World, cid},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A gateway whose only message waits for what never comes, as a bug would leave it.
async fn left(seed: u64, due: Option<UnixMillis>) -> (World, Site, Site, MessageId) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    world.network.fates(|call| match call.to == cid("b1c2") {
        true => Fate::RequestLost,
        false => Fate::Arrives,
    });
    let id = world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.pass(30 * SECOND).await;
    let forget = move |tx: &mut distpos_spool::Tx<'_>| {
        let (batch, _) = tx.find(Direction::Outbound, &id)?.unwrap();
        let change = Change { state: State::Queued, due, attempts: 1, reply: None };
        tx.update(Direction::Outbound, batch, change, UnixMillis(1))
    };
    a.gateway.spool.transact(forget).await.unwrap();
    world.network.heal();
    (world, a, b, id)
}

fn watched(gateway: &Arc<Gateway>) -> stop::Stopper {
    let (stopper, stop) = stop::channel();
    let gateway = gateway.clone();
    tokio::spawn(async move { watchdog::states::run(&gateway, &stop).await });
    stopper
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_no_time_goes_on_after_an_hour_to_the_second() {
    let (world, a, b, id) = left(71, None).await;
    let _stopper = watched(&a.gateway);
    world.pass(HOUR - SECOND).await;
    assert_eq!(world.happened("watchdog"), 0);
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    world.pass(2 * SECOND).await;
    let texts = ["watchdog stuck direction=outbound chain=b1c2 state=queued", &id.to_string()];
    assert_eq!(world.happened_with(&texts), 1, "{}", world.story().join("\n"));
    world.until_empty(60 * SECOND, &[&a, &b]).await;
    assert_eq!(world.happened("watchdog"), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_next_year_goes_on_after_ten_minutes() {
    let (world, a, b, id) = left(72, Some(UnixMillis(4_000_000_000_000))).await;
    let _stopper = watched(&a.gateway);
    world.pass(600 * SECOND - SECOND).await;
    assert_eq!(world.happened("watchdog"), 0);
    world.pass(2 * SECOND).await;
    assert_eq!(world.happened_with(&["watchdog stuck", "due too late", &id.to_string()]), 1);
    world.until_empty(60 * SECOND, &[&a, &b]).await;
}

/// A gateway whose queue nobody works on: the spool of one that stopped, watched by itself.
#[tokio::test(start_paused = true)]
async fn what_nobody_works_on_is_told_of_once_for_as_long_as_that_lasts() {
    let (world, a, _b, id) = left(73, None).await;
    let gateway = a.gateway.clone();
    let _spool = a.stop().await;
    let due_at = |due| {
        let work = move |tx: &mut distpos_spool::Tx<'_>| {
            let (batch, _) = tx.find(Direction::Outbound, &id)?.unwrap();
            let change = Change { state: State::Queued, due, attempts: 1, reply: None };
            tx.update(Direction::Outbound, batch, change, UnixMillis(1))
        };
        gateway.spool.transact(work)
    };
    due_at(Some(gateway.now())).await.unwrap();
    let _stopper = watched(&gateway);
    world.pass(HOUR).await;
    assert_eq!(world.happened("watchdog"), 0);
    world.pass(80 * SECOND).await;
    assert_eq!(world.happened_with(&["watchdog stuck", "overdue", &id.to_string()]), 1);
    world.pass(10 * HOUR).await;
    assert_eq!(world.happened("watchdog"), 1, "it was told");
}

#[tokio::test(start_paused = true)]
async fn a_long_way_behind_a_chain_that_is_away_nothing_is_stuck() {
    let (world, a, b) = World::pair(74, 5_000).await;
    let _stopper = watched(&a.gateway);
    world.network.fates(|call| match call.to == cid("b1c2") {
        true => Fate::RequestLost,
        false => Fate::Arrives,
    });
    for _ in 0..5 {
        world.send("e2e4", world.user("b1c2"), 25, 0).await;
    }
    world.pass(20 * HOUR).await;
    // A clock that jumps makes nothing stuck either.
    world.set_clock("e2e4", 1, 60 * 60);
    world.pass(HOUR).await;
    world.network.heal();
    world.until_empty(2 * HOUR, &[&a, &b]).await;
    assert_eq!(world.happened("watchdog"), 0, "{}", world.story().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_is_told_of_and_ends_the_gateway_at_three_times_its_limit() {
    let (world, a, _b) = World::pair(75, 5_000).await;
    let (_stopper, stop) = stop::channel();
    let gateway = a.gateway.clone();
    gateway.tasks.beat(Task::Keys);
    let watching = tokio::spawn(async move { watchdog::tasks::run(&gateway, &stop).await });
    // Nobody follows keys in this world.
    world.pass(64 * SECOND).await;
    assert_eq!(world.happened("watchdog"), 0);
    world.pass(2 * SECOND).await;
    assert_eq!(world.happened("watchdog task=keys silent=65s"), 1);
    world.pass(118 * SECOND).await;
    assert!(!watching.is_finished());
    world.pass(2 * SECOND).await;
    let failed = watching.await.unwrap();
    assert_eq!(failed, Err(TaskFailed::Silent { task: Task::Keys, silent: 185 }));
    assert_eq!(world.happened("watchdog"), 1);
}
