//! A message of e2e4 to b1c2 that is kept in one state of the queue, for as long as a story wants.

use std::time::Duration;

use distpos_proto::{chain::ChainId, message::MessageId, wire::RequestKind};
use distpos_spool::{Direction, State};

use super::{
    network::Fate,
    site::Site,
    world::{World, cid},
};

/// What the message carries: one more than its account has room for where it is to wait for room.
pub const VALUE: u64 = 25;

/// A state in which a message can be met, in the order in which it passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its destination is away.
    Queued,
    /// Its destination has it, and gets no proof.
    Accepted,
    /// The same, seen from there.
    Claimed,
    /// Its account has no room.
    Suspended,
    /// Its delivery is on its way to the chain.
    Delivering,
    /// It is for nobody: its void is on its way to the chain.
    Voiding,
    /// It has ended, and its receipt is lost.
    Ended,
    /// The same, refused.
    EndedRefused,
    /// Its end is on its way to the outbox: it was delivered.
    Closing,
    /// It was refused, and is being refunded.
    Refunding,
}

impl Place {
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Accepted,
        Self::Claimed,
        Self::Suspended,
        Self::Delivering,
        Self::Voiding,
        Self::Ended,
        Self::EndedRefused,
        Self::Closing,
        Self::Refunding,
    ];

    /// The queue that holds it, and the state there.
    pub fn state(self) -> (Direction, State) {
        match self {
            Self::Queued => (Direction::Outbound, State::Queued),
            Self::Accepted => (Direction::Outbound, State::Accepted),
            Self::Claimed => (Direction::Inbound, State::Claimed),
            Self::Suspended => (Direction::Inbound, State::Suspended),
            Self::Delivering => (Direction::Inbound, State::Delivering),
            Self::Voiding => (Direction::Inbound, State::Voiding),
            Self::Ended | Self::EndedRefused => (Direction::Inbound, State::Ended),
            Self::Closing => (Direction::Outbound, State::Closing),
            Self::Refunding => (Direction::Outbound, State::Refunding),
        }
    }

    /// Whether it is for nobody, so that it is refused whenever it is judged.
    pub fn is_for_nobody(self) -> bool {
        matches!(self, Self::Voiding | Self::EndedRefused | Self::Refunding)
    }

    /// Whether its chain is what keeps it there: each call of a node takes a while, each way.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Delivering | Self::Voiding | Self::Closing | Self::Refunding)
    }
}

/// The message, where it was met.
pub struct Held {
    pub world: World,
    pub a: Site,
    pub b: Site,
    pub id: MessageId,
}

/// Sends the message and waits until it is there. `node` is how slow nodes are, in milliseconds,
/// where that is what holds it; `expires` in seconds from now, 0 for a day.
pub async fn held(seed: u64, place: Place, node: u64, expires: u64) -> Held {
    let credit = if place == Place::Suspended { VALUE - 1 } else { 5_000 };
    let (world, a, b) = World::pair(seed, credit).await;
    match place {
        Place::Queued => world.network.set_down(b.address, true),
        Place::Accepted | Place::Claimed => lose(&world, RequestKind::Proofs),
        // Nor is it asked for.
        Place::Ended | Place::EndedRefused => {
            world.network.fates(|call| match call.kind {
                RequestKind::Receipts | RequestKind::Status => Fate::RequestLost,
                _ => Fate::Arrives,
            });
        }
        Place::Suspended => {}
        Place::Delivering | Place::Voiding | Place::Closing | Place::Refunding => {
            world.slow_nodes(node);
        }
    }
    let to = if place.is_for_nobody() { world.stranger("b1c2") } else { world.user("b1c2") };
    let expires = if expires == 0 { 0 } else { world.now().0 + expires };
    let id = world.send("e2e4", to, VALUE, expires).await;
    let (direction, state) = place.state();
    let site = if direction == Direction::Outbound { &a } else { &b };
    let limit = Duration::from_secs(60).max(Duration::from_millis(node * 20));
    world.until("met", limit, || site.state(direction, &id) == Some(state)).await;
    Held { world, a, b, id }
}

impl Held {
    /// Takes away what holds it.
    pub async fn release(&self, place: Place) {
        self.world.network.heal();
        self.world.network.set_down(self.world.chains[&cid("b1c2")].address(1), false);
        self.world.slow_nodes(0);
        if place == Place::Suspended {
            self.world.deposit("b1c2", "e2e4", 1).await;
        }
    }
}

/// Every call of a kind is lost.
pub fn lose(world: &World, kind: RequestKind) {
    world.network.fates(move |call| match call.kind {
        found if found == kind => Fate::RequestLost,
        _ => Fate::Arrives,
    });
}

/// The other chain of the pair.
pub fn other(chain: ChainId) -> ChainId {
    if chain == cid("e2e4") { cid("b1c2") } else { cid("e2e4") }
}
