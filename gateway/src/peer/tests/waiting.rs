//! Peers that stall, and the end of a server. Limits are short; nothing sleeps.

use std::time::Duration;

use distpos_proto::code::Code;
use http::StatusCode;
use tokio::{io::AsyncReadExt, net::TcpStream, sync::Semaphore};

use super::support::*;
use crate::peer::{PeerError, client::ClientLimits, server::ServerLimits};

const SHORT: Duration = Duration::from_millis(50);
/// Short, yet long enough for a good call on a busy machine.
const ENOUGH: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_peer_that_stalls_inside_a_body_is_cut_off() {
    let limits = ServerLimits { body: ENOUGH, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    let mut raw = raw(server.address, &plain()).await;
    let request_stalled =
        request().header("content-length", 1000).body(stalled(b"the beginning")).unwrap();
    let (status, reply) = raw.refusal(request_stalled).await;
    assert_eq!((status, reply.code), (408, Code::NO_ANSWER));
    assert_eq!(server.answers_begun(), 0);
    // Only that call: the next one on the same connection is answered.
    let next = request().body(full("whole")).unwrap();
    assert_eq!(raw.send(next).await.unwrap(), (StatusCode::OK, "whole".into()));
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_cut_off() {
    let limits = ServerLimits { handshake: SHORT, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_never_asks_is_cut_off() {
    let limits = ServerLimits { first_request: SHORT, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    soon(raw(server.address, &plain()).await.ended).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_asks_no_more_is_sent_away() {
    let limits = ServerLimits { idle: SHORT, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    let mut raw = raw(server.address, &plain()).await;
    assert!(raw.send(request().body(full("x")).unwrap()).await.is_ok());
    soon(raw.ended).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_asks_and_does_not_read_is_cut_off() {
    let answer = Some(vec![7; 1024 * 1024]);
    let limits = ServerLimits { exchange: SHORT, ..ServerLimits::default() };
    let server = listen(Echo { answer, ..Echo::default() }, limits).await;
    let mut builder = plain();
    builder.initial_stream_window_size(1000).initial_connection_window_size(70_000);
    let mut raw = raw(server.address, &builder).await;
    let response = soon(raw.sender.send_request(request().body(full("x")).unwrap())).await;
    // The response is held and its body never polled: no window is ever given back.
    soon(raw.ended).await.unwrap();
    drop(response);
}

#[tokio::test]
async fn a_stop_lets_calls_finish_and_takes_no_new_ones() {
    let server =
        listen(Echo { permits: Semaphore::new(0), ..Echo::default() }, ServerLimits::default())
            .await;
    let (here, target) = (client(ClientLimits::default()), server.target());
    let stop = async {
        server.answering(1).await;
        server.stop.send(true).unwrap();
        // The port is free as soon as the listener is gone; until then connections are refused or
        // closed. Either way a new call gets nowhere.
        let error = post(&client(ClientLimits::default()), &target, "late").await.unwrap_err();
        server.service.permits.add_permits(1);
        error
    };
    let (answer, late) = tokio::join!(post(&here, &target, "in flight"), stop);
    assert_eq!(answer.unwrap(), (StatusCode::OK, "in flight".into()));
    assert!(matches!(late, PeerError::Connect { .. }), "{late}");
    soon(server.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let limits = ServerLimits { drain: SHORT, ..ServerLimits::default() };
    let server = listen(Echo { permits: Semaphore::new(0), ..Echo::default() }, limits).await;
    let (here, target) = (client(ClientLimits::default()), server.target());
    let stop = async {
        server.answering(1).await;
        // Nobody will ever say stop any more: that counts as said.
        drop(server.stop);
        soon(server.served).await.unwrap().unwrap();
    };
    let (answer, ()) = tokio::join!(post(&here, &target, "in flight"), stop);
    let error = answer.unwrap_err();
    assert!(matches!(error, PeerError::Http { .. }), "{error}");
}

#[tokio::test]
async fn who_asks_for_long_answers_and_reads_none_waits_for_himself() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut unread = plain();
    unread.initial_stream_window_size(1000).initial_connection_window_size(1 << 24);
    let mut raw = raw(server.address, &unread).await;
    let ask = |path: &str, bytes| {
        let path = format!("https://gw1.village.example/distpos/1/{path}");
        request().uri(path).body(full(vec![7; bytes])).unwrap()
    };
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..5 {
        asked.spawn(raw.sender.send_request(ask("proofs", 400_000)));
    }
    server.answering(2).await;
    let mut held = vec![soon(asked.join_next()).await, soon(asked.join_next()).await];
    assert_eq!(raw.send(ask("messages", 9)).await.unwrap().1.len(), 9, "others are served");
    assert_eq!(server.answers_begun(), 3);
    // Two more for the two that are given up.
    held.clear();
    server.answering(5).await;
}
