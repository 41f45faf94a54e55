//! One call. The order of the checks is the order of what they cost: header fields, path, declared
//! length, then DNS (by the service), then the body, then the work.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    wire::{DESTINATION_FIELD, MEDIA_TYPE, RequestKind, Response, SOURCE_FIELD},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, TryAcquireError},
    time::timeout,
};
use tracing::info;

use super::connection::{Running, Session};
use crate::peer::Caller;

pub(super) async fn handle(
    session: Arc<Session>,
    running: Running,
    request: http::Request<Incoming>,
) -> http::Response<AnswerBody> {
    let (status, (body, slots)) = match answer(&session, request).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(Refusal { status, reply }) => {
            let (peer, pin) = (session.peer, session.pin);
            info!(%peer, %pin, %status, %reply, "call refused");
            (status, (Response::Refused(reply).body(), None))
        }
    };
    let mut response =
        http::Response::new(AnswerBody { rest: body.into(), _slots: slots, _running: running });
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// The answer's bytes, and its slots if it may be long.
async fn answer(
    session: &Session,
    request: http::Request<Incoming>,
) -> Result<(Vec<u8>, Option<Slots>), Refusal> {
    let (head, body) = request.into_parts();
    let caller = Caller {
        pin: session.pin,
        source: chain(&head.headers, SOURCE_FIELD)?,
        destination: chain(&head.headers, DESTINATION_FIELD)?,
    };
    let kind = kind(&head)?;
    let limit = if kind.method_is_get() { 0 } else { session.shared.limits.body_bytes_max };
    declared_length(&body, limit)?;

    let service = &session.shared.service;
    let forbidden = |reply| Refusal { status: StatusCode::FORBIDDEN, reply };
    service.authorise(&caller).await.map_err(forbidden)?;

    let time = session.shared.limits.body;
    let body = timeout(time, read(session, body, limit)).await.map_err(|_| Refusal {
        status: StatusCode::REQUEST_TIMEOUT,
        reply: Reply::new(Code::NO_ANSWER, format!("body not complete within {time:?}")),
    })??;
    let slots = match kind {
        RequestKind::Proofs | RequestKind::Headers | RequestKind::Status => {
            Some(timeout(time, slots(session)).await.map_err(|_| Refusal::no_room())??)
        }
        RequestKind::Hello
        | RequestKind::Messages
        | RequestKind::Receipts
        | RequestKind::Simulations
        | RequestKind::Statements => None,
    };
    Ok((service.answer(&caller, kind.path(), body.bytes).await, slots))
}

/// Held from before a long answer is made until the peer has read it: who asks for many and reads
/// none of them waits for himself.
type Slots = [OwnedSemaphorePermit; 2];

async fn slots(session: &Session) -> Result<Slots, Refusal> {
    let closed = |_| Refusal::no_room();
    let own = Arc::clone(&session.answers).acquire_owned().await.map_err(closed)?;
    let of_all = Arc::clone(&session.shared.answers).acquire_owned().await.map_err(closed)?;
    Ok([own, of_all])
}

/// A request that is not done: the status for HTTP, the reply for the peer.
struct Refusal {
    status: StatusCode,
    reply: Reply,
}

impl Refusal {
    fn malformed(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reply: Reply::new(Code::MALFORMED, text) }
    }

    fn too_big(limit: usize) -> Self {
        let text = format!("body is longer than {limit} bytes");
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, reply: Reply::new(Code::TOO_BIG, text) }
    }

    fn no_room() -> Self {
        let reply = Reply::new(Code::RATE_LIMIT, "too many bodies at once").retry_after(1);
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reply }
    }
}

/// The chain-id in a header field: there exactly once, in its one spelling.
fn chain(fields: &HeaderMap, name: &str) -> Result<ChainId, Refusal> {
    let mut values = fields.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::malformed(format!("expected one header field {name}")));
    };
    let text = value
        .to_str()
        .map_err(|_| Refusal::malformed(format!("header field {name} is no text")))?;
    text.parse().map_err(|error| Refusal::malformed(format!("header field {name}: {error}")))
}

fn kind(head: &Parts) -> Result<RequestKind, Refusal> {
    let kind = RequestKind::from_path(head.uri.path())
        .map_err(|error| Refusal { status: StatusCode::NOT_FOUND, reply: error.reply() })?;
    let expected = if kind.method_is_get() { Method::GET } else { Method::POST };
    if head.method != expected {
        let text = format!("method is {}, expected {expected}", head.method);
        return Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            reply: Reply::new(Code::MALFORMED, text),
        });
    }
    let media_type = head.headers.get(header::CONTENT_TYPE);
    if expected == Method::POST && media_type.is_none_or(|found| found != MEDIA_TYPE) {
        return Err(Refusal::malformed(format!("expected content-type {MEDIA_TYPE}")));
    }
    Ok(kind)
}

/// Refuses by the declared length alone; a body without one is counted as it comes.
fn declared_length(body: &Incoming, limit: usize) -> Result<(), Refusal> {
    match usize::try_from(body.size_hint().lower()) {
        Ok(declared) if declared <= limit => Ok(()),
        Ok(_) | Err(_) => Err(Refusal::too_big(limit)),
    }
}

/// A whole body, and its share of the memory for bodies, given back when this is dropped.
#[derive(Default)]
struct Held {
    bytes: Bytes,
    _shares: [Option<OwnedSemaphorePermit>; 2],
}

async fn read(session: &Session, mut body: Incoming, limit: usize) -> Result<Held, Refusal> {
    let mut bytes = BytesMut::new();
    let mut shares = [None, None];
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::malformed(format!("body broke: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > limit {
            return Err(Refusal::too_big(limit));
        }
        // As bytes come, not as they are declared: who declares much and sends nothing takes no
        // room. Nobody waits for room either: waiting bodies would fill the connection's window,
        // and those that have room could never complete.
        let count = u32::try_from(data.len()).map_err(|_| Refusal::too_big(limit))?;
        let [own, all] = &mut shares;
        hold(own, session.buffers.clone().try_acquire_many_owned(count))?;
        hold(all, session.shared.buffers.clone().try_acquire_many_owned(count))?;
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _shares: shares })
}

fn hold(
    share: &mut Option<OwnedSemaphorePermit>,
    more: Result<OwnedSemaphorePermit, TryAcquireError>,
) -> Result<(), Refusal> {
    let more = more.map_err(|_| Refusal::no_room())?;
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    Ok(())
}

/// An answer in pieces. HTTP/2 takes the next piece only when the peer has room for it, so the
/// exchange counts as running until the peer has taken nearly all.
#[derive(Debug)]
pub(super) struct AnswerBody {
    rest: Bytes,
    _slots: Option<Slots>,
    _running: Running,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Four HTTP/2 frames of the default size.
const PIECE_BYTES: usize = 64 * 1024;
