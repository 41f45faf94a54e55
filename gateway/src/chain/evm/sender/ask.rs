//! What the node is asked about accounts, fees and transactions.

use alloy_primitives::{Address, U256, keccak256};
use serde::de::IgnoredAny;
use serde_json::json;

use super::super::{
    answer::{Block, FeeHistory, Fixed, Number, Quantity, Receipt, hex},
    fees::Market,
    rpc::{Rpc, RpcError, garbage},
};

/// The call whose [`RpcError::Node`] means that the node refuses a transaction and does not have it.
pub(in crate::chain::evm) const SEND: &str = "eth_sendRawTransaction";
/// What the tip is where the node does not say, in wei.
const TIP_DEFAULT: u64 = 1_000_000_000;

/// Most transactions that an account is believed to have made: a thousand a second for 30 years.
const COUNT_MAX: u64 = 1 << 40;
/// Most of them that are believed to be in the node's pool; nodes keep some thousands in all.
const PENDING_MAX: u64 = 10_000;
const COUNT: &str = "eth_getTransactionCount";

/// How many transactions of an account are in blocks.
pub(super) async fn latest(rpc: &Rpc, account: Address) -> Result<u64, RpcError> {
    count(rpc, account, "latest").await
}

/// The same with those in the pool, where `latest` are in blocks. A number that is too high would
/// be signed for, and the gap below it filled for money.
pub(super) async fn pending(rpc: &Rpc, account: Address, latest: u64) -> Result<u64, RpcError> {
    let pending = count(rpc, account, "pending").await?;
    match pending.saturating_sub(latest) {
        0..=PENDING_MAX => Ok(pending),
        ahead => Err(garbage(COUNT, format!("{ahead} transactions wait in the pool")).into()),
    }
}

async fn count(rpc: &Rpc, account: Address, tag: &'static str) -> Result<u64, RpcError> {
    let params = json!([hex(account.as_slice()), tag]);
    match rpc.call::<Number>(COUNT, params).await?.0 {
        count @ 0..=COUNT_MAX => Ok(count),
        count => Err(garbage(COUNT, format!("{count} transactions of one account")).into()),
    }
}

/// What an account holds, in wei.
pub(super) async fn balance(rpc: &Rpc, account: Address) -> Result<U256, RpcError> {
    let params = json!([hex(account.as_slice()), "latest"]);
    Ok(rpc.call::<Quantity>("eth_getBalance", params).await?.0)
}

pub(in crate::chain::evm) async fn newest_block(rpc: &Rpc) -> Result<Block, RpcError> {
    let call = "eth_getBlockByNumber";
    let latest: Option<Block> = rpc.call(call, json!(["latest", false])).await?;
    Ok(latest.ok_or_else(|| garbage(call, "no latest block"))?)
}

/// What blocks ask after this one, the newest.
pub(in crate::chain::evm) async fn market(rpc: &Rpc, newest: &Block) -> Result<Market, RpcError> {
    if newest.base_fee_per_gas.is_none() {
        return price(rpc).await;
    }
    let call = "eth_feeHistory";
    let history: FeeHistory = match rpc.call(call, json!(["0x1", "latest", []])).await {
        Ok(history) => history,
        Err(RpcError::Node(..)) => return price(rpc).await,
        Err(error) => return Err(error),
    };
    let tip = match rpc.call::<Quantity>("eth_maxPriorityFeePerGas", json!([])).await {
        Ok(tip) => tip.0,
        Err(RpcError::Node(..)) => U256::from(TIP_DEFAULT),
        Err(error) => return Err(error),
    };
    match history.base_fee_per_gas.last() {
        Some(base) => Ok(Market::with_base(small(call, base.0)?, small(call, tip)?)),
        None => price(rpc).await,
    }
}

/// The market of a chain whose blocks have no base fee, or whose node does not tell it.
async fn price(rpc: &Rpc) -> Result<Market, RpcError> {
    let call = "eth_gasPrice";
    let price: Quantity = rpc.call(call, json!([])).await?;
    Ok(Market::without_base(small(call, price.0)?))
}

fn small(call: &'static str, fee: U256) -> Result<u128, RpcError> {
    u128::try_from(fee).map_err(|_| garbage(call, "a fee of 2^128 wei or more").into())
}

pub(super) async fn receipt(rpc: &Rpc, hash: [u8; 32]) -> Result<Option<Receipt>, RpcError> {
    rpc.anywhere("eth_getTransactionReceipt", json!([hex(&hash)])).await
}

/// Whether a node has this transaction, in its pool or in a block.
pub(in crate::chain::evm) async fn knows(rpc: &Rpc, hash: [u8; 32]) -> Result<bool, RpcError> {
    let known: Option<IgnoredAny> =
        rpc.anywhere("eth_getTransactionByHash", json!([hex(&hash)])).await?;
    Ok(known.is_some())
}

/// Hands over a signed transaction. One that the node has already is not refused: an answer may
/// have been lost on the way, and asking twice must not look like a failure.
pub(in crate::chain::evm) async fn send_raw(rpc: &Rpc, raw: &[u8]) -> Result<[u8; 32], RpcError> {
    let expected = keccak256(raw).0;
    match rpc.call::<Fixed<32>>(SEND, json!([hex(raw)])).await {
        Ok(hash) if hash.0 == expected => Ok(expected),
        Ok(_) => Err(garbage(SEND, "another transaction's hash").into()),
        Err(RpcError::Node(call, error)) => match knows(rpc, expected).await? {
            true => Ok(expected),
            false => Err(RpcError::Node(call, error)),
        },
        Err(error) => Err(error),
    }
}
