//! `distpos-gateway keygen`.

use std::path::PathBuf;

use clap::Args;
use distpos_certs::{PublicIdentity, SecretError};
use distpos_proto::{chain::ChainId, record::HostName};
use serde_json::json;

use super::{Exit, Failure, records::Section, say, say_json};
use crate::keyring::Keyring;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where the keys go: `identity.directory` of the configuration. Keys are never overwritten.
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// The chain-id, for the records that are printed.
    #[arg(long, value_name = "CID")]
    chain: Option<ChainId>,
    /// The gateway's host name, for the records that are printed.
    #[arg(long)]
    host: Option<HostName>,
    /// The domain under which the chain is listed, for the records that are printed.
    #[arg(long)]
    root: Option<HostName>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let keys = distpos_certs::keygen(&arguments.directory).map_err(|error| match error {
        SecretError::Random(_) => Failure::new(Exit::Internal, error),
        _ => Failure::new(Exit::Configuration, error),
    })?;
    let PublicIdentity { tls_pin, chain_key } = keys;
    if arguments.json {
        say_json(&json!({
            "directory": arguments.directory,
            "spki": tls_pin.to_string(),
            "chain_key": chain_key.to_string(),
        }))?;
        return Ok(Exit::Done);
    }
    say(format_args!("made {}/tls.key and chain.key (0600)", arguments.directory.display()))?;
    let text = |value: Option<String>, other: &str| value.unwrap_or_else(|| other.into());
    let chain = text(arguments.chain.map(|chain| chain.to_string()), "CHAIN-ID");
    let host = text(arguments.host.as_ref().map(ToString::to_string), "HOST");
    let root = text(arguments.root.as_ref().map(ToString::to_string), "ROOT");
    let ring = Keyring::load(&arguments.directory).map_err(Failure::configuration)?;
    let (selector, port) = (&ring.current().selector, crate::config::Listen::PEERS_PORT);
    say("\n; Publish in DNS (zone file lines; the quotes matter, an unquoted ; is a comment):")?;
    let anchor = format!("_distpos.{chain}.{root}.");
    say(format_args!(
        "{anchor} 3600 IN TXT \"v=DPOS1; c={chain}; h={host}; port={port}; spki={tls_pin}\""
    ))?;
    say(format_args!(
        "{selector}._key.{anchor} 3600 IN TXT \"v=DPOSKEY1; c={chain}; k=ed25519; p={chain_key}\""
    ))?;
    say(format_args!(
        "_policy.{anchor} 3600 IN TXT \"v=DPOSPOL1; c={chain}; id={}; mode=enforce; ma=604800; \
         proof=FAMILY; gen=GENESIS; conf=0; sel={selector}\"",
        ring.policy_id()
    ))?;
    let [family, genesis, outbox] = ["FAMILY", "GENESIS", "OUTBOX"].map(str::to_owned);
    let section = Section { chain, keys: vec![chain_key], th: 1, family, genesis, outbox };
    section.print()?;
    say("\nWords in capitals are known once the gateway is configured:\n\
         distpos-gateway records --config FILE --host HOST prints these lines with them.")?;
    Ok(Exit::Done)
}
