//! Why a call to another gateway gave no usable answer.

use std::{error::Error as StdError, fmt, io, net::SocketAddr, time::Duration};

use distpos_certs::tls::{self, KeyMismatch};
use distpos_proto::{
    code::{Code, Reply},
    wire::WireError,
};
use thiserror::Error;

/// No usable answer. Every one is temporary ([`PeerError::is_temporary`]) and known to senders as
/// `4.4.1` ([`PeerError::code`]): networks heal, records get published, peers get mended.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The route has no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The gateway's host.
        host: String,
    },
    /// The route's host is no name that TLS or HTTP can carry.
    #[error("{host:?} is no host name")]
    Host {
        /// What was found.
        host: String,
    },
    /// Too many connections are in use here.
    #[error("all {limit} connections to peers are in use")]
    Busy {
        /// How many there may be.
        limit: usize,
    },
    /// No connection, or it was lost before TLS was up.
    #[error("no connection to {address}: {source}")]
    Connect {
        /// The peer.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// One side refused the other in TLS.
    #[error("TLS with {address}: {source}")]
    Tls {
        /// The peer.
        address: SocketAddr,
        /// What TLS says; an alert is the other side's word.
        source: rustls::Error,
    },
    /// The peer's key is not the published one: the record is old, or somebody else answers there.
    #[error("{address}: {source}")]
    KeyMismatch {
        /// The peer.
        address: SocketAddr,
        /// Found and expected pins.
        source: KeyMismatch,
    },
    /// The peer speaks TLS but not HTTP/2.
    #[error("{address} did not agree on HTTP/2")]
    Protocol {
        /// The peer.
        address: SocketAddr,
    },
    /// It took too long.
    #[error("{address}: {phase} took longer than {limit:?}")]
    Timeout {
        /// The peer.
        address: SocketAddr,
        /// What took too long.
        phase: Phase,
        /// How long it may take.
        limit: Duration,
    },
    /// The connection or the stream broke.
    #[error("HTTP with {address}: {source}")]
    Http {
        /// The peer.
        address: SocketAddr,
        /// What broke.
        source: hyper::Error,
    },
    /// A status without an answer of ours, for instance a redirect, which is not followed.
    #[error("{address} answered with HTTP status {found}, expected 200 or a refusal")]
    Status {
        /// The peer.
        address: SocketAddr,
        /// The status.
        found: u16,
    },
    /// The answer is longer than any may be.
    #[error("answer of {address} is longer than {limit} bytes")]
    BodyTooBig {
        /// The peer.
        address: SocketAddr,
        /// Most bytes of an answer.
        limit: usize,
    },
    /// The answer is not understood.
    #[error("answer of {address}: {source}")]
    Body {
        /// The peer.
        address: SocketAddr,
        /// What is wrong with it.
        source: WireError,
    },
    /// The answer is well-formed, but not to what was asked.
    #[error("{address} answered something else than was asked")]
    WrongAnswer {
        /// The peer.
        address: SocketAddr,
    },
}

/// What a call was doing when its time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP.
    Connect,
    /// TLS and the start of HTTP/2.
    Handshake,
    /// From sending the request to the answer's header.
    Answer,
    /// Receiving the answer's body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Handshake => "the handshake",
            Self::Answer => "the answer",
            Self::Body => "the answer's body",
        })
    }
}

impl PeerError {
    /// Whether it was the peer all the same: whoever holds the published key was met, and said
    /// nothing that is of use.
    #[must_use]
    pub fn is_from_peer(&self) -> bool {
        match self {
            Self::NoAddress { .. }
            | Self::Host { .. }
            | Self::Busy { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::KeyMismatch { .. }
            | Self::Timeout { phase: Phase::Connect | Phase::Handshake, .. } => false,
            Self::Protocol { .. }
            | Self::Timeout { phase: Phase::Answer | Phase::Body, .. }
            | Self::Http { .. }
            | Self::Status { .. }
            | Self::BodyTooBig { .. }
            | Self::Body { .. }
            | Self::WrongAnswer { .. } => true,
        }
    }

    /// Whether to try again later: always, since in the queue an unknown failure is temporary.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        true
    }

    /// The reply code that stands for it: `4.4.1`, no answer.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::NO_ANSWER
    }

    /// The reply to keep with what is being retried.
    #[must_use]
    pub fn reply(&self) -> Reply {
        Reply::new(self.code(), self.to_string())
    }

    /// Whether the peer itself is to blame, not the network, DNS or this side.
    #[must_use]
    pub fn is_peers_fault(&self) -> bool {
        match self {
            Self::Protocol { .. }
            | Self::Status { .. }
            | Self::BodyTooBig { .. }
            | Self::Body { .. }
            | Self::WrongAnswer { .. } => true,
            Self::NoAddress { .. }
            | Self::Host { .. }
            | Self::Busy { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::KeyMismatch { .. }
            | Self::Timeout { .. }
            | Self::Http { .. } => false,
        }
    }

    /// Whether the peer was called at all: if not, its silence says nothing of it.
    #[must_use]
    pub fn was_called(&self) -> bool {
        !matches!(self, Self::NoAddress { .. } | Self::Host { .. } | Self::Busy { .. })
    }

    /// Sorts an I/O error of the handshake: a wrong key, another TLS failure, or the network.
    pub(super) fn from_handshake(address: SocketAddr, error: io::Error) -> Self {
        if let Some(mismatch) = tls::key_mismatch(&error) {
            return Self::KeyMismatch { address, source: mismatch.clone() };
        }
        match tls::tls_error(&error) {
            Some(source) => Self::Tls { address, source: source.clone() },
            None => Self::Connect { address, source: error },
        }
    }

    /// Sorts an error of hyper. In TLS 1.3 the server judges the client's key after the client has
    /// finished its handshake, so a refusal of our key arrives only here, as an alert.
    pub(super) fn from_http(address: SocketAddr, error: hyper::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(inner) = cause {
            if let Some(source) = inner.downcast_ref().and_then(tls::tls_error) {
                return Self::Tls { address, source: source.clone() };
            }
            cause = inner.source();
        }
        Self::Http { address, source: error }
    }
}
