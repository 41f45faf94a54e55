//! The chain keys of this gateway, and how far each is on its way from made to removed.
//!
//! `identity.directory` holds `tls.key`, the first chain key `chain.key`, further ones
//! `chain.<selector>.key`, and `keys.toml`, which says where each is. Without `keys.toml` there is
//! one key, in use since its file was made: what `keygen` leaves. The file is written before
//! anything is printed or removed, so a crash between two steps leaves a state from which the same
//! command goes on.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use distpos_certs::{
    SecretError, SecretKind, TlsIdentity,
    identity::{CHAIN_FILE, TLS_FILE, create_signing_key, load_signing_key},
};
use distpos_proto::{
    chain::{ChainId, GenesisTag},
    key::{KeySignature, PublicKey, SecretKey},
    record::{KeyRecord, Selector},
    time::UnixSeconds,
};
use thiserror::Error;

use crate::admin::Reason;

mod file;
pub mod walk;

#[cfg(test)]
mod tests;

pub use file::FILE;

/// How far a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its record is to be published.
    Made,
    /// Every authoritative server has it; resolvers may still hold what was before.
    Published,
    /// It signs.
    Signing,
    /// Another one has taken over. It signs too and is published on: what it signed is on its way.
    Old,
    /// Its record is to be published with an empty `p=`.
    Revoked,
    /// Every authoritative server says so; whoever knows the chain has to see it.
    Ended,
    /// It is gone.
    Removed,
}

/// A chain key of this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// Where it is published.
    pub selector: Selector,
    /// Its public half.
    pub key: PublicKey,
    /// Its file in the key directory.
    pub file: String,
    /// How far it is.
    pub state: State,
    /// Since when.
    pub since: UnixSeconds,
    /// Who endorsed it when it was made.
    pub endorsements: Vec<KeySignature>,
    /// Why it came there; none for a key that `keygen` made.
    pub reason: Option<Reason>,
}

/// Kept by whoever changes the keys of a directory; the system lets go of it with the process.
#[derive(Debug)]
pub struct KeyringLock(#[expect(dead_code, reason = "its lock lasts as long as it is open")] File);

/// All chain keys of this gateway, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    directory: PathBuf,
    keys: Vec<OwnKey>,
    /// How often what the policy says of keys has changed.
    changes: u32,
}

/// Why the keys cannot be read or written. The operator has to act.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// A key file.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The operating system says no.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else changes the keys now: both would start from the same state.
    #[error("{path}: another command changes the keys now")]
    Busy {
        /// The key directory.
        path: PathBuf,
    },
    /// `keys.toml` says what cannot be.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
}

/// Most keys that are remembered, the removed ones too: a rotation a month for years.
const KEYS_MAX: usize = 64;

impl Keyring {
    /// Reads the keys of a directory that `keygen` filled. Secrets are not read.
    ///
    /// # Errors
    /// [`KeyringError`], also if no key signs.
    pub fn load(directory: &Path) -> Result<Self, KeyringError> {
        match file::read(directory)? {
            Some(ring) => Ok(ring),
            None => Self::first(directory),
        }
    }

    /// Keeps others from changing the keys. Take it before they are read.
    ///
    /// # Errors
    /// [`KeyringError::Busy`] if somebody else has it; [`KeyringError::Io`].
    pub fn lock(directory: &Path) -> Result<KeyringLock, KeyringError> {
        let path = || directory.to_owned();
        let io = |action| move |source| KeyringError::Io { path: path(), action, source };
        let opened = File::open(directory).map_err(io("open"))?;
        match opened.try_lock() {
            Ok(()) => Ok(KeyringLock(opened)),
            Err(TryLockError::WouldBlock) => Err(KeyringError::Busy { path: path() }),
            Err(TryLockError::Error(source)) => Err(io("lock")(source)),
        }
    }

    fn first(directory: &Path) -> Result<Self, KeyringError> {
        let path = directory.join(CHAIN_FILE);
        let key = load_signing_key(&path, SecretKind::Chain)?.public();
        let made = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .map_err(|source| KeyringError::Io { path: path.clone(), action: "read", source })?;
        let since = made.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let since = UnixSeconds(since);
        let selector = selector_of(since, 0);
        let (file, state) = (CHAIN_FILE.to_owned(), State::Signing);
        let endorsements = Vec::new();
        let key = OwnKey { selector, key, file, state, since, endorsements, reason: None };
        Ok(Self { directory: directory.into(), keys: vec![key], changes: 0 })
    }

    /// The keys, the oldest first.
    #[must_use]
    pub fn keys(&self) -> &[OwnKey] {
        &self.keys
    }

    /// The key with which the chain began: the embedded ledger's genesis names it for ever.
    #[must_use]
    pub fn genesis_key(&self) -> &OwnKey {
        &self.keys[0]
    }

    /// The key that signs, whatever else does.
    #[must_use]
    pub fn current(&self) -> &OwnKey {
        let signing = self.keys.iter().rev().find(|key| key.state == State::Signing);
        signing.expect("a keyring is read and changed so that one key signs")
    }

    /// The keys that sign, the current one first.
    pub fn in_use(&self) -> impl Iterator<Item = &OwnKey> {
        let old = self.keys.iter().rev().filter(|key| key.state == State::Old);
        std::iter::once(self.current()).chain(old)
    }

    /// The keys that the policy names: all but those that are revoked or removed.
    pub fn named(&self) -> impl Iterator<Item = &OwnKey> {
        self.keys.iter().filter(|key| key.state < State::Revoked)
    }

    /// The secret halves of the keys that sign, the current one first.
    ///
    /// # Errors
    /// [`KeyringError::Secret`]; [`KeyringError::Format`] if a file holds another key than it did.
    pub fn secrets(&self) -> Result<Vec<SecretKey>, KeyringError> {
        self.in_use().map(|key| self.secret(key)).collect()
    }

    /// The secret half of one key.
    ///
    /// # Errors
    /// As [`Keyring::secrets`].
    pub fn secret(&self, key: &OwnKey) -> Result<SecretKey, KeyringError> {
        let path = self.directory.join(&key.file);
        let secret = load_signing_key(&path, SecretKind::Chain)?;
        if secret.public() == key.key {
            return Ok(secret);
        }
        let what = format!("holds the key {}, expected {}", secret.public(), key.key);
        Err(KeyringError::Format { path, what })
    }

    /// Who the gateway is in a TLS handshake.
    ///
    /// # Errors
    /// [`KeyringError::Secret`].
    pub fn tls(&self) -> Result<TlsIdentity, KeyringError> {
        Ok(TlsIdentity::load(&self.directory.join(TLS_FILE))?)
    }

    /// What is published of each key that is not removed.
    #[must_use]
    pub fn records(&self, chain: ChainId) -> Vec<(Selector, KeyRecord)> {
        let published = self.keys.iter().filter(|key| key.state != State::Removed);
        published.map(|key| (key.selector.clone(), key.record(chain))).collect()
    }

    /// The policy's `id=`: another one whenever the keys that it names are others.
    #[must_use]
    pub fn policy_id(&self) -> String {
        let day = self.keys[0].selector.as_str().trim_start_matches('k').to_owned();
        let changes = self.changes.saturating_add(1);
        // A label may be longer than an id, and have hyphens.
        let valid =
            (1..=20).contains(&day.len()) && day.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { format!("{day}{changes:02}") } else { format!("{changes}") }
    }

    /// Makes a new key, endorsed by those that sign, and notes it; on disk when the call returns.
    ///
    /// # Errors
    /// [`KeyringError`]; then nothing is noted.
    pub fn make(
        &mut self,
        chain: ChainId,
        genesis: GenesisTag,
        now: UnixSeconds,
        reason: &Reason,
    ) -> Result<&OwnKey, KeyringError> {
        let mut new = self.create(State::Made, now, reason)?;
        let record = KeyRecord::new(chain, Some(new.key));
        new.endorsements = record.endorsed(genesis, &new.selector, &self.secrets()?).endorsements;
        self.note(vec![new], &[], now, reason)?;
        Ok(&self.keys[self.keys.len() - 1])
    }

    /// Revokes the key that signs and makes another in its place, which signs at once; noted
    /// together. The lost key does not endorse it: what whoever has it now signs must not count.
    ///
    /// # Errors
    /// [`KeyringError`]; then nothing is noted.
    pub fn replace(&mut self, now: UnixSeconds, reason: &Reason) -> Result<&OwnKey, KeyringError> {
        let new = self.create(State::Signing, now, reason)?;
        let lost = (self.current().selector.clone(), State::Revoked);
        self.note(vec![new], &[lost], now, reason)?;
        Ok(&self.keys[self.keys.len() - 1])
    }

    /// A new key and its file.
    fn create(
        &self,
        state: State,
        now: UnixSeconds,
        reason: &Reason,
    ) -> Result<OwnKey, KeyringError> {
        let is_taken = |selector: &Selector| self.keys.iter().any(|key| key.selector == *selector);
        let selectors = (0..).map(|number| selector_of(now, number));
        let mut free = selectors.filter(|selector| !is_taken(selector));
        let selector = free.next().expect("there are more selectors than keys");
        let file = format!("chain.{selector}.key");
        let path = self.directory.join(&file);
        // A file that a crash left behind before it was noted: nothing was published of it.
        let secret = match create_signing_key(&path, SecretKind::Chain) {
            Err(SecretError::Exists { .. }) => load_signing_key(&path, SecretKind::Chain)?,
            made => made?,
        };
        let (key, endorsements, reason) = (secret.public(), Vec::new(), Some(reason.clone()));
        Ok(OwnKey { selector, key, file, state, since: now, endorsements, reason })
    }

    /// Says where the first key is published, as long as it is the only one; on disk when the call
    /// returns.
    ///
    /// # Errors
    /// [`KeyringError::Format`] if there are others, else as [`Keyring::make`].
    pub fn rename_first(
        &mut self,
        selector: &Selector,
        reason: &Reason,
    ) -> Result<(), KeyringError> {
        let mut next = self.clone();
        let [first] = next.keys.as_mut_slice() else {
            let what = "a key has turned over: the records have their selectors".to_owned();
            return Err(KeyringError::Format { path: self.directory.join(FILE), what });
        };
        first.selector = selector.clone();
        first.reason = Some(reason.clone());
        file::write(&next)?;
        *self = next;
        Ok(())
    }

    /// Moves keys to other states and notes it; on disk when the call returns. The file of a removed
    /// key is deleted then, but for the first one's, which a ledger needs.
    ///
    /// # Errors
    /// [`KeyringError`]; then nothing is noted, unless it is a file that cannot be deleted: the next
    /// call tries again.
    pub fn shift(
        &mut self,
        moves: &[(Selector, State)],
        now: UnixSeconds,
        reason: &Reason,
    ) -> Result<(), KeyringError> {
        self.note(Vec::new(), moves, now, reason)?;
        for key in self.keys.iter().skip(1).filter(|key| key.state == State::Removed) {
            let path = self.directory.join(&key.file);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(KeyringError::Io { path, action: "remove", source }),
            }
        }
        Ok(())
    }

    /// Adds keys and moves others, in one write.
    fn note(
        &mut self,
        new: Vec<OwnKey>,
        moves: &[(Selector, State)],
        now: UnixSeconds,
        reason: &Reason,
    ) -> Result<(), KeyringError> {
        let mut next = self.clone();
        let named = |ring: &Self| ring.named().map(|key| key.selector.clone()).collect::<Vec<_>>();
        for (selector, state) in moves {
            for key in next.keys.iter_mut().filter(|key| key.selector == *selector) {
                (key.state, key.since, key.reason) = (*state, now, Some(reason.clone()));
            }
        }
        next.keys.extend(new);
        if next.keys.len() > KEYS_MAX {
            // The first one is the ledger's for ever, and what is not removed is still published.
            let removed = next.keys.iter().skip(1).position(|key| key.state == State::Removed);
            next.keys.remove(removed.map_or(1, |at| at + 1));
        }
        if named(&next) != named(self) {
            next.changes = next.changes.saturating_add(1);
        }
        if next.keys.iter().filter(|key| key.state == State::Signing).count() != 1 {
            let what = "not exactly one key would sign".to_owned();
            return Err(KeyringError::Format { path: self.directory.join(FILE), what });
        }
        file::write(&next)?;
        *self = next;
        Ok(())
    }
}

impl OwnKey {
    /// What is published of it.
    #[must_use]
    pub fn record(&self, chain: ChainId) -> KeyRecord {
        let is_live = self.state < State::Revoked;
        let mut record = KeyRecord::new(chain, is_live.then_some(self.key));
        if is_live {
            record.endorsements.clone_from(&self.endorsements);
        }
        record
    }
}

impl State {
    const ALL: [Self; 7] = [
        Self::Made,
        Self::Published,
        Self::Signing,
        Self::Old,
        Self::Revoked,
        Self::Ended,
        Self::Removed,
    ];

    /// The word in `keys.toml` and in what commands print.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Published => "published",
            Self::Signing => "signing",
            Self::Old => "old",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
            Self::Removed => "removed",
        }
    }
}

/// The label of a key made that day: `k20261126`, and `k20261126b` for the second of it.
fn selector_of(time: UnixSeconds, number: u32) -> Selector {
    let (year, month, day) = crate::clock::date(time);
    let suffix = match number {
        0 => String::new(),
        1..=25 => char::from_u32(u32::from(b'a') + number).map_or_else(String::new, String::from),
        _ => format!("x{number}"),
    };
    let label = format!("k{year:04}{month:02}{day:02}{suffix}");
    label.parse().expect("letters and digits are a label")
}
