//! How values are written: CBOR arrays that start with the version of their row.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::ChainId,
    code::Reply,
    time::UnixMillis,
};

use crate::{error::SpoolError, queue::State, store::Table};

/// The version that every row is written in; a later one may add others for single tables.
const VERSION: u64 = 1;

/// A row of `fields` values.
pub(crate) fn write(fields: usize, values: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    out.array(fields + 1).uint(VERSION);
    values(&mut out);
    out.finish()
}

/// Reads a row of `fields` values, of this table.
pub(crate) fn read<T>(
    table: Table,
    bytes: &[u8],
    fields: usize,
    values: impl FnOnce(&mut Reader<'_>) -> Result<T, CborError>,
) -> Result<T, SpoolError> {
    read_values(bytes, fields, values).map_err(|error| corrupt(table, error.to_string()))
}

fn read_values<T>(
    bytes: &[u8],
    fields: usize,
    values: impl FnOnce(&mut Reader<'_>) -> Result<T, CborError>,
) -> Result<T, CborError> {
    let mut input = Reader::new(bytes);
    if input.array("row", fields + 1)? != fields + 1 {
        return Err(CborError { field: "row", expected: "its number of fields" });
    }
    if input.uint("row version")? != VERSION {
        return Err(CborError { field: "row version", expected: "1" });
    }
    let value = values(&mut input)?;
    input.end("row")?;
    Ok(value)
}

/// The error for a table that holds what was never written.
pub(crate) fn corrupt(table: Table, what: impl Into<String>) -> SpoolError {
    SpoolError::Corrupt { table: table.name(), what: what.into() }
}

/// A chain in a key or a row: 16 bytes, so that keys of one chain lie together.
pub(crate) fn chain_key(chain: ChainId) -> [u8; 16] {
    chain.number().to_be_bytes()
}

/// Reads what [`chain_key`] wrote.
pub(crate) fn chain_of(bytes: [u8; 16]) -> Result<ChainId, CborError> {
    ChainId::from_number(u128::from_be_bytes(bytes))
        .ok_or(CborError { field: "chain", expected: "a chain-id other than zero" })
}

pub(crate) fn read_chain(input: &mut Reader<'_>) -> Result<ChainId, CborError> {
    chain_of(input.fixed("chain")?)
}

/// The big-endian number at `at` in a key of this table.
pub(crate) fn number_at(table: Table, key: &[u8], at: usize) -> Result<u64, SpoolError> {
    let bytes = key.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| corrupt(table, "a key is too short"))
}

/// A value that may be missing: an array of none or one.
pub(crate) fn write_option<T>(
    value: Option<T>,
    out: &mut Writer,
    write: impl FnOnce(T, &mut Writer),
) {
    match value {
        None => {
            out.array(0);
        }
        Some(value) => {
            out.array(1);
            write(value, out);
        }
    }
}

/// Reads what [`write_option`] wrote.
pub(crate) fn read_option<T>(
    input: &mut Reader<'_>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, CborError>,
) -> Result<Option<T>, CborError> {
    match input.array(field, 1)? {
        0 => Ok(None),
        _ => read(input).map(Some),
    }
}

pub(crate) fn write_reply(reply: &Reply, out: &mut Writer) {
    out.array(3).text(&reply.code.to_string()).text(reply.text());
    write_option(reply.retry_after, out, |seconds, out| {
        out.uint(seconds.into());
    });
}

pub(crate) fn read_reply(input: &mut Reader<'_>) -> Result<Reply, CborError> {
    let field = "reply";
    if input.array(field, 3)? != 3 {
        return Err(CborError { field, expected: "code, text, retry_after" });
    }
    let code = input.text("reply code", 11)?.parse();
    let code = code.map_err(|_| CborError { field: "reply code", expected: "a reply code" })?;
    let reply = Reply::new(code, input.text("reply text", Reply::TEXT_MAX)?);
    let retry_after = read_option(input, "retry_after", |input| input.uint32("retry_after"))?;
    Ok(match retry_after {
        Some(seconds) => reply.retry_after(seconds),
        None => reply,
    })
}

pub(crate) fn write_state(state: State, out: &mut Writer) {
    out.uint(state.number().into());
}

pub(crate) fn read_state(input: &mut Reader<'_>) -> Result<State, CborError> {
    let wrong = CborError { field: "state", expected: "the number of a state" };
    let number = u8::try_from(input.uint("state")?).map_err(|_| wrong.clone())?;
    State::from_number(number).ok_or(wrong)
}

/// Where a message has been, and since when.
pub(crate) fn write_history(history: &[(State, UnixMillis)], out: &mut Writer) {
    out.array(history.len() * 2);
    for (state, since) in history {
        write_state(*state, out);
        out.uint(since.0);
    }
}

/// Reads what [`write_history`] wrote.
pub(crate) fn read_history(input: &mut Reader<'_>) -> Result<Vec<(State, UnixMillis)>, CborError> {
    // An end's history may be longer than a batch's; the row's length bounds it.
    let length = input.array("history", 1024)?;
    (0..length / 2)
        .map(|_| Ok((read_state(input)?, UnixMillis(input.uint("history since")?))))
        .collect()
}
