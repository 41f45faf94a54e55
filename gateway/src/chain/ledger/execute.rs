//! A block being made: transactions go in one by one, each as a whole or not at all.

use distpos_proto::{
    account::Step,
    amount::Amount,
    chain::{ChainId, GenesisTag, Height},
    code::{Code, Reply},
    key::PublicKey,
    message::{Asset, Fields, Message, MessageId},
    time::UnixSeconds,
};

use super::{
    Genesis, LedgerError, OUTBOX, address,
    credit::{self, Vault},
    judge::{self, Own},
    state::{
        AccountRow, AuthorityNonce, IncludedRow, LastSequence, Overlay, Peer, Sent, SentState, load,
    },
    store::{Changes, Rows},
    transaction::{Action, SendOrder, SignedTransaction, Transaction},
};
use crate::chain::{ChainError, ChainEvent};

mod accounts;
mod ends;

/// The chain's rules, as far as they are not in the state.
#[derive(Clone, Copy)]
pub(super) struct Rules<'l> {
    pub(super) own: Own,
    pub(super) genesis: &'l Genesis,
}

/// A block being made.
pub(super) struct Draft<'r> {
    rules: Rules<'r>,
    pub(super) height: Height,
    pub(super) time: UnixSeconds,
    state: Overlay<'r>,
    pub(super) transactions: Vec<Vec<u8>>,
    pub(super) outgoing: Vec<Message>,
    pub(super) events: Vec<ChainEvent>,
}

/// What came of one transaction.
pub(super) struct Applied {
    /// Its items that the chain would not take.
    pub(super) refused: Vec<(MessageId, Reply)>,
}

impl<'r> Draft<'r> {
    /// An empty block on top of `rows`.
    pub(super) fn new(
        rules: Rules<'r>,
        rows: &'r dyn Rows,
        height: Height,
        time: UnixSeconds,
    ) -> Self {
        let state = Overlay::on(rows);
        let (transactions, outgoing, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, height, time, state, transactions, outgoing, events }
    }

    /// The state with what is in the block so far.
    pub(super) fn rows(&self) -> &dyn Rows {
        &self.state
    }

    /// What the block changes.
    pub(super) fn into_changes(self) -> Changes {
        self.state.into_changes()
    }

    /// Puts a transaction into the block. One that is there already, in this block or an earlier
    /// one, changes nothing and is no error: its sender may not have heard of it. Neither is an
    /// authority's transaction that finds nothing left to do.
    ///
    /// # Errors
    /// [`ChainError::Refused`]: the block is as it was before.
    pub(super) fn apply(&mut self, signed: &SignedTransaction) -> Result<Applied, ChainError> {
        if load::<IncludedRow>(&self.state, &signed.id)?.is_some() {
            return Ok(Applied { refused: Vec::new() });
        }
        let mut work = Work {
            rules: self.rules,
            height: self.height,
            time: self.time,
            index: self.transactions.len() as u64,
            id: signed.id.0.to_vec(),
            state: Overlay::on(&self.state),
            outgoing: None,
            events: Vec::new(),
            refused: Vec::new(),
        };
        let changed = work.run(&signed.transaction)?;
        let Work { mut state, outgoing, events, refused, .. } = work;
        if changed {
            let message = outgoing.as_ref().map(Message::id);
            state.put(&signed.id, &IncludedRow { height: self.height.0, message });
            let changes = state.into_changes();
            self.state.merge(changes);
            self.outgoing.extend(outgoing);
            self.events.extend(events);
            self.transactions.push(signed.bytes.clone());
        }
        Ok(Applied { refused })
    }
}

/// One transaction at work. An error drops it, and everything it did.
struct Work<'r> {
    rules: Rules<'r>,
    height: Height,
    time: UnixSeconds,
    /// The transaction's place in the block.
    index: u64,
    /// The transaction's id, as events carry it.
    id: Vec<u8>,
    state: Overlay<'r>,
    outgoing: Option<Message>,
    events: Vec<ChainEvent>,
    refused: Vec<(MessageId, Reply)>,
}

/// A refusal for good.
fn refuse<T>(code: Code, text: impl Into<String>) -> Result<T, ChainError> {
    Err(ChainError::Refused(Reply::new(code, text)))
}

/// Sums within the supply cannot overflow; where one does, rows on disk are wrong.
fn sum(result: Option<u128>) -> Result<u128, LedgerError> {
    let wrong = || LedgerError::Corrupt { row: "sums", what: "do not add up to the supply".into() };
    result.ok_or_else(wrong)
}

impl Work<'_> {
    /// Does the transaction; tells whether it changed anything.
    fn run(&mut self, transaction: &Transaction) -> Result<bool, ChainError> {
        let (own, place) = (self.rules.own, transaction.place);
        if (place.chain, place.tag) != (own.chain, own.tag) {
            let text = format!(
                "transaction is for chain {} {}, this is {} {}",
                place.chain, place.tag, own.chain, own.tag
            );
            return refuse(Code::POLICY, text);
        }
        if transaction.action.is_authoritys() {
            return self.run_authoritys(transaction);
        }
        let account = self.account_of(transaction)?;
        match &transaction.action {
            Action::Transfer { to, amount } => self.transfer(transaction.signer, to, *amount),
            Action::Send(order) => self.send(transaction.signer, account, order),
            Action::Deposit { chain, asset, amount } => {
                self.deposit(transaction.signer, *chain, asset, *amount)
            }
            _ => Ok(()),
        }?;
        Ok(true)
    }

    fn run_authoritys(&mut self, transaction: &Transaction) -> Result<bool, ChainError> {
        let signer = transaction.signer;
        if !self.rules.genesis.authorities.contains(&signer) {
            return refuse(Code::POLICY, format!("{signer} is no authority of this chain"));
        }
        let nonce = load::<AuthorityNonce>(&self.state, &signer)?.unwrap_or_default().0;
        let next = self.next_nonce(nonce, transaction.place.nonce)?;
        match &transaction.action {
            Action::Register(chain, tag) => self.register(*chain, *tag),
            Action::Deliver(messages) => self.deliver(messages),
            Action::Void(items) => self.void(items),
            Action::End(items) => self.end(items),
            Action::Account(order) => self.set_account(order),
            Action::Settle(order) => self.settle(signer, order),
            Action::Open | Action::Transfer { .. } | Action::Send(_) | Action::Deposit { .. } => {
                Ok(())
            }
        }?;
        if self.state.changes().is_empty() {
            return Ok(false);
        }
        self.state.put(&signer, &AuthorityNonce(next));
        Ok(true)
    }

    /// The signer's account with its nonce used up; opens it where that is the action.
    fn account_of(&mut self, transaction: &Transaction) -> Result<AccountRow, ChainError> {
        let signer = transaction.signer;
        let held = load::<AccountRow>(&self.state, &signer)?;
        let account = match (held, &transaction.action) {
            (None, Action::Open) => AccountRow { balance: 0, nonce: 0 },
            (Some(_), Action::Open) => return refuse(Code::POLICY, "account is open already"),
            (Some(account), _) => account,
            (None, _) => {
                return Err(ChainError::Refused(judge::not_open(&address::local(&signer))));
            }
        };
        let nonce = self.next_nonce(account.nonce, transaction.place.nonce)?;
        let account = AccountRow { nonce, ..account };
        self.state.put(&signer, &account);
        Ok(account)
    }

    fn next_nonce(&self, expected: u64, found: u64) -> Result<u64, ChainError> {
        match expected.checked_add(1) {
            Some(next) if expected == found => Ok(next),
            _ => refuse(Code::POLICY, format!("nonce is {found}, expected {expected}")),
        }
    }

    fn transfer(
        &mut self,
        from: PublicKey,
        to: &PublicKey,
        amount: Amount,
    ) -> Result<(), ChainError> {
        if amount.is_zero() {
            return refuse(Code::MALFORMED, "amount is 0, expected more");
        }
        if load::<AccountRow>(&self.state, to)?.is_none() {
            return Err(ChainError::Refused(judge::not_open(&address::local(to))));
        }
        let amount = self.debit(from, amount)?;
        Ok(self.credit(to, amount)?)
    }

    /// Takes a sum from an account that must have it.
    fn debit(&mut self, key: PublicKey, amount: Amount) -> Result<u128, ChainError> {
        let account = load::<AccountRow>(&self.state, &key)?;
        let Some(account) = account else {
            return Err(ChainError::Refused(judge::not_open(&address::local(&key))));
        };
        let taken = amount.to_u128().and_then(|sum| Some((sum, account.balance.checked_sub(sum)?)));
        let Some((sum, balance)) = taken else {
            return refuse(
                Code::POLICY,
                format!("balance is {}, less than {amount}", account.balance),
            );
        };
        self.state.put(&key, &AccountRow { balance, ..account });
        Ok(sum)
    }

    /// Gives a sum to an account that is known to be open.
    fn credit(&mut self, key: &PublicKey, amount: u128) -> Result<(), LedgerError> {
        let missing = || LedgerError::Corrupt { row: "account row", what: "missing".into() };
        let account = load::<AccountRow>(&self.state, key)?.ok_or_else(missing)?;
        let balance = sum(account.balance.checked_add(amount))?;
        self.state.put(key, &AccountRow { balance, ..account });
        Ok(())
    }

    /// Locks the sum and lets the message leave.
    fn send(
        &mut self,
        sender: PublicKey,
        account: AccountRow,
        order: &SendOrder,
    ) -> Result<(), ChainError> {
        let destination = order.to.chain();
        if destination == self.rules.own.chain {
            return refuse(Code::LOOP, "recipient is on this chain: a transfer reaches it");
        }
        if order.amount > account.balance.into() {
            let text = format!("balance is {}, less than {}", account.balance, order.amount);
            return refuse(Code::POLICY, text);
        }
        let expires = self.expires(order.expires)?;
        let peer = load::<Peer>(&self.state, &destination)?;
        // Without an account the sum has a name and no terms: the other side refuses it, and it
        // comes back.
        let (asset, terms) = match credit::open_account(&self.state, destination)? {
            Some((asset, account)) => (asset, account.terms),
            None => (own_coin(self.rules.own.chain), None),
        };
        let amount = sum(order.amount.to_u128())?;
        let state = SentState::Open;
        let sent = Sent { state, sender, destination, amount, asset, terms };
        let value = sent.value();
        let last = load::<LastSequence>(&self.state, &destination)?.unwrap_or_default().0;
        let sequence = sum_u64(last.checked_add(1))?;
        let message = Message::new(Fields {
            source: self.rules.own.chain,
            source_tag: self.rules.own.tag,
            destination,
            destination_tag: peer.map_or(GenesisTag::UNSET, |peer| peer.tag),
            outbox: OUTBOX.to_vec(),
            sequence,
            sender: address::local(&sender),
            recipient: order.to.local().clone(),
            value: value.clone(),
            data: order.data.clone(),
            gas: order.gas,
            on_fail: order.on_fail,
            expires,
        });
        let message = match message {
            Ok(message) => message,
            Err(error) => return refuse(Code::MALFORMED, error.to_string()),
        };
        let amount = self.debit(sender, order.amount)?;
        let mut totals = judge::totals(&self.state)?;
        totals.escrow = sum(totals.escrow.checked_add(amount))?;
        self.state.put(&(), &totals);
        if let Some(value) = value {
            self.step_of(destination, &value, &Step::Lock(value.amount), Vault::Same)?;
        }
        self.state.put(&destination, &LastSequence(sequence));
        self.state.put(&message.id(), &sent);
        self.outgoing = Some(message);
        Ok(())
    }

    fn expires(&self, asked: UnixSeconds) -> Result<UnixSeconds, ChainError> {
        let after = |seconds: u64| UnixSeconds(self.time.0.saturating_add(seconds));
        let latest = after(Message::EXPIRES_AFTER_MAX);
        match asked {
            UnixSeconds(0) => Ok(after(Message::EXPIRES_AFTER_DEFAULT)),
            past if past <= self.time => {
                let text =
                    format!("expires {} is not after the block's time {}", past.0, self.time.0);
                refuse(Code::EXPIRED, text)
            }
            late if late > latest => {
                let text = format!("expires {} is too late, expected {} at most", late.0, latest.0);
                refuse(Code::POLICY, text)
            }
            fine => Ok(fine),
        }
    }
}

/// What the coin is called in messages to a chain that is not registered.
pub(super) fn own_coin(chain: ChainId) -> Asset {
    format!("{chain}/coin").parse().expect("a chain-id and a label are an asset")
}

fn sum_u64(result: Option<u64>) -> Result<u64, LedgerError> {
    result.ok_or_else(|| LedgerError::Corrupt { row: "sequence row", what: "past 2^64".into() })
}
