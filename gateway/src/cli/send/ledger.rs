//! Sending from an embedded ledger, through its gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use distpos_certs::{SecretKind, identity::load_signing_key};
use distpos_proto::{
    address::{Address, Local},
    amount::Amount,
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
    own::Quote,
    reserve::{Deposit, Deposited},
};
use crate::{
    chain::ledger::{
        address,
        transaction::{self, Place, SendOrder},
    },
    submit::ChainView,
};

#[derive(Args)]
pub(super) struct OpenArguments {
    /// The ledger key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    at: At,
}

/// How long a block may take to hold a transaction, before the id is asked for with the
/// transaction's hash.
const INCLUDED_WITHIN: Duration = Duration::from_secs(60);

/// How often the gateway is asked for it.
const EVERY: Duration = Duration::from_millis(100);

/// A user's account on the ledger.
pub(super) struct Purse<'c> {
    client: &'c Client,
    key: SecretKey,
    place: Place,
    balance: Amount,
    from: Address,
}

impl<'c> Purse<'c> {
    pub(super) async fn open(
        client: &'c Client,
        chain: &ChainView,
        arguments: &SendArguments,
    ) -> Result<Self, Failure> {
        Self::at(client, chain, arguments.key()?).await
    }

    /// The same for what is no message.
    pub(super) async fn at(
        client: &'c Client,
        chain: &ChainView,
        key: &Path,
    ) -> Result<Self, Failure> {
        let key = load(key)?;
        let local = address::local(&key.public());
        let account = client.account(local.as_str()).await?.ok_or_else(|| {
            let what =
                format!("account {local} is not open; open it: distpos-send open --key FILE");
            Failure::of(Exit::Unavailable, what)
        })?;
        let place = place(chain, account.nonce)?;
        let balance = account.balance.parse().map_err(odd)?;
        let from = Address::new(place.chain, local);
        Ok(Self { client, key, place, balance, from })
    }

    pub(super) fn from(&self) -> &Address {
        &self.from
    }

    /// The ledger takes no fee; what it looks at is the balance.
    pub(super) fn quote(&self, order: &Order) -> Result<Quote, Failure> {
        if order.to.chain() == self.place.chain {
            super::plain_transfer(order)?;
        }
        Ok(Quote { refused: self.short(order.amount), cost: None, note: None })
    }

    /// Why a sum cannot be paid; none if the balance has it.
    fn short(&self, amount: Amount) -> Option<String> {
        let text = || format!("balance is {}, less than {amount}", self.balance);
        (amount > self.balance).then(text)
    }

    /// Pays into a peer's reserve; in a block when this returns.
    pub(super) async fn deposit(&self, deposit: Deposit) -> Result<Deposited, Failure> {
        let Deposit { peer, asset, amount } = deposit;
        if let Some(short) = self.short(amount) {
            return Err(Failure::of(Exit::Unavailable, short));
        }
        let signed = transaction::deposit(self.place, peer, asset, amount, &self.key);
        let transaction = self.client.submit(signed).await?.transaction;
        Ok(Deposited { from: self.from.to_string(), transaction })
    }

    /// Signs and submits a message, or a transfer within the chain.
    pub(super) async fn send(&self, order: Order) -> Result<Sent, Failure> {
        let (place, key) = (self.place, &self.key);
        let own = order.to.chain() == place.chain;
        let signed = match own {
            true => {
                super::plain_transfer(&order)?;
                transaction::transfer(place, order.to.local(), order.amount, key)
                    .map_err(Failure::usage)?
            }
            false => transaction::send(place, leaving(order), key),
        };
        let submitted = self.client.submit(signed).await?;
        let transaction = crate::config::text::parse_hex(&submitted.transaction).map_err(odd)?;
        let id = match own {
            true => None,
            false => Some(id_of(self.client, &submitted.transaction).await?),
        };
        Ok(Sent { from: self.from.clone(), transaction, id })
    }
}

fn leaving(order: Order) -> SendOrder {
    let Order { to, amount, data, gas, on_fail, expires, asset: _ } = order;
    SendOrder { to, amount, data, gas, on_fail, expires }
}

/// The message's id: its sequence and time are the block's, so it is known once the block is made.
async fn id_of(client: &Client, transaction: &str) -> Result<MessageId, Failure> {
    let deadline = Instant::now() + INCLUDED_WITHIN;
    loop {
        let found = client.by_transaction(transaction).await?.messages;
        if let Some(id) = found.first() {
            return id.parse().map_err(odd);
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

/// The local address of a key.
pub(super) fn local(file: &Path) -> Result<Local, Failure> {
    Ok(address::local(&load(file)?.public()))
}

fn load(file: &Path) -> Result<SecretKey, Failure> {
    load_signing_key(file, SecretKind::Ledger)
        .map_err(|error| Failure::new(Exit::Configuration, error))
}

fn place(chain: &ChainView, nonce: u64) -> Result<Place, Failure> {
    let id: ChainId = chain.chain.parse().map_err(odd)?;
    let tag = chain.tag.parse().map_err(odd)?;
    Ok(Place { chain: id, tag, nonce })
}

fn odd(what: impl std::fmt::Display) -> Failure {
    Failure::temporary(format_args!("gateway's answer: {what}"))
}
