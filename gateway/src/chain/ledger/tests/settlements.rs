//! Reserves: paid in by anybody, settled by the operator, and never spent by another peer.

use distpos_proto::{
    account::{Change, Figures},
    amount::Amount,
    code::Code,
};

use super::support::*;
use crate::chain::{
    ChainError, ChainEvent, LocalChain, Submission, Submitted, ledger::transaction,
};

/// A town without a float of its own, and two peers that have no credit.
async fn towns(float: u64) -> (Town, Town, Town) {
    let mut poor = genesis("b1");
    poor.float = sum(float);
    let (b, a, d) = (Town::new(poor), Town::new(genesis("a1")), Town::new(genesis("d1")));
    b.know(&a, COIN, 0).await;
    b.know(&d, COIN, 0).await;
    (b, a, d)
}

async fn settle(
    town: &Town,
    peer: &Town,
    change: Change,
    to: Option<&str>,
    note: &str,
) -> Result<Submitted, ChainError> {
    let (chain, asset, note) = (peer.facts().chain, asset(COIN), note.to_owned());
    let to = to.map(|to| to.parse().unwrap());
    town.submit(Submission::Settle { chain, asset, change, to, note }).await
}

fn added(amount: u64) -> Change {
    Change::Added(sum(amount))
}

fn taken(amount: u64) -> Change {
    Change::Taken(sum(amount))
}

#[tokio::test]
async fn a_deposit_lets_in_exactly_what_it_is_worth() {
    let (b, a, _) = towns(1_000).await;
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 1)).await, [Code::SUSPENDED]);
    b.deposit(BOB, &a, 100).await.unwrap();
    assert_eq!((b.holds(BOB), b.with(&a).figures.reserve), (400, sum(100)));
    assert_eq!(b.covered_and_float().unwrap(), (sum(100), sum(1_000)));
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 101)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 100)).await, []);
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 1)).await, [Code::SUSPENDED]);
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(1_000)), "the float is untouched");
    b.deposit(ALICE, &a, 1).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 1)).await, []);
    let told: Vec<_> = b
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event {
            ChainEvent::ReserveChanged { change, by, note, .. } => Some((change, by, note)),
            _ => None,
        })
        .collect();
    let by = |seed| local(seed).as_str().to_owned();
    let empty = String::new;
    assert_eq!(told, [(added(100), by(BOB), empty()), (added(1), by(ALICE), empty())]);
    assert_eq!(b.total().unwrap(), sum(2_500));
}

#[tokio::test]
async fn a_deposit_that_cannot_be_made_takes_nothing() {
    let (b, a, d) = towns(0).await;
    let stranger = Town::new(genesis("ee"));
    assert_eq!(code(b.deposit(BOB, &a, 0).await), Code::MALFORMED);
    assert_eq!(code(b.deposit(BOB, &a, 501).await), Code::POLICY);
    assert_eq!(code(b.deposit(BOB, &stranger, 1).await), Code::NO_ACCOUNT);
    assert_eq!(code(b.deposit(CAROL, &a, 1).await), Code::UNKNOWN_RECIPIENT);
    let place = b.place(BOB).await;
    let gold = transaction::deposit(place, chain("a1"), asset("a1/gold"), sum(1), &key(BOB));
    assert_eq!(code(b.user(gold).await), Code::NO_ACCOUNT);
    b.set(&d, COIN, None, credit(0)).await.unwrap();
    assert_eq!(code(b.deposit(BOB, &d, 1).await), Code::NO_ACCOUNT, "it is closed");
    assert_eq!((b.holds(BOB), b.pots().unwrap().1), (500, sum(0)));
    b.deposit(BOB, &a, 500).await.unwrap();
    assert_eq!(b.holds(BOB), 0);
}

#[tokio::test]
async fn the_credit_of_one_peer_is_never_paid_from_the_deposit_of_another() {
    let (b, a, d) = towns(50).await;
    b.deposit(ALICE, &a, 100).await.unwrap();
    b.know(&d, COIN, 1_000).await;
    assert_eq!(b.pots().unwrap().1, sum(150), "there is enough money in the vault");
    let reply = b.simulated(&numbered(&b, &d, 1, 51)).await;
    assert_eq!(reply.code, Code::SUSPENDED);
    assert!(reply.text().contains("float is 50"), "{reply}");
    assert_eq!(b.deliver(&numbered(&b, &d, 1, 51)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &d, 1, 50)).await, []);
    assert_eq!(b.deliver(&numbered(&b, &d, 2, 1)).await, [Code::SUSPENDED]);
    assert_eq!(b.covered_and_float().unwrap(), (sum(100), sum(0)));
    // The one that has paid in gets all of it out, float or no float.
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 100)).await, []);
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(0)));
    // What it owes, a deposit of the debtor refills: the float is the community's again.
    b.deposit(BOB, &d, 60).await.unwrap();
    assert_eq!(b.covered_and_float().unwrap(), (sum(10), sum(50)));
    assert_eq!(b.total().unwrap(), sum(1_550));
}

#[tokio::test]
async fn a_debt_that_was_paid_elsewhere_is_noted_and_makes_room() {
    let (b, a, _) = towns(100).await;
    b.know(&a, COIN, 80).await;
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 80)).await, []);
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 1)).await, [Code::SUSPENDED]);
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(20)));
    settle(&b, &a, added(80), None, "paid in gold on Monday").await.unwrap();
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(20)), "the debt is covered, no more");
    let event = ChainEvent::ReserveChanged {
        chain: chain("a1"),
        asset: asset(COIN),
        change: added(80),
        by: local(AUTHORITY).as_str().to_owned(),
        note: "paid in gold on Monday".into(),
    };
    assert_eq!(b.events().await.pop(), Some(event));
    // Room by the credit limit, and the float to pay it from.
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 21)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 20)).await, []);
    // What is more than the debt becomes a reserve, out of the float: there must be one.
    assert_eq!(code(settle(&b, &a, added(21), None, "why").await), Code::SUSPENDED);
    settle(&b, &a, added(20), None, "why").await.unwrap();
    assert_eq!(b.with(&a).figures.reserve, sum(100));
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(0)));
}

#[tokio::test]
async fn a_deposit_is_given_back_to_an_account_or_becomes_float() {
    let (b, a, _) = towns(0).await;
    b.deposit(ALICE, &a, 100).await.unwrap();
    let bob = local(BOB).to_string();
    settle(&b, &a, taken(60), Some(&bob), "given back").await.unwrap();
    assert_eq!((b.holds(BOB), b.with(&a).figures.reserve), (560, sum(40)));
    assert_eq!(b.covered_and_float().unwrap(), (sum(40), sum(0)));
    settle(&b, &a, taken(10), None, "paid out in cash").await.unwrap();
    assert_eq!(b.covered_and_float().unwrap(), (sum(30), sum(10)));
    // A closed account's reserve is still the peer's.
    b.set(&a, COIN, None, credit(0)).await.unwrap();
    settle(&b, &a, taken(30), Some(&bob), "why").await.unwrap();
    assert_eq!(b.with(&a).figures, Figures::default());
    assert_eq!((b.holds(BOB), b.total().unwrap()), (590, sum(1_500)));
}

#[tokio::test]
async fn a_settlement_that_the_books_do_not_allow_changes_nothing() {
    let (b, a, d) = towns(0).await;
    let stranger = Town::new(genesis("ee"));
    b.deposit(ALICE, &a, 100).await.unwrap();
    b.deposit(ALICE, &d, 100).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 30)).await, []);
    let (alice, carol) = (local(ALICE).to_string(), local(CAROL).to_string());
    let before = (b.head().await.unwrap(), b.correspondents().unwrap());
    let (long, lines) = ("x".repeat(201), "two\nlines");
    for (result, expected) in [
        (settle(&b, &a, taken(101), None, "why").await, Code::POLICY),
        (settle(&b, &a, taken(101), Some(&alice), "why").await, Code::POLICY),
        (settle(&b, &a, Change::Taken(Amount::MAX), Some(&alice), "why").await, Code::POLICY),
        // 30 of it are spent: what arrived is not given back, as if nobody had been paid.
        (settle(&b, &a, taken(71), Some(&alice), "why").await, Code::POLICY),
        (settle(&b, &a, taken(70), Some(&alice), "").await, Code::MALFORMED),
        (settle(&b, &a, added(1), None, "why").await, Code::SUSPENDED),
        (settle(&b, &a, Change::Added(Amount::MAX), None, "why").await, Code::POLICY),
        (settle(&b, &a, added(0), None, "why").await, Code::MALFORMED),
        (settle(&b, &a, taken(0), Some(&alice), "why").await, Code::MALFORMED),
        (settle(&b, &a, added(1), Some(&alice), "why").await, Code::MALFORMED),
        (settle(&b, &a, taken(1), Some(&carol), "why").await, Code::UNKNOWN_RECIPIENT),
        (settle(&b, &a, taken(1), Some("nobody"), "why").await, Code::BAD_ADDRESS),
        (settle(&b, &stranger, taken(1), None, "why").await, Code::NO_ACCOUNT),
        (settle(&b, &a, taken(1), None, &long).await, Code::MALFORMED),
        (settle(&b, &a, taken(1), None, lines).await, Code::MALFORMED),
    ] {
        assert_eq!(code(result), expected);
    }
    assert_eq!((b.head().await.unwrap(), b.correspondents().unwrap()), before);
    settle(&b, &a, taken(70), Some(&alice), &long[1..]).await.unwrap();
    assert_eq!(b.covered_and_float().unwrap(), (sum(100), sum(0)));
}
