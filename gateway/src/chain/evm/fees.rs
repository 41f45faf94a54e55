//! What a transaction pays per gas: what the market asks, never above the cap, and by how much a
//! replacement must offer more.

/// Least part by which a replacement offers more, in eighths: 12.5 %. Nodes want 10 %, some 12.5 %.
const EIGHTHS_MIN: u128 = 1;
/// After so many attempts each the part doubles, up to the whole: whoever was passed over so often
/// is far from the market, and few steps may lead to any cap.
const ATTEMPTS_A_DOUBLING: usize = 4;
/// The steps end at a whole fee more: eight eighths.
const DOUBLINGS_MAX: usize = 3;

/// How many times the market's price is offered at most to replace a transaction…
const MARKETS_MAX: u128 = 10;
/// …and what may be offered in any case, in wei: where gas costs next to nothing, steps are small.
const REPLACEMENT_MAX_LEAST: u128 = 10_000_000_000;

/// What a transaction offers per gas, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fees {
    /// Most it pays.
    pub(super) max: u128,
    /// Most of that for the block's maker; all of it in a transaction without a base fee.
    pub(super) tip: u128,
}

/// What blocks ask now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Market {
    /// Below that no block takes a transaction now.
    pub(super) least: u128,
    /// What a new transaction offers, without a cap.
    pub(super) fees: Fees,
    /// Blocks have no base fee: the transaction is one of EIP-155, not of EIP-1559.
    pub(super) legacy: bool,
}

impl Market {
    /// Blocks with a base fee: room for six full blocks of rises, of which only what is due is paid.
    pub(super) fn with_base(base: u128, tip: u128) -> Self {
        let max = base.saturating_mul(2).saturating_add(tip);
        Self { least: base.saturating_add(tip), fees: Fees { max, tip }, legacy: false }
    }

    /// Blocks without a base fee: the price is paid whole.
    pub(super) fn without_base(price: u128) -> Self {
        Self { least: price, fees: Fees { max: price, tip: price }, legacy: true }
    }

    /// What a new transaction offers.
    pub(super) fn offer(&self, cap: u128) -> Fees {
        let max = self.fees.max.min(cap);
        Fees { max, tip: self.fees.tip.min(max) }
    }

    /// Most that a replacement offers: past that, a node that has lost its peers or a block maker that
    /// will not have the transaction is the reason, and a tip of that height would be paid for nothing.
    pub(super) fn replacement_max(&self) -> u128 {
        self.fees.max.saturating_mul(MARKETS_MAX).max(REPLACEMENT_MAX_LEAST)
    }

    /// What the replacement of a transaction offers that was tried `attempts` times; none if the
    /// cap leaves no room for one.
    pub(super) fn replacement(&self, old: Fees, attempts: usize, cap: u128) -> Option<Fees> {
        let eighths = EIGHTHS_MIN << (attempts / ATTEMPTS_A_DOUBLING).min(DOUBLINGS_MAX);
        let max = raised(old.max, eighths).max(self.fees.max).min(cap);
        if max < raised(old.max, EIGHTHS_MIN) {
            return None;
        }
        let tip = raised(old.tip, eighths).max(self.fees.tip).min(max);
        Some(Fees { max, tip: if self.legacy { max } else { tip } })
    }
}

/// So many eighths more, and at least one wei.
fn raised(fee: u128, eighths: u128) -> u128 {
    let more = fee.saturating_mul(eighths).div_ceil(8).max(1);
    fee.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn a_new_transaction_offers_what_the_market_asks_within_the_cap() {
        let market = Market::with_base(10 * GWEI, GWEI);
        assert_eq!(market.offer(500 * GWEI), Fees { max: 21 * GWEI, tip: GWEI });
        assert_eq!(market.offer(5 * GWEI), Fees { max: 5 * GWEI, tip: GWEI });
        assert_eq!(market.offer(1), Fees { max: 1, tip: 1 });
        assert_eq!(Market::without_base(7).offer(500), Fees { max: 7, tip: 7 });
    }

    #[test]
    fn a_replacement_offers_an_eighth_more_and_at_least_the_market() {
        let old = Fees { max: 80, tip: 8 };
        let calm = Market::with_base(10, 1);
        assert_eq!(calm.replacement(old, 1, 500), Some(Fees { max: 90, tip: 9 }));
        let hot = Market::with_base(100, 20);
        assert_eq!(hot.replacement(old, 1, 500), Some(Fees { max: 220, tip: 20 }));
        assert_eq!(hot.replacement(old, 1, 90), Some(Fees { max: 90, tip: 20 }));
        assert_eq!(hot.replacement(old, 1, 89), None, "less than an eighth is no replacement");
        assert_eq!(calm.replacement(old, 4, 500), Some(Fees { max: 100, tip: 10 }), "a quarter");
        assert_eq!(calm.replacement(old, 99, 500), Some(Fees { max: 160, tip: 16 }), "double");
        let none = Fees { max: 0, tip: 0 };
        assert_eq!(calm.replacement(none, 1, 500), Some(Fees { max: 21, tip: 1 }));
    }

    #[test]
    fn a_transaction_that_nobody_mines_is_not_raised_far_past_the_market() {
        let market = Market::with_base(20 * GWEI, GWEI);
        let (cap, mut fees) = (market.replacement_max().min(500 * GWEI), market.offer(500 * GWEI));
        let mut attempts = 1;
        while let Some(next) = market.replacement(fees, attempts, cap) {
            (fees, attempts) = (next, attempts + 1);
        }
        assert!(fees.max <= 410 * GWEI && fees.tip <= 12 * GWEI, "{fees:?}");
        assert_eq!(Market::without_base(0).replacement_max(), 10 * GWEI);
        assert_eq!(Market::without_base(u128::MAX).replacement_max(), u128::MAX);
    }

    proptest! {
        #[test]
        fn whatever_the_market_the_cap_holds_and_a_replacement_is_one(
            old in any::<u128>(), tip in any::<u128>(), base in any::<u128>(),
            asked in any::<u128>(), cap in 0u128..1 << 120, attempts in 1usize..64, legacy: bool,
        ) {
            let old = Fees { max: old, tip: tip.min(old) };
            let market = match legacy {
                true => Market::without_base(base),
                false => Market::with_base(base, asked),
            };
            let offer = market.offer(cap);
            prop_assert!(offer.max <= cap && offer.tip <= offer.max);
            if let Some(new) = market.replacement(old, attempts, cap) {
                prop_assert!(new.max <= cap && new.tip <= new.max);
                prop_assert!(new.max - old.max >= old.max.div_ceil(8));
                prop_assert!(new.tip - old.tip >= old.tip.div_ceil(8));
                prop_assert!(new.max > old.max && new.tip > old.tip);
                prop_assert!(new.max >= market.fees.max.min(cap));
                prop_assert!(!legacy || new.tip == new.max);
            }
        }

        #[test]
        fn from_any_fee_to_any_cap_it_takes_fewer_attempts_than_a_row_holds(
            start in 0u128..1_000_000, cap in 0u128..1_000_000_000_000_000,
        ) {
            let market = Market::with_base(0, 0);
            let (mut fees, mut attempts) = (Fees { max: start, tip: start }, 1);
            while let Some(next) = market.replacement(fees, attempts, cap) {
                fees = next;
                attempts += 1;
            }
            prop_assert!(attempts <= distpos_spool::ATTEMPTS_MAX, "{attempts}");
        }
    }
}
