//! Gateways that are killed at any moment and take up where they were.

use std::time::Duration;

use distpos_proto::chain::Family;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{
    audit::Tally,
    site::Site,
    world::{World, cid},
};

const HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// Forty times: some messages, a moment, a kill, a pause, a restart on the same spool.
async fn killed(seed: u64, sides: &[&'static str], family: Family) -> Vec<String> {
    let world = World::new(seed, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    world.slow_nodes(3);
    let mut sites: Vec<Site> =
        ["e2e4", "b1c2"].iter().map(|chain| world.start(chain, 1, family)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut good, mut bad) = (0, 0);
    for k in 0..40 {
        for (from, to) in [("e2e4", "b1c2"), ("b1c2", "e2e4")] {
            world.send(from, world.user(to), 3, 0).await;
            world.send(from, world.stranger(to), 2, 0).await;
            (good, bad) = (good + 1, bad + 1);
        }
        // A message's whole way takes about 100 ms here.
        world.pass(Duration::from_millis(random.next_u64() % 120)).await;
        let side = cid(sides[k % sides.len()]);
        let at = sites.iter().position(|site| site.chain == side).unwrap();
        let name = side.to_string();
        let spool = sites.remove(at).kill();
        world.pass(Duration::from_millis(random.next_u64() % 50)).await;
        sites.push(world.start_with(&name, 1, family, spool));
    }
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(HOURS, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: good, refunded: bad, unroutable: 0 });
    world.story()
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_killed_forty_times_loses_and_doubles_nothing() {
    killed(1, &["e2e4"], Family::Ledger).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_killed_forty_times_loses_and_doubles_nothing() {
    killed(2, &["b1c2"], Family::Ledger).await;
}

#[tokio::test(start_paused = true)]
async fn both_killed_in_turn_lose_and_double_nothing() {
    for seed in 3..8 {
        let family = if seed % 2 == 0 { Family::Ledger } else { Family::Attested };
        killed(seed, &["e2e4", "b1c2"], family).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_stopped_takes_up_where_it_was() {
    let (world, a, b) = World::pair(20, 5_000).await;
    let mut sites = vec![a, b];
    for k in 0u64..20 {
        world.send("e2e4", world.user("b1c2"), 3, 0).await;
        world.send("b1c2", world.stranger("e2e4"), 2, 0).await;
        world.pass(Duration::from_millis(k * 5)).await;
        let site = sites.remove(0);
        let name = site.chain.to_string();
        let spool = site.stop().await;
        sites.push(world.start_with(&name, 1, Family::Ledger, spool));
    }
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(HOURS, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 20, refunded: 20, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes: many more seeds"]
async fn stress() {
    for seed in 1000..1060 {
        println!("seed {seed}");
        let family = if seed % 2 == 0 { Family::Ledger } else { Family::Attested };
        killed(seed, &["e2e4", "b1c2"], family).await;
    }
}
