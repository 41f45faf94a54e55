//! A message: what one chain's outbox says to another chain, in exactly one encoding.
//!
//! The message is *derived* from a proven native transaction by the rule of the chain's family, so
//! proof of that transaction is proof of the message. The CDDL is in `docs/protocol.md`; byte-exact
//! examples are in `proto/vectors/message.json`.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::{
    address::{Address, Local},
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag, HexError, hex_array},
    key::Domain,
    time::UnixSeconds,
};

/// SHA-256 of `"distpos/message/1"` and the message's bytes: who a message is, everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 32]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl FromStr for MessageId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex_array(text).map(Self)
    }
}

/// SHA-256 of `"distpos/terms/1"` and the bytes of the terms that both sides of an account signed:
/// what a message with value says it was sent under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermsHash(pub [u8; 32]);

impl fmt::Display for TermsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TermsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TermsHash({self})")
    }
}

impl FromStr for TermsHash {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex_array(text).map(Self)
    }
}

/// What the destination does when the recipient's call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFail {
    /// Void the whole delivery: the sender is refunded.
    Return,
    /// Keep the payment; only the call has failed.
    Keep,
}

/// The text of an asset's name: `<issuer chain-id>/<label>`, for example `e2e4/coin`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset(Box<str>);

impl Asset {
    /// Longest text form, in characters.
    pub const TEXT_MAX: usize = ChainId::TEXT_MAX + 1 + 32;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Asset {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let wrong = MessageError::Field { field: "asset", expected: "<issuer chain-id>/<label>" };
        let Some((issuer, label)) = text.split_once('/') else { return Err(wrong) };
        let label_ok = (1..=32).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if issuer.parse::<ChainId>().is_err() || !label_ok {
            return Err(wrong);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it counts in.
    pub asset: Asset,
    /// How much, in the asset's smallest unit; never zero.
    pub amount: Amount,
    /// The terms of the account that it was sent under; none where its source had no account with
    /// the destination.
    pub terms: Option<TermsHash>,
}

/// A message's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The chain it comes from.
    pub source: ChainId,
    /// That chain's genesis tag.
    pub source_tag: GenesisTag,
    /// The chain it goes to.
    pub destination: ChainId,
    /// That chain's genesis tag as the source has registered it, else [`GenesisTag::UNSET`].
    pub destination_tag: GenesisTag,
    /// The outbox that emitted it: 1 to 64 bytes (a contract's address, an escrow's name).
    pub outbox: Vec<u8>,
    /// Assigned by the outbox, gapless from 1 for each (source, destination).
    pub sequence: u64,
    /// Who sent it, on the source chain.
    pub sender: Local,
    /// Who it is for, on the destination chain.
    pub recipient: Local,
    /// What it carries; none for a message without value.
    pub value: Option<Value>,
    /// Call data, at most [`Message::DATA_BYTES_MAX`].
    pub data: Vec<u8>,
    /// Gas for the recipient's call, in the destination's unit; 0 without a call.
    pub gas: u64,
    /// What happens when that call fails.
    pub on_fail: OnFail,
    /// Not delivered after this time.
    pub expires: UnixSeconds,
}

/// A valid message with its one encoding and its id. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    fields: Fields,
    bytes: Vec<u8>,
    id: MessageId,
}

/// Why bytes or fields are no message: the sender's fault, never worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// A field has the wrong CBOR type, length or place.
    #[error("message {0}")]
    Cbor(#[from] CborError),
    /// A field's content.
    #[error("message {field}: expected {expected}")]
    Field {
        /// The field's name in the CDDL.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The bytes decode, but are not the one encoding of what they say.
    #[error("message is not in its one deterministic encoding")]
    NotCanonical,
}

impl Message {
    /// Longest call data, in bytes.
    pub const DATA_BYTES_MAX: usize = 64 * 1024;
    /// Longest encoding, in bytes: data and the bounded rest.
    pub const BYTES_MAX: usize = Self::DATA_BYTES_MAX + 1024;
    /// Longest outbox name, in bytes.
    pub const OUTBOX_BYTES_MAX: usize = 64;
    /// Longest time from the source block to `expires`, in seconds: 5 days.
    pub const EXPIRES_AFTER_MAX: u64 = 5 * 24 * 60 * 60;
    /// `expires` unless said otherwise, in seconds after the source block: 24 hours.
    pub const EXPIRES_AFTER_DEFAULT: u64 = 24 * 60 * 60;
    /// The version this code speaks.
    pub const VERSION: u64 = 1;

    /// The message with these fields.
    ///
    /// # Errors
    /// [`MessageError::Field`] names the first field that is out of bounds.
    pub fn new(fields: Fields) -> Result<Self, MessageError> {
        check(&fields)?;
        let bytes = encode(&fields);
        let id = MessageId(Domain::Message.hash(&bytes));
        Ok(Self(Arc::new(Inner { fields, bytes, id })))
    }

    /// Reads the one encoding of a message.
    ///
    /// # Errors
    /// [`MessageError`] names the field, or says that the encoding is not the canonical one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let message = Self::new(decode(bytes)?)?;
        if message.bytes() == bytes { Ok(message) } else { Err(MessageError::NotCanonical) }
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.0.fields
    }

    /// The one encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.0.id
    }

    /// The sender as the destination sees it, with the chain in it (step 2 of the paper).
    #[must_use]
    pub fn sender(&self) -> Address {
        Address::new(self.fields().source, self.fields().sender.clone())
    }

    /// The recipient's full address.
    #[must_use]
    pub fn recipient(&self) -> Address {
        Address::new(self.fields().destination, self.fields().recipient.clone())
    }

    /// The sum carried; zero for a message without value.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.fields().value.as_ref().map_or(Amount::ZERO, |value| value.amount)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} {} -> {})", self.id(), self.sender(), self.recipient())
    }
}

fn check(fields: &Fields) -> Result<(), MessageError> {
    let wrong = |field, expected| Err(MessageError::Field { field, expected });
    if fields.source == fields.destination {
        return wrong("destination", "another chain than the source");
    }
    if !(1..=Message::OUTBOX_BYTES_MAX).contains(&fields.outbox.len()) {
        return wrong("outbox", "1 to 64 bytes");
    }
    if fields.sequence == 0 {
        return wrong("sequence", "a number from 1");
    }
    if fields.value.as_ref().is_some_and(|value| value.amount.is_zero()) {
        return wrong("amount", "more than zero where an asset is named");
    }
    if fields.data.len() > Message::DATA_BYTES_MAX {
        return wrong("data", "at most 65536 bytes");
    }
    Ok(())
}

/// The keys of the map, in their order; the names are the CDDL's.
const KEYS: usize = 16;

fn encode(fields: &Fields) -> Vec<u8> {
    let value = fields.value.as_ref();
    let mut out = Writer::default();
    out.map(KEYS);
    out.uint(0).uint(Message::VERSION);
    out.uint(1).text(&fields.source.to_string());
    out.uint(2).bytes(&fields.source_tag.0);
    out.uint(3).text(&fields.destination.to_string());
    out.uint(4).bytes(&fields.destination_tag.0);
    out.uint(5).bytes(&fields.outbox);
    out.uint(6).uint(fields.sequence);
    out.uint(7).text(fields.sender.as_str());
    out.uint(8).text(fields.recipient.as_str());
    out.uint(9).text(value.map_or("", |value| value.asset.as_str()));
    out.uint(10)
        .bytes(value.and_then(|value| value.terms.as_ref()).map_or(&[], |t| t.0.as_slice()));
    out.uint(11).bytes(&value.map_or_else(Vec::new, |value| value.amount.to_minimal_bytes()));
    out.uint(12).bytes(&fields.data);
    out.uint(13).uint(fields.gas);
    out.uint(14).uint(match fields.on_fail {
        OnFail::Return => 0,
        OnFail::Keep => 1,
    });
    out.uint(15).uint(fields.expires.0);
    out.finish()
}

fn decode(bytes: &[u8]) -> Result<Fields, MessageError> {
    let mut input = Reader::new(bytes);
    if input.map("message", KEYS)? != KEYS {
        return Err(CborError { field: "message", expected: "its 16 keys" }.into());
    }
    input.key("version", 0)?;
    if input.uint("version")? != Message::VERSION {
        return Err(MessageError::Field { field: "version", expected: "1" });
    }
    input.key("source", 1)?;
    let source = chain(&mut input, "source")?;
    input.key("source_tag", 2)?;
    let source_tag = GenesisTag(input.fixed("source_tag")?);
    input.key("destination", 3)?;
    let destination = chain(&mut input, "destination")?;
    input.key("destination_tag", 4)?;
    let destination_tag = GenesisTag(input.fixed("destination_tag")?);
    input.key("outbox", 5)?;
    let outbox = input.bytes("outbox", Message::OUTBOX_BYTES_MAX)?.to_vec();
    input.key("sequence", 6)?;
    let sequence = input.uint("sequence")?;
    input.key("sender", 7)?;
    let sender = local(&mut input, "sender")?;
    input.key("recipient", 8)?;
    let recipient = local(&mut input, "recipient")?;
    let value = decode_value(&mut input)?;
    input.key("data", 12)?;
    let data = input.bytes("data", Message::DATA_BYTES_MAX)?.to_vec();
    input.key("gas", 13)?;
    let gas = input.uint("gas")?;
    input.key("on_fail", 14)?;
    let on_fail = match input.uint("on_fail")? {
        0 => OnFail::Return,
        1 => OnFail::Keep,
        _ => return Err(MessageError::Field { field: "on_fail", expected: "0 or 1" }),
    };
    input.key("expires", 15)?;
    let expires = UnixSeconds(input.uint("expires")?);
    input.end("message")?;
    Ok(Fields {
        source,
        source_tag,
        destination,
        destination_tag,
        outbox,
        sequence,
        sender,
        recipient,
        value,
        data,
        gas,
        on_fail,
        expires,
    })
}

fn decode_value(input: &mut Reader<'_>) -> Result<Option<Value>, MessageError> {
    input.key("asset", 9)?;
    let asset = input.text("asset", Asset::TEXT_MAX)?;
    input.key("terms", 10)?;
    let terms = input.bytes("terms", 32)?;
    input.key("amount", 11)?;
    let amount = input.bytes("amount", 32)?;
    if asset.is_empty() && terms.is_empty() && amount.is_empty() {
        return Ok(None);
    }
    let terms =
        match terms.len() {
            0 => None,
            _ => Some(TermsHash(terms.try_into().map_err(|_| MessageError::Field {
                field: "terms",
                expected: "32 bytes or none",
            })?)),
        };
    let amount = Amount::from_minimal_bytes(amount).map_err(|_| MessageError::Field {
        field: "amount",
        expected: "the shortest big-endian form",
    })?;
    Ok(Some(Value { asset: asset.parse()?, amount, terms }))
}

fn chain(input: &mut Reader<'_>, field: &'static str) -> Result<ChainId, MessageError> {
    let text = input.text(field, ChainId::TEXT_MAX)?;
    text.parse().map_err(|_| MessageError::Field { field, expected: "a chain-id in lower case" })
}

fn local(input: &mut Reader<'_>, field: &'static str) -> Result<Local, MessageError> {
    let text = input.text(field, Local::TEXT_MAX)?;
    text.parse().map_err(|_| MessageError::Field { field, expected: "a local address" })
}
