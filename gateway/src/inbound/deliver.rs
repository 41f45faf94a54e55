//! Step 6: hand what was decided to the local chain, and wait for its final word.

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    retry::{self, Cause},
    time::UnixMillis,
};
use distpos_spool::{Batch, Direction, SpoolError, State, Tx};

use crate::{
    account::{self, Changed},
    chain::{ChainError, Submission, Submitted},
    event::Event,
    gateway::Gateway,
    inbound::policy::Decided,
    standing,
    transition::{Later, Move, remove, shift},
};

/// How long a claim is kept that nobody proves. The source still has the message: it asks, learns
/// that it is unknown here, and sends it again.
pub const UNPROVEN_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often the proof is asked for at the pace of blocks, before the pace slackens.
const NOT_READY_ATTEMPTS: u32 = 150;
/// After about a day at one question a minute, hourly.
const SLOW_ATTEMPTS: u32 = NOT_READY_ATTEMPTS + 24 * 60;
/// The states in which an inbound message waits for proof or for the chain.
const OPEN: [State; 4] = [State::Claimed, State::Suspended, State::Delivering, State::Voiding];

/// The messages one job works on.
#[derive(Debug)]
pub struct Claim {
    source: ChainId,
    state: State,
    ids: Vec<MessageId>,
}

impl Claim {
    /// The messages of these batches, all of one source and in one state.
    #[must_use]
    pub fn new(source: ChainId, state: State, batches: &[Batch]) -> Self {
        let items = batches.iter().flat_map(|batch| &batch.items);
        Self { source, state, ids: items.map(|item| item.id).collect() }
    }

    /// The messages' ids.
    #[must_use]
    pub fn ids(&self) -> &[MessageId] {
        &self.ids
    }
}

/// Why a job's messages have to wait. Never an end: only a void that is final ends a message.
#[derive(Debug)]
pub struct PutOff {
    /// How long.
    pub cause: Cause,
    /// Why.
    pub reply: Reply,
}

impl PutOff {
    /// The proof is not ready; about a block's time.
    #[must_use]
    pub fn not_ready(text: &str) -> Self {
        let cause = Cause::NotReady { block_time: None };
        Self { cause, reply: Reply::new(Code::NOT_FINAL, text) }
    }
}

/// What keeps a job from its end.
#[derive(Debug)]
pub enum Stopped {
    /// All of its messages have to wait.
    PutOff(PutOff),
    /// The spool failed; nothing was moved.
    Spool(SpoolError),
}

impl From<PutOff> for Stopped {
    fn from(why: PutOff) -> Self {
        Self::PutOff(why)
    }
}

impl From<SpoolError> for Stopped {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

/// Submits what was decided. Whatever could not be proven, or has to wait, is put off.
///
/// # Errors
/// [`Stopped`] if the spool fails.
pub async fn submit(gateway: &Gateway, claim: &Claim, decided: Decided) -> Result<(), Stopped> {
    let Decided { admitted, refused, ended, suspended, deferred } = decided;
    let mut handled: Vec<MessageId> = ended.clone();
    handled.extend(suspended);
    handled.extend(admitted.iter().map(|a| a.message().id()));
    handled.extend(refused.iter().map(|r| r.message().id()));
    handled.extend(deferred.iter().map(|(id, _)| *id));
    // In the guard already, by a sibling gateway or before a restart.
    wait(gateway, ended, claim.state).await?;
    if !admitted.is_empty() {
        let ids = admitted.iter().map(|a| a.message().id()).collect();
        let outcome = gateway.chain.submit(Submission::Deliver(admitted)).await;
        after(gateway, claim, State::Delivering, "deliver", ids, outcome).await?;
    }
    if !refused.is_empty() {
        let ids = refused.iter().map(|r| r.message().id()).collect();
        let outcome = gateway.chain.submit(Submission::Void(refused)).await;
        after(gateway, claim, State::Voiding, "void", ids, outcome).await?;
    }
    put_off_alike(gateway, claim, deferred).await?;
    let rest: Vec<MessageId> =
        claim.ids.iter().filter(|id| !handled.contains(id)).copied().collect();
    Ok(put_off(gateway, claim, &rest, &PutOff::not_ready("not proven yet")).await?)
}

/// Notes what the chain said at once.
async fn after(
    gateway: &Gateway,
    claim: &Claim,
    state: State,
    what: &'static str,
    ids: Vec<MessageId>,
    outcome: Result<Submitted, ChainError>,
) -> Result<(), SpoolError> {
    match outcome {
        Ok(Submitted { transaction, refused }) => {
            let taken: Vec<MessageId> = ids
                .into_iter()
                .filter(|id| !refused.iter().any(|(other, _)| other == id))
                .collect();
            // Without a transaction everything was approved before, and others have to agree.
            if !taken.is_empty() && !transaction.is_empty() {
                gateway.emit(Event::Submitted { what, transaction, ids: taken.clone() });
            }
            wait(gateway, taken, state).await?;
            // Judged again soon: what the chain will not have any more is refused then.
            put_off_alike(gateway, claim, refused).await?;
            Ok(())
        }
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("chain: {error}") });
            let reply = Reply::new(Code::NOT_NOW, "the local chain did not take it");
            put_off(gateway, claim, &ids, &PutOff { cause: Cause::Unreachable, reply }).await
        }
    }
}

/// Puts messages off, those that fare alike together and in one commit.
async fn put_off_alike(
    gateway: &Gateway,
    claim: &Claim,
    deferred: Vec<(MessageId, Reply)>,
) -> Result<(), SpoolError> {
    let mut alike: BTreeMap<(Code, Option<u32>), (Reply, Vec<MessageId>)> = BTreeMap::new();
    for (id, reply) in deferred {
        let key = (reply.code, reply.retry_after);
        alike.entry(key).or_insert_with(|| (reply, Vec::new())).1.push(id);
    }
    for (reply, ids) in alike.into_values() {
        let cause = Cause::Temporary { retry_after: reply.retry_after };
        put_off(gateway, claim, &ids, &PutOff { cause, reply }).await?;
    }
    Ok(())
}

/// Leaves messages to the watchdog: if no final event comes, they are judged again.
async fn wait(gateway: &Gateway, ids: Vec<MessageId>, state: State) -> Result<(), SpoolError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (now, jitter) = (gateway.now(), gateway.random_u64());
    let moving = gateway.spool.transact(move |tx| {
        shift(tx, Direction::Inbound, &ids, &OPEN, waiting(state, now, jitter), now)
    });
    moving.await.map(|_| ())
}

/// The move that makes a submitted message wait for its final event.
pub(crate) fn waiting(state: State, now: UnixMillis, jitter: u64) -> impl Fn(&Batch) -> Move {
    move |held| {
        let attempts = if held.state == state { held.attempts.saturating_add(1) } else { 0 };
        let due = now.after(retry::delay(Cause::Submitted, attempts, jitter));
        Move { state: Some(state), due: Some(due), attempts, reply: None }
    }
}

/// Puts messages of a job off: the reason is kept with them, and they come back by its schedule. A
/// claim that nobody has proven for too long is let go.
///
/// # Errors
/// [`SpoolError`] if that cannot be noted.
pub async fn put_off(
    gateway: &Gateway,
    claim: &Claim,
    ids: &[MessageId],
    why: &PutOff,
) -> Result<(), SpoolError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (now, ids) = (gateway.now(), ids.to_vec());
    let later = Later { now, jitter: gateway.random_u64(), reply: Some(why.reply.clone()) };
    let (source, cause, messages) = (claim.source, why.cause, ids.len());
    let moving = gateway.spool.transact(move |tx| {
        let mut events = Vec::new();
        let old = let_go(tx, source, &ids, now, &mut events)?;
        let pace = move |held: &Batch| in_time(pace(cause, held.attempts), held, now);
        let delay = later.put_off(tx, Direction::Inbound, &ids, &OPEN, pace)?;
        Ok::<_, SpoolError>((old, delay, events))
    });
    let (old, delay, events) = moving.await?;
    events.into_iter().for_each(|event| gateway.emit(event));
    if old > 0 {
        let what = format!("{old} claims of {source} were never proven in 7 days: let go");
        gateway.emit(Event::Alert { what });
    }
    gateway.emit(Event::deferred(source, messages, why.reply.clone(), delay));
    Ok(())
}

/// Removes what is still unproven after [`UNPROVEN_FOR_MAX`]; gives their number.
fn let_go(
    tx: &mut Tx<'_>,
    source: ChainId,
    ids: &[MessageId],
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<usize, SpoolError> {
    let mut old = Vec::new();
    for id in ids {
        let held = match tx.find(Direction::Inbound, id)? {
            Some((batch, _)) => tx.batch(Direction::Inbound, batch)?,
            None => None,
        };
        let is_old = |held: &Batch| {
            held.state == State::Claimed && now.since(held.created) > UNPROVEN_FOR_MAX
        };
        if held.as_ref().is_some_and(is_old) {
            old.push(*id);
        }
    }
    standing::let_go(tx, source, &old, now, events)?;
    remove(tx, Direction::Inbound, &old, now)?;
    // One that was proven once may stand in a row: nobody is to wait behind what is gone.
    let mut changed = Changed::default();
    for id in &old {
        account::leave(tx, *id, &mut changed)?;
    }
    changed.tend(tx, now, now.seconds(), events)?;
    Ok(old.len())
}

/// A long wait ends when the first of the messages expires: then it is void, and its sender waits for
/// the money.
fn in_time(cause: Cause, held: &Batch, now: UnixMillis) -> Cause {
    let Cause::Temporary { retry_after: Some(seconds) } = cause else { return cause };
    let left = held.expires().0.saturating_add(1).checked_sub(now.seconds().0).filter(|s| *s > 0);
    let left = left.map_or(seconds, |left| u32::try_from(left).unwrap_or(seconds));
    Cause::Temporary { retry_after: Some(seconds.min(left)) }
}

/// A proof that is long in coming is asked for less often: the block may never be final.
fn pace(cause: Cause, attempts: u32) -> Cause {
    match cause {
        Cause::NotReady { .. } if attempts > SLOW_ATTEMPTS => Cause::Hint,
        Cause::NotReady { .. } if attempts > NOT_READY_ATTEMPTS => {
            Cause::Temporary { retry_after: Some(60) }
        }
        other => other,
    }
}
