//! Reading a file: everything that is wrong with it is found at once, as far as it can be told
//! apart.

use std::path::Path;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, Deserializer},
};

use super::{
    Config, ConfigError, ConfigErrors, check,
    place::{self, Places},
};

/// Most faults told of keys and values at once: of more, most follow from the first ones.
const FAULTS_MAX: usize = 20;

impl Config {
    /// Longest configuration file, in bytes: a wrong path must not fill memory.
    pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

    /// Reads a file. Paths in it become relative to the file's directory.
    ///
    /// # Errors
    /// [`ConfigErrors`], each with file, line and key.
    pub fn load(file: &Path) -> Result<Self, ConfigErrors> {
        let text = read(file).map_err(|what| ConfigError {
            file: file.into(),
            line: None,
            key: None,
            what,
        })?;
        Self::parse(&text, file)
    }

    /// Reads the text of a file, which need not exist.
    ///
    /// # Errors
    /// [`ConfigErrors`], each with file, line and key: what is no TOML; else the keys and values
    /// that cannot be read; else what does not go together.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let faults = errors.iter().map(|error| place::syntax(error, text, file));
        ConfigErrors::none(faults.take(FAULTS_MAX))?;
        let places = Places::of(table.get_ref(), text);
        let mut config = values(table, text, file)?;
        (config.file, config.places) = (file.into(), places);
        config.rebase(file.parent().unwrap_or(Path::new("")));
        let refusals = check::refusals(&config).into_iter();
        ConfigErrors::none(refusals.map(|(key, what)| config.wrong(&key, what)))?;
        Ok(config)
    }

    /// An error about a key, with its line, or that of the nearest table around it.
    #[must_use]
    pub fn wrong(&self, key: &str, what: impl ToString) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            line: self.places.line(key),
            key: Some(place::shown(key)),
            what: what.to_string(),
        }
    }

    /// Where a key stands, `file:line: key`, for an error whose cause is elsewhere.
    #[must_use]
    pub fn place(&self, key: &str) -> String {
        let line = self.places.line(key).map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", self.file.display(), place::shown(key))
    }
}

/// The keys' values. The reader stops at the first that is wrong: what it is about is taken out,
/// and the rest is read again.
fn values(table: Spanned<DeTable<'_>>, text: &str, file: &Path) -> Result<Config, ConfigErrors> {
    let (mut rest, mut found) = (table, Vec::<ConfigError>::new());
    loop {
        let read = Config::deserialize(Deserializer::from(rest.clone()));
        let error = match read {
            Ok(config) => return ConfigErrors::none(found.drain(..)).map(|()| config),
            Err(error) => error,
        };
        let fault = place::explain(&error, rest.get_ref(), text, file);
        // A key that was taken out is missed then, and so is the table that cannot be without it.
        if !found.iter().any(|earlier| earlier.is_in(&fault)) {
            found.push(fault);
        }
        if found.len() == FAULTS_MAX || !place::remove(rest.get_mut(), &error) {
            // There is at least this one.
            ConfigErrors::none(found.drain(..))?;
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    let most = Config::FILE_BYTES_MAX;
    if length > most {
        return Err(format!("file has {length} bytes, expected at most {most}"));
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}
