//! Statements: what was delivered here goes to the peer every hour; what the peer says it delivered
//! is held against the messages that were closed here.
//!
//! A statement that differs is not believed at once: this gateway may not have read its own chain
//! as far as a sibling that sent the message. It is looked at again for [`DOUBT`]; if it still
//! differs then, the operator is told, and past `mismatch_max` the account is suspended.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use distpos_proto::{
    account::Account,
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    light::Trusted,
    message::Asset,
    signed::{Document, Signed, Verified},
    standing::{Happening, Subject},
    statement::{Closed, Comparison, SignedStatement, Statement, compare},
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{AccountRow, Direction, Sending, SpoolError, StatementRow, Tx, Unmatched};

use super::progress;

use crate::{
    account::{self, GATEWAY},
    event::{Event, Paper, What},
    gateway::Gateway,
    standing,
};

/// From one statement of an account to the next.
pub const STATEMENT_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long statements may differ before that is believed: this gateway reads its chain within
/// minutes, and while it has not, the time does not run.
pub const DOUBT: Duration = Duration::from_secs(10 * 60);
/// From one look at a statement that does not match to the next: receipts come within minutes.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The same once no statement has matched for an hour or the difference was told: every look sums
/// what was closed since the last match, and that grows.
pub const LOOK_SELDOM: Duration = Duration::from_secs(10 * 60);
/// How far the clock of a peer may be ahead of the own one. The newest paper stands: one of a time
/// to come would stand until then.
pub const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// Makes the next statement of an account due now, instead of with the hour.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn want(tx: &mut Tx<'_>, chain: ChainId, asset: &Asset) -> Result<(), SpoolError> {
    // Forgotten here, it is made anew; the peer keeps the one that it has.
    tx.forget_statement(Direction::Outbound, chain, asset);
    Ok(())
}

/// Makes the statements that are due.
pub(super) async fn make(gateway: &Gateway) -> Result<(), SpoolError> {
    let (own, now, keys) = (gateway.facts().chain, gateway.now(), gateway.identity.keys());
    let (due, idle) = gateway.spool.read(|tx| {
        let (mut due, mut idle) = (Vec::new(), Vec::new());
        for (chain, asset, row) in tx.accounts()? {
            let last = tx.statement(Direction::Outbound, chain, &asset)?;
            if !is_used(&row) {
                idle.extend(last.map(|_| (chain, asset)));
                continue;
            }
            // One of a time to come was made before the clock was set back.
            let is_due =
                last.is_none_or(|last| now.since(last.at) >= STATEMENT_EVERY || last.at > now);
            if is_due && let Some(statement) = state(tx, own, (chain, &asset), &row, now)? {
                due.push((chain, asset, statement.sign(&keys.secrets)));
            }
        }
        Ok::<_, SpoolError>((due, idle))
    })?;
    if due.is_empty() && idle.is_empty() {
        return Ok(());
    }
    let keeping = gateway.spool.transact(move |tx| {
        for (chain, asset) in idle {
            tx.forget_statement(Direction::Outbound, chain, &asset);
        }
        for (chain, asset, statement) in due {
            let sending = Sending::at(now);
            let (comparison, unmatched) = (None, None);
            let row = StatementRow { statement, at: now, comparison, unmatched, sending };
            tx.put_statement(Direction::Outbound, chain, &asset, &row);
        }
        Ok::<_, SpoolError>(())
    });
    keeping.await
}

/// Whether there is anything to say of an account. Any user may send to any chain-id and so make
/// one here: nobody there is to be looked up for that.
fn is_used(row: &AccountRow) -> bool {
    let Account { terms, figures, .. } = &row.account;
    terms.is_some() || !figures.received.is_zero() || !figures.reserve.is_zero()
}

/// What this side says of an account at this moment; nothing if it is not used, or none of the own
/// chain was read yet.
fn state(
    tx: &Tx<'_>,
    own: ChainId,
    (peer, asset): (ChainId, &Asset),
    row: &AccountRow,
    now: UnixMillis,
) -> Result<Option<Statement>, SpoolError> {
    let Some(cursor) = tx.cursor()? else { return Ok(None) };
    let account = &row.account;
    if !is_used(row) {
        return Ok(None);
    }
    Ok(Some(Statement {
        maker: own,
        peer,
        asset: asset.clone(),
        terms: account.terms,
        height: cursor.height,
        count: tx.tally(peer, asset)?.delivered,
        received: account.figures.received,
        reserve: account.figures.reserve,
        time: now.seconds(),
    }))
}

/// The own statements of these accounts, for a peer whose statements of them came.
pub(super) fn own(
    gateway: &Gateway,
    peer: ChainId,
    assets: BTreeSet<Asset>,
) -> Result<Vec<SignedStatement>, SpoolError> {
    let (own, now) = (gateway.facts().chain, gateway.now());
    let statements = gateway.spool.read(|tx| {
        let mut statements = Vec::new();
        for asset in assets {
            let Some(row) = tx.account(peer, &asset)? else { continue };
            statements.extend(state(tx, own, (peer, &asset), &row, now)?);
        }
        Ok::<_, SpoolError>(statements)
    })?;
    let keys = gateway.identity.keys();
    Ok(statements.into_iter().map(|made| made.sign(&keys.secrets)).collect())
}

/// Takes statements that the peer signed; one reply each.
pub(super) async fn take(
    gateway: &Gateway,
    trusted: &Trusted,
    came: Vec<SignedStatement>,
) -> Result<Vec<Reply>, SpoolError> {
    let mut replies = Vec::with_capacity(came.len());
    for signed in came {
        let Statement { maker, peer, time, .. } = signed.document;
        replies.push(match judge(gateway, trusted, (maker, peer, time), signed) {
            Ok(verified) => keep(gateway, trusted.chain, verified).await?,
            Err(reply) => reply,
        });
    }
    Ok(replies)
}

/// Whether a paper is by the chain that it came from, about an account with this one, and signed by
/// its keys, and not of a time to come.
pub(super) fn judge<D: Document>(
    gateway: &Gateway,
    trusted: &Trusted,
    (maker, peer, time): (ChainId, ChainId, UnixSeconds),
    signed: Signed<D>,
) -> Result<Verified<D>, Reply> {
    if maker != trusted.chain {
        let text = format!("{} is by {maker}, the call speaks for {}", D::NAME, trusted.chain);
        return Err(Reply::new(Code::POLICY, text));
    }
    if time > newest(gateway.now()) {
        let text = format!("{} is of a time to come: {}", D::NAME, time.0);
        let seconds = u32::try_from(AHEAD_MAX.as_secs()).unwrap_or(u32::MAX);
        return Err(Reply::new(Code::NOT_NOW, text).retry_after(seconds));
    }
    if peer != gateway.facts().chain {
        return Err(Reply::new(Code::POLICY, format!("{} is for chain {peer}", D::NAME)));
    }
    signed.verify(&trusted.keys).map_err(|error| Reply::new(Code::SIGNATURE, error.to_string()))
}

/// What taking a statement did.
enum Kept {
    /// There is no such account.
    NoAccount,
    /// One of this height or a higher one came before.
    Known,
    /// It was held against the own books.
    Compared(Comparison),
}

async fn keep(
    gateway: &Gateway,
    chain: ChainId,
    came: Verified<Statement>,
) -> Result<Reply, SpoolError> {
    let now = gateway.now();
    let asset = came.document().asset.clone();
    let judging = Judging::of(gateway, chain, &asset, now);
    let keeping = gateway.spool.transact(move |tx| {
        let (asset, mut events) = (&came.document().asset, Vec::new());
        if tx.account(chain, asset)?.is_none() {
            return Ok((Kept::NoAccount, events));
        }
        let before = tx.statement(Direction::Inbound, chain, asset)?;
        // One of a time to come was taken before the clock was set back.
        let (place, newest) = (|s: &Statement| (s.time, s.height), newest(now));
        let is_known = |before: &StatementRow| {
            let before = &before.statement.document;
            before.time <= newest && place(before) >= place(came.document())
        };
        if before.as_ref().is_some_and(is_known) {
            return Ok((Kept::Known, events));
        }
        let (comparison, unmatched) =
            before.map_or((None, None), |before| (before.comparison, before.unmatched));
        let (statement, sending) = (came.signed().clone(), Sending::default());
        let row = StatementRow { statement, at: now, comparison, unmatched, sending };
        let compared = hold(tx, (chain, asset), row, judging, now, &mut events)?;
        Ok::<_, SpoolError>((compared.map_or(Kept::Known, Kept::Compared), events))
    });
    let (kept, events) = keeping.await?;
    events.into_iter().for_each(|event| gateway.emit(event));
    Ok(match kept {
        Kept::NoAccount => Reply::new(Code::NO_ACCOUNT, format!("no account in {asset} here")),
        Kept::Known => Reply::new(Code::DELIVERED, "nothing new"),
        Kept::Compared(Comparison::Matches) => Reply::new(Code::DELIVERED, "statement matches"),
        Kept::Compared(Comparison::Awaits { count, amount }) => {
            let text = format!("statement has {count} messages of {amount} that are open here");
            Reply::new(Code::DELIVERED, text)
        }
        Kept::Compared(Comparison::Differs { theirs, ours }) => {
            let text = format!(
                "statement differs: {} messages of {}, here {} of {}",
                theirs.count, theirs.sum, ours.count, ours.sum
            );
            Reply::new(Code::DELIVERED, text)
        }
    })
}

/// Looks again at statements that did not match.
pub(super) async fn look_again(gateway: &Arc<Gateway>) -> Result<(), SpoolError> {
    let now = gateway.now();
    // A look is never due later than that, unless the clock was set back.
    let latest = now.after(LOOK_SELDOM);
    let is_due = |row: &StatementRow| row.sending.due.is_some_and(|due| due <= now || due > latest);
    let all = gateway.spool.read(|tx| tx.statements())?;
    let due = |(way, _, _, row): &(Direction, ChainId, Asset, StatementRow)| {
        *way == Direction::Inbound && is_due(row)
    };
    for (_, chain, asset, _) in all.into_iter().filter(due) {
        let judging = Judging::of(gateway, chain, &asset, now);
        let looking = gateway.spool.transact(move |tx| {
            let mut events = Vec::new();
            // A newer one may have come since.
            if let Some(row) = tx.statement(Direction::Inbound, chain, &asset)? {
                let _ = hold(tx, (chain, &asset), row, judging, now, &mut events)?;
            }
            Ok::<_, SpoolError>(events)
        });
        looking.await?.into_iter().for_each(|event| gateway.emit(event));
    }
    Ok(())
}

/// How long a statement that does not match is looked at every [`LOOK_AGAIN`].
const SOON_FOR: Duration = Duration::from_secs(60 * 60);

/// With what a statement is held against the books.
#[derive(Debug, Clone, Copy)]
struct Judging {
    /// Most that it may differ by.
    mismatch_max: Amount,
    /// Whether the own chain is read.
    is_caught_up: bool,
}

impl Judging {
    fn of(gateway: &Gateway, chain: ChainId, asset: &Asset, now: UnixMillis) -> Self {
        let mismatch_max = gateway.correspondents.account(chain, asset).mismatch_max;
        Self { mismatch_max, is_caught_up: progress::is_caught_up(gateway, now) }
    }
}

/// The latest time that a paper may be of.
fn newest(now: UnixMillis) -> UnixSeconds {
    now.after(AHEAD_MAX).seconds()
}

/// Holds a statement against the books and keeps it with what came of that; nothing comes of one
/// that is older than the last match.
fn hold(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    mut row: StatementRow,
    judging: Judging,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<Option<Comparison>, SpoolError> {
    let statement = &row.statement.document;
    let Some(closed) = tx.closed_up_to(chain, asset, statement.height)? else { return Ok(None) };
    let pending_out = tx.account(chain, asset)?.unwrap_or_default().account.figures.pending_out;
    let open = tx.open_towards(chain, asset, pending_out)?;
    let found = compare(statement, closed, open);
    let none = Unmatched { since: now, differs_since: None, told: None };
    let mut unmatched = row.unmatched.filter(|before| before.since <= now).unwrap_or(none);
    let is_told = unmatched.told.is_some_and(|told| !is_other(told, found));
    let is_doubtful = matches!(found, Comparison::Differs { .. })
        && !is_told
        && doubt(&mut unmatched, judging.is_caught_up, now);
    let is_news = !is_doubtful && !is_told && row.comparison.is_none_or(|was| is_other(was, found));
    if !matches!(found, Comparison::Differs { .. }) || is_told {
        unmatched.differs_since = None;
    }
    if matches!(found, Comparison::Matches) {
        // Of nothing everybody can say the same.
        if statement.count > 0 {
            let (subject, what) = (Subject::chain(chain), Happening::StatementMatched);
            let cause = format!("{} messages of {asset} up to its block", statement.count);
            standing::note(tx, &subject, what, &cause, now, events)?;
        }
        tx.checkpoint(chain, asset, statement.height)?;
        row.sending.due = None;
        row.unmatched = None;
    } else {
        let is_seldom = is_told || now.since(unmatched.since) >= SOON_FOR;
        let wait = if is_seldom { LOOK_SELDOM } else { LOOK_AGAIN };
        row.sending.due = Some(now.after(wait));
        if is_news && matches!(found, Comparison::Differs { .. }) {
            (unmatched.told, unmatched.differs_since) = (Some(found), None);
        }
        row.unmatched = Some(unmatched);
    }
    if is_news {
        let what = What::StatementHeld { height: statement.height, comparison: found };
        events.push(Event::Paper(Paper { chain, asset: asset.clone(), what }));
        if let Comparison::Differs { theirs, ours } = found {
            suspend(tx, (chain, asset), (theirs.sum, ours.sum), judging.mismatch_max, now, events)?;
        }
    }
    if !is_doubtful {
        row.comparison = Some(found);
    }
    tx.put_statement(Direction::Inbound, chain, asset, &row);
    Ok(Some(found))
}

/// Whether a difference is still doubted. The time runs from statement to statement, however often
/// they come; it begins anew while this gateway has not read its own chain.
fn doubt(unmatched: &mut Unmatched, is_caught_up: bool, now: UnixMillis) -> bool {
    let since = unmatched.differs_since.filter(|since| is_caught_up && *since <= now);
    let since = *unmatched.differs_since.insert(since.unwrap_or(now));
    now.since(since) < DOUBT
}

/// Whether a comparison says something else than the last. A difference that stays the same was told,
/// and an operator who lets the account go on with it is not overruled.
fn is_other(was: Comparison, found: Comparison) -> bool {
    let gap = |theirs: Closed, ours: Closed| {
        let sums = (theirs.sum.saturating_sub(ours.sum), ours.sum.saturating_sub(theirs.sum));
        (sums, theirs.count.saturating_sub(ours.count), ours.count.saturating_sub(theirs.count))
    };
    match (was, found) {
        (Comparison::Matches, Comparison::Matches)
        | (Comparison::Awaits { .. }, Comparison::Awaits { .. }) => false,
        (
            Comparison::Differs { theirs: a, ours: b },
            Comparison::Differs { theirs: c, ours: d },
        ) => gap(a, b) != gap(c, d),
        (Comparison::Matches | Comparison::Awaits { .. } | Comparison::Differs { .. }, _) => true,
    }
}

/// Suspends the account if the sums differ by more than the operator lets pass.
fn suspend(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    (theirs, ours): (Amount, Amount),
    mismatch_max: Amount,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let difference = theirs.max(ours).saturating_sub(theirs.min(ours));
    let is_suspended = tx.account(chain, asset)?.is_some_and(|row| row.suspension.is_some());
    if difference <= mismatch_max || is_suspended {
        return Ok(());
    }
    let why = format!("the peer's statement says {theirs}, the books here {ours}");
    account::suspend(tx, (chain, asset), &why, GATEWAY, now, events)
}
