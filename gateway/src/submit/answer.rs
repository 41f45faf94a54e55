//! Answers: one JSON object each, never kept by anybody in between.

use bytes::Bytes;
use distpos_proto::code::Reply;
use http_body_util::Full;
use hyper::{HeaderMap, Response, StatusCode, header};
use serde::Serialize;

use super::{ErrorBody, ErrorView};

pub(crate) type Body = Full<Bytes>;

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
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    fields(response.headers_mut());
    response
}

fn fields(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
}
