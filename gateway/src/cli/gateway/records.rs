//! `distpos-gateway records`: what to publish in DNS, and what to tell other operators.

use clap::Args;
use distpos_proto::key::PublicKey;
use distpos_resolver::publish::Format;

use super::{Exit, Failure, FromConfig, say, trust};
use crate::{cli::own_records::Publishing, config::Node, keyring::Keyring};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    publishing: Publishing,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
    let own = arguments.publishing.records(&config, &ring)?;
    say("; Publish in DNS (zone file lines; the quotes matter, an unquoted ; is a comment):")?;
    let lines = own.set.print(Format::Zone, &own.zone).map_err(Failure::usage)?;
    say(lines.trim_end())?;
    let Some(policy) = own.set.policy else { return Ok(Exit::Done) };
    let mut keys = config.identity.keys.clone();
    keys.extend(ring.in_use().map(|key| key.key).filter(|key| !config.identity.keys.contains(key)));
    let section = Section {
        chain: config.chain.id.to_string(),
        keys,
        th: config.identity.th,
        family: config.chain.proof.to_string(),
        genesis: policy.genesis.to_string(),
        outbox: outbox_of(&config.chain.node),
    };
    section.print()?;
    Ok(Exit::Done)
}

fn outbox_of(node: &Node) -> String {
    match node {
        Node::Ledger(_) => data_encoding::HEXLOWER.encode(crate::config::peer::LEDGER_OUTBOX),
        Node::Evm(node) => data_encoding::HEXLOWER.encode(&node.contract),
    }
}

/// What other operators write into their configuration. Where something is not known yet, its name
/// in capitals.
pub(super) struct Section {
    pub(super) chain: String,
    pub(super) keys: Vec<PublicKey>,
    pub(super) th: usize,
    pub(super) family: String,
    pub(super) genesis: String,
    pub(super) outbox: String,
}

impl Section {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let Self { chain, keys, th, family, genesis, outbox } = self;
        say("\n# Tell other operators, by a way they trust (for their gateway.toml):")?;
        say(format_args!("[peer.{chain}]"))?;
        let quoted: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        say(format_args!("keys = [{}]\nth = {th}", quoted.join(", ")))?;
        say(format_args!("genesis = \"{genesis}\"\nfamily = \"{family}\"\noutbox = \"{outbox}\""))?;
        // `trust pin` shows the same groups on the other side; this is where they are read out from.
        keys.iter().try_for_each(|key| {
            say(format_args!("# fingerprint {} of {key}", trust::fingerprint(key)))
        })
    }
}
