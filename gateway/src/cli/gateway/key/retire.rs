//! `key retire`: a key that is lost or stolen ends at once.

use distpos_proto::record::Selector;
use distpos_resolver::publish::Format;
use serde_json::json;

use super::{Exit, Failure, RetireArguments, failed, load_locked, running, say, say_json};
use crate::{
    clock,
    keyring::{Keyring, State},
};

pub(super) async fn retire(arguments: &RetireArguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let (_lock, mut ring) = load_locked(&config)?;
    let (selector, reason, now) =
        (&arguments.retired, &arguments.reason, clock::system()().seconds());
    let key = ring.keys().iter().find(|key| key.selector == *selector);
    let key = key.ok_or_else(|| {
        Failure::usage(format_args!("{selector} is no key of this gateway; see `key list`"))
    })?;
    if key.state >= State::Revoked {
        return Err(Failure::of(
            Exit::Unavailable,
            format_args!("{selector} is {} already", key.state.word()),
        ));
    }
    let revoked = (selector.clone(), State::Revoked);
    match key.state {
        State::Signing => match successor(arguments, &ring)? {
            Some(next) => ring.shift(&[revoked, (next, State::Signing)], now, reason),
            None => ring.replace(now, reason).map(drop),
        },
        _ => ring.shift(&[revoked], now, reason),
    }
    .map_err(failed)?;
    let own = arguments.publishing.records(&config, &ring)?;
    let lines = own.set.print(Format::Zone, &own.zone).map_err(Failure::usage)?;
    let signs = ring.current().selector.to_string();
    let running = running::soon(&config, &ring).await;
    if arguments.json {
        let publish: Vec<_> = lines.lines().collect();
        say_json(
            &json!({ "retired": selector.to_string(), "signs": signs, "publish": publish, "gateway": running.word() }),
        )?;
        return Ok(Exit::Done);
    }
    say(format_args!(
        "{selector} is retired: {}\n{signs} signs from now on. {running}\n\n\
         Publish at once, in place of what these names hold:\n{}",
        arguments.reason,
        lines.trim_end()
    ))?;
    Ok(Exit::Done)
}

/// Who signs in the place of the key that is retired: an old or new one that peers believe; else,
/// where the operator wants it, one that was made already, or none there is yet.
fn successor(arguments: &RetireArguments, ring: &Keyring) -> Result<Option<Selector>, Failure> {
    let newest_of = |states: &[State]| {
        let keys = ring.keys().iter().filter(|key| states.contains(&key.state));
        keys.max_by_key(|key| key.since).map(|key| key.selector.clone())
    };
    if let Some(next) = newest_of(&[State::Old, State::Published]) {
        return Ok(Some(next));
    }
    if !arguments.replace {
        let what = "it is the only key that peers believe: --replace makes another, which they \
                    believe after 72 hours or when their operators pin it; if it is not stolen, \
                    `key rotate` does without";
        return Err(Failure::of(Exit::Unavailable, what));
    }
    Ok(newest_of(&[State::Made]))
}
