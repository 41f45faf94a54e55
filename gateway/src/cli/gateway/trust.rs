//! `distpos-gateway trust`: whom this gateway believes.

use std::{io::BufRead, sync::Arc};

use clap::{Args, Subcommand};
use distpos_proto::{
    chain::{ChainId, Family},
    key::{KeySet, PublicKey},
    light::Trusted,
};
use distpos_resolver::{Resolve, ResolveError, Resolver, Route, RouteSource};
use distpos_spool::{Spool, SpoolError};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    admin::{Reason, Reasoned, ThawedView},
    clock,
    config::{
        Config,
        peer::{LEDGER_OUTBOX, outbox_fits},
        text::parse_hex,
    },
    gateway::Anchor,
    trust::{Pin, Trust},
};

pub(super) mod dns;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Look a chain up in DNS, show its keys, and believe them from now on if you say so.
    Pin(PinArguments),
    /// Show pins, the configuration's anchors, and what DNS has told of other chains' keys.
    List(ListArguments),
    /// Forget a pin, and what DNS has told of that chain: its place, genesis and keys are accepted
    /// anew. Without an anchor its messages wait.
    Forget(ForgetArguments),
    /// Believe a chain again that was frozen because its signed headers or receipts contradicted
    /// each other.
    Thaw(ThawArguments),
}

#[derive(Args)]
pub(super) struct PinArguments {
    /// The chain-id.
    chain: ChainId,
    #[command(flatten)]
    from: FromConfig,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
    /// The chain's outbox in hex: on EVM its contract. A ledger's is known, and others may stand in
    /// the policy record (`out=`).
    #[arg(long, value_name = "HEX")]
    outbox: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object; needs --yes.
    #[arg(long, requires = "yes")]
    json: bool,
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
pub(super) struct ForgetArguments {
    /// The chain-id.
    chain: ChainId,
    #[command(flatten)]
    from: FromConfig,
    /// Why; it is printed with what was undone.
    #[arg(long)]
    reason: Reason,
}

#[derive(Args)]
pub(super) struct ThawArguments {
    /// The chain-id.
    chain: ChainId,
    #[command(flatten)]
    from: FromConfig,
    /// Why; it is printed with what was undone.
    #[arg(long)]
    reason: Reason,
}

pub(super) fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Pin(arguments) => pin(&arguments),
        Command::List(arguments) => crate::cli::block_on(list(&arguments)),
        Command::Forget(arguments) => crate::cli::block_on(forget(&arguments)),
        Command::Thaw(arguments) => crate::cli::block_on(thaw(&arguments)),
    }
}

fn load(config: &Config) -> Result<Trust, Failure> {
    Trust::load(&Trust::directory_in(&config.spool.directory)).map_err(Failure::configuration)
}

fn pin(arguments: &PinArguments) -> Result<Exit, Failure> {
    let (chain, config) = (arguments.chain, arguments.from.load()?);
    if chain == config.chain.id {
        return Err(Failure::usage(format_args!("{chain} is this gateway's own chain")));
    }
    if config.peers.get(&chain).is_some_and(|peer| peer.anchor.is_some()) {
        let what = format!("peer.{chain}.keys of the configuration comes before any pin");
        return Err(Failure::usage(what));
    }
    let mut trust = load(&config)?;
    let route = crate::cli::block_on(resolve(&config, chain))?;
    let pin = Pin {
        trusted: trusted(&route, arguments.outbox.as_deref())?,
        found_at: match &route.source {
            RouteSource::Dns { name } => name.clone(),
            RouteSource::Static => {
                let what = format!("route.{chain} names its gateways, so DNS was not asked");
                return Err(Failure::usage(what));
            }
        },
        reason: arguments.reason.to_string(),
        pinned_at: clock::system()().seconds(),
    };
    if !arguments.json {
        show(&pin, &route, trust.pin_of(chain))?;
    }
    if !arguments.yes && !confirmed()? {
        return Err(Failure::of(Exit::Usage, "nothing was pinned"));
    }
    let view = view(&pin.trusted, "pin");
    trust.pin(pin).map_err(|error| Failure::new(Exit::Configuration, error))?;
    match arguments.json {
        true => say_json(&view)?,
        false => say(format_args!("pinned {chain}; a running gateway believes it within seconds"))?,
    }
    Ok(Exit::Done)
}

async fn resolve(config: &Config, chain: ChainId) -> Result<Arc<Route>, Failure> {
    let lookup = config.lookup().map_err(Failure::configuration)?;
    let random = Box::new(StdRng::from_rng(&mut rand::rng()));
    let resolver = Resolver::new(lookup, config.resolver_options(), clock::system(), random);
    resolver.route(chain).await.map_err(|error: ResolveError| {
        let exit = if error.is_permanent() { Exit::Unavailable } else { Exit::Temporary };
        Failure::new(exit, error)
    })
}

/// What DNS says, as an anchor.
fn trusted(route: &Route, outbox: Option<&str>) -> Result<Trusted, Failure> {
    let chain = route.chain;
    let unusable = |what: &str| Failure::of(Exit::Unavailable, format_args!("{chain}: {what}"));
    let policy = route
        .policy
        .as_ref()
        .ok_or_else(|| unusable("publishes no policy, so its keys can only be configured"))?;
    let family = policy.family;
    let outbox = match outbox {
        Some(text) => {
            parse_hex(text).map_err(|what| Failure::usage(format_args!("--outbox: {what}")))?
        }
        None if policy.outbox.is_some() => policy.outbox.clone().unwrap_or_default(),
        None if family == Family::Ledger => LEDGER_OUTBOX.into(),
        None => {
            let what = format!(
                "--outbox is missing: {chain} is verified as {family}, and its policy has no out="
            );
            return Err(Failure::usage(what));
        }
    };
    outbox_fits(&outbox, family).map_err(Failure::usage)?;
    let keys = KeySet::new(route.keys.iter().copied(), policy.threshold)
        .map_err(|error| unusable(&format!("publishes no usable keys: {error}")))?;
    Ok(Trusted { chain, tag: policy.genesis, family, outbox, keys })
}

fn show(pin: &Pin, route: &Route, before: Option<&Pin>) -> Result<(), Failure> {
    let Trusted { chain, tag, family, outbox, keys } = &pin.trusted;
    say(format_args!("chain    {chain}"))?;
    say(format_args!("found    {} ({})", pin.found_at, route.level))?;
    for gateway in &route.gateways {
        say(format_args!("gateway  {gateway}"))?;
    }
    say(format_args!("family   {family}"))?;
    say(format_args!("genesis  {tag}"))?;
    say(format_args!("outbox   {}", data_encoding::HEXLOWER.encode(outbox)))?;
    say(format_args!("keys     {} of these must sign:", keys.threshold()))?;
    for key in keys.keys() {
        say(format_args!("  {key}\n    fingerprint {}", fingerprint(key)))?;
    }
    if let Some(before) = before {
        let same = before.trusted == pin.trusted;
        let what = if same { "the same is pinned already" } else { "SOMETHING ELSE IS PINNED NOW" };
        say(format_args!("         {what} ({}, at {})", before.reason, before.pinned_at.0))?;
    }
    say("Compare them with what the other operator tells you by a way you trust.")
}

/// SHA-256 of a key in groups that can be read out on the telephone.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(key.as_bytes())[..20]);
    let groups: Vec<&str> = (0..digest.len()).step_by(4).map(|at| &digest[at..at + 4]).collect();
    groups.join(" ")
}

fn confirmed() -> Result<bool, Failure> {
    say("Believe these keys? Type yes:")?;
    let mut answer = String::new();
    let stdin = std::io::stdin().lock();
    // A confirmation is short; whatever else comes is none.
    let mut limited = std::io::Read::take(stdin, 16);
    limited.read_line(&mut answer).map_err(|error| Failure::new(Exit::Internal, error))?;
    Ok(answer.trim() == "yes")
}

async fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let trust = load(&config)?;
    let anchors = trust.anchors(&config);
    let told = dns::list(&config, &anchors).await?;
    let mut rows = Vec::new();
    for (chain, Anchor { trusted, .. }) in anchors {
        let literal = config.peers.get(&chain).is_some_and(|peer| peer.anchor.is_some());
        rows.push(view(&trusted, if literal { "configuration" } else { "pin" }));
        if !arguments.json {
            print_row(&trusted, trust.pin_of(chain).filter(|_| !literal))?;
        }
    }
    match (arguments.json, rows.is_empty()) {
        (true, _) => say_json(&json!({ "anchors": rows, "dns": told }))?,
        (false, true) => say("no chain is anchored: neither pins nor peer.<cid>.keys")?,
        (false, false) => {}
    }
    if !arguments.json && !told.is_empty() {
        say(match dns::is_used(&config) {
            true => "what DNS has told:",
            false => "what DNS has told (trust.keys is static: it brings no keys in):",
        })?;
        told.iter().try_for_each(dns::print)?;
    }
    Ok(Exit::Done)
}

fn print_row(trusted: &Trusted, pin: Option<&Pin>) -> Result<(), Failure> {
    let Trusted { chain, tag, family, keys, .. } = trusted;
    let origin = match pin {
        None => "configuration".to_owned(),
        Some(pin) => {
            let (year, month, day) = clock::date(pin.pinned_at);
            format!("pinned {year:04}-{month:02}-{day:02}: {}", pin.reason)
        }
    };
    say(format_args!("{chain} {family} genesis {tag} th {} ({origin})", keys.threshold()))?;
    keys.keys().try_for_each(|key| say(format_args!("  {key}")))
}

fn view(trusted: &Trusted, origin: &str) -> Value {
    let keys: Vec<_> = trusted.keys.keys().map(ToString::to_string).collect();
    json!({
        "chain": trusted.chain.to_string(),
        "family": trusted.family.to_string(),
        "genesis": trusted.tag.to_string(),
        "outbox": data_encoding::HEXLOWER.encode(&trusted.outbox),
        "keys": keys,
        "th": trusted.keys.threshold(),
        "origin": origin,
    })
}

async fn forget(arguments: &ForgetArguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let (chain, mut trust) = (arguments.chain, load(&config)?);
    let before = trust.pin_of(chain).map(|pin| pin.reason.clone());
    let failed = |error| Failure::new(Exit::Configuration, error);
    let (was_pinned, reason) = (trust.forget(chain).map_err(failed)?, &arguments.reason);
    // Also what DNS has told: the next answer is a first one again.
    let was_told = dns::forget(&config, chain, reason).await?;
    if !was_pinned && !was_told {
        let what = format!("{chain} is not pinned, and DNS has told nothing of it");
        return Err(Failure::of(Exit::Unavailable, what));
    }
    if was_pinned {
        say(format_args!("forgot the pin of {chain} ({}): {reason}", before.unwrap_or_default()))?;
    }
    if was_told {
        say(format_args!("forgot what DNS has told of {chain}: {reason}"))?;
    }
    Ok(Exit::Done)
}

async fn thaw(arguments: &ThawArguments) -> Result<Exit, Failure> {
    let (chain, config) = (arguments.chain, arguments.from.load()?);
    let spool = match Spool::open(&config.spool.directory) {
        Ok(spool) => spool,
        Err(SpoolError::Locked { .. }) => return thaw_running(arguments, &config).await,
        Err(other) => return Err(Failure::new(Exit::Configuration, other)),
    };
    let failed = |error: SpoolError| Failure::new(Exit::Configuration, error);
    let Some(evidence) = spool.read(|tx| tx.frozen(chain)).map_err(failed)? else {
        return Err(Failure::of(Exit::Unavailable, format_args!("{chain} is not frozen")));
    };
    let thawing = spool.transact(move |tx| {
        tx.thaw(chain);
        Ok::<_, SpoolError>(())
    });
    thawing.await.map_err(failed)?;
    let what = match String::from_utf8(evidence) {
        Ok(text) => text,
        Err(error) => data_encoding::HEXLOWER.encode(error.as_bytes()),
    };
    say_thawed(chain, &arguments.reason, &what)
}

/// A running gateway does it itself.
async fn thaw_running(arguments: &ThawArguments, config: &Config) -> Result<Exit, Failure> {
    let (chain, admin) = (arguments.chain, AdminClient::new(config));
    if !admin.is_there().await {
        let what = format!(
            "{} is in use, and nobody listens at {}: stop the gateway, thaw, start it again",
            config.spool.directory.display(),
            config.admin_socket().display()
        );
        return Err(Failure::of(Exit::Unavailable, what));
    }
    let body = Reasoned { reason: arguments.reason.to_string() };
    let thawed: ThawedView = admin.post(&format!("/v1/chains/{chain}/thaw"), &body).await?;
    say_thawed(chain, &arguments.reason, &thawed.evidence)
}

fn say_thawed(chain: ChainId, reason: &Reason, evidence: &str) -> Result<Exit, Failure> {
    say(format_args!("{chain} is believed again: {reason}\nit was frozen for: {evidence}"))?;
    Ok(Exit::Done)
}
