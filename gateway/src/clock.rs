//! Time as a value: pipelines are given a clock, so that a test can hold it.

use std::{sync::Arc, time::SystemTime};

use distpos_proto::time::{UnixMillis, UnixSeconds};

pub mod back;

/// Tells the time. Waiting is tokio's: with its time paused, both stand still together.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

/// A clock that starts at `start` and moves with tokio's time, which a test may pause.
#[must_use]
pub fn virtual_from(start: UnixMillis) -> Clock {
    let zero = tokio::time::Instant::now();
    Arc::new(move || start.after(tokio::time::Instant::now().duration_since(zero)))
}

/// A moment in UTC, to the second: `2026-11-26 02:10:07Z`.
pub(crate) fn moment(ms: u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = date(UnixSeconds(seconds));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day in UTC (Howard Hinnant, *chrono-compatible low-level date algorithms*,
/// `civil_from_days`).
pub(crate) fn date(time: UnixSeconds) -> (u64, u64, u64) {
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let days = time.0 / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_to_the_second() {
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(1_795_658_407_999), "2026-11-26 02:00:07Z");
    }

    #[test]
    fn a_day_is_its_date() {
        assert_eq!(date(UnixSeconds(0)), (1970, 1, 1));
        assert_eq!(date(UnixSeconds(951_782_399)), (2000, 2, 28));
        assert_eq!(date(UnixSeconds(951_782_400)), (2000, 2, 29));
        assert_eq!(date(UnixSeconds(951_868_800)), (2000, 3, 1));
        assert_eq!(date(UnixSeconds(1_795_392_000)), (2026, 11, 23));
        assert_eq!(date(UnixSeconds(4_107_542_399)), (2100, 2, 28));
        assert_eq!(date(UnixSeconds(4_107_542_400)), (2100, 3, 1));
    }
}
