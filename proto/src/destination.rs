//! How hard a destination is pressed: how many requests at a time, and when none at all.
//!
//! The concurrency starts at [`CONCURRENCY_START`] and moves with 1/N feedback, as Postfix's does:
//! at a concurrency of N it takes N answers in a row to gain one request at a time, and N refusals
//! to lose one. After [`FAILURES_MAX`] attempts in a row that reached nobody the breaker opens: who
//! comes then is told at once what the last attempt found, and the destination is probed after 30
//! seconds, then after twice as long each time, up to 300.
//!
//! What is queued keeps its own schedule ([`crate::retry`]); the first answer wakes it.

use std::time::Duration;

use crate::{retry::jittered, time::UnixMillis};

/// Requests at a time to a destination of which nothing is known.
pub const CONCURRENCY_START: u32 = 4;
/// Most requests at a time to one destination.
pub const CONCURRENCY_MAX: u32 = 16;
/// Attempts in a row that reach nobody until the breaker opens.
pub const FAILURES_MAX: u32 = 3;
/// Until the first probe.
pub const PROBE_FIRST: Duration = Duration::from_secs(30);
/// Most time between two probes.
pub const PROBE_MAX: Duration = Duration::from_secs(300);
/// Least time between two wakings by calls of the other side: a chain that calls each second and
/// cannot be reached must not make us try each second.
pub const WOKEN_EVERY: Duration = Duration::from_secs(30);

/// Parts of one request in which the concurrency is kept: it moves by fractions.
const PARTS: u32 = 1000;

/// What is known of reaching one destination. In memory only: it is learnt again in a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Requests at a time, in [`PARTS`].
    concurrency: u32,
    /// Attempts in a row that reached nobody.
    failures: u32,
    /// Set while the breaker is open.
    breaker: Option<Breaker>,
    /// When it last called here while something might wait for it.
    woken: Option<UnixMillis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Breaker {
    /// Until then nobody tries.
    until: UnixMillis,
    /// What `until` was set with, without jitter.
    wait: Duration,
}

impl Default for Destination {
    fn default() -> Self {
        Self { concurrency: CONCURRENCY_START * PARTS, failures: 0, breaker: None, woken: None }
    }
}

impl Destination {
    /// How many requests may be under way at a time: at least one.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        if self.failures > 0 {
            // One is enough to find out whether it is there again.
            return 1;
        }
        usize::try_from(self.concurrency / PARTS).unwrap_or(1)
    }

    /// Until when nobody may try it, if the breaker is open and no probe is due.
    #[must_use]
    pub fn shut_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        let until = self.breaker.map(|breaker| breaker.until).filter(|until| *until > now)?;
        // A clock that went back by a day must not shut it for that day.
        (until.since(now) <= PROBE_MAX.saturating_mul(2)).then_some(until)
    }

    /// When it is to be probed, if the breaker is open.
    #[must_use]
    pub fn probe_at(&self) -> Option<UnixMillis> {
        self.breaker.map(|breaker| breaker.until)
    }

    /// Whether nothing is known of it that a new one would not know too.
    #[must_use]
    pub fn is_unremarkable(&self) -> bool {
        self.failures == 0 && self.concurrency >= CONCURRENCY_START * PARTS
    }

    /// It answered. Whether it had failed before: then what is queued for it is worth another try.
    pub fn answered(&mut self) -> bool {
        let gain = PARTS * PARTS / self.concurrency;
        self.concurrency = (self.concurrency + gain).min(CONCURRENCY_MAX * PARTS);
        self.breaker = None;
        std::mem::take(&mut self.failures) > 0
    }

    /// It answered that this is not the moment.
    pub fn refused(&mut self) {
        let loss = PARTS * PARTS / self.concurrency;
        self.concurrency = self.concurrency.saturating_sub(loss).max(PARTS);
    }

    /// Nobody there was reached. Whether that opened the breaker. `jitter` is any random number.
    pub fn failed(&mut self, now: UnixMillis, jitter: u64) -> bool {
        if self.shut_until(now).is_some() {
            // Begun before it opened: one cause, not another one.
            return false;
        }
        self.refused();
        self.failures = self.failures.saturating_add(1);
        let wait = match self.breaker {
            Some(breaker) => breaker.wait.saturating_mul(2).min(PROBE_MAX),
            None if self.failures >= FAILURES_MAX => PROBE_FIRST,
            None => return false,
        };
        let opened = self.breaker.is_none();
        // When it is there again it is pressed no more than one of which nothing is known.
        self.concurrency = self.concurrency.min(CONCURRENCY_START * PARTS);
        self.breaker = Some(Breaker { until: now.after(jittered(wait, jitter)), wait });
        opened
    }

    /// It called here (RFC 1123, 5.3.1.1): it may be there again. Whether what is queued for it is
    /// to be tried now.
    pub fn called(&mut self, now: UnixMillis) -> bool {
        let before = self.woken;
        let lately = before.is_some_and(|at| at <= now && now.since(at) < WOKEN_EVERY);
        // The first time something may wait that was put off before the process started.
        if lately || (self.failures == 0 && before.is_some()) {
            return false;
        }
        self.woken = Some(now);
        if let Some(breaker) = &mut self.breaker {
            breaker.until = now;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u64 = 1 << 63;
    const START: UnixMillis = UnixMillis(1_000_000);

    fn at(seconds: u64) -> UnixMillis {
        START.after(Duration::from_secs(seconds))
    }

    fn answers(destination: &mut Destination, number: usize) -> usize {
        for _ in 0..number {
            destination.answered();
        }
        destination.concurrency()
    }

    #[test]
    fn a_destination_that_answers_earns_more_requests_at_a_time_the_slower_the_more_it_has() {
        let mut destination = Destination::default();
        assert_eq!(destination.concurrency(), 4);
        // 1/4, then a little less each time.
        assert_eq!(answers(&mut destination, 4), 4);
        assert_eq!(answers(&mut destination, 1), 5);
        assert_eq!(answers(&mut destination, 1_000), 16);
    }

    #[test]
    fn one_that_refuses_loses_them_and_keeps_one() {
        let mut destination = Destination::default();
        let found: Vec<_> = (0..12)
            .map(|_| {
                destination.refused();
                destination.concurrency()
            })
            .collect();
        assert_eq!(found, [3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(destination.shut_until(START), None, "it is there, and says so");
        assert!(!destination.is_unremarkable());
    }

    #[test]
    fn the_third_failure_in_a_row_opens_the_breaker_and_an_answer_between_starts_the_count_anew() {
        let mut destination = Destination::default();
        assert!(!destination.failed(START, MIDDLE));
        assert_eq!(destination.concurrency(), 1, "one finds out");
        assert!(!destination.failed(START, MIDDLE));
        assert!(destination.answered());
        assert!(!destination.answered(), "told once");
        assert!(!destination.failed(START, MIDDLE));
        assert!(!destination.failed(START, MIDDLE));
        assert_eq!(destination.shut_until(START), None);
        assert!(destination.failed(START, MIDDLE));
        assert_eq!(destination.shut_until(at(0)), Some(at(30)));
        assert_eq!(destination.shut_until(UnixMillis(at(30).0 - 1)), Some(at(30)));
        assert_eq!(destination.shut_until(at(30)), None, "a probe is due");
    }

    #[test]
    fn probes_come_after_30_60_120_240_and_then_every_300_seconds() {
        let mut destination = Destination::default();
        let (mut now, mut waits) = (START, Vec::new());
        for _ in 0..3 {
            destination.failed(now, MIDDLE);
        }
        for _ in 0..6 {
            let next = destination.probe_at().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
            assert!(!destination.failed(now, MIDDLE), "it is open already");
        }
        assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
        assert!(destination.answered());
        assert_eq!(destination.probe_at(), None);
        assert!((1..=4).contains(&destination.concurrency()));
        // The next time it begins anew.
        for _ in 0..3 {
            destination.failed(now, MIDDLE);
        }
        assert_eq!(destination.shut_until(now), Some(now.after(PROBE_FIRST)));
    }

    #[test]
    fn requests_that_were_under_way_when_it_opened_are_one_failure() {
        let mut destination = Destination::default();
        let opened = (0..16).filter(|_| destination.failed(START, MIDDLE)).count();
        assert_eq!(opened, 1);
        assert_eq!(destination.shut_until(START), Some(at(30)));
    }

    #[test]
    fn a_call_from_there_is_a_reason_to_try_but_not_each_second() {
        let mut destination = Destination::default();
        assert!(destination.called(START), "what failed before the process started is not known");
        assert!(!destination.called(at(60)), "nothing was wrong");
        for _ in 0..3 {
            destination.failed(at(60), MIDDLE);
        }
        assert!(destination.called(at(61)));
        assert_eq!(destination.shut_until(at(61)), None);
        assert!(!destination.failed(at(62), MIDDLE), "it cannot be reached all the same");
        assert!(!destination.called(at(63)));
        assert!(destination.shut_until(at(63)).is_some());
        assert!(destination.called(at(91)));
    }

    #[test]
    fn a_clock_that_went_back_does_not_keep_a_call_from_waking() {
        let mut destination = Destination::default();
        destination.failed(at(100), MIDDLE);
        assert!(destination.called(at(100)));
        assert!(destination.called(at(10)));
    }

    #[test]
    fn a_clock_that_went_back_by_a_day_does_not_shut_a_destination_for_that_day() {
        let mut destination = Destination::default();
        for _ in 0..3 {
            destination.failed(at(86_400), MIDDLE);
        }
        assert_eq!(destination.shut_until(at(86_429)), Some(at(86_430)));
        assert_eq!(destination.shut_until(START), None);
        // Probed now, it is shut by the new clock.
        destination.failed(START, MIDDLE);
        assert_eq!(destination.shut_until(START), Some(at(60)));
    }
}
