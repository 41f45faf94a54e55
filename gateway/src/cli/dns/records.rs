//! `distpos-dns records`: what to publish, in the form of the tool that publishes it.

use clap::Args;
use distpos_resolver::publish::Format;

use super::{Exit, Failure, FromConfig};
use crate::{
    cli::{own_records::Publishing, say},
    keyring::Keyring,
};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    publishing: Publishing,
    /// zone: zone file lines; nsupdate: its input; octodns: a zone of its YAML provider; json.
    #[arg(long, default_value = "zone", conflicts_with = "json")]
    format: Format,
    /// The same as --format json.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
    let own = arguments.publishing.records(&config, &ring)?;
    let format = if arguments.json { Format::Json } else { arguments.format };
    let text = own.set.print(format, &own.zone).map_err(Failure::usage)?;
    say(text.trim_end())?;
    Ok(Exit::Done)
}
