//! The operator's commands to a running gateway: HTTP/1 with JSON over a unix socket that only the
//! gateway's own user can open.
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /v1/gateway` | which gateway this is, and which chains are frozen |
//! | `GET /v1/accounts` | every account in one line |
//! | `GET /v1/accounts/{cid}/{asset}?from=1&entries=20` | one account with its papers and journal |
//! | `POST /v1/accounts/{cid}/{asset}/{act}` | `open`, `limit`, `close`, `settle`, `statement`, `suspend`, `resume` |
//! | `GET /v1/standing` | everybody of whom something is known |
//! | `GET /v1/standing/{cid}[@{host}:{port}]?entries=20` | one chain or gateway with its journal |
//! | `GET /v1/queue?filter={…}&cursor=…&messages=100` | what waits, a page of it |
//! | `GET /v1/queue/summary?filter={…}`, `GET /v1/queue/reasons?filter={…}` | how much waits, and what for |
//! | `GET /v1/messages/{id}` | everything that is known of one message |
//! | `POST /v1/queue/{act}` | `flush`, `hold`, `release`, `requeue`, `expire`, `drop` |
//! | `GET /v1/trust` | what DNS has told of other chains' keys |
//! | `POST /v1/trust/{cid}/forget` | forgets it: the next answer is a first one again |
//! | `GET /v1/chains/suspended` | which pairs of chains are suspended, until when and why |
//! | `POST /v1/chains/{cid}/suspend`, `POST /v1/chains/{cid}/resume` | suspends its pairs with the own chain, lets them go on |
//! | `POST /v1/chains/{cid}/thaw` | believes a frozen chain again |
//!
//! What changes something is a `POST` with a `reason` ([`Reason`]), and is logged with who asked
//! (the user id that the kernel gives) and why. Every refusal is
//! `{"error":{"code":"5.6.0","text":"…"}}`.

use std::{convert::Infallible, fmt, io, sync::Arc, time::Duration};

use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixStream, unix::UCred},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use crate::{gateway::Gateway, stop::Stop, submit::answer};

mod accounts;
mod calls;
mod chains;
mod queue;
mod reason;
mod refusal;
mod socket;
mod view;

pub use chains::{ResumeAsked, SuspendAsked, SuspendedView};
pub use queue::{EnvelopeView, QueueAsked, TraceView};
pub use reason::{Reason, ReasonError};
pub use socket::{Socket, SocketError};
pub use view::{
    AccountDetail, AccountLine, AccountState, AccountsView, DoneView, EntryView, ForgottenView,
    FrozenView, GatewayView, LimitAsked, LimitsAsked, OpenAsked, Reasoned, RequestView,
    SendingView, SettingsView, SettleAsked, SideView, StatementView, SuspensionView, TermsView,
    ThawedView,
};

use refusal::Refusal;

/// Most connections at once: operators and their scripts. A further one waits in the system's queue.
pub const CONNECTIONS_MAX: usize = 16;
/// Most bytes of a call's body: terms and statements with their signatures, generously.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// A client that has not sent its header fields by then is a broken one.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole call, the chain's answer included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// What is under way when the gateway stops may end within this time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait after the system could not accept a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What the calls work with.
pub struct Admin {
    gateway: Arc<Gateway>,
    /// Commands that change an account on the chain take turns: each starts from what it is.
    turn: tokio::sync::Mutex<()>,
}

/// Who calls, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub uid: u32,
    /// The process, for the log.
    pub pid: Option<i32>,
}

impl Caller {
    fn of(credentials: &UCred) -> Self {
        Self { uid: credentials.uid(), pid: credentials.pid() }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)
    }
}

impl Admin {
    /// Answers for this gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, turn: tokio::sync::Mutex::new(()) }
    }
}

/// Serves until asked to stop, then ends what is under way.
///
/// # Errors
/// None today: one connection's troubles end only that connection.
pub async fn serve(socket: Socket, admin: Admin, stop: Stop) -> io::Result<()> {
    let (admin, slots) = (Arc::new(admin), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! { biased;
            () = stop.asked() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        // The semaphore is never closed.
        let Ok(slot) = slot else { break };
        let stream = tokio::select! { biased;
            () = stop.asked() => break,
            accepted = socket.listener().accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file descriptors, say: others may be closed soon.
                Err(error) => {
                    tracing::warn!(%error, "admin socket cannot accept");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let (admin, stop) = (Arc::clone(&admin), stop.clone());
        connections.spawn(async move {
            connection(stream, admin, stop).await;
            drop(slot);
        });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("admin calls were cut off");
    }
    Ok(())
}

async fn connection(stream: UnixStream, admin: Arc<Admin>, stop: Stop) {
    let caller = match stream.peer_cred() {
        Ok(credentials) => Caller::of(&credentials),
        Err(error) => {
            tracing::warn!(%error, "admin connection without credentials");
            return;
        }
    };
    let answer = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(within_time(&admin, caller, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! { biased;
        ended = connection.as_mut() => ended,
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection");
    }
}

async fn within_time(
    admin: &Admin,
    caller: Caller,
    request: Request<Incoming>,
) -> Response<answer::Body> {
    let answered = timeout(REQUEST_TIMEOUT, calls::answer(admin, caller, request)).await;
    answered.unwrap_or_else(|_| {
        let text = "it took too long and may still be done: look before you repeat it";
        Refusal::temporary(StatusCode::GATEWAY_TIMEOUT, text).response()
    })
}
