//! How far chains and their gateways have earned trust here, and why: the score, and a journal of
//! what moved it.

use std::collections::BTreeMap;

use distpos_proto::{
    cbor::{CborError, Reader},
    chain::ChainId,
    standing::{Happening, Standing, Subject},
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Most journal entries kept of one subject, the newest: an event of a kind counts once an hour, so
/// these are more than a month of constant trouble, in some 100 kB.
pub const STANDING_ENTRIES_MAX: u64 = 1_000;

/// Most gateways whose standing is kept of one chain: records name a handful at a time, and whoever
/// publishes ever new names must not fill the disk.
pub const STANDING_GATEWAYS_MAX: usize = 64;

/// Longest cause in a journal, in bytes; longer ones are cut.
const CAUSE_BYTES_MAX: usize = 200;

/// What is kept of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// The score, as it was after the newest entry.
    pub standing: Standing,
    /// Since when it gives no answer; none if it does.
    pub silent_since: Option<UnixMillis>,
    /// When each event last counted.
    pub counted: BTreeMap<Happening, UnixMillis>,
    /// How many entries its journal has had.
    pub entries: u64,
}

/// One change of a standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingEntry {
    /// Its number among the subject's, from 1.
    pub number: u64,
    /// What happened.
    pub happening: Happening,
    /// The particulars, for people.
    pub cause: String,
    /// The score just before, decay counted in.
    pub before: Standing,
    /// The score after.
    pub after: Standing,
    /// When.
    pub at: UnixMillis,
}

impl Tx<'_> {
    /// What a subject's standing is now; that of a newcomer if nothing is known of it.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn standing(&self, subject: &Subject, now: UnixMillis) -> Result<Standing, SpoolError> {
        let row = self.standing_row(subject)?;
        Ok(row.map_or(Standing::new(now), |row| row.standing.at(now)))
    }

    /// What is kept of a subject; none if nothing ever happened.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn standing_row(&self, subject: &Subject) -> Result<Option<StandingRow>, SpoolError> {
        let bytes = self.get(Table::Standing, &key(subject))?;
        bytes.map(|bytes| read_row(&bytes)).transpose()
    }

    /// Everybody of whom something is kept: by chain, the chain itself before its gateways.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn standings(&self) -> Result<Vec<(Subject, StandingRow)>, SpoolError> {
        self.standing_rows(&Span::all())
    }

    /// Moves a subject's standing for an event and journals it. Gives the entry; none, and nothing
    /// changed, if the event does not concern such a subject or has counted within its interval
    /// ([`Happening::interval`]).
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn note_standing(
        &mut self,
        subject: &Subject,
        happening: Happening,
        cause: &str,
        now: UnixMillis,
    ) -> Result<Option<StandingEntry>, SpoolError> {
        if happening.weight(subject.kind()) == 0 {
            return Ok(None);
        }
        let mut row = match self.standing_row(subject)? {
            Some(row) => row,
            None => {
                self.make_room(subject, now)?;
                let (standing, counted) = (Standing::new(now), BTreeMap::new());
                StandingRow { standing, silent_since: None, counted, entries: 0 }
            }
        };
        let last = row.counted.get(&happening);
        if last.is_some_and(|last| now.since(*last) < happening.interval()) {
            return Ok(None);
        }
        let before = row.standing.at(now);
        let after = before.after(happening, subject.kind(), now);
        row.counted.insert(happening, now);
        row.standing = after;
        row.entries = row.entries.saturating_add(1);
        let (number, at) = (row.entries, now);
        let entry = StandingEntry { number, happening, cause: tidied(cause), before, after, at };
        self.set(Table::StandingEntries, &entry_key(subject, number), write_entry(&entry));
        if let Some(old) = number.checked_sub(STANDING_ENTRIES_MAX) {
            self.unset(Table::StandingEntries, &entry_key(subject, old));
        }
        self.put_standing(subject, &row);
        Ok(Some(entry))
    }

    /// Notes that a subject gave no answer. Only the begin of an outage counts
    /// ([`Happening::Timeout`]); its entry is given then.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn note_silent(
        &mut self,
        subject: &Subject,
        cause: &str,
        now: UnixMillis,
    ) -> Result<Option<StandingEntry>, SpoolError> {
        let row = self.standing_row(subject)?;
        if row.as_ref().is_some_and(|row| row.silent_since.is_some()) {
            return Ok(None);
        }
        let entry = self.note_standing(subject, Happening::Timeout, cause, now)?;
        if let Some(mut row) = self.standing_row(subject)? {
            row.silent_since = Some(now);
            self.put_standing(subject, &row);
        }
        Ok(entry)
    }

    /// Notes that a subject answers: its outage is over.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn note_answered(&mut self, subject: &Subject) -> Result<(), SpoolError> {
        if let Some(mut row) = self.standing_row(subject)?
            && row.silent_since.take().is_some()
        {
            self.put_standing(subject, &row);
        }
        Ok(())
    }

    /// The newest entries of a subject's journal, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn standing_entries(
        &self,
        subject: &Subject,
        limit: usize,
    ) -> Result<Vec<StandingEntry>, SpoolError> {
        let span = Span::prefix(&key(subject));
        let rows = self.rows(Table::StandingEntries, &span, Order::Descending, limit)?;
        rows.iter()
            .map(|(entry, value)| {
                let number = row::number_at(Table::StandingEntries, entry, key(subject).len())?;
                read_entry(number, value)
            })
            .collect()
    }

    /// Forgets the gateway nearest to a newcomer's score, if a chain has too many.
    fn make_room(&mut self, subject: &Subject, now: UnixMillis) -> Result<(), SpoolError> {
        if subject.gateway_name().is_none() {
            return Ok(());
        }
        let rows = self.standing_rows(&Span::prefix(&row::chain_key(subject.of_chain())))?;
        let gateways: Vec<_> =
            rows.iter().filter(|(held, _)| held.gateway_name().is_some()).collect();
        if gateways.len() < STANDING_GATEWAYS_MAX {
            return Ok(());
        }
        let middle = Standing::new(now).thousandths();
        let distance = |row: &StandingRow| row.standing.at(now).thousandths().abs_diff(middle);
        if let Some((held, _)) = gateways.iter().min_by_key(|(_, row)| distance(row)) {
            self.forget_standing(held)?;
        }
        Ok(())
    }

    fn forget_standing(&mut self, subject: &Subject) -> Result<(), SpoolError> {
        let span = Span::prefix(&key(subject));
        for (entry, _) in self.rows(Table::StandingEntries, &span, Order::Ascending, usize::MAX)? {
            self.unset(Table::StandingEntries, &entry);
        }
        self.unset(Table::Standing, &key(subject));
        Ok(())
    }

    fn standing_rows(&self, span: &Span) -> Result<Vec<(Subject, StandingRow)>, SpoolError> {
        let rows = self.rows(Table::Standing, span, Order::Ascending, usize::MAX)?;
        rows.iter().map(|(key, value)| Ok((read_key(key)?, read_row(value)?))).collect()
    }

    fn put_standing(&mut self, subject: &Subject, row: &StandingRow) {
        let value = row::write(5, |out| {
            out.uint(row.standing.thousandths().into()).uint(row.standing.hour());
            row::write_option(row.silent_since, out, |since, out| {
                out.uint(since.0);
            });
            out.array(row.counted.len() * 2);
            for (happening, at) in &row.counted {
                out.uint(happening.number().into()).uint(at.0);
            }
            out.uint(row.entries);
        });
        self.set(Table::Standing, &key(subject), value);
    }
}

/// A cause may quote what a peer's connection said: one line, and not too long.
fn tidied(cause: &str) -> String {
    let cut = &cause[..cause.floor_char_boundary(CAUSE_BYTES_MAX)];
    cut.replace(char::is_control, " ")
}

/// Chain, name, and a zero byte, which no name has: a chain's own key comes before those of its
/// gateways, and none begins another.
fn key(subject: &Subject) -> Vec<u8> {
    let name = subject.gateway_name().unwrap_or_default().as_bytes();
    [&row::chain_key(subject.of_chain()), name, &[0]].concat()
}

fn entry_key(subject: &Subject, number: u64) -> Vec<u8> {
    [key(subject).as_slice(), &number.to_be_bytes()].concat()
}

fn read_key(key: &[u8]) -> Result<Subject, SpoolError> {
    let parts = || {
        let (chain, name) = key.split_at_checked(16)?;
        let chain: ChainId = row::chain_of(chain.try_into().ok()?).ok()?;
        let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
        if name.is_empty() {
            return Some(Subject::chain(chain));
        }
        Subject::gateway(chain, name).ok()
    };
    parts().ok_or_else(|| row::corrupt(Table::Standing, "a key is no chain and gateway"))
}

fn read_row(bytes: &[u8]) -> Result<StandingRow, SpoolError> {
    row::read(Table::Standing, bytes, 5, |input| {
        let standing = read_standing(input)?;
        let silent_since = row::read_option(input, "silent since", |input| {
            Ok(UnixMillis(input.uint("silent since")?))
        })?;
        let pairs = input.array("counted", Happening::ALL.len() * 2)? / 2;
        let counted = (0..pairs)
            .map(|_| Ok((read_happening(input)?, UnixMillis(input.uint("counted at")?))))
            .collect::<Result<_, CborError>>()?;
        Ok(StandingRow { standing, silent_since, counted, entries: input.uint("entries")? })
    })
}

fn write_entry(entry: &StandingEntry) -> Vec<u8> {
    row::write(7, |out| {
        out.uint(entry.happening.number().into()).text(&entry.cause);
        for standing in [entry.before, entry.after] {
            out.uint(standing.thousandths().into()).uint(standing.hour());
        }
        out.uint(entry.at.0);
    })
}

fn read_entry(number: u64, bytes: &[u8]) -> Result<StandingEntry, SpoolError> {
    row::read(Table::StandingEntries, bytes, 7, |input| {
        Ok(StandingEntry {
            number,
            happening: read_happening(input)?,
            cause: input.text("cause", CAUSE_BYTES_MAX)?.to_owned(),
            before: read_standing(input)?,
            after: read_standing(input)?,
            at: UnixMillis(input.uint("at")?),
        })
    })
}

fn read_standing(input: &mut Reader<'_>) -> Result<Standing, CborError> {
    let (thousandths, hour) = (input.uint32("standing")?, input.uint("standing hour")?);
    let wrong = CborError { field: "standing", expected: "at most 100,000" };
    Standing::from_parts(thousandths, hour).ok_or(wrong)
}

fn read_happening(input: &mut Reader<'_>) -> Result<Happening, CborError> {
    let number = u8::try_from(input.uint("happening")?).ok();
    let wrong = CborError { field: "happening", expected: "the number of an event" };
    number.and_then(Happening::from_number).ok_or(wrong)
}
