//! Cursor, headers, ends, notes: on both engines.

use distpos_proto::{
    chain::{BlockHash, GenesisTag, Height},
    code::Code,
    header::{Header, HeaderHash},
    light::Known,
    receipt::{Call, EndingKind, Outcome},
    time::{UnixMillis, UnixSeconds},
    trust::DnsTrust,
};
use distpos_spool::{Cursor, End, KNOWN_HEADERS_MAX, Old, SpoolError, State, Tx};

use crate::support::{Inbound, Outbound, chain, dns_trust, engines, message, read, transact};

fn header(height: u64, root: u8) -> Header {
    Header {
        chain: chain("a1"),
        tag: GenesisTag([1; 8]),
        height: Height(height),
        block: BlockHash([3; 32]),
        time: UnixSeconds(1_000),
        previous: HeaderHash::NONE,
        key_set: [4; 32],
        leaf_count: 2,
        root: [root; 32],
    }
}

#[test]
fn the_cursor_moves() {
    for (spool, _directory) in engines() {
        assert_eq!(read(&spool, |tx| tx.cursor()), Ok(None));
        let cursor = Cursor { height: Height(7), block: BlockHash([9; 32]) };
        let moved = transact(&spool, move |tx| {
            tx.set_cursor(cursor);
            tx.cursor()
        });
        assert_eq!(moved, Ok(Some(cursor)));
        assert_eq!(read(&spool, |tx| tx.cursor()), Ok(Some(cursor)));
    }
}

#[test]
fn a_second_header_for_one_height_is_an_equivocation() {
    for (spool, _directory) in engines() {
        let leaves = vec![[5; 32], [6; 32]];
        let put = |header: Header, leaves: &[[u8; 32]]| {
            let leaves = leaves.to_vec();
            transact(&spool, move |tx| tx.put_own_header(&header, &leaves))
        };
        assert_eq!(put(header(7, 1), &leaves), Ok(()));
        assert_eq!(put(header(7, 1), &leaves), Ok(()), "the same again is no change");
        let (held, offered) = (header(7, 1).hash(), header(7, 2).hash());
        let equivocation = SpoolError::Equivocation { height: Height(7), held, offered };
        assert_eq!(put(header(7, 2), &leaves), Err(equivocation));
        let equivocation = SpoolError::Equivocation { height: Height(7), held, offered: held };
        assert_eq!(put(header(7, 1), &[[6; 32], [5; 32]]), Err(equivocation), "other leaves");
        let on_record = read(&spool, |tx| tx.own_header(Height(7)));
        assert_eq!(on_record, Ok(Some((header(7, 1), leaves))));
    }
}

#[test]
fn own_headers_are_listed_by_height() {
    for (spool, _directory) in engines() {
        assert_eq!(read(&spool, |tx| tx.last_own_header()), Ok(None));
        transact(&spool, |tx| {
            [3, 300, 9].iter().try_for_each(|h| tx.put_own_header(&header(*h, 0), &[]))
        })
        .unwrap();
        read(&spool, |tx| {
            assert_eq!(tx.last_own_header()?, Some(header(300, 0)));
            let heights = |from, to, limit| {
                let headers = tx.own_headers(Height(from), Height(to), limit)?;
                Ok::<_, SpoolError>(headers.iter().map(|h| h.height.0).collect::<Vec<_>>())
            };
            assert_eq!(heights(0, u64::MAX, 9)?, [3, 9, 300]);
            assert_eq!(heights(4, 300, 1)?, [9]);
            assert_eq!(heights(4, 299, 9)?, [9]);
            assert_eq!(heights(10, 4, 9)?, [0; 0]);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_foreign_header_is_known_by_height_and_by_predecessor_and_the_first_stands() {
    let hash = |byte| HeaderHash([byte; 32]);
    for (spool, _directory) in engines() {
        let put = |chain_id: &str, height, this, previous| {
            let chain_id = chain(chain_id);
            transact(&spool, move |tx| {
                tx.put_known(chain_id, Height(height), hash(this), hash(previous))
            })
        };
        put("b2", 5, 1, 8).unwrap();
        put("b2", 5, 1, 8).unwrap();
        put("c3", 5, 2, 8).unwrap();
        let known = |chain_id, height, previous| {
            read(&spool, |tx| tx.known(chain(chain_id), Height(height), hash(previous))).unwrap()
        };
        let at = |byte| Some(hash(byte));
        assert_eq!(known("b2", 5, 8), Known { at_height: at(1), after_previous: at(1) });
        assert_eq!(known("b2", 6, 8), Known { at_height: None, after_previous: at(1) });
        assert_eq!(known("b2", 6, 1), Known::default());
        assert_eq!(known("c3", 5, 9), Known { at_height: at(2), after_previous: None });
        let height = Height(5);
        let fork = SpoolError::Equivocation { height, held: hash(1), offered: hash(3) };
        assert_eq!(put("b2", 5, 3, 4), Err(fork));
        let height = Height(6);
        let fork = SpoolError::Equivocation { height, held: hash(1), offered: hash(3) };
        assert_eq!(put("b2", 6, 3, 8), Err(fork));
        // Gateways begin to attest at different blocks: two first headers contradict nothing.
        put("d4", 5, 1, 0).unwrap();
        put("d4", 6, 2, 0).unwrap();
        assert_eq!(known("d4", 7, 0), Known::default());
    }
}

#[test]
fn only_the_newest_foreign_headers_stay() {
    let (spool, _) = engines().into_iter().next().unwrap();
    let name = |number: u64| {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        HeaderHash(bytes)
    };
    transact(&spool, move |tx| {
        tx.put_known(chain("c3"), Height(1), name(1), name(0))?;
        (1..=KNOWN_HEADERS_MAX + 2)
            .try_for_each(|n| tx.put_known(chain("b2"), Height(n), name(n), name(n - 1)))
    })
    .unwrap();
    read(&spool, |tx| {
        assert_eq!(tx.known(chain("b2"), Height(2), name(1))?, Known::default());
        let third = Known { at_height: Some(name(3)), after_previous: Some(name(3)) };
        assert_eq!(tx.known(chain("b2"), Height(3), name(2))?, third);
        assert_eq!(tx.known(chain("c3"), Height(1), name(9))?.at_height, Some(name(1)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_end_is_noted_and_taken_back() {
    for (spool, _directory) in engines() {
        let delivered = message("b2", "a1", 1, 0).id();
        let refused = message("b2", "a1", 2, 0).id();
        let end = |outcome| End {
            peer: chain("b2"),
            outcome,
            settled: None,
            at: UnixMillis(70),
            history: vec![(State::Claimed, UnixMillis(1)), (State::Ended, UnixMillis(60))],
        };
        let there = end(Some(Outcome::Delivered {
            height: Height(8),
            transaction: vec![1, 2],
            call: Call::Failed,
        }));
        let void = end(Some(Outcome::Refused { code: Code::EXPIRED, text: "too late".into() }));
        let closed = End { settled: Some(EndingKind::Close), ..end(None) };
        let (there_copy, void_copy, closed_copy) = (there.clone(), void.clone(), closed.clone());
        transact(&spool, move |tx| {
            tx.set_ended(Inbound, &delivered, &there_copy)?;
            tx.set_ended(Outbound, &delivered, &closed_copy)?;
            tx.set_ended(Inbound, &refused, &void_copy)
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.ended(Inbound, &delivered)), Ok(Some(there)));
        assert_eq!(read(&spool, |tx| tx.ended(Inbound, &refused)), Ok(Some(void)));
        assert_eq!(read(&spool, |tx| tx.ended(Outbound, &delivered)), Ok(Some(closed)));
        assert_eq!(read(&spool, |tx| tx.ended(Outbound, &refused)), Ok(None));
        transact(&spool, move |tx| tx.unset_ended(Inbound, &delivered)).unwrap();
        assert_eq!(read(&spool, |tx| tx.ended(Inbound, &delivered)), Ok(None));
    }
}

#[test]
fn the_oldest_ends_are_forgotten_first() {
    for (spool, _directory) in engines() {
        let id = |sequence| message("b2", "a1", sequence, 0).id();
        let end = |at| End {
            peer: chain("b2"),
            outcome: Some(Outcome::Refused { code: Code::EXPIRED, text: String::new() }),
            settled: None,
            at: UnixMillis(at),
            history: vec![],
        };
        let prune = |before, limit| {
            let old = Old { before: UnixMillis(before), untaken_before: UnixMillis(0) };
            let prune = move |tx: &mut Tx<'_>| tx.prune_ended(Inbound, &old, None, limit);
            transact(&spool, prune).unwrap().forgotten
        };
        transact(&spool, move |tx| {
            (1..=5).try_for_each(|n| tx.set_ended(Inbound, &id(n), &end(n * 10)))?;
            // Ended once more, in a later block: its age is that of the last end.
            tx.set_ended(Inbound, &id(1), &end(60))
        })
        .unwrap();
        assert_eq!(prune(0, 9), 0);
        assert_eq!(prune(40, 1), 1);
        assert_eq!(prune(40, 9), 1);
        let left = |n| read(&spool, |tx| tx.ended(Inbound, &id(n))).unwrap().is_some();
        assert_eq!([1, 2, 3, 4, 5].map(left), [true, false, false, true, true]);
        assert_eq!(prune(u64::MAX, 9), 3);
        assert!(![1, 4, 5].into_iter().any(left));
    }
}

#[test]
fn a_frozen_chain_stays_frozen_for_its_first_reason_until_thawed() {
    for (spool, _directory) in engines() {
        transact(&spool, |tx| {
            tx.set_frozen(chain("b2"), b"two headers")?;
            tx.set_frozen(chain("b2"), b"another thing")
        })
        .unwrap();
        let first = b"two headers".to_vec();
        assert_eq!(read(&spool, |tx| tx.frozen(chain("b2"))), Ok(Some(first.clone())));
        assert_eq!(read(&spool, |tx| tx.frozen_chains()), Ok(vec![(chain("b2"), first)]));
        transact(&spool, |tx| {
            tx.thaw(chain("b2"));
            Ok(())
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.frozen(chain("b2"))), Ok(None));
    }
}

#[test]
fn what_dns_told_of_a_chain_is_kept_until_it_is_forgotten() {
    for (spool, _directory) in engines() {
        let (first, second) = (dns_trust("_distpos.b2.a.test"), dns_trust("_distpos.b2.b.test"));
        let put = |state: DnsTrust| {
            let set = transact(&spool, move |tx| {
                tx.set_dns_trust(chain("b2"), &state);
                Ok(())
            });
            set.unwrap();
        };
        assert_eq!(read(&spool, |tx| tx.dns_trust(chain("b2"))), Ok(None));
        put(first);
        put(second.clone());
        assert_eq!(read(&spool, |tx| tx.dns_trust(chain("b2"))), Ok(Some(second.clone())));
        assert_eq!(read(&spool, |tx| tx.dns_trusts()), Ok(vec![(chain("b2"), second)]));
        let forget = |tx: &mut Tx<'_>| {
            tx.forget_dns_trust(chain("b2"));
            Ok(())
        };
        transact(&spool, forget).unwrap();
        assert_eq!(read(&spool, |tx| tx.dns_trusts()), Ok(vec![]));
    }
}

#[test]
fn a_chain_is_seen_from_the_first_time_on_and_notes_are_kept_apart() {
    for (spool, _directory) in engines() {
        transact(&spool, |tx| {
            tx.set_seen(chain("b2"), UnixMillis(5))?;
            tx.set_seen(chain("b2"), UnixMillis(9))?;
            tx.meta_set("cursor", b"a note, not the cursor");
            tx.meta_set("pin/b2", &[]);
            Ok(())
        })
        .unwrap();
        read(&spool, |tx| {
            assert_eq!(tx.seen(chain("b2"))?, Some(UnixMillis(5)));
            assert_eq!(tx.seen(chain("c3"))?, None);
            assert_eq!(tx.cursor()?, None);
            assert_eq!(tx.meta_get("cursor")?.as_deref(), Some(&b"a note, not the cursor"[..]));
            assert_eq!(tx.meta_get("pin/b2")?, Some(vec![]));
            Ok(())
        })
        .unwrap();
        transact(&spool, |tx| {
            tx.meta_remove("pin/b2");
            Ok(())
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.meta_get("pin/b2")), Ok(None));
    }
}
