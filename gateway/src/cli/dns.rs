//! `distpos-dns`: what DNS says of a chain.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};
use distpos_resolver::{Authority, HickoryLookup, LookupError};

use super::{Exit, Failure};
use crate::config::Config;

mod check;
mod lookup;
mod publish;
mod records;

/// Tools for those who publish a chain in DNS.
#[derive(Parser)]
#[command(name = "distpos-dns", version, after_help = EXITS)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes: 0 done or found (warnings too), 64 usage, 69 no such chain, errors \
                     found or refused for good, 75 DNS failed (try again), 78 configuration.";

#[derive(Subcommand)]
enum Command {
    /// Print what to publish: as zone file lines, for nsupdate, octoDNS, or as JSON.
    Records(records::Arguments),
    /// Look over what is published, on every authoritative server: errors, warnings, instructions.
    Check(check::Arguments),
    /// Show the route to a chain as a gateway with this configuration sees it now.
    Lookup(lookup::Arguments),
    /// Put the records into the zone (RFC 2136, TSIG), and wait until every server has them.
    Publish(publish::Arguments),
}

/// Where a gateway's configuration is, unless said otherwise.
const CONFIG: &str = "/etc/distpos/gateway.toml";

/// The gateway's configuration.
#[derive(Args)]
pub(super) struct FromConfig {
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

impl FromConfig {
    fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.config).map_err(Failure::configuration)
    }

    /// None on a machine without a gateway: where an administrator works.
    fn load_if_there(&self) -> Result<Option<Config>, Failure> {
        let is_usual = self.config == Path::new(CONFIG);
        if is_usual && !self.config.exists() { Ok(None) } else { self.load().map(Some) }
    }
}

/// Which servers are asked for what is published.
#[derive(Args)]
pub(super) struct Servers {
    /// An authoritative server, ADDRESS:PORT; may be given several times. Else those that DNS names,
    /// at port 53.
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: Vec<SocketAddr>,
}

impl Servers {
    /// The zone that holds a name, and who serves it.
    pub(super) async fn of(
        &self,
        lookup: &HickoryLookup,
        name: &str,
    ) -> Result<Authority, Failure> {
        match self.server.as_slice() {
            [] => Authority::of(lookup, name).await.map_err(|error| unknown(name, &error)),
            servers => Self::at(servers, name).await,
        }
    }

    /// These servers, whatever DNS says.
    pub(super) async fn at(servers: &[SocketAddr], name: &str) -> Result<Authority, Failure> {
        Authority::at(servers, name).await.map_err(|error| unknown(name, &error))
    }

    /// Those that the user named.
    pub(super) fn named(&self) -> &[SocketAddr] {
        &self.server
    }
}

fn unknown(name: &str, error: &LookupError) -> Failure {
    let exit = match error {
        LookupError::NotFound { .. } => Exit::Unavailable,
        LookupError::Temporary(_) => Exit::Temporary,
    };
    Failure::of(exit, format_args!("authoritative servers of {name}: {error}"))
}

pub(super) fn execute(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Records(arguments) => records::execute(&arguments),
        Command::Check(arguments) => super::block_on(check::execute(&arguments)),
        Command::Lookup(arguments) => super::block_on(lookup::execute(&arguments)),
        Command::Publish(arguments) => super::block_on(publish::execute(&arguments)),
    }
}
