//! `distpos-gateway evm gateway, required, pauser, pause, resume, peer, fund`: what the contract's
//! owner says, each time with a reason that is printed with what was done. (`account`, `settle` and
//! `deposit` are in `accounts`.)

use alloy_primitives::Address;
use clap::Args;
use distpos_proto::chain::{ChainId, GenesisTag};

use super::{
    super::{Exit, Failure, say},
    Owner, account,
};
use crate::{admin::Reason, chain::evm::Operator, cli::amount};

/// On which contract, with whose key, and why.
#[derive(Args)]
pub(in crate::cli::gateway) struct Act {
    #[command(flatten)]
    owner: Owner,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = account)]
    contract: Address,
    /// Why, in one line of up to 200 characters; it is printed with what was done. That of a
    /// settlement goes onto the chain.
    #[arg(long)]
    pub(super) reason: Reason,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct GatewayArguments {
    /// The gateway's account.
    #[arg(value_name = "0x…", value_parser = account)]
    gateway: Address,
    #[command(flatten)]
    act: Act,
    /// Take the role.
    #[arg(long)]
    remove: bool,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct RequiredArguments {
    /// How many, at most as many as have the role.
    #[arg(value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
    required: u8,
    #[command(flatten)]
    act: Act,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct PauserArguments {
    /// The account; a key of its own, kept where it is at hand.
    #[arg(value_name = "0x…", value_parser = account)]
    pauser: Address,
    #[command(flatten)]
    act: Act,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct PeerArguments {
    /// The peer's chain-id.
    chain: ChainId,
    #[command(flatten)]
    act: Act,
    /// The peer's genesis tag.
    #[arg(long, value_name = "16 HEX DIGITS")]
    genesis: GenesisTag,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct FundArguments {
    #[command(flatten)]
    act: Act,
    /// An ERC-20 contract; the chain's own coin unless said otherwise.
    #[arg(long, value_name = "0x…", value_parser = account)]
    token: Option<Address>,
    /// How much, in the smallest unit or, for the coin, with a unit (1.5eth).
    #[arg(long, allow_hyphen_values = true)]
    amount: String,
}

impl Act {
    pub(super) async fn connect(&self) -> Result<(Operator, Address), Failure> {
        let operator = self.owner.connect().await?;
        operator.check_contract(self.contract).await?;
        Ok((operator, self.contract))
    }

    pub(super) fn done(&self, what: impl std::fmt::Display) -> Result<Exit, Failure> {
        say(format_args!("{what}: {}", self.reason))?;
        Ok(Exit::Done)
    }
}

pub(super) async fn gateway(arguments: &GatewayArguments) -> Result<Exit, Failure> {
    let (operator, contract) = arguments.act.connect().await?;
    operator.set_gateway(contract, arguments.gateway, !arguments.remove).await?;
    let done =
        if arguments.remove { "took the gateway role from" } else { "gave the gateway role to" };
    arguments.act.done(format_args!("{done} {}", arguments.gateway.to_checksum(None)))
}

pub(super) async fn required(arguments: &RequiredArguments) -> Result<Exit, Failure> {
    let (operator, contract) = arguments.act.connect().await?;
    operator.set_required(contract, arguments.required).await?;
    arguments.act.done(format_args!("{} gateways must agree", arguments.required))
}

pub(super) async fn pauser(arguments: &PauserArguments) -> Result<Exit, Failure> {
    let (operator, contract) = arguments.act.connect().await?;
    operator.set_pauser(contract, arguments.pauser).await?;
    arguments.act.done(format_args!("{} may pause", arguments.pauser.to_checksum(None)))
}

pub(super) async fn pause(act: &Act) -> Result<Exit, Failure> {
    let (operator, contract) = act.connect().await?;
    operator.pause(contract).await?;
    act.done("paused: nothing is sent or delivered, refunds go on")
}

pub(super) async fn resume(act: &Act) -> Result<Exit, Failure> {
    let (operator, contract) = act.connect().await?;
    operator.resume(contract).await?;
    act.done("resumed")
}

pub(super) async fn peer(arguments: &PeerArguments) -> Result<Exit, Failure> {
    let PeerArguments { chain, genesis, act } = arguments;
    let (operator, contract) = act.connect().await?;
    let before = operator.peer(contract, *chain).await?;
    if before == Some(*genesis) {
        return act.done(format_args!("nothing to do: {chain} is registered, genesis {genesis}"));
    }
    operator.set_peer(contract, *chain, *genesis).await?;
    match before {
        Some(before) => act.done(format_args!("{chain}: genesis {before} -> {genesis}")),
        None => act.done(format_args!("registered {chain}: genesis {genesis}")),
    }
}

pub(super) async fn fund(arguments: &FundArguments) -> Result<Exit, Failure> {
    let sum = amount::parse(&arguments.amount, arguments.token.is_none());
    let sum = sum.map_err(Failure::usage)?;
    let (operator, contract) = arguments.act.connect().await?;
    let unit = match arguments.token {
        Some(token) => {
            operator.fund_token(contract, token, sum).await?;
            format!("of {}", token.to_checksum(None))
        }
        None => {
            operator.fund(contract, sum).await?;
            "wei".to_owned()
        }
    };
    let contract = contract.to_checksum(None);
    arguments.act.done(format_args!("added {sum} {unit} to {contract}"))
}
