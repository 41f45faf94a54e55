//! Twenty chains that trade for a while, in the simulated world: every message goes through the
//! pipelines and spools of the daemon, over ledgers, while gateways restart, calls are lost, DNS
//! fails and accounts run full. At the end the books of all of them are compared.
//!
//! One seed, one story. Call it on a runtime of one thread with its time paused: days pass in a
//! minute.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use distpos_proto::chain::{ChainId, Family};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::simulation::{
    audit::Inventory,
    site::Site,
    world::{self, World, cid},
};
mod faults;
mod market;
mod report;
mod settle;
mod trouble;

pub use faults::{Counts, Fault};
pub use report::Report;

/// Least and most chains of an economy: one has nobody to trade with, and a chain's number is part
/// of its simulated address.
pub const CHAINS: std::ops::RangeInclusive<u64> = 2..=200;
/// Least and most messages: what fits into memory.
pub const MESSAGES: std::ops::RangeInclusive<u64> = 1..=10_000_000;

/// How long an economy runs, and which.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What makes it differ from others.
    pub seed: u64,
    /// How many chains there are, within [`CHAINS`].
    pub chains: usize,
    /// How many messages are sent, within [`MESSAGES`].
    pub messages: usize,
}

impl Plan {
    /// In how many rounds the messages are sent: each kind of trouble comes several times, and a
    /// round is a crowd for a gateway and no flood.
    fn rounds(self) -> usize {
        (self.messages / (self.chains * 80)).max(ROUNDS_MIN)
    }
}

/// Each kind of trouble comes four times.
const ROUNDS_MIN: usize = 4 * trouble::KINDS;
/// Between two blocks of a chain.
const INTERVAL: Duration = Duration::from_secs(3);
/// Users of each chain.
const USERS: u8 = 6;
/// How long the world may take to come to rest when all trouble has ended; it is virtual time.
/// What was put off longest comes back hourly, and what nobody can prove is let go after 7 days.
const REST_MAX: Duration = Duration::from_hours(24 * 8);

/// Lets an economy run to its end, and says what there is then and what happened. `tell` hears of
/// the progress.
pub async fn run(plan: Plan, tell: impl Fn(&str)) -> (Inventory, Counts) {
    let mut economy = Economy::new(plan).await;
    let rounds = plan.rounds();
    for round in 0..rounds {
        let count = economy.left / (rounds - round);
        economy.round(round, count).await;
        let (sent, ended) = (plan.messages - economy.left, economy.witness.ended());
        tell(&format!(
            "round {:>4} of {rounds}: {sent:>7} sent, {ended:>7} ended, {:>5} waiting for room",
            round + 1,
            economy.waiting_for_room(),
        ));
    }
    economy.rest(&tell).await;
    let sites: Vec<&Site> = economy.sites.iter().collect();
    (economy.world.inventory(&sites).await, economy.witness.counts())
}

struct Economy {
    world: World,
    sites: Vec<Site>,
    random: ChaCha8Rng,
    witness: Arc<faults::Witness>,
    /// With whom each chain has an account, and how much it likes to send there.
    partners: BTreeMap<ChainId, Vec<ChainId>>,
    /// Messages still to be sent.
    left: usize,
    /// Whether DNS fails in this round.
    dns_fails: bool,
}

impl Economy {
    async fn new(plan: Plan) -> Self {
        let witness = Arc::new(faults::Witness::default());
        let names = names(plan.chains);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shape =
            world::Plan { users: USERS, interval: INTERVAL, ..world::Plan::from(plan.seed) };
        let world = World::new(shape, &names).told_to(witness.clone());
        let random = ChaCha8Rng::seed_from_u64(plan.seed);
        let (sites, partners) = (Vec::new(), BTreeMap::new());
        let (left, dns_fails) = (plan.messages, false);
        let mut economy = Self { world, sites, random, witness, partners, left, dns_fails };
        economy.open_accounts().await;
        for name in names {
            let family = family(cid(name));
            economy.sites.push(economy.world.start(name, 1, family));
        }
        economy
    }

    /// One round: trouble begins, everybody sends, time passes, trouble ends.
    async fn round(&mut self, round: usize, count: usize) {
        self.begin_trouble(round).await;
        self.trade(count).await;
        self.left -= count;
        self.pass(4_000..9_000).await;
        self.amid(round).await;
        self.pass(2_000..8_000).await;
        self.end_trouble();
        // Not at once: who is suspended stays so for a while.
        if round % 3 == 2 {
            self.settle().await;
        }
    }

    /// Ends all trouble, and waits until nobody has anything left to do.
    async fn rest(&mut self, tell: &impl Fn(&str)) {
        self.end_trouble();
        let start = tokio::time::Instant::now();
        let mut step = Duration::from_secs(10);
        while start.elapsed() < REST_MAX && !self.is_at_rest().await {
            self.settle().await;
            self.world.pass(step).await;
            step = (step + step / 4).min(Duration::from_secs(1_800));
        }
        let waiting: usize = self.sites.iter().map(Site::waiting).sum();
        tell(&format!(
            "at rest after {} s of virtual time, {waiting} messages still in queues",
            start.elapsed().as_secs()
        ));
    }

    async fn is_at_rest(&self) -> bool {
        let sites: Vec<&Site> = self.sites.iter().collect();
        self.world.is_empty(&sites).await
    }

    fn waiting_for_room(&self) -> usize {
        let suspended = |site: &Site| site.suspended();
        self.sites.iter().map(suspended).sum()
    }

    async fn pass(&mut self, millis: std::ops::Range<usize>) {
        let millis = millis.start + self.below(millis.end - millis.start);
        self.world.pass(Duration::from_millis(millis as u64)).await;
    }

    /// A number below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        usize::try_from(self.random.next_u64() % n).unwrap_or_default()
    }

    /// Once in `n`.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn ids(&self) -> Vec<ChainId> {
        self.world.chains.keys().copied().collect()
    }
}

/// The chain-ids: that of the asset first.
fn names(chains: usize) -> Vec<String> {
    let first = world::ASSET.split('/').next().unwrap_or_default().to_owned();
    std::iter::once(first).chain((1..chains).map(|n| format!("c{n:03x}"))).collect()
}

/// How a chain proves: half of them by their blocks, half on their gateways' word.
fn family(chain: ChainId) -> Family {
    match chain.to_string().bytes().map(usize::from).sum::<usize>() % 2 {
        0 => Family::Ledger,
        _ => Family::Attested,
    }
}
