//! Logs that a node leaves out. A node that lags behind the one that named the head, that gave up old
//! logs without saying so, or that gives only so many, answers `eth_getLogs` like one of a chain on
//! which less happened; and what the cursor has passed is never looked at again. So the logs of a
//! block are believed only if its receipts have no more, or its header says that it has none.

use std::collections::BTreeMap;

use distpos_proto::chain::Height;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Evm,
    abi::Event,
    answer::{Block, LogEntry},
    block,
    watch::LOGS,
};
use crate::chain::ChainError;

/// Blocks looked at at once: more only fills the node's queue.
const LOOKS_AT_ONCE: usize = 8;

impl Evm {
    /// Refuses to believe that the blocks of a range have no more for us than these logs.
    pub(super) async fn check_absent(
        &self,
        (from, to): (u64, u64),
        logs: &[LogEntry],
    ) -> Result<(), ChainError> {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for log in logs.iter().filter(|log| self.concerns(log)) {
            // One without a block is found out when it is read.
            let height = log.block_number.map_or(0, |number| number.0);
            *counts.entry(height).or_default() += 1;
        }
        let looks = (from..=to).map(|height| {
            let given = counts.get(&height).copied().unwrap_or(0);
            self.check_given(Height(height), given)
        });
        stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).try_collect().await
    }

    async fn check_given(&self, height: Height, given: usize) -> Result<(), ChainError> {
        let found = block(&self.rpc, height).await?;
        if given == 0 && !self.may_hold(&found) {
            return Ok(());
        }
        let receipts = match self.receipts(&found).await {
            Ok(receipts) => receipts,
            // What was given is read all the same; only an empty block needs a witness.
            Err(_) if given > 0 => return Ok(()),
            Err(error) => return Err(error),
        };
        // Other contracts' logs set the same bits now and then. Fewer logs than were given lose
        // nothing: each that was given is compared with its block when it is read.
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        match logs.filter(|log| self.concerns(log)).count() {
            held if held <= given => Ok(()),
            held => Err(self.rpc.doubted(
                LOGS,
                format!(
                    "{given} of the contract's in block {height}, whose receipts hold {held}: it \
                     lags, or gave up logs"
                ),
            )),
        }
    }

    /// Whether a header's bloom filter has room for an event of the contract. A chain that leaves
    /// its filters empty says nothing by them.
    fn may_hold(&self, found: &Block) -> bool {
        found.may_log(self.config.contract.as_slice())
            && Event::all().any(|event| found.may_log(event.topic().as_slice()))
    }

    fn concerns(&self, log: &LogEntry) -> bool {
        log.address.0 == self.config.contract.0
            && log.topics.first().is_some_and(|topic| Event::of(&topic.0).is_some())
    }
}
