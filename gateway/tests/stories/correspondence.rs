//! What the two sides of an account write to each other: terms, statements, requests for reserve.

use std::time::Duration;

use distpos_gateway::{
    config::AccountPolicy,
    correspondence::{
        statement::{DOUBT, want},
        terms,
    },
};
use distpos_proto::{
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    key::SecretKey,
    message::TermsHash,
    signed::Document,
    statement::{Comparison, ReserveRequest, Statement},
    terms::Terms,
    time::UnixSeconds,
    wire::{Papers, Request, RequestKind, Response},
};
use distpos_spool::{Act, Direction, Entry};

use crate::support::{
    network::Fate,
    site::Site,
    world::{ASSET, World, amount, cid, credit},
};

const SOON: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn e2e4() -> ChainId {
    cid("e2e4")
}

fn b1c2() -> ChainId {
    cid("b1c2")
}

/// Hands papers to a gateway as a listed gateway of `from`.
async fn hand(world: &World, to: &Site, from: ChainId, papers: Papers) -> Vec<Reply> {
    let pin = world.chains[&from].pin(1);
    match to.ask(pin, from, &Request::Statements(papers)).await {
        Response::Statements(taken) => taken.replies,
        Response::Refused(reply) => vec![reply],
        other => panic!("{other:?}"),
    }
}

/// A statement as of now, unless it says of when it is.
fn statements(world: &World, mut statement: Statement, keys: &[SecretKey]) -> Papers {
    if statement.time == UnixSeconds(0) {
        statement.time = world.now();
    }
    Papers { statements: vec![statement.sign(keys)], ..Papers::default() }
}

/// What b1c2 could say to e2e4 of its books at this height.
fn statement(height: u64, count: u64, received: u64) -> Statement {
    Statement {
        maker: b1c2(),
        peer: e2e4(),
        asset: ASSET.parse().unwrap(),
        terms: None,
        height: Height(height),
        count,
        received: amount(received),
        reserve: amount(0),
        time: UnixSeconds(0),
    }
}

fn agreed(site: &Site, peer: ChainId) -> Option<TermsHash> {
    let asset = ASSET.parse().unwrap();
    site.gateway.spool.read(|tx| terms::agreed(tx, peer, &asset)).unwrap()
}

/// How the newest statement that came compares, by what is kept of it.
fn compared(site: &Site, peer: ChainId) -> Option<Comparison> {
    let asset = ASSET.parse().unwrap();
    let row = site.gateway.spool.read(|tx| tx.statement(Direction::Inbound, peer, &asset));
    row.unwrap().and_then(|row| row.comparison)
}

/// What the operator does with a suspended account.
async fn resume(site: &Site, peer: ChainId) {
    let (act, at) = (Act::Resume, site.gateway.now());
    let (by, why) = ("ann".to_owned(), "looked".to_owned());
    let entry = Entry { act, id: None, height: None, by, why, at };
    let resuming = site.gateway.spool.transact(move |tx| {
        tx.enter(peer, &ASSET.parse().unwrap(), &entry, at.seconds()).map(drop)
    });
    resuming.await.unwrap();
}

async fn sign(site: &Site, terms: &Terms) -> bool {
    terms::sign(&site.gateway, terms.clone()).await.unwrap().unwrap()
}

/// Two chains that know each other and have no account.
fn strangers(seed: u64) -> (World, Site, Site) {
    let world = World::new(seed, &["e2e4", "b1c2"]);
    let [a, b] = ["e2e4", "b1c2"].map(|chain| world.start(chain, 1, Family::Ledger));
    (world, a, b)
}

#[tokio::test(start_paused = true)]
async fn both_operators_sign_the_same_terms_and_open_the_account_under_them() {
    let (world, a, b) = strangers(1);
    let terms = world.terms(e2e4(), b1c2());
    assert!(!sign(&a, &terms).await, "nobody else signed yet");
    let came = format!("b1c2/1 terms-came chain=e2e4 asset={ASSET} terms={}", terms.hash());
    world.until("proposed", SOON, || world.happened(&came) == 1).await;
    assert_eq!((agreed(&a, b1c2()), agreed(&b, e2e4())), (None, None));
    world.pass(3 * HOUR).await;
    assert_eq!(world.happened("terms-came"), 1, "told once, however often it is sent");
    assert!(sign(&b, &terms).await, "the other side's were here already");
    let both = || (agreed(&a, b1c2()), agreed(&b, e2e4()));
    let hash = terms.hash();
    world.until("agreed", SOON, || both() == (Some(hash), Some(hash))).await;
    assert_eq!(world.happened(&format!("e2e4/1 terms-agreed chain=b1c2 asset={ASSET}")), 1);
    assert_eq!(world.happened(&format!("b1c2/1 terms-agreed chain=e2e4 asset={ASSET}")), 1);
    // Either of them can show both signatures.
    let asset = ASSET.parse().unwrap();
    for (site, peer) in [(&a, b1c2()), (&b, e2e4())] {
        let row = site.gateway.spool.read(|tx| tx.terms(peer, &asset)).unwrap();
        let signed = row.agreed.unwrap().signed;
        assert!(world.chains.values().all(|chain| signed.is_by(&chain.key_set())));
    }
    // Nothing is left to be sent.
    world
        .until("sent", SOON, || {
            [(&a, b1c2()), (&b, e2e4())].iter().all(|(site, peer)| {
                let row = site.gateway.spool.read(|tx| tx.terms(*peer, &asset)).unwrap();
                row.ours.unwrap().sending.due.is_none()
            })
        })
        .await;
    world.open(e2e4(), b1c2(), credit(100)).await;
    world.open(b1c2(), e2e4(), credit(100)).await;
    world.send("e2e4", world.user("b1c2"), 60, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(b.figures(e2e4(), ASSET).received, amount(60));
}

#[tokio::test(start_paused = true)]
async fn other_terms_are_no_agreement_until_one_side_gives_way() {
    let (world, a, b) = strangers(2);
    let terms = world.terms(e2e4(), b1c2());
    let [one, other] = terms.sides().clone();
    let finer = Terms::new(ASSET.parse().unwrap(), 2, one, other).unwrap();
    assert!(!sign(&a, &terms).await);
    assert!(!sign(&b, &finer).await);
    world.pass(2 * HOUR).await;
    assert_eq!((agreed(&a, b1c2()), agreed(&b, e2e4())), (None, None));
    let what = format!("e2e4/1 terms-came chain=b1c2 asset={ASSET} terms={}", finer.hash());
    assert_eq!(world.happened_with(&[&what, &format!("here={}", terms.hash())]), 1);
    let papers = Papers {
        terms: vec![finer.clone().sign(&world.chains[&b1c2()].secrets())],
        ..Papers::default()
    };
    let replies = hand(&world, &a, b1c2(), papers).await;
    let text = format!("other terms are signed here: {}", terms.hash());
    assert_eq!((replies[0].code, replies[0].text()), (Code::NOT_NOW, text.as_str()));
    sign(&a, &finer).await;
    let hash = Some(finer.hash());
    world.until("agreed", SOON, || (agreed(&a, b1c2()), agreed(&b, e2e4())) == (hash, hash)).await;
    // One side thinks of something else: what was agreed stands until both have signed anew.
    sign(&a, &terms).await;
    world.pass(HOUR).await;
    assert_eq!((agreed(&a, b1c2()), agreed(&b, e2e4())), (hash, hash));
}

#[tokio::test(start_paused = true)]
async fn terms_by_the_wrong_hand_or_of_other_chains_agree_to_nothing() {
    let world = World::new(3, &["e2e4", "b1c2", "c3"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    let [_b, _c] = ["b1c2", "c3"].map(|chain| world.start(chain, 1, Family::Ledger));
    let terms = world.terms(e2e4(), b1c2());
    sign(&a, &terms).await;
    let keys = |chain: &str| world.chains[&cid(chain)].secrets();
    let thief = vec![SecretKey::from_seed(&[66; 32])];
    let mut sides = terms.sides().clone();
    let of_e2e4 = sides.iter().position(|side| side.chain == e2e4()).unwrap();
    sides[of_e2e4].tag.0[0] ^= 1;
    let [one, other] = sides;
    let elsewhere = Terms::new(ASSET.parse().unwrap(), 0, one, other).unwrap();
    let mut sides = terms.sides().clone();
    sides[1 - of_e2e4].tag.0[0] ^= 1;
    let [one, other] = sides;
    let anew = Terms::new(ASSET.parse().unwrap(), 0, one, other).unwrap();
    for (who, terms, keys, code) in [
        ("a thief", terms.clone(), thief, Code::SIGNATURE),
        ("the own chain", terms.clone(), keys("e2e4"), Code::SIGNATURE),
        ("a third chain", terms.clone(), keys("c3"), Code::SIGNATURE),
        ("nobody", terms.clone(), vec![], Code::SIGNATURE),
        (
            "of a chain that is not spoken for",
            world.terms(e2e4(), cid("c3")),
            keys("b1c2"),
            Code::POLICY,
        ),
        ("of two others", world.terms(b1c2(), cid("c3")), keys("b1c2"), Code::POLICY),
        ("this chain started anew", elsewhere, keys("b1c2"), Code::POLICY),
        ("that chain started anew", anew, keys("b1c2"), Code::POLICY),
    ] {
        let papers = Papers { terms: vec![terms.sign(&keys)], ..Papers::default() };
        let replies = hand(&world, &a, b1c2(), papers).await;
        assert_eq!(replies[0].code, code, "{who}: {}", replies[0]);
    }
    assert_eq!(agreed(&a, b1c2()), None);
    let papers = Papers { terms: vec![terms.clone().sign(&keys("b1c2"))], ..Papers::default() };
    assert_eq!(hand(&world, &a, b1c2(), papers).await[0].code, Code::DELIVERED);
    assert_eq!(agreed(&a, b1c2()), Some(terms.hash()));
}

#[tokio::test(start_paused = true)]
async fn signatures_that_count_for_nothing_are_not_kept_with_terms() {
    let (world, a, b) = strangers(15);
    let terms = world.terms(e2e4(), b1c2());
    assert!(!sign(&a, &terms).await);
    let mut signed = terms.clone().sign(&world.chains[&b1c2()].secrets());
    let own = signed.signatures.len();
    let strangers = (200..).map(|seed| SecretKey::from_seed(&[seed; 32]));
    for key in strangers.take((16 - own) / 2) {
        signed.signatures.extend(terms.clone().sign([&key]).signatures);
    }
    while signed.signatures.len() < 16 {
        signed.signatures.push(signed.signatures[0].clone());
    }
    let papers = Papers { terms: vec![signed], ..Papers::default() };
    assert_eq!(hand(&world, &a, b1c2(), papers).await[0].text(), "terms agreed");
    let all = a.gateway.spool.read(|tx| tx.all_terms()).unwrap();
    let row = &all[0].2;
    assert_eq!(row.theirs.as_ref().unwrap().signed.signatures.len(), own);
    let ours = a.gateway.identity.keys().secrets.len();
    assert_eq!(row.agreed.as_ref().unwrap().signed.signatures.len(), ours + own);
    // Papers go on.
    assert!(sign(&b, &terms).await || agreed(&b, e2e4()).is_none());
    let hash = Some(terms.hash());
    world.until("agreed", SOON, || (agreed(&a, b1c2()), agreed(&b, e2e4())) == (hash, hash)).await;
}

#[tokio::test(start_paused = true)]
async fn a_peers_proposals_do_not_fill_the_disk() {
    let (world, a, _b) = strangers(4);
    let keys = world.chains[&b1c2()].secrets();
    let [one, other] = world.terms(e2e4(), b1c2()).sides().clone();
    let propose = |n: usize| {
        let asset = format!("b1c2/{n}").parse().unwrap();
        let terms = Terms::new(asset, 0, one.clone(), other.clone()).unwrap();
        Papers { terms: vec![terms.sign(&keys)], ..Papers::default() }
    };
    for n in 0..terms::PROPOSALS_MAX {
        let reply = hand(&world, &a, b1c2(), propose(n)).await.remove(0);
        assert_eq!(reply.text(), "not signed here yet");
    }
    let reply = hand(&world, &a, b1c2(), propose(terms::PROPOSALS_MAX)).await.remove(0);
    assert_eq!(
        (reply.code, reply.text()),
        (Code::NOT_NOW, "terms of 64 assets wait to be signed here")
    );
    let again = hand(&world, &a, b1c2(), propose(5)).await.remove(0);
    assert_eq!(again.text(), "not signed here yet", "the same again takes no more room");
    assert_eq!(a.gateway.spool.read(|tx| tx.all_terms()).unwrap().len(), terms::PROPOSALS_MAX);
}

#[tokio::test(start_paused = true)]
async fn statements_of_both_sides_match_whatever_was_refunded() {
    let (world, a, b) = World::pair(5, 5_000).await;
    for value in [10, 20, 30] {
        world.send("e2e4", world.user("b1c2"), value, 0).await;
        world.send("b1c2", world.user("e2e4"), value * 2, 0).await;
        world.send("e2e4", world.stranger("b1c2"), 7, 0).await;
    }
    world.send("e2e4", world.user("b1c2"), 0, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.pass(HOUR + SOON).await;
    let matches = Some(Comparison::Matches);
    assert_eq!((compared(&a, b1c2()), compared(&b, e2e4())), (matches, matches));
    let said = |way, site: &Site, peer| {
        let asset = ASSET.parse().unwrap();
        let row = site.gateway.spool.read(|tx| tx.statement(way, peer, &asset)).unwrap().unwrap();
        (row.statement.document.count, row.statement.document.received)
    };
    assert_eq!(said(Direction::Inbound, &a, b1c2()), (3, amount(60)));
    assert_eq!(said(Direction::Outbound, &b, e2e4()), (3, amount(60)));
    assert_eq!(said(Direction::Inbound, &b, e2e4()), (3, amount(120)));
    // Another day's traffic, and what was summed up stays summed up.
    for value in [1, 2] {
        world.send("e2e4", world.user("b1c2"), value, 0).await;
    }
    world.until_empty(SOON, &[&a, &b]).await;
    world.pass(DAY).await;
    assert_eq!(said(Direction::Inbound, &a, b1c2()), (5, amount(63)));
    assert_eq!((compared(&a, b1c2()), compared(&b, e2e4())), (matches, matches));
    assert_eq!(world.happened("differs"), 0);
    assert_eq!(world.happened_with(&["statement chain=", "matches"]), 2, "said when it changes");
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_made_when_the_operator_wants_one() {
    let (world, a, b) = World::pair(14, 5_000).await;
    world.pass(SOON).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.pass(SOON).await;
    let asset = || ASSET.parse().unwrap();
    let said = || {
        let row = a.gateway.spool.read(|tx| tx.statement(Direction::Inbound, b1c2(), &asset()));
        row.unwrap().map_or(0, |row| row.statement.document.count)
    };
    assert_eq!(said(), 0, "the next one comes with the hour");
    let wanting = b.gateway.spool.transact(move |tx| want(tx, e2e4(), &asset()));
    wanting.await.unwrap();
    world.until("said", SOON, || said() == 1).await;
    assert_eq!(compared(&a, b1c2()), Some(Comparison::Matches));
}

#[tokio::test(start_paused = true)]
async fn a_statement_awaits_receipts_that_are_on_the_way() {
    let (world, a, b) = World::pair(6, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.network.fates(|call| match call.kind {
        RequestKind::Receipts | RequestKind::Status => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.send("e2e4", world.user("b1c2"), 30, 0).await;
    world.pass(HOUR + SOON).await;
    let awaits = Comparison::Awaits { count: 2, amount: amount(55) };
    assert_eq!(compared(&a, b1c2()), Some(awaits));
    assert_eq!(world.happened("awaits messages=2 amount=55"), 1);
    assert!(a.account(b1c2(), ASSET).suspension.is_none());
    world.network.heal();
    world.until("receipts", 2 * HOUR, || compared(&a, b1c2()) == Some(Comparison::Matches)).await;
    world.until_empty(HOUR, &[&a, &b]).await;
    assert_eq!(world.happened("differs"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_differs_for_long_suspends_the_account() {
    let (world, a, b) = World::pair(7, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    let more = statement(10_000, 2, 35);
    let reply = hand(&world, &a, b1c2(), statements(&world, more, &keys)).await.remove(0);
    let text = "statement differs: 2 messages of 35, here 1 of 10";
    assert_eq!((reply.code, reply.text()), (Code::DELIVERED, text));
    world.pass(DOUBT / 2).await;
    assert_eq!(world.happened("differs"), 0, "this gateway may be behind its chain");
    assert!(a.account(b1c2(), ASSET).suspension.is_none());
    let told =
        "e2e4/1 statement chain=b1c2 asset=e2e4/coin block=10000 differs theirs=2/35 ours=1/10";
    world.until("believed", DOUBT + SOON, || world.happened(told) == 1).await;
    let suspension = a.account(b1c2(), ASSET).suspension.unwrap();
    assert_eq!(suspension.why, "the peer's statement says 35, the books here 10");
    assert_eq!(suspension.by, "gateway");
    // What comes from there waits for the operator; the other way goes on.
    let id = world.send("b1c2", world.user("e2e4"), 5, 0).await;
    world.send("e2e4", world.user("b1c2"), 5, 0).await;
    world.until("waits", SOON, || a.waiting_for_room(b1c2(), ASSET) == [id]).await;
    world.pass(2 * HOUR).await;
    assert_eq!(world.happened(told), 1, "said once");
    assert_eq!(a.waiting_for_room(b1c2(), ASSET), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_difference_that_the_operator_lets_pass_is_told_and_no_more() {
    let (world, a, b) = World::pair(8, 5_000).await;
    let policy = AccountPolicy { mismatch_max: amount(25), ..AccountPolicy::default() };
    a.set_account(b1c2(), ASSET, policy);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    hand(&world, &a, b1c2(), statements(&world, statement(10_000, 2, 35), &keys)).await;
    let told = "block=10000 differs theirs=2/35 ours=1/10";
    world.until("believed", DOUBT + SOON, || world.happened(told) == 1).await;
    assert!(a.account(b1c2(), ASSET).suspension.is_none());
    hand(&world, &a, b1c2(), statements(&world, statement(10_001, 2, 36), &keys)).await;
    world.pass(DOUBT + SOON).await;
    assert!(a.account(b1c2(), ASSET).suspension.is_some(), "one more than that");
    // The operator has looked and lets it go on: the same difference suspends nothing again.
    resume(&a, b1c2()).await;
    hand(&world, &a, b1c2(), statements(&world, statement(10_002, 2, 36), &keys)).await;
    world.pass(2 * HOUR).await;
    assert!(a.account(b1c2(), ASSET).suspension.is_none());
    assert_eq!(world.happened("differs"), 2);
}

#[tokio::test(start_paused = true)]
async fn papers_by_the_wrong_hand_or_of_another_account_are_refused() {
    let world = World::new(9, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    let a = world.start("e2e4", 1, Family::Ledger);
    let [b, _c] = ["b1c2", "c3"].map(|chain| world.start(chain, 1, Family::Ledger));
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = |chain: &str| world.chains[&cid(chain)].secrets();
    let thief = || vec![SecretKey::from_seed(&[66; 32])];
    let good = || statement(10_000, 1, 10);
    let of_c3 = Statement { maker: cid("c3"), ..good() };
    let for_c3 = Statement { peer: cid("c3"), ..good() };
    let other = Statement { asset: "e2e4/other".parse().unwrap(), ..good() };
    for (who, statement, keys, code) in [
        ("a thief", good(), thief(), Code::SIGNATURE),
        ("the own chain", good(), keys("e2e4"), Code::SIGNATURE),
        ("nobody", good(), vec![], Code::SIGNATURE),
        ("another maker", of_c3, keys("c3"), Code::POLICY),
        ("another reader", for_c3, keys("b1c2"), Code::POLICY),
        ("no such account", other, keys("b1c2"), Code::NO_ACCOUNT),
    ] {
        let reply = hand(&world, &a, b1c2(), statements(&world, statement, &keys)).await.remove(0);
        assert_eq!(reply.code, code, "{who}: {reply}");
    }
    let request = |maker: &str, peer: &str, asset: &str| ReserveRequest {
        maker: cid(maker),
        peer: cid(peer),
        asset: asset.parse().unwrap(),
        terms: TermsHash([1; 32]),
        wanted: amount(5),
        by: UnixSeconds(9),
        time: UnixSeconds(8),
        reason: String::new(),
    };
    for (who, request, keys, code) in [
        ("a thief", request("b1c2", "e2e4", ASSET), thief(), Code::SIGNATURE),
        ("another maker", request("c3", "e2e4", ASSET), keys("c3"), Code::POLICY),
        ("another reader", request("b1c2", "c3", ASSET), keys("b1c2"), Code::POLICY),
        ("no such account", request("b1c2", "e2e4", "e2e4/x"), keys("b1c2"), Code::NO_ACCOUNT),
    ] {
        let papers = Papers { requests: vec![request.sign(&keys)], ..Papers::default() };
        let reply = hand(&world, &a, b1c2(), papers).await.remove(0);
        assert_eq!(reply.code, code, "{who}: {reply}");
    }
    assert_eq!(world.happened("reserve-asked"), 0);
    // A chain whose keys are not trusted here is not read at all.
    a.book.trusted.lock().unwrap().remove(&b1c2());
    let reply = hand(&world, &a, b1c2(), statements(&world, good(), &keys("b1c2"))).await.remove(0);
    assert_eq!(reply.code, Code::KEY_NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_older_statement_says_nothing_new() {
    let (world, a, b) = World::pair(10, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    let hand = async |statement| {
        hand(&world, &a, b1c2(), statements(&world, statement, &keys)).await.remove(0)
    };
    let start = world.now();
    let at = |seconds: u64, height, count, received| Statement {
        time: UnixSeconds(start.0 + seconds),
        ..statement(height, count, received)
    };
    assert_eq!(hand(at(2, 10_000, 1, 10)).await.text(), "statement matches");
    assert_eq!(hand(at(2, 10_000, 1, 10)).await.text(), "nothing new");
    // Of an earlier time, or of a height whose messages are summed up.
    for old in [at(1, 9_999, 0, 0), at(2, 9_999, 0, 0), at(0, 20_000, 0, 0), at(3, 0, 0, 0)] {
        let reply = hand(old).await;
        assert_eq!((reply.code, reply.text()), (Code::DELIVERED, "nothing new"));
    }
    assert_eq!(compared(&a, b1c2()), Some(Comparison::Matches));
    // The same height said again, later and otherwise, is no replay.
    let text = "statement differs: 2 messages of 20, here 1 of 10";
    assert_eq!(hand(at(4, 10_000, 2, 20)).await.text(), text);
    // No height and no time is so high that none comes after it.
    assert_eq!(hand(at(5, u64::MAX, 1, 10)).await.text(), "statement matches");
    assert_eq!(hand(at(6, 10_001, 2, 20)).await.text(), text);
    let reply = hand(at(u64::MAX - start.0, 10_002, 1, 10)).await;
    assert_eq!((reply.code, reply.retry_after), (Code::NOT_NOW, Some(300)));
    assert_eq!(hand(at(7, 10_003, 1, 10)).await.text(), "statement matches");
}

#[tokio::test(start_paused = true)]
async fn a_strained_account_asks_once_and_daily_until_there_is_room() {
    let (world, a, b) = World::pair(11, 100).await;
    let policy = AccountPolicy { settle_to: Some("the bank".into()), ..AccountPolicy::default() };
    b.set_account(e2e4(), ASSET, policy);
    world.send("e2e4", world.user("b1c2"), 79, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    world.pass(SOON).await;
    assert_eq!(world.happened("strained"), 0);
    world.send("e2e4", world.user("b1c2"), 1, 0).await;
    let asked = "e2e4/1 reserve-asked chain=b1c2 asset=e2e4/coin wanted=60";
    world.until("asked", SOON, || world.happened(asked) == 1).await;
    let why = "80 % of limit and reserve are used; pay to the bank";
    assert_eq!(world.happened_with(&["b1c2/1 strained chain=e2e4", "wanted=60", why]), 1);
    assert_eq!(world.happened_with(&[asked, why]), 1);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.pass(DAY - HOUR).await;
    assert_eq!(world.happened("strained"), 1, "the same episode");
    world.pass(2 * HOUR).await;
    assert_eq!(world.happened("e2e4/1 reserve-asked chain=b1c2 asset=e2e4/coin wanted=80"), 1);
    world.deposit("b1c2", "e2e4", 80).await;
    world.until("relieved", SOON, || world.happened("b1c2/1 relieved chain=e2e4") == 1).await;
    let asset = ASSET.parse().unwrap();
    let shown =
        || a.gateway.spool.read(|tx| tx.reserve_request(Direction::Inbound, b1c2(), &asset));
    world.until("withdrawn", SOON, || shown().unwrap().is_none()).await;
    assert_eq!(world.happened("e2e4/1 reserve-withdrawn chain=b1c2"), 1);
    world.pass(2 * DAY).await;
    assert_eq!(world.happened("strained"), 2);
    // A sum that does not fit asks for what it needs.
    let id = world.send("e2e4", world.user("b1c2"), 150, 0).await;
    world.until("waits", SOON, || b.waiting_for_room(e2e4(), ASSET) == [id]).await;
    world
        .until("asked", SOON, || {
            world.happened("e2e4/1 reserve-asked chain=b1c2 asset=e2e4/coin wanted=300") == 1
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn papers_survive_a_kill_and_reach_a_peer_that_was_away() {
    let (world, a, b) = strangers(12);
    let address = b.address;
    world.network.set_down(address, true);
    let terms = world.terms(e2e4(), b1c2());
    sign(&a, &terms).await;
    world.pass(SOON).await;
    let spool = a.kill();
    let a = world.start_with("e2e4", 1, Family::Ledger, spool);
    world.pass(HOUR).await;
    assert_eq!(world.happened("terms-came"), 0);
    world.network.set_down(address, false);
    world.until("proposed", 2 * HOUR, || world.happened("b1c2/1 terms-came") == 1).await;
    sign(&b, &terms).await;
    let hash = Some(terms.hash());
    world.until("agreed", SOON, || (agreed(&a, b1c2()), agreed(&b, e2e4())) == (hash, hash)).await;
}

#[tokio::test(start_paused = true)]
async fn both_gateways_of_a_chain_come_to_match_though_each_closed_only_a_part() {
    let world = World::new(13, &["e2e4", "b1c2"]);
    world.befriend(5_000).await;
    let sites = [("e2e4", 1), ("e2e4", 2), ("b1c2", 1)];
    let [a, sibling, b] = sites.map(|(chain, n)| world.start(chain, n, Family::Ledger));
    for k in 1..=20 {
        world.send("e2e4", world.user("b1c2"), k, 0).await;
        world.pass(Duration::from_millis(700)).await;
    }
    world.until_empty(HOUR, &[&a, &sibling, &b]).await;
    let matches =
        || [&a, &sibling].map(|site| compared(site, b1c2())) == [Some(Comparison::Matches); 2];
    world.pass(HOUR).await;
    world.until("both match", 3 * HOUR, matches).await;
    let asset = ASSET.parse().unwrap();
    for site in [&a, &sibling] {
        let row = site.gateway.spool.read(|tx| tx.statement(Direction::Inbound, b1c2(), &asset));
        let said = row.unwrap().unwrap().statement.document;
        assert_eq!((said.count, said.received), (20, amount(210)));
        assert_eq!(site.gateway.spool.read(|tx| tx.unplaced(b1c2(), None, 99)).unwrap(), []);
    }
    assert_eq!(world.happened("differs"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_believed_however_often_statements_come() {
    let (world, a, b) = World::pair(16, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    for n in 0..10 {
        let more = statement(10_000 + n, 2, 35 + n);
        hand(&world, &a, b1c2(), statements(&world, more, &keys)).await;
        world.pass(DOUBT / 4).await;
    }
    assert!(a.account(b1c2(), ASSET).suspension.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_behind_its_own_chain_suspends_nobody() {
    let (world, a, b) = World::pair(17, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    // Somebody sends, and this gateway does not read of it for long; a sibling has delivered it.
    world.slow_nodes(2_000_000);
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    hand(&world, &a, b1c2(), statements(&world, statement(10_000, 2, 35), &keys)).await;
    world.pass(DOUBT * 2).await;
    assert_eq!(world.happened("differs"), 0);
    world.slow_nodes(0);
    let matches = || compared(&a, b1c2()) == Some(Comparison::Matches);
    world
        .until("match", 3 * HOUR, || a.figures(b1c2(), ASSET).sent == amount(35) && matches())
        .await;
    assert_eq!(world.happened("differs"), 0);
    assert!(a.account(b1c2(), ASSET).suspension.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_only_sends_to_a_chain_makes_no_statement_for_it() {
    let world = World::new(18, &["e2e4", "b1c2"]);
    let a = world.start("e2e4", 1, Family::Ledger);
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.pass(2 * HOUR).await;
    assert!(
        a.gateway.spool.read(|tx| tx.account(b1c2(), &ASSET.parse().unwrap())).unwrap().is_some()
    );
    assert_eq!(a.gateway.spool.read(|tx| tx.statements()).unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_difference_that_was_told_is_no_news_after_receipts_were_awaited() {
    let (world, a, b) = World::pair(19, 5_000).await;
    world.send("e2e4", world.user("b1c2"), 10, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    let keys = world.chains[&b1c2()].secrets();
    let hand = async |statement| {
        hand(&world, &a, b1c2(), statements(&world, statement, &keys)).await.remove(0)
    };
    hand(statement(10_000, 2, 35)).await;
    let is_suspended = || a.account(b1c2(), ASSET).suspension.is_some();
    world.until("believed", DOUBT + SOON, is_suspended).await;
    resume(&a, b1c2()).await;
    // What is on the way could explain it, for a time.
    world.network.fates(|call| match call.kind {
        RequestKind::Receipts | RequestKind::Status => Fate::RequestLost,
        _ => Fate::Arrives,
    });
    world.send("e2e4", world.user("b1c2"), 25, 0).await;
    world.until("open", SOON, || a.figures(b1c2(), ASSET).pending_out == amount(25)).await;
    let awaits = hand(statement(10_001, 2, 35)).await;
    assert_eq!(awaits.text(), "statement has 1 messages of 25 that are open here");
    world.network.heal();
    world.until_empty(2 * HOUR, &[&a, &b]).await;
    let same = hand(statement(10_002, 3, 60)).await;
    assert_eq!(same.text(), "statement differs: 3 messages of 60, here 2 of 35");
    world.pass(DOUBT + SOON).await;
    assert!(!is_suspended(), "the operator's word stands");
    assert_eq!(world.happened("differs"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_asked_for_is_forgotten_when_its_time_is_long_past() {
    let (world, a, _b) = World::pair(20, 5_000).await;
    let keys = world.chains[&b1c2()].secrets();
    let asset = || ASSET.parse().unwrap();
    let request = |by: u64, time: u64| ReserveRequest {
        maker: b1c2(),
        peer: e2e4(),
        asset: asset(),
        terms: TermsHash([1; 32]),
        wanted: amount(5),
        by: UnixSeconds(by),
        time: UnixSeconds(time),
        reason: String::new(),
    };
    let hand = async |request: ReserveRequest| {
        let papers = Papers { requests: vec![request.sign(&keys)], ..Papers::default() };
        hand(&world, &a, b1c2(), papers).await.remove(0)
    };
    let now = world.now().0;
    let reply = hand(request(now + 60, now + 1_000)).await;
    assert_eq!(reply.code, Code::NOT_NOW, "it is of a time to come");
    assert_eq!(hand(request(now + 60, now)).await.code, Code::DELIVERED);
    let shown =
        || a.gateway.spool.read(|tx| tx.reserve_request(Direction::Inbound, b1c2(), &asset()));
    world.pass(DAY - HOUR).await;
    assert!(shown().unwrap().is_some());
    world.pass(2 * HOUR).await;
    assert!(shown().unwrap().is_none());
    assert_eq!(world.happened("reserve-withdrawn"), 0, "the peer said nothing");
}
