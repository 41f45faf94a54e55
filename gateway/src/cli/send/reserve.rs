//! `distpos-send reserve`: a payment into the reserve that a peer chain has on the own chain.

use std::path::PathBuf;

use clap::Args;
use distpos_proto::{amount::Amount, chain::ChainId, message::Asset};
use serde_json::json;

use super::{
    super::{Exit, Failure, say, say_json},
    At,
    client::Client,
    ledger,
    node::NodeArguments,
    reserve_evm,
};
use crate::submit::ChainView;

#[derive(Args)]
pub(super) struct Arguments {
    /// The peer chain whose reserve grows: its messages with value have so much more room here. The
    /// sum is that chain's from then on; only the own chain's operator gives it back.
    pub(super) chain: ChainId,
    /// What the account with it is counted in, such as `e2e4/coin`.
    #[arg(long)]
    pub(super) asset: Asset,
    /// How much: a whole number of the smallest unit; on EVM also 1.5eth, and of a token 1.5token.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) amount: String,
    /// The key that pays; anybody's.
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    pub(super) password: Option<PathBuf>,
    #[command(flatten)]
    pub(super) node: NodeArguments,
    /// Return when the payment is in a block. It always is by then.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    at: At,
}

/// What is to be paid, checked as far as one can without the chain.
pub(super) struct Deposit {
    pub(super) peer: ChainId,
    pub(super) asset: Asset,
    pub(super) amount: Amount,
}

/// What the chain has taken.
pub(super) struct Deposited {
    /// Who paid, as the own chain writes accounts.
    pub(super) from: String,
    /// In hex.
    pub(super) transaction: String,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let client = arguments.at.client()?;
    let chain = client.chain().await?;
    if arguments.chain.to_string() == chain.chain {
        let what = format!("{}: expected a peer chain, this is the own one", chain.chain);
        return Err(Failure::usage(what));
    }
    let done = match chain.family.as_str() {
        "ledger" => on_ledger(arguments, &client, &chain).await?,
        "evm" => reserve_evm::deposit(arguments, &chain).await?,
        other => {
            return Err(Failure::of(Exit::Unavailable, format_args!("chain of family {other}")));
        }
    };
    match arguments.at.json {
        true => say_json(&json!({ "transaction": done.transaction, "from": done.from }))?,
        false => say(&done.transaction)?,
    }
    Ok(Exit::Done)
}

/// A transaction that is answered once it is in a block: there is nothing left to wait for.
async fn on_ledger(
    arguments: &Arguments,
    client: &Client,
    chain: &ChainView,
) -> Result<Deposited, Failure> {
    let amount = crate::amount::parse(&arguments.amount, false).map_err(Failure::usage)?;
    let deposit = arguments.deposit(amount)?;
    ledger::Purse::at(client, chain, &arguments.key).await?.deposit(deposit).await
}

impl Arguments {
    pub(super) fn deposit(&self, amount: Amount) -> Result<Deposit, Failure> {
        if amount.is_zero() {
            return Err(Failure::usage("--amount is 0, expected more"));
        }
        Ok(Deposit { peer: self.chain, asset: self.asset.clone(), amount })
    }
}
