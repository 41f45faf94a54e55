//! Final blocks in, messages and ends out.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::Address;
use distpos_proto::{
    amount::Amount,
    chain::{BlockHash, ChainId, Height},
    code::{Code, Reply},
    light::evm::message_in_log,
    message::{Asset, Message, MessageId, Value},
    receipt::Call,
    time::UnixSeconds,
};
use serde_json::json;

use super::{
    Evm, abi,
    abi::{Event, Words},
    answer::{LogEntry, hex},
    approvals::Action,
    block, genesis_tag, number,
    rpc::{Rpc, RpcError, garbage},
};
use crate::chain::{ChainError, ChainEvent, Cursor, FinalBlock, Proposal, Watched};

/// Most blocks asked for at once: a limit of many nodes.
pub(super) const RANGE_BLOCKS_MAX: u64 = 1_000;
pub(super) const LOGS: &str = "eth_getLogs";
/// Longest note of a settlement that is kept, in characters: the event's may be of any length.
const NOTE_CHARS_MAX: usize = 200;

/// How many blocks the node gives logs of at once: halved when it refuses, doubled when it does not.
pub(super) struct LogRange(AtomicU64);

impl Default for LogRange {
    fn default() -> Self {
        Self(AtomicU64::new(RANGE_BLOCKS_MAX))
    }
}

impl LogRange {
    /// A contract's logs from `from` on, and up to which block they were looked at: `head`, or as
    /// far as the node grants at once.
    pub(super) async fn read(
        &self,
        rpc: &Rpc,
        contract: Address,
        from: u64,
        head: u64,
    ) -> Result<(u64, Vec<LogEntry>), ChainError> {
        let mut range = self.0.load(Ordering::Relaxed).max(1);
        loop {
            let to = head.min(from.saturating_add(range - 1));
            let filter = json!([{
                "address": hex(contract.as_slice()),
                "fromBlock": number(Height(from)),
                "toBlock": number(Height(to)),
            }]);
            let half = (to - from).div_ceil(2).max(1);
            match rpc.agreed::<Vec<LogEntry>>(LOGS, filter).await {
                Ok(logs) => {
                    let next = range.saturating_mul(2).min(RANGE_BLOCKS_MAX);
                    self.0.store(next, Ordering::Relaxed);
                    return Ok((to, logs));
                }
                Err(RpcError::Node(..) | RpcError::TooLong(_)) if to > from => {
                    range = half;
                    self.0.store(range, Ordering::Relaxed);
                }
                Err(RpcError::Node(_, error)) => return Err(refused(from, error.to_string())),
                Err(error @ RpcError::TooLong(_)) => {
                    return Err(refused(from, ChainError::from(error).to_string()));
                }
                Err(error) => {
                    // A node may need longer for many blocks than it is given.
                    self.0.store(half, Ordering::Relaxed);
                    return Err(error.into());
                }
            }
        }
    }
}

impl Evm {
    /// What is new, if anything is.
    pub(super) async fn watch_once(
        &self,
        after: Option<Cursor>,
    ) -> Result<Option<Watched>, ChainError> {
        let head = self.final_block().await?.head();
        if let Some(after) = after {
            self.check_cursor(after, head.height).await?;
        }
        let from = after.map_or(self.config.start.0, |after| after.height.0.saturating_add(1));
        if from > head.height.0 {
            return Ok(None);
        }
        let (to, logs) =
            self.logs.read(&self.rpc, self.config.contract, from, head.height.0).await?;
        self.check_absent((from, to), &logs).await?;
        let blocks = self.final_blocks(from, to, logs).await?;
        let last =
            if to == head.height.0 { head } else { block(&self.rpc, Height(to)).await?.head() };
        let cursor = Cursor { height: last.height, block: last.block };
        Ok(Some(Watched { blocks, cursor }))
    }

    /// A final block that is another one now means that the node was swapped or rolled back.
    async fn check_cursor(&self, after: Cursor, head: Height) -> Result<(), ChainError> {
        if head < after.height {
            // A node that catches up is waited for; one of another chain is not.
            let (found, expected) = (genesis_tag(&self.rpc).await?, self.facts.tag);
            if found == expected {
                return Ok(());
            }
            let what = format!("genesis tag is {found}, expected {expected}");
            return Err(ChainError::OtherChain(what));
        }
        let found = block(&self.rpc, after.height).await?.head().block;
        if found == after.block {
            return Ok(());
        }
        Err(ChainError::OtherChain(format!(
            "final block {} is {found} now, it was {}",
            after.height, after.block
        )))
    }

    async fn final_blocks(
        &self,
        from: u64,
        to: u64,
        logs: Vec<LogEntry>,
    ) -> Result<Vec<FinalBlock>, ChainError> {
        let mut by_block: BTreeMap<u64, Vec<LogEntry>> = BTreeMap::new();
        for log in logs {
            let height =
                log.block_number.map(|number| number.0).filter(|at| (from..=to).contains(at));
            let ours = log.address.0 == self.config.contract.0 && !log.removed;
            let Some(height) = height.filter(|_| ours) else {
                return Err(garbage(LOGS, "a log of another contract or block range"));
            };
            by_block.entry(height).or_default().push(log);
        }
        let mut blocks = Vec::new();
        for (height, mut logs) in by_block {
            let head = block(&self.rpc, Height(height)).await?.head();
            let same = |log: &LogEntry| log.block_hash.is_some_and(|hash| hash.0 == head.block.0);
            if !logs.iter().all(same) {
                return Err(garbage(LOGS, format!("logs of another block {height}")));
            }
            logs.sort_by_key(|log| log.log_index.map(|index| index.0));
            let found = self.final_block_of(Height(height), head.block, head.time, &logs)?;
            let FinalBlock { outgoing, events, proposals, .. } = &found;
            if !outgoing.is_empty() || !events.is_empty() || !proposals.is_empty() {
                blocks.push(found);
            }
        }
        Ok(blocks)
    }

    fn final_block_of(
        &self,
        height: Height,
        block: BlockHash,
        time: UnixSeconds,
        logs: &[LogEntry],
    ) -> Result<FinalBlock, ChainError> {
        let (outgoing, events, proposals) = Default::default();
        let mut found = FinalBlock { height, block, time, outgoing, events, proposals };
        for log in logs {
            let Some(event) = log.topics.first().and_then(|topic| Event::of(&topic.0)) else {
                continue;
            };
            if event == Event::Sent {
                // The contract emits nothing else: passing over it could lose a message and its sum.
                let message = self.message_of(log).map_err(|what| not_ours(height, log, &what))?;
                found.outgoing.push(message);
            } else if names_no_chain(event, log) {
                // Whoever holds the gateway role can make the contract say so. It is no message's
                // end, and stopping here would stop here for ever.
                tracing::error!(%height, ?event, "the inbox names a source that is no chain-id");
            } else if event == Event::Approved {
                found.proposals.extend(self.proposal(log));
            } else if event != Event::Skipped {
                found.events.push(event_of(event, log)?);
            }
        }
        found
            .outgoing
            .sort_by_key(|message| (message.fields().destination, message.fields().sequence));
        Ok(found)
    }

    /// What a sibling gateway wants. What cannot be read is for nobody to act on: whoever holds a
    /// role can make the contract say it.
    fn proposal(&self, log: &LogEntry) -> Option<Proposal> {
        let by = Address::from_slice(&log.topics.get(2)?.0[12..]);
        if self.is_own(by) {
            return None;
        }
        let data = Words::new(&log.data.0);
        match Action::of(data.number(0)?)? {
            Action::Deliver | Action::Void => {
                let message = Message::from_bytes(data.bytes(1)?).ok()?;
                Some(Proposal::Inbound(Box::new(message)))
            }
            Action::Close | Action::Refund => {
                Some(Proposal::Outbound(MessageId(log.topics.get(1)?.0)))
            }
        }
    }

    /// The message of a `Sent` log: its bytes, its id, and that it is ours.
    pub(super) fn message_of(&self, log: &LogEntry) -> Result<Message, String> {
        let topics: Vec<[u8; 32]> = log.topics.iter().map(|topic| topic.0).collect();
        let found = message_in_log(&self.facts.outbox, &log.address.0, &topics, &log.data.0);
        let message = found.map_err(|error| error.to_string())?;
        let fields = message.fields();
        let facts = &self.facts;
        if (fields.source, fields.source_tag) != (facts.chain, facts.tag)
            || fields.outbox != facts.outbox
        {
            return Err(format!("message {} names another source", message.id()));
        }
        Ok(message)
    }
}

/// Not even one block's logs can be had: it is the operator who can give the node more room.
fn refused(height: u64, what: String) -> ChainError {
    ChainError::LogsRefused { height: Height(height), what }
}

/// A log of our own outbox that is no message: watching stops before it until the operator has
/// looked, so that nothing is lost.
fn not_ours(height: Height, log: &LogEntry, what: &str) -> ChainError {
    let id = log.topics.get(1).map_or_else(|| "none".to_owned(), |topic| hex(&topic.0));
    garbage(LOGS, format!("a Sent event in block {height} with the id {id} is no message: {what}"))
}

/// The event of a log. The contract is ours: a log that does not fit is the node's fault.
fn event_of(event: Event, log: &LogEntry) -> Result<ChainEvent, ChainError> {
    read_event(event, log).ok_or_else(|| garbage(LOGS, format!("a malformed {event:?} event")))
}

fn read_event(event: Event, log: &LogEntry) -> Option<ChainEvent> {
    let topic = log.topics.get(1)?.0;
    let (id, data) = (MessageId(topic), Words::new(&log.data.0));
    match event {
        Event::Delivered => Some(ChainEvent::Delivered {
            id,
            source: chain(data)?,
            value: value(data)?,
            transaction: log.transaction_hash?.0.to_vec(),
            call: match data.number(3)? {
                0 => Call::None,
                1 => Call::Ok,
                2 => Call::Failed,
                _ => return None,
            },
        }),
        Event::Voided => {
            let (code, text) = void_reason(&data.text(1)?);
            Some(ChainEvent::Voided { id, source: chain(data)?, code, text })
        }
        Event::Closed => {
            Some(ChainEvent::Closed { id, destination: chain(data)?, value: value(data)? })
        }
        Event::Refunded => Some(ChainEvent::Refunded { id }),
        Event::AccountSet => {
            let (terms, limits) = abi::terms_and_limits(data, 2)?;
            Some(ChainEvent::AccountSet { chain: chain(data)?, asset: asset(data)?, terms, limits })
        }
        Event::ReserveChanged => Some(ChainEvent::ReserveChanged {
            chain: chain(data)?,
            asset: asset(data)?,
            change: abi::change(data.word(2)?),
            by: data_encoding::HEXLOWER.encode(&topic[12..]),
            note: shown(&data.text(3)?),
        }),
        Event::Sent | Event::Skipped | Event::Approved => None,
    }
}

/// Whether the source of an end is some text, but no chain-id.
fn names_no_chain(event: Event, log: &LogEntry) -> bool {
    let source = Words::new(&log.data.0).text(0);
    matches!(event, Event::Delivered | Event::Voided)
        && source.is_some_and(|text| text.parse::<ChainId>().is_err())
}

fn chain(data: Words<'_>) -> Option<ChainId> {
    data.text(0)?.parse().ok()
}

fn asset(data: Words<'_>) -> Option<Asset> {
    data.text(1)?.parse().ok()
}

/// A note of the contract's owner, as it can be shown anywhere.
fn shown(note: &str) -> String {
    note.chars().filter(|c| !c.is_control()).take(NOTE_CHARS_MAX).collect()
}

/// `(asset, amount)` at the heads 1 and 2; the inner option is a message without value.
#[expect(clippy::option_option, reason = "malformed, no value and a value are three answers")]
fn value(data: Words<'_>) -> Option<Option<Value>> {
    let amount = Amount::from_word(data.word(2)?);
    if amount.is_zero() {
        return Some(None);
    }
    Some(Some(Value { asset: asset(data)?, amount, terms: None }))
}

/// `<code> <text>`; what another gateway wrote without one is taken for a refusal by policy.
pub(super) fn reason(text: &str) -> (Code, String) {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    match code.parse() {
        Ok(code) => (code, rest.to_owned()),
        Err(_) => (Code::POLICY, text.to_owned()),
    }
}

/// The same, fit for a receipt whatever another gateway wrote.
fn void_reason(text: &str) -> (Code, String) {
    let (code, rest) = reason(text);
    let (code, rest) = if code.may_void() { (code, rest) } else { (Code::POLICY, text.to_owned()) };
    (code, Reply::new(code, rest).text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_void_by_any_gateway_has_a_reason_that_a_receipt_can_carry() {
        let read = |text: &str| void_reason(text);
        assert_eq!(read("5.3.0 call reverts"), (Code::CALL_REVERTS, "call reverts".into()));
        assert_eq!(read("5.4.7"), (Code::EXPIRED, String::new()));
        assert_eq!(read("4.2.1 short"), (Code::POLICY, "4.2.1 short".into()));
        assert_eq!(read("5.7.26 proof"), (Code::POLICY, "5.7.26 proof".into()));
        assert_eq!(read(""), (Code::POLICY, String::new()));
        assert_eq!(read(&"x".repeat(212)).1.len(), Reply::TEXT_MAX);
    }
}
