//! The contract as anybody can read it, without the gateway's code.

use std::collections::BTreeMap;

use alloy_primitives::{Address, I256, U256, hex, keccak256};
use distpos_proto::message::{Message, MessageId};
use serde_json::{Value as Json, json};

use crate::engine::Node;

/// An argument.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Word([u8; 32]),
    Bytes(&'a [u8]),
}

impl Arg<'_> {
    pub(crate) fn number(value: u64) -> Self {
        Self::Word(U256::from(value).to_be_bytes())
    }

    pub(crate) fn address(value: Address) -> Self {
        Self::Word(value.into_word().0)
    }
}

/// A call's input.
pub(crate) fn input(signature: &str, arguments: &[Arg<'_>]) -> Vec<u8> {
    let mut out = keccak256(signature)[..4].to_vec();
    out.extend(encoded(arguments));
    out
}

/// Arguments without a selector.
pub(crate) fn encoded(arguments: &[Arg<'_>]) -> Vec<u8> {
    let (mut heads, mut tails) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument {
            Arg::Word(word) => heads.extend(word),
            Arg::Bytes(bytes) => {
                let offset = arguments.len() * 32 + tails.len();
                heads.extend(U256::from(offset).to_be_bytes::<32>());
                tails.extend(U256::from(bytes.len()).to_be_bytes::<32>());
                tails.extend(*bytes);
                tails.resize(tails.len().next_multiple_of(32), 0);
            }
        }
    }
    heads.extend(tails);
    heads
}

/// `send(…)` of the outbox.
pub(crate) fn send_input(to: &str, data: &[u8], gas: u64, on_fail: u8, expires: u64) -> Vec<u8> {
    let numbers = [gas, u64::from(on_fail), expires].map(Arg::number);
    let texts = [Arg::Bytes(to.as_bytes()), Arg::Bytes(data)];
    input("send(string,bytes,uint64,uint8,uint64)", &[&texts[..], &numbers].concat())
}

/// How a message stands in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    None,
    Open,
    Closed,
    Refunded,
}

/// How a message stands in the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    None,
    Delivered,
    Void,
}

/// An event that concerns a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Sent,
    Delivered,
    Voided,
    Closed,
    Refunded,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Sent, "Sent(bytes32,bytes)"),
    (Kind::Delivered, "Delivered(bytes32,string,string,uint256,uint8)"),
    (Kind::Voided, "Voided(bytes32,string,string)"),
    (Kind::Closed, "Closed(bytes32,string,string,uint256)"),
    (Kind::Refunded, "Refunded(bytes32)"),
];

/// A contract at a node.
#[derive(Clone, Copy)]
pub(crate) struct Contract<'a> {
    pub(crate) node: &'a Node,
    pub(crate) address: Address,
}

/// The figures that a contract keeps of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) reserve: U256,
    /// Delivered here from the peer.
    pub(crate) received: U256,
    /// Delivered there from here.
    pub(crate) sent: U256,
    pub(crate) pending_out: U256,
}

impl Book {
    /// What belongs to the peer.
    pub(crate) fn cover(&self) -> U256 {
        (self.sent + self.reserve).saturating_sub(self.received)
    }
}

/// A change of a reserve.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    pub(crate) asset: String,
    pub(crate) by: Address,
    pub(crate) change: I256,
    /// Empty for a deposit.
    pub(crate) note: String,
}

const RESERVE: &str = "ReserveChanged(string,string,address,int256,string)";

/// All that ever happened to messages and reserves.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Those that left.
    pub(crate) sent: BTreeMap<MessageId, Message>,
    /// What was deposited and settled.
    pub(crate) reserves: Vec<Reserve>,
    /// Every event of a message, in the order of the chain.
    pub(crate) order: Vec<(Kind, MessageId)>,
    /// How often each event names each message.
    pub(crate) counts: BTreeMap<(Kind, MessageId), usize>,
}

impl Events {
    /// Ids that an event names, each once.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = MessageId> {
        self.counts.keys().filter(move |(of, _)| *of == kind).map(|(_, id)| *id)
    }
}

impl Contract<'_> {
    /// The words of a view's answer.
    pub(crate) fn view(&self, signature: &str, arguments: &[Arg<'_>]) -> Vec<u8> {
        let data = format!("0x{}", hex::encode(input(signature, arguments)));
        let call = json!([{"to": self.address.to_string(), "data": data}, "latest"]);
        hex::decode(self.node.call("eth_call", &call).as_str().unwrap()).unwrap()
    }

    pub(crate) fn number(&self, signature: &str, arguments: &[Arg<'_>]) -> U256 {
        word(&self.view(signature, arguments), 0)
    }

    pub(crate) fn text(&self, signature: &str) -> String {
        let answer = self.view(signature, &[]);
        let length: usize = word(&answer, 1).to();
        String::from_utf8(answer[64..64 + length].to_vec()).unwrap()
    }

    pub(crate) fn entry(&self, id: MessageId) -> Entry {
        match word(&self.view("sent(bytes32)", &[Arg::Word(id.0)]), 1).to::<u64>() {
            0 => Entry::None,
            1 => Entry::Open,
            2 => Entry::Closed,
            3 => Entry::Refunded,
            other => panic!("state {other} of {id}"),
        }
    }

    pub(crate) fn guard(&self, id: MessageId) -> Guard {
        match self.number("guard(bytes32)", &[Arg::Word(id.0)]).to::<u64>() {
            0 => Guard::None,
            1 => Guard::Delivered,
            2 => Guard::Void,
            other => panic!("guard {other} of {id}"),
        }
    }

    /// The figures of a peer's account.
    pub(crate) fn book(&self, peer: &str, asset: &str) -> Book {
        let arguments = [Arg::Bytes(peer.as_bytes()), Arg::Bytes(asset.as_bytes())];
        let answer = self.view("bookOf(string,string)", &arguments);
        let [reserve, received, sent, pending_out] = [0, 1, 2, 3].map(|at| word(&answer, at));
        Book { reserve, received, sent, pending_out }
    }

    /// What a peer's account is trusted with.
    pub(crate) fn credit_limit(&self, peer: &str, asset: &str) -> U256 {
        let arguments = [Arg::Bytes(peer.as_bytes()), Arg::Bytes(asset.as_bytes())];
        word(&self.view("accountOf(string,string)", &arguments), 3)
    }

    pub(crate) fn events(&self, from_block: u64) -> Events {
        let topics = KINDS.map(|(kind, signature)| (keccak256(signature).to_string(), kind));
        let filter = json!([{
            "fromBlock": format!("{from_block:#x}"), "toBlock": "latest",
            "address": self.address.to_string(),
        }]);
        let mut events = Events::default();
        for log in self.node.call("eth_getLogs", &filter).as_array().unwrap() {
            let topic = log["topics"][0].as_str().unwrap();
            if topic == keccak256(RESERVE).to_string() {
                events.reserves.push(reserve_of(log));
            }
            let Some((_, kind)) = topics.iter().find(|(known, _)| known == topic) else { continue };
            let id: U256 = log["topics"][1].as_str().unwrap().parse().unwrap();
            let id = MessageId(id.to_be_bytes());
            *events.counts.entry((*kind, id)).or_default() += 1;
            events.order.push((*kind, id));
            if *kind == Kind::Sent {
                let message = message_of(log);
                assert_eq!(message.id(), id, "the event's id is its message's");
                events.sent.insert(id, message);
            }
        }
        events
    }

    /// The message that a transaction sent.
    pub(crate) fn sent_by(&self, receipt: &Json) -> Option<Message> {
        let topic = keccak256(KINDS[0].1).to_string();
        let address = self.address.to_string().to_lowercase();
        let logs = receipt["logs"].as_array()?;
        let log = logs.iter().find(|log| {
            log["address"].as_str().is_some_and(|at| at.to_lowercase() == address)
                && log["topics"][0] == topic.as_str()
        });
        log.map(message_of)
    }
}

fn reserve_of(log: &Json) -> Reserve {
    let data = hex::decode(log["data"].as_str().unwrap()).unwrap();
    let text = |index| {
        let at: usize = word(&data, index).to();
        let length: usize = U256::from_be_slice(&data[at..at + 32]).to();
        String::from_utf8(data[at + 32..at + 32 + length].to_vec()).unwrap()
    };
    let by: U256 = log["topics"][1].as_str().unwrap().parse().unwrap();
    let by = Address::from_word(by.into());
    Reserve { asset: text(1), by, change: I256::from_raw(word(&data, 2)), note: text(3) }
}

fn message_of(log: &Json) -> Message {
    let data = hex::decode(log["data"].as_str().unwrap()).unwrap();
    let length: usize = word(&data, 1).to();
    Message::from_bytes(&data[64..64 + length]).unwrap()
}

fn word(answer: &[u8], index: usize) -> U256 {
    U256::from_be_slice(&answer[index * 32..index * 32 + 32])
}
