//! JSON-RPC 2.0 over HTTP/1.1 to the local node: one call, one answer, nothing believed.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{net::TcpStream, time::timeout};

use crate::chain::ChainError;

/// Longest answer: the receipts of a block of 1,000 large messages.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a connection may take to open: the node is near.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Connections kept open for the next call: watching, simulating and submitting go on at once.
const IDLE_MAX: usize = 4;

/// The node, as JSON-RPC reaches it.
pub(super) struct Rpc {
    /// As configured, without what may be secret in it.
    name: String,
    authority: (String, u16),
    target: String,
    host: String,
    next: AtomicU64,
    idle: Mutex<Vec<Connection>>,
}

type Connection = SendRequest<Full<Bytes>>;

/// What became of a call.
#[derive(Debug)]
pub(super) enum RpcError {
    /// The connection or the answer's form.
    Chain(ChainError),
    /// The answer is longer than [`ANSWER_BYTES_MAX`].
    TooLong(&'static str),
    /// The node says no.
    Node(&'static str, NodeError),
    /// This transaction is in a block and reverted.
    Reverted([u8; 32]),
}

/// A JSON-RPC error object.
#[derive(Debug, Deserialize)]
pub(super) struct NodeError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl NodeError {
    /// The revert's data, where the node gives it.
    fn data(&self) -> Option<Vec<u8>> {
        let text: String = serde_json::from_str(self.data.as_ref()?.get()).ok()?;
        super::answer::bytes_of(&text)
    }
}

/// What a node says of itself can be of any length and hold anything.
impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.message.chars().filter(|c| !c.is_control()).take(200).collect();
        write!(f, "error {}: {text}", self.code)?;
        match self.data() {
            Some(data) => write!(f, " ({})", super::abi::revert_text(&data)),
            None => Ok(()),
        }
    }
}

impl From<RpcError> for ChainError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Chain(error) => error,
            RpcError::TooLong(call) => garbage(call, format!("more than {ANSWER_BYTES_MAX} bytes")),
            RpcError::Node(call, error) => garbage(call, error.to_string()),
            RpcError::Reverted(hash) => {
                let what = format!("transaction {} reverted", super::answer::hex(&hash));
                garbage("eth_getTransactionReceipt", what)
            }
        }
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// An answer that is not what was asked for.
pub(super) fn garbage(call: &'static str, what: impl Into<String>) -> ChainError {
    ChainError::Garbage { call, what: what.into() }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<NodeError>,
}

impl Rpc {
    /// The node at `http://host:port/path`.
    pub(super) fn new(url: &str) -> Result<Self, ChainError> {
        let wrong = |what: &str| ChainError::Unreachable {
            node: "the configured URL".into(),
            cause: format!("{what}, expected http://host:port/"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("its scheme is not http"));
        }
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(80);
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("it holds a user name"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            name: format!("{host}:{port}"),
            authority: (bare, port),
            target: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            host: format!("{host}:{port}"),
            next: AtomicU64::new(1),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Calls a method; `params` is the JSON array of its arguments.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: serde_json::Value,
    ) -> Result<T, RpcError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body =
            serde_json::json!({"jsonrpc": "2.0", "id": id, "method": call, "params": params});
        let body = Bytes::from(body.to_string());
        let answer = timeout(CALL_TIME_MAX, self.exchange(call, body)).await.map_err(|_| {
            let cause = format!("no answer to {call} in {} s", CALL_TIME_MAX.as_secs());
            RpcError::Chain(ChainError::Unreachable { node: self.name.clone(), cause })
        })??;
        read(call, id, &answer)
    }

    async fn exchange(&self, call: &'static str, body: Bytes) -> Result<Bytes, RpcError> {
        // A kept connection may have been closed meanwhile; every call here may be repeated.
        while let Some(mut connection) = self.take() {
            if connection.ready().await.is_err() {
                continue;
            }
            let Ok(response) = connection.send_request(self.request(body.clone())).await else {
                continue;
            };
            return self.read_body(call, connection, response).await;
        }
        let mut connection = self.connect().await.map_err(RpcError::Chain)?;
        let response = connection.send_request(self.request(body)).await;
        let response = response.map_err(|error| RpcError::Chain(self.unreachable(&error)))?;
        self.read_body(call, connection, response).await
    }

    async fn read_body(
        &self,
        call: &'static str,
        connection: Connection,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Bytes, RpcError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return RpcError::TooLong(call);
            }
            RpcError::Chain(self.unreachable(&error))
        })?;
        // Some nodes give their JSON-RPC error with a status that is none of success.
        let body = body.to_bytes();
        if !status.is_success() && !body.starts_with(b"{") {
            return Err(RpcError::Chain(garbage(call, format!("HTTP status {status}"))));
        }
        self.keep(connection);
        Ok(body)
    }

    async fn connect(&self) -> Result<Connection, ChainError> {
        let (host, port) = &self.authority;
        let stream = timeout(CONNECT_TIME_MAX, TcpStream::connect((host.as_str(), *port))).await;
        let stream = stream
            .map_err(|_| self.unreachable(&"connecting took too long"))?
            .map_err(|error| self.unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        // Ends with the connection; what goes wrong is seen by the call that uses it.
        tokio::spawn(driver);
        Ok(connection)
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        Request::post(self.target.as_str())
            .header(header::HOST, self.host.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("target and host were parsed as parts of a URL")
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().expect("nothing panics while it is held").pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().expect("nothing panics while it is held");
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
    }

    fn unreachable(&self, cause: &dyn fmt::Display) -> ChainError {
        ChainError::Unreachable { node: self.name.clone(), cause: cause.to_string() }
    }
}

fn read<T: DeserializeOwned>(call: &'static str, id: u64, body: &[u8]) -> Result<T, RpcError> {
    let wrong = |what: String| RpcError::Chain(garbage(call, what));
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|error| wrong(format!("no JSON-RPC: {error}")))?;
    if answer.id != Some(id) {
        return Err(wrong(format!("answer has the id {:?}, expected {id}", answer.id)));
    }
    if let Some(error) = answer.error {
        return Err(RpcError::Node(call, error));
    }
    let result = answer.result.map_or("null", RawValue::get);
    serde_json::from_str(result).map_err(|error| wrong(format!("unexpected result: {error}")))
}
