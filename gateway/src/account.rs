//! The gateway's copy of the correspondent accounts: entries with the queue's own moves, and who
//! waits for room and is woken when there is some.
//!
//! Authority is the chain. What its final blocks tell is entered as it is; only what this gateway
//! admits by itself (`pending_in`) is stopped by a limit.

use std::{collections::BTreeSet, time::Duration};

use distpos_proto::{
    account::{AccountError, Shortage, Step},
    amount::Amount,
    chain::{ChainId, Height},
    code::{Code, Reply},
    message::{Asset, MessageId},
    time::{UnixMillis, UnixSeconds},
    wire::REQUEST_MESSAGES_MAX,
};
use distpos_spool::{Act, Direction, Entry, Reserved, SpoolError, State, Tx};

use crate::{
    event::Event,
    transition::{shift, to},
};

pub mod settlement;

/// Who suspends an account whose copy does not follow its chain.
pub const GATEWAY: &str = "gateway";

/// How often a suspended message is looked at without being woken: accounts wake it, this is the
/// watchdog.
const LOOKED_AT: Duration = Duration::from_secs(60 * 60);

/// How often one that has expired is looked at until the chain's time says so, too.
const EXPIRED_AGAIN: Duration = Duration::from_secs(30);

/// An account, as it is named.
pub(crate) type Name = (ChainId, Asset);

/// The accounts that a transaction has changed, for [`Changed::tend`] at its end.
#[derive(Debug, Default)]
pub(crate) struct Changed(BTreeSet<Name>);

impl Changed {
    /// Notes that an account has changed.
    pub(crate) fn note(&mut self, chain: ChainId, asset: &Asset) {
        self.0.insert((chain, asset.clone()));
    }

    /// Wakes whoever there is room for at the chain's time `time`, in every account that has changed.
    pub(crate) fn tend(
        self,
        tx: &mut Tx<'_>,
        now: UnixMillis,
        time: UnixSeconds,
        events: &mut Vec<Event>,
    ) -> Result<(), SpoolError> {
        self.0.iter().try_for_each(|(chain, asset)| tend(tx, (*chain, asset), now, time, events))
    }
}

/// What a final block of the own chain tells of accounts.
pub(crate) struct Told<'t> {
    /// The block.
    pub(crate) height: Height,
    /// Its time: what windows go by.
    pub(crate) time: UnixSeconds,
    /// The time here.
    pub(crate) now: UnixMillis,
    pub(crate) changed: Changed,
    pub(crate) events: &'t mut Vec<Event>,
}

impl Told<'_> {
    /// Enters a step about a message.
    pub(crate) fn step(
        &mut self,
        tx: &mut Tx<'_>,
        (chain, asset): (ChainId, &Asset),
        step: Step,
        id: MessageId,
    ) -> Result<(), SpoolError> {
        let entry = Entry::of(step, id, Some(self.height), self.now);
        self.enter(tx, chain, asset, entry)
    }

    /// Enters what the chain tells. The chain cannot be contradicted: where its word does not fit
    /// the copy, the copy is wrong, and the account takes no value in until somebody has looked.
    pub(crate) fn enter(
        &mut self,
        tx: &mut Tx<'_>,
        chain: ChainId,
        asset: &Asset,
        entry: Entry,
    ) -> Result<(), SpoolError> {
        self.changed.note(chain, asset);
        let Err(error) = tx.enter(chain, asset, &entry, self.time)? else { return Ok(()) };
        let block = self.height;
        let why = format!("books differ from the chain's at block {block}: {error}");
        suspend(tx, (chain, asset), &why, GATEWAY, self.now, self.events)
    }
}

/// Suspends an account: value waits until [`resume`], whatever room there is.
pub fn suspend(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    why: &str,
    by: &str,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let what = format!("account {asset} with {chain} is suspended by {by}: {why}");
    events.push(Event::Alert { what });
    mark(tx, (chain, asset), Act::Suspend, why, by, now)
}

/// Lets a suspended account go on.
pub fn resume(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    why: &str,
    by: &str,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    events.push(Event::Note {
        what: format!("account {asset} with {chain} goes on, by {by}: {why}"),
    });
    mark(tx, (chain, asset), Act::Resume, why, by, now)?;
    tend(tx, (chain, asset), now, now.seconds(), events)
}

fn mark(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    act: Act,
    why: &str,
    by: &str,
    now: UnixMillis,
) -> Result<(), SpoolError> {
    let (by, why) = (by.to_owned(), why.to_owned());
    let entry = Entry { act, id: None, height: None, by, why, at: now };
    match tx.enter(chain, asset, &entry, now.seconds())? {
        Ok(_) => Ok(()),
        Err(error) => unreachable!("neither suspending nor resuming moves money: {error}"),
    }
}

/// Sets a message's value aside, in the transaction that admits it.
pub(crate) fn reserve(
    tx: &mut Tx<'_>,
    id: MessageId,
    chain: ChainId,
    value: Option<(Asset, Amount)>,
    now: UnixMillis,
    time: UnixSeconds,
) -> Result<Result<(), AccountError>, SpoolError> {
    if let Some((asset, amount)) = &value {
        let entry = Entry::of(Step::Reserve(*amount), id, None, now);
        if let Err(error) = tx.enter(chain, asset, &entry, time)? {
            return Ok(Err(error));
        }
    }
    tx.put_reserved(&id, &Reserved { chain, value });
    Ok(Ok(()))
}

/// Gives back what was set aside for an inbound message, and tells whether anything was: it was
/// admitted before.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    id: MessageId,
    now: UnixMillis,
    changed: &mut Changed,
    events: &mut Vec<Event>,
) -> Result<bool, SpoolError> {
    let Some(Reserved { chain, value }) = tx.take_reserved(&id)? else { return Ok(false) };
    if let Some((asset, amount)) = value {
        changed.note(chain, &asset);
        let entry = Entry::of(Step::Release(amount), id, None, now);
        if let Err(error) = tx.enter(chain, &asset, &entry, now.seconds())? {
            let why = format!("books differ from what was set aside: {error}");
            suspend(tx, (chain, &asset), &why, GATEWAY, now, events)?;
        }
    }
    Ok(true)
}

/// Takes a message out of the row of those that wait for room; whoever stands behind it may go on.
pub(crate) fn leave(
    tx: &mut Tx<'_>,
    id: MessageId,
    changed: &mut Changed,
) -> Result<(), SpoolError> {
    if let Some((chain, asset)) = tx.take_waiting(&id)? {
        changed.note(chain, &asset);
    }
    Ok(())
}

/// Wakes the messages that there is room for in an account, first come first served; sets the first
/// of the others to be looked at when its window frees it.
///
/// Where nobody may wait any more, because the account is closed, all are woken to be refused.
///
/// `time` is the chain's, by which the next judgement counts: woken by another clock, a message would
/// be judged too early, and woken again, without a pause.
pub(crate) fn tend(
    tx: &mut Tx<'_>,
    (chain, asset): (ChainId, &Asset),
    now: UnixMillis,
    time: UnixSeconds,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let waiting = tx.waiting(chain, asset, REQUEST_MESSAGES_MAX)?;
    let Some(row) = tx.account(chain, asset)? else { return Ok(()) };
    if waiting.is_empty() || row.suspension.is_some() {
        return Ok(());
    }
    let (mut woken, mut wanted, mut next) = (Vec::new(), Amount::ZERO, None);
    for message in waiting {
        match state(tx, &message.id)? {
            Some(State::Suspended) => {}
            // Gone without a word: it keeps nobody waiting.
            None => {
                tx.take_waiting(&message.id)?;
                continue;
            }
            // It was woken and has its turn now. When it is over, those behind it are looked at.
            Some(_) => break,
        }
        wanted = wanted.saturating_add(message.amount);
        match row.account.fits(wanted, time) {
            _ if row.account.terms.is_none() => woken.push(message.id),
            Ok(()) => woken.push(message.id),
            // Never by itself, it is refused; never together with others, it waits for its turn.
            Err(Shortage::Never { .. }) if woken.is_empty() => woken.push(message.id),
            Err(Shortage::Window { wait_seconds, .. }) if woken.is_empty() => {
                next = Some((message.id, Duration::from_secs(wait_seconds)));
                break;
            }
            Err(_) => break,
        }
    }
    if let Some((id, wait)) = next {
        let due = now.after(wait.min(LOOKED_AT));
        let at = |held: &distpos_spool::Batch| {
            let due = held.due.map_or(due, |before| before.min(due));
            crate::transition::Move { due: Some(due), ..crate::transition::Move::stay(held) }
        };
        shift(tx, Direction::Inbound, &[id], &[State::Suspended], at, now)?;
    }
    let again = to(State::Claimed, Some(now), None);
    let woken = shift(tx, Direction::Inbound, &woken, &[State::Suspended], again, now)?;
    if !woken.is_empty() {
        events.push(Event::Woken { chain, asset: asset.clone(), ids: woken });
    }
    Ok(())
}

/// The state of an inbound message; none if it is not in the queue.
fn state(tx: &Tx<'_>, id: &MessageId) -> Result<Option<State>, SpoolError> {
    let Some((batch, _)) = tx.find(Direction::Inbound, id)? else { return Ok(None) };
    Ok(tx.batch(Direction::Inbound, batch)?.map(|batch| batch.state))
}

/// When a message that was suspended is looked at without being woken: an hour from now, when its
/// window frees it, or when it expires, whatever comes first.
pub(crate) fn looked_at(now: UnixMillis, reply: &Reply, expires: UnixSeconds) -> UnixMillis {
    let wait = reply.retry_after.map_or(LOOKED_AT, |seconds| Duration::from_secs(seconds.into()));
    let expired = UnixSeconds(expires.0.saturating_add(1)).millis();
    // The chain's time, which decides, may be behind: it is not asked every second.
    now.after(wait.min(LOOKED_AT)).min(expired.max(now.after(EXPIRED_AGAIN)))
}

/// The reply for a sum that no longer fits when it is to be set aside.
pub(crate) fn short(error: &AccountError) -> Reply {
    Reply::new(Code::SUSPENDED, error.to_string())
}
