//! Evidence that is wrong: nothing is delivered by it, and nothing is lost once it is right again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use distpos_gateway::inbound::{
    deliver::{Claim, Stopped},
    evidence,
};
use distpos_proto::{
    chain::Family,
    code::Code,
    envelope::{Envelope, Origin},
    key::SecretKey,
    light::{Authenticated, Evidence},
    message::{Fields, Message, MessageId},
    proof::merkle::{Tree, TreeProof, leaf_hash},
    wire::{Batch, Request, RequestKind, Response},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::{Call, Fate},
    site::Site,
    world::{FUNDS, Order, Plan, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(3 * 60 * 60);

/// A block with messages for two chains, so that a proof has leaves and hashes; the claim at the
/// first of them waits for a proof that never comes.
async fn claimed(family: Family) -> (World, [Site; 3], Vec<MessageId>) {
    let interval = Duration::from_secs(1);
    let world = World::new(Plan { interval, ..1.into() }, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Proofs => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let sites = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, family));
    let order =
        |to: &str, value| Order { to: world.user(to), value, data: b"data".to_vec(), expires: 0 };
    // The first order makes a block of its own, the others share one.
    let orders = vec![order("c3", 1), order("b1c2", 10), order("b1c2", 20), order("c3", 30)];
    let ids = world.order("e2e4", orders).await;
    let b = &sites[1];
    world.until("claimed", SOON, || b.state(Direction::Inbound, &ids[1]).is_some()).await;
    (world, sites, ids)
}

async fn any_bit_flipped(family: Family) {
    let (world, sites, ids) = claimed(family).await;
    let b = &sites[1];
    world.network.heal();
    let batches: Vec<_> = b.batches(Direction::Inbound);
    let claim = Claim::new(cid("e2e4"), State::Claimed, &batches);
    let proven = evidence::fetch(&b.gateway, cid("e2e4"), &claim).await.unwrap();
    assert_eq!(proven.len(), 2, "whole evidence proves both");

    let (flip, length) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(1)));
    let (at, size) = (flip.clone(), length.clone());
    world.network.meddle_with_answers(move |call, mut body| {
        if call.kind == RequestKind::Proofs && call.to == cid("e2e4") {
            size.store(body.len(), Ordering::Relaxed);
            let bit = at.load(Ordering::Relaxed);
            body[bit / 8] ^= 1 << (bit % 8);
        }
        body
    });
    let mut tried = 0;
    // Every byte, and over the bytes every bit.
    while flip.load(Ordering::Relaxed) / 8 < length.load(Ordering::Relaxed) {
        let bit = flip.load(Ordering::Relaxed);
        // Once a header is authenticated, nobody looks at its signatures again: look every time.
        *b.gateway.authenticated.lock().unwrap() = Authenticated::default();
        match evidence::fetch(&b.gateway, cid("e2e4"), &claim).await {
            Err(Stopped::PutOff(why)) => assert!(why.reply.code.is_temporary(), "{bit}: {why:?}"),
            Err(Stopped::Spool(error)) => panic!("{bit}: {error}"),
            Ok(proven) => panic!("bit {bit} flipped still proves {:?}", proven.keys()),
        }
        flip.fetch_add(if bit % 8 == 7 { 1 } else { 9 }, Ordering::Relaxed);
        tried += 1;
    }
    assert!(tried > 500, "{tried}");
    assert!(ids.iter().all(|id| world.happened(&format!("delivered id={id}")) == 0));
    assert!(!b.is_frozen(cid("e2e4")), "nothing authenticated was contradicted");
    assert_eq!(world.balance("b1c2"), amount(FUNDS));

    world.network.heal();
    let [a, b, c] = &sites;
    world.until_empty(HOURS * 10, &[a, b, c]).await;
    assert_eq!(world.audit(&[a, b, c]).await, Tally { delivered: 4, ..Tally::default() });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 30));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_proof_with_any_bit_flipped_proves_nothing() {
    any_bit_flipped(Family::Ledger).await;
}

#[tokio::test(start_paused = true)]
async fn an_attested_proof_with_any_bit_flipped_proves_nothing() {
    any_bit_flipped(Family::Attested).await;
}

/// Changes the evidence in answers to proof requests.
fn meddle(world: &World, change: impl Fn(&mut Evidence) + Send + Sync + 'static) {
    world.network.meddle_with_answers(move |call, body| {
        let Ok(Response::Proofs(mut proofs)) = Response::from_body(call.kind, &body) else {
            return body;
        };
        proofs.blocks.iter_mut().for_each(&change);
        Response::Proofs(proofs).body()
    });
}

/// A message is sent while `change` is done to its proof; it is refused for `reason`, asked for
/// again and again, and arrives when that stops.
async fn refused_until_right(reason: &str, change: impl Fn(&mut Evidence) + Send + Sync + 'static) {
    let (world, a, b) = World::pair(3, 5_000).await;
    meddle(&world, change);
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.pass(SOON).await;
    let refusals = world.happened_with(&["b1c2/1 proof-invalid", reason]);
    assert!((5..40).contains(&refusals), "{refusals} times {reason}: {:#?}", world.story());
    assert_eq!(b.state(Direction::Inbound, &id), Some(State::Claimed));
    assert_eq!(world.balance("b1c2"), amount(FUNDS));
    assert!(!b.is_frozen(cid("e2e4")));
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_header_signed_by_another_key_proves_nothing() {
    refused_until_right("not signed by 1 distinct keys", |evidence| {
        let Evidence::Ledger { header, .. } = evidence else { panic!("{evidence:?}") };
        *header = header.header.sign([&SecretKey::from_seed(&[66; 32])]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_of_another_genesis_proves_nothing() {
    refused_until_right("header is of chain e2e4/", |evidence| {
        let Evidence::Ledger { header, .. } = evidence else { panic!("{evidence:?}") };
        header.header.tag.0[0] ^= 1;
        *header = header.header.sign([&SecretKey::from_seed(&[1; 32])]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_altered_after_its_proof_proves_nothing() {
    refused_until_right("inclusion proof:", |evidence| {
        let Evidence::Ledger { tree, .. } = evidence else { panic!("{evidence:?}") };
        for leaf in &mut tree.leaves {
            *leaf = richer(&Message::from_bytes(leaf).unwrap()).bytes().to_vec();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn evidence_of_another_family_proves_nothing() {
    refused_until_right("evidence is of family attested, expected ledger", |evidence| {
        let Evidence::Ledger { tree, .. } = evidence.clone() else { return };
        let header = distpos_proto::header::Header {
            chain: cid("e2e4"),
            tag: distpos_proto::chain::GenesisTag([0; 8]),
            height: evidence.height(),
            block: distpos_proto::chain::BlockHash([0; 32]),
            time: distpos_proto::time::UnixSeconds(0),
            previous: distpos_proto::header::HeaderHash::NONE,
            key_set: [0; 32],
            leaf_count: 1,
            root: [0; 32],
        };
        *evidence = Evidence::Attested { header: header.sign([]), tree };
    })
    .await;
}

/// The same message with more money in it.
fn richer(message: &Message) -> Message {
    let mut fields: Fields = message.fields().clone();
    fields.value.as_mut().unwrap().amount = amount(9_000);
    Message::new(fields).unwrap()
}

/// A claim altered on its way is another message, which no block holds: it is never delivered, the
/// true one is sent again once its absence is known, and the false one is forgotten some day.
#[tokio::test(start_paused = true)]
async fn a_message_altered_in_the_claim_is_never_delivered_and_the_true_one_is() {
    let (world, a, b) = World::pair(4, 5_000).await;
    world.network.meddle_with_requests(|call, body| {
        let Ok(Request::Messages(batches)) = Request::from_parts(call.kind.path(), &body) else {
            return body;
        };
        let altered = batches.into_iter().map(|batch| {
            let envelopes = batch.claims.into_iter().map(|claim| {
                let envelope = claim.unwrap();
                Envelope { message: richer(&envelope.message), ..envelope }
            });
            Batch { height: batch.height, envelopes: envelopes.collect() }
        });
        Request::Messages(altered.collect()).body()
    });
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("taken", SOON, || a.state(Direction::Outbound, &id) == Some(State::Accepted)).await;
    assert_eq!(b.waiting(), 1, "the false one is on the disk, for all that is known");
    world.network.heal();
    world.until("closed", HOURS, || world.happened(&format!("closed id={id}")) == 1).await;
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
    assert_eq!(b.waiting(), 1);
    world.until_empty(Duration::from_hours(24 * 8), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
    assert_eq!(world.happened_with(&["alert", "never proven in 7 days"]), 1);
}

/// The operators of the source sign a second block of one height, with a message in it that their
/// chain never saw.
#[tokio::test(start_paused = true)]
async fn two_headers_of_one_height_freeze_the_chain_until_the_operator_thaws_it() {
    let (world, a, b) = World::pair(5, 5_000).await;
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={id}")) == 1).await;
    let sent = world.record(cid("e2e4")).await.sent;
    let true_one = sent[0].clone();
    let forged = richer(&true_one);
    forge_proofs(&world, forged.clone());
    claim(&world, &b, &forged, 3).await;
    world.until("frozen", SOON, || b.is_frozen(cid("e2e4"))).await;
    assert_eq!(world.happened_with(&["b1c2/1 conflict chain=e2e4 headers at"]), 1);
    world.network.heal();

    let honest = world.send("e2e4", world.user("b1c2"), 30, 0).await;
    world.pass(HOURS).await;
    let told = world.happened_with(&["e2e4/1 deferred", "frozen after conflicting evidence"]);
    assert!((2..6).contains(&told), "about once an hour, found {told}");
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250), "nothing is delivered while frozen");
    assert_eq!(a.state(Direction::Outbound, &honest), Some(State::Queued));
    b.thaw(cid("e2e4")).await;
    world.until("closed", HOURS, || world.happened(&format!("closed id={honest}")) == 1).await;
    assert_eq!(world.happened(&format!("delivered id={}", forged.id())), 0);
    world.until_empty(Duration::from_hours(24 * 8), &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
}

/// The source chain was reorganised after it was final, or its operators sign what they like: the
/// same message is proven in one block, and stands in another one.
#[tokio::test(start_paused = true)]
async fn a_message_proven_in_another_block_is_delivered_once() {
    let (world, a, b) = World::pair(15, 5_000).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Messages => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("queued", SOON, || a.waiting() == 1).await;
    let message = world.record(cid("e2e4")).await.sent[0].clone();
    assert_eq!(message.id(), id);
    world.network.heal();
    forge_proofs_at(&world, 9, message.clone());
    claim(&world, &b, &message, 9).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={id}")) == 1).await;
    assert_eq!(world.happened_with(&["b1c2/1 proven", "block=9", &id.to_string()]), 1);
    world.network.heal();

    // Now from the block in which it really is: acknowledged, and its receipt is sent again.
    claim(&world, &b, &message, 2).await;
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.happened_with(&["b1c2/1 receipt-sent", &id.to_string()]), 2);
    assert_eq!(world.happened_with(&["b1c2/1 submitted deliver", &id.to_string()]), 1);
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

/// A gateway of e2e4 claims a message at block `height`.
async fn claim(world: &World, b: &Site, message: &Message, height: u64) {
    let origin = Origin { height: distpos_proto::chain::Height(height), index: 0 };
    let envelopes = vec![Envelope { message: message.clone(), origin }];
    let request = Request::Messages(vec![Batch { height: origin.height, envelopes }]);
    let pin = world.chains[&cid("e2e4")].pin(1);
    match b.ask(pin, cid("e2e4"), &request).await {
        Response::Messages(replies) => assert_eq!(replies[0].code, Code::ACCEPTED),
        other => panic!("{other:?}"),
    }
}

/// Answers every request for proofs with a block of height 2 that holds only `message`, signed by
/// the chain's own key.
fn forge_proofs(world: &World, message: Message) {
    forge_proofs_at(world, 2, message);
}

/// The same with a block of any height.
fn forge_proofs_at(world: &World, at: u64, message: Message) {
    let ledger = world.chains[&cid("e2e4")].ledger.clone();
    let height = Arc::new(AtomicU64::new(0));
    let tag = distpos_gateway::chain::LocalChain::facts(&*ledger).tag;
    let time = world.now();
    world.network.meddle_with_answers(move |call: &Call, body| {
        if call.kind != RequestKind::Proofs {
            return body;
        }
        height.fetch_add(1, Ordering::Relaxed);
        let leaf = message.bytes().to_vec();
        let header = distpos_proto::light::ledger::LedgerHeader {
            chain: cid("e2e4"),
            tag,
            height: distpos_proto::chain::Height(at),
            previous: distpos_proto::header::HeaderHash([9; 32]),
            time,
            transactions_root: [0; 32],
            leaf_count: 1,
            root: Tree::new(vec![leaf_hash(&leaf)]).root(),
        };
        let header = header.sign([&SecretKey::from_seed(&[1; 32])]);
        let tree = TreeProof { indices: vec![0], leaves: vec![leaf], hashes: vec![] };
        let blocks = vec![Evidence::Ledger { header, tree }];
        Response::Proofs(distpos_proto::wire::Proofs { blocks, absent: vec![] }).body()
    });
}
