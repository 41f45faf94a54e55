//! Two gateways of one chain with one guard, both listed and both running.

use std::time::Duration;

use distpos_proto::{chain::Family, wire::RequestKind};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{Plan, World},
};

const HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// A hundred messages each way, every fourth to nobody, over a network that loses some calls.
async fn hundred(plan: Plan, gateways: [u8; 2], family: Family, node: u64, lost: u64) {
    let world = World::new(plan, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    world.slow_nodes(node);
    let mut sites: Vec<Site> = Vec::new();
    for (chain, count) in ["e2e4", "b1c2"].iter().zip(gateways) {
        for n in 1..=count {
            let site = world.start(chain, n, family);
            sites.push(site);
        }
    }
    if lost > 0 {
        let random = std::sync::Mutex::new(ChaCha8Rng::seed_from_u64(plan.seed));
        world.network.fates(move |call| match random.lock().unwrap().next_u64() % 100 {
            n if n < lost && call.kind != RequestKind::Hello => Fate::AnswerLost,
            n if n < 2 * lost => Fate::RequestLost,
            _ => Fate::Arrives,
        });
    }
    for k in 0u64..100 {
        for (from, to) in [("e2e4", "b1c2"), ("b1c2", "e2e4")] {
            let to = if k % 4 == 3 { world.stranger(to) } else { world.user(to) };
            world.send(from, to, k % 5, 0).await;
        }
        world.pass(Duration::from_millis(k % 13)).await;
    }
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(HOURS, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 150, refunded: 50, unroutable: 0 });
}

#[tokio::test(start_paused = true)]
async fn two_at_the_source_deliver_and_refund_once() {
    hundred(1.into(), [2, 1], Family::Ledger, 0, 0).await;
    hundred(2.into(), [2, 1], Family::Ledger, 3, 5).await;
}

#[tokio::test(start_paused = true)]
async fn two_at_the_destination_deliver_and_refund_once() {
    hundred(3.into(), [1, 2], Family::Ledger, 0, 0).await;
    hundred(4.into(), [1, 2], Family::Ledger, 3, 5).await;
}

#[tokio::test(start_paused = true)]
async fn two_on_both_sides_deliver_and_refund_once() {
    hundred(5.into(), [2, 2], Family::Ledger, 3, 0).await;
    hundred(6.into(), [2, 2], Family::Ledger, 7, 10).await;
}

/// Each gateway has a chain key of its own, and one of them suffices: they attest the same headers,
/// whoever signs.
#[tokio::test(start_paused = true)]
async fn two_with_a_chain_key_each_attest_one_history() {
    hundred(Plan { keys: 2, ..7.into() }, [2, 2], Family::Attested, 3, 0).await;
    hundred(Plan { keys: 2, ..8.into() }, [2, 2], Family::Attested, 7, 10).await;
}

/// The source speaks to both gateways of the destination at once, as a replay would.
#[tokio::test(start_paused = true)]
async fn both_gateways_have_every_message_and_deliver_it_once() {
    use distpos_proto::{
        envelope::{Envelope, Origin},
        wire::{Batch, Request, Response},
    };
    let world = World::new(9, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    world.slow_nodes(3);
    let a = world.start("e2e4", 1, Family::Ledger);
    let sites = [world.start("b1c2", 1, Family::Ledger), world.start("b1c2", 2, Family::Ledger)];
    for k in 0u64..40 {
        let to = if k % 4 == 3 { world.stranger("b1c2") } else { world.user("b1c2") };
        world.send("e2e4", to, 5, 0).await;
        let sent = world.record(a.chain).await.sent;
        let message = sent.last().unwrap().clone();
        let origin = Origin { height: distpos_proto::chain::Height(2 + k), index: 0 };
        let batch = Batch { height: origin.height, envelopes: vec![Envelope { message, origin }] };
        let request = Request::Messages(vec![batch]);
        let pin = world.chains[&a.chain].pin(1);
        for site in &sites {
            let response = site.ask(pin, a.chain, &request).await;
            assert!(matches!(response, Response::Messages(_)), "{response:?}");
        }
        world.pass(Duration::from_millis(k)).await;
    }
    let all = [&a, &sites[0], &sites[1]];
    world.until_empty(HOURS, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 30, refunded: 10, unroutable: 0 });
}
