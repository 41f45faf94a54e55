//! In which order gateways are tried.

use std::collections::BTreeMap;

use distpos_proto::record::GatewayRecord;
use distpos_resolver::{Contact, GATEWAYS_TRIED_MAX, Resolve};

use crate::support::{TTL, World, chain, gateway, hosts, options, weighted};

const GATEWAYS: &str = "_distpos.e2e4.chains.test";

fn world_of(records: impl IntoIterator<Item = GatewayRecord>, seed: u64) -> World {
    let world = World::seeded(options(), seed);
    world.zone.publish(GATEWAYS, TTL, records);
    world
}

async fn order(world: &World) -> Vec<String> {
    hosts(&world.route("e2e4").await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn lower_priorities_come_first_whatever_the_weights() {
    let records = [
        weighted(gateway("e2e4", 1), 30, 65_535),
        weighted(gateway("e2e4", 2), 10, 0),
        weighted(gateway("e2e4", 3), 20, 1),
    ];
    let world = world_of(records, 1);
    for _ in 0..100 {
        assert_eq!(order(&world).await, ["gw2", "gw3", "gw1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn weights_share_out_the_first_place() {
    let records = [
        weighted(gateway("e2e4", 1), 10, 10),
        weighted(gateway("e2e4", 2), 10, 30),
        weighted(gateway("e2e4", 3), 10, 60),
        weighted(gateway("e2e4", 4), 10, 0),
    ];
    let world = world_of(records, 7);
    let mut first = BTreeMap::<String, u32>::new();
    for _ in 0..10_000 {
        let order = order(&world).await;
        *first.entry(order[0].clone()).or_default() += 1;
        assert_eq!(order[3], "gw4", "those of weight 0 come last");
    }
    let near = |name: &str, expected: u32| {
        let found = first.get(name).copied().unwrap_or(0);
        assert!(found.abs_diff(expected) < 200, "{name} came first {found} times of {expected}");
    };
    near("gw1", 1_000);
    near("gw2", 3_000);
    near("gw3", 6_000);
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_the_order_however_servers_rotate_their_answers() {
    let records = || (1..=6).map(|at| gateway("e2e4", at));
    let (straight, rotated) = (world_of(records(), 3), world_of(records().rev(), 3));
    let mut different = 0;
    let mut last = Vec::new();
    for _ in 0..20 {
        let order_now = order(&straight).await;
        assert_eq!(order_now, order(&rotated).await);
        different += u32::from(order_now != last);
        last = order_now;
    }
    assert!(different > 15, "each call shuffles anew");
}

#[tokio::test(start_paused = true)]
async fn a_failed_gateway_is_tried_last_until_it_is_forgiven() {
    let records = [
        weighted(gateway("e2e4", 1), 10, 1),
        weighted(gateway("e2e4", 2), 20, 1),
        weighted(gateway("e2e4", 3), 30, 1),
    ];
    let world = world_of(records, 1);
    let route = world.route("e2e4").await.unwrap();
    let report = |at: usize, outcome| {
        world.resolver.report(chain("e2e4"), &route.gateways[at], outcome);
    };
    report(0, Contact::Failed);
    assert_eq!(order(&world).await, ["gw2", "gw3", "gw1"]);
    report(1, Contact::Failed);
    assert_eq!(order(&world).await, ["gw3", "gw1", "gw2"]);
    report(0, Contact::Reached);
    assert_eq!(order(&world).await, ["gw1", "gw3", "gw2"]);
    // Another chain's failure with the same gateway is its own affair.
    world.resolver.report(chain("b1c2"), &route.gateways[0], Contact::Failed);
    assert_eq!(order(&world).await, ["gw1", "gw3", "gw2"]);
    world.hands.forward(300);
    assert_eq!(order(&world).await, ["gw1", "gw2", "gw3"]);
}

#[tokio::test(start_paused = true)]
async fn five_of_six_are_tried_in_a_round_and_all_six_admitted() {
    let world = world_of((1..=6).map(|at| weighted(gateway("e2e4", at), at.into(), 1)), 1);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(route.to_try().len(), GATEWAYS_TRIED_MAX);
    assert_eq!(route.gateways.len(), 6);
    assert!(route.admits(&crate::support::pin(6)));
}

/// A caller that knows more than DNS orders what DNS leaves alike, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_preference_passes_neither_a_priority_nor_a_failure() {
    let records = [(1, 10), (2, 10), (3, 10), (4, 20), (5, 20)];
    let records = records.map(|(n, pri)| weighted(gateway("e2e4", n), pri, 0));
    let world = world_of(records, 1);
    let route = world.route("e2e4").await.unwrap();
    let third = route.gateways.iter().find(|gateway| gateway.to_string().starts_with("gw3"));
    world.resolver.report(chain("e2e4"), third.unwrap(), Contact::Failed);
    // Higher numbers are preferred.
    let rank = |gateway: &distpos_resolver::Gateway| {
        u32::from(u8::MAX - gateway.to_string().as_bytes()[2])
    };
    for _ in 0..50 {
        let mut route = (*world.route("e2e4").await.unwrap()).clone();
        assert_eq!(route.failed, 1);
        route.prefer(rank);
        assert_eq!(hosts(&route), ["gw2", "gw1", "gw5", "gw4", "gw3"]);
        let before = hosts(&route);
        route.prefer(|_| 7);
        assert_eq!(hosts(&route), before, "those of one rank stay");
    }
}
