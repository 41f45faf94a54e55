use proptest::prelude::*;

use super::*;

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;
const START: UnixMillis = UnixMillis(1_760_000_000_000);

fn later(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn of(thousandths: u32) -> Standing {
    Standing::from_parts(thousandths, hour(START)).unwrap()
}

#[test]
fn half_of_the_distance_is_gone_after_a_week_and_all_of_it_in_the_end() {
    for (from, half, quarter) in [(100_000, 75_000, 62_500), (0, 25_000, 37_500)] {
        let near = |days: u64, expected: u32| {
            let found = of(from).at(later(days * DAY)).thousandths();
            assert!(found.abs_diff(expected) < 150, "{from} after {days} days: {found}");
        };
        near(7, half);
        near(14, quarter);
        assert_eq!(of(from).at(later(150 * DAY)).thousandths(), 50_000);
    }
    assert_eq!(of(50_001).at(later(HOUR)).thousandths(), 50_000);
}

#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    let now = UnixMillis(START.0 - 30 * DAY);
    assert_eq!(of(80_000).at(now), of(80_000));
    let down = of(80_000).after(Happening::SequenceGap, Kind::Chain, now);
    assert_eq!(down, of(75_000));
    // Nor does it forget how far it has come: the same hour does not count twice.
    let ahead = of(80_000).at(later(DAY));
    assert_eq!(ahead.at(START).at(later(DAY)), ahead);
}

#[test]
fn events_move_a_score_by_their_weights_and_never_out_of_its_range() {
    let cases = [
        (Happening::ProvenInTime, Kind::Gateway, 50_000, 51_000),
        (Happening::InvalidProof, Kind::Gateway, 50_000, 40_000),
        (Happening::InvalidProof, Kind::Chain, 50_000, 48_000),
        (Happening::StatementMatched, Kind::Gateway, 50_000, 50_000),
        (Happening::SettlementHonoured, Kind::Chain, 97_000, 100_000),
        (Happening::GuaranteeDefault, Kind::Chain, 30_000, 0),
    ];
    for (happening, kind, before, after) in cases {
        assert_eq!(of(before).after(happening, kind, START), of(after), "{happening}");
    }
}

/// Who delivers all day comes near the top within weeks, who delivers once a day hardly above
/// the middle, and many messages at once count as one: that is what the intervals are for.
#[test]
fn a_score_is_earned_by_the_day_and_lost_by_the_hour() {
    let kept_up = |every: u64, days: u64| {
        let mut held = of(50_000);
        for n in 0..days * DAY / every {
            held = held.after(Happening::ProvenInTime, Kind::Chain, later(n * every));
        }
        held.thousandths() / 1000
    };
    let interval = u64::try_from(Happening::ProvenInTime.interval().as_millis()).unwrap();
    assert_eq!(kept_up(interval, 7), 70);
    assert_eq!(kept_up(interval, 60), 90);
    assert_eq!(kept_up(DAY, 60), 60);
    let mut held = of(90_000);
    for n in 0..9 {
        held = held.after(Happening::InvalidProof, Kind::Gateway, later(n * HOUR));
    }
    assert!(held.thousandths() < 1_000, "{held}");
}

#[test]
fn only_what_is_clearly_below_fifty_changes_the_order() {
    let ranks = [100_000, 50_000, 48_000, 45_000, 44_999, 40_000, 34_999, 4_999, 0];
    let ranks = ranks.map(|thousandths| of(thousandths).rank());
    assert_eq!(ranks, [0, 0, 0, 0, 1, 1, 2, 5, 5]);
}

#[test]
fn a_threshold_defers_what_is_below_it_and_says_what_helps() {
    let chain = "e2e4".parse().unwrap();
    let told = |thousandths, min, now| check(chain, of(thousandths), min, now);
    assert_eq!(told(0, 0, START), None);
    assert_eq!(told(45_000, 45, START), None);
    let reply = told(44_999, 45, START).unwrap();
    assert_eq!(reply.code, Code::NOT_NOW);
    assert!(!reply.code.may_void());
    assert_eq!(
        reply.text(),
        "standing of e2e4 is 44.999, standing_min is 45: settlements and matching statements raise \
         it, and time up to 50"
    );
    assert_eq!(told(44_999, 45, later(HOUR)), None, "by time alone");
    assert!(
        check("f".repeat(32).parse().unwrap(), of(0), 100, START)
            .is_some_and(|reply| reply.text().ends_with("up to 50"))
    );
}

#[test]
fn a_subject_reads_back_as_itself() {
    for text in ["e2e4", "e2e4@gw1.example:7333", "e2e4@[2001:db8::1]:7333"] {
        assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
    }
    for wrong in ["", "@gw1:1", "gw1.example:7333", "e2e4@", "e2e4@a b", "e2e4@a@b", "e2e4@ä:1"] {
        assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
    }
    let name = "a".repeat(Subject::GATEWAY_BYTES_MAX + 1);
    assert!(Subject::gateway("e2e4".parse().unwrap(), &name).is_err());
}

#[test]
fn numbers_and_words_are_each_ones_own() {
    for happening in Happening::ALL {
        assert_eq!(Happening::from_number(happening.number()), Some(happening));
        let same = Happening::ALL.iter().filter(|other| other.word() == happening.word());
        assert_eq!(same.count(), 1);
    }
    assert_eq!(Happening::from_number(0), None);
    let shown = [50_000, 48_500, 48_513, 7].map(|thousandths| of(thousandths).to_string());
    assert_eq!(shown, ["50", "48.5", "48.513", "0.007"]);
}

proptest! {
    /// Whatever happens in whatever order, at whatever times: within bounds; and looking in between
    /// changes nothing.
    #[test]
    fn a_score_stays_in_its_range_and_looking_moves_nothing(
        steps in proptest::collection::vec((0usize..8, any::<bool>(), 0u64..40 * DAY), 0..60),
    ) {
        let (mut held, mut looked) = (Standing::new(START), Standing::new(START));
        for (which, is_chain, at) in steps {
            let kind = if is_chain { Kind::Chain } else { Kind::Gateway };
            let now = later(at);
            for hours in [1, 5, 30] {
                looked = looked.at(UnixMillis(now.0.saturating_sub(hours * HOUR)));
            }
            held = held.after(Happening::ALL[which], kind, now);
            looked = looked.after(Happening::ALL[which], kind, now);
            prop_assert!(held.thousandths() <= 100_000);
            prop_assert_eq!(looked, held);
        }
    }

    /// Decay goes towards 50, never across, never back; and two steps are as far as one.
    #[test]
    fn time_only_brings_a_score_nearer_to_fifty(
        from in 0u32..=100_000,
        first in 0u64..60 * DAY,
        second in 0u64..60 * DAY,
    ) {
        let (start, middle) = (of(from), of(from).at(later(first)));
        let end = middle.at(later(first + second));
        prop_assert_eq!(end, start.at(later(first + second)));
        let distance = |standing: Standing| standing.thousandths().abs_diff(50_000);
        prop_assert!(distance(end) <= distance(middle) && distance(middle) <= distance(start));
        let side = |standing: Standing| standing.thousandths().cmp(&50_000);
        prop_assert!(distance(end) == 0 || side(end) == side(start));
    }
}
