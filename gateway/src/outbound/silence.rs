//! A destination that is gone: since when nobody there has answered, and the refund without a
//! receipt that the operator may allow then (`[policy] refund_without_receipt`; `docs/protocol.md`,
//! *Ends*). Off unless the operator says otherwise, and nothing is noted while it is off.
//!
//! A silence is made of attempts: it lasts from the first one in vain to the newest, as long as
//! they came often enough. A gateway that was off for a month has not listened for a month. Any
//! answer ends it, whatever it says, and so does any call from there: who answers `pending`, or
//! even nonsense, is not gone.

use std::time::Duration;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    time::UnixMillis,
};
use distpos_spool::{Direction, Silence, SpoolError, State, Tx};

use crate::{
    event::Event,
    gateway::Gateway,
    transition::{shift, to},
};

/// Longest time between two attempts of one silence. The queue tries hourly at the least; after
/// more than this it was this gateway that was away, and the silence begins anew.
pub const ATTEMPTS_APART_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Notes that nobody of a chain was reached.
///
/// # Errors
/// [`SpoolError`] if that cannot be noted.
pub async fn failed(gateway: &Gateway, peer: ChainId) -> Result<(), SpoolError> {
    if gateway.correspondents.policy().refund_without_receipt.is_none() {
        return Ok(());
    }
    let now = gateway.now();
    gateway.spool.transact(move |tx| extend(tx, peer, now).map(drop)).await
}

/// Notes that somebody of a chain answered, or called.
pub async fn heard(gateway: &Gateway, peer: ChainId) {
    let ending = async {
        // Nearly always there is none, and nothing to write.
        if gateway.spool.read(|tx| tx.silence(peer))?.is_some() {
            let end = move |tx: &mut Tx<'_>| {
                tx.end_silence(peer);
                Ok(())
            };
            gateway.spool.transact(end).await?;
        }
        Ok::<_, SpoolError>(())
    };
    if let Err(error) = ending.await {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
    }
}

/// Notes that nobody of a chain was reached, and starts the refund of those of its queued messages
/// that the operator gives up: the grace has passed since they expired, and the silence is as old.
/// Gives back the others.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written.
pub async fn give_up(
    gateway: &Gateway,
    peer: ChainId,
    ids: Vec<MessageId>,
    why: &Reply,
) -> Result<Vec<MessageId>, SpoolError> {
    let Some(grace) = gateway.correspondents.policy().refund_without_receipt else {
        return Ok(ids);
    };
    let (now, text, all) = (gateway.now(), why.text().to_owned(), ids.clone());
    let giving_up = gateway.spool.transact(move |tx| {
        let silence = extend(tx, peer, now)?;
        if now.since(silence.since) < grace {
            return Ok(None);
        }
        let hours = now.since(silence.since).as_secs() / (60 * 60);
        let reply = Reply::new(Code::GONE, format!("{peer} has been silent for {hours} h: {text}"));
        let old = expired(tx, &all, now, grace)?;
        let refunding = to(State::Refunding, Some(now), Some(reply.clone()));
        let given_up = shift(tx, Direction::Outbound, &old, &[State::Queued], refunding, now)?;
        Ok::<_, SpoolError>(Some((reply, given_up)))
    });
    let Some((reply, given_up)) = giving_up.await? else { return Ok(ids) };
    if !given_up.is_empty() {
        let number = given_up.len();
        let what = format!(
            "{number} messages for {peer} are refunded without a receipt: {}. If one was delivered \
             there, the account with {peer} is wrong by its sum",
            reply.text()
        );
        gateway.emit(Event::Alert { what });
    }
    for id in &given_up {
        gateway.emit(Event::Refused { id: *id, reply: reply.clone() });
    }
    Ok(ids.into_iter().filter(|id| !given_up.contains(id)).collect())
}

/// The silence with one more attempt in vain.
fn extend(tx: &mut Tx<'_>, peer: ChainId, now: UnixMillis) -> Result<Silence, SpoolError> {
    let held = tx.silence(peer)?.filter(|held| now.since(held.last) <= ATTEMPTS_APART_MAX);
    let silence = Silence { since: held.map_or(now, |held| held.since), last: now };
    tx.set_silence(peer, silence);
    Ok(silence)
}

/// Those of these messages that expired longer ago than `grace`.
fn expired(
    tx: &Tx<'_>,
    ids: &[MessageId],
    now: UnixMillis,
    grace: Duration,
) -> Result<Vec<MessageId>, SpoolError> {
    let mut old = Vec::new();
    for id in ids {
        let Some((batch, position)) = tx.find(Direction::Outbound, id)? else { continue };
        let held = tx.batch(Direction::Outbound, batch)?;
        let item = held.as_ref().and_then(|batch| batch.items.get(position));
        if item.is_some_and(|item| item.expires.millis().after(grace) < now) {
            old.push(*id);
        }
    }
    Ok(old)
}
