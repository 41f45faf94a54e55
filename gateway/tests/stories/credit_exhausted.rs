//! The story of the paper's correspondent accounts, on ledgers: one chain sends to another until
//! its account there is exhausted; what follows waits, data does not; a deposit lets it go on.

use std::{collections::BTreeMap, time::Duration};

use distpos_gateway::config::GasBudget;
use distpos_proto::{account::Step, amount::Amount, message::MessageId, statement::Comparison};
use distpos_spool::{Act, Direction, Entry, State};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{ASSET, FUNDS, Order, Plan, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(120);
const HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const CREDIT: u64 = 100;

/// Payments, or data where the value is zero, of e2e4's user to b1c2's.
async fn send(world: &World, values: &[u64]) -> Vec<MessageId> {
    let order = |value: &u64| Order {
        to: world.user("b1c2"),
        value: *value,
        data: b"x".to_vec(),
        expires: 0,
    };
    world.order("e2e4", values.iter().map(order).collect()).await
}

fn closed(world: &World, ids: &[MessageId]) -> Vec<bool> {
    ids.iter().map(|id| world.happened(&format!("closed id={id}")) == 1).collect()
}

async fn until_closed(world: &World, ids: &[MessageId], limit: Duration) {
    world.until("closed", limit, || closed(world, ids).iter().all(|closed| *closed)).await;
}

/// Where in the story messages were delivered.
fn places(world: &World, ids: &[MessageId]) -> Vec<usize> {
    let story = world.story();
    let place = |id: &MessageId| {
        let line = format!("b1c2/1 ended id={id} delivered");
        story.iter().position(|told| told.contains(&line)).unwrap()
    };
    ids.iter().map(place).collect()
}

/// Gas for so many messages at once, and an hour for all of it to come back.
fn budget(b: &Site, messages: u64) {
    let (max, window) = (messages * GasBudget::MESSAGE, GasBudget::WINDOW);
    *b.book.gas.lock().unwrap() = Some(GasBudget { max, window });
}

#[tokio::test(start_paused = true)]
async fn a_sends_to_b_until_its_account_is_exhausted_and_a_deposit_lets_it_go_on() {
    let (world, a, b) = World::pair(1, CREDIT).await;
    let (at_a, at_b) = (cid("b1c2"), cid("e2e4"));
    budget(&b, 8);

    // Until the account is exhausted.
    let paid = send(&world, &[60, 40]).await;
    until_closed(&world, &paid, SOON).await;
    assert_eq!(b.account(at_b, ASSET).account.room(), Amount::ZERO);

    // Further value waits, is told why, and is not refused for it.
    let waits = send(&world, &[30, 5, 20]).await;
    world.until("suspended", SOON, || b.waiting_for_room(at_b, ASSET) == waits).await;
    let told = [
        "b1c2/1 suspended",
        "4.2.1 amount 30 is 30 more than the account has room for",
        "a deposit",
    ];
    assert_eq!(world.happened_with(&told), 1);
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(closed(&world, &waits), [false; 3]);
    assert_eq!(a.state(Direction::Outbound, &waits[0]), Some(State::Accepted));
    assert_eq!(b.state(Direction::Inbound, &waits[0]), Some(State::Suspended));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - CREDIT - 55), "neither paid back nor lost");

    // B's operator wants more reserve, and A's is told: the peer signed it, with the reason.
    let strained = ["b1c2/1 strained chain=e2e4 asset=e2e4/coin", "limit and reserve are used"];
    assert!(world.happened_with(&strained) > 0);
    let asked = "e2e4/1 reserve-asked chain=b1c2 asset=e2e4/coin wanted=";
    assert!(world.happened(asked) > 0, "{:#?}", world.story());

    // Data passes within its gas budget, which the two payments have used some of; what is beyond
    // it waits until gas comes back, and refuses nobody.
    budget(&b, 8);
    let start = world.now().0;
    let data = send(&world, &[0; 12]).await;
    world.until("short of gas", SOON, || world.happened_with(&["deferred", "4.2.2"]) > 0).await;
    let passed = closed(&world, &data).iter().filter(|closed| **closed).count();
    assert!((6..=8).contains(&passed), "{passed} of the budget's 8");
    until_closed(&world, &data, HOURS).await;
    let took = world.now().0 - start;
    assert!(took > 1_200, "four more than the budget holds came back to it in {took} s");
    assert_eq!(closed(&world, &waits), [false; 3], "data makes no room for value");

    // A deposit settles: first for one of them, then for all, in the order in which they were sent.
    world.pass(Duration::from_hours(1)).await;
    world.deposit("b1c2", "e2e4", 34).await;
    until_closed(&world, &waits[..1], SOON).await;
    world.pass(SOON).await;
    assert_eq!(closed(&world, &waits), [true, false, false], "five do not fit into four");
    let late = send(&world, &[1]).await;
    world.deposit("b1c2", "e2e4", 22).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let order = places(&world, &[waits, late.clone()].concat());
    assert!(order.is_sorted(), "{order:?}");

    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 18, refunded: 0, unroutable: 0 });
    assert_eq!(a.figures(at_a, ASSET).sent, amount(156));
    assert_eq!(b.figures(at_b, ASSET).reserve, amount(56));
    agree_entry_by_entry(&a, &b);

    // And each side has the other's word for it.
    world.pass(Duration::from_hours(2)).await;
    for (site, peer, messages) in [(&a, at_a, 6), (&b, at_b, 0)] {
        let asset = ASSET.parse().unwrap();
        let said = site.gateway.spool.read(|tx| tx.statement(Direction::Inbound, peer, &asset));
        let said = said.unwrap().unwrap();
        assert_eq!(said.comparison, Some(Comparison::Matches), "of {peer}");
        assert_eq!(said.statement.document.count, messages, "of {peer}");
    }
    assert_eq!(world.happened("differs"), 0);
}

/// What left one side arrived on the other: the same messages, with the same sums, each once, and
/// what was set aside in between is set aside no more. Both ways.
fn agree_entry_by_entry(a: &Site, b: &Site) {
    for (from, to) in [(a, b), (b, a)] {
        let (left, arrived) = (from.journal(to.chain, ASSET), to.journal(from.chain, ASSET));
        let closed = sums(&left, |step| match step {
            Step::Close { amount, locked: true } => Some(amount),
            _ => None,
        });
        let committed = sums(&arrived, |step| match step {
            Step::Commit { amount, reserved: true } => Some(amount),
            _ => None,
        });
        assert_eq!(closed, committed, "{} to {}", from.chain, to.chain);
        let locked = sums(&left, |step| match step {
            Step::Lock(amount) => Some(amount),
            _ => None,
        });
        let refunded = sums(&left, |step| match step {
            Step::Refund(amount) => Some(amount),
            _ => None,
        });
        let ended: BTreeMap<_, _> = closed.into_iter().chain(refunded).collect();
        assert_eq!(locked, ended, "each message that left ended one way");
    }
}

/// The sums of a journal's steps of a kind, by message; no message has two.
fn sums(journal: &[Entry], of: impl Fn(Step) -> Option<Amount>) -> BTreeMap<MessageId, Amount> {
    let mut found = BTreeMap::new();
    for entry in journal {
        let Act::Step(step) = entry.act else { continue };
        let Some(sum) = of(step) else { continue };
        let id = entry.id.unwrap();
        assert_eq!(found.insert(id, sum), None, "{id} twice");
    }
    found
}

/// One block of fifty, with three in the middle that cannot be delivered: the others arrive, in
/// their order, and the three come back, each for its own reason.
#[tokio::test(start_paused = true)]
async fn a_batch_of_fifty_with_three_refused_in_the_middle() {
    let interval = Duration::from_secs(5);
    let (world, a, b) = World::pair(Plan { interval, ..2.into() }, 5_000).await;
    let mut orders: Vec<Order> = (0..50)
        .map(|n| Order { to: world.user("b1c2"), value: 10 + n, data: Vec::new(), expires: 0 })
        .collect();
    // For nobody, for no address, and too late.
    orders[25].to = world.stranger("b1c2");
    orders[26].to = world.nonsense("b1c2");
    orders[27].expires = world.now().0 + 6;
    let wrong = [(25, "5.1.1"), (26, "5.1.3"), (27, "5.4.7")];
    let value: u64 = orders.iter().map(|order| order.value).sum();
    world.network.set_down(b.address, true);
    let ids = world.order("e2e4", orders).await;
    let whole = || a.batches(Direction::Outbound).iter().any(|batch| batch.items.len() == 50);
    world.until("a batch of fifty", SOON, whole).await;
    world.pass(Duration::from_secs(20)).await;
    world.network.set_down(b.address, false);
    let good: Vec<MessageId> = (0..50).filter(|n| !(25..28).contains(n)).map(|n| ids[n]).collect();
    until_closed(&world, &good, SOON).await;
    // The late one is offered hourly, and holds up none of the others.
    world.until_empty(HOURS, &[&a, &b]).await;
    for (n, code) in wrong {
        let told = format!("e2e4/1 receipt-taken id={} refused \"{code} ", ids[n]);
        assert_eq!(world.happened(&told), 1, "{code}");
        assert_eq!(world.happened(&format!("e2e4/1 refunded id={}", ids[n])), 1, "{code}");
    }
    let order = places(&world, &good);
    assert!(order.is_sorted(), "{order:?}");
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 47, refunded: 3, unroutable: 0 });
    let arrived = value - (35 + 36 + 37);
    assert_eq!(b.figures(cid("e2e4"), ASSET).received, amount(arrived));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - arrived));
    agree_entry_by_entry(&a, &b);
}
