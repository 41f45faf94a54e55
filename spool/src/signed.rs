//! The gateway's own signed transactions of a chain that numbers them: stored before they are
//! handed to the node, forgotten once a block holds their number.

use distpos_proto::{
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Most attempts that a row holds. Fees rise by an eighth and faster later, so that fewer lead from
/// the lowest fee there is to any limit.
pub const ATTEMPTS_MAX: usize = 64;
/// Longest signed transaction or input, in bytes; nodes take 128 KiB.
const BYTES_MAX: usize = 1024 * 1024;

/// The account of a chain whose transactions are numbered: 20 bytes on EVM.
pub type Account = [u8; 20];

/// What a transaction does, and every form in which it was signed. Any of them may be in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransaction {
    /// When it was first signed.
    pub created: UnixMillis,
    /// Gas it may use.
    pub gas_limit: u64,
    /// Whom it calls or pays; none if it makes a contract.
    pub to: Option<Account>,
    /// What it pays, in the native coin's smallest unit.
    pub value: Amount,
    /// What it calls with.
    pub input: Vec<u8>,
    /// Its signed forms, the newest last: same number, rising fees.
    pub attempts: Vec<Attempt>,
}

/// One signed form of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The bytes that the node is given.
    pub raw: Vec<u8>,
    /// Most it pays per gas, in the smallest unit.
    pub fee_max: u128,
    /// What of that goes to the block's maker; all of it where a chain has no base fee.
    pub tip: u128,
}

impl Tx<'_> {
    /// The transaction of an account that has this number; none if there is none.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn signed(
        &self,
        account: Account,
        nonce: u64,
    ) -> Result<Option<SignedTransaction>, SpoolError> {
        let bytes = self.get(Table::Signed, &key(account, nonce))?;
        bytes.map(|bytes| read(&bytes)).transpose()
    }

    /// Puts the transaction of a number, in place of what was there.
    pub fn put_signed(&mut self, account: Account, nonce: u64, transaction: &SignedTransaction) {
        self.set(Table::Signed, &key(account, nonce), write(transaction));
    }

    /// Forgets the transaction of a number.
    pub fn remove_signed(&mut self, account: Account, nonce: u64) {
        self.unset(Table::Signed, &key(account, nonce));
    }

    /// Every transaction, by account and number.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn all_signed(&self) -> Result<Vec<(Account, u64, SignedTransaction)>, SpoolError> {
        let rows = self.rows(Table::Signed, &Span::all(), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let account = key.get(..20).and_then(|bytes| bytes.try_into().ok());
                let account = account
                    .ok_or_else(|| row::corrupt(Table::Signed, "a key is no account and number"))?;
                Ok((account, row::number_at(Table::Signed, key, 20)?, read(value)?))
            })
            .collect()
    }
}

fn key(account: Account, nonce: u64) -> Vec<u8> {
    [account.as_slice(), &nonce.to_be_bytes()].concat()
}

fn write(transaction: &SignedTransaction) -> Vec<u8> {
    row::write(6, |out| {
        out.uint(transaction.created.0).uint(transaction.gas_limit);
        row::write_option(transaction.to, out, |to, out| {
            out.bytes(&to);
        });
        out.bytes(&transaction.value.to_minimal_bytes()).bytes(&transaction.input);
        out.array(transaction.attempts.len());
        for attempt in &transaction.attempts {
            write_attempt(attempt, out);
        }
    })
}

fn write_attempt(attempt: &Attempt, out: &mut Writer) {
    out.array(3).bytes(&attempt.raw);
    out.bytes(&attempt.fee_max.to_be_bytes()).bytes(&attempt.tip.to_be_bytes());
}

fn read(bytes: &[u8]) -> Result<SignedTransaction, SpoolError> {
    row::read(Table::Signed, bytes, 6, |input| {
        let created = UnixMillis(input.uint("created")?);
        let gas_limit = input.uint("gas limit")?;
        let to = row::read_option(input, "to", |input| input.fixed("to"))?;
        let value = Amount::from_minimal_bytes(input.bytes("value", 32)?);
        let value =
            value.map_err(|_| CborError { field: "value", expected: "its shortest form" })?;
        let data = input.bytes("input", BYTES_MAX)?.to_vec();
        let count = input.array("attempts", ATTEMPTS_MAX)?;
        let attempts = (0..count).map(|_| read_attempt(input)).collect::<Result<_, _>>()?;
        Ok(SignedTransaction { created, gas_limit, to, value, input: data, attempts })
    })
}

fn read_attempt(input: &mut Reader<'_>) -> Result<Attempt, CborError> {
    if input.array("attempt", 3)? != 3 {
        return Err(CborError { field: "attempt", expected: "bytes, most per gas, tip" });
    }
    Ok(Attempt {
        raw: input.bytes("attempt bytes", BYTES_MAX)?.to_vec(),
        fee_max: u128::from_be_bytes(input.fixed("most per gas")?),
        tip: u128::from_be_bytes(input.fixed("tip")?),
    })
}
