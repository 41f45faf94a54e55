//! Every metric there is. Names and labels are an interface: dashboards and rules are built on them,
//! so they are added to, and never changed.

/// What a metric is, and how it is told.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Its labels, in their order.
    pub labels: &'static [&'static str],
    /// What it says, and in which unit, in one line.
    pub help: &'static str,
    /// What is told for several chains together that have no series of their own.
    pub merge: Merge,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, until the process or the series begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many lie below each of these bounds.
    Histogram(&'static [f64]),
    /// How many, and their sum.
    Summary,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// How values of several chains become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// All together.
    Sum,
    /// The largest: of what is worse the larger it is.
    Max,
    /// The least: of what is worse the smaller it is.
    Min,
}

impl Merge {
    pub(super) fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => a + b,
            Self::Max => a.max(b),
            Self::Min => a.min(b),
        }
    }
}

/// Bounds in seconds, from one block of a fast chain to the latest expiry of a message.
const DELIVERY_BOUNDS: &[f64] = &[
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0,
    432_000.0,
];
/// Bounds in seconds, from a header whose signatures are known to a block full of receipts.
const VERIFY_BOUNDS: &[f64] = &[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

const fn define(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    merge: Merge,
    help: &'static str,
) -> Definition {
    Definition { name, kind, labels, help, merge }
}

use Kind::{Counter, Gauge, Histogram, Summary};
use Merge::{Max, Min, Sum};

/// What waits.
pub static QUEUE_MESSAGES: Definition = define(
    "distpos_queue_messages",
    Gauge,
    &["direction", "chain", "state", "reason"],
    Sum,
    "Messages in the queue. reason: the reply code of what they wait for, none, or unread.",
);
/// How long.
pub static QUEUE_OLDEST: Definition = define(
    "distpos_queue_oldest_age_seconds",
    Gauge,
    &["chain"],
    Max,
    "Age of the oldest message in the queue to or from the chain.",
);
/// How long each step took.
pub static DELIVERY: Definition = define(
    "distpos_delivery_seconds",
    Histogram(DELIVERY_BOUNDS),
    &["phase"],
    Sum,
    "Time that ended messages spent in each state; outbound and inbound: in all of them.",
);
/// Taken by the peer.
pub static ACCEPTED: Definition = define(
    "distpos_accepted_total",
    Counter,
    &["chain"],
    Sum,
    "Outbound messages that a gateway of the chain has on its disk.",
);
/// Ended well.
pub static DELIVERED: Definition = define(
    "distpos_delivered_total",
    Counter,
    &["chain"],
    Sum,
    "Messages to or from the chain that ended as delivered, in a final block here.",
);
/// Put off.
pub static DEFERRED: Definition = define(
    "distpos_deferred_total",
    Counter,
    &["chain", "code"],
    Sum,
    "Attempts after which messages have to wait, counted by message.",
);
/// Ended otherwise.
pub static REFUSED: Definition = define(
    "distpos_refused_total",
    Counter,
    &["chain", "code"],
    Sum,
    "Messages to or from the chain that ended as refused or refunded, in a final block here.",
);
/// What evidence came to.
pub static PROOF_VERIFY: Definition = define(
    "distpos_proof_verify_total",
    Counter,
    &["family", "result"],
    Sum,
    "Evidence judged, one a block. result: proven, not_yet, invalid, conflict.",
);
/// How long judging took.
pub static PROOF_VERIFY_SECONDS: Definition = define(
    "distpos_proof_verify_seconds",
    Histogram(VERIFY_BOUNDS),
    &["family"],
    Sum,
    "Time that judging the evidence of one block took.",
);
/// Questions to DNS.
pub static DNS_LOOKUPS: Definition = define(
    "distpos_dns_lookups_total",
    Counter,
    &["type", "result", "secure"],
    Sum,
    "Questions to name servers. type: txt, address. secure: what DNSSEC says, none of a failure.",
);
/// What needed none.
pub static DNS_CACHE: Definition = define(
    "distpos_dns_cache_total",
    Counter,
    &["result"],
    Sum,
    "Questions to the cache. result: hit, miss, backed_off (the servers failed a moment ago).",
);
/// The books.
pub static ACCOUNT_BALANCE: Definition = define(
    "distpos_account_balance",
    Gauge,
    &["chain", "asset"],
    Sum,
    "What the peer owes (above 0) or is owed (below 0), in the asset's smallest unit.",
);
/// How near the limit.
pub static ACCOUNT_UTILISATION: Definition = define(
    "distpos_account_utilisation_ratio",
    Gauge,
    &["chain", "asset"],
    Max,
    "Used part of credit limit and reserve, 0 to 1, in hundredths.",
);
/// How fresh what is known of a chain is.
pub static TRUST_HEAD_AGE: Definition = define(
    "distpos_trust_head_age_seconds",
    Gauge,
    &["chain"],
    Max,
    "Age of the newest authenticated block of the chain; of the own chain: of its final head.",
);
/// How long it lasts.
pub static TRUST_EXPIRY: Definition = define(
    "distpos_trust_expiry_seconds",
    Gauge,
    &["chain"],
    Min,
    "Until the keys known by DNS end if nothing confirms them; below 0: they have ended.",
);
/// The disk's pace.
pub static SPOOL_COMMIT: Definition = define(
    "distpos_spool_commit_seconds",
    Summary,
    &[],
    Sum,
    "Time spent in commits of the spool, each with its flush.",
);
/// The disk's room.
pub static SPOOL_FREE: Definition = define(
    "distpos_spool_free_ratio",
    Gauge,
    &[],
    Min,
    "Free part of the spool's file system, 0 to 1; below 0.1 nothing is taken in.",
);
/// Whether it is too much.
pub static LOAD_SHED: Definition = define(
    "distpos_load_shed",
    Gauge,
    &["cause"],
    Max,
    "1 while nothing is taken in or begun for this cause: disk, flush, memory.",
);
/// What should not have happened.
pub static WATCHDOG: Definition = define(
    "distpos_watchdog_total",
    Counter,
    &[],
    Sum,
    "What the watchdogs found: tasks that died or hang, jobs without end, stuck batches.",
);
/// Who is alive.
pub static TASK_ALIVE: Definition = define(
    "distpos_task_alive",
    Gauge,
    &["task"],
    Min,
    "1 while the task shows signs of life in its time, else 0.",
);
/// Which version.
pub static BUILD_INFO: Definition =
    define("distpos_build_info", Gauge, &["version"], Max, "1, for its label.");

/// All of them, in the order in which they are told.
pub static ALL: [&Definition; 21] = [
    &QUEUE_MESSAGES,
    &QUEUE_OLDEST,
    &DELIVERY,
    &ACCEPTED,
    &DELIVERED,
    &DEFERRED,
    &REFUSED,
    &PROOF_VERIFY,
    &PROOF_VERIFY_SECONDS,
    &DNS_LOOKUPS,
    &DNS_CACHE,
    &ACCOUNT_BALANCE,
    &ACCOUNT_UTILISATION,
    &TRUST_HEAD_AGE,
    &TRUST_EXPIRY,
    &SPOOL_COMMIT,
    &SPOOL_FREE,
    &LOAD_SHED,
    &WATCHDOG,
    &TASK_ALIVE,
    &BUILD_INFO,
];
