//! `distpos-send deposit`: addresses that any wallet can pay, each for one recipient elsewhere.

use std::path::PathBuf;

use alloy_primitives::Address as Account;
use clap::{Args, Subcommand};
use distpos_proto::address::AddressInput;
use serde_json::json;

use super::{
    super::{Exit, Failure, gateway::account, say, say_json},
    At,
    evm::{Purse, tell},
    node::NodeArguments,
};
use crate::chain::evm::user::Reader;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the address at which payments are for TO, on behalf of --sender.
    Address(AddressArguments),
    /// Send on what was paid to it; anybody may.
    Forward(ForwardArguments),
}

#[derive(Args)]
struct Deposit {
    /// The recipient on another chain.
    to: AddressInput,
    /// The account that is the message's sender, and gets a refund.
    #[arg(long, value_name = "0x…", value_parser = account)]
    sender: Account,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
pub(super) struct AddressArguments {
    #[command(flatten)]
    deposit: Deposit,
}

#[derive(Args)]
pub(super) struct ForwardArguments {
    #[command(flatten)]
    deposit: Deposit,
    /// The token that was paid; the own coin unless said otherwise.
    #[arg(long = "erc20", id = "erc20", value_name = "0x…", value_parser = account)]
    token: Option<Account>,
    /// The key that pays for the transaction; it need not be the sender's.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
}

pub(super) async fn execute(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Address(arguments) => address(&arguments.deposit).await,
        Command::Forward(arguments) => forward(arguments).await,
    }
}

async fn address(deposit: &Deposit) -> Result<Exit, Failure> {
    super::address::spelt(&deposit.to)?;
    let chain = deposit.at.client()?.chain().await?;
    let (place, rpc) = (deposit.node.place(&chain)?, deposit.node.rpc(&chain)?);
    let reader = Reader::connect(rpc)?;
    place.check_node(&reader).await?;
    place.check_outbox(&reader).await?;
    let to = deposit.to.clone().on(place.chain);
    let found = reader.deposit_address(place.outbox, &to, deposit.sender).await?;
    let found = found.to_checksum(None);
    if deposit.at.json {
        say_json(&json!({
            "deposit": found,
            "to": to.to_string(),
            "sender": deposit.sender.to_checksum(None),
        }))?;
        return Ok(Exit::Done);
    }
    say(&found)?;
    let sender = deposit.sender.to_checksum(None);
    eprintln!(
        "Whatever is paid to this address, in the coin or in a token that is counted with {}, is \
         for {to}\nalone. It leaves with: distpos-send deposit forward {to} --sender {sender}\n\
         A refund goes to {sender}.",
        to.chain()
    );
    Ok(Exit::Done)
}

async fn forward(arguments: &ForwardArguments) -> Result<Exit, Failure> {
    let ForwardArguments { deposit, token, key, password } = arguments;
    super::address::spelt(&deposit.to)?;
    let chain = deposit.at.client()?.chain().await?;
    let purse = Purse::at(&chain, &deposit.node, key, password.as_deref()).await?;
    purse.place.check_outbox(purse.reader()).await?;
    let to = deposit.to.clone().on(purse.place.chain);
    let token = token.unwrap_or(Account::ZERO);
    let outbox = purse.place.outbox;
    let forwarded = purse.wallet.forward_deposit(outbox, &to, deposit.sender, token, &tell);
    let (transaction, id) = forwarded.await?;
    match deposit.at.json {
        true => say_json(&json!({
            "id": id.to_string(),
            "transaction": super::hex(&transaction),
        }))?,
        false => say(id)?,
    }
    Ok(Exit::Done)
}
