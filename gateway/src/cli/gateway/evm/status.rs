//! `distpos-gateway evm status`: how the contract and its chain stand.

use std::{path::PathBuf, sync::Arc};

use alloy_primitives::{Address, U256, utils::format_ether};
use clap::Args;
use distpos_proto::{account::Figures, amount::Amount, chain::Height};
use serde_json::{Value as Json, json};

use super::{account, accounts};
use crate::{
    chain::evm::{self, AccountStatus, Nodes, Status, TokenStatus},
    cli::{Exit, Failure, say, say_json},
    config::{Config, Node},
    daemon,
    event::Log,
};

#[derive(Args)]
pub(in crate::cli::gateway) struct Arguments {
    /// The configuration to take the nodes and the contract from, unless they are named.
    #[arg(long, value_name = "FILE", default_value = "/etc/distpos/gateway.toml")]
    config: PathBuf,
    /// A node's JSON-RPC address.
    #[arg(long, value_name = "URL", requires = "contract", value_parser = super::node_url)]
    rpc: Option<String>,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = account, requires = "rpc")]
    contract: Option<Address>,
    /// The block that the contract was deployed in: its events are read from there on.
    #[arg(long, value_name = "BLOCK", default_value_t = 0, conflicts_with = "config")]
    from_block: u64,
    /// An account to show beside those that the contract names. May be repeated.
    #[arg(long, value_name = "0x…", value_parser = account)]
    account: Vec<Address>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let (nodes, contract, start) = arguments.place()?;
    let status = evm::status(&nodes, contract, start, &arguments.account).await?;
    if arguments.json {
        say_json(&as_json(&status))?;
    } else {
        tell(&status)?;
    }
    Ok(Exit::Done)
}

impl Arguments {
    /// Where the contract stands.
    fn place(&self) -> Result<(Nodes, Address, Height), Failure> {
        if let (Some(rpc), Some(contract)) = (&self.rpc, self.contract) {
            return Ok((rpc.as_str().into(), contract, Height(self.from_block)));
        }
        let config = Config::load(&self.config).map_err(Failure::configuration)?;
        let Node::Evm(node) = &config.chain.node else {
            return Err(Failure::usage("the configuration is of no EVM chain: use --rpc"));
        };
        let config = daemon::evm_config(config.chain.id, node, Arc::new(Log));
        Ok((config.nodes, config.contract, config.start))
    }
}

fn tell(status: &Status) -> Result<(), Failure> {
    let row = |name: &str, text: String| say(format_args!("{name:<10} {text}"));
    let age = crate::clock::system()().seconds().0.saturating_sub(status.head.time.0);
    row(
        "chain",
        format!("{} (chain id {}, genesis tag {})", status.chain, status.eth_chain_id, status.tag),
    )?;
    row("head", format!("{}, {age} s old", status.head.height))?;
    let finalized = status.finalized.map_or("no such tag".into(), |head| head.height.to_string());
    row("finalized", finalized)?;
    row("contract", format!("{}{}", status.contract, if status.paused { ", paused" } else { "" }))?;
    row("owner", status.owner.to_string())?;
    row("pauser", status.pauser.map_or("none but the owner".into(), |one| one.to_string()))?;
    let active = status.gateways.iter().filter(|gateway| gateway.active).count();
    row("required", format!("{} of {active} gateways", status.required))?;
    for gateway in &status.gateways {
        let role = if gateway.active { "has the role" } else { "has no role" };
        row("gateway", format!("{} {role}, {} for gas", gateway.account, ether(gateway.balance)))?;
    }
    for peer in &status.peers {
        row("peer", format!("{} (genesis tag {})", peer.chain, peer.tag))?;
    }
    for account in &status.accounts {
        row("account", account_row(account))?;
    }
    for held in &status.tokens {
        let TokenStatus { token, covered, escrow, owed, .. } = held;
        let (name, float) = (name(*token), held.float());
        row(
            "holds",
            format!("{name}: float {float}, covered {covered}, in escrow {escrow}, owed {owed}"),
        )?;
    }
    Ok(())
}

fn account_row(account: &AccountStatus) -> String {
    let AccountStatus { chain, asset, limits, figures, .. } = account;
    let Figures { reserve, received, sent, pending_out, .. } = figures;
    let mut row = format!(
        "{chain} {asset} ({}): terms {}, credit_limit {}, reserve {reserve}, received {received}, \
         sent {sent}, pending_out {pending_out}, cover {}",
        account.backing(),
        accounts::terms(account),
        accounts::limit(limits.credit_limit),
        account.cover(),
    );
    if limits.window.is_some() {
        let used = account.window_used;
        row += &format!(", window {used} of {}", accounts::window(limits.window));
    }
    row
}

/// The coin has no address of its own.
fn name(token: Address) -> String {
    if token == Address::ZERO { "coin".into() } else { token.to_string() }
}

fn ether(sum: Amount) -> String {
    format_ether(U256::from_be_bytes(sum.to_word()))
}

/// Sums are texts: JSON's numbers cannot hold them.
fn as_json(status: &Status) -> Json {
    let head = |head: &distpos_proto::wire::Head| json!({"height": head.height.0, "block": head.block.to_string(), "time": head.time.0});
    let gateways = status.gateways.iter().map(|gateway| {
        json!({
            "account": gateway.account.to_string(),
            "active": gateway.active,
            "balance": gateway.balance.to_string(),
        })
    });
    let peers = status
        .peers
        .iter()
        .map(|peer| json!({"chain": peer.chain.to_string(), "genesis": peer.tag.to_string()}));
    let tokens = status.tokens.iter().map(|token| {
        json!({
            "token": token.token.to_string(),
            "free": token.free.to_string(),
            "covered": token.covered.to_string(),
            "float": token.float().to_string(),
            "escrow": token.escrow.to_string(),
            "owed": token.owed.to_string(),
        })
    });
    json!({
        "chain": status.chain,
        "chain_id": status.eth_chain_id,
        "genesis": status.tag.to_string(),
        "head": head(&status.head),
        "finalized": status.finalized.as_ref().map(head),
        "contract": status.contract.to_string(),
        "owner": status.owner.to_string(),
        "pauser": status.pauser.map(|one| one.to_string()),
        "paused": status.paused,
        "required": status.required,
        "gateways": gateways.collect::<Vec<_>>(),
        "peers": peers.collect::<Vec<_>>(),
        "accounts": status.accounts.iter().map(accounts::view).collect::<Vec<_>>(),
        "tokens": tokens.collect::<Vec<_>>(),
    })
}
