//! Accounts, as people and scripts read them.

use super::{
    AdminClient, Exit, Failure, ListArguments, ShowArguments, StatementArguments, Which, say,
    say_json,
};
use crate::{
    admin::{
        AccountDetail, AccountLine, AccountsView, DoneView, EntryView, Reasoned, RequestView,
        SendingView, StatementView, TermsView,
    },
    cli::table::{Side, Table},
    clock::moment,
};

pub(super) async fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let admin = AdminClient::new(&arguments.from.load()?);
    let view: Option<AccountsView> = admin.get("/v1/accounts").await?;
    let view = view.unwrap_or(AccountsView { accounts: Vec::new() });
    if arguments.json {
        say_json(&view)?;
        return Ok(Exit::Done);
    }
    if view.accounts.is_empty() {
        say("no account: `account open CHAIN ASSET` signs terms for one")?;
        return Ok(Exit::Done);
    }
    table(&view.accounts).print()?;
    for line in &view.accounts {
        requests(line)?;
    }
    Ok(Exit::Done)
}

fn table(lines: &[AccountLine]) -> Table {
    use Side::{Left, Right};
    let mut table = Table::new(&[
        ("CHAIN", Left),
        ("ASSET", Left),
        ("STATE", Left),
        ("USED", Right),
        ("RECEIVED", Right),
        ("SENT", Right),
        ("RESERVE", Right),
        ("CREDIT LIMIT", Right),
        ("ROOM", Right),
        ("PENDING IN", Right),
        ("PENDING OUT", Right),
        ("WAITING", Right),
    ]);
    for line in lines {
        table.row([
            line.chain.clone(),
            line.asset.clone(),
            line.state.word().into(),
            format!("{} %", line.used_percent),
            line.received.clone(),
            line.sent.clone(),
            line.reserve.clone(),
            line.credit_limit.clone(),
            line.room.clone(),
            line.pending_in.clone(),
            line.pending_out.clone(),
            line.waiting.to_string(),
        ]);
    }
    table
}

fn requests(line: &AccountLine) -> Result<(), Failure> {
    let AccountLine { chain, asset, .. } = line;
    if let Some(request) = &line.request_sent {
        let taken = on_its_way(request.sending.as_ref());
        say(format_args!("{chain} {asset}: asked for {}, {taken}", wanted(request)))?;
    }
    if let Some(request) = &line.request_received {
        say(format_args!("{chain} {asset}: asks you for {}", wanted(request)))?;
    }
    Ok(())
}

fn wanted(request: &RequestView) -> String {
    let RequestView { wanted, by, reason, .. } = request;
    format!("{wanted} more reserve by {} ({reason})", moment(by.saturating_mul(1000)))
}

fn on_its_way(sending: Option<&SendingView>) -> String {
    match sending {
        Some(SendingView { taken_ms: Some(at), .. }) => format!("taken {}", moment(*at)),
        Some(SendingView { reply: Some(reply), .. }) => format!("not taken: {reply}"),
        Some(_) | None => "not sent yet".into(),
    }
}

/// An account, or why there is none.
async fn detail(admin: &AdminClient, which: &Which, query: &str) -> Result<AccountDetail, Failure> {
    let found = admin.get(&format!("{}{query}", which.path())).await?;
    found.ok_or_else(|| {
        let what = format!(
            "there is no account {} with {}: `account list` shows those there are",
            which.asset, which.chain
        );
        Failure::of(Exit::Unavailable, what)
    })
}

pub(super) async fn show(arguments: &ShowArguments) -> Result<Exit, Failure> {
    let ShowArguments { which, entries, since } = arguments;
    let admin = AdminClient::new(&which.from.load()?);
    let from = since.map(|since| format!("&from={since}")).unwrap_or_default();
    let view = detail(&admin, which, &format!("?entries={entries}{from}")).await?;
    if which.json {
        say_json(&view)?;
        return Ok(Exit::Done);
    }
    account(&view)?;
    papers(&view)?;
    journal(&view)?;
    Ok(Exit::Done)
}

fn account(view: &AccountDetail) -> Result<(), Failure> {
    let AccountDetail { line, cover, owed, suspension, settings, .. } = view;
    say(format_args!("account      {} with {}: {}", line.asset, line.chain, line.state.word()))?;
    if let Some(held) = suspension {
        let at = moment(held.at_ms);
        say(format_args!("suspended    by {} at {at}: {}", held.by, held.why))?;
    }
    let mut sums = Table::new(&[("FIGURE", Side::Left), ("AMOUNT", Side::Right)]);
    for (name, sum) in [
        ("reserve", &line.reserve),
        ("received", &line.received),
        ("sent", &line.sent),
        ("pending in", &line.pending_in),
        ("pending out", &line.pending_out),
        ("cover", cover),
        ("owed", owed),
        ("credit limit", &line.credit_limit),
        ("room", &line.room),
    ] {
        sums.row([name.into(), sum.clone()]);
    }
    sums.print()?;
    let window = match (&line.window_max, line.window_seconds) {
        (Some(max), Some(seconds)) => format!("{max} in {seconds} s"),
        _ => "none".into(),
    };
    say(format_args!("window       {window}"))?;
    say(format_args!(
        "used         {} % (strained at {} %)",
        line.used_percent, settings.strained_at
    ))?;
    say(format_args!("waiting      {} messages", line.waiting))?;
    let mut limits = Vec::new();
    let mut limit = |name: &str, value: &Option<String>| {
        limits.extend(value.as_ref().map(|value| format!("{name} {value}")));
    };
    limit("message_value_max", &settings.message_value_max);
    limit("attested_value_max", &settings.attested_value_max);
    limit("settle_threshold", &settings.settle_threshold);
    limit("settle_to", &settings.settle_to);
    limit("mismatch_max", &Some(settings.mismatch_max.clone()));
    say(format_args!("settings     {}", limits.join(", ")))
}

fn papers(view: &AccountDetail) -> Result<(), Failure> {
    let none = || "none".to_owned();
    say(format_args!("terms        {}", view.line.terms.clone().unwrap_or_else(none)))?;
    for (who, signed) in [("own terms ", &view.own_terms), ("peer terms", &view.peer_terms)] {
        if let Some(terms) = signed {
            say(format_args!("{who}   {}", terms_line(terms)))?;
        }
    }
    requests(&view.line)?;
    statements(view)
}

fn terms_line(terms: &TermsView) -> String {
    let sides: Vec<String> =
        terms.sides.iter().map(|side| format!("{} {}", side.chain, side.backing)).collect();
    let TermsView { hash, decimals, at_ms, .. } = terms;
    let way = match &terms.sending {
        Some(sending) => format!(", {}", on_its_way(Some(sending))),
        None => String::new(),
    };
    format!("{hash} ({}, {decimals} decimals, {}{way})", sides.join(", "), moment(*at_ms))
}

fn statements(view: &AccountDetail) -> Result<(), Failure> {
    if let Some(sent) = &view.statement_sent {
        let way = on_its_way(sent.sending.as_ref());
        say(format_args!("own statement   {}, {way}", statement_line(sent)))?;
    }
    if let Some(came) = &view.statement_received {
        let compared = came.comparison.as_deref().unwrap_or("not compared yet");
        say(format_args!("peer statement  {}: {compared}", statement_line(came)))?;
    }
    Ok(())
}

fn statement_line(statement: &StatementView) -> String {
    let StatementView { height, count, received, reserve, at_ms, .. } = statement;
    format!(
        "block {height}: {count} messages with {received} delivered, reserve {reserve} ({})",
        moment(*at_ms)
    )
}

fn journal(view: &AccountDetail) -> Result<(), Failure> {
    use Side::{Left, Right};
    let mut table = Table::new(&[
        ("NUMBER", Right),
        ("TIME", Left),
        ("ACT", Left),
        ("AMOUNT", Right),
        ("BLOCK", Right),
        ("ABOUT", Left),
    ]);
    for entry in &view.journal {
        let EntryView { number, at_ms, act, amount, message, height, by, why } = entry;
        let who = if by.is_empty() { String::new() } else { format!("by {by}") };
        let about = [message.clone().unwrap_or_default(), who, why.clone()];
        let about: Vec<&str> =
            about.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        table.row([
            number.to_string(),
            moment(*at_ms),
            act.clone(),
            amount.clone().unwrap_or_default(),
            height.map(|height| height.to_string()).unwrap_or_default(),
            about.join(" "),
        ]);
    }
    if table.is_empty() {
        return say("journal      no entries");
    }
    say(format_args!("journal      {} of {} entries", view.journal.len(), view.entries))?;
    table.print()
}

pub(super) async fn statement(arguments: &StatementArguments) -> Result<Exit, Failure> {
    let which = &arguments.which;
    let admin = AdminClient::new(&which.from.load()?);
    if let Some(reason) = &arguments.reason {
        let body = Reasoned { reason: reason.to_string() };
        let _: DoneView = admin.post(&format!("{}/statement", which.path()), &body).await?;
        eprintln!("distpos-gateway: a statement is made and sent within seconds");
    }
    let view = detail(&admin, which, "?entries=0").await?;
    if which.json {
        let AccountDetail { statement_sent, statement_received, .. } = view;
        say_json(&serde_json::json!({ "sent": statement_sent, "received": statement_received }))?;
        return Ok(Exit::Done);
    }
    if view.statement_sent.is_none() && view.statement_received.is_none() {
        say("no statement yet: one is sent every hour while the account is open")?;
    }
    statements(&view)?;
    Ok(Exit::Done)
}
