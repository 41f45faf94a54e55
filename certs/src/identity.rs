//! A gateway's two keys: made once by `keygen`, loaded at each start.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use distpos_proto::key::{PublicKey, SecretKey, SpkiPin};
use ed25519_dalek::SigningKey;

use crate::{
    secret::{self, SEED_BYTES, SecretError, SecretKind, read_secret, write_secret},
    spki,
};

/// File name of the TLS key in the key directory.
pub const TLS_FILE: &str = "tls.key";
/// File name of the chain key in the key directory.
pub const CHAIN_FILE: &str = "chain.key";

/// Who a gateway is in a TLS handshake. Clones share one key, wiped when the last is dropped.
#[derive(Clone)]
pub struct TlsIdentity(Arc<SigningKey>);

impl TlsIdentity {
    /// The identity of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        Self(Arc::new(SigningKey::from_bytes(seed)))
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// [`SecretError`], as [`read_secret`].
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        read_secret(path, SecretKind::Tls).map(|seed| Self::from_seed(&seed))
    }

    /// The public key as the handshake carries it: 44 bytes of SPKI (RFC 8410).
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        spki::encode_bytes(self.0.verifying_key().as_bytes())
    }

    /// What the gateway record's `spki=` must say.
    #[must_use]
    pub fn pin(&self) -> SpkiPin {
        SpkiPin::of(&self.spki())
    }

    pub(crate) fn signing_key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({})", self.pin())
    }
}

/// Both keys of a gateway.
#[derive(Debug)]
pub struct Identity {
    /// Proves who is connected.
    pub tls: TlsIdentity,
    /// Signs headers and receipts.
    pub chain: SecretKey,
}

impl Identity {
    /// Loads both keys from the directory that [`keygen`] filled.
    ///
    /// # Errors
    /// [`SecretError`], as [`read_secret`].
    pub fn load(directory: &Path) -> Result<Self, SecretError> {
        Ok(Self {
            tls: TlsIdentity::load(&directory.join(TLS_FILE))?,
            chain: load_signing_key(&directory.join(CHAIN_FILE), SecretKind::Chain)?,
        })
    }

    /// What may be shown and is published.
    #[must_use]
    pub fn public(&self) -> PublicIdentity {
        PublicIdentity { tls_pin: self.tls.pin(), chain_key: self.chain.public() }
    }
}

/// The public halves: what the DNS records publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicIdentity {
    /// `spki=` of the gateway record.
    pub tls_pin: SpkiPin,
    /// `p=` of the key record.
    pub chain_key: PublicKey,
}

/// Loads a key that signs: a gateway's chain key or a user's ledger key.
///
/// # Errors
/// [`SecretError`], as [`read_secret`].
pub fn load_signing_key(path: &Path, kind: SecretKind) -> Result<SecretKey, SecretError> {
    read_secret(path, kind).map(|seed| SecretKey::from_seed(&seed))
}

/// Makes a user's or gateway's signing key and writes it to a new file.
///
/// # Errors
/// [`SecretError`], as [`write_secret`].
pub fn create_signing_key(path: &Path, kind: SecretKind) -> Result<SecretKey, SecretError> {
    let seed = secret::random_seed()?;
    write_secret(path, kind, &seed)?;
    Ok(SecretKey::from_seed(&seed))
}

/// Makes both keys of a gateway in `directory`, which is created (0700) if it is not there.
///
/// # Errors
/// [`SecretError::Exists`] if either key is there already: then nothing is written. On any other
/// error nothing is left behind either, so that the command can be run again.
pub fn keygen(directory: &Path) -> Result<PublicIdentity, SecretError> {
    secret::create_directory(directory)?;
    let [tls_path, chain_path] = [TLS_FILE, CHAIN_FILE].map(|name| directory.join(name));
    refuse_existing([&tls_path, &chain_path])?;
    let (tls_seed, chain_seed) = (secret::random_seed()?, secret::random_seed()?);
    write_secret(&tls_path, SecretKind::Tls, &tls_seed)?;
    if let Err(error) = write_secret(&chain_path, SecretKind::Chain, &chain_seed) {
        // Written by this very call a moment ago (O_EXCL), published nowhere yet.
        let _ = std::fs::remove_file(&tls_path);
        return Err(error);
    }
    let tls = TlsIdentity::from_seed(&tls_seed);
    Ok(PublicIdentity { tls_pin: tls.pin(), chain_key: SecretKey::from_seed(&chain_seed).public() })
}

/// Looks before anything is written, so that a directory with one key stays as it is; that no file
/// is overwritten is held by `O_EXCL`.
fn refuse_existing(paths: [&PathBuf; 2]) -> Result<(), SecretError> {
    for path in paths {
        if path.symlink_metadata().is_ok() {
            return Err(SecretError::Exists { path: path.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn keygen_makes_what_load_reads() {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("etc/keys");
        let public = keygen(&keys).unwrap();
        let identity = Identity::load(&keys).unwrap();
        assert_eq!(identity.public(), public);
        assert_eq!(identity.tls.spki().len(), 44);
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        for name in [TLS_FILE, CHAIN_FILE] {
            let mode = fs::metadata(keys.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
        let other = keygen(&directory.path().join("other")).unwrap();
        assert_ne!(other.tls_pin, public.tls_pin);
        assert_ne!(other.chain_key, public.chain_key);
    }

    #[test]
    fn keygen_refuses_a_directory_with_either_key_and_changes_nothing() {
        for name in [TLS_FILE, CHAIN_FILE] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            fs::write(&path, "precious").unwrap();
            let refused = keygen(directory.path());
            assert!(matches!(refused, Err(SecretError::Exists { path: p }) if p == path));
            assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{name}");
        }
    }

    #[test]
    fn swapped_files_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        keygen(directory.path()).unwrap();
        let [tls, chain] = [TLS_FILE, CHAIN_FILE].map(|name| directory.path().join(name));
        fs::rename(&tls, directory.path().join("t")).unwrap();
        fs::rename(&chain, &tls).unwrap();
        let error = Identity::load(directory.path()).unwrap_err();
        assert!(matches!(error, SecretError::Format { expected: SecretKind::Tls, .. }), "{error}");
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let identity = TlsIdentity::from_seed(&[5; 32]);
        assert_eq!(format!("{identity:?}"), format!("TlsIdentity({})", identity.pin()));
    }

    #[test]
    fn the_spki_is_the_one_other_tools_print() {
        // RFC 8032, 7.1, test 1: seed and public key.
        let seed = data_encoding::HEXLOWER
            .decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
            .unwrap();
        let identity = TlsIdentity::from_seed(&seed.try_into().unwrap());
        let expected = "302a300506032b6570032100\
            d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(data_encoding::HEXLOWER.encode(&identity.spki()), expected);
    }
}
