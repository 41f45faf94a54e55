//! `distpos-gateway`: the operator's commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{Exit, Failure, say, say_json};
use crate::config::Config;

mod accounts;
mod admin_client;
mod chain;
mod check;
mod delivery;
mod evm;
mod key;
mod keygen;
mod queue;
mod records;
mod run;
mod standing;
mod status;
mod trace;
mod trust;

pub(super) use evm::{account, node_url};

/// The DistPOS gateway: relays transactions between chains, as a mail server relays mail.
#[derive(Parser)]
#[command(name = "distpos-gateway", version, after_help = EXITS)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes: 0 done, 64 usage, 69 refused for good or not running, 70 internal, \
                     75 not now (try again), 78 configuration.";

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT.
    Run(FromConfig),
    /// Read configuration, keys and pins, and explain what is wrong; changes nothing.
    Check(check::Arguments),
    /// Make a TLS key and a chain key, and print what to publish.
    Keygen(keygen::Arguments),
    /// The chain keys of this gateway: show them, turn them over.
    #[command(subcommand)]
    Key(key::Command),
    /// Whether messages could be delivered, stage by stage; sends nothing.
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Print the DNS records to publish for a configured gateway, and its section for peers.
    Records(records::Arguments),
    /// Whom this gateway believes: the operator's pins.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Correspondent accounts: what peers owe and are owed.
    #[command(subcommand)]
    Account(accounts::Command),
    /// Other chains: suspend what goes to them or comes from them, and let it go on.
    #[command(subcommand)]
    Chain(chain::Command),
    /// What waits, why, and what is done about it.
    #[command(subcommand)]
    Queue(queue::Command),
    /// A message's whole life.
    Trace(trace::Arguments),
    /// How far chains and gateways have earned trust here, and why.
    #[command(subcommand)]
    Standing(standing::Command),
    /// The contract of an EVM chain.
    #[command(subcommand)]
    Evm(evm::Command),
    /// Ask the running gateway how it is.
    Status(status::Arguments),
    /// Print the version.
    Version(Json),
}

/// A command that reads the configuration.
#[derive(Args)]
struct FromConfig {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/distpos/gateway.toml")]
    config: PathBuf,
}

impl FromConfig {
    fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.config).map_err(Failure::configuration)
    }
}

#[derive(Args)]
struct Json {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Run(from) => run::execute(from.load()?),
        Command::Check(arguments) => check::execute(&arguments),
        Command::Keygen(arguments) => keygen::execute(&arguments),
        Command::Key(command) => super::block_on(key::execute(command)),
        Command::Delivery(command) => super::block_on(delivery::execute(command)),
        Command::Records(arguments) => records::execute(&arguments),
        Command::Trust(command) => trust::execute(command),
        Command::Account(command) => super::block_on(accounts::execute(command)),
        Command::Chain(command) => super::block_on(chain::execute(command)),
        Command::Queue(command) => super::block_on(queue::execute(command)),
        Command::Trace(arguments) => super::block_on(trace::execute(&arguments)),
        Command::Standing(command) => super::block_on(standing::execute(command)),
        Command::Evm(command) => super::block_on(evm::execute(command)),
        Command::Status(arguments) => super::block_on(status::execute(&arguments)),
        Command::Version(Json { json }) => version(json),
    }
}

fn version(json: bool) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match json {
        true => say_json(&serde_json::json!({
            "version": version,
            "protocol": distpos_proto::wire::VERSION,
        }))?,
        false => say(format_args!("distpos-gateway {version}"))?,
    }
    Ok(Exit::Done)
}
