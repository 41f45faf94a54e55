//! `distpos-gateway check`: everything that can be found wrong without a network, and with
//! `--online` what the nodes lack.

use std::path::Path;

use alloy_primitives::Address;
use clap::Args;
use distpos_certs::PublicIdentity;
use distpos_proto::key::PublicKey;
use serde_json::json;

use super::{Exit, Failure, FromConfig, say, say_json};
use crate::{
    chain::evm::keystore,
    cli::own_records,
    config::{Config, Node, check},
    daemon::key_set,
    keyring::Keyring,
    trust::Trust,
};

mod online;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    /// Ask the nodes of the own chain too, and name what they and the contract lack.
    #[arg(long)]
    online: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
    facts: Vec<(&'static str, String)>,
    /// The gateway's accounts, as far as their keys can be read.
    accounts: Vec<Address>,
    /// What each node is; only with `--online`.
    nodes: Vec<serde_json::Value>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    match Config::load(&arguments.from.config) {
        Ok(config) => {
            findings.look_at(&config);
            if arguments.online {
                online::look(&mut findings, &config)?;
            }
        }
        Err(errors) => findings.problems.extend(errors.iter().map(ToString::to_string)),
    }
    findings.tell(arguments.json)?;
    Ok(if findings.problems.is_empty() { Exit::Done } else { Exit::Configuration })
}

impl Findings {
    fn look_at(&mut self, config: &Config) {
        self.facts.push(("chain", config.chain.id.to_string()));
        self.facts.push(("family", config.chain.family().to_string()));
        self.facts.push(("proof", config.chain.proof.to_string()));
        if let Some((PublicIdentity { tls_pin, chain_key }, first)) = self.identity(config) {
            self.facts.push(("spki", tls_pin.to_string()));
            self.facts.push(("chain_key", chain_key.to_string()));
            if let Some(genesis) = own_records::genesis(config, first) {
                self.facts.push(("genesis", genesis.to_string()));
            }
        }
        self.node(config);
        if let Err(error) = config.token() {
            self.problems.push(error.to_string());
        }
        if let Err(error) = config.lookup() {
            self.problems.push(error.to_string());
        }
        self.directories(config);
        self.warnings.extend(check::warnings(config));
        self.anchors(config);
    }

    fn problem(&mut self, config: &Config, key: &str, what: impl std::fmt::Display) {
        self.problems.push(config.wrong(key, what).to_string());
    }

    /// The public keys, and that with which the chain began.
    fn identity(&mut self, config: &Config) -> Option<(PublicIdentity, PublicKey)> {
        let read = Keyring::load(&config.identity.directory)
            .and_then(|ring| Ok((ring.tls()?, ring.secrets()?, ring)));
        let (tls, ring) = match read {
            Ok((tls, _, ring)) => (tls, ring),
            Err(error) => {
                self.problem(config, "identity.directory", error);
                return None;
            }
        };
        let own = ring.current().key;
        let identity = PublicIdentity { tls_pin: tls.pin(), chain_key: own };
        // What would keep it from starting.
        if let Err(fault) = key_set(&config.identity.keys, config.identity.th, &ring) {
            self.problems.push(fault.of(config).to_string());
        }
        let first = ring.genesis_key().key;
        self.authorities(config, first);
        Some((identity, first))
    }

    fn authorities(&mut self, config: &Config, own: PublicKey) {
        if let Node::Ledger(node) = &config.chain.node
            && !node.authorities.is_empty()
            && !node.authorities.contains(&own)
        {
            let what =
                format!("does not hold this gateway's own chain key {own}: it cannot make blocks");
            self.problem(config, "chain.ledger.authorities", what);
        }
    }

    fn node(&mut self, config: &Config) {
        match &config.chain.node {
            Node::Ledger(_) => {}
            Node::Evm(node) => {
                let mut accounts = Vec::new();
                for file in &node.keys {
                    match keystore::read(file, node.password.as_deref()) {
                        Ok(key) => {
                            accounts.push(key.address().to_checksum(None));
                            self.accounts.push(key.address());
                        }
                        Err(error) => self.problem(config, "chain.evm.key", error),
                    }
                }
                self.facts.push(("account", accounts.join(" ")));
            }
        }
    }

    /// A directory need not be there yet, but what is there must be one.
    fn directories(&mut self, config: &Config) {
        let mut directories = vec![("spool.directory", config.spool.directory.as_path())];
        if let Node::Ledger(node) = &config.chain.node {
            directories.push(("chain.ledger.directory", &node.directory));
        }
        for (key, path) in directories {
            if let Some(what) = unusable(path) {
                self.problem(config, key, format_args!("{} {what}", path.display()));
            }
        }
    }

    fn anchors(&mut self, config: &Config) {
        let trust = match Trust::load(&Trust::directory_in(&config.spool.directory)) {
            Ok(trust) => trust,
            Err(error) => {
                self.problem(config, "spool.directory", error);
                return;
            }
        };
        let anchors = trust.anchors(config);
        for chain in config.peers.keys().filter(|chain| !anchors.contains_key(chain)) {
            self.warnings.push(format!(
                "peer.{chain} has no keys and no pin: its messages wait (4.7.20); \
                 distpos-gateway trust pin {chain} shows and pins them"
            ));
        }
        let chains: Vec<_> = anchors.keys().map(ToString::to_string).collect();
        self.facts.push(("anchored", chains.join(" ")));
    }

    fn tell(&self, json: bool) -> Result<(), Failure> {
        if json {
            let facts = self.facts.iter().filter(|(name, _)| *name != "node");
            let facts: serde_json::Map<_, _> =
                facts.map(|(name, fact)| ((*name).into(), json!(fact))).collect();
            let mut found = json!({
                "ok": self.problems.is_empty(),
                "problems": self.problems,
                "warnings": self.warnings,
                "facts": facts,
            });
            if !self.nodes.is_empty() {
                found["nodes"] = json!(self.nodes);
            }
            return say_json(&found);
        }
        for (name, fact) in &self.facts {
            let fact = if fact.is_empty() { "none" } else { fact };
            say(format_args!("{name:<10} {fact}"))?;
        }
        for warning in &self.warnings {
            say(format_args!("warning: {warning}"))?;
        }
        for problem in &self.problems {
            say(format_args!("problem: {problem}"))?;
        }
        match self.problems.len() {
            0 => say("the configuration is usable"),
            1 => say("1 problem"),
            count => say(format_args!("{count} problems")),
        }
    }
}

/// What is wrong with a place for files.
fn unusable(path: &Path) -> Option<&'static str> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some("is no directory"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some("cannot be looked at: see its permissions"),
    }
}
