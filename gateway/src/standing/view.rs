//! Standings as commands show them. Scores are decimal texts, so that nobody reads them as floats.

use distpos_proto::{
    standing::{Happening, Standing, Subject},
    time::UnixMillis,
};
use distpos_spool::{SpoolError, StandingEntry, StandingRow, Tx};
use serde::{Deserialize, Serialize};

/// One chain or gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingView {
    /// `chain`, or `chain@host:port`.
    pub subject: String,
    /// The chain.
    pub chain: String,
    /// The gateway, `host:port`; null for a chain.
    pub gateway: Option<String>,
    /// The score now, 0 to 100, at most three decimals: `48.5`.
    pub standing: String,
    /// Since when it gives no answer, Unix milliseconds; null if it does.
    pub silent_since_ms: Option<u64>,
    /// How many changes its journal has had.
    pub entries: u64,
}

/// One chain or gateway, and why it stands as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingDetail {
    /// As in a list.
    #[serde(flatten)]
    pub now: StandingView,
    /// What moved it, the newest first.
    pub journal: Vec<EntryView>,
}

/// One change of a standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Its number, from 1.
    pub number: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// The event, as in `docs/credit.md`.
    pub event: String,
    /// The particulars.
    pub cause: String,
    /// The score just before.
    pub before: String,
    /// The score after.
    pub after: String,
}

/// Everybody of whom something is known: by chain, the chain itself before its gateways.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn list(tx: &Tx<'_>, now: UnixMillis) -> Result<Vec<StandingView>, SpoolError> {
    Ok(tx.standings()?.iter().map(|(subject, row)| view(subject, row, now)).collect())
}

/// One subject with at most `limit` entries of its journal; none if nothing is known of it: it has
/// a newcomer's standing.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn show(
    tx: &Tx<'_>,
    subject: &Subject,
    limit: usize,
    now: UnixMillis,
) -> Result<Option<StandingDetail>, SpoolError> {
    let Some(row) = tx.standing_row(subject)? else { return Ok(None) };
    let journal = tx.standing_entries(subject, limit)?.into_iter().map(entry).collect();
    Ok(Some(StandingDetail { now: view(subject, &row, now), journal }))
}

fn view(subject: &Subject, row: &StandingRow, now: UnixMillis) -> StandingView {
    StandingView {
        subject: subject.to_string(),
        chain: subject.of_chain().to_string(),
        gateway: subject.gateway_name().map(str::to_owned),
        standing: row.standing.at(now).to_string(),
        silent_since_ms: row.silent_since.map(|since| since.0),
        entries: row.entries,
    }
}

fn entry(entry: StandingEntry) -> EntryView {
    let score = |standing: Standing| standing.to_string();
    EntryView {
        number: entry.number,
        at_ms: entry.at.0,
        event: Happening::word(entry.happening).to_owned(),
        cause: entry.cause,
        before: score(entry.before),
        after: score(entry.after),
    }
}
