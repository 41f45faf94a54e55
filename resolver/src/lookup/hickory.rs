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
    direct::{self, Asking},
};
use crate::authority::{absolute, texts};

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

/// One server, and how it is asked.
enum Server {
    /// In two ways: hickory takes a name outside every anchor for a bogus one.
    Asked { plain: Box<TokioResolver>, validating: Option<Box<TokioResolver>> },
    /// A validating resolver whose word is taken.
    Believed(SocketAddr),
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
    /// The AD bit of a server that others may answer for.
    #[error("name server {0} is not on loopback, so its AD bit proves nothing")]
    NotLoopback(SocketAddr),
    /// hickory refuses its configuration.
    #[error("the resolver cannot be set up: {0}")]
    Setup(NetError),
}

/// How long one try of one server may take: lost packets are sent again within it.
pub(super) const TRY_MAX: Duration = Duration::from_millis(1_500);

/// How long one server may take over all: three dead ones fit into the 10 s of a resolution.
pub(super) const SERVER_MAX: Duration = Duration::from_secs(3);

/// The size of an answer that does not fragment (DNS flag day 2020); larger ones come over TCP.
pub(super) const PAYLOAD_MAX: u16 = 1_232;

/// What is wrong with an answer that says neither yes nor no.
pub(super) const NO_SOA: &str = "the answer has neither records nor a SOA";

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

    /// Asks these validating resolvers, the first one first, and takes their AD bit for a proof:
    /// whoever answers in their place is believed. They have to be on loopback.
    ///
    /// # Errors
    /// [`HickoryError`] if there is none, or one is not on loopback.
    pub fn believing(servers: &[SocketAddr]) -> Result<Self, HickoryError> {
        if servers.is_empty() {
            return Err(HickoryError::NoServers);
        }
        if let Some(far) = servers.iter().find(|server| !server.ip().is_loopback()) {
            return Err(HickoryError::NotLoopback(*far));
        }
        let servers = servers.iter().copied().map(Server::Believed).collect();
        Ok(Self { servers, anchors: None, preferred: AtomicUsize::new(0) })
    }

    fn asking(
        servers: Vec<NameServerConfig>,
        anchors: Option<TrustAnchors>,
    ) -> Result<Self, HickoryError> {
        if servers.is_empty() {
            return Err(HickoryError::NoServers);
        }
        let servers = servers.into_iter().map(|server| {
            let plain = Box::new(resolver(server.clone(), None)?);
            let validating = anchors.as_ref().map(|it| resolver(server, Some(it))).transpose()?;
            Ok(Server::Asked { plain, validating: validating.map(Box::new) })
        });
        let servers = servers.collect::<Result<_, _>>().map_err(HickoryError::Setup)?;
        Ok(Self { servers, anchors, preferred: AtomicUsize::new(0) })
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Found, LookupError> {
        self.records(&absolute(name)?, kind).await
    }

    pub(crate) async fn records(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> Result<Found, LookupError> {
        let is_covered = self.anchors.as_ref().is_some_and(|anchors| anchors.cover(name));
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = LookupFailure::Timeout;
        for at in (first..first + self.servers.len()).map(|at| at % self.servers.len()) {
            match self.servers[at].ask(name, kind, is_covered).await {
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
        Ok(texts(found))
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
    options.edns_payload_len = PAYLOAD_MAX;
    options
}

/// The records of one type under the name at the end of the CNAMEs.
pub(crate) struct Found {
    pub(crate) data: Vec<RData>,
    pub(crate) ttl: u32,
    pub(crate) secure: Security,
}

impl Server {
    async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        is_covered: bool,
    ) -> Result<Found, LookupError> {
        let (resolver, is_covered) = match self {
            Self::Believed(server) => {
                return direct::ask(*server, name, kind, Asking::Validating).await;
            }
            Self::Asked { validating: Some(validating), .. } if is_covered => (validating, true),
            Self::Asked { plain, .. } => (plain, false),
        };
        let found = match timeout(SERVER_MAX, resolver.lookup(name.clone(), kind)).await {
            Ok(Ok(lookup)) => found(lookup.answers(), name, kind)?,
            Ok(Err(error)) => return Err(failure(error, is_covered)),
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

/// A failure in words.
pub(super) fn temporary(what: String) -> LookupError {
    LookupError::Temporary(LookupFailure::Other(what))
}

/// Takes out of an answer what was asked, and nothing that a server added to it.
pub(super) fn found(
    answers: &[Record],
    asked: &Name,
    kind: RecordType,
) -> Result<Found, LookupError> {
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
        return Err(temporary(format!("the answer has no {kind} records of {owner}")));
    }
    let ttl = records.iter().fold(ttl, |least, record| least.min(record.ttl));
    let secure = records.iter().fold(secure, |worst, record| worst.min(security(record.proof)));
    Ok(Found { data: records.into_iter().map(|record| record.data.clone()).collect(), ttl, secure })
}

/// What an error of hickory's means.
fn failure(error: NetError, is_covered: bool) -> LookupError {
    let failure = match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => return not_found(&nothing, is_covered),
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

fn not_found(nothing: &NoRecords, is_covered: bool) -> LookupError {
    let kind = match nothing.response_code {
        ResponseCode::NXDomain => Negative::NxDomain,
        // RFC 2308, section 2.2: servers beside no SOA are a referral, so this server does not
        // know the answer; without either it is nobody's word, or CNAMEs that lead nowhere. Taking
        // that for "nothing there" would lose messages.
        ResponseCode::NoError if nothing.soa.is_none() && nothing.ns.is_some() => {
            return temporary("the server only refers to other servers".to_owned());
        }
        ResponseCode::NoError if nothing.soa.is_none() => return temporary(NO_SOA.to_owned()),
        ResponseCode::NoError => Negative::NoData,
        code => return temporary(format!("the server answered {code}")),
    };
    // Under an anchor, "nothing" is worth what the SOA beside it is: where the zone is proven to be
    // unsigned, nobody can prove that there is nothing.
    let secure = match &nothing.soa {
        Some(soa) if is_covered => security(soa.proof),
        Some(_) | None => Security::Indeterminate,
    };
    if is_covered && secure < Security::Insecure {
        return LookupError::Temporary(LookupFailure::Bogus);
    }
    // RFC 2308, section 5: the lesser of the SOA's own time to live and its MINIMUM.
    let by_soa = nothing.soa.as_ref().map(|soa| soa.ttl.min(soa.data.minimum));
    let negative_ttl = nothing.negative_ttl.or(by_soa).unwrap_or(0);
    LookupError::NotFound { negative_ttl, kind, secure }
}

fn unsigned_nothing(response: &DnsResponse) -> LookupError {
    let kind = match response.metadata.response_code {
        ResponseCode::NXDomain => Negative::NxDomain,
        ResponseCode::NoError => Negative::NoData,
        code => return temporary(format!("the server answered {code}")),
    };
    let negative_ttl = response.negative_ttl().unwrap_or(0);
    LookupError::NotFound { negative_ttl, kind, secure: Security::Insecure }
}
