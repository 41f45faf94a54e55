//! Taking an answer in: what it may change of what is held.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    DnsTrust, Least, News, OperatorAnchor, Published, TrustLevel, differs,
    state::{Held, Pending, REMEMBERED_MAX, TEXT_BYTES_MAX, later},
};
use crate::{
    cbor::Writer,
    chain::{Family, GenesisTag},
    key::{PublicKey, SIGNATURES_MAX},
    light::ledger,
    record::{KeyRecord, Mode, PolicyRecord, Selector},
    time::UnixSeconds,
};

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What is to be kept; none as long as nothing about the chain was good enough.
    pub state: Option<DnsTrust>,
    /// What has changed.
    pub news: Vec<News>,
    /// Whether the route of this answer may be used.
    pub route: Result<(), RouteRefused>,
}

/// Why a route is not used. It may be an attack, so nothing permanent comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteRefused {
    /// Not known well enough.
    #[error("its route is known at the level {found}, expected {least}")]
    Level {
        /// How well it is known.
        found: TrustLevel,
        /// What the operator demands.
        least: TrustLevel,
    },
    /// Another place in DNS than the one that was accepted first.
    #[error(
        "it is published at {found}, and was first accepted at {expected} \
         (`trust forget` accepts another)"
    )]
    Elsewhere {
        /// Where it is now.
        found: String,
        /// Where it was first.
        expected: String,
    },
    /// Another genesis than the one that was accepted first.
    #[error(
        "its policy names the genesis {found}, and was first accepted with {expected} \
         (`trust forget` accepts another)"
    )]
    Genesis {
        /// What the policy says now.
        found: GenesisTag,
        /// What was accepted first.
        expected: GenesisTag,
    },
}

/// Takes an answer in. `state` is what was kept of the last one, `operator` what the operator says of
/// the chain now; an expired (stale) answer must not be handed in.
///
/// In this order: place and genesis, revocations, the route's level, keys.
#[must_use]
pub fn observe(
    state: Option<&DnsTrust>,
    operator: Option<OperatorAnchor<'_>>,
    published: &Published,
    least: Least,
    now: UnixSeconds,
) -> Observed {
    let before = state.filter(|state| state.is_under(operator));
    let mut next = match before {
        Some(state) => state.clone(),
        None => DnsTrust::begin(&published.found_at, operator),
    };
    let mut news = Vec::new();
    if let Err(refused) = same_place(&next, published) {
        return Observed { state: before.cloned(), news, route: Err(refused) };
    }
    next.revoke(&published.keys, &mut news);
    let (found, least_route) = (published.level, least.route);
    if found < least_route {
        let known = before.is_some() || operator.is_some();
        let route = Err(RouteRefused::Level { found, least: least_route });
        return Observed { state: known.then_some(next), news, route };
    }
    // A policy that is withdrawn or on trial says nothing of keys.
    if let Some(policy) = published.policy.as_ref().filter(|policy| policy.mode == Mode::Enforce) {
        next.genesis.get_or_insert(policy.genesis);
        let answer = Answer { published, policy, announced: announced(&next, published) };
        next.take_keys(&answer, least.keys, now, &mut news);
    }
    Observed { state: Some(next), news, route: Ok(()) }
}

/// A policy that counts, and the keys that are published with it and not revoked.
struct Answer<'a> {
    published: &'a Published,
    policy: &'a PolicyRecord,
    announced: BTreeMap<PublicKey, Vec<(&'a Selector, &'a KeyRecord)>>,
}

fn same_place(state: &DnsTrust, published: &Published) -> Result<(), RouteRefused> {
    if state.found_at != published.found_at {
        let (found, expected) = (published.found_at.clone(), state.found_at.clone());
        return Err(RouteRefused::Elsewhere { found, expected });
    }
    let policy = published.policy.as_ref().filter(|policy| policy.mode != Mode::None);
    match policy.and_then(|policy| Some((policy.genesis, differs(state.genesis, policy.genesis)?)))
    {
        Some((found, expected)) => Err(RouteRefused::Genesis { found, expected }),
        None => Ok(()),
    }
}

fn announced<'a>(
    state: &DnsTrust,
    published: &'a Published,
) -> BTreeMap<PublicKey, Vec<(&'a Selector, &'a KeyRecord)>> {
    let mut announced: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (selector, record) in &published.keys {
        let Some(record) = record else { continue };
        let Some(key) = record.key.filter(|key| !state.revoked.contains(key)) else { continue };
        announced.entry(key).or_default().push((selector, record));
    }
    announced
}

impl DnsTrust {
    /// Who may publish at a place may say that its keys are no more: that can only stop something.
    fn revoke(&mut self, keys: &BTreeMap<Selector, Option<KeyRecord>>, news: &mut Vec<News>) {
        for (selector, record) in keys {
            if record.as_ref().is_none_or(|record| record.key.is_some()) {
                continue;
            }
            let ended: Vec<_> = self.places.iter().filter(|(at, _)| at == selector).collect();
            let ended: Vec<PublicKey> = ended.into_iter().map(|(_, key)| *key).collect();
            for key in ended {
                let is_new = self.revoked.len() < REMEMBERED_MAX && self.revoked.insert(key);
                let was_held = self.held.as_mut().is_some_and(|held| held.keys.remove(&key));
                if is_new || was_held {
                    news.push(News::Revoked { selector: selector.clone(), key });
                }
            }
        }
    }

    fn take_keys(
        &mut self,
        answer: &Answer<'_>,
        least: TrustLevel,
        now: UnixSeconds,
        news: &mut Vec<News>,
    ) {
        let Some(held) = &self.held else {
            if answer.published.level >= least {
                self.adopt(answer, now, news);
            }
            return;
        };
        if let Some(what) = other_kind(held, answer.policy) {
            return self.differ(what, answer.published.level, news);
        }
        self.add_endorsed(answer, news);
        self.note_places(answer);
        let Some(held) = &self.held else { return };
        let unknown: Vec<_> =
            answer.announced.keys().filter(|key| !held.keys.contains(key)).copied().collect();
        let is_looser = answer.policy.threshold < held.threshold;
        // The operator's own threshold stands whatever is published.
        if unknown.is_empty() && (!is_looser || held.level == TrustLevel::Static) {
            return self.agree(answer, now, news);
        }
        let what = match unknown.first() {
            Some(key) => format!("key {key} is published, and nobody endorsed it"),
            None => format!(
                "th={} is published, {} keys had to sign",
                answer.policy.threshold, held.threshold
            ),
        };
        match (held.level, answer.published.level) {
            (TrustLevel::Pinned, TrustLevel::Pinned) if now > held.until => {
                self.adopt(answer, now, news);
            }
            (TrustLevel::Pinned | TrustLevel::Dnssec, TrustLevel::Dnssec) => {
                self.wait(answer, now, news);
            }
            (_, level) => self.differ(what, level, news),
        }
    }

    /// Believes what is announced, all of it.
    fn adopt(&mut self, answer: &Answer<'_>, now: UnixSeconds, news: &mut Vec<News>) {
        let (policy, level) = (answer.policy, answer.published.level);
        let keys: BTreeSet<PublicKey> = answer.announced.keys().copied().collect();
        let Some(outbox) = outbox_of(policy) else {
            let what = format!("the policy has no out=, and is of the family {}", policy.family);
            return self.differ(what, TrustLevel::Pinned, news);
        };
        if keys.len() < policy.threshold || keys.len() > SIGNATURES_MAX {
            let what = format!("{} keys are published, th={}", keys.len(), policy.threshold);
            return self.differ(what, TrustLevel::Pinned, news);
        }
        let until = good_until(answer, now);
        let (family, threshold) = (policy.family, policy.threshold);
        let was_pending = self.pending.take().is_some();
        self.held = Some(Held { family, outbox, keys: keys.clone(), threshold, level, until });
        self.contradiction = None;
        self.doubt = None;
        self.note_places(answer);
        news.push(match was_pending {
            true => News::Accepted { keys },
            false => News::FirstSeen { level, keys },
        });
    }

    /// Adds keys that enough of those that are held endorse; one so added may endorse the next.
    fn add_endorsed(&mut self, answer: &Answer<'_>, news: &mut Vec<News>) {
        let (Some(held), Some(genesis)) = (&mut self.held, self.genesis) else { return };
        // Each signature is verified once, and only where it could count.
        let may_count =
            |key: &PublicKey| held.keys.contains(key) || answer.announced.contains_key(key);
        let mut endorsed: Vec<(PublicKey, &Selector, BTreeSet<PublicKey>)> = Vec::new();
        for (key, places) in answer.announced.iter().filter(|(key, _)| !held.keys.contains(key)) {
            endorsed.extend(places.iter().map(|(selector, record)| {
                (*key, *selector, record.endorsers(genesis, selector, may_count).collect())
            }));
        }
        while held.keys.len() < SIGNATURES_MAX {
            let next = endorsed.iter().find_map(|(key, selector, endorsers)| {
                let by: BTreeSet<_> = endorsers.intersection(&held.keys).copied().collect();
                let counts = !held.keys.contains(key) && by.len() >= held.threshold;
                counts.then(|| (*key, (*selector).clone(), by))
            });
            let Some((key, selector, by)) = next else { return };
            held.keys.insert(key);
            news.push(News::KeyAdded { selector, key, by });
        }
    }

    /// Remembers where held keys are published.
    fn note_places(&mut self, answer: &Answer<'_>) {
        let Some(held) = &self.held else { return };
        for (key, places) in answer.announced.iter().filter(|(key, _)| held.keys.contains(key)) {
            for (selector, _) in places {
                if self.places.len() < REMEMBERED_MAX {
                    self.places.insert(((*selector).clone(), *key));
                }
            }
        }
    }

    /// Every announced key is held: what waited or was doubted is settled, and what is held is
    /// confirmed and tightened.
    fn agree(&mut self, answer: &Answer<'_>, now: UnixSeconds, news: &mut Vec<News>) {
        let level = answer.published.level;
        let Some(held) = &mut self.held else { return };
        if level < held.level.min(TrustLevel::Dnssec) {
            return;
        }
        self.doubt = None;
        if self.pending.take().is_some() | self.contradiction.take().is_some() {
            news.push(News::PutBack);
        }
        // What the operator wrote down is neither better nor older for it, and none of it gone.
        if held.level < TrustLevel::Static {
            if level > held.level {
                held.level = level;
                news.push(News::Secured);
            }
            held.until = good_until(answer, now);
            let gone = gone(&self.places, held, answer);
            for key in gone {
                held.keys.remove(&key);
                news.push(News::KeyGone { key });
            }
        }
        let threshold = answer.policy.threshold;
        if threshold > held.threshold && threshold <= held.keys.len() {
            held.threshold = threshold;
            news.push(News::ThresholdRaised { threshold });
        }
    }

    /// A secure answer announces keys that nobody endorsed: it has to say the same for the whole wait.
    fn wait(&mut self, answer: &Answer<'_>, now: UnixSeconds, news: &mut Vec<News>) {
        let change = change(answer);
        match &self.pending {
            Some(pending) if pending.change == change => {
                if now >= pending.until() {
                    self.adopt(answer, now, news);
                }
            }
            Some(_) | None => {
                let pending = Pending { change, since: now };
                news.push(News::Waiting { until: pending.until() });
                self.pending = Some(pending);
            }
        }
    }

    /// What differs stops deliveries if the answer is as good as what is held; each is told once.
    fn differ(&mut self, mut what: String, level: TrustLevel, news: &mut Vec<News>) {
        what.truncate(what.floor_char_boundary(TEXT_BYTES_MAX));
        let held = self.held.as_ref().map_or(TrustLevel::Static, |held| held.level);
        if level >= held.min(TrustLevel::Dnssec) {
            if self.contradiction.as_ref() != Some(&what) {
                news.push(News::Contradiction { what: what.clone() });
            }
            self.contradiction = Some(what);
        } else if self.doubt.as_ref() != Some(&what) {
            news.push(News::Doubt { what: what.clone() });
            self.doubt = Some(what);
        }
    }
}

/// What a policy says of a chain that never changes without the operator.
fn other_kind(held: &Held, policy: &PolicyRecord) -> Option<String> {
    if policy.family != held.family {
        return Some(format!("proof={} is published, held is {}", policy.family, held.family));
    }
    let outbox = policy.outbox.as_ref().filter(|outbox| **outbox != held.outbox)?;
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    Some(format!("out={} is published, held is {}", hex(outbox), hex(&held.outbox)))
}

fn outbox_of(policy: &PolicyRecord) -> Option<Vec<u8>> {
    match (&policy.outbox, policy.family) {
        (Some(outbox), Family::Evm) => (outbox.len() == 20).then(|| outbox.clone()),
        (Some(outbox), Family::Ledger | Family::Attested) => Some(outbox.clone()),
        (None, Family::Ledger) => Some(ledger::OUTBOX.to_vec()),
        (None, Family::Evm | Family::Attested) => None,
    }
}

fn good_until(answer: &Answer<'_>, now: UnixSeconds) -> UnixSeconds {
    later(now, answer.policy.pin_for.max(answer.published.lasts))
}

/// Held keys that stand at none of their places any more, as long as enough others are left: who
/// takes the last ones away does not tighten, and the keys end by not being confirmed.
fn gone(
    places: &BTreeSet<(Selector, PublicKey)>,
    held: &Held,
    answer: &Answer<'_>,
) -> Vec<PublicKey> {
    let is_asked =
        |(selector, _): &&(Selector, PublicKey)| answer.published.keys.contains_key(selector);
    let is_gone = |key: &&PublicKey| {
        let mut at = places.iter().filter(|(_, held)| held == *key).peekable();
        at.peek().is_some()
            && at.all(|place| is_asked(&place))
            && !answer.announced.contains_key(*key)
    };
    let gone: Vec<PublicKey> = held.keys.iter().filter(is_gone).copied().collect();
    if held.keys.len() - gone.len() < held.threshold { Vec::new() } else { gone }
}

/// SHA-256 over what is announced.
fn change(answer: &Answer<'_>) -> [u8; 32] {
    let threshold = u64::try_from(answer.policy.threshold).unwrap_or(u64::MAX);
    let mut out = Writer::default();
    out.array(2).uint(threshold).array(answer.announced.len());
    for key in answer.announced.keys() {
        out.bytes(key.as_bytes());
    }
    Sha256::digest(out.finish()).into()
}
