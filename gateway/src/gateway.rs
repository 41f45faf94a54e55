//! The values both pipelines work with. Nothing here is global: clock, randomness, store, DNS,
//! peers and chain are given, so a test gives its own and gets the same run twice.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use distpos_proto::{
    chain::{ChainId, Family},
    key::{KeySet, SecretKey, SpkiPin},
    light::{Authenticated, Trusted},
    message::Asset,
    policy::Own,
    time::{UnixMillis, UnixSeconds},
    trust::Least,
};
use distpos_resolver::Resolve;
use distpos_spool::Spool;
use rand::Rng;
use tokio::sync::Notify;

use crate::{
    chain::{Facts, LocalChain},
    clock::Clock,
    config::{AccountPolicy, GasBudget, Policy},
    correspondence::progress::Progress,
    destinations::Destinations,
    event::{Event, Events},
    inbound::hooks::Hooks,
    load::Load,
    metrics::Metrics,
    peer::PeerTransport,
    trust::dns::Answers,
    watchdog::{Tasks, states::Worked},
};

/// What the operator says of other chains: whom to believe, and how far.
pub trait Correspondents: Send + Sync {
    /// The operator's own word about a chain; none: what DNS says of it counts, where that is
    /// allowed ([`Correspondents::least`]). Who is believed in the end,
    /// [`crate::trust::dns::believed`] says.
    fn anchor(&self, chain: ChainId) -> Option<Anchor>;

    /// How good what DNS says has to be, for each use of it.
    fn least(&self) -> Least;

    /// What is let in, whoever sends it.
    fn policy(&self) -> Arc<Policy> {
        Arc::default()
    }

    /// What the operator says of an account, beside the limits that the chain keeps.
    fn account(&self, chain: ChainId, asset: &Asset) -> AccountPolicy {
        let _ = (chain, asset);
        AccountPolicy::default()
    }

    /// What a chain's messages may use of gas on a chain of this family.
    fn gas_budget(&self, chain: ChainId, own: Family) -> GasBudget {
        let _ = chain;
        GasBudget::of(own)
    }

    /// Whether the operator ever named it (a `peer` entry or a pin). A message to such a chain is
    /// never refunded without its receipt.
    fn is_named(&self, chain: ChainId) -> bool;
}

/// What the operator wrote down about a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What is to be believed.
    pub trusted: Trusted,
    /// The owner of the gateway records at which it was found, if it was pinned from DNS.
    pub found_at: Option<String>,
}

/// Who this gateway is.
#[derive(Debug)]
pub struct Identity {
    keys: RwLock<Arc<ChainKeys>>,
    /// The pin of its TLS key: how it recognises itself in DNS.
    pub pin: SpkiPin,
}

/// The chain keys of a moment: they turn over while the gateway runs.
#[derive(Debug)]
pub struct ChainKeys {
    /// Those it holds, the newest first; headers and receipts are signed with all of them.
    pub secrets: Vec<SecretKey>,
    /// All of its chain's keys, also those of sibling gateways, and how many must sign.
    pub set: KeySet,
}

impl Identity {
    /// With these chain keys at first.
    #[must_use]
    pub fn new(keys: ChainKeys, pin: SpkiPin) -> Self {
        Self { keys: RwLock::new(Arc::new(keys)), pin }
    }

    /// The chain keys of now. What belongs together is signed with one answer of this.
    #[must_use]
    pub fn keys(&self) -> Arc<ChainKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other chain keys from now on.
    pub fn take_up(&self, keys: ChainKeys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

/// Most unproven messages kept for one source chain. Beyond it the source is told to come back.
pub const CLAIMED_MESSAGES_MAX: u64 = 16_384;

/// Most proven messages kept for one source chain that wait for room in their accounts. Each has
/// locked money there, so there may be more of them; beyond it no more value of that chain is taken
/// until some have ended.
pub const SUSPENDED_MESSAGES_MAX: u64 = 65_536;

/// One gateway: what its two pipelines, its peers' requests and its users' questions share.
pub struct Gateway {
    /// Tells the time.
    pub clock: Clock,
    /// Jitter, and nothing that must be secret.
    pub random: Mutex<Box<dyn Rng + Send>>,
    /// What survives a crash.
    pub spool: Spool,
    /// Chain-id to route.
    pub resolver: Arc<dyn Resolve>,
    /// What is known of reaching other chains.
    pub destinations: Destinations,
    /// Whether there is too much memory to go on.
    pub load: Load,
    /// The way to other gateways.
    pub peers: Arc<dyn PeerTransport>,
    /// The local chain.
    pub chain: Arc<dyn LocalChain>,
    /// Who this gateway is.
    pub identity: Identity,
    /// Whom it believes.
    pub correspondents: Arc<dyn Correspondents>,
    /// The operator's own programs, asked about each message that comes in.
    pub hooks: Hooks,
    /// What is counted and measured.
    pub metrics: Arc<Metrics>,
    /// Signs of life of the daemon's tasks.
    pub tasks: Tasks,
    /// Who worked on the queue, and when.
    pub worked: Worked,
    /// Told of every transition.
    pub events: Arc<dyn Events>,
    /// Told when there is a paper to be sent that a person waits for.
    pub papers: Notify,
    /// How far the work on papers is.
    pub progress: Mutex<Progress>,
    /// Which look-ups were taken in already.
    pub answers: Mutex<Answers>,
    /// Headers that were authenticated already: each is verified once.
    pub authenticated: Mutex<Authenticated>,
}

impl Gateway {
    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// The time in seconds.
    #[must_use]
    pub fn now_seconds(&self) -> UnixSeconds {
        self.now().seconds()
    }

    /// The local chain's facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.chain.facts()
    }

    /// The local chain, as policy compares it with a message.
    #[must_use]
    pub fn own(&self) -> Own {
        Own { chain: self.facts().chain, tag: self.facts().tag }
    }

    /// Tells of a transition.
    pub fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// A random number for jitter.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        // A panic while holding the lock leaves the generator usable.
        self.random.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}
