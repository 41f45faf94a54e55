//! How messages end: delivered, void, closed, refunded; each once, whoever races.

use std::sync::Arc;

use distpos_proto::{
    account::Figures,
    amount::Amount,
    chain::{ChainId, GenesisTag, Height},
    code::{Code, Reply},
    message::{Fields, Message, TermsHash},
    receipt::{Call, Ending, EndingKind},
};

use super::support::*;
use crate::chain::{
    ChainEvent, LocalChain, Simulation, Submission,
    ledger::{Ended, transaction::Action},
};

/// Two chains that know each other and count in the same asset.
async fn towns(credit_limit: u64) -> (Town, Town) {
    let (a, b) = (Town::new(genesis("a1")), Town::new(genesis("b1")));
    a.know(&b, COIN, credit_limit).await;
    b.know(&a, COIN, credit_limit).await;
    (a, b)
}

fn to_bob(amount: u64) -> crate::chain::ledger::transaction::SendOrder {
    let mut order = order(&format!("b1x{}", local(BOB)));
    order.amount = sum(amount);
    order.data = b"for Bob".to_vec();
    order
}

#[tokio::test]
async fn value_arrives_is_closed_and_is_never_refunded() {
    let (a, b) = towns(1_000).await;
    let (height, message) = a.sent(ALICE, to_bob(100)).await;
    assert_eq!(a.proven_to(height, &[message.id()]).await[0].message(), &message);
    assert_eq!(b.simulate(&message).await.unwrap(), Simulation::Passes);
    let deliver = Action::Deliver(vec![message.clone(), message.clone()]);
    let done = b.act(deliver.clone()).await.unwrap();
    assert_eq!(done.refused, []);
    assert_eq!((b.holds(BOB), b.pots().unwrap()), (600, (sum(0), sum(9_900))));
    let value = message.fields().value.clone();
    let event = ChainEvent::Delivered {
        id: message.id(),
        source: chain("a1"),
        value: value.clone(),
        transaction: done.transaction,
        call: Call::None,
    };
    assert_eq!(b.events().await[1..], [event], "after the account's opening");
    // Its data is there for Bob to read.
    let head = b.head().await.unwrap().height;
    let ended = Ended::Delivered { height: head, message: message.clone() };
    assert_eq!(b.ended(&message.id()).unwrap(), Some(ended));
    // Again, by whatever gateway: passed over, no block, no second payment.
    assert_eq!(b.simulate(&message).await.unwrap(), Simulation::Ended);
    assert_eq!(b.act(deliver).await.unwrap().refused, []);
    assert_eq!((b.head().await.unwrap().height, b.holds(BOB)), (head, 600));
    // The receipt closes it; a refund comes too late.
    let close = ending(&message, delivered());
    a.submit(Submission::End(vec![close])).await.unwrap();
    a.submit(Submission::End(vec![close, ending(&message, refused())])).await.unwrap();
    assert_eq!((a.holds(ALICE), a.pots().unwrap()), (900, (sum(0), sum(10_100))));
    let closed = ChainEvent::Closed { id: message.id(), destination: chain("b1"), value };
    assert_eq!(a.events().await[1..], [closed]);
    // Both sides keep the same account, each from its own end.
    assert_eq!((a.with(&b).figures.sent, b.with(&a).figures.received), (sum(100), sum(100)));
    assert_eq!((a.total().unwrap(), b.total().unwrap()), (sum(11_500), sum(11_500)));
}

#[tokio::test]
async fn what_is_void_is_refunded_once_and_never_delivered() {
    let (a, b) = towns(1_000).await;
    let (height, message) = a.sent(ALICE, order("b1xnobody")).await;
    let proven = a.proven_to(height, &[message.id()]).await.remove(0);
    let refusal = proven.refuse(unknown_recipient()).unwrap();
    b.submit(Submission::Void(vec![refusal.clone(), refusal])).await.unwrap();
    let (id, text) = (message.id(), "nobody there".to_owned());
    let voided =
        ChainEvent::Voided { id, source: chain("a1"), code: Code::UNKNOWN_RECIPIENT, text };
    assert_eq!(b.events().await[1..], [voided]);
    assert_eq!(b.ended(&id).unwrap(), Some(Ended::Void(unknown_recipient())));
    assert_eq!(b.simulate(&message).await.unwrap(), Simulation::Ended);
    assert_eq!(b.deliver(&message).await, [], "passed over, not paid");
    assert_eq!(b.pots().unwrap().1, sum(10_000));
    let refund = ending(&message, refused());
    a.submit(Submission::End(vec![refund, refund])).await.unwrap();
    a.submit(Submission::End(vec![ending(&message, delivered())])).await.unwrap();
    assert_eq!((a.holds(ALICE), a.pots().unwrap()), (1_000, (sum(0), sum(10_000))));
    assert_eq!(a.events().await[1..], [ChainEvent::Refunded { id }]);
    assert_eq!(a.with(&b).figures, Figures::default());
}

#[tokio::test]
async fn the_ledger_checks_every_message_whatever_its_gateway_said() {
    let (a, b) = towns(1_000).await;
    let good = incoming(&b, &a, 10);
    let wrong = |change: &dyn Fn(&mut Fields)| {
        let mut fields = good.clone();
        change(&mut fields);
        Message::new(fields).unwrap()
    };
    let other: ChainId = chain("dd");
    let upper = local(ALICE).as_str().to_uppercase();
    let beyond = Amount::from(u128::MAX).checked_add(sum(1)).unwrap();
    let cases: [(Message, Code); 13] = [
        (wrong(&|f| f.destination = other), Code::POLICY),
        (wrong(&|f| f.destination_tag = GenesisTag([9; 8])), Code::POLICY),
        (wrong(&|f| f.destination_tag = GenesisTag::UNSET), Code::POLICY),
        (wrong(&|f| f.source_tag = GenesisTag([9; 8])), Code::POLICY),
        (wrong(&|f| f.expires.0 = START.0 - 1), Code::EXPIRED),
        (wrong(&|f| f.source = other), Code::NO_ACCOUNT),
        (wrong(&|f| f.value.as_mut().unwrap().asset = asset("c0/lead")), Code::NO_ACCOUNT),
        (wrong(&|f| f.value.as_mut().unwrap().terms = Some(TermsHash([1; 32]))), Code::NO_ACCOUNT),
        (wrong(&|f| f.value.as_mut().unwrap().terms = None), Code::NO_ACCOUNT),
        (wrong(&|f| f.value.as_mut().unwrap().amount = sum(1_001)), Code::SUSPENDED),
        (wrong(&|f| f.value.as_mut().unwrap().amount = beyond), Code::VALUE_MAX),
        (wrong(&|f| f.recipient = upper.parse().unwrap()), Code::BAD_ADDRESS),
        (wrong(&|f| f.recipient = local(CAROL)), Code::UNKNOWN_RECIPIENT),
    ];
    let head = b.head().await.unwrap();
    for (message, expected) in &cases {
        assert_eq!(b.deliver(message).await, [*expected], "{:?}", message.fields());
        assert_eq!(b.simulated(message).await.code, *expected);
    }
    assert_eq!(b.head().await.unwrap(), head, "nothing happened, no block");
    // One block takes the good one from among the wrong ones.
    let good = Message::new(good).unwrap();
    let mut all: Vec<_> = cases.iter().map(|(message, _)| message.clone()).collect();
    all.insert(5, good.clone());
    let done = b.act(Action::Deliver(all)).await.unwrap();
    assert_eq!(done.refused.len(), cases.len());
    assert!(done.refused.iter().all(|(id, _)| *id != good.id()));
    assert_eq!(b.holds(ALICE), 1_010);
    assert!(matches!(b.ended(&good.id()).unwrap(), Some(Ended::Delivered { .. })));
}

#[tokio::test]
async fn a_message_without_value_needs_no_registration_and_no_tag() {
    let (a, b) = (Town::new(genesis("a1")), Town::new(genesis("b1")));
    let mut fields = incoming(&b, &a, 0);
    fields.destination_tag = GenesisTag::UNSET;
    fields.data = vec![7; 100];
    assert_eq!(b.deliver(&Message::new(fields).unwrap()).await, []);
    assert_eq!(b.holds(ALICE), 1_000);
}

#[tokio::test]
async fn a_block_after_expiry_delivers_nothing() {
    let (a, b) = towns(1_000).await;
    let message = Message::new(incoming(&b, &a, 10)).unwrap();
    b.pass(3_600);
    assert_eq!(b.simulate(&message).await.unwrap(), Simulation::Passes, "the last second");
    b.pass(1);
    assert_eq!(b.deliver(&message).await, [Code::EXPIRED]);
}

#[tokio::test]
async fn open_escrow_pays_nobody() {
    let mut poor = genesis("b1");
    poor.float = sum(0);
    let (a, b) = (Town::new(genesis("a1")), Town::new(poor));
    b.know(&a, COIN, 1_000).await;
    let (_, leaving) = b.sent(ALICE, order("a1xsomebody")).await;
    assert_eq!(b.pots().unwrap(), (sum(100), sum(0)));
    let message = Message::new(incoming(&b, &a, 10)).unwrap();
    assert_eq!(b.deliver(&message).await, [Code::SUSPENDED], "not now, but not never");
    let deferred = b.simulate(&message).await.unwrap();
    assert!(matches!(deferred, Simulation::Deferred(_)), "{deferred:?}");
    // Closed, it is the vault's.
    b.submit(Submission::End(vec![ending(&leaving, delivered())])).await.unwrap();
    assert_eq!(b.deliver(&message).await, []);
    assert_eq!(b.pots().unwrap(), (sum(0), sum(90)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_race_and_a_message_ends_once() {
    for round in 0..20 {
        let (a, b) = towns(1_000).await;
        let message = Message::new(incoming(&b, &a, 10)).unwrap();
        let deliver = Action::Deliver(vec![message.clone()]);
        let void = Action::Void(vec![(message.clone(), unknown_recipient())]);
        let b = Arc::new(b);
        let acts = if round % 2 == 0 { [deliver, void] } else { [void, deliver] };
        let tasks = acts.map(|action| {
            let b = Arc::clone(&b);
            tokio::spawn(async move { b.act(action).await.unwrap() })
        });
        for task in tasks {
            assert_eq!(task.await.unwrap().refused, [], "the loser is passed over");
        }
        let events = b.events().await;
        assert_eq!(events.len(), 2, "the account's opening and one end: {events:?}");
        let paid = matches!(events[1], ChainEvent::Delivered { .. });
        assert_eq!(b.holds(ALICE), if paid { 1_010 } else { 1_000 });
    }
}

#[tokio::test]
async fn only_an_authority_delivers_and_some_codes_never_void() {
    use crate::chain::ledger::transaction::{Place, SignedTransaction};
    let (a, b) = towns(1_000).await;
    let message = Message::new(incoming(&b, &a, 10)).unwrap();
    let place = b.place(ALICE).await;
    let action = Action::Deliver(vec![message.clone()]);
    let forged = SignedTransaction::sign(place, action.clone(), &key(ALICE)).bytes;
    assert_eq!(code(b.user(forged).await), Code::POLICY);
    // Nor does who has an authority's key, perhaps a stolen one, from outside.
    for nonce in 0..8 {
        let place = Place { nonce, ..place };
        let stolen = SignedTransaction::sign(place, action.clone(), &key(AUTHORITY)).bytes;
        assert_eq!(code(b.user(stolen).await), Code::POLICY);
    }
    assert_eq!(b.ended(&message.id()).unwrap(), None);
    let proof_invalid = Reply::new(Code::PROOF_INVALID, "the giver's fault");
    let done = b.act(Action::Void(vec![(message.clone(), proof_invalid)])).await.unwrap();
    assert_eq!(done.refused.len(), 1);
    assert_eq!(b.ended(&message.id()).unwrap(), None);
    let end = Action::End(vec![(message.id(), EndingKind::Refund)]);
    assert_eq!(b.act(end).await.unwrap().refused.len(), 1, "it never left here");
    let own = b.register(chain("b1"), GenesisTag::UNSET).await;
    assert_eq!(code(own), Code::LOOP);
}

#[tokio::test]
async fn what_nobody_can_route_is_refunded_and_registering_twice_makes_one_block() {
    let (a, b) = towns(1_000).await;
    let head = a.head().await.unwrap().height;
    a.know(&b, COIN, 1_000).await;
    a.register(b.facts().chain, b.facts().tag).await.unwrap();
    assert_eq!(a.head().await.unwrap().height, head);
    let (_, message) = a.sent(ALICE, order("dddxsomebody")).await;
    a.submit(Submission::End(vec![Ending::unroutable(message.id())])).await.unwrap();
    assert_eq!(a.holds(ALICE), 1_000);
    assert_eq!(a.head().await.unwrap().height, Height(head.0 + 2));
}
