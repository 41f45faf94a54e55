//! What is known of accounts.

use std::collections::BTreeSet;

use distpos_proto::{
    account::{Account, Figures},
    chain::ChainId,
    message::Asset,
    statement::{Closed, Comparison},
    terms::Terms,
    time::UnixMillis,
    wire::REQUEST_MESSAGES_MAX,
};
use distpos_spool::{
    AccountRow, Act, Direction, Entry, RequestRow, Sending, SpoolError, StatementRow, TermsRow, Tx,
};

use super::Name;
use crate::{
    admin::{
        AccountDetail, AccountLine, AccountState, AccountsView, EntryView, Refusal, RequestView,
        SendingView, SettingsView, SideView, StatementView, SuspensionView, TermsView,
    },
    config::AccountPolicy,
    gateway::Gateway,
};

/// Entries of a journal that are shown unless more are asked for.
const ENTRIES_DEFAULT: u64 = 20;
/// Most entries that are shown at once; older ones by their numbers.
const ENTRIES_MAX: u64 = 10_000;

/// Every account that anything is known of: that the chain told of, or that has terms.
pub(in crate::admin) fn list(gateway: &Gateway) -> Result<AccountsView, Refusal> {
    let accounts = gateway.spool.read(|tx| {
        let mut names: BTreeSet<(ChainId, Asset)> = BTreeSet::new();
        // Whoever sends to a chain that there is not leaves an account with nothing in it.
        let is_one = |row: &AccountRow| {
            row.account.terms.is_some()
                || row.account.figures != Figures::default()
                || row.suspension.is_some()
        };
        let accounts = tx.accounts()?.into_iter().filter(|(_, _, row)| is_one(row));
        names.extend(accounts.map(|(chain, asset, _)| (chain, asset)));
        names.extend(tx.all_terms()?.into_iter().map(|(chain, asset, _)| (chain, asset)));
        let lines =
            names.into_iter().map(|(chain, asset)| line(gateway, tx, &Name { chain, asset }));
        lines.collect::<Result<Vec<_>, SpoolError>>()
    })?;
    Ok(AccountsView { accounts })
}

/// Which entries of the journal are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::admin) struct Wanted {
    /// The first; the newest ones unless said otherwise.
    pub(in crate::admin) from: Option<u64>,
    /// How many.
    pub(in crate::admin) count: Option<u64>,
}

impl Wanted {
    /// Reads `from=1&entries=20`.
    pub(in crate::admin) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut wanted = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let wrong = || {
                let found: String = pair.chars().take(80).collect();
                Refusal::malformed(format_args!("found {found:?}, expected from=N or entries=N"))
            };
            let (name, number) = pair.split_once('=').ok_or_else(wrong)?;
            let number = Some(number.parse().map_err(|_| wrong())?);
            match name {
                "from" => wanted.from = number,
                "entries" => wanted.count = number,
                _ => return Err(wrong()),
            }
        }
        Ok(wanted)
    }

    /// How many are shown.
    pub(in crate::admin) fn entries(self) -> usize {
        let count = self.count.unwrap_or(ENTRIES_DEFAULT).min(ENTRIES_MAX);
        usize::try_from(count).unwrap_or(0)
    }
}

/// Everything about one account.
pub(in crate::admin) fn show(
    gateway: &Gateway,
    name: &Name,
    wanted: Wanted,
) -> Result<AccountDetail, Refusal> {
    let detail = gateway.spool.read(|tx| detail(gateway, tx, name, wanted))?;
    detail.ok_or_else(|| name.unknown())
}

fn detail(
    gateway: &Gateway,
    tx: &Tx<'_>,
    name: &Name,
    wanted: Wanted,
) -> Result<Option<AccountDetail>, SpoolError> {
    let Name { chain, asset } = name;
    let (row, terms) = (tx.account(*chain, asset)?, tx.terms(*chain, asset)?);
    if row.is_none() && terms == TermsRow::default() {
        return Ok(None);
    }
    let row = row.unwrap_or_default();
    let count = wanted.entries();
    let newest = row.entries.saturating_sub(count as u64).saturating_add(1);
    let journal = match count {
        0 => Vec::new(),
        count => tx.entries(*chain, asset, wanted.from.unwrap_or(newest), count)?,
    };
    let statement = |direction| tx.statement(direction, *chain, asset);
    Ok(Some(AccountDetail {
        line: line(gateway, tx, name)?,
        cover: row.account.cover().to_string(),
        owed: row.account.owed().to_string(),
        suspension: row.suspension.map(|held| SuspensionView {
            why: held.why,
            by: held.by,
            at_ms: held.at.0,
        }),
        agreed: terms.agreed_hash().map(|hash| hash.to_string()),
        own_terms: terms
            .ours
            .map(|ours| terms_view(&ours.terms, ours.at, Some(sending_view(&ours.sending)))),
        peer_terms: terms.theirs.map(|theirs| terms_view(&theirs.signed.document, theirs.at, None)),
        settings: settings(&gateway.correspondents.account(*chain, asset)),
        statement_sent: statement(Direction::Outbound)?.map(|row| statement_view(&row, true)),
        statement_received: statement(Direction::Inbound)?.map(|row| statement_view(&row, false)),
        entries: row.entries,
        journal: journal.into_iter().map(|(number, entry)| entry_view(number, entry)).collect(),
    }))
}

pub(super) fn line(gateway: &Gateway, tx: &Tx<'_>, name: &Name) -> Result<AccountLine, SpoolError> {
    let Name { chain, asset } = name;
    let row = tx.account(*chain, asset)?.unwrap_or_default();
    let waiting = tx.waiting(*chain, asset, REQUEST_MESSAGES_MAX)?.len();
    let request = |direction| {
        let row = tx.reserve_request(direction, *chain, asset)?;
        Ok::<_, SpoolError>(row.filter(|row| !row.request.document.is_withdrawal()))
    };
    let Account { terms, limits, figures, .. } = &row.account;
    let strained_at = gateway.correspondents.account(*chain, asset).strained_at;
    let state = if row.suspension.is_some() {
        AccountState::Suspended
    } else if terms.is_some() {
        open_state(&row.account, waiting, strained_at)
    } else {
        unopened_state(&tx.terms(*chain, asset)?)
    };
    Ok(AccountLine {
        chain: chain.to_string(),
        asset: asset.to_string(),
        state,
        terms: terms.map(|terms| terms.to_string()),
        credit_limit: limits.credit_limit.to_string(),
        window_max: limits.window.map(|window| window.max.to_string()),
        window_seconds: limits.window.map(|window| window.seconds),
        reserve: figures.reserve.to_string(),
        received: figures.received.to_string(),
        sent: figures.sent.to_string(),
        pending_in: figures.pending_in.to_string(),
        pending_out: figures.pending_out.to_string(),
        room: row.account.room().to_string(),
        used_percent: row.account.used_percent(),
        waiting,
        request_sent: request(Direction::Outbound)?.map(|row| request_view(&row, true)),
        request_received: request(Direction::Inbound)?.map(|row| request_view(&row, false)),
    })
}

fn open_state(account: &Account, waiting: usize, strained_at: u8) -> AccountState {
    match (waiting, account.used_percent() >= strained_at) {
        (0, false) => AccountState::Open,
        (0, true) => AccountState::Strained,
        (_, _) => AccountState::Exhausted,
    }
}

/// How an account stands that the chain has not opened.
pub(super) fn unopened_state(terms: &TermsRow) -> AccountState {
    let hashes = (
        terms.ours.as_ref().map(|ours| ours.terms.hash()),
        terms.theirs.as_ref().map(|theirs| theirs.signed.document.hash()),
    );
    match hashes {
        (Some(ours), Some(theirs)) if ours == theirs => AccountState::Agreed,
        (Some(_), _) => AccountState::Awaiting,
        (None, Some(_)) => AccountState::Proposed,
        (None, None) => AccountState::Closed,
    }
}

fn settings(policy: &AccountPolicy) -> SettingsView {
    let text = |amount: Option<distpos_proto::amount::Amount>| amount.map(|a| a.to_string());
    SettingsView {
        message_value_max: text(policy.message_value_max),
        attested_value_max: text(policy.attested_value_max),
        strained_at: policy.strained_at,
        settle_threshold: text(policy.settle_threshold),
        settle_to: policy.settle_to.clone(),
        mismatch_max: policy.mismatch_max.to_string(),
    }
}

pub(super) fn terms_view(terms: &Terms, at: UnixMillis, sending: Option<SendingView>) -> TermsView {
    let sides = terms.sides().iter().map(|side| SideView {
        chain: side.chain.to_string(),
        genesis: side.tag.to_string(),
        backing: side.backing.to_string(),
    });
    TermsView {
        hash: terms.hash().to_string(),
        decimals: terms.decimals(),
        sides: sides.collect(),
        at_ms: at.0,
        sending,
    }
}

fn sending_view(sending: &Sending) -> SendingView {
    SendingView {
        taken_ms: sending.taken.map(|at| at.0),
        attempts: sending.attempts,
        reply: sending.reply.as_ref().map(ToString::to_string),
    }
}

fn request_view(row: &RequestRow, was_sent: bool) -> RequestView {
    let request = &row.request.document;
    RequestView {
        wanted: request.wanted.to_string(),
        by: request.by.0,
        reason: request.reason.clone(),
        at_ms: row.at.0,
        sending: was_sent.then(|| sending_view(&row.sending)),
    }
}

fn statement_view(row: &StatementRow, was_sent: bool) -> StatementView {
    let statement = &row.statement.document;
    StatementView {
        height: statement.height.0,
        count: statement.count,
        received: statement.received.to_string(),
        reserve: statement.reserve.to_string(),
        at_ms: row.at.0,
        comparison: row.comparison.map(compared),
        sending: was_sent.then(|| sending_view(&row.sending)),
    }
}

fn compared(comparison: Comparison) -> String {
    match comparison {
        Comparison::Matches => "matches".into(),
        Comparison::Awaits { count, amount } => {
            format!("awaits receipts of {count} messages, {amount}")
        }
        Comparison::Differs { theirs, ours } => {
            let books = |closed: Closed| format!("{} in {} messages", closed.sum, closed.count);
            format!("differs: {} there, {} here", books(theirs), books(ours))
        }
    }
}

fn entry_view(number: u64, entry: Entry) -> EntryView {
    let amount = match &entry.act {
        Act::Step(step) => step.amount(),
        Act::Suspend | Act::Resume => None,
    };
    EntryView {
        number,
        at_ms: entry.at.0,
        act: entry.act.word().into(),
        amount: amount.map(|amount| amount.to_string()),
        message: entry.id.map(|id| id.to_string()),
        height: entry.height.map(|height| height.0),
        by: entry.by,
        why: entry.why,
    }
}
