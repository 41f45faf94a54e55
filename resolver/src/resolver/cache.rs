//! What DNS said, for as long as it may be kept: answers, failures, and one query at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use distpos_proto::time::UnixMillis;
use tokio::sync::Mutex as AsyncMutex;

use super::{CacheCounts, Timed, locked};
use crate::{Clock, ResolveError};

/// Least and longest time for which an answer is kept. Below, popular names would be asked all the
/// time; above, a change would never arrive.
pub(super) const TTL_MIN: Duration = Duration::from_secs(30);
pub(super) const TTL_MAX: Duration = Duration::from_hours(24);

/// The same for "there is nothing" (RFC 2308 allows hours; a new chain should not wait for them).
const NEGATIVE_MIN: Duration = Duration::from_secs(5);
const NEGATIVE_MAX: Duration = Duration::from_mins(5);

/// How long an expired answer may serve while the servers fail (RFC 8767 suggests 1 to 3 days).
const STALE_FOR: Duration = Duration::from_hours(24);

/// How long a failure is not asked again: the first time, and at most (RFC 9520, section 3.2).
const BACK_OFF: Duration = Duration::from_secs(2);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Answers by what was asked.
pub(super) struct Cache<K, V> {
    state: Mutex<State<K, V>>,
    flights: Mutex<BTreeMap<K, Arc<AsyncMutex<()>>>>,
    hits: AtomicU64,
    misses: AtomicU64,
    backed_off: AtomicU64,
}

struct State<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    ends: Timed<K>,
}

struct Entry<V> {
    answer: Option<Answer<V>>,
    failure: Option<Failure>,
}

struct Answer<V> {
    value: V,
    fetched: UnixMillis,
    refresh: UnixMillis,
    expires: UnixMillis,
    stale_until: UnixMillis,
}

struct Failure {
    error: ResolveError,
    until: UnixMillis,
    in_a_row: u32,
}

/// An answer just fetched.
pub(super) struct Fetched<V> {
    pub(super) value: V,
    pub(super) lifetime: Lifetime,
}

/// How long an answer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    fresh: Duration,
    stale: Duration,
}

impl Lifetime {
    /// Of something that exists: serves stale when the servers fail.
    pub(super) fn of(ttl_seconds: u32) -> Self {
        let fresh = Duration::from_secs(ttl_seconds.into()).clamp(TTL_MIN, TTL_MAX);
        Self { fresh, stale: STALE_FOR }
    }

    /// Of a word that ends messages: it may be obeyed only while it is fresh.
    pub(super) fn of_null(ttl_seconds: u32) -> Self {
        Self { stale: Duration::ZERO, ..Self::of(ttl_seconds) }
    }

    /// Of "there is nothing".
    pub(super) fn of_nothing(ttl_seconds: u32) -> Self {
        let fresh = Duration::from_secs(ttl_seconds.into()).clamp(NEGATIVE_MIN, NEGATIVE_MAX);
        Self { fresh, stale: Duration::ZERO }
    }
}

/// An answer that may be used now.
#[derive(Debug, Clone)]
pub(super) struct Served<V> {
    pub(super) value: V,
    pub(super) stale: bool,
    pub(super) fetched: UnixMillis,
    pub(super) expires: UnixMillis,
}

enum Held<V> {
    Nothing,
    Fresh(Served<V>),
    /// Still good, but it is time to ask again before it expires.
    Ageing(Served<V>),
    /// The servers failed a moment ago.
    BackedOff(Result<Served<V>, ResolveError>),
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    /// Room for so many answers; beyond it the one that would end first makes room.
    pub(super) fn new(entries_max: usize) -> Self {
        let state = State { entries: BTreeMap::new(), ends: Timed::new(entries_max) };
        let [hits, misses, backed_off] = Default::default();
        Self { state: Mutex::new(state), flights: Mutex::default(), hits, misses, backed_off }
    }

    /// How often it was asked.
    pub(super) fn counts(&self) -> CacheCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (hits, misses) = (of(&self.hits), of(&self.misses));
        CacheCounts { hits, misses, backed_off: of(&self.backed_off) }
    }

    /// What is held, or what `fetch` gets. However many wait for one key, one of them fetches; if
    /// it is cancelled, the next one does.
    pub(super) async fn get<F: Future<Output = Result<Fetched<V>, ResolveError>>>(
        &self,
        key: &K,
        clock: &Clock,
        fetch: impl FnOnce() -> F,
    ) -> Result<Served<V>, ResolveError> {
        let ageing = match self.held(key, clock()) {
            Held::Fresh(served) => return self.hit(served),
            Held::BackedOff(outcome) => return self.back_off(outcome),
            Held::Ageing(served) => Some(served),
            Held::Nothing => None,
        };
        let flight = Flight::join(&self.flights, key);
        let turn = match (flight.lock.try_lock(), ageing) {
            (Ok(turn), _) => turn,
            (Err(_), Some(served)) => return self.hit(served), // somebody is refreshing it already
            (Err(_), None) => flight.lock.lock().await,
        };
        match self.held(key, clock()) {
            Held::Fresh(served) => return self.hit(served),
            Held::BackedOff(outcome) => return self.back_off(outcome),
            Held::Ageing(_) | Held::Nothing => {}
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let fetched = fetch().await;
        let outcome = self.keep(key, fetched, clock());
        drop(turn);
        outcome
    }

    fn hit(&self, served: Served<V>) -> Result<Served<V>, ResolveError> {
        self.hits.fetch_add(1, Ordering::Relaxed);
        Ok(served)
    }

    fn back_off(
        &self,
        outcome: Result<Served<V>, ResolveError>,
    ) -> Result<Served<V>, ResolveError> {
        self.backed_off.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn held(&self, key: &K, now: UnixMillis) -> Held<V> {
        locked(&self.state).entries.get(key).map_or(Held::Nothing, |entry| entry.held(now))
    }

    fn keep(
        &self,
        key: &K,
        fetched: Result<Fetched<V>, ResolveError>,
        now: UnixMillis,
    ) -> Result<Served<V>, ResolveError> {
        let mut state = locked(&self.state);
        let mut entry = state.entries.remove(key).unwrap_or(Entry { answer: None, failure: None });
        let outcome = match fetched {
            Ok(fetched) => Ok(entry.succeed(fetched, now)),
            Err(error) => entry.fail(error, now),
        };
        let end = entry.end();
        state.entries.insert(key.clone(), entry);
        if let Some(evicted) = state.ends.insert(key.clone(), end) {
            state.entries.remove(&evicted);
        }
        outcome
    }
}

impl<V: Clone> Entry<V> {
    fn held(&self, now: UnixMillis) -> Held<V> {
        let failure = self.failure.as_ref().filter(|failure| now < failure.until);
        match (&self.answer, failure) {
            (Some(answer), None) if now < answer.expires && now >= answer.refresh => {
                Held::Ageing(answer.serve(false))
            }
            (Some(answer), _) if now < answer.expires => Held::Fresh(answer.serve(false)),
            (_, Some(failure)) => Held::BackedOff(self.after(&failure.error, now)),
            (_, None) => Held::Nothing,
        }
    }

    fn succeed(&mut self, fetched: Fetched<V>, now: UnixMillis) -> Served<V> {
        let Lifetime { fresh, stale } = fetched.lifetime;
        let expires = now.after(fresh);
        let answer = Answer {
            value: fetched.value,
            fetched: now,
            refresh: now.after(fresh - fresh / 10),
            expires,
            stale_until: expires.after(stale),
        };
        let served = answer.serve(false);
        *self = Self { answer: Some(answer), failure: None };
        served
    }

    fn fail(&mut self, error: ResolveError, now: UnixMillis) -> Result<Served<V>, ResolveError> {
        let in_a_row = self.failure.as_ref().map_or(0, |failure| failure.in_a_row);
        let delay = BACK_OFF.saturating_mul(1 << in_a_row.min(10)).min(BACK_OFF_MAX);
        let outcome = self.after(&error, now);
        self.failure = Some(Failure { error, until: now.after(delay), in_a_row: in_a_row + 1 });
        outcome
    }

    /// What a failure leaves to be served: an answer that is not expired, or, when the servers
    /// failed, one that is.
    fn after(&self, error: &ResolveError, now: UnixMillis) -> Result<Served<V>, ResolveError> {
        match &self.answer {
            Some(answer) if now < answer.expires => Ok(answer.serve(false)),
            Some(answer) if now < answer.stale_until && error.is_outage() => Ok(answer.serve(true)),
            Some(_) | None => Err(error.clone()),
        }
    }

    fn end(&self) -> UnixMillis {
        let answer = self.answer.as_ref().map_or(UnixMillis(0), |answer| answer.stale_until);
        let failure = self.failure.as_ref().map_or(UnixMillis(0), |failure| failure.until);
        answer.max(failure)
    }
}

impl<V: Clone> Answer<V> {
    fn serve(&self, stale: bool) -> Served<V> {
        Served { value: self.value.clone(), stale, fetched: self.fetched, expires: self.expires }
    }
}

/// A place in the queue for one key; the last one to leave tidies up, also when it is cancelled.
struct Flight<'a, K: Ord + Clone> {
    flights: &'a Mutex<BTreeMap<K, Arc<AsyncMutex<()>>>>,
    key: K,
    lock: Arc<AsyncMutex<()>>,
}

impl<'a, K: Ord + Clone> Flight<'a, K> {
    fn join(flights: &'a Mutex<BTreeMap<K, Arc<AsyncMutex<()>>>>, key: &K) -> Self {
        let lock = Arc::clone(locked(flights).entry(key.clone()).or_default());
        Self { flights, key: key.clone(), lock }
    }
}

impl<K: Ord + Clone> Drop for Flight<'_, K> {
    fn drop(&mut self) {
        let mut flights = locked(self.flights);
        // Two are left: the map's own and this one. Others join only under the map's lock.
        if Arc::strong_count(&self.lock) == 2 {
            flights.remove(&self.key);
        }
    }
}
