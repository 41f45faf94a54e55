//! Two gateways of one chain that must both agree: the chain is where they meet.

use distpos_gateway::submit::Outcome;

use crate::{
    audit::{Ends, audit},
    contract::{Arg, Entry, Guard, encoded},
    daemon::until,
    engine::Engine,
    there_and_back::REVERTER,
    world::{ENDED_WITHIN, Order, Pair, newcomer},
};

fn nothing_moves_until_both_agree(engine: Engine) {
    let pair = Pair::prepared(engine, 2);
    let (a, b) = (&pair.a, &pair.b);
    b.owner_at(&["required", "2"]);
    let reverter = b.deploy_example(REVERTER, &encoded(&[Arg::number(1)]));
    // One of the two at `b1c2` is not there yet.
    let [first, second] = &b.gateways[..] else { panic!("two gateways at b1c2") };
    a.gateway().start();
    first.daemon.start();
    let there = a.send(&Order::payment(&newcomer("b1c2", 1), 1_000_000_007));
    let at = format!("b1c2x{}", alloy_primitives::hex::encode(reverter));
    let refused = a.send(&Order { to: &at, value: 5_000_000_001, data: b"no", gas: 100_000 });
    let back = b.send(&Order::payment(&newcomer("e2e4", 2), 1_000_000_009));
    let approved = |message: &distpos_proto::message::Message, action| {
        let account = Arg::address(first.account);
        let arguments = [Arg::Word(message.id().0), Arg::number(action), account];
        let word = b.contract().number("hasApproved(bytes32,uint8,address)", &arguments);
        (word == alloy_primitives::U256::from(1)).then_some(())
    };
    // Two deliveries, one of which will be refused when it is tried, and the close of what left.
    until("the delivery has one voice", ENDED_WITHIN, || approved(&there, 0));
    until("the other has one voice", ENDED_WITHIN, || approved(&refused, 0));
    until("the close has one voice", ENDED_WITHIN, || approved(&back, 2));
    for message in [&there, &refused] {
        assert_eq!(b.contract().guard(message.id()), Guard::None);
        assert_eq!(a.contract().entry(message.id()), Entry::Open);
    }
    assert_eq!(b.contract().entry(back.id()), Entry::Open);

    second.daemon.start();
    a.ends(&there, Outcome::Delivered);
    a.ends(&refused, Outcome::Refunded);
    until("the close has both voices", ENDED_WITHIN, || {
        (b.contract().entry(back.id()) == Entry::Closed).then_some(())
    });
    assert_eq!(audit(&pair), Ends { delivered: 2, refunded: 1 });
}

crate::on_each_engine!(nothing_moves_until_both_agree);
