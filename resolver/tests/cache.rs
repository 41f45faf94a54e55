//! How long what DNS said is kept.

use std::sync::Arc;

use distpos_proto::record::{GatewayRecord, HostName};
use distpos_resolver::{
    Budget, Contact, Fault, Gateway, Host, LookupFailure, Resolve, ResolveError, Route,
};
use tokio::task::JoinSet;

use crate::support::{TTL, World, anchor, chain, gateway, host, hosts, publish};

const GATEWAYS: &str = "_distpos.e2e4.chains.test";
const POLICY: &str = "_policy._distpos.e2e4.chains.test";

fn servfail(name: &str) -> ResolveError {
    ResolveError::Temporary { name: name.to_owned(), cause: LookupFailure::ServFail }
}

fn fail(world: &World) {
    world.zone.fail("", Fault::Fails(LookupFailure::ServFail));
}

/// How long a route with this TTL is served without asking again, in seconds.
async fn kept_for(ttl: u32) -> u64 {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.publish(GATEWAYS, ttl, [gateway("e2e4", 1)]);
    world.zone.publish(POLICY, u32::MAX, world_policy());
    world.zone.publish(&anchor("e2e4").key(&"a".parse().unwrap()), u32::MAX, world_key());
    let route = world.route("e2e4").await.unwrap();
    route.expires.since(route.fetched).as_secs()
}

fn world_policy() -> [String; 1] {
    [crate::support::policy("e2e4", &["a"]).to_string()]
}

fn world_key() -> [String; 1] {
    let key = crate::support::key(1);
    [distpos_proto::record::KeyRecord::new(chain("e2e4"), Some(key)).to_string()]
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_ttl_within_bounds() {
    assert_eq!(kept_for(3_600).await, 3_600);
    assert_eq!(kept_for(0).await, 30);
    assert_eq!(kept_for(u32::MAX).await, 24 * 3_600);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_answer_decides_and_a_missing_policy_is_looked_for_soon() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.publish(POLICY, 60, world_policy());
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(route.expires.since(route.fetched).as_secs(), 60);

    let world = World::new();
    world.zone.publish(GATEWAYS, TTL, [gateway("e2e4", 1)]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(route.expires.since(route.fetched).as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn until_then_nobody_is_asked_and_after_it_a_change_arrives() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    assert_eq!(world.asked().len(), 3);
    world.zone.publish(GATEWAYS, TTL, [gateway("e2e4", 9)]);
    world.hands.forward(3_000);
    assert_eq!(world.route("e2e4").await.unwrap().gateways.len(), 2);
    assert_eq!(world.asked().len(), 0);
    world.hands.forward(600);
    assert_eq!(hosts(&world.route("e2e4").await.unwrap()), ["gw9"]);
    assert_eq!(world.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_route_in_use_is_refreshed_before_it_expires() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    world.asked();
    world.zone.publish(GATEWAYS, TTL, [gateway("e2e4", 9)]);
    world.hands.forward(3_250); // past nine tenths of an hour
    assert_eq!(hosts(&world.route("e2e4").await.unwrap()), ["gw9"]);
    assert_eq!(world.asked().len(), 3);

    // When that fails, the old answer is still good, and the servers are left alone for a while.
    world.hands.forward(3_250);
    fail(&world);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!((hosts(&route), route.stale), (vec!["gw9".to_owned()], false));
    assert_eq!(world.asked().len(), 2);
    world.route("e2e4").await.unwrap();
    assert_eq!(world.asked().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_servers_fail_an_expired_route_serves_for_a_day_without_keys() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    let fresh = world.route("e2e4").await.unwrap();
    assert_eq!((fresh.keys.len(), fresh.stale), (1, false));
    fail(&world);
    world.hands.forward(3_601);
    let stale = world.route("e2e4").await.unwrap();
    assert!(stale.stale);
    assert_eq!(stale.keys, []);
    assert_eq!(stale.gateways.len(), 2);
    assert_eq!(stale.expires, fresh.expires);
    world.hands.forward(24 * 3_600 - 2);
    assert!(world.route("e2e4").await.unwrap().stale);
    world.hands.forward(1);
    assert_eq!(world.route("e2e4").await.unwrap_err(), servfail(GATEWAYS));

    world.zone.heal();
    world.hands.forward(31);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!((route.keys.len(), route.stale), (1, false));
}

#[tokio::test(start_paused = true)]
async fn servers_that_never_answer_do_not_keep_a_known_route_away() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    world.zone.fail("", Fault::Silent);
    world.hands.forward(3_601);
    assert!(world.route("e2e4").await.unwrap().stale);
    let name = "chain b1c2".to_owned();
    let expected = ResolveError::BudgetExceeded { name, budget: Budget::Time };
    assert_eq!(world.route("b1c2").await.unwrap_err(), expected);
}

#[tokio::test(start_paused = true)]
async fn servers_that_answer_something_else_end_a_route() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    world.zone.publish(GATEWAYS, TTL, ["v=DPOS1; c=e2e4; h"]);
    world.hands.forward(3_601);
    let error = world.route("e2e4").await.unwrap_err();
    assert!(matches!(error, ResolveError::Malformed { .. }), "{error:?}");

    world.hands.forward(31);
    world.zone.publish(GATEWAYS, TTL, [GatewayRecord::null(chain("e2e4"))]);
    let null = ResolveError::NullRecord { chain: chain("e2e4") };
    assert_eq!(world.route("e2e4").await.unwrap_err(), null);
    fail(&world);
    world.hands.forward(3_601);
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, servfail(GATEWAYS), "what ends messages never serves stale");
}

#[tokio::test(start_paused = true)]
async fn that_a_chain_is_absent_is_kept_for_five_minutes_at_most() {
    for (negative_ttl, kept) in [(60, 60), (86_400, 300), (0, 5)] {
        let world = World::new();
        world.zone.set_negative_ttl(negative_ttl);
        let unknown = ResolveError::UnknownChain { chain: chain("e2e4") };
        assert_eq!(world.route("e2e4").await.unwrap_err(), unknown);
        publish(&world.zone, "e2e4", &["a"]);
        world.asked();
        world.hands.forward(kept - kept / 10 - 1);
        assert_eq!(world.route("e2e4").await.unwrap_err(), unknown);
        assert_eq!(world.asked().len(), 0);
        world.hands.forward(kept / 10 + 1);
        assert!(world.route("e2e4").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_asked_again_at_once_and_each_time_later() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    fail(&world);
    for pause in [2, 4, 8, 16, 30, 30] {
        assert_eq!(world.route("e2e4").await.unwrap_err(), servfail(GATEWAYS));
        assert_eq!(world.asked().len(), 2);
        world.hands.forward(pause - 1);
        assert_eq!(world.route("e2e4").await.unwrap_err(), servfail(GATEWAYS));
        assert_eq!(world.asked().len(), 0, "{pause}");
        world.hands.forward(1);
    }
    world.zone.heal();
    assert!(world.route("e2e4").await.is_ok());
    // After a success the first pause is short again.
    world.hands.forward(25 * 3_600 + 3_600);
    fail(&world);
    assert_eq!(world.route("e2e4").await.unwrap_err(), servfail(GATEWAYS));
    world.hands.forward(2);
    world.zone.heal();
    assert!(world.route("e2e4").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_one_asks() {
    let world = World::new();
    world.zone.fail("", Fault::Silent);
    let resolver = Arc::new(world.resolver);
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let resolver = Arc::clone(&resolver);
        waiting.spawn(async move { resolver.route(chain("e2e4")).await });
    }
    tokio::task::yield_now().await;
    let before = tokio::time::Instant::now();
    let outcomes: Vec<Result<Arc<Route>, _>> = waiting.join_all().await;
    let name = "chain e2e4".to_owned();
    let expected = Err(ResolveError::BudgetExceeded { name, budget: Budget::Time });
    assert!(outcomes.iter().all(|outcome| *outcome == expected));
    assert_eq!(before.elapsed().as_secs(), 10, "all of them waited for the one");
    assert_eq!(world.zone.take_asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asks_gives_up_the_next_one_asks() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.fail("", Fault::Silent);
    let resolver = Arc::new(world.resolver);
    let ask = || {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.route(chain("e2e4")).await })
    };
    let (first, second) = (ask(), ask());
    tokio::task::yield_now().await;
    assert_eq!(world.zone.take_asked().len(), 2);
    world.zone.heal();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(second.await.unwrap().unwrap().gateways.len(), 2);
    assert_eq!(world.zone.take_asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_push_out_a_known_route() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    for number in 1..=10_050_u128 {
        let stranger = distpos_proto::chain::ChainId::from_number(number).unwrap();
        assert!(world.resolver.route(stranger).await.is_err());
    }
    world.asked();
    world.route("e2e4").await.unwrap();
    assert_eq!(world.asked().len(), 0);
    world.route("1").await.unwrap_err();
    assert_eq!(world.asked().len(), 2, "while the oldest stranger was forgotten");
}

#[tokio::test(start_paused = true)]
async fn addresses_are_kept_like_routes() {
    let world = World::new();
    let name: HostName = host("gw1.village.test");
    let publish = |address: &str| {
        let address = address.parse().unwrap();
        world.zone.publish_addresses(name.as_str(), 60, [address]);
    };
    let mut gateway = Gateway::of(&gateway("e2e4", 1)).unwrap();
    gateway.host = Host::Name(name.clone());
    publish("9.9.9.9");
    let ask =
        async || world.resolver.addresses(&gateway).await.map(|found| found[0].ip().to_string());
    assert_eq!(ask().await.unwrap(), "9.9.9.9");
    publish("9.9.9.10");
    world.hands.forward(50);
    assert_eq!(ask().await.unwrap(), "9.9.9.9");
    world.hands.forward(10);
    assert_eq!(ask().await.unwrap(), "9.9.9.10");
    fail(&world);
    world.hands.forward(61);
    assert_eq!(ask().await.unwrap(), "9.9.9.10", "stale, while the servers fail");
    world.hands.forward(24 * 3_600);
    assert_eq!(ask().await.unwrap_err(), servfail(name.as_str()));
    // What happens to a gateway does not change what DNS says of it.
    world.resolver.report(chain("e2e4"), &gateway, Contact::Failed);
    assert_eq!(ask().await.unwrap_err(), servfail(name.as_str()));
}
