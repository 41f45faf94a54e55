//! What a recipient's call would use of gas.

use alloy_primitives::{Address, U256};
use distpos_proto::message::Message;
use serde_json::json;

use super::{
    Evm, abi,
    abi::{Arg, Words},
    answer::{Hex, Number, hex},
    rpc::{RpcError, garbage},
    view,
    wallet::account_of,
};
use crate::chain::ChainError;

/// What every transaction costs before it does anything…
const TRANSACTION_GAS: u64 = 21_000;
/// …and a byte of its input (EIP-2028): zeros and others.
const ZERO_BYTE_GAS: u64 = 4;
const OTHER_BYTE_GAS: u64 = 16;
/// Most gas that the contract gives a call. Without a bound, whoever asks could keep the node busy
/// with all that a block may use, several times over.
const CALL_GAS_MAX: u64 = 5_000_000;
/// The margin: a fifth, and what a storage slot that is not there any more costs. The state may have
/// changed by the time the message comes.
const MARGIN_PARTS: u64 = 5;
const MARGIN_GAS: u64 = 25_000;

impl Evm {
    /// Gas for `onDistpos(…)` of the recipient, as the contract's executor would call it; 0 for an
    /// account without code, none if the call reverts.
    pub(super) async fn estimate_call(&self, message: &Message) -> Result<Option<u64>, ChainError> {
        let Ok(recipient) = account_of(&message.fields().recipient) else { return Ok(None) };
        let recipient_text = hex(recipient.as_slice());
        let code: Hex = self.rpc.call("eth_getCode", json!([recipient_text, "latest"])).await?;
        // An empty message makes no call either.
        if code.0.is_empty() || message.fields().data.is_empty() {
            return Ok(Some(0));
        }
        let executor = view(&self.rpc, self.config.contract, abi::call("executor()", &[])).await?;
        let executor = Words::new(&executor).word(0);
        let executor = executor.ok_or_else(|| garbage("eth_call", "no executor"))?;
        let input = on_distpos(message);
        let call = json!({
            "from": hex(Address::from_word(executor.into()).as_slice()),
            "to": recipient_text,
            "data": hex(&input),
            "gas": format!("{:#x}", input_gas(&input).saturating_add(CALL_GAS_MAX)),
        });
        match self.rpc.call::<Number>("eth_estimateGas", json!([call])).await {
            Ok(Number(estimate)) => Ok(Some(with_margin(estimate, &input))),
            // It reverts, as far as the node can say; the simulation tells why.
            Err(RpcError::Node(..)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn on_distpos(message: &Message) -> Vec<u8> {
    let fields = message.fields();
    let asset = fields.value.as_ref().map_or("", |value| value.asset.as_str());
    let items = [
        Arg::Word(message.id().0),
        Arg::text(&fields.source.to_string()),
        Arg::text(&format!("{}x{}", fields.source, fields.sender)),
        Arg::text(asset),
        Arg::Word(U256::from_be_bytes(message.amount().to_word()).to_be_bytes()),
        Arg::Bytes(fields.data.clone()),
    ];
    abi::call("onDistpos(bytes32,string,string,string,uint256,bytes)", &items)
}

/// The call's own part of a transaction's gas. Where the price of the input alone sets the estimate
/// (EIP-7623) it comes out higher than it is, never lower.
fn with_margin(estimate: u64, input: &[u8]) -> u64 {
    let own = estimate.saturating_sub(input_gas(input));
    own.saturating_add(own / MARGIN_PARTS).saturating_add(MARGIN_GAS)
}

/// What a transaction with this input costs before it does anything.
fn input_gas(input: &[u8]) -> u64 {
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let others = input.len() as u64 - zeros;
    let bytes = zeros.saturating_mul(ZERO_BYTE_GAS) + others.saturating_mul(OTHER_BYTE_GAS);
    TRANSACTION_GAS.saturating_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_of_a_transaction_is_not_the_calls() {
        let input = [0, 0, 1];
        assert_eq!(with_margin(21_000 + 24 + 100_000, &input), 120_000 + MARGIN_GAS);
        assert_eq!(with_margin(0, &input), MARGIN_GAS);
        assert_eq!(with_margin(u64::MAX, &input), u64::MAX);
    }
}
