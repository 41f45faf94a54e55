//! A receipt, the outbox's log in it, and the message in the log.

use thiserror::Error;

use crate::{
    message::{Message, MessageError, MessageId},
    proof::rlp::{Item, RlpError},
};

/// Topic 0 of the outbox's only event, `Sent(bytes32 indexed id, bytes message)`: keccak-256 of
/// `Sent(bytes32,bytes)`.
pub const SENT_TOPIC: [u8; 32] = [
    0x77, 0xd0, 0x9f, 0x66, 0x8c, 0xdc, 0xa9, 0x67, 0x3f, 0xbc, 0x35, 0x7f, 0x2b, 0x62, 0xe5, 0xd2,
    0x24, 0x17, 0xa6, 0x8d, 0x96, 0xc6, 0xe2, 0xc5, 0xed, 0x9f, 0x43, 0x50, 0x28, 0xb5, 0xf6, 0xb1,
];

/// Most logs read of one receipt. The gas of today's largest blocks pays for fewer.
const LOGS_MAX: usize = 1 << 16;
/// Most topics of a log (Yellow Paper, 4.3.1).
const TOPICS_MAX: usize = 4;
/// EIP-2718 types whose receipts are known: access lists, fees, blobs, set code.
const TYPE_MAX: u8 = 4;
/// A word of the contract ABI, in bytes.
const WORD: usize = 32;

/// Why a receipt or log carries no message of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// A receipt of a type that this code does not know.
    #[error("receipt is of type {found:#04x}, expected a list or a type from 1 to 4")]
    Type {
        /// The first byte.
        found: u8,
    },
    /// Bytes that are no RLP of a receipt.
    #[error("receipt's {field}: {error}")]
    Rlp {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: RlpError,
    },
    /// The transaction was reverted, or the receipt is from before Byzantium and does not say.
    #[error("receipt's status is {found} in hex, expected 01")]
    Status {
        /// The status.
        found: String,
    },
    /// No such log.
    #[error("receipt has no log {found}, but {count} logs")]
    Index {
        /// The index.
        found: u32,
        /// How many logs there are.
        count: usize,
    },
    /// A log of another contract.
    #[error("log is of the contract {found}, expected the outbox {expected}")]
    Address {
        /// Who emitted it.
        found: String,
        /// The outbox.
        expected: String,
    },
    /// Another event.
    #[error("log is not the event Sent(bytes32 indexed id, bytes message)")]
    Event,
    /// The data is not the one ABI encoding of a byte string.
    #[error("log's data: expected {expected}")]
    Data {
        /// What was expected.
        expected: &'static str,
    },
    /// The bytes are no message.
    #[error("log's {0}")]
    Message(#[from] MessageError),
    /// The topic is another id than the message's.
    #[error("log's topic is the id {found}, expected {expected}")]
    Id {
        /// The topic.
        found: MessageId,
        /// The message's id.
        expected: MessageId,
    },
}

/// A successful receipt's logs, as they stand in the receipt trie.
#[derive(Debug, Clone)]
pub struct Receipt<'b> {
    logs: Vec<Item<'b>>,
}

impl<'b> Receipt<'b> {
    /// Reads a receipt: `[status, gas, bloom, logs]`, after a type byte or not (EIP-2718).
    ///
    /// # Errors
    /// [`LogError`] if it is none, or not of a successful transaction.
    pub fn read(bytes: &'b [u8]) -> Result<Self, LogError> {
        let list = match bytes.split_first() {
            Some((1..=TYPE_MAX, list)) => list,
            Some((0xc0.., _)) => bytes,
            first => return Err(LogError::Type { found: first.map_or(0, |(byte, _)| *byte) }),
        };
        let wrong = |field| move |error| LogError::Rlp { field, error };
        let list = Item::only(list).map_err(wrong("list"))?;
        let [status, _gas, _bloom, logs] = list.array().map_err(wrong("list"))?;
        let status = status.string().map_err(wrong("status"))?;
        if status != [1] {
            return Err(LogError::Status { found: hex(status) });
        }
        Ok(Self { logs: logs.items(0, LOGS_MAX).map_err(wrong("logs"))? })
    }

    /// The message that `outbox` sent with the log at `index`.
    ///
    /// # Errors
    /// [`LogError`] if there is none.
    pub fn message(&self, index: u32, outbox: &[u8]) -> Result<Message, LogError> {
        let log = usize::try_from(index).ok().and_then(|index| self.logs.get(index));
        let log = log.ok_or(LogError::Index { found: index, count: self.logs.len() })?;
        let wrong = |field| move |error| LogError::Rlp { field, error };
        let [address, topics, data] = log.array().map_err(wrong("log"))?;
        let address: [u8; 20] = address.fixed().map_err(wrong("log's address"))?;
        let topics = topics.items(0, TOPICS_MAX).map_err(wrong("log's topics"))?;
        let topics: Result<Vec<[u8; 32]>, _> = topics.iter().map(Item::fixed).collect();
        let topics = topics.map_err(wrong("log's topics"))?;
        let data = data.string().map_err(wrong("log's data"))?;
        message_in_log(outbox, &address, &topics, data)
    }
}

/// The message in a log of the outbox: contract, event, data, id, in this order.
///
/// # Errors
/// [`LogError`] if the log carries none.
pub fn message_in_log(
    outbox: &[u8],
    address: &[u8],
    topics: &[[u8; 32]],
    data: &[u8],
) -> Result<Message, LogError> {
    if address != outbox {
        return Err(LogError::Address { found: hex(address), expected: hex(outbox) });
    }
    let [SENT_TOPIC, id] = topics else { return Err(LogError::Event) };
    let message = Message::from_bytes(abi_bytes(data)?)?;
    if message.id().0 != *id {
        return Err(LogError::Id { found: MessageId(*id), expected: message.id() });
    }
    Ok(message)
}

/// The byte string that is all of `data` in its one encoding by the contract ABI: where it starts
/// (32), its length, its bytes, zeros up to a whole word.
fn abi_bytes(data: &[u8]) -> Result<&[u8], LogError> {
    let wrong = |expected| LogError::Data { expected };
    let (offset, rest) = data.split_first_chunk::<WORD>().ok_or(wrong("an offset"))?;
    let (length, rest) = rest.split_first_chunk::<WORD>().ok_or(wrong("a length"))?;
    if word(offset) != Some(WORD) {
        return Err(wrong("the offset 32"));
    }
    let length = word(length).filter(|length| *length <= Message::BYTES_MAX);
    let length = length.ok_or(wrong("a length within a message's"))?;
    if rest.len() != length.next_multiple_of(WORD) {
        return Err(wrong("as many words as the length says"));
    }
    let (bytes, padding) = rest.split_at(length);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(wrong("zeros after the bytes"));
    }
    Ok(bytes)
}

/// A word as a number, if it is small enough for a length.
fn word(word: &[u8; WORD]) -> Option<usize> {
    let (high, low) = word.split_last_chunk::<4>()?;
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    usize::try_from(u32::from_be_bytes(*low)).ok()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn the_topic_is_the_hash_of_the_events_signature() {
        assert_eq!(SENT_TOPIC, keccak256("Sent(bytes32,bytes)").0);
    }

    #[test]
    fn a_byte_string_has_one_abi_encoding() {
        let encode = |offset: u8, length: u8, rest: &[u8]| {
            let (mut a, mut b) = ([0; 32], [0; 32]);
            (a[31], b[31]) = (offset, length);
            [a.as_slice(), b.as_slice(), rest].concat()
        };
        let mut word = [0; 32];
        word[..3].copy_from_slice(b"abc");
        let wrong = |expected| Err(LogError::Data { expected });
        assert_eq!(abi_bytes(&encode(32, 3, &word)), Ok(b"abc".as_slice()));
        assert_eq!(abi_bytes(&encode(32, 0, &[])), Ok(b"".as_slice()));
        assert_eq!(abi_bytes(&encode(64, 3, &word)), wrong("the offset 32"));
        assert_eq!(abi_bytes(&encode(32, 2, &word)), wrong("zeros after the bytes"));
        let words = "as many words as the length says";
        assert_eq!(abi_bytes(&encode(32, 33, &word)), wrong(words));
        assert_eq!(abi_bytes(&encode(32, 0, &word)), wrong(words));
        assert_eq!(abi_bytes(&encode(32, 3, &word[..3])), wrong(words));
        assert_eq!(abi_bytes(&[0; 31]), wrong("an offset"));
        assert_eq!(abi_bytes(&[0; 63]), wrong("a length"));
        let mut long = encode(32, 3, &word);
        long[32] = 1;
        assert_eq!(abi_bytes(&long), wrong("a length within a message's"));
        long[0] = 1;
        assert_eq!(abi_bytes(&long), wrong("the offset 32"));
    }
}
