//! `distpos-send address`: what an address says.

use clap::Args;
use distpos_proto::{address::AddressInput, record::HostName};
use serde_json::json;

use super::super::{Exit, Failure, say, say_json};
use crate::chain::{evm, ledger};

#[derive(Args)]
pub(super) struct Arguments {
    /// The address.
    address: AddressInput,
    /// The domain under which chains are listed, to show where its records are.
    #[arg(long)]
    root: Option<HostName>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let (chain, local) = match &arguments.address {
        AddressInput::Here(local) => (None, local),
        AddressInput::At(address) => (Some(address.chain()), address.local()),
    };
    let form = form(local);
    let records = chain
        .zip(arguments.root.as_ref())
        .map(|(chain, root)| distpos_proto::record::Anchor::under(chain, root).gateways());
    if arguments.json {
        say_json(&json!({
            "chain": chain.map(|chain| chain.to_string()),
            "local": local.as_str(),
            "form": form,
            "records": records,
        }))?;
        return Ok(Exit::Done);
    }
    match chain {
        Some(chain) => say(format_args!("chain    {chain} (number {})", chain.number()))?,
        None => say("chain    0: the chain of the gateway that is asked")?,
    }
    say(format_args!("local    {local}"))?;
    say(format_args!("form     {form}"))?;
    if let Some(records) = records {
        say(format_args!("records  {records} TXT"))?;
    }
    Ok(Exit::Done)
}

/// Refuses what only an EVM account spelt wrong looks like: the other chain would refund it, after a
/// journey that cost gas on both.
pub(super) fn spelt(address: &AddressInput) -> Result<(), Failure> {
    let local = match address {
        AddressInput::Here(local) => local,
        AddressInput::At(address) => address.local(),
    };
    match evm::account_of(local) {
        Err(error @ evm::AccountError::Checksum) => {
            Err(Failure::usage(format_args!("recipient {local}: {error}")))
        }
        Ok(_) | Err(evm::AccountError::Form) => Ok(()),
    }
}

/// What a local address looks like; only its own chain knows what it is.
fn form(local: &distpos_proto::address::Local) -> String {
    match evm::account_of(local) {
        Ok(account) => return format!("an EVM account, {}", account.to_checksum(None)),
        Err(error @ evm::AccountError::Checksum) => {
            return format!("an EVM account? {error}");
        }
        Err(evm::AccountError::Form) => {}
    }
    match ledger::address::public_key(local) {
        Ok(_) => "an account of an embedded ledger".into(),
        Err(_) => "not known here; the chain's own gateway judges it".into(),
    }
}
