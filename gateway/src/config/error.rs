//! What is wrong with a configuration, and where.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// What is wrong with the configuration, and where. The operator's fault; nothing to retry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, if it has one.
    pub line: Option<usize>,
    /// The key's full name, if it is about one.
    pub key: Option<String>,
    /// What was found and what was expected.
    pub what: String,
}

impl ConfigError {
    /// Whether the other is about this error's key, or a table around it.
    pub(super) fn is_in(&self, other: &Self) -> bool {
        let (Some(own), Some(around)) = (&self.key, &other.key) else { return false };
        own.strip_prefix(around.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that was found wrong with a configuration, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigErrors {
    first: ConfigError,
    more: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Fails if anything was found.
    pub(super) fn none(found: impl IntoIterator<Item = ConfigError>) -> Result<(), Self> {
        let mut found = found.into_iter();
        match found.next() {
            None => Ok(()),
            Some(first) => Err(Self { first, more: found.collect() }),
        }
    }

    /// What was found first.
    #[must_use]
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// All of it, in the order in which it was found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(first: ConfigError) -> Self {
        Self { first, more: Vec::new() }
    }
}

impl fmt::Display for ConfigErrors {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.more.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}
