//! The end of every story: both contracts' own word on each message, and every wei.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use alloy_primitives::{Address, U256};
use distpos_proto::message::{Message, MessageId};

use crate::{
    contract::{Arg, Entry, Events, Guard, Kind},
    daemon::until,
    engine,
    world::{ASSET, ENDED_WITHIN, FLOAT, Pair, Side},
};

/// How often both chains are looked through for what is open.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the audit found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) delivered: usize,
    pub(crate) refunded: usize,
}

/// Waits until everything that left has ended where it left, and its end is in the last block.
/// Then every message must have ended once and alike on both sides, and no wei be lost or made.
pub(crate) fn audit(pair: &Pair) -> Ends {
    audit_within(pair, ENDED_WITHIN)
}

/// The same where retries may have been put off for longer.
pub(crate) fn audit_within(pair: &Pair, time_max: Duration) -> Ends {
    until("everything that left has ended", time_max, || {
        let open: usize = pair.sides().iter().map(|(side, _)| open(side)).sum();
        if open != 0 {
            thread::sleep(LOOK_EVERY);
        }
        (open == 0).then_some(())
    });
    let [a, b] = [&pair.a, &pair.b].map(|side| side.contract().events(side.start));
    let mut ends = Ends::default();
    one_way(&pair.a, &a, &pair.b, &b, &mut ends);
    one_way(&pair.b, &b, &pair.a, &a, &mut ends);
    money(&pair.a, &a, &pair.b, &b);
    money(&pair.b, &b, &pair.a, &a);
    println!("audit: {ends:?}");
    ends
}

/// Messages from one side that have not ended.
fn open(side: &Side) -> usize {
    let events = side.contract().events(side.start);
    let ended = events.of(Kind::Closed).count() + events.of(Kind::Refunded).count();
    events.sent.len().saturating_sub(ended)
}

/// Messages from one side: each has one end, the same there and here.
fn one_way(from: &Side, sent: &Events, to: &Side, there: &Events, ends: &mut Ends) {
    let chain = from.chain;
    let all: BTreeSet<MessageId> = sent.sent.keys().copied().collect();
    for (events, what) in [(sent, "at its source"), (there, "where it went")] {
        for ((kind, id), count) in &events.counts {
            assert_eq!(*count, 1, "{id} of {chain} is {kind:?} {count} times {what}");
        }
    }
    let (closed, refunded) = (set(sent, Kind::Closed), set(sent, Kind::Refunded));
    let (delivered, voided) = (set(there, Kind::Delivered), set(there, Kind::Voided));
    assert_eq!(&closed | &refunded, all, "everything that left {chain} has ended");
    assert_eq!(closed, delivered, "what {chain} closed is what {} delivered", to.chain);
    assert_eq!(refunded, voided, "what {chain} refunded is what {} voided", to.chain);
    for id in &all {
        let expected = match delivered.contains(id) {
            true => (Entry::Closed, Guard::Delivered),
            false => (Entry::Refunded, Guard::Void),
        };
        assert_eq!((from.contract().entry(*id), to.contract().guard(*id)), expected, "{id}");
    }
    ends.delivered += closed.len();
    ends.refunded += refunded.len();
}

fn set(events: &Events, kind: Kind) -> BTreeSet<MessageId> {
    events.of(kind).collect()
}

/// The vault, the books, the user and the recipients of one side.
fn money(side: &Side, own: &Events, other: &Side, theirs: &Events) {
    let chain = side.chain;
    let sum = |messages: &mut dyn Iterator<Item = &Message>| -> U256 {
        messages.map(value).fold(U256::ZERO, |sum, value| sum + value)
    };
    let out = sum(&mut own.of(Kind::Closed).map(|id| &own.sent[&id]));
    let into = sum(&mut own.of(Kind::Delivered).map(|id| &theirs.sent[&id]));
    let contract = side.contract();
    let coin = [Arg::address(Address::ZERO)];
    let owed = contract.number("owed(address)", &coin);
    assert_eq!(contract.number("openEscrow(address)", &coin), U256::ZERO, "the escrow of {chain}");
    let vault = U256::from(FLOAT) + out - into + owed;
    assert_eq!(side.balance(side.contract), vault, "the vault of {chain}");
    assert_eq!(contract.book(other.chain, ASSET), (into, out), "the book of {chain}");

    let user = side.user.address;
    let by_user = own.of(Kind::Closed).map(|id| &own.sent[&id]);
    let name = local(user);
    let paid = sum(&mut by_user.filter(|message| message.fields().sender.as_str() == name));
    let mut got: BTreeMap<Address, U256> = BTreeMap::new();
    for id in own.of(Kind::Delivered) {
        let message = &theirs.sent[&id];
        let account = format!("0x{}", message.fields().recipient).parse().unwrap();
        *got.entry(account).or_default() += value(message);
    }
    let to_user = got.remove(&user).unwrap_or_default();
    let expected = side.user_money - paid - fees(side) + to_user;
    assert_eq!(side.balance(user), expected, "what the user of {chain} has");
    for (account, expected) in got {
        assert_eq!(side.balance(account), expected, "what {account} of {chain} got");
    }
}

/// What the user's transactions cost; those that no block has any more cost nothing.
fn fees(side: &Side) -> U256 {
    let receipts = side.user.signed().into_iter().filter_map(|hash| side.receipt_now(&hash));
    let costs = receipts.map(|receipt| {
        let [gas, price] =
            ["gasUsed", "effectiveGasPrice"].map(|key| engine::number(&receipt[key]));
        U256::from(gas) * U256::from(price)
    });
    costs.fold(U256::ZERO, |sum, cost| sum + cost)
}

fn value(message: &Message) -> U256 {
    U256::from_be_bytes(message.amount().to_word())
}

fn local(account: Address) -> String {
    alloy_primitives::hex::encode(account)
}
