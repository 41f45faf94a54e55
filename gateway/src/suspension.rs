//! Pairs of chains that the operator has suspended: nothing new goes from the one to the other
//! until they are resumed, or the time is up (`docs/chains.md`).
//!
//! A pair is a source chain and a destination chain. One of the two is always the own one, so it is
//! named by the peer and a direction; suspending a chain suspends both of its pairs. An account is
//! less than a pair: `account suspend` stops the value in one asset, this stops all messages.

use std::time::Duration;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    time::UnixMillis,
};
use distpos_spool::{Batch, Direction, PairSuspension, SpoolError, State};
use tokio::time::sleep;

use crate::{
    clock::moment,
    destinations,
    event::Event,
    gateway::Gateway,
    queue::direction_word,
    stop::Stop,
    transition::{Move, shift},
    watchdog::Task,
};

/// How long a suspension lasts at most, and if nothing is said: nothing waits for ever. Longer than
/// any message lives, so that a chain can be moved meanwhile.
pub const SUSPENDED_FOR_MAX: Duration = Duration::from_hours(30 * 24);
/// Most suspended pairs at a time: each is an operator's decision, and `status` names them all.
pub const SUSPENDED_PAIRS_MAX: usize = 1_000;
/// A suspended peer may come again after this time at the latest: it may have been resumed sooner.
const COME_AGAIN_MAX: Duration = Duration::from_mins(15);
/// What waits is looked at again after this time at the latest: no watchdog takes it for forgotten,
/// and a clock that jumps costs no more than that.
const LOOKED_AT_AGAIN: Duration = Duration::from_hours(24);
/// Longest sleep without looking: clocks jump.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// What stands still while a pair is suspended.
fn waiting(direction: Direction) -> &'static [State] {
    match direction {
        Direction::Outbound => &[State::Queued],
        Direction::Inbound => &[State::Claimed, State::Suspended],
    }
}

/// Suspends pairs of the own chain and a peer. False if there are too many already.
///
/// # Errors
/// [`SpoolError`] if it cannot be noted.
pub async fn suspend(
    gateway: &Gateway,
    peer: ChainId,
    directions: Vec<Direction>,
    held: PairSuspension,
) -> Result<bool, SpoolError> {
    let (which, row) = (directions.clone(), held.clone());
    let suspending = gateway.spool.transact(move |tx| {
        let others = tx.suspended_pairs()?.into_iter().filter(|(_, chain, _)| *chain != peer);
        if others.count() + which.len() > SUSPENDED_PAIRS_MAX {
            return Ok(false);
        }
        which.iter().for_each(|direction| tx.suspend_pair(*direction, peer, &row));
        Ok::<_, SpoolError>(true)
    });
    if !suspending.await? {
        return Ok(false);
    }
    for direction in directions {
        let (way, until) = (direction_word(direction), moment(held.until.0));
        let what = format!("{peer} {way} is suspended until {until} by {}: {}", held.by, held.why);
        gateway.emit(Event::Note { what });
        // What waits for another reason takes this one up: one look tells why.
        for state in waiting(direction) {
            destinations::hasten(gateway, direction, (peer, *state), |_| true).await?;
        }
    }
    Ok(true)
}

/// Lets pairs go on. Gives the directions that were suspended.
///
/// # Errors
/// [`SpoolError`] if it cannot be noted.
pub async fn resume(
    gateway: &Gateway,
    peer: ChainId,
    directions: Vec<Direction>,
) -> Result<Vec<Direction>, SpoolError> {
    let now = gateway.now();
    let resuming = gateway.spool.transact(move |tx| {
        let mut resumed = Vec::new();
        for direction in directions {
            if tx.pair_suspension(direction, peer, now)?.is_some() {
                tx.resume_pair(direction, peer);
                resumed.push(direction);
            }
        }
        Ok::<_, SpoolError>(resumed)
    });
    let resumed = resuming.await?;
    for direction in &resumed {
        go_on(gateway, peer, *direction).await?;
    }
    Ok(resumed)
}

/// What waited for the pair is due now.
async fn go_on(gateway: &Gateway, peer: ChainId, direction: Direction) -> Result<(), SpoolError> {
    let way = direction_word(direction);
    gateway.emit(Event::Note { what: format!("{peer} {way} is no longer suspended") });
    for state in waiting(direction) {
        destinations::hasten(gateway, direction, (peer, *state), is_suspended).await?;
    }
    Ok(())
}

/// Whether something waits because of a suspension, here or at the peer.
fn is_suspended(reply: Option<&Reply>) -> bool {
    reply.is_some_and(|reply| reply.code == Code::SUSPENDED)
}

/// Lets messages of a suspended pair wait for its end, with the reason. If it was resumed since,
/// they are due now.
///
/// # Errors
/// [`SpoolError`] if it cannot be noted.
pub async fn wait(
    gateway: &Gateway,
    direction: Direction,
    peer: ChainId,
    ids: Vec<MessageId>,
    state: State,
) -> Result<(), SpoolError> {
    let (now, messages) = (gateway.now(), ids.len());
    let waiting = gateway.spool.transact(move |tx| {
        let held = tx.pair_suspension(direction, peer, now)?;
        let (due, reply) = match &held {
            Some(held) => (held.until.min(now.after(LOOKED_AT_AGAIN)), Some(reason(held))),
            None => (now, None),
        };
        let to = |batch: &Batch| Move { due: Some(due), reply: reply.clone(), ..Move::stay(batch) };
        shift(tx, direction, &ids, &[state], to, now)?;
        Ok::<_, SpoolError>(held)
    });
    if let Some(held) = waiting.await? {
        let delay = held.until.since(now);
        gateway.emit(Event::deferred(peer, messages, reason(&held), delay));
    }
    Ok(())
}

/// The reason with which messages wait: until when first, since a long text is cut.
fn reason(held: &PairSuspension) -> Reply {
    let PairSuspension { until, by, why, .. } = held;
    let text = format!("suspended until {} by {by}: {why}", moment(until.0));
    Reply::new(Code::SUSPENDED, text)
}

/// What a peer is told in place of taking its messages: not who, nor why.
pub(crate) fn refusal(held: &PairSuspension, source: ChainId, now: UnixMillis) -> Reply {
    let left = held.until.since(now).min(COME_AGAIN_MAX);
    // Rounded up: sooner it would come in vain.
    let seconds = u32::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
    let text = format!("messages of {source} are suspended by the operator");
    Reply::new(Code::SUSPENDED, text).retry_after(seconds.max(1))
}

/// Ends suspensions whose time is up, until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let mut failing = false;
    loop {
        gateway.tasks.beat(Task::Suspensions);
        let pause = match end(gateway).await {
            Ok(next) => {
                failing = false;
                next.map_or(SLEEP_MAX, |next| next.since(gateway.now()).min(SLEEP_MAX))
            }
            Err(error) => {
                // Said once, not every half a minute for as long as it lasts.
                if !std::mem::replace(&mut failing, true) {
                    gateway.emit(Event::Alert { what: format!("spool: {error}") });
                }
                SLEEP_MAX
            }
        };
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Ends those whose time is up; when the next one's will be.
async fn end(gateway: &Gateway) -> Result<Option<UnixMillis>, SpoolError> {
    let now = gateway.now();
    let (over, going): (Vec<_>, Vec<_>) = gateway
        .spool
        .read(|tx| tx.suspended_pairs())?
        .into_iter()
        .partition(|(_, _, held)| held.until <= now);
    for (direction, peer, _) in over {
        let ending = gateway.spool.transact(move |tx| {
            // It may have been suspended anew since.
            let is_over = tx.pair_suspension(direction, peer, now)?.is_none();
            if is_over {
                tx.resume_pair(direction, peer);
            }
            Ok::<_, SpoolError>(is_over)
        });
        if ending.await? {
            go_on(gateway, peer, direction).await?;
        }
    }
    Ok(going.into_iter().map(|(_, _, held)| held.until).min())
}
