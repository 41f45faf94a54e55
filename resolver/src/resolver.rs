//! From a chain-id to its route: which source is asked, and what is kept how long.

mod ask;
mod cache;
mod order;
mod timed;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use distpos_proto::{
    chain::ChainId,
    key::{PublicKey, SIGNATURES_MAX},
    record::{Anchor, HostName, KeyRecord, PortRule, Selector},
    time::UnixMillis,
};
use rand::Rng;
use tokio::time::timeout;

use self::{
    ask::{Absence, Asked, Meter, Published},
    cache::{Cache, Fetched, Served},
    timed::Timed,
};
use crate::{
    Budget, Clock, ResolveError, TrustLevel,
    lookup::{Lookup, LookupFailure},
    route::{Contact, Gateway, Host, KeyAnswers, Route, RouteSource, StaticRoute},
    special::is_special,
};

/// Where chains are, as the rest of the gateway sees it.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The route to a chain, its gateways in the order in which to try them now.
    ///
    /// # Errors
    /// [`ResolveError`] says whether trying again helps.
    async fn route(&self, chain: ChainId) -> Result<Arc<Route>, ResolveError>;

    /// Up to two addresses of a gateway. The caller must connect to one of these and not look the
    /// name up again: only these were checked.
    ///
    /// # Errors
    /// [`ResolveError::SpecialAddress`] if it has only addresses that a record must not make a
    /// gateway call; others if DNS fails. All are temporary.
    async fn addresses(&self, gateway: &Gateway) -> Result<Vec<SocketAddr>, ResolveError>;

    /// How often the cache was asked.
    fn cache_counts(&self) -> CacheCounts {
        CacheCounts::default()
    }

    /// Tells how a gateway fared. One that failed is tried last for [`FAILED_FOR`].
    fn report(&self, chain: ChainId, gateway: &Gateway, outcome: Contact);

    /// What these selectors hold where that route was found, at most [`SIGNATURES_MAX`] of them;
    /// nothing of a route that DNS did not give. It is not kept: who asks, asks once a route.
    ///
    /// # Errors
    /// [`ResolveError`], always temporary: then nothing is known of any of them.
    async fn key_records(
        &self,
        route: &Route,
        selectors: &[Selector],
    ) -> Result<KeyAnswers, ResolveError>;
}

/// How often the cache was asked since the start, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// It had an answer.
    pub hits: u64,
    /// Name servers were asked.
    pub misses: u64,
    /// They had failed a moment ago, and were not asked again.
    pub backed_off: u64,
}

impl CacheCounts {
    fn and(self, other: Self) -> Self {
        let hits = self.hits.saturating_add(other.hits);
        let misses = self.misses.saturating_add(other.misses);
        Self { hits, misses, backed_off: self.backed_off.saturating_add(other.backed_off) }
    }
}

/// How long a failed gateway is tried last.
pub const FAILED_FOR: Duration = Duration::from_mins(5);

/// How long a chain counts as known after it was seen: for that time "no such name" is temporary.
pub const SEEN_FOR: Duration = Duration::from_hours(24);

/// Most addresses of one gateway that are tried.
const ADDRESSES_MAX: usize = 2;

/// Most failed gateways and seen chains that are remembered, some 100 bytes each.
const FAILED_MAX: usize = 4_096;
const SEEN_MAX: usize = 65_536;

/// Most chains whose answers are kept, unless the operator says otherwise, about 1.6 kB each.
pub const CHAINS_MAX_DEFAULT: usize = 10_000;

/// What the operator says about look-ups.
#[derive(Debug, Clone)]
pub struct Options {
    /// Domains under which chains are found, in the order in which they are asked.
    pub roots: Vec<HostName>,
    /// Routes that come before DNS.
    pub static_routes: BTreeMap<ChainId, StaticRoute>,
    /// Whether records may lead to loopback, private and other special addresses.
    pub allow_special: bool,
    /// Which ports records may name.
    pub ports: PortRule,
    /// Most chains, and most hosts, whose answers are kept. Of what is evicted only time is lost.
    pub chains_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            static_routes: BTreeMap::new(),
            allow_special: false,
            ports: PortRule::default(),
            chains_max: CHAINS_MAX_DEFAULT,
        }
    }
}

/// Resolves by static routes and DNS, and keeps what it learnt.
pub struct Resolver<L> {
    lookup: L,
    options: Options,
    clock: Clock,
    random: Mutex<Box<dyn Rng + Send>>,
    routes: Cache<ChainId, Asked>,
    hosts: Cache<HostName, Vec<IpAddr>>,
    failed: Mutex<Timed<(ChainId, Host, u16)>>,
    seen: Mutex<Timed<ChainId>>,
}

impl<L: Lookup> Resolver<L> {
    /// A resolver that knows nothing yet. `random` shuffles gateways of one priority.
    #[must_use]
    pub fn new(lookup: L, options: Options, clock: Clock, random: Box<dyn Rng + Send>) -> Self {
        let chains_max = options.chains_max.max(1);
        Self {
            lookup,
            options,
            clock,
            random: Mutex::new(random),
            routes: Cache::new(chains_max),
            hosts: Cache::new(chains_max),
            failed: Mutex::new(Timed::new(FAILED_MAX)),
            seen: Mutex::new(Timed::new(SEEN_MAX.max(chains_max))),
        }
    }

    /// Marks a chain as seen: for [`SEEN_FOR`], that it is not in DNS is a temporary failure. The
    /// gateway does so at its start, for every chain in its spool.
    pub fn remember(&self, chain: ChainId) {
        locked(&self.seen).insert(chain, self.now().after(SEEN_FOR));
    }

    fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Asks the domain of the operator's choice, or each root until one knows the chain.
    async fn ask_dns(&self, chain: ChainId) -> Result<Fetched<Asked>, ResolveError> {
        let meter = Meter::default();
        let question =
            ask::Question { lookup: &self.lookup, chain, ports: self.options.ports, meter: &meter };
        let asked = match self.options.static_routes.get(&chain) {
            Some(StaticRoute::Domain(domain)) => {
                timeout(Budget::TIME_MAX, question.at_domain(domain)).await
            }
            Some(StaticRoute::Gateways { .. }) | None => {
                timeout(Budget::TIME_MAX, question.under(&self.options.roots)).await
            }
        };
        let asked = asked.unwrap_or_else(|_| {
            let name = format!("chain {chain}");
            Err(ResolveError::BudgetExceeded { name, budget: Budget::Time })
        })?;
        tracing::debug!(%chain, ?asked, lookups = meter.used(), "asked DNS");
        if matches!(asked, Asked::Published(_) | Asked::Null { .. }) {
            self.remember(chain);
        }
        Ok(Fetched { lifetime: asked.lifetime(), value: asked })
    }

    fn route_of(&self, chain: ChainId, served: &Served<Asked>) -> Result<Route, ResolveError> {
        match &served.value {
            Asked::Published(published) => Ok(self.published(chain, published, served)),
            Asked::Null { .. } => Err(ResolveError::NullRecord { chain }),
            Asked::Absent(absence) => Err(self.absent(chain, absence)),
        }
    }

    fn published(&self, chain: ChainId, found: &Published, served: &Served<Asked>) -> Route {
        let (gateways, failed) = self.ordered(chain, &found.gateways);
        Route {
            chain,
            gateways,
            failed,
            // A stale answer may reach a chain; whether a key is still good only DNS can say.
            keys: if served.stale { Vec::new() } else { keys_of(&found.keys) },
            key_records: if served.stale {
                BTreeMap::new()
            } else {
                found.keys.iter().cloned().collect()
            },
            policy: found.policy.clone(),
            source: RouteSource::Dns { name: found.name.clone() },
            level: if found.secure { TrustLevel::Dnssec } else { TrustLevel::Pinned },
            stale: served.stale,
            fetched: served.fetched,
            expires: served.expires,
        }
    }

    /// Where a route's records live; none if DNS did not give it.
    fn anchor_of(&self, route: &Route) -> Option<Anchor> {
        let RouteSource::Dns { name } = &route.source else { return None };
        let chosen = match self.options.static_routes.get(&route.chain) {
            Some(StaticRoute::Domain(domain)) => Some(Anchor::at(domain)),
            Some(StaticRoute::Gateways { .. }) | None => None,
        };
        let roots = self.options.roots.iter().map(|root| Anchor::under(route.chain, root));
        chosen.into_iter().chain(roots).find(|anchor| anchor.gateways() == *name)
    }

    /// No root knows the chain: that is the end of a message only if nobody ever knew it. A chain
    /// seen within a day, and one whose domain the operator wrote down, may come back.
    fn absent(&self, chain: ChainId, absence: &Absence) -> ResolveError {
        let known = self.options.static_routes.contains_key(&chain)
            || locked(&self.seen).holds(&chain, self.now());
        match absence {
            Absence { name: Some(name), kind, .. } if known => ResolveError::Temporary {
                name: name.clone(),
                cause: LookupFailure::Vanished(*kind),
            },
            Absence { .. } => ResolveError::UnknownChain { chain },
        }
    }

    fn fixed(&self, chain: ChainId, route: &StaticRoute) -> Option<Route> {
        let StaticRoute::Gateways { gateways, keys } = route else { return None };
        let mut keys = keys.clone();
        keys.sort_unstable();
        keys.dedup();
        let now = self.now();
        let (gateways, failed) = self.ordered(chain, gateways);
        Some(Route {
            chain,
            gateways,
            failed,
            keys,
            key_records: BTreeMap::new(),
            policy: None,
            source: RouteSource::Static,
            level: TrustLevel::Static,
            stale: false,
            fetched: now,
            expires: now.after(cache::TTL_MAX),
        })
    }

    /// In the order in which to try them, and how many of the last ones failed lately.
    fn ordered(&self, chain: ChainId, gateways: &[Gateway]) -> (Vec<Gateway>, usize) {
        let now = self.now();
        let failed = locked(&self.failed);
        let has_failed = |gateway: &Gateway| failed.holds(&failed_key(chain, gateway), now);
        let ordered = order::order(gateways, has_failed, locked(&self.random).as_mut());
        let count = ordered.iter().filter(|gateway| has_failed(gateway)).count();
        (ordered, count)
    }

    async fn ask_addresses(&self, host: &HostName) -> Result<Fetched<Vec<IpAddr>>, ResolveError> {
        let asked = timeout(Budget::TIME_MAX, ask::addresses(&self.lookup, host)).await;
        asked.unwrap_or_else(|_| {
            let name = host.to_string();
            Err(ResolveError::BudgetExceeded { name, budget: Budget::Time })
        })
    }

    fn allowed(&self, host: &HostName, found: &[IpAddr]) -> Result<Vec<IpAddr>, ResolveError> {
        let passes = |address: &IpAddr| self.options.allow_special || !is_special(*address);
        let allowed: Vec<_> = found.iter().copied().filter(passes).collect();
        match found.first() {
            Some(address) if allowed.is_empty() => {
                Err(ResolveError::SpecialAddress { host: host.clone(), address: *address })
            }
            Some(_) | None => Ok(allowed),
        }
    }
}

#[async_trait]
impl<L: Lookup> Resolve for Resolver<L> {
    async fn route(&self, chain: ChainId) -> Result<Arc<Route>, ResolveError> {
        let fixed = self.options.static_routes.get(&chain);
        if let Some(route) = fixed.and_then(|route| self.fixed(chain, route)) {
            return Ok(Arc::new(route));
        }
        let served = self.routes.get(&chain, &self.clock, || self.ask_dns(chain)).await?;
        self.route_of(chain, &served).map(Arc::new)
    }

    async fn addresses(&self, gateway: &Gateway) -> Result<Vec<SocketAddr>, ResolveError> {
        let host = match &gateway.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, gateway.port)]),
            Host::Name(host) => host,
        };
        let served = self.hosts.get(host, &self.clock, || self.ask_addresses(host)).await?;
        let allowed = self.allowed(host, &served.value)?;
        let addresses = one_of_each_kind(&allowed);
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, gateway.port)).collect())
    }

    async fn key_records(
        &self,
        route: &Route,
        selectors: &[Selector],
    ) -> Result<KeyAnswers, ResolveError> {
        let selectors = &selectors[..selectors.len().min(SIGNATURES_MAX)];
        let Some(anchor) = self.anchor_of(route).filter(|_| !selectors.is_empty()) else {
            return Ok(KeyAnswers { records: BTreeMap::new(), level: TrustLevel::Dnssec });
        };
        let meter = Meter::default();
        let (lookup, chain, ports) = (&self.lookup, route.chain, self.options.ports);
        let question = ask::Question { lookup, chain, ports, meter: &meter };
        timeout(Budget::TIME_MAX, question.keys(&anchor, selectors)).await.unwrap_or_else(|_| {
            let name = format!("keys of chain {}", route.chain);
            Err(ResolveError::BudgetExceeded { name, budget: Budget::Time })
        })
    }

    fn cache_counts(&self) -> CacheCounts {
        self.routes.counts().and(self.hosts.counts())
    }

    fn report(&self, chain: ChainId, gateway: &Gateway, outcome: Contact) {
        let key = failed_key(chain, gateway);
        match outcome {
            Contact::Reached => locked(&self.failed).remove(&key),
            Contact::Failed => {
                locked(&self.failed).insert(key, self.now().after(FAILED_FOR));
            }
        }
    }
}

/// Two addresses that hardly fail together: one of IPv4 and one of IPv6 where there are both.
fn one_of_each_kind(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let v4 = addresses.iter().filter(|address| address.is_ipv4());
    let v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut chosen: Vec<_> = v4.clone().take(1).chain(v6.clone().take(1)).copied().collect();
    let others = v4.skip(1).chain(v6.skip(1)).copied();
    chosen.extend(others.take(ADDRESSES_MAX - chosen.len()));
    chosen
}

/// The keys of records that are not revoked, ascending by their bytes.
fn keys_of(records: &[(Selector, KeyRecord)]) -> Vec<PublicKey> {
    let keys: BTreeSet<_> = records.iter().filter_map(|(_, record)| record.key).collect();
    keys.into_iter().collect()
}

fn failed_key(chain: ChainId, gateway: &Gateway) -> (ChainId, Host, u16) {
    (chain, gateway.host.clone(), gateway.port)
}

/// Nothing panics while it holds one of these locks, so a poisoned one is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
