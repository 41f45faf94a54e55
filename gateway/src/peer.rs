//! Gateways talking to each other: HTTP/2 over TLS 1.3, both sides known by raw public keys.
//!
//! [`PeerTransport`] is the asking side as the pipelines see it, [`PeerService`] the answering side
//! as the inbound pipeline implements it. Between them are sockets ([`client`], [`server`]), or
//! nothing but memory in a simulation, so both pipelines run without a network.
//!
//! The key of a connection says *who* is there; the header fields of each request say for which
//! chain it speaks. Whether that key may speak for that chain is asked of the service before a
//! request's body is read, so that strangers cost no memory.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use distpos_proto::{
    chain::ChainId,
    code::Reply,
    key::SpkiPin,
    wire::{Request, Response},
};

pub mod client;
pub mod server;

mod error;

pub use error::{PeerError, Phase};

/// A gateway to talk to, as the resolver found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it listens, in the order in which to try. Already checked: exactly these are used.
    pub addresses: Vec<SocketAddr>,
    /// Its host name; only a hint for the other side and for logs, the pins say who it is.
    pub host: String,
    /// The pins of the keys it may have; one, or two while they turn over.
    pub pins: Vec<SpkiPin>,
}

/// Asks other gateways.
#[async_trait]
pub trait PeerTransport: Send + Sync {
    /// Makes one call, speaking for chain `speaking_for` to a gateway of chain `to`.
    ///
    /// # Errors
    /// [`PeerError`] if there is no usable answer; all of them are temporary. A refusal is an
    /// answer: [`Response::Refused`].
    async fn call(
        &self,
        target: &Target,
        speaking_for: ChainId,
        to: ChainId,
        request: Request,
    ) -> Result<Response, PeerError>;
}

/// Who asks: a proven key, and what the request claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The pin of the key the connection proved.
    pub pin: SpkiPin,
    /// The chain the request speaks for. Only a claim until [`PeerService::authorise`] passed it.
    pub source: ChainId,
    /// The chain the request is meant for.
    pub destination: ChainId,
}

/// What answers: implemented by the inbound pipeline, called by [`server`] and by the simulation's
/// transport.
///
/// Both futures are dropped at any point of waiting when the peer goes away or takes too long, so
/// what must not stop half-way (a commit) has to run on its own.
#[async_trait]
pub trait PeerService: Send + Sync {
    /// Before the body is read: does DNS list this key for the chain it speaks for, and is the
    /// destination ours?
    ///
    /// # Errors
    /// The reply to refuse the request with.
    async fn authorise(&self, caller: &Caller) -> Result<(), Reply>;

    /// Answers an authorised call; gives the encoded [`Response`]. `path` is one of this version's,
    /// the body is complete and at most
    /// [`BODY_BYTES_MAX`](distpos_proto::wire::BODY_BYTES_MAX) long, its content unchecked.
    async fn answer(&self, caller: &Caller, path: &str, body: Bytes) -> Vec<u8>;
}

#[cfg(test)]
mod tests;
