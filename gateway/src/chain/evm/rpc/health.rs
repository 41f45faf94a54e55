//! What is remembered of a node, and in which order nodes are asked: pure, time comes in.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Longest rest of a node that goes on failing: so soon it is noticed that it works again.
const REST_MAX: Duration = Duration::from_secs(120);
/// How long a node that asks for less is left alone if it does not say.
const LIMIT_WAIT_DEFAULT: Duration = Duration::from_secs(1);
/// Longest time that a node's `Retry-After` is obeyed: it may be any number.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a method that a node does not have is not asked for again: it may be replaced.
const LACK_TIME: Duration = Duration::from_secs(600);

/// Whether a node is of the right chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// It was not asked yet, or it was gone meanwhile and may come back as another.
    #[default]
    Unchecked,
    /// It is.
    Right,
    /// It is not: what was found and expected.
    Wrong(String),
}

/// How a node fared.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: u32,
    /// Asked last until then.
    rest: Option<Instant>,
    /// After its rest, it is well again once it still works then.
    trial: Option<Instant>,
    /// Not asked at all until then.
    limited: Option<Instant>,
    limits: u32,
    /// Its newest block is old, while another node's is not.
    stalled: bool,
    lacks: BTreeMap<&'static str, Instant>,
}

impl Health {
    /// It failed. True if it was well before.
    pub(super) fn failed(&mut self, now: Instant, rest_min: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.rest = Some(now + pause(self.failures, rest_min));
        self.trial = None;
        self.failures == 1
    }

    /// It worked. True if it is well again: one that works and fails in turn is not.
    pub(super) fn worked(&mut self, now: Instant, rest_min: Duration) -> bool {
        self.limits = 0;
        if self.failures == 0 || self.is_resting(now) {
            return false;
        }
        match self.trial {
            None => {
                self.trial = Some(now + pause(self.failures, rest_min));
                false
            }
            Some(end) if now < end => false,
            Some(_) => {
                (self.failures, self.rest, self.trial) = (0, None, None);
                true
            }
        }
    }

    /// It wants to be asked less.
    pub(super) fn limited(&mut self, now: Instant, wait: Option<Duration>) {
        self.limits = self.limits.saturating_add(1);
        let wait = wait.unwrap_or_else(|| pause(self.limits, LIMIT_WAIT_DEFAULT));
        self.limited = Some(now + wait.min(LIMIT_WAIT_MAX));
    }

    /// How long it is to be left alone.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.limited.map(|end| end.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rest.is_some_and(|end| end > now)
    }

    /// It stands still where others do not, or does not any more. True if that is new.
    pub(super) fn stalled(&mut self, stalled: bool) -> bool {
        std::mem::replace(&mut self.stalled, stalled) != stalled
    }

    /// It does not have this method.
    pub(super) fn lacks(&mut self, call: &'static str, now: Instant) {
        self.lacks.insert(call, now + LACK_TIME);
    }

    pub(super) fn is_lacking(&self, call: &str, now: Instant) -> bool {
        self.lacks.get(call).is_some_and(|end| *end > now)
    }

    /// When it may be asked, and for how long it was not well: the order among those that rest.
    fn ready(&self, now: Instant) -> Option<Instant> {
        self.rest.max(self.limited).filter(|end| *end > now)
    }
}

/// `least` for the first time, then twice as long each time, up to [`REST_MAX`].
fn pause(times: u32, least: Duration) -> Duration {
    let doubled = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    least.saturating_mul(doubled).min(REST_MAX)
}

/// The order in which nodes are asked: those that are well as configured, then those that stand
/// still, then those that rest, the one whose rest ends first before the others. Nobody is left out: a last resort may work.
pub(super) fn order<'a>(all: impl Iterator<Item = &'a Health>, now: Instant) -> Vec<usize> {
    let place = |(index, health): (usize, &Health)| (health.ready(now), health.stalled, index);
    let mut order: Vec<_> = all.enumerate().map(place).collect();
    order.sort_by_key(|(ready, stalled, index)| {
        // One that stands still answers, if with what is old: better than one that fails.
        (ready.is_some(), *stalled, *ready, *index)
    });
    order.into_iter().map(|(_, _, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(5);

    fn order_at(all: &[Health], now: Instant) -> Vec<usize> {
        order(all.iter(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_failed_is_asked_last_and_then_in_its_place_again() {
        let start = Instant::now();
        let mut all = [Health::default(), Health::default(), Health::default()];
        assert_eq!(order_at(&all, start), [0, 1, 2]);
        assert!(all[0].failed(start, LEAST), "it was well");
        assert_eq!(order_at(&all, start), [1, 2, 0]);
        assert!(all[1].failed(start + LEAST / 2, LEAST));
        assert_eq!(order_at(&all, start + LEAST / 2), [2, 0, 1], "who rests less comes first");
        assert_eq!(order_at(&all, start + LEAST), [0, 2, 1]);

        // It fails again, and rests twice as long; nobody is told a second time.
        assert!(!all[0].failed(start + LEAST, LEAST));
        assert_eq!(order_at(&all, start + LEAST * 2), [1, 2, 0]);
        assert_eq!(order_at(&all, start + LEAST * 3), [0, 1, 2]);
        assert!(all[0].stalled(true) && !all[0].stalled(true), "told once");
        assert_eq!(order_at(&all, start + LEAST * 3), [1, 2, 0]);
        all[2].failed(start + LEAST * 3, LEAST);
        assert_eq!(order_at(&all, start + LEAST * 3), [1, 0, 2], "old answers before none");
        assert!(all[0].stalled(false));
        for _ in 0..100 {
            all[0].failed(start, LEAST);
        }
        assert!(!all[0].is_resting(start + REST_MAX), "a rest has its end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_well_again_only_when_it_goes_on_working() {
        let start = Instant::now();
        let mut health = Health::default();
        assert!(!health.worked(start, LEAST), "it was never ill");
        health.failed(start, LEAST);
        assert!(!health.worked(start, LEAST), "a last resort that worked");
        assert!(!health.worked(start + LEAST, LEAST));
        assert!(!health.failed(start + LEAST, LEAST), "it works and fails in turn: nothing new");
        let later = start + LEAST * 3;
        assert!(!health.worked(later, LEAST));
        assert!(!health.worked(later + LEAST, LEAST));
        assert!(health.worked(later + LEAST * 2, LEAST));
        assert!(health.failed(later + LEAST * 2, LEAST), "and ill anew");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_obeyed_within_a_bound() {
        let start = Instant::now();
        let mut health = Health::default();
        assert_eq!(health.wait(start), None);
        health.limited(start, Some(Duration::from_secs(7)));
        assert_eq!(health.wait(start), Some(Duration::from_secs(7)));
        assert_eq!(health.wait(start + Duration::from_secs(7)), None);
        health.limited(start, Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(health.wait(start), Some(LIMIT_WAIT_MAX));
        health.worked(start, LEAST);
        health.limited(start, None);
        assert_eq!(health.wait(start), Some(LIMIT_WAIT_DEFAULT));
        health.limited(start, None);
        assert_eq!(health.wait(start), Some(LIMIT_WAIT_DEFAULT * 2));
        let well = Health::default();
        assert_eq!(order_at(&[health, well], start), [1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_method_that_is_not_there_is_asked_for_again_after_a_while() {
        let start = Instant::now();
        let mut health = Health::default();
        health.lacks("eth_getBlockReceipts", start);
        assert!(health.is_lacking("eth_getBlockReceipts", start));
        assert!(!health.is_lacking("eth_getLogs", start));
        assert!(!health.is_lacking("eth_getBlockReceipts", start + LACK_TIME));
    }
}
