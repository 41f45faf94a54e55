//! What an operator would write, and what it must not let through.

use proptest::prelude::*;

use super::*;
use crate::{
    chain::GenesisTag,
    message::{Fields, OnFail, Value},
    time::UnixSeconds,
};

fn message(source: &str, sender: &str, recipient: &str, value: Option<(&str, u64)>) -> Message {
    let value = value.map(|(asset, amount)| Value {
        asset: asset.parse().unwrap(),
        amount: Amount::from(amount),
        terms: None,
    });
    Message::new(Fields {
        source: source.parse().unwrap(),
        source_tag: GenesisTag([1; 8]),
        destination: "b1c2".parse().unwrap(),
        destination_tag: GenesisTag([2; 8]),
        outbox: vec![1],
        sequence: 1,
        sender: sender.parse().unwrap(),
        recipient: recipient.parse().unwrap(),
        value,
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(10),
    })
    .unwrap()
}

fn coins(amount: u64) -> Message {
    message("e2e4", "a11ce", "b0b", Some(("e2e4/coin", amount)))
}

fn deny(text: &str) -> Rule {
    Rule { text: text.into(), ..Rule::any(Action::Deny) }
}

fn rules(rules: Vec<Rule>) -> Rules {
    Rules::new(rules).unwrap()
}

#[test]
fn without_rules_everything_passes() {
    assert_eq!(Rules::default().failing(&coins(5)), None);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let alice = Rule { sender: Some("a11ce".parse().unwrap()), ..Rule::any(Action::Allow) };
    let closed = rules(vec![alice.clone(), deny("members only")]);
    assert_eq!(closed.failing(&coins(5)), None);
    let mallory = message("e2e4", "3a110", "b0b", None);
    assert_eq!(closed.failing(&mallory), Some(Reply::new(Code::POLICY, "members only")));
    let shut = rules(vec![deny(""), alice]);
    assert_eq!(shut.failing(&coins(5)), Some(Reply::new(Code::POLICY, Rules::TEXT_DEFAULT)));
}

#[test]
fn another_spelling_of_an_account_does_not_get_round_a_rule() {
    let banned = rules(vec![
        Rule { sender: Some("63ea".parse().unwrap()), ..deny("banned") },
        Rule { recipient: Some("Dead".parse().unwrap()), ..deny("frozen account") },
    ]);
    for (sender, recipient) in [("63EA", "b0b"), ("63ea", "b0b"), ("a11ce", "dEaD")] {
        assert!(banned.failing(&message("e2e4", sender, recipient, None)).is_some(), "{sender}");
    }
    assert_eq!(banned.failing(&message("e2e4", "63eb", "b0b", None)), None);
}

#[test]
fn amounts_are_compared_in_their_asset_and_both_bounds_belong_to_the_range() {
    let range = rules(vec![Rule {
        chain: Some("e2e4".parse().unwrap()),
        asset: Some("e2e4/coin".parse().unwrap()),
        amount_min: Some(Amount::from(10_u64)),
        amount_max: Some(Amount::from(20_u64)),
        ..deny("not this sum")
    }]);
    for (amount, refused) in [(9, false), (10, true), (20, true), (21, false)] {
        assert_eq!(range.failing(&coins(amount)).is_some(), refused, "{amount}");
    }
    assert_eq!(range.failing(&message("e2e4", "a11ce", "b0b", Some(("e2e4/gold", 15)))), None);
    assert_eq!(range.failing(&message("a1a1", "a11ce", "b0b", Some(("e2e4/coin", 15)))), None);
    assert_eq!(range.failing(&message("e2e4", "a11ce", "b0b", None)), None);
    // Whatever names an asset is about value: data alone passes even a rule without a lower bound.
    let all = Rule { asset: Some("e2e4/coin".parse().unwrap()), ..deny("") };
    assert_eq!(rules(vec![all]).failing(&message("e2e4", "a11ce", "b0b", None)), None);
}

#[test]
fn a_rule_that_contradicts_itself_is_refused_by_its_number() {
    let of = |rule| Rules::new(vec![deny(""), rule]).unwrap_err().to_string();
    let most = Some(Amount::from(7_u64));
    let asset = Some("e2e4/coin".parse().unwrap());
    assert_eq!(
        of(Rule { amount_max: most, ..deny("") }),
        "rule 2: found amount_min or amount_max, expected asset beside it: what the amount counts in"
    );
    let least = Some(Amount::from(8_u64));
    assert_eq!(
        of(Rule { asset, amount_min: least, amount_max: most, ..deny("") }),
        "rule 2: amount_min is 8, expected at most amount_max, 7"
    );
    assert_eq!(
        of(Rule { text: "welcome".into(), ..Rule::any(Action::Allow) }),
        "rule 2: text stands beside action = \"allow\", expected it only beside \"deny\""
    );
    for text in ["x".repeat(201), "two\nlines".into()] {
        assert!(of(deny(&text)).contains("expected at most 200, all printable"), "{text}");
    }
    let many = vec![deny(""); Rules::COUNT_MAX + 1];
    assert_eq!(Rules::new(many), Err(RulesError::Count { found: 1_001 }));
}

proptest! {
    /// Each condition only narrows: what a rule with it matches, the rule without it matches too.
    #[test]
    fn a_condition_only_narrows(
        amount in 1_u64..40, least in 0_u64..40, most in 0_u64..40, set in prop::array::uniform6(any::<bool>()),
        source in "(e2e4|a1a1)", sender in "(a11ce|b0b)", asset in "(e2e4/coin|a1a1/coin)",
    ) {
        let message = message(&source, &sender, "b0b", Some((&asset, amount)));
        let whole = Rule {
            chain: set[0].then(|| "e2e4".parse().unwrap()),
            sender: set[1].then(|| "a11ce".parse().unwrap()),
            recipient: set[2].then(|| "b0b".parse().unwrap()),
            asset: set[3].then(|| "e2e4/coin".parse().unwrap()),
            amount_min: set[4].then(|| Amount::from(least)),
            amount_max: set[5].then(|| Amount::from(most)),
            ..Rule::any(Action::Deny)
        };
        if whole.matches(&message) {
            for wider in [
                Rule { chain: None, ..whole.clone() },
                Rule { sender: None, ..whole.clone() },
                Rule { asset: None, ..whole.clone() },
                Rule { amount_min: None, ..whole.clone() },
                Rule { amount_max: None, ..whole.clone() },
            ] {
                prop_assert!(wider.matches(&message));
            }
        }
        let expected = (!set[0] || source == "e2e4")
            && (!set[1] || sender == "a11ce")
            && (!set[3] || asset == "e2e4/coin")
            && (!set[4] || amount >= least)
            && (!set[5] || amount <= most);
        prop_assert_eq!(whole.matches(&message), expected);
    }
}
