//! Why a body or a path is not what it should be.

use thiserror::Error;

use super::VERSION;
use crate::{
    cbor::CborError,
    code::{Code, Reply},
    message::MessageError,
};

/// A body or path that is not understood here: the other side's fault, the same bytes never pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The wrong CBOR type, length, order or place.
    #[error("{0}")]
    Cbor(#[from] CborError),
    /// One message in a batch; the others are not concerned.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// Over a limit.
    #[error("{what}: {found}, expected at most {max}")]
    TooBig {
        /// What was counted, with its unit.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Another major version in the path.
    #[error("path is of version {found}, spoken here: {VERSION}")]
    Version {
        /// The path's version.
        found: u64,
    },
    /// No call of this version.
    #[error("path is {found:?}, expected a call of /distpos/{VERSION}/")]
    Path {
        /// The path, cut to 80 characters.
        found: String,
    },
}

impl WireError {
    /// What the other side is told: `5.2.3` over a limit, else `5.6.0`.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let code = match self {
            Self::TooBig { .. } => Code::TOO_BIG,
            Self::Cbor(_) | Self::Message(_) | Self::Version { .. } | Self::Path { .. } => {
                Code::MALFORMED
            }
        };
        Reply::new(code, self.to_string())
    }
}

/// Checks `found` against a named limit.
pub(super) fn within(what: &'static str, found: usize, max: usize) -> Result<usize, WireError> {
    if found <= max { Ok(found) } else { Err(WireError::TooBig { what, found, max }) }
}
