//! Requests for reserve: an account that is strained asks its peer for more, once when it becomes
//! so and daily while it is.

use std::time::Duration;

use distpos_proto::{
    account::Account,
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    light::Trusted,
    message::Asset,
    signed::{Document, Verified},
    statement::{ReserveRequest, SignedReserveRequest, reserve_wanted},
    time::{UnixMillis, UnixSeconds},
    wire::REQUEST_MESSAGES_MAX,
};
use distpos_spool::{Direction, RequestRow, Sending, SpoolError, Tx};

use super::statement::{AHEAD_MAX, judge};
use crate::{
    config::AccountPolicy,
    event::{Event, Paper, What},
    gateway::Gateway,
};

/// From one request of an account that stays strained to the next.
pub const ASK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the peer's operators have for it.
pub const TIME_TO_PAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a request of the peer is shown after the time by which it was to be paid.
pub const SHOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// So many percent below `strained_at` an account is no longer strained, so that one which is just
/// at it does not ask with every message.
pub const RELIEF_PERCENT: u8 = 10;

/// What is to become of an account's request.
#[derive(Debug, PartialEq, Eq)]
enum Tending {
    Nothing,
    /// A new one, for this much.
    Ask(Amount),
    /// There is room again: the peer is told.
    Withdraw,
    /// The peer knows, or was away for long.
    Forget,
}

/// Makes the requests that are due, and withdraws those whose account has room again.
pub(super) async fn tend(gateway: &Gateway) -> Result<(), SpoolError> {
    let now = gateway.now();
    let due = gateway.spool.read(|tx| {
        let mut due = Vec::new();
        for (chain, asset, row) in tx.accounts()? {
            let policy = gateway.correspondents.account(chain, &asset);
            let before = tx.reserve_request(Direction::Outbound, chain, &asset)?;
            let waiting = waiting(tx, chain, &asset)?;
            let tending = tending(&row.account, waiting, policy.strained_at, before.as_ref(), now);
            if tending != Tending::Nothing {
                let before = before.map(|before| before.request.document);
                due.push((chain, asset, row.account, policy, before, tending));
            }
        }
        Ok::<_, SpoolError>(due)
    })?;
    for (chain, asset, account, policy, before, tending) in due {
        match (tending, account.terms, before) {
            (Tending::Ask(wanted), Some(terms), _) => {
                let request = ReserveRequest {
                    maker: gateway.facts().chain,
                    peer: chain,
                    asset: asset.clone(),
                    terms,
                    wanted,
                    by: now.after(TIME_TO_PAY).seconds(),
                    time: now.seconds(),
                    reason: reason(&account, &policy),
                };
                ask(gateway, request, now).await?;
            }
            (Tending::Withdraw, _, Some(before)) => {
                let time = now.seconds().max(UnixSeconds(before.time.0.saturating_add(1)));
                let (wanted, reason) = (Amount::ZERO, String::new());
                ask(gateway, ReserveRequest { wanted, time, reason, ..before }, now).await?;
            }
            (Tending::Forget, _, _) => forget(gateway, Direction::Outbound, chain, asset).await?,
            (Tending::Ask(_) | Tending::Withdraw | Tending::Nothing, _, _) => {}
        }
    }
    prune(gateway, now).await
}

/// Forgets what peers asked for by a time that is long past: nobody waits for it any more.
async fn prune(gateway: &Gateway, now: UnixMillis) -> Result<(), SpoolError> {
    let all = gateway.spool.read(|tx| tx.reserve_requests())?;
    let is_over = |row: &RequestRow| now.since(row.request.document.by.millis()) > SHOWN_FOR;
    for (way, chain, asset, row) in all {
        if way == Direction::Inbound && is_over(&row) {
            forget(gateway, way, chain, asset).await?;
        }
    }
    Ok(())
}

/// What an account needs: a pure decision.
fn tending(
    account: &Account,
    waiting: Amount,
    strained_at: u8,
    before: Option<&RequestRow>,
    now: UnixMillis,
) -> Tending {
    let used = account.used_percent();
    // What waits although there is room for it waits for its window, or for the operator.
    let is_short = waiting > account.room();
    let is_strained = account.terms.is_some() && (used >= strained_at || is_short);
    let is_relieved =
        account.terms.is_none() || (used < strained_at.saturating_sub(RELIEF_PERCENT) && !is_short);
    // One of a time to come was made before the clock was set back.
    let is_due = before.is_none_or(|before| now.since(before.at) >= ASK_EVERY || before.at > now);
    let wanted = reserve_wanted(account, if is_short { waiting } else { Amount::ZERO });
    let is_withdrawal = |before: &RequestRow| before.request.document.is_withdrawal();
    let is_due = is_due || before.is_some_and(is_withdrawal);
    match before {
        Some(before) if is_withdrawal(before) && !is_strained => {
            let is_over = before.sending.due.is_none() || now.since(before.at) >= ASK_EVERY;
            if is_over { Tending::Forget } else { Tending::Nothing }
        }
        Some(_) if is_relieved => Tending::Withdraw,
        _ if is_strained && is_due && !wanted.is_zero() => Tending::Ask(wanted),
        Some(_) | None => Tending::Nothing,
    }
}

/// What waits for room in an account, as far as one look sees.
fn waiting(tx: &Tx<'_>, chain: ChainId, asset: &Asset) -> Result<Amount, SpoolError> {
    let waiting = tx.waiting(chain, asset, REQUEST_MESSAGES_MAX)?;
    let sum = |sum: Amount, amount| sum.saturating_add(amount);
    Ok(waiting.iter().map(|message| message.amount).fold(Amount::ZERO, sum))
}

fn reason(account: &Account, policy: &AccountPolicy) -> String {
    let mut reason = format!("{} % of limit and reserve are used", account.used_percent());
    if let Some(to) = &policy.settle_to {
        reason.push_str("; pay to ");
        reason.push_str(to);
    }
    reason.truncate(reason.floor_char_boundary(ReserveRequest::REASON_BYTES_MAX));
    reason
}

async fn ask(
    gateway: &Gateway,
    request: ReserveRequest,
    now: UnixMillis,
) -> Result<(), SpoolError> {
    let (chain, asset, wanted) = (request.peer, request.asset.clone(), request.wanted);
    let (by, reason) = (request.by, request.reason.clone());
    let request = request.sign(&gateway.identity.keys().secrets);
    let row = RequestRow { request, at: now, sending: Sending::at(now) };
    let account = asset.clone();
    let keeping = gateway.spool.transact(move |tx| {
        tx.put_reserve_request(Direction::Outbound, chain, &account, &row);
        Ok::<_, SpoolError>(())
    });
    keeping.await?;
    let what =
        if wanted.is_zero() { What::Relieved } else { What::Strained { wanted, by, reason } };
    gateway.emit(Event::Paper(Paper { chain, asset, what }));
    Ok(())
}

async fn forget(
    gateway: &Gateway,
    way: Direction,
    chain: ChainId,
    asset: Asset,
) -> Result<(), SpoolError> {
    let forgetting = gateway.spool.transact(move |tx| {
        tx.remove_reserve_request(way, chain, &asset);
        Ok::<_, SpoolError>(())
    });
    forgetting.await
}

/// Takes requests that the peer signed; one reply each.
pub(super) async fn take(
    gateway: &Gateway,
    trusted: &Trusted,
    came: Vec<SignedReserveRequest>,
) -> Result<Vec<Reply>, SpoolError> {
    let mut replies = Vec::with_capacity(came.len());
    for signed in came {
        let ReserveRequest { maker, peer, time, .. } = signed.document;
        replies.push(match judge(gateway, trusted, (maker, peer, time), signed) {
            Ok(verified) => keep(gateway, trusted.chain, verified).await?,
            Err(reply) => reply,
        });
    }
    Ok(replies)
}

async fn keep(
    gateway: &Gateway,
    chain: ChainId,
    came: Verified<ReserveRequest>,
) -> Result<Reply, SpoolError> {
    let now = gateway.now();
    let ReserveRequest { asset, wanted, by, reason, .. } = came.document().clone();
    let account = asset.clone();
    let keeping = gateway.spool.transact(move |tx| {
        if tx.account(chain, &account)?.is_none() {
            return Ok(None);
        }
        let before = tx.reserve_request(Direction::Inbound, chain, &account)?;
        let time = |row: &RequestRow| row.request.document.time;
        // One of a time to come was taken before the clock was set back.
        let newest = now.after(AHEAD_MAX).seconds();
        let is_known =
            |before: &RequestRow| time(before) <= newest && time(before) >= came.document().time;
        let is_new = !before.as_ref().is_some_and(is_known);
        if came.document().is_withdrawal() {
            let is_news = is_new && before.is_some();
            if is_news {
                tx.remove_reserve_request(Direction::Inbound, chain, &account);
            }
            return Ok(Some(is_news));
        }
        if is_new {
            let (request, sending) = (came.signed().clone(), Sending::default());
            let row = RequestRow { request, at: now, sending };
            tx.put_reserve_request(Direction::Inbound, chain, &account, &row);
        }
        Ok::<_, SpoolError>(Some(is_new))
    });
    Ok(match keeping.await? {
        None => Reply::new(Code::NO_ACCOUNT, format!("no account in {asset} here")),
        Some(false) => Reply::new(Code::DELIVERED, "nothing new"),
        Some(true) if wanted.is_zero() => {
            let what = What::ReserveWithdrawn;
            gateway.emit(Event::Paper(Paper { chain, asset, what }));
            Reply::new(Code::DELIVERED, "withdrawn")
        }
        Some(true) => {
            let what = What::ReserveAsked { wanted, by, reason };
            gateway.emit(Event::Paper(Paper { chain, asset, what }));
            Reply::new(Code::DELIVERED, "told the operators")
        }
    })
}

#[cfg(test)]
mod tests {
    use distpos_proto::{
        account::{Figures, Limits},
        message::TermsHash,
    };

    use super::*;

    const DAY: u64 = 86_400_000;

    fn account(owed: u64) -> Account {
        let credit_limit = Amount::from(100_u64);
        Account {
            terms: Some(TermsHash([1; 32])),
            limits: Limits { credit_limit, window: None },
            figures: Figures { received: Amount::from(owed), ..Figures::default() },
            ..Account::default()
        }
    }

    fn asked(at: u64) -> RequestRow {
        let request = ReserveRequest {
            maker: "b1c2".parse().unwrap(),
            peer: "e2e4".parse().unwrap(),
            asset: "e2e4/coin".parse().unwrap(),
            terms: TermsHash([1; 32]),
            wanted: Amount::from(60_u64),
            by: UnixSeconds(1),
            time: UnixSeconds(1),
            reason: String::new(),
        };
        let (at, sending) = (UnixMillis(at), Sending::default());
        RequestRow { request: request.sign([]), at, sending }
    }

    #[test]
    fn it_asks_once_an_episode_and_daily_while_it_lasts() {
        let of = |owed, waiting: u64, before: Option<u64>, now| {
            let before = before.map(asked);
            let waiting = Amount::from(waiting);
            tending(&account(owed), waiting, 80, before.as_ref(), UnixMillis(now))
        };
        let ask = |amount: u64| Tending::Ask(amount.into());
        assert_eq!(of(79, 0, None, 5), Tending::Nothing);
        assert_eq!(of(80, 0, None, 5), ask(60));
        assert_eq!(of(0, 7, None, 5), Tending::Nothing, "there is room: its window is full");
        assert_eq!(of(40, 70, None, 5), ask(120), "there is not");
        assert_eq!(of(95, 0, Some(5), 6), Tending::Nothing, "the same episode");
        assert_eq!(of(95, 0, Some(5), 5 + DAY), ask(90));
        assert_eq!(of(71, 0, Some(5), 5 + DAY), Tending::Nothing, "neither one nor the other");
        assert_eq!(of(95, 0, Some(5 + DAY), 5), ask(90), "the clock was set back");
        assert_eq!(of(69, 0, Some(5), 6), Tending::Withdraw);
        assert_eq!(of(69, 32, Some(5), 6), Tending::Nothing, "somebody waits");
        let closed = Account { terms: None, ..account(95) };
        assert_eq!(tending(&closed, Amount::ZERO, 80, None, UnixMillis(5)), Tending::Nothing);
        let before = asked(5);
        let found = tending(&closed, Amount::ZERO, 80, Some(&before), UnixMillis(6));
        assert_eq!(found, Tending::Withdraw);
        // The peer is told that it is over, and asked anew if it was not.
        let mut withdrawn = asked(5);
        withdrawn.request.document.wanted = Amount::ZERO;
        withdrawn.sending = Sending::at(UnixMillis(5));
        let of = |owed, withdrawn: &RequestRow, now| {
            tending(&account(owed), Amount::ZERO, 80, Some(withdrawn), UnixMillis(now))
        };
        assert_eq!(of(69, &withdrawn, 6), Tending::Nothing, "on its way");
        assert_eq!(of(69, &withdrawn, 5 + DAY), Tending::Forget, "the peer is away");
        assert_eq!(of(80, &withdrawn, 6), ask(60));
        withdrawn.sending = Sending::default();
        assert_eq!(of(69, &withdrawn, 6), Tending::Forget, "the peer knows");
    }
}
