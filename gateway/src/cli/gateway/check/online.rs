//! `check --online`: what the configured nodes, and the contract on them, lack.

use std::sync::Arc;

use serde_json::json;

use super::Findings;
use crate::{
    chain::evm::{Inspection, inspect},
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
            findings.problem("chain.evm.rpc", error);
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
        problems.into_iter().for_each(|what| findings.problem("chain.evm", what));
        findings.warnings.extend(warnings);
    }
    if good < node.quorum && node.quorum > 1 {
        let what = format!("{good} nodes are fit to be believed, quorum is {}", node.quorum);
        findings.problem("chain.evm.quorum", what);
    }
    Ok(())
}
