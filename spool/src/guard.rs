//! Copies of the guard: how messages ended, inbound ones here and outbound ones there.
//!
//! The guard of the chain decides; the copy answers questions and spares asking the chain.

use distpos_proto::{
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    code::{Code, Reply},
    message::MessageId,
    receipt::{Call, Outcome},
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    queue::{Direction, State},
    row,
    store::Table,
    transaction::Tx,
};

/// How a message ended, and how it came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The other chain.
    pub peer: ChainId,
    /// Delivered or refused.
    pub outcome: Outcome,
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
        bytes.map(|bytes| row::read(table, &bytes, 4, read)).transpose()
    }

    /// Notes how a message ended, in place of what was noted before: until it is final on its
    /// chain, a reorganisation may end it in another block.
    pub fn set_ended(&mut self, direction: Direction, id: &MessageId, end: &End) {
        let value = row::write(4, |out| {
            out.bytes(&row::chain_key(end.peer));
            write_outcome(&end.outcome, out);
            out.uint(end.at.0);
            row::write_history(&end.history, out);
        });
        self.set(Table::Ended(direction), &id.0, value);
    }

    /// Forgets how a message ended: its block is gone.
    pub fn unset_ended(&mut self, direction: Direction, id: &MessageId) {
        self.unset(Table::Ended(direction), &id.0);
    }
}

fn read(input: &mut Reader<'_>) -> Result<End, CborError> {
    Ok(End {
        peer: row::read_chain(input)?,
        outcome: read_outcome(input)?,
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

fn read_outcome(input: &mut Reader<'_>) -> Result<Outcome, CborError> {
    let length = input.array("outcome", 4)?;
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
            Ok(Outcome::Delivered { height, transaction, call })
        }
        (1, 3) => {
            let code = input.text("code", 11)?.parse::<Code>();
            let code = code.map_err(|_| CborError { field: "code", expected: "a reply code" })?;
            Ok(Outcome::Refused { code, text: input.text("text", Reply::TEXT_MAX)?.to_owned() })
        }
        _ => Err(CborError { field: "outcome", expected: "delivered or refused" }),
    }
}
