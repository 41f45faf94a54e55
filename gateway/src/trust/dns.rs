//! What DNS tells of other chains' keys: taken in with every look-up, kept in the spool, and joined
//! with the operator's word wherever something has to be believed.
//!
//! The rules are [`distpos_proto::trust`]'s. Here they meet the resolver, the spool and the clock:
//!
//! - [`observe`] runs after each look-up of a route. What it changes is on disk before anything is
//!   done with it, and each piece of news is told once.
//! - [`believed`] is the one place that says whom this gateway believes.
//! - [`run`] looks chains up that nobody asks for, so that a quiet correspondent's new keys and
//!   revocations are seen while they are published.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::Duration,
};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    light::Trusted,
    time::UnixMillis,
    trust::{
        DnsTrust, News, Observed, OperatorAnchor, Published, RouteRefused, TrustLevel, Untrusted,
        observe as take_in, trusted,
    },
};
use distpos_resolver::{ResolveError, Route, RouteSource};
use distpos_spool::SpoolError;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use crate::{
    event::Event,
    gateway::{Anchor, Gateway},
    stop::Stop,
    watchdog::Task,
};

/// How often every chain of which something is known is looked up, whether anybody asks or not: a
/// key that turns over is published beside the old one for a week, a revoked one for good.
const LOOKED_UP_EVERY: Duration = Duration::from_hours(1);

/// Most of these look-ups at once, so that they hold up nobody else's.
const LOOK_UPS_MAX: usize = 8;

/// Most routes of which it is remembered that they were observed, some 100 bytes each.
const OBSERVED_MAX: usize = 65_536;

/// When selectors are asked again that could not be asked: name servers that fail must not hold up
/// each delivery by their time-outs.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// Which answer of each chain was taken in last, and whether its route may be used.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<ChainId, Taken>);

/// An answer that was taken in.
#[derive(Debug, Clone)]
struct Taken {
    fetched: UnixMillis,
    verdict: Result<(), RouteRefused>,
    /// When to take it in again, since a part of it is missing; none if it is whole.
    again: Option<UnixMillis>,
}

/// Whom this gateway believes of a chain, and how that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Believed {
    /// What is believed.
    pub trusted: Trusted,
    /// At which level.
    pub level: TrustLevel,
}

/// Who speaks for a chain now, by the operator's word and by DNS as far as it counts.
///
/// # Errors
/// A temporary reply says why nobody does: `4.7.20` without keys that are good enough, `4.7.1` while
/// a change of keys waits or contradicts what is held, `4.3.1` if the spool cannot be read.
pub fn believed(gateway: &Gateway, chain: ChainId) -> Result<Believed, Reply> {
    let state = match gateway.spool.read(|tx| tx.dns_trust(chain)) {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(target: "distpos", "spool: {error}");
            return Err(Reply::new(Code::SPOOL_FULL, "the spool cannot be read").retry_after(60));
        }
    };
    let anchor = gateway.correspondents.anchor(chain);
    let least = gateway.correspondents.least().keys;
    let operator = anchor.as_ref().map(Anchor::as_operators);
    let found = trusted(chain, state.as_ref(), operator, least, gateway.now_seconds());
    let (trusted, level) = found.map_err(|why| refusal(chain, &why))?;
    Ok(Believed { trusted, level })
}

fn refusal(chain: ChainId, why: &Untrusted) -> Reply {
    let code = match why {
        Untrusted::Unknown
        | Untrusted::Level { .. }
        | Untrusted::Revoked { .. }
        | Untrusted::Expired { .. } => Code::KEY_NOT_FOUND,
        Untrusted::Waiting { .. } | Untrusted::Contradiction(_) => Code::NOT_NOW,
    };
    Reply::new(code, format!("chain {chain} is not believed: {why}"))
}

/// Takes a look-up in, once. A route from the configuration says nothing about DNS; an expired one
/// is as good as it was when it was fresh.
///
/// # Errors
/// A temporary reply: the route must not be used (`4.7.1`), or what it says cannot be kept (`4.3.1`).
pub async fn observe(gateway: &Gateway, route: &Route) -> Result<(), Reply> {
    let RouteSource::Dns { name } = &route.source else { return Ok(()) };
    let (chain, fetched) = (route.chain, route.fetched);
    let anchor = gateway.correspondents.anchor(chain);
    let kept =
        gateway.spool.read(|tx| tx.dns_trust(chain)).map_err(|error| full(gateway, &error))?;
    let operator = anchor.as_ref().map(Anchor::as_operators);
    let is_under = kept.as_ref().is_none_or(|state| state.is_under(operator));
    let before = last(gateway, chain);
    if let Some(taken) = &before
        && taken.fetched == fetched
        && (route.stale || (is_under && taken.again.is_none_or(|again| gateway.now() < again)))
    {
        return taken.verdict.clone().map_err(|refused| not_used(chain, &refused));
    }
    if route.stale {
        return Ok(());
    }
    let (published, is_whole) = gather(gateway, route, name.clone(), kept.as_ref()).await;
    let Observed { news, route: verdict, .. } =
        keep(gateway, chain, anchor, published).await.map_err(|error| full(gateway, &error))?;
    for one in news {
        gateway.emit(told(chain, &one));
    }
    if let Err(refused) = &verdict
        && before.is_none_or(|before| before.verdict.as_ref() != Err(refused))
    {
        let what = format!("route of {chain} is not used: {refused}");
        gateway.emit(Event::Alert { what });
    }
    let again = (!is_whole).then(|| gateway.now().after(ASKED_AGAIN));
    remember(gateway, chain, Taken { fetched, verdict: verdict.clone(), again });
    verdict.map_err(|refused| not_used(chain, &refused))
}

/// What the route says, and what the selectors hold that only the kept state names; and whether
/// these could be asked. What could not be asked is neither gone nor revoked, and asked again.
async fn gather(
    gateway: &Gateway,
    route: &Route,
    found_at: String,
    kept: Option<&DnsTrust>,
) -> (Published, bool) {
    let records = route.key_records.iter();
    let mut keys: BTreeMap<_, _> =
        records.map(|(selector, record)| (selector.clone(), Some(record.clone()))).collect();
    let held: BTreeSet<_> =
        kept.map(DnsTrust::held_selectors).unwrap_or_default().into_iter().collect();
    let others: Vec<_> = held.into_iter().filter(|selector| !keys.contains_key(selector)).collect();
    let (mut level, mut is_whole) = (route.level, true);
    match gateway.resolver.key_records(route, &others).await {
        Ok(answers) => {
            level = level.min(answers.level);
            keys.extend(answers.records);
        }
        Err(error) => {
            tracing::debug!(target: "distpos", "keys of {}: {error}", route.chain);
            is_whole = false;
        }
    }
    let (policy, lasts) = (route.policy.clone(), route.expires.since(route.fetched));
    (Published { found_at, policy, keys, level, lasts }, is_whole)
}

/// Decides and keeps in one transaction: two look-ups of one chain must not undo each other.
async fn keep(
    gateway: &Gateway,
    chain: ChainId,
    anchor: Option<Anchor>,
    published: Published,
) -> Result<Observed, SpoolError> {
    let (least, now) = (gateway.correspondents.least(), gateway.now_seconds());
    let deciding = gateway.spool.transact(move |tx| {
        let kept = tx.dns_trust(chain)?;
        let operator = anchor.as_ref().map(Anchor::as_operators);
        let observed = take_in(kept.as_ref(), operator, &published, least, now);
        if let Some(state) = observed.state.as_ref().filter(|state| Some(*state) != kept.as_ref()) {
            tx.set_dns_trust(chain, state);
        }
        Ok::<_, SpoolError>(observed)
    });
    deciding.await
}

fn told(chain: ChainId, news: &News) -> Event {
    let what = format!("trust of {chain}: {news}");
    if news.is_alert() { Event::Alert { what } } else { Event::Note { what } }
}

fn not_used(chain: ChainId, refused: &RouteRefused) -> Reply {
    Reply::new(Code::NOT_NOW, format!("route of {chain} is not used: {refused}"))
}

fn full(gateway: &Gateway, error: &SpoolError) -> Reply {
    gateway.emit(Event::Alert { what: format!("spool: {error}") });
    Reply::new(Code::SPOOL_FULL, "what DNS says cannot be kept now").retry_after(60)
}

fn last(gateway: &Gateway, chain: ChainId) -> Option<Taken> {
    let answers = gateway.answers.lock().unwrap_or_else(PoisonError::into_inner);
    answers.0.get(&chain).cloned()
}

fn remember(gateway: &Gateway, chain: ChainId, taken: Taken) {
    let mut answers = gateway.answers.lock().unwrap_or_else(PoisonError::into_inner);
    answers.0.insert(chain, taken);
    if answers.0.len() > OBSERVED_MAX {
        // Whichever it is, it is only taken in once more than necessary.
        answers.0.pop_first();
    }
}

/// Forgets what DNS has told of a chain: the next answer is a first one again. Says whether there
/// was anything.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written.
pub async fn forget(gateway: &Gateway, chain: ChainId) -> Result<bool, SpoolError> {
    let forgetting = gateway.spool.transact(move |tx| {
        let was_there = tx.dns_trust(chain)?.is_some();
        tx.forget_dns_trust(chain);
        Ok::<_, SpoolError>(was_there)
    });
    let was_there = forgetting.await?;
    gateway.answers.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&chain);
    Ok(was_there)
}

/// Looks up every chain of which something is kept, again and again, until asked to stop.
pub async fn run(gateway: std::sync::Arc<Gateway>, stop: Stop) {
    // Gateways that were started together do not ask together: each has a pace of its own.
    let own = u64::from(u16::from_be_bytes([gateway.identity.pin.0[0], gateway.identity.pin.0[1]]));
    let pause = LOOKED_UP_EVERY - Duration::from_secs(own % (LOOKED_UP_EVERY.as_secs() / 5));
    loop {
        gateway.tasks.beat(Task::Trust);
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(pause) => {}
        }
        let known = match gateway.spool.read(|tx| tx.dns_trusts()) {
            Ok(known) => known,
            Err(error) => {
                // The pipelines have raised the alert.
                tracing::warn!(target: "distpos", "spool: {error}");
                continue;
            }
        };
        let looking = stream::iter(known).for_each_concurrent(LOOK_UPS_MAX, |(chain, _)| {
            let gateway = &gateway;
            async move {
                if let Err(why) = look_up(gateway, chain).await {
                    tracing::debug!(target: "distpos", "look-up of {chain}: {why}");
                }
            }
        });
        tokio::select! { biased;
            () = stop.asked() => return,
            () = looking => {}
        }
    }
}

async fn look_up(gateway: &Gateway, chain: ChainId) -> Result<(), String> {
    let route =
        gateway.resolver.route(chain).await.map_err(|error: ResolveError| error.to_string())?;
    observe(gateway, &route).await.map_err(|reply| reply.to_string())
}

impl Anchor {
    /// As the rules of trust want it.
    #[must_use]
    pub fn as_operators(&self) -> OperatorAnchor<'_> {
        OperatorAnchor { trusted: &self.trusted, found_at: self.found_at.as_deref() }
    }
}
