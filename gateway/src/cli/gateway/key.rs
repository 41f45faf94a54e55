//! `distpos-gateway key`: the chain keys of this gateway, and turning them over.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use distpos_proto::{record::Selector, time::UnixSeconds};
use distpos_resolver::publish::{Format, RecordSet};
use serde_json::{Value, json};

use super::{Exit, Failure, FromConfig, say, say_json};
use crate::{
    admin::Reason,
    cli::own_records::Publishing,
    clock::{self, moment},
    config::Config,
    keyring::{
        Keyring, KeyringError, KeyringLock, State,
        walk::{NotYet, OLD_FOR, Step},
    },
};

mod look;
mod retire;
mod running;

use look::look;
use running::Running;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show the keys, and how far each is.
    List(ListArguments),
    /// Take the next step of a turn-over: make a key, let it sign, revoke the old one, remove it. A
    /// step whose time has not come is refused (75), and says when it may be taken.
    Rotate(RotateArguments),
    /// End a key at once: it is lost or stolen.
    Retire(RetireArguments),
    /// Say at which selector the first key was published, where `key list` shows another.
    Name(NameArguments),
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
pub(super) struct RotateArguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    publishing: Publishing,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
    /// An authoritative server, ADDRESS:PORT; may be given several times. Else those that DNS names,
    /// at port 53.
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: Vec<SocketAddr>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct RetireArguments {
    /// The key's selector, as `key list` shows it.
    #[arg(value_name = "SELECTOR")]
    retired: Selector,
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    publishing: Publishing,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
    /// Make another key in its place, if it is the only one. Nobody endorses that one: peers wait 72
    /// hours, or their operators pin it.
    #[arg(long)]
    replace: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct NameArguments {
    /// The label of the key's record.
    selector: Selector,
    #[command(flatten)]
    from: FromConfig,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(arguments) => list(&arguments),
        Command::Rotate(arguments) => rotate(&arguments).await,
        Command::Retire(arguments) => retire::retire(&arguments).await,
        Command::Name(arguments) => name(&arguments),
    }
}

fn load(config: &Config) -> Result<Keyring, Failure> {
    Keyring::load(&config.identity.directory).map_err(Failure::configuration)
}

/// To change them: nobody else does meanwhile.
fn load_locked(config: &Config) -> Result<(KeyringLock, Keyring), Failure> {
    let lock = Keyring::lock(&config.identity.directory).map_err(failed)?;
    Ok((lock, load(config)?))
}

fn failed(error: KeyringError) -> Failure {
    let exit = match &error {
        KeyringError::Busy { .. } => Exit::Temporary,
        KeyringError::Secret(_) | KeyringError::Io { .. } | KeyringError::Format { .. } => {
            Exit::Configuration
        }
    };
    Failure::new(exit, error)
}

fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let ring = load(&arguments.from.load()?)?;
    let rows = ring.keys().iter().map(|key| {
        json!({
            "selector": key.selector.to_string(),
            "key": key.key.to_string(),
            "state": key.state.word(),
            "since": key.since.0,
            "reason": key.reason.as_ref().map(Reason::as_str),
        })
    });
    if arguments.json {
        say_json(&json!({ "keys": rows.collect::<Vec<_>>() }))?;
        return Ok(Exit::Done);
    }
    for key in ring.keys() {
        let since = moment(key.since.millis().0);
        let reason = key.reason.as_ref().map_or("", Reason::as_str);
        let (selector, state) = (&key.selector, key.state.word());
        say(format_args!("{selector:<12} {state:<9} since {since}  {}  {reason}", key.key))?;
    }
    Ok(Exit::Done)
}

async fn rotate(arguments: &RotateArguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let (_lock, mut ring) = load_locked(&config)?;
    // What was printed last time, in case that is what is not published yet.
    let before = arguments.publishing.records(&config, &ring)?;
    let now = clock::system()().seconds();
    let view = match ring.needs_view(now) {
        true => Some(look(arguments, &config, &before.set).await?),
        false => None,
    };
    let step = match ring.next(view.as_ref(), now) {
        Ok(step) => step,
        Err(not_yet) => return wait(arguments, &before.set, &before.zone, &not_yet),
    };
    // Revoked while the gateway signs with the old key alone, nothing of it would be believed.
    if let (Step::Revoke { .. }, Running::AsBefore) = (&step, running::now(&config, &ring).await) {
        return Err(Failure::temporary(format_args!(
            "the running gateway does not sign with {} yet: its log says why",
            ring.current().selector
        )));
    }
    let told = take(&config, arguments, &mut ring, &step, now)?;
    let running = running::soon(&config, &ring).await;
    let after = arguments.publishing.records(&config, &ring)?;
    let is_changed = after.set != before.set;
    let lines = after.set.print(Format::Zone, &after.zone).map_err(Failure::usage)?;
    if arguments.json {
        say_json(&json!({
            "step": told.step, "selector": told.selector, "next": told.next,
            "gateway": running.word(),
            "publish": is_changed.then(|| lines.lines().collect::<Vec<_>>()),
        }))?;
        return Ok(Exit::Done);
    }
    say(&told.text)?;
    if let Step::Sign { .. } | Step::Revoke { .. } = step {
        say(running)?;
    }
    if is_changed {
        say(format_args!(
            "\nPublish now, in place of what these names hold:\n{}",
            lines.trim_end()
        ))?;
    }
    say(format_args!("\n{}", told.next))?;
    Ok(Exit::Done)
}

/// What a step was, for people and scripts.
struct Told {
    step: &'static str,
    selector: String,
    text: String,
    next: String,
}

fn take(
    config: &Config,
    arguments: &RotateArguments,
    ring: &mut Keyring,
    step: &Step,
    now: UnixSeconds,
) -> Result<Told, Failure> {
    let at = |time: UnixSeconds| moment(time.millis().0);
    let (again, reason) = ("then run `key rotate` again", &arguments.reason);
    let (step, selector, text, next) = match step {
        Step::Make => {
            let genesis = arguments.publishing.genesis_of(config, ring)?;
            let made = ring.make(config.chain.id, genesis, now, reason).map_err(failed)?;
            let selector = made.selector.clone();
            let text =
                format!("made the key {} at {selector}, endorsed by the one that signs", made.key);
            let next = format!("Wait until every authoritative server has it, {again}.");
            ("made", selector, text, next)
        }
        Step::Published { selector, until } => {
            let moves = [(selector.clone(), State::Published)];
            ring.shift(&moves, now, reason).map_err(failed)?;
            let text = format!("{selector} is on every authoritative server");
            let next =
                format!("It may sign from {}, when every resolver has it: {again}.", at(*until));
            ("published", selector.clone(), text, next)
        }
        Step::Sign { new, old } => {
            let moves = [(new.clone(), State::Signing), (old.clone(), State::Old)];
            ring.shift(&moves, now, reason).map_err(failed)?;
            let until = UnixSeconds(now.0.saturating_add(OLD_FOR.as_secs()));
            let text = format!("{new} signs from now on, and {old} beside it");
            let next = format!("Leave {old} published until {}: {again}.", at(until));
            ("signing", new.clone(), text, next)
        }
        Step::Revoke { selector } => {
            ring.shift(&[(selector.clone(), State::Revoked)], now, reason).map_err(failed)?;
            let text = format!("{selector} is revoked");
            let next = format!("Publish that, {again}.");
            ("revoked", selector.clone(), text, next)
        }
        Step::Ended { selector, until } => {
            ring.shift(&[(selector.clone(), State::Ended)], now, reason).map_err(failed)?;
            let text = format!("the revocation of {selector} is on every authoritative server");
            let next = format!("Leave it there until {}: {again}.", at(*until));
            ("ended", selector.clone(), text, next)
        }
        Step::Remove { selector } => {
            ring.shift(&[(selector.clone(), State::Removed)], now, reason).map_err(failed)?;
            let text = format!("{selector} is gone: take its record out of the zone");
            ("removed", selector.clone(), text, "The turn-over is complete.".to_owned())
        }
    };
    Ok(Told { step, selector: selector.to_string(), text, next })
}

fn wait(
    arguments: &RotateArguments,
    set: &RecordSet,
    zone: &str,
    not_yet: &NotYet,
) -> Result<Exit, Failure> {
    let lines = set.print(Format::Zone, zone).map_err(Failure::usage)?;
    let publish = matches!(not_yet, NotYet::Unpublished { .. });
    if arguments.json {
        let left = match not_yet {
            NotYet::TooEarly { left, .. } => json!(left.as_secs()),
            NotYet::Unpublished { .. } => Value::Null,
        };
        say_json(&json!({
            "step": Value::Null, "waits": not_yet.to_string(), "seconds_left": left,
            "publish": publish.then(|| lines.lines().collect::<Vec<_>>()),
        }))?;
    } else if publish {
        say(format_args!("To be published:\n{}", lines.trim_end()))?;
    }
    Err(Failure::temporary(not_yet))
}

fn name(arguments: &NameArguments) -> Result<Exit, Failure> {
    let (_lock, mut ring) = load_locked(&arguments.from.load()?)?;
    ring.rename_first(&arguments.selector, &arguments.reason).map_err(failed)?;
    say(format_args!("the key is published at {}", arguments.selector))?;
    Ok(Exit::Done)
}
