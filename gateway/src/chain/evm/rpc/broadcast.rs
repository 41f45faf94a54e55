//! A signed transaction, to every node.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::{Rpc, RpcError};

/// How long the other nodes have to take a transaction that one has taken already: nodes hand
/// transactions on to each other, so that a slow one need not be waited for.
const OTHERS_TIME_MAX: Duration = Duration::from_secs(2);

impl Rpc {
    /// The first that takes it is believed; if none does, one that may have taken it without saying
    /// so counts more than the others' refusals: what is refused may be signed anew.
    pub(super) async fn broadcast<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: &Json,
    ) -> Result<T, RpcError> {
        let ask = async |index| (index, self.ask::<T>(index, call, params).await);
        let mut waits = 0;
        loop {
            let mut asked: FuturesUnordered<_> = self.order().into_iter().map(ask).collect();
            let mut faults = Vec::new();
            while let Some((index, outcome)) = asked.next().await {
                match outcome {
                    Ok(taken) => {
                        let others = async { while asked.next().await.is_some() {} };
                        // What they say changes nothing any more.
                        let _ = timeout(OTHERS_TIME_MAX, others).await;
                        return Ok(taken);
                    }
                    Err(fault) => faults.push((index, fault)),
                }
            }
            if self.waited(&mut waits, &faults).await {
                continue;
            }
            if faults.iter().any(|(_, fault)| fault.may_have_done()) {
                faults.retain(|(_, fault)| fault.may_have_done());
            }
            return Err(self.told(call, params, faults));
        }
    }
}
