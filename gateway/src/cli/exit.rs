//! How a command ends.

use std::fmt;

use crate::chain::ChainError;

/// Exit codes, from sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done as asked; with `--wait`: delivered.
    Done = 0,
    /// The arguments are wrong: the same will never succeed.
    Usage = 64,
    /// Refused for good: by the chain, by the gateway, or by the destination (and refunded).
    Unavailable = 69,
    /// A fault of the program or its system.
    Internal = 70,
    /// Not now: no answer, or still under way when the time was up.
    Temporary = 75,
    /// Configuration or a key file is wrong: the operator or user has to repair it.
    Configuration = 78,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command has failed.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    /// None if it was told already.
    error: Option<anyhow::Error>,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: Some(error.into()) }
    }

    /// A failure in words.
    pub(super) fn of(exit: Exit, what: impl fmt::Display) -> Self {
        Self { exit, error: Some(anyhow::anyhow!("{what}")) }
    }

    /// A failure that was told to the user already.
    pub(super) fn told(exit: Exit) -> Self {
        Self { exit, error: None }
    }

    pub(super) fn usage(what: impl fmt::Display) -> Self {
        Self::of(Exit::Usage, what)
    }

    pub(super) fn configuration(what: impl fmt::Display) -> Self {
        Self::of(Exit::Configuration, what)
    }

    pub(super) fn temporary(what: impl fmt::Display) -> Self {
        Self::of(Exit::Temporary, what)
    }

    /// Tells it once, with its causes in one line.
    pub(super) fn tell(self, program: &str) -> Exit {
        if let Some(error) = self.error {
            eprintln!("{program}: {error:#}");
        }
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{error:#}"),
            None => f.write_str("told already"),
        }
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let exit = match &error {
            ChainError::OtherChain(_) => Exit::Configuration,
            temporary if temporary.is_temporary() => Exit::Temporary,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}
