//! Chain-id to route: DNS look-ups, cache, order and failed-gateway memory (`docs/dns.md`).
//!
//! A [`Route`] says where a chain's gateways are, in the order in which to try them, and which keys
//! the chain publishes, as MX and DKIM records do for mail. It never says what is true on a chain.
//!
//! Three layers, each a value that the next one is given:
//!
//! - [`Lookup`] asks one question of DNS. [`HickoryLookup`] asks real servers, [`ZoneLookup`] a zone
//!   in memory.
//! - [`Resolver`] knows the rules: static routes first, each root in turn, records never mixed,
//!   what is permanent and what temporary, how long an answer is kept.
//! - [`Resolve`] is what the rest of the gateway sees.
//!
//! Beside these, for whoever publishes a chain: [`publish`] prints, checks and updates its records,
//! and [`Authority`] asks the servers of a zone directly.
//!
//! A failure is permanent only when DNS itself said so of a chain that was never seen
//! ([`ResolveError::UnknownChain`]) or when the chain refuses everything
//! ([`ResolveError::NullRecord`]). Everything else is temporary: servers that took a refused look-up
//! for "no such domain" have lost mail that way (OpenSMTPD 742).

mod authority;
mod error;
mod lookup;
pub mod publish;
mod resolver;
mod route;
mod special;

use std::sync::Arc;

use distpos_proto::time::UnixMillis;

pub use distpos_proto::trust::TrustLevel;

pub use authority::{Answers, Authority, AuthorityServer};
pub use error::{Budget, ResolveError};
pub use lookup::{
    AddressAnswer, Fault, HickoryError, HickoryLookup, Lookup, LookupError, LookupFailure,
    Negative, Security, TrustAnchors, TrustAnchorsError, TxtAnswer, ZoneLookup,
};
pub use resolver::{
    CHAINS_MAX_DEFAULT, CacheCounts, FAILED_FOR, Options, Resolve, Resolver, SEEN_FOR,
};
pub use route::{
    Contact, GATEWAYS_TRIED_MAX, Gateway, Host, KeyAnswers, Route, RouteSource, StaticRoute,
};
pub use special::is_special;

/// Where the time comes from: the system's clock, or a simulation's.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
