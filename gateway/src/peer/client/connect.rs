//! Bringing a connection up: TCP, TLS with the pinned key, HTTP/2.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use distpos_certs::{TlsIdentity, tls};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::ClientLimits;
use crate::peer::{PeerError, Phase, Target};

pub(super) type Sender = http2::SendRequest<Full<Bytes>>;
pub(super) type Driver =
    http2::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>, TokioExecutor>;

/// Connects to one address. The driver has to be polled for anything to happen.
pub(super) async fn connect(
    identity: &TlsIdentity,
    target: &Target,
    address: SocketAddr,
    limits: &ClientLimits,
) -> Result<(Sender, Driver), PeerError> {
    let stream = timeout(limits.connect, TcpStream::connect(address))
        .await
        .map_err(|_| late(address, Phase::Connect, limits.connect))?
        .map_err(|source| PeerError::Connect { address, source })?;
    timeout(limits.handshake, Box::pin(handshake(identity, target, address, limits, stream)))
        .await
        .map_err(|_| late(address, Phase::Handshake, limits.handshake))?
}

async fn handshake(
    identity: &TlsIdentity,
    target: &Target,
    address: SocketAddr,
    limits: &ClientLimits,
    stream: TcpStream,
) -> Result<(Sender, Driver), PeerError> {
    // Small requests must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(|source| PeerError::Connect { address, source })?;
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| PeerError::Host { host: target.host.clone() })?;
    let config = tls::client_config(identity, &target.pins)
        .map_err(|source| PeerError::Tls { address, source })?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| PeerError::from_handshake(address, error))?;
    if stream.get_ref().1.alpn_protocol() != Some(tls::ALPN) {
        return Err(PeerError::Protocol { address });
    }
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive_answer)
        .max_header_list_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| PeerError::from_http(address, error))
}

fn late(address: SocketAddr, phase: Phase, limit: std::time::Duration) -> PeerError {
    PeerError::Timeout { address, phase, limit }
}

/// Most bytes of an answer's header fields; ours have two short ones.
const HEADER_BYTES_MAX: u32 = 8 * 1024;
