//! Random histories: whatever is submitted, money is neither made nor lost, no account takes what is
//! another's, and replay changes nothing.

use std::collections::BTreeMap;

use distpos_proto::{
    account::{self, Account, Change, Limits, Window},
    amount::Amount,
    chain::ChainId,
    message::{Asset, Fields, Message},
    receipt::EndingKind,
};
use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::chain::{
    ChainEvent, FinalBlock, LocalChain, Submission,
    ledger::transaction::{self, Action},
};

#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Transfer(u8, u8, u64),
    Send(u8, u64, usize),
    Deliver(u64, u8, u64, usize),
    Void(u64, u8, u64, usize),
    End(usize, bool),
    Set(usize, bool, u64, Option<(u64, u64)>),
    Deposit(u8, u64, usize),
    Settle(usize, bool, u64, Option<u8>),
    Time(u64),
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 1u8..5;
    let peer = || 0usize..2;
    let window = || prop::option::weighted(0.3, (0u64..500, 1u64..3_000));
    prop_oneof![
        person().prop_map(Step::Open),
        (person(), person(), 0u64..1_200).prop_map(|(a, b, n)| Step::Transfer(a, b, n)),
        (person(), 0u64..800, peer()).prop_map(|(a, n, p)| Step::Send(a, n, p)),
        (1u64..6, person(), 0u64..400, peer()).prop_map(|(s, p, n, q)| Step::Deliver(s, p, n, q)),
        (1u64..6, person(), 0u64..400, peer()).prop_map(|(s, p, n, q)| Step::Void(s, p, n, q)),
        (0usize..6, any::<bool>()).prop_map(|(at, close)| Step::End(at, close)),
        (peer(), prop::bool::weighted(0.8), 0u64..1_000, window())
            .prop_map(|(p, open, n, window)| Step::Set(p, open, n, window)),
        (person(), 0u64..600, peer()).prop_map(|(a, n, p)| Step::Deposit(a, n, p)),
        (peer(), any::<bool>(), 0u64..600, prop::option::of(person()))
            .prop_map(|(p, add, n, to)| Step::Settle(p, add, n, to)),
        (0u64..2_000).prop_map(Step::Time),
        (0usize..20).prop_map(Step::Again),
    ]
}

/// A town with little float, and its two peers.
struct World {
    town: Town,
    peers: [Town; 2],
}

/// What there is of money.
const SUPPLY: u64 = 2_000;

impl World {
    async fn new() -> Self {
        let mut poor = genesis("e2e4");
        poor.float = sum(SUPPLY - 1_500);
        let town = Town::new(poor);
        let peers = ["b1c2", "d0d0"].map(|id| Town::new(genesis(id)));
        for peer in &peers {
            town.register(peer.facts().chain, peer.facts().tag).await.unwrap();
        }
        Self { town, peers }
    }

    fn message(&self, sequence: u64, person: u8, amount: u64, peer: usize) -> Message {
        let fields = incoming(&self.town, &self.peers[peer], amount);
        Message::new(Fields { sequence, recipient: local(person), ..fields }).unwrap()
    }

    /// Takes a step; refusals are as good as anything.
    async fn take(&self, step: &Step) {
        let Self { town, peers } = self;
        match *step {
            Step::Open(person) => {
                let place = town.place(person).await;
                let _ = town.user(transaction::open(place, &key(person))).await;
            }
            Step::Transfer(from, to, amount) => {
                let _ = town.transfer(from, to, amount).await;
            }
            Step::Send(from, amount, peer) => {
                let mut order = order(&format!("{}xsomebody", peers[peer].facts().chain));
                order.amount = sum(amount);
                let _ = town.send(from, order).await;
            }
            Step::Deliver(sequence, person, amount, peer) => {
                town.deliver(&self.message(sequence, person, amount, peer)).await;
            }
            Step::Void(sequence, person, amount, peer) => {
                let message = self.message(sequence, person, amount, peer);
                town.act(Action::Void(vec![(message, unknown_recipient())])).await.unwrap();
            }
            Step::End(at, close) => {
                let blocks = town.everything().await;
                let kind = if close { EndingKind::Close } else { EndingKind::Refund };
                if let Some(message) = blocks.iter().flat_map(|block| &block.outgoing).nth(at) {
                    town.act(Action::End(vec![(message.id(), kind)])).await.unwrap();
                }
            }
            Step::Set(peer, open, limit, window) => {
                let window = window.map(|(max, seconds)| Window { max: sum(max), seconds });
                let limits = Limits { credit_limit: sum(limit), window };
                let _ = town.set(&peers[peer], COIN, open.then_some(TERMS), limits).await;
            }
            Step::Deposit(by, amount, peer) => {
                let _ = town.deposit(by, &peers[peer], amount).await;
            }
            Step::Settle(peer, add, amount, to) => {
                let (chain, asset) = (peers[peer].facts().chain, asset(COIN));
                let change =
                    if add { Change::Added(sum(amount)) } else { Change::Taken(sum(amount)) };
                let (to, note) = (to.map(local), String::new());
                let settle = Submission::Settle { chain, asset, change, to, note };
                let _ = town.submit(settle).await;
            }
            Step::Time(seconds) => town.pass(seconds),
            Step::Again(_) => {}
        }
    }

    /// Holds after every block.
    fn check_sums(&self, step: &Step) {
        let town = &self.town;
        assert_eq!(town.total().unwrap(), sum(SUPPLY), "after {step:?}");
        let accounts = town.correspondents().unwrap();
        let covers = added(accounts.iter().map(|(_, _, account)| account.cover()));
        let (covered, float) = town.covered_and_float().unwrap();
        assert_eq!(covered, covers, "after {step:?}");
        let (escrow, vault) = town.pots().unwrap();
        assert!(covered <= vault, "{covered} of {vault} after {step:?}");
        assert_eq!(added([covered, float]), vault, "after {step:?}");
        let pending = added(accounts.iter().map(|(_, _, account)| account.figures.pending_out));
        assert_eq!(pending, escrow, "after {step:?}");
    }
}

fn added(sums: impl IntoIterator<Item = Amount>) -> Amount {
    sums.into_iter().fold(Amount::ZERO, |sum, next| sum.checked_add(next).unwrap())
}

/// Open escrow is exactly what is open; a message ends once.
fn check_ends(blocks: &[FinalBlock], escrow: Amount) {
    use ChainEvent as E;
    let mut open: BTreeMap<_, Amount> = blocks
        .iter()
        .flat_map(|block| &block.outgoing)
        .map(|message| (message.id(), message.amount()))
        .collect();
    let mut ended = std::collections::BTreeSet::new();
    for event in blocks.iter().flat_map(|block| &block.events) {
        match event {
            E::Delivered { id, .. } | E::Voided { id, .. } => assert!(ended.insert(*id)),
            E::Closed { id, .. } | E::Refunded { id } => assert!(open.remove(id).is_some()),
            E::AccountSet { .. } | E::ReserveChanged { .. } => {}
        }
    }
    assert_eq!(escrow, added(open.into_values()));
}

/// The accounts that a gateway makes from the final blocks alone, as its copy.
fn followed(blocks: &[FinalBlock]) -> Vec<(ChainId, Asset, Account)> {
    use ChainEvent as E;
    let mut accounts = BTreeMap::<(ChainId, Asset), Account>::new();
    let mut sent = BTreeMap::new();
    for block in blocks {
        let mut apply = |chain: ChainId, asset: &Asset, step: account::Step| {
            let account = accounts.entry((chain, asset.clone())).or_default();
            if let account::Step::Commit { amount, .. } = step {
                account.fits(amount, block.time).expect("nothing passes a limit");
            }
            *account = account.apply(&step, block.time).expect("a step of this account");
        };
        for message in &block.outgoing {
            let fields = message.fields();
            if let Some(value) = fields.value.clone() {
                apply(fields.destination, &value.asset, account::Step::Lock(value.amount));
                sent.insert(message.id(), (fields.destination, value));
            }
        }
        for event in &block.events {
            match event {
                E::AccountSet { chain, asset, terms, limits } => {
                    apply(*chain, asset, account::Step::Set { terms: *terms, limits: *limits });
                }
                E::ReserveChanged { chain, asset, change, .. } => {
                    apply(*chain, asset, (*change).into());
                }
                E::Delivered { source, value: Some(value), .. } => {
                    let step = account::Step::Commit { amount: value.amount, reserved: false };
                    apply(*source, &value.asset, step);
                }
                E::Closed { id, destination, value } => {
                    if let Some((chain, kept)) = sent.get(id) {
                        assert_eq!((chain, Some(kept)), (destination, value.as_ref()));
                        let step = account::Step::Close { amount: kept.amount, locked: true };
                        apply(*chain, &kept.asset, step);
                    }
                }
                E::Refunded { id } => {
                    if let Some((chain, value)) = sent.get(id) {
                        apply(*chain, &value.asset, account::Step::Refund(value.amount));
                    }
                }
                E::Delivered { value: None, .. } | E::Voided { .. } => {}
            }
        }
    }
    accounts.into_iter().map(|((chain, asset), account)| (chain, asset, account)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn money_is_neither_made_nor_lost_and_a_copy_of_the_books_comes_out_equal(
        steps in vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            // Most histories are about open accounts.
            for peer in 0..2 {
                world.take(&Step::Set(peer, true, 300, None)).await;
            }
            for (at, step) in steps.iter().enumerate() {
                match step {
                    Step::Again(back) => {
                        let earlier = steps[..at].iter().rev().nth(*back);
                        if let Some(earlier) = earlier {
                            world.take(earlier).await;
                        }
                    }
                    step => world.take(step).await,
                }
                world.check_sums(step);
            }
            let blocks = world.town.everything().await;
            check_ends(&blocks, world.town.pots().unwrap().0);
            assert_eq!(followed(&blocks), world.town.correspondents().unwrap());
        });
    }

    #[test]
    fn one_history_is_one_chain(steps in vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let heads = [(), ()].map(|()| runtime.block_on(async {
            let world = World::new().await;
            for step in &steps {
                world.take(step).await;
            }
            world.town.head().await.unwrap()
        }));
        prop_assert_eq!(heads[0], heads[1]);
    }
}
