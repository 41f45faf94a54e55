//! An EVM chain through the JSON-RPC of an unmodified node, and the contract `Distpos` on it.
//!
//! The node is the operator's own and is believed what only it can know, such as which block is
//! final. What goes out as evidence is recomputed first (`prove`): a wrong promise would cost this
//! gateway its standing. Answers that do not fit are [`ChainError::Garbage`], never a verdict on a
//! message.

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::Address;
use async_trait::async_trait;
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{BlockHash, ChainId, Family, GenesisTag, Height},
    message::{Message, MessageId},
    wire::Head,
};
use serde_json::json;

use self::{
    abi::Words,
    answer::{Block, Hex, Number, Quantity, hex},
    rpc::{Rpc, garbage},
    wallet::account_of as account_named,
};
use crate::chain::{
    Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission, Submitted,
    Watched,
};

mod abi;
mod absent;
mod accounts;
mod alarm;
mod answer;
mod approvals;
pub mod calldata;
mod deploy;
mod estimate;
mod fees;
mod inspect;
pub mod keystore;
mod lane;
mod owner;
mod prove;
mod reverts;
mod rpc;
mod sender;
mod simulate;
mod status;
mod store;
mod submit;
pub mod user;
mod wallet;
mod watch;

pub use accounts::{
    AccountChange, AccountMove, AccountStatus, Settlement, TermsChange, TokenAccount, TokenStatus,
    set_account, settle,
};
pub use alarm::{Alerts, Teller};
pub use deploy::{Deployed, Operator, Roles, UserCall};
pub use inspect::{Inspection, inspect};
pub use prove::NOT_PROVABLE;
pub use rpc::Nodes;
pub use sender::{FEE_BUMP_AFTER_DEFAULT, FEE_MAX_DEFAULT, Told, Wallet};
pub use status::{GatewayStatus, PeerStatus, Status, status};
pub use store::TransactionStore;
pub use wallet::{AccountError, EvmKey, account_of};

/// Which block counts as final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// The one the node tags `finalized`.
    Tag,
    /// The one with that many blocks after it.
    Confirmations(u64),
}

/// How to reach a chain, and what it must turn out to be.
#[derive(Debug, Clone)]
pub struct EvmConfig {
    /// The nodes.
    pub nodes: Nodes,
    /// The chain's id in addresses.
    pub chain: ChainId,
    /// What the node's `eth_chainId` must say.
    pub eth_chain_id: u64,
    /// The contract.
    pub contract: Address,
    /// The block it was deployed in: watching starts there.
    pub start: Height,
    /// Which block is final.
    pub finality: Finality,
    /// How often to ask the node for something new.
    pub poll: Duration,
    /// How long a submission waits until a block has its transaction. Then it fails for now; what
    /// was sent goes on, and the same submission again waits for it.
    pub inclusion_time_max: Duration,
    /// What the operator is alerted of.
    pub alerts: Alerts,
}

/// An EVM chain.
pub struct Evm {
    rpc: Arc<Rpc>,
    config: EvmConfig,
    facts: Facts,
    sender: sender::Sender,
    logs: watch::LogRange,
    blocks: prove::BlockCache,
    told: alarm::Told,
}

impl Evm {
    /// Connects and checks that the nodes are of the chain that was configured. The wallet's accounts
    /// must have the contract's gateway role and pay for gas. What its store holds from an earlier
    /// run is taken up: handed over again, the same bytes, until blocks have it.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`] if chain id, genesis or contract differ from the configuration at
    /// every node, or at so many that the others are no quorum.
    pub async fn open(config: EvmConfig, wallet: impl Into<Wallet>) -> Result<Self, ChainError> {
        let rpc = Arc::new(Rpc::new(&config.nodes, config.alerts.teller.clone())?);
        let tag = find_chain(&rpc, &config).await?;
        rpc.settle().await;
        let facts = Facts {
            chain: config.chain,
            tag,
            family: Family::Evm,
            outbox: config.contract.to_vec(),
        };
        let sender = sender::Sender::open(
            Arc::clone(&rpc),
            config.eth_chain_id,
            wallet.into(),
            Some(config.contract),
            config.inclusion_time_max,
            config.alerts.teller.clone(),
        )?;
        let (logs, blocks) = (watch::LogRange::default(), prove::BlockCache::default());
        Ok(Self { rpc, config, facts, sender, logs, blocks, told: alarm::Told::default() })
    }

    /// The gateway's own account; of several the first that has the role, as far as is known.
    #[must_use]
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// All of its accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Address> {
        self.sender.accounts()
    }

    /// Whether an account is one that this gateway sends with.
    fn is_own(&self, account: Address) -> bool {
        self.accounts().contains(&account)
    }

    /// Its accounts that the contract does not let deliver, void and end messages.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn without_role(&self) -> Result<Vec<Address>, ChainError> {
        Ok(self.sender.without_role().await?)
    }

    /// Whether the contract lets [`Self::address`] deliver, void and end messages.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn has_role(&self) -> Result<bool, ChainError> {
        is_gateway(&self.rpc, self.config.contract, self.address()).await
    }

    async fn final_block(&self) -> Result<Block, ChainError> {
        match self.config.finality {
            Finality::Tag => {
                let (call, params) = ("eth_getBlockByNumber", json!(["finalized", false]));
                if self.rpc.quorum() > 1 {
                    let number = |block: &Option<Block>| block.as_ref().map(|b| b.number.0);
                    let height = self.rpc.height(call, params, number).await?;
                    return block(&self.rpc, Height(height)).await;
                }
                let block: Option<Block> = self.rpc.sought(call, params).await?;
                block.ok_or_else(|| garbage(call, "no finalized block"))
            }
            Finality::Confirmations(count) => {
                let (call, params) = ("eth_blockNumber", json!([]));
                let latest = match self.rpc.quorum() {
                    1 => self.rpc.call::<Number>(call, params).await?.0,
                    _ => self.rpc.height(call, params, |number: &Number| Some(number.0)).await?,
                };
                block(&self.rpc, Height(latest.saturating_sub(count))).await
            }
        }
    }
}

impl fmt::Debug for Evm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evm({} at {})", self.facts.chain, self.config.contract)
    }
}

/// The block of a height.
async fn block(rpc: &Rpc, height: Height) -> Result<Block, ChainError> {
    let call = "eth_getBlockByNumber";
    let found: Block = rpc.found(call, json!([number(height), false])).await?;
    if found.number.0 == height.0 {
        return Ok(found);
    }
    Err(garbage(call, format!("block {}, expected {height}", found.number.0)))
}

fn number(height: Height) -> String {
    format!("{:#x}", height.0)
}

/// Whether a contract lets an account deliver, void and end messages.
async fn is_gateway(rpc: &Rpc, contract: Address, account: Address) -> Result<bool, ChainError> {
    let input = abi::call("isGateway(address)", &[abi::Arg::address(account)]);
    let word = view(rpc, contract, input).await?;
    Ok(Words::new(&word).number(0) == Some(1))
}

/// The answer to a view function.
async fn view(rpc: &Rpc, contract: Address, input: Vec<u8>) -> Result<Vec<u8>, ChainError> {
    let call = json!({"to": hex(contract.as_slice()), "data": hex(&input)});
    let answer: Hex = rpc.call("eth_call", json!([call, "latest"])).await?;
    Ok(answer.0)
}

/// Of the chains with the configured id, the one that has the contract.
async fn find_chain(rpc: &Rpc, config: &EvmConfig) -> Result<GenesisTag, ChainError> {
    let mut refusal = None;
    for identity in rpc.chains(config.eth_chain_id).await? {
        rpc.expect(identity);
        let tag = identity.tag();
        match check_contract(rpc, config.contract, config.chain, tag).await {
            Ok(()) => return Ok(tag),
            Err(error @ ChainError::OtherChain(_)) => {
                is_past(rpc, config.start).await?;
                refusal = refusal.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| garbage("eth_chainId", "no chain")))
}

/// A node that is not yet where the contract was deployed does not have it: it is waited for.
async fn is_past(rpc: &Rpc, start: Height) -> Result<(), ChainError> {
    let call = "eth_blockNumber";
    let newest = rpc.call::<Number>(call, json!([])).await?.0;
    if newest >= start.0 {
        return Ok(());
    }
    Err(garbage(call, format!("block {newest}, before the contract's first block {start}")))
}

async fn genesis_tag(rpc: &Rpc) -> Result<GenesisTag, ChainError> {
    let genesis = block(rpc, Height(0)).await?;
    Ok(GenesisTag::of(&BlockHash(genesis.hash.0)))
}

async fn check_contract(
    rpc: &Rpc,
    address: Address,
    expected: ChainId,
    tag: GenesisTag,
) -> Result<(), ChainError> {
    let other = |what: String| Err(ChainError::OtherChain(what));
    let code: Hex = rpc.agreed("eth_getCode", json!([hex(address.as_slice()), "latest"])).await?;
    if code.0.is_empty() {
        return other(format!("no contract at {address}"));
    }
    let chain = view(rpc, address, abi::call("chainId()", &[])).await?;
    let chain = Words::new(&chain).text(0).unwrap_or_default();
    if chain != expected.to_string() {
        let chain: String = chain.chars().take(40).collect();
        return other(format!("contract's chain-id is {chain:?}, expected {expected}"));
    }
    let word = view(rpc, address, abi::call("tag()", &[])).await?;
    let found = Words::new(&word).word(0).unwrap_or_default();
    if found[..8] != tag.0 {
        let found = data_encoding::HEXLOWER.encode(&found[..8]);
        return other(format!("contract's genesis tag is {found}, the node's is {tag}"));
    }
    Ok(())
}

#[async_trait]
impl LocalChain for Evm {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn head(&self) -> Result<Head, ChainError> {
        Ok(self.final_block().await?.head())
    }

    async fn watch(&self, after: Option<Cursor>) -> Result<Watched, ChainError> {
        loop {
            self.look().await;
            if let Some(watched) = self.watch_once(after).await? {
                return Ok(watched);
            }
            tokio::time::sleep(self.config.poll).await;
        }
    }

    async fn prove(&self, height: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError> {
        self.prove_receipts(height, ids).await.map(NativeProof::Evm)
    }

    async fn simulate(&self, message: &Message) -> Result<Simulation, ChainError> {
        self.simulate_delivery(message).await
    }

    async fn estimate(&self, message: &Message) -> Result<Option<u64>, ChainError> {
        self.estimate_call(message).await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        self.submit_all(submission).await
    }

    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        let Ok(address) = account_named(local) else { return Ok(None) };
        let address = hex(address.as_slice());
        let balance: Quantity = self.rpc.call("eth_getBalance", json!([address, "latest"])).await?;
        let nonce: Number =
            self.rpc.call("eth_getTransactionCount", json!([address, "pending"])).await?;
        let balance = Amount::from_word(balance.0.to_be_bytes());
        Ok(Some(Account { balance, nonce: nonce.0 }))
    }
}
