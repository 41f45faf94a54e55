//! Points in time, as plain numbers: `proto` has no clock, callers say what time it is.

use std::time::Duration;

/// Seconds since the Unix epoch, as blocks and messages carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixSeconds(pub u64);

/// Milliseconds since the Unix epoch, as the queue counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This instant, rounded down to whole seconds.
    #[must_use]
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }

    /// This instant plus `delay`; the end of time where that would overflow.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This instant less `age`; the beginning of time where that would be before it.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it (clocks do jump).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl UnixSeconds {
    /// The first millisecond of this second.
    #[must_use]
    pub fn millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }
}
