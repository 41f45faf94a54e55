//! Why there is no route.

use std::{fmt, net::IpAddr, time::Duration};

use distpos_proto::{
    chain::ChainId,
    code::Code,
    record::{HostName, RecordError},
};
use thiserror::Error;

use crate::lookup::LookupFailure;

/// Why a chain has no route, or a gateway no address. Only [`ResolveError::UnknownChain`] and
/// [`ResolveError::NullRecord`] are permanent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No static route, no name under any root, and the chain was never seen.
    #[error("chain {chain} is in no root that is configured, nor has it a static route")]
    UnknownChain {
        /// The chain.
        chain: ChainId,
    },
    /// The chain publishes that it accepts nothing.
    #[error("chain {chain} publishes a null record: it accepts nothing")]
    NullRecord {
        /// The chain.
        chain: ChainId,
    },
    /// DNS did not answer, or said that something is gone which was there. Try again later.
    #[error("look-up of {name}: {cause}")]
    Temporary {
        /// The name that was asked.
        name: String,
        /// What came back.
        cause: LookupFailure,
    },
    /// What is published is malformed. Its publisher can heal it, so try again later.
    #[error("records of {name}: {what}")]
    Malformed {
        /// Their owner.
        name: String,
        /// What is wrong.
        what: RecordError,
    },
    /// Every address of the gateway is one that a record must not make this gateway call.
    #[error(
        "gateway {host} has the special address {address}, expected a public one \
         (or resolver.allow_special)"
    )]
    SpecialAddress {
        /// The gateway.
        host: HostName,
        /// The first of its addresses.
        address: IpAddr,
    },
    /// The resolution took too many look-ups or too long. Try again later.
    #[error("resolution of {name} gave up: it took more than {budget}")]
    BudgetExceeded {
        /// The chain or host.
        name: String,
        /// What was used up.
        budget: Budget,
    },
}

/// What one resolution may use up, so that nobody's records make the gateway work for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// [`Budget::LOOKUPS_MAX`] look-ups.
    Lookups,
    /// [`Budget::TIME_MAX`].
    Time,
}

impl Budget {
    /// Most look-ups in one resolution: gateways, policy and 16 keys, and two roots that knew
    /// nothing.
    pub const LOOKUPS_MAX: u32 = 20;

    /// Longest time of one resolution.
    pub const TIME_MAX: Duration = Duration::from_secs(10);
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookups => write!(f, "{} look-ups", Self::LOOKUPS_MAX),
            Self::Time => write!(f, "{} s", Self::TIME_MAX.as_secs()),
        }
    }
}

impl ResolveError {
    /// Whether trying again is of no use.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::UnknownChain { .. } | Self::NullRecord { .. } => true,
            Self::Temporary { .. }
            | Self::Malformed { .. }
            | Self::SpecialAddress { .. }
            | Self::BudgetExceeded { .. } => false,
        }
    }

    /// The reply code to give for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownChain { .. } => Code::UNKNOWN_CHAIN,
            Self::NullRecord { .. } => Code::NULL_RECORD,
            Self::Temporary { .. }
            | Self::Malformed { .. }
            | Self::SpecialAddress { .. }
            | Self::BudgetExceeded { .. } => Code::DNS,
        }
    }

    /// Whether an expired answer may serve in its place (RFC 8767): the servers failed, they did
    /// not say something else.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Temporary { cause, .. } => cause.is_outage(),
            Self::BudgetExceeded { budget, .. } => *budget == Budget::Time,
            Self::UnknownChain { .. }
            | Self::NullRecord { .. }
            | Self::Malformed { .. }
            | Self::SpecialAddress { .. } => false,
        }
    }
}
