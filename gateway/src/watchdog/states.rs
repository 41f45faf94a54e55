//! Nothing waits in a state for ever: batches that no schedule explains are found and made due.
//!
//! The queue is looked through again and again, a page at a time. What would wait for ever has no due
//! time, one that lies too far ahead, or one that has passed while nobody works on its like (an index
//! that has lost it, a job that never came back). How long each state may take is one table, [`LIMITS`].
//!
//! How long something waits is measured by a clock that nobody sets, from the first time that it is
//! seen: a time of day that jumps makes nothing stuck. While load is shed nobody works, and nothing counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use distpos_proto::{chain::ChainId, time::UnixMillis};
use distpos_spool::{BatchId, Change, Direction, Line, SpoolError, State, Tx};
use tokio::time::{Instant, sleep};

use super::Task;
use crate::{
    event::{Event, Found, Why},
    gateway::Gateway,
    queue::change::HELD_FOR_MAX,
    stop::Stop,
};

/// How long a batch may be in a state before somebody must have done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The state.
    pub state: State,
    /// The furthest that its due time may lie ahead.
    pub ahead_max: Duration,
    /// How long its time may have passed, or it may have none, while nobody works on its like.
    pub idle_max: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
/// A peer's `retry_after` is obeyed for up to a day, with a tenth of jitter.
const ASKED_FOR: Duration = Duration::from_hours(27);
/// Hourly, with a tenth of jitter.
const HOURLY: Duration = Duration::from_hours(2);

/// A hold ends at a time of day that its operator was told; a clock that was set back makes it longer.
const HELD: Duration = Duration::from_secs(HELD_FOR_MAX.as_secs() + 48 * 60 * 60);

/// Every state's limits. Work on one chain takes turns with work on others, so an hour without any is
/// no slow day: what is due longest comes first, and a job may take a quarter of it.
pub const LIMITS: [Limit; 10] = [
    Limit { state: State::Queued, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Accepted, ahead_max: HOURLY, idle_max: HOUR },
    Limit { state: State::Closing, ahead_max: HOURLY, idle_max: HOUR },
    Limit { state: State::Refunding, ahead_max: HOURLY, idle_max: HOUR },
    Limit { state: State::Claimed, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Suspended, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Delivering, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Voiding, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Ended, ahead_max: ASKED_FOR, idle_max: HOUR },
    Limit { state: State::Held, ahead_max: HELD, idle_max: HOUR },
];

/// How often a page is looked at.
pub const LOOKED_AT: Duration = Duration::from_secs(10);
/// Batches of a page: a million of them are looked through in three hours, as 8,000 full ones in 80 s.
const PAGE: usize = 1_000;
/// What is due is taken at once, if there is room: sooner than after this nothing is suspected.
const LATE_AFTER: Duration = Duration::from_secs(60);
/// A clock that was set back is noticed by others within half a minute, and what waits is made due.
const TOO_FAR_FOR: Duration = Duration::from_mins(10);
/// Most batches that are suspected at a time; the others are when these are done with.
const SUSPECTS_MAX: usize = 10_000;
/// Most batches that one commit makes due.
const COMMIT_BATCHES: usize = 256;
/// If the watchdog itself was not run for so long the process was stopped.
const STOPPED_FOR: Duration = Duration::from_secs(60);

/// Batches that fare alike.
type Group = (Direction, State, ChainId);

/// When somebody last worked on each group.
#[derive(Debug, Default)]
pub struct Worked(Mutex<BTreeMap<Group, Instant>>);

impl Worked {
    /// A job on the group begins or ends.
    pub fn note(&self, direction: Direction, (state, chain): (State, ChainId)) {
        self.groups().insert((direction, state, chain), Instant::now());
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<Group, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since(&self, group: Group) -> Option<Instant> {
        self.groups().get(&group).copied()
    }

    /// Forgets what is too long ago to say anything.
    fn tidy(&self) {
        self.groups().retain(|_, at| at.elapsed() < HOURLY);
    }
}

/// A batch that should have moved, as it was when that was first seen.
#[derive(Debug, Clone)]
struct Suspect {
    line: Line,
    why: Why,
    since: Instant,
    /// Told of already, and made due: it is again, without another word.
    is_told: bool,
}

/// Where the look is, and who is suspected.
#[derive(Debug, Default)]
struct Round {
    place: Option<(Direction, BatchId)>,
    suspects: BTreeMap<(Direction, BatchId), Suspect>,
}

/// Looks for what is stuck until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let (mut round, mut looked) = (Round::default(), Instant::now());
    loop {
        gateway.tasks.beat(Task::Stuck);
        let is_idle = gateway.spool.healthy().is_err() || gateway.load.sheds();
        if is_idle || looked.elapsed() > LOOKED_AT + STOPPED_FOR {
            round.suspects.values_mut().for_each(|suspect| suspect.since = Instant::now());
        }
        looked = Instant::now();
        if !is_idle && let Err(error) = round.look(gateway).await {
            // Whoever works on the queue raises the alert.
            tracing::warn!(target: "distpos", "watchdog: spool: {error}");
        }
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(LOOKED_AT) => {}
        }
    }
}

impl Round {
    /// Looks at the next page, then at whom it was time to look at again.
    async fn look(&mut self, gateway: &Gateway) -> Result<(), SpoolError> {
        gateway.worked.tidy();
        let (direction, after) = self.place.unwrap_or((Direction::Outbound, BatchId(0)));
        let lines = gateway.spool.read(|tx| tx.lines(direction, Some(after), PAGE))?;
        self.place = match lines.last() {
            Some(last) if lines.len() == PAGE => Some((direction, last.id)),
            _ if direction == Direction::Outbound => Some((Direction::Inbound, BatchId(0))),
            _ => None,
        };
        let now = gateway.now();
        for line in lines {
            let Some(why) = suspicion(&line, now) else { continue };
            if self.suspects.len() < SUSPECTS_MAX {
                let suspect = Suspect { line, why, since: Instant::now(), is_told: false };
                self.suspects.entry((direction, suspect.line.id)).or_insert(suspect);
            }
        }
        let stuck = self.verdicts(gateway)?;
        for some in stuck.chunks(COMMIT_BATCHES) {
            self.put_back(gateway, some).await?;
        }
        Ok(())
    }

    /// Who is stuck. Who has moved, or gone, is no suspect any more.
    fn verdicts(&mut self, gateway: &Gateway) -> Result<Vec<(Direction, BatchId)>, SpoolError> {
        let (mut stuck, mut cleared) = (Vec::new(), Vec::new());
        for ((direction, id), suspect) in &mut self.suspects {
            let Line { state, peer, .. } = suspect.line;
            let worked = gateway.worked.since((*direction, state, peer));
            // Its turn comes: what is due longest is taken first.
            let is_worked_on =
                suspect.why == Why::Overdue && worked.is_some_and(|at| at > suspect.since);
            if is_worked_on {
                suspect.since = worked.unwrap_or(suspect.since);
            }
            let waits = match suspect.why {
                Why::TooFar => TOO_FAR_FOR,
                Why::NoDue | Why::Overdue => limit(state).idle_max,
            };
            if suspect.since.elapsed() < waits {
                continue;
            }
            let line = gateway.spool.read(|tx| tx.line(*direction, *id))?;
            match line {
                Some(line) if line == suspect.line => stuck.push((*direction, *id)),
                Some(_) | None => cleared.push((*direction, *id)),
            }
        }
        for place in cleared {
            self.suspects.remove(&place);
        }
        Ok(stuck)
    }

    async fn put_back(
        &mut self,
        gateway: &Gateway,
        places: &[(Direction, BatchId)],
    ) -> Result<(), SpoolError> {
        let suspects: Vec<_> = places
            .iter()
            .filter_map(|place| Some((*place, self.suspects.get(place)?.clone())))
            .collect();
        let now = gateway.now();
        let putting = suspects.clone();
        let putting = gateway.spool.transact(move |tx| {
            let mut found = Vec::new();
            for ((direction, id), suspect) in putting {
                let Some((line, event)) = due_now(tx, direction, id, &suspect, now)? else {
                    continue;
                };
                found.push(((direction, id), line, event));
            }
            Ok::<_, SpoolError>(found)
        });
        for (place, line, event) in putting.await? {
            let Some(suspect) = self.suspects.get_mut(&place) else { continue };
            if !suspect.is_told {
                gateway.emit(event);
            }
            let (why, since) = (Why::Overdue, Instant::now());
            *suspect = Suspect { line, why, since, is_told: true };
        }
        Ok(())
    }
}

/// Makes a batch due, if it is still as it was.
fn due_now(
    tx: &mut Tx<'_>,
    direction: Direction,
    id: BatchId,
    Suspect { line: seen, why, .. }: &Suspect,
    now: UnixMillis,
) -> Result<Option<(Line, Event)>, SpoolError> {
    let Some(line) = tx.line(direction, id)?.filter(|line| line == seen) else { return Ok(None) };
    let (state, attempts, reply) = (line.state, line.attempts, line.reply.clone());
    tx.update(direction, id, Change { state, due: Some(now), attempts, reply }, now)?;
    let batch = tx.batch(direction, id)?;
    let Some(first) = batch.and_then(|batch| batch.items.first().map(|item| item.id)) else {
        return Ok(None);
    };
    let (chain, messages) = (line.peer, line.messages);
    let found = Found::Stuck { direction, chain, state, id: first, messages, why: *why };
    Ok(Some((Line { due: Some(now), ..line }, Event::Watchdog(found))))
}

/// What is wrong with a batch, if anything may be.
fn suspicion(line: &Line, now: UnixMillis) -> Option<Why> {
    match line.due {
        None => Some(Why::NoDue),
        Some(due) if due.since(now) > limit(line.state).ahead_max => Some(Why::TooFar),
        Some(due) if now.since(due) >= LATE_AFTER => Some(Why::Overdue),
        Some(_) => None,
    }
}

fn limit(state: State) -> Limit {
    let found = LIMITS.iter().find(|limit| limit.state == state);
    // The table has every state, which a test shows.
    found.copied().unwrap_or(Limit { state, ahead_max: ASKED_FOR, idle_max: HOUR })
}

#[cfg(test)]
mod tests {
    use distpos_proto::chain::Height;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_760_000_000_000);

    fn line(state: State, due: Option<UnixMillis>) -> Line {
        Line {
            id: BatchId(1),
            peer: "b1c2".parse().unwrap(),
            height: Height(1),
            state,
            due,
            attempts: 3,
            since: NOW,
            created: NOW,
            reply: None,
            messages: 2,
        }
    }

    #[test]
    fn every_state_has_its_limits_and_what_the_schedule_sets_is_within_them() {
        use distpos_proto::retry::{Cause, delay};
        assert_eq!(LIMITS.map(|limit| limit.state), State::ALL);
        let longest = |cause| (0..20).map(|n| delay(cause, n, u64::MAX)).max().unwrap();
        let asked = longest(Cause::Temporary { retry_after: Some(u32::MAX) });
        assert!(asked < limit(State::Queued).ahead_max);
        for cause in [Cause::Accepted, Cause::Submitted, Cause::Unreachable] {
            assert!(longest(cause) < limit(State::Accepted).ahead_max);
        }
        assert!(HELD_FOR_MAX < limit(State::Held).ahead_max);
    }

    #[test]
    fn what_waits_for_no_time_too_long_or_in_vain_is_suspected_and_nothing_else_is() {
        let at = |due| suspicion(&line(State::Accepted, due), NOW);
        assert_eq!(at(None), Some(Why::NoDue));
        assert_eq!(at(Some(NOW)), None);
        assert_eq!(at(Some(NOW.before(LATE_AFTER - Duration::from_millis(1)))), None);
        assert_eq!(at(Some(NOW.before(LATE_AFTER))), Some(Why::Overdue));
        assert_eq!(at(Some(NOW.after(HOURLY))), None);
        let further = NOW.after(HOURLY + Duration::from_millis(1));
        assert_eq!(at(Some(further)), Some(Why::TooFar));
        assert_eq!(suspicion(&line(State::Held, Some(further)), NOW), None);
    }
}
