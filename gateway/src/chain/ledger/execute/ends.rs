//! How messages end on this chain: delivered or void as destination, closed or refunded as source.

use distpos_proto::{
    amount::Amount,
    code::{Code, Reply},
    message::{Message, MessageId},
    receipt::{Call, EndingKind},
};

use super::{Work, sum, value_of};
use crate::chain::{
    ChainError, ChainEvent, Simulation,
    ledger::{
        LedgerError, address,
        judge::{self, book, judge},
        state::{Guard, Sent, SentState, load},
    },
};

impl Work<'_> {
    pub(super) fn deliver(&mut self, messages: &[Message]) -> Result<(), ChainError> {
        for (item, message) in (0..).zip(messages) {
            match judge(&self.state, self.rules.own, message, self.time)? {
                Simulation::Ended => {}
                Simulation::Refused(reply) | Simulation::Deferred(reply) => {
                    self.refused.push((message.id(), reply));
                }
                Simulation::Passes => self.pay(item, message)?,
            }
        }
        Ok(())
    }

    /// Pays a message that the rules in `judge.rs` have let pass.
    fn pay(&mut self, item: u64, message: &Message) -> Result<(), ChainError> {
        let fields = message.fields();
        let amount = sum(message.amount().to_u128())?;
        let recipient = address::public_key(&fields.recipient).map_err(ChainError::Refused)?;
        self.credit(&recipient, amount)?;
        if let Some(value) = &fields.value {
            let mut totals = judge::totals(&self.state)?;
            totals.vault = sum(totals.vault.checked_sub(amount))?;
            self.state.put(&(), &totals);
            let mut book = book(&self.state, fields.source, &value.asset)?;
            book.received = grown(book.received, amount)?;
            self.state.put(&(fields.source, value.asset.clone()), &book);
        }
        let guard = Guard::Delivered { height: self.height.0, index: self.index, item };
        self.state.put(&message.id(), &guard);
        self.events.push(ChainEvent::Delivered {
            id: message.id(),
            source: fields.source,
            value: fields.value.clone(),
            transaction: self.id.clone(),
            // Accounts of the ledger hold no code: data is kept with the delivery.
            call: Call::None,
        });
        Ok(())
    }

    pub(super) fn void(&mut self, items: &[(Message, Reply)]) -> Result<(), ChainError> {
        for (message, reply) in items {
            if !reply.code.may_void() {
                let text = format!("code {} voids no message", reply.code);
                self.refused.push((message.id(), Reply::new(Code::POLICY, text)));
            } else if load::<Guard>(&self.state, &message.id())?.is_none() {
                let (code, text) = (reply.code, reply.text().to_owned());
                self.state.put(&message.id(), &Guard::Void { code, text: text.clone() });
                let (id, source) = (message.id(), message.fields().source);
                self.events.push(ChainEvent::Voided { id, source, code, text });
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, items: &[(MessageId, EndingKind)]) -> Result<(), ChainError> {
        for (id, kind) in items {
            match (load::<Sent>(&self.state, id)?, kind) {
                (None, _) => {
                    let reply = Reply::new(Code::POLICY, "no such message has left this chain");
                    self.refused.push((*id, reply));
                }
                (Some(sent), _) if sent.state != SentState::Open => {}
                (Some(sent), EndingKind::Close) => self.close(*id, sent)?,
                (Some(sent), EndingKind::Refund) => self.refund(*id, sent)?,
            }
        }
        Ok(())
    }

    /// Delivered there: what was the sender's is the vault's now.
    fn close(&mut self, id: MessageId, sent: Sent) -> Result<(), LedgerError> {
        let mut totals = judge::totals(&self.state)?;
        totals.escrow = sum(totals.escrow.checked_sub(sent.amount))?;
        totals.vault = sum(totals.vault.checked_add(sent.amount))?;
        self.state.put(&(), &totals);
        let value = value_of(&sent.asset, sent.amount.into());
        if value.is_some() {
            let mut book = book(&self.state, sent.destination, &sent.asset)?;
            book.sent = grown(book.sent, sent.amount)?;
            self.state.put(&(sent.destination, sent.asset.clone()), &book);
        }
        let destination = sent.destination;
        self.state.put(&id, &Sent { state: SentState::Closed, ..sent });
        self.events.push(ChainEvent::Closed { id, destination, value });
        Ok(())
    }

    /// Refused there: the recorded sender gets the recorded sum.
    fn refund(&mut self, id: MessageId, sent: Sent) -> Result<(), LedgerError> {
        let mut totals = judge::totals(&self.state)?;
        totals.escrow = sum(totals.escrow.checked_sub(sent.amount))?;
        self.state.put(&(), &totals);
        self.credit(&sent.sender, sent.amount)?;
        self.state.put(&id, &Sent { state: SentState::Refunded, ..sent });
        self.events.push(ChainEvent::Refunded { id });
        Ok(())
    }
}

fn grown(book: Amount, amount: u128) -> Result<Amount, LedgerError> {
    let wrong = || LedgerError::Corrupt { row: "book row", what: "past 2^256".into() };
    book.checked_add(amount.into()).ok_or_else(wrong)
}
