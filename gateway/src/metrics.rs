//! What is counted and measured, for Prometheus: `GET /metrics` on a listener of its own ([`serve`]).
//!
//! Names and labels are in one [`table`]. Counters come from events ([`events`]) and from the few places
//! where something is measured; gauges are read from the spool every [`sample::EVERY`], in pieces, and
//! never by a scrape: a scrape costs the same whatever waits in the queue.
//!
//! Labels are words out of short lists and chain-ids, at most [`registry::CHAINS_MAX`] strangers': no
//! peer can write into them, nor make them many.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use distpos_proto::{
    chain::{ChainId, Family},
    code::Code,
    message::MessageId,
    receipt::{EndingKind, Outcome},
    time::UnixSeconds,
};
use distpos_spool::{Direction, End, Spool, SpoolError};

pub mod dns;
pub mod events;
pub mod page;
pub mod registry;
pub mod sample;
pub mod serve;
pub mod table;

use registry::{OTHER, Registry};

/// Ended messages whose way is not looked up yet. They are looked up every second; those beyond it
/// are counted without their chain and their times.
const ENDED_MAX: usize = 65_536;
/// Most chains whose newest block is remembered.
const HEADS_MAX: usize = 4_096;

/// All metrics of a gateway.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The series.
    pub registry: Registry,
    ended: Mutex<Vec<(Direction, MessageId)>>,
    heads: Mutex<BTreeMap<ChainId, UnixSeconds>>,
}

/// What evidence came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It proves messages.
    Proven,
    /// It may, later.
    NotYet,
    /// It is wrong.
    Invalid,
    /// It contradicts what was authenticated before.
    Conflict,
}

impl Judged {
    fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::NotYet => "not_yet",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
        }
    }
}

impl Metrics {
    /// Messages that a gateway of the chain has on its disk.
    pub fn accepted(&self, chain: ChainId, messages: usize) {
        self.registry.add(&table::ACCEPTED, &[chain.into()], messages as u64);
    }

    /// Evidence was judged.
    pub fn judged(&self, family: Family, judged: Judged, took: Duration) {
        let family = family.to_string();
        let labels = [family.as_str().into(), judged.word().into()];
        self.registry.add(&table::PROOF_VERIFY, &labels, 1);
        self.registry.observe(&table::PROOF_VERIFY_SECONDS, &labels[..1], took.as_secs_f64());
    }

    /// A block of the chain is authenticated.
    pub fn head(&self, chain: ChainId, time: UnixSeconds) {
        let mut heads = locked(&self.heads);
        let newest = heads.entry(chain).or_insert(time);
        *newest = time.max(*newest);
        if heads.len() > HEADS_MAX {
            // Whichever it is: it comes back with its next block.
            heads.pop_first();
        }
    }

    fn heads(&self) -> BTreeMap<ChainId, UnixSeconds> {
        locked(&self.heads).clone()
    }

    /// Notes that a message has ended in a final block; how is looked up by [`Metrics::look_up`].
    fn ended(&self, direction: Direction, id: MessageId) -> bool {
        let mut ended = locked(&self.ended);
        let has_room = ended.len() < ENDED_MAX;
        if has_room {
            ended.push((direction, id));
        }
        has_room
    }

    /// Counts what has ended since the last call, with chain, code and times from the spool.
    ///
    /// # Errors
    /// [`SpoolError`] if the spool cannot be read; what has ended is then counted later.
    pub fn look_up(&self, spool: &Spool) -> Result<(), SpoolError> {
        let ids = std::mem::take(&mut *locked(&self.ended));
        if ids.is_empty() {
            return Ok(());
        }
        let found = spool.read(|tx| {
            let ends = ids.iter().map(|(direction, id)| tx.ended(*direction, id));
            ends.collect::<Result<Vec<_>, SpoolError>>()
        });
        match found {
            Ok(ends) => {
                for ((direction, _), end) in ids.into_iter().zip(ends) {
                    self.count_end(direction, end.as_ref());
                }
                Ok(())
            }
            Err(error) => {
                let mut ended = locked(&self.ended);
                let room = ENDED_MAX.saturating_sub(ended.len());
                ended.extend(ids.into_iter().take(room));
                Err(error)
            }
        }
    }

    /// Counts one message. It may have been sent before this spool began: then nothing more is known.
    fn count_end(&self, direction: Direction, end: Option<&End>) {
        let chain = end.map_or(OTHER.into(), |end| end.peer.into());
        let is_delivered = match (direction, end) {
            (Direction::Outbound, Some(End { settled, .. })) => *settled == Some(EndingKind::Close),
            (Direction::Inbound, Some(End { outcome, .. })) => {
                matches!(outcome, Some(Outcome::Delivered { .. }))
            }
            (_, None) => true,
        };
        if is_delivered {
            self.registry.add(&table::DELIVERED, &[chain], 1);
        } else {
            let code = match end.and_then(|end| end.outcome.as_ref()) {
                Some(Outcome::Refused { code, .. }) => code_word(*code),
                Some(Outcome::Delivered { .. }) | None => OTHER.to_owned(),
            };
            self.registry.add(&table::REFUSED, &[chain, code.as_str().into()], 1);
        }
        let Some(End { history, .. }) = end else { return };
        let phase = |word: &str, took: Duration| {
            self.registry.observe(&table::DELIVERY, &[word.into()], took.as_secs_f64());
        };
        for pair in history.windows(2) {
            let [(state, from), (_, to)] = pair else { continue };
            phase(state.word(), to.since(*from));
        }
        if let [(_, first), .., (_, last)] = history[..] {
            phase(direction.word(), last.since(first));
        }
    }
}

/// A code as a label: one of those that this version gives, as peers could make up thousands.
fn code_word(code: Code) -> String {
    if Code::ALL.contains(&code) { code.to_string() } else { OTHER.to_owned() }
}

/// Numbers and ids: a panic leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
