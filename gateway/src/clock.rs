//! Time as a value: pipelines are given a clock, so that a test can hold it.

use std::{sync::Arc, time::SystemTime};

use distpos_proto::time::UnixMillis;

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
