//! `distpos-gateway standing`: how far chains and gateways have earned trust here, and why.

use clap::{Args, Subcommand};
use distpos_proto::standing::Subject;
use serde::{Deserialize, Serialize};

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    cli::table::{Side, Table},
    clock::moment,
    standing::view::{EntryView, StandingDetail, StandingView},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Everybody of whom something is known, with the score: 50 at first, 0 to 100.
    List(ListArguments),
    /// One chain or gateway, and what moved its score.
    Show(ShowArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ShowArguments {
    /// A chain-id such as e2e4, or a gateway such as e2e4@gw1.example:7333.
    subject: Subject,
    #[command(flatten)]
    from: FromConfig,
    /// How many entries of the journal.
    #[arg(long, default_value_t = 20)]
    entries: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// As the gateway answers.
#[derive(Serialize, Deserialize)]
struct Listed {
    standing: Vec<StandingView>,
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(arguments) => list(&arguments).await,
        Command::Show(arguments) => show(&arguments).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let admin = AdminClient::new(&arguments.from.load()?);
    let listed: Option<Listed> = admin.get("/v1/standing").await?;
    let listed = listed.unwrap_or(Listed { standing: Vec::new() });
    if arguments.json {
        say_json(&listed)?;
        return Ok(Exit::Done);
    }
    if listed.standing.is_empty() {
        say("nothing has moved any standing: every chain and gateway has 50")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("SUBJECT", Side::Left),
        ("STANDING", Side::Right),
        ("ENTRIES", Side::Right),
        ("SILENT SINCE", Side::Left),
    ]);
    for one in listed.standing {
        let silent = one.silent_since_ms.map(moment).unwrap_or_default();
        table.row([one.subject, one.standing, one.entries.to_string(), silent]);
    }
    table.print()?;
    Ok(Exit::Done)
}

async fn show(arguments: &ShowArguments) -> Result<Exit, Failure> {
    let ShowArguments { subject, from, entries, json } = arguments;
    let admin = AdminClient::new(&from.load()?);
    let path = format!("/v1/standing/{subject}?entries={entries}");
    let found: Option<StandingDetail> = admin.get(&path).await?;
    let detail = found.ok_or_else(|| {
        let what = format!("nothing is known of {subject}: it has a newcomer's standing, 50");
        Failure::of(Exit::Unavailable, what)
    })?;
    if *json {
        say_json(&detail)?;
        return Ok(Exit::Done);
    }
    let StandingView { subject, standing, entries, silent_since_ms, .. } = &detail.now;
    say(format_args!("subject   {subject}"))?;
    say(format_args!("standing  {standing}"))?;
    if let Some(since) = silent_since_ms {
        say(format_args!("silent    since {}", moment(*since)))?;
    }
    say(format_args!("journal   {} of {entries} entries, the newest first", detail.journal.len()))?;
    let mut table = Table::new(&[
        ("NUMBER", Side::Right),
        ("TIME", Side::Left),
        ("EVENT", Side::Left),
        ("BEFORE", Side::Right),
        ("AFTER", Side::Right),
        ("CAUSE", Side::Left),
    ]);
    for entry in detail.journal {
        let EntryView { number, at_ms, event, cause, before, after } = entry;
        table.row([number.to_string(), moment(at_ms), event, before, after, cause]);
    }
    if !table.is_empty() {
        table.print()?;
    }
    Ok(Exit::Done)
}
