//! One question over HTTP/1.1: a connection of its own, no redirects.

use std::pin::pin;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{ANSWER_BYTES_MAX, HookError};
use crate::config::HookUrl;

/// Sends the body, gives the answer's.
pub(super) async fn post(url: &HookUrl, body: Vec<u8>) -> Result<Bytes, HookError> {
    let silent = HookError::Silent;
    let stream =
        TcpStream::connect((url.host(), url.port())).await.map_err(|error| silent(error.into()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| silent(error.into()))?;
    let request = Request::post(url.path())
        .header(header::HOST, url.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .context("question")
        .map_err(silent)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| silent(error.into()))?;
        // Nobody else is asked: where a redirect points may be anywhere.
        if response.status() != StatusCode::OK {
            return Err(HookError::Odd(format!("status {}, expected 200", response.status())));
        }
        match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HookError::Odd(format!("it is longer than {ANSWER_BYTES_MAX} bytes")))
            }
            Err(error) => Err(silent(anyhow!("answer: {error}"))),
        }
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! { biased;
        answer = &mut exchange => answer,
        // It has read all that comes; what it read is still there.
        _ = &mut connection => exchange.await,
    }
}
