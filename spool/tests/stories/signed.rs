//! The gateway's own transactions: kept by account and number, as signed.

use distpos_proto::{amount::Amount, time::UnixMillis};
use distpos_spool::{ATTEMPTS_MAX, Attempt, SignedTransaction, Spool, SpoolError};

use crate::support::{engines, read, transact};

fn transaction(attempts: u8) -> SignedTransaction {
    SignedTransaction {
        created: UnixMillis(7),
        gas_limit: 21_000,
        to: Some([4; 20]),
        value: Amount::from(u64::MAX),
        input: vec![1, 2, 3],
        attempts: (0..attempts)
            .map(|n| Attempt {
                raw: vec![n; 100],
                fee_max: u128::MAX - u128::from(n),
                tip: n.into(),
            })
            .collect(),
    }
}

#[test]
fn a_transaction_is_found_by_account_and_number_until_it_is_forgotten() {
    for (spool, _directory) in engines() {
        let maker = SignedTransaction { to: None, input: Vec::new(), ..transaction(1) };
        let (first, second) = (transaction(1), maker.clone());
        transact(&spool, move |tx| {
            tx.put_signed([1; 20], 300, &first);
            tx.put_signed([2; 20], 5, &first);
            tx.put_signed([1; 20], 4, &second);
            Ok(())
        })
        .unwrap();
        // A replacement goes in place of what was there, with what was signed before in it.
        transact(&spool, |tx| {
            tx.put_signed([1; 20], 300, &transaction(2));
            tx.remove_signed([2; 20], 5);
            Ok(())
        })
        .unwrap();
        let all = read(&spool, |tx| tx.all_signed()).unwrap();
        assert_eq!(all, [([1; 20], 4, maker), ([1; 20], 300, transaction(2))]);
        assert_eq!(read(&spool, |tx| tx.signed([1; 20], 300)), Ok(Some(transaction(2))));
        assert_eq!(read(&spool, |tx| tx.signed([2; 20], 5)), Ok(None));
    }
}

#[test]
fn a_row_with_as_many_attempts_as_there_can_be_is_read_and_a_longer_one_is_no_row() {
    for (spool, _directory) in engines() {
        let most = u8::try_from(ATTEMPTS_MAX).unwrap();
        transact(&spool, move |tx| {
            tx.put_signed([1; 20], 1, &transaction(most));
            tx.put_signed([1; 20], 2, &transaction(most + 1));
            Ok(())
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.signed([1; 20], 1)), Ok(Some(transaction(most))));
        let longer = read(&spool, |tx| tx.signed([1; 20], 2));
        assert!(matches!(longer, Err(SpoolError::Corrupt { table: "signed", .. })), "{longer:?}");
    }
}

#[test]
fn a_spool_from_before_there_were_signed_transactions_is_opened_and_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path()).unwrap();
    transact(&spool, |tx| {
        tx.meta_set("of", b"yesterday");
        Ok(())
    })
    .unwrap();
    drop(spool);
    // Tables are made when they are first written to: this file is as it was before.
    let file = redb::Database::open(directory.path().join("spool.redb")).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&file).unwrap();
    let tables = reading.list_tables().unwrap();
    assert!(tables.into_iter().all(|table| redb::TableHandle::name(&table) != "signed"));
    drop((reading, file));
    let spool = Spool::open(directory.path()).unwrap();
    assert_eq!(read(&spool, |tx| tx.all_signed()), Ok(Vec::new()));
    transact(&spool, |tx| {
        tx.put_signed([1; 20], 1, &transaction(1));
        Ok(())
    })
    .unwrap();
    drop(spool);
    let spool = Spool::open(directory.path()).unwrap();
    assert_eq!(read(&spool, |tx| tx.signed([1; 20], 1)), Ok(Some(transaction(1))));
    assert_eq!(read(&spool, |tx| tx.meta_get("of")), Ok(Some(b"yesterday".to_vec())));
}
