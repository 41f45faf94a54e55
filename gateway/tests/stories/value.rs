//! What may come in: the account of a pair, its terms and its room, and the genesis that was meant.

use std::time::Duration;

use distpos_gateway::chain::{LocalChain, Submission};
use distpos_proto::{
    chain::{Family, GenesisTag},
    message::{MessageId, TermsHash},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{ASSET, FUNDS, Order, Plan, World, amount, cid, credit},
};

const SOON: Duration = Duration::from_secs(120);

async fn send(world: &World, values: &[u64]) -> Vec<MessageId> {
    let order =
        |value: &u64| Order { to: world.user("b1c2"), value: *value, data: Vec::new(), expires: 0 };
    world.order("e2e4", values.iter().map(order).collect()).await
}

fn refusals(world: &World, code: &str) -> usize {
    world.happened_with(&["e2e4/1 receipt-taken", &format!("refused \"{code} ")])
}

fn closed(world: &World, ids: &[MessageId]) -> Vec<bool> {
    ids.iter().map(|id| world.happened(&format!("closed id={id}")) == 1).collect()
}

/// Once what can be done is done.
async fn settled(world: &World, a: &Site, b: &Site, waiting: usize) {
    let done = || a.waiting() == waiting && b.waiting() == waiting;
    world.until("settled", SOON, done).await;
}

/// One block, one batch.
#[tokio::test(start_paused = true)]
async fn a_batch_fills_the_limit_from_the_front_and_the_rest_waits_in_order() {
    let interval = Duration::from_secs(5);
    let (world, a, b) = World::pair(Plan { interval, ..1.into() }, 100).await;
    // The first makes a block of its own.
    let ids = send(&world, &[10, 40, 40, 40, 9, 2, 0]).await;
    settled(&world, &a, &b, 3).await;
    assert_eq!(closed(&world, &ids), [true, true, true, false, false, false, true]);
    let e = cid("e2e4");
    // Nine would fit, and wait: they were sent later.
    assert_eq!(b.waiting_for_room(e, ASSET), ids[3..6]);
    assert_eq!(b.state(Direction::Inbound, &ids[4]), Some(State::Suspended));
    assert_eq!(
        (b.figures(e, ASSET).received, b.figures(e, ASSET).pending_in),
        (amount(90), amount(0))
    );
    // Room for the first and the second of them.
    world.deposit("b1c2", "e2e4", 40).await;
    settled(&world, &a, &b, 1).await;
    assert_eq!(closed(&world, &ids), [true, true, true, true, true, false, true]);
    world.deposit("b1c2", "e2e4", 1).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let order: Vec<usize> = ids[3..6].iter().map(|id| place(&world, id)).collect();
    assert!(order.is_sorted(), "{order:?}");
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 7, refunded: 0, unroutable: 0 });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 141 - 41));
    assert_eq!(b.figures(e, ASSET).received, amount(141));
    assert_eq!(a.figures(cid("b1c2"), ASSET).sent, amount(141));
}

/// Where in the story a message was delivered.
fn place(world: &World, id: &MessageId) -> usize {
    let line = format!("b1c2/1 ended id={id} delivered");
    world.story().iter().position(|told| told.contains(&line)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn opposite_traffic_makes_room_again_and_wakes_who_waits() {
    let (world, a, b) = World::pair(3, 100).await;
    send(&world, &[100]).await;
    let one = send(&world, &[1]).await;
    settled(&world, &a, &b, 1).await;
    assert_eq!(closed(&world, &one), [false], "full");
    world.send("b1c2", world.user("e2e4"), 60, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(closed(&world, &one), [true]);
    let more = send(&world, &[59, 1]).await;
    settled(&world, &a, &b, 1).await;
    assert_eq!(closed(&world, &more), [true, false], "sixty came back, sixty fit, not sixty-one");
    // What waits too long is voided, and comes back.
    world.pass(Duration::from_hours(25)).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.4.7"), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 4, refunded: 1, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
async fn without_an_account_no_value_moves_but_messages_do() {
    let world = World::new(4, &["e2e4", "b1c2"]);
    let (e, b) = (&world.chains[&cid("e2e4")].ledger, &world.chains[&cid("b1c2")].ledger);
    e.register(cid("b1c2"), b.facts().tag).await.unwrap();
    b.register(cid("e2e4"), e.facts().tag).await.unwrap();
    let [a, b] = ["e2e4", "b1c2"].map(|chain| world.start(chain, 1, Family::Ledger));
    send(&world, &[1]).await;
    let free = send(&world, &[0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 1);
    assert_eq!(closed(&world, &free), [true]);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
}

#[tokio::test(start_paused = true)]
async fn value_under_other_terms_or_to_a_closed_account_comes_back() {
    let (world, a, b) = World::pair(5, 5_000).await;
    let ledger = &world.chains[&cid("b1c2")].ledger;
    let set = |terms| Submission::Account {
        tag: None,
        chain: cid("e2e4"),
        asset: ASSET.parse().unwrap(),
        terms,
        limits: credit(5_000),
    };
    ledger.submit(set(Some(TermsHash([9; 32])))).await.unwrap();
    send(&world, &[1]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 1);
    ledger.submit(set(None)).await.unwrap();
    send(&world, &[2]).await;
    let free = send(&world, &[0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 2);
    assert_eq!(closed(&world, &free), [true]);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 2, unroutable: 0 });
}

/// What waits for room when its account is closed has nothing to wait for.
#[tokio::test(start_paused = true)]
async fn who_waits_when_the_account_is_closed_gets_the_money_back() {
    let (world, a, b) = World::pair(8, 10).await;
    send(&world, &[11]).await;
    send(&world, &[12]).await;
    settled(&world, &a, &b, 2).await;
    let close = Submission::Account {
        tag: None,
        chain: cid("e2e4"),
        asset: ASSET.parse().unwrap(),
        terms: None,
        limits: credit(10),
    };
    world.chains[&cid("b1c2")].ledger.submit(close).await.unwrap();
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 2);
    world.audit(&[&a, &b]).await;
}

/// e2e4 is told that b1c2's genesis is `tag`.
async fn meant(seed: u64, tag: Option<GenesisTag>) -> (World, Site, Site) {
    let world = World::new(seed, &["e2e4", "b1c2"]);
    let (e, b) = (&world.chains[&cid("e2e4")].ledger, &world.chains[&cid("b1c2")].ledger);
    let (own, asset) = (e.facts().tag, || ASSET.parse().unwrap());
    let terms = world.terms(cid("e2e4"), cid("b1c2")).hash();
    b.open_account(cid("e2e4"), own, asset(), terms, credit(5_000)).await.unwrap();
    if let Some(tag) = tag {
        e.open_account(cid("b1c2"), tag, asset(), terms, credit(5_000)).await.unwrap();
    }
    let [a, b] = ["e2e4", "b1c2"].map(|chain| world.start(chain, 1, Family::Ledger));
    (world, a, b)
}

#[tokio::test(start_paused = true)]
async fn a_message_for_another_genesis_is_refused_with_value_and_without() {
    let (world, a, b) = meant(6, Some(GenesisTag([9; 8]))).await;
    send(&world, &[1]).await;
    send(&world, &[0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.7.1"), 2);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn on_an_unset_genesis_no_value_moves_but_messages_do() {
    let (world, a, b) = meant(7, None).await;
    send(&world, &[1]).await;
    let free = send(&world, &[0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.7.1"), 1);
    assert_eq!(world.happened(&format!("closed id={}", free[0])), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
}
