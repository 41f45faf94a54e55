//! The connections that are kept, one for each (address, pins).
//!
//! Pins are part of the name: a connection made under other pins proved another key.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use distpos_certs::TlsIdentity;
use distpos_proto::key::SpkiPin;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::debug;

use super::{
    ClientLimits,
    connect::{Driver, Sender, connect},
};
use crate::peer::{PeerError, Target};

#[derive(Debug)]
pub(super) struct Pool {
    identity: TlsIdentity,
    limits: ClientLimits,
    entries: Arc<Mutex<Entries>>,
}

type Entries = BTreeMap<Name, Arc<Entry>>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    address: SocketAddr,
    pins: Vec<SpkiPin>,
}

impl Name {
    fn of(target: &Target, address: SocketAddr) -> Self {
        let mut pins = target.pins.clone();
        pins.sort_unstable();
        Self { address, pins }
    }
}

/// A connection in use by one call; idle time counts from when the last of them is dropped.
pub(super) struct Connection {
    pub(super) sender: Sender,
    _usage: InUse,
}

impl Pool {
    pub(super) fn new(identity: TlsIdentity, limits: ClientLimits) -> Self {
        Self { identity, limits, entries: Arc::default() }
    }

    /// The connection that is kept, if one is.
    pub(super) fn kept_connection(
        &self,
        target: &Target,
        address: SocketAddr,
    ) -> Option<Connection> {
        let name = Name::of(target, address);
        let entry = locked(&self.entries).get(&name).map(Arc::clone)?;
        entry.open()
    }

    /// The kept connection, or a new one. However many calls wait for it, one connects.
    pub(super) async fn connection(
        &self,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Connection, PeerError> {
        let name = Name::of(target, address);
        let entry = self.entry(&name)?;
        if let Some(connection) = entry.open() {
            return Ok(connection);
        }
        let _one_at_a_time = entry.connecting.lock().await;
        if let Some(connection) = entry.open() {
            return Ok(connection);
        }
        let (sender, driver) = connect(&self.identity, target, address, &self.limits).await?;
        let usage = Arc::new(Usage::new());
        let connection = Connection { sender: sender.clone(), _usage: Usage::begin(&usage) };
        *locked(&entry.kept) = Some(Kept { sender, usage: Arc::clone(&usage) });
        let keeper = Keeper {
            name,
            entry: Arc::downgrade(&entry),
            entries: Arc::downgrade(&self.entries),
            usage,
            idle: self.limits.idle,
        };
        tokio::spawn(keeper.run(driver));
        Ok(connection)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        locked(&self.entries).values().filter(|entry| entry.is_open()).count()
    }

    fn entry(&self, name: &Name) -> Result<Arc<Entry>, PeerError> {
        let mut entries = locked(&self.entries);
        if let Some(entry) = entries.get(name) {
            return Ok(Arc::clone(entry));
        }
        if entries.len() >= self.limits.connections_max {
            make_room(&mut entries, self.limits.connections_max)?;
        }
        Ok(Arc::clone(entries.entry(name.clone()).or_default()))
    }
}

/// Drops what is no connection (any more), or else the connection that has been idle longest.
fn make_room(entries: &mut Entries, limit: usize) -> Result<(), PeerError> {
    entries.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.is_open());
    if entries.len() < limit {
        return Ok(());
    }
    let longest_idle = entries
        .iter()
        .filter(|(_, entry)| Arc::strong_count(entry) == 1)
        .filter_map(|(name, entry)| Some((entry.idle_since()?, name.clone())))
        .min();
    let (_, name) = longest_idle.ok_or(PeerError::Busy { limit })?;
    entries.remove(&name);
    Ok(())
}

#[derive(Debug, Default)]
struct Entry {
    connecting: tokio::sync::Mutex<()>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    sender: Sender,
    usage: Arc<Usage>,
}

impl Entry {
    fn open(&self) -> Option<Connection> {
        let kept = locked(&self.kept);
        let kept = kept.as_ref().filter(|kept| !kept.sender.is_closed())?;
        // Counted under the lock, so that the keeper does not close it at this very moment.
        Some(Connection { sender: kept.sender.clone(), _usage: Usage::begin(&kept.usage) })
    }

    fn is_open(&self) -> bool {
        locked(&self.kept).as_ref().is_some_and(|kept| !kept.sender.is_closed())
    }

    fn idle_since(&self) -> Option<Instant> {
        locked(&self.kept).as_ref().and_then(|kept| kept.usage.idle_since())
    }
}

/// Polls one connection until it ends, and lets go of it when nobody has used it for a while:
/// hyper closes an HTTP/2 connection in order when the last sender is dropped.
struct Keeper {
    name: Name,
    entry: Weak<Entry>,
    entries: Weak<Mutex<Entries>>,
    usage: Arc<Usage>,
    idle: Duration,
}

impl Keeper {
    async fn run(self, driver: Driver) {
        let mut driver = pin!(driver);
        let mut kept = true;
        loop {
            let look_at = self.usage.idle_since().unwrap_or_else(Instant::now) + self.idle;
            tokio::select! {
                biased;
                ended = driver.as_mut() => {
                    if let Err(error) = ended {
                        debug!(address = %self.name.address, %error, "connection to peer broke");
                    }
                    self.let_go(|_| true);
                    return;
                }
                () = sleep_until(look_at), if kept => {
                    kept = !self.let_go(|usage| {
                        usage.idle_since().is_some_and(|since| since + self.idle <= Instant::now())
                    });
                }
            }
        }
    }

    /// Forgets the connection if `condition` holds; false if it is kept.
    fn let_go(&self, condition: impl FnOnce(&Usage) -> bool) -> bool {
        let (Some(entries), Some(entry)) = (self.entries.upgrade(), self.entry.upgrade()) else {
            return true;
        };
        let mut entries = locked(&entries);
        let mut kept = locked(&entry.kept);
        let is_this = kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.usage, &self.usage));
        if !is_this {
            return true;
        }
        if !condition(&self.usage) {
            return false;
        }
        *kept = None;
        if entries.get(&self.name).is_some_and(|found| Arc::ptr_eq(found, &entry)) {
            entries.remove(&self.name);
        }
        true
    }
}

/// How many calls use a connection, and since when none does.
#[derive(Debug)]
struct Usage(Mutex<(usize, Instant)>);

impl Usage {
    fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    fn begin(this: &Arc<Self>) -> InUse {
        locked(&this.0).0 += 1;
        InUse(Arc::clone(this))
    }

    fn idle_since(&self) -> Option<Instant> {
        let (calls, since) = *locked(&self.0);
        (calls == 0).then_some(since)
    }
}

struct InUse(Arc<Usage>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = locked(&self.0.0);
        usage.0 = usage.0.saturating_sub(1);
        usage.1 = Instant::now();
    }
}

/// Nothing that can panic runs under these locks, so a poisoned one is still sound.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
