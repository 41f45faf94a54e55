//! Random histories: whatever is submitted, money is neither made nor lost, and replay changes
//! nothing.

use distpos_proto::{
    message::{Fields, Message},
    receipt::EndingKind,
};
use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::chain::{LocalChain, ledger::transaction::Action};

#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Transfer(u8, u8, u64),
    Send(u8, u64),
    Deliver(u64, u8, u64),
    Void(u64, u8, u64),
    End(usize, bool),
    Limit(u64),
    Time(u64),
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 1u8..5;
    prop_oneof![
        person().prop_map(Step::Open),
        (person(), person(), 0u64..1_200).prop_map(|(a, b, n)| Step::Transfer(a, b, n)),
        (person(), 0u64..800).prop_map(|(a, n)| Step::Send(a, n)),
        (1u64..6, person(), 0u64..400).prop_map(|(s, p, n)| Step::Deliver(s, p, n)),
        (1u64..6, person(), 0u64..400).prop_map(|(s, p, n)| Step::Void(s, p, n)),
        (0usize..6, any::<bool>()).prop_map(|(at, close)| Step::End(at, close)),
        (0u64..1_000).prop_map(Step::Limit),
        (0u64..2_000).prop_map(Step::Time),
        (0usize..20).prop_map(Step::Again),
    ]
}

/// Takes a step; refusals are as good as anything.
async fn take(town: &Town, peer: &Town, step: &Step) {
    let message = |sequence, person, amount| {
        let fields = incoming(town, peer, amount);
        Message::new(Fields { sequence, recipient: local(person), ..fields }).unwrap()
    };
    match *step {
        Step::Open(person) => {
            let place = town.place(person).await;
            let _ = town.user(crate::chain::ledger::transaction::open(place, &key(person))).await;
        }
        Step::Transfer(from, to, amount) => {
            let _ = town.transfer(from, to, amount).await;
        }
        Step::Send(from, amount) => {
            let mut order = order("b1c2xsomebody");
            order.amount = sum(amount);
            let _ = town.send(from, order).await;
        }
        Step::Deliver(sequence, person, amount) => {
            town.deliver(&message(sequence, person, amount)).await;
        }
        Step::Void(sequence, person, amount) => {
            let item = (message(sequence, person, amount), unknown_recipient());
            town.act(Action::Void(vec![item])).await.unwrap();
        }
        Step::End(at, close) => {
            let sent: Vec<_> =
                town.everything().await.into_iter().flat_map(|block| block.outgoing).collect();
            let kind = if close { EndingKind::Close } else { EndingKind::Refund };
            if let Some(message) = sent.get(at) {
                town.act(Action::End(vec![(message.id(), kind)])).await.unwrap();
            }
        }
        Step::Limit(value_max) => town.know(peer, "c0/coin", value_max).await,
        Step::Time(seconds) => town.pass(seconds),
        Step::Again(_) => {}
    }
}

/// Open escrow is exactly what is open; a message ends once.
async fn check(town: &Town) {
    use crate::chain::ChainEvent as E;
    let blocks = town.everything().await;
    let mut open: std::collections::BTreeMap<_, u128> = blocks
        .iter()
        .flat_map(|block| &block.outgoing)
        .map(|message| (message.id(), message.amount().to_u128().unwrap()))
        .collect();
    let mut ended = std::collections::BTreeSet::new();
    for event in blocks.iter().flat_map(|block| &block.events) {
        match event {
            E::Delivered { id, .. } | E::Voided { id, .. } => assert!(ended.insert(*id)),
            E::Closed { id, .. } | E::Refunded { id } => assert!(open.remove(id).is_some()),
        }
    }
    assert_eq!(town.pots().unwrap().0, open.values().sum::<u128>().into());
    assert_eq!(town.total().unwrap(), sum(11_500));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn money_is_neither_made_nor_lost(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (town, peer) = (Town::new(genesis("e2e4")), Town::new(genesis("b1c2")));
            for (at, step) in steps.iter().enumerate() {
                match step {
                    Step::Again(back) => {
                        let earlier = steps[..at].iter().rev().nth(*back);
                        if let Some(earlier) = earlier {
                            take(&town, &peer, earlier).await;
                        }
                    }
                    step => take(&town, &peer, step).await,
                }
                assert_eq!(town.total().unwrap(), sum(11_500), "after {step:?}");
            }
            check(&town).await;
        });
    }

    #[test]
    fn one_history_is_one_chain(steps in vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let heads = [(), ()].map(|()| runtime.block_on(async {
            let (town, peer) = (Town::new(genesis("e2e4")), Town::new(genesis("b1c2")));
            for step in &steps {
                take(&town, &peer, step).await;
            }
            town.head().await.unwrap()
        }));
        prop_assert_eq!(heads[0], heads[1]);
    }
}
