//! Counts what name servers are asked.

use std::sync::Arc;

use async_trait::async_trait;
use distpos_resolver::{
    AddressAnswer, Lookup, LookupError, LookupFailure, Negative, Security, TxtAnswer,
};

use super::{Metrics, table};

/// Asks, and counts what came of it.
pub struct CountedLookup<L> {
    lookup: L,
    metrics: Arc<Metrics>,
}

impl<L> CountedLookup<L> {
    /// Asks `lookup`, counts in `metrics`.
    #[must_use]
    pub fn new(lookup: L, metrics: Arc<Metrics>) -> Self {
        Self { lookup, metrics }
    }

    fn count(&self, kind: &'static str, result: Result<Security, &LookupError>) {
        let (result, secure) = match result {
            Ok(secure) => ("found", Some(secure)),
            Err(LookupError::NotFound { kind, secure, .. }) => {
                let word = match kind {
                    Negative::NxDomain => "nxdomain",
                    Negative::NoData => "nodata",
                };
                (word, Some(*secure))
            }
            Err(LookupError::Temporary(failure)) => (failure_word(failure), None),
        };
        let labels = [kind.into(), result.into(), secure_word(secure).into()];
        self.metrics.registry.add(&table::DNS_LOOKUPS, &labels, 1);
    }
}

fn failure_word(failure: &LookupFailure) -> &'static str {
    match failure {
        LookupFailure::ServFail => "servfail",
        LookupFailure::Refused => "refused",
        LookupFailure::Timeout => "timeout",
        LookupFailure::Bogus => "bogus",
        LookupFailure::Vanished(_) => "vanished",
        LookupFailure::Name => "name",
        LookupFailure::Other(_) => "other",
    }
}

fn secure_word(secure: Option<Security>) -> &'static str {
    match secure {
        Some(Security::Bogus) => "bogus",
        Some(Security::Indeterminate) => "indeterminate",
        Some(Security::Insecure) => "insecure",
        Some(Security::Secure) => "secure",
        None => "none",
    }
}

#[async_trait]
impl<L: Lookup> Lookup for CountedLookup<L> {
    async fn txt(&self, name: &str) -> Result<TxtAnswer, LookupError> {
        let answer = self.lookup.txt(name).await;
        self.count("txt", answer.as_ref().map(|answer| answer.secure));
        answer
    }

    async fn addresses(&self, name: &str) -> Result<AddressAnswer, LookupError> {
        let answer = self.lookup.addresses(name).await;
        self.count("address", answer.as_ref().map(|answer| answer.secure));
        answer
    }
}
