//! Answers: one JSON object each, or a stream of events; never kept by anybody in between.

use std::convert::Infallible;

use bytes::Bytes;
use distpos_proto::code::Reply;
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response, StatusCode, header};
use serde::Serialize;

use super::{ErrorBody, ErrorView};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An object with status 200.
pub(crate) fn object<T: Serialize>(value: &T) -> Response<Body> {
    with_status(StatusCode::OK, value)
}

/// A refusal with its reply code.
pub(crate) fn refusal(status: StatusCode, reply: &Reply) -> Response<Body> {
    let error = ErrorBody { code: reply.code.to_string(), text: reply.text().into() };
    with_status(status, &ErrorView { error })
}

/// An object with this status.
pub(crate) fn with_status<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    // The views are plain structs of texts and numbers, which always have a JSON form.
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    fields(response.headers_mut(), "application/json");
    response
}

/// Server-sent events, as long as the stream lasts.
pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = stream.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    fields(response.headers_mut(), "text/event-stream");
    response
}

/// A status without a body.
pub(crate) fn nothing(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = status;
    response
}

fn fields(headers: &mut HeaderMap, content: &'static str) {
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
}
