//! `distpos-gateway evm`: the contract of an EVM chain, with its owner's key.

use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use distpos_proto::{
    chain::{ChainId, GenesisTag},
    message::Asset,
};
use serde_json::json;

use super::{Exit, Failure, say, say_json};
use crate::{
    chain::evm::{self, Operator},
    cli::{amount, evm_key},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a key of an EVM account in a new file (0600), and print its address.
    Keygen {
        /// The file; it is never overwritten.
        file: PathBuf,
        /// Encrypt it as a keystore, with the password in this file.
        #[arg(long, value_name = "FILE")]
        password: Option<PathBuf>,
    },
    /// Deploy the contract, and print the configuration's [chain.evm].
    Deploy(DeployArguments),
    /// Give an account the gateway role, or take it.
    Gateway(GatewayArguments),
    /// Register a peer chain: its genesis tag, the asset counted with it, and its limit.
    Peer(PeerArguments),
    /// Add to what the contract may pay out.
    Fund(FundArguments),
}

#[derive(Args)]
struct Owner {
    /// The node's JSON-RPC address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// The key file, or keystore, of the account that pays and owns.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
}

impl Owner {
    async fn connect(&self) -> Result<Operator, Failure> {
        let key = evm_key::load(&self.key, self.password.as_deref())?;
        Ok(Operator::connect(&self.rpc, key).await?)
    }
}

#[derive(Args)]
pub(super) struct DeployArguments {
    #[command(flatten)]
    owner: Owner,
    /// The chain-id that the chain will have in addresses and DNS.
    #[arg(long, value_name = "CID")]
    chain: ChainId,
    /// An account that may deliver, void and end messages: a gateway's. May be repeated.
    #[arg(long, value_name = "0x…", required = true, value_parser = account)]
    gateway: Vec<Address>,
    /// Who owns the contract afterwards; the paying account unless said otherwise.
    #[arg(long, value_name = "0x…", value_parser = account)]
    new_owner: Option<Address>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct GatewayArguments {
    /// The gateway's account.
    #[arg(value_name = "0x…", value_parser = account)]
    gateway: Address,
    #[command(flatten)]
    owner: Owner,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = account)]
    contract: Address,
    /// Take the role.
    #[arg(long)]
    remove: bool,
    /// Why; it is printed with what was done.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub(super) struct PeerArguments {
    /// The peer's chain-id.
    chain: ChainId,
    #[command(flatten)]
    owner: Owner,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = account)]
    contract: Address,
    /// The peer's genesis tag.
    #[arg(long, value_name = "16 HEX DIGITS")]
    genesis: GenesisTag,
    /// The asset that is counted with it, such as e2e4/coin.
    #[arg(long)]
    asset: Asset,
    /// Most that in − out may come to, in wei or with a unit.
    #[arg(long, value_name = "AMOUNT")]
    value_max: String,
    /// Why; it is printed with what was done.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub(super) struct FundArguments {
    #[command(flatten)]
    owner: Owner,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = account)]
    contract: Address,
    /// How much, in wei or with a unit (1.5eth).
    #[arg(long)]
    amount: String,
    /// Why; it is printed with what was done.
    #[arg(long)]
    reason: String,
}

/// An account as wallets write it.
pub(in crate::cli) fn account(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").ok_or("expected 0x and 40 hex digits")?;
    let local = digits.parse().map_err(|error| format!("{error}"))?;
    evm::account_of(&local).map_err(|error| error.to_string())
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Keygen { file, password } => keygen(&file, password.as_deref()),
        Command::Deploy(arguments) => deploy(&arguments).await,
        Command::Gateway(arguments) => gateway(&arguments).await,
        Command::Peer(arguments) => peer(&arguments).await,
        Command::Fund(arguments) => fund(&arguments).await,
    }
}

fn keygen(file: &Path, password: Option<&Path>) -> Result<Exit, Failure> {
    let key = evm_key::create(file, password)?;
    say(format_args!("{}", key.address().to_checksum(None)))?;
    Ok(Exit::Done)
}

async fn deploy(arguments: &DeployArguments) -> Result<Exit, Failure> {
    let operator = arguments.owner.connect().await?;
    let owner = arguments.new_owner.unwrap_or_else(|| operator.address());
    let deployed = operator.deploy(arguments.chain, owner, &arguments.gateway).await?;
    let contract = deployed.contract.to_checksum(None);
    if arguments.json {
        say_json(&json!({
            "chain": arguments.chain.to_string(),
            "contract": contract,
            "from_block": deployed.start.0,
            "chain_id": deployed.eth_chain_id,
            "genesis": deployed.tag.to_string(),
        }))?;
        return Ok(Exit::Done);
    }
    say(format_args!("# genesis tag {}, owner {}", deployed.tag, owner.to_checksum(None)))?;
    say(format_args!("[chain]\nid = \"{}\"\nfamily = \"evm\"\n", arguments.chain))?;
    say(format_args!("[chain.evm]\nrpc = \"{}\"", arguments.owner.rpc))?;
    say(format_args!("chain_id = {}\ncontract = \"{contract}\"", deployed.eth_chain_id))?;
    say(format_args!("from_block = {}\nkey = \"evm.key\"", deployed.start))?;
    Ok(Exit::Done)
}

async fn gateway(arguments: &GatewayArguments) -> Result<Exit, Failure> {
    let operator = arguments.owner.connect().await?;
    let active = !arguments.remove;
    operator.set_gateway(arguments.contract, arguments.gateway, active).await?;
    let done = if active { "gave the gateway role to" } else { "took the gateway role from" };
    let account = arguments.gateway.to_checksum(None);
    say(format_args!("{done} {account}: {}", arguments.reason))?;
    Ok(Exit::Done)
}

async fn peer(arguments: &PeerArguments) -> Result<Exit, Failure> {
    let PeerArguments { chain, contract, genesis, asset, .. } = arguments;
    let value_max = amount::parse(&arguments.value_max, true).map_err(Failure::usage)?;
    let operator = arguments.owner.connect().await?;
    operator.set_peer(*contract, *chain, *genesis, asset, value_max).await?;
    say(format_args!(
        "registered {chain}: genesis {genesis}, asset {asset}, value_max {value_max}: {}",
        arguments.reason
    ))?;
    Ok(Exit::Done)
}

async fn fund(arguments: &FundArguments) -> Result<Exit, Failure> {
    let amount = amount::parse(&arguments.amount, true).map_err(Failure::usage)?;
    let operator = arguments.owner.connect().await?;
    operator.fund(arguments.contract, amount).await?;
    let contract = arguments.contract.to_checksum(None);
    say(format_args!("added {amount} wei to {contract}: {}", arguments.reason))?;
    Ok(Exit::Done)
}
