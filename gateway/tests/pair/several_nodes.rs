//! Gateways with several ways to their chain: one goes away, one lies.

use distpos_gateway::submit::Outcome;

use crate::{
    audit::{Ends, audit},
    engine::Engine,
    relay::{Mode, Relay},
    world::{Order, Pair, Side, newcomer},
};

/// The gateway asks these in place of its node, and so many must agree.
fn ask(side: &Side, relays: &[Relay], quorum: usize) {
    let urls: Vec<_> = relays.iter().map(|relay| format!("\"{}\"", relay.url())).collect();
    let list = format!("rpc = [{}]\nquorum = {quorum}", urls.join(", "));
    side.gateway().edit(&format!("rpc = \"{}\"", side.node.url()), &list);
}

fn there_and_back(pair: &Pair, number: usize) {
    let [there, back] = ["b1c2", "e2e4"].map(|chain| newcomer(chain, number));
    let there = pair.a.send(&Order::payment(&there, 1_000_000_007));
    let back = pair.b.send(&Order::payment(&back, 1_000_000_009));
    pair.a.ends(&there, Outcome::Delivered);
    pair.b.ends(&back, Outcome::Delivered);
}

/// Either of two is away for a while.
fn one_stands_in_for_the_other(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    let relays = [(); 2].map(|()| Relay::before(pair.a.node.address, Mode::Honest));
    ask(&pair.a, &relays, 1);
    pair.start_gateways();
    there_and_back(&pair, 1);
    let [first, second] = &relays;
    first.set(Mode::Away);
    there_and_back(&pair, 2);
    assert!(second.carried() > 0);
    first.set(Mode::Honest);
    second.set(Mode::Away);
    let before = first.carried();
    there_and_back(&pair, 3);
    assert!(first.carried() > before);
    assert_eq!(audit(&pair), Ends { delivered: 6, refunded: 0 });
}

mod fallback {
    use super::one_stands_in_for_the_other;

    crate::on_each_engine!(one_stands_in_for_the_other);
}

/// The first that is asked hides what happened; two of three must agree.
fn a_liar_among_three_is_outvoted(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    for (side, _) in pair.sides() {
        let relays = [Mode::Lying, Mode::Honest, Mode::Honest]
            .map(|mode| Relay::before(side.node.address, mode));
        ask(side, &relays, 2);
    }
    pair.start_gateways();
    there_and_back(&pair, 1);
    there_and_back(&pair, 2);
    for (side, _) in pair.sides() {
        let log = side.gateway().log();
        assert!(log.contains("is not what the others say"), "the liar is named: {log}");
    }
    assert_eq!(audit(&pair), Ends { delivered: 4, refunded: 0 });
}

mod quorum {
    use super::a_liar_among_three_is_outvoted;

    crate::on_each_engine!(a_liar_among_three_is_outvoted);
}
