//! What chains and gateways do here moves their standing: who waits for it, who is asked last, and
//! that it freezes nobody.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use distpos_gateway::standing::view;
use distpos_proto::{
    chain::Family,
    light::Evidence,
    message::MessageId,
    record::{GatewayRecord, HostName, Target},
    standing::{Happening, Subject},
    wire::Response,
};
use distpos_spool::{Direction, SpoolError, StandingEntry, State};

use crate::support::{
    audit::Tally,
    site::Site,
    world::{FUNDS, START, World, amount, cid, zone_name},
};

const SOON: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The operator's threshold from now on.
fn standing_min(site: &Site, min: u8) {
    Arc::make_mut(&mut site.book.policy.lock().unwrap()).standing_min = min;
}

/// The score in thousandths, as `site` sees it now.
fn score(site: &Site, who: &str) -> u32 {
    let (who, now): (Subject, _) = (who.parse().unwrap(), site.gateway.now());
    site.gateway.spool.read(|tx| tx.standing(&who, now)).unwrap().thousandths()
}

/// The journal, the oldest entry first.
fn journal(site: &Site, who: &str) -> Vec<StandingEntry> {
    let who: Subject = who.parse().unwrap();
    let mut entries = site.gateway.spool.read(|tx| tx.standing_entries(&who, 99)).unwrap();
    entries.reverse();
    entries
}

fn words(site: &Site, who: &str) -> Vec<&'static str> {
    journal(site, who).iter().map(|entry| entry.happening.word()).collect()
}

async fn note(site: &Site, who: &str, happening: Happening) {
    let (who, now): (Subject, _) = (who.parse().unwrap(), site.gateway.now());
    let noting = site
        .gateway
        .spool
        .transact(move |tx| tx.note_standing(&who, happening, "told by the test", now));
    assert!(noting.await.unwrap().is_some());
}

/// A pair whose destination holds up chains below 43, and its source at 42.
async fn held_up(seed: u64) -> (World, Site, Site) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    standing_min(&b, 43);
    note(&b, "e2e4", Happening::SequenceGap).await;
    note(&b, "e2e4", Happening::Spam).await;
    assert_eq!(score(&b, "e2e4"), 42_000);
    (world, a, b)
}

fn low(world: &World) -> usize {
    world.happened_with(&["b1c2/1 deferred chain=e2e4", "4.7.1 standing of e2e4 is 42"])
}

#[tokio::test(start_paused = true)]
async fn a_proven_message_waits_for_its_chains_standing_and_goes_on_with_time() {
    let (world, a, b) = held_up(1).await;
    let expires = world.now().0 + 4 * DAY.as_secs();
    let id = world.send("e2e4", world.user("b1c2"), 250, expires).await;
    world.until("held up", SOON, || low(&world) == 1).await;
    assert!(world.happened_with(&["b1c2/1 proven", &id.to_string()]) > 0, "its proof is good");
    world.pass(DAY).await;
    assert_eq!(b.state(Direction::Inbound, &id), Some(State::Claimed));
    assert_eq!(world.balance("b1c2"), amount(FUNDS));
    assert!((80..110).contains(&low(&world)), "looked at four times an hour: {}", low(&world));
    assert_eq!(score(&b, "e2e4") / 100, 427);
    // 8 points are 7 after some 32 hours.
    world.until_empty(DAY / 2, &[&a, &b]).await;
    let passed = world.now().0 - START.seconds().0;
    assert!((108_000..120_000).contains(&passed), "{passed} s");
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
    assert!(!b.is_frozen(cid("e2e4")));
    // Proven in time all the same: what held it up was on this side.
    assert_eq!(words(&b, "e2e4"), ["sequence-gap", "spam", "proven-in-time"]);
}

#[tokio::test(start_paused = true)]
async fn a_threshold_that_is_lowered_lets_go_what_waited_and_in_order() {
    let (world, a, b) = held_up(2).await;
    for value in [10, 20, 30] {
        world.send("e2e4", world.user("b1c2"), value, 0).await;
        world.pass(SOON).await;
    }
    assert_eq!(world.happened("b1c2/1 admitted"), 0);
    // The other way nobody is held up.
    world.send("b1c2", world.user("e2e4"), 5, 0).await;
    world.until("closed", SOON, || world.happened("b1c2/1 closed") == 1).await;
    standing_min(&b, 0);
    world.until_empty(Duration::from_mins(20), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 4, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_is_held_up_is_refunded_and_counts_against_nobody() {
    let (world, a, b) = held_up(3).await;
    standing_min(&b, 100);
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(Duration::from_hours(23)).await;
    assert_eq!(b.state(Direction::Inbound, &id), Some(State::Claimed));
    world.until_empty(HOUR * 2, &[&a, &b]).await;
    assert_eq!(world.happened(&format!("receipt-taken id={id} refused \"5.4.7 ")), 1);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { refunded: 1, ..Tally::default() });
    world.pass(DAY * 8).await;
    assert_eq!(words(&b, "e2e4"), ["sequence-gap", "spam"]);
}

/// The name of a gateway as DNS has it in these worlds.
fn name(chain: &str, n: u8) -> String {
    format!("gw{n}.{chain}.test:7333")
}

/// Publishes so many gateways of a chain at one priority.
fn publish_alike(world: &World, chain: &str, count: u8) {
    let id = cid(chain);
    let records = (1..=count).map(|n| {
        let host: HostName = format!("gw{n}.{chain}.test").parse().unwrap();
        let mut record = GatewayRecord::new(id, host, world.chains[&id].pin(n));
        if let Target::Host { port, .. } = &mut record.target {
            *port = 7333;
        }
        record
    });
    world.zone.publish(&zone_name(id), 300, records);
}

/// Changes the evidence that one gateway gives.
fn falsify(world: &World, at: SocketAddr) {
    world.network.meddle_with_answers(move |call, body| {
        let Ok(Response::Proofs(mut proofs)) = Response::from_body(call.kind, &body) else {
            return body;
        };
        if call.at != at {
            return body;
        }
        for evidence in &mut proofs.blocks {
            let Evidence::Ledger { header, .. } = evidence else { panic!("{evidence:?}") };
            header.header.root[0] ^= 1;
        }
        Response::Proofs(proofs).body()
    });
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gave_a_wrong_proof_is_asked_last_from_then_on() {
    let world = World::new(4, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let a = [world.start("e2e4", 1, Family::Ledger), world.start("e2e4", 2, Family::Ledger)];
    let b = world.start("b1c2", 1, Family::Ledger);
    publish_alike(&world, "e2e4", 2);
    falsify(&world, a[0].address);
    let [bad, good] = [1, 2].map(|n| name("e2e4", n));
    let asked = |gateway: &str| {
        world.happened(&format!("b1c2/1 proof-asked source=e2e4 gateway={gateway}"))
    };
    let send = async |count: usize| {
        for _ in 0..count {
            world.send("e2e4", world.user("b1c2"), 1, 0).await;
            world.until_empty(SOON * 10, &[&a[0], &a[1], &b]).await;
        }
    };
    while asked(&bad) == 0 {
        send(1).await;
    }
    assert_eq!(score(&b, &format!("e2e4@{bad}")), 40_000);
    assert_eq!(score(&b, "e2e4"), 49_000, "1 earned and 2 lost, whichever came first");
    let (before, of_good) = (asked(&bad), asked(&good));
    send(20).await;
    assert_eq!(asked(&bad), before, "the other one has every proof");
    assert_eq!(asked(&good), of_good + 20);
    // A restart forgets nothing, and the other one being away is reason enough to ask it.
    world.network.heal();
    let b = world.start_with("b1c2", 1, Family::Ledger, b.kill());
    world.network.set_down(a[1].address, true);
    let id = world.send("e2e4", world.user("b1c2"), 1, 0).await;
    world.until("ended", SOON, || world.happened(&format!("b1c2/1 ended id={id}")) == 1).await;
    assert_eq!(asked(&bad), before + 1);
    world.network.set_down(a[1].address, false);
    world.until_empty(HOUR * 3, &[&a[0], &a[1], &b]).await;
    // After a month that is forgotten: both are asked.
    world.pass(DAY * 30).await;
    let of_bad = asked(&bad);
    for _ in 0..20 {
        world.send("e2e4", world.user("b1c2"), 1, 0).await;
        world.until_empty(SOON * 10, &[&a[0], &a[1], &b]).await;
    }
    assert!((3..18).contains(&(asked(&bad) - of_bad)), "{} of 20", asked(&bad) - of_bad);
    assert!(!b.is_frozen(cid("e2e4")));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_proof_at_each_attempt_costs_once_an_hour() {
    let (world, a, b) = World::pair(5, 5_000).await;
    falsify(&world, a.address);
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(HOUR / 2).await;
    assert!(world.happened("b1c2/1 proof-invalid") > 50);
    let of = format!("e2e4@{}", name("e2e4", 1));
    let first =
        |who: &str| journal(&b, who).iter().map(|e| e.after.thousandths()).collect::<Vec<_>>();
    assert_eq!((first(&of), first("e2e4")), (vec![40_000], vec![48_000]));
    world.pass(HOUR * 4).await;
    assert_eq!(words(&b, &of), ["invalid-proof"; 5]);
    assert!(journal(&b, &of)[0].cause.contains("not signed by 1 distinct keys"));
    assert!(score(&b, &of) < 1_000);
    assert!(!b.is_frozen(cid("e2e4")), "only a conflict freezes");
    world.network.heal();
    world.until_empty(HOUR, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn an_outage_counts_once_however_often_it_is_met_and_an_answer_ends_it() {
    let (world, a, b) = World::pair(6, 5_000).await;
    let of = format!("b1c2@{}", name("b1c2", 1));
    world.network.set_down(b.address, true);
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(HOUR * 6).await;
    assert!(world.happened_with(&["e2e4/1 deferred", "4.4.1"]) > 8);
    let (gateway, chain) = (journal(&a, &of), journal(&a, "b1c2"));
    assert_eq!((gateway.len(), chain.len()), (1, 1));
    assert_eq!((gateway[0].after.thousandths(), chain[0].after.thousandths()), (48_000, 49_000));
    assert!(gateway[0].cause.starts_with("no connection to "), "{}", gateway[0].cause);
    let silent = |who: &str| {
        let who: Subject = who.parse().unwrap();
        let row = a.gateway.spool.read(|tx| tx.standing_row(&who)).unwrap().unwrap();
        row.silent_since.is_some()
    };
    assert!(silent(&of) && silent("b1c2"));
    world.network.set_down(b.address, false);
    world.until_empty(HOUR * 2, &[&a, &b]).await;
    assert!(!silent(&of) && !silent("b1c2"));
    // The next outage is another one.
    world.network.set_down(b.address, true);
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(HOUR).await;
    assert_eq!(words(&a, &of), ["timeout"; 2]);
    world.network.set_down(b.address, false);
    world.until_empty(HOUR * 2, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
    // DNS that fails is no gateway's silence.
    world.zone.fail("", distpos_resolver::Fault::Silent);
    world.pass(DAY).await;
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(HOUR * 3).await;
    let timeouts = |who| words(&a, who).iter().filter(|word| **word == "timeout").count();
    assert_eq!((timeouts(&of), timeouts("b1c2")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_gateway_that_is_away_is_not_its_chains_silence() {
    let world = World::new(7, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = [world.start("b1c2", 1, Family::Ledger), world.start("b1c2", 2, Family::Ledger)];
    world.network.set_down(b[0].address, true);
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("closed", SOON, || world.happened("e2e4/1 closed") == 1).await;
    assert_eq!(words(&a, &format!("b1c2@{}", name("b1c2", 1))), ["timeout"]);
    assert_eq!((journal(&a, "b1c2"), score(&a, "b1c2")), (vec![], 50_000));
}

/// Leaves evidence out of every answer.
fn keep_back(world: &World, which: impl Fn(&Evidence) -> bool + Send + Sync + 'static) {
    world.network.meddle_with_answers(move |call, body| {
        let Ok(Response::Proofs(mut proofs)) = Response::from_body(call.kind, &body) else {
            return body;
        };
        proofs.blocks.retain(|evidence| !which(evidence));
        Response::Proofs(proofs).body()
    });
}

/// Sends three messages, each in a block of its own; the proof of the second is kept back.
async fn kept_back(world: &World, a: &Site, b: &Site) -> Vec<MessageId> {
    keep_back(world, |_| true);
    let mut ids = Vec::new();
    for value in [10, 20, 30] {
        ids.push(world.send(&a.chain.to_string(), world.user("b1c2"), value, 0).await);
        let last = ids.last().copied();
        let claimed = || last.is_some_and(|id| b.state(Direction::Inbound, &id).is_some());
        world.until("claimed", SOON, claimed).await;
    }
    let batches = b.batches(Direction::Inbound);
    let second = batches.iter().find(|batch| batch.items.iter().any(|item| item.id == ids[1]));
    let height = second.unwrap().height;
    keep_back(world, move |evidence| evidence.height() == height);
    ids
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_kept_back_counts_once_and_repairs_nothing() {
    let (world, a, b) = World::pair(8, 5_000).await;
    // From the first message that is proven on, none may be missing.
    world.send("e2e4", world.user("b1c2"), 5, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let ids = kept_back(&world, &a, &b).await;
    let others =
        || [0, 2].iter().all(|n| world.happened(&format!("b1c2/1 ended id={}", ids[*n])) == 1);
    world.until("the others delivered", HOUR, others).await;
    world.pass(HOUR * 2).await;
    assert_eq!(words(&b, "e2e4"), ["proven-in-time"]);
    world.pass(HOUR + SOON * 11).await;
    assert_eq!(words(&b, "e2e4"), ["proven-in-time", "sequence-gap"]);
    assert_eq!(journal(&b, "e2e4")[1].cause, "messages 3 to 3 are missing");
    world.pass(HOUR * 5).await;
    assert_eq!(b.state(Direction::Inbound, &ids[1]), Some(State::Claimed));
    let before = journal(&b, "e2e4").len();
    assert_eq!(before, 2, "once");
    world.network.heal();
    world.until_empty(HOUR * 2, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 4, ..Tally::default() });
    // Nine hours late: delivered, and no credit to anybody.
    assert_eq!(journal(&b, "e2e4").len(), before);
    assert!(!b.is_frozen(cid("e2e4")));
}

#[tokio::test(start_paused = true)]
async fn gateways_that_share_the_messages_miss_none_of_each_other() {
    let world = World::new(9, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let a = world.start("e2e4", 1, Family::Ledger);
    let b = [world.start("b1c2", 1, Family::Ledger), world.start("b1c2", 2, Family::Ledger)];
    for away in [false, true, false] {
        world.network.set_down(b[0].address, away);
        world.send("e2e4", world.user("b1c2"), 10, 0).await;
        // Past the time for which a gateway that failed is tried last.
        world.pass(Duration::from_mins(6)).await;
    }
    let both = |n: u8| world.happened_with(&["e2e4/1 sent", &name("b1c2", n)]);
    assert_eq!((both(1), both(2)), (2, 1));
    world.pass(HOUR * 5).await;
    world.until_empty(HOUR, &[&a, &b[0], &b[1]]).await;
    assert_eq!(world.happened("sequence-gap"), 0);
}

#[tokio::test(start_paused = true)]
async fn claims_that_are_never_proven_are_spam() {
    let (world, a, b) = World::pair(10, 5_000).await;
    keep_back(&world, |_| true);
    for value in [10, 20] {
        world.send("e2e4", world.user("b1c2"), value, 0).await;
    }
    world.pass(DAY * 6).await;
    assert_eq!(words(&b, "e2e4"), [""; 0]);
    world.pass(DAY + HOUR * 2).await;
    assert_eq!(words(&b, "e2e4"), ["spam"]);
    assert_eq!(journal(&b, "e2e4")[0].after.thousandths(), 47_000);
    world.network.heal();
    world.until_empty(DAY * 2, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { refunded: 2, ..Tally::default() });
    assert!(!b.is_frozen(cid("e2e4")));
}

#[tokio::test(start_paused = true)]
async fn many_small_messages_earn_what_one_earns_and_the_journal_shows_it() {
    let (world, a, b) = World::pair(11, 5_000).await;
    for _ in 0..200 {
        world.send("e2e4", world.user("b1c2"), 1, 0).await;
    }
    world.until_empty(HOUR, &[&a, &b]).await;
    let of = format!("e2e4@{}", name("e2e4", 1));
    assert_eq!((score(&b, "e2e4"), score(&b, &of)), (51_000, 51_000));
    let shown = b.gateway.spool.read(|tx| {
        let now = b.gateway.now();
        let all = view::list(tx, now)?;
        let one = view::show(tx, &of.parse().unwrap(), 9, now)?;
        let nobody = view::show(tx, &Subject::chain(cid("f00d")), 9, now)?;
        Ok::<_, SpoolError>((all, one, nobody))
    });
    let (all, one, nobody) = shown.unwrap();
    let named: Vec<_> =
        all.iter().map(|view| (view.subject.as_str(), view.standing.as_str())).collect();
    assert_eq!(named, [("e2e4", "51"), (of.as_str(), "51")]);
    assert_eq!(nobody, None);
    let one = serde_json::to_value(one.unwrap()).unwrap();
    assert_eq!(one["gateway"], name("e2e4", 1));
    assert_eq!(one["journal"][0]["event"], "proven-in-time");
    let id = one["journal"][0]["cause"].as_str().unwrap().strip_prefix("message ").unwrap();
    assert_eq!(world.happened(&format!("b1c2/1 ended id={id} delivered")), 1);
    assert_eq!(
        (&one["journal"][0]["before"], &one["journal"][0]["after"]),
        (&"50".into(), &"51".into())
    );
    assert_eq!(world.happened(&format!("b1c2/1 standing of={of} now=51 for=proven-in-time")), 1);
}

#[tokio::test(start_paused = true)]
async fn the_lowest_standing_freezes_nobody_and_without_a_threshold_holds_nothing_up() {
    let (world, a, b) = World::pair(12, 5_000).await;
    for _ in 0..2 {
        note(&b, "e2e4", Happening::GuaranteeDefault).await;
        note(&a, "b1c2", Happening::GuaranteeDefault).await;
    }
    assert_eq!((score(&b, "e2e4"), score(&a, "b1c2")), (0, 0));
    world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.send("b1c2", world.user("e2e4"), 25, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
    assert!(!a.is_frozen(cid("b1c2")) && !b.is_frozen(cid("e2e4")));
}

/// A chain that pays what it was asked for, and whose books agree, rises for it; one that pays less
/// than was asked, or for nothing, does not.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_was_asked_for_and_books_that_match_raise_a_chain() {
    let (world, a, b) = World::pair(31, 100).await;
    world.deposit("b1c2", "e2e4", 1).await;
    world.send("e2e4", world.user("b1c2"), 90, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.until("asked", SOON, || world.happened("b1c2/1 strained chain=e2e4") == 1).await;
    let asset = "e2e4/coin".parse().unwrap();
    let asked =
        b.gateway.spool.read(|tx| tx.reserve_request(Direction::Outbound, cid("e2e4"), &asset));
    let wanted = asked.unwrap().unwrap().request.document.wanted.to_u128().unwrap();
    let wanted = u64::try_from(wanted).unwrap();
    world.deposit("b1c2", "e2e4", wanted - 1).await;
    world.pass(SOON).await;
    assert!(!words(&b, "e2e4").contains(&"settlement-honoured"), "not in full");
    world.deposit("b1c2", "e2e4", 1).await;
    world.pass(SOON).await;
    assert!(!words(&b, "e2e4").contains(&"settlement-honoured"), "relieved, and not asked again");
    // Strained again, asked again, and paid in full.
    world.send("e2e4", world.user("b1c2"), wanted, 0).await;
    world.until("asked", SOON, || world.happened("b1c2/1 strained chain=e2e4") == 2).await;
    world.deposit("b1c2", "e2e4", 1_000).await;
    world.until("honoured", SOON, || world.happened("for=settlement-honoured") == 1).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.pass(2 * HOUR).await;
    assert!(words(&b, "e2e4").contains(&"settlement-honoured"));
    // Each has told the other of its books by now; b1c2 has received, so e2e4 can compare.
    assert!(words(&a, "b1c2").contains(&"statement-matched"));
    assert!(!words(&b, "e2e4").contains(&"statement-matched"), "of nothing all say the same");
    world.audit(&[&a, &b]).await;
}
