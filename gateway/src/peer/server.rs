//! The answering side: accepts connections, learns the key of each, and hands its requests to a
//! [`PeerService`].
//!
//! A peer is told why a *request* is refused. Why a *handshake* is refused stands only in the log
//! here: TLS tells the other side little, on purpose.

mod connection;
mod exchange;
mod gate;

use std::{sync::Arc, time::Duration};

use distpos_certs::{TlsIdentity, tls};
use distpos_proto::wire::BODY_BYTES_MAX;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info, warn};

use self::gate::Gate;
use super::PeerService;

/// How much a stranger may take. The defaults are for a gateway on the Internet; tests use shorter
/// times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections from one address (IPv6: from one /64), so that one host cannot take all.
    pub connections_per_address_max: usize,
    /// Most calls at once on one connection.
    pub streams_max: u32,
    /// From accepting a connection until TLS is up.
    pub handshake: Duration,
    /// From then until the first request's header is complete.
    pub first_request: Duration,
    /// Without a call for this long a connection is closed.
    pub idle: Duration,
    /// For receiving one body, once the caller is authorised.
    pub body: Duration,
    /// For one call from its header to its answer's last bytes; then the connection is cut. Catches
    /// what no other time does: a peer that asks and does not read.
    pub exchange: Duration,
    /// When the gateway stops, calls have this long to finish. Below the 5 s of a clean stop.
    pub drain: Duration,
    /// Most bytes of one body.
    pub body_bytes_max: usize,
    /// Most bytes of bodies in memory for one connection…
    pub connection_bytes_max: usize,
    /// …and for all of them.
    pub total_bytes_max: usize,
    /// Most answers that may be long (proofs, headers, statuses) at once on one connection, from
    /// their making until the peer has read them; more wait…
    pub answers_per_connection_max: usize,
    /// …and on all of them: each is up to `BODY_BYTES_MAX` of memory.
    pub answers_max: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 32,
            streams_max: 128,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body: Duration::from_secs(30),
            exchange: Duration::from_secs(60),
            drain: Duration::from_secs(3),
            body_bytes_max: BODY_BYTES_MAX,
            connection_bytes_max: 8 * BODY_BYTES_MAX,
            total_bytes_max: 16 * BODY_BYTES_MAX,
            answers_per_connection_max: 2,
            // Half a GiB, and twice what one address can take (32 connections).
            answers_max: 128,
        }
    }
}

/// Serves peers until `stop` turns true (or its sender is dropped), then lets calls finish for
/// [`ServerLimits::drain`] and cuts what is left.
///
/// # Errors
/// An error of rustls if no configuration could be made; nothing that happens while serving ends it.
pub async fn serve(
    listener: TcpListener,
    identity: &TlsIdentity,
    service: Arc<dyn PeerService>,
    limits: ServerLimits,
    mut stop: watch::Receiver<bool>,
) -> Result<(), rustls::Error> {
    let gate = Gate::new(limits.connections_max, limits.connections_per_address_max);
    let shared = Arc::new(Shared {
        service,
        tls: TlsAcceptor::from(Arc::new(tls::server_config(identity)?)),
        buffers: Arc::new(Semaphore::new(limits.total_bytes_max)),
        answers: Arc::new(Semaphore::new(limits.answers_max)),
        limits,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(ended) = connections.join_next() => look_at_end(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match gate.admit(peer.ip()) {
                    Ok(place) => {
                        let connection =
                            connection::run(Arc::clone(&shared), stream, peer, stop.clone());
                        connections.spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                    Err(full) => debug!(%peer, reason = %full, "connection not taken"),
                },
                Err(error) => {
                    warn!(%error, "cannot accept connections just now");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // From here on the port is free, for the process that comes next.
    drop(listener);
    drain(connections, shared.limits.drain).await;
    Ok(())
}

struct Shared {
    service: Arc<dyn PeerService>,
    tls: TlsAcceptor,
    /// One permit is one byte of a body in memory.
    buffers: Arc<Semaphore>,
    /// One permit is one answer that may be long.
    answers: Arc<Semaphore>,
    limits: ServerLimits,
}

async fn drain(mut connections: JoinSet<()>, limit: Duration) {
    info!(connections = connections.len(), "no longer accepting peers, letting calls finish");
    let finished = timeout(limit, async {
        while let Some(ended) = connections.join_next().await {
            look_at_end(ended);
        }
    });
    if finished.await.is_err() {
        warn!(connections = connections.len(), ?limit, "cutting calls that did not finish");
        connections.shutdown().await;
    }
}

fn look_at_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection's task panicked; the others go on");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means the sender is gone: nobody could ever say stop, so it counts as said.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How long to wait after a failed accept: with no file descriptors left it would fail again at
/// once, and spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
