//! The listener for scrapes and questions after health: plain HTTP/1.
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /metrics` | every metric, in Prometheus' text format 0.0.4 |
//! | `GET /healthz` | 200 if every task is alive, else 503, and which is not |
//! | `GET /readyz` | 200 if messages can come in and go out, else 503, and what keeps them |

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::sample;
use crate::{
    gateway::Gateway,
    health::{self, HealthView},
    stop::Stop,
};

/// Most connections at once: a few scrapers and probes. A further one waits in the system's queue.
pub const CONNECTIONS_MAX: usize = 16;
/// A client that has not sent its header fields by then is a slow or a broken one.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that lasts longer is ended; scrapers come again.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_mins(10);
/// Pause when there are no file descriptors, say: others may be closed soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What it answers with: text of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until asked to stop. A scrape that is under way then is cut off.
///
/// # Errors
/// Never by a connection's troubles; the listener's own are waited out.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: Stop) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let stream = tokio::select! { biased;
            () = stop.asked() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(target: "distpos", %error, "metrics listener cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let gateway = Arc::clone(&gateway);
        connections.spawn(async move {
            let _ended = timeout(CONNECTION_TIMEOUT, connection(stream, gateway)).await;
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, gateway: Arc<Gateway>) {
    let answer = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(answer(&gateway, &request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(target: "distpos", %error, "metrics connection");
    }
}

async fn answer(gateway: &Gateway, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "expected GET\n".into());
    }
    match request.uri().path() {
        "/metrics" => {
            sample::at_scrape(gateway);
            plain(StatusCode::OK, TEXT, gateway.metrics.registry.text())
        }
        "/healthz" => told(&health::alive(gateway)),
        "/readyz" => told(&health::ready(gateway).await),
        _ => {
            let paths = "expected /metrics, /healthz or /readyz\n".into();
            plain(StatusCode::NOT_FOUND, TEXT, paths)
        }
    }
}

fn told(view: &HealthView) -> Response<Full<Bytes>> {
    let status = if view.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // A plain struct of texts, which always has a JSON form.
    let body = serde_json::to_string(view).unwrap_or_default();
    plain(status, "application/json", body + "\n")
}

fn plain(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    fields.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
