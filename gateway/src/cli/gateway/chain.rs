//! `distpos-gateway chain`: other chains, and what is suspended between them and the own one.

use std::time::Duration;

use clap::{Args, Subcommand};
use distpos_proto::chain::ChainId;

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    admin::{Reason, ResumeAsked, SuspendAsked, SuspendedView},
    cli::table::{Side, Table},
    clock::moment,
    config::text::parse_duration,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show what is suspended, until when, by whom and why.
    Suspended(LookArguments),
    /// Let nothing new go to a chain, or come from it, until it is resumed or the time is up.
    Suspend(SuspendArguments),
    /// Let it go on.
    Resume(ActArguments),
}

#[derive(Args)]
pub(super) struct LookArguments {
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ActArguments {
    /// The other chain.
    chain: ChainId,
    #[command(flatten)]
    from: FromConfig,
    /// To the chain, or from it: a pair of chains has a source and a destination.
    #[arg(long, value_name = "out|in|both", value_parser = ["out", "in", "both"], default_value = "both")]
    direction: String,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct SuspendArguments {
    #[command(flatten)]
    act: ActArguments,
    /// How long at most; 30 days if nothing is said.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasts: Option<Duration>,
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Suspended(LookArguments { from, json }) => {
            let admin = AdminClient::new(&from.load()?);
            let found: Option<Vec<SuspendedView>> = admin.get("/v1/chains/suspended").await?;
            let found = found.ok_or_else(|| {
                Failure::temporary("the gateway that runs is of a version without this command")
            })?;
            tell(&found, json)
        }
        Command::Suspend(SuspendArguments { act, lasts }) => {
            let asked = SuspendAsked {
                reason: act.reason.to_string(),
                direction: Some(act.direction.clone()),
                for_seconds: lasts.map(|lasts| lasts.as_secs()),
            };
            post(&act, "suspend", &asked).await
        }
        Command::Resume(act) => {
            let direction = Some(act.direction.clone());
            let asked = ResumeAsked { reason: act.reason.to_string(), direction };
            post(&act, "resume", &asked).await
        }
    }
}

async fn post(
    act: &ActArguments,
    verb: &str,
    asked: &impl serde::Serialize,
) -> Result<Exit, Failure> {
    let admin = AdminClient::new(&act.from.load()?);
    let path = format!("/v1/chains/{}/{verb}", act.chain);
    let mut left: Vec<SuspendedView> = admin.post(&path, asked).await?;
    let chain = act.chain.to_string();
    left.retain(|one| one.chain == chain);
    match left.is_empty() && !act.json {
        true => {
            say(format_args!("{chain} is not suspended any more"))?;
            Ok(Exit::Done)
        }
        false => tell(&left, act.json),
    }
}

fn tell(found: &[SuspendedView], json: bool) -> Result<Exit, Failure> {
    if json {
        say_json(&serde_json::json!({ "suspended": found }))?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        say("nothing is suspended")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("CHAIN", Side::Left),
        ("", Side::Left),
        ("UNTIL", Side::Left),
        ("BY", Side::Left),
        ("REASON", Side::Left),
    ]);
    for SuspendedView { chain, direction, until_ms, by, why, .. } in found {
        let texts = [chain, direction, &moment(*until_ms), by, why];
        table.row(texts.map(|text: &String| text.clone()));
    }
    table.print()?;
    Ok(Exit::Done)
}
