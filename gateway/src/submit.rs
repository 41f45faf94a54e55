//! The submission listener: plain HTTP/1 with JSON for users on the same host.
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /v1/chain` | which chain this is, and its final head |
//! | `GET /v1/accounts/{local}` | balance and next nonce of an account |
//! | `POST /v1/transactions` | takes a user's signed native transaction (the raw bytes) |
//! | `POST /v1/simulations` | what would become of a message ([`SimulationAsked`]); sends nothing |
//! | `GET /v1/messages/{id}` | how a message stands |
//! | `GET /v1/messages/{id}/events` | its steps as they happen, as server-sent events |
//! | `GET /v1/messages?transaction={hex}` | the messages that left with a transaction |
//!
//! A user's key never comes here: what is submitted was signed before. Every refusal is
//! `{"error":{"code":"5.1.3","text":"…"}}` with a reply code.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    chain::LocalChain,
    config::Token,
    outbound::simulate::{Asked, Forecast},
};
use stall::Stalling;

pub(crate) mod answer;
mod calls;
mod events;
mod stall;
#[cfg(test)]
mod tests;
mod view;

pub use events::{EVERY, FOLLOWED_FOR, FOLLOWERS_MAX, KEEP_ALIVE};

pub use view::{
    AccountView, ChainView, Direction, ErrorBody, ErrorView, Fails, HeadView, MessageView,
    MessagesView, Outcome, RefusedView, SimulationAsked, SimulationView, StepView, SubmittedView,
};

/// Most connections at once; a further one waits in the operating system's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// Most bytes of a submitted transaction: the longest data of a message, hex and signatures around.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// A client that has not sent its header fields by then is a slow or a broken one.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole request, the node's answer included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that reads nothing for so long, while there is something for it, is dropped.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is under way when the gateway stops may end within this time.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells how messages stand; the daemon answers from its spool.
pub trait MessageStatus: Send + Sync {
    /// One message; none if it was never seen here.
    fn message(&self, id: MessageId) -> Option<MessageView>;

    /// The messages that left with a native transaction of the own chain, in their order; empty
    /// while that transaction is not in a final block.
    fn by_transaction(&self, transaction: &[u8]) -> Vec<MessageId>;
}

/// Asks the destination what it would do; the daemon's gateway does.
#[async_trait]
pub trait DryRuns: Send + Sync {
    /// What would become of a message that is not sent yet.
    ///
    /// # Errors
    /// The reply says what is wrong with the question itself.
    async fn dry_run(&self, asked: Asked) -> Result<Forecast, Reply>;
}

/// What every request is answered with.
struct Service {
    chain: Arc<dyn LocalChain>,
    status: Arc<dyn MessageStatus>,
    dry_runs: Arc<dyn DryRuns>,
    token: Option<Token>,
    /// One permit for each follower of a message.
    followers: Arc<Semaphore>,
    /// Followers leave when this turns true.
    shutdown: watch::Receiver<bool>,
}

/// Serves until `shutdown` turns true, then ends what is under way within [`DRAIN_TIMEOUT`].
///
/// # Errors
/// If the socket is broken; one connection's troubles end only that connection.
pub async fn serve(
    listener: TcpListener,
    chain: Arc<dyn LocalChain>,
    status: Arc<dyn MessageStatus>,
    dry_runs: Arc<dyn DryRuns>,
    token: Option<Token>,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    if !listener.local_addr()?.ip().is_loopback() && token.is_none() {
        let what = "submission listener off loopback needs a token";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    let stop = shutdown.clone();
    let service = Service { chain, status, dry_runs, token, followers, shutdown: stop };
    let service = Arc::new(service);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        // The semaphore is never closed.
        let Ok(slot) = slot else { break };
        let stream = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) if is_one_connections(&error) => continue,
                // Out of file descriptors, say: others may be closed soon.
                Err(error) => {
                    tracing::warn!(%error, "submission listener cannot accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let (service, shutdown) = (Arc::clone(&service), shutdown.clone());
        connections.spawn(async move {
            connection(stream, service, shutdown).await;
            drop(slot);
        });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("submission requests were cut off");
    }
    Ok(())
}

async fn connection(stream: TcpStream, service: Arc<Service>, mut shutdown: watch::Receiver<bool>) {
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(within_time(&service, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(Stalling::new(stream, WRITE_TIMEOUT)), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "submission connection");
    }
}

async fn within_time(service: &Service, request: Request<Incoming>) -> Response<answer::Body> {
    match tokio::time::timeout(REQUEST_TIMEOUT, calls::answer(service, request)).await {
        Ok(response) => response,
        Err(_) => {
            let reply = Reply::new(Code::NO_ANSWER, "the chain's node took too long");
            answer::refusal(StatusCode::GATEWAY_TIMEOUT, &reply)
        }
    }
}

/// Ends when the sender says so, or is gone.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means the sender is gone, and with it whoever could ask for more.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Whether an error of `accept` belongs to the connection that was about to come.
fn is_one_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
