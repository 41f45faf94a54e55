//! One connection: handshake, requests, and the watch over how long anything takes.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use distpos_certs::tls;
use distpos_proto::key::SpkiPin;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use super::{ServerLimits, Shared, exchange, stopped};

pub(super) async fn run(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let shaken = tokio::select! {
        biased;
        () = stopped(&mut stop) => return,
        shaken = Box::pin(handshake(&shared, stream)) => shaken,
    };
    match shaken {
        Ok((stream, pin)) => Box::pin(talk(shared, stream, pin, peer, stop)).await,
        // The only place that knows: the client sees a closed connection.
        Err(reason) => info!(%peer, %reason, "handshake refused"),
    }
}

async fn handshake(
    shared: &Shared,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, SpkiPin), String> {
    let limit = shared.limits.handshake;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = timeout(limit, shared.tls.accept(stream))
        .await
        .map_err(|_| format!("not complete within {limit:?}"))?
        .map_err(|error| error.to_string())?;
    let connection = stream.get_ref().1;
    let pin = tls::peer_pin(connection).ok_or("no client key")?;
    if connection.alpn_protocol() != Some(tls::ALPN) {
        return Err("client did not ask for HTTP/2".to_owned());
    }
    Ok((stream, pin))
}

async fn talk(
    shared: Arc<Shared>,
    stream: TlsStream<TcpStream>,
    pin: SpkiPin,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let watch = Arc::new(Watch::new());
    let session = Arc::new(Session {
        buffers: Arc::new(Semaphore::new(shared.limits.connection_bytes_max)),
        answers: Arc::new(Semaphore::new(shared.limits.answers_per_connection_max)),
        shared: Arc::clone(&shared),
        pin,
        peer,
    });
    let service = service_fn(|request: http::Request<Incoming>| {
        // Begun here, not in the future: from the header on, whatever polls it when.
        let running = Watch::begin(&watch);
        let session = Arc::clone(&session);
        async move { Ok::<_, Infallible>(exchange::handle(session, running, request).await) }
    });
    let builder = builder(&shared.limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Set when the connection was told to end: from then on it only has until that time.
    let mut ends = None;
    let mut stopping = false;
    loop {
        let look_at = ends.unwrap_or_else(|| watch.look_at(&shared.limits));
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%peer, %pin, %error, "connection broke");
                }
                return;
            }
            () = stopped(&mut stop), if !stopping => {
                // The deadline of this is the caller's.
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(look_at) => match watch.judge(&shared.limits) {
                _ if ends.is_some() => return,
                Judgement::Fine => {}
                Judgement::Idle => {
                    debug!(%peer, %pin, "closing idle connection");
                    connection.as_mut().graceful_shutdown();
                    ends = Some(Instant::now() + FAREWELL);
                }
                Judgement::Stuck => {
                    warn!(%peer, %pin, limit = ?shared.limits.exchange, "cutting stuck connection");
                    return;
                }
            },
        }
    }
}

/// What the requests of one connection share.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) pin: SpkiPin,
    pub(super) peer: SocketAddr,
    /// One permit is one byte of a body in memory.
    pub(super) buffers: Arc<Semaphore>,
    /// One permit is one answer that may be long.
    pub(super) answers: Arc<Semaphore>,
}

fn builder(limits: &ServerLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_ERROR_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER);
    builder
}

/// What goes on in one connection, and since when.
#[derive(Debug)]
pub(super) struct Watch(Mutex<Doings>);

#[derive(Debug)]
struct Doings {
    next: u64,
    /// Start of each exchange, oldest first; as many as there are streams.
    running: BTreeMap<u64, Instant>,
    quiet_since: Instant,
}

enum Judgement {
    Fine,
    Idle,
    Stuck,
}

impl Watch {
    fn new() -> Self {
        Self(Mutex::new(Doings { next: 0, running: BTreeMap::new(), quiet_since: Instant::now() }))
    }

    fn begin(this: &Arc<Self>) -> Running {
        let mut doings = this.doings();
        let number = doings.next;
        doings.next = number.wrapping_add(1);
        doings.running.insert(number, Instant::now());
        Running { number, watch: Arc::clone(this) }
    }

    /// When something could be too old at the earliest, also of what begins or ends right now.
    fn look_at(&self, limits: &ServerLimits) -> Instant {
        let soonest = limits.exchange.min(limits.idle);
        self.due(limits).0.min(Instant::now() + soonest)
    }

    fn judge(&self, limits: &ServerLimits) -> Judgement {
        let (due, verdict) = self.due(limits);
        if Instant::now() < due { Judgement::Fine } else { verdict }
    }

    fn due(&self, limits: &ServerLimits) -> (Instant, Judgement) {
        let doings = self.doings();
        match doings.running.first_key_value() {
            Some((_, since)) => (*since + limits.exchange, Judgement::Stuck),
            None if doings.next == 0 => {
                (doings.quiet_since + limits.first_request, Judgement::Idle)
            }
            None => (doings.quiet_since + limits.idle, Judgement::Idle),
        }
    }

    fn doings(&self) -> MutexGuard<'_, Doings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange under way; ended when it is dropped, with the last of its answer.
#[derive(Debug)]
pub(super) struct Running {
    number: u64,
    watch: Arc<Watch>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut doings = self.watch.doings();
        doings.running.remove(&self.number);
        doings.quiet_since = Instant::now();
    }
}

/// Most bytes of a request's header fields; ours have a few short ones.
const HEADER_BYTES_MAX: u32 = 8 * 1024;
/// Streams that a peer may open and reset before we got to them; more is the "rapid reset" attack
/// (CVE-2023-44487), and the connection ends.
const RESETS_PENDING_MAX: usize = 20;
/// Streams that we may have to reset for a peer's protocol errors before the connection ends
/// (CVE-2025-8671).
const RESETS_ERROR_MAX: usize = 128;
/// What a peer may send ahead on one call: the bytes of a full batch.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What a peer may send ahead on all its calls: 1 MiB for each connection, times 1,024 of them.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What of an answer may wait in HTTP/2 for a peer that reads slowly.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// How often a silent peer is asked for a sign of life, so that half-open connections end…
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// …and how long it has to give it.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(15);
/// How long an idle peer has to take note of the farewell.
const FAREWELL: Duration = Duration::from_secs(2);
