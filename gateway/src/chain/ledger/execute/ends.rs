//! How messages end on this chain: delivered or void as destination, closed or refunded as source.

use distpos_proto::{
    account::Step,
    code::{Code, Reply},
    message::{Message, MessageId},
    receipt::{Call, EndingKind},
};

use super::{Work, sum};
use crate::chain::{
    ChainError, ChainEvent, Simulation,
    ledger::{
        LedgerError, address,
        credit::Vault,
        judge::{self, judge},
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
            let step = Step::Commit { amount: value.amount, reserved: false };
            self.step_of(fields.source, value, &step, Vault::Out(amount))?;
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

    /// Delivered there: what was the sender's covers what arrives from there now.
    fn close(&mut self, id: MessageId, sent: Sent) -> Result<(), LedgerError> {
        self.out_of_escrow(sent.amount)?;
        let (destination, value) = (sent.destination, sent.value());
        if let Some(value) = &value {
            let step = Step::Close { amount: value.amount, locked: true };
            self.step_of(destination, value, &step, Vault::In(sent.amount))?;
        }
        self.state.put(&id, &Sent { state: SentState::Closed, ..sent });
        self.events.push(ChainEvent::Closed { id, destination, value });
        Ok(())
    }

    /// Refused there: the recorded sender gets the recorded sum.
    fn refund(&mut self, id: MessageId, sent: Sent) -> Result<(), LedgerError> {
        self.out_of_escrow(sent.amount)?;
        self.credit(&sent.sender, sent.amount)?;
        if let Some(value) = sent.value() {
            let step = Step::Refund(value.amount);
            self.step_of(sent.destination, &value, &step, Vault::Same)?;
        }
        self.state.put(&id, &Sent { state: SentState::Refunded, ..sent });
        self.events.push(ChainEvent::Refunded { id });
        Ok(())
    }

    fn out_of_escrow(&mut self, amount: u128) -> Result<(), LedgerError> {
        let mut totals = judge::totals(&self.state)?;
        totals.escrow = sum(totals.escrow.checked_sub(amount))?;
        self.state.put(&(), &totals);
        Ok(())
    }
}
