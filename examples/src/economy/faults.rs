//! What goes wrong in an economy, counted by kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use distpos_gateway::event::{Event, Events};
use distpos_proto::{code::Code, message::MessageId, receipt::Outcome};

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Messages that their destination refused for good.
    Refusals,
    /// Messages among them that came too late.
    Expiries,
    /// Messages that waited for room in their account.
    Suspensions,
    /// Deposits and settlements that changed a reserve.
    Settlements,
    /// Gateways that were killed and took up their spool again.
    Restarts,
    /// Gateways that were killed and began with an empty spool.
    SpoolsLost,
    /// Calls with receipts that nobody heard, or whose answer nobody heard.
    ReceiptsLost,
    /// Other calls that nobody heard.
    RequestsLost,
    /// Other calls that were done and whose answer nobody heard.
    AnswersLost,
    /// Questions that DNS did not answer.
    DnsFailures,
    /// Gateways that could not be reached for a while.
    GatewaysDown,
    /// Proofs that were changed on their way, and refused.
    ProofsRefused,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Refusals,
        Self::Expiries,
        Self::Suspensions,
        Self::Settlements,
        Self::Restarts,
        Self::SpoolsLost,
        Self::ReceiptsLost,
        Self::RequestsLost,
        Self::AnswersLost,
        Self::DnsFailures,
        Self::GatewaysDown,
        Self::ProofsRefused,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refusals => "refusals",
            Self::Expiries => "expiries",
            Self::Suspensions => "suspensions",
            Self::Settlements => "settlements",
            Self::Restarts => "restarts",
            Self::SpoolsLost => "spools_lost",
            Self::ReceiptsLost => "receipts_lost",
            Self::RequestsLost => "requests_lost",
            Self::AnswersLost => "answers_lost",
            Self::DnsFailures => "dns_failures",
            Self::GatewaysDown => "gateways_down",
            Self::ProofsRefused => "proofs_refused",
        }
    }
}

/// How often each kind of trouble came.
pub type Counts = BTreeMap<Fault, usize>;

/// Hears of everything, and counts.
#[derive(Default)]
pub(super) struct Witness(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    counts: Counts,
    /// Each message once, however often a gateway reads its chain.
    refused: BTreeSet<MessageId>,
    expired: BTreeSet<MessageId>,
    suspended: BTreeSet<MessageId>,
    ended: BTreeSet<MessageId>,
}

impl Witness {
    /// Counts something.
    pub(super) fn count(&self, fault: Fault, times: usize) {
        *self.seen().counts.entry(fault).or_default() += times;
    }

    /// How many messages have been closed or refunded.
    pub(super) fn ended(&self) -> usize {
        self.seen().ended.len()
    }

    /// How often each kind of trouble came, so far.
    pub(super) fn counts(&self) -> Counts {
        let seen = self.seen();
        let mut counts: Counts = Fault::ALL.into_iter().map(|fault| (fault, 0)).collect();
        counts.extend(seen.counts.iter().map(|(fault, times)| (*fault, *times)));
        counts.insert(Fault::Refusals, seen.refused.len());
        counts.insert(Fault::Expiries, seen.expired.len());
        counts.insert(Fault::Suspensions, seen.suspended.len());
        counts
    }

    /// Nothing panics while it is held, so a poisoned one is whole.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Witness {
    fn emit(&self, event: Event) {
        let mut seen = self.seen();
        match event {
            Event::Ended { id, outcome: Outcome::Refused { code, .. } } => {
                seen.refused.insert(id);
                if code == Code::EXPIRED {
                    seen.expired.insert(id);
                }
            }
            Event::Suspended { ids, .. } => seen.suspended.extend(ids),
            Event::Closed { id } | Event::Refunded { id } => _ = seen.ended.insert(id),
            Event::ProofInvalid { .. } => {
                *seen.counts.entry(Fault::ProofsRefused).or_default() += 1;
            }
            _ => {}
        }
    }
}
