//! The way from a command to the running gateway: HTTP/1 over its admin socket.

use std::{
    io,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::{Exit, Failure};
use crate::{admin::REQUEST_TIMEOUT, config::Config, submit::ErrorView};

/// Longest answer, in bytes: some ten thousand entries of a journal.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A little more than the gateway takes itself, so that its own answer comes first.
const TIME_MAX: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(5));

/// The admin socket of a configured gateway.
pub(super) struct AdminClient {
    socket: PathBuf,
}

impl AdminClient {
    pub(super) fn new(config: &Config) -> Self {
        Self { socket: config.admin_socket() }
    }

    /// Whether a gateway listens there at all.
    pub(super) async fn is_there(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    /// What is there; none if it is not.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let (status, body) = self.request(Method::GET, path, Vec::new()).await?;
        match status {
            StatusCode::OK => self.read(&body).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(status, &body)),
        }
    }

    /// Has something done.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::new(Exit::Internal, error))?;
        let (status, body) = self.request(Method::POST, path, body).await?;
        if status == StatusCode::OK { self.read(&body) } else { Err(self.refused(status, &body)) }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| self.odd(&error.to_string()))
    }

    fn odd(&self, what: &str) -> Failure {
        Failure::temporary(format_args!(
            "{}: answer is not one of this version's gateway: {what}",
            self.socket.display()
        ))
    }

    /// A refusal in the gateway's words.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(ErrorView { error }) = serde_json::from_slice(body) else {
            return self.odd(&format!("status {status}"));
        };
        let exit = match (status, error.code.starts_with('4')) {
            (StatusCode::BAD_REQUEST, _) => Exit::Usage,
            (_, true) => Exit::Temporary,
            (_, false) => Exit::Unavailable,
        };
        Failure::of(exit, error.text)
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = self.connect().await?;
        match tokio::time::timeout(TIME_MAX, exchange(stream, method, path, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let socket = self.socket.display();
                Err(Failure::temporary(format_args!("{socket} broke off: {error:#}")))
            }
            Err(_) => Err(Failure::temporary(format_args!(
                "the gateway did not answer within {} s and may still do it: look before you \
                 repeat it",
                TIME_MAX.as_secs()
            ))),
        }
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&self.socket, &error))
    }
}

/// Why nobody is reached, and what to do about it.
fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let at = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::of(
            Exit::Unavailable,
            format_args!(
                "the gateway is not running: nobody listens at {at}. Start it with \
                 `distpos-gateway run`; if it runs, --config has to name its configuration"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::of(
            Exit::Unavailable,
            format_args!(
                "{at} is for the gateway's own user alone: run this command as that user, or as \
                 root"
            ),
        ),
        io::ErrorKind::WouldBlock => {
            Failure::temporary(format_args!("{at} is busy with other commands: try again"))
        }
        _ => Failure::of(Exit::Unavailable, format_args!("{at}: {error}")),
    }
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "admin")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("answer: {error}"))?.to_bytes();
        anyhow::Ok((status, body))
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! { biased;
        answer = &mut exchange => answer,
        // It has read all that comes; what it read is still there.
        _ = &mut connection => exchange.await,
    }
}
