//! What is known of reaching other chains: one [`Destination`] each, and waking what waits for one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    destination::Destination,
    time::UnixMillis,
};
use distpos_spool::{Direction, Place, SpoolError, State};
use tokio::sync::Notify;

use crate::{event::Event, gateway::Gateway};

/// Most chains of which something is remembered. Strangers could name more: of those beyond it
/// nothing is, and they are tried by the schedule of what is queued for them alone.
const DESTINATIONS_MAX: usize = 4_096;

/// Batches that are woken in one commit: a backlog of a million messages does not hold up others.
const WOKEN_AT_ONCE: usize = 256;

/// What waits for another chain's gateways, or may.
const WAITING: [(Direction, State); 4] = [
    (Direction::Outbound, State::Queued),
    (Direction::Outbound, State::Accepted),
    (Direction::Inbound, State::Ended),
    (Direction::Inbound, State::Claimed),
];

/// By chain. Begins empty at each start.
#[derive(Debug, Default)]
pub struct Destinations {
    known: Mutex<BTreeMap<ChainId, Known>>,
    /// Told when a breaker opens: there is something to probe.
    pub opened: Notify,
}

#[derive(Debug, Default)]
struct Known {
    destination: Destination,
    /// What the last attempt found, if it failed.
    last: Option<Reply>,
    /// Nothing waits for it: whoever calls it next finds out.
    is_idle: bool,
}

impl Destinations {
    fn known(&self) -> MutexGuard<'_, BTreeMap<ChainId, Known>> {
        // Numbers and texts: a panic leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of a chain; none if there is no room to remember it.
    fn change<R>(&self, chain: ChainId, change: impl FnOnce(&mut Known) -> R) -> Option<R> {
        let mut known = self.known();
        if known.len() >= DESTINATIONS_MAX && !known.contains_key(&chain) {
            known.retain(|_, known| !known.destination.is_unremarkable());
            if known.len() >= DESTINATIONS_MAX {
                return None;
            }
        }
        Some(change(known.entry(chain).or_default()))
    }

    /// How many requests may be under way to a chain at a time.
    #[must_use]
    pub fn concurrency(&self, chain: ChainId) -> usize {
        let known = self.known();
        known.get(&chain).map_or_else(
            || Destination::default().concurrency(),
            |known| known.destination.concurrency(),
        )
    }

    /// Why nobody is to be tried there now, if the breaker is open.
    #[must_use]
    pub fn shut(&self, chain: ChainId, now: UnixMillis) -> Option<Reply> {
        let known = self.known();
        let known = known.get(&chain)?;
        known.destination.shut_until(now)?;
        // In its own words: what waits for one reason is counted as one.
        Some(known.last.clone().unwrap_or_else(|| Reply::new(Code::NO_ANSWER, "no answer")))
    }

    /// Chains whose breaker is open and that are to be probed at `now`, and when the next one is.
    #[must_use]
    pub fn to_probe(&self, now: UnixMillis) -> (Vec<ChainId>, Option<UnixMillis>) {
        let (mut due, mut next) = (Vec::new(), None);
        for (chain, known) in self.known().iter().filter(|(_, known)| !known.is_idle) {
            match (known.destination.probe_at(), known.destination.shut_until(now)) {
                (Some(_), None) => due.push(*chain),
                (_, Some(at)) => next = Some(next.map_or(at, |next: UnixMillis| next.min(at))),
                (None, None) => {}
            }
        }
        (due, next)
    }

    fn answered(&self, chain: ChainId) -> bool {
        self.change(chain, |known| {
            known.last = None;
            known.destination.answered()
        })
        .unwrap_or(false)
    }

    /// Nothing waits for the chain: it is not probed until somebody has called it in vain again.
    pub fn leave(&self, chain: ChainId) {
        if let Some(known) = self.known().get_mut(&chain) {
            known.is_idle = true;
        }
    }

    /// Forgets what is known of a chain, as a restart does.
    pub fn forget(&self, chain: ChainId) {
        self.known().remove(&chain);
    }

    /// It answered that this is not the moment.
    pub fn refused(&self, chain: ChainId) {
        self.change(chain, |known| known.destination.refused());
    }

    fn failed(&self, chain: ChainId, reply: &Reply, now: UnixMillis, jitter: u64) -> bool {
        self.change(chain, |known| {
            (known.last, known.is_idle) = (Some(reply.clone()), false);
            known.destination.failed(now, jitter)
        })
        .unwrap_or(false)
    }

    fn called(&self, chain: ChainId, now: UnixMillis) -> bool {
        self.change(chain, |known| known.destination.called(now)).unwrap_or(false)
    }
}

/// A gateway of the chain answered. If none did before, what waits for it is due now.
pub async fn answered(gateway: &Gateway, chain: ChainId) {
    if gateway.destinations.answered(chain) {
        gateway.emit(Event::Reachable { chain });
        wake(gateway, chain).await;
    }
}

/// What keeps messages from the chain is not that nobody is there: what waits for it finds out.
pub async fn closed(gateway: &Gateway, chain: ChainId) {
    if gateway.destinations.answered(chain) {
        wake(gateway, chain).await;
    }
}

/// Whether anything waits for the chain's gateways.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read.
pub fn is_wanted(gateway: &Gateway, chain: ChainId) -> Result<bool, SpoolError> {
    gateway.spool.read(|tx| {
        for (direction, state) in WAITING {
            if tx.count_for(direction, chain, state)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// No gateway of the chain was reached, or its name could not be looked up.
pub fn failed(gateway: &Gateway, chain: ChainId, reply: &Reply) {
    if gateway.destinations.failed(chain, reply, gateway.now(), gateway.random_u64()) {
        gateway.emit(Event::Unreachable { chain, reply: reply.clone() });
        gateway.destinations.opened.notify_one();
    }
}

/// A gateway of the chain called here: what waits for it is due now (RFC 1123, 5.3.1.1), if there
/// was a reason to wait.
pub async fn called(gateway: &Gateway, chain: ChainId) {
    if gateway.destinations.called(chain, gateway.now()) {
        wake(gateway, chain).await;
    }
}

/// Makes due now what waits because nobody of the chain could be reached. What its gateways asked
/// to come back with later waits as they asked.
async fn wake(gateway: &Gateway, chain: ChainId) {
    for (direction, state) in WAITING {
        let hastening = hasten(gateway, direction, (chain, state), is_about_reaching);
        if let Err(error) = hastening.await {
            // It is due later in any case.
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            return;
        }
    }
}

/// Makes due now what waits in one state for a reason that `applies`, some at a time.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written; what was hastened before is due.
pub async fn hasten(
    gateway: &Gateway,
    direction: Direction,
    group: (ChainId, State),
    applies: fn(Option<&Reply>) -> bool,
) -> Result<(), SpoolError> {
    let now = gateway.now();
    // Nearly always there is nothing, and nothing to write.
    if gateway.spool.read(|tx| tx.next_due_after(direction, group, now))?.is_none() {
        return Ok(());
    }
    let mut place = Some(Place::all_until(now));
    while let Some(from) = place {
        let hastening = gateway
            .spool
            .transact(move |tx| tx.hasten(direction, group, now, (from, WOKEN_AT_ONCE), applies));
        place = hastening.await?;
    }
    Ok(())
}

/// Whether something waits because nobody could be reached.
fn is_about_reaching(reply: Option<&Reply>) -> bool {
    reply.is_some_and(|reply| [Code::NO_ANSWER, Code::DNS].contains(&reply.code))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use distpos_proto::destination::FAILURES_MAX;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn chain(number: u32) -> ChainId {
        format!("{number:x}").parse().unwrap()
    }

    fn away() -> Reply {
        Reply::new(Code::NO_ANSWER, "gw1.f00d.test:7333: connection refused")
    }

    #[test]
    fn who_asks_while_the_breaker_is_open_is_told_what_the_last_attempt_found() {
        let (known, f00d) = (Destinations::default(), chain(0xf00d));
        for _ in 0..FAILURES_MAX {
            assert_eq!(known.shut(f00d, NOW), None);
            known.failed(f00d, &away(), NOW, 1 << 63);
        }
        assert_eq!(known.shut(f00d, NOW), Some(away()));
        assert_eq!(known.to_probe(NOW), (vec![], Some(NOW.after(Duration::from_secs(30)))));
        let later = NOW.after(Duration::from_secs(31));
        assert_eq!(known.to_probe(later), (vec![f00d], None));
        assert!(known.answered(f00d));
        assert_eq!(known.to_probe(later), (vec![], None));
        assert_eq!(known.concurrency(f00d), known.concurrency(chain(1)) - 1);
    }

    #[test]
    fn a_crowd_of_strangers_does_not_push_out_what_is_known_to_be_away() {
        let known = Destinations::default();
        for _ in 0..FAILURES_MAX {
            known.failed(chain(1), &away(), NOW, 0);
        }
        for number in 2..10_000 {
            known.answered(chain(number));
        }
        assert!(known.known().len() <= DESTINATIONS_MAX);
        assert!(known.shut(chain(1), NOW).is_some());
        // Even if all of them are away: what is remembered stays bounded.
        for number in 2..10_000 {
            known.failed(chain(number), &away(), NOW, 0);
        }
        assert_eq!(known.known().len(), DESTINATIONS_MAX);
        assert!(known.shut(chain(1), NOW).is_some());
        assert_eq!(known.concurrency(chain(9_999)), Destination::default().concurrency());
    }
}
