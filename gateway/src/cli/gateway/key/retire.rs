//! `key retire`: a key that is lost or stolen ends at once.

use distpos_proto::{record::Selector, time::UnixSeconds};
use distpos_resolver::publish::Format;
use serde_json::json;

use super::{Exit, Failure, RetireArguments, failed, load, say, say_json};
use crate::{
    clock,
    config::Config,
    keyring::{Keyring, State},
};

pub(super) fn retire(arguments: &RetireArguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let (mut ring, now) = (load(&config)?, clock::system()().seconds());
    let selector = &arguments.retired;
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
    let mut moves = vec![(selector.clone(), State::Revoked)];
    if key.state == State::Signing {
        moves.push((successor(arguments, &config, &mut ring, now)?, State::Signing));
    }
    ring.shift(&moves, now).map_err(failed)?;
    tracing::info!(target: "distpos", "key {selector}: retired: {}", arguments.reason);
    let own = arguments.publishing.records(&config, &ring)?;
    let lines = own.set.print(Format::Zone, &own.zone).map_err(Failure::usage)?;
    let signs = ring.current().selector.to_string();
    if arguments.json {
        let publish: Vec<_> = lines.lines().collect();
        say_json(&json!({ "retired": selector.to_string(), "signs": signs, "publish": publish }))?;
        return Ok(Exit::Done);
    }
    say(format_args!(
        "{selector} is retired: {}\nRestart the gateway at once; {signs} signs from then on.\n\n\
         Publish at once, in place of what these names hold:\n{}",
        arguments.reason,
        lines.trim_end()
    ))?;
    Ok(Exit::Done)
}

/// Who signs in the place of the key that is retired: an old or new one that peers believe, else one
/// that is made now.
fn successor(
    arguments: &RetireArguments,
    config: &Config,
    ring: &mut Keyring,
    now: UnixSeconds,
) -> Result<Selector, Failure> {
    let others = ring.keys().iter().filter(|key| key.selector != arguments.retired);
    let believed = others.filter(|key| matches!(key.state, State::Old | State::Published));
    if let Some(next) = believed.max_by_key(|key| key.since) {
        return Ok(next.selector.clone());
    }
    if !arguments.replace {
        let what = "it is the only key that peers believe: --replace makes another, which they \
                    believe after 72 hours or when their operators pin it; if it is not stolen, \
                    `key rotate` does without";
        return Err(Failure::of(Exit::Unavailable, what));
    }
    let genesis = arguments.publishing.genesis_of(config, ring)?;
    Ok(ring.make(config.chain.id, genesis, now).map_err(failed)?.selector.clone())
}
