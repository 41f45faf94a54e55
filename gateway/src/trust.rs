//! The operator's pins: what `distpos-gateway trust pin` has written down about other chains.
//!
//! One file a chain, `<spool directory>/trust/<cid>.toml`, readable for its owner only. What the
//! configuration says literally comes before a pin. DNS may tighten neither of them silently:
//! nothing here is ever written by the daemon.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use distpos_proto::{chain::ChainId, light::Trusted, time::UnixSeconds};
use thiserror::Error;

use crate::{config::Config, gateway::Anchor};

pub mod dns;
mod file;
pub mod view;

/// A chain as its operator has pinned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What is trusted.
    pub trusted: Trusted,
    /// Where DNS had it: the owner of the gateway records.
    pub found_at: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// When.
    pub pinned_at: UnixSeconds,
}

/// All pins of a gateway.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    directory: PathBuf,
    pins: BTreeMap<ChainId, Pin>,
}

/// Why a pin cannot be read or written. The operator has to act.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The operating system says no.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Others could write it, and so decide whom this gateway believes.
    #[error("{path}: has mode {found:o}, expected 600")]
    Mode {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        found: u32,
    },
    /// It is no pin of that chain.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
}

impl Trust {
    /// Where the pins of a gateway with this spool are.
    #[must_use]
    pub fn directory_in(spool: &Path) -> PathBuf {
        spool.join("trust")
    }

    /// Reads all pins; without the directory there are none.
    ///
    /// # Errors
    /// [`TrustError`] if any file is not a pin: a gateway that passed over one would trust less, or
    /// by DNS, where the operator said otherwise.
    pub fn load(directory: &Path) -> Result<Self, TrustError> {
        let mut pins = BTreeMap::new();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { directory: directory.into(), pins });
            }
            Err(error) => return Err(failed(directory, "read", error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| failed(directory, "read", error))?.path();
            // What an interrupted write has left behind.
            if path.extension().is_some_and(|extension| extension == "new") {
                continue;
            }
            let pin = read(&path)?;
            pins.insert(pin.trusted.chain, pin);
        }
        Ok(Self { directory: directory.into(), pins })
    }

    /// The pins.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.pins.values()
    }

    /// The pin of a chain.
    #[must_use]
    pub fn pin_of(&self, chain: ChainId) -> Option<&Pin> {
        self.pins.get(&chain)
    }

    /// Writes a pin, in place of an older one of that chain; on disk when the call returns.
    ///
    /// # Errors
    /// [`TrustError::Io`]; then the older one stands.
    pub fn pin(&mut self, pin: Pin) -> Result<(), TrustError> {
        let directory = &self.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed(directory, "create", error))?;
        let path = self.path_of(pin.trusted.chain);
        let new = path.with_extension("new");
        let written = write_new(&new, &file::print(&pin)).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| failed(&path, "write", error))?;
        self.flush()?;
        self.pins.insert(pin.trusted.chain, pin);
        Ok(())
    }

    /// Removes the pin of a chain; says whether there was one.
    ///
    /// # Errors
    /// [`TrustError::Io`].
    pub fn forget(&mut self, chain: ChainId) -> Result<bool, TrustError> {
        let path = self.path_of(chain);
        match fs::remove_file(&path) {
            Ok(()) => self.flush()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, "remove", error)),
        }
        Ok(self.pins.remove(&chain).is_some())
    }

    /// The anchors of everything proven about other chains: the configuration's literal keys, and
    /// pins for chains that have none there.
    #[must_use]
    pub fn anchors(&self, config: &Config) -> BTreeMap<ChainId, Anchor> {
        let pinned = self.pins.iter().map(|(chain, pin)| {
            let (trusted, found_at) = (pin.trusted.clone(), Some(pin.found_at.clone()));
            (*chain, Anchor { trusted, found_at })
        });
        let mut anchors: BTreeMap<_, _> = pinned.collect();
        for (chain, peer) in &config.peers {
            if let Some(anchor) = &peer.anchor {
                let (trusted, found_at) = (anchor.trusted(*chain), None);
                anchors.insert(*chain, Anchor { trusted, found_at });
            }
        }
        anchors.remove(&config.chain.id);
        anchors
    }

    fn path_of(&self, chain: ChainId) -> PathBuf {
        self.directory.join(format!("{chain}.toml"))
    }

    /// Makes what was renamed or removed durable too.
    fn flush(&self) -> Result<(), TrustError> {
        let directory = &self.directory;
        File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(|error| failed(directory, "flush", error))
    }
}

fn read(path: &Path) -> Result<Pin, TrustError> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, "read", error))?;
    let found = metadata.permissions().mode() & 0o777;
    if found & 0o077 != 0 {
        return Err(TrustError::Mode { path: path.into(), found });
    }
    let format = |what| TrustError::Format { path: path.into(), what };
    if metadata.len() > file::BYTES_MAX {
        let what = format!("has {} bytes, expected at most {}", metadata.len(), file::BYTES_MAX);
        return Err(format(what));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(path, "read", error))?;
    let pin = file::parse(&text).map_err(format)?;
    let expected = format!("{}.toml", pin.trusted.chain);
    if path.file_name().is_some_and(|name| *name != *expected) {
        return Err(format(format!(
            "is about chain {}, expected the name {expected}",
            pin.trusted.chain
        )));
    }
    Ok(pin)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    // Of an interrupted write; nobody reads it.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> TrustError {
    TrustError::Io { path: path.into(), action, source }
}

#[cfg(test)]
mod tests;
