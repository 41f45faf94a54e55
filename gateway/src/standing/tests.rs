use distpos_proto::{
    chain::Height,
    code::Code,
    envelope::{Envelope, Origin},
    receipt::Call,
};
use distpos_spool::{NewBatch, Spool};

use super::*;
use crate::testing;

const CLAIMED: UnixMillis = UnixMillis(1_000_000);
const FROM: &str = "gw1.b2.test:7333";

fn source() -> ChainId {
    "b2".parse().unwrap()
}

fn message(sequence: u64) -> Message {
    testing::message("b2", "a1", sequence, 100_000)
}

/// A spool with so many claims, in one batch.
async fn claimed(count: u64) -> (Spool, Vec<Message>) {
    let spool = Spool::in_memory();
    let messages: Vec<Message> = (1..=count).map(message).collect();
    let envelope = |(index, message): (u32, &Message)| {
        let origin = Origin { height: Height(1), index };
        Envelope { message: message.clone(), origin }
    };
    let batch = NewBatch {
        direction: Direction::Inbound,
        peer: source(),
        height: Height(1),
        state: State::Claimed,
        due: Some(CLAIMED),
        messages: (0..).zip(&messages).map(envelope).collect(),
    };
    spool.transact(move |tx| tx.put(batch, CLAIMED).map(drop)).await.unwrap();
    (spool, messages)
}

async fn prove(spool: &Spool, messages: Vec<Message>, now: UnixMillis) {
    spool.transact(move |tx| proven(tx, FROM, &messages, now)).await.unwrap();
}

/// The message ends; what its chain and the gateway have then.
async fn end(spool: &Spool, id: MessageId, outcome: Outcome, now: UnixMillis) -> [u32; 2] {
    let work = move |tx: &mut Tx<'_>| ended(tx, &id, source(), &outcome, now, &mut Vec::new());
    spool.transact(work).await.unwrap();
    let both = [Subject::chain(source()), subject(source(), FROM).unwrap()];
    both.map(|subject| spool.read(|tx| tx.standing(&subject, now)).unwrap().thousandths())
}

fn delivered() -> Outcome {
    Outcome::Delivered { height: Height(9), transaction: vec![1], call: Call::None }
}

#[tokio::test]
async fn only_what_was_delivered_and_proven_in_time_earns_something() {
    let refused = Outcome::Refused { code: Code::POLICY, text: "no".into() };
    let hour = UnixMillis(CLAIMED.0 + 3_600_000);
    let late = UnixMillis(hour.0 + 1);
    let cases = [
        (Some(hour), delivered(), [51_000, 51_000]),
        (Some(late), delivered(), [50_000, 50_000]),
        (Some(CLAIMED), refused, [50_000, 50_000]),
        // By a sibling gateway that had the proof.
        (None, delivered(), [50_000, 50_000]),
    ];
    for (proven_at, outcome, expected) in cases {
        let (spool, messages) = claimed(1).await;
        let id = messages[0].id();
        if let Some(at) = proven_at {
            prove(&spool, messages.clone(), at).await;
            // The first proof counts, whatever comes after it.
            prove(&spool, messages, CLAIMED).await;
        }
        let found = end(&spool, id, outcome.clone(), UnixMillis(late.0 + 1)).await;
        assert_eq!(found, expected, "{proven_at:?} {outcome:?}");
        assert_eq!(spool.read(|tx| tx.prover(&id)), Ok(None));
    }
}

#[tokio::test]
async fn a_claim_that_was_proven_and_waited_is_no_spam() {
    let (spool, messages) = claimed(3).await;
    prove(&spool, messages[..2].to_vec(), CLAIMED).await;
    let ids: Vec<MessageId> = messages.iter().map(Message::id).collect();
    let forget = |ids: Vec<MessageId>| {
        spool.transact(move |tx| {
            let mut events = Vec::new();
            let_go(tx, source(), &ids, CLAIMED, &mut events)?;
            Ok::<_, SpoolError>(events)
        })
    };
    assert_eq!(forget(ids[..1].to_vec()).await.unwrap(), []);
    let events = forget(ids[1..].to_vec()).await.unwrap();
    let [Event::Standing { subject, happening, cause, standing }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((subject, *happening), (&Subject::chain(source()), Happening::Spam));
    assert_eq!((cause.as_str(), standing.thousandths()), ("1 claims were never proven", 47_000));
    for id in ids {
        assert_eq!(spool.read(|tx| tx.prover(&id)), Ok(None));
    }
}
