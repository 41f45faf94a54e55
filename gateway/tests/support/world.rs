//! Chains with their gateways, and a zone in which they find each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use distpos_gateway::{
    chain::{
        LocalChain, Submission,
        ledger::{Genesis, Ledger, address, transaction},
    },
    clock::{self, Clock},
    event::{Event, Events},
    gateway::{Correspondents, Gateway, Identity},
    inbound, outbound,
    service::Service,
    stop::{self, Stopper},
};
use distpos_proto::{
    address::{Address, Local},
    amount::Amount,
    chain::{ChainId, Family},
    key::{KeySet, SecretKey, SpkiPin},
    light::{Authenticated, Trusted},
    message::{MessageId, OnFail},
    policy::Limits,
    record::{GatewayRecord, HostName, Target},
    time::{UnixMillis, UnixSeconds},
};
use distpos_resolver::{Options, Resolver, ZoneLookup};
use distpos_spool::{Direction, Spool, SpoolError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinHandle;

use super::network::{Line, Network};

pub const START: UnixMillis = UnixMillis(1_760_000_000_000);
pub const ROOT: &str = "chains.test";
pub const ASSET: &str = "e2e4/coin";
pub const FLOAT: u64 = 1_000_000;

/// Keeps what happened, with the time and in order.
pub struct Recorder {
    clock: Clock,
    who: String,
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Events for Recorder {
    fn emit(&self, event: Event) {
        let at = (self.clock)().0 - START.0;
        self.log.lock().unwrap().push(format!("{at:>9} {} {event}", self.who));
    }
}

/// What the operator says, changeable by the test.
#[derive(Default)]
pub struct Book {
    pub trusted: Mutex<BTreeMap<ChainId, Trusted>>,
    pub limits: Mutex<BTreeMap<ChainId, Limits>>,
}

impl Correspondents for Book {
    fn trusted(&self, chain: ChainId) -> Option<Trusted> {
        self.trusted.lock().unwrap().get(&chain).cloned()
    }

    fn limits(&self, chain: ChainId) -> Limits {
        self.limits.lock().unwrap().get(&chain).cloned().unwrap_or_default()
    }

    fn is_named(&self, chain: ChainId) -> bool {
        self.trusted.lock().unwrap().contains_key(&chain)
            || self.limits.lock().unwrap().contains_key(&chain)
    }
}

/// A chain: its ledger, its keys, its users.
pub struct Chain {
    pub id: ChainId,
    pub ledger: Arc<Ledger>,
    pub key: [u8; 32],
    pub user: SecretKey,
}

/// A running gateway of a chain.
pub struct Site {
    pub gateway: Arc<Gateway>,
    pub book: Arc<Book>,
    pub address: SocketAddr,
    stopper: Option<Stopper>,
    tasks: Vec<JoinHandle<()>>,
}

pub struct World {
    pub seed: u64,
    pub clock: Clock,
    pub zone: ZoneLookup,
    pub network: Arc<Network>,
    pub log: Arc<Mutex<Vec<String>>>,
    pub chains: BTreeMap<ChainId, Chain>,
}

pub fn cid(text: &str) -> ChainId {
    text.parse().unwrap()
}

pub fn amount(value: u64) -> Amount {
    Amount::from(value)
}

impl World {
    /// A world of these chains, none of which has a gateway yet. Call it with tokio's time paused.
    pub fn new(seed: u64, chains: &[&str]) -> Self {
        let clock = clock::virtual_from(START);
        let mut world = Self {
            seed,
            clock: clock.clone(),
            zone: ZoneLookup::default(),
            network: Arc::default(),
            log: Arc::default(),
            chains: BTreeMap::new(),
        };
        for (n, name) in (1u8..).zip(chains) {
            let (id, key) = (cid(name), [n; 32]);
            let user = SecretKey::from_seed(&[100 + n; 32]);
            let genesis = Genesis {
                chain: id,
                time: START.seconds(),
                accounts: BTreeMap::from([(address::local(&user.public()), amount(10_000))]),
                float: amount(FLOAT),
                authorities: BTreeSet::from([SecretKey::from_seed(&key).public()]),
            };
            let keys = vec![SecretKey::from_seed(&key)];
            let ledger = Arc::new(Ledger::in_memory(genesis, keys, clock.clone()).unwrap());
            world.chains.insert(id, Chain { id, ledger, key, user });
        }
        world
    }

    /// Two chains with one gateway each, that trust each other with `value_max`.
    pub async fn pair(seed: u64, value_max: u64) -> (Self, Site, Site) {
        let world = Self::new(seed, &["e2e4", "b1c2"]);
        world.befriend(value_max).await;
        let a = world.start("e2e4", 1, Family::Ledger);
        let b = world.start("b1c2", 1, Family::Ledger);
        world.allow(&a, value_max);
        world.allow(&b, value_max);
        (world, a, b)
    }

    /// Registers every chain with every other one.
    pub async fn befriend(&self, value_max: u64) {
        for chain in self.chains.values() {
            for other in self.chains.values().filter(|other| other.id != chain.id) {
                let (tag, asset) = (other.ledger.facts().tag, ASSET.parse().unwrap());
                chain.ledger.register(other.id, tag, asset, amount(value_max)).await.unwrap();
            }
        }
    }

    /// Lets a gateway accept value from every other chain.
    pub fn allow(&self, site: &Site, value_max: u64) {
        let own = site.gateway.facts().chain;
        for chain in self.chains.values().filter(|chain| chain.id != own) {
            let limits =
                Limits { asset: Some(ASSET.parse().unwrap()), value_max: amount(value_max) };
            site.book.limits.lock().unwrap().insert(chain.id, limits);
        }
    }

    /// What a careful operator pins of a chain.
    pub fn anchor(&self, chain: ChainId, family: Family) -> Trusted {
        let chain = &self.chains[&chain];
        Trusted {
            chain: chain.id,
            tag: chain.ledger.facts().tag,
            family,
            outbox: chain.ledger.facts().outbox.clone(),
            keys: KeySet::new([SecretKey::from_seed(&chain.key).public()], 1).unwrap(),
        }
    }

    /// Starts gateway number `n` of a chain, with an empty spool, and publishes it.
    pub fn start(&self, chain: &str, n: u8, family: Family) -> Site {
        self.start_with(chain, n, family, Spool::in_memory())
    }

    /// The same with a spool that was there before.
    pub fn start_with(&self, chain: &str, n: u8, family: Family, spool: Spool) -> Site {
        let chain = &self.chains[&cid(chain)];
        let pin = SpkiPin([chain.key[0] * 16 + n; 32]);
        let ip = Ipv4Addr::new(198, 18, chain.key[0], n);
        let address = SocketAddr::from((ip, 7333));
        let seed = self.seed * 1000 + u64::from(chain.key[0]) * 10 + u64::from(n);
        let book = Arc::new(Book::default());
        for other in self.chains.keys().filter(|other| **other != chain.id) {
            book.trusted.lock().unwrap().insert(*other, self.anchor(*other, family));
        }
        let name: HostName = ROOT.parse().unwrap();
        let options = Options { roots: vec![name], allow_special: true, ..Options::default() };
        let random = || Box::new(ChaCha8Rng::seed_from_u64(seed));
        let resolver = Resolver::new(self.zone.clone(), options, self.clock.clone(), random());
        let gateway = Arc::new(Gateway {
            clock: self.clock.clone(),
            random: Mutex::new(random()),
            spool,
            resolver: Arc::new(resolver),
            peers: Arc::new(Line { network: self.network.clone(), pin }),
            chain: chain.ledger.clone(),
            identity: Identity {
                keys: vec![SecretKey::from_seed(&chain.key)],
                key_set: KeySet::new([SecretKey::from_seed(&chain.key).public()], 1).unwrap(),
                pin,
            },
            correspondents: book.clone(),
            events: Arc::new(Recorder {
                clock: self.clock.clone(),
                who: format!("{}/{n}", chain.id),
                log: self.log.clone(),
            }),
            authenticated: Mutex::new(Authenticated::default()),
        });
        self.publish(chain.id, n, pin, ip.into());
        self.network.listen(address, Arc::new(Service(gateway.clone())), pin);
        let (stopper, stop) = stop::channel();
        let tasks = vec![
            tokio::spawn(outbound::run(gateway.clone(), stop.clone())),
            tokio::spawn(inbound::run(gateway.clone(), stop)),
        ];
        Site { gateway, book, address, stopper: Some(stopper), tasks }
    }

    /// Adds a gateway to the chain's records, at priority 10 × n.
    fn publish(&self, chain: ChainId, n: u8, pin: SpkiPin, ip: IpAddr) {
        let host = |n: u8| -> HostName { format!("gw{n}.{chain}.test").parse().unwrap() };
        self.zone.publish_addresses(host(n).as_str(), 300, [ip]);
        let records = (1..=n).map(|m| {
            let pin = if m == n { pin } else { SpkiPin([self.chains[&chain].key[0] * 16 + m; 32]) };
            let mut record = GatewayRecord::new(chain, host(m), pin);
            record.pri = u16::from(m) * 10;
            if let Target::Host { port, .. } = &mut record.target {
                *port = 7333;
            }
            record
        });
        self.zone.publish(&format!("_distpos.{chain}.{ROOT}"), 300, records);
    }

    /// The user of `from` sends to the user of `to`, or to somebody else there.
    pub async fn send(&self, from: &str, to: Address, value: u64, expires: u64) -> MessageId {
        let chain = &self.chains[&cid(from)];
        let facts = chain.ledger.facts();
        let local = address::local(&chain.user.public());
        let nonce = chain.ledger.account(&local).await.unwrap().unwrap().nonce;
        let place = transaction::Place { chain: facts.chain, tag: facts.tag, nonce };
        let order = transaction::SendOrder {
            to,
            amount: amount(value),
            data: b"hello".to_vec(),
            gas: 0,
            on_fail: OnFail::Return,
            expires: UnixSeconds(expires),
        };
        let signed = transaction::send(place, order, &chain.user);
        let id = transaction::transaction_id(&signed).unwrap();
        chain.ledger.submit(Submission::User(signed)).await.unwrap();
        chain.ledger.included(&id).unwrap().unwrap().message.unwrap()
    }

    pub fn user(&self, chain: &str) -> Address {
        let chain = &self.chains[&cid(chain)];
        Address::new(chain.id, address::local(&chain.user.public()))
    }

    pub fn stranger(&self, chain: &str) -> Address {
        let local: Local = "77".repeat(32).parse().unwrap();
        let key = SecretKey::from_seed(&[77; 32]).public();
        let local = if chain.is_empty() { local } else { address::local(&key) };
        Address::new(cid(chain), local)
    }

    pub fn balance(&self, chain: &str) -> Amount {
        let chain = &self.chains[&cid(chain)];
        chain.ledger.balance(&address::local(&chain.user.public())).unwrap().unwrap()
    }

    /// Waits, in virtual time, until `done`; the log is shown if it never happens.
    pub async fn until(&self, what: &str, limit: Duration, done: impl Fn() -> bool) {
        let start = tokio::time::Instant::now();
        while !done() {
            if start.elapsed() > limit {
                panic!("not {what} within {limit:?}; what happened:\n{}", self.story().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn story(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn happened(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

impl Site {
    /// How many messages wait here, both ways.
    pub fn waiting(&self) -> usize {
        let count = |direction| {
            self.gateway
                .spool
                .read(|tx| tx.batches(direction, None, usize::MAX))
                .map(|batches: Vec<_>| batches.iter().map(|b| b.items.len()).sum::<usize>())
        };
        let both: Result<usize, SpoolError> = Direction::BOTH.into_iter().map(count).sum();
        both.unwrap()
    }

    /// Stops the gateway and gives its spool back. The records stay.
    pub async fn stop(mut self) -> Spool {
        drop(self.stopper.take());
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        self.gateway.spool.clone()
    }

    /// Kills it: nothing is finished. The records stay.
    pub fn kill(self) -> Spool {
        for task in &self.tasks {
            task.abort();
        }
        self.gateway.spool.clone()
    }
}
