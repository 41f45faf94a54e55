//! The configuration: one TOML file, unknown keys refused, every path relative to that file.
//!
//! `examples/gateway.toml` shows every key with its default and unit. What is wrong is reported
//! with file, line and key, what was found and what was expected.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use distpos_proto::{
    chain::ChainId, key::PublicKey, message::Asset, record::HostName, trust::TrustLevel,
};
use distpos_resolver::{CHAINS_MAX_DEFAULT, Options, StaticRoute};
use serde::Deserialize;

use crate::{bytes::Bytes, peer::server::ServerLimits};

pub use account::AccountPolicy;
pub use chain::{Allocation, Chain, EvmNode, Finality, LedgerNode, Node};
pub use metrics::Metrics;
pub use peer::{Gateway, Peer, Route, StaticAnchor};
pub use policy::{GasBudget, HookUrl, Hooks, Policy};

pub mod account;
pub mod chain;
pub mod check;
mod credentials;
mod error;
mod look_up;
pub mod metrics;
pub mod peer;
mod place;
pub mod policy;
mod read;
pub mod text;

pub use credentials::{Token, TokenError};
pub use error::{ConfigError, ConfigErrors};

/// A gateway's whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file it was read from; only for messages.
    #[serde(skip)]
    pub file: PathBuf,
    /// Where its keys stand; only for messages.
    #[serde(skip)]
    places: place::Places,
    /// The own chain, and how it is reached.
    pub chain: Chain,
    /// The own keys, and those of the chain's other gateways.
    pub identity: Identity,
    /// What must survive a crash.
    pub spool: Spool,
    /// Where peers and users come in.
    #[serde(default)]
    pub listen: Listen,
    /// How chain-ids are looked up.
    #[serde(default)]
    pub resolver: Resolver,
    /// Static routes; they come before DNS.
    #[serde(default, rename = "route", deserialize_with = "text::map")]
    pub routes: BTreeMap<ChainId, Route>,
    /// What the operator says of other chains: anchors and limits.
    #[serde(default, rename = "peer", deserialize_with = "text::map")]
    pub peers: BTreeMap<ChainId, Peer>,
    /// How far DNS is believed.
    #[serde(default)]
    pub trust: TrustLevels,
    /// What is let in.
    #[serde(default)]
    pub policy: Policy,
    /// Where the operator's commands reach the running gateway.
    #[serde(default)]
    pub admin: Admin,
    /// Where metrics are told.
    #[serde(default)]
    pub metrics: Metrics,
    /// What the process may use.
    #[serde(default)]
    pub limits: Limits,
    /// What is written about what happens.
    #[serde(default)]
    pub log: Log,
}

/// The own keys, and those of the chain's other gateways.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Holds `tls.key` and `chain.key`, as `distpos-gateway keygen` makes them.
    pub directory: PathBuf,
    /// Every public key that speaks for this chain; empty: the own chain key alone.
    #[serde(default, deserialize_with = "text::list")]
    pub keys: Vec<PublicKey>,
    /// How many of them must sign headers and receipts.
    #[serde(default = "one")]
    pub th: usize,
}

/// What must survive a crash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// Holds queue, cursors, books and the operator's pins; one process at a time.
    pub directory: PathBuf,
}

/// Where peers and users come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Other gateways (TLS).
    #[serde(deserialize_with = "text::socket")]
    pub peers: SocketAddr,
    /// Users (HTTP): loopback, or with a token.
    #[serde(deserialize_with = "text::socket")]
    pub submission: SocketAddr,
    /// File with the token that users must show; it must not be readable for others.
    pub token: Option<PathBuf>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            peers: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Self::PEERS_PORT),
            submission: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Self::SUBMISSION_PORT),
            token: None,
        }
    }
}

impl Listen {
    /// Port of the listener for peers, unless said otherwise.
    pub const PEERS_PORT: u16 = 7333;
    /// Port of the listener for users, unless said otherwise.
    pub const SUBMISSION_PORT: u16 = 7334;
}

/// Where the operator's commands reach the running gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The unix socket, for the gateway's own user alone; `admin.sock` in the spool's directory
    /// unless said otherwise.
    pub socket: Option<PathBuf>,
}

impl Admin {
    /// The socket's name in the spool's directory, unless said otherwise.
    pub const SOCKET: &'static str = "admin.sock";
    /// Longest path, in bytes: what Linux's `sockaddr_un` has room for, less the final zero.
    pub const PATH_BYTES_MAX: usize = 107;
}

/// How chain-ids are looked up.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resolver {
    /// Domains under which chains are looked up, tried in order: `<cid>.<root>`.
    #[serde(deserialize_with = "text::list")]
    pub roots: Vec<HostName>,
    /// Name servers; empty: those of the system.
    #[serde(deserialize_with = "text::sockets")]
    pub servers: Vec<SocketAddr>,
    /// Where DNSSEC's trust begins: `"root"`, or a file of DNSKEY records; none: nothing is
    /// validated.
    pub trust_anchors: Option<PathBuf>,
    /// Whether `servers` are validating resolvers on loopback whose AD bit is believed.
    pub trust_ad: bool,
    /// Whether gateways at loopback, private and other special addresses are connected to.
    pub allow_special: bool,
    /// Most chains whose answers are kept in memory.
    #[serde(deserialize_with = "text::optional_positive")]
    pub chains_max: Option<u64>,
}

/// The least level for each use of what DNS says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustLevels {
    /// For where a chain's gateways are.
    #[serde(deserialize_with = "text::one")]
    pub route: TrustLevel,
    /// For a chain's keys.
    #[serde(deserialize_with = "text::one")]
    pub keys: TrustLevel,
}

impl Default for TrustLevels {
    fn default() -> Self {
        Self { route: TrustLevel::Pinned, keys: TrustLevel::Dnssec }
    }
}

/// What the process may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Physical memory: above it nothing is taken in or begun.
    #[serde(deserialize_with = "text::one")]
    pub memory_max: Bytes,
    /// Connections of peers from one address.
    pub connections_per_address_max: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        let connections_per_address_max = ServerLimits::default().connections_per_address_max;
        Self {
            memory_max: Self::MEMORY_MAX,
            connections_per_address_max: NonZeroUsize::new(connections_per_address_max)
                .unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl Limits {
    /// Unless said otherwise: twice what full buffers everywhere come to.
    pub const MEMORY_MAX: Bytes = Bytes(1 << 30);
    /// Less would be shed by a gateway that has nothing to do but to take long requests.
    pub const MEMORY_MAX_LEAST: Bytes = Bytes(256 << 20);
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// What is written about what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How it looks.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,distpos_resolver=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".into() }
    }
}

impl Config {
    /// What the resolver is told.
    #[must_use]
    pub fn resolver_options(&self) -> Options {
        let keys = |chain: &ChainId| {
            let anchor = self.peers.get(chain).and_then(|peer| peer.anchor.as_ref());
            anchor.map(|anchor| anchor.keys.keys().copied().collect()).unwrap_or_default()
        };
        let route = |(chain, route): (&ChainId, &Route)| {
            let route = match route {
                Route::Domain(domain) => StaticRoute::Domain(domain.clone()),
                Route::Gateways(gateways) => StaticRoute::Gateways {
                    gateways: gateways.iter().map(Gateway::to_try).collect(),
                    keys: keys(chain),
                },
            };
            (*chain, route)
        };
        Options {
            roots: self.resolver.roots.clone(),
            static_routes: self.routes.iter().map(route).collect(),
            allow_special: self.resolver.allow_special,
            // More than memory has room for are never there.
            chains_max: self
                .resolver
                .chains_max
                .map_or(CHAINS_MAX_DEFAULT, |max| usize::try_from(max).unwrap_or(usize::MAX)),
            ..Options::default()
        }
    }

    /// What the operator says of an account; the defaults for one that the file does not name.
    #[must_use]
    pub fn account(&self, chain: ChainId, asset: &Asset) -> AccountPolicy {
        let named = self.peers.get(&chain).and_then(|peer| peer.accounts.get(asset));
        named.cloned().unwrap_or_default()
    }

    /// What the messages of a source may use of the own chain's gas.
    #[must_use]
    pub fn gas_budget(&self, source: ChainId) -> GasBudget {
        let peer = self.peers.get(&source);
        let usual = GasBudget::of(self.chain.family());
        let max = peer.and_then(|peer| peer.gas_max).or(self.policy.gas_max);
        let window = peer.and_then(|peer| peer.gas_window).or(self.policy.gas_window);
        GasBudget { max: max.unwrap_or(usual.max), window: window.unwrap_or(usual.window) }
    }

    /// Where the operator's commands reach the running gateway.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        let usual = || self.spool.directory.join(Admin::SOCKET);
        self.admin.socket.clone().unwrap_or_else(usual)
    }

    /// Makes every relative path one below `base`.
    fn rebase(&mut self, base: &Path) {
        let mut paths = vec![&mut self.identity.directory, &mut self.spool.directory];
        paths.extend(&mut self.listen.token);
        paths.extend(&mut self.admin.socket);
        // "root" is a word and no file.
        paths.extend(self.resolver.trust_anchors.as_mut().filter(|it| **it != *look_up::ROOT));
        match &mut self.chain.node {
            Node::Ledger(node) => paths.push(&mut node.directory),
            Node::Evm(node) => {
                paths.extend(&mut node.keys);
                paths.extend(&mut node.password);
            }
        }
        for path in paths {
            *path = base.join(&*path);
        }
    }
}

const fn one() -> usize {
    1
}

#[cfg(test)]
mod tests;
