//! What a configured gateway publishes in DNS, out of its configuration and its keys.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use distpos_proto::{
    chain::{Family, GenesisTag},
    key::PublicKey,
    record::{
        Anchor, GATEWAYS_MAX, GatewayRecord, HostName, KeyRecord, Mode, PolicyRecord, Selector,
        Target,
    },
};
use distpos_resolver::publish::{RecordSet, TTL_DEFAULT};

use super::{Exit, Failure};
use crate::{
    config::{Config, Node, peer::LEDGER_OUTBOX},
    keyring::Keyring,
};

/// How long peers hold on to what they have learnt while name servers fail: a week.
const PIN_FOR: Duration = Duration::from_hours(24 * 7);

/// Where and how a chain's records are published.
#[derive(Args)]
pub(super) struct Publishing {
    /// The host name under which peers reach this gateway.
    #[arg(long, required_unless_present = "null")]
    host: Option<HostName>,
    /// The domain under which the chain is listed; else the first of `resolver.roots`.
    #[arg(long, conflicts_with = "domain")]
    root: Option<HostName>,
    /// The chain's own domain, where it is listed nowhere.
    #[arg(long)]
    domain: Option<HostName>,
    /// The zone that holds the records, where it is not the root or domain itself.
    #[arg(long)]
    zone: Option<HostName>,
    /// How long resolvers may keep the records, in seconds.
    #[arg(long, default_value_t = TTL_DEFAULT)]
    ttl: u32,
    /// Lower is tried first.
    #[arg(long, default_value_t = 10)]
    pri: u16,
    /// Share among gateways of one priority.
    #[arg(long, default_value_t = 1)]
    weight: u16,
    /// The chain's genesis tag, where it cannot be worked out here: an EVM chain's is the first 8
    /// bytes of its genesis block's hash.
    #[arg(long, value_name = "16 HEX DIGITS")]
    genesis: Option<GenesisTag>,
    /// The label of the key's record, where it is not the one that `key list` shows.
    #[arg(long)]
    selector: Option<Selector>,
    /// Another gateway of the chain, as its record has it: "h=gw2.village.example; spki=…; pri=20".
    #[arg(long, value_name = "TAGS")]
    also: Vec<String>,
    /// Another gateway's chain key, to be named in the policy: its record is published by its own.
    #[arg(long, value_name = "SELECTOR=KEY")]
    key: Vec<String>,
    /// Publish that the chain accepts nothing, and nothing else.
    #[arg(long, conflicts_with_all = ["also", "key"])]
    null: bool,
}

/// What is published, and in which zone.
pub(super) struct OwnRecords {
    pub(super) set: RecordSet,
    /// Without a final dot.
    pub(super) zone: String,
}

impl Publishing {
    pub(super) fn records(&self, config: &Config, ring: &Keyring) -> Result<OwnRecords, Failure> {
        let (anchor, place) = self.place(config)?;
        let zone = self.zone.as_ref().map_or_else(|| place.to_string(), ToString::to_string);
        let (keys, policy) = match self.null {
            true => (BTreeMap::new(), None),
            false => {
                let keys = self.keys(config, ring)?;
                let policy = self.policy(config, ring, &keys)?;
                (keys, Some(policy))
            }
        };
        let gateways = self.gateways(config, ring)?;
        Ok(OwnRecords { set: RecordSet { anchor, ttl: self.ttl, gateways, keys, policy }, zone })
    }

    /// Where the records are, and the name that a zone usually has there.
    pub(super) fn place(&self, config: &Config) -> Result<(Anchor, HostName), Failure> {
        if let Some(domain) = &self.domain {
            return Ok((Anchor::at(domain), domain.clone()));
        }
        let root = self.root.as_ref().or(config.resolver.roots.first()).ok_or_else(|| {
            Failure::usage("--root is missing, and resolver.roots of the configuration is empty")
        })?;
        Ok((Anchor::under(config.chain.id, root), root.clone()))
    }

    fn gateways(&self, config: &Config, ring: &Keyring) -> Result<Vec<GatewayRecord>, Failure> {
        let chain = config.chain.id;
        let Some(host) = self.host.as_ref().filter(|_| !self.null) else {
            return Ok(vec![GatewayRecord::null(chain)]);
        };
        let pin = ring.tls().map_err(Failure::configuration)?.pin();
        let mut own = GatewayRecord::new(chain, host.clone(), pin);
        (own.pri, own.weight) = (self.pri, self.weight);
        if let Target::Host { port, .. } = &mut own.target {
            *port = config.listen.peers.port();
        }
        let mut gateways = vec![own];
        for tags in &self.also {
            let text = format!("{}; c={chain}; {tags}", GatewayRecord::VERSION);
            let record = GatewayRecord::parse(text.as_bytes())
                .map_err(|wrong| Failure::usage(format_args!("--also {tags:?}: {wrong}")))?;
            gateways.push(record);
        }
        match gateways.len() {
            1..=GATEWAYS_MAX => Ok(gateways),
            found => Err(Failure::usage(format_args!(
                "found {found} gateways, expected at most {GATEWAYS_MAX}"
            ))),
        }
    }

    fn keys(
        &self,
        config: &Config,
        ring: &Keyring,
    ) -> Result<BTreeMap<Selector, KeyRecord>, Failure> {
        let mut keys: BTreeMap<_, _> = ring.records(config.chain.id).into_iter().collect();
        if let Some(selector) = &self.selector {
            if ring.keys().len() > 1 {
                let what = "--selector: a key turns over here, whose records have their own";
                return Err(Failure::usage(what));
            }
            keys = keys.into_values().map(|record| (selector.clone(), record)).collect();
        }
        Ok(keys)
    }

    fn policy(
        &self,
        config: &Config,
        ring: &Keyring,
        keys: &BTreeMap<Selector, KeyRecord>,
    ) -> Result<PolicyRecord, Failure> {
        let genesis = self.genesis_of(config, ring)?;
        let live = keys.iter().filter(|(_, record)| record.key.is_some());
        let mut selectors: Vec<_> = live.map(|(selector, _)| selector.clone()).collect();
        for text in &self.key {
            let expected = || {
                Failure::usage(format_args!(
                    "--key is {text:?}, expected SELECTOR=KEY of another gateway"
                ))
            };
            let (selector, key) = text.split_once('=').ok_or_else(expected)?;
            let _key: PublicKey = key.parse().map_err(|_| expected())?;
            selectors.push(selector.parse().map_err(|_| expected())?);
        }
        let policy = PolicyRecord {
            chain: config.chain.id,
            id: ring.policy_id(),
            mode: Mode::Enforce,
            pin_for: PIN_FOR,
            family: config.chain.proof,
            genesis,
            outbox: outbox(config),
            confirmations: 0,
            selectors,
            threshold: config.identity.th,
        };
        // What cannot be read is not printed: th above the selectors, or one of them twice.
        PolicyRecord::parse(policy.to_string().as_bytes()).map_err(Failure::usage)
    }

    pub(super) fn genesis_of(
        &self,
        config: &Config,
        ring: &Keyring,
    ) -> Result<GenesisTag, Failure> {
        let known = genesis(config, ring.genesis_key().key);
        self.genesis.or(known).ok_or_else(|| {
            Failure::of(
                Exit::Usage,
                "--genesis is missing: the node's genesis block has it (first 8 bytes of its hash), \
                 and a running gateway tells it at GET /v1/chain",
            )
        })
    }
}

/// The tag, where the configuration alone decides it.
pub(super) fn genesis(config: &Config, first: PublicKey) -> Option<GenesisTag> {
    match &config.chain.node {
        Node::Ledger(node) => Some(node.genesis(config.chain.id, first).tag()),
        Node::Evm(_) => None,
    }
}

/// The outbox, where peers do not know it anyway.
fn outbox(config: &Config) -> Option<Vec<u8>> {
    match (&config.chain.node, config.chain.proof) {
        (Node::Ledger(_), Family::Ledger) => None,
        (Node::Ledger(_), _) => Some(LEDGER_OUTBOX.to_vec()),
        (Node::Evm(node), _) => Some(node.contract.to_vec()),
    }
}
