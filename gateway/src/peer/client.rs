//! The asking side: one HTTP/2 connection for each peer, many calls over it at once.
//!
//! Nothing is ever repeated once a peer may have seen it: the queue decides about that. Only a
//! request that provably was not sent, because the kept connection had just closed, goes out again
//! on a new one.

mod connect;
mod pool;
mod race;

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use distpos_certs::TlsIdentity;
use distpos_proto::{
    chain::ChainId,
    wire::{
        BODY_BYTES_MAX, DESTINATION_FIELD, MEDIA_TYPE, Request, RequestKind, Response, SOURCE_FIELD,
    },
};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use self::pool::{Connection, Pool};
use super::{PeerError, PeerTransport, Phase, Target};

/// How long and how much. The defaults are the protocol's; tests use shorter ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// For TCP, for each address.
    pub connect: Duration,
    /// How long an address may be silent before the next one is tried beside it: RFC 8305's
    /// connection attempt delay.
    pub stagger: Duration,
    /// For TLS and the start of HTTP/2.
    pub handshake: Duration,
    /// For one call on a connection that is up, answer included.
    pub call: Duration,
    /// A connection without calls is closed after this time.
    pub idle: Duration,
    /// While calls wait, the peer is asked for a sign of life this often…
    pub keep_alive: Duration,
    /// …and has this long to give it.
    pub keep_alive_answer: Duration,
    /// Most bytes of an answer.
    pub body_bytes_max: usize,
    /// Most connections at once.
    pub connections_max: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stagger: Duration::from_millis(250),
            handshake: Duration::from_secs(10),
            call: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            keep_alive: Duration::from_secs(15),
            keep_alive_answer: Duration::from_secs(10),
            body_bytes_max: BODY_BYTES_MAX,
            connections_max: 1024,
        }
    }
}

/// Calls peers over sockets.
#[derive(Debug)]
pub struct PeerClient {
    pool: Pool,
    limits: ClientLimits,
}

#[async_trait]
impl PeerTransport for PeerClient {
    async fn call(
        &self,
        target: &Target,
        speaking_for: ChainId,
        to: ChainId,
        request: Request,
    ) -> Result<Response, PeerError> {
        let (kind, body) = (request.kind(), Bytes::from(request.body()));
        let answer = self.exchange(target, speaking_for, to, kind, body).await?;
        let Answer { address, status, body } = answer;
        let response = Response::from_body(kind, &body)
            .map_err(|source| PeerError::Body { address, source })?;
        match (status == StatusCode::OK, &response) {
            (_, Response::Refused(_)) => Ok(response),
            (true, _) if response.answers(&request) => Ok(response),
            (true, _) => Err(PeerError::WrongAnswer { address }),
            (false, _) => Err(PeerError::Status { address, found: status.as_u16() }),
        }
    }
}

/// An answer whose body is complete and not yet read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) address: SocketAddr,
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl PeerClient {
    /// A client that proves itself with this identity. It needs a tokio runtime when it is used.
    #[must_use]
    pub fn new(identity: TlsIdentity, limits: ClientLimits) -> Self {
        Self { pool: Pool::new(identity, limits.clone()), limits }
    }

    /// Brings a connection up, for the calls that follow: TCP, TLS with the pinned key, HTTP/2.
    ///
    /// # Errors
    /// [`PeerError`], as for any call.
    pub async fn connect(&self, target: &Target) -> Result<SocketAddr, PeerError> {
        let connecting = Box::pin(race::connection(&self.pool, target, self.limits.stagger));
        connecting.await.map(|(address, _)| address)
    }

    /// How many connections are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.pool.kept()
    }

    /// One call in bytes, over a connection to whichever address gave one first; what happens after
    /// that is the answer.
    pub(super) async fn exchange(
        &self,
        target: &Target,
        source: ChainId,
        destination: ChainId,
        kind: RequestKind,
        body: Bytes,
    ) -> Result<Answer, PeerError> {
        let connecting = Box::pin(race::connection(&self.pool, target, self.limits.stagger));
        let (address, connection) = connecting.await?;
        let call = Call { target, address, source, destination, kind, body };
        match self.send(connection, &call).await {
            Sent::Done(answer) => answer,
            Sent::Not(first) => {
                debug!(%address, error = %first, "connection had closed, using a new one");
                let connection = self.pool.connection(target, address).await?;
                match self.send(connection, &call).await {
                    Sent::Done(answer) => answer,
                    Sent::Not(error) => Err(error),
                }
            }
        }
    }

    async fn send(&self, mut connection: Connection, call: &Call<'_>) -> Sent {
        let address = call.address;
        let request = match call.request() {
            Ok(request) => request,
            Err(error) => return Sent::Done(Err(error)),
        };
        let deadline = Instant::now() + self.limits.call;
        let late = |phase| PeerError::Timeout { address, phase, limit: self.limits.call };
        let sent = timeout_at(deadline, connection.sender.try_send_request(request)).await;
        let response = match sent {
            Err(_) => return Sent::Done(Err(late(Phase::Answer))),
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let unsent = error.message().is_some();
                let error = PeerError::from_http(address, error.into_error());
                return if unsent { Sent::Not(error) } else { Sent::Done(Err(error)) };
            }
        };
        let (head, body) = response.into_parts();
        if !carries_answer(head.status, &head.headers) {
            return Sent::Done(Err(PeerError::Status { address, found: head.status.as_u16() }));
        }
        let read = read_body(address, body, self.limits.body_bytes_max);
        Sent::Done(match timeout_at(deadline, read).await {
            Err(_) => Err(late(Phase::Body)),
            Ok(body) => body.map(|body| Answer { address, status: head.status, body }),
        })
    }
}

/// Whether a request has reached the peer, as far as this side can know.
enum Sent {
    /// It has, or it may have.
    Done(Result<Answer, PeerError>),
    /// Certainly not.
    Not(PeerError),
}

struct Call<'c> {
    target: &'c Target,
    address: SocketAddr,
    source: ChainId,
    destination: ChainId,
    kind: RequestKind,
    body: Bytes,
}

impl Call<'_> {
    fn request(&self) -> Result<http::Request<Full<Bytes>>, PeerError> {
        let host = &self.target.host;
        let authority = match host.contains(':') {
            true => format!("[{host}]:{}", self.address.port()),
            false => format!("{host}:{}", self.address.port()),
        };
        let uri = http::Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query(self.kind.path())
            .build();
        let method = if self.kind.method_is_get() { Method::GET } else { Method::POST };
        uri.and_then(|uri| {
            http::Request::builder()
                .method(method)
                .uri(uri)
                .header(header::CONTENT_TYPE, MEDIA_TYPE)
                .header(SOURCE_FIELD, self.source.to_string())
                .header(DESTINATION_FIELD, self.destination.to_string())
                .body(Full::new(self.body.clone()))
        })
        .map_err(|_| PeerError::Host { host: host.clone() })
    }
}

/// An answer in our format, or a refusal in it; other statuses (redirects too) have nothing to say.
fn carries_answer(status: StatusCode, fields: &HeaderMap) -> bool {
    let refused = status.is_client_error() || status.is_server_error();
    let ours = fields.get(header::CONTENT_TYPE).is_some_and(|found| found == MEDIA_TYPE);
    (status == StatusCode::OK || refused) && ours
}

async fn read_body(
    address: SocketAddr,
    mut body: Incoming,
    limit: usize,
) -> Result<Bytes, PeerError> {
    let too_big = || PeerError::BodyTooBig { address, limit };
    // What the peer declares only spares the reading; it is the counted bytes that decide.
    let declared = usize::try_from(body.size_hint().lower()).map_err(|_| too_big())?;
    if declared > limit {
        return Err(too_big());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| PeerError::from_http(address, error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > limit {
            return Err(too_big());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
