//! `check --online`: what the configured nodes, and the contract on them, lack.

use std::sync::Arc;

use serde_json::json;

use super::Findings;
use crate::{
    chain::evm::{AccountStatus, Inspection, Status, inspect, status},
    cli::Failure,
    config::{Config, EvmNode, Node},
    daemon,
    event::Log,
};

/// Asks the nodes. The embedded ledger has none.
pub(super) fn look(findings: &mut Findings, config: &Config) -> Result<(), Failure> {
    match &config.chain.node {
        Node::Ledger(_) => Ok(()),
        Node::Evm(node) => crate::cli::block_on(look_at_nodes(findings, config, node)),
    }
}

async fn look_at_nodes(
    findings: &mut Findings,
    config: &Config,
    node: &EvmNode,
) -> Result<(), Failure> {
    let evm = daemon::evm_config(config.chain.id, node, Arc::new(Log));
    let inspections = match inspect(&evm, &findings.accounts).await {
        Ok(inspections) => inspections,
        Err(error) => {
            findings.problem(config, "chain.evm.rpc", error);
            return Ok(());
        }
    };
    let good = inspections.iter().filter(|found| found.problems.is_empty()).count();
    for Inspection { node, facts, problems, warnings } in inspections {
        let said: Vec<_> = facts.iter().map(|(name, fact)| format!("{name} {fact}")).collect();
        findings.facts.push(("node", format!("{node}: {}", said.join(", "))));
        let mut seen = serde_json::Map::new();
        seen.insert("node".into(), json!(node));
        seen.extend(facts.into_iter().map(|(name, fact)| (name.to_owned(), json!(fact))));
        seen.insert("ok".into(), json!(problems.is_empty()));
        findings.nodes.push(seen.into());
        problems.into_iter().for_each(|what| findings.problem(config, "chain.evm", what));
        findings.warnings.extend(warnings);
    }
    if good < node.quorum && node.quorum > 1 {
        let what = format!("{good} nodes are fit to be believed, quorum is {}", node.quorum);
        findings.problem(config, "chain.evm.quorum", what);
    }
    if good > 0 && !config.peers.is_empty() {
        match status(&evm.nodes, evm.contract, evm.start, &[]).await {
            Ok(status) => compare(findings, config, &status),
            Err(error) => findings.problem(config, "chain.evm.rpc", error),
        }
    }
    Ok(())
}

/// What the contract says of the configuration's peers. Accounts and their limits are the contract's
/// alone; whether their terms are those that were agreed, the gateway's spool knows.
fn compare(findings: &mut Findings, config: &Config, status: &Status) {
    for (chain, peer) in &config.peers {
        let genesis = peer.anchor.as_ref().map(|anchor| anchor.genesis);
        let registered = status.peers.iter().find(|found| found.chain == *chain);
        match (registered, genesis) {
            (None, _) => findings.warnings.push(format!(
                "peer.{chain} is not registered at the contract: what is sent there carries no \
                 genesis tag, and no value arrives; see `evm peer`"
            )),
            (Some(found), Some(genesis)) if found.tag != genesis => findings.warnings.push(format!(
                "peer.{chain}.genesis is {genesis}, the contract's is {}: messages will be refused \
                 (5.7.1)",
                found.tag
            )),
            (Some(_), _) => {}
        }
        let is_open = |found: &&AccountStatus| found.chain == *chain && found.terms.is_some();
        let open: Vec<_> = status.accounts.iter().filter(is_open).collect();
        if open.is_empty() {
            findings.warnings.push(format!(
                "peer.{chain} has no open account at the contract: its value is refused (5.2.1); \
                 see `evm account`"
            ));
        }
        for account in open.iter().filter(|account| account.limits.window.is_none()) {
            let asset = &account.asset;
            findings.warnings.push(format!(
                "peer.{chain}: the account in {asset} has no window: a stolen gateway key is \
                 stopped by nothing but what the vault holds; see `evm account --window-max`"
            ));
        }
    }
}
