//! An EVM account's key on disk: `0x` and 64 hex digits, or a wallet's keystore (Web3 Secret
//! Storage 3) with its password in another file, or asked for.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use aes::Aes128;
use alloy_primitives::Keccak256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::EvmKey;

mod create;

pub use create::seal;

/// Longest key or password file, in bytes; keystores have about 500.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most memory a keystore may make scrypt use, in bytes; wallets use 256 MiB at most.
const SCRYPT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most work a keystore may ask of scrypt, in blocks of 128 bytes mixed; wallets use 2^21.
const SCRYPT_WORK_MAX: u64 = 1 << 24;
/// Most rounds a keystore may ask of PBKDF2; wallets use 2^18.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

/// Why a file gives no key. The operator's or user's to repair.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// The file cannot be read.
    #[error("{}: {cause}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Others may read it.
    #[error("{}: mode is {mode:o}, expected 600: others may read a secret", file.display())]
    Mode {
        /// Which file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Longer than any key file.
    #[error("{}: {bytes} bytes, expected at most {FILE_BYTES_MAX}", file.display())]
    TooLong {
        /// Which file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Neither a key in hex nor a keystore.
    #[error("key file: expected 0x and 64 hex digits, or a keystore of version 3")]
    Form,
    /// A field of the keystore.
    #[error("keystore {field}: expected {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The keystore asks for more work or memory than any wallet does.
    #[error("keystore kdfparams: more work or memory than is allowed")]
    TooHard,
    /// A keystore, and no password file.
    #[error(
        "keystore is encrypted: name its password file (--password, in gateway.toml `password`)"
    )]
    NoPassword,
    /// Nobody can guess how long a password has to be, but an empty one is a mistake.
    #[error("password is empty")]
    EmptyPassword,
    /// Asking for the password has failed.
    #[error("password: {0}")]
    Asking(std::io::Error),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The password does not open it.
    #[error("keystore's mac differs: wrong password, or a damaged file")]
    Password,
    /// The bytes are no key of the curve.
    #[error("secret is no key of secp256k1")]
    Key,
}

/// Reads a key file; `password` names the file with a keystore's password (one line).
///
/// # Errors
/// [`KeystoreError`] says which file or field is wrong.
pub fn read(file: &Path, password: Option<&Path>) -> Result<EvmKey, KeystoreError> {
    read_asking(file, password, || Err(KeystoreError::NoPassword))
}

/// Reads a key file, and asks for a keystore's password where no file with it is named.
///
/// # Errors
/// [`KeystoreError`] says which file or field is wrong.
pub fn read_asking(
    file: &Path,
    password: Option<&Path>,
    ask: impl FnOnce() -> Result<Zeroizing<String>, KeystoreError>,
) -> Result<EvmKey, KeystoreError> {
    let text = secret_file(file)?;
    if !text.trim_start().starts_with('{') {
        return plain(text.trim());
    }
    open(&text, &password.map_or_else(ask, read_password)?)
}

/// The password of a file that only its owner may read: what stands there without its line's end.
///
/// # Errors
/// [`KeystoreError`] says what is wrong with the file.
pub fn read_password(file: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    let text = secret_file(file)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn secret_file(file: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    let failed = |cause| KeystoreError::File { file: file.into(), cause };
    let found = fs::metadata(file).map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeystoreError::Mode { file: file.into(), mode });
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(KeystoreError::TooLong { file: file.into(), bytes: found.len() });
    }
    fs::read_to_string(file).map(Zeroizing::new).map_err(failed)
}

fn plain(text: &str) -> Result<EvmKey, KeystoreError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| KeystoreError::Form)?;
    key(&bytes).ok_or(if bytes.len() == 32 { KeystoreError::Key } else { KeystoreError::Form })
}

fn key(bytes: &[u8]) -> Option<EvmKey> {
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().ok()?);
    EvmKey::from_bytes(&bytes)
}

#[derive(Deserialize)]
struct Keystore {
    version: u64,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    #[serde(flatten)]
    kdf: Kdf,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt { n: u64, r: u32, p: u32, dklen: usize, salt: String },
    Pbkdf2 { c: u32, prf: String, dklen: usize, salt: String },
}

/// Opens a keystore's text.
///
/// # Errors
/// [`KeystoreError`] names the field, or says that the password is wrong.
pub fn open(text: &str, password: &str) -> Result<EvmKey, KeystoreError> {
    let keystore: Keystore = serde_json::from_str(text).map_err(|_| KeystoreError::Form)?;
    if keystore.version != 3 {
        return Err(KeystoreError::Field { field: "version", expected: "3" });
    }
    let crypto = keystore.crypto;
    if crypto.cipher != "aes-128-ctr" {
        return Err(KeystoreError::Field { field: "cipher", expected: "aes-128-ctr" });
    }
    let derived = derive(&crypto.kdf, password)?;
    let mut secret = Zeroizing::new(hex("ciphertext", &crypto.ciphertext)?);
    let mut mac = Keccak256::new();
    mac.update(&derived[16..]);
    mac.update(&secret);
    if hex("mac", &crypto.mac)? != mac.finalize().as_slice() {
        return Err(KeystoreError::Password);
    }
    let iv: [u8; 16] = hex("iv", &crypto.cipherparams.iv)?
        .try_into()
        .map_err(|_| KeystoreError::Field { field: "iv", expected: "16 bytes" })?;
    encrypt(&derived, &iv, &mut secret);
    key(&secret).ok_or(KeystoreError::Key)
}

/// AES-128 in counter mode, under the first half of what was derived; the same way back.
fn encrypt(derived: &[u8; 32], iv: &[u8; 16], secret: &mut [u8]) {
    let mut aes_key = Zeroizing::new([0; 16]);
    aes_key.copy_from_slice(&derived[..16]);
    Ctr128BE::<Aes128>::new((&*aes_key).into(), iv.into()).apply_keystream(secret);
}

fn derive(kdf: &Kdf, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let mut derived = Zeroizing::new([0; 32]);
    let (dklen, salt) = match kdf {
        Kdf::Scrypt { dklen, salt, .. } | Kdf::Pbkdf2 { dklen, salt, .. } => (*dklen, salt),
    };
    if dklen != 32 {
        return Err(KeystoreError::Field { field: "dklen", expected: "32" });
    }
    let salt = hex("salt", salt)?;
    match kdf {
        Kdf::Scrypt { n, r, p, .. } => {
            let params = scrypt_params(*n, *r, *p)?;
            scrypt::scrypt(password.as_bytes(), &salt, &params, derived.as_mut_slice())
                .map_err(|_| KeystoreError::TooHard)?;
        }
        Kdf::Pbkdf2 { c, prf, .. } => {
            if prf != "hmac-sha256" {
                return Err(KeystoreError::Field { field: "prf", expected: "hmac-sha256" });
            }
            if !(1..=PBKDF2_ROUNDS_MAX).contains(c) {
                return Err(KeystoreError::TooHard);
            }
            let (password, out) = (password.as_bytes(), derived.as_mut_slice());
            pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, *c, out);
        }
    }
    Ok(derived)
}

fn scrypt_params(n: u64, r: u32, p: u32) -> Result<scrypt::Params, KeystoreError> {
    if !n.is_power_of_two() {
        return Err(KeystoreError::Field { field: "n", expected: "a power of two" });
    }
    let mixed = n.saturating_mul(u64::from(r));
    let works = mixed.saturating_mul(u64::from(p)) <= SCRYPT_WORK_MAX;
    if mixed.saturating_mul(128) > SCRYPT_BYTES_MAX || !works {
        return Err(KeystoreError::TooHard);
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| KeystoreError::TooHard)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| KeystoreError::TooHard)
}

fn hex(field: &'static str, text: &str) -> Result<Vec<u8>, KeystoreError> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| KeystoreError::Field { field, expected: "hex digits" })
}

#[cfg(test)]
mod tests;
