//! An account is used up: value waits in the order in which it was sent, notes pass, and a deposit,
//! traffic the other way or a settlement lets as much go on as it makes room for.

use distpos_gateway::submit::Outcome;
use distpos_proto::message::{Message, MessageId};

use crate::{
    audit::{Ends, audit},
    contract::{Guard, Kind},
    engine::Engine,
    world::{ASSET, ETHER, Order, Pair, Side, newcomer},
};

/// A tenth of an ether.
const TENTH: u128 = ETHER / 10;

fn value_waits_until_there_is_room(engine: Engine) {
    let pair = Pair::prepared(engine, 1);
    let (a, b) = (&pair.a, &pair.b);
    // Two ether may arrive from e2e4 before anything goes back.
    b.owner_at(&["account", "e2e4", ASSET, "--credit-limit", "2eth"]);
    pair.start_gateways();
    let pay = |number, tenths| a.send(&Order::payment(&newcomer("b1c2", number), tenths * TENTH));
    let first = pay(1, 15);
    a.ends(&first, Outcome::Delivered);

    // More than there is room for, and two after it of which the first alone would fit.
    let waiting = [pay(2, 10), pay(3, 4), pay(4, 8)];
    waiting.iter().for_each(|message| waits(b, message));
    let note = a.send(&Order { to: &newcomer("b1c2", 5), value: 0, data: b"a note", gas: 0 });
    a.ends(&note, Outcome::Delivered);

    // Anybody pays one ether into the reserve of e2e4 at b1c2: 1.5 of 3 ether are used, and 1.4 of
    // what waits fits.
    let paid = b.command(&["reserve", "e2e4", "--asset", ASSET, "--amount", "1eth", "--wait"]);
    assert!(paid.status.success(), "{paid:?}");
    a.ends(&waiting[0], Outcome::Delivered);
    a.ends(&waiting[1], Outcome::Delivered);
    waits(b, &waiting[2]);

    // What is delivered over there makes room for as much here…
    let back = b.send(&Order::payment(&newcomer("e2e4", 6), 8 * TENTH));
    b.ends(&back, Outcome::Delivered);
    a.ends(&waiting[2], Outcome::Delivered);
    // …and so does what was paid elsewhere. More than the float and the cover could never pay.
    let last = pay(7, 5);
    waits(b, &last);
    b.owner_at(&["settle", "e2e4", ASSET, "--add", "0.5eth"]);
    a.ends(&last, Outcome::Delivered);

    let sent = [&first, &waiting[0], &waiting[1], &waiting[2], &last].map(Message::id);
    assert_eq!(delivered(b, &sent), sent, "in the order in which they were sent");
    let book = b.contract().book("e2e4", ASSET);
    let tenths = |sum| sum / alloy_primitives::U256::from(TENTH);
    assert_eq!(tenths(book.reserve).to::<u64>(), 15);
    assert_eq!((tenths(book.received).to::<u64>(), tenths(book.sent).to::<u64>()), (42, 8));
    assert_eq!(audit(&pair), Ends { delivered: 7, refunded: 0 });
}

/// A message has come, is proven, and waits for room.
pub(crate) fn waits(side: &Side, message: &Message) {
    let view = side.message_when(message.id(), |view| view.code.as_deref() == Some("4.2.1"));
    assert_eq!(view.state, "suspended", "{view:?}");
    assert_eq!(side.contract().guard(message.id()), Guard::None, "{view:?}");
}

/// The deliveries of these messages, in the order of the chain.
pub(crate) fn delivered(side: &Side, of: &[MessageId]) -> Vec<MessageId> {
    let order = side.contract().events(side.start).order;
    let found = order.into_iter().filter(|(kind, id)| *kind == Kind::Delivered && of.contains(id));
    found.map(|(_, id)| id).collect()
}

crate::on_each_engine!(value_waits_until_there_is_room);
