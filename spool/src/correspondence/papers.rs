//! Statements and requests for reserve: of each account the newest that was sent, and the newest
//! that came.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::ChainId,
    message::Asset,
    statement::{Closed, Comparison, SignedReserveRequest, SignedStatement},
    time::UnixMillis,
};

use super::{
    Sending, paper_key, read_paper_key, read_sending, read_signed, read_time, write_sending,
    write_signed, write_time,
};
use crate::{
    accounts::read_amount,
    error::SpoolError,
    queue::Direction,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// A statement that was made here ([`Direction::Outbound`]) or came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRow {
    /// The statement, as it was signed first or as it came.
    pub statement: SignedStatement,
    /// When it was made or came.
    pub at: UnixMillis,
    /// Of one that came: how it compares with the own books, when that was looked at last.
    pub comparison: Option<Comparison>,
    /// Of one that came: what is carried from one to the next while the books do not match.
    pub unmatched: Option<Unmatched>,
    /// Of one that was made here: how far it is on its way.
    pub sending: Sending,
}

/// What is known of an account whose newest statements did not match; it ends with the next match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmatched {
    /// Since when none matched.
    pub since: UnixMillis,
    /// Since when each differed, otherwise than was told.
    pub differs_since: Option<UnixMillis>,
    /// The difference that was told last.
    pub told: Option<Comparison>,
}

/// A request for reserve that was made here ([`Direction::Outbound`]) or came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The request, as it was signed first or as it came.
    pub request: SignedReserveRequest,
    /// When it was made or came.
    pub at: UnixMillis,
    /// Of one that was made here: how far it is on its way.
    pub sending: Sending,
}

impl Tx<'_> {
    /// The newest statement of an account that was made here or came; none if there is none.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn statement(
        &self,
        direction: Direction,
        chain: ChainId,
        asset: &Asset,
    ) -> Result<Option<StatementRow>, SpoolError> {
        let bytes = self.get(Table::Statements, &paper_key(direction, chain, asset))?;
        bytes.map(|bytes| read_statement(&bytes)).transpose()
    }

    /// Forgets the newest statement of an account.
    pub fn forget_statement(&mut self, direction: Direction, chain: ChainId, asset: &Asset) {
        self.unset(Table::Statements, &paper_key(direction, chain, asset));
    }

    /// Puts the newest statement of an account, in place of the one before.
    pub fn put_statement(
        &mut self,
        direction: Direction,
        chain: ChainId,
        asset: &Asset,
        statement: &StatementRow,
    ) {
        let value = row::write(5, |out| {
            write_signed(&statement.statement, out);
            out.uint(statement.at.0);
            row::write_option(statement.comparison, out, write_comparison);
            row::write_option(statement.unmatched, out, write_unmatched);
            write_sending(&statement.sending, out);
        });
        self.set(Table::Statements, &paper_key(direction, chain, asset), value);
    }

    /// The newest statements of every account: first those made here, then those that came, each by
    /// chain and asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn statements(&self) -> Result<Vec<(Direction, ChainId, Asset, StatementRow)>, SpoolError> {
        let rows = self.rows(Table::Statements, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (direction, chain, asset) = read_paper_key(Table::Statements, key)?;
                Ok((direction, chain, asset, read_statement(value)?))
            })
            .collect()
    }

    /// The newest request for reserve of an account that was made here or came; none if there is
    /// none.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn reserve_request(
        &self,
        direction: Direction,
        chain: ChainId,
        asset: &Asset,
    ) -> Result<Option<RequestRow>, SpoolError> {
        let bytes = self.get(Table::Requests, &paper_key(direction, chain, asset))?;
        bytes.map(|bytes| read_request(&bytes)).transpose()
    }

    /// Puts the newest request for reserve of an account, in place of the one before.
    pub fn put_reserve_request(
        &mut self,
        direction: Direction,
        chain: ChainId,
        asset: &Asset,
        request: &RequestRow,
    ) {
        let value = row::write(3, |out| {
            write_signed(&request.request, out);
            out.uint(request.at.0);
            write_sending(&request.sending, out);
        });
        self.set(Table::Requests, &paper_key(direction, chain, asset), value);
    }

    /// Forgets a request for reserve: what it asked for is there, or no longer wanted.
    pub fn remove_reserve_request(&mut self, direction: Direction, chain: ChainId, asset: &Asset) {
        self.unset(Table::Requests, &paper_key(direction, chain, asset));
    }

    /// The newest requests for reserve of every account: first those made here, then those that
    /// came, each by chain and asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn reserve_requests(
        &self,
    ) -> Result<Vec<(Direction, ChainId, Asset, RequestRow)>, SpoolError> {
        let rows = self.rows(Table::Requests, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (direction, chain, asset) = read_paper_key(Table::Requests, key)?;
                Ok((direction, chain, asset, read_request(value)?))
            })
            .collect()
    }
}

fn read_statement(bytes: &[u8]) -> Result<StatementRow, SpoolError> {
    row::read(Table::Statements, bytes, 5, |input| {
        Ok(StatementRow {
            statement: read_signed(input)?,
            at: UnixMillis(input.uint("statement at")?),
            comparison: row::read_option(input, "comparison", read_comparison)?,
            unmatched: row::read_option(input, "unmatched", read_unmatched)?,
            sending: read_sending(input)?,
        })
    })
}

fn read_request(bytes: &[u8]) -> Result<RequestRow, SpoolError> {
    row::read(Table::Requests, bytes, 3, |input| {
        Ok(RequestRow {
            request: read_signed(input)?,
            at: UnixMillis(input.uint("request at")?),
            sending: read_sending(input)?,
        })
    })
}

fn write_unmatched(unmatched: Unmatched, out: &mut Writer) {
    out.array(3).uint(unmatched.since.0);
    write_time(unmatched.differs_since, out);
    row::write_option(unmatched.told, out, write_comparison);
}

fn read_unmatched(input: &mut Reader<'_>) -> Result<Unmatched, CborError> {
    if input.array("unmatched", 3)? != 3 {
        return Err(CborError { field: "unmatched", expected: "since, differs since, told" });
    }
    Ok(Unmatched {
        since: UnixMillis(input.uint("unmatched since")?),
        differs_since: read_time(input, "differs since")?,
        told: row::read_option(input, "told difference", read_comparison)?,
    })
}

/// Writes `[0]`, `[1, count, amount]` or `[2, theirs, ours]`.
fn write_comparison(comparison: Comparison, out: &mut Writer) {
    match comparison {
        Comparison::Matches => _ = out.array(1).uint(0),
        Comparison::Awaits { count, amount } => {
            out.array(3).uint(1);
            write_closed(Closed { count, sum: amount }, out);
        }
        Comparison::Differs { theirs, ours } => {
            out.array(5).uint(2);
            write_closed(theirs, out);
            write_closed(ours, out);
        }
    }
}

fn read_comparison(input: &mut Reader<'_>) -> Result<Comparison, CborError> {
    let length = input.array("comparison", 5)?;
    match (input.uint("comparison")?, length) {
        (0, 1) => Ok(Comparison::Matches),
        (1, 3) => {
            let Closed { count, sum: amount } = read_closed(input)?;
            Ok(Comparison::Awaits { count, amount })
        }
        (2, 5) => {
            Ok(Comparison::Differs { theirs: read_closed(input)?, ours: read_closed(input)? })
        }
        _ => Err(CborError { field: "comparison", expected: "matches, awaits or differs" }),
    }
}

/// Writes a count and a sum.
pub(super) fn write_closed(closed: Closed, out: &mut Writer) {
    out.uint(closed.count).bytes(&closed.sum.to_minimal_bytes());
}

/// Reads a count and a sum.
pub(super) fn read_closed(input: &mut Reader<'_>) -> Result<Closed, CborError> {
    Ok(Closed { count: input.uint("count")?, sum: read_amount(input)? })
}
