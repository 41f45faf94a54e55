//! Metrics and health of a running gateway, as Prometheus and a service manager ask for them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use distpos_gateway::submit::Outcome;
use serde_json::Value;

use crate::{
    daemon::until,
    world::{Gateway, World},
};

const SOON: Duration = Duration::from_secs(60);

/// Where the gateway says that it tells its metrics; the last start counts.
fn place(gateway: &Gateway) -> SocketAddr {
    let log =
        until("it is ready", SOON, || gateway.log().contains("metrics at").then(|| gateway.log()));
    let told = log.rsplit_once("metrics at ").unwrap().1;
    told.split_whitespace().next().unwrap().parse().unwrap()
}

/// Status, header fields and body.
fn get(at: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn health(at: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = get(at, path);
    (status, serde_json::from_str(&body).unwrap())
}

/// The value of a series; none if it is not told.
fn value(at: SocketAddr, series: &str) -> Option<f64> {
    let (status, head, body) = get(at, "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let line = body.lines().find_map(|line| line.strip_prefix(series));
    line.map(|value| value.trim().parse().unwrap())
}

#[test]
fn a_message_is_seen_in_the_counters_of_both_sides_and_health_is_told() {
    let world = World::running();
    let (a, b) = (&world.a, &world.b);
    let [at, there] = [place(a), place(b)];
    let id = a.send(0, &b.village.address(), 25);
    a.message_when(id, SOON * 2, |view| view.outcome == Some(Outcome::Delivered));
    let counted = |at, series: &str| {
        until(series, SOON, || value(at, series).filter(|value| *value == 1.0));
    };
    counted(at, "distpos_accepted_total{chain=\"b1c2\"} ");
    counted(at, "distpos_delivered_total{chain=\"b1c2\"} ");
    counted(at, "distpos_delivery_seconds_count{phase=\"outbound\"} ");
    counted(there, "distpos_delivered_total{chain=\"e2e4\"} ");
    counted(there, "distpos_delivery_seconds_count{phase=\"inbound\"} ");
    counted(there, "distpos_proof_verify_seconds_count{family=\"ledger\"} ");
    until("the books are told", SOON, || {
        let asset = "distpos_account_balance{chain=\"e2e4\",asset=\"e2e4/coin\"} ";
        value(there, asset).filter(|owed| *owed == 25.0)
    });
    let asked = value(at, "distpos_dns_cache_total{result=\"miss\"} ");
    assert!(asked.is_some_and(|asked| asked > 0.0), "{asked:?}");
    let (_, _, body) = get(at, "/metrics");
    assert!(body.contains("distpos_dns_lookups_total{type=\"txt\",result=\"found\","), "{body}");
    for series in ["distpos_watchdog_total ", "distpos_load_shed{cause=\"disk\"} "] {
        assert_eq!(value(at, series), Some(0.0), "{series}");
    }
    for task in ["outbound", "peers", "watch", "stuck"] {
        assert_eq!(value(at, &format!("distpos_task_alive{{task=\"{task}\"}} ")), Some(1.0));
    }
    let free = value(at, "distpos_spool_free_ratio ").unwrap();
    assert!((0.0..=1.0).contains(&free), "{free}");

    for path in ["/healthz", "/readyz"] {
        let (status, view) = health(at, path);
        assert_eq!((status, view["status"].as_str()), (200, Some("ok")), "{path}: {view}");
    }
    assert_eq!(get(at, "/other").0, 404);
}

#[test]
fn metrics_that_are_switched_off_are_told_to_nobody() {
    let world = World::running();
    let at = place(&world.a);
    world.a.terminate();
    world.a.edit("[metrics]\nlisten = \"127.0.0.1:0\"", "[metrics]\nlisten = \"off\"");
    world.a.start();
    until("it says so", SOON, || world.a.log().contains("metrics at off").then_some(()));
    assert!(TcpStream::connect(at).is_err());
}
