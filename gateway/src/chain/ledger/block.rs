//! A sealed block as it is kept: its signed header, what leaves with it, what ends in it.

use distpos_proto::{
    account::Change,
    cbor::{CborError, Reader, Writer},
    chain::{BlockHash, Height},
    code::Reply,
    light::ledger::SignedLedgerHeader,
    message::{Asset, Message, MessageId, Value},
    proof::merkle::{Tree, leaf_hash},
    receipt::Call,
    wire::Head,
};

use super::{
    LedgerError,
    state::{
        exactly, read_amount, read_asset, read_chain, read_code, read_limits, read_terms,
        terms_bytes, write_limits,
    },
};
use crate::chain::{ChainEvent, FinalBlock};

/// A sealed block without its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) header: SignedLedgerHeader,
    /// Ordered by (destination, sequence): the order of the leaves.
    pub(super) outgoing: Vec<Message>,
    pub(super) events: Vec<ChainEvent>,
}

/// The tree over a block's outgoing messages.
pub(super) fn tree_over(messages: &[Message]) -> Tree {
    Tree::new(messages.iter().map(|message| leaf_hash(message.bytes())).collect())
}

impl Block {
    /// Its place at the chain's head.
    pub(super) fn head(&self) -> Head {
        let header = &self.header.header;
        let block = BlockHash(header.hash().0);
        Head { height: header.height, block, time: header.time }
    }

    /// Whether there is something in it for the gateway.
    pub(super) fn concerns_gateway(&self) -> bool {
        !self.outgoing.is_empty() || !self.events.is_empty()
    }

    /// As the gateway sees it.
    pub(super) fn into_final(self) -> FinalBlock {
        let Head { height, block, time } = self.head();
        let (outgoing, events) = (self.outgoing, self.events);
        // The ledger is the authority itself: nobody has to agree to what it does.
        FinalBlock { height, block, time, outgoing, events, proposals: Vec::new() }
    }

    /// Its encoding in the store.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.header.write(out.array(3));
        out.array(self.outgoing.len());
        for message in &self.outgoing {
            out.bytes(message.bytes());
        }
        out.array(self.events.len());
        for event in &self.events {
            write_event(event, &mut out);
        }
        out.finish()
    }

    /// Reads the block of a height from the store.
    pub(super) fn from_bytes(height: u64, bytes: &[u8]) -> Result<Self, LedgerError> {
        let corrupt = |what: String| LedgerError::Corrupt { row: "block row", what };
        let block = read(bytes).map_err(|error| corrupt(error.to_string()))?;
        if block.header.header.height != Height(height) {
            return Err(corrupt(format!("{} in the place of {height}", block.head().height)));
        }
        Ok(block)
    }
}

/// Far above what fits into a block; a number only so that a length is never trusted.
const ITEMS_MAX: usize = 1 << 24;

fn read(bytes: &[u8]) -> Result<Block, CborError> {
    let mut input = Reader::new(bytes);
    exactly(&mut input, "block", 3)?;
    let header = SignedLedgerHeader::read(&mut input)?;
    let mut outgoing = Vec::new();
    for _ in 0..input.array("block outgoing", ITEMS_MAX)? {
        let bytes = input.bytes("block message", Message::BYTES_MAX)?;
        let wrong = CborError { field: "block message", expected: "a message" };
        outgoing.push(Message::from_bytes(bytes).map_err(|_| wrong)?);
    }
    let mut events = Vec::new();
    for _ in 0..input.array("block events", ITEMS_MAX)? {
        events.push(read_event(&mut input)?);
    }
    input.end("block")?;
    Ok(Block { header, outgoing, events })
}

fn write_event(event: &ChainEvent, out: &mut Writer) {
    match event {
        ChainEvent::Delivered { id, source, value, transaction, call } => {
            out.array(8).uint(0).bytes(&id.0).text(&source.to_string());
            write_value(value.as_ref(), out);
            out.bytes(transaction).uint(match call {
                Call::None => 0,
                Call::Ok => 1,
                Call::Failed => 2,
            });
        }
        ChainEvent::Voided { id, source, code, text } => {
            out.array(5).uint(1).bytes(&id.0).text(&source.to_string());
            out.text(&code.to_string()).text(text);
        }
        ChainEvent::Closed { id, destination, value } => {
            out.array(6).uint(2).bytes(&id.0).text(&destination.to_string());
            write_value(value.as_ref(), out);
        }
        ChainEvent::Refunded { id } => {
            out.array(2).uint(3).bytes(&id.0);
        }
        ChainEvent::AccountSet { chain, asset, terms, limits } => {
            out.array(7).uint(4).text(&chain.to_string()).text(asset.as_str());
            out.bytes(terms_bytes(terms.as_ref()));
            write_limits(limits, out);
        }
        ChainEvent::ReserveChanged { chain, asset, change, by, note } => {
            let (kind, amount) = match change {
                Change::Added(amount) => (5, amount),
                Change::Taken(amount) => (6, amount),
            };
            out.array(6).uint(kind).text(&chain.to_string()).text(asset.as_str());
            out.bytes(&amount.to_minimal_bytes()).text(by).text(note);
        }
    }
}

/// Longest text of who and why that a reserve's change carries.
pub(super) const NOTE_BYTES_MAX: usize = 200;

fn read_event(input: &mut Reader<'_>) -> Result<ChainEvent, CborError> {
    let field = "block event";
    let length = input.array(field, 8)?;
    let kind = input.uint(field)?;
    if kind > 3 {
        return read_account_event(input, field, kind, length);
    }
    let id = MessageId(input.fixed(field)?);
    match (kind, length) {
        (0, 8) => {
            let (source, value) = (read_chain(input, field)?, read_value(input, field)?);
            let transaction = input.bytes(field, 64)?.to_vec();
            let call = match input.uint(field)? {
                0 => Call::None,
                1 => Call::Ok,
                2 => Call::Failed,
                _ => return Err(CborError { field, expected: "a call's outcome" }),
            };
            Ok(ChainEvent::Delivered { id, source, value, transaction, call })
        }
        (1, 5) => {
            let (source, code) = (read_chain(input, field)?, read_code(input, field)?);
            let text = input.text(field, Reply::TEXT_MAX)?.to_owned();
            Ok(ChainEvent::Voided { id, source, code, text })
        }
        (2, 6) => {
            let (destination, value) = (read_chain(input, field)?, read_value(input, field)?);
            Ok(ChainEvent::Closed { id, destination, value })
        }
        (3, 2) => Ok(ChainEvent::Refunded { id }),
        _ => Err(CborError { field, expected: "an event of this version" }),
    }
}

fn read_account_event(
    input: &mut Reader<'_>,
    field: &'static str,
    kind: u64,
    length: usize,
) -> Result<ChainEvent, CborError> {
    let (chain, asset) = (read_chain(input, field)?, read_asset(input, field)?);
    match (kind, length) {
        (4, 7) => {
            let terms = read_terms(input, field)?;
            Ok(ChainEvent::AccountSet { chain, asset, terms, limits: read_limits(input, field)? })
        }
        (5 | 6, 6) => {
            let amount = read_amount(input, field)?;
            let change = if kind == 5 { Change::Added(amount) } else { Change::Taken(amount) };
            let by = input.text(field, NOTE_BYTES_MAX)?.to_owned();
            let note = input.text(field, NOTE_BYTES_MAX)?.to_owned();
            Ok(ChainEvent::ReserveChanged { chain, asset, change, by, note })
        }
        _ => Err(CborError { field, expected: "an event of this version" }),
    }
}

/// Asset, amount and terms, in three places of the array; all empty for no value.
fn write_value(value: Option<&Value>, out: &mut Writer) {
    out.text(value.map_or("", |value| value.asset.as_str()));
    out.bytes(&value.map_or_else(Vec::new, |value| value.amount.to_minimal_bytes()));
    out.bytes(terms_bytes(value.and_then(|value| value.terms.as_ref())));
}

fn read_value(input: &mut Reader<'_>, field: &'static str) -> Result<Option<Value>, CborError> {
    let asset = input.text(field, Asset::TEXT_MAX)?;
    let (amount, terms) = (read_amount(input, field)?, read_terms(input, field)?);
    if asset.is_empty() && amount.is_zero() && terms.is_none() {
        return Ok(None);
    }
    let expected = "<issuer chain-id>/<label>";
    let asset = asset.parse().map_err(|_| CborError { field, expected })?;
    Ok(Some(Value { asset, amount, terms }))
}
