//! The rules of a lane one by one, then a node that does everything a node may do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CAP: u128 = 1_000;
const CLOCK: UnixMillis = UnixMillis(7);
const BUMP: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(10);

fn rules() -> Rules {
    Rules { fee_max: CAP, fee_bump_after: BUMP, flights_max: FLIGHTS_MAX }
}

fn lane() -> Lane {
    Lane::new(Address::repeat_byte(1), rules())
}

fn order(number: u8) -> Order {
    Order {
        to: Some(Address::repeat_byte(2)),
        value: U256::ZERO,
        input: vec![number],
        gas_limit: 9,
    }
}

fn signed(lane: &mut Lane, nonce: u64, fees: Fees) {
    let order = lane.order(nonce).unwrap();
    let mut raw = nonce.to_be_bytes().to_vec();
    raw.extend(fees.max.to_be_bytes());
    raw.extend(fees.tip.to_be_bytes());
    raw.extend(&order.input);
    let hash = alloy_primitives::keccak256(&raw).0;
    lane.signed(nonce, Signed { raw, hash, fees });
}

fn calm() -> Market {
    Market::with_base(10, 1)
}

fn said(latest: u64, pending: u64, known: &[u64], head: u64, market: Market) -> Said {
    let known = known.iter().copied().collect();
    Said { latest, mined: BTreeSet::new(), pool: Some(Pool { pending, known, head, market }) }
}

/// A lane that has handed over so many transactions from number 5 on, and when.
fn flying(count: u8) -> (Lane, Instant) {
    let (mut lane, now) = (lane(), Instant::now());
    for number in 0..count {
        lane.want(order(number));
    }
    for step in lane.plan(&said(5, 5, &[], 1, calm()), now, CLOCK) {
        let Step::Sign { nonce, fees, why: Why::New, legacy: false } = step else {
            panic!("{step:?}")
        };
        signed(&mut lane, nonce, fees);
        lane.handed_over(nonce, now, 1);
    }
    (lane, now)
}

fn replaced(steps: &[Step]) -> Vec<u64> {
    let of = |step: &Step| match step {
        Step::Sign { nonce, why: Why::Replace, .. } => Some(*nonce),
        _ => None,
    };
    steps.iter().filter_map(of).collect()
}

#[test]
fn numbers_go_on_from_what_the_chain_the_pool_and_the_lane_have() {
    let (mut lane, now) = flying(2);
    lane.want(order(9));
    // Number 7 is in the pool and none of ours.
    let steps = lane.plan(&said(5, 8, &[5, 6], 1, calm()), now, CLOCK);
    let fees = Fees { max: 21, tip: 1 };
    assert_eq!(steps, [Step::Sign { nonce: 8, fees, legacy: false, why: Why::New }]);
}

#[test]
fn a_full_lane_lets_wait_and_a_waiting_order_can_be_withdrawn() {
    let (mut lane, now) = flying(16);
    let ticket = lane.want(order(99));
    assert_eq!(lane.plan(&said(5, 21, &[], 1, calm()), now, CLOCK).len(), 16, "none is new");
    assert_eq!(lane.load(), 17);
    lane.withdraw(|wanted| wanted != ticket);
    assert_eq!(lane.load(), 16);
    assert_eq!(lane.find(order(3).to, U256::ZERO, &[3]), Some(4), "what flies is found");
    assert_eq!(lane.find(order(3).to, U256::ZERO, &[99]), None);
}

#[test]
fn a_refused_number_is_given_to_the_next() {
    let (mut lane, now) = flying(2);
    assert_eq!(lane.refused(5, Some(Why::New), now, 1), Refusal::Freed { ticket: 1, tell: false });
    lane.want(order(9));
    let steps = lane.plan(&said(5, 5, &[6], 1, calm()), now, CLOCK);
    assert!(matches!(steps[..], [Step::Sign { nonce: 5, why: Why::New, .. }]), "{steps:?}");
}

#[test]
fn a_gap_that_stays_is_filled_and_one_that_closes_by_itself_is_not() {
    let (mut lane, now) = flying(3);
    lane.refused(5, Some(Why::New), now, 1);
    let gap = said(5, 5, &[6, 7], 1, calm());
    assert_eq!(lane.plan(&gap, now, CLOCK), []);
    let closed = said(5, 8, &[6, 7], 1, calm());
    assert_eq!(lane.plan(&closed, now + PATIENCE, CLOCK), []);
    assert_eq!(lane.plan(&gap, now + PATIENCE, CLOCK), []);
    let steps = lane.plan(&gap, now + PATIENCE * 2, CLOCK);
    assert!(matches!(steps[..], [Step::Sign { nonce: 5, why: Why::Fill, .. }]), "{steps:?}");
    let filler = lane.order(5).unwrap();
    assert_eq!((filler.to, filler.value), (Some(lane.account), U256::ZERO));
}

#[test]
fn what_waits_too_long_is_replaced_once_blocks_pass_it_over() {
    let (mut lane, now) = flying(3);
    let known = [5, 6, 7];
    let later = now + BUMP;
    let early = lane.plan(&said(5, 8, &known, 2, calm()), now + BUMP / 2, CLOCK);
    assert_eq!(early, []);
    let stalled = lane.plan(&said(5, 8, &known, 1, calm()), later, CLOCK);
    assert_eq!(stalled, [], "a chain that stands still");
    let steps = lane.plan(&said(5, 8, &known, 2, calm()), later, CLOCK);
    assert_eq!(replaced(&steps), [5], "the others wait for it");
    let dear = Market::with_base(50, 1);
    let steps = lane.plan(&said(5, 8, &known, 2, dear), later, CLOCK);
    assert_eq!(replaced(&steps), [5, 6, 7], "no block would take any");
    let Step::Sign { fees, .. } = steps[0] else { panic!() };
    assert_eq!(fees, Fees { max: 101, tip: 2 });
}

#[test]
fn at_the_cap_it_waits_with_one_alert() {
    let (mut lane, now) = flying(1);
    signed(&mut lane, 5, Fees { max: 900, tip: 3 });
    lane.handed_over(5, now, 1);
    let dear = Market::with_base(5_000, 1);
    let steps = lane.plan(&said(5, 6, &[5], 2, dear), now + BUMP, CLOCK);
    assert!(matches!(&steps[..], [Step::Alert(what)] if what.contains("fee_max")), "{steps:?}");
    assert_eq!(lane.plan(&said(5, 6, &[5], 3, dear), now + BUMP * 2, CLOCK), []);
}

#[test]
fn a_replacement_that_the_node_refuses_leaves_what_was_there() {
    let (mut lane, now) = flying(1);
    let before = lane.row(5).unwrap();
    signed(&mut lane, 5, Fees { max: 24, tip: 2 });
    assert_eq!(lane.refused(5, Some(Why::Replace), now, 2), Refusal::Dropped { tell: true });
    assert_eq!(lane.row(5).unwrap(), before);
    // The next one comes in its time, and rises faster: what node asks for how much is unknown.
    assert_eq!(lane.plan(&said(5, 6, &[5], 9, calm()), now + BUMP / 2, CLOCK), []);
    let steps = lane.plan(&said(5, 6, &[5], 9, calm()), now + BUMP, CLOCK);
    assert_eq!(replaced(&steps), [5]);
}

#[test]
fn what_the_node_forgot_it_gets_again_and_what_was_not_stored_is_never_given() {
    let (mut lane, now) = flying(2);
    let steps = lane.plan(&said(5, 5, &[6], 1, calm()), now, CLOCK);
    assert_eq!(steps, [Step::Broadcast { nonce: 5 }]);
    assert_eq!(lane.unstored(5, now), Some(1));
    let steps = lane.plan(&said(5, 5, &[6], 1, calm()), now, CLOCK);
    assert_eq!(steps, []);
    assert_eq!(lane.row(5), None);
}

#[test]
fn a_number_that_somebody_else_spent_is_given_up_once_that_is_sure() {
    let (mut lane, now) = flying(2);
    let mut heard = said(7, 7, &[], 2, calm());
    heard.mined.insert(6);
    let mined = Step::Forget { nonce: 6, ticket: 2, end: End::Mined };
    assert_eq!(lane.plan(&heard, now, CLOCK), [mined]);
    // A node whose receipts come later than its counts.
    assert_eq!(lane.plan(&heard, now + PATIENCE / 2, CLOCK), []);
    let taken = Step::Forget { nonce: 5, ticket: 1, end: End::Taken };
    assert_eq!(lane.plan(&heard, now + PATIENCE, CLOCK), [taken]);
    assert!(lane.is_idle());
}

#[test]
fn a_lower_count_is_believed_when_it_stays() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.plan(&said(9, 9, &[], 1, calm()), now, CLOCK);
    lane.want(order(1));
    let steps = lane.plan(&said(7, 7, &[], 1, calm()), now, CLOCK);
    assert!(matches!(steps[..], [Step::Sign { nonce: 9, .. }]), "a node behind: {steps:?}");
    signed(&mut lane, 9, Fees { max: 21, tip: 1 });
    let later = now + PATIENCE;
    lane.plan(&said(7, 7, &[9], 1, calm()), later, CLOCK);
    let steps = lane.plan(&said(7, 7, &[9], 1, calm()), later + PATIENCE, CLOCK);
    let filled = steps.iter().filter(|step| matches!(step, Step::Sign { why: Why::Fill, .. }));
    assert_eq!(filled.count(), 2, "a reorganisation: {steps:?}");
}

/// What may happen to a node and its chain.
#[derive(Debug, Clone)]
enum Happens {
    Want,
    Mine,
    Base(u128),
    Drop(u8),
    Restart,
    Reorganise(u8),
    Foreign,
    /// The next bytes are refused, their answer is lost on the way there or back.
    Refuse,
    LoseThere,
    LoseBack,
    /// The next row does not reach the disk.
    Full,
    /// The gateway dies; before the next hand-over, after it was stored.
    Crash,
    CrashStored,
    Wait(u8),
}

/// A chain with a pool, and a gateway with a disk.
struct World {
    lane: Lane,
    now: Instant,
    rows: BTreeMap<u64, SignedTransaction>,
    spent: u64,
    pool: BTreeMap<u64, (Vec<u8>, Fees)>,
    blocks: BTreeMap<u64, Vec<u8>>,
    head: u64,
    base: u128,
    wanted: u8,
    next: Option<Happens>,
}

impl World {
    fn new() -> Self {
        Self {
            lane: lane(),
            now: Instant::now(),
            rows: BTreeMap::new(),
            spent: 0,
            pool: BTreeMap::new(),
            blocks: BTreeMap::new(),
            head: 1,
            base: 10,
            wanted: 0,
            next: None,
        }
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Happens::Want if self.wanted < 200 => {
                self.wanted += 1;
                self.lane.want(order(self.wanted));
            }
            Happens::Want => {}
            Happens::Mine => self.mine(),
            Happens::Base(base) => self.base = base,
            Happens::Drop(nth) => {
                let at = self.pool.keys().nth(nth.into()).copied();
                at.map(|nonce| self.pool.remove(&nonce));
            }
            Happens::Restart => self.pool.clear(),
            Happens::Reorganise(depth) => {
                self.spent = self.spent.saturating_sub(depth.into());
                self.blocks.split_off(&self.spent);
            }
            Happens::Foreign => {
                self.pool.remove(&self.spent);
                self.blocks.insert(self.spent, b"foreign".to_vec());
                self.spent += 1;
            }
            Happens::Wait(seconds) => self.now += Duration::from_secs(seconds.into()),
            once => self.next = Some(once),
        }
        self.tick();
        self.check();
    }

    fn mine(&mut self) {
        self.head += 1;
        while let Some((raw, fees)) = self.pool.get(&self.spent)
            && fees.max >= self.base
        {
            self.blocks.insert(self.spent, raw.clone());
            self.pool.remove(&self.spent);
            self.spent += 1;
        }
    }

    fn crash(&mut self) {
        self.lane = lane();
        for (nonce, row) in &self.rows {
            self.lane.take_up(*nonce, row.clone());
        }
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(250);
        let has = |hashes: &[[u8; 32]], raw: &Vec<u8>| {
            hashes.contains(&alloy_primitives::keccak256(raw).0)
        };
        let below = self.lane.below(self.spent);
        let mined = below.iter().filter(|(nonce, hashes)| has(hashes, &self.blocks[nonce]));
        let mined = mined.map(|(nonce, _)| *nonce).collect();
        let from = self.lane.from(self.spent);
        let known = from.iter().filter(|(nonce, hashes)| {
            self.pool.get(nonce).is_some_and(|(raw, _)| has(hashes, raw))
        });
        let known = known.map(|(nonce, _)| *nonce).collect();
        let pending = (self.spent..).find(|nonce| !self.pool.contains_key(nonce)).unwrap();
        let market = Market::with_base(self.base, 1);
        let pool = Pool { pending, known, head: self.head, market };
        let pool = self.lane.looks(self.now).then_some(pool);
        let said = Said { latest: self.spent, mined, pool };
        for step in self.lane.plan(&said, self.now, CLOCK) {
            if !self.perform(step) {
                return self.crash();
            }
        }
    }

    /// Whether the gateway is still alive.
    fn perform(&mut self, step: Step) -> bool {
        let (nonce, why) = match step {
            Step::Forget { nonce, .. } => {
                self.rows.remove(&nonce);
                return true;
            }
            Step::Alert(_) => return true,
            Step::Sign { nonce, fees, why, .. } => {
                if matches!(self.next, Some(Happens::Crash)) {
                    self.next = None;
                    return false;
                }
                signed(&mut self.lane, nonce, fees);
                if matches!(self.next, Some(Happens::Full)) {
                    self.next = None;
                    self.lane.unstored(nonce, self.now);
                    return true;
                }
                self.rows.insert(nonce, self.lane.row(nonce).unwrap());
                (nonce, Some(why))
            }
            Step::Broadcast { nonce } => (nonce, None),
        };
        let newest = self.lane.newest(nonce).unwrap().clone();
        let stored = self.rows[&nonce].attempts.iter().any(|attempt| attempt.raw == newest.raw);
        assert!(stored, "handed over and not stored");
        let next = self.next.take();
        if matches!(next, Some(Happens::CrashStored)) {
            return false;
        }
        let too_low = nonce < self.spent;
        let underpriced = self.pool.get(&nonce).is_some_and(|(raw, fees)| {
            *raw != newest.raw && newest.fees.max < fees.max + fees.max / 10
        });
        if matches!(next, Some(Happens::Refuse)) || too_low || underpriced {
            match self.lane.refused(nonce, why, self.now, self.head) {
                Refusal::Freed { .. } => drop(self.rows.remove(&nonce)),
                Refusal::Dropped { .. } => {
                    self.rows.insert(nonce, self.lane.row(nonce).unwrap());
                }
                Refusal::Kept { .. } => {}
            }
            return true;
        }
        if !matches!(next, Some(Happens::LoseThere)) {
            self.pool.insert(nonce, (newest.raw, newest.fees));
        }
        self.lane.handed_over(nonce, self.now, self.head);
        true
    }

    fn check(&self) {
        let mut actions = BTreeSet::new();
        for (nonce, flight) in &self.lane.flights {
            let filler = flight.order.input.is_empty();
            assert!(filler || actions.insert(&flight.order.input), "two numbers, one action");
            assert!(flight.attempts.iter().all(|signed| signed.fees.max <= CAP), "above the cap");
            for two in flight.attempts.windows(2) {
                let (old, new) = (two[0].fees, two[1].fees);
                assert!(new.max >= old.max + old.max.div_ceil(8), "{nonce}: {old:?} {new:?}");
                assert!(new.tip > old.tip && new.tip >= old.tip + old.tip.div_ceil(8));
            }
            assert!(flight.attempts.is_empty() || self.rows.contains_key(nonce), "not stored");
        }
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => Just(Happens::Want),
        4 => Just(Happens::Mine),
        1 => (0u128..2_000).prop_map(Happens::Base),
        1 => (0u8..16).prop_map(Happens::Drop),
        1 => Just(Happens::Restart),
        1 => (1u8..4).prop_map(Happens::Reorganise),
        1 => Just(Happens::Foreign),
        2 => Just(Happens::Refuse),
        1 => Just(Happens::LoseThere),
        1 => Just(Happens::LoseBack),
        1 => Just(Happens::Full),
        1 => Just(Happens::Crash),
        1 => Just(Happens::CrashStored),
        4 => (1u8..60).prop_map(Happens::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No action with two numbers, no fee above the cap, every replacement one, nothing handed over
    /// that is not stored; and when the node behaves again, everything comes to its end: no gap and
    /// no row is left.
    #[test]
    fn whatever_the_node_does_a_lane_keeps_its_promises(
        story in prop::collection::vec(happens(), 1..120),
    ) {
        let mut world = World::new();
        for what in story {
            world.happens(what);
        }
        (world.next, world.base) = (None, 10);
        for _ in 0..400 {
            world.happens(Happens::Mine);
            world.happens(Happens::Wait(1));
            if world.lane.is_idle() && world.rows.is_empty() {
                break;
            }
        }
        prop_assert!(world.lane.is_idle(), "{:?}", world.lane);
        prop_assert!(world.rows.is_empty(), "rows are left: {:?}", world.rows.keys());
        prop_assert!(world.pool.is_empty(), "stuck behind a gap: {:?}", world.pool.keys());
    }
}
