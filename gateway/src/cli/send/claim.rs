//! `distpos-send claim`: refunds that could not be paid out when they came.

use std::path::PathBuf;

use alloy_primitives::Address as Account;
use clap::Args;
use serde_json::json;

use super::{
    super::{Exit, Failure, gateway::account, say, say_json},
    At,
    evm::{Purse, tell},
    node::NodeArguments,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// Where the refund goes; the key's own account unless said otherwise.
    #[arg(long, value_name = "0x…", value_parser = account)]
    to: Option<Account>,
    /// The token; the own coin unless said otherwise.
    #[arg(long = "erc20", id = "erc20", value_name = "0x…", value_parser = account)]
    token: Option<Account>,
    /// The key of the account that the refund is owed to.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    at: At,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let chain = arguments.at.client()?.chain().await?;
    let Arguments { node, key, password, .. } = arguments;
    let purse = Purse::at(&chain, node, key, password.as_deref()).await?;
    purse.place.check_outbox(purse.reader()).await?;
    let (own, outbox) = (purse.wallet.address(), purse.place.outbox);
    let token = arguments.token.unwrap_or(Account::ZERO);
    let waits = purse.reader().claimable(outbox, own, token).await?;
    if waits.is_zero() {
        let what = format!("no refund waits for {}", own.to_checksum(None));
        return Err(Failure::of(Exit::Unavailable, what));
    }
    let to = arguments.to.unwrap_or(own);
    let transaction = purse.wallet.claim(outbox, token, to, &tell).await?;
    match arguments.at.json {
        true => say_json(&json!({
            "amount": waits.to_string(),
            "to": to.to_checksum(None),
            "transaction": super::hex(&transaction),
        }))?,
        false => say(format_args!("claimed {waits} for {}", to.to_checksum(None)))?,
    }
    Ok(Exit::Done)
}
