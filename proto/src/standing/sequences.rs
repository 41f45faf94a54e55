//! Which of a source's messages were proven here, by their sequence, and which are missing between
//! them. A source numbers its messages to one destination without gaps; one that is proven while an
//! earlier one is not says that the earlier one is being kept back.

use std::time::Duration;

use crate::time::UnixMillis;

/// How long an earlier message may be missing. A source tries again hourly at the slowest, so these
/// are two attempts, their jitter, and something for the proof.
pub const GAP_GRACE: Duration = Duration::from_secs(3 * 60 * 60);

/// Most stretches kept above the first gap. Beyond them the oldest gap is no longer watched: what
/// is kept of one source stays small, and its gaps have been counted by then.
pub const STRETCHES_MAX: usize = 64;

/// What was proven of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// Everything up to here was proven, or is not looked at any more.
    through: u64,
    /// What was proven above, ascending, with gaps between.
    above: Vec<Stretch>,
}

/// Consecutive messages that were proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first sequence.
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// When something above the gap before it was first proven.
    pub since: UnixMillis,
}

/// Messages that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first sequence.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

impl Sequences {
    /// Begins with the first message that is proven. What came before it is not missed: it may have
    /// been delivered before this spool began.
    #[must_use]
    pub fn starting(sequence: u64) -> Self {
        Self { through: sequence, above: Vec::new() }
    }

    /// As it was written down; none if that is not ascending with gaps between.
    #[must_use]
    pub fn from_parts(through: u64, above: Vec<Stretch>) -> Option<Self> {
        let mut end = through;
        for stretch in &above {
            // A gap of one at least: consecutive ones are one stretch.
            if stretch.from.checked_sub(end)? < 2 || stretch.to < stretch.from {
                return None;
            }
            end = stretch.to;
        }
        (above.len() <= STRETCHES_MAX).then_some(Self { through, above })
    }

    /// Everything up to here was proven, or is not looked at any more.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// What was proven above, ascending.
    #[must_use]
    pub fn above(&self) -> &[Stretch] {
        &self.above
    }

    /// Notes that a message was proven.
    pub fn note(&mut self, sequence: u64, now: UnixMillis) {
        if sequence <= self.through {
            return;
        }
        // The first stretch that ends at or above it.
        let at = self.above.partition_point(|stretch| stretch.to < sequence);
        if self.above.get(at).is_some_and(|stretch| stretch.from <= sequence) {
            return;
        }
        // A gap is known since the first proof above it, whatever is proven inside it later.
        let since = self.above.get(at).map_or(now, |next| next.since);
        self.above.insert(at, Stretch { from: sequence, to: sequence, since });
        self.join(at + 1);
        self.join(at);
        self.settle();
        if self.above.len() > STRETCHES_MAX {
            self.give_up_first();
        }
    }

    /// The gaps that were there for [`GAP_GRACE`]. They are not watched any more: each is given
    /// once, and what comes in later fills nothing.
    pub fn overdue(&mut self, now: UnixMillis) -> Vec<Gap> {
        let mut found = Vec::new();
        while let Some(first) = self.above.first() {
            if now.since(first.since) < GAP_GRACE {
                break;
            }
            found.push(Gap { from: self.through.saturating_add(1), to: first.from - 1 });
            self.give_up_first();
        }
        found
    }

    /// Whether [`Self::overdue`] has something to give.
    #[must_use]
    pub fn is_overdue(&self, now: UnixMillis) -> bool {
        self.above.first().is_some_and(|first| now.since(first.since) >= GAP_GRACE)
    }

    /// Makes one of this stretch and the one before it if nothing is between.
    fn join(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1).and_then(|before| self.above.get(before)) else {
            return;
        };
        let Some(stretch) = self.above.get(at) else { return };
        if before.to.checked_add(1) == Some(stretch.from) {
            let to = stretch.to;
            self.above[at - 1].to = to;
            self.above.remove(at);
        }
    }

    /// Moves the first stretch below the mark once nothing is between.
    fn settle(&mut self) {
        while let Some(first) = self.above.first() {
            if self.through.checked_add(1) != Some(first.from) {
                break;
            }
            self.give_up_first();
        }
    }

    fn give_up_first(&mut self) {
        if !self.above.is_empty() {
            self.through = self.above.remove(0).to;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;

    fn gaps(found: &[Gap]) -> Vec<(u64, u64)> {
        found.iter().map(|gap| (gap.from, gap.to)).collect()
    }

    #[test]
    fn a_gap_is_given_once_after_its_grace_and_what_comes_later_fills_nothing() {
        let mut held = Sequences::starting(7);
        for sequence in [8, 12, 10] {
            held.note(sequence, UnixMillis(0));
        }
        assert!(!held.is_overdue(UnixMillis(3 * HOUR - 1)));
        assert_eq!(held.overdue(UnixMillis(3 * HOUR - 1)), []);
        assert_eq!(gaps(&held.overdue(UnixMillis(3 * HOUR))), [(9, 9), (11, 11)]);
        held.note(9, UnixMillis(3 * HOUR));
        assert_eq!(held, Sequences::starting(12));
        assert_eq!(held.overdue(UnixMillis(u64::MAX)), []);
    }

    #[test]
    fn what_comes_out_of_order_and_in_time_is_no_gap() {
        let mut held = Sequences::starting(1);
        for sequence in [5, 3, 4, 2] {
            held.note(sequence, UnixMillis(1));
        }
        assert_eq!(held, Sequences::starting(5));
        // The end of the numbers is no trap.
        held.note(u64::MAX, UnixMillis(1));
        held.note(u64::MAX, UnixMillis(2));
        assert_eq!(gaps(&held.overdue(UnixMillis(4 * HOUR))), [(6, u64::MAX - 1)]);
        held.note(u64::MAX, UnixMillis(3));
        assert_eq!(held, Sequences::starting(u64::MAX));
    }

    #[test]
    fn a_proof_inside_a_gap_does_not_make_it_younger() {
        let mut held = Sequences::starting(1);
        held.note(9, UnixMillis(0));
        held.note(5, UnixMillis(2 * HOUR));
        assert_eq!(gaps(&held.overdue(UnixMillis(3 * HOUR))), [(2, 4), (6, 8)]);
    }

    #[test]
    fn a_source_that_proves_every_other_message_fills_no_memory() {
        let mut held = Sequences::starting(1);
        for n in 1..10_000 {
            held.note(1 + 2 * n, UnixMillis(n));
        }
        assert_eq!(held.above().len(), STRETCHES_MAX);
    }

    #[test]
    fn what_was_written_down_wrongly_is_not_read() {
        let stretch = |from, to| Stretch { from, to, since: UnixMillis(0) };
        assert!(Sequences::from_parts(3, vec![stretch(5, 6), stretch(8, 8)]).is_some());
        for wrong in [vec![stretch(4, 4)], vec![stretch(6, 5)], vec![stretch(5, 6), stretch(7, 7)]]
        {
            assert_eq!(Sequences::from_parts(3, wrong), None);
        }
    }

    proptest! {
        /// Whatever the order: everything proven is known, nothing else is, and the gaps are what a
        /// list of all numbers says.
        #[test]
        fn the_gaps_are_those_of_a_plain_list(
            first in 1u64..40,
            others in proptest::collection::vec(1u64..60, 0..80),
        ) {
            let mut held = Sequences::starting(first);
            let mut plain: BTreeSet<u64> = BTreeSet::from([first]);
            for sequence in others {
                held.note(sequence, UnixMillis(0));
                plain.insert(sequence);
            }
            let again = Sequences::from_parts(held.through(), held.above().to_vec());
            prop_assert_eq!(again, Some(held.clone()));
            let last = plain.last().copied().unwrap_or(first).max(first);
            let missing: Vec<u64> = (first..=last).filter(|n| !plain.contains(n)).collect();
            let given: Vec<u64> =
                held.overdue(UnixMillis(3 * HOUR)).iter().flat_map(|gap| gap.from..=gap.to).collect();
            prop_assert_eq!(given, missing);
            prop_assert_eq!(held, Sequences::starting(last));
        }
    }
}
