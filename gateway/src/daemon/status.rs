//! How messages stand, for their senders: answered from the spool.

use std::sync::Arc;

use distpos_proto::{
    message::MessageId,
    receipt::{EndingKind, Outcome as Ended},
    time::UnixMillis,
};
use distpos_spool::{Batch, Direction, End, SpoolError, State, Tx};

use crate::{
    chain::ledger::{Ledger, TransactionId},
    gateway::Gateway,
    submit::{Direction as Way, MessageStatus, MessageView, Outcome, StepView},
};

pub(super) struct FromSpool {
    gateway: Arc<Gateway>,
    ledger: Option<Arc<Ledger>>,
}

impl FromSpool {
    pub(super) fn new(gateway: Arc<Gateway>, ledger: Option<Arc<Ledger>>) -> Self {
        Self { gateway, ledger }
    }
}

impl MessageStatus for FromSpool {
    fn message(&self, id: MessageId) -> Option<MessageView> {
        let found = self.gateway.spool.read(|tx| message(tx, id));
        found.unwrap_or_else(|error| {
            tracing::warn!(target: "distpos", "status of {id}: {error}");
            None
        })
    }

    fn by_transaction(&self, transaction: &[u8]) -> Vec<MessageId> {
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let Ok(id) = transaction.try_into().map(TransactionId) else { return Vec::new() };
        match ledger.included(&id) {
            Ok(included) => included.and_then(|included| included.message).into_iter().collect(),
            Err(error) => {
                tracing::warn!(target: "distpos", "transaction {id}: {error}");
                Vec::new()
            }
        }
    }
}

/// How a message stands, or has ended; none if it is not known.
pub(crate) fn message(tx: &Tx<'_>, id: MessageId) -> Result<Option<MessageView>, SpoolError> {
    for direction in Direction::BOTH {
        let queued = match tx.find(direction, &id)? {
            Some((batch, _)) => tx.batch(direction, batch)?,
            None => None,
        };
        let end = tx.ended(direction, &id)?;
        if queued.is_some() || end.is_some() {
            return Ok(Some(view(id, direction, queued, end)));
        }
    }
    Ok(None)
}

fn view(
    id: MessageId,
    direction: Direction,
    queued: Option<Batch>,
    end: Option<End>,
) -> MessageView {
    let peer = queued.as_ref().map(|b| b.peer).or_else(|| end.as_ref().map(|e| e.peer));
    let mut steps: Vec<(State, UnixMillis)> =
        end.as_ref().map(|end| end.history.clone()).unwrap_or_default();
    if let Some(batch) = &queued {
        steps.clone_from(&batch.history);
    }
    let outcome = match direction {
        Direction::Outbound => end.as_ref().and_then(|end| end.settled).map(|kind| match kind {
            EndingKind::Close => Outcome::Delivered,
            EndingKind::Refund => Outcome::Refunded,
        }),
        Direction::Inbound => {
            end.as_ref().and_then(|end| end.outcome.as_ref()).map(|outcome| match outcome {
                Ended::Delivered { .. } => Outcome::Delivered,
                Ended::Refused { .. } => Outcome::Refunded,
            })
        }
    };
    let (code, text) = said(queued.as_ref(), end.as_ref());
    MessageView {
        id: id.to_string(),
        direction: match direction {
            Direction::Outbound => Way::Out,
            Direction::Inbound => Way::In,
        },
        state: state(queued.as_ref(), outcome),
        peer: peer.map(|peer| peer.to_string()).unwrap_or_default(),
        code,
        text,
        steps: steps
            .into_iter()
            .map(|(state, at)| StepView { state: state.word().to_owned(), at_ms: at.0 })
            .collect(),
        outcome,
    }
}

fn state(queued: Option<&Batch>, outcome: Option<Outcome>) -> String {
    match (queued, outcome) {
        (_, Some(Outcome::Delivered)) => "delivered".to_owned(),
        (_, Some(Outcome::Refunded)) => "refunded".to_owned(),
        (Some(batch), None) => batch.state.word().to_owned(),
        (None, None) => "ended".to_owned(),
    }
}

/// The receipt's word if there is one, else the queue's last reason.
fn said(queued: Option<&Batch>, end: Option<&End>) -> (Option<String>, Option<String>) {
    match end.and_then(|end| end.outcome.as_ref()) {
        Some(Ended::Refused { code, text }) => (Some(code.to_string()), Some(text.clone())),
        Some(Ended::Delivered { .. }) => (Some("2.0.0".to_owned()), Some("delivered".to_owned())),
        None => match queued.and_then(|batch| batch.reply.as_ref()) {
            Some(reply) => (Some(reply.code.to_string()), Some(reply.text().to_owned())),
            None => (None, None),
        },
    }
}
