//! The contract's functions and events in Solidity's ABI: only the shapes that are used.

use alloy_primitives::{Address, B256, U256, keccak256};
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{ChainId, GenesisTag},
    message::{Message, MessageId, OnFail},
};

use super::TokenAccount;

/// One argument.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    /// 32 bytes in place.
    Word([u8; 32]),
    /// Bytes or a string.
    Bytes(Vec<u8>),
    /// A dynamic array.
    Array(Vec<Self>),
}

impl Arg {
    pub(super) fn number(value: u64) -> Self {
        Self::Word(U256::from(value).to_be_bytes())
    }

    pub(super) fn amount(value: Amount) -> Self {
        Self::Word(value.to_word())
    }

    pub(super) fn text(value: &str) -> Self {
        Self::Bytes(value.into())
    }

    pub(super) fn address(value: Address) -> Self {
        Self::Word(value.into_word().0)
    }

    /// `bytes8`: at the left of its word.
    pub(super) fn tag(value: GenesisTag) -> Self {
        let mut word = [0; 32];
        word[..8].copy_from_slice(&value.0);
        Self::Word(word)
    }

    fn is_dynamic(&self) -> bool {
        !matches!(self, Self::Word(_))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(word) => out.extend(word),
            Self::Bytes(bytes) => {
                out.extend(U256::from(bytes.len()).to_be_bytes::<32>());
                out.extend(bytes);
                out.resize(out.len().next_multiple_of(32), 0);
            }
            Self::Array(items) => {
                out.extend(U256::from(items.len()).to_be_bytes::<32>());
                write_all(items, out);
            }
        }
    }
}

pub(super) fn on_fail(on_fail: OnFail) -> u64 {
    match on_fail {
        OnFail::Return => 0,
        OnFail::Keep => 1,
    }
}

/// Heads, then tails. `out` is always a whole number of words long (a selector stands outside), so
/// that padding can go by its length.
fn write_all(items: &[Arg], out: &mut Vec<u8>) {
    let mut tails = Vec::new();
    for item in items {
        if item.is_dynamic() {
            out.extend(U256::from(items.len() * 32 + tails.len()).to_be_bytes::<32>());
            item.write(&mut tails);
        } else {
            item.write(out);
        }
    }
    out.extend(tails);
}

/// Arguments without a selector, as constructors take them.
pub(super) fn arguments(items: &[Arg]) -> Vec<u8> {
    let mut out = Vec::new();
    write_all(items, &mut out);
    out
}

/// A call's input. `signature` is the function's name and the types of its arguments.
pub(super) fn call(signature: &str, items: &[Arg]) -> Vec<u8> {
    let mut out = keccak256(signature)[..4].to_vec();
    out.extend(arguments(items));
    out
}

/// `deliver(bytes[])`.
pub(super) fn deliver(messages: &[Message]) -> Vec<u8> {
    call("deliver(bytes[])", &[bytes_of_all(messages.iter())])
}

/// `voidMessages(bytes[], string[])`.
pub(super) fn void(messages: &[(Message, String)]) -> Vec<u8> {
    let items = bytes_of_all(messages.iter().map(|(message, _)| message));
    let reasons = messages.iter().map(|(_, reason)| Arg::text(reason)).collect();
    call("voidMessages(bytes[],string[])", &[items, Arg::Array(reasons)])
}

fn bytes_of_all<'a>(messages: impl Iterator<Item = &'a Message>) -> Arg {
    Arg::Array(messages.map(|message| Arg::Bytes(message.bytes().to_vec())).collect())
}

/// `end(bytes32[] closed, bytes32[] refunded)`.
pub(super) fn end(closed: &[MessageId], refunded: &[MessageId]) -> Vec<u8> {
    let words = |ids: &[MessageId]| Arg::Array(ids.iter().map(|id| Arg::Word(id.0)).collect());
    call("end(bytes32[],bytes32[])", &[words(closed), words(refunded)])
}

/// `send(…)`, with the value beside it.
pub(super) fn send(
    destination: ChainId,
    recipient: &Local,
    data: &[u8],
    gas: u64,
    fails: OnFail,
    expires: u64,
) -> Vec<u8> {
    let items = [
        Arg::text(&format!("{destination}x{recipient}")),
        Arg::Bytes(data.to_vec()),
        Arg::number(gas),
        Arg::number(on_fail(fails)),
        Arg::number(expires),
    ];
    call("send(string,bytes,uint64,uint8,uint64)", &items)
}

/// `setPeer(…)`: the chain and its genesis tag.
pub(super) fn set_peer(chain: ChainId, tag: GenesisTag) -> Vec<u8> {
    call("setPeer(string,bytes8)", &[Arg::text(&chain.to_string()), Arg::tag(tag)])
}

/// `setAccount(…)`: what is counted with a chain in one asset, and how far.
pub(super) fn set_account(chain: ChainId, account: &TokenAccount) -> Vec<u8> {
    let items = [
        Arg::text(&chain.to_string()),
        Arg::text(account.asset.as_str()),
        Arg::address(account.token),
        Arg::amount(account.value_max),
        Arg::amount(account.window_max),
        Arg::number(account.window.as_secs()),
    ];
    call("setAccount(string,string,address,uint256,uint256,uint64)", &items)
}

/// The contract's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Sent,
    Delivered,
    Voided,
    Skipped,
    Closed,
    Refunded,
    Approved,
}

impl Event {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Sent, "Sent(bytes32,bytes)"),
        (Self::Delivered, "Delivered(bytes32,string,string,uint256,uint8)"),
        (Self::Voided, "Voided(bytes32,string,string)"),
        (Self::Skipped, "Skipped(bytes32,string)"),
        (Self::Closed, "Closed(bytes32,string,string,uint256)"),
        (Self::Refunded, "Refunded(bytes32)"),
        (Self::Approved, "Approved(bytes32,address,uint8,bytes)"),
    ];

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(event, _)| *event)
    }

    pub(super) fn topic(self) -> B256 {
        let found = Self::ALL.iter().find(|(event, _)| *event == self);
        keccak256(found.expect("every event is in the table").1)
    }

    /// The event of a first topic; none for those that are not a message's.
    pub(super) fn of(topic: &[u8; 32]) -> Option<Self> {
        Self::all().find(|event| event.topic().0 == *topic)
    }
}

/// Reads ABI data. Every offset and length is checked against what is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn word(self, index: usize) -> Option<[u8; 32]> {
        let start = index.checked_mul(32)?;
        self.0.get(start..start.checked_add(32)?)?.try_into().ok()
    }

    pub(super) fn number(self, index: usize) -> Option<u64> {
        u64::try_from(U256::from_be_bytes(self.word(index)?)).ok()
    }

    /// The tail that the head at `index` points to.
    pub(super) fn tail(self, index: usize) -> Option<Self> {
        let start = usize::try_from(self.number(index)?).ok()?;
        self.0.get(start..).map(Self)
    }

    /// The bytes or string that the head at `index` points to.
    pub(super) fn bytes(self, index: usize) -> Option<&'a [u8]> {
        let tail = self.tail(index)?;
        let length = usize::try_from(tail.number(0)?).ok()?;
        tail.0.get(32..)?.get(..length)
    }

    /// Text from the chain is shown, never believed: what is no UTF-8 is replaced.
    pub(super) fn text(self, index: usize) -> Option<String> {
        self.bytes(index).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The array that the head at `index` points to: its length, and what its heads stand in.
    pub(super) fn array(self, index: usize) -> Option<(usize, Self)> {
        let tail = self.tail(index)?;
        let length = usize::try_from(tail.number(0)?).ok()?;
        let items = tail.0.get(32..)?;
        (length <= items.len() / 32).then_some((length, Self(items)))
    }
}

/// What a revert says, in words.
pub(super) fn revert_text(data: &[u8]) -> String {
    let Some((selector, rest)) = data.split_at_checked(4) else {
        return "no reason".into();
    };
    let words = Words::new(rest);
    if selector == &keccak256("Error(string)")[..4]
        && let Some(text) = words.text(0)
    {
        return text.chars().filter(|c| !c.is_control()).take(120).collect();
    }
    if selector == &keccak256("Panic(uint256)")[..4]
        && let Some(code) = words.number(0)
    {
        return format!("panic {code:#x}");
    }
    let own = [
        "NotGateway()",
        "NotOwner()",
        "InsufficientGas()",
        "Reasons()",
        "Reentered()",
        "NotAnAddress()",
        "OwnChain()",
        "DataTooLong()",
        "NotOnFail()",
        "Expires()",
        "NotAChainId()",
        "NotAnAsset()",
        "NoOwner()",
        "Required()",
        "NotPauser()",
        "IsPaused()",
        "NoPeer()",
        "NoAccount()",
        "OtherToken()",
        "NothingArrived()",
        "NothingOwed()",
        "TooMuch()",
        "TooManyGateways()",
        "PlainPayment()",
        "PaymentRefused()",
    ];
    let named = own.iter().find(|name| selector == &keccak256(name)[..4]);
    named.map_or_else(
        || format!("custom error 0x{}", data_encoding::HEXLOWER.encode(selector)),
        |name| (*name).to_owned(),
    )
}
