//! What is told at the end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Plan, faults::Counts};
use crate::simulation::audit::{Findings, Inventory};

/// What became of an economy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Messages that left.
    pub messages: usize,
    /// Of those, the ones that were paid at their destination and closed at their source.
    pub delivered: usize,
    /// Those that are void at their destination and were paid back at their source.
    pub refunded: usize,
    /// Those that have not ended on both sides.
    pub pending: usize,
    /// What accounts, escrows and vaults of all chains held at first, in the coin's smallest unit.
    pub value_before: String,
    /// The same at the end.
    pub value_after: String,
    /// Accounts that differ from their mirror, from the blocks, from a gateway's copy, or from the
    /// sum of a journal.
    pub accounts_unequal: usize,
    /// How often each kind of trouble came.
    pub faults: BTreeMap<&'static str, usize>,
    #[serde(skip)]
    wrong: Vec<String>,
}

impl Report {
    /// Judges what there is at the end.
    #[must_use]
    pub fn new(plan: Plan, inventory: &Inventory, counts: &Counts) -> Self {
        let Findings { tally, pending, accounts_unequal, mut wrong } = inventory.findings();
        let messages = inventory.chains.values().map(|chain| chain.record.sent.len()).sum();
        let (before, after) = inventory.value();
        if before != after {
            wrong.push(format!("value was {before}, and is {after}"));
        }
        if messages != plan.messages {
            wrong.push(format!("{messages} messages left, not {}", plan.messages));
        }
        let ended = tally.delivered + tally.refunded;
        if ended != messages {
            let text = format!("{ended} messages were delivered or refunded, not {messages}");
            wrong.push(text);
        }
        for (fault, _) in counts.iter().filter(|(_, times)| **times == 0) {
            wrong.push(format!("no {} at all: send more, or take another seed", fault.word()));
        }
        Self {
            seed: plan.seed,
            messages,
            delivered: tally.delivered,
            refunded: tally.refunded,
            pending,
            value_before: before.to_string(),
            value_after: after.to_string(),
            accounts_unequal,
            faults: counts.iter().map(|(fault, times)| (fault.word(), *times)).collect(),
            wrong,
        }
    }

    /// What is wrong, in words; nothing if all is as it should be.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }
}
