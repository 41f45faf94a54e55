//! Accounts, transfers, nonces, signatures.

use distpos_proto::{amount::Amount, code::Code};

use super::support::*;
use crate::chain::{
    ChainError, LocalChain,
    ledger::{Included, TransactionId, transaction},
};

#[tokio::test]
async fn a_transfer_moves_money_to_an_open_account_and_to_no_other() {
    let town = Town::new(genesis("e2e4"));
    town.transfer(ALICE, BOB, 300).await.unwrap();
    assert_eq!((town.holds(ALICE), town.holds(BOB)), (700, 800));
    // A typing error that happens to be a key swallows nothing.
    assert_eq!(code(town.transfer(ALICE, CAROL, 1).await), Code::UNKNOWN_RECIPIENT);
    town.opened(CAROL).await;
    town.transfer(ALICE, CAROL, 1).await.unwrap();
    assert_eq!((town.holds(ALICE), town.holds(CAROL)), (699, 1));
    assert_eq!(town.total().unwrap(), sum(11_500));
    assert_eq!(town.balance(&local(9)).unwrap(), None);
}

#[tokio::test]
async fn nobody_spends_more_than_he_has() {
    let town = Town::new(genesis("e2e4"));
    let before = town.head().await.unwrap();
    assert_eq!(code(town.transfer(ALICE, BOB, 1_001).await), Code::POLICY);
    assert_eq!(code(town.transfer(ALICE, BOB, 0).await), Code::MALFORMED);
    let place = town.place(ALICE).await;
    for beyond in [Amount::from(u128::MAX), Amount::from_word([255; 32])] {
        let bytes = transaction::transfer(place, &local(BOB), beyond, &key(ALICE)).unwrap();
        assert_eq!(code(town.user(bytes).await), Code::POLICY);
    }
    assert_eq!(code(town.transfer(CAROL, BOB, 1).await), Code::UNKNOWN_RECIPIENT);
    assert_eq!(town.head().await.unwrap(), before, "a refusal makes no block");
    town.transfer(ALICE, BOB, 1_000).await.unwrap();
    assert_eq!((town.holds(ALICE), town.holds(BOB)), (0, 1_500));
    town.transfer(BOB, BOB, 1_500).await.unwrap();
    assert_eq!(town.holds(BOB), 1_500);
}

#[tokio::test]
async fn a_transaction_counts_once_and_only_in_its_turn() {
    let town = Town::new(genesis("e2e4"));
    let place = town.place(ALICE).await;
    let pay = |nonce, amount| {
        let place = transaction::Place { nonce, ..place };
        transaction::transfer(place, &local(BOB), sum(amount), &key(ALICE)).unwrap()
    };
    let first = pay(0, 10);
    town.user(first.clone()).await.unwrap();
    let head = town.head().await.unwrap();
    // The same bytes again, because the answer got lost: known, and done once.
    let again = town.user(first.clone()).await.unwrap();
    let id = transaction::transaction_id(&first).unwrap();
    assert_eq!(again.transaction, id.0);
    assert_eq!(town.head().await.unwrap(), head);
    let included = Included { height: head.height, message: None };
    assert_eq!(town.included(&id).unwrap(), Some(included));
    assert_eq!(town.included(&TransactionId([0; 32])).unwrap(), None);
    assert_eq!(code(town.user(pay(0, 20)).await), Code::POLICY, "a used number");
    assert_eq!(code(town.user(pay(2, 20)).await), Code::POLICY, "a number to come");
    town.user(pay(1, 20)).await.unwrap();
    assert_eq!(town.holds(BOB), 530);
}

#[tokio::test]
async fn another_chains_transaction_is_refused() {
    let (town, other) = (Town::new(genesis("e2e4")), Town::new(genesis("b1c2")));
    let mut anew = genesis("e2e4");
    anew.time.0 += 1;
    let anew = Town::new(anew);
    assert_ne!(town.facts().tag, anew.facts().tag);
    for stranger in [other, anew] {
        let place = stranger.place(ALICE).await;
        let bytes = transaction::transfer(place, &local(BOB), sum(1), &key(ALICE)).unwrap();
        assert_eq!(code(town.user(bytes).await), Code::POLICY);
    }
    assert_eq!(town.holds(ALICE), 1_000);
}

#[tokio::test]
async fn an_account_is_opened_once_by_its_owner() {
    let town = Town::new(genesis("e2e4"));
    let place = town.place(CAROL).await;
    assert_eq!(town.account(&local(CAROL)).await.unwrap(), None);
    let wrong = transaction::Place { nonce: 1, ..place };
    assert_eq!(code(town.user(transaction::open(wrong, &key(CAROL))).await), Code::POLICY);
    town.opened(CAROL).await;
    let account = town.account(&local(CAROL)).await.unwrap().unwrap();
    assert_eq!((account.balance, account.nonce), (sum(0), 1));
    let again = town.place(CAROL).await;
    assert_eq!(code(town.user(transaction::open(again, &key(CAROL))).await), Code::POLICY);
    let genesis_account = town.place(ALICE).await;
    let opened = town.user(transaction::open(genesis_account, &key(ALICE))).await;
    assert_eq!(code(opened), Code::POLICY);
    assert_eq!(town.account(&"no-key".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn bytes_that_are_no_transaction_and_wrong_signatures_are_refused() {
    let town = Town::new(genesis("e2e4"));
    let place = town.place(ALICE).await;
    let bytes = transaction::transfer(place, &local(BOB), sum(1), &key(ALICE)).unwrap();
    assert_eq!(code(town.user(Vec::new()).await), Code::MALFORMED);
    assert_eq!(code(town.user(bytes[1..].to_vec()).await), Code::MALFORMED);
    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(town.user(forged).await), Code::SIGNATURE);
    assert_eq!(code(town.user(vec![0; transaction::BYTES_MAX + 1]).await), Code::TOO_BIG);
    assert_eq!(town.holds(ALICE), 1_000);
    let refused: ChainError = town.user(bytes[..9].to_vec()).await.unwrap_err();
    assert!(!refused.is_temporary());
}
