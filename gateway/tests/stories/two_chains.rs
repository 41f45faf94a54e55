//! Two ledgers, two gateways, one zone: what a user, an operator and a thief would see.

use std::time::Duration;

use distpos_proto::chain::Family;

use crate::support::{
    audit::Tally,
    world::{FUNDS, World, amount},
};

const SOON: Duration = Duration::from_secs(30);

/// Sends a transfer that arrives and one that is refused; gives the whole log.
async fn story(seed: u64, family: Family) -> Vec<String> {
    let world = World::new(seed, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let (a, b) = (world.start("e2e4", 1, family), world.start("b1c2", 1, family));
    let good = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    let bad = world.send("e2e4", world.stranger("b1c2"), 40, 0).await;
    world
        .until("settled", SOON, || {
            world.happened(&format!("closed id={good}")) == 1
                && world.happened(&format!("refunded id={bad}")) == 1
        })
        .await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, unroutable: 0 });
    a.stop().await;
    b.stop().await;
    world.story()
}

#[tokio::test(start_paused = true)]
async fn value_arrives_and_what_is_refused_comes_back() {
    let log = story(1, Family::Ledger).await.join("\n");
    assert!(log.contains("refused") && log.contains("5.1.1"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_can_be_trusted_by_its_gateways_signatures_alone() {
    let log = story(2, Family::Attested).await.join("\n");
    assert!(log.contains("family=attested"), "{log}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(story(seed, Family::Ledger))
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert!(first.len() > 12, "{first:#?}");
}
