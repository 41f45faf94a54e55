//! One node: JSON-RPC 2.0 over HTTP/1.1, one call, one answer, nothing believed.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{net::TcpStream, time::timeout};

use super::{
    NodeError, RpcError, garbage,
    health::{Health, Standing},
    identity::Identity,
};
use crate::chain::ChainError;

/// Longest answer: the receipts of a block of 1,000 large messages.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a connection may take to open: the node is near.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections kept open for the next call: watching, simulating and submitting go on at once.
const IDLE_MAX: usize = 4;

/// A node, as JSON-RPC reaches it.
pub(super) struct Node {
    /// As configured, without what may be secret in it.
    pub(super) name: String,
    pub(super) memory: Mutex<Memory>,
    authority: (String, u16),
    target: String,
    call_time_max: Duration,
    next: AtomicU64,
    idle: Mutex<Vec<Connection>>,
}

/// What is remembered of a node.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) health: Health,
    pub(super) standing: Standing,
    /// What it was when it was first asked.
    pub(super) identity: Option<Identity>,
    /// Why it is not well, as the operator reads it.
    pub(super) illness: Option<String>,
}

type Connection = SendRequest<Full<Bytes>>;

/// What became of a call to one node.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection: it was not asked.
    Unreached(String),
    /// It was asked, and there is no answer in time.
    Silent(String),
    /// An HTTP status that is none of success, and no JSON-RPC with it.
    Status(StatusCode),
    /// It is asked too often; how long it wants to be left alone, if it says.
    Limited(Option<Duration>),
    /// No JSON-RPC, or a result of another type.
    Garbage(String),
    /// Longer than [`ANSWER_BYTES_MAX`].
    TooLong,
    /// It is a node of another chain.
    OtherChain(String),
    /// It says no.
    Error(NodeError),
}

impl Fault {
    /// Whether another node would say the same: a revert, a range that is too long.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Error(error) => !error.is_lack(),
            Self::TooLong => true,
            Self::Unreached(_)
            | Self::Silent(_)
            | Self::Status(_)
            | Self::Limited(_)
            | Self::Garbage(_)
            | Self::OtherChain(_) => false,
        }
    }

    /// Whether the node itself is to be avoided for a while.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Unreached(_)
            | Self::Silent(_)
            | Self::Status(_)
            | Self::Garbage(_)
            | Self::OtherChain(_) => true,
            Self::Limited(_) | Self::TooLong | Self::Error(_) => false,
        }
    }

    /// Whether it may have done what it was asked for all the same.
    pub(super) fn may_have_done(&self) -> bool {
        match self {
            Self::Silent(_) | Self::Garbage(_) | Self::TooLong => true,
            // What stands before the node may have given up waiting for it.
            Self::Status(status) => status.is_server_error(),
            Self::Unreached(_) | Self::Limited(_) | Self::OtherChain(_) | Self::Error(_) => false,
        }
    }

    /// The lower, the more it tells whoever reads only one of several nodes' faults.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Error(error) if !error.is_no_method() => 0,
            Self::TooLong => 1,
            Self::Limited(_) => 2,
            Self::Unreached(_) | Self::Silent(_) | Self::Status(_) | Self::Garbage(_) => 3,
            Self::Error(_) => 4,
            // For the operator, and for good: only if nothing else is wrong.
            Self::OtherChain(_) => 5,
        }
    }

    /// As the caller reads it.
    pub(super) fn told(self, call: &'static str, what: String, node: &str) -> RpcError {
        let node = node.to_owned();
        RpcError::Chain(match self {
            Self::Unreached(cause) | Self::Silent(cause) => ChainError::Unreachable { node, cause },
            Self::Status(status) => garbage(call, format!("HTTP status {status} from {node}")),
            Self::Limited(wait) => ChainError::RateLimited { node, wait },
            Self::Garbage(what) => garbage(call, what),
            Self::TooLong => return RpcError::TooLong(call),
            Self::OtherChain(what) => ChainError::OtherChain(what),
            Self::Error(error) if error.is_pruned() => {
                ChainError::HistoryMissing { call, what, nodes: node }
            }
            Self::Error(error) => return RpcError::Node(call, error),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(cause) | Self::Silent(cause) => write!(f, "does not answer: {cause}"),
            Self::Status(status) => write!(f, "answers with HTTP status {status}"),
            Self::Limited(_) => write!(f, "is asked too often"),
            Self::Garbage(what) => write!(f, "answers with garbage: {what}"),
            Self::TooLong => write!(f, "answers with more than {ANSWER_BYTES_MAX} bytes"),
            Self::OtherChain(what) => write!(f, "is of another chain: {what}"),
            Self::Error(error) => write!(f, "{error}"),
        }
    }
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

impl Node {
    /// The node at `http://host:port/path`.
    pub(super) fn new(url: &str, call_time_max: Duration) -> Result<Self, ChainError> {
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
            memory: Mutex::default(),
            authority: (bare, port),
            target: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            call_time_max,
            next: AtomicU64::new(1),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Calls a method; `params` is the JSON array of its arguments.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: &serde_json::Value,
    ) -> Result<T, Fault> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body =
            serde_json::json!({"jsonrpc": "2.0", "id": id, "method": call, "params": params});
        let body = Bytes::from(body.to_string());
        let answer = timeout(self.call_time_max, self.exchange(body)).await.map_err(|_| {
            Fault::Silent(format!("no answer to {call} in {:?}", self.call_time_max))
        })??;
        match read(id, &answer) {
            Err(Fault::Error(error)) if error.is_limit(call) => Err(Fault::Limited(None)),
            outcome => outcome,
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, Fault> {
        // A kept connection may have been closed meanwhile; every call here may be repeated.
        while let Some(mut connection) = self.take() {
            if connection.ready().await.is_err() {
                continue;
            }
            let Ok(response) = connection.send_request(self.request(body.clone())).await else {
                continue;
            };
            return self.read_body(connection, response).await;
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(self.request(body)).await;
        let response = response.map_err(|error| silent(&error))?;
        self.read_body(connection, response).await
    }

    async fn read_body(
        &self,
        connection: Connection,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Bytes, Fault> {
        let status = response.status();
        let wait = retry_after(response.headers());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { Fault::TooLong } else { silent(&error) }
        })?;
        self.keep(connection);
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Fault::Limited(wait));
        }
        // Some nodes give their JSON-RPC error with a status that is none of success.
        let body = body.to_bytes();
        if !status.is_success() && !body.starts_with(b"{") {
            return Err(Fault::Status(status));
        }
        Ok(body)
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let (host, port) = &self.authority;
        let stream = timeout(CONNECT_TIME_MAX, TcpStream::connect((host.as_str(), *port))).await;
        let unreached = |cause: &dyn fmt::Display| Fault::Unreached(cause.to_string());
        let stream = stream
            .map_err(|_| unreached(&"connecting took too long"))?
            .map_err(|error| unreached(&error))?;
        stream.set_nodelay(true).map_err(|error| unreached(&error))?;
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| unreached(&error))?;
        // Ends with the connection; what goes wrong is seen by the call that uses it.
        tokio::spawn(driver);
        Ok(connection)
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        Request::post(self.target.as_str())
            .header(header::HOST, self.name.as_str())
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
}

fn silent(cause: &dyn fmt::Display) -> Fault {
    Fault::Silent(cause.to_string())
}

/// `Retry-After` in seconds (RFC 9110 10.2.3); a date counts as none, for this clock may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn read<T: DeserializeOwned>(id: u64, body: &[u8]) -> Result<T, Fault> {
    let answer: Answer<'_> = serde_json::from_slice(body)
        .map_err(|error| Fault::Garbage(format!("no JSON-RPC: {error}")))?;
    if let Some(error) = answer.error {
        // Where a request could not be read at all, the id is null: JSON-RPC 2.0, 5.
        if answer.id.is_none_or(|found| found == id) {
            return Err(Fault::Error(error));
        }
    }
    if answer.id != Some(id) {
        let what = format!("answer has the id {:?}, expected {id}", answer.id);
        return Err(Fault::Garbage(what));
    }
    let result = answer.result.map_or("null", RawValue::get);
    serde_json::from_str(result)
        .map_err(|error| Fault::Garbage(format!("unexpected result: {error}")))
}
