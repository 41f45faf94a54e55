//! Statements: what was delivered here goes to the peer every hour; what the peer says it delivered
//! is held against the messages that were closed here.
//!
//! A statement that differs is not believed at once: this gateway may not have read its own chain
//! as far as a sibling that sent the message. It is looked at again for [`DOUBT`]; if it still
//! differs then, the operator is told, and past `mismatch_max` the account is suspended.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use distpos_proto::{
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    light::Trusted,
    message::Asset,
    signed::{Document, Signed, Verified},
    standing::{Happening, Subject},
    statement::{Closed, Comparison, SignedStatement, Statement, compare},
    time::UnixMillis,
};
use distpos_spool::{AccountRow, Direction, Sending, SpoolError, StatementRow, Tx};

use crate::{
    account::{self, GATEWAY},
    event::{Event, Paper, What},
    gateway::Gateway,
    standing,
};

/// From one statement of an account to the next.
pub const STATEMENT_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a statement may differ before it is believed to: this gateway reads its chain within
/// minutes, or tells that it does not.
pub const DOUBT: Duration = Duration::from_secs(10 * 60);
/// From one look at a statement that does not match to the next: receipts come within minutes.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);

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
    let (own, now) = (gateway.facts().chain, gateway.now());
    let due = gateway.spool.read(|tx| {
        let mut due = Vec::new();
        for (chain, asset, row) in tx.accounts()? {
            let last = tx.statement(Direction::Outbound, chain, &asset)?;
            let is_due = last.is_none_or(|last| now.since(last.at) >= STATEMENT_EVERY);
            if is_due && let Some(statement) = state(tx, own, (chain, &asset), &row, now)? {
                due.push((chain, asset, statement.sign(&gateway.identity.keys)));
            }
        }
        Ok::<_, SpoolError>(due)
    })?;
    if due.is_empty() {
        return Ok(());
    }
    let keeping = gateway.spool.transact(move |tx| {
        for (chain, asset, statement) in due {
            let sending = Sending::at(now);
            let row = StatementRow { statement, at: now, comparison: None, sending };
            tx.put_statement(Direction::Outbound, chain, &asset, &row);
        }
        Ok::<_, SpoolError>(())
    });
    keeping.await
}

/// What this side says of an account at this moment; nothing if it was never opened, or none of the
/// own chain was read yet.
fn state(
    tx: &Tx<'_>,
    own: ChainId,
    (peer, asset): (ChainId, &Asset),
    row: &AccountRow,
    now: UnixMillis,
) -> Result<Option<Statement>, SpoolError> {
    let Some(cursor) = tx.cursor()? else { return Ok(None) };
    let account = &row.account;
    if account.terms.is_none() && account.figures == Default::default() {
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
    Ok(statements.into_iter().map(|made| made.sign(&gateway.identity.keys)).collect())
}

/// Takes statements that the peer signed; one reply each.
pub(super) async fn take(
    gateway: &Gateway,
    trusted: &Trusted,
    came: Vec<SignedStatement>,
) -> Result<Vec<Reply>, SpoolError> {
    let mut replies = Vec::with_capacity(came.len());
    for signed in came {
        let parties = (signed.document.maker, signed.document.peer);
        replies.push(match judge(gateway, trusted, parties, signed) {
            Ok(verified) => keep(gateway, trusted.chain, verified).await?,
            Err(reply) => reply,
        });
    }
    Ok(replies)
}

/// Whether a paper is by the chain that it came from, about an account with this one, and signed by
/// its keys.
pub(super) fn judge<D: Document>(
    gateway: &Gateway,
    trusted: &Trusted,
    (maker, peer): (ChainId, ChainId),
    signed: Signed<D>,
) -> Result<Verified<D>, Reply> {
    if maker != trusted.chain {
        let text = format!("{} is by {maker}, the call speaks for {}", D::NAME, trusted.chain);
        return Err(Reply::new(Code::POLICY, text));
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
    let limit = gateway.correspondents.account(chain, &asset).mismatch_max;
    let keeping = gateway.spool.transact(move |tx| {
        let (asset, mut events) = (&came.document().asset, Vec::new());
        if tx.account(chain, asset)?.is_none() {
            return Ok((Kept::NoAccount, events));
        }
        let before = tx.statement(Direction::Inbound, chain, asset)?;
        let place = |s: &Statement| (s.height, s.time);
        let is_known =
            |before: &StatementRow| place(&before.statement.document) >= place(came.document());
        if before.as_ref().is_some_and(is_known) {
            return Ok((Kept::Known, events));
        }
        let comparison = before.and_then(|before| before.comparison);
        let (statement, sending) = (came.signed().clone(), Sending::default());
        let row = StatementRow { statement, at: now, comparison, sending };
        let compared = hold(tx, (chain, asset), row, limit, now, &mut events)?;
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
    let is_due = |row: &StatementRow| row.sending.due.is_some_and(|due| due <= now);
    let all = gateway.spool.read(|tx| tx.statements())?;
    let due = |(way, _, _, row): &(Direction, ChainId, Asset, StatementRow)| {
        *way == Direction::Inbound && is_due(row)
    };
    for (_, chain, asset, _) in all.into_iter().filter(due) {
        let limit = gateway.correspondents.account(chain, &asset).mismatch_max;
        let looking = gateway.spool.transact(move |tx| {
            let mut events = Vec::new();
            // A newer one may have come since.
            if let Some(row) = tx.statement(Direction::Inbound, chain, &asset)? {
                let _ = hold(tx, (chain, &asset), row, limit, now, &mut events)?;
            }
            Ok::<_, SpoolError>(events)
        });
        looking.await?.into_iter().for_each(|event| gateway.emit(event));
    }
    Ok(())
}

/// Holds a statement against the books and keeps it with what came of that; nothing comes of one
/// that is older than the last match.
fn hold(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    mut row: StatementRow,
    mismatch_max: Amount,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<Option<Comparison>, SpoolError> {
    let statement = &row.statement.document;
    let Some(closed) = tx.closed_up_to(chain, asset, statement.height)? else { return Ok(None) };
    let pending_out = tx.account(chain, asset)?.unwrap_or_default().account.figures.pending_out;
    let open = tx.open_towards(chain, asset, pending_out)?;
    let found = compare(statement, closed, open);
    let is_doubtful = matches!(found, Comparison::Differs { .. }) && now.since(row.at) < DOUBT;
    let is_news = !is_doubtful && row.comparison.is_none_or(|was| is_other(was, found));
    if matches!(found, Comparison::Matches) {
        // Of nothing everybody can say the same.
        if statement.count > 0 {
            let (subject, what) = (Subject::chain(chain), Happening::StatementMatched);
            let cause = format!("{} messages of {asset} up to its block", statement.count);
            standing::note(tx, &subject, what, &cause, now, events)?;
        }
        tx.checkpoint(chain, asset, statement.height)?;
        row.sending.due = None;
    } else {
        row.sending.due = Some(now.after(LOOK_AGAIN));
    }
    if is_news {
        let what = What::StatementHeld { height: statement.height, comparison: found };
        events.push(Event::Paper(Paper { chain, asset: asset.clone(), what }));
        if let Comparison::Differs { theirs, ours } = found {
            suspend(tx, (chain, asset), (theirs.sum, ours.sum), mismatch_max, now, events)?;
        }
    }
    if !is_doubtful {
        row.comparison = Some(found);
    }
    tx.put_statement(Direction::Inbound, chain, asset, &row);
    Ok(Some(found))
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
