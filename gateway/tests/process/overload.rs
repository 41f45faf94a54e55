//! Strangers in crowds, and a machine that sleeps: the gateway gets over both, and nothing is lost
//! or done twice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread::sleep,
    time::{Duration, Instant},
};

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinSet,
    time::timeout,
};

use crate::{daemon::until, http, world::World};

const CONNECTIONS: u32 = 10_000;
/// From each address.
const EACH: u32 = 25;
/// What a gateway may have in the midst of it, in KiB.
const RESIDENT_KIB_MAX: u64 = 256 * 1024;

/// This process needs a descriptor for each connection, and the gateway inherits what it may have.
fn with_descriptors(expected: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    assert!(maximum.is_none_or(|hard| hard >= expected), "ulimit -Hn is {maximum:?}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(expected)), maximum }).unwrap();
}

/// Opens a connection from one of many addresses, begins a handshake, goes no further, and waits until
/// it is closed.
async fn slow(number: u32, to: SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number / EACH);
    socket.bind((from, 0).into()).unwrap();
    // Refused, cut off, or closed: it is not there any more.
    if let Ok(mut stream) = socket.connect(to).await {
        // Without a byte sent, a connection that the kernel has dropped would not be known to be.
        let _ = stream.write_all(&[22]).await;
        let _ = stream.read(&mut [0]).await;
    }
}

#[test]
fn ten_thousand_connections_that_lead_nowhere_end_and_keep_no_neighbour_out_for_long() {
    with_descriptors(u64::from(CONNECTIONS) + 2_000);
    let mut world = World::prepared();
    world.publish();
    world.b.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let peers = world.b.peers;
        let mut crowd: JoinSet<()> = (0..CONNECTIONS).map(|number| slow(number, peers)).collect();
        let asked = Instant::now();
        // In the midst of it its own users are answered.
        let submission = world.b.submission;
        let answer = tokio::task::spawn_blocking(move || http::get(submission, "/v1/chain"));
        assert_eq!(answer.await.unwrap().unwrap().0, 200);
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        let all = async { while crowd.join_next().await.is_some() {} };
        timeout(Duration::from_secs(60), all).await.expect("all of them are closed");
    });
    let resident = world.b.resident_kib();
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");

    world.a.start();
    let id = world.a.send(0, &world.b.village.address(), 5);
    let arrived =
        |view: &distpos_gateway::submit::MessageView| view.outcome == Some(Outcome::Delivered);
    world.a.message_when(id, Duration::from_secs(120), arrived);
    assert_eq!(world.b.balance(), BALANCE + 5);
}

#[test]
fn a_gateway_that_is_stopped_for_a_minute_goes_on_where_it_was() {
    let world = World::running();
    let (a, b) = (&world.a, &world.b);
    let to = b.village.address();
    let mut ids: Vec<_> = (0..4).map(|nonce| a.send(nonce, &to, 5)).collect();
    // In the midst of whatever it does with them.
    b.signal(Signal::STOP);
    let stopped = Instant::now();
    ids.extend((4..8).map(|nonce| a.send(nonce, &to, 5)));
    until("it is given up for now", Duration::from_secs(120), || {
        a.log().contains("deferred chain=b1c2").then_some(())
    });
    sleep(Duration::from_secs(60).saturating_sub(stopped.elapsed()));
    b.signal(Signal::CONT);
    for id in ids {
        let soon = Duration::from_secs(180);
        a.message_when(id, soon, |view| view.outcome == Some(Outcome::Delivered));
    }
    assert_eq!((a.balance(), b.balance()), (BALANCE - 40, BALANCE + 40));
}
