//! Which chain a node is of: no answer counts before that is known.

use std::sync::atomic::Ordering;

use distpos_proto::chain::{BlockHash, GenesisTag};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{Fault, Memory, Rpc, health::Standing};
use crate::{
    chain::{
        ChainError,
        evm::answer::{Block, Quantity},
    },
    event::Event,
};

const CHAIN_ID: &str = "eth_chainId";
const BLOCK: &str = "eth_getBlockByNumber";

/// What tells one chain from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chain::evm) struct Identity {
    /// `eth_chainId`.
    pub(in crate::chain::evm) eth_chain_id: u64,
    /// The hash of block 0.
    pub(in crate::chain::evm) genesis: [u8; 32],
}

impl Identity {
    pub(in crate::chain::evm) fn tag(&self) -> GenesisTag {
        GenesisTag::of(&BlockHash(self.genesis))
    }
}

impl Rpc {
    /// The chains with this chain id that enough nodes are of, in the order of the nodes: more than
    /// one where a node is of another chain with the same id.
    ///
    /// # Errors
    /// What tells most of why there is none; [`ChainError::OtherChain`] only if every node answers.
    pub(in crate::chain::evm) async fn chains(
        &self,
        eth_chain_id: u64,
    ) -> Result<Vec<Identity>, ChainError> {
        let mut waits = 0;
        loop {
            let all = (0..self.nodes.len()).map(|index| self.identify(index, eth_chain_id));
            let (mut found, mut faults) = (Vec::new(), Vec::new());
            for (index, outcome) in join_all(all).await.into_iter().enumerate() {
                match outcome {
                    Ok(identity) => {
                        self.memory(index).identity = Some(identity);
                        found.push((index, identity));
                    }
                    Err((call, fault)) => faults.push((index, call, fault)),
                }
            }
            let chains = enough(&found, self.quorum);
            if !chains.is_empty() {
                return Ok(chains);
            }
            let least = faults.iter().map(|(_, _, fault)| fault.rank()).min();
            let least = faults.iter().position(|(_, _, fault)| Some(fault.rank()) == least);
            let Some(least) = least else {
                return Err(ChainError::OtherChain(format!(
                    "{} are of different chains, and fewer than {} of one",
                    self.names(0..self.nodes.len()),
                    self.quorum
                )));
            };
            let (index, call, fault) = faults.swap_remove(least);
            let limited = matches!(fault, Fault::Limited(_)).then(|| (index, Fault::Limited(None)));
            if self.waited(&mut waits, limited.as_slice()).await {
                continue;
            }
            let node = &self.nodes[index].name;
            return Err(fault.told(call, "block 0".into(), node).into());
        }
    }

    /// From now on only nodes of this chain are asked. Who was of another than was expected before
    /// is as good as any.
    pub(in crate::chain::evm) fn expect(&self, identity: Identity) {
        *self.expected.lock().expect("nothing panics while it is held") = Some(identity);
        for index in 0..self.nodes.len() {
            let mut memory = self.memory(index);
            if let Standing::Wrong(_) = memory.standing {
                *memory = Memory::default();
            }
            memory.standing = match memory.identity {
                Some(found) if found == identity => Standing::Right,
                _ => Standing::Unchecked,
            };
        }
    }

    /// The expected chain is the right one: looks at every node that was not asked yet, and tells
    /// of each that is of another chain or does not answer.
    pub(in crate::chain::evm) async fn settle(&self) {
        let ill = (0..self.nodes.len()).filter_map(|index| self.memory(index).illness.clone());
        let ill: Vec<_> = ill.collect();
        self.muted.store(false, Ordering::Relaxed);
        if self.nodes.len() > 1 {
            ill.into_iter().for_each(|what| self.teller.emit(Event::Alert { what }));
        }
        let well = (0..self.nodes.len()).filter(|index| !self.is_resting(*index));
        // What is wrong with them is remembered and told.
        let _ = join_all(well.map(|index| self.check(index))).await;
    }

    /// Refuses a node that is of another chain. One that was gone is looked at again.
    pub(super) async fn check(&self, index: usize) -> Result<(), Fault> {
        let expected = *self.expected.lock().expect("nothing panics while it is held");
        let Some(expected) = expected else { return Ok(()) };
        let standing = {
            let memory = self.memory(index);
            let resting = memory.health.is_resting(Instant::now());
            // One of another chain may be set right: it is looked at again after its rest.
            if matches!(memory.standing, Standing::Wrong(_)) && !resting {
                Standing::Unchecked
            } else {
                memory.standing.clone()
            }
        };
        match standing {
            Standing::Right => return Ok(()),
            Standing::Wrong(what) => return Err(Fault::OtherChain(what)),
            Standing::Unchecked => {}
        }
        let outcome = match self.identify(index, expected.eth_chain_id).await {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => {
                let (found, expected) = (found.tag(), expected.tag());
                let what = format!("genesis tag is {found}, expected {expected}");
                let fault = Fault::OtherChain(what);
                self.note(index, BLOCK, Some(&fault));
                Err(fault)
            }
            Err((_, fault)) => Err(fault),
        };
        let mut memory = self.memory(index);
        match &outcome {
            Ok(()) => memory.standing = Standing::Right,
            Err(Fault::OtherChain(what)) => memory.standing = Standing::Wrong(what.clone()),
            Err(_) => {}
        }
        outcome
    }

    /// Asks a node what it is; the call that failed goes with the fault.
    async fn identify(
        &self,
        index: usize,
        eth_chain_id: u64,
    ) -> Result<Identity, (&'static str, Fault)> {
        let node = &self.nodes[index];
        if let Some(wait) = self.memory(index).health.wait(Instant::now()) {
            return Err((CHAIN_ID, Fault::Limited(Some(wait))));
        }
        let found = match node.call::<Quantity>(CHAIN_ID, &json!([])).await {
            Ok(id) if u64::try_from(id.0) == Ok(eth_chain_id) => Ok(()),
            Ok(id) => Err((
                CHAIN_ID,
                Fault::OtherChain(format!("eth_chainId is {}, expected {eth_chain_id}", id.0)),
            )),
            Err(fault) => Err((CHAIN_ID, fault)),
        };
        let found = match found {
            Ok(()) => match node.call::<Option<Block>>(BLOCK, &json!(["0x0", false])).await {
                Ok(Some(block)) if block.number.0 == 0 => Ok(block.hash.0),
                Ok(_) => Err((BLOCK, Fault::Garbage("no block 0".into()))),
                Err(fault) => Err((BLOCK, fault)),
            },
            Err(error) => Err(error),
        };
        if let Err((call, fault)) = &found {
            self.note(index, call, Some(fault));
        }
        found.map(|genesis| Identity { eth_chain_id, genesis })
    }
}

/// The chains that at least `quorum` nodes are of, in the order of the nodes.
fn enough(found: &[(usize, Identity)], quorum: usize) -> Vec<Identity> {
    let mut chains = Vec::new();
    for (_, identity) in found {
        let nodes = found.iter().filter(|(_, other)| other == identity).count();
        if nodes >= quorum && !chains.contains(identity) {
            chains.push(*identity);
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_counts_when_enough_nodes_are_of_it() {
        let one = Identity { eth_chain_id: 7, genesis: [1; 32] };
        let two = Identity { eth_chain_id: 7, genesis: [2; 32] };
        assert_eq!(enough(&[], 1), []);
        assert_eq!(enough(&[(0, two), (1, one), (2, one)], 1), [two, one]);
        assert_eq!(enough(&[(0, two), (1, one), (2, one)], 2), [one]);
        assert_eq!(enough(&[(0, two), (1, one)], 2), []);
    }
}
