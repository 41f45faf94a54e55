//! What is asked about one chain, and what the answers amount to.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use distpos_proto::{
    chain::ChainId,
    record::{self, Anchor, HostName, KeyRecord, PolicyRecord, PortRule, RecordError, Selector},
};
use futures_util::future::join_all;

use super::cache::{Fetched, Lifetime};
use crate::{
    Budget, ResolveError, TrustLevel,
    lookup::{Lookup, LookupError, LookupFailure, Negative, Security, TxtAnswer},
    route::{Gateway, KeyAnswers},
};

/// Longest that the absence of a policy is kept with a route, in seconds: as any negative answer.
const NO_POLICY_TTL_MAX: u32 = 300;

/// What DNS says about a chain.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Published(Arc<Published>),
    /// It accepts nothing.
    Null {
        ttl: u32,
    },
    /// Nobody who was asked knows it.
    Absent(Absence),
}

impl Asked {
    pub(super) fn lifetime(&self) -> Lifetime {
        match self {
            Self::Published(published) => Lifetime::of(published.ttl),
            Self::Null { ttl } => Lifetime::of_null(*ttl),
            Self::Absent(absence) => Lifetime::of_nothing(absence.ttl),
        }
    }
}

/// What a chain publishes, all of it under one root.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) name: String,
    pub(super) gateways: Vec<Gateway>,
    /// In the order of the policy; a map's nodes would cost a kilobyte a chain.
    pub(super) keys: Box<[(Selector, KeyRecord)]>,
    pub(super) policy: Option<PolicyRecord>,
    /// Whether every answer was securely signed.
    pub(super) secure: bool,
    ttl: u32,
}

/// Where a chain was last looked for in vain.
#[derive(Debug, Clone)]
pub(super) struct Absence {
    pub(super) name: Option<String>,
    pub(super) kind: Negative,
    ttl: u32,
}

/// Counts the look-ups of one resolution.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU32);

impl Meter {
    fn count(&self, name: &str) -> Result<(), ResolveError> {
        if self.0.fetch_add(1, Ordering::Relaxed) < Budget::LOOKUPS_MAX {
            return Ok(());
        }
        Err(ResolveError::BudgetExceeded { name: name.to_owned(), budget: Budget::Lookups })
    }

    pub(super) fn used(&self) -> u32 {
        self.0.load(Ordering::Relaxed).min(Budget::LOOKUPS_MAX)
    }
}

/// One chain to find.
pub(super) struct Question<'a, L> {
    pub(super) lookup: &'a L,
    pub(super) chain: ChainId,
    pub(super) ports: PortRule,
    pub(super) meter: &'a Meter,
}

impl<L: Lookup> Question<'_, L> {
    /// Asks root by root. The first that knows the chain is the only one that counts; one that
    /// fails ends the search, for the next one might belong to somebody who waits for that.
    pub(super) async fn under(&self, roots: &[HostName]) -> Result<Asked, ResolveError> {
        let mut absent = Absence { name: None, kind: Negative::NxDomain, ttl: u32::MAX };
        for root in roots {
            match self.at(&Anchor::under(self.chain, root)).await? {
                Asked::Absent(here) => absent = Absence { ttl: absent.ttl.min(here.ttl), ..here },
                known => return Ok(known),
            }
        }
        Ok(Asked::Absent(absent))
    }

    /// Asks a domain of the operator's choice.
    pub(super) async fn at_domain(&self, domain: &HostName) -> Result<Asked, ResolveError> {
        self.at(&Anchor::at(domain)).await
    }

    async fn at(&self, anchor: &Anchor) -> Result<Asked, ResolveError> {
        let (name, policy_name) = (anchor.gateways(), anchor.policy());
        let (gateways, policy) = tokio::join!(biased; self.txt(&name), self.txt(&policy_name));
        let gateways = match gateways? {
            Texts::Found(answer) => answer,
            Texts::Nothing { kind, ttl, .. } => {
                return Ok(Asked::Absent(Absence { name: Some(name), kind, ttl }));
            }
        };
        let records = record::gateways(&gateways.records, self.chain, self.ports)
            .map_err(|what| ResolveError::Malformed { name: name.clone(), what })?;
        let found: Vec<_> = records.iter().filter_map(Gateway::of).collect();
        if found.is_empty() {
            return Ok(Asked::Null { ttl: gateways.ttl });
        }
        let mut published = Published {
            name,
            gateways: found,
            keys: Box::default(),
            policy: None,
            secure: gateways.secure == Security::Secure,
            ttl: gateways.ttl,
        };
        self.add_policy(&mut published, anchor, policy?).await?;
        Ok(Asked::Published(Arc::new(published)))
    }

    async fn add_policy(
        &self,
        published: &mut Published,
        anchor: &Anchor,
        policy: Texts,
    ) -> Result<(), ResolveError> {
        let answer = match policy {
            Texts::Found(answer) => answer,
            Texts::Nothing { ttl, secure, .. } => {
                // That there is no policy has to be proven too: who hides one takes the keys away.
                published.secure &= secure == Security::Secure;
                published.ttl = published.ttl.min(ttl.min(NO_POLICY_TTL_MAX));
                return Ok(());
            }
        };
        published.add(answer.secure, answer.ttl);
        let policy = record::policy(&answer.records, self.chain)
            .map_err(|what| ResolveError::Malformed { name: anchor.policy(), what })?;
        let Some(policy) = policy else { return Ok(()) };
        let asked = policy.selectors.iter().map(|selector| self.key(anchor, selector));
        let found = join_all(asked).await;
        let mut keys = Vec::with_capacity(policy.selectors.len());
        for (selector, key) in policy.selectors.iter().zip(found) {
            let (secure, ttl, record) = key?;
            // A policy that names a key which is not there is as malformed as one too many.
            let Some(record) = record else {
                let (version, expected) = (KeyRecord::VERSION, "exactly 1");
                let what = RecordError::Count { version, found: 0, expected };
                return Err(ResolveError::Malformed { name: anchor.key(selector), what });
            };
            published.add(secure, ttl);
            keys.push((selector.clone(), record));
        }
        published.keys = keys.into_boxed_slice();
        published.policy = Some(policy);
        Ok(())
    }

    /// What these selectors hold; none where there is nothing.
    pub(super) async fn keys(
        &self,
        anchor: &Anchor,
        selectors: &[Selector],
    ) -> Result<KeyAnswers, ResolveError> {
        let found = join_all(selectors.iter().map(|selector| self.key(anchor, selector))).await;
        let (mut records, mut level) = (BTreeMap::new(), TrustLevel::Dnssec);
        for (selector, key) in selectors.iter().zip(found) {
            let (secure, _, record) = key?;
            if secure != Security::Secure {
                level = TrustLevel::Pinned;
            }
            records.insert(selector.clone(), record);
        }
        Ok(KeyAnswers { records, level })
    }

    /// One key record, with what DNSSEC says of it and for how long it may be kept, in seconds.
    async fn key(
        &self,
        anchor: &Anchor,
        selector: &Selector,
    ) -> Result<(Security, u32, Option<KeyRecord>), ResolveError> {
        let name = anchor.key(selector);
        match self.txt(&name).await? {
            Texts::Found(answer) => {
                let record = record::key(&answer.records, self.chain)
                    .map_err(|what| ResolveError::Malformed { name, what })?;
                Ok((answer.secure, answer.ttl, Some(record)))
            }
            Texts::Nothing { secure, ttl, .. } => Ok((secure, ttl, None)),
        }
    }

    async fn txt(&self, name: &str) -> Result<Texts, ResolveError> {
        self.meter.count(name)?;
        match self.lookup.txt(name).await {
            Ok(answer) if answer.secure == Security::Bogus => {
                Err(temporary(name, LookupFailure::Bogus))
            }
            Ok(answer) => Ok(Texts::Found(answer)),
            Err(LookupError::NotFound { secure: Security::Bogus, .. }) => {
                Err(temporary(name, LookupFailure::Bogus))
            }
            Err(LookupError::NotFound { negative_ttl, kind, secure }) => {
                Ok(Texts::Nothing { kind, ttl: negative_ttl, secure })
            }
            Err(LookupError::Temporary(cause)) => Err(temporary(name, cause)),
        }
    }
}

impl Published {
    /// The whole is as secure, and as lasting, as the least of its answers.
    fn add(&mut self, secure: Security, ttl: u32) {
        self.secure &= secure == Security::Secure;
        self.ttl = self.ttl.min(ttl);
    }
}

enum Texts {
    Found(TxtAnswer),
    Nothing { kind: Negative, ttl: u32, secure: Security },
}

/// The addresses of a gateway. That there are none is never permanent: a record names the host.
pub(super) async fn addresses<L: Lookup>(
    lookup: &L,
    host: &HostName,
) -> Result<Fetched<Vec<IpAddr>>, ResolveError> {
    let name = host.as_str();
    match lookup.addresses(name).await {
        Ok(answer) if answer.secure == Security::Bogus => {
            Err(temporary(name, LookupFailure::Bogus))
        }
        Ok(answer) => Ok(Fetched { lifetime: Lifetime::of(answer.ttl), value: answer.addresses }),
        Err(LookupError::NotFound { kind, .. }) => {
            Err(temporary(name, LookupFailure::Vanished(kind)))
        }
        Err(LookupError::Temporary(cause)) => Err(temporary(name, cause)),
    }
}

fn temporary(name: &str, cause: LookupFailure) -> ResolveError {
    ResolveError::Temporary { name: name.to_owned(), cause }
}
