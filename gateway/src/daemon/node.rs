//! Opening the local chain: the embedded ledger, or a node that may need a moment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy_primitives::Address;
use anyhow::Context;
use distpos_proto::chain::{ChainId, GenesisTag, Height};
use distpos_spool::Spool;
use tokio::time::sleep;

use super::own;
use crate::{
    chain::{
        LocalChain,
        evm::{self, Evm, EvmConfig, Wallet},
        ledger::Ledger,
    },
    clock::Clock,
    config::{Config, EvmNode, Finality, LedgerNode, Node},
    event::{Event, Events},
    keyring::Keyring,
    trust::Trust,
};

/// How long a submission waits for a block: several of mainnet's. Then its messages are put off and
/// judged again; what was sent is brought to its end by itself.
const INCLUSION_TIME_MAX: Duration = Duration::from_secs(60);
/// Pause before a node that does not answer is asked again.
const NODE_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Opened {
    pub(super) chain: Arc<dyn LocalChain>,
    pub(super) ledger: Option<Arc<Ledger>>,
}

/// Opens the configured chain. A node that does not answer is waited for; one that is another
/// chain is an error, and so is a spool that is of another one.
pub(super) async fn open(
    config: &Config,
    keys: &Keyring,
    clock: Clock,
    spool: &Spool,
    events: &Arc<dyn Events>,
) -> anyhow::Result<Opened> {
    match &config.chain.node {
        Node::Ledger(node) => {
            let ledger = Arc::new(open_ledger(config, node, keys, clock)?);
            own::bind(spool, ledger.facts()).await?;
            register(config, &ledger).await?;
            Ok(Opened { chain: ledger.clone(), ledger: Some(ledger) })
        }
        Node::Evm(node) => {
            own::check(spool, config.chain.id, Address::from(node.contract).as_slice())?;
            let evm = Arc::new(open_evm(config, node, spool, events).await?);
            own::bind(spool, evm.facts()).await?;
            Ok(Opened { chain: evm, ledger: None })
        }
    }
}

fn open_ledger(
    config: &Config,
    node: &LedgerNode,
    keys: &Keyring,
    clock: Clock,
) -> anyhow::Result<Ledger> {
    // The chain begins with the first key, whichever signs for it now.
    let first = keys.genesis_key();
    let genesis = node.genesis(config.chain.id, first.key);
    let authority = keys.secret(first)?;
    let ledger = Ledger::open(&node.directory, genesis, vec![authority], clock)
        .with_context(|| super::at_path(config, "chain.ledger.directory", &node.directory))?;
    ledger.seal_with(keys.secrets()?);
    Ok(ledger.interval(node.block_interval))
}

/// Tells the ledger of its peers: their genesis tags. Accounts with them are opened by the operator
/// while the gateway runs; the ledger keeps them.
async fn register(config: &Config, ledger: &Ledger) -> anyhow::Result<()> {
    let trust = Trust::load(&Trust::directory_in(&config.spool.directory))?;
    let mut tags: BTreeMap<ChainId, GenesisTag> =
        trust.anchors(config).into_iter().map(|(chain, it)| (chain, it.trusted.tag)).collect();
    // A peer that is not anchored yet may be pinned while the gateway runs, and an account with it
    // be opened: what the gateway then lets in, the ledger must not refuse.
    for chain in config.peers.keys() {
        tags.entry(*chain).or_insert(GenesisTag::UNSET);
    }
    for (chain, tag) in tags {
        ledger.register(chain, tag).await?;
    }
    Ok(())
}

/// What the configuration says of an EVM chain, as the chain itself takes it.
pub(crate) fn evm_config(chain: ChainId, node: &EvmNode, events: Arc<dyn Events>) -> EvmConfig {
    EvmConfig {
        nodes: evm::Nodes::new(node.rpc.clone(), node.quorum),
        chain,
        eth_chain_id: node.chain_id,
        contract: Address::from(node.contract),
        start: Height(node.from_block),
        finality: match node.finality {
            Finality::Finalized => evm::Finality::Tag,
            Finality::Confirmations(blocks) => evm::Finality::Confirmations(blocks),
        },
        poll: node.poll,
        inclusion_time_max: INCLUSION_TIME_MAX,
        alerts: evm::Alerts {
            head_age_max: node.head_age_max,
            balance_min: node.balance_min,
            teller: evm::Teller::new(events),
            ..evm::Alerts::default()
        },
    }
}

async fn open_evm(
    config: &Config,
    node: &EvmNode,
    spool: &Spool,
    events: &Arc<dyn Events>,
) -> anyhow::Result<Evm> {
    let told_to_chain = evm_config(config.chain.id, node, events.clone());
    // Once: a keystore takes a second and much memory each time.
    let wallet = wallet(config, node, spool)?;
    let mut told = None;
    loop {
        let evm = match Evm::open(told_to_chain.clone(), wallet.clone()).await {
            Ok(evm) => evm,
            Err(error) if error.is_temporary() => {
                let what = format!("chain: {error}");
                // Once for each reason, however long it takes.
                if told.replace(what.clone()).is_none_or(|before| before != what) {
                    events.emit(Event::Alert { what });
                }
                sleep(NODE_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error).with_context(|| config.place("chain.evm")),
        };
        for account in evm.without_role().await.unwrap_or_default() {
            let what = format!("account {account} has no gateway role on the contract");
            events.emit(Event::Alert { what });
        }
        return Ok(evm);
    }
}

/// The gateway's keys, and the spool for what they sign.
fn wallet(config: &Config, node: &EvmNode, spool: &Spool) -> anyhow::Result<Wallet> {
    let mut keys = Vec::new();
    for file in &node.keys {
        let key = evm::keystore::read(file, node.password.as_deref())
            .with_context(|| super::at_path(config, "chain.evm.key", file))?;
        keys.push(key);
    }
    let wallet = Wallet::new(keys, Arc::new(spool.clone()));
    Ok(wallet.fees(node.fee_max, node.fee_bump_after))
}
