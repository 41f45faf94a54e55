//! Real servers, asked with hickory-resolver: UDP, and TCP for what does not fit.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use thiserror::Error;
use tokio::time::timeout;

use super::{AddressAnswer, Lookup, LookupError, LookupFailure, Negative, Security, TxtAnswer};

/// Asks configured name servers, one after the other until one answers.
///
/// Each server has a resolver of its own: hickory's pool of several has stalled on truncated
/// answers (hickory-dns 3963), and mixes a server that fails with one that denies.
pub struct HickoryLookup {
    servers: Vec<TokioResolver>,
    /// The server that answered last: a dead first server costs its timeout once, not each time.
    preferred: AtomicUsize,
}

/// Why no server can be asked.
#[derive(Debug, Clone, Error)]
pub enum HickoryError {
    /// Neither the configuration nor the system names a server.
    #[error("found no name server, expected at least one (resolver.servers or /etc/resolv.conf)")]
    NoServers,
    /// The system's configuration cannot be read.
    #[error("the system's name servers cannot be read: {0}")]
    System(NetError),
    /// hickory refuses its configuration.
    #[error("the resolver cannot be set up: {0}")]
    Setup(NetError),
}

/// How long one try of one server may take: lost packets are sent again within it.
const TRY_MAX: Duration = Duration::from_millis(1_500);

/// How long one server may take over all: three dead ones fit into the 10 s of a resolution.
const SERVER_MAX: Duration = Duration::from_secs(3);

/// Longest chain of CNAMEs that is followed within an answer, as hickory does between answers.
const CNAMES_MAX: usize = 8;

impl HickoryLookup {
    /// Asks these servers, the first one first.
    ///
    /// # Errors
    /// [`HickoryError`] if there is none.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, HickoryError> {
        let servers = servers.iter().map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            NameServerConfig::new(server.ip(), true, connections)
        });
        Self::asking(servers.collect())
    }

    /// Asks the system's servers (`/etc/resolv.conf`).
    ///
    /// # Errors
    /// [`HickoryError`] if it names none or cannot be read.
    pub fn system() -> Result<Self, HickoryError> {
        let (config, _) = read_system_conf().map_err(HickoryError::System)?;
        let (_, _, servers) = config.into_parts();
        Self::asking(servers)
    }

    fn asking(servers: Vec<NameServerConfig>) -> Result<Self, HickoryError> {
        if servers.is_empty() {
            return Err(HickoryError::NoServers);
        }
        let resolvers = servers.into_iter().map(|server| {
            let config = ResolverConfig::from_name_servers(vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options())
                .build()
        });
        let servers = resolvers.collect::<Result<_, _>>().map_err(HickoryError::Setup)?;
        Ok(Self { servers, preferred: AtomicUsize::new(0) })
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Found, LookupError> {
        let mut name =
            Name::from_ascii(name).map_err(|_| LookupError::Temporary(LookupFailure::Name))?;
        name.set_fqdn(true);
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = LookupFailure::Timeout;
        for at in (first..first + self.servers.len()).map(|at| at % self.servers.len()) {
            match ask_one(&self.servers[at], &name, kind).await {
                Err(LookupError::Temporary(failure)) => {
                    tracing::debug!(%name, %kind, server = at, %failure, "name server failed");
                    last = failure;
                }
                answer => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(LookupError::Temporary(last))
    }
}

#[async_trait]
impl Lookup for HickoryLookup {
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError> {
        let found = self.ask(name, RecordType::TXT).await?;
        let records = found.data.into_iter().filter_map(|data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
        Ok(TxtAnswer {
            records: records.collect(),
            ttl: found.ttl,
            secure: Security::Indeterminate,
        })
    }

    async fn addresses(&self, name: &str) -> Result<AddressAnswer, LookupError> {
        let (v4, v6) = tokio::join!(
            biased;
            self.ask(name, RecordType::A),
            self.ask(name, RecordType::AAAA)
        );
        let found = match (v4, v6) {
            (Ok(v4), Ok(v6)) => Found {
                ttl: v4.ttl.min(v6.ttl),
                data: v4.data.into_iter().chain(v6.data).collect(),
            },
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => found,
            // One that failed outweighs one that found nothing: the host may well have addresses.
            (Err(LookupError::NotFound { .. }), Err(error)) | (Err(error), Err(_)) => {
                return Err(error);
            }
        };
        let addresses = found.data.into_iter().filter_map(|data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        });
        Ok(AddressAnswer {
            addresses: addresses.collect(),
            ttl: found.ttl,
            secure: Security::Indeterminate,
        })
    }
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TRY_MAX;
    options.attempts = 1;
    // Our own cache knows the rules for keeping answers; two caches would add up their times.
    options.cache_size = 0;
    // What the gateway's host calls by other names is no business of a record's.
    options.use_hosts_file = ResolveHosts::Never;
    // The size that does not fragment (DNS flag day 2020); larger answers come over TCP.
    options.edns_payload_len = 1_232;
    options
}

/// The records of one type under the name at the end of the CNAMEs.
struct Found {
    data: Vec<RData>,
    ttl: u32,
}

async fn ask_one(
    server: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Found, LookupError> {
    match timeout(SERVER_MAX, server.lookup(name.clone(), kind)).await {
        Ok(Ok(lookup)) => found(lookup.answers(), name, kind),
        Ok(Err(error)) => Err(failure(error)),
        Err(_) => Err(LookupError::Temporary(LookupFailure::Timeout)),
    }
}

/// Takes out of an answer what was asked, and nothing that a server added to it.
fn found(answers: &[Record], asked: &Name, kind: RecordType) -> Result<Found, LookupError> {
    let (mut owner, mut ttl) = (asked, u32::MAX);
    for _ in 0..CNAMES_MAX {
        let next =
            answers.iter().filter(|record| record.name == *owner).find_map(|record| match &record
                .data
            {
                RData::CNAME(cname) => Some((&cname.0, record.ttl)),
                _ => None,
            });
        let Some((target, cname_ttl)) = next else { break };
        (owner, ttl) = (target, ttl.min(cname_ttl));
    }
    let records: Vec<_> = answers
        .iter()
        .filter(|record| record.name == *owner && record.record_type() == kind)
        .collect();
    if records.is_empty() {
        let what = format!("the answer has no {kind} records of {owner}");
        return Err(LookupError::Temporary(LookupFailure::Other(what)));
    }
    let ttl = records.iter().fold(ttl, |least, record| least.min(record.ttl));
    Ok(Found { data: records.into_iter().map(|record| record.data.clone()).collect(), ttl })
}

fn failure(error: NetError) -> LookupError {
    let failure = match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => return not_found(&nothing),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => LookupFailure::ServFail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => LookupFailure::Refused,
        NetError::Dns(DnsError::DnssecBogus) => LookupFailure::Bogus,
        NetError::Timeout => LookupFailure::Timeout,
        other => LookupFailure::Other(other.to_string()),
    };
    LookupError::Temporary(failure)
}

fn not_found(nothing: &NoRecords) -> LookupError {
    let kind = match nothing.response_code {
        ResponseCode::NXDomain => Negative::NxDomain,
        // RFC 2308, section 2.2: servers beside no SOA are a referral, so this server does not
        // know the answer. Taking that for "nothing there" would lose messages.
        ResponseCode::NoError if nothing.soa.is_none() && nothing.ns.is_some() => {
            let what = "the server only refers to other servers".to_owned();
            return LookupError::Temporary(LookupFailure::Other(what));
        }
        ResponseCode::NoError => Negative::NoData,
        code => {
            let what = format!("the server answered {code}");
            return LookupError::Temporary(LookupFailure::Other(what));
        }
    };
    // RFC 2308, section 5: the lesser of the SOA's own time to live and its MINIMUM.
    let by_soa = nothing.soa.as_ref().map(|soa| soa.ttl.min(soa.data.minimum));
    let negative_ttl = nothing.negative_ttl.or(by_soa).unwrap_or(0);
    LookupError::NotFound { negative_ttl, kind }
}
