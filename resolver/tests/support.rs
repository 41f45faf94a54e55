//! A zone, a clock that stands until it is moved, and a resolver over both.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use distpos_proto::{
    chain::{ChainId, Family, GenesisTag},
    key::{PublicKey, SecretKey, SpkiPin},
    record::{Anchor, GatewayRecord, HostName, KeyRecord, Mode, PolicyRecord, Target},
    time::UnixMillis,
};
use distpos_resolver::{
    Clock, Lookup, Options, Resolve, ResolveError, Resolver, Route, StaticRoute, ZoneLookup,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

pub(crate) const ROOT: &str = "chains.test";
pub(crate) const OTHER_ROOT: &str = "other.test";
pub(crate) const TTL: u32 = 3_600;

/// A clock that tests move by hand.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

pub(crate) struct World<L = ZoneLookup> {
    pub(crate) zone: ZoneLookup,
    pub(crate) hands: Hands,
    pub(crate) resolver: Resolver<L>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::seeded(options, 1)
    }

    pub(crate) fn seeded(options: Options, seed: u64) -> Self {
        let zone = ZoneLookup::default();
        let (hands, resolver) = over(zone.clone(), options, seed);
        Self { zone, hands, resolver }
    }

    pub(crate) async fn route(&self, text: &str) -> Result<Arc<Route>, ResolveError> {
        self.resolver.route(chain(text)).await
    }

    /// What was asked since the last time, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.zone.take_asked();
        asked.sort();
        asked
    }
}

pub(crate) fn over<L: Lookup>(lookup: L, options: Options, seed: u64) -> (Hands, Resolver<L>) {
    let hands = Hands(Arc::new(AtomicU64::new(1_700_000_000_000)));
    let ticks = hands.clone();
    let clock: Clock = Arc::new(move || UnixMillis(ticks.0.load(Ordering::SeqCst)));
    let random = Box::new(ChaCha8Rng::seed_from_u64(seed));
    (hands, Resolver::new(lookup, options, clock, random))
}

pub(crate) fn options() -> Options {
    Options { roots: vec![host(ROOT)], ..Options::default() }
}

pub(crate) fn static_route(text: &str, route: StaticRoute) -> Options {
    Options { static_routes: BTreeMap::from([(chain(text), route)]), ..options() }
}

pub(crate) fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

pub(crate) fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

pub(crate) fn anchor(text: &str) -> Anchor {
    Anchor::under(chain(text), &host(ROOT))
}

pub(crate) fn pin(byte: u8) -> SpkiPin {
    SpkiPin([byte; 32])
}

pub(crate) fn key(byte: u8) -> PublicKey {
    SecretKey::from_seed(&[byte; 32]).public()
}

/// `gw<at>.village.test`, whose pin is `at` again and again.
pub(crate) fn gateway(text: &str, at: u8) -> GatewayRecord {
    GatewayRecord::new(chain(text), host(&format!("gw{at}.village.test")), pin(at))
}

pub(crate) fn policy(text: &str, selectors: &[&str]) -> PolicyRecord {
    PolicyRecord {
        chain: chain(text),
        id: "1".to_owned(),
        mode: Mode::Enforce,
        pin_for: Duration::from_hours(24),
        family: Family::Attested,
        genesis: GenesisTag([1; 8]),
        outbox: None,
        confirmations: 0,
        selectors: selectors.iter().map(|label| label.parse().unwrap()).collect(),
        threshold: 1,
    }
}

/// Publishes two gateways, a policy and the keys 1, 2 … that it names.
pub(crate) fn publish(zone: &ZoneLookup, text: &str, selectors: &[&str]) {
    let anchor = anchor(text);
    zone.publish(&anchor.gateways(), TTL, [gateway(text, 1), gateway(text, 2)]);
    let policy = policy(text, selectors);
    for (at, selector) in (1..).zip(&policy.selectors) {
        let record = KeyRecord::new(chain(text), Some(key(at)));
        zone.publish(&anchor.key(selector), TTL, [record]);
    }
    zone.publish(&anchor.policy(), TTL, [policy]);
}

/// The hosts of a route's gateways, in order: `gw1 gw2`.
pub(crate) fn hosts(route: &Route) -> Vec<String> {
    let first_label = |gateway: String| gateway.split('.').next().map(str::to_owned);
    route.gateways.iter().filter_map(|gateway| first_label(gateway.to_string())).collect()
}

pub(crate) fn weighted(record: GatewayRecord, pri: u16, weight: u16) -> GatewayRecord {
    GatewayRecord { pri, weight, ..record }
}

pub(crate) fn at_port(mut record: GatewayRecord, number: u16) -> GatewayRecord {
    if let Target::Host { port, .. } = &mut record.target {
        *port = number;
    }
    record
}
