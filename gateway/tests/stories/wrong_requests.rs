//! Peers that may not speak, or answer nonsense.

use std::time::Duration;

use distpos_proto::{
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    envelope::{Envelope, Origin},
    key::SpkiPin,
    record::GatewayRecord,
    wire::{Batch, Request, RequestKind, Response},
};
use distpos_spool::{Direction, State};

use crate::support::{
    audit::Tally,
    network::{Call, Fate},
    world::{FUNDS, World, amount, cid, zone_name},
};

const SOON: Duration = Duration::from_secs(60);
const HOURS: Duration = Duration::from_secs(5 * 60 * 60);

fn refusal(response: Response) -> Reply {
    match response {
        Response::Refused(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_key_dns_does_not_list_is_not_heard() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("closed", SOON, || world.happened(&format!("closed id={id}")) == 1).await;
    let thief = SpkiPin([99; 32]);
    let ids = vec![id];
    let family = Family::Ledger;
    for request in [
        Request::Hello,
        Request::Status(ids.clone()),
        Request::Proofs { family, ids },
        Request::Headers { from: Height(0), to: Height(9) },
    ] {
        let reply = refusal(a.ask(thief, cid("b1c2"), &request).await);
        assert_eq!(reply.code, Code::KEY_NOT_FOUND, "{reply}");
        assert!(reply.text().ends_with("is not in the records of chain b1c2"), "{reply}");
    }
    // Another chain's key is as strange as any.
    let own = world.chains[&cid("e2e4")].pin(1);
    let reply = refusal(a.ask(own, cid("b1c2"), &Request::Hello).await);
    assert_eq!(reply.code, Code::KEY_NOT_FOUND, "{reply}");
    // Nobody is the other side of oneself.
    let reply = refusal(a.ask(own, cid("e2e4"), &Request::Hello).await);
    assert_eq!(reply.text(), "request speaks for this gateway's own chain");
    // A chain that is not in DNS may come back when it is.
    let reply = refusal(a.ask(thief, cid("dead"), &Request::Hello).await);
    assert_eq!((reply.code, reply.retry_after), (Code::DNS, Some(30)));
    // Once the key is published, and what was known before is too old, it is heard.
    let mut record = GatewayRecord::new(cid("b1c2"), "gw1.b1c2.test".parse().unwrap(), thief);
    record.pri = 1;
    world.zone.publish(&zone_name(cid("b1c2")), 300, [record]);
    world.pass(Duration::from_secs(301)).await;
    match a.ask(thief, cid("b1c2"), &Request::Hello).await {
        Response::Hello(hello) => assert_eq!(hello.chain, cid("e2e4")),
        other => panic!("{other:?}"),
    }
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_request_for_another_chain_is_refused() {
    let (world, a, _b) = World::pair(2, 5_000).await;
    let pin = world.chains[&cid("b1c2")].pin(1);
    let response = a.post(pin, cid("b1c2"), cid("c3"), RequestKind::Hello, Vec::new()).await;
    let reply = refusal(response);
    assert_eq!((reply.code, reply.text()), (Code::POLICY, "request is for c3, this is e2e4"));
}

#[tokio::test(start_paused = true)]
async fn a_chain_does_not_speak_for_another_nor_to_another() {
    let world = World::new(3, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    let [a, b, c] = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, Family::Ledger));
    let ids = [
        world.send("e2e4", world.user("b1c2"), 5, 0).await,
        world.send("c3", world.user("e2e4"), 6, 0).await,
    ];
    let messages = [
        world.record(cid("e2e4")).await.sent[0].clone(),
        world.record(cid("c3")).await.sent[0].clone(),
    ];
    let origin = Origin { height: Height(3), index: 0 };
    let pin = world.chains[&cid("c3")].pin(1);
    for (message, text) in [
        (&messages[0], "message is from e2e4, the request speaks for c3"),
        (&messages[1], "message is for e2e4, this is b1c2"),
    ] {
        let envelopes = vec![Envelope { message: message.clone(), origin }];
        let request = Request::Messages(vec![Batch { height: origin.height, envelopes }]);
        match b.ask(pin, cid("c3"), &request).await {
            Response::Messages(replies) => {
                assert_eq!((replies[0].code, replies[0].text()), (Code::POLICY, text));
            }
            other => panic!("{other:?}"),
        }
    }
    // Evidence and statuses of e2e4's messages to b1c2 are nothing to c3.
    let proofs = Request::Proofs { family: Family::Ledger, ids: vec![ids[0]] };
    match a.ask(pin, cid("c3"), &proofs).await {
        Response::Proofs(proofs) => {
            assert!(proofs.blocks.is_empty());
            assert_eq!(proofs.absent[0].1.code, Code::NOT_FINAL);
        }
        other => panic!("{other:?}"),
    }
    world.until_empty(SOON, &[&a, &b, &c]).await;
    let tally = world.audit(&[&a, &b, &c]).await;
    assert_eq!(tally, Tally { delivered: 2, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn a_chain_without_trusted_keys_has_to_wait_for_them() {
    let (world, a, b) = World::pair(4, 5_000).await;
    let anchor = b.book.trusted.lock().unwrap().remove(&cid("e2e4")).unwrap();
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("deferred", SOON, || world.happened_with(&["deferred", "4.7.20"]) > 0).await;
    assert_eq!(a.state(Direction::Outbound, &id), Some(State::Queued));
    assert_eq!(b.waiting(), 0);
    world.pass(HOURS).await;
    assert!(world.happened_with(&["deferred", "4.7.20"]) >= 4, "about once an hour");
    b.book.trusted.lock().unwrap().insert(cid("e2e4"), anchor);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

/// The keys go away between the claim and the proof.
#[tokio::test(start_paused = true)]
async fn keys_that_are_taken_back_stop_deliveries_until_they_are_given_again() {
    let (world, a, b) = World::pair(5, 5_000).await;
    world.network.meddle_with_answers(|call, body| {
        if call.kind == RequestKind::Proofs { Vec::new() } else { body }
    });
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("claimed", SOON, || b.state(Direction::Inbound, &id).is_some()).await;
    let anchor = b.book.trusted.lock().unwrap().remove(&cid("e2e4")).unwrap();
    world.network.heal();
    world.pass(HOURS).await;
    assert_eq!(b.state(Direction::Inbound, &id), Some(State::Claimed));
    assert!(world.happened_with(&["b1c2/1 deferred", "4.7.20"]) > 3);
    b.book.trusted.lock().unwrap().insert(cid("e2e4"), anchor);
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
}

/// Every answer to `kind` is `answer` for a while; nothing is lost by it.
async fn nonsense(seed: u64, kind: RequestKind, answer: fn(&Call, Vec<u8>) -> Vec<u8>) {
    let (world, a, b) = World::pair(seed, 5_000).await;
    world.network.meddle_with_answers(
        move |call, body| {
            if call.kind == kind { answer(call, body) } else { body }
        },
    );
    if kind == RequestKind::Status {
        // It is asked for only where no receipt comes.
        world.network.fates(|call| match call.kind {
            RequestKind::Receipts => Fate::RequestLost,
            _ => Fate::Arrives,
        });
    }
    let sends = [world.user("b1c2"), world.stranger("b1c2")];
    for to in sends {
        world.send("e2e4", to, 10, 0).await;
        world.send("b1c2", world.user("e2e4"), 20, 0).await;
    }
    world.pass(HOURS).await;
    let arrived = ["e2e4", "b1c2"].map(|chain| world.network.arrived(kind, cid(chain)));
    assert!(arrived.iter().all(|calls| *calls > 0), "{kind:?}: {arrived:?}");
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 3, refunded: 1, unroutable: 0 }, "{kind:?}");
    assert_eq!(world.balance("e2e4"), amount(FUNDS + 30));
}

const ASKED: [RequestKind; 4] =
    [RequestKind::Messages, RequestKind::Proofs, RequestKind::Receipts, RequestKind::Status];

#[tokio::test(start_paused = true)]
async fn garbage_as_an_answer_delays_and_loses_nothing() {
    for kind in ASKED {
        nonsense(6, kind, |_, _| vec![0xff, 0, 1, 2, 3]).await;
        nonsense(7, kind, |_, _| Vec::new()).await;
        nonsense(8, kind, |_, body| body[..body.len() / 2].to_vec()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_kind_or_number_delays_and_loses_nothing() {
    for kind in ASKED {
        nonsense(9, kind, |call, _| {
            let mut replies = vec![Reply::new(Code::ACCEPTED, "fine"); 7];
            match call.kind {
                RequestKind::Messages => Response::Messages(replies).body(),
                RequestKind::Receipts => Response::Receipts(replies).body(),
                RequestKind::Status => Response::Status(Vec::new()).body(),
                _ => {
                    replies.clear();
                    Response::Messages(replies).body()
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_without_a_receipt_is_only_a_hint() {
    for kind in ASKED {
        nonsense(10, kind, |_, _| {
            Response::Refused(Reply::new(Code::UNKNOWN_RECIPIENT, "go away")).body()
        })
        .await;
        nonsense(11, kind, |_, _| {
            Response::Refused(Reply::new(Code::NOT_NOW, "later").retry_after(5)).body()
        })
        .await;
    }
}

/// A success in place of another success: the peer says that it took receipts, or messages, that
/// it never saw. Messages are asked after; receipts are asked for.
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_it_took_what_it_did_not_is_asked_again() {
    let (world, a, b) = World::pair(12, 5_000).await;
    let fake = |call: &Call| call.kind == RequestKind::Messages && call.to == cid("b1c2");
    world
        .network
        .meddle_with_requests(move |call, body| if fake(call) { Vec::new() } else { body });
    world.network.meddle_with_answers(move |call, body| {
        if !fake(call) {
            return body;
        }
        Response::Messages(vec![Reply::new(Code::ACCEPTED, "of course")]).body()
    });
    let id = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    world.until("taken", SOON, || a.state(Direction::Outbound, &id) == Some(State::Accepted)).await;
    assert_eq!(b.waiting(), 0);
    world.network.heal();
    world.until_empty(HOURS, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
    let _: ChainId = a.chain;
}
