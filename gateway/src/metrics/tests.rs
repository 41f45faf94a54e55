use std::sync::Arc;

use distpos_proto::{
    chain::Height,
    code::Reply,
    envelope::{Envelope, Origin},
    receipt::Call,
    time::UnixMillis,
};
use distpos_spool::{NewBatch, State, Tx};

use super::{events::Counted, *};
use crate::{
    event::{Event, Events},
    testing::message,
};

struct Quiet;

impl Events for Quiet {
    fn emit(&self, _: Event) {}
}

fn told(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.registry.text();
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

/// A message in one direction that took two seconds and ended so.
async fn ended(spool: &Spool, direction: Direction, sequence: u64, outcome: Outcome) -> MessageId {
    let (source, destination) = match direction {
        Direction::Outbound => ("e2e4", "b1c2"),
        Direction::Inbound => ("b1c2", "e2e4"),
    };
    let message = message(source, destination, sequence, 2_000_000);
    let id = message.id();
    let work = move |tx: &mut Tx<'_>| {
        let origin = Origin { height: Height(1), index: 0 };
        let state = match direction {
            Direction::Outbound => State::Queued,
            Direction::Inbound => State::Claimed,
        };
        let batch = NewBatch {
            direction,
            peer: "b1c2".parse().unwrap(),
            height: Height(1),
            state,
            due: None,
            messages: vec![Envelope { message, origin }],
        };
        tx.put(batch, UnixMillis(1_000))?;
        let settled = match (direction, &outcome) {
            (Direction::Inbound, _) => None,
            (_, Outcome::Delivered { .. }) => Some(EndingKind::Close),
            (_, Outcome::Refused { .. }) => Some(EndingKind::Refund),
        };
        let history = vec![(state, UnixMillis(1_000)), (State::Ended, UnixMillis(3_000))];
        let peer = "b1c2".parse().unwrap();
        let end = End { peer, outcome: Some(outcome), settled, at: UnixMillis(3_000), history };
        tx.set_ended(direction, &id, &end)
    };
    spool.transact(work).await.unwrap();
    id
}

fn delivered() -> Outcome {
    Outcome::Delivered { height: Height(9), transaction: vec![1], call: Call::None }
}

fn refused(code: &str) -> Outcome {
    Outcome::Refused { code: code.parse().unwrap(), text: "a peer's \"words\"".into() }
}

#[tokio::test]
async fn messages_that_ended_are_counted_by_chain_and_code_with_their_times() {
    let (spool, metrics) = (Spool::in_memory(), Arc::new(Metrics::default()));
    let events = Counted::new(metrics.clone(), Arc::new(Quiet));
    let id = ended(&spool, Direction::Outbound, 1, delivered()).await;
    events.emit(Event::Closed { id });
    let id = ended(&spool, Direction::Outbound, 2, refused("5.1.1")).await;
    events.emit(Event::Refunded { id });
    let id = ended(&spool, Direction::Inbound, 3, delivered()).await;
    events.emit(Event::Ended { id, outcome: delivered() });
    // A code that nobody gives is a peer's invention, and gets no series.
    let id = ended(&spool, Direction::Inbound, 4, refused("5.99.98")).await;
    events.emit(Event::Ended { id, outcome: refused("5.99.98") });
    // Sent before this spool began.
    events.emit(Event::Closed { id: MessageId([7; 32]) });
    assert!(told(&metrics, "distpos_delivered_total").is_empty(), "not looked up yet");

    metrics.look_up(&spool).unwrap();
    metrics.look_up(&spool).unwrap();
    assert_eq!(
        told(&metrics, "distpos_delivered_total"),
        ["distpos_delivered_total{chain=\"b1c2\"} 2", "distpos_delivered_total{chain=\"other\"} 1"]
    );
    assert_eq!(
        told(&metrics, "distpos_refused_total"),
        [
            "distpos_refused_total{chain=\"b1c2\",code=\"5.1.1\"} 1",
            "distpos_refused_total{chain=\"b1c2\",code=\"other\"} 1"
        ]
    );
    let seconds = told(&metrics, "distpos_delivery_seconds");
    for line in [
        "distpos_delivery_seconds_bucket{phase=\"queued\",le=\"1\"} 0",
        "distpos_delivery_seconds_bucket{phase=\"queued\",le=\"2.5\"} 2",
        "distpos_delivery_seconds_sum{phase=\"outbound\"} 4",
        "distpos_delivery_seconds_count{phase=\"inbound\"} 2",
    ] {
        assert!(seconds.iter().any(|found| found == line), "{line}: {seconds:?}");
    }
}

#[tokio::test]
async fn more_than_can_be_looked_up_is_counted_all_the_same() {
    let (spool, metrics) = (Spool::in_memory(), Arc::new(Metrics::default()));
    let events = Counted::new(metrics.clone(), Arc::new(Quiet));
    for _ in 0..ENDED_MAX + 3 {
        events.emit(Event::Closed { id: MessageId([7; 32]) });
    }
    metrics.look_up(&spool).unwrap();
    let all = format!("distpos_delivered_total{{chain=\"other\"}} {}", ENDED_MAX + 3);
    assert_eq!(told(&metrics, "distpos_delivered_total"), [all]);
}

#[test]
fn what_waits_is_counted_by_message_and_code() {
    let metrics = Arc::new(Metrics::default());
    let events = Counted::new(metrics.clone(), Arc::new(Quiet));
    let (chain, reply) = ("b1c2".parse().unwrap(), Reply::new(Code::NO_ANSWER, "gw1: refused"));
    events.emit(Event::deferred(chain, 3, reply, Duration::from_secs(10)));
    let line = "distpos_deferred_total{chain=\"b1c2\",code=\"4.4.1\"} 3";
    assert_eq!(told(&metrics, "distpos_deferred_total"), [line]);
}
