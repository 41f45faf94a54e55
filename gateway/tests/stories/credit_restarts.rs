//! Either side is killed while a message is in each of its states, and comes back with its spool or
//! without it: the message ends once, and the books of both sides are right.
//!
//! `kills` does it at random moments; here no state is left out.

use std::time::Duration;

use distpos_proto::chain::Family;
use distpos_spool::{Direction, Spool};

use crate::support::{
    audit::Tally,
    held::{Held, Place, VALUE, held},
    world::{ASSET, FUNDS, amount, cid},
};

const HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// How slow nodes are where that keeps a message in its state, in milliseconds: between a decision
/// and its block, and again between the block and the gateway that reads it.
const NODE: u64 = 400;

/// After a state was first seen: nothing is submitted yet, and it is on the chain but not read.
const MOMENTS: [u64; 2] = [0, NODE + 50];

/// What a restart finds of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Kept,
    Lost,
}

/// One side is killed where the message is, stays away for so long, and comes back.
async fn killed(seed: u64, place: Place, side: &str, moment: u64, away: Duration, disk: Disk) {
    let what = format!("{place:?}, {side} killed after {moment} ms, away {away:?}, disk {disk:?}");
    let Held { world, a, b, id } = held(seed, place, NODE, 0).await;
    world.pass(Duration::from_millis(moment)).await;
    let (killed, stays) = if side == "e2e4" { (a, b) } else { (b, a) };
    let (direction, state) = place.state();
    let spool = killed.kill();
    world.pass(away).await;
    let spool = if disk == Disk::Kept { spool } else { Spool::in_memory() };
    let back = world.start_with(side, 1, Family::Ledger, spool);
    if disk == Disk::Kept && moment == 0 && away.is_zero() {
        let holder = if direction == Direction::Outbound { "e2e4" } else { "b1c2" };
        let holder = if holder == side { &back } else { &stays };
        assert_eq!(holder.state(direction, &id), Some(state), "{what}: it stands where it stood");
    }
    let (a, b) = if side == "e2e4" { (back, stays) } else { (stays, back) };
    let held = Held { world, a, b, id };
    held.release(place).await;
    let Held { world, a, b, .. } = &held;
    world.until_empty(HOURS, &[a, b]).await;
    let tally = world.audit(&[a, b]).await;
    let (delivered, value) = if place.is_for_nobody() { (0, 0) } else { (1, VALUE) };
    assert_eq!(tally, Tally { delivered, refunded: 1 - delivered, unroutable: 0 }, "{what}");
    assert_eq!(world.balance("e2e4"), amount(FUNDS - value), "{what}");
    // A.received == B.sent, and the other way.
    let (at_a, at_b) = (a.figures(cid("b1c2"), ASSET), b.figures(cid("e2e4"), ASSET));
    assert_eq!((at_a.sent, at_a.received), (at_b.received, at_b.sent), "{what}");
    assert_eq!(at_b.received, amount(value), "{what}");
}

async fn everywhere(first: u64, side: &str, disk: Disk) {
    let mut seed = first;
    for place in Place::ALL {
        for moment in MOMENTS {
            for away in [Duration::ZERO, Duration::from_mins(20)] {
                killed(seed, place, side, moment, away, disk).await;
                seed += 1;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_killed_in_each_state_takes_up_where_it_was() {
    everywhere(100, "e2e4", Disk::Kept).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_killed_in_each_state_takes_up_where_it_was() {
    everywhere(200, "b1c2", Disk::Kept).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_loses_its_spool_in_each_state_reads_its_chain_anew() {
    everywhere(300, "e2e4", Disk::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_loses_its_spool_in_each_state_reads_its_chain_anew() {
    everywhere(400, "b1c2", Disk::Lost).await;
}

/// Both at once, and the second time while the first restart is under way.
#[tokio::test(start_paused = true)]
async fn both_sides_killed_twice_in_each_state() {
    for (seed, place) in (500..).zip(Place::ALL) {
        let Held { world, a, b, id } = held(seed, place, NODE, 0).await;
        let mut spools = (a.kill(), b.kill());
        for moment in [NODE / 2, NODE + 50] {
            let a = world.start_with("e2e4", 1, Family::Ledger, spools.0);
            let b = world.start_with("b1c2", 1, Family::Ledger, spools.1);
            world.pass(Duration::from_millis(moment)).await;
            spools = (a.kill(), b.kill());
        }
        let a = world.start_with("e2e4", 1, Family::Ledger, spools.0);
        let b = world.start_with("b1c2", 1, Family::Ledger, spools.1);
        let held = Held { world, a, b, id };
        held.release(place).await;
        held.world.until_empty(HOURS, &[&held.a, &held.b]).await;
        let tally = held.world.audit(&[&held.a, &held.b]).await;
        let delivered = usize::from(!place.is_for_nobody());
        let expected = Tally { delivered, refunded: 1 - delivered, unroutable: 0 };
        assert_eq!(tally, expected, "{place:?}");
    }
}
