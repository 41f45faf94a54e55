//! What a thief, or a chain's own operators, might try to be paid twice: an old proof, a message in
//! another chain's name, a refusal before the proof, a receipt by a key that is no longer good.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use distpos_gateway::chain::{LocalChain, ledger::Ledger};
use distpos_proto::{
    chain::{Family, Height},
    code::{Code, Reply},
    envelope::{Envelope, Origin},
    header::HeaderHash,
    key::{KeySet, SecretKey},
    light::{Evidence, ledger::LedgerHeader},
    message::Message,
    proof::merkle::{Tree, TreeProof, leaf_hash},
    receipt::{Outcome, Receipt, SignedReceipt},
    wire::{Batch, Proofs, Request, RequestKind, Response, StatusAnswer},
};
use distpos_spool::{Direction, State};

use crate::{
    hostile::rebuilt,
    support::{
        audit::Tally,
        held::{Held, Place, VALUE, held, lose},
        site::Site,
        world::{ASSET, FUNDS, World, amount, cid},
    },
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// The answer that proved one message is given again for the next ones, and for the first once
/// more: it proves what it proved, which has ended, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_replayed_proof_delivers_nothing_a_second_time_and_nothing_else() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let first = Arc::new(Mutex::new(None));
    let recorded = first.clone();
    world.network.meddle_with_answers(move |call, body| match call.kind {
        RequestKind::Proofs if call.to == cid("e2e4") => {
            recorded.lock().unwrap().get_or_insert_with(|| body.clone()).clone()
        }
        _ => body,
    });
    let old = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={old}")) == 1).await;
    assert!(first.lock().unwrap().is_some());
    let new = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    // The first is claimed again, too.
    let message = world.record(cid("e2e4")).await.sent[0].clone();
    assert_eq!(claim(&world, &b, "e2e4", &message).await.code, Code::ACCEPTED);
    world.pass(SOON).await;
    let asked = world.network.arrived(RequestKind::Proofs, cid("e2e4"));
    assert!(asked > 5, "{asked} times the old proof");
    assert_eq!(b.state(Direction::Inbound, &new), Some(State::Claimed), "not by that proof");
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
    let figures = b.figures(cid("e2e4"), ASSET);
    assert_eq!((figures.received, figures.pending_in), (amount(250), amount(0)));
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.happened_with(&["b1c2/1 submitted deliver", &old.to_string()]), 1);
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}

/// A gateway of `from` claims a message at b1c2.
async fn claim(world: &World, b: &Site, from: &str, message: &Message) -> Reply {
    let origin = Origin { height: Height(9), index: 0 };
    let envelopes = vec![Envelope { message: message.clone(), origin }];
    let request = Request::Messages(vec![Batch { height: origin.height, envelopes }]);
    match b.ask(world.chains[&cid(from)].pin(1), cid(from), &request).await {
        Response::Messages(replies) => replies[0].clone(),
        Response::Refused(reply) => reply,
        other => panic!("{other:?}"),
    }
}

/// A claim that is never proven is forgotten after a week; this gateway does so at once, and has the
/// rest from its chain and its peers.
fn forgetful(world: &World, b: Site) -> Site {
    b.kill();
    world.start("b1c2", 1, Family::Ledger)
}

/// The same message, said to be another chain's.
fn spoofed(message: &Message, ledger: &Ledger) -> Message {
    let mut fields = message.fields().clone();
    (fields.source, fields.source_tag) = (ledger.facts().chain, ledger.facts().tag);
    Message::new(fields).unwrap()
}

/// A block that c3's operators sign over whatever message they like.
fn signed_by_c3(world: &World, message: &Message) -> Evidence {
    let chain = &world.chains[&cid("c3")];
    let leaf = message.bytes().to_vec();
    let header = LedgerHeader {
        chain: chain.id,
        tag: chain.ledger.facts().tag,
        height: Height(9),
        previous: HeaderHash([9; 32]),
        time: world.now(),
        transactions_root: [0; 32],
        leaf_count: 1,
        root: Tree::new(vec![leaf_hash(&leaf)]).root(),
    };
    let header = header.sign(&chain.secrets());
    let tree = TreeProof { indices: vec![0], leaves: vec![leaf], hashes: vec![] };
    Evidence::Ledger { header, tree }
}

/// c3 would like to be paid out of e2e4's account: its message says `e2e4` as its source. It is
/// handed in as c3 and as e2e4 (c3 has captured e2e4's records), with a block that c3 has signed.
#[tokio::test(start_paused = true)]
async fn a_message_with_an_altered_chain_id_is_paid_out_of_nobodys_account() {
    let world = World::new(2, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    let [a, b, c] = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, Family::Ledger));
    let true_one = {
        let id = world.send("c3", world.user("b1c2"), 250, 0).await;
        world.until("closed", SOON, || world.happened(&format!("closed id={id}")) == 1).await;
        world.record(cid("c3")).await.sent[0].clone()
    };
    let false_one = spoofed(&true_one, &world.chains[&cid("e2e4")].ledger);
    assert_ne!(true_one.id(), false_one.id(), "the source is part of what a message is");

    // As c3: the name in the message is not the one it speaks for.
    let reply = claim(&world, &b, "c3", &false_one).await;
    assert_eq!((reply.code, b.waiting()), (Code::POLICY, 0), "{reply}");

    // As e2e4, whose keys are another matter than its records.
    let evidence = signed_by_c3(&world, &false_one);
    world.network.meddle_with_answers(move |call, body| match call.kind {
        RequestKind::Proofs => {
            Response::Proofs(Proofs { blocks: vec![evidence.clone()], absent: vec![] }).body()
        }
        _ => body,
    });
    assert_eq!(claim(&world, &b, "e2e4", &false_one).await.code, Code::ACCEPTED);
    world.pass(SOON).await;
    assert!(world.happened_with(&["proof-invalid source=e2e4", "header is of chain c3/"]) > 3);

    // In a block of c3's own, asked for a true message of c3's: its content is another chain's.
    let more = world.send("c3", world.user("b1c2"), 30, 0).await;
    world.pass(SOON).await;
    assert!(
        world.happened_with(&["proof-invalid source=c3", "source is e2e4/"]) > 3,
        "{:#?}",
        world.story()
    );
    assert_eq!(b.state(Direction::Inbound, &more), Some(State::Claimed));
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
    assert_eq!(b.figures(cid("e2e4"), ASSET).received, amount(0), "e2e4 owes nothing");
    assert!(!b.is_frozen(cid("e2e4")), "e2e4 has done nothing");

    world.network.heal();
    let b = forgetful(&world, b);
    world.until_empty(HOURS, &[&a, &b, &c]).await;
    let tally = world.audit(&[&a, &b, &c]).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}

/// A refusal that is signed before the message was proven would be a refund, and then a delivery.
/// However sure it is that a message will be refused, nothing is voided, signed or released before
/// its proof is there.
#[tokio::test(start_paused = true)]
async fn nothing_is_refused_before_it_is_proven() {
    for (seed, place, expires) in [(3, Place::Claimed, 30), (4, Place::Accepted, 0)] {
        let held = held(seed, place, 0, expires).await;
        let Held { world, a, b, .. } = &held;
        // More that has no chance: for nobody, and under an account that is closed now.
        let bad = world.send("e2e4", world.stranger("b1c2"), 7, 0).await;
        world.until("claimed", SOON, || b.waiting() == 2).await;
        close_account(world).await;
        world.pass(HOURS).await;
        for text in ["b1c2/1 refused", "submitted void", "b1c2/1 ended", "e2e4/1 refunded"] {
            assert_eq!(world.happened(text), 0, "{text}");
        }
        assert_eq!(world.network.arrived(RequestKind::Receipts, cid("e2e4")), 0);
        // Asked how it stands, it signs that it is pending.
        let pin = world.chains[&cid("e2e4")].pin(1);
        match b.ask(pin, cid("e2e4"), &Request::Status(vec![bad])).await {
            Response::Status(answers) => {
                assert!(matches!(answers[0], StatusAnswer::Open(_)), "{answers:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.balance("e2e4"), amount(FUNDS - VALUE - 7));
        held.release(place).await;
        world.until_empty(HOURS, &[a, b]).await;
        let tally = world.audit(&[a, b]).await;
        assert_eq!(tally, Tally { refunded: 2, ..Tally::default() });
    }
}

async fn close_account(world: &World) {
    let limits = crate::support::world::credit(5_000);
    let (chain, asset) = (cid("e2e4"), ASSET.parse().unwrap());
    let close = distpos_gateway::chain::Submission::Account {
        chain,
        tag: None,
        asset,
        terms: None,
        limits,
    };
    world.chains[&cid("b1c2")].ledger.submit(close).await.unwrap();
}

/// The refusal of a message whose proof is withheld, signed all the same by whoever has stolen the
/// destination's key. The source cannot know, and pays back; from then on it proves the message to
/// nobody, so that it is never delivered as well.
#[tokio::test(start_paused = true)]
async fn a_message_that_was_refunded_on_a_stolen_signature_is_proven_to_nobody() {
    let held = held(5, Place::Claimed, 0, 0).await;
    let Held { world, a, b, id } = &held;
    let outcome = Outcome::Refused { code: Code::POLICY, text: "no".into() };
    let receipt = Receipt { id: *id, source: a.chain, destination: b.chain, outcome };
    let reply = hand(world, a, receipt.sign(&world.chains[&b.chain].secrets())).await;
    assert_eq!(reply.code, Code::DELIVERED);
    world.until("refunded", SOON, || world.happened("e2e4/1 refunded") == 1).await;
    held.release(Place::Claimed).await;
    world.pass(HOURS).await;
    assert!(world.happened_with(&["b1c2/1 deferred", "not in a final block known here"]) > 9);
    assert_eq!(world.happened(&format!("b1c2/1 admitted id={id}")), 0);
    assert_eq!(world.balance("e2e4"), amount(FUNDS), "paid back once");
    let Held { world, a, b, .. } = held;
    let b = forgetful(&world, b);
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { unroutable: 1, ..Tally::default() }, "never proven, so never void");
}

/// A gateway of b1c2 hands in a receipt at e2e4.
async fn hand(world: &World, a: &Site, receipt: SignedReceipt) -> Reply {
    let pin = world.chains[&cid("b1c2")].pin(1);
    match a.ask(pin, cid("b1c2"), &Request::Receipts(vec![receipt])).await {
        Response::Receipts(replies) => replies[0].clone(),
        other => panic!("{other:?}"),
    }
}

/// The key with which b1c2 signed its receipt is revoked while the receipt is under way: it ends
/// nothing. The receipt is signed anew each time it is sent, so that it ends by the new key.
#[tokio::test(start_paused = true)]
async fn a_receipt_by_a_key_that_was_revoked_in_flight_ends_nothing_until_it_is_signed_anew() {
    for (seed, to_nobody) in [(6, false), (7, true)] {
        let place = if to_nobody { Place::EndedRefused } else { Place::Ended };
        let Held { world, a, b, id } = held(seed, place, 0, 0).await;
        let old = world.chains[&b.chain].secrets().remove(0);
        let outcome = b.gateway.spool.read(|tx| tx.ended(Direction::Inbound, &id)).unwrap();
        let outcome = outcome.unwrap().outcome.unwrap();
        let (source, destination) = (a.chain, b.chain);
        let flying = Receipt { id, source, destination, outcome }.sign(&[old]);

        // The operators of b1c2 have told those of e2e4 by telephone.
        let new = || SecretKey::from_seed(&[99; 32]);
        let keys = KeySet::new([new().public()], 1).unwrap();
        a.book.trusted.lock().unwrap().get_mut(&destination).unwrap().keys = keys.clone();
        world.network.heal();
        let reply = hand(&world, &a, flying).await;
        assert_eq!(reply.code, Code::SIGNATURE, "{reply}");
        // The gateway still signs with the old key, and is heard out and not believed.
        world.pass(HOURS).await;
        assert!(world.happened_with(&["b1c2/1 deferred", "5.7.20"]) > 3, "{:#?}", world.story());
        let ends = ["receipt-taken", "e2e4/1 refunded id", "e2e4/1 closed id"];
        assert!(ends.iter().all(|end| world.happened(end) == 0));
        assert_eq!(world.balance("e2e4"), amount(FUNDS - VALUE));
        assert!(a.state(Direction::Outbound, &id).is_some());

        // With the new key it goes on.
        let (address, pin) = (b.address, b.gateway.identity.pin);
        let ledger = world.chains[&destination].ledger.clone();
        let gateway = rebuilt(b, ledger, new(), keys);
        let service = distpos_gateway::service::Service::new(gateway.clone());
        world.network.listen(address, Arc::new(service), pin);
        let (_stopper, stop) = distpos_gateway::stop::channel();
        tokio::spawn(distpos_gateway::outbound::run(gateway.clone(), stop.clone()));
        tokio::spawn(distpos_gateway::inbound::run(gateway, stop));
        let end = if to_nobody { "refunded" } else { "closed" };
        let ended = format!("e2e4/1 {end} id={id}");
        world.until("ended by the new key", HOURS, || world.happened(&ended) == 1).await;
        world.until_empty(HOURS, &[&a]).await;
        let tally = world.audit(&[&a]).await;
        let delivered = usize::from(!to_nobody);
        assert_eq!(tally, Tally { delivered, refunded: 1 - delivered, unroutable: 0 });
    }
}

/// Every receipt is lost, and so is every answer about it, for a day: it is asked for and given
/// again, and pays once.
#[tokio::test(start_paused = true)]
async fn a_lost_receipt_is_asked_for_and_given_again() {
    for (seed, place) in [(8, Place::Ended), (9, Place::EndedRefused)] {
        let held = held(seed, place, 0, 0).await;
        let Held { world, a, b, id } = &held;
        world.pass(Duration::from_hours(23)).await;
        assert!(matches!(a.state(Direction::Outbound, id), Some(State::Accepted | State::Queued)));
        assert_eq!(world.balance("e2e4"), amount(FUNDS - VALUE), "nothing is guessed");
        // From now on only questions get through.
        lose(world, RequestKind::Receipts);
        let end = if place == Place::Ended { "closed" } else { "refunded" };
        let ended = format!("e2e4/1 {end} id={id}");
        world.until("ended by an answer", HOURS, || world.happened(&ended) == 1).await;
        held.release(place).await;
        world.until_empty(HOURS, &[a, b]).await;
        let tally = world.audit(&[a, b]).await;
        let delivered = usize::from(place == Place::Ended);
        assert_eq!(tally, Tally { delivered, refunded: 1 - delivered, unroutable: 0 });
        assert_eq!(world.happened(&ended), 1);
    }
}
