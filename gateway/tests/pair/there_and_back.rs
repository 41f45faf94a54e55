//! Value and data both ways, on each engine.

use alloy_primitives::hex;
use distpos_gateway::submit::Outcome;

use crate::{
    audit::{Ends, audit},
    contract::{Arg, encoded},
    daemon::until,
    engine::Engine,
    world::{ENDED_WITHIN, Order, Pair, newcomer},
};

/// A contract that remembers what it got, and answers where the data is "answer".
pub(crate) const ECHO: &str = include_str!("../../contracts/artefacts/Echo.json");
/// A contract that refuses calls.
pub(crate) const REVERTER: &str = include_str!("../../contracts/artefacts/Reverter.json");

fn value_and_data_go_there_and_back(engine: Engine) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    let executor = b.contract().view("executor()", &[]);
    let word: [u8; 32] = executor[..32].try_into().unwrap();
    let echo = b.deploy_example(ECHO, &encoded(&[Arg::Word(word), Arg::address(b.contract)]));
    let reverter = b.deploy_example(REVERTER, &encoded(&[Arg::number(1)]));
    let at = |account| format!("b1c2x{}", hex::encode(account));

    // Value alone, a call with value that is answered, and a call that reverts.
    let plain = a.send(&Order::payment(&newcomer("b1c2", 1), 300_000_000_000_000_001));
    let call =
        Order { to: &at(echo), value: 20_000_000_000_000_003, data: b"answer", gas: 900_000 };
    let asked = a.send(&call);
    let call = Order { to: &at(reverter), value: 7_000_000_000_000_007, data: b"no", gas: 100_000 };
    let refused = a.send(&call);
    a.ends(&plain, Outcome::Delivered);
    a.ends(&asked, Outcome::Delivered);
    let view = a.ends(&refused, Outcome::Refunded);
    assert_eq!(view.code.as_deref(), Some("5.3.0"), "{view:?}");

    // The contract saw the sender as text, and what it answered went to exactly that text.
    let sender = format!("e2e4x{}", hex::encode(a.user.address));
    let echo = crate::contract::Contract { node: &b.node, address: echo };
    assert_eq!(echo.text("sender()"), sender);
    let answered = until("the answer arrives", ENDED_WITHIN, || {
        b.contract().events(b.start).sent.into_values().next()
    });
    assert_eq!(answered.fields().recipient.as_str(), hex::encode(a.user.address));
    assert_eq!(answered.fields().data, b"answered");
    b.ends(&answered, Outcome::Delivered);

    // And back, by a wallet and by the command.
    let back = b.send(&Order::payment(&newcomer("e2e4", 2), 100_000_000_000_000_009));
    let to = newcomer("e2e4", 3);
    let told = b.command(&[&to, "--amount", "0.25eth", "--wait", "--timeout", "2m"]);
    assert!(told.status.success(), "{told:?}");
    b.ends(&back, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 5, refunded: 1 });
}

crate::on_each_engine!(value_and_data_go_there_and_back);
