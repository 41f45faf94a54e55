//! What survives: stopping at any place, damaged files, other people's files.

use std::{fs, path::Path, sync::atomic::Ordering};

use distpos_proto::{chain::GenesisTag, message::Message};
use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::chain::{
    ChainError, ChainEvent, LocalChain,
    ledger::{
        Genesis, Ledger, LedgerError,
        block::Block,
        state::{
            AccountRow, Correspondent, Guard, IncludedRow, OpenAsset, Peer, Row, Sent, Totals,
        },
        store::{Commit, Store},
        transaction::{self, Action, Place, SignedTransaction},
    },
};

fn open(directory: &Path, genesis: Genesis) -> Result<Ledger, LedgerError> {
    Ledger::open(directory, genesis, vec![key(AUTHORITY)], held_clock().0)
}

fn town(directory: &Path) -> Town {
    let ledger = open(directory, genesis("e2e4")).unwrap().into();
    Town { ledger, hand: held_clock().1 }
}

#[tokio::test]
async fn a_ledger_goes_on_where_it_was_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Town::new(genesis("b1c2"));
    let first = town(directory.path());
    first.trust(&peer, COIN, window(1_000, 60)).await;
    first.deposit(BOB, &peer, 40).await.unwrap();
    let (height, message) = first.sent(ALICE, order("b1c2xsomebody")).await;
    let delivery = Message::new(incoming(&first, &peer, 10)).unwrap();
    assert_eq!(first.deliver(&delivery).await, []);
    let accounts = first.correspondents().unwrap();
    assert_eq!(accounts.len(), 1);
    let covers = first.covered_and_float().unwrap();
    assert_eq!(covers, (sum(30), sum(10_000)));
    let (head, history) = (first.head().await.unwrap(), first.everything().await);
    let second = open(directory.path(), genesis("e2e4")).unwrap_err();
    assert!(matches!(second, LedgerError::Locked(_)), "{second}");
    drop(first);

    let again = town(directory.path());
    assert_eq!((again.head().await.unwrap(), again.everything().await), (head, history));
    assert_eq!(again.correspondents().unwrap(), accounts);
    assert_eq!(again.covered_and_float().unwrap(), covers);
    assert_eq!(again.proven_to(height, &[message.id()]).await[0].message(), &message);
    assert_eq!(again.deliver(&delivery).await, [], "the guard remembers");
    assert_eq!(again.holds(ALICE), 910);
    let (_, next) = again.sent(ALICE, order("b1c2xsomebody")).await;
    assert_eq!(next.fields().sequence, 2);
    let refund = Action::End(vec![(message.id(), distpos_proto::receipt::EndingKind::Refund)]);
    again.act(refund).await.unwrap();
    assert_eq!(again.with(&peer).figures.pending_out, sum(100), "of the second alone");
    assert_eq!(again.events().await.pop(), Some(ChainEvent::Refunded { id: message.id() }));
    assert_eq!(again.total().unwrap(), sum(11_500));
}

#[tokio::test]
async fn a_copy_taken_between_two_blocks_opens_at_one_of_them() {
    // What a power loss leaves behind, as far as a copy of the file can show: a state that was
    // committed, whole, and nothing in between.
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (running, peer) = (town(directory.path()), Town::new(genesis("b1c2")));
    running.trust(&peer, COIN, window(1_000, 60)).await;
    for round in 1..=5 {
        running.deposit(BOB, &peer, 7).await.unwrap();
        assert_eq!(running.deliver(&numbered(&running, &peer, round, 3)).await, []);
        running.send(ALICE, order("b1c2xsomebody")).await.unwrap();
        let (from, to) = (directory.path(), copy.path());
        fs::copy(from.join("ledger.redb"), to.join("ledger.redb")).unwrap();
        let after = town(to);
        assert_eq!(after.head().await.unwrap(), running.head().await.unwrap());
        assert_eq!(after.total().unwrap(), sum(11_500));
        assert_eq!(after.pots().unwrap().0, sum(100 * round));
        assert_eq!(after.correspondents().unwrap(), running.correspondents().unwrap());
        assert_eq!(after.covered_and_float().unwrap(), (sum(4 * round), sum(10_000)));
    }
}

#[tokio::test]
async fn another_genesis_or_a_stranger_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(town(directory.path()));
    let mut richer = genesis("e2e4");
    richer.float = sum(10_001);
    let refused = open(directory.path(), richer).unwrap_err();
    assert!(matches!(refused, LedgerError::OtherGenesis { .. }), "{refused}");
    let with = |keys| Ledger::in_memory(genesis("e2e4"), keys, held_clock().0).unwrap_err();
    assert!(matches!(with(vec![]), LedgerError::NoAuthority));
    let stranger = with(vec![key(AUTHORITY), key(ALICE)]);
    assert!(matches!(stranger, LedgerError::Authority(found) if found == key(ALICE).public()));
}

#[tokio::test]
async fn a_genesis_that_makes_no_chain_is_refused() {
    let begin = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis = genesis("e2e4");
        change(&mut genesis);
        Ledger::in_memory(genesis, vec![key(AUTHORITY)], held_clock().0).unwrap_err()
    };
    let most = distpos_proto::amount::Amount::from(u128::MAX);
    for refused in [
        begin(&|genesis| genesis.float = most),
        begin(&|genesis| {
            genesis.accounts.insert("typing-error".parse().unwrap(), sum(1));
        }),
        begin(&|genesis| {
            genesis.authorities.extend((0..16).map(|seed| key(seed).public()));
        }),
    ] {
        assert!(matches!(refused, LedgerError::Genesis(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_never_a_panic_or_other_money() {
    let directory = tempfile::tempdir().unwrap();
    let running = town(directory.path());
    for _ in 0..3 {
        running.send(ALICE, order("b1c2xsomebody")).await.unwrap();
    }
    drop(running);
    let file = directory.path().join("ledger.redb");
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        open(directory.path(), genesis("e2e4")).err()
    };
    assert!(matches!(refused(b"not a database at all"), Some(LedgerError::Engine(_))));
    assert!(refused(&whole[..whole.len() / 2]).is_some());
    // Somewhere in the middle of the pages, one bit at a time: refused, or free space.
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        match open(directory.path(), genesis("e2e4")) {
            Err(_) => noticed += 1,
            Ok(ledger) => assert_eq!(ledger.total().unwrap(), sum(11_500), "byte {at}"),
        }
    }
    assert!(noticed > 0, "no damage was noticed in 97 places");
    assert!(refused(&whole).is_none(), "the whole file still opens");
}

#[tokio::test]
async fn a_full_disk_delays_and_loses_nothing() {
    let (store, full) = crate::chain::ledger::store::tests::on_a_disk();
    let ledger = Ledger::with_store(store, genesis("e2e4"), vec![key(AUTHORITY)], held_clock().0);
    let town = Town { ledger: ledger.unwrap().into(), hand: held_clock().1 };
    town.transfer(ALICE, BOB, 1).await.unwrap();
    let place = town.place(ALICE).await;
    let bytes = transaction::send(place, order("b1c2xsomebody"), &key(ALICE));
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = town.user(bytes.clone()).await.unwrap_err();
        assert!(matches!(refused, ChainError::Store(_)) && refused.is_temporary(), "{refused}");
    }
    full.store(false, Ordering::SeqCst);
    town.user(bytes.clone()).await.unwrap();
    town.user(bytes).await.unwrap();
    assert_eq!((town.holds(ALICE), town.pots().unwrap().0), (899, sum(100)));
    assert_eq!(town.everything().await.len(), 1);
    assert_eq!(town.total().unwrap(), sum(11_500));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200), at in any::<usize>()) {
        read_all(&bytes);
        // Nearly right ones reach further into the readers.
        let place = Place { chain: chain("e2e4"), tag: GenesisTag([1; 8]), nonce: 1 };
        let mut near = transaction::send(place, order("b1c2xsomebody"), &key(ALICE));
        let at = at % near.len();
        near.splice(at.., bytes.iter().copied());
        read_all(&near);
    }
}

fn read_all(bytes: &[u8]) {
    let _ = SignedTransaction::from_bytes(bytes);
    let _ = Block::from_bytes(0, bytes);
    let _ = AccountRow::from_bytes(bytes);
    let _ = Guard::from_bytes(bytes);
    let _ = Sent::from_bytes(bytes);
    let _ = Peer::from_bytes(bytes);
    let _ = IncludedRow::from_bytes(bytes);
    let _ = Correspondent::from_bytes(bytes);
    let _ = Correspondent::read_key(bytes);
    let _ = OpenAsset::from_bytes(bytes);
    let _ = Totals::from_bytes(bytes);
}

#[tokio::test]
async fn a_row_that_nobody_wrote_is_named_and_the_rest_goes_on() {
    let store = Store::in_memory().unwrap();
    let ledger = Ledger::with_store(store, genesis("e2e4"), vec![key(AUTHORITY)], held_clock().0);
    let town = Town { ledger: ledger.unwrap().into(), hand: held_clock().1 };
    let mut row = vec![AccountRow::KIND];
    row.extend(AccountRow::key(&key(ALICE).public()));
    let changes = [(row, vec![0xff])].into();
    let block = town.store.snapshot().unwrap().newest().unwrap().unwrap().1;
    let commit = Commit { height: 0, block: &block, transactions: &[], changes: &changes };
    town.store.commit(&commit).unwrap();
    let found = town.balance(&local(ALICE)).unwrap_err();
    assert!(matches!(&found, ChainError::Store(text) if text.contains("account row")), "{found}");
    let place = town.place(BOB).await;
    let pay = transaction::transfer(place, &local(ALICE), sum(1), &key(BOB)).unwrap();
    assert!(matches!(town.user(pay).await, Err(ChainError::Store(_))));
    assert_eq!(town.holds(BOB), 500);
    town.send(BOB, order("b1c2xsomebody")).await.unwrap();
}
