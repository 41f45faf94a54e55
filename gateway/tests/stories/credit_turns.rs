//! Turns in an account's row: nobody spins behind a message whose proof is kept back, and nobody
//! waits behind one that is gone.

use std::time::Duration;

use distpos_proto::{
    chain::Family,
    message::MessageId,
    wire::{RequestKind, Response},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{ASSET, World, cid},
};

const SOON: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_hours(24);

/// Two messages that wait for room at b1c2, sent in two blocks.
async fn two_waiting(seed: u64) -> (World, Site, Site, [MessageId; 2]) {
    let (world, a, b) = World::pair(seed, 10).await;
    let first = world.send("e2e4", world.user("b1c2"), 20, 0).await;
    let second = world.send("e2e4", world.user("b1c2"), 5, 0).await;
    let both = [first, second];
    world.until("both wait", SOON, || b.waiting_for_room(cid("e2e4"), ASSET) == both).await;
    (world, a, b, both)
}

#[tokio::test(start_paused = true)]
async fn behind_a_message_whose_proof_is_kept_back_one_waits_quietly_and_in_order() {
    let (world, a, b, [first, second]) = two_waiting(1).await;
    // From now on e2e4 proves all but the first.
    world.network.meddle_with_answers(move |call, body| {
        let Ok(Response::Proofs(mut proofs)) = Response::from_body(call.kind, &body) else {
            return body;
        };
        // Each message stands in a block of its own: the first one's is the lower.
        proofs.blocks.retain(|evidence| evidence.height().0 > 2);
        Response::Proofs(proofs).body()
    });
    world.deposit("b1c2", "e2e4", 100).await;
    let before = world.network.arrived(RequestKind::Proofs, cid("e2e4"));
    world.pass(Duration::from_mins(10)).await;
    let asked = world.network.arrived(RequestKind::Proofs, cid("e2e4")) - before;
    // About one question a block's time for the first, and none for who stands behind it.
    assert!((2..=400).contains(&asked), "{asked} questions in ten minutes");
    assert!(world.happened("woken") < 10, "{} times woken", world.happened("woken"));
    assert_eq!(b.state(Direction::Inbound, &first), Some(State::Claimed));
    assert_eq!(b.state(Direction::Inbound, &second), Some(State::Suspended), "not overtaken");
    world.network.heal();
    world.until_empty(DAY, &[&a, &b]).await;
    let place = |id: MessageId| {
        let line = format!("b1c2/1 ended id={id} delivered");
        world.story().iter().position(|told| told.contains(&line)).unwrap()
    };
    assert!(place(first) < place(second));
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_behind_a_claim_that_was_let_go() {
    let (world, a, b, [first, _]) = two_waiting(2).await;
    // Its source is away when its turn comes, and stays away for longer than a claim is kept.
    let spool = a.kill();
    world.deposit("b1c2", "e2e4", 15).await;
    world.pass(9 * DAY).await;
    assert_eq!(b.state(Direction::Inbound, &first), None, "let go");
    assert_eq!(b.waiting_for_room(cid("e2e4"), ASSET), [], "and out of the row");
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    // Its source has it still, and offers it again: too late.
    world.until_empty(3 * DAY, &[&a, &b]).await;
    let third = world.send("e2e4", world.user("b1c2"), 5, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.happened(&format!("closed id={third}")), 1);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, refunded: 2, unroutable: 0 });
}
