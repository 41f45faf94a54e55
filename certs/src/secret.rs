//! One secret key in one file: a line of text, readable by its owner only.
//!
//! ```text
//! file = kind SP seed LF
//! kind = "distpos-tls-key-1" / "distpos-chain-key-1" / "distpos-ledger-key-1"
//! seed = 43 characters: the 32-byte ed25519 seed (RFC 8032) in base64url without padding
//! ```
//! The kind is in the file so that a TLS key is never loaded as a chain key.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use data_encoding::BASE64URL_NOPAD;
use thiserror::Error;
use zeroize::Zeroizing;

/// An ed25519 seed; wiped from memory when dropped.
pub type Seed = Zeroizing<[u8; SEED_BYTES]>;

/// Bytes of an ed25519 seed (RFC 8032, *secret key*).
pub const SEED_BYTES: usize = 32;

/// What a secret key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A gateway's TLS key.
    Tls,
    /// A gateway's chain key.
    Chain,
    /// A user's key on the embedded ledger.
    Ledger,
}

impl SecretKind {
    /// The word in front of the seed.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls => "distpos-tls-key-1",
            Self::Chain => "distpos-chain-key-1",
            Self::Ledger => "distpos-ledger-key-1",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a secret could not be written or read. The operator has to act on all of them; none of
/// them shows any of the file's content.
#[derive(Debug, Error)]
pub enum SecretError {
    /// There is a file already; a key is never overwritten.
    #[error("{path}: exists already, and a key is never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner have access.
    #[error(
        "{path}: mode is {found:04o}, expected no access for group and others (chmod 0600 {path})"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        found: u32,
    },
    /// A directory, a pipe, a device.
    #[error("{path}: is no regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Not in the format above, or a key of another kind.
    #[error("{path}: found {found}, expected \"{expected} <43 characters of base64url>\"")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: FormatFault,
        /// The kind that was asked for.
        expected: SecretKind,
    },
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
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What is wrong with the text in a key file. It names only what is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatFault {
    /// A key of this kind.
    Kind(SecretKind),
    /// No kind known here in front.
    Label,
    /// The kind is right, the seed is not 43 characters of base64url.
    Seed,
    /// More bytes than a key file has.
    Length,
}

impl fmt::Display for FormatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "a {kind}"),
            Self::Label => f.write_str("something that is no key of ours"),
            Self::Seed => f.write_str("a damaged key"),
            Self::Length => f.write_str("too many bytes"),
        }
    }
}

/// A new seed from the operating system's random source.
///
/// # Errors
/// [`SecretError::Random`] if it gives none.
pub fn random_seed() -> Result<Seed, SecretError> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(seed.as_mut_slice()).map_err(SecretError::Random)?;
    Ok(seed)
}

/// Creates `path` with this secret, mode 0600, on disk when the call returns.
///
/// # Errors
/// [`SecretError::Exists`] if there is anything at `path` already (also a dangling link);
/// [`SecretError::Io`] otherwise, and then nothing is left behind.
pub fn write_secret(
    path: &Path,
    kind: SecretKind,
    seed: &[u8; SEED_BYTES],
) -> Result<(), SecretError> {
    let failed = |action| move |source| io_error(path, action, source);
    // O_EXCL: the system itself refuses to reuse a file, whoever else is creating it right now.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
        |source| match source.kind() {
            io::ErrorKind::AlreadyExists => SecretError::Exists { path: path.to_owned() },
            _ => io_error(path, "create it", source),
        },
    )?;
    let text = encode(kind, seed);
    let written = file
        .write_all(&text)
        .map_err(failed("write it"))
        .and_then(|()| file.sync_all().map_err(failed("flush it")))
        .and_then(|()| sync_parent(path));
    if written.is_err() {
        // Half a key would only stand in the way of the next attempt. It was created above, by
        // this call, so nobody can rely on it yet.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Reads a secret of the expected kind.
///
/// # Errors
/// [`SecretError::Mode`] if group or others have any access, [`SecretError::Format`] if the text is
/// not a key of this kind, [`SecretError::NotAFile`] and [`SecretError::Io`].
pub fn read_secret(path: &Path, kind: SecretKind) -> Result<Seed, SecretError> {
    // O_NONBLOCK: opening a pipe must not wait for a writer. It changes nothing for a file.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|source| io_error(path, "open it", source))?;
    // Of the opened file, not of the path: the path could name another file a moment later.
    let metadata = file.metadata().map_err(|source| io_error(path, "look at it", source))?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { path: path.to_owned() });
    }
    let found = metadata.permissions().mode() & 0o7777;
    if found & 0o077 != 0 {
        return Err(SecretError::Mode { path: path.to_owned(), found });
    }
    let mut text = Zeroizing::new([0; FILE_BYTES_MAX]);
    let length = read_up_to(&mut file, text.as_mut_slice())
        .map_err(|source| io_error(path, "read it", source))?;
    decode(&text[..length], kind).map_err(|found| SecretError::Format {
        path: path.to_owned(),
        found,
        expected: kind,
    })
}

/// Creates a directory that only its owner can enter, with its parents, unless it is there.
///
/// # Errors
/// [`SecretError::Io`].
pub(crate) fn create_directory(path: &Path) -> Result<(), SecretError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| io_error(path, "create the directory", source))
}

fn encode(kind: SecretKind, seed: &[u8; SEED_BYTES]) -> Zeroizing<Vec<u8>> {
    // The capacity is taken once: a growing vector would leave copies of the seed behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX));
    text.extend_from_slice(kind.label().as_bytes());
    text.push(b' ');
    let at = text.len();
    text.resize(at + SEED_CHARACTERS, 0);
    BASE64URL_NOPAD.encode_mut(seed, &mut text[at..]);
    text.push(b'\n');
    text
}

fn decode(text: &[u8], kind: SecretKind) -> Result<Seed, FormatFault> {
    if text.len() == FILE_BYTES_MAX {
        return Err(FormatFault::Length);
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let starts_with =
        |kind: SecretKind| text.strip_prefix(kind.label().as_bytes())?.strip_prefix(b" ");
    let Some(encoded) = starts_with(kind) else {
        let other = [SecretKind::Tls, SecretKind::Chain, SecretKind::Ledger]
            .into_iter()
            .find(|kind| starts_with(*kind).is_some());
        return Err(other.map_or(FormatFault::Label, FormatFault::Kind));
    };
    if encoded.len() != SEED_CHARACTERS {
        return Err(FormatFault::Seed);
    }
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    match BASE64URL_NOPAD.decode_mut(encoded, seed.as_mut_slice()) {
        Ok(SEED_BYTES) => Ok(seed),
        Ok(_) | Err(_) => Err(FormatFault::Seed),
    }
}

/// Fills the buffer as far as the file goes; no growing buffer, which would leave copies behind.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Makes the directory entry durable too: a flushed file without a name is lost all the same.
fn sync_parent(path: &Path) -> Result<(), SecretError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error(parent, "flush the directory", source))
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> SecretError {
    SecretError::Io { path: path.to_owned(), action, source }
}

/// Characters of a seed in base64url without padding.
const SEED_CHARACTERS: usize = 43;
/// More than any key file of ours has; a file that fills it is none.
const FILE_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        (directory, path)
    }

    fn write_text(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn fault(text: &[u8]) -> FormatFault {
        let (_directory, path) = file("k");
        write_text(&path, text, 0o600);
        match read_secret(&path, SecretKind::Tls) {
            Err(SecretError::Format { found, expected: SecretKind::Tls, .. }) => found,
            other => panic!("expected a format error, found {other:?}"),
        }
    }

    #[test]
    fn a_secret_is_read_back_and_its_file_is_the_owners_alone() {
        let (_directory, path) = file("alice.key");
        write_secret(&path, SecretKind::Ledger, &SEED).unwrap();
        assert_eq!(*read_secret(&path, SecretKind::Ledger).unwrap(), SEED);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "distpos-ledger-key-1 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n");
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (directory, path) = file("tls.key");
        write_secret(&path, SecretKind::Tls, &SEED).unwrap();
        let again = write_secret(&path, SecretKind::Tls, &[8; 32]);
        assert!(matches!(again, Err(SecretError::Exists { path: p }) if p == path));
        assert_eq!(*read_secret(&path, SecretKind::Tls).unwrap(), SEED);

        let link = directory.path().join("link.key");
        std::os::unix::fs::symlink(directory.path().join("nowhere"), &link).unwrap();
        let through_link = write_secret(&link, SecretKind::Tls, &SEED);
        assert!(matches!(through_link, Err(SecretError::Exists { .. })));
    }

    #[test]
    fn a_file_that_others_can_reach_is_refused_with_its_path_and_mode() {
        let (_directory, path) = file("chain.key");
        write_secret(&path, SecretKind::Chain, &SEED).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_secret(&path, SecretKind::Chain).unwrap_err();
            assert!(matches!(&error, SecretError::Mode { found, .. } if *found == mode));
            let text = error.to_string();
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert!(text.contains(&format!("{mode:04o}")) && text.contains("0600"), "{text}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(*read_secret(&path, SecretKind::Chain).unwrap(), SEED);
    }

    #[test]
    fn one_kind_of_key_is_not_taken_for_another() {
        let (_directory, path) = file("chain.key");
        write_secret(&path, SecretKind::Chain, &SEED).unwrap();
        let error = read_secret(&path, SecretKind::Tls).unwrap_err();
        let SecretError::Format { found, .. } = error else { panic!("{error}") };
        assert_eq!(found, FormatFault::Kind(SecretKind::Chain));
    }

    #[test]
    fn damaged_files_are_refused_and_show_nothing_of_the_key() {
        let good = encode(SecretKind::Tls, &SEED);
        let good = std::str::from_utf8(&good).unwrap();
        assert_eq!(fault(b""), FormatFault::Label);
        assert_eq!(fault(b"\n"), FormatFault::Label);
        assert_eq!(fault(b"distpos-tls-key-1"), FormatFault::Label);
        assert_eq!(fault(good.replace("key-1", "key-2").as_bytes()), FormatFault::Label);
        assert_eq!(fault(&good.as_bytes()[..good.len() - 2]), FormatFault::Seed);
        assert_eq!(fault(good.replace('\n', "A\n").as_bytes()), FormatFault::Seed);
        assert_eq!(fault(good.replace('\n', "\n\n").as_bytes()), FormatFault::Seed);
        assert_eq!(fault(good.replace("Bwc\n", "Bw+\n").as_bytes()), FormatFault::Seed);
        assert_eq!(fault(&[b'a'; 5000]), FormatFault::Length);
        // The last character carries two bits that no seed has: one key has one text.
        assert_eq!(fault(good.replace("Bwc\n", "Bwd\n").as_bytes()), FormatFault::Seed);

        let (_directory, path) = file("tls.key");
        write_text(&path, good.replace("Bwc\n", "B\n").as_bytes(), 0o600);
        let error = read_secret(&path, SecretKind::Tls).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("BwcHBw"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (directory, path) = file("absent.key");
        let error = read_secret(&path, SecretKind::Tls).unwrap_err();
        assert!(matches!(&error, SecretError::Io { action: "open it", .. }), "{error}");
        let error = read_secret(directory.path(), SecretKind::Tls).unwrap_err();
        assert!(matches!(error, SecretError::NotAFile { .. }));

        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = read_secret(&pipe, SecretKind::Tls).unwrap_err();
        assert!(matches!(error, SecretError::NotAFile { .. }));
    }
}
