//! Keys of EVM accounts in files: made, and read with the password asked for.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use zeroize::Zeroizing;

use super::{Exit, Failure, prompt};
use crate::chain::evm::{
    EvmKey,
    keystore::{self, KeystoreError},
};

/// Makes a key in a new file that only its owner may read: in hex, or with a file that holds a
/// password as a keystore.
pub(super) fn create(file: &Path, password: Option<&Path>) -> Result<EvmKey, Failure> {
    let key = EvmKey::random().map_err(|error| Failure::of(Exit::Internal, error))?;
    let text = match password {
        Some(password) => {
            let sealed = keystore::read_password(password)
                .and_then(|password| keystore::seal(&key, &password));
            Zeroizing::new(sealed.map_err(failed)?)
        }
        None => key.to_hex(),
    };
    let failed =
        |error: io::Error| Failure::configuration(format_args!("{}: {error}", file.display()));
    let mut options = OpenOptions::new();
    let mut new = options.write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    new.write_all(text.as_bytes())
        .and_then(|()| new.write_all(b"\n"))
        .and_then(|()| new.sync_all())
        .map_err(failed)?;
    Ok(key)
}

/// Reads a key file; asks on the terminal for a keystore's password where no file is named.
pub(super) fn load(file: &Path, password: Option<&Path>) -> Result<EvmKey, Failure> {
    let ask = || {
        let question = format!("Password of {}: ", file.display());
        match prompt::secret(&question).map_err(KeystoreError::Asking)? {
            Some(password) => Ok(password),
            // Nobody is there to be asked.
            None => Err(KeystoreError::NoPassword),
        }
    };
    keystore::read_asking(file, password, ask).map_err(failed)
}

fn failed(error: KeystoreError) -> Failure {
    Failure::new(Exit::Configuration, error)
}
