//! Accounts with peers: who opens them, what passes under which terms, how far, and how fast.

use distpos_proto::{
    account::{Account, Bucket, Figures, Limits, Window},
    amount::Amount,
    code::Code,
    message::{Fields, Message, TermsHash},
    time::UnixSeconds,
};

use super::support::*;
use crate::chain::{
    ChainEvent, LocalChain, Simulation, Submission,
    ledger::transaction::{AccountOrder, Action, SignedTransaction},
};

const OTHER_TERMS: TermsHash = TermsHash([8; 32]);

/// A town with a peer that it has no account with yet.
async fn strangers() -> (Town, Town) {
    let (b, a) = (Town::new(genesis("b1")), Town::new(genesis("a1")));
    b.register(a.facts().chain, a.facts().tag).await.unwrap();
    (b, a)
}

#[tokio::test]
async fn an_account_is_opened_changed_and_closed_and_each_change_is_told_once() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), credit(5)).await.unwrap();
    let head = b.head().await.unwrap();
    b.set(&a, COIN, Some(TERMS), credit(5)).await.unwrap();
    assert_eq!(b.head().await.unwrap(), head, "it is so already: no block");
    b.set(&a, COIN, Some(TERMS), window(9, 60)).await.unwrap();
    b.set(&a, COIN, None, window(9, 60)).await.unwrap();
    let set = |terms, limits| ChainEvent::AccountSet {
        chain: chain("a1"),
        asset: asset(COIN),
        terms,
        limits,
    };
    let told =
        [set(Some(TERMS), credit(5)), set(Some(TERMS), window(9, 60)), set(None, window(9, 60))];
    assert_eq!(b.events().await, told);
    // A closed one can be read, and opened again.
    let (figures, bucket) = (Figures::default(), Bucket { used: sum(0), at: START });
    let closed = Account { terms: None, limits: window(9, 60), figures, bucket };
    assert_eq!(b.correspondents().unwrap(), [(chain("a1"), asset(COIN), closed)]);
    b.set(&a, COIN, Some(OTHER_TERMS), credit(5)).await.unwrap();
    assert_eq!(b.with(&a).terms, Some(OTHER_TERMS));
    assert_eq!(b.correspondent(chain("dd"), &asset(COIN)).unwrap(), None);
}

#[tokio::test]
async fn a_peer_has_one_open_account_here() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), credit(5)).await.unwrap();
    let second = b.set(&a, "a1/gold", Some(TERMS), credit(5)).await;
    assert_eq!(code(second), Code::POLICY);
    assert_eq!(b.correspondents().unwrap().len(), 1);
    b.set(&a, COIN, None, credit(5)).await.unwrap();
    b.set(&a, "a1/gold", Some(TERMS), credit(5)).await.unwrap();
    // The limits of the closed one may change; the open one stays open.
    b.set(&a, COIN, None, credit(6)).await.unwrap();
    let (_, message) = b.sent(ALICE, order("a1xsomebody")).await;
    assert_eq!(message.fields().value.as_ref().unwrap().asset, asset("a1/gold"));
    let assets: Vec<_> = b.correspondents().unwrap().into_iter().map(|(_, a, _)| a).collect();
    assert_eq!(assets, [asset("a1/gold"), asset(COIN)]);
}

#[tokio::test]
async fn an_account_that_makes_no_sense_is_refused() {
    let (b, a) = strangers().await;
    let unknown = Town::new(genesis("dd"));
    let endless = Limits { window: Some(Window { max: sum(1), seconds: 0 }), ..credit(1) };
    for (result, expected) in [
        (b.set(&unknown, COIN, Some(TERMS), credit(1)).await, Code::POLICY),
        (b.set(&b, COIN, Some(TERMS), credit(1)).await, Code::POLICY),
        (b.set(&a, COIN, Some(TermsHash([0; 32])), credit(1)).await, Code::MALFORMED),
        (b.set(&a, COIN, Some(TERMS), endless).await, Code::MALFORMED),
        (b.set(&a, COIN, None, credit(1)).await, Code::NO_ACCOUNT),
    ] {
        assert_eq!(code(result), expected);
    }
    assert_eq!(b.correspondents().unwrap(), []);
    // And it is no user's to do.
    let order = AccountOrder {
        chain: chain("a1"),
        asset: asset(COIN),
        terms: Some(TERMS),
        limits: credit(1_000),
    };
    let place = b.place(ALICE).await;
    let forged = SignedTransaction::sign(place, Action::Account(order), &key(ALICE)).bytes;
    assert_eq!(code(b.user(forged).await), Code::POLICY);
}

#[tokio::test]
async fn value_passes_under_the_accounts_terms_and_no_others() {
    let (b, a) = strangers().await;
    let under = |terms, sequence| {
        let mut fields = Fields { sequence, ..incoming(&b, &a, 10) };
        fields.value.as_mut().unwrap().terms = terms;
        Message::new(fields).unwrap()
    };
    let (agreed, other) = (under(Some(TERMS), 1), under(Some(OTHER_TERMS), 2));
    let none = under(None, 3);
    assert_eq!(b.deliver(&agreed).await, [Code::NO_ACCOUNT], "no account yet");
    b.set(&a, COIN, Some(TERMS), credit(100)).await.unwrap();
    assert_eq!(b.deliver(&other).await, [Code::NO_ACCOUNT]);
    assert_eq!(b.deliver(&none).await, [Code::NO_ACCOUNT]);
    assert_eq!(b.deliver(&agreed).await, []);
    // New terms: what was sent under the old ones comes back.
    b.set(&a, COIN, Some(OTHER_TERMS), credit(100)).await.unwrap();
    assert_eq!(b.deliver(&under(Some(TERMS), 4)).await, [Code::NO_ACCOUNT]);
    assert_eq!(b.deliver(&other).await, []);
    b.set(&a, COIN, None, credit(100)).await.unwrap();
    assert_eq!(b.deliver(&under(Some(OTHER_TERMS), 5)).await, [Code::NO_ACCOUNT]);
    assert_eq!(
        b.deliver(&none).await,
        [Code::NO_ACCOUNT],
        "no terms are not those of a closed one"
    );
    assert_eq!(b.with(&a).figures.received, sum(20));
    // Without value a message needs no account.
    assert_eq!(b.deliver(&numbered(&b, &a, 6, 0)).await, []);
}

#[tokio::test]
async fn what_arrives_waits_at_the_credit_limit_until_something_has_gone_the_other_way() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), credit(100)).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 60)).await, []);
    assert_eq!(b.deliver(&numbered(&b, &a, 2, 41)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 3, 40)).await, []);
    assert_eq!(b.deliver(&numbered(&b, &a, 4, 1)).await, [Code::SUSPENDED]);
    let mut back = order("a1xsomebody");
    back.amount = sum(30);
    let (_, back) = b.sent(BOB, back).await;
    assert_eq!(b.with(&a).figures.pending_out, sum(30));
    assert_eq!(b.deliver(&numbered(&b, &a, 4, 1)).await, [Code::SUSPENDED], "not there yet");
    b.submit(Submission::End(vec![ending(&back, delivered())])).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 4, 31)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 4, 30)).await, []);
    let figures = Figures { received: sum(130), sent: sum(30), ..Figures::default() };
    assert_eq!(b.with(&a).figures, figures);
    // A lower limit takes nothing back and lets nothing more in.
    b.set(&a, COIN, Some(TERMS), credit(0)).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 5, 1)).await, [Code::SUSPENDED]);
    assert_eq!(b.total().unwrap(), sum(11_500));
}

#[tokio::test]
async fn a_window_frees_itself_with_the_time_of_blocks() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), window(100, 1_000)).await.unwrap();
    assert_eq!(b.simulated(&numbered(&b, &a, 1, 101)).await.code, Code::VALUE_MAX, "never");
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 100)).await, []);
    let next = numbered(&b, &a, 2, 7);
    let reply = b.simulated(&next).await;
    assert_eq!((reply.code, reply.retry_after), (Code::SUSPENDED, Some(70)));
    b.pass(69);
    assert_eq!(b.deliver(&next).await, [Code::SUSPENDED]);
    assert_eq!(b.simulated(&next).await.retry_after, Some(1));
    b.pass(1);
    assert_eq!(b.deliver(&next).await, []);
    assert_eq!(b.deliver(&numbered(&b, &a, 3, 1)).await, [Code::SUSPENDED]);
    // A clock that is set back frees nothing: blocks' times do not go back.
    b.hand.store(START.0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(b.deliver(&numbered(&b, &a, 3, 1)).await, [Code::SUSPENDED]);
    // A wider window keeps what is used: 100 of 200.
    b.set(&a, COIN, Some(TERMS), window(200, 1_000)).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 3, 101)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 3, 100)).await, []);
    let at = UnixSeconds(START.0 + 70);
    assert_eq!(b.with(&a).bucket, Bucket { used: sum(200_000), at });
}

#[tokio::test]
async fn who_will_never_be_paid_does_not_wait_for_credit_first() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), credit(0)).await.unwrap();
    let to =
        |seed| Message::new(Fields { recipient: local(seed), ..incoming(&b, &a, 10) }).unwrap();
    assert_eq!(b.simulated(&to(ALICE)).await.code, Code::SUSPENDED);
    assert_eq!(b.simulated(&to(CAROL)).await.code, Code::UNKNOWN_RECIPIENT);
    assert_eq!(b.deliver(&to(CAROL)).await, [Code::UNKNOWN_RECIPIENT]);
}

#[tokio::test]
async fn what_left_before_the_account_was_closed_ends_in_it_all_the_same() {
    let (b, a) = strangers().await;
    b.set(&a, COIN, Some(TERMS), credit(0)).await.unwrap();
    let (_, arrives) = b.sent(ALICE, order("a1xsomebody")).await;
    let (_, returns) = b.sent(BOB, order("a1xnobody")).await;
    b.set(&a, COIN, None, credit(0)).await.unwrap();
    assert_eq!(b.with(&a).figures.pending_out, sum(200));
    let (_, without) = b.sent(ALICE, order("a1xsomebody")).await;
    assert_eq!(without.fields().value.as_ref().unwrap().terms, None);
    let coin = || b.correspondent(chain("a1"), &asset("b1/coin")).unwrap().unwrap();
    assert_eq!(b.with(&a).figures.pending_out, sum(200), "it is counted in the own coin");
    assert_eq!((coin().terms, coin().figures.pending_out), (None, sum(100)));
    let ends = vec![ending(&arrives, delivered()), ending(&returns, refused())];
    b.submit(Submission::End(ends)).await.unwrap();
    let figures = Figures { sent: sum(100), ..Figures::default() };
    assert_eq!(b.with(&a).figures, figures);
    assert_eq!(b.covered_and_float().unwrap(), (sum(100), sum(10_000)));
    // No chain that keeps to the protocol delivers what came without an account.
    b.submit(Submission::End(vec![ending(&without, refused())])).await.unwrap();
    assert_eq!((b.with(&a).figures, coin().figures), (figures, Figures::default()));
    assert_eq!(b.covered_and_float().unwrap(), (sum(100), sum(10_000)));
    // It is the peer's money, and pays what arrives once the account is open again.
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 100)).await, [Code::NO_ACCOUNT]);
    b.set(&a, COIN, Some(TERMS), credit(0)).await.unwrap();
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 101)).await, [Code::SUSPENDED]);
    assert_eq!(b.deliver(&numbered(&b, &a, 1, 100)).await, []);
    assert_eq!(b.covered_and_float().unwrap(), (sum(0), sum(10_000)));
}

#[tokio::test]
async fn a_sum_that_no_ledger_counts_is_refused_even_without_limits() {
    let (b, a) = strangers().await;
    let limits = Limits { credit_limit: Amount::MAX, window: None };
    b.set(&a, COIN, Some(TERMS), limits).await.unwrap();
    let worth = |amount| {
        let mut fields = incoming(&b, &a, 1);
        fields.value.as_mut().unwrap().amount = amount;
        Message::new(fields).unwrap()
    };
    let most = Amount::from(u128::MAX);
    let beyond = most.checked_add(sum(1)).unwrap();
    assert_eq!(b.simulated(&worth(beyond)).await.code, Code::VALUE_MAX);
    assert_eq!(b.simulated(&worth(Amount::MAX)).await.code, Code::VALUE_MAX);
    assert_eq!(b.simulated(&worth(most)).await.code, Code::SUSPENDED, "the vault is short");
    assert_eq!(b.simulate(&worth(sum(10_000))).await.unwrap(), Simulation::Passes);
    assert_eq!(b.simulated(&worth(sum(10_001))).await.code, Code::SUSPENDED);
}
