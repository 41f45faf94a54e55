//! Fees: a transaction that is stuck, and a gateway that cannot pay.

use distpos_gateway::submit::Outcome;
use serde_json::json;

use crate::{
    audit::{Ends, audit},
    contract::Guard,
    daemon::until,
    engine::Engine,
    world::{ENDED_WITHIN, ETHER, Order, Pair, newcomer},
};

/// The market runs away from the delivery while no block takes it: it is replaced by one that
/// offers what blocks ask now, and the message is delivered by that. Only anvil sets a base fee.
#[test]
#[ignore = "needs anvil"]
fn on_anvil_a_stuck_delivery_is_replaced() {
    let pair = Pair::prepared(Engine::Anvil, 1);
    let (a, b) = (&pair.a, &pair.b);
    b.gateway().edit("poll = ", "fee_bump_after = \"2s\"\npoll = ");
    pair.start_gateways();
    b.node.pause_blocks();
    let message = a.send(&Order::payment(&newcomer("b1c2", 1), 1_000_000_007));
    let pending = || {
        let account = b.gateways[0].account.to_string();
        b.node.call("eth_getTransactionCount", &json!([account, "pending"]))
    };
    until("the delivery is in the pool", ENDED_WITHIN, || (pending() == "0x1").then_some(()));
    // What it offers is twice the base fee of its day.
    let fee = format!("{:#x}", 30_000_000_000u64);
    b.node.call("anvil_setNextBlockBaseFeePerGas", &json!([fee]));
    b.node.mine(1);
    assert_eq!(b.contract().guard(message.id()), Guard::None, "no block takes it for that");
    // It offers more once it has waited, and then a block takes it.
    until("a block has the delivery", ENDED_WITHIN, || {
        b.node.call("anvil_setNextBlockBaseFeePerGas", &json!([fee]));
        b.node.mine(1);
        (b.contract().guard(message.id()) == Guard::Delivered).then_some(())
    });
    b.node.resume_blocks();
    a.ends(&message, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 1, refunded: 0 });
}

/// The gateway's account is empty: what comes waits, the operator is told, and it goes when the
/// account is filled.
fn an_empty_account_is_filled_later(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    let (a, b) = (&pair.a, &pair.b);
    b.drain_gateway();
    pair.start_gateways();
    let message = a.send(&Order::payment(&newcomer("b1c2", 1), 1_000_000_007));
    b.message_when(message.id(), |view| view.state == "delivering" && view.code.is_some());
    until("the operator is told", ENDED_WITHIN, || {
        b.gateway().log().contains("alert").then_some(())
    });
    assert_eq!(b.contract().guard(message.id()), Guard::None);
    b.pay(b.gateways[0].account, ETHER);
    a.ends(&message, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 1, refunded: 0 });
}

crate::on_each_engine!(an_empty_account_is_filled_later);
