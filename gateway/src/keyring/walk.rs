//! Which step a key may take: a pure decision over what is noted, what DNS shows and the time
//! (`docs/dns.md`, *A key turns over*).

use std::{collections::BTreeMap, time::Duration};

use distpos_proto::{
    key::{KeySignature, PublicKey},
    record::{KeyRecord, Selector},
    time::UnixSeconds,
};
use thiserror::Error;

use super::{Keyring, OwnKey, State};

/// How long an old key is published on: longer than any spool keeps a message.
pub const OLD_FOR: Duration = Duration::from_hours(24 * 7);

/// How long a revocation is published at least, from when on it is on every server: each gateway
/// that knows the chain has looked it up by then.
pub const REVOKED_FOR: Duration = Duration::from_hours(24);

/// What DNS shows of one selector, on all authoritative servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// This key, everywhere.
    Key {
        /// The key.
        key: PublicKey,
        /// Who endorses it there.
        endorsements: Vec<KeySignature>,
    },
    /// A revocation, everywhere.
    Revoked,
    /// Nothing, everywhere.
    Nothing,
    /// Servers differ, or one does not answer: what each says.
    Unsettled(String),
}

impl From<KeyRecord> for Shown {
    fn from(record: KeyRecord) -> Self {
        let endorsements = record.endorsements;
        record.key.map_or(Self::Revoked, |key| Self::Key { key, endorsements })
    }
}

/// What DNS shows of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// By selector.
    pub keys: BTreeMap<Selector, Shown>,
    /// The selectors that the policy names on every server, or why it names none.
    pub named: Result<Vec<Selector>, String>,
    /// How long resolvers may hold what was before: the longest TTL, or that of "nothing".
    pub held_for: Duration,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing turns over: a new key may be made.
    Make,
    /// The new key is everywhere.
    Published {
        /// Which.
        selector: Selector,
        /// From when on it may sign.
        until: UnixSeconds,
    },
    /// The new key takes over.
    Sign {
        /// The new one.
        new: Selector,
        /// The one that signed before.
        old: Selector,
    },
    /// The old key is revoked.
    Revoke {
        /// Which.
        selector: Selector,
    },
    /// Its revocation is everywhere.
    Ended {
        /// Which.
        selector: Selector,
        /// From when on its record may go.
        until: UnixSeconds,
    },
    /// The revoked key is gone.
    Remove {
        /// Which.
        selector: Selector,
    },
}

/// Why the next step has to wait. All of these pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotYet {
    /// What was printed is not published everywhere.
    #[error("{selector}: {what}")]
    Unpublished {
        /// Which key.
        selector: Selector,
        /// What was found and what was expected.
        what: String,
    },
    /// Its time has not come.
    #[error("{selector} is {state}: the next step may be taken in {}", human(*left))]
    TooEarly {
        /// Which key.
        selector: Selector,
        /// How far it is.
        state: &'static str,
        /// How long to wait.
        left: Duration,
    },
}

impl Keyring {
    /// The key that is turning over: the youngest step first, so that no two go on at once.
    fn turning(&self) -> Option<&OwnKey> {
        let at = |state| self.keys().iter().rev().find(move |key| key.state == state);
        at(State::Made)
            .or_else(|| at(State::Published))
            .or_else(|| at(State::Old))
            .or_else(|| at(State::Revoked))
            .or_else(|| at(State::Ended))
    }

    /// Whether the next step depends on what DNS shows: nobody is asked about what is too early
    /// anyway.
    #[must_use]
    pub fn needs_view(&self, now: UnixSeconds) -> bool {
        self.turning()
            .is_some_and(|key| key.state != State::Old || passed(key, OLD_FOR, now).is_ok())
    }

    /// The step that may be taken now.
    ///
    /// # Errors
    /// [`NotYet`] says what is to be waited for.
    pub fn next(&self, view: Option<&View>, now: UnixSeconds) -> Result<Step, NotYet> {
        let Some(key) = self.turning() else { return Ok(Step::Make) };
        let selector = key.selector.clone();
        match key.state {
            State::Made => {
                let view = shown(key, view, true)?;
                let until = UnixSeconds(now.0.saturating_add(view.held_for.as_secs() * 2));
                Ok(Step::Published { selector, until })
            }
            State::Published => {
                let view = shown(key, view, true)?;
                passed(key, view.held_for.saturating_mul(2), now)?;
                Ok(Step::Sign { new: selector, old: self.current().selector.clone() })
            }
            State::Old => {
                passed(key, OLD_FOR, now)?;
                // With the old one gone peers believe that one alone, and only if they see it.
                shown(self.current(), view, true)?;
                Ok(Step::Revoke { selector })
            }
            State::Revoked => {
                let view = shown(key, view, false)?;
                let until = UnixSeconds(now.0.saturating_add(revoked_for(view).as_secs()));
                Ok(Step::Ended { selector, until })
            }
            State::Ended => {
                let view = view.ok_or_else(|| not_asked(key))?;
                passed(key, revoked_for(view), now)?;
                Ok(Step::Remove { selector })
            }
            State::Signing | State::Removed => Ok(Step::Make),
        }
    }
}

fn revoked_for(view: &View) -> Duration {
    REVOKED_FOR.max(view.held_for.saturating_mul(2))
}

fn not_asked(key: &OwnKey) -> NotYet {
    NotYet::Unpublished { selector: key.selector.clone(), what: "DNS was not asked".to_owned() }
}

fn passed(key: &OwnKey, wait: Duration, now: UnixSeconds) -> Result<(), NotYet> {
    let since = Duration::from_secs(now.0.saturating_sub(key.since.0));
    let Some(left) = wait.checked_sub(since).filter(|left| !left.is_zero()) else { return Ok(()) };
    Err(NotYet::TooEarly { selector: key.selector.clone(), state: key.state.word(), left })
}

/// Whether DNS shows a key as it has to be: there and named by the policy, or revoked.
fn shown<'v>(key: &OwnKey, view: Option<&'v View>, is_live: bool) -> Result<&'v View, NotYet> {
    let unpublished = |what: String| NotYet::Unpublished { selector: key.selector.clone(), what };
    let view = view.ok_or_else(|| not_asked(key))?;
    let expected = if is_live { format!("the key {}", key.key) } else { "an empty p=".into() };
    match view.keys.get(&key.selector).unwrap_or(&Shown::Nothing) {
        Shown::Key { key: found, endorsements } if is_live && *found == key.key => {
            // Without them peers take it for a change that nobody endorsed, and deliver nothing.
            if !key.endorsements.iter().all(|it| endorsements.contains(it)) {
                let what = "found the key without its by= and sig=, expected them beside it";
                return Err(unpublished(what.to_owned()));
            }
        }
        // A record that is merely gone ends nothing where an operator wrote the key down.
        Shown::Revoked if !is_live => return Ok(view),
        Shown::Key { key: found, .. } => {
            return Err(unpublished(format!("found the key {found}, expected {expected}")));
        }
        Shown::Revoked => {
            return Err(unpublished(format!("found an empty p=, expected {expected}")));
        }
        Shown::Nothing => return Err(unpublished(format!("found no record, expected {expected}"))),
        Shown::Unsettled(what) => {
            return Err(unpublished(format!("{what}; expected {expected} on every server")));
        }
    }
    match &view.named {
        Ok(named) if named.contains(&key.selector) => Ok(view),
        Ok(_) => Err(unpublished("sel= of the policy does not name it".to_owned())),
        Err(what) => Err(unpublished(what.clone())),
    }
}

/// A wait as people say it.
#[must_use]
pub fn human(wait: Duration) -> String {
    let seconds = wait.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}
