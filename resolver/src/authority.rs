//! The authoritative servers of a zone, asked directly: what is published, whatever caches hold.
//!
//! For whoever publishes records, and run by hand: unlike a gateway's own look-ups it calls any
//! address that DNS names.

use std::{collections::BTreeSet, fmt, net::SocketAddr};

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::{
    HickoryLookup,
    lookup::{
        Lookup, LookupError, LookupFailure, TxtAnswer,
        direct::{self, Asking},
        hickory::Found,
    },
};

/// A zone and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    zone: Name,
    servers: Vec<AuthorityServer>,
}

/// One server of a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorityServer {
    /// Its name, or what the user called it.
    pub name: String,
    /// Where it answers.
    pub address: SocketAddr,
}

/// What the servers of a zone say about a name, each for itself.
pub type Answers<T> = Vec<(AuthorityServer, Result<T, LookupError>)>;

/// Most servers of a zone that are asked: as many as the root has, with an address of each kind.
const SERVERS_MAX: usize = 13;
const ADDRESSES_MAX: usize = 2;

/// Port of a name server that DNS names.
const PORT: u16 = 53;

impl fmt::Display for AuthorityServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

impl Authority {
    /// The zone that holds `name`, and its servers, as DNS names them.
    ///
    /// # Errors
    /// [`LookupError`] if the zone cannot be found, or none of its servers has an address.
    pub async fn of(lookup: &HickoryLookup, name: &str) -> Result<Self, LookupError> {
        let zone =
            zone_of(
                name,
                |candidate| async move { lookup.records(&candidate, RecordType::SOA).await },
            )
            .await?;
        let found = lookup.records(&zone, RecordType::NS).await?;
        let names: BTreeSet<String> = found
            .data
            .iter()
            .filter_map(|data| match data {
                RData::NS(ns) => Some(without_dot(&ns.0)),
                _ => None,
            })
            .collect();
        let asked = names.into_iter().take(SERVERS_MAX).map(|name| async move {
            let found = lookup.addresses(&name).await;
            (name, found)
        });
        let (mut servers, mut last) = (Vec::new(), None);
        for (name, found) in join_all(asked).await {
            match found {
                Ok(found) => {
                    servers.extend(found.addresses.into_iter().take(ADDRESSES_MAX).map(|address| {
                        AuthorityServer {
                            name: name.clone(),
                            address: SocketAddr::new(address, PORT),
                        }
                    }))
                }
                Err(error) => last = Some(error),
            }
        }
        match (servers.is_empty(), last) {
            (false, _) => Ok(Self { zone, servers }),
            (true, Some(error)) => Err(error),
            (true, None) => {
                let what = format!("zone {zone} names no server");
                Err(LookupError::Temporary(LookupFailure::Other(what)))
            }
        }
    }

    /// The zone that holds `name` at these servers, whatever DNS says: hidden primaries, other
    /// ports.
    ///
    /// # Errors
    /// [`LookupError`] if none of them serves such a zone; that of the last one.
    pub async fn at(servers: &[SocketAddr], name: &str) -> Result<Self, LookupError> {
        let mut last = LookupError::Temporary(LookupFailure::Other("no server is named".into()));
        for server in servers {
            let found = zone_of(name, |candidate| async move {
                direct::ask(*server, &candidate, RecordType::SOA, Asking::Authority).await
            });
            match found.await {
                Ok(zone) => {
                    let servers = servers.iter().map(|address| AuthorityServer {
                        name: "--server".to_owned(),
                        address: *address,
                    });
                    return Ok(Self { zone, servers: servers.collect() });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The zone, without a final dot.
    #[must_use]
    pub fn zone(&self) -> String {
        without_dot(&self.zone)
    }

    /// Its servers.
    #[must_use]
    pub fn servers(&self) -> &[AuthorityServer] {
        &self.servers
    }

    /// The TXT records of a name at each server.
    pub async fn txt(&self, name: &str) -> Answers<TxtAnswer> {
        self.ask(name, RecordType::TXT)
            .await
            .into_iter()
            .map(|(server, it)| (server, it.map(texts)))
            .collect()
    }

    /// Where a CNAME at this name leads, if any server has one there.
    pub async fn alias(&self, name: &str) -> Option<String> {
        let answers = self.ask(name, RecordType::CNAME).await;
        answers.into_iter().find_map(|(_, found)| {
            found.ok()?.data.iter().find_map(|data| match data {
                RData::CNAME(target) => Some(without_dot(&target.0)),
                _ => None,
            })
        })
    }

    /// For how long resolvers keep "there is nothing" in this zone, in seconds: the longest that any
    /// server says (RFC 2308, section 5).
    ///
    /// # Errors
    /// [`LookupError`] if no server says; that of the last one.
    pub async fn negative_ttl(&self) -> Result<u32, LookupError> {
        let (mut longest, mut last) = (None, None);
        for (_, found) in self.ask(&self.zone(), RecordType::SOA).await {
            match found {
                Ok(found) => {
                    let ttls = found.data.iter().filter_map(|data| match data {
                        RData::SOA(soa) => Some(found.ttl.min(soa.minimum)),
                        _ => None,
                    });
                    longest = longest.max(ttls.max());
                }
                Err(error) => last = Some(error),
            }
        }
        let nobody = || LookupError::Temporary(LookupFailure::Other("no server answers".into()));
        longest.ok_or_else(|| last.unwrap_or_else(nobody))
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Answers<Found> {
        let parsed = absolute(name);
        let asked = self.servers.iter().map(|server| {
            let parsed = parsed.clone();
            async move {
                let found = match parsed {
                    Ok(name) => direct::ask(server.address, &name, kind, Asking::Authority).await,
                    Err(error) => Err(error),
                };
                (server.clone(), found)
            }
        });
        join_all(asked).await
    }
}

/// The nearest name upward that has a SOA.
async fn zone_of<F: Future<Output = Result<Found, LookupError>>>(
    name: &str,
    soa: impl Fn(Name) -> F,
) -> Result<Name, LookupError> {
    let mut candidate = absolute(name)?;
    loop {
        match soa(candidate.clone()).await {
            Ok(_) => return Ok(candidate),
            Err(LookupError::NotFound { .. }) if !candidate.is_root() => {
                candidate = candidate.base_name();
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn texts(found: Found) -> TxtAnswer {
    let records = found.data.into_iter().filter_map(|data| match data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    });
    TxtAnswer { records: records.collect(), ttl: found.ttl, secure: found.secure }
}

pub(crate) fn absolute(name: &str) -> Result<Name, LookupError> {
    let mut name =
        Name::from_ascii(name).map_err(|_| LookupError::Temporary(LookupFailure::Name))?;
    name.set_fqdn(true);
    Ok(name)
}

fn without_dot(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase()
}
