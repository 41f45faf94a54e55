//! Logs that a node leaves out. A node that lags behind the one that named the head, or that gave up
//! old logs without saying so, answers `eth_getLogs` with an empty list, like one of a chain on which
//! nothing happened; and what the cursor has passed is never looked at again. So an empty block is
//! believed only if its header says that it has none of the contract's events, or its receipts do.

use std::collections::BTreeSet;

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
    /// Refuses to believe that the blocks of a range, but for `with_logs`, have nothing for us if
    /// they have.
    pub(super) async fn check_absent(
        &self,
        (from, to): (u64, u64),
        with_logs: &BTreeSet<u64>,
    ) -> Result<(), ChainError> {
        let without = (from..=to).filter(|height| !with_logs.contains(height));
        let looks = stream::iter(without.map(|height| self.check_empty(Height(height))));
        looks.buffer_unordered(LOOKS_AT_ONCE).try_collect().await
    }

    async fn check_empty(&self, height: Height) -> Result<(), ChainError> {
        let found = block(&self.rpc, height).await?;
        if !self.may_hold(&found) {
            return Ok(());
        }
        // Other contracts' logs set the same bits now and then.
        let receipts = self.receipts(&found).await?;
        let mut logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        match logs.any(|log| self.concerns(log)) {
            true => Err(self.rpc.doubted(
                LOGS,
                format!(
                    "none of block {height}, whose receipts hold the contract's: it lags, or gave up logs"
                ),
            )),
            false => Ok(()),
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
