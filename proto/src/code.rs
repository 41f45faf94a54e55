//! Reply codes in the form of RFC 3463, and the texts that go with them.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A reply code such as `2.1.5`: the first digit says success (2), try again (4) or never (5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    class: u8,
    subject: u8,
    detail: u8,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $class:literal . $subject:literal . $detail:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self =
                Self { class: $class, subject: $subject, detail: $detail };)*

            /// Every code this version gives, for the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

// One line a code, so that the table reads as the one in `docs/protocol.md`; a plain macro because
// `2.1.5` is not a Rust literal.
codes! {
    /// Delivered.
    DELIVERED = 2 . 0 . 0;
    /// Accepted: on this side's disk.
    ACCEPTED = 2 . 1 . 5;
    /// Suspended: credit, the day's value, or the pair.
    SUSPENDED = 4 . 2 . 1;
    /// The source's gas budget is used up.
    GAS_BUDGET = 4 . 2 . 2;
    /// Spool full, or the disk has failed.
    SPOOL_FULL = 4 . 3 . 1;
    /// No answer.
    NO_ANSWER = 4 . 4 . 1;
    /// DNS did not answer, or not usably.
    DNS = 4 . 4 . 3;
    /// Rate limit.
    RATE_LIMIT = 4 . 4 . 5;
    /// First contact, standing, trust level or hook: not now.
    NOT_NOW = 4 . 7 . 1;
    /// Not final yet, or the proof is not ready.
    NOT_FINAL = 4 . 7 . 5;
    /// The chain's keys are not known here at the level that is required.
    KEY_NOT_FOUND = 4 . 7 . 20;
    /// Unknown recipient.
    UNKNOWN_RECIPIENT = 5 . 1 . 1;
    /// Unknown chain.
    UNKNOWN_CHAIN = 5 . 1 . 2;
    /// Bad address.
    BAD_ADDRESS = 5 . 1 . 3;
    /// The chain publishes a null record: it accepts nothing.
    NULL_RECORD = 5 . 1 . 10;
    /// No account, other terms, or another asset.
    NO_ACCOUNT = 5 . 2 . 1;
    /// Above `value_max` or `message_value_max`.
    VALUE_MAX = 5 . 2 . 2;
    /// Too big.
    TOO_BIG = 5 . 2 . 3;
    /// The recipient's call reverts.
    CALL_REVERTS = 5 . 3 . 0;
    /// No answer for good: its source refunded the message without a receipt. In no receipt.
    GONE = 5 . 4 . 1;
    /// Loop.
    LOOP = 5 . 4 . 6;
    /// Expired.
    EXPIRED = 5 . 4 . 7;
    /// Malformed, or a version that is not spoken here.
    MALFORMED = 5 . 6 . 0;
    /// Against policy, or not for this chain.
    POLICY = 5 . 7 . 1;
    /// Signature wrong.
    SIGNATURE = 5 . 7 . 20;
    /// The proof is invalid. Never voids a message.
    PROOF_INVALID = 5 . 7 . 26;
    /// Conflicting headers: the correspondent is frozen. Never voids a message.
    CONFLICT = 5 . 7 . 27;
}

impl Code {
    /// Whether this says the request was done or taken.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.class == 2
    }

    /// Whether the same may succeed later. Class 5 in a reply is a hint, final only in a receipt.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        self.class == 4
    }

    /// Whether a message may be voided for this reason: class 5, but not for what only the proof's
    /// giver is to blame for, nor for a silence that only the source can tell of.
    #[must_use]
    pub fn may_void(self) -> bool {
        self.class == 5 && ![Self::PROOF_INVALID, Self::CONFLICT, Self::GONE].contains(&self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// A text that is no reply code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {0:?}, expected a reply code such as 4.7.5")]
pub struct CodeError(pub String);

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let wrong = || CodeError(text.chars().take(20).collect());
        let mut parts = text.split('.').map(|part| {
            let plain = (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse::<u8>().ok()).flatten()
        });
        let mut next = || parts.next().flatten().ok_or_else(wrong);
        let code = Self { class: next()?, subject: next()?, detail: next()? };
        if parts.next().is_some() || ![2, 4, 5].contains(&code.class) {
            return Err(wrong());
        }
        Ok(code)
    }
}

/// A code, what it means here in a few words, and when to come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: Code,
    /// At most [`Reply::TEXT_MAX`] bytes; longer texts are cut.
    text: String,
    /// Seconds to wait before trying again, if the giver knows.
    pub retry_after: Option<u32>,
}

impl Reply {
    /// Longest text, in bytes.
    pub const TEXT_MAX: usize = 200;

    /// A reply; a longer text is cut at a character's border.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(Self::TEXT_MAX));
        Self { code, text, retry_after: None }
    }

    /// The same reply, naming when to come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_itself() {
        for code in Code::ALL {
            assert_eq!(code.to_string().parse(), Ok(*code));
        }
        for wrong in ["", "4", "4.7", "4.7.5.1", "3.1.1", "4.07.5", "4.7.", "4.7.256", "+4.7.5"] {
            assert!(wrong.parse::<Code>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bad_proof_never_voids() {
        assert!(!Code::PROOF_INVALID.may_void());
        assert!(!Code::CONFLICT.may_void());
        assert!(!Code::GONE.may_void());
        assert!(!Code::NOT_FINAL.may_void());
        assert!(Code::UNKNOWN_RECIPIENT.may_void());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let reply = Reply::new(Code::POLICY, "ä".repeat(150));
        assert_eq!(reply.text().len(), 200);
    }
}
