//! Where a chain is reached and which keys it publishes.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use distpos_proto::{
    chain::ChainId,
    key::{PublicKey, SpkiPin},
    record::{GatewayRecord, HostName, KeyRecord, PolicyRecord, Selector, Target},
    time::UnixMillis,
    trust::TrustLevel,
};

/// Most gateways that one round of delivery tries.
pub const GATEWAYS_TRIED_MAX: usize = 5;

/// How to reach a chain, as far as is known at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The chain.
    pub chain: ChainId,
    /// Every gateway, in the order in which to try them: by priority, shuffled by weight within
    /// one, those that failed lately last. At most [`GATEWAYS_TRIED_MAX`] are tried in a round.
    pub gateways: Vec<Gateway>,
    /// How many of the last ones failed lately.
    pub failed: usize,
    /// Keys that the chain publishes and has not revoked, ascending by their bytes. None without
    /// a policy record, and none when the route is stale.
    pub keys: Vec<PublicKey>,
    /// What the policy's selectors hold, revoked keys and endorsements too. None without a policy
    /// record, and none when the route is stale: what may be believed of keys, fresh answers say.
    pub key_records: BTreeMap<Selector, KeyRecord>,
    /// What the chain says of itself.
    pub policy: Option<PolicyRecord>,
    /// Where this comes from.
    pub source: RouteSource,
    /// How far it is to be trusted.
    pub level: TrustLevel,
    /// Whether it is expired and serves only because DNS fails (RFC 8767).
    pub stale: bool,
    /// When it was asked for.
    pub fetched: UnixMillis,
    /// Until when it is kept.
    pub expires: UnixMillis,
}

impl Route {
    /// Whether a peer with this TLS key is a gateway of the chain. On a route to another chain,
    /// the own key here means a loop.
    #[must_use]
    pub fn admits(&self, pin: &SpkiPin) -> bool {
        self.gateways.iter().any(|gateway| gateway.pins.contains(pin))
    }

    /// Puts gateways that DNS and their failures leave alike into the order of a rank, the least
    /// first; those of one rank stay as they are. Nobody passes a better priority, and nobody that
    /// failed lately passes one that did not.
    pub fn prefer(&mut self, rank: impl Fn(&Gateway) -> u32) {
        let well = self.gateways.len().saturating_sub(self.failed);
        let (well, failed) = self.gateways.split_at_mut(well);
        for part in [well, failed] {
            for alike in part.chunk_by_mut(|a, b| a.pri == b.pri) {
                alike.sort_by_cached_key(&rank);
            }
        }
    }

    /// The gateways that one round of delivery tries, in order.
    #[must_use]
    pub fn to_try(&self) -> &[Gateway] {
        &self.gateways[..self.gateways.len().min(GATEWAYS_TRIED_MAX)]
    }
}

/// What single selectors of a chain hold, beside those that its policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAnswers {
    /// The records; none where nothing is published any more.
    pub records: BTreeMap<Selector, Option<KeyRecord>>,
    /// How far the worst of these answers is to be trusted.
    pub level: TrustLevel,
}

/// One gateway of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name, or an address that the operator wrote down.
    pub host: Host,
    /// Its TLS port.
    pub port: u16,
    /// One or two pins of its TLS key.
    pub pins: Vec<SpkiPin>,
    /// Lower is tried first.
    pub pri: u16,
    /// Share among gateways of one priority; those of weight 0 come after the others.
    pub weight: u16,
    /// The staker's guarantee key.
    pub guarantee: Option<String>,
}

impl Gateway {
    /// The gateway of a record; none if it is a null record.
    #[must_use]
    pub fn of(record: &GatewayRecord) -> Option<Self> {
        match &record.target {
            Target::Null => None,
            Target::Host { host, port, pins } => Some(Self {
                host: Host::Name(host.clone()),
                port: *port,
                pins: pins.clone(),
                pri: record.pri,
                weight: record.weight,
                guarantee: record.guarantee.clone(),
            }),
        }
    }
}

impl fmt::Display for Gateway {
    /// `host:port`, as it is dialled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// How a gateway is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// By name: its addresses are looked up, and special ones refused.
    Name(HostName),
    /// By address, in a static route only: the operator's own word, so not checked.
    Address(IpAddr),
}

/// Where a route comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteSource {
    /// The configuration.
    Static,
    /// DNS.
    Dns {
        /// The owner of the gateway records.
        name: String,
    },
}

/// A route that the operator wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaticRoute {
    /// These gateways. DNS is asked for nothing but the addresses of those with a name.
    Gateways {
        /// The gateways.
        gateways: Vec<Gateway>,
        /// The chain's keys, if the operator knows them.
        keys: Vec<PublicKey>,
    },
    /// Whatever this domain publishes, at `_distpos.<domain>`.
    Domain(HostName),
}

/// How a gateway fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It answered.
    Reached,
    /// It could not be reached, or failed in a way that another gateway may not.
    Failed,
}
