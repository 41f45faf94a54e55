//! What waits, as tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{AdminClient, Exit, Failure, FilterView, ListArguments, LookArguments, say, say_json};
use crate::{
    cli::table::{Side, Table},
    queue::look::{QueueView, ReasonView, SumView, Summed, WaitingView},
};

pub(super) async fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let ListArguments { from, like, messages, after, json } = arguments;
    let admin = AdminClient::new(&from.load()?);
    let mut view = QueueView { next: after.map(|after| after.to_string()), ..QueueView::default() };
    loop {
        let wanted = messages.saturating_sub(view.messages.len()).max(1);
        let mut path = format!("/v1/queue?messages={wanted}&{}", query(&like.view())?);
        if let Some(next) = &view.next {
            path = format!("{path}&cursor={next}");
        }
        let page: QueueView = admin.get(&path).await?.unwrap_or_default();
        view.messages.extend(page.messages);
        view.next = page.next;
        // A long queue with few that are meant is passed in pieces.
        if view.next.is_none() || view.messages.len() >= *messages {
            break;
        }
    }
    if *json {
        say_json(&view)?;
        return Ok(Exit::Done);
    }
    if view.messages.is_empty() {
        say("nothing waits")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("ID", Side::Left),
        ("", Side::Left),
        ("CHAIN", Side::Left),
        ("STATE", Side::Left),
        ("AGE", Side::Right),
        ("TRIED", Side::Right),
        ("NEXT IN", Side::Right),
        ("REASON", Side::Left),
    ]);
    let now = now_ms();
    for one in view.messages {
        let WaitingView { id, direction, chain, state, attempts, code, text, .. } = one;
        let next = one.due_ms.map_or_else(|| "-".to_owned(), |due| wait(due.saturating_sub(now)));
        let age = wait(now.saturating_sub(one.created_ms));
        let reason = [code, text].into_iter().flatten().collect::<Vec<_>>().join(" ");
        table.row([id, direction, chain, state, age, attempts.to_string(), next, reason]);
    }
    table.print()?;
    if let Some(next) = view.next {
        say(format_args!("there is more: --after {next}"))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn summary(arguments: &LookArguments) -> Result<Exit, Failure> {
    let found: Summed<SumView> = ask(arguments, "summary").await?;
    if arguments.json {
        say_json(&found)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("", Side::Left),
        ("CHAIN", Side::Left),
        ("STATE", Side::Left),
        ("MESSAGES", Side::Right),
        ("OLDEST", Side::Right),
    ]);
    let now = now_ms();
    for SumView { direction, chain, state, messages, oldest_ms } in found.rows {
        let oldest = oldest_ms.map_or_else(|| "-".to_owned(), |at| wait(now.saturating_sub(at)));
        table.row([direction, chain, state, messages.to_string(), oldest]);
    }
    told(&table, found.whole)
}

pub(super) async fn reasons(arguments: &LookArguments) -> Result<Exit, Failure> {
    let found: Summed<ReasonView> = ask(arguments, "reasons").await?;
    if arguments.json {
        say_json(&found)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("MESSAGES", Side::Right),
        ("", Side::Left),
        ("CHAIN", Side::Left),
        ("STATE", Side::Left),
        ("REASON", Side::Left),
    ]);
    for ReasonView { direction, chain, state, code, text, messages } in found.rows {
        let reason = [code, text].into_iter().flatten().collect::<Vec<_>>().join(" ");
        table.row([messages.to_string(), direction, chain, state, reason]);
    }
    told(&table, found.whole)
}

async fn ask<T: serde::de::DeserializeOwned>(
    arguments: &LookArguments,
    what: &str,
) -> Result<Summed<T>, Failure> {
    let admin = AdminClient::new(&arguments.from.load()?);
    let path = format!("/v1/queue/{what}?{}", query(&arguments.like.view())?);
    let found = admin.get(&path).await?;
    found.ok_or_else(|| Failure::temporary("the gateway that runs is of a version without this"))
}

fn told(table: &Table, whole: bool) -> Result<Exit, Failure> {
    if table.is_empty() {
        say("nothing waits")?;
    } else {
        table.print()?;
    }
    if !whole {
        say("the queue is long: ages and reasons are those of its first batches")?;
    }
    Ok(Exit::Done)
}

/// A filter as a part of a path.
fn query(filter: &FilterView) -> Result<String, Failure> {
    let json =
        serde_json::to_string(filter).map_err(|error| Failure::new(Exit::Internal, error))?;
    let mut query = String::from("filter=");
    for byte in json.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                query.push(char::from(byte));
            }
            other => query.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(query)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn wait(ms: u64) -> String {
    crate::keyring::walk::human(Duration::from_millis(ms))
}
