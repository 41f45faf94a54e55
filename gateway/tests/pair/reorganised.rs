//! Blocks that are taken back before they are final: of the source, and of the delivery.
//!
//! geth `--dev` makes its blocks itself and takes none back when asked: what it loses when it is
//! killed is in `node_kills`.

use distpos_gateway::submit::Outcome;
use distpos_proto::message::Message;

use crate::{
    audit::{Ends, audit},
    contract::Guard,
    daemon::until,
    engine::{Engine, TakenBack},
    world::{ENDED_WITHIN, Order, Pair, newcomer},
};

/// The block of the send is taken back, and the wallet sends again: only the second message, in
/// the block that stays, is ever heard of.
fn a_source_block_is_taken_back_before_it_is_final(engine: Engine, how: TakenBack) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    a.node.pause_blocks();
    let to = newcomer("b1c2", 1);
    let signed = a.order(&Order::payment(&to, 1_000_000_007));
    let mark = a.node.mark();
    a.broadcast(&signed);
    a.node.mine(1);
    let gone = a.contract().sent_by(&a.receipt_now(&signed.hash).unwrap()).unwrap();
    a.node.take_back(&mark, how);
    assert!(a.receipt_now(&signed.hash).is_none(), "its block is gone");
    // Two blocks more: had the gateway believed the first block, it would speak now.
    a.node.mine(4);
    assert_eq!(a.contract().events(a.start).sent.len(), 0);
    a.node.resume_blocks();
    let stays = a.contract().sent_by(&a.receipt(&signed)).unwrap();
    a.ends(&stays, Outcome::Delivered);
    if gone.id() != stays.id() {
        assert_eq!(a.gateway().message(gone.id()), None);
        assert_eq!(b.gateway().message(gone.id()), None);
    }
    assert_eq!(audit(&pair), Ends { delivered: 1, refunded: 0 });
}

/// The block of the delivery is taken back: nobody was told of it, and it is delivered again.
fn a_delivery_is_taken_back_before_it_is_final(engine: Engine, how: TakenBack) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    b.node.pause_blocks();
    let to = newcomer("b1c2", 1);
    let message = a.send(&Order::payment(&to, 1_000_000_007));
    let mark = until("a block has the delivery", ENDED_WITHIN, || {
        let mark = b.node.mark();
        b.node.mine(1);
        is_delivered(&pair, &message).then_some(mark)
    });
    b.node.take_back(&mark, how);
    assert!(!is_delivered(&pair, &message), "the delivery is gone");
    let view = a.gateway().message(message.id()).unwrap();
    assert_eq!(view.outcome, None, "a delivery that is not final is no end: {view:?}");
    b.node.resume_blocks();
    a.ends(&message, Outcome::Delivered);
    assert!(is_delivered(&pair, &message));
    assert_eq!(audit(&pair), Ends { delivered: 1, refunded: 0 });
}

fn is_delivered(pair: &Pair, message: &Message) -> bool {
    pair.b.contract().guard(message.id()) == Guard::Delivered
}

#[test]
#[ignore = "needs anvil"]
fn on_anvil_a_source_block_is_replaced() {
    a_source_block_is_taken_back_before_it_is_final(Engine::Anvil, TakenBack::Replaced);
}

#[test]
#[ignore = "needs anvil"]
fn on_anvil_a_source_block_is_rolled_back() {
    a_source_block_is_taken_back_before_it_is_final(Engine::Anvil, TakenBack::RolledBack);
}

#[test]
#[ignore = "needs ganache"]
fn on_ganache_a_source_block_is_rolled_back() {
    a_source_block_is_taken_back_before_it_is_final(Engine::Ganache, TakenBack::RolledBack);
}

#[test]
#[ignore = "needs anvil"]
fn on_anvil_a_delivery_is_replaced() {
    a_delivery_is_taken_back_before_it_is_final(Engine::Anvil, TakenBack::Replaced);
}

#[test]
#[ignore = "needs anvil"]
fn on_anvil_a_delivery_is_rolled_back() {
    a_delivery_is_taken_back_before_it_is_final(Engine::Anvil, TakenBack::RolledBack);
}

#[test]
#[ignore = "needs ganache"]
fn on_ganache_a_delivery_is_rolled_back() {
    a_delivery_is_taken_back_before_it_is_final(Engine::Ganache, TakenBack::RolledBack);
}
