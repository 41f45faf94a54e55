//! Reading maps that may grow, and the small fields that several bodies share.

use super::{Head, error::within};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{BlockHash, ChainId, Family, Height},
    code::{Code, Reply},
    message::MessageId,
    time::UnixSeconds,
    wire::WireError,
};

/// Most pairs in a map: what this version knows, and ample room for what later ones add.
const PAIRS_MAX: usize = 64;
/// Longest reply code, `5.255.255`.
const CODE_BYTES_MAX: usize = 9;

/// The keys of a map as they come: ascending (so none comes twice), unknown ones left to skip.
pub(super) struct Keys {
    map: &'static str,
    left: usize,
    last: Option<u64>,
}

impl Keys {
    pub(super) fn of(input: &mut Reader<'_>, map: &'static str) -> Result<Self, WireError> {
        Ok(Self { map, left: input.map(map, PAIRS_MAX)?, last: None })
    }

    pub(super) fn next(&mut self, input: &mut Reader<'_>) -> Result<Option<u64>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let key = input.uint(self.map)?;
        if self.last.is_some_and(|last| key <= last) {
            let expected = "keys in ascending order, each once";
            return Err(CborError { field: self.map, expected }.into());
        }
        self.last = Some(key);
        Ok(Some(key))
    }
}

/// The value of a key that must be there.
pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, WireError> {
    value.ok_or_else(|| CborError { field, expected: "its key" }.into())
}

/// Reads an array of at most `max` items with `read`; the count is checked first.
pub(super) fn list<T>(
    input: &mut Reader<'_>,
    what: &'static str,
    max: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = within(what, input.array(what, usize::MAX)?, max)?;
    // `collect` into a `Result` reserves nothing ahead: memory follows the bytes that are there.
    (0..count).map(|_| read(input)).collect()
}

/// As [`list`], with at least one item.
pub(super) fn list_of_some<T>(
    input: &mut Reader<'_>,
    what: &'static str,
    max: usize,
    read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let items = list(input, what, max, read)?;
    if items.is_empty() {
        return Err(CborError { field: what, expected: "at least one" }.into());
    }
    Ok(items)
}

/// The head of an array of exactly `length` items.
pub(super) fn tuple(
    input: &mut Reader<'_>,
    field: &'static str,
    length: usize,
    expected: &'static str,
) -> Result<(), WireError> {
    if input.array(field, length)? == length {
        return Ok(());
    }
    Err(CborError { field, expected }.into())
}

/// A byte string, its length checked before it is copied.
pub(super) fn bytes(
    input: &mut Reader<'_>,
    what: &'static str,
    max: usize,
) -> Result<Vec<u8>, WireError> {
    let bytes = input.bytes(what, usize::MAX)?;
    within(what, bytes.len(), max)?;
    Ok(bytes.to_vec())
}

/// A chain-id in its one spelling.
pub(super) fn chain(input: &mut Reader<'_>, field: &'static str) -> Result<ChainId, WireError> {
    let text = input.text(field, ChainId::TEXT_MAX)?;
    let wrong = CborError { field, expected: "a chain-id in lower case" };
    Ok(text.parse().map_err(|_| wrong)?)
}

/// A message's id.
pub(super) fn id(input: &mut Reader<'_>) -> Result<MessageId, WireError> {
    Ok(MessageId(input.fixed("id")?))
}

/// A family's number on the wire.
pub(super) fn family_number(family: Family) -> u64 {
    match family {
        Family::Attested => 0,
        Family::Ledger => 1,
        Family::Evm => 2,
    }
}

/// The family of a number; none for one that this version does not know.
pub(super) fn family(number: u64) -> Option<Family> {
    [Family::Attested, Family::Ledger, Family::Evm]
        .into_iter()
        .find(|family| family_number(*family) == number)
}

/// Writes `{0: code, 1: text, ? 2: retry_after}`.
pub(super) fn write_reply(reply: &Reply, out: &mut Writer) {
    out.map(2 + usize::from(reply.retry_after.is_some()));
    out.uint(0).text(&reply.code.to_string());
    out.uint(1).text(reply.text());
    if let Some(seconds) = reply.retry_after {
        out.uint(2).uint(u64::from(seconds));
    }
}

/// Reads a reply.
pub(super) fn read_reply(input: &mut Reader<'_>) -> Result<Reply, WireError> {
    let mut keys = Keys::of(input, "reply")?;
    let (mut code, mut text, mut retry_after) = (None, None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => {
                let wrong = CborError { field: "reply code", expected: "a code such as 4.7.5" };
                let found = input.text("reply code", CODE_BYTES_MAX)?;
                code = Some(found.parse::<Code>().map_err(|_| wrong)?);
            }
            1 => text = Some(input.text("reply text", Reply::TEXT_MAX)?.to_owned()),
            2 => retry_after = Some(input.uint32("reply retry_after")?),
            _ => input.skip("reply")?,
        }
    }
    let mut reply = Reply::new(required(code, "reply code")?, required(text, "reply text")?);
    reply.retry_after = retry_after;
    Ok(reply)
}

/// Writes `{0: height, 1: block, 2: time}`.
pub(super) fn write_head(head: &Head, out: &mut Writer) {
    out.map(3);
    out.uint(0).uint(head.height.0);
    out.uint(1).bytes(&head.block.0);
    out.uint(2).uint(head.time.0);
}

/// Reads the newest final block.
pub(super) fn read_head(input: &mut Reader<'_>) -> Result<Head, WireError> {
    let mut keys = Keys::of(input, "head")?;
    let (mut height, mut block, mut time) = (None, None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => height = Some(Height(input.uint("head height")?)),
            1 => block = Some(BlockHash(input.fixed("head block")?)),
            2 => time = Some(UnixSeconds(input.uint("head time")?)),
            _ => input.skip("head")?,
        }
    }
    Ok(Head {
        height: required(height, "head height")?,
        block: required(block, "head block")?,
        time: required(time, "head time")?,
    })
}
