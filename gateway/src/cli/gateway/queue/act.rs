//! Doing something to what waits.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use super::{ActArguments, AdminClient, Exit, Failure, What, say, say_json};
use crate::{
    admin::QueueAsked,
    queue::{
        Verb,
        change::DoneView,
        look::{SumView, Summed},
    },
};

/// Ids in one call.
const IDS_AT_ONCE: usize = 500;
/// Ids that are shown of those that are not there.
const ABSENT_SHOWN: usize = 5;

pub(super) async fn act(
    verb: Verb,
    arguments: &ActArguments,
    lasts: Option<Duration>,
) -> Result<Exit, Failure> {
    let ActArguments { what, from, like, reason, yes, json } = arguments;
    let filter = like.view();
    let is_like = filter != Default::default();
    let ids: Vec<String> = what
        .iter()
        .filter_map(|what| match what {
            What::Id(id) => Some(id.to_string()),
            What::All => None,
        })
        .collect();
    let all = ids.len() < what.len();
    match (ids.is_empty(), all, is_like) {
        (false, false, false) | (true, true, false) | (true, false, true) => {}
        (true, false, false) => {
            let what = format!(
                "nothing says which messages to {}: ids, options such as --chain, or ALL",
                verb.word()
            );
            return Err(Failure::usage(what));
        }
        _ => {
            let what = "ids, options such as --chain, and ALL exclude each other";
            return Err(Failure::usage(what));
        }
    }
    let admin = AdminClient::new(&from.load()?);
    if ids.is_empty() && !yes {
        confirm(&admin, verb, all, is_like).await?;
    }
    let mut asked = QueueAsked {
        reason: reason.to_string(),
        filter: is_like.then_some(filter),
        all,
        for_seconds: lasts.map(|lasts| lasts.as_secs()),
        ..QueueAsked::default()
    };
    let path = format!("/v1/queue/{}", verb.word());
    let mut done = DoneView::default();
    if ids.is_empty() {
        loop {
            add(&mut done, admin.post(&path, &asked).await?);
            if done.next.is_none() {
                break;
            }
            asked.cursor.clone_from(&done.next);
        }
    } else {
        for some in ids.chunks(IDS_AT_ONCE) {
            asked.ids = some.to_vec();
            add(&mut done, admin.post(&path, &asked).await?);
        }
    }
    tell(verb, &done, *json)
}

fn add(all: &mut DoneView, part: DoneView) {
    all.done += part.done;
    for (why, messages) in part.refused {
        *all.refused.entry(why).or_default() += messages;
    }
    all.absent.extend(part.absent);
    all.next = part.next;
}

/// Asks on the terminal before it is done to more than the named messages.
async fn confirm(admin: &AdminClient, verb: Verb, all: bool, is_like: bool) -> Result<(), Failure> {
    let word = verb.word();
    if !io::stdin().is_terminal() {
        let what = format!("to {word} more than the named messages without a terminal, say --yes");
        return Err(Failure::usage(what));
    }
    let found: Option<Summed<SumView>> = admin.get("/v1/queue/summary").await?;
    let waiting: u64 = found.iter().flat_map(|found| &found.rows).map(|row| row.messages).sum();
    let which = match (all, is_like) {
        (true, _) => format!("all {waiting} messages that wait"),
        _ => format!("those of {waiting} messages that wait which the options mean"),
    };
    let mut error = io::stderr();
    let asking =
        write!(error, "{word} {which}? Type {word} to go on: ").and_then(|()| error.flush());
    asking.map_err(|error| Failure::new(Exit::Internal, error))?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(Exit::Internal, error))?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(Failure::usage("nothing was done"))
}

fn tell(verb: Verb, done: &DoneView, json: bool) -> Result<Exit, Failure> {
    let nothing = done.done == 0 && !(done.refused.is_empty() && done.absent.is_empty());
    let exit = if nothing { Exit::Unavailable } else { Exit::Done };
    if json {
        say_json(done)?;
        return Ok(exit);
    }
    say(format_args!("{}: done to {} messages", verb.word(), done.done))?;
    for (why, messages) in &done.refused {
        say(format_args!("not to {messages}: {why}"))?;
    }
    if !done.absent.is_empty() {
        let some = done.absent.iter().take(ABSENT_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let number = done.absent.len();
        say(format_args!("not to {number} that are not in the queue: {some}"))?;
    }
    Ok(exit)
}
