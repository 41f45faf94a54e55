//! The numbers themselves: series by labels, bounded in number, told as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use distpos_proto::chain::ChainId;
use tokio::time::Instant;

use super::table::{ALL, Definition, Kind};

/// How long a chain of which nothing happens keeps its series.
pub const IDLE_AFTER: Duration = Duration::from_mins(10);
/// Most chains with series of their own beside correspondents: strangers name as many as they like,
/// and each costs some twenty series here and in whatever stores them.
pub const CHAINS_MAX: usize = 200;
/// The chain in the labels of all that have no series of their own.
pub const OTHER: &str = "other";

/// What a series is about.
#[derive(Debug, Clone, Copy)]
pub enum Label<'a> {
    /// A chain; perhaps told as [`OTHER`].
    Chain(ChainId),
    /// A word out of a short list, never what a peer has written.
    Word(&'a str),
}

impl From<ChainId> for Label<'_> {
    fn from(chain: ChainId) -> Self {
        Self::Chain(chain)
    }
}

impl<'a> From<&'a str> for Label<'a> {
    fn from(word: &'a str) -> Self {
        Self::Word(word)
    }
}

/// All series. Every method is short, and locks for no longer than it takes.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Series>);

#[derive(Debug, Default)]
struct Series {
    families: BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>,
    /// Chains with series of their own, and when something happened last.
    chains: BTreeMap<ChainId, Instant>,
    /// Chains that always have them: named by the operator, or with an account.
    correspondents: BTreeSet<ChainId>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Count(u64),
    Gauge(f64),
    /// Each bucket by itself (not added up), the sum, and the count.
    Histogram(Vec<u64>, f64, u64),
    Summary(f64, u64),
}

impl Registry {
    fn series(&self) -> MutexGuard<'_, Series> {
        // Numbers: a panic leaves nothing half done that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to a counter.
    pub fn add(&self, metric: &'static Definition, labels: &[Label<'_>], more: u64) {
        let mut series = self.series();
        let key = series.key(metric, labels);
        if let Value::Count(count) = series.value(metric, key) {
            *count = count.saturating_add(more);
        }
    }

    /// Sets a counter that is counted elsewhere.
    pub fn set_count(&self, metric: &'static Definition, labels: &[Label<'_>], count: u64) {
        let mut series = self.series();
        let key = series.key(metric, labels);
        *series.value(metric, key) = Value::Count(count);
    }

    /// Sets a summary that is counted elsewhere; the sum is in the metric's unit.
    pub fn set_summary(&self, metric: &'static Definition, sum: f64, count: u64) {
        *self.series().value(metric, Vec::new()) = Value::Summary(sum, count);
    }

    /// Puts a value into a histogram.
    pub fn observe(&self, metric: &'static Definition, labels: &[Label<'_>], value: f64) {
        let Kind::Histogram(bounds) = metric.kind else { return };
        let mut series = self.series();
        let key = series.key(metric, labels);
        if let Value::Histogram(buckets, sum, count) = series.value(metric, key) {
            if let Some(bucket) = bounds.iter().position(|bound| value <= *bound) {
                buckets[bucket] += 1;
            }
            *sum += value;
            *count += 1;
        }
    }

    /// Sets all values of a gauge: a series that is not among them is gone. A chain that has one is
    /// not idle.
    pub fn replace(
        &self,
        metric: &'static Definition,
        values: impl IntoIterator<Item = (Vec<Label<'static>>, f64)>,
    ) {
        let mut series = self.series();
        let mut all: BTreeMap<Vec<String>, Value> = BTreeMap::new();
        for (labels, value) in values {
            let key = series.key(metric, &labels);
            let merged = match all.get(&key) {
                Some(Value::Gauge(before)) => metric.merge.of(*before, value),
                _ => value,
            };
            all.insert(key, Value::Gauge(merged));
        }
        series.families.insert(metric.name, all);
    }

    /// [`Registry::replace`] for a gauge by chain and asset. Assets are the operator's: accounts are
    /// opened by nobody else.
    pub fn replace_named(
        &self,
        metric: &'static Definition,
        values: BTreeMap<(ChainId, String), f64>,
    ) {
        let mut series = self.series();
        let mut all: BTreeMap<Vec<String>, Value> = BTreeMap::new();
        for ((chain, asset), value) in values {
            let key = vec![series.chain(chain), asset];
            all.insert(key, Value::Gauge(value));
        }
        series.families.insert(metric.name, all);
    }

    /// Sets the chains that always have series of their own.
    pub fn set_correspondents(&self, chains: BTreeSet<ChainId>) {
        self.series().correspondents = chains;
    }

    /// Whether something of the chain is told beside what it has in common with all others.
    #[must_use]
    pub fn has_series(&self, chain: ChainId) -> bool {
        let series = self.series();
        series.correspondents.contains(&chain) || series.chains.contains_key(&chain)
    }

    /// Everything in Prometheus' text format 0.0.4, without what has been idle for too long.
    #[must_use]
    pub fn text(&self) -> String {
        let mut series = self.series();
        series.prune();
        let mut text = String::new();
        for metric in ALL {
            let (name, word) = (metric.name, metric.kind.word());
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {word}", metric.help);
            for (labels, value) in series.families.get(name).into_iter().flatten() {
                write_series(&mut text, metric, labels, value);
            }
        }
        text
    }
}

impl Series {
    fn key(&mut self, metric: &'static Definition, labels: &[Label<'_>]) -> Vec<String> {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let word = |label: &Label<'_>| match label {
            Label::Word(word) => (*word).to_owned(),
            Label::Chain(chain) => self.chain(*chain),
        };
        labels.iter().map(word).collect()
    }

    /// What the label says of a chain of which something happens.
    fn chain(&mut self, chain: ChainId) -> String {
        let now = Instant::now();
        if let Some(at) = self.chains.get_mut(&chain) {
            *at = now;
            return chain.to_string();
        }
        if !self.correspondents.contains(&chain) {
            let strangers =
                self.chains.keys().filter(|one| !self.correspondents.contains(one)).count();
            if strangers >= CHAINS_MAX {
                return OTHER.to_owned();
            }
        }
        self.chains.insert(chain, now);
        chain.to_string()
    }

    fn value(&mut self, metric: &'static Definition, key: Vec<String>) -> &mut Value {
        let new = || match metric.kind {
            Kind::Counter => Value::Count(0),
            Kind::Gauge => Value::Gauge(0.0),
            Kind::Histogram(bounds) => Value::Histogram(vec![0; bounds.len()], 0.0, 0),
            Kind::Summary => Value::Summary(0.0, 0),
        };
        self.families.entry(metric.name).or_default().entry(key).or_insert_with(new)
    }

    /// Forgets the chains of which nothing has happened for [`IDLE_AFTER`].
    fn prune(&mut self) {
        let mut idle = BTreeSet::new();
        self.chains.retain(|chain, at| {
            let keeps = at.elapsed() < IDLE_AFTER;
            if !keeps {
                idle.insert(chain.to_string());
            }
            keeps
        });
        if idle.is_empty() {
            return;
        }
        for metric in ALL {
            let Some(at) = metric.labels.iter().position(|label| *label == "chain") else {
                continue;
            };
            if let Some(family) = self.families.get_mut(metric.name) {
                family.retain(|labels, _| !idle.contains(&labels[at]));
            }
        }
    }
}

fn write_series(text: &mut String, metric: &Definition, labels: &[String], value: &Value) {
    let pairs: Vec<String> = metric
        .labels
        .iter()
        .zip(labels)
        .map(|(name, value)| format!("{name}=\"{}\"", Escaped(value)))
        .collect();
    let mut line = |suffix: &str, more: Option<String>, number: String| {
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).chain(more.as_deref()).collect();
        let labels =
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(text, "{}{suffix}{labels} {number}", metric.name);
    };
    match (value, metric.kind) {
        (Value::Count(count), _) => line("", None, count.to_string()),
        (Value::Gauge(value), _) => line("", None, number(*value)),
        (Value::Summary(sum, count), _) => {
            line("_sum", None, number(*sum));
            line("_count", None, count.to_string());
        }
        (Value::Histogram(buckets, sum, count), Kind::Histogram(bounds)) => {
            let mut below = 0_u64;
            for (bound, bucket) in bounds.iter().zip(buckets) {
                below += bucket;
                line("_bucket", Some(format!("le=\"{bound}\"")), below.to_string());
            }
            line("_bucket", Some("le=\"+Inf\"".to_owned()), count.to_string());
            line("_sum", None, number(*sum));
            line("_count", None, count.to_string());
        }
        (Value::Histogram(..), _) => {}
    }
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// A label's value as the text format wants it.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::table;

    fn chain(number: u32) -> ChainId {
        format!("{number:x}").parse().unwrap()
    }

    fn lines(registry: &Registry, name: &str) -> Vec<String> {
        let text = registry.text();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_is_told_as_prometheus_reads_it() {
        let registry = Registry::default();
        registry.add(&table::DEFERRED, &[chain(0xb1c2).into(), "4.4.1".into()], 3);
        registry.observe(&table::PROOF_VERIFY_SECONDS, &["ledger".into()], 0.002);
        registry.observe(&table::PROOF_VERIFY_SECONDS, &["ledger".into()], 9.0);
        registry.set_summary(&table::SPOOL_COMMIT, 1.5, 4);
        registry.replace(&table::BUILD_INFO, [(vec![Label::Word("a\"\\\n")], 1.0)]);
        assert_eq!(
            lines(&registry, "distpos_deferred"),
            ["distpos_deferred_total{chain=\"b1c2\",code=\"4.4.1\"} 3"]
        );
        let seconds = lines(&registry, "distpos_proof_verify_seconds");
        let bucket = |bound: &str, count: u32| {
            let labels = format!("{{family=\"ledger\",le=\"{bound}\"}}");
            format!("distpos_proof_verify_seconds_bucket{labels} {count}")
        };
        for (bound, count) in [("0.001", 0), ("0.005", 1), ("5", 1), ("+Inf", 2)] {
            assert!(seconds.contains(&bucket(bound, count)), "{seconds:?}");
        }
        assert_eq!(
            seconds[seconds.len() - 2..],
            [
                "distpos_proof_verify_seconds_sum{family=\"ledger\"} 9.002",
                "distpos_proof_verify_seconds_count{family=\"ledger\"} 2"
            ]
        );
        assert_eq!(
            lines(&registry, "distpos_spool_commit"),
            ["distpos_spool_commit_seconds_sum 1.5", "distpos_spool_commit_seconds_count 4"]
        );
        assert_eq!(
            lines(&registry, "distpos_build"),
            ["distpos_build_info{version=\"a\\\"\\\\\\n\"} 1"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_share_a_series_once_there_are_many_and_correspondents_never_do() {
        let registry = Registry::default();
        registry.set_correspondents([chain(1)].into());
        for number in 2..1_000 {
            registry.add(&table::DELIVERED, &[chain(number).into()], 1);
        }
        registry.add(&table::DELIVERED, &[chain(1).into()], 7);
        let told = lines(&registry, "distpos_delivered");
        assert_eq!(told.len(), CHAINS_MAX + 2, "200 strangers, a correspondent, all others");
        assert!(told.contains(&"distpos_delivered_total{chain=\"1\"} 7".to_owned()));
        assert!(told.contains(&"distpos_delivered_total{chain=\"other\"} 798".to_owned()));
        // What is worst of the others is told, not a sum that means nothing.
        let ages = (2..1_000).map(|number| (vec![chain(number).into()], f64::from(number)));
        registry.replace(&table::QUEUE_OLDEST, ages);
        let other = "distpos_queue_oldest_age_seconds{chain=\"other\"} 999".to_owned();
        assert!(lines(&registry, "distpos_queue_oldest").contains(&other));
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_of_which_nothing_happens_loses_its_series_after_ten_minutes() {
        let registry = Registry::default();
        registry.add(&table::DELIVERED, &[chain(2).into()], 1);
        registry.add(&table::PROOF_VERIFY, &["evm".into(), "proven".into()], 1);
        tokio::time::advance(IDLE_AFTER - Duration::from_secs(1)).await;
        assert_eq!(lines(&registry, "distpos_delivered").len(), 1);
        registry.add(&table::DELIVERED, &[chain(3).into()], 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        let left = ["distpos_delivered_total{chain=\"3\"} 1"];
        assert_eq!(lines(&registry, "distpos_delivered"), left);
        assert!(!registry.has_series(chain(2)));
        tokio::time::advance(IDLE_AFTER).await;
        assert!(lines(&registry, "distpos_delivered").is_empty());
        assert_eq!(lines(&registry, "distpos_proof_verify_total").len(), 1, "is of no chain");
    }
}
