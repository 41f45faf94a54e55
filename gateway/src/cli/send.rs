//! `distpos-send`: the user's command. The user's key is read, used and wiped in this process;
//! only a signed transaction leaves it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use distpos_proto::{
    address::{Address, AddressInput},
    amount::Amount,
    message::{Asset, Message, MessageId, OnFail},
    time::UnixSeconds,
};
use serde_json::json;

use super::{Exit, Failure, say, say_json};
use crate::{clock, config::text::parse_duration, submit::ChainView};
use client::Client;
use data::{Data, data};
use own::Purse;

mod account;
mod address;
mod claim;
mod client;
mod data;
mod deposit;
mod dry_run;
mod evm;
mod follow;
mod keys;
mod ledger;
mod node;
mod own;
mod reserve;
mod reserve_evm;

/// Send value and data to an address on another chain: e2e4x63ea7F78….
#[derive(Parser)]
#[command(
    name = "distpos-send",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = EXITS
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    send: SendArguments,
}

const EXITS: &str = "Exit codes: 0 submitted (with --wait: delivered), 64 wrong arguments, 69 refused \
                     for good (with --wait: refused and refunded), 70 internal, 75 not now or still \
                     under way at --timeout, 78 key file.";

#[derive(Subcommand)]
enum Command {
    /// Show how a message stands.
    Status(StatusArguments),
    /// Explain an address; asks nobody.
    Address(address::Arguments),
    /// Make a key in a new file (0600), and print its local address.
    Keygen(keys::Arguments),
    /// Open the key's account on the embedded ledger, so that it can be paid.
    Open(ledger::OpenArguments),
    /// Show an account: balance and nonce; with `--rpc` also tokens, and refunds that wait.
    Account(account::Arguments),
    /// Addresses on the own EVM chain that any wallet can pay, each for one recipient elsewhere.
    #[command(subcommand)]
    Deposit(deposit::Command),
    /// Pay into the reserve that a peer chain has here, so that more of its value is let in.
    Reserve(reserve::Arguments),
    /// Take a refund that could not be paid out when it came.
    Claim(claim::Arguments),
}

/// Where the gateway is.
#[derive(Args)]
struct At {
    /// The gateway's submission listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7334")]
    gateway: String,
    /// File with the token, if the gateway wants one.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl At {
    fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.gateway, self.token.as_deref())
    }
}

#[derive(Args)]
struct SendArguments {
    /// The recipient: `<chain-id>x<local address>`, or `0x…` for one on the own chain.
    // An option only because a subcommand does without it.
    #[arg(required = true)]
    to: Option<AddressInput>,
    #[command(flatten)]
    order: OrderArguments,
    /// The key: a ledger key, an EVM key in hex, or an encrypted keystore.
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
    /// Send this ERC-20 token in place of the own coin.
    #[arg(long = "erc20", id = "erc20", value_name = "0x…", value_parser = super::gateway::account)]
    token: Option<alloy_primitives::Address>,
    #[command(flatten)]
    node: node::NodeArguments,
    /// Send nothing: show what the own chain and the destination would do.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Follow the message to its end, and print each step.
    #[arg(long)]
    wait: bool,
    /// How long to follow it.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    at: At,
}

#[derive(Args)]
struct OrderArguments {
    /// How much: a whole number of the smallest unit; on EVM also 1.5eth, 20gwei, and with --erc20
    /// 1.5token.
    #[arg(long, default_value = "0", allow_hyphen_values = true)]
    amount: String,
    /// Call data or a note: hex, a call such as 'greet(string,uint256) "hello world" 5', or a file
    /// with the bytes.
    #[arg(long, value_name = "0x…|CALL|@FILE", default_value = "", value_parser = data)]
    data: Data,
    /// Gas for the recipient's call, in the destination's unit; 0: no call; auto: what a gateway
    /// there estimates.
    #[arg(long, value_name = "N|auto", default_value = "0", value_parser = gas)]
    gas: Gas,
    /// What happens to the value when the call fails.
    #[arg(long, value_enum, default_value_t = Fail::Return)]
    on_fail: Fail,
    /// Not delivered after this time from now, at most 5d.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    expires: Duration,
}

/// Gas for the recipient's call.
#[derive(Clone, Copy)]
enum Gas {
    /// That much.
    Of(u64),
    /// As much as a gateway of the destination estimates.
    Auto,
}

fn gas(text: &str) -> Result<Gas, String> {
    match text {
        "auto" => Ok(Gas::Auto),
        number => number.parse().map(Gas::Of).map_err(|_| "expected a number or auto".into()),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Fail {
    /// It comes back.
    Return,
    /// The recipient keeps it.
    Keep,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    match duration.as_secs() {
        1..=Message::EXPIRES_AFTER_MAX => Ok(duration),
        _ => Err(format!("found {text:?}, expected 1s to 5d")),
    }
}

#[derive(Args)]
struct StatusArguments {
    /// The message's id, as distpos-send printed it.
    id: MessageId,
    #[command(flatten)]
    at: At,
}

/// What is to be sent, checked as far as one can without the chain.
struct Order {
    to: Address,
    amount: Amount,
    /// What the amount counts; none: what the gateway says the own coin is counted in.
    asset: Option<Asset>,
    data: Vec<u8>,
    gas: u64,
    on_fail: OnFail,
    expires: UnixSeconds,
}

/// What the chain has taken.
struct Sent {
    from: Address,
    transaction: Vec<u8>,
    /// None for a transfer within the own chain.
    id: Option<MessageId>,
}

pub(super) fn execute(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Some(Command::Status(arguments)) => super::block_on(status(&arguments)),
        Some(Command::Address(arguments)) => address::execute(&arguments),
        Some(Command::Keygen(arguments)) => keys::execute(&arguments),
        Some(Command::Open(arguments)) => super::block_on(ledger::open(&arguments)),
        Some(Command::Account(arguments)) => super::block_on(account::execute(&arguments)),
        Some(Command::Deposit(command)) => super::block_on(deposit::execute(&command)),
        Some(Command::Reserve(arguments)) => super::block_on(reserve::execute(&arguments)),
        Some(Command::Claim(arguments)) => super::block_on(claim::execute(&arguments)),
        None => super::block_on(send(arguments.send)),
    }
}

impl SendArguments {
    fn key(&self) -> Result<&std::path::Path, Failure> {
        self.key.as_deref().ok_or_else(|| Failure::usage("--key is missing"))
    }
}

async fn send(arguments: SendArguments) -> Result<Exit, Failure> {
    let client = arguments.at.client()?;
    let chain = client.chain().await?;
    let mut order = order(&arguments, &chain)?;
    let purse = Purse::open(&client, &chain, &arguments).await?;
    order.amount = purse.amount(&arguments.order.amount)?;
    order.asset = purse.asset(&order).await?;
    dry_run::settle_gas(&client, purse.from(), &mut order, arguments.order.gas).await?;
    let json = arguments.at.json;
    if arguments.dry_run {
        let forecast = dry_run::run(&client, &purse, &order).await?;
        return dry_run::tell(&forecast, purse.from(), &order, json);
    }
    let sent = purse.send(order).await?;
    match (sent.id, arguments.wait) {
        (Some(id), true) => {
            if !json {
                say(id)?;
            }
            let ended = follow::to_the_end(&client, id, arguments.timeout, !json).await?;
            if json {
                say_json(&view(&sent, Some(&ended)))?;
            }
            Ok(ended.exit())
        }
        (id, _) => {
            match (json, id) {
                (true, _) => say_json(&view(&sent, None))?,
                (false, Some(id)) => say(id)?,
                (false, None) => say(hex(&sent.transaction))?,
            }
            Ok(Exit::Done)
        }
    }
}

/// Fills the order in and checks it, before any key is read.
fn order(arguments: &SendArguments, chain: &ChainView) -> Result<Order, Failure> {
    let own = chain
        .chain
        .parse()
        .map_err(|error| Failure::temporary(format_args!("gateway's answer: {error}")))?;
    let OrderArguments { amount, data, on_fail, expires, .. } = &arguments.order;
    let to = arguments.to.clone().ok_or_else(|| Failure::usage("expected a recipient"))?;
    let to = address::spelt(&to).map(|()| to)?;
    // A token says how it is counted, and only its chain knows it.
    let amount = match arguments.token {
        Some(_) => Amount::ZERO,
        None => crate::amount::parse(amount, chain.family == "evm").map_err(Failure::usage)?,
    };
    Ok(Order {
        to: to.on(own),
        amount,
        asset: None,
        data: data.bytes().to_vec(),
        // `settle_gas` fills it in.
        gas: 0,
        on_fail: match on_fail {
            Fail::Return => OnFail::Return,
            Fail::Keep => OnFail::Keep,
        },
        expires: clock::system()().after(*expires).seconds(),
    })
}

/// Refuses what a transfer within a chain cannot carry.
fn plain_transfer(order: &Order) -> Result<(), Failure> {
    if order.amount.is_zero() || !order.data.is_empty() || order.gas != 0 {
        let what = "recipient is on the own chain: expected --amount, and neither --data nor --gas";
        return Err(Failure::usage(what));
    }
    Ok(())
}

fn view(sent: &Sent, ended: Option<&follow::Followed>) -> serde_json::Value {
    json!({
        "id": sent.id.map(|id| id.to_string()),
        "transaction": hex(&sent.transaction),
        "from": sent.from.to_string(),
        "message": ended.and_then(|ended| ended.view.as_ref()),
    })
}

async fn status(arguments: &StatusArguments) -> Result<Exit, Failure> {
    let view = arguments.at.client()?.message(arguments.id).await?.ok_or_else(|| {
        Failure::of(Exit::Unavailable, format_args!("{}: no such message here", arguments.id))
    })?;
    match arguments.at.json {
        true => say_json(&view)?,
        false => follow::show(&view)?,
    }
    Ok(Exit::Done)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
