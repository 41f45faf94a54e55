//! A thousand messages in one block.

use std::time::{Duration, Instant};

use crate::{
    audit::{Ends, audit},
    contract::Kind,
    daemon::until,
    engine::Engine,
    world::{Order, Pair, newcomer},
};

const MESSAGES: usize = 1_000;
/// Fifty transactions there and twenty back, one after the other, on a busy machine.
const WITHIN: Duration = Duration::from_secs(300);

/// geth makes its blocks itself, and ganache takes minutes for the thousand transactions.
#[test]
#[ignore = "needs anvil"]
fn a_thousand_messages_in_one_block_are_all_delivered() {
    let pair = Pair::running(Engine::Anvil);
    let (a, b) = (&pair.a, &pair.b);
    a.node.pause_blocks();
    let signed: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let to = newcomer("b1c2", number);
            let value = 1_000_000_000 + u128::try_from(number).unwrap();
            a.order(&Order::payment(&to, value))
        })
        .collect();
    signed.iter().for_each(|signed| a.broadcast(signed));
    a.node.mine(1);
    let block = a.receipt_now(&signed[0].hash).unwrap()["blockNumber"].clone();
    for signed in &signed {
        assert_eq!(a.receipt_now(&signed.hash).unwrap()["blockNumber"], block);
    }
    let began = Instant::now();
    a.node.resume_blocks();
    let count = |kind| until_count(&pair, kind);
    count(Kind::Delivered);
    println!("{MESSAGES} messages of one block delivered after {:?}", began.elapsed());
    count(Kind::Closed);
    println!("… and closed after {:?}", began.elapsed());
    assert_eq!(b.contract().events(b.start).of(Kind::Delivered).count(), MESSAGES);
    assert_eq!(audit(&pair), Ends { delivered: MESSAGES, refunded: 0 });
}

fn until_count(pair: &Pair, kind: Kind) {
    let side = if kind == Kind::Delivered { &pair.b } else { &pair.a };
    until("all have come so far", WITHIN, || {
        let count = side.contract().events(side.start).of(kind).count();
        (count == MESSAGES).then_some(())
    });
}
