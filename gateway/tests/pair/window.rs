//! What may arrive from a chain within a time: reached, and free again with time.

use distpos_gateway::submit::Outcome;

use crate::{
    audit::{Ends, audit},
    contract::Guard,
    engine::Engine,
    world::{ASSET, ETHER, Order, Pair, newcomer},
};

fn a_window_is_reached_and_frees_itself(engine: Engine) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    // Two ether at once, and all of it free again within 40 seconds.
    b.owner_at(&["account", "e2e4", ASSET, "--window-max", "2eth", "--window", "40s"]);
    let first = a.send(&Order::payment(&newcomer("b1c2", 1), 2 * ETHER));
    a.ends(&first, Outcome::Delivered);
    // The next has to wait for what it needs, and more than a window can never pass.
    let second = a.send(&Order::payment(&newcomer("b1c2", 2), ETHER + 1));
    let never = a.send(&Order::payment(&newcomer("b1c2", 3), 2 * ETHER + 1));
    let view = b.message_when(second.id(), |view| view.code.is_some());
    assert_eq!(view.code.as_deref(), Some("4.2.1"), "{view:?}");
    assert_eq!(b.contract().guard(second.id()), Guard::None);
    let view = a.ends(&never, Outcome::Refunded);
    assert_eq!(view.code.as_deref(), Some("5.2.2"), "{view:?}");
    a.ends(&second, Outcome::Delivered);
    assert_eq!(audit(&pair), Ends { delivered: 2, refunded: 1 });
}

crate::on_each_engine!(a_window_is_reached_and_frees_itself);
