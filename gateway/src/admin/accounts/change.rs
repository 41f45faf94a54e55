//! What changes an account that is there.

use std::time::Duration;

use distpos_proto::{
    account::{Change, Limits, Window},
    amount::Amount,
    chain::Family,
    code::{Code, Reply},
    message::TermsHash,
};
use distpos_spool::{AccountRow, Act, SpoolError, Tx};
use hyper::StatusCode;

use super::{Name, read};
use crate::{
    account,
    admin::{
        AccountState, Caller, DoneView, LimitAsked, LimitsAsked, Reason, Reasoned, Refusal,
        SettleAsked,
        calls::{Call, parsed},
    },
    chain::{ChainError, Submission},
    config::text::parse_sum,
    correspondence::statement as statements,
    event::Event,
    gateway::Gateway,
    trust::dns,
};

/// Longest note that goes onto the chain with a settlement, in bytes: contract and ledger keep it.
const NOTE_BYTES_MAX: usize = 200;

/// Changes an open account's limits.
pub(in crate::admin) async fn limit(call: &mut Call<'_>, name: &Name) -> Result<DoneView, Refusal> {
    let (asked, _) = call.read(|body: &LimitAsked| &body.reason)?;
    let gateway = &call.admin.gateway;
    let _turn = call.admin.turn.lock().await;
    caught_up(gateway).await?;
    let (row, terms) = open_account(gateway, name)?;
    if asked.limits == LimitsAsked::default() {
        return Err(Refusal::malformed("no limit is named: credit_limit, window_max or window"));
    }
    let limits = limits(row.account.limits, &asked.limits)?;
    let transaction = tell_chain(gateway, name, Some(terms), limits).await?;
    let view = done(gateway, name, Some(transaction))?;
    Ok(DoneView { limits: Some(limits_view(limits)), ..view })
}

/// Closes an open account: its figures stay, and value waits for nothing any more but is refused.
pub(in crate::admin) async fn close(call: &mut Call<'_>, name: &Name) -> Result<DoneView, Refusal> {
    call.read(|body: &Reasoned| &body.reason)?;
    let gateway = &call.admin.gateway;
    let _turn = call.admin.turn.lock().await;
    caught_up(gateway).await?;
    let (row, _) = open_account(gateway, name)?;
    let transaction = tell_chain(gateway, name, None, row.account.limits).await?;
    let view = done(gateway, name, Some(transaction))?;
    Ok(DoneView { state: AccountState::Closed, terms: None, ..view })
}

/// Notes a settlement that happened elsewhere, or pays out of what the peer keeps here.
pub(in crate::admin) async fn settle(
    call: &mut Call<'_>,
    name: &Name,
) -> Result<DoneView, Refusal> {
    let (asked, reason) = call.read(|body: &SettleAsked| &body.reason)?;
    let gateway = &call.admin.gateway;
    if reason.as_str().len() > NOTE_BYTES_MAX {
        let found = reason.as_str().len();
        return Err(Refusal::malformed(format_args!(
            "reason has {found} bytes, expected at most {NOTE_BYTES_MAX}: it goes onto the chain"
        )));
    }
    let change = match (&asked.add, &asked.take) {
        (Some(text), None) => Change::Added(positive("add", text)?),
        (None, Some(text)) => Change::Taken(positive("take", text)?),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Refusal::malformed("expected add or take, one of them"));
        }
    };
    if asked.to.is_some() && matches!(change, Change::Added(_)) {
        return Err(Refusal::malformed("--to stands beside --add, expected it only beside --take"));
    }
    let to = asked.to.as_deref().map(|text| parsed("to", text)).transpose()?;
    let row = known(gateway, name)?;
    is_gateways_to_do(gateway)?;
    if matches!(change, Change::Added(_)) && row.account.terms.is_none() {
        return Err(conflict(format!("{name} is not open: nothing is settled with it")));
    }
    let (chain, asset, note) = (name.chain, name.asset.clone(), reason.to_string());
    let submission = Submission::Settle { chain, asset, change, to, note };
    let transaction = submit(gateway, submission).await?;
    done(gateway, name, Some(transaction))
}

/// Stops an account: value waits.
pub(in crate::admin) async fn suspend(
    call: &mut Call<'_>,
    name: &Name,
) -> Result<DoneView, Refusal> {
    let (before, done) = mark(call, name, Act::Suspend).await?;
    match before.suspension {
        None => Ok(done),
        Some(held) => {
            let text = format!("{name} is suspended already, by {}: {}", held.by, held.why);
            Err(conflict(text))
        }
    }
}

/// Lets a suspended account go on; what waits wakes in order.
pub(in crate::admin) async fn resume(
    call: &mut Call<'_>,
    name: &Name,
) -> Result<DoneView, Refusal> {
    let (before, done) = mark(call, name, Act::Resume).await?;
    match before.suspension {
        Some(_) => Ok(done),
        None => Err(conflict(format!("{name} is not suspended"))),
    }
}

/// Suspends or resumes an account, unless it is so already, and gives it as it was before.
async fn mark(
    call: &mut Call<'_>,
    name: &Name,
    act: Act,
) -> Result<(AccountRow, DoneView), Refusal> {
    let (_, reason) = call.read(|body: &Reasoned| &body.reason)?;
    let gateway = &call.admin.gateway;
    let Mark { by, why, at } = Mark::of(call.caller, &reason, gateway);
    let held = name.clone();
    let marking = gateway.spool.transact(move |tx| {
        let before = tx.account(held.chain, &held.asset)?;
        let (mut events, which) = (Vec::new(), (held.chain, &held.asset));
        match (act, before.as_ref().map(|row| row.suspension.is_some())) {
            (Act::Suspend, Some(false)) => {
                account::suspend(tx, which, &why, &by, at, &mut events)?;
            }
            (Act::Resume, Some(true)) => {
                account::resume(tx, which, &why, &by, at, &mut events)?;
            }
            _ => {}
        }
        Ok::<_, SpoolError>((before, events))
    });
    let (before, events) = marking.await?;
    let before = before.ok_or_else(|| name.unknown())?;
    tell(gateway, events);
    Ok((before, done(gateway, name, None)?))
}

/// Makes a statement now, instead of with the hour.
pub(in crate::admin) async fn statement(
    call: &mut Call<'_>,
    name: &Name,
) -> Result<DoneView, Refusal> {
    call.read(|body: &Reasoned| &body.reason)?;
    let gateway = &call.admin.gateway;
    known(gateway, name)?;
    let wanted = name.clone();
    let wanting = gateway
        .spool
        .transact(move |tx: &mut Tx<'_>| statements::want(tx, wanted.chain, &wanted.asset));
    wanting.await?;
    gateway.papers.notify_one();
    done(gateway, name, None)
}

/// Who, why and when, for a journal.
struct Mark {
    by: String,
    why: String,
    at: distpos_proto::time::UnixMillis,
}

impl Mark {
    fn of(caller: Caller, reason: &Reason, gateway: &Gateway) -> Self {
        Self { by: caller.to_string(), why: reason.to_string(), at: gateway.now() }
    }
}

/// An account that the chain told of.
fn known(gateway: &Gateway, name: &Name) -> Result<AccountRow, Refusal> {
    let row = gateway.spool.read(|tx| tx.account(name.chain, &name.asset))?;
    row.ok_or_else(|| name.unknown())
}

/// An account that is open, where its place is the gateway's to change.
fn open_account(gateway: &Gateway, name: &Name) -> Result<(AccountRow, TermsHash), Refusal> {
    let row = known(gateway, name)?;
    is_gateways_to_do(gateway)?;
    let terms = row.account.terms;
    let terms = terms.ok_or_else(|| conflict(format!("{name} is not open: `account open` it")))?;
    Ok((row, terms))
}

/// On EVM the account is the contract owner's.
fn is_gateways_to_do(gateway: &Gateway) -> Result<(), Refusal> {
    match gateway.facts().family {
        Family::Evm => {
            Err(conflict("an account's place is the contract, and its owner changes it"))
        }
        Family::Ledger | Family::Attested => Ok(()),
    }
}

fn conflict(text: impl std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, Code::POLICY, text)
}

/// Sets terms and limits on the chain; gives the transaction.
/// Waits until this gateway has read its chain to the end: what is not named stays as it is *there*,
/// and an older copy written back would take back what was changed meanwhile.
pub(super) async fn caught_up(gateway: &Gateway) -> Result<(), Refusal> {
    // On EVM the command asks the contract itself.
    if gateway.facts().family == Family::Evm {
        return Ok(());
    }
    let started = tokio::time::Instant::now();
    loop {
        let head = gateway.chain.head().await.map_err(|error| {
            let reply = Reply::new(Code::NO_ANSWER, format!("chain: {error}"));
            Refusal::by_reply(StatusCode::SERVICE_UNAVAILABLE, &reply)
        })?;
        let read = gateway.spool.read(|tx| tx.cursor())?.map(|cursor| cursor.height);
        if read.is_some_and(|read| read >= head.height) {
            return Ok(());
        }
        if started.elapsed() > CATCH_UP_TIME_MAX {
            let read = read.map_or_else(|| "none".to_owned(), |read| read.to_string());
            return Err(Refusal::temporary(
                StatusCode::SERVICE_UNAVAILABLE,
                format_args!("the chain is at block {}, read are {read}: try again", head.height),
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long a command waits for blocks to be read; less than its client waits.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) async fn tell_chain(
    gateway: &Gateway,
    name: &Name,
    terms: Option<TermsHash>,
    limits: Limits,
) -> Result<String, Refusal> {
    let (chain, asset) = (name.chain, name.asset.clone());
    let tag = dns::believed(gateway, chain).ok().map(|believed| believed.trusted.tag);
    submit(gateway, Submission::Account { chain, tag, asset, terms, limits }).await
}

async fn submit(gateway: &Gateway, submission: Submission) -> Result<String, Refusal> {
    match gateway.chain.submit(submission).await {
        Ok(submitted) => Ok(data_encoding::HEXLOWER.encode(&submitted.transaction)),
        Err(ChainError::Refused(reply)) => {
            Err(Refusal::by_reply(StatusCode::UNPROCESSABLE_ENTITY, &reply))
        }
        Err(error) => {
            let reply = Reply::new(Code::NO_ANSWER, format!("chain: {error}"));
            Err(Refusal::by_reply(StatusCode::SERVICE_UNAVAILABLE, &reply))
        }
    }
}

fn tell(gateway: &Gateway, events: Vec<Event>) {
    for event in events {
        gateway.emit(event);
    }
}

fn done(gateway: &Gateway, name: &Name, transaction: Option<String>) -> Result<DoneView, Refusal> {
    let line = gateway.spool.read(|tx| read::line(gateway, tx, name))?;
    Ok(DoneView {
        chain: line.chain,
        asset: line.asset,
        state: line.state,
        terms: line.terms,
        backing: None,
        limits: None,
        transaction,
        note: None,
    })
}

/// Limits as they are to be: what is not named stays as it is.
pub(super) fn limits(now: Limits, asked: &LimitsAsked) -> Result<Limits, Refusal> {
    let LimitsAsked { credit_limit, window_max, window_seconds } = asked;
    let credit_limit = match credit_limit {
        Some(text) => sum("credit_limit", text)?,
        None => now.credit_limit,
    };
    let max = window_max.as_deref().map(|text| positive("window_max", text)).transpose()?;
    let window = match (max, *window_seconds, now.window) {
        (None, Some(0), _) => None,
        (Some(_), Some(0), _) => {
            return Err(Refusal::malformed(
                "--window-max stands beside --window 0s, which takes it away",
            ));
        }
        (Some(max), Some(seconds), _) => Some(Window { max, seconds }),
        (Some(max), None, Some(before)) => Some(Window { max, ..before }),
        (None, Some(seconds), Some(before)) => Some(Window { seconds, ..before }),
        (Some(_), None, None) => {
            return Err(Refusal::malformed("--window-max is named, expected --window beside it"));
        }
        (None, Some(_), None) => {
            return Err(Refusal::malformed("--window is named, expected --window-max beside it"));
        }
        (None, None, window) => window,
    };
    Ok(Limits { credit_limit, window })
}

pub(super) fn limits_view(limits: Limits) -> LimitsAsked {
    LimitsAsked {
        credit_limit: Some(limits.credit_limit.to_string()),
        window_max: limits.window.map(|window| window.max.to_string()),
        window_seconds: limits.window.map(|window| window.seconds),
    }
}

fn sum(field: &str, text: &str) -> Result<Amount, Refusal> {
    parse_sum(text).map_err(|what| Refusal::malformed(format_args!("{field}: {what}")))
}

fn positive(field: &str, text: &str) -> Result<Amount, Refusal> {
    match sum(field, text)? {
        zero if zero.is_zero() => {
            Err(Refusal::malformed(format_args!("{field}: found 0, expected more than zero")))
        }
        sum => Ok(sum),
    }
}
