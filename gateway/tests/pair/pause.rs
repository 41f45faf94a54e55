//! Contracts are paused and go on: nothing leaves, nothing is paid to recipients, and what ended
//! elsewhere is closed and refunded meanwhile.

use alloy_primitives::hex;
use distpos_gateway::submit::Outcome;
use distpos_proto::message::Message;

use crate::{
    audit::{Ends, audit},
    contract::{Arg, Entry, Guard, encoded},
    daemon::until,
    engine::Engine,
    there_and_back::REVERTER,
    world::{ENDED_WITHIN, Order, Pair, Side, newcomer},
};

fn both_contracts_are_paused_and_resumed(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    let (a, b) = (&pair.a, &pair.b);
    let reverter = b.deploy_example(REVERTER, &encoded(&[Arg::number(1)]));
    // Both are final before anybody carries them.
    let at = format!("b1c2x{}", hex::encode(reverter));
    let refused = a.send(&Order { to: &at, value: 5_000_000_001, data: b"no", gas: 100_000 });
    let back = b.send(&Order::payment(&newcomer("e2e4", 2), 1_000_000_009));

    a.owner_at(&["pause"]);
    is_refused_a_send(a, "b1c2");
    pair.start_gateways();
    waits(a, &back);
    // What is refused over there is paid back all the same.
    a.ends(&refused, Outcome::Refunded);

    b.owner_at(&["pause"]);
    is_refused_a_send(b, "e2e4");
    a.owner_at(&["resume"]);
    // What is delivered here is closed there all the same.
    b.ends(&back, Outcome::Delivered);
    assert_eq!(b.contract().entry(back.id()), Entry::Closed);
    let there = a.send(&Order::payment(&newcomer("b1c2", 1), 1_000_000_007));
    waits(b, &there);

    b.owner_at(&["resume"]);
    a.ends(&there, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 2, refunded: 1 });
}

/// A wallet pays nothing but gas.
fn is_refused_a_send(side: &Side, to: &str) {
    let signed = side.order(&Order::payment(&newcomer(to, 9), 1));
    side.broadcast(&signed);
    let receipt = until("a block has it", ENDED_WITHIN, || side.receipt_now(&signed.hash));
    assert_eq!(receipt["status"], "0x0", "the outbox is paused");
}

/// A message that has come waits for the end of the pause.
fn waits(side: &Side, message: &Message) {
    let view = side.message_when(message.id(), |view| view.code.as_deref() == Some("4.2.1"));
    assert_eq!(side.contract().guard(message.id()), Guard::None, "{view:?}");
}

crate::on_each_engine!(both_contracts_are_paused_and_resumed);
