//! `distpos-send account`: what an account of the own chain holds.

use std::path::PathBuf;

use alloy_primitives::Address as Account;
use clap::Args;
use distpos_proto::{address::Local, amount::Amount};
use serde_json::json;

use super::{
    super::{Exit, Failure, evm_key, gateway::account, say, say_json},
    At, ledger,
    node::NodeArguments,
};
use crate::{
    chain::evm::{self, user::Reader},
    submit::{AccountView, ChainView},
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The key, or with `--local` none.
    #[arg(long, value_name = "FILE", required_unless_present = "local")]
    key: Option<PathBuf>,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
    /// A local address in place of a key: any account of the own chain.
    #[arg(long, conflicts_with = "key")]
    local: Option<Local>,
    /// A token whose balance and refunds are shown too; may be repeated.
    #[arg(long = "erc20", id = "erc20", value_name = "0x…", value_parser = account)]
    token: Vec<Account>,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    at: At,
}

/// What an account has of one token, or of the own coin.
struct Holding {
    /// Zero for the own coin.
    token: Account,
    symbol: Option<String>,
    balance: Amount,
    /// Refunds that wait.
    claimable: Amount,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let client = arguments.at.client()?;
    let chain = client.chain().await?;
    let local = local(arguments, &chain)?;
    if chain.family == "evm" && arguments.node.rpc.is_some() {
        return at_node(arguments, &chain, &local).await;
    }
    if !arguments.token.is_empty() {
        return Err(Failure::usage("--erc20: expected an EVM chain and --rpc"));
    }
    let found = client.account(local.as_str()).await?;
    let AccountView { account, balance, nonce } = found.ok_or_else(|| {
        Failure::of(Exit::Unavailable, format_args!("{local}: the chain has no such account"))
    })?;
    match arguments.at.json {
        true => say_json(&json!({ "account": account, "balance": balance, "nonce": nonce }))?,
        false => say(format_args!("{account} balance {balance} nonce {nonce}"))?,
    }
    Ok(Exit::Done)
}

fn local(arguments: &Arguments, chain: &ChainView) -> Result<Local, Failure> {
    match (&arguments.local, &arguments.key) {
        (Some(local), _) => Ok(local.clone()),
        (None, Some(key)) if chain.family == "evm" => {
            Ok(evm_key::load(key, arguments.password.as_deref())?.local())
        }
        (None, Some(key)) => ledger::local(key),
        (None, None) => Err(Failure::usage("expected --key or --local")),
    }
}

/// The own coin, the tokens that were asked for, and refunds that wait in the outbox.
async fn at_node(arguments: &Arguments, chain: &ChainView, local: &Local) -> Result<Exit, Failure> {
    let (place, rpc) = (arguments.node.place(chain)?, arguments.node.rpc(chain)?);
    let reader = Reader::connect(rpc)?;
    place.check_node(&reader).await?;
    place.check_outbox(&reader).await?;
    let own = evm::account_of(local).map_err(Failure::usage)?;
    let account = reader.account(own).await?;
    let mut holdings = Vec::with_capacity(arguments.token.len());
    for token in &arguments.token {
        let symbol = reader.token(*token).await?.symbol;
        let balance = reader.token_balance(*token, own).await?;
        let claimable = reader.claimable(place.outbox, own, *token).await?;
        holdings.push(Holding { token: *token, symbol, balance, claimable });
    }
    let claimable = reader.claimable(place.outbox, own, Account::ZERO).await?;
    let coin = Holding { token: Account::ZERO, symbol: None, balance: account.balance, claimable };
    if arguments.at.json {
        let tokens: Vec<_> = holdings
            .iter()
            .map(|holding| {
                json!({
                    "token": holding.token.to_checksum(None),
                    "symbol": holding.symbol,
                    "balance": holding.balance.to_string(),
                    "claimable": holding.claimable.to_string(),
                })
            })
            .collect();
        say_json(&json!({
            "account": local.as_str(),
            "balance": coin.balance.to_string(),
            "nonce": account.nonce,
            "claimable": coin.claimable.to_string(),
            "tokens": tokens,
        }))?;
        return Ok(Exit::Done);
    }
    say(format_args!("{local} balance {} nonce {}", coin.balance, account.nonce))?;
    for holding in &holdings {
        let symbol = holding.symbol.as_deref().unwrap_or("-");
        say(format_args!("token {} {symbol} balance {}", holding.token, holding.balance))?;
    }
    for holding in holdings.iter().chain([&coin]).filter(|holding| !holding.claimable.is_zero()) {
        let (of, option) = match holding.token.is_zero() {
            true => ("the coin".to_owned(), String::new()),
            false => (holding.token.to_string(), format!(" --erc20 {}", holding.token)),
        };
        say(format_args!(
            "refund {} of {of} waits: distpos-send claim{option}",
            holding.claimable
        ))?;
    }
    Ok(Exit::Done)
}
