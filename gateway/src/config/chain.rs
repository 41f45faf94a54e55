//! `[chain]`: the own chain, and how it is reached.

use std::{path::PathBuf, time::Duration};

use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{ChainId, Family},
    key::PublicKey,
    time::UnixSeconds,
};
use serde::Deserialize;

use super::text;
use crate::chain::{evm, ledger::Genesis};

/// The own chain.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawChain")]
pub struct Chain {
    /// Its chain-id, as addresses and DNS name it.
    pub id: ChainId,
    /// The evidence that its policy record promises and its peers trust it by.
    pub proof: Family,
    /// The node.
    pub node: Node,
}

/// How the own chain is reached.
#[derive(Debug, Clone)]
pub enum Node {
    /// The embedded chain; this process holds it.
    Ledger(LedgerNode),
    /// A node of an EVM chain, by JSON-RPC.
    Evm(EvmNode),
}

impl Chain {
    /// The family of the own chain itself.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.node {
            Node::Ledger(_) => Family::Ledger,
            Node::Evm(_) => Family::Evm,
        }
    }
}

/// The embedded chain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerNode {
    /// Where its blocks and accounts are kept.
    pub directory: PathBuf,
    /// Time between blocks; `0s` makes a block as soon as there is a transaction.
    #[serde(default, deserialize_with = "text::duration")]
    pub block_interval: Duration,
    /// What the gateway may pay out before anything came in, in the smallest unit.
    #[serde(default, deserialize_with = "text::amount")]
    pub float: Amount,
    /// Keys that sign its blocks; empty: the own chain key alone.
    #[serde(default, deserialize_with = "text::list")]
    pub authorities: Vec<PublicKey>,
    /// Time of its first block, in Unix seconds. It goes into the genesis hash: another value makes
    /// the same configuration another chain.
    #[serde(default)]
    pub genesis_time: u64,
    /// Who holds what when the chain begins.
    #[serde(default)]
    pub genesis: Vec<Allocation>,
}

impl LedgerNode {
    /// What the ledger starts from, for the gateway whose chain key is `own`.
    #[must_use]
    pub fn genesis(&self, chain: ChainId, own: PublicKey) -> Genesis {
        let authorities = match self.authorities.as_slice() {
            [] => [own].into(),
            keys => keys.iter().copied().collect(),
        };
        let accounts = self.genesis.iter().map(|one| (one.address.clone(), one.balance)).collect();
        let time = UnixSeconds(self.genesis_time);
        Genesis { chain, time, accounts, float: self.float, authorities }
    }
}

/// Who holds what when the embedded chain begins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// The account, without chain-id: `distpos-send keygen` prints it.
    #[serde(deserialize_with = "text::one")]
    pub address: Local,
    /// What it holds, in the smallest unit.
    #[serde(deserialize_with = "text::amount")]
    pub balance: Amount,
}

/// A node of an EVM chain.
#[derive(Debug, Clone)]
pub struct EvmNode {
    /// JSON-RPC addresses, `http://…`, in the order in which they are tried.
    pub rpc: Vec<String>,
    /// How many of them must agree; 1: they stand in for each other.
    pub quorum: usize,
    /// What its `eth_chainId` answers; another answer stops the gateway.
    pub chain_id: u64,
    /// The DistPOS contract.
    pub contract: [u8; 20],
    /// The block of its deployment: nothing before it is looked at.
    pub from_block: u64,
    /// When a block counts as final.
    pub finality: Finality,
    /// How often the node is asked for new blocks.
    pub poll: Duration,
    /// Alert when the newest block is older; zero: never.
    pub head_age_max: Duration,
    /// Alert when a sending account has less, in wei; zero: never.
    pub balance_min: Amount,
    /// The gateway's own keys on that chain, at least one: files made by
    /// `distpos-gateway evm keygen`, or keystores. Each sends on its own.
    pub keys: Vec<PathBuf>,
    /// File with the keystores' password, one for all.
    pub password: Option<PathBuf>,
    /// Most that a transaction offers per gas, in wei.
    pub fee_max: u128,
    /// How long a transaction waits for a block before it offers more.
    pub fee_bump_after: Duration,
}

/// When a block of an EVM chain counts as final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// When the node's `finalized` tag has reached it.
    Finalized,
    /// When that many blocks follow it.
    Confirmations(u64),
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    #[serde(deserialize_with = "text::one")]
    id: ChainId,
    #[serde(deserialize_with = "text::one")]
    family: Family,
    #[serde(default, deserialize_with = "text::optional")]
    proof: Option<Family>,
    ledger: Option<LedgerNode>,
    evm: Option<RawEvmNode>,
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, try_from = "RawEvm")]
struct RawEvmNode(EvmNode);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvm {
    #[serde(deserialize_with = "text::one_or_list")]
    rpc: Vec<String>,
    #[serde(default = "one")]
    quorum: usize,
    chain_id: u64,
    contract: String,
    #[serde(default)]
    from_block: u64,
    finality: Option<String>,
    confirmations: Option<u64>,
    #[serde(default = "one_second", deserialize_with = "text::duration")]
    poll: Duration,
    #[serde(default = "quarter_of_an_hour", deserialize_with = "text::duration")]
    head_age_max: Duration,
    #[serde(default = "some_gas", deserialize_with = "text::coin")]
    balance_min: Amount,
    key: OneOrMore,
    password: Option<PathBuf>,
    fee_max: Option<String>,
    #[serde(default = "fee_bump_after", deserialize_with = "text::duration")]
    fee_bump_after: Duration,
}

/// One file, or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file, or a list of files")]
enum OneOrMore {
    One(PathBuf),
    More(Vec<PathBuf>),
}

impl TryFrom<RawChain> for Chain {
    type Error = String;

    fn try_from(raw: RawChain) -> Result<Self, String> {
        let node = match (raw.family, raw.ledger, raw.evm) {
            (Family::Ledger, Some(node), None) => Node::Ledger(node),
            (Family::Evm, None, Some(RawEvmNode(node))) => Node::Evm(node),
            (Family::Attested, ..) => {
                let what = "family is attested, expected ledger or evm; proof may be attested";
                return Err(text::at("family", what));
            }
            (family @ (Family::Ledger | Family::Evm), ..) => {
                let what = format!("family is {family}, expected one table, [chain.{family}]");
                return Err(text::at("family", what));
            }
        };
        let proof = raw.proof.unwrap_or(raw.family);
        if proof != raw.family && proof != Family::Attested {
            let family = raw.family;
            let what = format!("proof is {proof}, expected {family} or attested");
            return Err(text::at("proof", what));
        }
        Ok(Self { id: raw.id, proof, node })
    }
}

impl TryFrom<RawEvm> for RawEvmNode {
    type Error = String;

    fn try_from(raw: RawEvm) -> Result<Self, String> {
        check_nodes(&raw.rpc, raw.quorum)?;
        let contract = text::parse_hex(&raw.contract)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| {
                let found = &raw.contract;
                text::at(
                    "contract",
                    format!("contract is {found:?}, expected 0x and 40 hex digits"),
                )
            })?;
        let finality = match (raw.finality.as_deref(), raw.confirmations) {
            (None | Some("finalized"), None) => Finality::Finalized,
            (None, Some(count)) => Finality::Confirmations(count),
            (Some(_), Some(_)) => {
                let what = "finality and confirmations are both set, expected one of them";
                return Err(text::at("finality", what));
            }
            (Some(other), None) => {
                let what = format!(
                    "finality is {other:?}, expected \"finalized\" or, in its place, confirmations = 12"
                );
                return Err(text::at("finality", what));
            }
        };
        if raw.poll < POLL_MIN {
            let (found, least) = (raw.poll, POLL_MIN);
            let what = format!("poll is {found:?}, expected {least:?} or more");
            return Err(text::at("poll", what));
        }
        let keys = keys_of(raw.key)?;
        let fee_max = raw.fee_max.as_deref().map_or(Ok(evm::FEE_MAX_DEFAULT), fee);
        let fee_max = fee_max.map_err(|what| text::at("fee_max", what))?;
        if raw.fee_bump_after < FEE_BUMP_AFTER_MIN {
            let (found, least) = (raw.fee_bump_after, FEE_BUMP_AFTER_MIN);
            let what = format!("fee_bump_after is {found:?}, expected {least:?} or more");
            return Err(text::at("fee_bump_after", what));
        }
        let RawEvm { rpc, quorum, chain_id, from_block, poll, password, fee_bump_after, .. } = raw;
        let RawEvm { head_age_max, balance_min, .. } = raw;
        Ok(Self(EvmNode {
            rpc,
            quorum,
            chain_id,
            contract,
            from_block,
            finality,
            poll,
            head_age_max,
            balance_min,
            keys,
            password,
            fee_max,
            fee_bump_after,
        }))
    }
}

fn check_nodes(rpc: &[String], quorum: usize) -> Result<(), String> {
    if let Some(other) = rpc.iter().find(|url| !url.starts_with("http://")) {
        let other = shown(other);
        let what = format!("rpc is {other:?}, expected an address that starts with http://");
        return Err(text::at("rpc", what));
    }
    if !(1..=NODES_MAX).contains(&rpc.len()) {
        let what = format!("rpc has {} addresses, expected 1 to {NODES_MAX}", rpc.len());
        return Err(text::at("rpc", what));
    }
    if let Some(twice) = rpc.iter().enumerate().find(|(at, url)| rpc[..*at].contains(url)) {
        let twice = shown(twice.1);
        let what = format!("rpc has {twice:?} twice: one node agrees with itself");
        return Err(text::at("rpc", what));
    }
    if !(1..=rpc.len()).contains(&quorum) {
        let what = format!("quorum is {quorum}, expected 1 to {}, the nodes in rpc", rpc.len());
        return Err(text::at("quorum", what));
    }
    Ok(())
}

/// A node's address without its path, which may hold a provider's key.
fn shown(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// Most nodes: more of them only ask the same of each other.
const NODES_MAX: usize = 8;

fn keys_of(key: OneOrMore) -> Result<Vec<PathBuf>, String> {
    let keys = match key {
        OneOrMore::One(file) => vec![file],
        OneOrMore::More(files) => files,
    };
    if keys.is_empty() || keys.len() > KEYS_MAX {
        let what = format!("key names {} files, expected 1 to {KEYS_MAX}", keys.len());
        return Err(text::at("key", what));
    }
    Ok(keys)
}

/// A price of gas: a sum below 2^128, above zero.
fn fee(text: &str) -> Result<u128, String> {
    let amount = crate::amount::parse(text, true)?;
    amount
        .to_u128()
        .filter(|fee| *fee > 0)
        .ok_or_else(|| format!("fee_max is {text:?}, expected more than zero, such as \"500gwei\""))
}

/// Most sending keys: each is looked after by a task of its own while it has something in flight.
const KEYS_MAX: usize = 32;
/// Least time before a transaction offers more: no chain's blocks come so fast that less would not
/// be impatience.
const FEE_BUMP_AFTER_MIN: Duration = Duration::from_secs(1);

/// Least time between two questions to a node: without any, it would be asked without end.
const POLL_MIN: Duration = Duration::from_millis(10);

const fn fee_bump_after() -> Duration {
    evm::FEE_BUMP_AFTER_DEFAULT
}

const fn one_second() -> Duration {
    Duration::from_secs(1)
}

const fn one() -> usize {
    1
}

const fn quarter_of_an_hour() -> Duration {
    Duration::from_secs(15 * 60)
}

/// 0.05 of the coin: a few hundred deliveries where gas is cheap, an hour's where it is not.
fn some_gas() -> Amount {
    Amount::from(50_000_000_000_000_000_u64)
}
