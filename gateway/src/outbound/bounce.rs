//! Messages to a chain that does not exist: the one refund without a receipt that no operator has to
//! allow (`docs/protocol.md`, *Ends*).

use distpos_proto::{
    account::Figures,
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    key::SecretKey,
    message::{Message, MessageId},
    receipt::Outcome,
};
use distpos_spool::{AccountRow, Batch, Direction, SpoolError, State};

use crate::{
    event::Event,
    gateway::Gateway,
    transition::{shift, to},
};

/// Whether a look-up failed for good: no such chain, or one that accepts nothing.
#[must_use]
pub fn is_permanent(reply: &Reply) -> bool {
    reply.code == Code::UNKNOWN_CHAIN || reply.code == Code::NULL_RECORD
}

/// Whether a refund for this reason is one without a receipt.
#[must_use]
pub fn is_own_reason(reply: &Reply) -> bool {
    is_permanent(reply) || reply.code == Code::GONE
}

/// How a message ended that was refunded for this reason: told to its sender, signed by nobody.
#[must_use]
pub fn outcome(reply: Reply) -> Option<Outcome> {
    let (code, text) = (reply.code, reply.text().to_owned());
    is_own_reason(&reply).then_some(Outcome::Refused { code, text })
}

/// Whether an outcome is one of these and not a receipt's: no destination says that it does not
/// exist, or does not answer.
#[must_use]
pub fn is_unsigned(outcome: Option<&Outcome>) -> bool {
    match outcome {
        None => true,
        Some(Outcome::Refused { code, .. }) => {
            [Code::UNKNOWN_CHAIN, Code::NULL_RECORD, Code::GONE].contains(code)
        }
        Some(Outcome::Delivered { .. }) => false,
    }
}

/// Starts the refund of those messages that no gateway of this chain can have delivered: the
/// operator never named the chain, nothing was ever sent there, and either this gateway is the
/// chain's only one or the message cannot be delivered anywhere. Gives back the others.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written.
pub async fn bounce(
    gateway: &Gateway,
    peer: ChainId,
    batches: &[Batch],
    reply: Reply,
) -> Result<Vec<MessageId>, SpoolError> {
    let all: Vec<MessageId> =
        batches.iter().flat_map(|batch| batch.items.iter().map(|item| item.id)).collect();
    // An account was agreed with somebody there, or money has moved: it may be closed by now.
    let known = gateway.spool.read(|tx| {
        let open = |(_, row): &(_, AccountRow)| {
            let Figures { reserve, received, sent, .. } = row.account.figures;
            row.account.terms.is_some() || [reserve, received, sent] != [Amount::ZERO; 3]
        };
        Ok::<_, SpoolError>(tx.seen(peer)?.is_some() || tx.accounts_with(peer)?.iter().any(open))
    })?;
    if gateway.correspondents.is_named(peer) || known {
        return Ok(all);
    }
    let (ids, rest) = if is_alone(gateway).await {
        (all, Vec::new())
    } else {
        let ids = undeliverable(gateway, batches)?;
        let rest = all.into_iter().filter(|id| !ids.contains(id)).collect();
        (ids, rest)
    };
    for id in &ids {
        gateway.emit(Event::Refused { id: *id, reply: reply.clone() });
    }
    let now = gateway.now();
    let moving = gateway.spool.transact(move |tx| {
        let refunding = to(State::Refunding, Some(now), Some(reply));
        shift(tx, Direction::Outbound, &ids, &[State::Queued], refunding, now)
    });
    moving.await?;
    Ok(rest)
}

/// Whether this chain has no other gateway, by its keys and by its own records. What a sibling has
/// sent is not known here.
pub(crate) async fn is_alone(gateway: &Gateway) -> bool {
    let keys = gateway.identity.keys();
    let own: Vec<_> = keys.secrets.iter().map(SecretKey::public).collect();
    if keys.set.keys().any(|key| !own.contains(key)) {
        return false;
    }
    match gateway.resolver.route(gateway.facts().chain).await {
        Ok(own) => own.gateways.iter().all(|listed| listed.pins.contains(&gateway.identity.pin)),
        // Not published: nobody else can be listed. Any other failure leaves a doubt.
        Err(error) => error.is_permanent(),
    }
}

/// Messages that every destination voids, so that no sibling can have got them delivered: value
/// without the destination's genesis tag, or without an account's terms.
fn undeliverable(gateway: &Gateway, batches: &[Batch]) -> Result<Vec<MessageId>, SpoolError> {
    let cannot_be = |message: &Message| {
        let fields = message.fields();
        let value = fields.value.as_ref();
        value.is_some_and(|value| fields.destination_tag.is_unset() || value.terms.is_none())
    };
    gateway.spool.read(|tx| {
        let mut ids = Vec::new();
        for batch in batches {
            let envelopes = tx.messages(Direction::Outbound, batch.id)?;
            let messages = envelopes.iter().map(|envelope| &envelope.message);
            ids.extend(messages.filter(|message| cannot_be(message)).map(Message::id));
        }
        Ok(ids)
    })
}
