//! Copies of the guard: how messages ended, inbound ones here and outbound ones there.
//!
//! The guard of the chain decides; the copy answers questions and spares asking the chain.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    code::{Code, Reply},
    message::MessageId,
    receipt::{Call, EndingKind, Outcome},
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    queue::{Direction, State},
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// How a message ended, and how it came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The other chain.
    pub peer: ChainId,
    /// Delivered or refused, by the guard here or by the receipt from there; none for an outbound
    /// message that the outbox closed or refunded on a receipt which a sibling gateway got.
    pub outcome: Option<Outcome>,
    /// Outbound: what the outbox has finally done, once it has.
    pub settled: Option<EndingKind>,
    /// When it was noted here.
    pub at: UnixMillis,
    /// The states it has been in here.
    pub history: Vec<(State, UnixMillis)>,
}

/// Longest transaction hash of an outcome, in bytes, as in a receipt.
const TRANSACTION_BYTES_MAX: usize = 64;

impl Tx<'_> {
    /// How a message ended; none if it has not, or is not known.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn ended(&self, direction: Direction, id: &MessageId) -> Result<Option<End>, SpoolError> {
        let table = Table::Ended(direction);
        let bytes = self.get(table, &id.0)?;
        bytes.map(|bytes| row::read(table, &bytes, 5, read)).transpose()
    }

    /// Notes how a message ended, in place of what was noted before: until it is final on its
    /// chain, a reorganisation may end it in another block.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn set_ended(
        &mut self,
        direction: Direction,
        id: &MessageId,
        end: &End,
    ) -> Result<(), SpoolError> {
        self.unset_ended(direction, id)?;
        let value = row::write(5, |out| {
            out.bytes(&row::chain_key(end.peer));
            match &end.outcome {
                None => _ = out.array(0),
                Some(outcome) => write_outcome(outcome, out),
            }
            out.uint(match end.settled {
                None => 0,
                Some(EndingKind::Close) => 1,
                Some(EndingKind::Refund) => 2,
            });
            out.uint(end.at.0);
            row::write_history(&end.history, out);
        });
        self.set(Table::Ended(direction), &id.0, value);
        self.set(Table::EndedAt(direction), &at_key(end.at, id), Vec::new());
        Ok(())
    }

    /// Forgets how a message ended: its block is gone.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn unset_ended(&mut self, direction: Direction, id: &MessageId) -> Result<(), SpoolError> {
        if let Some(end) = self.ended(direction, id)? {
            self.unset(Table::Ended(direction), &id.0);
            self.unset(Table::EndedAt(direction), &at_key(end.at, id));
            if direction == Direction::Inbound {
                self.unset(Table::Untaken, &id.0);
            }
        }
        Ok(())
    }

    /// Notes that the source of an inbound message has not taken its receipt and is not offered it
    /// any more: it may come and ask, long after others are forgotten.
    pub fn set_untaken(&mut self, id: &MessageId) {
        self.set(Table::Untaken, &id.0, Vec::new());
    }

    /// How many ends are on record.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn ended_count(&self, direction: Direction) -> Result<u64, SpoolError> {
        self.len(Table::EndedAt(direction))
    }

    /// Forgets the oldest ends, as far as `old` says: looks at the next `limit` behind the place
    /// `after`, and passes over those that are still needed: of messages that are in the queue, and
    /// inbound ones whose receipt was not taken, until they are older still. Where a message's end
    /// is forgotten the chain's guard still knows it: it is not delivered again.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn prune_ended(
        &mut self,
        direction: Direction,
        old: &Old,
        after: Option<EndPlace>,
        limit: usize,
    ) -> Result<Pruned, SpoolError> {
        let nothing = Pruned { forgotten: 0, next: None };
        let Some(last) = old.before.0.checked_sub(1) else { return Ok(nothing) };
        let table = Table::EndedAt(direction);
        let from = after.map_or_else(Vec::new, |place| [&place.0[..], &[0]].concat());
        let span = Span::through(&from, &last.to_be_bytes());
        let rows = self.rows(table, &span, Order::Ascending, limit)?;
        let (mut forgotten, mut next) = (0, None);
        for (key, _) in &rows {
            let place = <[u8; PLACE]>::try_from(key.as_slice());
            let place =
                place.map_err(|_| row::corrupt(table, "a key is no time and message id"))?;
            next = Some(EndPlace(place));
            let (at, id) = (UnixMillis(row::number_at(table, key, 0)?), &place[8..]);
            if self.get(Table::Ids(direction), id)?.is_some() {
                continue;
            }
            if direction == Direction::Inbound && self.get(Table::Untaken, id)?.is_some() {
                if at >= old.untaken_before {
                    continue;
                }
                self.unset(Table::Untaken, id);
            }
            self.unset(Table::Ended(direction), id);
            self.unset(table, key);
            forgotten += 1;
        }
        Ok(Pruned { forgotten, next: next.filter(|_| rows.len() == limit) })
    }
}

/// Which ends are old enough to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// Those noted before then.
    pub before: UnixMillis,
    /// Those whose receipt was not taken: noted before then.
    pub untaken_before: UnixMillis,
}

/// A place in the order in which ends were noted: the key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndPlace([u8; PLACE]);

/// Length of a time and a message id.
const PLACE: usize = 40;

/// What [`Tx::prune_ended`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many ends were forgotten.
    pub forgotten: u64,
    /// Where to go on; none when there are no more.
    pub next: Option<EndPlace>,
}

fn at_key(at: UnixMillis, id: &MessageId) -> [u8; PLACE] {
    let mut key = [0; PLACE];
    key[..8].copy_from_slice(&at.0.to_be_bytes());
    key[8..].copy_from_slice(&id.0);
    key
}

fn read(input: &mut Reader<'_>) -> Result<End, CborError> {
    Ok(End {
        peer: row::read_chain(input)?,
        outcome: read_outcome(input)?,
        settled: match input.uint("settled")? {
            0 => None,
            1 => Some(EndingKind::Close),
            2 => Some(EndingKind::Refund),
            _ => return Err(CborError { field: "settled", expected: "0, 1 or 2" }),
        },
        at: UnixMillis(input.uint("at")?),
        history: row::read_history(input)?,
    })
}

fn write_outcome(outcome: &Outcome, out: &mut Writer) {
    match outcome {
        Outcome::Delivered { height, transaction, call } => {
            out.array(4).uint(0).uint(height.0).bytes(transaction).uint(match call {
                Call::None => 0,
                Call::Ok => 1,
                Call::Failed => 2,
            });
        }
        Outcome::Refused { code, text } => {
            out.array(3).uint(1).text(&code.to_string()).text(text);
        }
    }
}

fn read_outcome(input: &mut Reader<'_>) -> Result<Option<Outcome>, CborError> {
    let length = input.array("outcome", 4)?;
    if length == 0 {
        return Ok(None);
    }
    match (input.uint("outcome")?, length) {
        (0, 4) => {
            let height = Height(input.uint("height")?);
            let transaction = input.bytes("transaction", TRANSACTION_BYTES_MAX)?.to_vec();
            let call = match input.uint("call")? {
                0 => Call::None,
                1 => Call::Ok,
                2 => Call::Failed,
                _ => return Err(CborError { field: "call", expected: "0, 1 or 2" }),
            };
            Ok(Some(Outcome::Delivered { height, transaction, call }))
        }
        (1, 3) => {
            let code = input.text("code", 11)?.parse::<Code>();
            let code = code.map_err(|_| CborError { field: "code", expected: "a reply code" })?;
            let text = input.text("text", Reply::TEXT_MAX)?.to_owned();
            Ok(Some(Outcome::Refused { code, text }))
        }
        _ => Err(CborError { field: "outcome", expected: "delivered or refused" }),
    }
}
