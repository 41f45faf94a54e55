//! What the asking side does: one connection, right keys, and which error for which trouble.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use distpos_certs::tls;
use distpos_proto::{
    chain::Height,
    code::{Code, Reply},
    wire::{Request, Response},
};
use futures_util::{FutureExt, future::join_all};
use http::StatusCode;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::support::*;
use crate::peer::{
    Caller, PeerError, PeerTransport, Phase, client::ClientLimits, server::ServerLimits,
};

fn headers() -> Request {
    Request::Headers { from: Height(1), to: Height(9) }
}

#[tokio::test]
async fn each_side_learns_who_the_other_is() {
    let answer = Some(Response::Headers(vec![]).body());
    let server = listen(Echo { answer, ..Echo::default() }, ServerLimits::default()).await;
    let client = client(ClientLimits::default());
    let (source, destination) = (chain("e2e4"), chain("b1c2"));
    let response = client.call(&server.target(), source, destination, headers()).await.unwrap();
    assert_eq!(response, Response::Headers(vec![]));
    // The client accepted this server by its pin; the server learnt the client's.
    let caller = Caller { pin: identity(CLIENT_SEED).pin(), source, destination };
    assert_eq!(*server.service.callers.lock().unwrap(), [caller]);
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let reply = Reply::new(Code::POLICY, "key is not listed for e2e4").retry_after(7);
    let refuse = Some(reply.clone());
    let server = listen(Echo { refuse, ..Echo::default() }, ServerLimits::default()).await;
    let client = client(ClientLimits::default());
    let called = client.call(&server.target(), chain("e2e4"), chain("b1c2"), headers()).await;
    assert_eq!(called.unwrap(), Response::Refused(reply));
}

#[tokio::test]
async fn a_server_with_another_key_is_not_talked_to() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut target = server.target();
    target.pins = vec![identity(9).pin()];
    let error = post(&client(ClientLimits::default()), &target, "x").await.unwrap_err();
    let PeerError::KeyMismatch { address, source } = &error else { panic!("{error}") };
    assert_eq!(*address, server.address);
    assert_eq!(source.found, identity(SERVER_SEED).pin());
    assert_eq!(source.expected, [identity(9).pin()]);
    assert!(error.is_temporary() && error.code() == Code::NO_ANSWER);
    assert!(server.service.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_under_other_pins_is_not_reused() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let client = client(ClientLimits::default());
    assert!(post(&client, &server.target(), "x").await.is_ok());
    let mut target = server.target();
    target.pins = vec![identity(9).pin()];
    let error = post(&client, &target, "x").await.unwrap_err();
    assert!(matches!(error, PeerError::KeyMismatch { .. }), "{error}");
    assert_eq!(client.kept(), 1);
}

#[tokio::test]
async fn a_hundred_calls_at_once_share_one_connection() {
    // The server takes one connection and answers nobody before all hundred are there.
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let echo = Echo { permits: tokio::sync::Semaphore::new(0), ..Echo::default() };
    let server = listen(echo, limits).await;
    let (client, target) = (client(ClientLimits::default()), server.target());
    let calls = (0..100).map(|n| post(&client, &target, format!("call {n}")));
    let release = async {
        server.answering(100).await;
        server.service.permits.add_permits(100);
    };
    let (answers, ()) = tokio::join!(join_all(calls), release);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), (StatusCode::OK, format!("call {n}").into()));
    }
    assert_eq!(client.kept(), 1);
}

#[tokio::test]
async fn a_large_body_goes_and_comes_back_whole() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let body: Vec<u8> = (0..4 * 1024 * 1024_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let answer = post(&client(ClientLimits::default()), &server.target(), body.clone()).await;
    let (status, found) = answer.unwrap();
    assert!(status == StatusCode::OK && found == body, "{status}, {} bytes", found.len());
}

#[tokio::test]
async fn after_the_peer_restarted_calls_go_on() {
    let first = listen(Echo::default(), ServerLimits::default()).await;
    let (client, target) = (client(ClientLimits::default()), first.target());
    assert!(post(&client, &target, "before").await.is_ok());
    first.stop.send(true).unwrap();
    soon(first.served).await.unwrap().unwrap();
    let second = listen_at(first.address, Echo::default(), ServerLimits::default()).await;
    assert_eq!(post(&client, &target, "after").await.unwrap().1, "after");
    assert_eq!(second.answers_begun(), 1);
}

#[tokio::test]
async fn the_second_address_serves_when_the_first_is_dead() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut target = server.target();
    target.addresses.insert(0, dead_address().await);
    assert!(post(&client(ClientLimits::default()), &target, "x").await.is_ok());
}

#[tokio::test]
async fn the_error_is_the_one_that_tells_most() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let client = client(ClientLimits::default());
    let dead = dead_address().await;

    let mut target = target(dead);
    let error = post(&client, &target, "x").await.unwrap_err();
    assert!(matches!(error, PeerError::Connect { address, .. } if address == dead), "{error}");

    target.addresses = vec![server.address, dead];
    target.pins = vec![identity(9).pin()];
    let error = post(&client, &target, "x").await.unwrap_err();
    assert!(matches!(error, PeerError::KeyMismatch { .. }), "{error}");

    target.addresses.clear();
    let error = post(&client, &target, "x").await.unwrap_err();
    assert!(matches!(error, PeerError::NoAddress { .. }), "{error}");

    target.addresses = vec![server.address];
    target.host = "no host".to_owned();
    let error = post(&client, &target, "x").await.unwrap_err();
    assert!(matches!(error, PeerError::Host { .. }), "{error}");
}

#[tokio::test]
async fn an_address_that_is_silent_does_not_hold_up_the_other() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    // Connects, and never shakes hands.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = server.target();
    target.addresses.insert(0, mute.local_addr().unwrap());
    let patient = std::time::Duration::from_secs(600);
    let stagger = std::time::Duration::from_millis(10);
    let client = client(ClientLimits { handshake: patient, stagger, ..ClientLimits::default() });
    assert_eq!(soon(post(&client, &target, "first")).await.unwrap().0, StatusCode::OK);
    // From then on the one that answered is used, and the other left alone.
    assert_eq!(soon(post(&client, &target, "second")).await.unwrap().0, StatusCode::OK);
    mute.accept().await.unwrap();
    assert!(mute.accept().now_or_never().is_none(), "asked once");
    assert_eq!(client.kept(), 1);
}

#[tokio::test]
async fn more_connections_than_allowed_are_not_made_but_idle_ones_give_way() {
    let (a, b) = (
        listen(Echo::default(), ServerLimits::default()).await,
        listen(
            Echo { permits: tokio::sync::Semaphore::new(0), ..Echo::default() },
            ServerLimits::default(),
        )
        .await,
    );
    let client = client(ClientLimits { connections_max: 1, ..ClientLimits::default() });
    assert!(post(&client, &a.target(), "x").await.is_ok());
    // `b` takes the idle place of `a`, and keeps it while its call waits.
    let (waiting, full) = (b.target(), a.target());
    let check = async {
        b.answering(1).await;
        let error = post(&client, &full, "x").await.unwrap_err();
        b.service.permits.add_permits(1);
        error
    };
    let (answered, error) = tokio::join!(post(&client, &waiting, "x"), check);
    assert!(answered.is_ok());
    assert!(matches!(error, PeerError::Busy { limit: 1 }), "{error}");
}

#[tokio::test]
async fn a_silent_peer_costs_only_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = std::time::Duration::from_millis(20);
    let client = client(ClientLimits { handshake: limit, ..ClientLimits::default() });
    let target = target(listener.local_addr().unwrap());
    let error = post(&client, &target, "x").await.unwrap_err();
    let expected = |phase| phase == Phase::Handshake;
    assert!(matches!(error, PeerError::Timeout { phase, .. } if expected(phase)), "{error}");
}

#[tokio::test]
async fn a_peer_that_does_not_answer_costs_only_its_time() {
    let echo = Echo { permits: tokio::sync::Semaphore::new(0), ..Echo::default() };
    let server = listen(echo, ServerLimits::default()).await;
    let limit = std::time::Duration::from_millis(500);
    let client = client(ClientLimits { call: limit, ..ClientLimits::default() });
    let error = post(&client, &server.target(), "x").await.unwrap_err();
    assert!(matches!(error, PeerError::Timeout { phase: Phase::Answer, .. }), "{error}");
    // The connection is not to blame: the next call uses it.
    server.service.permits.add_permits(1);
    assert!(post(&client, &server.target(), "x").await.is_ok());
    assert_eq!(client.kept(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let idle = std::time::Duration::from_millis(20);
    let client = client(ClientLimits { idle, ..ClientLimits::default() });
    assert!(post(&client, &server.target(), "x").await.is_ok());
    soon(async {
        while client.kept() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(post(&client, &server.target(), "x").await.is_ok(), "a new one is made");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let client = client(ClientLimits { body_bytes_max: 10, ..ClientLimits::default() });
    assert!(post(&client, &server.target(), "0123456789").await.is_ok());
    let error = post(&client, &server.target(), "0123456789+").await.unwrap_err();
    assert!(matches!(error, PeerError::BodyTooBig { limit: 10, .. }), "{error}");
    assert!(error.is_peers_fault());
}

#[tokio::test]
async fn an_answer_that_is_none_is_the_peers_fault() {
    let target_of = async |answer: Vec<u8>| {
        let echo = Echo { answer: Some(answer), ..Echo::default() };
        listen(echo, ServerLimits::default()).await
    };
    let client = client(ClientLimits::default());
    let (garbage, empty) = (target_of(vec![0xff]).await, target_of(vec![]).await);
    for server in [&garbage, &empty] {
        let called = client.call(&server.target(), chain("e2e4"), chain("b1c2"), headers()).await;
        let error = called.unwrap_err();
        assert!(matches!(error, PeerError::Body { .. }), "{error}");
    }
    // Well-formed, but two answers to one question.
    let two = Response::Receipts(vec![Reply::new(Code::ACCEPTED, ""); 2]).body();
    let server = target_of(two).await;
    let request = Request::Receipts(vec![]);
    let called = client.call(&server.target(), chain("e2e4"), chain("b1c2"), request).await;
    let error = called.unwrap_err();
    assert!(matches!(error, PeerError::WrongAnswer { .. }), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed_and_foreign_pages_are_not_read() {
    for (status, media_type) in [(302, "application/cbor"), (500, "text/html"), (200, "text/html")]
    {
        let address = foreign_server(status, media_type).await;
        let error =
            post(&client(ClientLimits::default()), &target(address), "x").await.unwrap_err();
        assert!(matches!(error, PeerError::Status { found, .. } if found == status), "{error}");
    }
}

/// An address at which nothing listens.
async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server with the right key that speaks HTTP/2 and nothing of ours.
async fn foreign_server(status: u16, media_type: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = tls::server_config(&identity(SERVER_SEED)).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let service = service_fn(move |_: http::Request<Incoming>| async move {
            let response = http::Response::builder()
                .status(status)
                .header("location", "https://127.0.0.1/")
                .header("content-type", media_type)
                .body(Full::<bytes::Bytes>::from("<html>"));
            Ok::<_, Infallible>(response.unwrap())
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    });
    address
}
