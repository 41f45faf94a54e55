//! The state's rows: what each kind holds, its key and its encoding.
//!
//! All of it is on disk and read by key; a block works on an [`Overlay`] and only what it changed
//! is written.

use distpos_proto::{
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::ChainId,
    code::{Code, Reply},
    key::PublicKey,
    message::{Asset, MessageId, TermsHash, Value},
};

use super::{
    LedgerError, TransactionId,
    store::{Changes, Rows},
};

pub(super) use correspondents::{
    Correspondent, OpenAsset, Peer, read_limits, read_terms, terms_bytes, write_limits,
};

mod correspondents;

/// A kind of row.
pub(super) trait Row: Sized {
    /// What it is found by.
    type Key: ?Sized;
    /// First byte of the key: keeps the kinds apart.
    const KIND: u8;
    /// What an error calls it.
    const NAME: &'static str;

    /// The rest of the key.
    fn key(key: &Self::Key) -> Vec<u8>;
    /// Writes one CBOR value.
    fn write(&self, out: &mut Writer);
    /// Reads one CBOR value.
    fn read(input: &mut Reader<'_>) -> Result<Self, CborError>;

    /// Reads a row's bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut input = Reader::new(bytes);
        let row = Self::read(&mut input).and_then(|row| input.end(Self::NAME).map(|()| row));
        row.map_err(|error| LedgerError::Corrupt { row: Self::NAME, what: error.to_string() })
    }
}

/// The row of `key`, if there is one.
pub(super) fn load<R: Row>(rows: &dyn Rows, key: &R::Key) -> Result<Option<R>, LedgerError> {
    rows.row(&full_key::<R>(key))?.map(|bytes| R::from_bytes(&bytes)).transpose()
}

fn full_key<R: Row>(key: &R::Key) -> Vec<u8> {
    let mut full = vec![R::KIND];
    full.extend(R::key(key));
    full
}

/// Changes on top of other rows.
pub(super) struct Overlay<'r> {
    below: &'r dyn Rows,
    changes: Changes,
}

impl<'r> Overlay<'r> {
    /// No changes yet.
    pub(super) fn on(below: &'r dyn Rows) -> Self {
        Self { below, changes: Changes::new() }
    }

    /// Replaces a row.
    pub(super) fn put<R: Row>(&mut self, key: &R::Key, row: &R) {
        let mut out = Writer::default();
        row.write(&mut out);
        self.changes.insert(full_key::<R>(key), out.finish());
    }

    /// What was changed.
    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// Takes over what an overlay on this one changed.
    pub(super) fn merge(&mut self, changes: Changes) {
        self.changes.extend(changes);
    }

    /// What was changed so far.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl Rows for Overlay<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.changes.get(key) {
            Some(row) => Ok(Some(row.clone())),
            None => self.below.row(key),
        }
    }
}

/// An opened account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccountRow {
    pub(super) balance: u128,
    /// The number its next transaction must carry.
    pub(super) nonce: u64,
}

impl Row for AccountRow {
    type Key = PublicKey;
    const KIND: u8 = b'a';
    const NAME: &'static str = "account row";

    fn key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn write(&self, out: &mut Writer) {
        write_sum(out.array(2), self.balance);
        out.uint(self.nonce);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        exactly(input, Self::NAME, 2)?;
        Ok(Self { balance: read_sum(input, Self::NAME)?, nonce: input.uint(Self::NAME)? })
    }
}

/// The number an authority's next transaction must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AuthorityNonce(pub(super) u64);

impl Row for AuthorityNonce {
    type Key = PublicKey;
    const KIND: u8 = b'n';
    const NAME: &'static str = "authority row";

    fn key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn write(&self, out: &mut Writer) {
        out.uint(self.0);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        input.uint(Self::NAME).map(Self)
    }
}

/// The two pots that are nobody's account, and whose the second one is. With all accounts escrow
/// and vault add up to the supply, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    /// Sum of what left and has not ended: belongs to its senders until it is closed.
    pub(super) escrow: u128,
    /// What deliveries are paid from: the float of genesis, what was closed and what peers have
    /// deposited, less what was paid.
    pub(super) vault: u128,
    /// Of the vault, what belongs to the peers: the sum of the covers of all accounts with them.
    /// Never more than the vault.
    pub(super) covered: u128,
}

impl Totals {
    /// What is the community's own: payments beyond a peer's cover come out of it.
    pub(super) fn float(&self) -> u128 {
        self.vault.saturating_sub(self.covered)
    }
}

impl Row for Totals {
    type Key = ();
    const KIND: u8 = b't';
    const NAME: &'static str = "totals row";

    fn key((): &()) -> Vec<u8> {
        Vec::new()
    }

    fn write(&self, out: &mut Writer) {
        write_sum(out.array(3), self.escrow);
        write_sum(out, self.vault);
        write_sum(out, self.covered);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        exactly(input, field, 3)?;
        let (escrow, vault) = (read_sum(input, field)?, read_sum(input, field)?);
        Ok(Self { escrow, vault, covered: read_sum(input, field)? })
    }
}

/// How a message from elsewhere ended here: the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guard {
    /// Delivered by an item of a transaction.
    Delivered { height: u64, index: u64, item: u64 },
    /// It will never be delivered.
    Void { code: Code, text: String },
}

impl Row for Guard {
    type Key = MessageId;
    const KIND: u8 = b'g';
    const NAME: &'static str = "guard row";

    fn key(key: &MessageId) -> Vec<u8> {
        key.0.to_vec()
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Delivered { height, index, item } => {
                out.array(4).uint(0).uint(*height).uint(*index).uint(*item);
            }
            Self::Void { code, text } => {
                out.array(3).uint(1).text(&code.to_string()).text(text);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        match (input.array(field, 4)?, input.uint(field)?) {
            (4, 0) => {
                let (height, index) = (input.uint(field)?, input.uint(field)?);
                Ok(Self::Delivered { height, index, item: input.uint(field)? })
            }
            (3, 1) => {
                let code = read_code(input, field)?;
                Ok(Self::Void { code, text: input.text(field, Reply::TEXT_MAX)?.to_owned() })
            }
            _ => Err(CborError { field, expected: "delivered or void" }),
        }
    }
}

/// How a message that left here stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentState {
    Open,
    Closed,
    Refunded,
}

/// A message that left here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) state: SentState,
    /// Who is refunded, and nobody else.
    pub(super) sender: PublicKey,
    pub(super) destination: ChainId,
    pub(super) amount: u128,
    /// What the amount was called in the message.
    pub(super) asset: Asset,
    /// The terms of the account that it left under; none: no account was open.
    pub(super) terms: Option<TermsHash>,
}

impl Sent {
    /// What the message says of its sum; nothing of no sum.
    pub(super) fn value(&self) -> Option<Value> {
        let Self { asset, amount, terms, .. } = self;
        let value = Value { asset: asset.clone(), amount: (*amount).into(), terms: *terms };
        (*amount != 0).then_some(value)
    }
}

impl Row for Sent {
    type Key = MessageId;
    const KIND: u8 = b's';
    const NAME: &'static str = "sent row";

    fn key(key: &MessageId) -> Vec<u8> {
        key.0.to_vec()
    }

    fn write(&self, out: &mut Writer) {
        out.array(6).uint(match self.state {
            SentState::Open => 0,
            SentState::Closed => 1,
            SentState::Refunded => 2,
        });
        out.bytes(self.sender.as_bytes()).text(&self.destination.to_string());
        write_sum(out, self.amount);
        out.text(self.asset.as_str()).bytes(terms_bytes(self.terms.as_ref()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        exactly(input, field, 6)?;
        let state = match input.uint(field)? {
            0 => SentState::Open,
            1 => SentState::Closed,
            2 => SentState::Refunded,
            _ => return Err(CborError { field, expected: "open, closed or refunded" }),
        };
        let sender = PublicKey::from_bytes(input.fixed(field)?)
            .map_err(|_| CborError { field, expected: "a public key" })?;
        let destination = read_chain(input, field)?;
        let (amount, asset) = (read_sum(input, field)?, read_asset(input, field)?);
        let terms = read_terms(input, field)?;
        Ok(Self { state, sender, destination, amount, asset, terms })
    }
}

/// The sequence of the last message that left for a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LastSequence(pub(super) u64);

impl Row for LastSequence {
    type Key = ChainId;
    const KIND: u8 = b'q';
    const NAME: &'static str = "sequence row";

    fn key(key: &ChainId) -> Vec<u8> {
        key.number().to_be_bytes().to_vec()
    }

    fn write(&self, out: &mut Writer) {
        out.uint(self.0);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        input.uint(Self::NAME).map(Self)
    }
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IncludedRow {
    pub(super) height: u64,
    /// The message that left with it.
    pub(super) message: Option<MessageId>,
}

impl Row for IncludedRow {
    type Key = TransactionId;
    const KIND: u8 = b'x';
    const NAME: &'static str = "transaction row";

    fn key(key: &TransactionId) -> Vec<u8> {
        key.0.to_vec()
    }

    fn write(&self, out: &mut Writer) {
        out.array(2).uint(self.height);
        out.bytes(self.message.as_ref().map_or(&[], |id| id.0.as_slice()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        let field = Self::NAME;
        exactly(input, field, 2)?;
        let height = input.uint(field)?;
        let message = match input.bytes(field, 32)? {
            [] => None,
            id => Some(MessageId(
                id.try_into().map_err(|_| CborError { field, expected: "an id or nothing" })?,
            )),
        };
        Ok(Self { height, message })
    }
}

/// Reads the head of an array of exactly `items`.
pub(super) fn exactly(
    input: &mut Reader<'_>,
    field: &'static str,
    items: usize,
) -> Result<(), CborError> {
    if input.array(field, items)? == items {
        return Ok(());
    }
    Err(CborError { field, expected: "an array of its fixed length" })
}

/// A sum within the ledger.
pub(super) fn write_sum(out: &mut Writer, sum: u128) {
    out.bytes(&Amount::from(sum).to_minimal_bytes());
}

fn read_sum(input: &mut Reader<'_>, field: &'static str) -> Result<u128, CborError> {
    let expected = "a sum below 2^128";
    read_amount(input, field)?.to_u128().ok_or(CborError { field, expected })
}

/// A sum below 2^256.
pub(super) fn read_amount(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<Amount, CborError> {
    Amount::from_minimal_bytes(input.bytes(field, 32)?)
        .map_err(|_| CborError { field, expected: "an amount in its shortest form" })
}

/// A chain-id's text.
pub(super) fn read_chain(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<ChainId, CborError> {
    let text = input.text(field, ChainId::TEXT_MAX)?;
    text.parse().map_err(|_| CborError { field, expected: "a chain-id in lower case" })
}

/// An asset's text.
pub(super) fn read_asset(input: &mut Reader<'_>, field: &'static str) -> Result<Asset, CborError> {
    let text = input.text(field, Asset::TEXT_MAX)?;
    text.parse().map_err(|_| CborError { field, expected: "<issuer chain-id>/<label>" })
}

/// A reply code's text.
pub(super) fn read_code(input: &mut Reader<'_>, field: &'static str) -> Result<Code, CborError> {
    let text = input.text(field, 11)?;
    text.parse().map_err(|_| CborError { field, expected: "a reply code" })
}
