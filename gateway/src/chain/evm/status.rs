//! How the contract stands: for `evm status`. What is set up is found by the contract's events, how
//! it stands by its views.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256, keccak256};
use distpos_proto::{
    amount::Amount,
    chain::{ChainId, GenesisTag, Height},
    message::Asset,
    wire::Head,
};
use serde_json::json;

use super::{
    AccountStatus, Nodes, Teller, TokenStatus, abi,
    abi::{Arg, Event, Words},
    accounts,
    answer::{Block, LogEntry, Quantity, hex},
    genesis_tag,
    rpc::{Rpc, garbage},
    view,
    watch::LogRange,
};
use crate::chain::ChainError;

/// A contract and its chain.
#[derive(Debug, Clone)]
pub struct Status {
    /// What the node's `eth_chainId` says.
    pub eth_chain_id: u64,
    /// The chain's genesis tag.
    pub tag: GenesisTag,
    /// The newest block.
    pub head: Head,
    /// The newest block that the node tags final, if it does.
    pub finalized: Option<Head>,
    /// The contract.
    pub contract: Address,
    /// The chain-id it was deployed with, as it says.
    pub chain: String,
    /// Who sets it up.
    pub owner: Address,
    /// Who may pause it beside the owner.
    pub pauser: Option<Address>,
    /// Whether it is paused.
    pub paused: bool,
    /// How many gateways must agree.
    pub required: u64,
    /// Who has or had the gateway role, and who was asked for.
    pub gateways: Vec<GatewayStatus>,
    /// The chains that are registered.
    pub peers: Vec<PeerStatus>,
    /// What is or was counted with them.
    pub accounts: Vec<AccountStatus>,
    /// What the contract holds.
    pub tokens: Vec<TokenStatus>,
}

/// A gateway's account.
#[derive(Debug, Clone)]
pub struct GatewayStatus {
    /// The account.
    pub account: Address,
    /// Whether it has the role.
    pub active: bool,
    /// What it has for gas, in wei.
    pub balance: Amount,
}

/// A registered chain.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Its chain-id.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
}

/// Asks how a contract stands. Its events are read from `start` on; `accounts` are shown beside the
/// gateways that they name.
///
/// # Errors
/// [`ChainError::OtherChain`] if there is no such contract, others if the node does not answer.
pub async fn status(
    nodes: &Nodes,
    contract: Address,
    start: Height,
    accounts: &[Address],
) -> Result<Status, ChainError> {
    let rpc = Rpc::new(nodes, Teller::default())?;
    let seen = Look { rpc, contract };
    let id: Quantity = seen.rpc.call("eth_chainId", json!([])).await?;
    let eth_chain_id = u64::try_from(id.0).map_err(|_| garbage("eth_chainId", "2^64 or more"))?;
    let tag = genesis_tag(&seen.rpc).await?;
    let head = seen.block("latest").await?.ok_or_else(|| garbage(BLOCK, "no newest block"))?;
    // A node without the tag may say so by an error: it is only shown.
    let finalized = seen.block("finalized").await.unwrap_or_default();
    let chain = seen.chain().await?;
    let set_up = seen.set_up(start, head.height).await?;
    let mut gateways = Vec::new();
    for account in set_up.gateways.iter().chain(accounts).copied().collect::<BTreeSet<_>>() {
        gateways.push(seen.gateway(account).await?);
    }
    let (mut opened, mut tokens) = (Vec::new(), Vec::new());
    for (chain, asset) in set_up.accounts {
        opened.push(accounts::read(&seen.rpc, contract, chain, &asset).await?);
    }
    let named = opened.iter().map(|account| account.token);
    for token in named.chain([Address::ZERO]).collect::<BTreeSet<_>>() {
        tokens.push(accounts::holdings(&seen.rpc, contract, token).await?);
    }
    let pauser = seen.address("pauser()").await?;
    Ok(Status {
        eth_chain_id,
        tag,
        head,
        finalized,
        contract,
        chain,
        owner: seen.address("owner()").await?,
        pauser: (pauser != Address::ZERO).then_some(pauser),
        paused: seen.number("paused()", &[]).await? == 1,
        required: seen.number("required()", &[]).await?,
        gateways,
        peers: seen.peers(set_up.peers).await?,
        accounts: opened,
        tokens,
    })
}

const BLOCK: &str = "eth_getBlockByNumber";

/// What was ever set up; whether it still holds, the views say.
#[derive(Default)]
struct SetUp {
    gateways: BTreeSet<Address>,
    peers: BTreeSet<ChainId>,
    accounts: BTreeSet<(ChainId, Asset)>,
}

impl SetUp {
    fn take(&mut self, log: &LogEntry) -> Option<()> {
        let topic = B256::from(log.topics.first()?.0);
        let data = Words::new(&log.data.0);
        if topic == keccak256("GatewaySet(address,bool)") {
            self.gateways.insert(Address::from_word(log.topics.get(1)?.0.into()));
        } else if topic == keccak256("PeerSet(string,bytes8)") {
            self.peers.insert(data.text(0)?.parse().ok()?);
        } else if topic == Event::AccountSet.topic() {
            self.accounts.insert((data.text(0)?.parse().ok()?, data.text(1)?.parse().ok()?));
        }
        Some(())
    }
}

struct Look {
    rpc: Rpc,
    contract: Address,
}

impl Look {
    async fn block(&self, tag: &str) -> Result<Option<Head>, ChainError> {
        let block: Option<Block> = self.rpc.call(BLOCK, json!([tag, false])).await?;
        Ok(block.map(|block| block.head()))
    }

    async fn chain(&self) -> Result<String, ChainError> {
        let answer = view(&self.rpc, self.contract, abi::call("chainId()", &[])).await?;
        let none = || ChainError::OtherChain(format!("no DistPOS contract at {}", self.contract));
        let text = Words::new(&answer).text(0).ok_or_else(none)?;
        Ok(text.chars().filter(|c| !c.is_control()).take(40).collect())
    }

    /// Everything that the owner set up, by the events since `start`.
    async fn set_up(&self, start: Height, head: Height) -> Result<SetUp, ChainError> {
        let (mut set_up, mut from, range) = (SetUp::default(), start.0, LogRange::default());
        while from <= head.0 {
            let (to, logs) = range.read(&self.rpc, self.contract, from, head.0).await?;
            for log in &logs {
                // Others are not of what is set up.
                let _ = set_up.take(log);
            }
            from = to.saturating_add(1);
        }
        Ok(set_up)
    }

    async fn gateway(&self, account: Address) -> Result<GatewayStatus, ChainError> {
        let active = self.number("isGateway(address)", &[Arg::address(account)]).await? == 1;
        let balance: Quantity =
            self.rpc.call("eth_getBalance", json!([hex(account.as_slice()), "latest"])).await?;
        let balance = Amount::from_word(balance.0.to_be_bytes());
        Ok(GatewayStatus { account, active, balance })
    }

    async fn peers(&self, chains: BTreeSet<ChainId>) -> Result<Vec<PeerStatus>, ChainError> {
        let mut peers = Vec::new();
        for chain in chains {
            let tag = peer(&self.rpc, self.contract, chain).await?;
            peers.extend(tag.map(|tag| PeerStatus { chain, tag }));
        }
        Ok(peers)
    }

    async fn address(&self, signature: &str) -> Result<Address, ChainError> {
        Ok(Address::from_word(self.words(signature, &[], 1).await?[0].into()))
    }

    async fn number(&self, signature: &str, items: &[Arg]) -> Result<u64, ChainError> {
        let word = U256::from_be_bytes(self.words(signature, items, 1).await?[0]);
        u64::try_from(word).map_err(|_| garbage("eth_call", format!("{signature}: {word}")))
    }

    async fn words(
        &self,
        signature: &str,
        items: &[Arg],
        count: usize,
    ) -> Result<Vec<[u8; 32]>, ChainError> {
        words(&self.rpc, self.contract, signature, items, count).await
    }
}

/// The genesis tag that a chain is registered with; none if it is not.
pub(super) async fn peer(
    rpc: &Rpc,
    contract: Address,
    chain: ChainId,
) -> Result<Option<GenesisTag>, ChainError> {
    let items = [Arg::text(&chain.to_string())];
    let found = words(rpc, contract, "peerOf(string)", &items, 2).await?;
    let mut tag = GenesisTag([0; 8]);
    tag.0.copy_from_slice(&found[1][..8]);
    Ok((found[0] != [0; 32]).then_some(tag))
}

/// Exactly so many words of a view's answer.
pub(super) async fn words(
    rpc: &Rpc,
    contract: Address,
    signature: &str,
    items: &[Arg],
    count: usize,
) -> Result<Vec<[u8; 32]>, ChainError> {
    let answer = view(rpc, contract, abi::call(signature, items)).await?;
    let words = Words::new(&answer);
    let all = (0..count).map(|index| words.word(index)).collect();
    let short = || garbage("eth_call", format!("{signature} gives fewer than {count} words"));
    Option::ok_or_else(all, short)
}
