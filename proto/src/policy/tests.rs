//! The checks one by one, and the order in which they speak.

use std::sync::LazyLock;

use super::*;
use crate::{
    account::{Limits, Step},
    chain::Height,
    envelope::{Envelope, Origin},
    header::HeaderHash,
    message::{Fields, OnFail, TermsHash},
    policy::rules::{Action, Rule},
};

const NOW: UnixSeconds = UnixSeconds(1_000_000);
const TERMS: TermsHash = TermsHash([7; 32]);

fn own() -> Own {
    Own { chain: "a1".parse().unwrap(), tag: GenesisTag([1; 8]) }
}

fn sum(amount: u64) -> Amount {
    Amount::from(amount)
}

/// A message of `amount`; 0 for no value.
fn message(amount: u64, change: impl FnOnce(&mut Fields)) -> Message {
    let asset = "a1/coin".parse().unwrap();
    let value = Value { asset, amount: sum(amount), terms: Some(TERMS) };
    let mut fields = Fields {
        source: "b2".parse().unwrap(),
        source_tag: GenesisTag([2; 8]),
        destination: own().chain,
        destination_tag: own().tag,
        outbox: b"ledger".to_vec(),
        sequence: 5,
        sender: "ann".parse().unwrap(),
        recipient: "bob".parse().unwrap(),
        value: (amount > 0).then_some(value),
        data: vec![1],
        gas: 100,
        on_fail: OnFail::Return,
        expires: UnixSeconds(NOW.0 + 60),
    };
    change(&mut fields);
    Message::new(fields).unwrap()
}

fn open(credit_limit: u64) -> Account {
    let window = Some(Window { max: sum(1_000), seconds: 60 });
    let limits = Limits { credit_limit: sum(credit_limit), window };
    Account::default().apply(&Step::Set { terms: Some(TERMS), limits }, NOW).unwrap()
}

static NO_RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fn case<'a>(account: Option<&'a Account>, settings: &'a AccountSettings) -> Case<'a> {
    Case {
        own: own(),
        now: NOW,
        family: Family::Evm,
        trust: TrustLevel::Static,
        account,
        is_admitted: false,
        is_suspended: false,
        ahead: None,
        settings,
        gas: None,
        standing: None,
        rules: &NO_RULES,
        found: &[],
    }
}

fn code(message: &Message, case: &Case<'_>) -> Option<(Check, Code)> {
    failing(message, case).map(|failing| (failing.check, failing.reply.code))
}

#[test]
fn value_needs_an_open_account_and_its_terms() {
    let (account, settings) = (open(100), AccountSettings::default());
    let with = |account| case(account, &settings);
    let no_account = Some((Check::Account, Code::NO_ACCOUNT));
    let plain = message(10, |_| {});
    assert_eq!(code(&plain, &with(Some(&account))), None);
    assert_eq!(code(&plain, &with(None)), no_account);
    let closed = Account { terms: None, ..account };
    assert_eq!(code(&plain, &with(Some(&closed))), no_account);
    let other = message(10, |f| f.value.as_mut().unwrap().terms = Some(TermsHash([8; 32])));
    assert_eq!(code(&other, &with(Some(&account))), no_account);
    let none = message(10, |f| f.value.as_mut().unwrap().terms = None);
    assert_eq!(code(&none, &with(Some(&account))), no_account);
    // Without value nothing of it matters.
    assert_eq!(code(&message(0, |_| {}), &with(None)), None);
}

#[test]
fn value_needs_trust_and_stays_below_what_one_message_may_carry() {
    let account = open(1_000);
    let settings =
        AccountSettings { message_value_max: Some(sum(50)), attested_value_max: Some(sum(20)) };
    let evm = case(Some(&account), &settings);
    let value_max = Some((Check::MessageValue, Code::VALUE_MAX));
    assert_eq!(code(&message(20, |_| {}), &evm), None);
    assert_eq!(code(&message(21, |_| {}), &evm), value_max);
    let ledger = Case { family: Family::Ledger, ..evm.clone() };
    assert_eq!(code(&message(50, |_| {}), &ledger), None);
    assert_eq!(code(&message(51, |_| {}), &ledger), value_max);
    let unsigned = Case { trust: TrustLevel::Pinned, ..evm };
    assert_eq!(code(&message(1, |_| {}), &unsigned), Some((Check::Trust, Code::NOT_NOW)));
    assert_eq!(code(&message(0, |_| {}), &unsigned), None);
}

#[test]
fn at_the_limit_value_waits_in_order_and_is_never_refused_for_it() {
    let (account, settings) = (open(100), AccountSettings::default());
    let plain = case(Some(&account), &settings);
    let waits = Some((Check::Credit, Code::SUSPENDED));
    assert_eq!(code(&message(100, |_| {}), &plain), None);
    assert_eq!(code(&message(101, |_| {}), &plain), waits);
    let text = failing(&message(150, |_| {}), &plain).unwrap().reply.text().to_owned();
    assert!(text.starts_with("amount 150 is 50 more than the account has room for"), "{text}");
    // Sent before it, and waiting: it has to wait, too. Sent after it: not.
    let behind = |ahead| Case { ahead: Some(ahead), ..plain.clone() };
    assert_eq!(code(&message(1, |_| {}), &behind(4)), waits);
    assert_eq!(code(&message(1, |_| {}), &behind(6)), None);
    assert_eq!(code(&message(0, |_| {}), &behind(4)), None);
    let suspended = Case { is_suspended: true, ..plain.clone() };
    assert_eq!(code(&message(1, |_| {}), &suspended), waits);
    // What was admitted keeps its place: not even a lower limit moves it.
    let admitted = Case { is_admitted: true, ahead: Some(4), ..suspended.clone() };
    assert_eq!(code(&message(101, |_| {}), &admitted), None);
    // What no window can ever hold is refused, whatever else it would wait for.
    let never = Some((Check::Window, Code::VALUE_MAX));
    assert_eq!(code(&message(1_001, |_| {}), &suspended), never);
    let full = open(9_999).apply(&Step::Commit { amount: sum(900), reserved: false }, NOW).unwrap();
    let window = failing(&message(200, |_| {}), &case(Some(&full), &settings)).unwrap();
    assert_eq!((window.check, window.reply.code), (Check::Window, Code::SUSPENDED));
    assert_eq!(window.reply.retry_after, Some(6));
}

#[test]
fn gas_is_counted_with_and_without_value() {
    let settings = AccountSettings::default();
    let window = Window { max: sum(1_000), seconds: 10 };
    let budget = |used| GasBudget {
        window,
        bucket: Bucket { used: sum(used * window.seconds), at: NOW },
        delivery: 200,
    };
    let with = |used| Case { gas: Some(budget(used)), ..case(None, &settings) };
    let plain = message(0, |_| {});
    assert_eq!(code(&plain, &with(700)), None);
    let waits = failing(&plain, &with(701)).unwrap();
    assert_eq!((waits.check, waits.reply.code), (Check::Gas, Code::GAS_BUDGET));
    assert_eq!(waits.reply.retry_after, Some(1));
    let too_big = Some((Check::Gas, Code::TOO_BIG));
    assert_eq!(code(&message(0, |f| f.gas = 801), &with(0)), too_big);
    assert_eq!(code(&message(0, |f| f.gas = u64::MAX), &with(0)), too_big);
}

/// The order that the issue of the accounts, and `docs/protocol.md`, give.
const ORDER: [Check; 14] = [
    Check::Destination,
    Check::Expiry,
    Check::Genesis,
    Check::Account,
    Check::Trust,
    Check::MessageValue,
    Check::Credit,
    Check::Window,
    Check::Gas,
    Check::Standing,
    Check::Rules,
    Check::AcceptHook,
    Check::DeliverHook,
    Check::Simulation,
];

#[test]
fn the_first_check_in_the_order_speaks() {
    let found = [Check::Simulation, Check::AcceptHook, Check::DeliverHook]
        .map(|check| Failing { check, reply: Reply::new(Code::CALL_REVERTS, "no") });
    let (closed, short, roomy) = (Account::default(), open(0), open(100));
    let full = Bucket { used: sum(1_000 * 60), at: NOW };
    let no_window = Account { bucket: full, ..roomy };
    let (strict, lax) = (
        AccountSettings { message_value_max: Some(sum(1)), ..AccountSettings::default() },
        AccountSettings::default(),
    );
    let used_up = GasBudget {
        window: Window { max: sum(400), seconds: 1 },
        bucket: Bucket { used: sum(400), at: NOW },
        delivery: 0,
    };
    let reply = Some(Reply::new(Code::NOT_NOW, "low"));
    let deny = Rules::new(vec![Rule::any(Action::Deny)]).unwrap();
    let other_tag = |f: &mut Fields| f.destination_tag = GenesisTag([9; 8]);
    let too_late = |f: &mut Fields| (other_tag(f), f.expires = UnixSeconds(1)).1;
    let wrong = message(10, |f| (too_late(f), f.destination = "c3".parse().unwrap()).1);
    let (late, other_genesis) = (message(10, too_late), message(10, other_tag));
    let fine = message(10, |_| {});
    // Everything is wrong, and then one thing after the other is mended.
    let case = Case {
        trust: TrustLevel::Pinned,
        gas: Some(used_up),
        standing: reply,
        rules: &deny,
        found: &found,
        ..case(Some(&closed), &strict)
    };
    let short = Case { account: Some(&short), ..case.clone() };
    let trusted = Case { trust: TrustLevel::Static, ..short.clone() };
    let any_value = Case { settings: &lax, ..trusted.clone() };
    let has_credit = Case { account: Some(&no_window), ..any_value.clone() };
    let has_room = Case { account: Some(&roomy), ..has_credit.clone() };
    let has_gas = Case { gas: None, ..has_room.clone() };
    let stands = Case { standing: None, ..has_gas.clone() };
    let allowed = Case { rules: &NO_RULES, ..stands.clone() };
    let accepted = Case { found: &[found[2].clone(), found[0].clone()], ..allowed.clone() };
    let taken = Case { found: &[found[0].clone()], ..accepted.clone() };
    let passes = Case { found: &[], ..taken.clone() };
    let steps = [
        (&wrong, &case),
        (&late, &case),
        (&other_genesis, &case),
        (&fine, &case),
        (&fine, &short),
        (&fine, &trusted),
        (&fine, &any_value),
        (&fine, &has_credit),
        (&fine, &has_room),
        (&fine, &has_gas),
        (&fine, &stands),
        (&fine, &allowed),
        (&fine, &accepted),
        (&fine, &taken),
    ];
    let said: Vec<Check> =
        steps.iter().map(|(message, case)| failing(message, case).unwrap().check).collect();
    assert_eq!(said, ORDER);
    assert!(said.is_sorted(), "the order of the type is the order of the checks");
    assert_eq!(failing(&fine, &passes), None);
}

#[test]
fn class_five_voids_and_class_four_only_waits() {
    let settings = AccountSettings::default();
    let proven = |message| {
        let envelope = Envelope { message, origin: Origin { height: Height(1), index: 0 } };
        Proven::by_light(envelope, HeaderHash([1; 32]))
    };
    let account = open(5);
    let case = case(Some(&account), &settings);
    assert!(matches!(admit(proven(message(5, |_| {})), &case), Decision::Admitted(_)));
    assert!(matches!(admit(proven(message(6, |_| {})), &case), Decision::Waits(_)));
    let late = message(5, |f| f.expires = UnixSeconds(1));
    assert!(matches!(admit(proven(late), &case), Decision::Refused(_)));
    // A proof that is invalid, or a conflict, never voids, whoever says so.
    let reply = Reply::new(Code::PROOF_INVALID, "says a hook");
    let found = [Failing { check: Check::AcceptHook, reply }];
    let case = Case { found: &found, ..case };
    assert!(matches!(admit(proven(message(5, |_| {})), &case), Decision::Waits(_)));
}
