//! What the operator says of other chains: the configuration, and pins that may change at any time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use distpos_proto::{
    chain::{ChainId, Family},
    message::Asset,
    trust::Least,
};

use crate::{
    config::{AccountPolicy, Config, GasBudget, Policy},
    gateway::{Anchor, Correspondents},
    trust::{Trust, TrustError},
};

/// How often the pins on disk are looked at: `trust pin` needs no restart.
const PINS_LOOKED_AT: Duration = Duration::from_secs(2);

/// Correspondents by configuration and pins.
pub struct Configured {
    config: Config,
    policy: Arc<Policy>,
    anchors: Mutex<Anchors>,
}

struct Anchors {
    at: Instant,
    by_chain: BTreeMap<ChainId, Anchor>,
}

impl Configured {
    /// Reads the pins beside the spool.
    ///
    /// # Errors
    /// [`TrustError`] if a pin file cannot be read: better not to start than to believe less than
    /// the operator said.
    pub fn new(config: Config) -> Result<Self, TrustError> {
        let by_chain = load(&config)?;
        let policy = Arc::new(config.policy.clone());
        Ok(Self { config, policy, anchors: Mutex::new(Anchors { at: Instant::now(), by_chain }) })
    }
}

fn load(config: &Config) -> Result<BTreeMap<ChainId, Anchor>, TrustError> {
    Ok(Trust::load(&Trust::directory_in(&config.spool.directory))?.anchors(config))
}

impl Correspondents for Configured {
    fn anchor(&self, chain: ChainId) -> Option<Anchor> {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        if anchors.at.elapsed() >= PINS_LOOKED_AT {
            anchors.at = Instant::now();
            match load(&self.config) {
                Ok(by_chain) => anchors.by_chain = by_chain,
                // What was read before still holds.
                Err(error) => tracing::warn!(target: "distpos", "pins: {error}"),
            }
        }
        anchors.by_chain.get(&chain).cloned()
    }

    fn least(&self) -> Least {
        Least { route: self.config.trust.route, keys: self.config.trust.keys }
    }

    fn policy(&self) -> Arc<Policy> {
        self.policy.clone()
    }

    fn account(&self, chain: ChainId, asset: &Asset) -> AccountPolicy {
        let peer = self.config.peers.get(&chain);
        peer.and_then(|peer| peer.accounts.get(asset)).cloned().unwrap_or_default()
    }

    fn gas_budget(&self, chain: ChainId, _own: Family) -> GasBudget {
        self.config.gas_budget(chain)
    }

    fn is_named(&self, chain: ChainId) -> bool {
        self.config.peers.contains_key(&chain) || self.anchor(chain).is_some()
    }
}
