//! What chains and their gateways do here moves their standing: this is where each event is noted
//! (`docs/credit.md`, *Standing*).
//!
//! | event | noted by | from |
//! | --- | --- | --- |
//! | proven in time | [`ended`] | [`crate::outbound::watch`], in the commit of the delivery's block |
//! | invalid proof | [`wrong_proof`] | [`crate::inbound::verify`] |
//! | sequence gap | [`watch`] | what [`proven`] kept |
//! | timeout | [`silent`], [`if_all_silent`]; over with [`answered`] | [`crate::contact`] |
//! | spam | [`let_go`] | [`crate::inbound::deliver`], in the commit that lets the claims go |
//! | settlements, statements, guarantees | [`note`] | whoever settles, in its own commit |
//!
//! It defers ([`deferral`]) and orders ([`in_order`]). Only a conflict freezes, and none of this is
//! one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use distpos_proto::{
    chain::ChainId,
    code::Reply,
    message::{Message, MessageId},
    receipt::Outcome,
    standing::{self, Happening, IN_TIME, Standing, Subject},
    time::UnixMillis,
};
use distpos_resolver::{Gateway as Listed, Route};
use distpos_spool::{BatchId, Direction, Prover, SpoolError, StandingEntry, State, Tx};
use tokio::time::sleep;

use crate::{
    contact, event::Event, gateway::Gateway, outbound::bounce, peer::PeerError, stop::Stop,
    watchdog::Task,
};

pub mod view;

/// How often gaps are looked for: they count after hours, and a look reads one small row a source.
const GAPS_LOOKED_AT: Duration = Duration::from_secs(10 * 60);

/// Notes an event in a commit of the caller's, which puts the changes into the log when it is done.
/// An event that came too soon after the last of its kind changes nothing.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn note(
    tx: &mut Tx<'_>,
    subject: &Subject,
    happening: Happening,
    cause: &str,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let entry = tx.note_standing(subject, happening, cause, now)?;
    events.extend(entry.map(|entry| event(subject, entry)));
    Ok(())
}

fn event(subject: &Subject, entry: StandingEntry) -> Event {
    let StandingEntry { happening, cause, after: standing, .. } = entry;
    Event::Standing { subject: subject.clone(), happening, cause, standing }
}

/// The subject of a gateway; none if its name is one that nothing can be kept under.
fn subject(chain: ChainId, gateway: &str) -> Option<Subject> {
    Subject::gateway(chain, gateway).ok()
}

/// A gateway gave evidence that only a wrong giver gives. Its chain lists it.
///
/// # Errors
/// [`SpoolError`] if that cannot be noted.
pub async fn wrong_proof(
    gateway: &Gateway,
    chain: ChainId,
    from: &str,
    cause: String,
) -> Result<(), SpoolError> {
    let (now, giver) = (gateway.now(), subject(chain, from));
    let of_chain = format!("{from}: {cause}");
    let noting = gateway.spool.transact(move |tx| {
        let (mut events, what) = (Vec::new(), Happening::InvalidProof);
        if let Some(giver) = giver {
            note(tx, &giver, what, &cause, now, &mut events)?;
        }
        note(tx, &Subject::chain(chain), what, &of_chain, now, &mut events)?;
        Ok::<_, SpoolError>(events)
    });
    noting.await?.into_iter().for_each(|event| gateway.emit(event));
    Ok(())
}

/// Remembers until they end who proved these messages, and which of their source's were proven.
/// Only for claims: who is asked again after that proves nothing new.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn proven(
    tx: &mut Tx<'_>,
    from: &str,
    messages: &[Message],
    now: UnixMillis,
) -> Result<(), SpoolError> {
    // A batch is read once, however many of its messages were proven.
    let mut claimed: BTreeMap<BatchId, Option<UnixMillis>> = BTreeMap::new();
    let mut sources: BTreeMap<ChainId, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        let (id, fields) = (message.id(), message.fields());
        let Some((batch, _)) = tx.find(Direction::Inbound, &id)? else { continue };
        let since = match claimed.get(&batch) {
            Some(since) => *since,
            None => {
                let held = tx.batch(Direction::Inbound, batch)?;
                let held = held.filter(|held| held.state == State::Claimed);
                *claimed.entry(batch).or_insert(held.map(|held| held.created))
            }
        };
        let Some(since) = since else { continue };
        let in_time = now.since(since) <= IN_TIME && now.seconds() <= fields.expires;
        tx.put_prover(&id, &Prover { gateway: from.to_owned(), in_time })?;
        sources.entry(fields.source).or_default().push(message);
    }
    sources.into_iter().try_for_each(|(source, proven)| tx.note_proven(source, &proven, now))
}

/// A message has ended here for good: if it was delivered and proven in time, its chain and the
/// gateway that gave the proof have earned something.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn ended(
    tx: &mut Tx<'_>,
    id: &MessageId,
    source: ChainId,
    outcome: &Outcome,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let Some(prover) = tx.take_prover(id)? else { return Ok(()) };
    if !prover.in_time || !matches!(outcome, Outcome::Delivered { .. }) {
        return Ok(());
    }
    let (what, cause) = (Happening::ProvenInTime, format!("message {id}"));
    if let Some(gateway) = subject(source, &prover.gateway) {
        note(tx, &gateway, what, &cause, now, events)?;
    }
    note(tx, &Subject::chain(source), what, &cause, now, events)
}

/// Claims are let go. Those that nobody ever proved count against the chain; what was proven and
/// waited for something else does not.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn let_go(
    tx: &mut Tx<'_>,
    source: ChainId,
    ids: &[MessageId],
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let mut unproven = 0_usize;
    for id in ids {
        unproven += usize::from(tx.take_prover(id)?.is_none());
    }
    if unproven == 0 {
        return Ok(());
    }
    let cause = format!("{unproven} claims were never proven");
    note(tx, &Subject::chain(source), Happening::Spam, &cause, now, events)
}

/// A gateway did not answer.
pub async fn silent(gateway: &Gateway, chain: ChainId, name: &str, error: &PeerError) {
    if !error.was_called() {
        return;
    }
    if let Some(subject) = subject(chain, name) {
        note_silent(gateway, subject, error.to_string()).await;
    }
}

/// A round is over without an answer: if each gateway that was to be asked gives none, their chain
/// does not answer.
pub async fn if_all_silent(gateway: &Gateway, route: &Route, last: &Reply) {
    let is_silent = |listed: &Listed| {
        let of = subject(route.chain, &contact::name(listed));
        of.is_some_and(|of| is_silent(gateway, &of))
    };
    if !route.to_try().is_empty() && route.to_try().iter().all(is_silent) {
        let cause = format!("no gateway answers; {}", last.text());
        note_silent(gateway, Subject::chain(route.chain), cause).await;
    }
}

/// Whether an outage of it is under way.
fn is_silent(gateway: &Gateway, subject: &Subject) -> bool {
    let row = gateway.spool.read(|tx| tx.standing_row(subject)).unwrap_or_else(|error| {
        not_kept(&error);
        None
    });
    row.is_some_and(|row| row.silent_since.is_some())
}

async fn note_silent(gateway: &Gateway, subject: Subject, cause: String) {
    let (now, of) = (gateway.now(), subject.clone());
    let noting = gateway.spool.transact(move |tx| tx.note_silent(&of, &cause, now));
    match noting.await {
        Ok(entry) => entry.into_iter().for_each(|entry| gateway.emit(event(&subject, entry))),
        Err(error) => not_kept(&error),
    }
}

/// A gateway answered: its outage, and that of its chain, is over.
pub async fn answered(gateway: &Gateway, chain: ChainId, name: &str) {
    let both = [subject(chain, name), Some(Subject::chain(chain))];
    let over: Vec<Subject> =
        both.into_iter().flatten().filter(|subject| is_silent(gateway, subject)).collect();
    // Seldom: an answer costs a look, and no commit.
    if over.is_empty() {
        return;
    }
    let noting = gateway
        .spool
        .transact(move |tx| over.iter().try_for_each(|subject| tx.note_answered(subject)));
    if let Err(error) = noting.await {
        not_kept(&error);
    }
}

/// That an outage could not be noted stops no message; the pipelines raise the alert.
fn not_kept(error: &SpoolError) {
    tracing::warn!(target: "distpos", "standing: {error}");
}

/// The gateways of a route in the order in which to ask them: of those that DNS leaves alike the
/// better standing first.
#[must_use]
pub fn in_order(gateway: &Gateway, route: Arc<Route>) -> Arc<Route> {
    let now = gateway.now();
    let rank = |listed: &Listed| {
        let Some(subject) = subject(route.chain, &contact::name(listed)) else { return 0 };
        let found = gateway.spool.read(|tx| tx.standing(&subject, now));
        found.map(Standing::rank).unwrap_or_else(|error| {
            not_kept(&error);
            0
        })
    };
    if route.gateways.len() < 2 {
        return route;
    }
    let mut ordered = (*route).clone();
    ordered.prefer(rank);
    Arc::new(ordered)
}

/// Why proven messages of a chain have to wait for its standing; none if they have not. For those
/// that were not admitted yet: what is on its way to the chain is not held up.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn deferral(
    tx: &Tx<'_>,
    source: ChainId,
    standing_min: u8,
    now: UnixMillis,
) -> Result<Option<Reply>, SpoolError> {
    let standing = tx.standing(&Subject::chain(source), now)?;
    Ok(standing::check(source, standing, standing_min, now))
}

/// Looks for gaps in what sources prove, until asked to stop.
pub async fn watch(gateway: &Gateway, stop: &Stop) {
    let mut failing = false;
    loop {
        gateway.tasks.beat(Task::Gaps);
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(GAPS_LOOKED_AT) => {}
        }
        match gaps(gateway).await {
            Ok(()) => failing = false,
            Err(error) if !std::mem::replace(&mut failing, true) => {
                gateway.emit(Event::Alert { what: format!("spool: {error}") });
            }
            Err(_) => {}
        }
    }
}

/// Notes the gaps that have been there for too long.
async fn gaps(gateway: &Gateway) -> Result<(), SpoolError> {
    let now = gateway.now();
    let sources = gateway.spool.read(|tx| tx.overdue(now))?;
    if sources.is_empty() {
        return Ok(());
    }
    // Each gateway of a chain sees its share of the messages: what one misses, another may have.
    let judges = bounce::is_alone(gateway).await;
    let noting = gateway.spool.transact(move |tx| {
        let mut events = Vec::new();
        for source in sources {
            for gap in tx.take_gaps(source, now)? {
                if judges {
                    let cause = format!("messages {} to {} are missing", gap.from, gap.to);
                    let (of, what) = (Subject::chain(source), Happening::SequenceGap);
                    note(tx, &of, what, &cause, now, &mut events)?;
                }
            }
        }
        Ok::<_, SpoolError>(events)
    });
    noting.await?.into_iter().for_each(|event| gateway.emit(event));
    Ok(())
}

#[cfg(test)]
mod tests;
