//! One question to DNS, and what comes back.

mod anchors;
pub(crate) mod direct;
pub(crate) mod hickory;
mod zone;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use thiserror::Error;

pub use anchors::{TrustAnchors, TrustAnchorsError};
pub use hickory::{HickoryError, HickoryLookup};
pub use zone::{Fault, ZoneLookup};

/// Something that answers questions about names. Implementations keep no cache: [`crate::Resolver`]
/// has its own, with its own rules.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The TXT records of a name, CNAMEs followed.
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError>;

    /// The A and AAAA records of a name, CNAMEs followed.
    async fn addresses(&self, name: &str) -> Result<AddressAnswer, LookupError>;
}

#[async_trait]
impl<L: Lookup + ?Sized> Lookup for Arc<L> {
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError> {
        self.as_ref().txt(name).await
    }

    async fn addresses(&self, name: &str) -> Result<AddressAnswer, LookupError> {
        self.as_ref().addresses(name).await
    }
}

/// TXT records that exist: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxtAnswer {
    /// Each record, its strings joined without a separator.
    pub records: Vec<Vec<u8>>,
    /// How long it may be kept, in seconds: the least of the records and CNAMEs on the way.
    pub ttl: u32,
    /// What DNSSEC says of it.
    pub secure: Security,
}

/// Addresses that exist: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAnswer {
    /// The addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What DNSSEC says of it.
    pub secure: Security,
}

/// What DNSSEC says of an answer (RFC 4035, section 4.3), the worst first: an answer of several
/// records is as good as the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Security {
    /// Signed wrongly: the answer must not be used.
    Bogus,
    /// Not known: no trust anchor covers the name.
    #[default]
    Indeterminate,
    /// Proven to be unsigned.
    Insecure,
    /// Signed, from a trust anchor down.
    Secure,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupError {
    /// DNS says that there is nothing of the kind.
    #[error("{kind}")]
    NotFound {
        /// How long that may be kept, in seconds (RFC 2308, section 5); 0 when no SOA came along.
        negative_ttl: u32,
        /// Which of the two it is.
        kind: Negative,
        /// What DNSSEC says of it: [`Security::Secure`] when it is proven that there is nothing.
        secure: Security,
    },
    /// DNS failed, and says nothing either way.
    #[error("{0}")]
    Temporary(LookupFailure),
}

/// The two ways to say that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Negative {
    /// The name does not exist.
    #[error("no such name (NXDOMAIN)")]
    NxDomain,
    /// The name exists, a record of that type does not.
    #[error("no record of that type (NODATA)")]
    NoData,
}

/// How DNS failed. All of these are temporary.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupFailure {
    /// The server could not find out.
    #[error("the server failed (SERVFAIL)")]
    ServFail,
    /// The server does not answer such questions, or not ours.
    #[error("the server refuses to answer (REFUSED)")]
    Refused,
    /// Nobody answered in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer's signature is wrong.
    #[error("the answer's DNSSEC signature is wrong")]
    Bogus,
    /// DNS says that there is nothing, where something should be: a chain that was seen lately, or
    /// the host of a gateway record.
    #[error("{0}, though there should be one")]
    Vanished(Negative),
    /// The name is longer than DNS allows, or has other faults.
    #[error("the name does not fit DNS")]
    Name,
    /// Anything else, in the words of who noticed it.
    #[error("{0}")]
    Other(String),
}

impl LookupFailure {
    /// Whether the servers failed, rather than answered something that cannot be used.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::ServFail | Self::Refused | Self::Timeout | Self::Bogus | Self::Other(_) => true,
            Self::Vanished(_) | Self::Name => false,
        }
    }
}
