//! The submission listener's client.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use distpos_proto::message::MessageId;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::super::{Exit, Failure};
use crate::{
    config::Token,
    submit::{
        AccountView, ChainView, ErrorView, MessageView, MessagesView, REQUEST_TIMEOUT,
        SimulationAsked, SimulationView, SubmittedView,
    },
};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Asks one gateway, with one connection a request.
pub(super) struct Client {
    base: String,
    authority: String,
    token: Option<Token>,
}

impl Client {
    /// A gateway at `http://host:port`.
    pub(super) fn new(base: &str, token: Option<&Path>) -> Result<Self, Failure> {
        let uri: Option<Uri> = base.parse().ok();
        let authority = uri.filter(|uri| uri.scheme_str() == Some("http")).and_then(|uri| {
            let port = uri.port_u16().unwrap_or(80);
            uri.host().map(|host| format!("{host}:{port}"))
        });
        let authority = authority.ok_or_else(|| {
            Failure::usage(format_args!("--gateway is {base:?}, expected http://host:port"))
        })?;
        let token = token
            .map(|file| {
                Token::load(file).map_err(|error| {
                    Failure::configuration(format_args!("--token {} {error}", file.display()))
                })
            })
            .transpose()?;
        Ok(Self { base: base.trim_end_matches('/').into(), authority, token })
    }

    pub(super) async fn chain(&self) -> Result<ChainView, Failure> {
        self.get("/v1/chain").await?.ok_or_else(|| self.odd("no chain"))
    }

    /// An account; none if the chain has no such account.
    pub(super) async fn account(&self, local: &str) -> Result<Option<AccountView>, Failure> {
        self.get(&format!("/v1/accounts/{local}")).await
    }

    /// A message; none if the gateway has not seen it.
    pub(super) async fn message(&self, id: MessageId) -> Result<Option<MessageView>, Failure> {
        self.get(&format!("/v1/messages/{id}")).await
    }

    /// The message's events; none if the gateway offers none now.
    pub(super) async fn events(&self, id: MessageId) -> Option<Events> {
        let open = async {
            let stream = TcpStream::connect(&self.authority).await.ok()?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
            let connection = AbortOnDrop(tokio::spawn(async move {
                // Its end is the body's end.
                let _ = connection.await;
            }));
            let request = self
                .begun(Method::GET, &format!("/v1/messages/{id}/events"))
                .body(Full::<Bytes>::default());
            let response = sender.send_request(request.ok()?).await.ok()?;
            let body = response.status().eq(&StatusCode::OK).then(|| response.into_body())?;
            Some(Events { body, _connection: connection })
        };
        tokio::time::timeout(REQUEST_TIMEOUT, open).await.ok()?
    }

    pub(super) async fn by_transaction(&self, hash: &str) -> Result<MessagesView, Failure> {
        let answer = self.get(&format!("/v1/messages?transaction={hash}")).await?;
        answer.ok_or_else(|| self.odd("no list"))
    }

    pub(super) async fn submit(&self, transaction: Vec<u8>) -> Result<SubmittedView, Failure> {
        let (status, body) = self.request(Method::POST, "/v1/transactions", transaction).await?;
        if status == StatusCode::OK { self.read(&body) } else { Err(self.refused(status, &body)) }
    }

    pub(super) async fn simulate(
        &self,
        asked: &SimulationAsked,
    ) -> Result<SimulationView, Failure> {
        let body = serde_json::to_vec(asked).map_err(|e| Failure::new(Exit::Internal, e))?;
        let (status, body) = self.request(Method::POST, "/v1/simulations", body).await?;
        match status {
            StatusCode::OK => self.read(&body),
            StatusCode::NOT_FOUND => Err(Failure::of(
                Exit::Unavailable,
                format_args!("gateway at {} does not offer dry runs", self.base),
            )),
            _ => Err(self.refused(status, &body)),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let (status, body) = self.request(Method::GET, path, Vec::new()).await?;
        match status {
            StatusCode::OK => self.read(&body).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(status, &body)),
        }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| self.odd(&error.to_string()))
    }

    fn odd(&self, what: &str) -> Failure {
        Failure::temporary(format_args!(
            "gateway at {}: answer is not one of a gateway: {what}",
            self.base
        ))
    }

    /// A refusal in the gateway's words; its code's class decides whether to try again.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(ErrorView { error }) = serde_json::from_slice(body) else {
            return self.odd(&format!("status {status}"));
        };
        let exit = match (status, error.code.starts_with('4')) {
            (StatusCode::UNAUTHORIZED, _) => Exit::Configuration,
            (_, true) => Exit::Temporary,
            (_, false) => Exit::Unavailable,
        };
        Failure::of(exit, format_args!("{} {}", error.code, error.text))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let failed = |what: String| {
            Failure::temporary(format_args!("gateway at {} does not answer: {what}", self.base))
        };
        // A little more than the gateway takes itself, so that its own answer comes first.
        let time_max = REQUEST_TIMEOUT + Duration::from_secs(5);
        match tokio::time::timeout(time_max, self.exchange(method, path, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(format!("{error:#}"))),
            Err(_) => Err(failed(format!("not within {} s", time_max.as_secs()))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = self.begun(method, path).body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("answer: {error}"))?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (answer, _) = tokio::join!(exchange, connection);
        answer
    }

    /// A request without its body.
    fn begun(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONNECTION, "close");
        match &self.token {
            Some(token) => {
                request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()))
            }
            None => request,
        }
    }
}

/// A message's events, of which it only matters that there is one: what they tell is asked for.
pub(super) struct Events {
    body: Incoming,
    _connection: AbortOnDrop,
}

impl Events {
    /// Whether there is news; false once the stream has ended or broken off.
    pub(super) async fn next(&mut self) -> bool {
        loop {
            match self.body.frame().await {
                // A comment only says that it is still there, as does the first line.
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) if data.starts_with(b"id:") => return true,
                    _ => {}
                },
                Some(Err(_)) | None => return false,
            }
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
