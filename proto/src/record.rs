//! The DNS TXT records: parse and print (`docs/dns.md`).
//!
//! A look-up answers with a set of texts. [`gateways`], [`key`] and [`policy`] read such a set for
//! the chain that was asked: they pass over what is not of their kind, hold the counts, and refuse
//! the whole set when one record of it is malformed. A refused set is always a temporary failure,
//! never "no such chain" and never "no policy".

mod gateway;
mod key;
mod name;
mod policy;
mod tags;

use thiserror::Error;

use crate::chain::ChainId;

pub use gateway::{GatewayRecord, PORT_DEFAULT, PortRule, Target};
pub use key::{ENDORSEMENTS_MAX, KeyRecord};
pub use name::{Anchor, HostName, NameError, Selector};
pub use policy::{Mode, ModeError, PolicyRecord};

/// Most gateway records of one chain: six with one pin each fit a signed answer of 1,232 bytes.
pub const GATEWAYS_MAX: usize = 6;

/// Longest record that is read, its strings joined, in bytes.
pub const RECORD_BYTES_MAX: usize = 1_024;

/// Most bytes of texts under one name, other people's included: twice what six gateway records of
/// the longest kind have, and some. A larger answer is read by nobody.
pub const ANSWER_BYTES_MAX: usize = 16_384;

/// Longest record that should be published, in bytes: one TXT string.
pub const RECORD_BYTES_PUBLISHED: usize = 255;

/// Why a record, or a set of them, is malformed. The publisher is to blame; a corrected record
/// heals it, so whoever meets one tries again later.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Too much under one name.
    #[error("the name has {found} bytes of texts, expected at most {ANSWER_BYTES_MAX}")]
    Answer {
        /// How many, in bytes.
        found: usize,
    },
    /// Too long.
    #[error("record has {found} bytes, expected at most {RECORD_BYTES_MAX}")]
    Length {
        /// Its length, in bytes.
        found: usize,
    },
    /// Another kind of record, or another version.
    #[error("record starts with {found:?}, expected {expected:?}")]
    Version {
        /// What stands before the first semicolon.
        found: String,
        /// The version that was to stand there.
        expected: &'static str,
    },
    /// A piece between semicolons that is no `name=value`.
    #[error(
        "found {found:?} between semicolons, expected name=value with a name of 1 to 16 lower-case \
         letters and digits"
    )]
    Tag {
        /// The piece.
        found: String,
    },
    /// A character that no value may hold.
    #[error("tag {tag} has the character {found:?}, expected letters, digits and -._:,/+@")]
    Character {
        /// The tag's name.
        tag: String,
        /// The character.
        found: char,
    },
    /// The same tag twice, so that two readers might choose differently.
    #[error("tag {tag} stands there twice, expected once")]
    Duplicate {
        /// The tag's name.
        tag: String,
    },
    /// A tag that has to be there is not.
    #[error("tag {tag} is missing, expected {expected}")]
    Missing {
        /// The tag's name.
        tag: &'static str,
        /// What it was to hold.
        expected: &'static str,
    },
    /// A value that its tag cannot have.
    #[error("tag {tag} is {found:?}, expected {expected}")]
    Value {
        /// The tag's name.
        tag: &'static str,
        /// Its value.
        found: String,
        /// What it was to hold.
        expected: &'static str,
    },
    /// The record speaks of another chain: a wildcard, a CNAME into another chain's zone, or a
    /// paste error.
    #[error("tag c is {found}, expected {expected}, the chain that was asked")]
    Chain {
        /// The chain it speaks of.
        found: ChainId,
        /// The chain that was asked.
        expected: ChainId,
    },
    /// Too many or too few records of one kind under one name.
    #[error("found {found} records that start with {version}, expected {expected}")]
    Count {
        /// Which kind.
        version: &'static str,
        /// How many there are.
        found: usize,
        /// How many were to be there.
        expected: &'static str,
    },
    /// "Accepts nothing" beside a gateway (RFC 7505, section 3: a null record stands alone).
    #[error("found a null record (h=.) among {found} gateway records, expected it alone")]
    NullAmongOthers {
        /// How many records there are.
        found: usize,
    },
}

/// Reads the gateway records in the answer of `_distpos.<cid>.<root>`: 1 to 6, or one null record.
///
/// # Errors
/// [`RecordError`] if one is malformed, speaks of another chain than `asked`, breaks `ports`, or
/// the count is wrong.
pub fn gateways<T: AsRef<[u8]>>(
    texts: &[T],
    asked: ChainId,
    ports: PortRule,
) -> Result<Vec<GatewayRecord>, RecordError> {
    let version = GatewayRecord::VERSION;
    let texts = of_version(texts, version)?;
    let found = texts.len();
    if found == 0 || found > GATEWAYS_MAX {
        return Err(RecordError::Count { version, found, expected: "1 to 6" });
    }
    let mut records = Vec::with_capacity(found);
    for text in texts {
        let record = GatewayRecord::parse(text)?;
        same_chain(record.chain, asked)?;
        ports.check(&record.target)?;
        records.push(record);
    }
    if found > 1 && records.iter().any(|record| record.target == Target::Null) {
        return Err(RecordError::NullAmongOthers { found });
    }
    Ok(records)
}

/// Reads the one key record in the answer of `<selector>._key._distpos.<cid>.<root>`.
///
/// # Errors
/// [`RecordError`] if it is malformed, speaks of another chain than `asked`, or is not alone.
pub fn key<T: AsRef<[u8]>>(texts: &[T], asked: ChainId) -> Result<KeyRecord, RecordError> {
    let version = KeyRecord::VERSION;
    let texts = of_version(texts, version)?;
    let [text] = texts.as_slice() else {
        return Err(RecordError::Count { version, found: texts.len(), expected: "exactly 1" });
    };
    let record = KeyRecord::parse(text)?;
    same_chain(record.chain, asked)?;
    Ok(record)
}

/// Reads the policy record in the answer of `_policy._distpos.<cid>.<root>`, if there is one.
///
/// # Errors
/// [`RecordError`] if it is malformed, speaks of another chain than `asked`, or is not alone.
pub fn policy<T: AsRef<[u8]>>(
    texts: &[T],
    asked: ChainId,
) -> Result<Option<PolicyRecord>, RecordError> {
    let version = PolicyRecord::VERSION;
    let texts = of_version(texts, version)?;
    let record = match texts.as_slice() {
        [] => return Ok(None),
        [text] => PolicyRecord::parse(text)?,
        several => {
            return Err(RecordError::Count { version, found: several.len(), expected: "0 or 1" });
        }
    };
    same_chain(record.chain, asked)?;
    Ok(Some(record))
}

/// Other texts may live under the same name (a wildcard's SPF record): they are passed over before
/// counting.
fn of_version<'a, T: AsRef<[u8]>>(
    texts: &'a [T],
    version: &str,
) -> Result<Vec<&'a [u8]>, RecordError> {
    let texts = texts.iter().map(AsRef::as_ref);
    let found = texts.clone().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
    if found > ANSWER_BYTES_MAX {
        return Err(RecordError::Answer { found });
    }
    Ok(texts.filter(|text| tags::version(text) == version.as_bytes()).collect())
}

fn same_chain(found: ChainId, expected: ChainId) -> Result<(), RecordError> {
    if found == expected { Ok(()) } else { Err(RecordError::Chain { found, expected }) }
}

#[cfg(test)]
mod tests;
