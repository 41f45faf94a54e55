//! A message whose time runs out in each state of its way. Where the destination's chain has
//! decided, that stands; where it has not, the message is voided there and then refunded here, and
//! nothing is paid back before.

use std::time::Duration;

use distpos_proto::chain::Family;
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    held::{Held, Place, VALUE, held},
    world::{ASSET, FUNDS, amount, cid},
};

const HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// How slow nodes are where that holds a message, in milliseconds: its block is made so long after
/// the decision.
const NODE: u64 = 20_000;

/// When the message expires, in seconds from its sending: after it was met, before it is let go.
fn expires(place: Place) -> u64 {
    match place {
        // Decided after three times the node's delay, in a block after four times.
        Place::Delivering | Place::Voiding => 70,
        // Told to the outbox after five times, in a block after six times.
        Place::Closing | Place::Refunding => 110,
        _ => 100,
    }
}

/// Whether the destination had delivered it in time.
fn is_delivered(place: Place) -> bool {
    matches!(place, Place::Ended | Place::Closing)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_expires_in_any_state_ends_once_and_as_its_destination_says() {
    for (seed, place) in (1..).zip(Place::ALL) {
        let held = held(seed, place, NODE, expires(place)).await;
        let Held { world, a, b, id } = &held;
        let expired = world.now().0 - START + expires(place);
        assert!(world.now().0 < START + expires(place), "{place:?} is met in time, {expired}");
        if place.is_slow() {
            // The chain lets it go by itself.
        } else {
            world.pass(Duration::from_mins(30)).await;
            let (direction, state) = place.state();
            let site = if direction == Direction::Outbound { a } else { b };
            match place {
                // Nothing more is needed to judge it: it is proven.
                Place::Suspended => assert_eq!(b.state(direction, id), None),
                // Offered again, as every expired message without a receipt is.
                Place::Accepted => {
                    let found = site.state(direction, id);
                    assert!(matches!(found, Some(State::Queued | State::Accepted)), "{found:?}");
                }
                _ => assert_eq!(site.state(direction, id), Some(state), "{place:?}"),
            }
            if place != Place::Suspended {
                assert_eq!(world.happened("refunded id"), 0, "{place:?}: expiry alone refunds");
                assert_eq!(world.balance("e2e4"), amount(FUNDS - VALUE), "{place:?}");
            }
            held.release(place).await;
        }
        world.until_empty(HOURS, &[a, b]).await;
        let tally = world.audit(&[a, b]).await;
        let delivered = usize::from(is_delivered(place));
        let expected = Tally { delivered, refunded: 1 - delivered, unroutable: 0 };
        assert_eq!(tally, expected, "{place:?}");
        // Void first, then the refund; what was for nobody was refused for that, in time or not.
        let ended = line(world, &format!("b1c2/1 ended id={id}"));
        let told = line(world, &format!("e2e4/1 receipt-taken id={id}"));
        let last = if is_delivered(place) { "closed" } else { "refunded" };
        let paid = line(world, &format!("e2e4/1 {last} id={id}"));
        assert!(ended < told && told < paid, "{place:?}: {:#?}", world.story());
        let late = world.happened_with(&["ended", "refused \"5.4.7 "]);
        assert_eq!(late, usize::from(!is_delivered(place) && !place.is_for_nobody()), "{place:?}");
        let value = if is_delivered(place) { VALUE } else { 0 };
        assert_eq!(world.balance("e2e4"), amount(FUNDS - value), "{place:?}");
        assert_eq!(b.figures(cid("e2e4"), ASSET).received, amount(value), "{place:?}");
    }
}

const START: u64 = crate::support::world::START.0 / 1000;

/// The line of the story that says so; there is exactly one.
fn line(world: &crate::support::world::World, text: &str) -> usize {
    let story = world.story();
    let found: Vec<usize> = (0..story.len()).filter(|n| story[*n].contains(text)).collect();
    assert_eq!(found.len(), 1, "{text}: {story:#?}");
    found[0]
}

/// Decided and handed over in time, mined after its expiry: the chain itself refuses it.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_mined_after_the_expiry_is_refused_by_the_chain_and_voided() {
    let held = held(20, Place::Delivering, NODE, expires(Place::Delivering)).await;
    let Held { world, a, b, id } = &held;
    assert_eq!(world.happened(&format!("b1c2/1 admitted id={id}")), 1);
    assert_eq!(b.figures(cid("e2e4"), ASSET).pending_in, amount(VALUE), "set aside");
    let late = || world.happened_with(&["b1c2/1 deferred", "5.4.7", "expired at"]) == 1;
    world.until("refused by the chain", HOURS, late).await;
    assert_eq!(world.happened("refunded id"), 0, "not yet void, so not yet refunded");
    world.until_empty(HOURS, &[a, b]).await;
    let tally = world.audit(&[a, b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
    assert_eq!(b.figures(cid("e2e4"), ASSET).pending_in, amount(0), "given back");
}

/// The proof comes only after the expiry: void, then the refund, and neither before. The
/// destination was killed meanwhile, so that nothing hangs on what it remembers.
#[tokio::test(start_paused = true)]
async fn a_proof_that_comes_only_after_the_expiry_voids_and_then_refunds() {
    for (seed, restarted) in [(30, false), (31, true)] {
        let mut held = held(seed, Place::Claimed, NODE, 100).await;
        held.world.pass(Duration::from_hours(50)).await;
        let quiet = |held: &Held| {
            let ends = ["ended id", "receipt-taken", "refunded id", "submitted void"];
            assert!(ends.iter().all(|end| held.world.happened(end) == 0));
            assert_eq!(held.world.balance("e2e4"), amount(FUNDS - VALUE));
            assert_eq!(held.b.state(Direction::Inbound, &held.id), Some(State::Claimed));
        };
        quiet(&held);
        if restarted {
            let Held { world, a, b, id } = held;
            let b = world.start_with("b1c2", 1, Family::Ledger, b.kill());
            held = Held { world, a, b, id };
            held.world.pass(Duration::from_hours(1)).await;
            quiet(&held);
        }
        held.release(Place::Claimed).await;
        let Held { world, a, b, id } = &held;
        world.until_empty(HOURS, &[a, b]).await;
        let order =
            ["b1c2/1 proven", "b1c2/1 submitted void", "b1c2/1 ended id", "e2e4/1 refunded"];
        let places: Vec<usize> = order
            .iter()
            .map(|word| world.story().iter().position(|line| line.contains(word)).unwrap())
            .collect();
        assert!(places.is_sorted(), "{id}: {places:?}");
        let tally = world.audit(&[a, b]).await;
        assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
    }
}
