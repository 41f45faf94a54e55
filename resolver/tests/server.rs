//! hickory as a client of an authoritative server in this process, over real sockets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use distpos_resolver::{
    HickoryError, HickoryLookup, Lookup, LookupError, LookupFailure, Negative, Options, Resolve,
    Resolver, Security,
};
use hickory_server::{
    Server,
    net::{runtime::Time, xfer::Protocol},
    proto::rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CNAME, SOA, TXT},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::{anchor, chain, gateway, host, options, over};

/// Notes over which transport each question came.
struct Noting {
    catalog: Catalog,
    seen: Arc<Mutex<Vec<Protocol>>>,
}

#[async_trait::async_trait]
impl RequestHandler for Noting {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response_handle: R,
    ) -> ResponseInfo {
        self.seen.lock().unwrap().push(request.protocol());
        self.catalog.handle_request::<R, T>(request, response_handle).await
    }
}

struct Running {
    server: Server<Noting>,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Protocol>>>,
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn text(owner: &str, strings: &[&str]) -> Record {
    let txt = TXT::from_bytes(strings.iter().map(|string| string.as_bytes()).collect());
    Record::from_rdata(name(owner), 120, RData::TXT(txt))
}

async fn serve(records: Vec<Record>) -> Running {
    let origin = name("chains.test");
    let mut zone = InMemoryZoneHandler::<hickory_server::net::runtime::TokioRuntimeProvider>::empty(
        origin.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
    );
    let soa = SOA::new(name("ns.chains.test"), name("admin.chains.test"), 1, 60, 60, 60, 77);
    zone.upsert_mut(Record::from_rdata(origin.clone(), 3_600, RData::SOA(soa)), 0);
    for record in records {
        assert!(zone.upsert_mut(record, 0));
    }
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone)]);
    let seen = Arc::default();
    let mut server = Server::new(Noting { catalog, seen: Arc::clone(&seen) });
    let (udp, tcp) = both_at_one_port().await;
    let address = udp.local_addr().unwrap();
    server.register_socket(udp);
    server.register_listener(tcp, Duration::from_secs(5), 4_096);
    Running { server, address, seen }
}

/// The system picks a port for one; somebody else may hold the other of that number.
async fn both_at_one_port() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn resolver(address: SocketAddr) -> Resolver<HickoryLookup> {
    let lookup = HickoryLookup::new(&[address], None).unwrap();
    over(lookup, Options { allow_special: true, ..options() }, 1).1
}

#[tokio::test]
async fn a_chain_is_found_over_udp() {
    let record = gateway("e2e4", 1).to_string();
    let (start, end) = record.split_at(30);
    let mut records = vec![text(&anchor("e2e4").gateways(), &[start, end])];
    let own = name("gw1.village.chains.test");
    records.push(Record::from_rdata(own.clone(), 60, RData::A(A::new(127, 0, 0, 1))));
    records.push(Record::from_rdata(own, 90, RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 1))));
    let mut running = serve(records).await;
    let resolver = resolver(running.address);
    let route = resolver.route(chain("e2e4")).await.unwrap();
    assert_eq!(route.gateways.len(), 1, "the strings of one record are joined");
    assert!(running.seen.lock().unwrap().iter().all(|protocol| *protocol == Protocol::Udp));

    let mut gateway = route.gateways[0].clone();
    gateway.host = distpos_resolver::Host::Name(host("gw1.village.chains.test"));
    let addresses = resolver.addresses(&gateway).await.unwrap();
    let expected: [SocketAddr; 2] =
        ["127.0.0.1:7333".parse().unwrap(), "[::1]:7333".parse().unwrap()];
    assert_eq!(addresses, expected);
    running.server.shutdown_gracefully().await.unwrap();
}

#[tokio::test]
async fn an_answer_too_large_for_udp_comes_over_tcp() {
    let owner = anchor("e2e4").gateways();
    let padding = "x".repeat(200);
    let records = (1..=6).map(|at| {
        let record = gateway("e2e4", at).to_string();
        text(&owner, &[&record, &format!("; pad={padding}"), &format!("; pad2={padding}")])
    });
    let mut running = serve(records.collect()).await;
    let lookup = HickoryLookup::new(&[running.address], None).unwrap();
    let answer = lookup.txt(&owner).await.unwrap();
    assert_eq!(answer.records.len(), 6);
    assert!(answer.records.iter().map(Vec::len).sum::<usize>() > 1_232);
    assert_eq!((answer.ttl, answer.secure), (120, Security::Indeterminate));
    assert_eq!(*running.seen.lock().unwrap(), [Protocol::Udp, Protocol::Tcp]);
    let route = resolver(running.address).route(chain("e2e4")).await.unwrap();
    assert_eq!(route.gateways.len(), 6);
    running.server.shutdown_gracefully().await.unwrap();
}

#[tokio::test]
async fn nothing_is_told_from_no_answer() {
    let records = vec![
        text("_policy._distpos.e2e4.chains.test", &["x"]),
        Record::from_rdata(
            name("_distpos.b1c2.chains.test"),
            50,
            RData::CNAME(CNAME(name("_distpos.a1.chains.test"))),
        ),
        text("_distpos.a1.chains.test", &["v=DPOS1; c=a1; h=."]),
    ];
    let mut running = serve(records).await;
    let lookup = HickoryLookup::new(&[running.address], None).unwrap();
    let nothing = |kind| {
        Err(LookupError::NotFound { negative_ttl: 77, kind, secure: Security::Indeterminate })
    };
    assert_eq!(lookup.txt("_distpos.dead.chains.test").await, nothing(Negative::NxDomain));
    assert_eq!(lookup.txt("_distpos.e2e4.chains.test").await, nothing(Negative::NoData));
    let refused = Err(LookupError::Temporary(LookupFailure::Refused));
    assert_eq!(lookup.txt("_distpos.e2e4.elsewhere.test").await, refused);
    // A CNAME is followed, and its own TTL counts.
    let answer = lookup.txt("_distpos.b1c2.chains.test").await.unwrap();
    assert_eq!((answer.records, answer.ttl), (vec![b"v=DPOS1; c=a1; h=.".to_vec()], 50));
    running.server.shutdown_gracefully().await.unwrap();
}

#[tokio::test]
async fn the_next_server_answers_for_one_that_does_not() {
    let record = gateway("e2e4", 1).to_string();
    let owner = anchor("e2e4").gateways();
    let mut running = serve(vec![text(&owner, &[&record])]).await;
    // Bound and never read from: it swallows what it is sent.
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = [mute.local_addr().unwrap(), running.address];
    let lookup = HickoryLookup::new(&servers, None).unwrap();
    assert_eq!(lookup.txt(&owner).await.unwrap().records, [record.clone().into_bytes()]);
    let before = tokio::time::Instant::now();
    assert_eq!(lookup.txt(&owner).await.unwrap().records, [record.into_bytes()]);
    assert!(before.elapsed() < Duration::from_secs(1), "the one that answered is asked first");
    running.server.shutdown_gracefully().await.unwrap();

    let lookup = HickoryLookup::new(&[mute.local_addr().unwrap()], None).unwrap();
    let before = tokio::time::Instant::now();
    let error = lookup.txt(&owner).await.unwrap_err();
    assert_eq!(error, LookupError::Temporary(LookupFailure::Timeout));
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_servers_there_is_nobody_to_ask() {
    assert!(matches!(HickoryLookup::new(&[], None), Err(HickoryError::NoServers)));
}
