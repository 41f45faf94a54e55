//! What an answer means: where is asked, what is permanent, what is trusted how far.

use std::net::{IpAddr, SocketAddr};

use distpos_proto::{
    code::Code,
    record::{Anchor, GatewayRecord, KeyRecord, PortRule, RecordError, Selector},
};
use distpos_resolver::{
    Budget, Fault, Gateway, Host, LookupFailure, Negative, Options, Resolve, ResolveError,
    RouteSource, Security, StaticRoute, TrustLevel,
};

use crate::support::{
    OTHER_ROOT, TTL, World, anchor, at_port, chain, gateway, host, hosts, key, options, over, pin,
    policy, publish, static_route,
};

const GATEWAYS: &str = "_distpos.e2e4.chains.test";
const POLICY: &str = "_policy._distpos.e2e4.chains.test";
const KEY_A: &str = "a._key._distpos.e2e4.chains.test";

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

fn temporary(name: &str, cause: LookupFailure) -> ResolveError {
    ResolveError::Temporary { name: name.to_owned(), cause }
}

fn malformed(name: &str, what: RecordError) -> ResolveError {
    ResolveError::Malformed { name: name.to_owned(), what }
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_found_with_its_gateways_keys_and_policy() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a", "b"]);
    let route = world.route("e2e4").await.unwrap();
    let mut found = hosts(&route);
    found.sort();
    assert_eq!(found, ["gw1", "gw2"]);
    let mut keys = vec![key(1), key(2)];
    keys.sort();
    assert_eq!(route.keys, keys);
    assert_eq!(route.policy, Some(policy("e2e4", &["a", "b"])));
    assert_eq!(route.source, RouteSource::Dns { name: GATEWAYS.to_owned() });
    assert_eq!((route.level, route.stale), (TrustLevel::Pinned, false));
    let asked = world.asked();
    let expected = [
        format!("TXT {GATEWAYS}"),
        format!("TXT {POLICY}"),
        format!("TXT {KEY_A}"),
        "TXT b._key._distpos.e2e4.chains.test".to_owned(),
    ];
    assert_eq!(asked.len(), 4);
    assert!(expected.iter().all(|question| asked.contains(question)), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_admits_the_gateways_it_lists_and_lists_this_one_when_it_loops() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    let route = world.route("e2e4").await.unwrap();
    assert!(route.admits(&pin(1)) && route.admits(&pin(2)));
    assert!(!route.admits(&pin(3)));
    // A gateway with pin 2 that is about to send to e2e4 finds itself there: a loop.
    assert!(route.admits(&pin(2)));
}

#[tokio::test(start_paused = true)]
async fn only_dns_can_say_that_a_chain_does_not_exist() {
    let world = World::new();
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, ResolveError::UnknownChain { chain: chain("e2e4") });
    assert!(error.is_permanent());
    assert_eq!(error.code(), Code::UNKNOWN_CHAIN);

    for failure in [
        LookupFailure::ServFail,
        LookupFailure::Refused,
        LookupFailure::Timeout,
        LookupFailure::Bogus,
        LookupFailure::Other("the server answered FORMERR".to_owned()),
    ] {
        let world = World::new();
        world.zone.fail("", Fault::Fails(failure.clone()));
        let error = world.route("e2e4").await.unwrap_err();
        assert_eq!(error, temporary(GATEWAYS, failure));
        assert!(!error.is_permanent());
        assert_eq!(error.code(), Code::DNS);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_without_records_is_as_absent_as_no_name() {
    let world = World::new();
    world.zone.publish("below._distpos.e2e4.chains.test", TTL, ["x"]);
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, ResolveError::UnknownChain { chain: chain("e2e4") });
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_was_seen_is_not_unknown_for_a_day() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.route("e2e4").await.unwrap();
    for name in [GATEWAYS, POLICY, KEY_A] {
        world.zone.remove(name);
    }
    world.hands.forward(3_601);
    let gone = temporary(GATEWAYS, LookupFailure::Vanished(Negative::NxDomain));
    assert_eq!(world.route("e2e4").await.unwrap_err(), gone);
    world.hands.forward(22 * 3_600);
    assert_eq!(world.route("e2e4").await.unwrap_err(), gone);
    world.hands.forward(3_600);
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, ResolveError::UnknownChain { chain: chain("e2e4") });

    let world = World::new();
    world.resolver.remember(chain("e2e4"));
    assert_eq!(world.route("e2e4").await.unwrap_err(), gone, "as the spool remembers it");
}

#[tokio::test(start_paused = true)]
async fn a_null_record_is_permanent() {
    let world = World::new();
    world.zone.publish(GATEWAYS, TTL, [GatewayRecord::null(chain("e2e4"))]);
    // Whatever its policy does: there is nothing to apply it to.
    world.zone.fail(POLICY, Fault::Fails(LookupFailure::ServFail));
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, ResolveError::NullRecord { chain: chain("e2e4") });
    assert!(error.is_permanent());
    assert_eq!(error.code(), Code::NULL_RECORD);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_set_is_temporary_and_says_what_is_wrong() {
    let count = RecordError::Count { version: "v=DPOS1", found: 0, expected: "1 to 6" };
    let other = RecordError::Chain { found: chain("b1c2"), expected: chain("e2e4") };
    let tag = RecordError::Tag { found: "h".to_owned() };
    let cases = [
        (vec!["v=spf1 -all".to_owned()], count),
        (vec![gateway("b1c2", 1).to_string()], other),
        (vec![gateway("e2e4", 1).to_string(), "v=DPOS1; c=e2e4; h".to_owned()], tag),
    ];
    for (records, what) in cases {
        let world = World::new();
        world.zone.publish(GATEWAYS, TTL, records);
        let error = world.route("e2e4").await.unwrap_err();
        assert_eq!(error, malformed(GATEWAYS, what));
        assert!(!error.is_permanent());
        assert_eq!(error.code(), Code::DNS);
    }
}

#[tokio::test(start_paused = true)]
async fn ports_are_the_operators_choice() {
    for (ports, allowed) in [(PortRule::Unprivileged, false), (PortRule::Any, true)] {
        let world = World::with(Options { ports, ..options() });
        world.zone.publish(GATEWAYS, TTL, [at_port(gateway("e2e4", 1), 25)]);
        assert_eq!(world.route("e2e4").await.is_ok(), allowed);
    }
}

#[tokio::test(start_paused = true)]
async fn no_policy_means_no_keys_and_a_failing_one_is_not_no_policy() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.remove(POLICY);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!((route.keys.len(), &route.policy), (0, &None));

    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.fail(POLICY, Fault::Fails(LookupFailure::ServFail));
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, temporary(POLICY, LookupFailure::ServFail));

    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.publish(POLICY, TTL, ["v=DPOSPOL1; c=e2e4; h"]);
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, malformed(POLICY, RecordError::Tag { found: "h".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn revoked_keys_are_left_out_and_missing_ones_are_temporary() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a", "b"]);
    world.zone.publish(KEY_A, TTL, [KeyRecord::new(chain("e2e4"), None)]);
    assert_eq!(world.route("e2e4").await.unwrap().keys, [key(2)]);

    let count = |found| RecordError::Count { version: "v=DPOSKEY1", found, expected: "exactly 1" };
    let world = World::new();
    publish(&world.zone, "e2e4", &["a", "b"]);
    world.zone.remove(KEY_A);
    assert_eq!(world.route("e2e4").await.unwrap_err(), malformed(KEY_A, count(0)));

    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
    world.zone.publish(KEY_A, TTL, [record.clone(), record]);
    assert_eq!(world.route("e2e4").await.unwrap_err(), malformed(KEY_A, count(2)));

    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.fail(KEY_A, Fault::Fails(LookupFailure::Refused));
    assert_eq!(world.route("e2e4").await.unwrap_err(), temporary(KEY_A, LookupFailure::Refused));
}

#[tokio::test(start_paused = true)]
async fn selectors_beside_the_policys_are_asked_where_the_route_was_found() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.set_security(Security::Secure);
    let at = |label: &str| anchor("e2e4").key(&selector(label));
    let revoked = KeyRecord::new(chain("e2e4"), None);
    world.zone.publish(&at("old"), TTL, [revoked.clone()]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(route.key_records[&selector("a")].key, Some(key(1)));
    world.asked();
    let asked = [selector("old"), selector("gone")];
    let found = world.resolver.key_records(&route, &asked).await.unwrap();
    let expected = [(selector("old"), Some(revoked)), (selector("gone"), None)].into();
    assert_eq!((found.records, found.level), (expected, TrustLevel::Dnssec));
    assert_eq!(world.asked(), [format!("TXT {}", at("gone")), format!("TXT {}", at("old"))]);

    // That there is nothing has to be proven, too; and one that cannot be asked says nothing.
    world.zone.set_security(Security::Indeterminate);
    let found = world.resolver.key_records(&route, &asked).await.unwrap();
    assert_eq!(found.level, TrustLevel::Pinned);
    world.zone.fail(&at("old"), Fault::Fails(LookupFailure::ServFail));
    let error = world.resolver.key_records(&route, &asked).await.unwrap_err();
    assert_eq!(error, temporary(&at("old"), LookupFailure::ServFail));
    world.zone.heal();
    world.zone.publish(&at("old"), TTL, ["v=DPOSKEY1; c=b1c2; p="]);
    let error = world.resolver.key_records(&route, &asked).await.unwrap_err();
    assert!(matches!(error, ResolveError::Malformed { .. }), "{error:?}");
    // Silence ends with the budget.
    world.zone.fail(&at("old"), Fault::Silent);
    let error = world.resolver.key_records(&route, &asked).await.unwrap_err();
    assert!(
        matches!(error, ResolveError::BudgetExceeded { budget: Budget::Time, .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_key_under_two_selectors_is_one_key() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a", "b"]);
    world.zone.publish(KEY_A, TTL, [KeyRecord::new(chain("e2e4"), Some(key(2)))]);
    assert_eq!(world.route("e2e4").await.unwrap().keys, [key(2)]);
}

#[tokio::test(start_paused = true)]
async fn roots_are_asked_in_turn_and_never_mixed() {
    let roots = || Options { roots: vec![host("chains.test"), host(OTHER_ROOT)], ..options() };
    let other = Anchor::under(chain("e2e4"), &host(OTHER_ROOT));

    let world = World::with(roots());
    world.zone.publish(&other.gateways(), TTL, [gateway("e2e4", 9)]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(hosts(&route), ["gw9"]);
    assert_eq!(route.source, RouteSource::Dns { name: other.gateways() });

    // The policy under the second root says nothing about gateways under the first.
    let world = World::with(roots());
    world.zone.publish(GATEWAYS, TTL, [gateway("e2e4", 1)]);
    world.zone.publish(&other.policy(), TTL, [policy("e2e4", &["a"])]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!((hosts(&route), &route.policy), (vec!["gw1".to_owned()], &None));
    assert_eq!(world.asked().len(), 2, "the second root is not asked");

    // A first root that fails does not hand the chain to the second.
    let world = World::with(roots());
    world.zone.publish(&other.gateways(), TTL, [gateway("e2e4", 9)]);
    world.zone.fail("chains.test", Fault::Fails(LookupFailure::ServFail));
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, temporary(GATEWAYS, LookupFailure::ServFail));
}

#[tokio::test(start_paused = true)]
async fn static_routes_come_before_dns() {
    let fixed = Gateway {
        host: Host::Address("127.0.0.1".parse().unwrap()),
        port: 7333,
        pins: vec![pin(7)],
        pri: 10,
        weight: 1,
        guarantee: None,
    };
    let keys = vec![key(2), key(1), key(2)];
    let route = StaticRoute::Gateways { gateways: vec![fixed.clone()], keys };
    let world = World::with(static_route("e2e4", route));
    publish(&world.zone, "e2e4", &["a"]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!(route.gateways, [fixed]);
    assert_eq!(route.keys.len(), 2);
    assert_eq!((&route.source, route.level), (&RouteSource::Static, TrustLevel::Static));
    let addresses = world.resolver.addresses(&route.gateways[0]).await.unwrap();
    assert_eq!(addresses, ["127.0.0.1:7333".parse::<SocketAddr>().unwrap()]);
    assert_eq!(world.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_static_route_may_name_a_domain_to_look_up() {
    let domain = host("village.example");
    let world = World::with(static_route("e2e4", StaticRoute::Domain(domain.clone())));
    let gone = "_distpos.village.example";
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, temporary(gone, LookupFailure::Vanished(Negative::NxDomain)));

    world.hands.forward(301);
    let anchor = Anchor::at(&domain);
    world.zone.publish(&anchor.gateways(), TTL, [gateway("e2e4", 5)]);
    world.zone.publish(&anchor.policy(), TTL, [policy("e2e4", &["k"])]);
    let record = KeyRecord::new(chain("e2e4"), Some(key(5)));
    world.zone.publish("k._key._distpos.village.example", TTL, [record]);
    let route = world.route("e2e4").await.unwrap();
    assert_eq!((hosts(&route), &route.keys), (vec!["gw5".to_owned()], &vec![key(5)]));
    assert_eq!(route.source, RouteSource::Dns { name: gone.to_owned() });
    assert_eq!(route.level, TrustLevel::Pinned, "a domain route has its answer's level");
}

#[tokio::test(start_paused = true)]
async fn signed_answers_raise_the_level_and_bogus_ones_are_none() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.set_security(Security::Secure);
    assert_eq!(world.route("e2e4").await.unwrap().level, TrustLevel::Dnssec);

    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    world.zone.set_security(Security::Bogus);
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, temporary(GATEWAYS, LookupFailure::Bogus));
}

#[tokio::test(start_paused = true)]
async fn a_resolution_has_20_lookups_and_10_seconds() {
    let roots = |count: usize| Options {
        roots: (0..count).map(|at| host(&format!("root{at}.test"))).collect(),
        ..Options::default()
    };
    let world = World::with(roots(10));
    let error = world.route("e2e4").await.unwrap_err();
    assert_eq!(error, ResolveError::UnknownChain { chain: chain("e2e4") });
    assert_eq!(world.asked().len(), 20);

    let world = World::with(roots(11));
    let error = world.route("e2e4").await.unwrap_err();
    let name = "_distpos.e2e4.root10.test".to_owned();
    assert_eq!(error, ResolveError::BudgetExceeded { name, budget: Budget::Lookups });
    assert!(!error.is_permanent());
    assert_eq!(world.asked().len(), 20);

    let world = World::new();
    world.zone.fail("", Fault::Silent);
    let before = tokio::time::Instant::now();
    let error = world.route("e2e4").await.unwrap_err();
    let name = "chain e2e4".to_owned();
    assert_eq!(error, ResolveError::BudgetExceeded { name, budget: Budget::Time });
    assert_eq!(error.code(), Code::DNS);
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_name_too_long_for_dns_is_temporary() {
    let labels = vec!["a".repeat(60); 4].join(".");
    let roots = vec![host(&labels)];
    let servers = ["127.0.0.1:9".parse().unwrap()];
    let lookup = distpos_resolver::HickoryLookup::new(&servers, None).unwrap();
    let (_, resolver) = over(lookup, Options { roots, ..Options::default() }, 1);
    let error = resolver.route(chain("ffffffffffffffffffffffffffffffff")).await.unwrap_err();
    assert!(
        matches!(&error, ResolveError::Temporary { cause: LookupFailure::Name, .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn records_do_not_lead_to_special_addresses() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let asked = async |options: Options, addresses: &[&str]| {
        let world = World::with(options);
        let addresses = addresses.iter().map(|text| ip(text));
        world.zone.publish_addresses("gw1.village.test", TTL, addresses);
        let gateway = Gateway::of(&gateway("e2e4", 1)).unwrap();
        world.resolver.addresses(&gateway).await
    };
    let at = |texts: &[&str]| -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(ip(text), 7333)).collect()
    };
    let refused = |address: &str| ResolveError::SpecialAddress {
        host: host("gw1.village.test"),
        address: ip(address),
    };
    assert_eq!(asked(options(), &["127.0.0.1"]).await, Err(refused("127.0.0.1")));
    assert_eq!(asked(options(), &["::ffff:10.0.0.1"]).await, Err(refused("::ffff:10.0.0.1")));
    assert_eq!(asked(options(), &["10.0.0.1", "fd00::1"]).await, Err(refused("10.0.0.1")));
    assert!(!refused("10.0.0.1").is_permanent());
    let open = || Options { allow_special: true, ..options() };
    assert_eq!(asked(open(), &["127.0.0.1"]).await, Ok(at(&["127.0.0.1"])));

    // Of several, those that may be called; two at most, one of each kind where there are both.
    let found = asked(options(), &["10.0.0.1", "9.9.9.9", "2620:fe::9"]).await;
    assert_eq!(found, Ok(at(&["9.9.9.9", "2620:fe::9"])));
    let found = asked(options(), &["9.9.9.9", "9.9.9.10", "2620:fe::9"]).await;
    assert_eq!(found, Ok(at(&["9.9.9.9", "2620:fe::9"])));
    let found = asked(options(), &["9.9.9.9", "9.9.9.10", "9.9.9.11"]).await;
    assert_eq!(found, Ok(at(&["9.9.9.9", "9.9.9.10"])));

    let world = World::new();
    let error = world.resolver.addresses(&Gateway::of(&gateway("e2e4", 1)).unwrap()).await;
    let cause = LookupFailure::Vanished(Negative::NxDomain);
    assert_eq!(error, Err(temporary("gw1.village.test", cause)));
}

/// DNS rebinding: a name that led outside leads inside the next time it is looked up.
#[tokio::test(start_paused = true)]
async fn a_name_that_turns_inward_is_not_followed() {
    let world = World::new();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let gateway = Gateway::of(&gateway("e2e4", 1)).unwrap();
    world.zone.publish_addresses("gw1.village.test", 1, [ip("9.9.9.9")]);
    let outside: SocketAddr = "9.9.9.9:7333".parse().unwrap();
    assert_eq!(world.resolver.addresses(&gateway).await, Ok(vec![outside]));
    for inward in ["127.0.0.1", "169.254.169.254", "::1", "64:ff9b::a00:1", "fe80::1"] {
        world.zone.publish_addresses("gw1.village.test", 1, [ip(inward)]);
        // What is kept was checked, and is what is called: nobody looks the name up again.
        assert_eq!(world.resolver.addresses(&gateway).await, Ok(vec![outside]), "{inward}");
        world.hands.forward(40);
        let (host, address) = (host("gw1.village.test"), ip(inward));
        let refused = ResolveError::SpecialAddress { host, address };
        assert_eq!(world.resolver.addresses(&gateway).await, Err(refused), "{inward}");
        world.zone.publish_addresses("gw1.village.test", 1, [ip("9.9.9.9")]);
        world.hands.forward(40);
        assert_eq!(world.resolver.addresses(&gateway).await, Ok(vec![outside]), "{inward}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_depends_on_names_only() {
    let world = World::new();
    publish(&world.zone, "e2e4", &["a"]);
    assert_eq!(anchor("e2e4").gateways(), GATEWAYS);
    let first = world.route("e2e4").await.unwrap();
    let again = World::new();
    publish(&again.zone, "e2e4", &["a"]);
    assert_eq!(first, again.route("e2e4").await.unwrap());
    assert_eq!(world.zone.take_asked(), again.zone.take_asked());
}
