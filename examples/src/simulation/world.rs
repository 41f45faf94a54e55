//! Chains with their gateways, and a zone in which they find each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use distpos_gateway::{
    chain::{
        LocalChain, Submission,
        ledger::{Genesis, Ledger, address, transaction},
    },
    clock::{self, Clock},
    correspondence,
    destinations::Destinations,
    event::{Event, Events},
    gateway::{ChainKeys, Gateway, Identity},
    inbound::{self, hooks::Hooks},
    load::{self, Load},
    outbound,
    service::Service,
    stop::{self, Stop},
    trust,
};
use distpos_proto::{
    account::Limits,
    address::{Address, Local},
    amount::Amount,
    chain::{ChainId, Family},
    key::{KeySet, SecretKey, SpkiPin},
    light::{Authenticated, Trusted},
    message::{MessageId, OnFail},
    record::{GatewayRecord, HostName, Target},
    terms::{Backing, Side, Terms},
    time::{UnixMillis, UnixSeconds},
};
use distpos_resolver::{Options, Resolver, ZoneLookup};
use distpos_spool::Spool;
use futures_util::future::join_all;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    network::{Line, Network},
    node::Node,
    site::{Book, Site},
};

/// When every world begins.
pub const START: UnixMillis = UnixMillis(1_760_000_000_000);
/// The domain under which chains are found.
pub const ROOT: &str = "chains.test";
/// What is counted between chains.
pub const ASSET: &str = "e2e4/coin";
/// What the user of each chain has at first.
pub const FUNDS: u64 = 10_000;
/// What its vault can pay at first.
pub const FLOAT: u64 = 1_000_000;

/// What memory a gateway may have.
pub const MEMORY_MAX: u64 = 1 << 30;

/// Keeps what happened, with the time and in order.
pub struct Recorder {
    clock: Clock,
    who: String,
    /// One line an event.
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Events for Recorder {
    fn emit(&self, event: Event) {
        let at = (self.clock)().0 - START.0;
        self.log.lock().unwrap().push(format!("{at:>9} {} {event}", self.who));
    }
}

/// A chain: its ledger, its keys, its users.
pub struct Chain {
    /// Its id.
    pub id: ChainId,
    /// Its number in the world, from 1.
    pub number: u8,
    /// The chain itself.
    pub ledger: Arc<Ledger>,
    /// The seeds of its gateways' signing keys.
    pub keys: Vec<[u8; 32]>,
    /// The key of its user.
    pub user: SecretKey,
    /// The keys of all its users, that one first.
    pub users: Vec<SecretKey>,
    /// What all accounts and the vault hold together, for ever.
    pub supply: Amount,
}

/// Everything there is.
pub struct World {
    /// What makes it differ from others: one seed, one story.
    pub seed: u64,
    /// Tells virtual time.
    pub clock: Clock,
    /// DNS.
    pub zone: ZoneLookup,
    /// The way from gateway to gateway.
    pub network: Arc<Network>,
    /// How slow the nodes are, in milliseconds.
    pub node_delay: Arc<AtomicU64>,
    /// One line an event.
    pub log: Arc<Mutex<Vec<String>>>,
    /// The domains under which gateways look for chains, those that are started from now on.
    pub roots: Vec<HostName>,
    /// The chains.
    pub chains: BTreeMap<ChainId, Chain>,
    skews: Skews,
    /// Told of everything that happens, instead of the log.
    witness: Option<Arc<dyn Events>>,
    books: Mutex<BTreeMap<(ChainId, u8), Arc<Book>>>,
    published: Mutex<BTreeMap<ChainId, BTreeSet<u8>>>,
}

/// How many seconds a gateway's clock is from the world's; a chain's own clock has number 0.
type Skews = Arc<Mutex<BTreeMap<(ChainId, u8), i64>>>;

/// A clock that shows what `clock` does and may be wrong by what `skews` says at the time.
fn skewed(clock: &Clock, skews: &Skews, whose: (ChainId, u8)) -> Clock {
    let (clock, skews) = (clock.clone(), skews.clone());
    Arc::new(move || {
        let skew = skews.lock().unwrap().get(&whose).copied().unwrap_or(0);
        UnixMillis(clock().0.saturating_add_signed(skew * 1000))
    })
}

/// What one world differs in from another.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What makes it differ from others: one seed, one story.
    pub seed: u64,
    /// Chain keys of each chain; gateway `n` signs with the n-th, or the last.
    pub keys: u8,
    /// Users of each chain, each with [`FUNDS`] at first.
    pub users: u8,
    /// Least time between two blocks; zero for blocks on demand.
    pub interval: Duration,
}

impl From<u64> for Plan {
    fn from(seed: u64) -> Self {
        Self { seed, keys: 1, users: 1, interval: Duration::ZERO }
    }
}

/// A chain-id.
pub fn cid(text: &str) -> ChainId {
    text.parse().unwrap()
}

/// So much credit, and no window.
pub fn credit(credit_limit: u64) -> Limits {
    Limits { credit_limit: amount(credit_limit), window: None }
}

/// An amount.
pub fn amount(value: u64) -> Amount {
    Amount::from(value)
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    /// The recipient.
    pub to: Address,
    /// What it carries; 0 for no value.
    pub value: u64,
    /// What it says.
    pub data: Vec<u8>,
    /// Unix seconds; 0 for a day.
    pub expires: u64,
}

impl World {
    /// A world of these chains, none of which has a gateway yet. Call it with tokio's time paused.
    pub fn new(plan: impl Into<Plan>, chains: &[&str]) -> Self {
        let Plan { seed, keys, users, interval } = plan.into();
        let clock = clock::virtual_from(START);
        let mut world = Self {
            seed,
            clock: clock.clone(),
            zone: ZoneLookup::default(),
            network: Arc::new(Network::new(seed)),
            node_delay: Arc::default(),
            log: Arc::default(),
            roots: vec![ROOT.parse().unwrap()],
            chains: BTreeMap::new(),
            skews: Skews::default(),
            witness: None,
            books: Mutex::default(),
            published: Mutex::default(),
        };
        for (number, name) in (1u8..).zip(chains) {
            let id = cid(name);
            let keys: Vec<[u8; 32]> = (0..keys).map(|n| key_seed(number, n)).collect();
            let secret: Vec<SecretKey> = keys.iter().map(SecretKey::from_seed).collect();
            let user_key = |n: u8| SecretKey::from_seed(&numbered([100, number, n]));
            let users: Vec<SecretKey> = (0..users).map(user_key).collect();
            let funded = |user: &SecretKey| (address::local(&user.public()), amount(FUNDS));
            let supply = amount(FUNDS * users.len() as u64 + FLOAT);
            let genesis = Genesis {
                chain: id,
                time: START.seconds(),
                accounts: users.iter().map(funded).collect(),
                float: amount(FLOAT),
                authorities: secret.iter().map(SecretKey::public).collect(),
            };
            let clock = skewed(&clock, &world.skews, (id, 0));
            let ledger = Ledger::in_memory(genesis, secret, clock).unwrap();
            let ledger = Arc::new(ledger.interval(interval));
            let user = user_key(0);
            world.chains.insert(id, Chain { id, number, ledger, keys, user, users, supply });
        }
        world
    }

    /// Tells a witness what happens from now on, and keeps no log: of a crowd it would fill the
    /// memory.
    #[must_use]
    pub fn told_to(self, witness: Arc<dyn Events>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// Two chains with one gateway each, that give each other so much credit.
    pub async fn pair(plan: impl Into<Plan>, credit_limit: u64) -> (Self, Site, Site) {
        let world = Self::new(plan, &["e2e4", "b1c2"]);
        world.befriend(credit_limit).await;
        let a = world.start("e2e4", 1, Family::Ledger);
        let b = world.start("b1c2", 1, Family::Ledger);
        (world, a, b)
    }

    /// Sets a gateway's clock so many seconds from the world's; for 0 the chain's own.
    pub fn set_clock(&self, chain: &str, n: u8, skew: i64) {
        self.skews.lock().unwrap().insert((cid(chain), n), skew);
    }

    /// Opens accounts between all chains.
    pub async fn befriend(&self, credit_limit: u64) {
        for chain in self.chains.values() {
            for other in self.chains.values().filter(|other| other.id != chain.id) {
                self.open(chain.id, other.id, credit(credit_limit)).await;
            }
        }
    }

    /// Opens the account of `other` on `chain`, or changes its limits there.
    pub async fn open(&self, chain: ChainId, other: ChainId, limits: Limits) {
        let tag = self.chains[&other].ledger.facts().tag;
        let (asset, terms) = (ASSET.parse().unwrap(), self.terms(chain, other).hash());
        let ledger = &self.chains[&chain].ledger;
        ledger.open_account(other, tag, asset, terms, limits).await.unwrap();
    }

    /// What two chains have agreed to.
    pub fn terms(&self, one: ChainId, other: ChainId) -> Terms {
        let side = |chain: ChainId| {
            let tag = self.chains[&chain].ledger.facts().tag;
            Side { chain, tag, backing: Backing::Ledger }
        };
        Terms::new(ASSET.parse().unwrap(), 0, side(one), side(other)).unwrap()
    }

    /// Pays into the reserve of `other` on `chain`, from its user's balance.
    pub async fn deposit(&self, chain: &str, other: &str, value: u64) {
        let chain = &self.chains[&cid(chain)];
        let place = chain.place(&chain.user).await;
        let asset = ASSET.parse().unwrap();
        let signed = transaction::deposit(place, cid(other), asset, amount(value), &chain.user);
        chain.ledger.submit(Submission::User(signed)).await.unwrap();
    }

    /// What a careful operator pins of a chain.
    pub fn anchor(&self, chain: ChainId, family: Family) -> Trusted {
        let chain = &self.chains[&chain];
        let facts = chain.ledger.facts();
        let (tag, outbox) = (facts.tag, facts.outbox.clone());
        Trusted { chain: chain.id, tag, family, outbox, keys: chain.key_set() }
    }

    /// Starts gateway number `n` of a chain, with an empty spool, and publishes it.
    pub fn start(&self, chain: &str, n: u8, family: Family) -> Site {
        self.start_with(chain, n, family, Spool::in_memory())
    }

    /// The same with a spool that was there before.
    pub fn start_with(&self, chain: &str, n: u8, family: Family, spool: Spool) -> Site {
        let chain = &self.chains[&cid(chain)];
        let (pin, address) = (chain.pin(n), chain.address(n));
        let book = self.book(chain.id, n, family);
        let roots = self.roots.clone();
        let options = Options { roots, allow_special: true, ..Options::default() };
        let own = u64::from(chain.number) * 10 + u64::from(n);
        let seed = self.seed.wrapping_mul(1000).wrapping_add(own);
        let random = || Box::new(ChaCha8Rng::seed_from_u64(seed));
        let clock = skewed(&self.clock, &self.skews, (chain.id, n));
        let resolver = Resolver::new(self.zone.clone(), options, clock.clone(), random());
        let key = chain.keys[usize::from(n).min(chain.keys.len()) - 1];
        let node = Node { ledger: chain.ledger.clone(), delay: self.node_delay.clone() };
        let memory = book.clone();
        let gateway = Arc::new(Gateway {
            clock,
            random: Mutex::new(random()),
            spool,
            resolver: Arc::new(resolver),
            peers: Arc::new(Line { network: self.network.clone(), pin }),
            chain: Arc::new(node),
            identity: Identity::new(
                ChainKeys { secrets: vec![SecretKey::from_seed(&key)], set: chain.key_set() },
                pin,
            ),
            correspondents: book.clone(),
            papers: tokio::sync::Notify::new(),
            progress: Mutex::default(),
            hooks: Hooks::new(book.policy.lock().unwrap().hooks.clone()),
            events: self.events(chain.id, n),
            metrics: Arc::default(),
            tasks: distpos_gateway::watchdog::Tasks::default(),
            worked: distpos_gateway::watchdog::states::Worked::default(),
            answers: Mutex::default(),
            destinations: Destinations::default(),
            load: Load::new(
                MEMORY_MAX,
                Box::new(move || Some(memory.memory.load(Ordering::Relaxed))),
            ),
            authenticated: Mutex::new(Authenticated::default()),
        });
        self.publish(chain, n);
        self.network.listen(address, Arc::new(Service::new(gateway.clone())), pin);
        let (stopper, stop) = stop::channel();
        let tasks = vec![
            tokio::spawn(outbound::run(gateway.clone(), stop.clone())),
            tokio::spawn(inbound::run(gateway.clone(), stop.clone())),
            tokio::spawn(correspondence::run(gateway.clone(), stop.clone())),
            tokio::spawn(trust::dns::run(gateway.clone(), stop.clone())),
            tokio::spawn(mind_load(gateway.clone(), stop)),
        ];
        let network = self.network.clone();
        Site { gateway, book, chain: chain.id, n, address, network, stopper: Some(stopper), tasks }
    }

    /// Who is told what happens at a gateway.
    fn events(&self, chain: ChainId, n: u8) -> Arc<dyn Events> {
        let (clock, who, log) = (self.clock.clone(), format!("{chain}/{n}"), self.log.clone());
        self.witness.clone().unwrap_or_else(|| Arc::new(Recorder { clock, who, log }))
    }

    /// What the operator of this gateway said, before a restart too.
    fn book(&self, chain: ChainId, n: u8, family: Family) -> Arc<Book> {
        let mut books = self.books.lock().unwrap();
        let book = books.entry((chain, n)).or_insert_with(|| {
            let others = self.chains.keys().filter(|other| **other != chain);
            let trusted = others.map(|other| (*other, self.anchor(*other, family))).collect();
            Arc::new(Book { trusted: Mutex::new(trusted), ..Book::default() })
        });
        book.clone()
    }

    /// Adds a gateway to the chain's records, at priority 10 × n.
    fn publish(&self, chain: &Chain, n: u8) {
        let id = chain.id;
        let host = |n: u8| -> HostName { format!("gw{n}.{id}.test").parse().unwrap() };
        self.zone.publish_addresses(host(n).as_str(), 300, [chain.address(n).ip()]);
        let mut published = self.published.lock().unwrap();
        let numbers = published.entry(id).or_default();
        numbers.insert(n);
        let records = numbers.iter().map(|n| {
            let mut record = GatewayRecord::new(id, host(*n), chain.pin(*n));
            record.pri = u16::from(*n) * 10;
            if let Target::Host { port, .. } = &mut record.target {
                *port = 7333;
            }
            record
        });
        self.zone.publish(&zone_name(id), 300, records);
    }

    /// Puts orders of a chain's user into the queue of the chain at once; gives the ids in order.
    pub async fn order(&self, from: &str, orders: Vec<Order>) -> Vec<MessageId> {
        let chain = &self.chains[&cid(from)];
        let signed = chain.sign(&chain.user, orders).await;
        let submitted =
            signed.iter().map(|signed| chain.ledger.submit(Submission::User(signed.clone())));
        for submitted in join_all(submitted).await {
            submitted.unwrap();
        }
        let id = |signed: &Vec<u8>| {
            let id = transaction::transaction_id(signed).unwrap();
            chain.ledger.included(&id).unwrap().unwrap().message.unwrap()
        };
        signed.iter().map(id).collect()
    }

    /// The user of `from` sends to the user of `to`, or to somebody else there.
    pub async fn send(&self, from: &str, to: Address, value: u64, expires: u64) -> MessageId {
        let order = Order { to, value, data: b"hello".to_vec(), expires };
        self.order(from, vec![order]).await[0]
    }

    /// The address of a chain's user.
    pub fn user(&self, chain: &str) -> Address {
        let chain = &self.chains[&cid(chain)];
        Address::new(chain.id, address::local(&chain.user.public()))
    }

    /// Somebody who has no account there.
    pub fn stranger(&self, chain: &str) -> Address {
        let key = SecretKey::from_seed(&[77; 32]).public();
        Address::new(cid(chain), address::local(&key))
    }

    /// A recipient that is no address on any ledger.
    pub fn nonsense(&self, chain: &str) -> Address {
        let local: Local = "nobody@nowhere".parse().unwrap();
        Address::new(cid(chain), local)
    }

    /// What a chain's user holds.
    pub fn balance(&self, chain: &str) -> Amount {
        let chain = &self.chains[&cid(chain)];
        chain.ledger.balance(&address::local(&chain.user.public())).unwrap().unwrap()
    }

    /// The time.
    pub fn now(&self) -> UnixSeconds {
        (self.clock)().seconds()
    }

    /// How long every node takes from now on, each way, in milliseconds.
    pub fn slow_nodes(&self, millis: u64) {
        self.node_delay.store(millis, Ordering::Relaxed);
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits, in virtual time, until `done`; the log is shown if it never happens.
    pub async fn until(&self, what: &str, limit: Duration, done: impl Fn() -> bool) {
        let start = tokio::time::Instant::now();
        let step = (limit / 1000).max(Duration::from_millis(50));
        while !done() {
            if start.elapsed() > limit {
                let story = self.story();
                let from = story.len().saturating_sub(60);
                panic!("not {what} within {limit:?}; the end:\n{}", story[from..].join("\n"));
            }
            tokio::time::sleep(step).await;
        }
    }

    /// Waits until no gateway has anything left to do.
    pub async fn until_empty(&self, limit: Duration, sites: &[&Site]) {
        let start = tokio::time::Instant::now();
        let step = (limit / 1000).max(Duration::from_millis(50));
        while !self.is_empty(sites).await {
            if start.elapsed() > limit {
                let queues: Vec<String> = sites.iter().map(|site| site.queue()).collect();
                let story = self.story();
                let end = story[story.len().saturating_sub(60)..].join("\n");
                panic!("still waiting after {limit:?}:\n{}\nthe end:\n{end}", queues.join("\n"));
            }
            tokio::time::sleep(step).await;
        }
    }

    /// Whether every gateway has read its chain to the end and has nothing in its queues.
    pub async fn is_empty(&self, sites: &[&Site]) -> bool {
        for site in sites {
            let head = self.chains[&site.chain].ledger.head().await.unwrap().height;
            let cursor = site.gateway.spool.read(|tx| tx.cursor()).unwrap();
            if site.waiting() > 0 || cursor.is_none_or(|cursor| cursor.height < head) {
                return false;
            }
        }
        let open = |chain: &Chain| chain.ledger.pots().unwrap().0 != amount(0);
        !self.chains.values().any(open)
    }

    /// All that happened.
    pub fn story(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// How often a line says this.
    pub fn happened(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// How often one line says all of these.
    pub fn happened_with(&self, texts: &[&str]) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| texts.iter().all(|text| line.contains(text))).count()
    }
}

/// Minds memory as the daemon does, which would end where this tells.
async fn mind_load(gateway: Arc<Gateway>, stop: Stop) {
    if let Err(stuck) = load::run(&gateway, &stop).await {
        gateway.emit(Event::Alert { what: stuck.to_string() });
    }
}

impl Chain {
    /// The place of a user's next transaction.
    pub async fn place(&self, user: &SecretKey) -> transaction::Place {
        let facts = self.ledger.facts();
        let account = self.ledger.account(&address::local(&user.public())).await;
        let nonce = account.unwrap().unwrap().nonce;
        transaction::Place { chain: facts.chain, tag: facts.tag, nonce }
    }

    /// A user's orders, signed one after the other and not submitted yet.
    pub async fn sign(&self, user: &SecretKey, orders: Vec<Order>) -> Vec<Vec<u8>> {
        let mut place = self.place(user).await;
        let mut signed = Vec::with_capacity(orders.len());
        for order in orders {
            let order = transaction::SendOrder {
                to: order.to,
                amount: amount(order.value),
                data: order.data,
                gas: 0,
                on_fail: OnFail::Return,
                expires: UnixSeconds(order.expires),
            };
            signed.push(transaction::send(place, order, user));
            place.nonce += 1;
        }
        signed
    }

    /// All keys that speak for the chain; one of them suffices.
    pub fn key_set(&self) -> KeySet {
        KeySet::new(self.secrets().iter().map(SecretKey::public), 1).unwrap()
    }

    /// The signing keys.
    pub fn secrets(&self) -> Vec<SecretKey> {
        self.keys.iter().map(SecretKey::from_seed).collect()
    }

    /// The pin of gateway `n`'s TLS key.
    pub fn pin(&self, n: u8) -> SpkiPin {
        SpkiPin(numbered([200, self.number, n]))
    }

    /// Where gateway `n` is called.
    pub fn address(&self, n: u8) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(198, 18, self.number, n), 7333))
    }
}

/// The seed of a chain's n-th signing key. That of the first is its number, 32 times: a story may
/// sign in its place.
fn key_seed(number: u8, n: u8) -> [u8; 32] {
    numbered([number, number, number.wrapping_add(n.wrapping_mul(16))])
}

/// Thirty-two bytes that nothing else in the world has: whose, of which chain, the how many-th.
fn numbered(numbers: [u8; 3]) -> [u8; 32] {
    std::array::from_fn(|at| numbers[at % 3])
}

/// Where a chain's gateway records are.
pub fn zone_name(chain: ChainId) -> String {
    format!("_distpos.{chain}.{ROOT}")
}
