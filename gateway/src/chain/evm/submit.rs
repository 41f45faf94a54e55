//! Transactions: the gateway's own, one at a time, and users' as they come.

use std::{collections::VecDeque, time::Duration};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use distpos_proto::{
    code::{Code, Reply},
    message::{Message, MessageId},
    receipt::{Ending, EndingKind},
};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Evm, EvmKey, abi,
    abi::{Event, Words},
    answer::{Block, FeeHistory, Fixed, Number, Quantity, Receipt, hex},
    approvals,
    rpc::{Rpc, RpcError, garbage},
    watch::reason,
};
use crate::chain::{ChainError, Submission, Submitted};

/// Most messages delivered or voided by one transaction.
const MESSAGES_MAX: usize = 20;
/// Most gas one transaction's messages may come to; a block has 30 million, often less.
const GAS_MAX: u64 = 8_000_000;
/// Gas of a delivery beside its call and its data: guard, book, payment, event.
const MESSAGE_GAS: u64 = 250_000;
/// Gas of a byte of data: calldata, copies, hashing.
const BYTE_GAS: u64 = 60;
/// Most ids closed or refunded by one transaction.
const ENDINGS_MAX: usize = 50;
/// Gas of one close or refund: state, sums, book, a payment to a wallet contract that uses all it
/// may, and the note of what it refused.
const ENDING_GAS: u64 = 160_000;
/// How often to ask for a transaction's receipt.
const RECEIPT_POLL: Duration = Duration::from_millis(250);
/// What the tip is where the node does not say, in wei.
const TIP_DEFAULT: u64 = 1_000_000_000;
const ESTIMATE: &str = "eth_estimateGas";
/// Longest reason of a void that the contract takes.
const REASON_BYTES_MAX: usize = 212;

/// An account that sends.
pub(super) struct Sender {
    key: EvmKey,
    chain_id: u64,
    inclusion_time_max: Duration,
    /// Held from reading the nonce until the node has the transaction.
    turn: Mutex<()>,
}

/// What a transaction does.
pub(super) struct Action {
    /// The contract; none to deploy one.
    pub(super) to: Option<Address>,
    pub(super) value: U256,
    pub(super) input: Vec<u8>,
    /// Least gas to give it, whatever the node's estimate.
    pub(super) gas_min: u64,
}

impl Sender {
    pub(super) fn new(key: EvmKey, chain_id: u64, inclusion_time_max: Duration) -> Self {
        Self { key, chain_id, inclusion_time_max, turn: Mutex::new(()) }
    }

    pub(super) fn address(&self) -> Address {
        self.key.address()
    }

    pub(super) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Signs, sends, and waits until it is in a block.
    pub(super) async fn transact(&self, rpc: &Rpc, action: Action) -> Result<Receipt, RpcError> {
        let hash = self.send(rpc, action).await?;
        let receipt = self.included(rpc, hash).await?;
        if receipt.status.is_some_and(|status| status.0 == 1) {
            return Ok(receipt);
        }
        Err(RpcError::Reverted(hash))
    }

    /// Gas that the node says it uses now.
    async fn estimate(&self, rpc: &Rpc, action: &Action) -> Result<u64, RpcError> {
        let mut call = json!({
            "from": hex(self.address().as_slice()),
            "value": format!("{:#x}", action.value),
            "data": hex(&action.input),
        });
        if let Some(to) = action.to {
            call["to"] = json!(hex(to.as_slice()));
        }
        Ok(rpc.call::<Number>(ESTIMATE, json!([call])).await?.0)
    }

    async fn send(&self, rpc: &Rpc, action: Action) -> Result<[u8; 32], RpcError> {
        let from = hex(self.address().as_slice());
        let estimate = self.estimate(rpc, &action).await?;
        // What is not used is given back; other messages of the block may change the cost.
        let wanted = estimate.saturating_add(estimate / 5).max(action.gas_min);
        // No block takes a transaction that asks for more than it has; the estimate fits.
        let gas_limit = wanted.min(block_gas_max(rpc).await?).max(estimate);
        let (base, tip) = fees(rpc).await?;
        let _turn = self.turn.lock().await;
        let nonce: Number = rpc.call("eth_getTransactionCount", json!([from, "pending"])).await?;
        let raw = self.key.sign(TxEip1559 {
            chain_id: self.chain_id,
            nonce: nonce.0,
            gas_limit,
            max_fee_per_gas: base.saturating_mul(2).saturating_add(tip),
            max_priority_fee_per_gas: tip,
            to: action.to.map_or(TxKind::Create, TxKind::Call),
            value: action.value,
            access_list: Default::default(),
            input: Bytes::from(action.input),
        });
        send_raw(rpc, &raw).await
    }

    async fn included(&self, rpc: &Rpc, hash: [u8; 32]) -> Result<Receipt, RpcError> {
        let call = "eth_getTransactionReceipt";
        let deadline = Instant::now() + self.inclusion_time_max;
        loop {
            let receipt: Option<Receipt> = rpc.call(call, json!([hex(&hash)])).await?;
            if let Some(receipt) = receipt {
                return Ok(receipt);
            }
            if Instant::now() >= deadline {
                let (hash, waited) = (hex(&hash), self.inclusion_time_max.as_secs());
                return Err(garbage(call, format!("{hash} is in no block after {waited} s")).into());
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
    }
}

/// Most gas that one block takes.
async fn block_gas_max(rpc: &Rpc) -> Result<u64, RpcError> {
    let call = "eth_getBlockByNumber";
    let latest: Option<Block> = rpc.call(call, json!(["latest", false])).await?;
    Ok(latest.ok_or_else(|| garbage(call, "no latest block"))?.gas_limit.0)
}

/// The base fee of the next block and the tip, in wei.
async fn fees(rpc: &Rpc) -> Result<(u128, u128), RpcError> {
    let history: FeeHistory = rpc.call("eth_feeHistory", json!(["0x1", "latest", []])).await?;
    let tip = match rpc.call::<Quantity>("eth_maxPriorityFeePerGas", json!([])).await {
        Ok(tip) => tip.0,
        Err(RpcError::Node(..)) => U256::from(TIP_DEFAULT),
        Err(error) => return Err(error),
    };
    let base = history.base_fee_per_gas.last().map_or(U256::ZERO, |fee| fee.0);
    let small = |fee: U256| {
        u128::try_from(fee).map_err(|_| garbage("eth_feeHistory", "a fee of 2^128 wei or more"))
    };
    Ok((small(base)?, small(tip)?))
}

/// Hands over a signed transaction. One that the node has already is not refused: an answer may
/// have been lost on the way, and asking twice must not look like a failure.
async fn send_raw(rpc: &Rpc, raw: &[u8]) -> Result<[u8; 32], RpcError> {
    let call = "eth_sendRawTransaction";
    let expected = keccak256(raw).0;
    match rpc.call::<Fixed<32>>(call, json!([hex(raw)])).await {
        Ok(hash) if hash.0 == expected => Ok(expected),
        Ok(_) => Err(garbage(call, "another transaction's hash").into()),
        Err(RpcError::Node(call, error)) => {
            let known: Option<IgnoredAny> =
                rpc.call("eth_getTransactionByHash", json!([hex(&expected)])).await?;
            known.map(|_| expected).ok_or(RpcError::Node(call, error))
        }
        Err(error) => Err(error),
    }
}

impl RpcError {
    /// Whether the transaction was run and failed, or would: what is in it may be the reason.
    fn is_revert(&self) -> bool {
        match self {
            Self::Reverted(_) | Self::Node(ESTIMATE, _) => true,
            Self::Chain(_) | Self::TooLong(_) | Self::Node(..) => false,
        }
    }
}

impl Evm {
    pub(super) async fn submit_all(&self, submission: Submission) -> Result<Submitted, ChainError> {
        match submission {
            Submission::User(raw) => match send_raw(&self.rpc, &raw).await {
                Ok(hash) => Ok(Submitted { transaction: hash.to_vec(), refused: Vec::new() }),
                Err(RpcError::Node(_, error)) => {
                    Err(ChainError::Refused(Reply::new(Code::POLICY, error.to_string())))
                }
                Err(error) => Err(error.into()),
            },
            Submission::Deliver(admitted) => {
                let messages = admitted.iter().map(|admitted| admitted.message().clone()).collect();
                self.deliver(messages).await
            }
            Submission::Void(refused) => {
                let messages = refused
                    .iter()
                    .map(|refused| (refused.message().clone(), reason_of(refused.reply())))
                    .collect();
                self.void(messages).await
            }
            Submission::End(endings) => self.end(&endings).await,
        }
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Submitted, ChainError> {
        let gas = |message: &Message| message.fields().gas;
        let chunks = split(messages, gas);
        self.transact_all(chunks, abi::deliver, reserve, Message::id).await
    }

    async fn void(&self, messages: Vec<(Message, String)>) -> Result<Submitted, ChainError> {
        let what = |(message, _): &(Message, String)| (message.id(), approvals::Action::Void);
        let messages = self.unapproved(messages, what).await?;
        let chunks = split_by(messages, MESSAGES_MAX, |(message, _)| cost(message, 0));
        self.transact_all(chunks, abi::void, |_| 0, |(message, _)| message.id()).await
    }

    async fn end(&self, endings: &[Ending]) -> Result<Submitted, ChainError> {
        let what = |ending: &&Ending| {
            let action = match ending.kind() {
                EndingKind::Close => approvals::Action::Close,
                EndingKind::Refund => approvals::Action::Refund,
            };
            (ending.id(), action)
        };
        let endings = self.unapproved(endings.iter().collect(), what).await?;
        let chunks = split_by(endings, ENDINGS_MAX, |_| ENDING_GAS);
        // A sender's contract, too, can tell an estimate from the payment that comes.
        let gas_min = |chunk: &[&Ending]| ENDING_GAS.saturating_mul(chunk.len() as u64 + 2);
        self.transact_all(chunks, end_input, gas_min, |ending| ending.id()).await
    }

    /// One transaction for each chunk, in order. One that fails is cut in two until what makes it
    /// fail stands alone, so that a recipient that behaves differently once it is paid for, or a
    /// message that no block of this chain has room for, holds up nobody else. What was done
    /// before an error stays done: the guard makes a repetition harmless.
    async fn transact_all<T: Sync>(
        &self,
        chunks: Vec<Vec<T>>,
        input: impl Fn(&[T]) -> Vec<u8> + Sync,
        gas_min: impl Fn(&[T]) -> u64 + Sync,
        id: impl Fn(&T) -> MessageId + Sync,
    ) -> Result<Submitted, ChainError> {
        let mut submitted = Submitted { transaction: Vec::new(), refused: Vec::new() };
        let mut failed = None;
        let mut waiting: VecDeque<Vec<T>> = chunks.into();
        while let Some(mut chunk) = waiting.pop_front() {
            let error = match self.transact(input(&chunk), gas_min(&chunk)).await {
                Ok(receipt) => {
                    submitted.transaction = receipt.transaction_hash.0.to_vec();
                    submitted.refused.extend(self.skipped(&receipt));
                    continue;
                }
                Err(error) if !error.is_revert() => return Err(error.into()),
                Err(error) => ChainError::from(error),
            };
            if failed.is_none() {
                // Without the gateway's role not even nothing passes: then it is no message's fault.
                self.sender.estimate(&self.rpc, &self.action(input(&[]), 0)).await?;
            }
            if chunk.len() > 1 {
                let rest = chunk.split_off(chunk.len() / 2);
                waiting.push_front(rest);
                waiting.push_front(chunk);
            } else {
                let reply = Reply::new(Code::NOT_NOW, error.to_string()).retry_after(60);
                submitted.refused.extend(chunk.iter().map(|item| (id(item), reply.clone())));
            }
            failed = Some(error);
        }
        match failed {
            // Nothing went through: the operator should read why.
            Some(error) if submitted.transaction.is_empty() => Err(error),
            _ => Ok(submitted),
        }
    }

    async fn transact(&self, input: Vec<u8>, gas_min: u64) -> Result<Receipt, RpcError> {
        self.sender.transact(&self.rpc, self.action(input, gas_min)).await
    }

    /// A call of the contract.
    fn action(&self, input: Vec<u8>, gas_min: u64) -> Action {
        Action { to: Some(self.config.contract), value: U256::ZERO, input, gas_min }
    }

    fn skipped(&self, receipt: &Receipt) -> Vec<(MessageId, Reply)> {
        let topic = Event::Skipped.topic().0;
        let ours = receipt.logs.iter().filter(|log| {
            log.address.0 == self.config.contract.0
                && log.topics.first().is_some_and(|first| first.0 == topic)
        });
        let read = ours.filter_map(|log| {
            let id = MessageId(log.topics.get(1)?.0);
            let (code, text) = reason(&Words::new(&log.data.0).text(0)?);
            Some((id, Reply::new(code, text)))
        });
        read.collect()
    }
}

/// `<code> <text>` within what the contract takes.
fn reason_of(reply: &Reply) -> String {
    let mut text = reply.to_string();
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}

fn cost(message: &Message, call_gas: u64) -> u64 {
    let bytes = message.bytes().len() as u64;
    MESSAGE_GAS.saturating_add(call_gas).saturating_add(bytes.saturating_mul(BYTE_GAS))
}

/// Gas that a delivery of these needs if every call uses all it asked for. The node's estimate
/// shows only what they used when it was made, and a recipient can tell an estimate from the real
/// transaction: with that much, it takes no other message's gas.
fn reserve(messages: &[Message]) -> u64 {
    let all = messages.iter().map(|message| cost(message, message.fields().gas));
    // The contract wants a sixteenth of a call's gas to be left beside it (EIP-150).
    let beside = messages.iter().map(|message| message.fields().gas / 16).max().unwrap_or(0);
    all.fold(MESSAGE_GAS, u64::saturating_add).saturating_add(beside)
}

fn split(messages: Vec<Message>, gas: impl Fn(&Message) -> u64) -> Vec<Vec<Message>> {
    split_by(messages, MESSAGES_MAX, |message| cost(message, gas(message)))
}

/// `end` of these.
fn end_input(endings: &[&Ending]) -> Vec<u8> {
    let ids = |kind: EndingKind| -> Vec<MessageId> {
        let of = endings.iter().filter(|ending| ending.kind() == kind);
        of.map(|ending| ending.id()).collect()
    };
    abi::end(&ids(EndingKind::Close), &ids(EndingKind::Refund))
}

/// Consecutive chunks of at most `count_max` within [`GAS_MAX`]; an item above goes alone.
fn split_by<T>(items: Vec<T>, count_max: usize, cost: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut gas = 0u64;
    for item in items {
        let more = cost(&item);
        gas = gas.saturating_add(more);
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < count_max && gas <= GAS_MAX => chunk.push(item),
            _ => {
                gas = more;
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_cut_by_number_and_by_gas() {
        let lengths = |items: Vec<u64>| -> Vec<usize> {
            split_by(items, MESSAGES_MAX, |cost| *cost).iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(vec![1; 45]), [20, 20, 5]);
        assert_eq!(lengths(vec![GAS_MAX; 3]), [1, 1, 1]);
        assert_eq!(lengths(vec![GAS_MAX / 2; 3]), [2, 1]);
        assert_eq!(lengths(vec![u64::MAX, 1]), [1, 1]);
        assert_eq!(lengths(Vec::new()), Vec::<usize>::new());
    }

    #[test]
    fn a_reason_fits_the_contract_and_is_cut_between_characters() {
        let reason = reason_of(&Reply::new(Code::CALL_REVERTS, "ä".repeat(100)));
        assert!(reason.len() <= REASON_BYTES_MAX && reason.starts_with("5.3.0 ä"), "{reason}");
    }
}
