//! Transactions: the gateway's own, cut to what a block takes, and users' as they come.

use std::collections::VecDeque;

use alloy_primitives::U256;
use distpos_proto::{
    code::{Code, Reply},
    message::{Message, MessageId},
    receipt::{Ending, EndingKind},
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Evm, abi,
    abi::{Event, Words},
    answer::Receipt,
    approvals,
    rpc::RpcError,
    sender::{Action, ESTIMATE, ask::send_raw},
    watch::reason,
};
use crate::chain::{ChainError, Submission, Submitted};

/// Most messages delivered or voided by one transaction.
const MESSAGES_MAX: usize = 20;
/// Most gas one transaction's messages may come to; a block has 30 million, often less.
const GAS_MAX: u64 = 8_000_000;
/// Gas of a delivery beside its call and its data: guard, book, payment, event.
const MESSAGE_GAS: u64 = 250_000;
/// Gas that the contract wants left beside a payment in a token (`contracts/README.md`).
const TOKEN_GAS: u64 = 500_000;
/// Gas of a byte of data: calldata, copies, hashing.
const BYTE_GAS: u64 = 60;
/// Gas of a void, as the approval that is one of several or as the last, which does more: another
/// gateway may come in between estimate and block.
const VOID_GAS: u64 = 100_000;
/// Most ids closed or refunded by one transaction.
const ENDINGS_MAX: usize = 50;
/// Gas of one close or refund: state, sums, book, a payment to a wallet contract that uses all it
/// may, and the note of what it refused.
const ENDING_GAS: u64 = 160_000;
/// Longest reason of a void that the contract takes.
const REASON_BYTES_MAX: usize = 212;

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
            Submission::Account { .. } | Submission::Settle { .. } => {
                let text = "the contract's owner does that, not a gateway";
                Err(ChainError::Refused(Reply::new(Code::POLICY, text)))
            }
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
        let gas_min = |chunk: &[(Message, String)]| {
            let each = |(message, _): &(Message, String)| {
                let bytes = message.bytes().len() as u64;
                VOID_GAS.saturating_add(bytes.saturating_mul(BYTE_GAS))
            };
            chunk.iter().map(each).fold(VOID_GAS, u64::saturating_add)
        };
        self.transact_all(chunks, abi::void, gas_min, |(message, _)| message.id()).await
    }

    async fn end(&self, endings: &[Ending]) -> Result<Submitted, ChainError> {
        let what = |ending: &&Ending| {
            let action = match ending.kind() {
                EndingKind::Close => approvals::Action::Close,
                EndingKind::Refund => approvals::Action::Refund,
            };
            (ending.id(), action)
        };
        let endings = self.still_open(endings).await?;
        let endings = self.unapproved(endings, what).await?;
        let chunks = split_by(endings, ENDINGS_MAX, |_| ENDING_GAS);
        // A sender's contract, too, can tell an estimate from the payment that comes.
        let gas_min = |chunk: &[&Ending]| ENDING_GAS.saturating_mul(chunk.len() as u64 + 2);
        self.transact_all(chunks, end_input, gas_min, |ending| ending.id()).await
    }

    /// One transaction for each chunk, as many at a time as the accounts take. One that fails is
    /// cut in two until what makes it fail stands alone, so that a recipient that behaves
    /// differently once it is paid for, or a message that no block of this chain has room for, holds
    /// up nobody else. What was done before an error stays done, and what is under way is brought to
    /// its end: the guard makes a repetition harmless.
    async fn transact_all<T: Send + Sync>(
        &self,
        chunks: Vec<Vec<T>>,
        input: impl Fn(&[T]) -> Vec<u8> + Sync,
        gas_min: impl Fn(&[T]) -> u64 + Sync,
        id: impl Fn(&T) -> MessageId + Sync,
    ) -> Result<Submitted, ChainError> {
        let mut submitted = Submitted { transaction: Vec::new(), refused: Vec::new() };
        let mut failed = None;
        let mut waiting: VecDeque<Vec<T>> = chunks.into();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.sender.in_flight_max()
                && let Some(chunk) = waiting.pop_front()
            {
                let sending = self.transact(input(&chunk), gas_min(&chunk));
                running.push(async move { (sending.await, chunk) });
            }
            let Some((result, mut chunk)) = running.next().await else { break };
            let error = match result {
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
                self.sender.estimate(self.address(), &self.action(input(&[]), 0)).await?;
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
        self.sender.transact(self.action(input, gas_min)).await
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
    // The contract wants a sixteenth of a call's gas to be left beside it (EIP-150). Where several
    // gateways must agree, an estimate may see an approval that only counts, and the transaction
    // come after the others' and deliver: then all of this is wanted.
    let beside = messages.iter().map(|message| message.fields().gas / 16 + token_gas(message));
    all.fold(MESSAGE_GAS, u64::saturating_add).saturating_add(beside.max().unwrap_or(0))
}

/// What a payment may want left for being in a token: any asset but the own coin may be one.
fn token_gas(message: &Message) -> u64 {
    let fields = message.fields();
    let coin = format!("{}/coin", fields.destination);
    let in_token = fields.value.as_ref().is_some_and(|value| value.asset.as_str() != coin);
    if in_token { TOKEN_GAS } else { 0 }
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
    use distpos_proto::{
        amount::Amount,
        chain::GenesisTag,
        message::{Fields, OnFail, Value},
        time::UnixSeconds,
    };

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

    /// A payment as it is delivered at `b1c2`.
    fn payment(asset: &str, gas: u64) -> Message {
        let value =
            Value { asset: asset.parse().unwrap(), amount: Amount::from(1_u64), terms: None };
        Message::new(Fields {
            source: "e2e4".parse().unwrap(),
            source_tag: GenesisTag([1; 8]),
            destination: "b1c2".parse().unwrap(),
            destination_tag: GenesisTag([2; 8]),
            outbox: vec![5; 20],
            sequence: 1,
            sender: "alice".parse().unwrap(),
            recipient: "b0b".parse().unwrap(),
            value: Some(value),
            data: Vec::new(),
            gas,
            on_fail: OnFail::Return,
            expires: UnixSeconds(1_700_000_000),
        })
        .unwrap()
    }

    /// What `contracts/README.md` says that an item wants left, whichever approval it comes with.
    #[test]
    fn a_delivery_has_the_gas_that_the_contract_wants_even_if_the_estimate_only_counted() {
        let coin = reserve(&[payment("b1c2/coin", 0)]);
        assert!(coin >= 21_000 + 200_000, "{coin}");
        let token = reserve(&[payment("e2e4/coin", 0)]);
        assert!(token >= 21_000 + 700_000, "{token}");
        let called = reserve(&[payment("e2e4/coin", 1_600_000), payment("b1c2/coin", 0)]);
        assert!(called >= 21_000 + 700_000 + 1_700_000, "{called}");
        let many = reserve(&vec![payment("e2e4/coin", 0); 20]);
        assert!(many < token + 20 * 300_000, "the contract wants it once: {many}");
    }

    #[test]
    fn a_reason_fits_the_contract_and_is_cut_between_characters() {
        let reason = reason_of(&Reply::new(Code::CALL_REVERTS, "ä".repeat(100)));
        assert!(reason.len() <= REASON_BYTES_MAX && reason.starts_with("5.3.0 ä"), "{reason}");
    }
}
