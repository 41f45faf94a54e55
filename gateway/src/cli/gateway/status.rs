//! `distpos-gateway status`: whether the gateway runs, and what it cannot go on with.

use clap::Args;

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::admin::GatewayView;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let admin = AdminClient::new(&arguments.from.load()?);
    let status: GatewayView = admin.get("/v1/gateway").await?.ok_or_else(|| {
        Failure::temporary("the gateway that runs is of a version without this command")
    })?;
    if arguments.json {
        say_json(&status)?;
        return Ok(Exit::Done);
    }
    let GatewayView { version, chain, tag, family, pid, frozen, keys } = status;
    say(format_args!("chain    {chain} ({family}, genesis {tag})"))?;
    say(format_args!("gateway  version {version}, process {pid}"))?;
    keys.iter().try_for_each(|key| say(format_args!("signs    with {key}")))?;
    for one in frozen {
        say(format_args!("frozen   {}: {}", one.chain, one.evidence))?;
    }
    Ok(Exit::Done)
}
