//! `distpos-gateway records`: what to publish in DNS, and what to tell other operators.

use clap::Args;
use distpos_proto::{
    chain::GenesisTag,
    key::{PublicKey, SpkiPin},
    record::HostName,
    time::UnixSeconds,
};

use super::{Exit, Failure, FromConfig, say, trust};
use crate::config::{Config, Node};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    from: FromConfig,
    /// The host name under which peers reach this gateway.
    #[arg(long)]
    host: HostName,
    /// The domain under which the chain is listed; else the first of `resolver.roots`.
    #[arg(long)]
    root: Option<HostName>,
    /// The chain's genesis tag, where it cannot be worked out here: an EVM chain's is the first 8
    /// bytes of its genesis block's hash.
    #[arg(long, value_name = "16 HEX DIGITS")]
    genesis: Option<GenesisTag>,
    /// The label of the key's record.
    #[arg(long)]
    selector: Option<distpos_proto::record::Selector>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = arguments.from.load()?;
    let identity = distpos_certs::Identity::load(&config.identity.directory)
        .map_err(Failure::configuration)?
        .public();
    let own = identity.chain_key;
    let genesis = arguments.genesis.or_else(|| genesis_of(&config, own)).ok_or_else(|| {
        Failure::usage(
            "--genesis is missing: the node's genesis block has it (first 8 bytes of its hash), \
             and a running gateway tells it at GET /v1/chain",
        )
    })?;
    let root = arguments.root.as_ref().or(config.resolver.roots.first()).ok_or_else(|| {
        Failure::usage("--root is missing, and resolver.roots of the configuration is empty")
    })?;
    let keys = match config.identity.keys.as_slice() {
        [] => vec![own],
        keys => keys.to_vec(),
    };
    let published = Published {
        chain: config.chain.id.to_string(),
        host: arguments.host.to_string(),
        port: config.listen.peers.port(),
        root: root.to_string(),
        spki: identity.tls_pin,
        key: own,
        keys,
        th: config.identity.th,
        family: config.chain.proof.to_string(),
        genesis: genesis.to_string(),
        outbox: outbox_of(&config.chain.node),
        selector: arguments.selector.as_ref().map_or_else(selector_of_today, ToString::to_string),
    };
    published.print()?;
    Ok(Exit::Done)
}

/// The tag, where the configuration alone decides it.
pub(super) fn genesis_of(config: &Config, own: PublicKey) -> Option<GenesisTag> {
    match &config.chain.node {
        Node::Ledger(node) => Some(node.genesis(config.chain.id, own).tag()),
        Node::Evm(_) => None,
    }
}

fn outbox_of(node: &Node) -> String {
    match node {
        Node::Ledger(_) => data_encoding::HEXLOWER.encode(crate::config::peer::LEDGER_OUTBOX),
        Node::Evm(node) => data_encoding::HEXLOWER.encode(&node.contract),
    }
}

/// What is published, in text: where something is not known yet, its name in capitals.
pub(super) struct Published {
    pub(super) chain: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) root: String,
    pub(super) spki: SpkiPin,
    pub(super) key: PublicKey,
    pub(super) keys: Vec<PublicKey>,
    pub(super) th: usize,
    pub(super) family: String,
    pub(super) genesis: String,
    pub(super) outbox: String,
    pub(super) selector: String,
}

impl Published {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let Self { chain, host, port, root, spki, key, selector, .. } = self;
        let Self { family, genesis, outbox, th, .. } = self;
        let anchor = format!("_distpos.{chain}.{root}.");
        let id = format!("{}01", selector.trim_start_matches('k'));
        say("; Publish in DNS (zone file lines; the quotes matter, an unquoted ; is a comment):")?;
        say(format_args!(
            "{anchor} 3600 IN TXT \"v=DPOS1; c={chain}; h={host}; port={port}; spki={spki}\""
        ))?;
        say(format_args!(
            "{selector}._key.{anchor} 3600 IN TXT \"v=DPOSKEY1; c={chain}; k=ed25519; p={key}\""
        ))?;
        let th_tag = if *th == 1 { String::new() } else { format!("; th={th}") };
        say(format_args!(
            "_policy.{anchor} 3600 IN TXT \"v=DPOSPOL1; c={chain}; id={id}; mode=enforce; \
             ma=604800; proof={family}; gen={genesis}; conf=0; sel={selector}{th_tag}\""
        ))?;
        say("\n# Tell other operators, by a way they trust (for their gateway.toml):")?;
        say(format_args!("[peer.{chain}]"))?;
        let keys: Vec<_> = self.keys.iter().map(|key| format!("\"{key}\"")).collect();
        say(format_args!("keys = [{}]\nth = {th}", keys.join(", ")))?;
        say(format_args!("genesis = \"{genesis}\"\nfamily = \"{family}\"\noutbox = \"{outbox}\""))?;
        // `trust pin` shows the same groups on the other side; this is where they are read out from.
        self.keys.iter().try_for_each(|key| {
            say(format_args!("# fingerprint {} of {key}", trust::fingerprint(key)))
        })
    }
}

/// The label of a key made today, by custom its day: `k20261123`.
pub(super) fn selector_of_today() -> String {
    let (year, month, day) = date(crate::clock::system()().seconds());
    format!("k{year:04}{month:02}{day:02}")
}

/// A moment in UTC, to the second: `2026-11-26 02:10:07Z`.
pub(super) fn moment(ms: u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = date(UnixSeconds(seconds));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day in UTC (Howard Hinnant, *chrono-compatible low-level date algorithms*,
/// `civil_from_days`).
pub(super) fn date(time: UnixSeconds) -> (u64, u64, u64) {
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let days = time.0 / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_to_the_second() {
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(1_795_658_407_999), "2026-11-26 02:00:07Z");
    }

    #[test]
    fn a_day_is_its_date() {
        assert_eq!(date(UnixSeconds(0)), (1970, 1, 1));
        assert_eq!(date(UnixSeconds(951_782_399)), (2000, 2, 28));
        assert_eq!(date(UnixSeconds(951_782_400)), (2000, 2, 29));
        assert_eq!(date(UnixSeconds(951_868_800)), (2000, 3, 1));
        assert_eq!(date(UnixSeconds(1_795_392_000)), (2026, 11, 23));
        assert_eq!(date(UnixSeconds(4_107_542_399)), (2100, 2, 28));
        assert_eq!(date(UnixSeconds(4_107_542_400)), (2100, 3, 1));
    }
}
