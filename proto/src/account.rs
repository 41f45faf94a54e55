//! Correspondent accounts: what two chains owe each other, as banks keep it before a central bank
//! (the paper, *Correspondent accounts*; `docs/credit.md`).
//!
//! One account for each (peer chain, asset). Its place is the chain, contract or ledger; a gateway
//! keeps a copy that follows final events, and adds what it has admitted and not yet delivered.
//! Both count by this module's rules. Every change is a [`Step`], and the figures are nothing but
//! the sum of the steps: [`Account::apply`] makes one from the other, or changes nothing.

use thiserror::Error;

use crate::{amount::Amount, message::TermsHash, time::UnixSeconds};

mod bucket;
#[cfg(test)]
mod tests;

pub use bucket::{Bucket, Window};

/// How far a peer is trusted in one asset. Kept on the chain, where both the chain and its gateways
/// read it: there is no second limit that could disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// What may arrive beyond what has left and what the peer has deposited; 0: fully prefunded.
    pub credit_limit: Amount,
    /// What may arrive over a stretch of time; none: as much as credit allows.
    pub window: Option<Window>,
}

/// The five figures of an account, in the asset's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// What the peer has deposited here.
    pub reserve: Amount,
    /// Delivered here (`in`).
    pub received: Amount,
    /// Delivered there, by its receipts (`out`).
    pub sent: Amount,
    /// Proven here, admitted and not ended.
    pub pending_in: Amount,
    /// Left here and not ended: belongs to its senders until then.
    pub pending_out: Amount,
}

/// An account as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// The terms both sides signed; none: the account is closed, and no value passes.
    pub terms: Option<TermsHash>,
    /// How far the peer is trusted.
    pub limits: Limits,
    /// Its figures.
    pub figures: Figures,
    /// What of the window is used.
    pub bucket: Bucket,
}

/// One change of an account. Amounts are in the asset's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The account was opened, closed, or its limits changed.
    Set {
        /// Its terms from now on.
        terms: Option<TermsHash>,
        /// Its limits from now on.
        limits: Limits,
    },
    /// The peer's reserve here grew: a deposit, or a settlement elsewhere.
    Deposit(Amount),
    /// The peer's reserve here shrank: given back, or settled elsewhere.
    Withdraw(Amount),
    /// A proven message is admitted: its sum is pending. The only step that a limit can stop.
    Reserve(Amount),
    /// An admitted message will not be delivered: its sum is pending no more.
    Release(Amount),
    /// A message was delivered here.
    Commit {
        /// Its sum.
        amount: Amount,
        /// Whether it was pending here; a sibling gateway may have delivered it.
        reserved: bool,
    },
    /// A message left.
    Lock(Amount),
    /// A message was delivered there.
    Close {
        /// Its sum.
        amount: Amount,
        /// Whether it was pending here; it may have left before this copy began.
        locked: bool,
    },
    /// A message was refused there, and its sender has the sum back.
    Refund(Amount),
}

impl Step {
    /// The word in the journal, in logs and in commands.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Set { .. } => "set",
            Self::Deposit(_) => "deposit",
            Self::Withdraw(_) => "withdraw",
            Self::Reserve(_) => "reserve",
            Self::Release(_) => "release",
            Self::Commit { .. } => "commit",
            Self::Lock(_) => "lock",
            Self::Close { .. } => "close",
            Self::Refund(_) => "refund",
        }
    }

    /// The sum it moves; none for [`Step::Set`].
    #[must_use]
    pub fn amount(&self) -> Option<Amount> {
        match self {
            Self::Set { .. } => None,
            Self::Deposit(amount)
            | Self::Withdraw(amount)
            | Self::Reserve(amount)
            | Self::Release(amount)
            | Self::Commit { amount, .. }
            | Self::Lock(amount)
            | Self::Close { amount, .. }
            | Self::Refund(amount) => Some(*amount),
        }
    }
}

/// How a reserve changed on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It grew by so much.
    Added(Amount),
    /// It shrank by so much.
    Taken(Amount),
}

impl From<Change> for Step {
    fn from(change: Change) -> Self {
        match change {
            Change::Added(amount) => Self::Deposit(amount),
            Change::Taken(amount) => Self::Withdraw(amount),
        }
    }
}

/// Why there is no room for a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Shortage {
    /// The credit limit: a deposit, or traffic the other way, makes room.
    #[error("amount is more than the {room} that credit_limit, reserve and returns leave")]
    Credit {
        /// What would fit.
        room: Amount,
    },
    /// The window: time makes room.
    #[error(
        "amount is more than the {room} that window_max leaves now; it fits in {wait_seconds} s"
    )]
    Window {
        /// What would fit now.
        room: Amount,
        /// When the sum fits, if nothing else comes, in seconds from now.
        wait_seconds: u64,
    },
    /// The window can never hold it.
    #[error("amount is more than window_max, {max}")]
    Never {
        /// The window's size.
        max: Amount,
    },
}

/// Why a step cannot be made. The account is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccountError {
    /// A limit stops it.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// A figure would pass 2^256 − 1.
    #[error("{figure} would pass 2^256 - 1")]
    Overflow {
        /// Which.
        figure: &'static str,
    },
    /// A figure would fall below zero: the step does not belong to this account.
    #[error("{figure} is {found}, less than the {taken} to be taken from it")]
    Underflow {
        /// Which.
        figure: &'static str,
        /// What it is.
        found: Amount,
        /// What was to be taken.
        taken: Amount,
    },
}

impl Account {
    /// The account after a step at a time: the block's on the chain and for what follows it, the
    /// gateway's own clock for what it admits.
    ///
    /// # Errors
    /// [`AccountError`]: nothing changed.
    pub fn apply(&self, step: &Step, at: UnixSeconds) -> Result<Self, AccountError> {
        let mut next = *self;
        let figures = &mut next.figures;
        match *step {
            Step::Set { terms, limits } => {
                next.bucket = next.bucket.resized(self.limits.window, limits.window, at);
                (next.terms, next.limits) = (terms, limits);
            }
            Step::Deposit(amount) => add(&mut figures.reserve, "reserve", amount)?,
            Step::Withdraw(amount) => take(&mut figures.reserve, "reserve", amount)?,
            Step::Reserve(amount) => {
                self.fits(amount, at)?;
                add(&mut figures.pending_in, "pending_in", amount)?;
            }
            Step::Release(amount) => take(&mut figures.pending_in, "pending_in", amount)?,
            Step::Commit { amount, reserved } => {
                if reserved {
                    take(&mut figures.pending_in, "pending_in", amount)?;
                }
                add(&mut figures.received, "received", amount)?;
                if let Some(window) = self.limits.window {
                    next.bucket = next.bucket.with(window, amount, at);
                }
            }
            Step::Lock(amount) => add(&mut figures.pending_out, "pending_out", amount)?,
            Step::Close { amount, locked } => {
                if locked {
                    take(&mut figures.pending_out, "pending_out", amount)?;
                }
                add(&mut figures.sent, "sent", amount)?;
            }
            Step::Refund(amount) => take(&mut figures.pending_out, "pending_out", amount)?,
        }
        Ok(next)
    }

    /// Whether `amount` may arrive now: `received + pending_in + amount ≤ credit_limit + sent +
    /// reserve`, and the window has room for it beside what is pending.
    ///
    /// # Errors
    /// [`Shortage`]: which limit stops it, and what would fit.
    pub fn fits(&self, amount: Amount, at: UnixSeconds) -> Result<(), Shortage> {
        if let Some(window) = self.limits.window
            && window.is_bound()
            && amount > window.max
        {
            return Err(Shortage::Never { max: window.max });
        }
        let room = self.room();
        if amount > room {
            return Err(Shortage::Credit { room });
        }
        let Some(window) = self.limits.window else { return Ok(()) };
        self.bucket.fits(window, self.figures.pending_in, amount, at)
    }

    /// What may arrive before the credit limit stops it.
    #[must_use]
    pub fn room(&self) -> Amount {
        let Figures { reserve, received, sent, pending_in, .. } = self.figures;
        // Past 2^256 there is no limit, and no debt that is too high to be counted.
        let bound = self.limits.credit_limit.saturating_add(sent).saturating_add(reserve);
        let used = received.saturating_add(pending_in);
        bound.saturating_sub(used)
    }

    /// Money here that is the peer's: what left for it and what it has deposited, less what arrived.
    /// Payments beyond it come out of the community's own float.
    #[must_use]
    pub fn cover(&self) -> Amount {
        let Figures { reserve, received, sent, .. } = self.figures;
        sent.saturating_add(reserve).saturating_sub(received)
    }

    /// What the peer owes here, admitted messages included: what arrived beyond what left.
    #[must_use]
    pub fn owed(&self) -> Amount {
        let Figures { received, sent, pending_in, .. } = self.figures;
        received.saturating_add(pending_in).saturating_sub(sent)
    }

    /// How much of reserve and credit limit is used, in percent, rounded down: 0 to 100, and 0
    /// where nothing is owed.
    #[must_use]
    pub fn used_percent(&self) -> u8 {
        let bound = self.limits.credit_limit.saturating_add(self.figures.reserve);
        self.owed().percent_of(bound)
    }
}

fn add(figure: &mut Amount, name: &'static str, amount: Amount) -> Result<(), AccountError> {
    *figure = figure.checked_add(amount).ok_or(AccountError::Overflow { figure: name })?;
    Ok(())
}

fn take(figure: &mut Amount, name: &'static str, amount: Amount) -> Result<(), AccountError> {
    let found = *figure;
    let error = AccountError::Underflow { figure: name, found, taken: amount };
    *figure = found.checked_sub(amount).ok_or(error)?;
    Ok(())
}
