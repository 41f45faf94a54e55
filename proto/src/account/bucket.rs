//! A token bucket: at most so much at once, and what was used frees itself evenly over a window.
//! Over any stretch of a window's length at most twice its size passes.
//!
//! The contract counts the same way (`gateway/contracts/Vault.sol`): what is used is kept times the
//! window's length, so that nothing is rounded.

use super::Shortage;
use crate::{amount::Amount, time::UnixSeconds};

/// How much may pass over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Most that may pass at once, and over `seconds` again and again.
    pub max: Amount,
    /// How long it takes until all of it is free again; at least 1.
    pub seconds: u64,
}

impl Window {
    /// Whether it limits anything: sums of 2^128 − 1 and more are no limit, as in the contract.
    #[must_use]
    pub fn is_bound(self) -> bool {
        self.max.to_u128().is_some_and(|max| max < u128::MAX)
    }
}

/// What of a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// What was used at `at`, times the window's length.
    pub used: Amount,
    /// When that was.
    pub at: UnixSeconds,
}

impl Bucket {
    /// What is used at a time, times the window's length. A clock that is set back frees nothing.
    #[must_use]
    pub fn used_at(&self, window: Window, at: UnixSeconds) -> Amount {
        let elapsed = at.0.saturating_sub(self.at.0);
        self.used.saturating_sub(window.max.saturating_mul(elapsed))
    }

    /// Whether `amount` passes beside what is `pending`.
    ///
    /// # Errors
    /// [`Shortage::Never`] if it is more than the window, [`Shortage::Window`] if it has to wait.
    pub fn fits(
        &self,
        window: Window,
        pending: Amount,
        amount: Amount,
        at: UnixSeconds,
    ) -> Result<(), Shortage> {
        if !window.is_bound() {
            return Ok(());
        }
        if amount > window.max {
            return Err(Shortage::Never { max: window.max });
        }
        let most = window.max.saturating_mul(window.seconds);
        let used = self.used_at(window, at).saturating_add(pending.saturating_mul(window.seconds));
        let wanted = used.saturating_add(amount.saturating_mul(window.seconds));
        if wanted <= most {
            return Ok(());
        }
        let room = most.saturating_sub(used).divided(window.seconds);
        // What is too much frees itself at `max` a second.
        let wait = wanted.saturating_sub(most).times_up(window.max);
        Err(Shortage::Window { room, wait_seconds: wait })
    }

    /// The bucket with `amount` more in it.
    #[must_use]
    pub fn with(&self, window: Window, amount: Amount, at: UnixSeconds) -> Self {
        let used = self.used_at(window, at).saturating_add(amount.saturating_mul(window.seconds));
        Self { used, at: at.max(self.at) }
    }

    /// The bucket when its window changes: what is used stays used, rounded up to a whole unit.
    #[must_use]
    pub fn resized(&self, from: Option<Window>, to: Option<Window>, at: UnixSeconds) -> Self {
        let at = at.max(self.at);
        let (Some(from), Some(to)) = (from, to) else { return Self { used: Amount::ZERO, at } };
        let used = self.used_at(from, at).divided_up(from.seconds);
        Self { used: used.saturating_mul(to.seconds), at }
    }
}
