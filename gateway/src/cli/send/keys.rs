//! `distpos-send keygen`.

use std::path::PathBuf;

use clap::Args;
use distpos_certs::{SecretKind, identity::create_signing_key};

use super::super::{Exit, Failure, evm_key, say};
use crate::chain::ledger;

#[derive(Args)]
pub(super) struct Arguments {
    /// The file; it is never overwritten.
    file: PathBuf,
    /// Make a key of an EVM account rather than of an embedded ledger.
    #[arg(long)]
    evm: bool,
    /// Encrypt it as a wallet's keystore, with the password in this file.
    #[arg(long, value_name = "FILE", requires = "evm")]
    password: Option<PathBuf>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.evm {
        let key = evm_key::create(&arguments.file, arguments.password.as_deref())?;
        say(key.local())?;
    } else {
        let key = create_signing_key(&arguments.file, SecretKind::Ledger)
            .map_err(|error| Failure::new(Exit::Configuration, error))?;
        say(ledger::address::local(&key.public()))?;
    }
    Ok(Exit::Done)
}
