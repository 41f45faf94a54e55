//! Why a transaction is in no block yet, as far as its node can tell.

use serde_json::json;

use super::{
    super::{
        answer::{Number, hex},
        sender::ask,
    },
    TransactionHash, Wallet,
};

/// Wei in a gwei, in which people count prices of gas.
const GWEI: u128 = 1_000_000_000;

/// A transaction that was given to the node.
pub(super) struct Signed {
    pub(super) transaction: TransactionHash,
    pub(super) nonce: u64,
    /// The most it pays for gas, in wei.
    pub(super) price_max: u128,
}

impl Wallet {
    /// In words, for its user.
    pub(super) async fn why_it_waits(&self, signed: &Signed) -> String {
        let waited = format!("not after {} s", self.inclusion_time_max.as_secs());
        if let Ok(false) = ask::knows(&self.reader.rpc, signed.transaction).await {
            return format!("{waited}, and the node does not know it any more");
        }
        let from = hex(self.address().as_slice());
        let counted = self
            .reader
            .rpc
            .call::<Number>("eth_getTransactionCount", json!([from, "latest"]))
            .await;
        if let Ok(Number(next)) = counted
            && next < signed.nonce
        {
            let nonce = signed.nonce;
            return format!("{waited}; its nonce is {nonce}, and {next} has to come before it");
        }
        match self.market().await {
            Ok(market) if market.least > signed.price_max => format!(
                "{waited}; it pays at most {} gwei for gas, and blocks ask for {} gwei now",
                signed.price_max / GWEI,
                market.least.div_ceil(GWEI),
            ),
            _ => format!("{waited}; the node has it, and no block has taken it"),
        }
    }
}
