//! `distpos-dns publish`: an update by RFC 2136, and patience until every server has it.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use clap::Args;
use distpos_resolver::{
    Authority, LookupError,
    publish::{RecordSet, TsigKey, UpdateError, update},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Exit, Failure, FromConfig, Servers};
use crate::{
    cli::{own_records::Publishing, say, say_json},
    config::text::parse_duration,
    keyring::Keyring,
};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    publishing: Publishing,
    /// The zone's primary server, ADDRESS:PORT.
    #[arg(long, value_name = "ADDRESS:PORT")]
    primary: SocketAddr,
    /// File with the TSIG key, as `tsig-keygen` prints it; readable for its owner only.
    #[arg(long, value_name = "FILE")]
    tsig: PathBuf,
    #[command(flatten)]
    servers: Servers,
    /// How long to wait for the servers.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Pause between two looks at the servers: a NOTIFY and a transfer take about that.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Largest key file, in bytes.
const KEY_BYTES_MAX: u64 = 4_096;

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
    let own = arguments.publishing.records(&config, &ring)?;
    let key = read_key(&arguments.tsig).map_err(|what| {
        Failure::configuration(format_args!("{}: {what}", arguments.tsig.display()))
    })?;
    own.set.print(distpos_resolver::publish::Format::Zone, &own.zone).map_err(Failure::usage)?;
    update(&own.set, &own.zone, arguments.primary, &key).await.map_err(failure)?;
    if !arguments.json {
        say(format_args!("{} took {} names", arguments.primary, own.set.owners().len()))?;
    }
    let lookup = config.lookup().map_err(Failure::configuration)?;
    // Whoever names no servers and has none in DNS yet has at least the primary.
    let authority = match arguments.servers.of(&lookup, &own.set.anchor.gateways()).await {
        Ok(authority) => authority,
        Err(_) if arguments.servers.named().is_empty() => {
            let primary = [arguments.primary];
            let at = Authority::at(&primary, &own.set.anchor.gateways()).await;
            at.map_err(Failure::temporary)?
        }
        Err(failure) => return Err(failure),
    };
    let late = wait(&own.set, &authority, arguments.timeout).await;
    tell(arguments, &authority, &late)?;
    Ok(if late.is_empty() { Exit::Done } else { Exit::Temporary })
}

fn read_key(file: &std::path::Path) -> Result<TsigKey, String> {
    let metadata = fs::metadata(file).map_err(|error| error.to_string())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("has mode {mode:o}, expected no access for group and others"));
    }
    if metadata.len() > KEY_BYTES_MAX {
        let found = metadata.len();
        return Err(format!("has {found} bytes, expected at most {KEY_BYTES_MAX}"));
    }
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: distpos_resolver::publish::TsigKeyError| error.to_string())
}

fn failure(error: UpdateError) -> Failure {
    let exit = match &error {
        UpdateError::Name(_) => Exit::Usage,
        UpdateError::Key(_) => Exit::Configuration,
        UpdateError::NoAnswer { .. } | UpdateError::Refused { is_temporary: true, .. } => {
            Exit::Temporary
        }
        UpdateError::Refused { .. } => Exit::Unavailable,
    };
    Failure::new(exit, error)
}

/// Looks until every server has every name as it was published; gives what is still missing, and
/// where.
async fn wait(set: &RecordSet, authority: &Authority, limit: Duration) -> Vec<String> {
    let start = Instant::now();
    loop {
        let late = missing(set, authority).await;
        if late.is_empty() || start.elapsed() >= limit {
            return late;
        }
        sleep(LOOK_EVERY.min(limit.saturating_sub(start.elapsed()))).await;
    }
}

async fn missing(set: &RecordSet, authority: &Authority) -> Vec<String> {
    let mut missing = Vec::new();
    for owner in set.owners() {
        let mut expected: Vec<&[u8]> = owner.texts.iter().map(String::as_bytes).collect();
        expected.sort_unstable();
        for (server, answer) in authority.txt(&owner.name).await {
            let what = match answer {
                Ok(answer) => {
                    let mut found: Vec<_> = answer.records.iter().map(Vec::as_slice).collect();
                    found.sort_unstable();
                    if found == expected {
                        continue;
                    }
                    "has something else".to_owned()
                }
                Err(LookupError::NotFound { kind, .. }) => kind.to_string(),
                Err(LookupError::Temporary(failure)) => failure.to_string(),
            };
            missing.push(format!("{server}: {}: {what}", owner.name));
        }
    }
    missing
}

fn tell(arguments: &Arguments, authority: &Authority, late: &[String]) -> Result<(), Failure> {
    let servers: Vec<_> = authority.servers().iter().map(ToString::to_string).collect();
    if arguments.json {
        return say_json(&json!({
            "zone": authority.zone(),
            "servers": servers,
            "published": late.is_empty(),
            "missing": late,
        }));
    }
    if late.is_empty() {
        return say(format_args!("every server has them: {}", servers.join(", ")));
    }
    late.iter().try_for_each(|what| say(format_args!("not yet: {what}")))
}
