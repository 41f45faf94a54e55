//! Accounts are the sum of their journals, kept by chain and asset, and what waits for room stands
//! in the order in which it was sent.

use distpos_proto::{
    account::{AccountError, Bucket, Limits, Shortage, Step, Window},
    amount::Amount,
    chain::Height,
    message::{Asset, MessageId, TermsHash},
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{Act, Entry, Reserved, SpoolError, Waiting};

use crate::support::{chain, engines, entry, read, transact};

fn sum(amount: u64) -> Amount {
    Amount::from(amount)
}

fn coin() -> Asset {
    "a1/coin".parse().unwrap()
}

fn set() -> Step {
    let window = Some(Window { max: sum(500), seconds: 60 });
    Step::Set { terms: Some(TermsHash([3; 32])), limits: Limits { credit_limit: sum(9), window } }
}

#[test]
fn an_account_is_the_sum_of_its_journal_and_no_neighbours() {
    for (spool, _directory) in engines() {
        let (b2, id) = (chain("b2"), MessageId([4; 32]));
        assert_eq!(read(&spool, |tx| tx.account(b2, &coin())), Ok(None));
        let steps = [
            set(),
            Step::Deposit(sum(100)),
            Step::Withdraw(sum(20)),
            Step::Reserve(sum(30)),
            Step::Release(sum(10)),
            Step::Commit { amount: sum(20), reserved: true },
            Step::Commit { amount: sum(1), reserved: false },
            Step::Lock(sum(7)),
            Step::Close { amount: sum(3), locked: true },
            Step::Close { amount: sum(1), locked: false },
            Step::Refund(sum(4)),
        ];
        let entries: Vec<Entry> = steps
            .iter()
            .map(|step| Entry::of(*step, id, Some(Height(7)), UnixMillis(5_000)))
            .chain([
                Entry { act: Act::Suspend, by: "uid 1000".into(), ..entry(set()) },
                Entry { act: Act::Resume, why: "it was a mistake".into(), ..entry(set()) },
                Entry { act: Act::Suspend, why: "again".into(), ..entry(set()) },
            ])
            .collect();
        let made = entries.clone();
        transact(&spool, move |tx| {
            for entry in &made {
                tx.enter(b2, &coin(), entry, UnixSeconds(5))?.unwrap();
            }
            // A name that starts alike is another account.
            let other = "a1/coin2".parse().unwrap();
            tx.enter(b2, &other, &entry(Step::Deposit(sum(1))), UnixSeconds(5))?.unwrap();
            Ok(())
        })
        .unwrap();
        let row = read(&spool, |tx| tx.account(b2, &coin())).unwrap().unwrap();
        let mut sums = distpos_proto::account::Account::default();
        for step in &steps {
            sums = sums.apply(step, UnixSeconds(5)).unwrap();
        }
        assert_eq!((row.account, row.entries), (sums, 14));
        assert_eq!(row.suspension.unwrap().why, "again");
        let journal = read(&spool, |tx| tx.entries(b2, &coin(), 1, 99)).unwrap();
        assert_eq!(
            journal.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            Vec::from_iter(1..=14)
        );
        assert_eq!(journal.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries);
        let page = read(&spool, |tx| tx.entries(b2, &coin(), 13, 1)).unwrap();
        assert_eq!((page.len(), page[0].0), (1, 13));
        assert_eq!(read(&spool, |tx| tx.accounts_with(b2)).unwrap().len(), 2);
        assert_eq!(read(&spool, |tx| tx.accounts_with(chain("b3"))).unwrap().len(), 0);
        assert_eq!(read(&spool, |tx| tx.accounts()).unwrap()[1].2.entries, 1);
    }
}

#[test]
fn an_entry_that_the_account_does_not_allow_leaves_no_line() {
    for (spool, _directory) in engines() {
        let refused = transact(&spool, |tx| {
            tx.enter(chain("b2"), &coin(), &entry(Step::Reserve(sum(1))), UnixSeconds(5))
        });
        let short = AccountError::Short(Shortage::Credit { room: Amount::ZERO });
        assert_eq!(refused, Ok(Err(short)));
        assert_eq!(read(&spool, |tx| tx.account(chain("b2"), &coin())), Ok(None));
        assert_eq!(read(&spool, |tx| tx.entries(chain("b2"), &coin(), 0, 9)), Ok(vec![]));
    }
}

#[test]
fn what_waits_for_room_stands_in_the_order_in_which_it_was_sent() {
    for (spool, _directory) in engines() {
        let b2 = chain("b2");
        let waiting = |sequence: u64| Waiting {
            sequence,
            id: MessageId([u8::try_from(sequence % 251).unwrap(); 32]),
            amount: sum(sequence),
        };
        transact(&spool, move |tx| {
            for sequence in [300, 2, 255, 1] {
                tx.put_waiting(b2, &coin(), waiting(sequence));
            }
            tx.put_waiting(b2, &"a1/coin2".parse().unwrap(), waiting(7));
            Ok(())
        })
        .unwrap();
        let row = |limit| read(&spool, |tx| tx.waiting(b2, &coin(), limit)).unwrap();
        assert_eq!(row(9), [1, 2, 255, 300].map(waiting));
        assert_eq!(row(1), [waiting(1)]);
        let taken = transact(&spool, move |tx| {
            Ok((tx.take_waiting(&waiting(2).id)?, tx.take_waiting(&waiting(2).id)?))
        });
        assert_eq!(taken, Ok((Some((b2, coin())), None)));
        assert_eq!(row(9), [1, 255, 300].map(waiting));
    }
}

#[test]
fn what_is_set_aside_is_taken_once_and_gas_is_kept_by_chain() {
    for (spool, _directory) in engines() {
        let (b2, id) = (chain("b2"), MessageId([4; 32]));
        let reserved = [Some((coin(), sum(5))), None].map(|value| Reserved { chain: b2, value });
        let bucket = Bucket { used: sum(77), at: UnixSeconds(3) };
        for reserved in reserved {
            let put = reserved.clone();
            transact(&spool, move |tx| {
                tx.put_reserved(&id, &put);
                tx.put_gas(b2, bucket);
                Ok::<_, SpoolError>(())
            })
            .unwrap();
            let take = || transact(&spool, move |tx| tx.take_reserved(&id));
            assert_eq!((take(), take()), (Ok(Some(reserved)), Ok(None)));
        }
        assert_eq!(read(&spool, |tx| tx.gas(b2)), Ok(bucket));
        assert_eq!(read(&spool, |tx| tx.gas(chain("b3"))), Ok(Bucket::default()));
    }
}
