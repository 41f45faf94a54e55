//! Secrets from files.

use std::{fmt, os::unix::fs::PermissionsExt, path::Path};

use super::{Config, ConfigError};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a user must show to the submission listener.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why a file holds no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Others may read it.
    #[error("has mode {found:o}, expected 600: others could read the token")]
    Mode {
        /// Its permission bits.
        found: u32,
    },
    /// Too short to be a secret, too long, or not printable.
    #[error("holds {found} characters, expected {min} to {max} printable ones", min = Token::LENGTH_MIN, max = Token::LENGTH_MAX)]
    Content {
        /// Characters found.
        found: usize,
    },
}

impl Config {
    /// What users must show; none if nothing.
    ///
    /// # Errors
    /// [`ConfigError`] names `listen.token`, and what was found in its file.
    pub fn token(&self) -> Result<Option<Token>, ConfigError> {
        let Some(file) = &self.listen.token else { return Ok(None) };
        let wrong = |error| self.wrong("listen.token", format_args!("{} {error}", file.display()));
        Token::load(file).map(Some).map_err(wrong)
    }
}

impl Token {
    /// Shortest token, in characters.
    pub const LENGTH_MIN: usize = 16;
    /// Longest token, in characters.
    pub const LENGTH_MAX: usize = 256;

    /// Reads a token from a file that only its owner may read.
    ///
    /// # Errors
    /// [`TokenError`] says what was found.
    pub fn load(file: &Path) -> Result<Self, TokenError> {
        let unreadable = |error: std::io::Error| TokenError::Unreadable(error.to_string());
        let found = std::fs::metadata(file).map_err(unreadable)?.permissions().mode() & 0o777;
        if found & 0o077 != 0 {
            return Err(TokenError::Mode { found });
        }
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(unreadable)?);
        Self::new(text.trim())
    }

    /// A token of 16 to 256 printable ASCII characters.
    ///
    /// # Errors
    /// [`TokenError::Content`] otherwise.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let found = text.chars().count();
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !(Self::LENGTH_MIN..=Self::LENGTH_MAX).contains(&found) {
            return Err(TokenError::Content { found });
        }
        Ok(Self(Zeroizing::new(text.into())))
    }

    /// The token itself, for the user's request.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether these bytes are the token; takes as long for a nearly right one as for a wrong one.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut difference = u8::from(own.len() != bytes.len());
        for (at, byte) in own.iter().enumerate() {
            difference |= byte ^ bytes.get(at).copied().unwrap_or(0);
        }
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for wrong in [&b"0123456789abcdeg"[..], b"0123456789abcde", b"0123456789abcdef0", b""] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert_eq!(Token::new("short").unwrap_err(), TokenError::Content { found: 5 });
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_token_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Token::load(&file).unwrap_err(), TokenError::Mode { found: 0o640 });
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::load(&file).unwrap().is(b"0123456789abcdef"));
    }
}
