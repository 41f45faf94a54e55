//! Papers of accounts and what they are held against: terms, statements, requests for reserve, and
//! closed messages by the height that their receipts name.
//!
//! A paper that is sent stays here with what came of sending it, so that it is sent again after a
//! crash; one that came is kept until a newer one replaces it.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::ChainId,
    code::Reply,
    message::Asset,
    signed::{Document, Signed},
    time::UnixMillis,
};

use crate::{
    accounts::{account_key, read_account_key},
    error::SpoolError,
    queue::Direction,
    row,
    store::Table,
};

mod papers;
mod settled;
mod terms;

pub use papers::{RequestRow, StatementRow, Unmatched};
pub use settled::{CHECKPOINT_ROWS_MAX, Tally};
pub use terms::{AgreedTerms, OwnTerms, TermsRow, TheirTerms};

/// How far a paper is on its way to the peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sending {
    /// When it is to be sent; none once it needs no more sending.
    pub due: Option<UnixMillis>,
    /// How often it was sent in vain.
    pub attempts: u32,
    /// When the peer took it.
    pub taken: Option<UnixMillis>,
    /// What the peer, or the connection to it, said last.
    pub reply: Option<Reply>,
}

impl Sending {
    /// A paper that is to be sent at this time.
    #[must_use]
    pub fn at(due: UnixMillis) -> Self {
        Self { due: Some(due), ..Self::default() }
    }
}

/// A signed document with the 32 signatures of two chains, and room to spare.
const SIGNED_BYTES_MAX: usize = 4096;

/// The key of an account's paper that goes this way.
fn paper_key(direction: Direction, chain: ChainId, asset: &Asset) -> Vec<u8> {
    let way = match direction {
        Direction::Outbound => 0,
        Direction::Inbound => 1,
    };
    [&[way], account_key(chain, asset).as_slice()].concat()
}

/// Reads what [`paper_key`] wrote.
fn read_paper_key(table: Table, key: &[u8]) -> Result<(Direction, ChainId, Asset), SpoolError> {
    let direction = match key.first() {
        Some(0) => Direction::Outbound,
        Some(1) => Direction::Inbound,
        _ => return Err(row::corrupt(table, "a key has no direction")),
    };
    let (chain, asset) = read_account_key(table, &key[1..])?;
    Ok((direction, chain, asset))
}

fn write_signed<D: Document>(signed: &Signed<D>, out: &mut Writer) {
    out.bytes(&signed.to_bytes());
}

fn read_signed<D: Document>(input: &mut Reader<'_>) -> Result<Signed<D>, CborError> {
    Signed::from_bytes(input.bytes(D::NAME, SIGNED_BYTES_MAX)?)
}

/// Reads what both sides signed.
fn read_agreed<D: Document>(input: &mut Reader<'_>) -> Result<Signed<D>, CborError> {
    Signed::agreed_from_bytes(input.bytes(D::NAME, SIGNED_BYTES_MAX)?)
}

fn write_sending(sending: &Sending, out: &mut Writer) {
    out.array(4);
    write_time(sending.due, out);
    out.uint(sending.attempts.into());
    write_time(sending.taken, out);
    row::write_option(sending.reply.as_ref(), out, row::write_reply);
}

fn read_sending(input: &mut Reader<'_>) -> Result<Sending, CborError> {
    if input.array("sending", 4)? != 4 {
        return Err(CborError { field: "sending", expected: "due, attempts, taken, reply" });
    }
    Ok(Sending {
        due: read_time(input, "sending due")?,
        attempts: input.uint32("sending attempts")?,
        taken: read_time(input, "sending taken")?,
        reply: row::read_option(input, "sending reply", row::read_reply)?,
    })
}

fn write_time(time: Option<UnixMillis>, out: &mut Writer) {
    row::write_option(time, out, |time, out| {
        out.uint(time.0);
    });
}

fn read_time(input: &mut Reader<'_>, field: &'static str) -> Result<Option<UnixMillis>, CborError> {
    row::read_option(input, field, |input| input.uint(field).map(UnixMillis))
}
