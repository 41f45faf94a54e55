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
        dnssec::Proof,
        op::{DnsResponse, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    AddressAnswer, Lookup, LookupError, LookupFailure, Negative, Security, TrustAnchors, TxtAnswer,
};

/// Asks configured name servers, one after the other until one answers.
///
/// Each server has a resolver of its own: hickory's pool of several has stalled on truncated
/// answers (hickory-dns 3963), and mixes a server that fails with one that denies.
///
/// With [`TrustAnchors`], each answer under one of them is validated here (RFC 4035): a signature
/// that is wrong, expired or missing is a failure of that server, and the next one is asked.
pub struct HickoryLookup {
    servers: Vec<Server>,
    anchors: Option<TrustAnchors>,
    /// The server that answered last: a dead first server costs its timeout once, not each time.
    preferred: AtomicUsize,
}

/// One server, asked in two ways: hickory takes a name outside every anchor for a bogus one.
struct Server {
    plain: TokioResolver,
    validating: Option<TokioResolver>,
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
    /// Asks these servers, the first one first, and validates what `anchors` cover.
    ///
    /// # Errors
    /// [`HickoryError`] if there is none.
    pub fn new(
        servers: &[SocketAddr],
        anchors: Option<TrustAnchors>,
    ) -> Result<Self, HickoryError> {
        let servers = servers.iter().map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            NameServerConfig::new(server.ip(), true, connections)
        });
        Self::asking(servers.collect(), anchors)
    }

    /// Asks the system's servers (`/etc/resolv.conf`), and validates what `anchors` cover.
    ///
    /// # Errors
    /// [`HickoryError`] if it names none or cannot be read.
    pub fn system(anchors: Option<TrustAnchors>) -> Result<Self, HickoryError> {
        let (config, _) = read_system_conf().map_err(HickoryError::System)?;
        let (_, _, servers) = config.into_parts();
        Self::asking(servers, anchors)
    }

    fn asking(
        servers: Vec<NameServerConfig>,
        anchors: Option<TrustAnchors>,
    ) -> Result<Self, HickoryError> {
        if servers.is_empty() {
            return Err(HickoryError::NoServers);
        }
        let servers = servers.into_iter().map(|server| {
            Ok(Server {
                plain: resolver(server.clone(), None)?,
                validating: anchors.as_ref().map(|it| resolver(server, Some(it))).transpose()?,
            })
        });
        let servers = servers.collect::<Result<_, _>>().map_err(HickoryError::Setup)?;
        Ok(Self { servers, anchors, preferred: AtomicUsize::new(0) })
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Found, LookupError> {
        let mut name =
            Name::from_ascii(name).map_err(|_| LookupError::Temporary(LookupFailure::Name))?;
        name.set_fqdn(true);
        let is_covered = self.anchors.as_ref().is_some_and(|anchors| anchors.cover(&name));
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = LookupFailure::Timeout;
        for at in (first..first + self.servers.len()).map(|at| at % self.servers.len()) {
            match self.servers[at].ask(&name, kind, is_covered).await {
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
        Ok(TxtAnswer { records: records.collect(), ttl: found.ttl, secure: found.secure })
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
                secure: v4.secure.min(v6.secure),
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
        Ok(AddressAnswer { addresses: addresses.collect(), ttl: found.ttl, secure: found.secure })
    }
}

fn resolver(
    server: NameServerConfig,
    anchors: Option<&TrustAnchors>,
) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_name_servers(vec![server]);
    let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options());
    match anchors {
        Some(anchors) => builder.with_trust_anchor(anchors.keys()).build(),
        None => builder.build(),
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
    secure: Security,
}

impl Server {
    async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        is_covered: bool,
    ) -> Result<Found, LookupError> {
        let (resolver, nothing_is) = match &self.validating {
            // What hickory lets pass as "nothing" under an anchor it has seen proven.
            Some(validating) if is_covered => (validating, Security::Secure),
            Some(_) | None => (&self.plain, Security::Indeterminate),
        };
        let found = match timeout(SERVER_MAX, resolver.lookup(name.clone(), kind)).await {
            Ok(Ok(lookup)) => found(lookup.answers(), name, kind)?,
            Ok(Err(error)) => return Err(failure(error, nothing_is)),
            Err(_) => return Err(LookupError::Temporary(LookupFailure::Timeout)),
        };
        match found.secure {
            Security::Bogus => Err(LookupError::Temporary(LookupFailure::Bogus)),
            // Under an anchor everything is either signed or proven to be unsigned.
            Security::Indeterminate if is_covered => {
                Err(LookupError::Temporary(LookupFailure::Bogus))
            }
            Security::Indeterminate | Security::Insecure | Security::Secure => Ok(found),
        }
    }
}

fn security(proof: Proof) -> Security {
    match proof {
        Proof::Secure => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Bogus => Security::Bogus,
        Proof::Indeterminate => Security::Indeterminate,
    }
}

/// Takes out of an answer what was asked, and nothing that a server added to it.
fn found(answers: &[Record], asked: &Name, kind: RecordType) -> Result<Found, LookupError> {
    let (mut owner, mut ttl, mut secure) = (asked, u32::MAX, Security::Secure);
    for _ in 0..CNAMES_MAX {
        let next =
            answers.iter().filter(|record| record.name == *owner).find_map(|record| match &record
                .data
            {
                RData::CNAME(cname) => Some((&cname.0, record)),
                _ => None,
            });
        let Some((target, cname)) = next else { break };
        (owner, ttl) = (target, ttl.min(cname.ttl));
        secure = secure.min(security(cname.proof));
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
    let secure = records.iter().fold(secure, |worst, record| worst.min(security(record.proof)));
    Ok(Found { data: records.into_iter().map(|record| record.data.clone()).collect(), ttl, secure })
}

/// What an error of hickory's means, where `nothing_is` what "nothing" is worth.
fn failure(error: NetError, nothing_is: Security) -> LookupError {
    let failure = match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => return not_found(&nothing, nothing_is),
        // Below a delegation that is proven to be unsigned, nobody can prove that there is nothing.
        NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, response, .. }) => {
            return unsigned_nothing(&response);
        }
        NetError::Dns(DnsError::Nsec { .. }) => LookupFailure::Bogus,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => LookupFailure::ServFail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => LookupFailure::Refused,
        NetError::Dns(DnsError::DnssecBogus) => LookupFailure::Bogus,
        NetError::Timeout => LookupFailure::Timeout,
        other => LookupFailure::Other(other.to_string()),
    };
    LookupError::Temporary(failure)
}

fn not_found(nothing: &NoRecords, secure: Security) -> LookupError {
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
    LookupError::NotFound { negative_ttl, kind, secure }
}

fn unsigned_nothing(response: &DnsResponse) -> LookupError {
    let kind = match response.metadata.response_code {
        ResponseCode::NXDomain => Negative::NxDomain,
        ResponseCode::NoError => Negative::NoData,
        code => {
            let what = format!("the server answered {code}");
            return LookupError::Temporary(LookupFailure::Other(what));
        }
    };
    let negative_ttl = response.negative_ttl().unwrap_or(0);
    LookupError::NotFound { negative_ttl, kind, secure: Security::Insecure }
}
