//! Why an operator does something: needed for whatever changes anything, kept in journals and logs.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// 1 to 200 printable characters, without white space around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(Box<str>);

/// Why a text is no reason. The operator's to repair.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReasonError {
    /// None at all, or white space.
    #[error("reason is missing, expected 1 to {max} characters that say why", max = Reason::LENGTH_MAX)]
    Missing,
    /// Nobody would read it.
    #[error("reason has {found} characters, expected at most {max}", max = Reason::LENGTH_MAX)]
    Long {
        /// How many characters it has.
        found: usize,
    },
    /// A character that is not shown, or changes how others are.
    #[error(
        "reason has the character {found:?} at position {at}, expected printable ones in one line"
    )]
    Character {
        /// The character.
        found: char,
        /// Its position, from 0.
        at: usize,
    },
}

impl Reason {
    /// Longest reason, in characters: a line or two in a journal.
    pub const LENGTH_MAX: usize = 200;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReasonError::Missing);
        }
        if let Some((at, found)) = text.chars().enumerate().find(|(_, c)| !is_printable(*c)) {
            return Err(ReasonError::Character { found, at });
        }
        match text.chars().count() {
            found if found > Self::LENGTH_MAX => Err(ReasonError::Long { found }),
            _ => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a terminal shows the character in its place: no control characters, no line ends, none
/// that are invisible or turn the direction of what follows.
fn is_printable(c: char) -> bool {
    let hidden = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_that_people_can_read() {
        let of = |text: &str| text.parse::<Reason>().map(|reason| reason.to_string());
        assert_eq!(of("  Über 5 € bezahlt, Beleg 7 "), Ok("Über 5 € bezahlt, Beleg 7".into()));
        assert_eq!(of(&"ä".repeat(200)), Ok("ä".repeat(200)));
        assert_eq!(of(""), Err(ReasonError::Missing));
        assert_eq!(of(" \t "), Err(ReasonError::Missing));
        assert_eq!(of(&"ä".repeat(201)), Err(ReasonError::Long { found: 201 }));
        for found in ['\n', '\u{1b}', '\u{7f}', '\u{202e}', '\u{200b}', '\u{feff}'] {
            let error = of(&format!("ab{found}cd")).unwrap_err();
            assert_eq!(error, ReasonError::Character { found, at: 2 });
        }
    }
}
