//! SIGTERM: the gateway stops cleanly within five seconds, whatever it is waiting for, and takes up
//! where it was.

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    time::Duration,
};

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;

use crate::{
    proxy::{Mode, Proxy},
    world::{Gateway, World},
};

const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// A message may have to wait for a retry: 10 s, or 30 s if the first was too early as well.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);
/// Idle memory of a gateway.
const RESIDENT_KIB_MAX: u64 = 64 * 1024;

fn stops(gateway: &Gateway) {
    let (status, after) = gateway.terminate();
    println!("{} stopped after {after:?}", gateway.village.chain);
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    assert!(after < STOPPED_WITHIN, "{after:?}: {}", gateway.log());
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

fn delivered(gateway: &Gateway, id: distpos_proto::message::MessageId) {
    let view = gateway.message_when(id, ARRIVED_WITHIN, |view| view.outcome.is_some());
    assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
}

#[test]
fn stopped_with_messages_in_flight_it_takes_up_where_it_was() {
    let mut world = World::prepared();
    world.publish();
    for gateway in [&world.a, &world.b] {
        println!("{} ready after {:?}", gateway.village.chain, gateway.start());
        fits_in_memory(gateway);
    }
    let to = world.b.village.address();
    let ids: Vec<_> = (0..30).map(|nonce| world.a.send(nonce, &to, 10)).collect();
    stops(&world.a);
    stops(&world.b);
    world.b.start();
    world.a.start();
    for id in ids {
        delivered(&world.a, id);
    }
    assert_eq!((world.a.balance(), world.b.balance()), (BALANCE - 300, BALANCE + 300));
    fits_in_memory(&world.a);
    fits_in_memory(&world.b);
    stops(&world.a);
    stops(&world.b);
}

fn fits_in_memory(gateway: &Gateway) {
    let resident = gateway.resident_kib();
    println!("{}: {resident} KiB resident", gateway.village.chain);
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
}

#[test]
fn stopped_while_dns_hangs_the_message_waits_for_the_next_start() {
    let mut world = World::prepared();
    let server = world.server.to_string();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let nowhere = silent.local_addr().unwrap().to_string();
    world.a.edit(&server, &nowhere);
    world.a.start();
    let id = world.a.send(0, &world.b.village.address(), 10);
    silent.recv_from(&mut [0; 512]).expect("the chain is looked up");
    stops(&world.a);

    world.a.edit(&nowhere, &server);
    world.publish();
    world.b.start();
    world.a.start();
    delivered(&world.a, id);
}

#[test]
fn stopped_while_its_peer_hangs_the_message_waits_for_the_next_start() {
    let mut world = World::prepared();
    let proxy = Proxy::before(world.b.peers, Mode::Silent);
    world.b.published = proxy.address;
    world.publish();
    world.a.start();
    world.b.start();
    let id = world.a.send(0, &world.b.village.address(), 10);
    proxy.wait_until_tried();
    stops(&world.a);

    proxy.set(Mode::Open);
    world.a.start();
    delivered(&world.a, id);
}

#[test]
fn clients_that_hang_do_not_keep_it_from_stopping() {
    let mut world = World::prepared();
    world.publish();
    world.a.start();
    let mut user = TcpStream::connect(world.a.submission).unwrap();
    user.write_all(b"POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Le").unwrap();
    let mut half_sent = TcpStream::connect(world.a.submission).unwrap();
    half_sent
        .write_all(
            b"POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
        )
        .unwrap();
    // A peer that says nothing, and one that begins a handshake and goes no further.
    let _silent = TcpStream::connect(world.a.peers).unwrap();
    let mut peer = TcpStream::connect(world.a.peers).unwrap();
    peer.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    // Connections are taken in their order: those before this one are.
    assert_eq!(world.a.balance(), BALANCE);
    stops(&world.a);
}
