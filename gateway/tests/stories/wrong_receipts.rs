//! Receipts and statuses by the wrong hand: nobody is paid back by them.

use std::time::Duration;

use distpos_proto::{
    chain::{Family, Height},
    code::{Code, Reply},
    key::SecretKey,
    message::MessageId,
    receipt::{Call as Outcall, Outcome, Receipt, SignedReceipt, Standing, Status},
    wire::{Request, RequestKind, Response, StatusAnswer},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{FUNDS, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(5 * 60 * 60);

fn refused() -> Outcome {
    Outcome::Refused { code: Code::UNKNOWN_RECIPIENT, text: "no such account".into() }
}

fn delivered() -> Outcome {
    Outcome::Delivered { height: Height(7), transaction: vec![1; 32], call: Outcall::None }
}

fn receipt(id: MessageId, outcome: Outcome) -> Receipt {
    Receipt { id, source: cid("e2e4"), destination: cid("b1c2"), outcome }
}

fn thief() -> SecretKey {
    SecretKey::from_seed(&[66; 32])
}

/// Hands receipts to a gateway of e2e4 as a listed gateway of `from`.
async fn hand(world: &World, a: &Site, from: &str, receipts: Vec<SignedReceipt>) -> Vec<Reply> {
    let pin = world.chains[&cid(from)].pin(1);
    match a.ask(pin, cid(from), &Request::Receipts(receipts)).await {
        Response::Receipts(replies) => replies,
        Response::Refused(reply) => vec![reply],
        other => panic!("{other:?}"),
    }
}

/// Three chains; a message of e2e4 to b1c2 that b1c2 took and does not prove.
async fn accepted(seed: u64) -> (World, [Site; 3], MessageId) {
    let world = World::new(seed, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let sites = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, Family::Ledger));
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    let a = &sites[0];
    world.until("taken", SOON, || a.state(Direction::Outbound, &id) == Some(State::Accepted)).await;
    (world, sites, id)
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_the_destination_did_not_sign_ends_nothing() {
    let (world, [a, b, c], id) = accepted(1).await;
    let own = world.chains[&cid("e2e4")].secrets();
    let third = world.chains[&cid("c3")].secrets();
    let signed_for_another = {
        let mut signed =
            receipt(MessageId([5; 32]), refused()).sign(&[SecretKey::from_seed(&[2; 32])]);
        signed.receipt.id = id;
        signed
    };
    for (who, receipt) in [
        ("a thief", receipt(id, refused()).sign(&[thief()])),
        ("the source itself", receipt(id, refused()).sign(&own)),
        ("a third chain", receipt(id, refused()).sign(&third)),
        ("nobody", receipt(id, refused()).sign(&[])),
        ("for another message", signed_for_another),
    ] {
        let replies = hand(&world, &a, "b1c2", vec![receipt]).await;
        assert_eq!(replies[0].code, Code::SIGNATURE, "{who}: {}", replies[0]);
    }
    // A true signature of a chain whose message it is not.
    let mut foreign = receipt(id, refused());
    foreign.destination = cid("c3");
    let replies = hand(&world, &a, "c3", vec![foreign.sign(&third)]).await;
    assert_eq!((replies[0].code, replies[0].retry_after), (Code::NOT_NOW, Some(60)));
    // A chain that hands in what another chain should have.
    let true_key = world.chains[&cid("b1c2")].secrets();
    let replies = hand(&world, &a, "c3", vec![receipt(id, refused()).sign(&true_key)]).await;
    assert_eq!(replies[0].text(), "a receipt of another chain than the request speaks for");
    // A receipt that was meant for another source.
    let mut elsewhere = receipt(id, refused());
    elsewhere.source = cid("c3");
    let replies = hand(&world, &a, "b1c2", vec![elsewhere.sign(&true_key)]).await;
    assert_eq!((replies[0].code, replies[0].text()), (Code::POLICY, "receipt is for chain c3"));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Accepted));
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b, &c]).await;
    let tally = world.audit(&[&a, &b, &c]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn of_two_outcomes_the_first_stands_and_the_chain_is_frozen() {
    let (world, a, b) = World::pair(2, 5_000).await;
    let good = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    let bad = world.send("e2e4", world.stranger("b1c2"), 40, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let key = world.chains[&cid("b1c2")].secrets();
    for (id, outcome) in [(good, refused()), (bad, delivered())] {
        let before = world.happened("e2e4/1 conflict chain=b1c2 two outcomes");
        let replies = hand(&world, &a, "b1c2", vec![receipt(id, outcome).sign(&key)]).await;
        assert_eq!(replies[0].code, Code::CONFLICT, "{}", replies[0]);
        assert!(a.is_frozen(cid("b1c2")));
        assert_eq!(world.happened("e2e4/1 conflict chain=b1c2 two outcomes"), before + 1);
    }
    // The same outcome once more is no contradiction.
    let again = hand(&world, &a, "b1c2", vec![receipt(good, delivered()).sign(&key)]).await;
    assert_eq!(again[0].code, Code::DELIVERED);
    world.until_empty(SOON, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
    // What comes from there waits now.
    world.send("b1c2", world.user("e2e4"), 5, 0).await;
    world.pass(HOURS).await;
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    a.thaw(cid("b1c2")).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 2, refunded: 1, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_frozen_chains_receipts_end_nothing_until_it_is_thawed() {
    let (world, [a, b, c], id) = accepted(12).await;
    a.gateway.spool.transact(|tx| tx.set_frozen(cid("b1c2"), b"two outcomes")).await.unwrap();
    let key = world.chains[&cid("b1c2")].secrets();
    let replies = hand(&world, &a, "b1c2", vec![receipt(id, delivered()).sign(&key)]).await;
    assert_eq!((replies[0].code, replies[0].retry_after), (Code::NOT_NOW, Some(3600)));
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Accepted));
    // Nor does anything more go there.
    let more = world.send("e2e4", world.user("b1c2"), 5, 0).await;
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(a.state(Direction::Outbound, &more), Some(State::Queued));
    a.thaw(cid("b1c2")).await;
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b, &c]).await;
    world.audit(&[&a, &b, &c]).await;
}

/// One gateway got the receipt, and the signers tell the other one the opposite.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_contradicts_a_siblings_receipt_freezes_too() {
    let (world, a, b) = World::pair(13, 5_000).await;
    let second = world.start("e2e4", 2, Family::Ledger);
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until_empty(SOON, &[&a, &b, &second]).await;
    let key = world.chains[&cid("b1c2")].secrets();
    let mut conflicts = 0;
    for site in [&a, &second] {
        let replies = hand(&world, site, "b1c2", vec![receipt(id, refused()).sign(&key)]).await;
        assert_eq!(replies[0].code, Code::CONFLICT, "{}", replies[0]);
        assert!(site.is_frozen(cid("b1c2")));
        conflicts += 1;
    }
    assert_eq!(world.happened("conflict chain=b1c2 two outcomes"), conflicts);
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250), "closed stays closed");
}

#[tokio::test(start_paused = true)]
async fn a_delivered_receipt_after_a_refund_without_one_changes_nothing() {
    let world = World::new(3, &["e2e4", "b1c2"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    // Nobody has heard of b1c2 yet.
    let anchor = a.book.trusted.lock().unwrap().remove(&cid("b1c2")).unwrap();
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("refunded", SOON, || world.happened(&format!("refunded id={id}")) == 1).await;
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
    // Now it is there, trusted, and tells of a delivery.
    a.book.trusted.lock().unwrap().insert(cid("b1c2"), anchor);
    let b = world.start("b1c2", 1, Family::Ledger);
    world.pass(Duration::from_secs(301)).await;
    let key = world.chains[&cid("b1c2")].secrets();
    let replies = hand(&world, &a, "b1c2", vec![receipt(id, delivered()).sign(&key)]).await;
    assert_eq!(replies[0].code, Code::DELIVERED, "{}", replies[0]);
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
    let figures = a.figures(cid("b1c2"), "e2e4/coin");
    assert_eq!(figures.sent, amount(0), "a later delivery creates no debt");
    world.until_empty(SOON, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
}

/// Answers to `/status` in place of the destination's own.
async fn statuses(seed: u64, answer: fn(MessageId) -> StatusAnswer) {
    let (world, [a, b, c], id) = accepted(seed).await;
    world.network.meddle_with_answers(move |call, body| {
        if call.kind == RequestKind::Status && call.to == cid("b1c2") {
            return Response::Status(vec![answer(id)]).body();
        }
        body
    });
    world.pass(Duration::from_mins(8)).await;
    assert!(world.network.arrived(RequestKind::Status, cid("b1c2")) >= 2);
    let state = a.state(Direction::Outbound, &id);
    assert_eq!(state, Some(State::Accepted), "neither refunded nor sent again");
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    assert_eq!(world.network.arrived(RequestKind::Messages, cid("b1c2")), 1);
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b, &c]).await;
    let tally = world.audit(&[&a, &b, &c]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_status_by_another_hand_moves_nothing() {
    statuses(4, |id| {
        StatusAnswer::Open(Status::sign(id, cid("b1c2"), Standing::Unknown, &thief()))
    })
    .await;
    // Signed by the right key, about another message or for another chain.
    statuses(5, |_| {
        let key = SecretKey::from_seed(&[2; 32]);
        StatusAnswer::Open(Status::sign(MessageId([1; 32]), cid("b1c2"), Standing::Unknown, &key))
    })
    .await;
    statuses(6, |id| {
        let key = SecretKey::from_seed(&[2; 32]);
        let mut status = Status::sign(id, cid("c3"), Standing::Unknown, &key);
        status.destination = cid("b1c2");
        StatusAnswer::Open(status)
    })
    .await;
    statuses(7, |id| StatusAnswer::Ended(receipt(id, refused()).sign(&[thief()]))).await;
    statuses(8, |id| StatusAnswer::Ended(receipt(id, refused()).sign(&[]))).await;
}

/// "Unknown" by the right key means: send it again, and never: pay it back.
#[tokio::test(start_paused = true)]
async fn unknown_sends_again_and_refunds_nothing() {
    let (world, [a, b, c], id) = accepted(9).await;
    world.network.meddle_with_answers(move |call, body| {
        if call.kind == RequestKind::Status && call.to == cid("b1c2") {
            let key = SecretKey::from_seed(&[2; 32]);
            let status = Status::sign(id, cid("b1c2"), Standing::Unknown, &key);
            return Response::Status(vec![StatusAnswer::Open(status)]).body();
        }
        body
    });
    world.pass(HOURS).await;
    assert!(world.network.arrived(RequestKind::Messages, cid("b1c2")) >= 3);
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b, &c]).await;
    let tally = world.audit(&[&a, &b, &c]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}
