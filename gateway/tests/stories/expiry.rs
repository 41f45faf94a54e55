//! Messages whose time runs out.

use std::time::Duration;

use distpos_proto::{chain::Family, wire::RequestKind};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    world::{FUNDS, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(3 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn a_message_that_expired_while_its_destination_was_away_is_void_and_refunded_once() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let spool = b.kill();
    let soon = world.now().0 + 600;
    let id = world.send("e2e4", world.user("b1c2"), 250, soon).await;
    let later = world.send("e2e4", world.user("b1c2"), 30, soon + 4 * 24 * 3600).await;
    world.pass(Duration::from_hours(48)).await;
    // Expiry alone is no end.
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 280));
    assert_eq!(world.happened("refunded"), 0);
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.happened_with(&["b1c2/1 proven", &id.to_string()]), 1);
    assert_eq!(world.happened(&format!("ended id={id} refused \"5.4.7 ")), 1);
    assert_eq!(world.happened(&format!("refunded id={id}")), 1);
    assert_eq!(world.happened(&format!("closed id={later}")), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 30));
}

/// It was taken in time, but its proof comes too late.
#[tokio::test(start_paused = true)]
async fn a_claim_whose_proof_comes_after_its_expiry_is_void() {
    let (world, a, b) = World::pair(2, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let spool = {
        let id = world.send("e2e4", world.user("b1c2"), 250, world.now().0 + 30).await;
        world.until("claimed", SOON, || b.state(Direction::Inbound, &id).is_some()).await;
        a.kill()
    };
    world.network.heal();
    world.pass(Duration::from_secs(60)).await;
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
    assert_eq!(world.happened_with(&["ended", "5.4.7"]), 1);
}

/// Exactly at its time it is still good, a second later no more.
#[tokio::test(start_paused = true)]
async fn the_last_second_counts() {
    for (seed, wait, delivered) in [(3, 100, true), (4, 101, false)] {
        let (world, a, b) = World::pair(seed, 5_000).await;
        let spool = b.kill();
        let expires = world.now().0 + 100;
        world.send("e2e4", world.user("b1c2"), 250, expires).await;
        world.pass(Duration::from_secs(50)).await;
        let b = world.start_with("b1c2", 1, Family::Ledger, spool);
        let sent = world.record(cid("e2e4")).await.sent[0].clone();
        let end = expires - 100 + wait;
        let left = end * 1000 - (world.clock)().0;
        world.pass(Duration::from_millis(left)).await;
        // Decided by the chain itself, whatever the gateway thinks.
        let simulation = b.gateway.chain.simulate(&sent).await.unwrap();
        let passes = simulation == distpos_gateway::chain::Simulation::Passes;
        let ended = simulation == distpos_gateway::chain::Simulation::Ended;
        assert!(ended || passes == delivered, "{wait}: {simulation:?}");
        world.until_empty(HOURS, &[&a, &b]).await;
        world.audit(&[&a, &b]).await;
    }
}
