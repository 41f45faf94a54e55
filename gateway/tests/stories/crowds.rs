//! Many messages at once, and big ones.

use std::time::Duration;

use distpos_proto::{chain::Family, wire::RequestKind};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{FUNDS, Order, Plan, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(300);

/// Blocks every five seconds: what is ordered at once is in one block, but for the first.
async fn world(seed: u64, chains: &[&str], family: Family) -> (World, Vec<Site>) {
    let plan = Plan { interval: Duration::from_secs(5), ..seed.into() };
    let world = World::new(plan, chains);
    world.befriend(1_000_000).await;
    let sites: Vec<Site> = chains.iter().map(|chain| world.start(chain, 1, family)).collect();
    (world, sites)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_of_one_block_go_to_three_chains_in_order() {
    let chains = ["e2e4", "b1c2", "c3", "d4"];
    for (seed, family) in [(1, Family::Ledger), (2, Family::Attested)] {
        let (world, sites) = world(seed, &chains, family).await;
        let order = |n: usize| Order {
            to: world.user(chains[1 + n % 3]),
            value: 1 + n as u64 % 3,
            data: Vec::new(),
            expires: 0,
        };
        world.order("e2e4", (0..=1_000).map(order).collect()).await;
        let all: Vec<&Site> = sites.iter().collect();
        world.until_empty(SOON, &all).await;
        let tally = world.audit(&all).await;
        assert_eq!(tally, Tally { delivered: 1_001, ..Tally::default() });
        assert_eq!(world.balance("b1c2"), amount(FUNDS + 334));
        assert_eq!(world.balance("c3"), amount(FUNDS + 2 * 334));
        assert_eq!(world.balance("d4"), amount(FUNDS + 3 * 333));
        for chain in &chains[1..] {
            let asked = world.network.arrived(RequestKind::Messages, cid(chain));
            assert!(asked <= 2, "{asked} requests for 334 messages");
            in_order(&world, chain).await;
        }
    }
}

/// The destination's blocks have a source's messages in the order of their sequence.
async fn in_order(world: &World, chain: &str) {
    let log = world.story();
    let sent = world.record(cid("e2e4")).await.sent;
    let sequence = |line: &String| {
        let id = line.split("ended id=").nth(1)?.split(' ').next()?;
        let message = sent.iter().find(|message| message.id().to_string() == id)?;
        Some(message.fields().sequence)
    };
    let here = log.iter().filter(|line| line.contains(&format!("{chain}/1 ended id=")));
    let sequences: Vec<u64> = here.filter_map(sequence).collect();
    assert!(sequences.len() > 300 && sequences.is_sorted(), "{sequences:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_with_all_the_data_they_may_have_arrive() {
    let (world, sites) = world(3, &["e2e4", "b1c2"], Family::Ledger).await;
    let order = |n: u8| Order {
        to: if n % 7 == 6 { world.stranger("b1c2") } else { world.user("b1c2") },
        value: 1,
        data: vec![n; 64 * 1024],
        expires: 0,
    };
    let ids = world.order("e2e4", (0..70).map(order).collect()).await;
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(SOON, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 60, refunded: 10, unroutable: 0 });
    let ended = world.chains[&cid("b1c2")].ledger.ended(&ids[42]).unwrap();
    match ended {
        Some(distpos_gateway::chain::ledger::Ended::Delivered { message, .. }) => {
            assert_eq!(message.fields().data, vec![42; 64 * 1024]);
        }
        other => panic!("{other:?}"),
    }
}

/// Four thousand messages, more than any one request, job or answer takes.
#[tokio::test(start_paused = true)]
async fn a_crowd_passes_in_pieces() {
    let (world, sites) = world(4, &["e2e4", "b1c2"], Family::Attested).await;
    let order = |n: u64| Order {
        to: if n % 10 == 9 { world.stranger("b1c2") } else { world.user("b1c2") },
        value: 1,
        data: Vec::new(),
        expires: 0,
    };
    world.order("e2e4", (0..4_000).map(order).collect()).await;
    let all: Vec<&Site> = sites.iter().collect();
    world.until_empty(SOON, &all).await;
    let tally = world.audit(&all).await;
    assert_eq!(tally, Tally { delivered: 3_600, refunded: 400, unroutable: 0 });
}
