//! The grammar that the three kinds share: `v=…; name=value; name=value`.

use std::{fmt, str::FromStr};

use super::{RECORD_BYTES_MAX, RecordError};
use crate::chain::ChainId;

/// The tags of one record, in the order in which they stand there.
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

/// What stands before the first semicolon: the whole of `v=DPOS1`.
pub(super) fn version(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b';').next().unwrap_or_default()
}

impl<'a> Tags<'a> {
    /// Splits a record of that version into its tags. Tags that nobody here knows stay among them
    /// unread: later versions of the protocol may add some.
    pub(super) fn parse(text: &'a [u8], expected: &'static str) -> Result<Self, RecordError> {
        if text.len() > RECORD_BYTES_MAX {
            return Err(RecordError::Length { found: text.len() });
        }
        let mut pieces = text.split(|byte| *byte == b';').peekable();
        let first = pieces.next().unwrap_or_default();
        if first != expected.as_bytes() {
            return Err(RecordError::Version { found: shown(first), expected });
        }
        let mut tags = Self(Vec::new());
        while let Some(piece) = pieces.next() {
            if piece.is_empty() && pieces.peek().is_none() {
                break; // the one semicolon that may end a record
            }
            let (name, value) = tag(piece.strip_prefix(b" ").unwrap_or(piece))?;
            if name == "v" || tags.optional(name).is_some() {
                return Err(RecordError::Duplicate { tag: name.to_owned() });
            }
            tags.0.push((name, value));
        }
        Ok(tags)
    }

    /// The value of a tag, if it is there.
    pub(super) fn optional(&self, tag: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == tag).map(|(_, value)| *value)
    }

    /// The value of a tag that has to be there.
    pub(super) fn required(
        &self,
        tag: &'static str,
        expected: &'static str,
    ) -> Result<&'a str, RecordError> {
        self.optional(tag).ok_or(RecordError::Missing { tag, expected })
    }

    /// A tag that has to be there, read by its type's own rule.
    pub(super) fn read<T: FromStr>(
        &self,
        tag: &'static str,
        expected: &'static str,
    ) -> Result<T, RecordError> {
        let text = self.required(tag, expected)?;
        text.parse().map_err(|_| wrong(tag, text, expected))
    }

    /// A plain decimal number, or what it is when the tag is not there.
    pub(super) fn number<T: FromStr>(
        &self,
        tag: &'static str,
        default: T,
        expected: &'static str,
    ) -> Result<T, RecordError> {
        let Some(text) = self.optional(tag) else { return Ok(default) };
        // One number has one spelling: no sign, no leading zeros.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain).ok_or_else(|| wrong(tag, text, expected))
    }

    /// The chain of which the record speaks.
    pub(super) fn chain(&self) -> Result<ChainId, RecordError> {
        self.read("c", "a chain-id: lower-case hex without leading zeros")
    }
}

/// The error of a value that its tag cannot have.
pub(super) fn wrong(tag: &'static str, found: &str, expected: &'static str) -> RecordError {
    RecordError::Value { tag, found: shown(found.as_bytes()), expected }
}

/// Values that stand in one tag, separated by commas.
pub(super) struct List<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{value}")?;
        }
        Ok(())
    }
}

/// Whether a value may hold this byte.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:,/+@".contains(&byte)
}

fn tag(piece: &[u8]) -> Result<(&str, &str), RecordError> {
    let malformed = || RecordError::Tag { found: shown(piece) };
    let at = piece.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
    let name = str::from_utf8(&piece[..at]).map_err(|_| malformed())?;
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let lower = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    if !starts || !lower || name.len() > 16 {
        return Err(malformed());
    }
    let value = &piece[at + 1..];
    match value.iter().find(|byte| !is_value_byte(**byte)) {
        Some(byte) => {
            Err(RecordError::Character { tag: name.to_owned(), found: char::from(*byte) })
        }
        None => str::from_utf8(value).map(|value| (name, value)).map_err(|_| malformed()),
    }
}

/// The start of what a stranger wrote, for an error that people read.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
}
