//! When it is told that a message takes long (`docs/queue.md`, *Notices of delay*): pure.

use std::time::Duration;

use crate::time::UnixMillis;

/// After how long without an end it is told of a message: soon enough to help, and once more when
/// it is no hiccup. What mail servers do after hours, a payment wants after minutes.
pub const NOTICE_AFTER: [Duration; 2] = [Duration::from_mins(15), Duration::from_hours(4)];

/// The notice that fell due for messages of `created` after `told_until` and by `now`: their age
/// that it tells. The later one if both did, as after a long sleep; none if none did.
#[must_use]
pub fn due(created: UnixMillis, told_until: UnixMillis, now: UnixMillis) -> Option<Duration> {
    let fell_due = |age: &Duration| {
        let at = created.after(*age);
        told_until < at && at <= now
    };
    NOTICE_AFTER.into_iter().rev().find(fell_due)
}

/// When messages have to come so that notice `age` of them falls due after `told_until` and by
/// `now`: from the first to the second, both included. None if time stands still or goes back.
#[must_use]
pub fn came_within(
    age: Duration,
    told_until: UnixMillis,
    now: UnixMillis,
) -> Option<(UnixMillis, UnixMillis)> {
    let age = u64::try_from(age.as_millis()).ok()?;
    let to = now.0.checked_sub(age)?;
    let from = told_until.0.saturating_add(1).saturating_sub(age);
    (from <= to).then_some((UnixMillis(from), UnixMillis(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn told(created: u64, told_until: u64, now: u64) -> Option<u64> {
        due(UnixMillis(created), UnixMillis(told_until), UnixMillis(now)).map(|age| age.as_secs())
    }

    #[test]
    fn each_age_is_told_once_to_the_millisecond() {
        let (quarter, four_hours) = (15 * MINUTE, 240 * MINUTE);
        assert_eq!(told(7, 7, quarter + 6), None);
        assert_eq!(told(7, quarter + 6, quarter + 7), Some(900));
        assert_eq!(told(7, quarter + 7, quarter + 8), None, "it was told");
        assert_eq!(told(7, quarter + 7, four_hours + 6), None);
        assert_eq!(told(7, quarter + 7, four_hours + 7), Some(14_400));
        assert_eq!(told(7, four_hours + 7, u64::MAX), None);
        assert_eq!(told(7, 7, four_hours + 7), Some(14_400), "one notice after a long sleep");
        assert_eq!(told(u64::MAX, 0, 5), None);
    }

    #[test]
    fn the_times_of_coming_are_those_of_which_a_notice_falls_due() {
        let age = NOTICE_AFTER[0];
        for (told_until, now) in [(0, 0), (5, 899_999), (899_999, 900_004), (900_004, 900_004)] {
            let (told_until, now) = (UnixMillis(told_until), UnixMillis(now));
            let within = came_within(age, told_until, now);
            for created in (0..10).map(UnixMillis) {
                let is_within = within.is_some_and(|(from, to)| from <= created && created <= to);
                assert_eq!(is_within, due(created, told_until, now).is_some(), "{created:?}");
            }
        }
        assert_eq!(came_within(age, UnixMillis(2_000_000), UnixMillis(1_000_000)), None);
    }
}
