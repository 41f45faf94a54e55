//! A small economy: its books add up, one seed gives one report, and an audit of falsified books
//! says so.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as the tests do")]

use std::sync::OnceLock;

use distpos_examples::{
    economy::{self, Counts, Fault, Plan, Report},
    simulation::audit::Inventory,
};
use distpos_proto::amount::Amount;

const PLAN: Plan = Plan { seed: 7, chains: 5, messages: 600 };

fn lived(plan: Plan) -> (Inventory, Counts) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(economy::run(plan, |_| {}))
}

/// The one that all look at.
fn lived_once() -> (Inventory, Counts) {
    static LIVED: OnceLock<(Inventory, Counts)> = OnceLock::new();
    LIVED.get_or_init(|| lived(PLAN)).clone()
}

/// What the audit says once the inventory was falsified.
fn said(falsify: impl FnOnce(&mut Inventory)) -> (Report, String) {
    let (mut inventory, counts) = lived_once();
    falsify(&mut inventory);
    let report = Report::new(PLAN, &inventory, &counts);
    let said = report.wrong().join("\n");
    (report, said)
}

#[test]
fn the_books_add_up_and_one_seed_gives_one_report() {
    let (inventory, counts) = lived_once();
    let report = Report::new(PLAN, &inventory, &counts);
    assert_eq!(report.wrong(), [] as [&str; 0]);
    assert_eq!(report.delivered + report.refunded, PLAN.messages);
    assert_eq!((report.pending, report.accounts_unequal), (0, 0));
    assert_eq!(report.value_before, report.value_after);
    assert!(Fault::ALL.iter().all(|fault| report.faults[fault.word()] > 0), "{:?}", report.faults);
    let (again, counts) = lived(PLAN);
    assert_eq!(Report::new(PLAN, &again, &counts), report);
}

#[test]
fn a_unit_from_nowhere_is_found() {
    let (report, said) = said(|inventory| {
        let chain = inventory.chains.values_mut().next().unwrap();
        chain.total = chain.total.saturating_add(Amount::from(1u64));
    });
    assert_ne!(report.value_before, report.value_after);
    assert!(said.contains("value was"), "{said}");
}

/// What one chain has too much may not be what another has too little.
#[test]
fn a_unit_that_moved_from_chain_to_chain_is_found() {
    let (report, said) = said(|inventory| {
        let one = Amount::from(1u64);
        let mut chains = inventory.chains.values_mut();
        let (rich, poor) = (chains.next().unwrap(), chains.next().unwrap());
        rich.total = rich.total.saturating_add(one);
        poor.total = poor.total.saturating_sub(one);
    });
    assert_eq!(report.value_before, report.value_after);
    assert_eq!(said.matches("at first").count(), 2, "{said}");
}

#[test]
fn a_message_that_ended_on_one_side_only_or_twice_is_found() {
    let of = |inventory: &mut Inventory, word: &str| {
        let mut ends = inventory.chains.values().flat_map(|chain| &chain.record.ends);
        *ends.find(|(_, ends)| *ends == &[word]).unwrap().0
    };
    let (report, said_lost) = said(|inventory| {
        let id = of(inventory, "refunded");
        for chain in inventory.chains.values_mut() {
            let ends = chain.record.ends.get_mut(&id);
            ends.into_iter().for_each(|ends| ends.retain(|word| *word != "refunded"));
        }
    });
    assert_eq!(report.pending, 1);
    assert!(said_lost.contains("were delivered or refunded, not 600"), "{said_lost}");
    let (report, said_twice) = said(|inventory| {
        let id = of(inventory, "delivered");
        for chain in inventory.chains.values_mut() {
            let ends = chain.record.ends.get_mut(&id);
            ends.into_iter().filter(|ends| *ends == &["delivered"]).for_each(|ends| {
                ends.push("delivered");
            });
        }
    });
    assert_eq!(report.pending, 0);
    assert!(said_twice.contains("[\"delivered\", \"delivered\"]"), "{said_twice}");
}

#[test]
fn books_that_differ_are_found() {
    let one = Amount::from(1u64);
    let (report, said_mirror) = said(|inventory| {
        let chain = inventory.chains.values_mut().next().unwrap();
        let account = chain.accounts.values_mut().next().unwrap();
        account.figures.received = account.figures.received.saturating_add(one);
    });
    // The account, its mirror, and the gateway's copy.
    assert_eq!(report.accounts_unequal, 3, "{said_mirror}");
    let (report, said_journal) = said(|inventory| {
        let copies = inventory.copies.first_mut().unwrap();
        let copy = copies.accounts.values_mut().next().unwrap();
        copy.journal.reserve = copy.journal.reserve.saturating_add(one);
    });
    assert_eq!(report.accounts_unequal, 1, "{said_journal}");
    assert!(said_journal.contains("the journal's sum"), "{said_journal}");
}

#[test]
fn trouble_that_never_came_is_told() {
    let (inventory, mut counts) = lived_once();
    counts.insert(Fault::DnsFailures, 0);
    let report = Report::new(PLAN, &inventory, &counts);
    assert_eq!(report.wrong(), ["no dns_failures at all: send more, or take another seed"]);
}
