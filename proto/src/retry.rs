//! When to try again, by cause: a pure schedule (`docs/protocol.md`, *Retries*).

use std::time::Duration;

/// Why something has to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Not final yet, or the proof is not ready: a block later it may be. With the chain's block
    /// time where it is known, else [`NOT_READY_DEFAULT`].
    NotReady {
        /// From one block to the next.
        block_time: Option<Duration>,
    },
    /// No gateway of the chain could be reached, or no look-up succeeded.
    Unreachable,
    /// A gateway answered with a code of class 4.
    Temporary {
        /// Seconds it asked to wait.
        retry_after: Option<u32>,
    },
    /// Class 5 without a receipt: a hint that this will not succeed, binding nobody.
    Hint,
    /// The peer has it and the receipt is awaited: how often to ask for the status.
    Accepted,
    /// The own chain has the transaction and its final event is awaited: how often to look whether
    /// a reorganisation took it. Steady, whatever failed before: looking costs nothing, and only
    /// what is gone is submitted again.
    Submitted,
    /// Past `expires`: envelope and proof are offered until a signed receipt comes.
    Expired,
}

/// How long to wait for a proof where the chain's block time is not known.
pub const NOT_READY_DEFAULT: Duration = Duration::from_secs(2);
/// Most that a block time can stretch the wait for a proof.
pub const NOT_READY_MAX: Duration = Duration::from_secs(60);
/// The least and most seconds a peer's `retry_after` is obeyed for: more than a day would let a
/// peer park our messages, zero would make us spin.
pub const RETRY_AFTER_SECONDS: (u32, u32) = (1, 24 * 60 * 60);
/// Between two looks at what was submitted: more than most chains need to make it final.
const SUBMITTED: Duration = Duration::from_secs(60);
/// After the steps below, and for what will hardly succeed.
pub const HOURLY: Duration = Duration::from_secs(60 * 60);
/// Jitter, in parts of a hundred to either side.
pub const JITTER_PERCENT: u64 = 10;

/// Seconds before each further attempt at a peer that failed, then hourly.
const FAILED_SECONDS: [u64; 8] = [10, 30, 60, 120, 300, 600, 1200, 2400];
/// Seconds before each question about a message that was accepted, then hourly.
const ACCEPTED_SECONDS: [u64; 3] = [60, 300, 900];

/// How long to wait before the next attempt.
///
/// `attempts` is how many were made already, from 0 (0 and 1 both give the first step: the first
/// failure ends attempt 1). `jitter` is any random number; all of its range is used. A peer's
/// `retry_after` is never cut short by the jitter, only drawn out.
#[must_use]
pub fn delay(cause: Cause, attempts: u32, jitter: u64) -> Duration {
    match cause {
        Cause::NotReady { block_time } => {
            let wait = block_time.unwrap_or(NOT_READY_DEFAULT);
            jittered(wait.clamp(Duration::from_millis(100), NOT_READY_MAX), jitter)
        }
        Cause::Temporary { retry_after: Some(seconds) } => {
            let (least, most) = RETRY_AFTER_SECONDS;
            let wait = Duration::from_secs(u64::from(seconds.clamp(least, most)));
            wait.max(jittered(wait, jitter))
        }
        Cause::Unreachable | Cause::Temporary { retry_after: None } => {
            jittered(step(&FAILED_SECONDS, attempts), jitter)
        }
        Cause::Accepted => jittered(step(&ACCEPTED_SECONDS, attempts), jitter),
        Cause::Submitted => jittered(SUBMITTED, jitter),
        Cause::Hint | Cause::Expired => jittered(HOURLY, jitter),
    }
}

fn step(seconds: &[u64], attempts: u32) -> Duration {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    seconds.get(index).map_or(HOURLY, |seconds| Duration::from_secs(*seconds))
}

/// `wait` and a tenth of it to either side, by the whole range of `jitter`: 0 is a tenth less, the
/// largest number a tenth more.
pub(crate) fn jittered(wait: Duration, jitter: u64) -> Duration {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 1000);
    let spread = millis * JITTER_PERCENT / 100;
    let drawn = (u128::from(jitter) * (2 * u128::from(spread) + 1)) >> 64;
    let drawn = u64::try_from(drawn).unwrap_or(spread);
    Duration::from_millis(millis - spread + drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u64 = 1 << 63;

    fn seconds(cause: Cause, attempts: u32) -> u64 {
        delay(cause, attempts, MIDDLE).as_secs()
    }

    #[test]
    fn a_peer_that_is_away_is_tried_ever_more_seldom_then_hourly() {
        let found: Vec<_> = (1..=10).map(|n| seconds(Cause::Unreachable, n)).collect();
        assert_eq!(found, [10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 3600]);
        let temporary = Cause::Temporary { retry_after: None };
        assert!((0..=12).all(|n| seconds(temporary, n) == seconds(Cause::Unreachable, n)));
        assert_eq!(seconds(Cause::Unreachable, 0), 10);
        assert_eq!(seconds(Cause::Unreachable, u32::MAX), 3600);
    }

    #[test]
    fn an_accepted_message_is_asked_after_and_a_hint_or_an_expiry_slows_to_hourly() {
        let found: Vec<_> = (1..=5).map(|n| seconds(Cause::Accepted, n)).collect();
        assert_eq!(found, [60, 300, 900, 3600, 3600]);
        assert!((0..=12).all(|n| seconds(Cause::Submitted, n) == 60));
        assert_eq!(seconds(Cause::Hint, 1), 3600);
        assert_eq!(seconds(Cause::Expired, 7), 3600);
    }

    #[test]
    fn what_is_not_final_is_asked_for_again_a_block_later_however_often() {
        assert_eq!(seconds(Cause::NotReady { block_time: None }, 1), 2);
        assert_eq!(seconds(Cause::NotReady { block_time: None }, 1000), 2);
        let of = |time| delay(Cause::NotReady { block_time: Some(time) }, 3, MIDDLE);
        assert_eq!(of(Duration::from_secs(12)), Duration::from_secs(12));
        assert_eq!(of(Duration::from_secs(600)), NOT_READY_MAX);
        assert_eq!(of(Duration::ZERO), Duration::from_millis(100));
    }

    #[test]
    fn a_peers_retry_after_is_obeyed_within_reason() {
        let of = |seconds, jitter| {
            delay(Cause::Temporary { retry_after: Some(seconds) }, 9, jitter).as_millis()
        };
        assert_eq!(of(30, 0), 30_000, "never sooner than asked");
        assert_eq!(of(30, u64::MAX), 33_000);
        assert_eq!(of(0, 0), 1_000);
        assert_eq!(of(u32::MAX, 0), 86_400_000);
    }

    #[test]
    fn jitter_spreads_by_a_tenth_to_either_side_and_no_further() {
        let of = |jitter| delay(Cause::Unreachable, 1, jitter).as_millis();
        assert_eq!(of(0), 9_000);
        assert_eq!(of(MIDDLE), 10_000);
        assert_eq!(of(u64::MAX), 11_000);
        assert_eq!(of(1), 9_000);
    }
}
