//! `distpos-send keygen`.

use std::path::PathBuf;

use clap::Args;
use distpos_certs::{SecretKind, identity::create_signing_key};

use super::super::{Exit, Failure, new_evm_key, say};
use crate::chain::ledger;

#[derive(Args)]
pub(super) struct Arguments {
    /// The file; it is never overwritten.
    file: PathBuf,
    /// Make a key of an EVM account rather than of an embedded ledger.
    #[arg(long)]
    evm: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.evm {
        say(new_evm_key(&arguments.file)?.local())?;
    } else {
        let key = create_signing_key(&arguments.file, SecretKind::Ledger)
            .map_err(|error| Failure::new(Exit::Configuration, error))?;
        say(ledger::address::local(&key.public()))?;
    }
    Ok(Exit::Done)
}
