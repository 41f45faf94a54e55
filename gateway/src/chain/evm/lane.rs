//! The decisions of a lane: one sending account, its numbers, and what it has in flight. No I/O
//! and no clock: what the node said and the time come in, steps go out.
//!
//! ```text
//! want --> waiting --> flight: signed, stored, handed over --> mined | taken | refused
//!                         ^ handed over again, replaced, a gap before it filled
//! ```
//!
//! An action has one number until that number is spent or free again, so that the chain never sees
//! it twice with two numbers. A number is free again only if the node refused the first bytes that
//! were ever signed for it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use alloy_primitives::{Address, U256};
use distpos_proto::{amount::Amount, time::UnixMillis};
use distpos_spool::{ATTEMPTS_MAX, Attempt, SignedTransaction};
use tokio::time::Instant;

use super::fees::{Fees, Market};

#[cfg(test)]
mod tests;

/// Most transactions of one account in flight: so many a node holds for any account.
pub(super) const FLIGHTS_MAX: usize = 16;
/// The same for a user, who is there to see it if the node's pool has no room for so many.
pub(super) const USER_FLIGHTS_MAX: usize = 64;
/// Most gaps filled at a time, beside these: a full lane whose lowest number is a gap must move.
const FILLERS_MAX: usize = 16;
/// Gas of a payment to oneself; chains that charge for their data ask for more than 21,000.
const FILL_GAS: u64 = 100_000;
/// How often the node's pool and its fees are looked at while something is in flight; sooner if a
/// replacement is due sooner.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Names an action from the moment it is wanted.
pub(super) type Ticket = u64;

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// The contract or account; none to make a contract.
    pub(super) to: Option<Address>,
    pub(super) value: U256,
    pub(super) input: Vec<u8>,
    pub(super) gas_limit: u64,
}

/// What the operator allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Most that is ever offered per gas, in wei.
    pub(super) fee_max: u128,
    /// How long a transaction waits for a block before it offers more.
    pub(super) fee_bump_after: Duration,
    /// Most transactions in flight.
    pub(super) flights_max: usize,
}

impl Rules {
    /// How long the node must say something unlikely (a number spent by nobody, a lower count, a
    /// gap) before it is acted on: nodes that follow each other differ for a moment.
    fn patience(&self) -> Duration {
        self.fee_bump_after / 4
    }

    fn look_every(&self) -> Duration {
        self.patience().min(LOOK_EVERY)
    }
}

/// One signed form of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) raw: Vec<u8>,
    pub(super) hash: [u8; 32],
    pub(super) fees: Fees,
}

/// What the node said of the account.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Its transactions in blocks.
    pub(super) latest: u64,
    /// Numbers of [`Lane::below`] for which it has the receipt of one of ours.
    pub(super) mined: BTreeSet<u64>,
    /// The rest, if [`Lane::looks`] asked for it.
    pub(super) pool: Option<Pool>,
}

/// What the node said of what is in no block yet.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// The account's transactions in blocks and, without a gap, in the pool.
    pub(super) pending: u64,
    /// Numbers in flight of which the node has one of our transactions.
    pub(super) known: BTreeSet<u64>,
    /// The newest block's height.
    pub(super) head: u64,
    /// What blocks ask.
    pub(super) market: Market,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Sign this number's order with these fees, store it, then hand it over.
    Sign { nonce: u64, fees: Fees, legacy: bool, why: Why },
    /// Hand the newest bytes of this number over again.
    Broadcast { nonce: u64 },
    /// The number is spent: forget the row, and tell whoever waits for the ticket.
    Forget { nonce: u64, ticket: Ticket, end: End },
    /// Tell the operator.
    Alert(String),
}

/// Why a transaction is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    New,
    Replace,
    Fill,
}

/// How a number was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By one of our transactions.
    Mined,
    /// By somebody else with the same key.
    Taken,
}

/// What a refusal by the node left, and whether the operator should be told: once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The number is free again, the action was never done: its row goes.
    Freed { ticket: Ticket, tell: bool },
    /// The replacement is gone, what was there before stays: the row is written again.
    Dropped { tell: bool },
    /// It stays and is handed over again.
    Kept { tell: bool },
}

/// When the newest bytes of a flight went out first.
#[derive(Debug, Clone, Copy)]
struct Handed {
    at: Instant,
    head: u64,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    order: Order,
    created: UnixMillis,
    /// Rising fees, the newest last.
    attempts: Vec<Signed>,
    /// How often it was signed, with what was refused.
    tries: usize,
    /// None until the newest attempt was handed over.
    handed: Option<Handed>,
    taken_since: Option<Instant>,
    /// The operator knows that it is stuck.
    told: bool,
}

/// One sending account.
#[derive(Debug)]
pub(super) struct Lane {
    account: Address,
    rules: Rules,
    flights: BTreeMap<u64, Flight>,
    waiting: VecDeque<(Ticket, Order)>,
    next_ticket: Ticket,
    /// The highest count of spent numbers that is believed, and when it was last seen.
    spent: u64,
    spent_at: Option<Instant>,
    gap_since: Option<Instant>,
    /// The operator knows that the gap cannot be filled.
    gap_told: bool,
    looked: Option<Instant>,
}

impl Lane {
    pub(super) fn new(account: Address, rules: Rules) -> Self {
        Self {
            account,
            rules,
            flights: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_ticket: 0,
            spent: 0,
            spent_at: None,
            gap_since: None,
            gap_told: false,
            looked: None,
        }
    }

    /// Takes up what an earlier run stored. Whether the node ever had it is unknown.
    pub(super) fn take_up(&mut self, nonce: u64, row: SignedTransaction) {
        let order = Order {
            to: row.to.map(Address::from),
            value: U256::from_be_bytes(row.value.to_word()),
            input: row.input,
            gas_limit: row.gas_limit,
        };
        let signed = |attempt: Attempt| Signed {
            hash: alloy_primitives::keccak256(&attempt.raw).0,
            raw: attempt.raw,
            fees: Fees { max: attempt.fee_max, tip: attempt.tip },
        };
        let attempts: Vec<Signed> = row.attempts.into_iter().map(signed).collect();
        let ticket = self.ticket();
        let flight =
            Flight { tries: attempts.len(), attempts, ..Flight::new(ticket, order, row.created) };
        self.flights.insert(nonce, flight);
    }

    /// Takes an action to be sent.
    pub(super) fn want(&mut self, order: Order) -> Ticket {
        let ticket = self.ticket();
        self.waiting.push_back((ticket, order));
        ticket
    }

    /// Lets go of what nobody waits for any more, if it has no number yet.
    pub(super) fn withdraw(&mut self, is_wanted: impl Fn(Ticket) -> bool) {
        self.waiting.retain(|(ticket, _)| is_wanted(*ticket));
    }

    /// The ticket of this very action, if it waits or is in flight.
    pub(super) fn find(&self, to: Option<Address>, value: U256, input: &[u8]) -> Option<Ticket> {
        let same = |order: &Order| order.to == to && order.value == value && order.input == input;
        let flying = self.flights.values().map(|flight| (flight.ticket, &flight.order));
        let waiting = self.waiting.iter().map(|(ticket, order)| (*ticket, order));
        flying.chain(waiting).find(|(_, order)| same(order)).map(|(ticket, _)| ticket)
    }

    /// How much it has to do.
    pub(super) fn load(&self) -> usize {
        self.flights.len() + self.waiting.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.load() == 0
    }

    /// Whether the node's pool has to be asked for the next [`Lane::plan`].
    pub(super) fn looks(&self, now: Instant) -> bool {
        let has_room = !self.waiting.is_empty() && self.flights.len() < self.rules.flights_max;
        let is_due = |looked| now.duration_since(looked) >= self.rules.look_every();
        has_room || self.looked.is_none_or(is_due)
    }

    /// The numbers in flight below `latest`, each with the hashes of its attempts, newest first.
    pub(super) fn below(&self, latest: u64) -> Vec<(u64, Vec<[u8; 32]>)> {
        self.flights.range(..latest).map(|(nonce, flight)| (*nonce, flight.hashes())).collect()
    }

    /// The others.
    pub(super) fn from(&self, latest: u64) -> Vec<(u64, Vec<[u8; 32]>)> {
        self.flights.range(latest..).map(|(nonce, flight)| (*nonce, flight.hashes())).collect()
    }

    /// The order of a number in flight.
    pub(super) fn order(&self, nonce: u64) -> Option<&Order> {
        self.flights.get(&nonce).map(|flight| &flight.order)
    }

    /// The newest bytes of a number in flight.
    pub(super) fn newest(&self, nonce: u64) -> Option<&Signed> {
        self.flights.get(&nonce)?.attempts.last()
    }

    /// The row of a number in flight.
    pub(super) fn row(&self, nonce: u64) -> Option<SignedTransaction> {
        self.flights.get(&nonce).map(Flight::row)
    }

    /// What to do, in this order, now that the node has said that.
    pub(super) fn plan(&mut self, said: &Said, now: Instant, clock: UnixMillis) -> Vec<Step> {
        let mut steps = Vec::new();
        let spent = self.believed(said.latest, now);
        self.settle(said, now, &mut steps);
        if let Some(pool) = &said.pool {
            self.looked = Some(now);
            let first = spent.max(pool.pending);
            self.assign(first, &pool.market, clock, &mut steps);
            self.fill(first, &pool.market, (now, clock), &mut steps);
            self.repeat(said.latest, pool, now, &mut steps);
            self.replace(said.latest, pool, now, &mut steps);
        }
        steps
    }

    /// How many numbers are spent. A lower count than before is a node that lags behind, or a
    /// reorganisation if it stays.
    fn believed(&mut self, latest: u64, now: Instant) -> u64 {
        let stays = |at: Instant| now.duration_since(at) >= self.rules.patience();
        if latest >= self.spent || self.spent_at.is_none_or(stays) {
            (self.spent, self.spent_at) = (latest, Some(now));
        }
        self.spent
    }

    /// Numbers that blocks hold are done with.
    fn settle(&mut self, said: &Said, now: Instant, steps: &mut Vec<Step>) {
        let patience = self.rules.patience();
        for (nonce, flight) in &mut self.flights {
            let (nonce, ticket) = (*nonce, flight.ticket);
            if nonce >= said.latest {
                flight.taken_since = None;
            } else if said.mined.contains(&nonce) {
                steps.push(Step::Forget { nonce, ticket, end: End::Mined });
            } else {
                let since = *flight.taken_since.get_or_insert(now);
                if now.duration_since(since) >= patience {
                    steps.push(Step::Forget { nonce, ticket, end: End::Taken });
                }
            }
        }
        for step in &*steps {
            if let Step::Forget { nonce, .. } = step {
                self.flights.remove(nonce);
            }
        }
    }

    /// Gives numbers to what waits: the lowest that is neither spent nor in flight.
    fn assign(&mut self, first: u64, market: &Market, clock: UnixMillis, steps: &mut Vec<Step>) {
        let mut nonce = first;
        while self.flights.len() < self.rules.flights_max
            && let Some((ticket, order)) = self.waiting.pop_front()
        {
            while self.flights.contains_key(&nonce) {
                nonce += 1;
            }
            self.depart(nonce, Flight::new(ticket, order, clock), market, Why::New, steps);
        }
    }

    /// A number that nothing has, below one in flight, holds up all that come after it.
    fn fill(
        &mut self,
        first: u64,
        market: &Market,
        (now, clock): (Instant, UnixMillis),
        steps: &mut Vec<Step>,
    ) {
        let top = self.flights.keys().next_back().copied().unwrap_or(first);
        let gaps = (first..top).filter(|nonce| !self.flights.contains_key(nonce));
        let gaps: Vec<u64> = gaps.take(FILLERS_MAX).collect();
        if gaps.is_empty() {
            (self.gap_since, self.gap_told) = (None, false);
            return;
        }
        let since = *self.gap_since.get_or_insert(now);
        if now.duration_since(since) < self.rules.patience() {
            return;
        }
        for nonce in gaps {
            if self.flights.len() >= self.rules.flights_max + FILLERS_MAX {
                break;
            }
            let order = Order {
                to: Some(self.account),
                value: U256::ZERO,
                input: Vec::new(),
                gas_limit: FILL_GAS,
            };
            let ticket = self.ticket();
            self.depart(nonce, Flight::new(ticket, order, clock), market, Why::Fill, steps);
        }
        self.gap_since = None;
    }

    fn depart(
        &mut self,
        nonce: u64,
        flight: Flight,
        market: &Market,
        why: Why,
        steps: &mut Vec<Step>,
    ) {
        self.flights.insert(nonce, flight);
        let (fees, legacy) = (market.offer(self.rules.fee_max), market.legacy);
        steps.push(Step::Sign { nonce, fees, legacy, why });
    }

    /// What the node does not have (any more) it is given again, the same bytes.
    fn repeat(&mut self, latest: u64, pool: &Pool, now: Instant, steps: &mut Vec<Step>) {
        for (nonce, flight) in self.flights.range_mut(latest..) {
            // Taken up, and the node has it: its time to wait begins now.
            if pool.known.contains(nonce) && !flight.attempts.is_empty() {
                flight.handed.get_or_insert(Handed { at: now, head: pool.head });
            }
        }
        let unknown = self
            .flights
            .range(latest..)
            .filter(|(nonce, flight)| !flight.attempts.is_empty() && !pool.known.contains(nonce));
        steps.extend(unknown.map(|(nonce, _)| Step::Broadcast { nonce: *nonce }));
    }

    /// What waited too long offers more: the lowest number, for it holds up the others, and
    /// whatever no block would take now. Only if blocks were made meanwhile: a chain that stands
    /// still does not go on for money.
    fn replace(&mut self, latest: u64, pool: &Pool, now: Instant, steps: &mut Vec<Step>) {
        let (account, rules) = (self.account, self.rules);
        let mut is_lowest = true;
        for (nonce, flight) in self.flights.range_mut(latest..) {
            let first = std::mem::take(&mut is_lowest);
            let (Some(handed), Some(newest)) = (flight.handed, flight.attempts.last()) else {
                continue;
            };
            let waited = now.duration_since(handed.at) >= rules.fee_bump_after;
            let passed_over = pool.head > handed.head;
            if !(waited && passed_over && (first || newest.fees.max < pool.market.least)) {
                continue;
            }
            let cap = rules.fee_max.min(pool.market.replacement_max());
            let more = pool.market.replacement(newest.fees, flight.tries, cap);
            let legacy = pool.market.legacy;
            match more.filter(|_| flight.attempts.len() < ATTEMPTS_MAX) {
                Some(fees) => {
                    steps.push(Step::Sign { nonce: *nonce, fees, legacy, why: Why::Replace });
                }
                None if !flight.told => {
                    flight.told = true;
                    let why = if cap < rules.fee_max {
                        "far more than that: it is not the price that keeps it out"
                    } else {
                        "as much as fee_max allows"
                    };
                    steps.push(Step::Alert(format!(
                        "transaction {nonce} of {account} is in no block; blocks ask {} wei per \
                         gas, and it offers {}, {why}: it waits",
                        pool.market.least, newest.fees.max
                    )));
                }
                None => {}
            }
        }
    }

    /// The order of a number was signed.
    pub(super) fn signed(&mut self, nonce: u64, signed: Signed) {
        if let Some(flight) = self.flights.get_mut(&nonce) {
            flight.attempts.push(signed);
            flight.tries += 1;
            flight.handed = None;
        }
    }

    /// The newest attempt could not be stored, so it will not be handed over. Gives the ticket of an
    /// action that has no attempt left: it was not done.
    pub(super) fn unstored(&mut self, nonce: u64, now: Instant) -> Option<Ticket> {
        let flight = self.flights.get_mut(&nonce)?;
        flight.attempts.pop();
        flight.handed = Some(Handed { at: now, head: 0 });
        if flight.attempts.is_empty() {
            return self.flights.remove(&nonce).map(|flight| flight.ticket);
        }
        None
    }

    /// The node has the newest attempt, or may have it: its answer was lost.
    pub(super) fn handed_over(&mut self, nonce: u64, now: Instant, head: u64) {
        if let Some(flight) = self.flights.get_mut(&nonce) {
            flight.handed.get_or_insert(Handed { at: now, head });
        }
    }

    /// The node refuses the newest attempt, and does not have it; `why` it was signed, none if it
    /// was handed over again.
    pub(super) fn refused(
        &mut self,
        nonce: u64,
        why: Option<Why>,
        now: Instant,
        head: u64,
    ) -> Refusal {
        let Some(flight) = self.flights.get_mut(&nonce) else {
            return Refusal::Kept { tell: false };
        };
        // Whatever comes next has its own time to wait.
        flight.handed.get_or_insert(Handed { at: now, head });
        match why {
            Some(Why::New) => {
                let ticket = flight.ticket;
                self.flights.remove(&nonce);
                Refusal::Freed { ticket, tell: false }
            }
            Some(Why::Fill) => {
                let ticket = flight.ticket;
                self.flights.remove(&nonce);
                Refusal::Freed { ticket, tell: !std::mem::replace(&mut self.gap_told, true) }
            }
            // What stays is what the node may have: the next attempt rises from its fees.
            Some(Why::Replace) => {
                flight.attempts.pop();
                Refusal::Dropped { tell: !std::mem::replace(&mut flight.told, true) }
            }
            None => Refusal::Kept { tell: !std::mem::replace(&mut flight.told, true) },
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }
}

impl Flight {
    fn new(ticket: Ticket, order: Order, created: UnixMillis) -> Self {
        Self {
            ticket,
            order,
            created,
            attempts: Vec::new(),
            tries: 0,
            handed: None,
            taken_since: None,
            told: false,
        }
    }

    fn hashes(&self) -> Vec<[u8; 32]> {
        self.attempts.iter().rev().map(|signed| signed.hash).collect()
    }

    fn row(&self) -> SignedTransaction {
        let attempt = |signed: &Signed| Attempt {
            raw: signed.raw.clone(),
            fee_max: signed.fees.max,
            tip: signed.fees.tip,
        };
        SignedTransaction {
            created: self.created,
            gas_limit: self.order.gas_limit,
            to: self.order.to.map(|to| to.0.0),
            value: Amount::from_word(self.order.value.to_be_bytes()),
            input: self.order.input.clone(),
            attempts: self.attempts.iter().map(attempt).collect(),
        }
    }
}
