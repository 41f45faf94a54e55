//! An authoritative DNS server in this process, on a loopback port the system picks: what a chain's
//! DNS administrator runs, small enough for an example.

use std::{net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use hickory_server::{
    Server,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{
        Name, RData, Record,
        rdata::{A, AAAA, SOA, TXT},
    },
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::net::{TcpListener, UdpSocket};

/// Seconds that answers may be kept.
const TTL: u32 = 60;
/// How long a TCP client may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes kept of an answer that a TCP client is slow to read.
const TCP_BUFFER: usize = 4_096;

/// Records of one zone, to be served.
pub struct Zone {
    origin: Name,
    records: Vec<Record>,
}

/// A running server; it stops when it is dropped.
pub struct NameServer {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    _server: Server<Catalog>,
}

/// Sockets for a server, so that its address is known before its zone is complete.
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Binds one loopback port for both UDP and TCP.
    ///
    /// # Errors
    /// If the system has none.
    pub async fn bind() -> anyhow::Result<Self> {
        // The system picks the port for one; somebody else may hold the other of that number.
        for _ in 0..50 {
            let udp = UdpSocket::bind("127.0.0.1:0").await?;
            if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
                return Ok(Self { udp, tcp });
            }
        }
        anyhow::bail!("no loopback port is free for both UDP and TCP")
    }

    /// Where the server will answer.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.udp.local_addr()?)
    }

    /// Serves a zone from now on.
    ///
    /// # Errors
    /// If the system does not say where.
    pub fn serve(self, zone: Zone) -> anyhow::Result<NameServer> {
        let mut held = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            zone.origin.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        for record in zone.records {
            held.upsert_mut(record, 0);
        }
        let mut catalog = Catalog::new();
        catalog.upsert(zone.origin.into(), vec![Arc::new(held)]);
        let address = self.address()?;
        let mut server = Server::new(catalog);
        server.register_socket(self.udp);
        server.register_listener(self.tcp, TCP_TIMEOUT, TCP_BUFFER);
        Ok(NameServer { address, _server: server })
    }
}

impl Zone {
    /// An empty zone.
    ///
    /// # Errors
    /// If `origin` is no domain name.
    pub fn new(origin: &str) -> anyhow::Result<Self> {
        let origin = name(origin)?;
        let (server, admin) = (Name::from_ascii("ns")?, Name::from_ascii("admin")?);
        let (server, admin) = (server.append_domain(&origin)?, admin.append_domain(&origin)?);
        let soa = SOA::new(server, admin, 1, 3_600, 600, 86_400, TTL);
        let records = vec![Record::from_rdata(origin.clone(), TTL, RData::SOA(soa))];
        Ok(Self { origin, records })
    }

    /// Adds a TXT record.
    ///
    /// # Errors
    /// If `owner` is no domain name.
    pub fn text(&mut self, owner: &str, text: &str) -> anyhow::Result<()> {
        let txt = TXT::from_bytes(vec![text.as_bytes()]);
        self.records.push(Record::from_rdata(name(owner)?, TTL, RData::TXT(txt)));
        Ok(())
    }

    /// Adds an address record.
    ///
    /// # Errors
    /// If `owner` is no domain name.
    pub fn address(&mut self, owner: &str, address: IpAddr) -> anyhow::Result<()> {
        let rdata = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.records.push(Record::from_rdata(name(owner)?, TTL, rdata));
        Ok(())
    }
}

fn name(text: &str) -> anyhow::Result<Name> {
    let mut name = Name::from_ascii(text).with_context(|| format!("{text:?} is no domain name"))?;
    name.set_fqdn(true);
    Ok(name)
}
