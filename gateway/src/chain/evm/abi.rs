//! The contract's functions and events in Solidity's ABI: only the shapes that are used.

use alloy_primitives::{Address, B256, I256, U256, keccak256};
use distpos_proto::{
    account::{Change, Limits, Window},
    address::Local,
    amount::Amount,
    chain::{ChainId, GenesisTag},
    message::{Asset, Message, MessageId, OnFail, TermsHash},
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

/// `setAccount(…)`: terms and limits of the account with a chain in one asset.
pub(super) fn set_account(chain: ChainId, account: &TokenAccount) -> Vec<u8> {
    let TokenAccount { asset, token, terms, limits } = account;
    let (most, seconds) = limits.window.map_or_else(Default::default, |of| (of.max, of.seconds));
    let items = [
        Arg::text(&chain.to_string()),
        Arg::text(asset.as_str()),
        Arg::address(*token),
        Arg::Word(terms.map_or([0; 32], |terms| terms.0)),
        Arg::amount(limits.credit_limit),
        Arg::amount(most),
        Arg::number(seconds),
    ];
    call("setAccount(string,string,address,bytes32,uint256,uint256,uint64)", &items)
}

/// `deposit(…)`: of the coin with the value beside it, of a token after an allowance.
pub(super) fn deposit(chain: ChainId, asset: &Asset, amount: Amount) -> Vec<u8> {
    let items = [Arg::text(&chain.to_string()), Arg::text(asset.as_str()), Arg::amount(amount)];
    call("deposit(string,string,uint256)", &items)
}

/// `settle(…)`; none if the change has no place in an `int256`.
pub(super) fn settle(
    chain: ChainId,
    asset: &Asset,
    change: Change,
    to: Address,
    note: &str,
) -> Option<Vec<u8>> {
    let items = [
        Arg::text(&chain.to_string()),
        Arg::text(asset.as_str()),
        Arg::Word(word_of(change)?),
        Arg::address(to),
        Arg::text(note),
    ];
    Some(call("settle(string,string,int256,address,string)", &items))
}

/// A change as an `int256`.
fn word_of(change: Change) -> Option<[u8; 32]> {
    let sum = |amount: Amount| I256::try_from(U256::from_be_bytes(amount.to_word())).ok();
    let change = match change {
        Change::Added(amount) => sum(amount)?,
        Change::Taken(amount) => sum(amount)?.checked_neg()?,
    };
    Some(change.into_raw().to_be_bytes())
}

/// The change that an `int256` says.
pub(super) fn change(word: [u8; 32]) -> Change {
    let change = I256::from_raw(U256::from_be_bytes(word));
    let amount = Amount::from_word(change.unsigned_abs().to_be_bytes());
    if change.is_negative() { Change::Taken(amount) } else { Change::Added(amount) }
}

/// A limit as the contract keeps it: 2^128 - 1 and more is none.
pub(super) fn limit(word: [u8; 32]) -> Amount {
    let limit = Amount::from_word(word);
    if limit.to_u128().is_some_and(|limit| limit < u128::MAX) { limit } else { Amount::MAX }
}

/// Terms and limits, as `AccountSet` and `accountOf` give them from the head `at` on.
pub(super) fn terms_and_limits(data: Words<'_>, at: usize) -> Option<(Option<TermsHash>, Limits)> {
    let terms = Some(data.word(at)?).filter(|terms| *terms != [0; 32]).map(TermsHash);
    let (max, seconds) = (limit(data.word(at + 2)?), data.number(at + 3)?);
    let window = (seconds != 0).then_some(Window { max, seconds });
    Some((terms, Limits { credit_limit: limit(data.word(at + 1)?), window }))
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
    AccountSet,
    ReserveChanged,
}

impl Event {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Sent, "Sent(bytes32,bytes)"),
        (Self::Delivered, "Delivered(bytes32,string,string,uint256,uint8)"),
        (Self::Voided, "Voided(bytes32,string,string)"),
        (Self::Skipped, "Skipped(bytes32,string)"),
        (Self::Closed, "Closed(bytes32,string,string,uint256)"),
        (Self::Refunded, "Refunded(bytes32)"),
        (Self::Approved, "Approved(bytes32,address,uint8,bytes)"),
        (Self::AccountSet, "AccountSet(string,string,address,bytes32,uint256,uint256,uint64)"),
        (Self::ReserveChanged, "ReserveChanged(string,string,address,int256,string)"),
    ];

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(event, _)| *event)
    }

    pub(super) fn topic(self) -> B256 {
        let found = Self::ALL.iter().find(|(event, _)| *event == self);
        keccak256(found.expect("every event is in the table").1)
    }

    /// The event of a first topic; none for those that are neither a message's nor an account's.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_what_its_word_says() {
        let most = Amount::from_word(I256::MAX.into_raw().to_be_bytes());
        for changed in [
            Change::Added(Amount::from(7u64)),
            Change::Taken(Amount::from(7u64)),
            Change::Added(most),
            Change::Taken(most),
        ] {
            assert_eq!(change(word_of(changed).unwrap()), changed);
        }
        assert_eq!(word_of(Change::Taken(Amount::from(1u64))), Some([255; 32]));
        // No contract says so; the sum of a node's garbage is still a sum.
        let least = change(I256::MIN.into_raw().to_be_bytes());
        assert_eq!(least, Change::Taken(most.checked_add(Amount::from(1u64)).unwrap()));
        for none in [Change::Added(Amount::MAX), Change::Taken(Amount::MAX)] {
            assert_eq!(word_of(none), None);
        }
    }

    #[test]
    fn a_limit_that_the_contract_cannot_hold_is_none() {
        assert_eq!(limit(Amount::from(u128::MAX - 1).to_word()), Amount::from(u128::MAX - 1));
        for none in [Amount::from(u128::MAX), Amount::MAX] {
            assert_eq!(limit(none.to_word()), Amount::MAX);
        }
    }
}
