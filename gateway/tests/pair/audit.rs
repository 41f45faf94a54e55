//! The end of every story: both contracts' own word on each message, and every wei.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use alloy_primitives::{Address, I256, U256};
use distpos_proto::message::{Message, MessageId};

use crate::{
    contract::{Arg, Book, Contract, Entry, Events, Guard, Kind},
    daemon::until,
    engine,
    world::{Account, ENDED_WITHIN, Pair, Side},
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

/// The vault, the books, the user and the recipients of one side, in every asset.
fn money(side: &Side, own: &Events, other: &Side, theirs: &Events) {
    for account in &side.accounts {
        money_in(side, own, other, theirs, account);
    }
}

fn money_in(side: &Side, own: &Events, other: &Side, theirs: &Events, account: &Account) {
    let (chain, asset) = (side.chain, account.asset);
    let out: U256 = own.of(Kind::Closed).map(|id| value(&own.sent[&id], asset)).sum();
    let into: U256 = own.of(Kind::Delivered).map(|id| value(&theirs.sent[&id], asset)).sum();
    let contract = side.contract();
    let token = [Arg::address(account.token)];
    let owed = contract.number("owed(address)", &token);
    let escrow = contract.number("openEscrow(address)", &token);
    assert_eq!(escrow, U256::ZERO, "the escrow of {asset} at {chain}");
    let changes = || own.reserves.iter().filter(|change| change.asset == asset);
    let deposits = || changes().filter(|change| change.note.is_empty());
    let deposited: U256 = deposits().map(|deposit| deposit.change.unsigned_abs()).sum();
    // Settlements move what is there already: no story has one paid out.
    let vault = account.float + out - into + owed + deposited;
    let holds = |holder: Address| held(side, account.token, holder);
    assert_eq!(holds(side.contract), vault, "the vault of {asset} at {chain}");
    let reserve = changes().map(|change| change.change).sum::<I256>();
    let (received, sent, pending_out) = (into, out, U256::ZERO);
    let expected = Book { reserve: reserve.into_raw(), received, sent, pending_out };
    let book = contract.book(other.chain, asset);
    assert_eq!(book, expected, "the book of {asset} at {chain}");
    // Each token backs one account here.
    let covered = contract.number("coveredOf(address)", &token);
    assert_eq!(covered, book.cover(), "what of {asset} belongs to {} at {chain}", other.chain);

    let mut got: BTreeMap<Address, U256> = BTreeMap::new();
    for id in own.of(Kind::Delivered) {
        let message = &theirs.sent[&id];
        let recipient = format!("0x{}", message.fields().recipient).parse().unwrap();
        *got.entry(recipient).or_default() += value(message, asset);
    }
    let user = side.user.address;
    let to_user = got.remove(&user).unwrap_or_default();
    for (recipient, expected) in got {
        assert_eq!(holds(recipient), expected, "what {recipient} of {chain} got of {asset}");
    }
    // Stories that hand out tokens know themselves who has how many.
    if account.token.is_zero() {
        let name = local(user);
        let by_user = own.of(Kind::Closed).map(|id| &own.sent[&id]);
        let by_user = by_user.filter(|message| message.fields().sender.as_str() == name);
        let paid: U256 = by_user.map(|message| value(message, asset)).sum();
        let by_user = deposits().filter(|deposit| deposit.by == user);
        let reserved: U256 = by_user.map(|deposit| deposit.change.unsigned_abs()).sum();
        let expected = side.user_money - paid - reserved - fees(side) + to_user;
        assert_eq!(holds(user), expected, "what the user of {chain} has");
    }
}

fn held(side: &Side, token: Address, holder: Address) -> U256 {
    if token.is_zero() {
        return side.balance(holder);
    }
    let token = Contract { node: &side.node, address: token };
    token.number("balanceOf(address)", &[Arg::address(holder)])
}

/// What the user's transactions cost; those that no block has any more cost nothing.
fn fees(side: &Side) -> U256 {
    let receipts = side.user.signed().into_iter().filter_map(|hash| side.receipt_now(&hash));
    let costs = receipts.map(|receipt| {
        let [gas, price] =
            ["gasUsed", "effectiveGasPrice"].map(|key| engine::number(&receipt[key]));
        U256::from(gas) * U256::from(price)
    });
    costs.sum()
}

/// What a message carries of an asset.
fn value(message: &Message, asset: &str) -> U256 {
    let value = message.fields().value.as_ref().filter(|value| value.asset.as_str() == asset);
    value.map_or(U256::ZERO, |value| U256::from_be_bytes(value.amount.to_word()))
}

fn local(account: Address) -> String {
    alloy_primitives::hex::encode(account)
}
