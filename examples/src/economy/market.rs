//! Who has accounts with whom, and who sends what to whom.

use std::collections::BTreeMap;

use distpos_gateway::chain::{
    LocalChain, Submission,
    ledger::{Ledger, address},
};
use distpos_proto::{
    account::{Limits, Window},
    address::{Address, Local},
    chain::ChainId,
    key::SecretKey,
};
use futures_util::future::join_all;

use super::Economy;
use crate::simulation::world::{Chain, Order, amount};

/// Each chain has accounts with its neighbours in a ring, and opens so many more.
const MORE_PARTNERS: usize = 2;
/// Seconds over which windows are counted.
const WINDOW_SECONDS: u64 = 60;
/// What most messages carry at most, and what some do.
const VALUE_MAX: usize = 60;
const HIGH_VALUE_MAX: usize = 400;
/// Seconds that some messages give their delivery: more than the wait for their block, and about
/// what it takes.
const HASTE_SECONDS: std::ops::Range<usize> = 5..20;

impl Economy {
    /// Opens accounts: small ones, so that they run full.
    pub(super) async fn open_accounts(&mut self) {
        let ids = self.ids();
        for (at, one) in ids.iter().enumerate() {
            self.open_pair(*one, ids[(at + 1) % ids.len()]).await;
            for _ in 0..MORE_PARTNERS {
                let other = ids[self.below(ids.len())];
                self.open_pair(*one, other).await;
            }
        }
    }

    async fn open_pair(&mut self, one: ChainId, other: ChainId) {
        if one == other || self.partners.get(&one).is_some_and(|held| held.contains(&other)) {
            return;
        }
        for (here, there) in [(one, other), (other, one)] {
            let credit_limit = amount(100 * self.below(20) as u64);
            let window_max = amount(3_000 + 100 * self.below(30) as u64);
            let window = Window { max: window_max, seconds: WINDOW_SECONDS };
            let window = self.once_in(4).then_some(window);
            self.world.open(here, there, Limits { credit_limit, window }).await;
            // Some are liked more than others: trade is not balanced.
            let liked = 1 + self.below(3);
            self.partners.entry(here).or_default().extend(std::iter::repeat_n(there, liked));
        }
    }

    /// Users of all chains send so many messages, and wait until they have left.
    pub(super) async fn trade(&mut self, count: usize) {
        let mut orders: BTreeMap<(ChainId, usize), (u64, Vec<Order>)> = BTreeMap::new();
        let ids = self.ids();
        for _ in 0..count {
            let from = ids[self.below(ids.len())];
            let user = self.below(self.world.chains[&from].users.len());
            let held = match orders.get(&(from, user)) {
                Some((held, _)) => *held,
                None => purse(&self.world.chains[&from], user),
            };
            let order = self.order(from, held);
            let (purse, orders) = orders.entry((from, user)).or_default();
            *purse = held - order.value;
            orders.push(order);
        }
        let mut submissions = Vec::with_capacity(count);
        for ((from, user), (_, orders)) in orders {
            let chain = &self.world.chains[&from];
            for signed in chain.sign(&chain.users[user], orders).await {
                submissions.push(submit(&chain.ledger, signed));
            }
        }
        join_all(submissions).await;
    }

    /// What a user of a chain might send who holds so much.
    fn order(&mut self, from: ChainId, held: u64) -> Order {
        let at = self.below(self.partners[&from].len());
        let mut to = self.partners[&from][at];
        let (mut high, mut data, mut expires) = (VALUE_MAX, Vec::new(), 0);
        let mut recipient = None;
        match self.below(100) {
            0..5 => recipient = Some(stranger()),
            5 => recipient = Some(nonsense()),
            6..14 => (high, data) = (0, b"hello".to_vec()),
            // To whomever, perhaps without an account: then its value is refused.
            14..18 => {
                let ids = self.ids();
                let whoever = ids[self.below(ids.len())];
                to = if whoever == from { to } else { whoever };
            }
            18..22 => {
                let haste = HASTE_SECONDS.start + self.below(HASTE_SECONDS.len());
                expires = self.world.now().0 + haste as u64;
            }
            22..30 => high = HIGH_VALUE_MAX,
            _ => {}
        }
        let value = match high {
            0 => 0,
            high => (1 + self.below(high) as u64).min(held / 10),
        };
        if value == 0 && data.is_empty() {
            data = b"no money".to_vec();
        }
        let at = self.below(self.world.chains[&to].users.len());
        let user = address::local(&self.world.chains[&to].users[at].public());
        Order { to: Address::new(to, recipient.unwrap_or(user)), value, data, expires }
    }
}

async fn submit(ledger: &Ledger, signed: Vec<u8>) {
    // Nobody sends more than he has, or out of turn.
    ledger.submit(Submission::User(signed)).await.expect("the order is as the ledger wants it");
}

/// What a user holds.
pub(super) fn purse(chain: &Chain, user: usize) -> u64 {
    let local = address::local(&chain.users[user].public());
    let balance = chain.ledger.balance(&local).expect("a ledger in memory answers");
    balance.and_then(|balance| balance.to_u128()).and_then(|sum| sum.try_into().ok()).unwrap_or(0)
}

/// Somebody who has no account anywhere.
fn stranger() -> Local {
    address::local(&SecretKey::from_seed(&[77; 32]).public())
}

/// A recipient that is no address on any ledger.
fn nonsense() -> Local {
    "nobody@nowhere".parse().expect("it is a local part")
}
