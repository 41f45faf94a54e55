//! What may come in: the limit of a pair, its asset, and the genesis that was meant.

use std::time::Duration;

use distpos_gateway::chain::LocalChain;
use distpos_proto::{
    chain::{Family, GenesisTag},
    policy::Limits,
};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{ASSET, FUNDS, Order, Plan, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(120);

async fn send(world: &World, values: &[u64]) -> Vec<distpos_proto::message::MessageId> {
    let order =
        |value: &u64| Order { to: world.user("b1c2"), value: *value, data: Vec::new(), expires: 0 };
    world.order("e2e4", values.iter().map(order).collect()).await
}

fn refusals(world: &World, code: &str) -> usize {
    world.happened_with(&["e2e4/1 receipt-taken", &format!("refused \"{code} ")])
}

/// One block, one batch; on the ledger any sum would pass, the operator's limit is lower.
#[tokio::test(start_paused = true)]
async fn a_batch_fills_the_limit_from_the_front_and_the_rest_comes_back() {
    let interval = Duration::from_secs(5);
    let (world, a, b) = World::pair(Plan { interval, ..1.into() }, 5_000).await;
    b.set_value_max(cid("e2e4"), ASSET, 100);
    // The first makes a block of its own.
    let ids = send(&world, &[10, 40, 40, 40, 9, 2, 0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let closed = |n: usize| world.happened(&format!("closed id={}", ids[n])) == 1;
    let ended: Vec<bool> = (0..ids.len()).map(closed).collect();
    assert_eq!(ended, [true, true, true, false, true, false, true]);
    assert_eq!(refusals(&world, "5.2.2"), 2);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 5, refunded: 2, unroutable: 0 });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 99));
    assert_eq!(b.figures(cid("e2e4"), ASSET).received, amount(99));
    assert_eq!(a.figures(cid("b1c2"), ASSET).sent, amount(99));
}

/// The ledger's own limit is the lower one: what its block does not take is refused by receipt.
#[tokio::test(start_paused = true)]
async fn the_ledgers_own_limit_holds_whatever_the_gateway_lets_in() {
    let interval = Duration::from_secs(5);
    let (world, a, b) = World::pair(Plan { interval, ..2.into() }, 100).await;
    world.allow(&b, 5_000);
    send(&world, &[10, 40, 40, 40, 9, 2, 0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.2"), 2);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 5, refunded: 2, unroutable: 0 });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 99));
}

#[tokio::test(start_paused = true)]
async fn opposite_traffic_makes_room_again() {
    let (world, a, b) = World::pair(3, 100).await;
    send(&world, &[100]).await;
    send(&world, &[1]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.2"), 1, "full");
    world.send("b1c2", world.user("e2e4"), 60, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    send(&world, &[60]).await;
    send(&world, &[1]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.2"), 2, "sixty came back, sixty fit, not sixty-one");
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 3, refunded: 2, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
async fn nothing_said_means_no_value_but_messages() {
    let (world, a, b) = World::pair(4, 5_000).await;
    b.book.limits.lock().unwrap().clear();
    send(&world, &[1]).await;
    let free = send(&world, &[0]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.2"), 1);
    assert_eq!(world.happened(&format!("closed id={}", free[0])), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
}

#[tokio::test(start_paused = true)]
async fn another_asset_than_the_agreed_one_is_refused() {
    let (world, a, b) = World::pair(5, 5_000).await;
    b.set_value_max(cid("e2e4"), "b1c2/shell", 5_000);
    send(&world, &[1]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 1);
    // The gateway would have it, the ledger would not.
    b.set_value_max(cid("e2e4"), ASSET, 5_000);
    let ledger = &world.chains[&cid("b1c2")].ledger;
    let tag = world.chains[&cid("e2e4")].ledger.facts().tag;
    let shell = "b1c2/shell".parse().unwrap();
    ledger.register(cid("e2e4"), tag, shell, amount(5_000)).await.unwrap();
    send(&world, &[2]).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(refusals(&world, "5.2.1"), 2);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 2, ..Tally::default() });
}

/// e2e4 is told that b1c2's genesis is `tag`.
async fn meant(seed: u64, tag: Option<GenesisTag>) -> (World, Site, Site) {
    let world = World::new(seed, &["e2e4", "b1c2"]);
    let (e, b) = (&world.chains[&cid("e2e4")].ledger, &world.chains[&cid("b1c2")].ledger);
    let asset = || ASSET.parse().unwrap();
    b.register(cid("e2e4"), e.facts().tag, asset(), amount(5_000)).await.unwrap();
    if let Some(tag) = tag {
        e.register(cid("b1c2"), tag, asset(), amount(5_000)).await.unwrap();
    }
    let [a, b] = ["e2e4", "b1c2"].map(|chain| world.start(chain, 1, Family::Ledger));
    world.allow(&a, 5_000);
    b.book.limits.lock().unwrap().insert(cid("e2e4"), Limits::one(asset(), amount(5_000)));
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
