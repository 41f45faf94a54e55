//! Copies of the correspondent accounts and their journals; what is reserved in them.
//!
//! An account changes only by an entry, in the transaction that moves the queue: its row is the sum
//! of its entries, whatever crashed in between.

use distpos_proto::{
    account::{Account, AccountError, Bucket, Figures, Limits, Step, Window},
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    message::{Asset, MessageId, TermsHash},
    time::{UnixMillis, UnixSeconds},
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// An account as this gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountRow {
    /// Terms, limits and figures.
    pub account: Account,
    /// Why no value is taken in, whatever room there is; none if nothing stands in its way.
    pub suspension: Option<Suspension>,
    /// How many entries its journal has; the newest has this number.
    pub entries: u64,
}

/// An account that was suspended by a person or by a doubt about its books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why.
    pub why: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Changes terms, limits or figures.
    Step(Step),
    /// Suspends the account.
    Suspend,
    /// Lets a suspended account go on.
    Resume,
}

impl Act {
    /// The word in commands and logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Step(step) => step.word(),
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }
}

/// One line of an account's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub act: Act,
    /// The message it is about.
    pub id: Option<MessageId>,
    /// The final block of the own chain that made it; none for what this gateway decided itself.
    pub height: Option<Height>,
    /// Who did it; empty where the protocol did.
    pub by: String,
    /// Why, in words; empty where the act says it all.
    pub why: String,
    /// When it was written.
    pub at: UnixMillis,
}

impl Entry {
    /// A step about a message.
    #[must_use]
    pub fn of(step: Step, id: MessageId, height: Option<Height>, at: UnixMillis) -> Self {
        let (by, why) = (String::new(), String::new());
        Self { act: Act::Step(step), id: Some(id), height, by, why, at }
    }
}

/// What is set aside for a message that has not ended: in its account, and of its chain's gas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The other chain.
    pub chain: ChainId,
    /// What it counts in and how much; none for a message without value.
    pub value: Option<(Asset, Amount)>,
}

impl Tx<'_> {
    /// An account; none if the chain never told of one and nothing ever moved.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn account(&self, chain: ChainId, asset: &Asset) -> Result<Option<AccountRow>, SpoolError> {
        let bytes = self.get(Table::Accounts, &account_key(chain, asset))?;
        bytes.map(|bytes| read_account(&bytes)).transpose()
    }

    /// Every account, by chain and asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn accounts(&self) -> Result<Vec<(ChainId, Asset, AccountRow)>, SpoolError> {
        self.accounts_in(&Span::all())
    }

    /// The accounts with one chain, by asset.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn accounts_with(&self, chain: ChainId) -> Result<Vec<(Asset, AccountRow)>, SpoolError> {
        let found = self.accounts_in(&Span::prefix(&row::chain_key(chain)))?;
        Ok(found.into_iter().map(|(_, asset, row)| (asset, row)).collect())
    }

    fn accounts_in(&self, span: &Span) -> Result<Vec<(ChainId, Asset, AccountRow)>, SpoolError> {
        let rows = self.rows(Table::Accounts, span, Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (chain, asset) = read_account_key(Table::Accounts, key)?;
                Ok((chain, asset, read_account(value)?))
            })
            .collect()
    }

    /// Makes an entry: changes the account and writes the journal's next line. `time` is what the
    /// account's window counts by: the block's where a block made the entry.
    ///
    /// An entry that the account does not allow changes nothing, and says why.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn enter(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        entry: &Entry,
        time: UnixSeconds,
    ) -> Result<Result<AccountRow, AccountError>, SpoolError> {
        let mut row = self.account(chain, asset)?.unwrap_or_default();
        match &entry.act {
            Act::Step(step) => match row.account.apply(step, time) {
                Ok(account) => {
                    row.account = account;
                    self.count_step(chain, asset, step)?;
                }
                Err(error) => return Ok(Err(error)),
            },
            Act::Suspend => {
                let (why, by) = (entry.why.clone(), entry.by.clone());
                row.suspension = Some(Suspension { why, by, at: entry.at });
            }
            Act::Resume => row.suspension = None,
        }
        row.entries += 1;
        let key = account_key(chain, asset);
        self.set(Table::Entries, &entry_key(&key, row.entries), write_entry(entry));
        self.set(Table::Accounts, &key, write_account(&row));
        Ok(Ok(row))
    }

    /// Up to `limit` entries of an account's journal from number `from` on, each with its number;
    /// the first has number 1.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn entries(
        &self,
        chain: ChainId,
        asset: &Asset,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, SpoolError> {
        let key = account_key(chain, asset);
        let span = Span::through(&entry_key(&key, from), &[key.as_slice(), &[0]].concat());
        let rows = self.rows(Table::Entries, &span, Order::Ascending, limit)?;
        rows.iter()
            .map(|(row_key, value)| {
                let number = row::number_at(Table::Entries, row_key, key.len() + 1)?;
                Ok((number, read_entry(value)?))
            })
            .collect()
    }

    /// Notes what is set aside for a message.
    pub fn put_reserved(&mut self, id: &MessageId, reserved: &Reserved) {
        let value = row::write(2, |out| {
            out.bytes(&row::chain_key(reserved.chain));
            row::write_option(reserved.value.as_ref(), out, |(asset, amount), out| {
                out.array(2).text(asset.as_str()).bytes(&amount.to_minimal_bytes());
            });
        });
        self.set(Table::Reserved, &id.0, value);
    }

    /// What is set aside for a message, and forgets it; none if nothing is.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn take_reserved(&mut self, id: &MessageId) -> Result<Option<Reserved>, SpoolError> {
        let reserved = self.reserved(id)?;
        if reserved.is_some() {
            self.unset(Table::Reserved, &id.0);
        }
        Ok(reserved)
    }

    /// What is set aside for a message; none if nothing is.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn reserved(&self, id: &MessageId) -> Result<Option<Reserved>, SpoolError> {
        let Some(bytes) = self.get(Table::Reserved, &id.0)? else { return Ok(None) };
        let reserved = row::read(Table::Reserved, &bytes, 2, |input| {
            let chain = row::read_chain(input)?;
            let value = row::read_option(input, "reserved value", |input| {
                exactly(input, "reserved value", 2)?;
                Ok((read_asset(input)?, read_amount(input)?))
            })?;
            Ok(Reserved { chain, value })
        })?;
        Ok(Some(reserved))
    }

    /// What a chain has used of its gas budget.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn gas(&self, chain: ChainId) -> Result<Bucket, SpoolError> {
        let bytes = self.get(Table::Gas, &row::chain_key(chain))?;
        let read = |bytes: Vec<u8>| row::read(Table::Gas, &bytes, 2, read_bucket);
        Ok(bytes.map(read).transpose()?.unwrap_or_default())
    }

    /// Notes what a chain has used of its gas budget.
    pub fn put_gas(&mut self, chain: ChainId, bucket: Bucket) {
        let value = row::write(2, |out| write_bucket(bucket, out));
        self.set(Table::Gas, &row::chain_key(chain), value);
    }
}

/// Chain and asset: assets hold no zero byte, so that no key is the start of another's entries.
pub(crate) fn account_key(chain: ChainId, asset: &Asset) -> Vec<u8> {
    [&row::chain_key(chain), asset.as_str().as_bytes()].concat()
}

/// A number under an account's key.
pub(crate) fn entry_key(account: &[u8], number: u64) -> Vec<u8> {
    [account, &[0], &number.to_be_bytes()].concat()
}

/// Reads what [`account_key`] wrote, in a key of this table.
pub(crate) fn read_account_key(table: Table, key: &[u8]) -> Result<(ChainId, Asset), SpoolError> {
    let parts = || {
        let (chain, asset) = key.split_at_checked(16)?;
        let chain = row::chain_of(chain.try_into().ok()?).ok()?;
        Some((chain, std::str::from_utf8(asset).ok()?.parse().ok()?))
    };
    parts().ok_or_else(|| row::corrupt(table, "a key is no chain and asset"))
}

fn write_account(row: &AccountRow) -> Vec<u8> {
    let Account { terms, limits, figures, bucket } = &row.account;
    row::write(13, |out| {
        write_set(*terms, *limits, out);
        let Figures { reserve, received, sent, pending_in, pending_out } = *figures;
        for figure in [reserve, received, sent, pending_in, pending_out] {
            out.bytes(&figure.to_minimal_bytes());
        }
        write_bucket(*bucket, out);
        row::write_option(row.suspension.as_ref(), out, |suspension, out| {
            out.array(3).text(&suspension.why).text(&suspension.by).uint(suspension.at.0);
        });
        out.uint(row.entries);
    })
}

fn read_account(bytes: &[u8]) -> Result<AccountRow, SpoolError> {
    row::read(Table::Accounts, bytes, 13, |input| {
        let (terms, limits) = read_set(input)?;
        let figures = Figures {
            reserve: read_amount(input)?,
            received: read_amount(input)?,
            sent: read_amount(input)?,
            pending_in: read_amount(input)?,
            pending_out: read_amount(input)?,
        };
        let bucket = read_bucket(input)?;
        let suspension = row::read_option(input, "suspension", |input| {
            exactly(input, "suspension", 3)?;
            let (why, by) = (read_text(input)?, read_text(input)?);
            Ok(Suspension { why, by, at: UnixMillis(input.uint("suspension at")?) })
        })?;
        let account = Account { terms, limits, figures, bucket };
        Ok(AccountRow { account, suspension, entries: input.uint("entries")? })
    })
}

/// Terms and limits, in four places of the row.
fn write_set(terms: Option<TermsHash>, limits: Limits, out: &mut Writer) {
    let window = limits.window.unwrap_or(Window { max: Amount::ZERO, seconds: 0 });
    out.bytes(terms.as_ref().map_or(&[], |terms| terms.0.as_slice()));
    out.bytes(&limits.credit_limit.to_minimal_bytes());
    out.bytes(&window.max.to_minimal_bytes()).uint(window.seconds);
}

fn read_set(input: &mut Reader<'_>) -> Result<(Option<TermsHash>, Limits), CborError> {
    let wrong = CborError { field: "terms", expected: "a hash or nothing" };
    let terms = match input.bytes("terms", 32)? {
        [] => None,
        bytes => Some(TermsHash(bytes.try_into().map_err(|_| wrong)?)),
    };
    let (credit_limit, max) = (read_amount(input)?, read_amount(input)?);
    let window = match input.uint("window")? {
        0 => None,
        seconds => Some(Window { max, seconds }),
    };
    Ok((terms, Limits { credit_limit, window }))
}

fn write_bucket(bucket: Bucket, out: &mut Writer) {
    out.bytes(&bucket.used.to_minimal_bytes()).uint(bucket.at.0);
}

fn read_bucket(input: &mut Reader<'_>) -> Result<Bucket, CborError> {
    Ok(Bucket { used: read_amount(input)?, at: UnixSeconds(input.uint("used at")?) })
}

fn write_entry(entry: &Entry) -> Vec<u8> {
    row::write(6, |out| {
        write_act(&entry.act, out);
        row::write_option(entry.id.as_ref(), out, |id, out| {
            out.bytes(&id.0);
        });
        row::write_option(entry.height, out, |height, out| {
            out.uint(height.0);
        });
        out.text(&entry.by).text(&entry.why).uint(entry.at.0);
    })
}

fn read_entry(bytes: &[u8]) -> Result<Entry, SpoolError> {
    row::read(Table::Entries, bytes, 6, |input| {
        let act = read_act(input)?;
        let id = row::read_option(input, "entry id", |input| input.fixed("entry id"))?;
        let height = row::read_option(input, "entry height", |input| input.uint("entry height"))?;
        let (by, why) = (read_text(input)?, read_text(input)?);
        let at = UnixMillis(input.uint("entry at")?);
        Ok(Entry { act, id: id.map(MessageId), height: height.map(Height), by, why, at })
    })
}

/// The number of an act: part of the format.
fn write_act(act: &Act, out: &mut Writer) {
    let mut sum = |number: u64, amount: &Amount| {
        out.array(2).uint(number).bytes(&amount.to_minimal_bytes());
    };
    match act {
        Act::Step(Step::Deposit(amount)) => sum(1, amount),
        Act::Step(Step::Withdraw(amount)) => sum(2, amount),
        Act::Step(Step::Reserve(amount)) => sum(3, amount),
        Act::Step(Step::Release(amount)) => sum(4, amount),
        Act::Step(Step::Commit { amount, reserved: true }) => sum(5, amount),
        Act::Step(Step::Commit { amount, reserved: false }) => sum(6, amount),
        Act::Step(Step::Lock(amount)) => sum(7, amount),
        Act::Step(Step::Close { amount, locked: true }) => sum(8, amount),
        Act::Step(Step::Close { amount, locked: false }) => sum(9, amount),
        Act::Step(Step::Refund(amount)) => sum(10, amount),
        Act::Step(Step::Set { terms, limits }) => {
            out.array(5).uint(0);
            write_set(*terms, *limits, out);
        }
        Act::Suspend => {
            out.array(1).uint(11);
        }
        Act::Resume => {
            out.array(1).uint(12);
        }
    }
}

fn read_act(input: &mut Reader<'_>) -> Result<Act, CborError> {
    let field = "entry act";
    let length = input.array(field, 5)?;
    let number = input.uint(field)?;
    let step = match (number, length) {
        (0, 5) => {
            let (terms, limits) = read_set(input)?;
            Step::Set { terms, limits }
        }
        (1, 2) => Step::Deposit(read_amount(input)?),
        (2, 2) => Step::Withdraw(read_amount(input)?),
        (3, 2) => Step::Reserve(read_amount(input)?),
        (4, 2) => Step::Release(read_amount(input)?),
        (5 | 6, 2) => Step::Commit { amount: read_amount(input)?, reserved: number == 5 },
        (7, 2) => Step::Lock(read_amount(input)?),
        (8 | 9, 2) => Step::Close { amount: read_amount(input)?, locked: number == 8 },
        (10, 2) => Step::Refund(read_amount(input)?),
        (11, 1) => return Ok(Act::Suspend),
        (12, 1) => return Ok(Act::Resume),
        _ => return Err(CborError { field, expected: "the number of an act" }),
    };
    Ok(Act::Step(step))
}

/// Longest text of who and why that is read; writers keep to a reply's length.
const TEXT_BYTES_MAX: usize = 1024;

fn read_text(input: &mut Reader<'_>) -> Result<String, CborError> {
    input.text("account text", TEXT_BYTES_MAX).map(str::to_owned)
}

/// Reads the head of an array of exactly `items`.
pub(crate) fn exactly(
    input: &mut Reader<'_>,
    field: &'static str,
    items: usize,
) -> Result<(), CborError> {
    let wrong = CborError { field, expected: "an array of its fixed length" };
    if input.array(field, items)? == items { Ok(()) } else { Err(wrong) }
}

pub(crate) fn read_asset(input: &mut Reader<'_>) -> Result<Asset, CborError> {
    let wrong = CborError { field: "asset", expected: "an asset" };
    input.text("asset", Asset::TEXT_MAX)?.parse().map_err(|_| wrong)
}

pub(crate) fn read_amount(input: &mut Reader<'_>) -> Result<Amount, CborError> {
    let wrong = CborError { field: "amount", expected: "its shortest form" };
    Amount::from_minimal_bytes(input.bytes("amount", 32)?).map_err(|_| wrong)
}
