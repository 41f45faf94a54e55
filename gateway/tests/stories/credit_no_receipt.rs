//! A destination that is gone for good. Nothing is paid back without its receipt, unless the
//! operator of the source has said so (`[policy] refund_without_receipt`), and then only after the
//! grace, only where it was silent at every attempt, and with a word in the books.

use std::{sync::Arc, time::Duration};

use distpos_gateway::config::Policy;
use distpos_proto::{
    account::Step,
    chain::Family,
    message::MessageId,
    receipt::{Standing, Status},
    wire::{RequestKind, Response, StatusAnswer},
};
use distpos_resolver::{Fault, LookupFailure};
use distpos_spool::{Act, Direction, Spool, State};

use crate::support::{
    audit::Tally,
    network::Fate,
    site::Site,
    world::{ASSET, FUNDS, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOURS: Duration = Duration::from_secs(6 * 60 * 60);
/// The grace of these stories: an operator would say a month, of which every second is played.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The operator of a gateway allows the refund.
fn allow(site: &Site) {
    let policy = Policy { refund_without_receipt: Some(GRACE), ..Policy::default() };
    *site.book.policy.lock().unwrap() = Arc::new(policy);
}

/// A message that expires in an hour, for b1c2.
async fn send(world: &World) -> MessageId {
    world.send("e2e4", world.user("b1c2"), 250, world.now().0 + 3600).await
}

fn refunds(world: &World) -> usize {
    world.happened("e2e4/1 refunded id")
}

/// Its destination is away from the start; gives the destination's spool.
async fn gone(seed: u64, allowed: bool) -> (World, Site, Spool, MessageId) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    if allowed {
        allow(&a);
    }
    let spool = b.kill();
    let id = send(&world).await;
    (world, a, spool, id)
}

#[tokio::test(start_paused = true)]
async fn unless_it_is_allowed_a_silent_destination_is_waited_for_without_end() {
    let (world, a, spool, id) = gone(1, false).await;
    world.pass(DAY * 8).await;
    assert_eq!((refunds(&world), a.state(Direction::Outbound, &id)), (0, Some(State::Queued)));
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 250));
    assert!(world.happened_with(&["alert", "are expired and have no receipt yet"]) > 8 * 20);
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn where_it_is_allowed_the_sender_is_paid_back_once_after_the_grace() {
    let (world, a, spool, id) = gone(2, true).await;
    // Not yet expired when the destination went away: the grace counts from the expiry.
    world.pass(GRACE).await;
    assert_eq!((refunds(&world), a.state(Direction::Outbound, &id)), (0, Some(State::Queued)));
    let fresh = world.send("e2e4", world.user("b1c2"), 40, world.now().0 + 24 * 3600).await;
    world.until("refunded", HOURS, || refunds(&world) == 1).await;
    assert_eq!(world.happened(&format!("e2e4/1 refunded id={id}")), 1);
    assert_eq!(world.happened_with(&["e2e4/1 alert", "refunded without a receipt", "b1c2"]), 1);
    assert_eq!(
        world.happened_with(&[&format!("refused id={id}"), "5.4.1 b1c2 has been silent"]),
        1
    );
    assert_eq!(world.balance("e2e4"), amount(FUNDS - 40));
    // Its own grace begins when it expires.
    world.pass(GRACE).await;
    assert_eq!((refunds(&world), a.state(Direction::Outbound, &fresh)), (1, Some(State::Queued)));
    // The books say which refund had no receipt, and why.
    let journal = a.journal(cid("b1c2"), ASSET);
    let refund = journal.iter().find(|entry| entry.act == Act::Step(Step::Refund(amount(250))));
    let refund = refund.unwrap();
    assert_eq!((refund.id, refund.by.as_str()), (Some(id), "gateway"));
    assert!(
        refund.why.starts_with("without a receipt: 5.4.1 b1c2 has been silent for "),
        "{refund:?}"
    );
    // And what its sender is told.
    let end = a.gateway.spool.read(|tx| tx.ended(Direction::Outbound, &id)).unwrap().unwrap();
    assert!(format!("{:?}", end.outcome).contains("Code(5.4.1)"), "{end:?}");
    // It comes back and has never heard of it.
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { refunded: 1, unroutable: 1, ..Tally::default() });
}

/// What it has taken, and never proved: it finds it expired when it comes back, and nobody gains.
#[tokio::test(start_paused = true)]
async fn a_claim_that_it_kept_all_the_while_is_void_when_it_comes_back() {
    let (world, a, b) = World::pair(3, 5_000).await;
    allow(&a);
    crate::support::held::lose(&world, RequestKind::Proofs);
    let id = send(&world).await;
    world.until("taken", SOON, || a.state(Direction::Outbound, &id) == Some(State::Accepted)).await;
    let spool = b.kill();
    world.pass(GRACE + HOURS).await;
    assert_eq!(refunds(&world), 1);
    world.network.heal();
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(DAY * 8, &[&a, &b]).await;
    assert!(!a.is_frozen(cid("b1c2")), "the same end is no contradiction");
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally.delivered, 0);
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
}

/// Any sign of life before the grace is over, and it begins anew.
#[tokio::test(start_paused = true)]
async fn an_answer_before_the_grace_is_over_ends_it() {
    for (seed, call) in [(4, true), (5, false)] {
        let (world, a, spool, id) = gone(seed, true).await;
        world.pass(GRACE - HOURS).await;
        let spool = if call {
            // It only calls, once, and cannot be called.
            let pin = world.chains[&cid("b1c2")].pin(1);
            let answer = a.ask(pin, cid("b1c2"), &distpos_proto::wire::Request::Hello).await;
            assert!(matches!(answer, Response::Hello(_)), "{answer:?}");
            spool
        } else {
            // It is there for a while, and refuses everything.
            world.network.meddle_with_answers(|_, _| vec![0xff]);
            let b = world.start_with("b1c2", 1, Family::Ledger, spool);
            b.book.trusted.lock().unwrap().clear();
            world.pass(HOURS).await;
            let spool = b.kill();
            world.network.heal();
            spool
        };
        world.pass(GRACE - HOURS).await;
        assert_eq!((refunds(&world), a.state(Direction::Outbound, &id)), (0, Some(State::Queued)));
        let b = world.start_with("b1c2", 1, Family::Ledger, spool);
        let anchor = world.anchor(cid("e2e4"), Family::Ledger);
        b.book.trusted.lock().unwrap().insert(cid("e2e4"), anchor);
        world.until_empty(HOURS, &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { refunded: 1, ..Tally::default() }, "by its own receipt");
        assert_eq!(world.happened("without a receipt"), 0);
    }
}

/// "Pending" and "unknown", for twice the grace: it is there.
#[tokio::test(start_paused = true)]
async fn a_destination_that_answers_pending_or_unknown_is_never_given_up() {
    for (seed, standing) in [(6, Standing::Pending), (7, Standing::Unknown)] {
        let (world, a, b) = World::pair(seed, 5_000).await;
        allow(&a);
        world.network.fates(|call| match call.kind {
            RequestKind::Proofs => Fate::RequestLost,
            _ => Fate::Arrives,
        });
        let id = send(&world).await;
        let key = world.chains[&cid("b1c2")].secrets().remove(0);
        world.network.meddle_with_answers(move |call, body| match call.kind {
            RequestKind::Status if call.to == cid("b1c2") => {
                let status = Status::sign(id, cid("b1c2"), standing, &key);
                Response::Status(vec![StatusAnswer::Open(status)]).body()
            }
            _ => body,
        });
        world.pass(GRACE * 2).await;
        assert_eq!(refunds(&world), 0, "{standing:?}");
        assert_eq!(world.balance("e2e4"), amount(FUNDS - 250), "{standing:?}");
        assert!(a.state(Direction::Outbound, &id).is_some());
        world.network.heal();
        world.until_empty(DAY, &[&a, &b]).await;
        let tally = world.audit(&[&a, &b]).await;
        assert_eq!(tally, Tally { refunded: 1, ..Tally::default() }, "{standing:?}");
        assert_eq!(world.happened("without a receipt"), 0);
    }
}

/// It delivered, and was gone before it could say so. The refund is a loss that the operator has
/// agreed to: the late receipt is an alert, freezes nobody, and pays nothing twice.
#[tokio::test(start_paused = true)]
async fn a_delivered_receipt_after_the_refund_is_an_alert_and_moves_nothing() {
    let (world, a, b) = World::pair(8, 5_000).await;
    allow(&a);
    world.network.fates(|call| match call.kind {
        RequestKind::Receipts | RequestKind::Status => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let id = send(&world).await;
    let ended = || world.happened(&format!("b1c2/1 ended id={id} delivered")) == 1;
    world.until("delivered", SOON, ended).await;
    let spool = b.kill();
    world.pass(GRACE + HOURS).await;
    assert_eq!(refunds(&world), 1);
    assert_eq!(world.balance("e2e4"), amount(FUNDS), "and the recipient has it, too");
    world.network.heal();
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    let late = format!("receipt for {id} came after its refund: Delivered");
    assert_eq!(world.happened_with(&["e2e4/1 alert", &late]), 1);
    assert!(!a.is_frozen(cid("b1c2")));
    assert_eq!((refunds(&world), world.happened("closed id")), (1, 0));
    assert_eq!(
        (world.balance("e2e4"), world.balance("b1c2")),
        (amount(FUNDS), amount(FUNDS + 250))
    );
    // By exactly this sum the two books differ now, and the journal says where it is.
    let (at_a, at_b) = (a.figures(cid("b1c2"), ASSET), b.figures(cid("e2e4"), ASSET));
    assert_eq!((at_a.sent, at_a.pending_out, at_b.received), (amount(0), amount(0), amount(250)));
    let journal = a.journal(cid("b1c2"), ASSET);
    let said = journal.iter().filter(|entry| entry.why.starts_with("without a receipt: "));
    assert_eq!(said.map(|entry| entry.id).collect::<Vec<_>>(), [Some(id)]);
    // The next statement of b1c2 says so, too, until the operators have agreed on it.
    let differs = "e2e4/1 statement chain=b1c2 asset=e2e4/coin";
    world.until("told", HOURS, || world.happened_with(&[differs, "differs"]) == 1).await;
    let suspension = a.account(cid("b1c2"), ASSET).suspension.unwrap();
    assert_eq!(suspension.why, "the peer's statement says 250, the books here 0");
}

/// A gateway that did not try has not heard a silence, however long it was off.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_off_for_weeks_begins_to_listen_anew() {
    let (world, a, spool, id) = gone(9, true).await;
    world.pass(HOURS).await;
    let own = a.kill();
    world.pass(DAY * 60).await;
    let a = world.start_with("e2e4", 1, Family::Ledger, own);
    world.pass(HOURS * 2).await;
    assert_eq!((refunds(&world), a.state(Direction::Outbound, &id)), (0, Some(State::Queued)));
    // A restart is no such gap.
    let own = a.kill();
    world.pass(HOURS / 2).await;
    let a = world.start_with("e2e4", 1, Family::Ledger, own);
    world.pass(GRACE - HOURS * 3).await;
    assert_eq!(refunds(&world), 0);
    world.until("refunded", DAY, || refunds(&world) == 1).await;
    let b = world.start_with("b1c2", 1, Family::Ledger, spool);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
}

/// A chain that is not in DNS any more is as gone as one that does not answer; and while its own
/// node is away, the gateway does not forget why it refunds.
#[tokio::test(start_paused = true)]
async fn a_destination_that_no_look_up_finds_is_gone_too() {
    let (world, a, _, id) = gone(10, true).await;
    world.zone.fail("_distpos.b1c2", Fault::Fails(LookupFailure::ServFail));
    world.pass(GRACE + HOURS).await;
    assert_eq!(world.happened(&format!("e2e4/1 refunded id={id}")), 1);
    let tally = world.audit(&[&a]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() });
}
