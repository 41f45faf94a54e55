//! Gauges, read from the spool again and again, in pieces.
//!
//! How many messages there are is kept by the spool as counters. What they wait for is not: it is read
//! from the first [`BATCHES_MAX`] batches of the queue, a piece at a time; the others are `unread`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use distpos_proto::{
    account::Figures, amount::Amount, chain::ChainId, time::UnixSeconds, trust::DnsTrust,
};
use distpos_resolver::CacheCounts;
use distpos_spool::{Direction, SpoolError, State};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use super::{code_word, registry::Label, table};
use crate::{
    gateway::Gateway,
    load::{self, Cause},
    queue::{filter::Filter, look},
    stop::Stop,
    watchdog::Task,
};

/// How often the spool is read for gauges: as often as Prometheus usually scrapes.
pub const EVERY: Duration = Duration::from_secs(15);
/// How often messages that have ended are looked up.
const ENDED_EVERY: Duration = Duration::from_secs(1);
/// Most batches whose reasons are read for one sample: some 50 ms, in pieces.
pub const BATCHES_MAX: usize = 20_000;
/// Batches read at a time, before others have their turn.
const PIECE: usize = 500;
/// How long the local chain may take to tell its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Samples until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let mut sampled: Option<Instant> = None;
    let mut head = Head::default();
    loop {
        gateway.tasks.beat(Task::Metrics);
        // A spool that fails is told of by whoever has to write; the last sample stands.
        let mut looked = gateway.metrics.look_up(&gateway.spool);
        if looked.is_ok() && sampled.is_none_or(|at| at.elapsed() >= EVERY) {
            sampled = Some(Instant::now());
            head.ask(gateway).await;
            looked = take(gateway, &head).await;
        }
        if let Err(error) = looked {
            tracing::debug!(target: "distpos", "metrics: spool: {error}");
        }
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(ENDED_EVERY) => {}
        }
    }
}

/// The own chain's head, as it was told last.
#[derive(Debug, Default)]
struct Head(Option<UnixSeconds>);

impl Head {
    async fn ask(&mut self, gateway: &Gateway) {
        if let Ok(Ok(head)) = timeout(HEAD_TIMEOUT, gateway.chain.head()).await {
            self.0 = Some(head.time);
        }
    }
}

/// Sets every gauge that is read from the spool.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read.
async fn take(gateway: &Gateway, head: &Head) -> Result<(), SpoolError> {
    let known = gateway.spool.read(|tx| tx.dns_trusts())?;
    accounts(gateway, &known)?;
    queue(gateway).await?;
    trust(gateway, known, head);
    let CacheCounts { hits, misses, backed_off } = gateway.resolver.cache_counts();
    for (word, count) in [("hit", hits), ("miss", misses), ("backed_off", backed_off)] {
        gateway.metrics.registry.set_count(&table::DNS_CACHE, &[word.into()], count);
    }
    Ok(())
}

/// What messages wait for, by group.
type Reasons = BTreeMap<(Direction, ChainId, State), BTreeMap<String, u64>>;

async fn queue(gateway: &Gateway) -> Result<(), SpoolError> {
    let reasons = reasons(gateway).await?;
    let now = gateway.now();
    let (mut messages, mut ages) = (Vec::new(), Vec::new());
    for direction in Direction::BOTH {
        let counts = gateway.spool.read(|tx| tx.count(direction))?;
        for ((chain, state), count) in &counts {
            let mut unread = *count;
            let labels = |reason| {
                let (direction, state) = (direction.word(), state.word());
                vec![Label::Word(direction), (*chain).into(), Label::Word(state), reason]
            };
            for (reason, read) in reasons.get(&(direction, *chain, *state)).into_iter().flatten() {
                // What was read may be gone by now.
                let read = unread.min(*read);
                unread -= read;
                messages.push((labels(known(reason)), float(read)));
            }
            if unread > 0 {
                messages.push((labels(Label::Word("unread")), float(unread)));
            }
        }
        let chains: BTreeSet<ChainId> = counts.into_keys().map(|(chain, _)| chain).collect();
        for chain in chains {
            if let Some(oldest) = gateway.spool.read(|tx| tx.oldest(direction, chain))? {
                ages.push((chain, now.since(oldest).as_secs_f64()));
            }
        }
        yield_now().await;
    }
    // A chain's messages both ways are one series: the older one counts.
    let mut oldest: BTreeMap<ChainId, f64> = BTreeMap::new();
    for (chain, age) in ages {
        let at = oldest.entry(chain).or_insert(age);
        *at = at.max(age);
    }
    let registry = &gateway.metrics.registry;
    registry.replace(&table::QUEUE_MESSAGES, messages);
    let oldest = oldest.into_iter().map(|(chain, age)| (vec![chain.into()], age));
    registry.replace(&table::QUEUE_OLDEST, oldest);
    Ok(())
}

async fn reasons(gateway: &Gateway) -> Result<Reasons, SpoolError> {
    let (filter, now) = (Filter::default(), gateway.now());
    let mut reasons = Reasons::new();
    let mut next = Some(gateway.spool.read(|tx| look::start(tx, &filter))?);
    let mut read = 0;
    while let Some(cursor) = next {
        let (lines, further) =
            gateway.spool.read(|tx| look::pass(tx, &filter, cursor, now, PIECE))?;
        read += lines.len();
        for (direction, line) in lines {
            let reason = line.reply.map_or("none".to_owned(), |reply| code_word(reply.code));
            let group = reasons.entry((direction, line.peer, line.state)).or_default();
            *group.entry(reason).or_default() += line.messages;
        }
        next = further.filter(|_| read < BATCHES_MAX);
        yield_now().await;
    }
    Ok(reasons)
}

/// What DNS has told of chains.
type Known = Vec<(ChainId, DnsTrust)>;

fn accounts(gateway: &Gateway, known: &Known) -> Result<(), SpoolError> {
    let accounts = gateway.spool.read(|tx| tx.accounts())?;
    let named = known.iter().map(|(chain, _)| *chain);
    let mut correspondents: BTreeSet<ChainId> =
        named.filter(|chain| gateway.correspondents.is_named(*chain)).collect();
    correspondents.extend(accounts.iter().map(|(chain, ..)| *chain));
    correspondents.insert(gateway.facts().chain);
    let registry = &gateway.metrics.registry;
    registry.set_correspondents(correspondents);
    let (mut balances, mut used) = (BTreeMap::new(), BTreeMap::new());
    for (chain, asset, row) in accounts {
        let Figures { received, sent, .. } = row.account.figures;
        let name = (chain, asset.to_string());
        balances.insert(name.clone(), amount(received) - amount(sent));
        used.insert(name, f64::from(row.account.used_percent()) / 100.0);
    }
    registry.replace_named(&table::ACCOUNT_BALANCE, balances);
    registry.replace_named(&table::ACCOUNT_UTILISATION, used);
    Ok(())
}

fn trust(gateway: &Gateway, known: Known, head: &Head) {
    let (registry, now) = (&gateway.metrics.registry, gateway.now_seconds());
    let mut heads = gateway.metrics.heads();
    heads.extend(head.0.map(|time| (gateway.facts().chain, time)));
    // What is only known of, and has no business here, would make others' series go.
    let told = |chain: &ChainId| registry.has_series(*chain);
    let ages: Vec<_> = heads
        .into_iter()
        .filter(|(chain, _)| told(chain))
        .map(|(chain, time)| (vec![chain.into()], float(now.0.saturating_sub(time.0))))
        .collect();
    let left = |until: u64| float(until.saturating_sub(now.0)) - float(now.0.saturating_sub(until));
    let expiries: Vec<_> = known
        .into_iter()
        .filter(|(chain, _)| told(chain))
        .filter_map(|(chain, state)| Some((vec![chain.into()], left(state.good_until()?.0))))
        .collect();
    registry.replace(&table::TRUST_HEAD_AGE, ages);
    registry.replace(&table::TRUST_EXPIRY, expiries);
}

/// What costs nothing to read: at each scrape.
pub(super) fn at_scrape(gateway: &Gateway) {
    let registry = &gateway.metrics.registry;
    if let Err(error) = gateway.metrics.look_up(&gateway.spool) {
        tracing::debug!(target: "distpos", "metrics: spool: {error}");
    }
    let stats = gateway.spool.stats();
    let seconds = Duration::from_nanos(stats.commit_nanoseconds).as_secs_f64();
    registry.set_summary(&table::SPOOL_COMMIT, seconds, stats.commits);
    let space = gateway.spool.space().ok().flatten();
    let free = space.map(|space| float(space.free) / float(space.total.max(1)));
    registry.replace(&table::SPOOL_FREE, free.map(|free| (Vec::new(), free)));
    let causes = load::causes(gateway);
    let shed = Cause::ALL.map(|cause| {
        (vec![Label::Word(cause.word())], f64::from(u8::from(causes.contains(&cause))))
    });
    registry.replace(&table::LOAD_SHED, shed);
    let tasks = gateway.tasks.all();
    let alive = tasks
        .into_iter()
        .map(|(task, is_alive)| (vec![Label::Word(task.word())], f64::from(u8::from(is_alive))));
    registry.replace(&table::TASK_ALIVE, alive);
    registry.add(&table::WATCHDOG, &[], 0);
    let version = vec![Label::Word(env!("CARGO_PKG_VERSION"))];
    registry.replace(&table::BUILD_INFO, [(version, 1.0)]);
}

/// The word of a code, out of those that there are.
fn known(reason: &str) -> Label<'static> {
    use distpos_proto::code::Code;
    use std::sync::LazyLock;
    static WORDS: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| Code::ALL.iter().map(ToString::to_string).collect());
    match reason {
        "none" => Label::Word("none"),
        _ => Label::Word(WORDS.get(reason).map_or(super::OTHER, String::as_str)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "beyond 2^53 a graph shows no difference")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Amounts have up to 256 bits: as near as a graph shows.
fn amount(amount: Amount) -> f64 {
    amount.to_minimal_bytes().iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}
