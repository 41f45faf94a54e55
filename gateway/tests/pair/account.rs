//! The account of two communities as their operators see it: used up, asked for, paid into, raised
//! and lowered; and in the end the books of both sides say the same, entry by entry.

use std::{collections::BTreeSet, fs};

use alloy_primitives::{U256, hex};
use distpos_gateway::submit::Outcome;
use distpos_proto::message::{Message, MessageId};
use serde_json::{Value as Json, json};

use crate::{
    audit::{Ends, audit},
    contract::{Arg, encoded},
    daemon::until,
    engine::Engine,
    exhausted::{delivered, waits},
    there_and_back::ECHO,
    world::{ASSET, ENDED_WITHIN, ETHER, Order, Pair, Side, newcomer},
};

/// A tenth of an ether.
const TENTH: u128 = ETHER / 10;
/// More entries than any story makes.
const ENTRIES: &str = "1000";

#[test]
#[ignore = "needs anvil"]
fn an_account_is_used_up_and_paid_into_and_both_books_agree() {
    let pair = Pair::prepared(Engine::Anvil, 1);
    let (a, b) = (&pair.a, &pair.b);
    b.owner_at(&["account", "e2e4", ASSET, "--credit-limit", "2eth"]);
    // The table of the peer is the last in the file. Two calls of the story do not fit at once.
    append(b, "gas_max = 700_000\ngas_window = \"60s\"\n");
    pair.start_gateways();

    // 1.6 of 2 ether: the account is strained, and A's operator is asked for so much that half of
    // it would be used.
    let first = pay(a, 1, 16);
    a.ends(&first, Outcome::Delivered);
    let asked = a.account_when("B's request came", |one| !one["request_received"].is_null());
    let wanted = tenths(12);
    assert_eq!(asked["request_received"]["wanted"], wanted, "{asked}");
    let asking = b.account_when("A has taken it", |one| {
        !one["request_sent"]["sending"]["taken_ms"].is_null()
    });
    assert_eq!((&asking["state"], &asking["used_percent"]), (&json!("strained"), &json!(80)));
    assert_eq!(asking["request_sent"]["wanted"], wanted, "{asking}");
    let event = format!("reserve-asked chain=b1c2 asset={ASSET} wanted={wanted}");
    assert!(a.gateway().log().contains(&event), "{event}");

    // More than there is room for; what would fit waits its turn behind it.
    let waiting = [pay(a, 2, 10), pay(a, 3, 4), pay(a, 4, 8)];
    waiting.iter().for_each(|message| waits(b, message));
    let stands = b.account_when("all three wait", |one| one["waiting"] == 3);
    assert_eq!((&stands["state"], &stands["room"]), (&json!("exhausted"), &json!(tenths(4))));
    assert_eq!(stands["pending_in"], "0", "nothing is set aside for who waits");
    let note = Order { to: &newcomer("b1c2", 5), value: 0, data: b"a note", gas: 0 };
    a.ends(&a.send(&note), Outcome::Delivered);

    // A's community pays what it was asked for, at B: 14 of 16 tenths go on, 22 would not fit.
    let reserve = ["reserve", "e2e4", "--asset", ASSET, "--amount", &wanted, "--wait"];
    let paid = b.command(&reserve);
    assert!(paid.status.success(), "{paid:?}");
    a.ends(&waiting[0], Outcome::Delivered);
    a.ends(&waiting[1], Outcome::Delivered);
    waits(b, &waiting[2]);

    calls_have_a_budget(a, b);

    // B's owner trusts A with more, and the last goes on. Something comes back, too.
    limit(b, "5eth");
    a.ends(&waiting[2], Outcome::Delivered);
    let back = b.send(&Order::payment(&newcomer("e2e4", 6), 3 * TENTH));
    b.ends(&back, Outcome::Delivered);

    let sent = [&first, &waiting[0], &waiting[1], &waiting[2]].map(Message::id);
    assert_eq!(delivered(b, &sent), sent, "in the order in which they were sent");
    assert_eq!(audit(&pair), Ends { delivered: 8, refunded: 0 });
    books_agree(a, b, &sent);
    books_agree(b, a, &[back.id()]);
}

/// Without value, and both at once more than the budget has: one waits for gas, and comes.
fn calls_have_a_budget(a: &Side, b: &Side) {
    let executor = b.contract().view("executor()", &[]);
    let word: [u8; 32] = executor[..32].try_into().unwrap();
    let echo = b.deploy_example(ECHO, &encoded(&[Arg::Word(word), Arg::address(b.contract)]));
    let to = format!("b1c2x{}", hex::encode(echo));
    let order = Order { to: &to, value: 0, data: b"a call", gas: 500_000 };
    let signed = [a.order(&order), a.order(&order)];
    signed.iter().for_each(|signed| a.broadcast(signed));
    let calls = signed.map(|signed| a.contract().sent_by(&a.receipt(&signed)).unwrap());
    until("one waits for gas", ENDED_WITHIN, || {
        let views = calls.iter().filter_map(|call| b.gateway().message(call.id()));
        let mut codes = views.filter_map(|view| view.code);
        codes.any(|code| code == "4.2.2").then_some(())
    });
    calls.iter().for_each(|call| _ = a.ends(call, Outcome::Delivered));
}

#[test]
#[ignore = "needs anvil"]
fn a_limit_on_the_chain_is_the_limit_of_the_gateway() {
    let pair = Pair::running(Engine::Anvil);
    let (a, b) = (&pair.a, &pair.b);
    let first = pay(a, 1, 10);
    a.ends(&first, Outcome::Delivered);

    // Lowered to less than is owed already: nothing is taken back, and nothing more passes.
    limit(b, "0.5eth");
    let second = pay(a, 2, 1);
    waits(b, &second);
    assert_eq!(b.account_when("it waits", |one| one["waiting"] == 1)["room"], "0");
    // Raised, but not far enough.
    limit(b, "1eth");
    waits(b, &second);
    let note = Order { to: &newcomer("b1c2", 3), value: 0, data: b"a note", gas: 0 };
    a.ends(&a.send(&note), Outcome::Delivered);
    limit(b, "1.1eth");
    a.ends(&second, Outcome::Delivered);

    // The other operator's limit is its own.
    assert_eq!(a.contract().credit_limit("b1c2", ASSET), U256::from(100 * ETHER));
    assert_eq!(audit(&pair), Ends { delivered: 3, refunded: 0 });
    books_agree(a, b, &[first.id(), second.id()]);
}

/// The owner changes the credit limit of the other side, by the gateway's own configuration; the
/// gateway follows the chain.
fn limit(side: &Side, to: &str) {
    side.owner_at(&["account", "e2e4", ASSET, "--credit-limit", to]);
    let on_chain = side.contract().credit_limit("e2e4", ASSET).to_string();
    side.account_when("the gateway follows", |one| one["credit_limit"] == on_chain.as_str());
}

/// Both contracts and both journals say the same of what went from one side to the other.
fn books_agree(from: &Side, to: &Side, sent: &[MessageId]) {
    let (at_from, at_to) =
        (from.contract().book(to.chain, ASSET), to.contract().book(from.chain, ASSET));
    assert_eq!(at_from.sent, at_to.received, "from {} to {}", from.chain, to.chain);
    assert_eq!(at_from.pending_out, U256::ZERO);
    let received = at_to.received.to_string();

    // The gateways are as far as their chains are final.
    let entries = |side: &Side, other: &Side, act: &str| -> BTreeSet<(String, String)> {
        let shown = side.operator(&["show", other.chain, ASSET, "--entries", ENTRIES]);
        let journal = shown["journal"].as_array().unwrap();
        assert_eq!(shown["entries"], journal.len(), "all of it is shown");
        let of_act = journal.iter().filter(|entry| entry["act"] == act);
        let text = |entry: &Json, key: &str| entry[key].as_str().unwrap().to_owned();
        let found: Vec<_> =
            of_act.map(|entry| (text(entry, "message"), text(entry, "amount"))).collect();
        let once: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(once.len(), found.len(), "{} has each {act} once", side.chain);
        once
    };
    from.account_when("the last is closed", |one| one["sent"] == received.as_str());
    to.account_when("the last is committed", |one| one["received"] == received.as_str());
    let committed = entries(to, from, "commit");
    let ids: BTreeSet<_> = committed.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, sent.iter().map(ToString::to_string).collect(), "what {} got", to.chain);
    assert_eq!(entries(from, to, "close"), committed, "entry by entry");
    for (side, book) in [(from, at_from), (to, at_to)] {
        let figures = [
            ("reserve", book.reserve),
            ("received", book.received),
            ("sent", book.sent),
            ("pending_out", book.pending_out),
            ("pending_in", U256::ZERO),
        ];
        side.account_when(&format!("it is {book:?}"), |one| {
            figures.iter().all(|(name, on_chain)| one[*name] == on_chain.to_string())
        });
    }

    // The statement of who got it matches the books of who sent it.
    to.operator(&["statement", from.chain, ASSET, "--now", "--reason", "the story ends"]);
    until("the statement came and matches", ENDED_WITHIN, || {
        let came = &from.operator(&["statement", to.chain, ASSET])["received"];
        let is_new = came["received"] == received.as_str() && came["count"] == sent.len();
        (is_new && came["comparison"] == "matches").then_some(())
    });
}

fn pay(from: &Side, number: usize, tenths: u128) -> Message {
    from.send(&Order::payment(&newcomer("b1c2", number), tenths * TENTH))
}

/// So many tenths of an ether, as commands print them.
fn tenths(count: u128) -> String {
    (count * TENTH).to_string()
}

/// The operator adds to the end of the configuration.
fn append(side: &Side, text: &str) {
    let file = side.gateway().config_file();
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, before + text).unwrap();
}
