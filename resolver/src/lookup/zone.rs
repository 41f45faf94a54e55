//! A zone in memory, for tests and simulation: what it answers depends on nothing but what it was
//! told.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{AddressAnswer, Lookup, LookupError, LookupFailure, Negative, Security, TxtAnswer};

/// Names and their records, changeable at run time. Clones share one zone. Names are given without
/// a final dot.
#[derive(Debug, Clone, Default)]
pub struct ZoneLookup(Arc<Mutex<Zone>>);

#[derive(Debug, Default)]
struct Zone {
    texts: BTreeMap<String, (Vec<Vec<u8>>, u32)>,
    addresses: BTreeMap<String, (Vec<IpAddr>, u32)>,
    faults: BTreeMap<String, Fault>,
    secure: Security,
    negative_ttl: Option<u32>,
    asked: Vec<String>,
}

/// How part of a zone fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every question is answered with this failure, at once.
    Fails(LookupFailure),
    /// No question is ever answered: whoever asks has to give up by itself.
    Silent,
}

impl ZoneLookup {
    /// How long negative answers may be kept, unless told otherwise, in seconds.
    pub const NEGATIVE_TTL: u32 = 300;

    /// Replaces the TXT records of `name`; each is one text, or anything that prints as one.
    pub fn publish<T: fmt::Display>(
        &self,
        name: &str,
        ttl: u32,
        records: impl IntoIterator<Item = T>,
    ) {
        let records = records.into_iter().map(|record| record.to_string().into_bytes()).collect();
        self.zone().texts.insert(lower(name), (records, ttl));
    }

    /// Replaces the addresses of `name`.
    pub fn publish_addresses(
        &self,
        name: &str,
        ttl: u32,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) {
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort_by_key(|address| address.is_ipv6());
        self.zone().addresses.insert(lower(name), (addresses, ttl));
    }

    /// Removes all records of `name`.
    pub fn remove(&self, name: &str) {
        let mut zone = self.zone();
        zone.texts.remove(&lower(name));
        zone.addresses.remove(&lower(name));
    }

    /// Lets every question at or below `name` fail, until [`Self::heal`]. The empty name is the
    /// whole of DNS.
    pub fn fail(&self, name: &str, fault: Fault) {
        self.zone().faults.insert(lower(name), fault);
    }

    /// Ends every failure.
    pub fn heal(&self) {
        self.zone().faults.clear();
    }

    /// What DNSSEC says of every answer from now on.
    pub fn set_security(&self, secure: Security) {
        self.zone().secure = secure;
    }

    /// How long negative answers may be kept from now on, in seconds.
    pub fn set_negative_ttl(&self, seconds: u32) {
        self.zone().negative_ttl = Some(seconds);
    }

    /// Every question so far, such as `TXT _distpos.e2e4.chains.test`, oldest first, and forgets
    /// them.
    #[must_use]
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.zone().asked)
    }

    /// Nothing panics while it holds the lock, so a poisoned one is whole.
    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        kind: &str,
        name: &str,
        answer: impl FnOnce(&Zone, &str) -> Option<T> + Send,
    ) -> Result<T, LookupError> {
        let name = lower(name);
        let fault = {
            let mut zone = self.zone();
            zone.asked.push(format!("{kind} {name}"));
            zone.fault(&name)
        };
        match fault {
            Some(Fault::Fails(failure)) => return Err(LookupError::Temporary(failure)),
            Some(Fault::Silent) => std::future::pending::<()>().await,
            None => {}
        }
        let zone = self.zone();
        answer(&zone, &name).ok_or_else(|| zone.nothing_at(&name))
    }
}

impl Zone {
    fn fault(&self, name: &str) -> Option<Fault> {
        let at_or_below = |above: &str| above.is_empty() || is_at_or_below(name, above);
        self.faults.iter().find(|(above, _)| at_or_below(above)).map(|(_, fault)| fault.clone())
    }

    fn nothing_at(&self, name: &str) -> LookupError {
        let mut names = self.texts.keys().chain(self.addresses.keys());
        // A name above an existing one exists too: an empty non-terminal (RFC 8020).
        let kind = if names.any(|other| is_at_or_below(other, name)) {
            Negative::NoData
        } else {
            Negative::NxDomain
        };
        let negative_ttl = self.negative_ttl.unwrap_or(ZoneLookup::NEGATIVE_TTL);
        LookupError::NotFound { negative_ttl, kind, secure: self.secure }
    }
}

#[async_trait]
impl Lookup for ZoneLookup {
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError> {
        self.ask("TXT", name, |zone, name| {
            let (records, ttl) = zone.texts.get(name).filter(|(records, _)| !records.is_empty())?;
            Some(TxtAnswer { records: records.clone(), ttl: *ttl, secure: zone.secure })
        })
        .await
    }

    async fn addresses(&self, name: &str) -> Result<AddressAnswer, LookupError> {
        self.ask("A", name, |zone, name| {
            let (found, ttl) = zone.addresses.get(name).filter(|(found, _)| !found.is_empty())?;
            Some(AddressAnswer { addresses: found.clone(), ttl: *ttl, secure: zone.secure })
        })
        .await
    }
}

fn is_at_or_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}
