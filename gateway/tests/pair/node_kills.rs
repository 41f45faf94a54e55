//! Nodes that are killed in each state of a message, and nodes that stand still.

use distpos_gateway::submit::Outcome;
use distpos_proto::message::Message;

use crate::{
    audit::{Ends, audit},
    engine::Engine,
    proxy::{Mode, Proxy},
    world::{Order, Pair, newcomer},
};

/// Both nodes die by SIGKILL and come back with their data, in each state of a message: what was
/// final is there again, and the message goes on from where it stood.
fn both_nodes_are_killed_in_each_state(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    let (a, b) = (&pair.a, &pair.b);
    // What `b1c2` asks `e2e4` passes here, so that a proof can be kept from it.
    let proxy = Proxy::before(a.gateway().peers, Mode::Open);
    let port = |port: u16| format!("port = {port}");
    b.gateway().edit(&port(a.gateway().peers.port()), &port(proxy.address.port()));
    pair.start_gateways();
    let send = |number| a.send(&Order::payment(&newcomer("b1c2", number), 1_000_000_007));

    // Queued: there is no gateway over there.
    b.gateway().kill();
    let message = send(1);
    at_source(&pair, &message, "queued");
    kill_both(&pair);
    b.gateway().start();
    a.ends(&message, Outcome::Delivered);

    // Accepted here, claimed there: nobody gives the proof.
    proxy.set(Mode::Closed);
    // The connection that is there would go on.
    b.gateway().kill();
    b.gateway().start();
    let message = send(2);
    at_source(&pair, &message, "accepted");
    at_destination(&pair, &message, "claimed");
    kill_both(&pair);
    proxy.set(Mode::Open);
    a.ends(&message, Outcome::Delivered);

    // Delivering: no block has the delivery yet, where blocks can be kept from it.
    let held = engine.is_mined_by_hand();
    if held {
        b.node.pause_blocks();
    }
    let message = send(3);
    at_destination(&pair, &message, "delivering");
    kill_both(&pair);
    b.node.resume_blocks();
    a.ends(&message, Outcome::Delivered);

    // Closing: the receipt is here, and no block has the end yet.
    let message = send(4);
    if held {
        at_destination(&pair, &message, "delivering");
        a.node.pause_blocks();
    }
    at_source(&pair, &message, "closing");
    kill_both(&pair);
    a.node.resume_blocks();
    a.ends(&message, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 4, refunded: 0 });
}

fn at_source(pair: &Pair, message: &Message, state: &str) {
    pair.a.message_when(message.id(), |view| view.state == state);
}

fn at_destination(pair: &Pair, message: &Message, state: &str) {
    pair.b.message_when(message.id(), |view| view.state == state);
}

fn kill_both(pair: &Pair) {
    for (side, _) in pair.sides() {
        side.node.kill();
    }
    for (side, _) in pair.sides() {
        side.node.restart();
    }
}

mod killed {
    use super::both_nodes_are_killed_in_each_state;

    crate::on_each_engine!(both_nodes_are_killed_in_each_state);
}

/// A node takes connections and says nothing, for longer than a gateway waits: it is asked again.
fn a_node_stands_still_for_a_while(engine: Engine) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    b.node.stall();
    let message = a.send(&Order::payment(&newcomer("b1c2", 1), 1_000_000_007));
    at_source(&pair, &message, "accepted");
    crate::daemon::until("the gateway has given up a call", crate::world::ENDED_WITHIN, || {
        b.gateway().log().contains("does not answer").then_some(())
    });
    assert_eq!(a.gateway().message(message.id()).unwrap().outcome, None);
    b.node.go_on();
    a.ends(&message, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 1, refunded: 0 });
}

mod stalled {
    use super::a_node_stands_still_for_a_while;

    crate::on_each_engine!(a_node_stands_still_for_a_while);
}
