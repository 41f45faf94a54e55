//! Messages that are wrong, or come again: the exact reply, and nothing lost beside them.

use std::time::Duration;

use distpos_gateway::chain::{
    ChainError, LocalChain, Submission,
    ledger::{address, transaction},
};
use distpos_proto::{
    address::{Address, AddressError},
    cbor::Writer,
    chain::{Family, Height},
    code::{Code, Reply},
    envelope::{Envelope, Origin},
    message::{Fields, Message, OnFail},
    time::UnixSeconds,
    wire::{BATCH_BYTES_MAX, Batch, Request, RequestKind, Response},
};
use distpos_spool::Direction;

use crate::support::{
    audit::Tally,
    site::Site,
    world::{FUNDS, World, amount, cid},
};

const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_hours(24 * 8);

fn replies(response: Response) -> Vec<Reply> {
    match response {
        Response::Messages(replies) | Response::Receipts(replies) => replies,
        other => panic!("{other:?}"),
    }
}

fn codes(response: Response) -> Vec<Code> {
    replies(response).iter().map(|reply| reply.code).collect()
}

fn refusal(response: Response) -> Reply {
    match response {
        Response::Refused(reply) => reply,
        other => panic!("{other:?}"),
    }
}

/// A message from e2e4 to b1c2 that its sender's chain never saw.
fn invented(world: &World, sequence: u64, data: usize) -> Message {
    let tag = |chain: &str| world.chains[&cid(chain)].ledger.facts().tag;
    let fields = Fields {
        source: cid("e2e4"),
        source_tag: tag("e2e4"),
        destination: cid("b1c2"),
        destination_tag: tag("b1c2"),
        outbox: b"ledger".to_vec(),
        sequence,
        sender: world.user("e2e4").local().clone(),
        recipient: world.user("b1c2").local().clone(),
        value: None,
        data: vec![7; data],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(world.now().0 + 60),
    };
    Message::new(fields).unwrap()
}

fn batch(height: u64, messages: impl IntoIterator<Item = Message>) -> Batch {
    let height = Height(height);
    let envelopes = (0..)
        .zip(messages)
        .map(|(index, message)| Envelope { message, origin: Origin { height, index } });
    Batch { height, envelopes: envelopes.collect() }
}

async fn ask(world: &World, site: &Site, request: &Request) -> Response {
    site.ask(world.chains[&cid("e2e4")].pin(1), cid("e2e4"), request).await
}

#[tokio::test(start_paused = true)]
async fn a_malformed_address_does_not_leave_the_user() {
    let (world, a, b) = World::pair(1, 5_000).await;
    let chain = &world.chains[&cid("e2e4")];
    let (facts, place_nonce) = (chain.ledger.facts(), 0);
    let place = transaction::Place { chain: facts.chain, tag: facts.tag, nonce: place_nonce };
    let order = transaction::SendOrder {
        to: world.user("b1c2"),
        amount: amount(5),
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(0),
    };
    let signed = transaction::send(place, order, &chain.user);
    let at = signed.windows(5).position(|five| five == b"b1c2x").unwrap();
    for (wrong, with) in [("no separator", b"b1c2y"), ("upper case", b"B1c2x"), ("here", b"0xxxx")]
    {
        let mut wrong_bytes = signed.clone();
        wrong_bytes[at..at + 5].copy_from_slice(with);
        match chain.ledger.submit(Submission::User(wrong_bytes)).await {
            // Upper case is accepted on input and lowered, but this was signed in one encoding.
            Err(ChainError::Refused(reply)) if wrong == "upper case" => {
                assert_eq!(reply.code, Code::MALFORMED, "{wrong}: {reply}");
            }
            Err(ChainError::Refused(reply)) => {
                assert_eq!(reply.code, Code::BAD_ADDRESS, "{wrong}: {reply}");
            }
            other => panic!("{wrong}: {other:?}"),
        }
    }
    assert_eq!("0xabc".parse::<Address>(), Err(AddressError::Here));
    let own = address::local(&chain.user.public());
    assert_eq!(chain.ledger.account(&own).await.unwrap().unwrap().nonce, 0, "nothing was taken");
    world.pass(SOON).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally::default());
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_is_no_address_there_is_refunded() {
    let (world, a, b) = World::pair(2, 5_000).await;
    let id = world.send("e2e4", world.nonsense("b1c2"), 40, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.happened_with(&[&format!("receipt-taken id={id} refused \"5.1.3")]), 1);
    assert_eq!(world.audit(&[&a, &b]).await, Tally { refunded: 1, ..Tally::default() });
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_another_encoding_is_refused_and_its_neighbours_are_not() {
    let (world, a, b) = World::pair(3, 5_000).await;
    let ids = [
        world.send("e2e4", world.user("b1c2"), 1, 0).await,
        world.send("e2e4", world.user("b1c2"), 2, 0).await,
    ];
    world
        .until("closed", SOON, || {
            ids.iter().all(|id| world.happened(&format!("closed id={id}")) == 1)
        })
        .await;
    let sent = world.record(cid("e2e4")).await.sent;
    // A map of 16 pairs has one short head, and this longer one says the same.
    let mut longer = vec![0xb8, 16];
    longer.extend(&sent[0].bytes()[1..]);
    let mut trailing = sent[0].bytes().to_vec();
    trailing.push(0);
    let mut body = Writer::default();
    body.map(1).uint(0).array(1).map(2).uint(0).uint(2).uint(1).array(4);
    for (index, bytes) in [&longer, sent[1].bytes(), &trailing, sent[0].bytes()].iter().enumerate()
    {
        body.array(2).uint(index as u64).bytes(bytes);
    }
    let pin = world.chains[&cid("e2e4")].pin(1);
    let kind = RequestKind::Messages;
    let response = b.post(pin, cid("e2e4"), cid("b1c2"), kind, body.finish()).await;
    let expected = [Code::MALFORMED, Code::ACCEPTED, Code::MALFORMED, Code::ACCEPTED];
    assert_eq!(codes(response), expected);
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 2, ..Tally::default() });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_replayed_is_delivered_once_and_has_its_receipts_again() {
    let (world, a, b) = World::pair(4, 5_000).await;
    let second = world.start("b1c2", 2, Family::Ledger);
    let good = world.send("e2e4", world.user("b1c2"), 250, 0).await;
    let bad = world.send("e2e4", world.stranger("b1c2"), 40, 0).await;
    let sent = world.record(cid("e2e4")).await.sent;
    let request = Request::Messages(sent.iter().map(|m| batch(3, [m.clone()])).collect());
    for _ in 0..3 {
        assert_eq!(codes(ask(&world, &b, &request).await), [Code::ACCEPTED; 2]);
    }
    world.until_empty(SOON, &[&a, &b, &second]).await;
    let receipts = world.network.arrived(RequestKind::Receipts, cid("e2e4"));
    for site in [&b, &second, &b] {
        assert_eq!(codes(ask(&world, site, &request).await), [Code::ACCEPTED; 2]);
        world.until_empty(SOON, &[&a, &b, &second]).await;
    }
    assert!(world.network.arrived(RequestKind::Receipts, cid("e2e4")) >= receipts + 3);
    for (id, word) in [(good, "receipt-taken"), (bad, "receipt-taken")] {
        assert_eq!(world.happened(&format!("{word} id={id}")), 1, "known the second time");
    }
    let tally = world.audit(&[&a, &b, &second]).await;
    assert_eq!(tally, Tally { delivered: 1, refunded: 1, ..Tally::default() });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
}

/// Before, while and after it is delivered from where it is.
#[tokio::test(start_paused = true)]
async fn the_same_message_claimed_in_another_block_is_the_same_message() {
    let (world, a, b) = World::pair(5, 5_000).await;
    let message = {
        world.send("e2e4", world.user("b1c2"), 250, 0).await;
        world.record(cid("e2e4")).await.sent[0].clone()
    };
    for height in [9, 1, 7] {
        let mut moved = batch(height, [message.clone()]);
        moved.envelopes[0].origin.index = 5;
        let request = Request::Messages(vec![moved]);
        assert_eq!(codes(ask(&world, &b, &request).await), [Code::ACCEPTED]);
        assert!(b.batches(Direction::Inbound).len() <= 1);
        world.pass(Duration::from_millis(20)).await;
    }
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally { delivered: 1, ..Tally::default() });
    assert_eq!(world.balance("b1c2"), amount(FUNDS + 250));
}

#[tokio::test(start_paused = true)]
async fn batches_over_the_limits_are_refused_whole() {
    let (world, a, b) = World::pair(6, 5_000).await;
    let many = |from: u64, count: u64| (from..from + count).map(|n| invented(&world, n, 0));
    let fine = Request::Messages(vec![batch(1, many(1, 128))]);
    let long = Request::Messages(vec![batch(1, many(1, 129))]);
    let data = (BATCH_BYTES_MAX / 4) as u64;
    let heavy = (1..=4).map(|n| invented(&world, n, usize::try_from(data).unwrap()));
    let heavy = Request::Messages(vec![batch(1, heavy)]);
    let nine = (0..9).map(|n| batch(n + 1, many(n * 128 + 1, 128)));
    let nine = Request::Messages(nine.collect());
    for (what, request) in [("129", &long), ("256 KiB", &heavy), ("1,152", &nine)] {
        let reply = refusal(ask(&world, &b, request).await);
        assert_eq!(reply.code, Code::TOO_BIG, "{what}: {reply}");
        assert_eq!(b.waiting(), 0, "{what}");
    }
    assert_eq!(codes(ask(&world, &b, &fine).await), [Code::ACCEPTED; 128]);
    // None of them was ever sent: some day they are forgotten.
    world.until_empty(LONG, &[&a, &b]).await;
    assert_eq!(world.audit(&[&a, &b]).await, Tally::default());
}

/// What one source may leave unproven here is bounded; its other messages come later.
#[tokio::test(start_paused = true)]
async fn claims_beyond_the_quota_are_told_to_come_back() {
    let (world, _a, b) = World::pair(7, 5_000).await;
    let per_request = 1024;
    for k in 0..16 {
        let batches = (0..8).map(|n| {
            let first = k * per_request + n * 128 + 1;
            batch(first, (first..first + 128).map(|n| invented(&world, n, 0)))
        });
        let request = Request::Messages(batches.collect());
        assert!(codes(ask(&world, &b, &request).await).iter().all(|code| *code == Code::ACCEPTED));
    }
    let one = Request::Messages(vec![batch(99, [invented(&world, 99_999, 0)])]);
    let over = refusal(ask(&world, &b, &one).await);
    assert_eq!((over.code, over.retry_after), (Code::RATE_LIMIT, Some(10)));
}
