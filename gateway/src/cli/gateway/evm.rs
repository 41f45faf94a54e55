//! `distpos-gateway evm`: the contract of an EVM chain, with its owner's key.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use distpos_proto::chain::ChainId;
use serde_json::json;

use super::{Exit, Failure, say, say_json};
use crate::{
    chain::evm::{self, Operator, Roles, user::TransactionHash},
    cli::evm_key,
};

mod accounts;
mod owner;
mod status;

pub(super) use accounts::{checked, note, payee as payee_of, token_word, told as account_told};

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
    Gateway(owner::GatewayArguments),
    /// Say how many gateways must agree to each delivery and each refund.
    Required(owner::RequiredArguments),
    /// Say who may pause the contract beside its owner.
    Pauser(owner::PauserArguments),
    /// Stop sending and delivering; refunds go on.
    Pause(owner::Act),
    /// End a pause.
    Resume(owner::Act),
    /// Register a peer chain by its genesis tag.
    Peer(owner::PeerArguments),
    /// Open, change or close an account with a peer; what is not named stays as it is.
    Account(accounts::AccountArguments),
    /// Book what was settled with a peer outside the chain.
    Settle(accounts::SettleArguments),
    /// Pay into a peer's reserve here; any key may.
    Deposit(accounts::DepositArguments),
    /// Add to what the contract may pay out.
    Fund(owner::FundArguments),
    /// Show how the contract and its chain stand; changes nothing.
    Status(status::Arguments),
}

#[derive(Args)]
struct Owner {
    /// The node's JSON-RPC address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", value_parser = node_url)]
    rpc: String,
    /// The key file, or keystore, of the account that signs: the owner's; to pause, the pauser's too.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
}

impl Owner {
    async fn connect(&self) -> Result<Operator, Failure> {
        let key = evm_key::load(&self.key, self.password.as_deref())?;
        Ok(Operator::connect(&self.rpc, key).await?.careful(signed))
    }
}

/// The hash goes to the terminal before the transaction leaves: it can be looked up whatever happens.
pub(super) fn signed(transaction: &TransactionHash) {
    let hash = data_encoding::HEXLOWER.encode(transaction);
    eprintln!("distpos-gateway: transaction 0x{hash}");
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
    /// How many gateways must agree to each delivery and each refund.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    required: u8,
    /// An account that may pause the contract, and do nothing else.
    #[arg(long, value_name = "0x…", value_parser = account)]
    pauser: Option<Address>,
    /// Who owns the contract afterwards; the paying account unless said otherwise.
    #[arg(long, value_name = "0x…", value_parser = account)]
    new_owner: Option<Address>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// An account as wallets write it.
pub(in crate::cli) fn account(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").ok_or("expected 0x and 40 hex digits")?;
    let local = digits.parse().map_err(|error| format!("{error}"))?;
    evm::account_of(&local).map_err(|error| error.to_string())
}

/// A node's address. One that can never work is the caller's mistake, not a node that is away.
pub(in crate::cli) fn node_url(text: &str) -> Result<String, String> {
    match text.starts_with("http://") {
        true => Ok(text.to_owned()),
        false => Err("expected an address that starts with http://".to_owned()),
    }
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Keygen { file, password } => keygen(&file, password.as_deref()),
        Command::Deploy(arguments) => deploy(&arguments).await,
        Command::Gateway(arguments) => owner::gateway(&arguments).await,
        Command::Required(arguments) => owner::required(&arguments).await,
        Command::Pauser(arguments) => owner::pauser(&arguments).await,
        Command::Pause(act) => owner::pause(&act).await,
        Command::Resume(act) => owner::resume(&act).await,
        Command::Peer(arguments) => owner::peer(&arguments).await,
        Command::Account(arguments) => accounts::account(&arguments).await,
        Command::Settle(arguments) => accounts::settle(&arguments).await,
        Command::Deposit(arguments) => accounts::deposit(&arguments).await,
        Command::Fund(arguments) => owner::fund(&arguments).await,
        Command::Status(arguments) => status::execute(&arguments).await,
    }
}

fn keygen(file: &Path, password: Option<&Path>) -> Result<Exit, Failure> {
    let key = evm_key::create(file, password)?;
    say(format_args!("{}", key.address().to_checksum(None)))?;
    Ok(Exit::Done)
}

async fn deploy(arguments: &DeployArguments) -> Result<Exit, Failure> {
    let (gateways, required) = (&arguments.gateway, arguments.required);
    if usize::from(required) > gateways.iter().collect::<BTreeSet<_>>().len() {
        let what = format!("--required is {required}, more than there are --gateway");
        return Err(Failure::usage(what));
    }
    let operator = arguments.owner.connect().await?;
    let owner = arguments.new_owner.unwrap_or_else(|| operator.address());
    let (gateways, pauser) = (gateways.clone(), arguments.pauser);
    let roles = Roles { owner, gateways, required, pauser };
    let deployed = operator.deploy(arguments.chain, &roles).await?;
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
