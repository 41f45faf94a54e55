//! Sending from an embedded ledger, through its gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use distpos_certs::{SecretKind, identity::load_signing_key};
use distpos_proto::{
    address::{Address, Local},
    chain::ChainId,
    key::SecretKey,
    message::MessageId,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    super::{Exit, Failure, say, say_json},
    At, Order, SendArguments, Sent,
    client::Client,
};
use crate::{
    chain::ledger::{
        address,
        transaction::{self, Place, SendOrder},
    },
    submit::{AccountView, ChainView},
};

#[derive(Args)]
pub(super) struct OpenArguments {
    /// The ledger key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
pub(super) struct AccountArguments {
    /// The ledger key, or with `--local` none.
    #[arg(long, value_name = "FILE", required_unless_present = "local")]
    key: Option<PathBuf>,
    /// A local address in place of a key: any account of the own chain.
    #[arg(long, conflicts_with = "key")]
    local: Option<Local>,
    #[command(flatten)]
    at: At,
}

/// How long a block may take to hold a transaction, before the id is asked for with the
/// transaction's hash.
const INCLUDED_WITHIN: Duration = Duration::from_secs(60);

/// How often the gateway is asked for it.
const EVERY: Duration = Duration::from_millis(100);

/// Signs and submits a message, or a transfer within the chain.
pub(super) async fn send(
    client: &Client,
    chain: &ChainView,
    arguments: &SendArguments,
    order: Order,
) -> Result<Sent, Failure> {
    let key = load(arguments.key()?)?;
    let local = address::local(&key.public());
    let account = client.account(local.as_str()).await?.ok_or_else(|| {
        let what = format!("account {local} is not open; open it: distpos-send open --key FILE");
        Failure::of(Exit::Unavailable, what)
    })?;
    let place = place(chain, account.nonce)?;
    let from = Address::new(place.chain, local);
    let own = order.to.chain() == place.chain;
    let signed = match own {
        true => {
            super::plain_transfer(&order)?;
            transaction::transfer(place, order.to.local(), order.amount, &key)
                .map_err(Failure::usage)?
        }
        false => transaction::send(place, leaving(order), &key),
    };
    let submitted = client.submit(signed).await?;
    let transaction = crate::config::text::parse_hex(&submitted.transaction)
        .map_err(|what| Failure::temporary(format_args!("gateway's answer: {what}")))?;
    let id = match own {
        true => None,
        false => Some(id_of(client, &submitted.transaction).await?),
    };
    Ok(Sent { from, transaction, id })
}

fn leaving(order: Order) -> SendOrder {
    let Order { to, amount, data, gas, on_fail, expires } = order;
    SendOrder { to, amount, data, gas, on_fail, expires }
}

/// The message's id: its sequence and time are the block's, so it is known once the block is made.
async fn id_of(client: &Client, transaction: &str) -> Result<MessageId, Failure> {
    let deadline = Instant::now() + INCLUDED_WITHIN;
    loop {
        let found = client.by_transaction(transaction).await?.messages;
        if let Some(id) = found.first() {
            return id
                .parse()
                .map_err(|error| Failure::temporary(format_args!("gateway's answer: {error}")));
        }
        if Instant::now() + EVERY > deadline {
            return Err(Failure::temporary(format_args!(
                "transaction {transaction} was submitted, and is in no block yet"
            )));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// `distpos-send open`.
pub(super) async fn open(arguments: &OpenArguments) -> Result<Exit, Failure> {
    let key = load(&arguments.key)?;
    let client = arguments.at.client()?;
    let chain = client.chain().await?;
    if chain.family != "ledger" {
        let what = format!(
            "chain {} is of family {}: its accounts need no opening",
            chain.chain, chain.family
        );
        return Err(Failure::of(Exit::Unavailable, what));
    }
    let place = place(&chain, 0)?;
    let local = address::local(&key.public());
    let submitted = client.submit(transaction::open(place, &key)).await?;
    let address = Address::new(place.chain, local);
    match arguments.at.json {
        true => say_json(&json!({
            "address": address.to_string(),
            "transaction": submitted.transaction,
        }))?,
        false => say(address)?,
    }
    Ok(Exit::Done)
}

/// `distpos-send account`.
pub(super) async fn account(arguments: &AccountArguments) -> Result<Exit, Failure> {
    let local = match (&arguments.local, &arguments.key) {
        (Some(local), _) => local.clone(),
        (None, Some(key)) => address::local(&load(key)?.public()),
        (None, None) => return Err(Failure::usage("expected --key or --local")),
    };
    let client = arguments.at.client()?;
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

fn load(file: &Path) -> Result<SecretKey, Failure> {
    load_signing_key(file, SecretKind::Ledger)
        .map_err(|error| Failure::new(Exit::Configuration, error))
}

fn place(chain: &ChainView, nonce: u64) -> Result<Place, Failure> {
    let odd = |what: String| Failure::temporary(format_args!("gateway's answer: {what}"));
    let id: ChainId = chain.chain.parse().map_err(|error| odd(format!("{error}")))?;
    let tag = chain.tag.parse().map_err(|error| odd(format!("{error}")))?;
    Ok(Place { chain: id, tag, nonce })
}
