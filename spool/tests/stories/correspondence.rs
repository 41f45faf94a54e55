//! Papers of accounts, and the closed messages they are held against: on both engines.

use distpos_proto::{
    account::Step,
    amount::Amount,
    chain::{GenesisTag, Height},
    code::{Code, Reply},
    key::{KeySet, SecretKey},
    message::{Asset, MessageId, TermsHash},
    signed::Document,
    statement::{Closed, Comparison, Open, ReserveRequest, Statement},
    terms::{Backing, Side, Terms},
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{
    AgreedTerms, CHECKPOINT_ROWS_MAX, Entry, OwnTerms, RequestRow, Sending, Spool, StatementRow,
    Tally, TermsRow, TheirTerms, Unmatched,
};

use crate::support::{Inbound, Outbound, chain, engines, read, transact};

fn asset(text: &str) -> Asset {
    text.parse().unwrap()
}

fn sum(value: u64) -> Amount {
    Amount::from(value)
}

fn closed(count: u64, value: u64) -> Closed {
    Closed { count, sum: sum(value) }
}

fn terms() -> Terms {
    let side = |text, backing| Side { chain: chain(text), tag: GenesisTag([1; 8]), backing };
    let (here, there) = (side("a1", Backing::Coin), side("b2", Backing::Ledger));
    Terms::new(asset("a1/coin"), 18, here, there).unwrap()
}

fn statement(height: u64) -> Statement {
    Statement {
        maker: chain("b2"),
        peer: chain("a1"),
        asset: asset("a1/coin"),
        terms: Some(TermsHash([7; 32])),
        height: Height(height),
        count: 3,
        received: sum(90),
        reserve: sum(5),
        time: UnixSeconds(1_000),
    }
}

/// Notes that message `id` of this sum was closed, delivered at this height if that is known.
fn settle(spool: &Spool, id: u8, value: u64, height: Option<u64>) {
    transact(spool, move |tx| {
        let id = MessageId([id; 32]);
        tx.put_settled(chain("b2"), &asset("a1/coin"), &id, sum(value), height.map(Height));
        Ok(())
    })
    .unwrap();
}

/// Makes an entry of a step, allowed or not.
fn enter(spool: &Spool, step: Step) {
    transact(spool, move |tx| {
        let entry = Entry::of(step, MessageId([1; 32]), None, UnixMillis(1));
        tx.enter(chain("b2"), &asset("a1/coin"), &entry, UnixSeconds(1)).map(drop)
    })
    .unwrap();
}

fn up_to(spool: &Spool, height: u64) -> Option<Closed> {
    read(spool, |tx| tx.closed_up_to(chain("b2"), &asset("a1/coin"), Height(height))).unwrap()
}

#[test]
fn terms_are_kept_with_what_each_side_said() {
    let (here, there) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let reply = Reply::new(Code::NOT_NOW, "not signed here yet").retry_after(3600);
    let ours = OwnTerms {
        terms: terms(),
        at: UnixMillis(5),
        sending: Sending { due: Some(UnixMillis(9)), attempts: 2, taken: None, reply: Some(reply) },
    };
    let proposed = TermsRow { ours: Some(ours.clone()), ..TermsRow::default() };
    let agreed = TermsRow {
        ours: Some(OwnTerms { sending: Sending::default(), ..ours }),
        theirs: Some(TheirTerms { signed: terms().sign([&there]), at: UnixMillis(6) }),
        agreed: Some(AgreedTerms { signed: terms().sign([&here, &there]), at: UnixMillis(7) }),
    };
    for (spool, _directory) in engines() {
        let at = || (chain("b2"), asset("a1/coin"));
        let held = || read(&spool, |tx| tx.terms(at().0, &at().1)).unwrap();
        assert_eq!(held(), TermsRow::default());
        for row in [&proposed, &agreed] {
            let put = row.clone();
            transact(&spool, move |tx| {
                tx.put_terms(at().0, &at().1, &put);
                Ok(())
            })
            .unwrap();
            assert_eq!(held(), *row);
        }
        assert_eq!(proposed.agreed_hash(), None);
        assert_eq!(held().agreed_hash(), Some(terms().hash()));
        let all = read(&spool, |tx| tx.all_terms()).unwrap();
        assert_eq!(all, [(at().0, at().1, agreed.clone())]);
        let other = read(&spool, |tx| tx.terms(at().0, &asset("a1/coins"))).unwrap();
        assert_eq!(other, TermsRow::default(), "another account");
    }
}

#[test]
fn what_two_chains_of_sixteen_keys_agreed_to_is_read_again() {
    let keys: Vec<SecretKey> = (1..=32).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
    let agreed = TermsRow {
        theirs: Some(TheirTerms { signed: terms().sign(&keys[16..]), at: UnixMillis(6) }),
        agreed: Some(AgreedTerms { signed: terms().sign(&keys), at: UnixMillis(7) }),
        ..TermsRow::default()
    };
    for (spool, _directory) in engines() {
        let put = agreed.clone();
        transact(&spool, move |tx| {
            tx.put_terms(chain("b2"), &asset("a1/coin"), &put);
            Ok(())
        })
        .unwrap();
        let all = read(&spool, |tx| tx.all_terms()).unwrap();
        assert_eq!(all, [(chain("b2"), asset("a1/coin"), agreed.clone())]);
        let held = all[0].2.agreed.clone().unwrap().signed;
        for keys in keys.chunks(16) {
            let keys = KeySet::new(keys.iter().map(SecretKey::public), 16).unwrap();
            assert!(held.is_by(&keys), "both sides' can be shown");
        }
    }
}

#[test]
fn the_newest_statement_and_request_of_each_way_are_kept() {
    let key = SecretKey::from_seed(&[2; 32]);
    let made = StatementRow {
        statement: statement(9).sign([&key]),
        at: UnixMillis(1),
        comparison: None,
        unmatched: None,
        sending: Sending { taken: Some(UnixMillis(2)), ..Sending::at(UnixMillis(3)) },
    };
    let request = ReserveRequest {
        maker: chain("b2"),
        peer: chain("a1"),
        asset: asset("a1/coin"),
        terms: TermsHash([7; 32]),
        wanted: sum(50),
        by: UnixSeconds(9_000),
        time: UnixSeconds(1_000),
        reason: "strained".into(),
    };
    let asked = RequestRow {
        request: request.sign([&key]),
        at: UnixMillis(4),
        sending: Sending::default(),
    };
    let comparisons = [
        Comparison::Matches,
        Comparison::Awaits { count: 1, amount: sum(30) },
        Comparison::Differs { theirs: closed(3, 90), ours: closed(4, 90) },
    ];
    for (spool, _directory) in engines() {
        let at = || (chain("b2"), asset("a1/coin"));
        for comparison in comparisons {
            let came = StatementRow {
                comparison: Some(comparison),
                unmatched: Some(Unmatched {
                    since: UnixMillis(7),
                    differs_since: Some(UnixMillis(8)),
                    told: Some(comparison),
                }),
                ..made.clone()
            };
            let (put, sent, request) = (came.clone(), made.clone(), asked.clone());
            transact(&spool, move |tx| {
                tx.put_statement(Outbound, at().0, &at().1, &sent);
                tx.put_statement(Inbound, at().0, &at().1, &put);
                tx.put_reserve_request(Inbound, at().0, &at().1, &request);
                Ok(())
            })
            .unwrap();
            let held = |way| read(&spool, |tx| tx.statement(way, at().0, &at().1)).unwrap();
            assert_eq!((held(Outbound), held(Inbound)), (Some(made.clone()), Some(came.clone())));
            let all = read(&spool, |tx| tx.statements()).unwrap();
            let of = |way, row: &StatementRow| (way, at().0, at().1, row.clone());
            assert_eq!(all, [of(Outbound, &made), of(Inbound, &came)]);
        }
        let held = |way| read(&spool, |tx| tx.reserve_request(way, at().0, &at().1)).unwrap();
        assert_eq!((held(Outbound), held(Inbound)), (None, Some(asked.clone())));
        let all = read(&spool, |tx| tx.reserve_requests()).unwrap();
        assert_eq!(all, [(Inbound, at().0, at().1, asked.clone())]);
        transact(&spool, move |tx| {
            tx.remove_reserve_request(Inbound, at().0, &at().1);
            Ok(())
        })
        .unwrap();
        assert_eq!(held(Inbound), None);
    }
}

#[test]
fn closed_messages_are_summed_up_to_the_height_their_receipts_name() {
    for (spool, _directory) in engines() {
        assert_eq!(up_to(&spool, 0), Some(Closed::default()));
        settle(&spool, 1, 10, Some(5));
        settle(&spool, 2, 20, Some(5));
        settle(&spool, 3, 40, Some(256));
        let found = [4, 5, 255, 256, u64::MAX].map(|height| up_to(&spool, height).unwrap());
        assert_eq!(
            found,
            [closed(0, 0), closed(2, 30), closed(2, 30), closed(3, 70), closed(3, 70)]
        );
        // The same again is no second message; another chain's or asset's is another account's.
        settle(&spool, 3, 40, Some(256));
        transact(&spool, |tx| {
            let id = MessageId([9; 32]);
            tx.put_settled(chain("b2"), &asset("a1/coin2"), &id, sum(1), Some(Height(1)));
            tx.put_settled(chain("b3"), &asset("a1/coin"), &id, sum(1), Some(Height(1)));
            Ok(())
        })
        .unwrap();
        assert_eq!(up_to(&spool, 256), Some(closed(3, 70)));
    }
}

#[test]
fn after_a_match_what_was_closed_is_a_sum_that_late_receipts_still_add_to() {
    for (spool, _directory) in engines() {
        for (id, height) in [(1, 5), (2, 6), (3, 9)] {
            settle(&spool, id, 10, Some(height));
        }
        let matched = |height| {
            transact(&spool, move |tx| {
                tx.checkpoint(chain("b2"), &asset("a1/coin"), Height(height))
            })
            .unwrap();
        };
        matched(7);
        assert_eq!(up_to(&spool, 5), None, "cannot be taken apart any more");
        assert_eq!(up_to(&spool, 6), Some(closed(2, 20)));
        assert_eq!(up_to(&spool, 7), Some(closed(2, 20)));
        assert_eq!(up_to(&spool, 9), Some(closed(3, 30)));
        settle(&spool, 4, 5, Some(2));
        assert_eq!(up_to(&spool, 7), Some(closed(3, 25)));
        assert_eq!(up_to(&spool, 9), Some(closed(4, 35)));
        matched(9);
        matched(8);
        assert_eq!((up_to(&spool, 8), up_to(&spool, 9)), (None, Some(closed(4, 35))));
        matched(u64::MAX);
        assert_eq!(up_to(&spool, 9), Some(closed(4, 35)), "the peer may name any height");
        assert_eq!(
            read(&spool, |tx| tx.tally(chain("b2"), &asset("a1/coin"))),
            Ok(Tally::default())
        );
    }
}

#[test]
fn a_long_backlog_becomes_a_sum_piece_by_piece() {
    let (spool, _directory) = &engines()[1];
    let most = u64::try_from(CHECKPOINT_ROWS_MAX).unwrap();
    transact(spool, move |tx| {
        for number in 0..=most {
            let mut id = MessageId([0; 32]);
            id.0[..8].copy_from_slice(&number.to_be_bytes());
            tx.put_settled(chain("b2"), &asset("a1/coin"), &id, sum(2), Some(Height(number)));
        }
        Ok(())
    })
    .unwrap();
    let all = Some(closed(most + 1, 2 * (most + 1)));
    for least in [most - 1, most] {
        transact(spool, move |tx| tx.checkpoint(chain("b2"), &asset("a1/coin"), Height(most + 7)))
            .unwrap();
        assert_eq!(up_to(spool, least - 1), None);
        assert_eq!(up_to(spool, most + 7), all);
        assert!(up_to(spool, least).is_some());
    }
}

#[test]
fn what_a_sibling_closed_is_open_until_its_receipt_is_here() {
    for (spool, _directory) in engines() {
        let at = || (chain("b2"), asset("a1/coin"));
        settle(&spool, 1, 10, None);
        settle(&spool, 2, 20, None);
        transact(&spool, move |tx| {
            tx.put_settled(at().0, &asset("a1/other"), &MessageId([3; 32]), sum(1), None);
            tx.put_settled(chain("b3"), &at().1, &MessageId([4; 32]), sum(1), None);
            Ok(())
        })
        .unwrap();
        enter(&spool, Step::Lock(sum(7)));
        let open = || read(&spool, |tx| tx.open_towards(at().0, &at().1, sum(7))).unwrap();
        assert_eq!(open(), Open { count: 3, sum: sum(37) });
        assert_eq!(up_to(&spool, u64::MAX), Some(Closed::default()));
        let ids = read(&spool, |tx| tx.unplaced(at().0, None, 2)).unwrap();
        let rest = read(&spool, |tx| tx.unplaced(at().0, Some(&ids[0]), 9)).unwrap();
        assert!(!rest.contains(&ids[0]) && rest.contains(&ids[1]));
        assert_eq!(ids, [MessageId([1; 32]), MessageId([2; 32])]);
        let place = |id: u8, height| {
            transact(&spool, move |tx| tx.place_settled(at().0, &MessageId([id; 32]), height))
                .unwrap();
        };
        place(1, Height(8));
        place(1, Height(9));
        place(77, Height(8));
        assert_eq!(up_to(&spool, 8), Some(closed(1, 10)), "once, where it came first");
        assert_eq!(up_to(&spool, 9), Some(closed(1, 10)));
        assert_eq!(open(), Open { count: 2, sum: sum(27) });
    }
}

#[test]
fn an_account_counts_what_came_and_what_is_under_way() {
    let steps = [
        (Step::Lock(sum(5)), 0, 1),
        (Step::Lock(sum(6)), 0, 2),
        (Step::Lock(sum(7)), 0, 3),
        (Step::Deposit(sum(9)), 0, 3),
        (Step::Reserve(sum(9)), 0, 3),
        (Step::Commit { amount: sum(9), reserved: true }, 1, 3),
        (Step::Commit { amount: sum(9), reserved: false }, 2, 3),
        (Step::Close { amount: sum(5), locked: true }, 2, 2),
        (Step::Close { amount: sum(5), locked: false }, 2, 2),
        (Step::Refund(sum(6)), 2, 1),
    ];
    for (spool, _directory) in engines() {
        for (step, delivered, open) in steps {
            enter(&spool, step);
            let found = read(&spool, |tx| tx.tally(chain("b2"), &asset("a1/coin"))).unwrap();
            assert_eq!(found, Tally { delivered, open }, "{step:?}");
        }
        // What the account does not allow is not counted either.
        enter(&spool, Step::Refund(sum(999)));
        let found = read(&spool, |tx| tx.tally(chain("b2"), &asset("a1/coin"))).unwrap();
        assert_eq!(found, Tally { delivered: 2, open: 1 });
    }
}
