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
    chain::{ChainError, Submission, Submitted},
    event::Event,
    gateway::Gateway,
    inbound::policy::Decided,
    transition::{Move, remove, shift},
};

/// The messages one job works on.
#[derive(Debug)]
pub struct Claim {
    source: ChainId,
    state: State,
    attempts: u32,
    ids: Vec<MessageId>,
    /// Of each message: how often it was tried, and when it came.
    tried: BTreeMap<MessageId, (u32, UnixMillis)>,
}

/// How long a claim is kept that nobody proves: longer than any message lives. Forgetting it loses
/// nothing, as nothing was promised but to ask: a source that really sent it offers it again when
/// the status says that it is unknown here.
pub const CLAIMED_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often a proof that is not ready is asked for at a block's pace, some five minutes; after
/// that as seldom as a peer that is away, or false claims would keep both sides busy.
const NOT_READY_ATTEMPTS: u32 = 150;

impl Claim {
    /// The messages of these batches, all of one source and in one state.
    #[must_use]
    pub fn new(source: ChainId, state: State, batches: &[Batch]) -> Self {
        let items = || {
            batches.iter().flat_map(|batch| batch.items.iter().map(move |item| (batch, item.id)))
        };
        Self {
            source,
            state,
            attempts: batches.iter().map(|batch| batch.attempts).max().unwrap_or(0),
            ids: items().map(|(_, id)| id).collect(),
            tried: items().map(|(batch, id)| (id, (batch.attempts, batch.created))).collect(),
        }
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
        Self {
            cause: Cause::NotReady { block_time: None },
            reply: Reply::new(Code::NOT_FINAL, text),
        }
    }

    /// The spool has failed.
    #[must_use]
    pub fn spool(error: &SpoolError) -> Self {
        let reply = Reply::new(Code::SPOOL_FULL, error.to_string());
        Self { cause: Cause::Unreachable, reply }
    }
}

/// Submits what was decided. Whatever could not be proven, or has to wait, is put off.
///
/// # Errors
/// [`PutOff`] if the spool fails.
pub async fn submit(gateway: &Gateway, claim: &Claim, decided: Decided) -> Result<(), PutOff> {
    let Decided { admitted, refused, ended, deferred } = decided;
    // Delivered but not removable from the spool would mean repeating without end.
    gateway.spool.healthy().map_err(|error| PutOff::spool(&error))?;
    let mut handled: Vec<MessageId> = ended.clone();
    wait_for_final_event(gateway, claim, ended).await?;
    handled.extend(admitted.iter().map(|a| a.message().id()));
    handled.extend(refused.iter().map(|r| r.message().id()));
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
    for (id, reply) in deferred {
        handled.push(id);
        let cause = Cause::Temporary { retry_after: reply.retry_after };
        put_off_some(gateway, claim, &[id], &PutOff { cause, reply }).await;
    }
    let rest: Vec<MessageId> =
        claim.ids.iter().filter(|id| !handled.contains(id)).copied().collect();
    if !rest.is_empty() {
        put_off_some(gateway, claim, &rest, &PutOff::not_ready("not proven yet")).await;
    }
    Ok(())
}

/// Notes what the chain said at once.
async fn after(
    gateway: &Gateway,
    claim: &Claim,
    state: State,
    what: &'static str,
    ids: Vec<MessageId>,
    outcome: Result<Submitted, ChainError>,
) -> Result<(), PutOff> {
    match outcome {
        Ok(Submitted { transaction, refused }) => {
            let taken: Vec<MessageId> = ids
                .into_iter()
                .filter(|id| !refused.iter().any(|(other, _)| other == id))
                .collect();
            if !taken.is_empty() {
                gateway.emit(Event::Submitted { what, transaction, ids: taken.clone() });
            }
            wait(gateway, taken, state, claim.attempts).await?;
            for (id, reply) in refused {
                // Judged again at once: what the chain will not have any more is refused then.
                let cause = Cause::Temporary { retry_after: Some(1) };
                put_off_some(gateway, claim, &[id], &PutOff { cause, reply }).await;
            }
            Ok(())
        }
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("chain: {error}") });
            let reply = Reply::new(Code::NOT_NOW, "the local chain did not take it");
            put_off_some(gateway, claim, &ids, &PutOff { cause: Cause::Unreachable, reply }).await;
            Ok(())
        }
    }
}

/// In the guard already, by a sibling gateway or before a restart.
async fn wait_for_final_event(
    gateway: &Gateway,
    claim: &Claim,
    ids: Vec<MessageId>,
) -> Result<(), PutOff> {
    if ids.is_empty() { Ok(()) } else { wait(gateway, ids, claim.state, claim.attempts).await }
}

/// Leaves messages to the watchdog: if no final event comes, they are judged again.
async fn wait(
    gateway: &Gateway,
    ids: Vec<MessageId>,
    state: State,
    attempts: u32,
) -> Result<(), PutOff> {
    let now = gateway.now();
    let change = waiting(state, now, attempts.saturating_add(1));
    let from = [State::Claimed, State::Delivering, State::Voiding];
    gateway
        .spool
        .transact(move |tx| shift(tx, Direction::Inbound, &ids, &from, &change, now))
        .await
        .map(|_| ())
        .map_err(|error: SpoolError| PutOff::spool(&error))
}

/// The change that makes a submitted message wait for its final event.
pub(crate) fn waiting(state: State, now: UnixMillis, attempts: u32) -> Move {
    // No jitter: nobody else is waited on at the same time.
    let due = now.after(retry::delay(Cause::Accepted, attempts, u64::MAX / 2));
    Move { state: Some(state), due: Some(due), attempts: attempts, reply: None }
}

/// Puts all messages of a job off.
pub async fn put_off(gateway: &Gateway, claim: &Claim, why: PutOff) {
    put_off_some(gateway, claim, &claim.ids, &why).await;
}

async fn put_off_some(gateway: &Gateway, claim: &Claim, ids: &[MessageId], why: &PutOff) {
    let now = gateway.now();
    let mut stale = Vec::new();
    // A message waits by its own attempts: an old false claim must not slow a new true one.
    let mut by_attempts: BTreeMap<u32, Vec<MessageId>> = BTreeMap::new();
    for id in ids {
        let (attempts, created) = claim.tried.get(id).copied().unwrap_or((claim.attempts, now));
        if claim.state == State::Claimed && now.since(created) > CLAIMED_FOR_MAX {
            stale.push(*id);
        } else {
            by_attempts.entry(attempts).or_default().push(*id);
        }
    }
    for (attempts, ids) in by_attempts {
        postpone(gateway, claim.source, attempts, ids, why).await;
    }
    forget(gateway, claim.source, stale).await;
}

/// Leaves messages where they are, for later.
async fn postpone(
    gateway: &Gateway,
    source: ChainId,
    attempts: u32,
    ids: Vec<MessageId>,
    why: &PutOff,
) {
    let now = gateway.now();
    let (cause, step) = match (why.cause, attempts.checked_sub(NOT_READY_ATTEMPTS)) {
        (Cause::NotReady { .. }, Some(step)) => (Cause::Unreachable, step),
        (cause, _) => (cause, attempts),
    };
    let delay = retry::delay(cause, step, gateway.random_u64());
    let wait = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    let (messages, reply) = (ids.len(), why.reply.clone());
    gateway.emit(Event::Deferred { chain: source, messages, reply, delay: wait });
    let change = Move {
        state: None,
        due: Some(now.after(delay)),
        attempts: attempts.saturating_add(1),
        reply: Some(why.reply.clone()),
    };
    let from = [State::Claimed, State::Delivering, State::Voiding];
    let moved = gateway
        .spool
        .transact(move |tx| shift(tx, Direction::Inbound, &ids, &from, &change, now))
        .await;
    if let Err(error) = moved {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
    }
}

/// Lets go of claims that nobody has ever proven.
async fn forget(gateway: &Gateway, source: ChainId, ids: Vec<MessageId>) {
    if ids.is_empty() {
        return;
    }
    let what = format!("{} messages claimed by {source} were never proven: forgotten", ids.len());
    gateway.emit(Event::Alert { what });
    let now = gateway.now();
    let gone = move |tx: &mut Tx<'_>| {
        let mut claimed = Vec::new();
        for id in ids {
            let place = tx.find(Direction::Inbound, &id)?;
            let batch = place.map(|(batch, _)| tx.batch(Direction::Inbound, batch)).transpose()?;
            if batch.flatten().is_some_and(|batch| batch.state == State::Claimed) {
                claimed.push(id);
            }
        }
        remove(tx, Direction::Inbound, &claimed, now)
    };
    if let Err(error) = gateway.spool.transact(gone).await {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
    }
}
