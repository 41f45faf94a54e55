//! Sums of money: whole numbers of an asset's smallest unit, below 2^256, checked arithmetic only.

use std::{fmt, str::FromStr};

use alloy_primitives::U256;
use thiserror::Error;

/// A sum in an asset's smallest unit, from 0 to 2^256 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(U256);

/// Why bytes or a text are no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// More than 32 bytes, or a number of 2^256 and above.
    #[error("amount is 2^256 or more, expected less")]
    TooLarge,
    /// A leading zero byte, so that one amount would have two encodings.
    #[error("amount has a leading zero byte, expected the shortest big-endian form")]
    NotMinimal,
    /// A text that is no decimal number.
    #[error("amount is {0:?}, expected decimal digits")]
    Digits(String),
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// The most there can be: 2^256 − 1.
    pub const MAX: Self = Self(U256::MAX);

    /// Whether this is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, unless it passes 2^256 − 1.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it is below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum, or 2^256 − 1 where it passes that: for limits, never for money that moves.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing where it is below zero: for limits, never for money that moves.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times this, or 2^256 − 1 where it passes that.
    #[must_use]
    pub fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(U256::from(times)))
    }

    /// A part of this, rounded down; all of it for a divisor of 0.
    #[must_use]
    pub fn divided(self, by: u64) -> Self {
        Self(self.0.checked_div(U256::from(by)).unwrap_or(self.0))
    }

    /// A part of this, rounded up; all of it for a divisor of 0.
    #[must_use]
    pub fn divided_up(self, by: u64) -> Self {
        if by == 0 { self } else { Self(self.0.div_ceil(U256::from(by))) }
    }

    /// How many times `other` fits into this, rounded up; `u64::MAX` past that, and for nothing.
    #[must_use]
    pub fn times_up(self, other: Self) -> u64 {
        if other.is_zero() {
            return u64::MAX;
        }
        u64::try_from(self.0.div_ceil(other.0)).unwrap_or(u64::MAX)
    }

    /// How much of `whole` this is, in percent, rounded down: 100 at most, also of nothing; 0 for
    /// nothing.
    #[must_use]
    pub fn percent_of(self, whole: Self) -> u8 {
        if self.is_zero() {
            return 0;
        }
        // A whole of 2^249 and more is divided first: what that rounds off is no whole percent.
        let percent = match self.0.checked_mul(U256::from(100)) {
            Some(hundred) => hundred.checked_div(whole.0),
            None => self.0.checked_div(whole.0 / U256::from(100)),
        };
        percent
            .and_then(|percent| u8::try_from(percent).ok())
            .map_or(100, |percent| percent.min(100))
    }

    /// The shortest big-endian form: empty for zero, 32 bytes at most.
    #[must_use]
    pub fn to_minimal_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes_trimmed_vec()
    }

    /// Reads the shortest big-endian form and no other.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] past 32 bytes, [`AmountError::NotMinimal`] for a leading zero.
    pub fn from_minimal_bytes(bytes: &[u8]) -> Result<Self, AmountError> {
        if bytes.first() == Some(&0) {
            return Err(AmountError::NotMinimal);
        }
        U256::try_from_be_slice(bytes).map(Self).ok_or(AmountError::TooLarge)
    }

    /// 32 big-endian bytes, as the EVM has them.
    #[must_use]
    pub fn to_word(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// From 32 big-endian bytes.
    #[must_use]
    pub fn from_word(word: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(word))
    }

    /// As a `u128`, if it fits.
    #[must_use]
    pub fn to_u128(self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }
}

impl From<u128> for Amount {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::Digits(text.chars().take(80).collect()));
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| AmountError::TooLarge)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_one_encoding() {
        assert_eq!(Amount::ZERO.to_minimal_bytes(), Vec::<u8>::new());
        assert_eq!(Amount::from(256u64).to_minimal_bytes(), [1, 0]);
        assert_eq!(Amount::from_minimal_bytes(&[1, 0]), Ok(Amount::from(256u64)));
        assert_eq!(Amount::from_minimal_bytes(&[]), Ok(Amount::ZERO));
        assert_eq!(Amount::from_minimal_bytes(&[0]), Err(AmountError::NotMinimal));
        assert_eq!(Amount::from_minimal_bytes(&[0, 1]), Err(AmountError::NotMinimal));
        assert_eq!(Amount::from_minimal_bytes(&[1; 33]), Err(AmountError::TooLarge));
        assert!(Amount::from_minimal_bytes(&[255; 32]).is_ok());
    }

    #[test]
    fn money_is_neither_created_nor_lost_at_the_edges() {
        let most = Amount::from_minimal_bytes(&[255; 32]).unwrap();
        assert_eq!(most.checked_add(Amount::from(1u64)), None);
        assert_eq!(Amount::ZERO.checked_sub(Amount::from(1u64)), None);
        assert_eq!(most.to_string().parse(), Ok(most));
        assert_eq!(format!("{most}0").parse::<Amount>(), Err(AmountError::TooLarge));
        assert_eq!("-1".parse::<Amount>(), Err(AmountError::Digits("-1".into())));
        assert_eq!("+1".parse::<Amount>(), Err(AmountError::Digits("+1".into())));
    }
}
