//! The queue, operation by operation, on both engines.

use std::collections::BTreeMap;

use distpos_proto::{
    amount::Amount,
    code::{Code, Reply},
    time::{UnixMillis, UnixSeconds},
    wire::BATCH_MESSAGES_MAX,
};
use distpos_spool::{BatchId, Change, HISTORY_MAX, Place, SpoolError, State};

use crate::support::{
    Inbound, Outbound, batch, chain, change, due, engines, message, next_due, put, read, transact,
};

#[test]
fn a_batch_that_is_put_is_found_by_number_by_id_and_when_it_is_due() {
    for (spool, _directory) in engines() {
        let new = batch(Outbound, "b2", 9, 1..=3, 200);
        let sent = new.messages.clone();
        let id = put(&spool, new, 50).unwrap();
        assert_eq!(id, BatchId(1));
        read(&spool, |tx| {
            let found = tx.batch(Outbound, id)?.unwrap();
            assert_eq!((found.id, found.direction, found.peer), (id, Outbound, chain("b2")));
            assert_eq!((found.state, found.due), (State::Queued, Some(UnixMillis(0))));
            assert_eq!((found.since, found.created), (UnixMillis(50), UnixMillis(50)));
            assert_eq!((found.attempts, found.reply.as_ref()), (0, None));
            assert_eq!(found.history, [(State::Queued, UnixMillis(50))]);
            assert_eq!(found.expires(), UnixSeconds(2_000_001));
            let [_, second, _] = found.items.as_slice() else { panic!("{found:?}") };
            assert_eq!((second.index, second.sequence), (1, 2));
            assert_eq!((second.id, second.amount), (sent[1].message.id(), Amount::from(2u64)));
            assert_eq!(found.bytes(), sent.iter().map(|e| e.message.bytes().len() as u64).sum());
            assert_eq!(tx.messages(Outbound, id)?, sent);
            assert_eq!(tx.find(Outbound, &sent[2].message.id())?, Some((id, 2)));
            assert_eq!(due(tx, Outbound, UnixMillis(50))?, [found]);
            assert_eq!(tx.count_for(Outbound, chain("b2"), State::Queued)?, 3);
            // The other direction knows nothing of it.
            assert_eq!(tx.find(Inbound, &sent[2].message.id())?, None);
            assert_eq!(tx.batch(Inbound, id)?, None);
            assert_eq!(tx.count(Inbound)?, BTreeMap::new());
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn what_is_put_survives_being_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let new = batch(Inbound, "b2", 9, 1..=128, 600);
    let spool = distpos_spool::Spool::open(directory.path()).unwrap();
    put(&spool, new.clone(), 1).unwrap();
    drop(spool);
    let spool = distpos_spool::Spool::open(directory.path()).unwrap();
    let messages = read(&spool, |tx| tx.messages(Inbound, BatchId(1))).unwrap();
    assert_eq!(messages, new.messages);
    assert_eq!(put(&spool, batch(Inbound, "b2", 10, 129..=129, 0), 2), Ok(BatchId(2)));
}

#[test]
fn bodies_longer_than_a_row_come_back_whole() {
    for (spool, _directory) in engines() {
        let new = batch(Outbound, "b2", 9, 1..=3, 64 * 1024);
        let sent = new.messages.clone();
        let id = put(&spool, new, 0).unwrap();
        assert_eq!(read(&spool, |tx| tx.messages(Outbound, id)), Ok(sent));
    }
}

#[test]
fn a_batch_out_of_bounds_is_refused_with_what_was_found() {
    for (spool, _directory) in engines() {
        let refused = |new| match put(&spool, new, 0) {
            Err(SpoolError::Batch { found, expected }) => format!("{found}, {expected}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(batch(Outbound, "b2", 1, [], 0)), "0 messages, 1 to 128");
        let many = batch(Outbound, "b2", 1, 1..=BATCH_MESSAGES_MAX as u64 + 1, 0);
        assert_eq!(refused(many), "129 messages, 1 to 128");
        let large = refused(batch(Outbound, "b2", 1, 1..=5, 60_000));
        assert!(large.ends_with("bytes, at most 262144"), "{large}");
        let mut other = batch(Outbound, "b2", 1, 1..=2, 0);
        other.messages[1].origin.height.0 = 2;
        assert_eq!(refused(other), "a message of block 2, block 1");
        let mut other = batch(Outbound, "b2", 1, 1..=2, 0);
        other.messages[1].message = message("a1", "c3", 9, 0);
        assert_eq!(refused(other), "a message whose peer is chain c3, chain b2");
        let mut twice = batch(Outbound, "b2", 1, 1..=2, 0);
        twice.messages[1] = twice.messages[0].clone();
        let id = twice.messages[0].message.id();
        let duplicate = Err(SpoolError::Duplicate { direction: Outbound, id });
        assert_eq!(put(&spool, twice, 0), duplicate);
        // A replayed message is told apart by its id, whatever block it claims to be of.
        put(&spool, batch(Outbound, "b2", 1, 1..=1, 0), 0).unwrap();
        assert_eq!(put(&spool, batch(Outbound, "b2", 5, 1..=1, 0), 0), duplicate);
        let count = read(&spool, |tx| tx.count(Outbound)).unwrap();
        assert_eq!(count, BTreeMap::from([((chain("b2"), State::Queued), 1)]));
    }
}

#[test]
fn an_update_moves_due_entry_counter_and_history() {
    for (spool, _directory) in engines() {
        let id = put(&spool, batch(Outbound, "b2", 1, 1..=2, 0), 10).unwrap();
        let reply = Reply::new(Code::NO_ANSWER, "connection refused").retry_after(7);
        let deferred = Change {
            state: State::Queued,
            due: Some(UnixMillis(500)),
            attempts: 3,
            reply: Some(reply.clone()),
        };
        transact(&spool, move |tx| tx.update(Outbound, id, deferred, UnixMillis(20))).unwrap();
        let deferred = read(&spool, |tx| {
            assert_eq!(due(tx, Outbound, UnixMillis(499))?, []);
            assert_eq!(next_due(tx, Outbound)?, Some(UnixMillis(500)));
            Ok(due(tx, Outbound, UnixMillis(500))?.remove(0))
        })
        .unwrap();
        assert_eq!((deferred.attempts, deferred.reply), (3, Some(reply)));
        // The state is the old one, so it is still in it since the start.
        assert_eq!((deferred.since, deferred.history.len()), (UnixMillis(10), 1));

        let accepted = change(State::Accepted, None);
        transact(&spool, move |tx| tx.update(Outbound, id, accepted, UnixMillis(30))).unwrap();
        read(&spool, |tx| {
            assert_eq!(next_due(tx, Outbound)?, None);
            assert_eq!(tx.count_for(Outbound, chain("b2"), State::Queued)?, 0);
            assert_eq!(tx.count_for(Outbound, chain("b2"), State::Accepted)?, 2);
            let batch = tx.batch(Outbound, id)?.unwrap();
            assert_eq!(batch.since, UnixMillis(30));
            let ways = [(State::Queued, UnixMillis(10)), (State::Accepted, UnixMillis(30))];
            assert_eq!(batch.history, ways);
            Ok(())
        })
        .unwrap();
        let absent = SpoolError::Absent { direction: Outbound, batch: BatchId(9) };
        let nothing = change(State::Held, None);
        let updated =
            transact(&spool, move |tx| tx.update(Outbound, BatchId(9), nothing, UnixMillis(0)));
        assert_eq!(updated, Err(absent));
    }
}

#[test]
fn a_history_keeps_its_start_and_its_newest_entries() {
    let (spool, _) = engines().into_iter().next().unwrap();
    let id = put(&spool, batch(Inbound, "b2", 1, 1..=1, 0), 0).unwrap();
    for now in 1..=40 {
        let state = if now % 2 == 0 { State::Claimed } else { State::Held };
        let change = change(state, None);
        transact(&spool, move |tx| tx.update(Inbound, id, change, UnixMillis(now))).unwrap();
    }
    let history = read(&spool, |tx| tx.batch(Inbound, id)).unwrap().unwrap().history;
    assert_eq!(history.len(), HISTORY_MAX);
    assert_eq!(history[0], (State::Claimed, UnixMillis(0)));
    assert_eq!(history[1], (State::Claimed, UnixMillis(26)));
    assert_eq!(history[HISTORY_MAX - 1], (State::Claimed, UnixMillis(40)));
}

#[test]
fn a_split_takes_some_messages_into_a_batch_of_their_own() {
    for (spool, _directory) in engines() {
        let new = batch(Inbound, "b2", 4, 1..=5, 1000);
        let sent = new.messages.clone();
        let old = put(&spool, new, 10).unwrap();
        let (new, late) = (change(State::Voiding, Some(900)), UnixMillis(20));
        let apart = transact(&spool, move |tx| tx.split(Inbound, old, &[3, 1], new, late)).unwrap();
        assert_eq!(apart, BatchId(2));
        read(&spool, |tx| {
            let pick =
                |places: &[usize]| places.iter().map(|p| sent[*p].clone()).collect::<Vec<_>>();
            assert_eq!(tx.messages(Inbound, old)?, pick(&[0, 2, 4]));
            assert_eq!(tx.messages(Inbound, apart)?, pick(&[1, 3]));
            assert_eq!(tx.find(Inbound, &sent[3].message.id())?, Some((apart, 1)));
            assert_eq!(tx.find(Inbound, &sent[4].message.id())?, Some((old, 2)));
            let rest = tx.batch(Inbound, old)?.unwrap();
            assert_eq!((rest.state, rest.due), (State::Claimed, Some(UnixMillis(0))));
            let apart = tx.batch(Inbound, apart)?.unwrap();
            assert_eq!((apart.state, apart.due), (State::Voiding, Some(UnixMillis(900))));
            assert_eq!((apart.created, apart.since), (UnixMillis(10), late));
            assert_eq!(apart.history.len(), 2);
            let counts = [((chain("b2"), State::Claimed), 3), ((chain("b2"), State::Voiding), 2)];
            assert_eq!(tx.count(Inbound)?, BTreeMap::from(counts));
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_batch_split_down_to_one_message_keeps_that_ones_body() {
    for (spool, _directory) in engines() {
        let new = batch(Inbound, "b2", 4, 1..=12, 20_000);
        let sent = new.messages.clone();
        let old = put(&spool, new, 0).unwrap();
        for _ in 0..11 {
            let held = change(State::Held, None);
            transact(&spool, move |tx| tx.split(Inbound, old, &[0], held, UnixMillis(1))).unwrap();
        }
        read(&spool, |tx| {
            assert_eq!(tx.messages(Inbound, old)?, sent[11..]);
            for (apart, envelope) in (2..).zip(&sent[..11]) {
                let messages = tx.messages(Inbound, BatchId(apart))?;
                assert_eq!(messages.as_slice(), std::slice::from_ref(envelope));
            }
            assert_eq!(tx.count_for(Inbound, chain("b2"), State::Held)?, 11);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_split_of_all_is_an_update_and_one_of_nothing_is_refused() {
    for (spool, _directory) in engines() {
        let id = put(&spool, batch(Inbound, "b2", 4, 1..=2, 0), 0).unwrap();
        let split = |positions: &'static [usize]| {
            let held = change(State::Held, None);
            transact(&spool, move |tx| tx.split(Inbound, id, positions, held, UnixMillis(1)))
        };
        let wrong = |found: &str| {
            Err(SpoolError::Batch { found: found.into(), expected: "positions below 2".into() })
        };
        assert_eq!(split(&[]), wrong("no position to split at"));
        assert_eq!(split(&[0, 2]), wrong("no message at position 2"));
        assert_eq!(split(&[1, 0, 1]), Ok(id));
        let batch = read(&spool, |tx| tx.batch(Inbound, id)).unwrap().unwrap();
        assert_eq!((batch.state, batch.items.len()), (State::Held, 2));
    }
}

#[test]
fn a_batch_that_is_removed_leaves_nothing_and_its_messages_may_come_again() {
    for (spool, _directory) in engines() {
        let new = batch(Outbound, "b2", 1, 1..=4, 60_000);
        let message = new.messages[3].message.id();
        let id = put(&spool, new.clone(), 0).unwrap();
        transact(&spool, move |tx| tx.remove(Outbound, id)).unwrap();
        read(&spool, |tx| {
            assert_eq!(tx.batch(Outbound, id)?, None);
            assert_eq!(tx.messages(Outbound, id)?, []);
            assert_eq!(tx.find(Outbound, &message)?, None);
            assert_eq!(next_due(tx, Outbound)?, None);
            assert_eq!(tx.count(Outbound)?, BTreeMap::new());
            Ok(())
        })
        .unwrap();
        let absent = SpoolError::Absent { direction: Outbound, batch: id };
        assert_eq!(transact(&spool, move |tx| tx.remove(Outbound, id)), Err(absent));
        // Numbers are never used again.
        assert_eq!(put(&spool, new, 0), Ok(BatchId(2)));
    }
}

#[test]
fn what_is_due_comes_by_time_then_number_within_its_limits() {
    for (spool, _directory) in engines() {
        for (sequence, due) in [(1, 30), (2, 10), (3, 20), (4, 10), (5, 40)] {
            let mut new = batch(Outbound, "b2", sequence, [sequence], 1000);
            new.due = Some(UnixMillis(due));
            put(&spool, new, 0).unwrap();
        }
        // Another peer with an older batch, and another state of the same peer, are not in the way.
        put(&spool, batch(Outbound, "c3", 1, [6], 10), 0).unwrap();
        let group = (chain("b2"), State::Queued);
        let due = |now, batches_max, bytes_max| {
            let due =
                read(&spool, |tx| tx.due(Outbound, group, UnixMillis(now), batches_max, bytes_max));
            due.unwrap().into_iter().map(|batch| batch.id.0).collect::<Vec<_>>()
        };
        assert_eq!(due(9, 9, u64::MAX), [0; 0]);
        assert_eq!(due(30, 9, u64::MAX), [2, 4, 3, 1]);
        assert_eq!(due(u64::MAX, 9, u64::MAX), [2, 4, 3, 1, 5]);
        assert_eq!(due(30, 3, u64::MAX), [2, 4, 3]);
        assert_eq!(due(30, 9, 3000), [2, 4]);
        assert_eq!(due(30, 9, 0), [2]);
        let ids = |after, limit| {
            let batches = read(&spool, |tx| tx.batches(Outbound, after, limit)).unwrap();
            batches.into_iter().map(|batch| batch.id.0).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, 2), [1, 2]);
        assert_eq!(ids(Some(BatchId(2)), 9), [3, 4, 5, 6]);
    }
}

#[test]
fn what_is_being_worked_on_is_passed_over() {
    for (spool, _directory) in engines() {
        for (sequence, due) in [(1, 30), (2, 10), (3, 20), (4, 10), (5, 40)] {
            let mut new = batch(Outbound, "b2", sequence, [sequence], 1000);
            new.due = Some(UnixMillis(due));
            put(&spool, new, 0).unwrap();
        }
        let group = (chain("b2"), State::Queued);
        let due = |now, limits, under_way: &[u64]| {
            let under_way = under_way.iter().map(|id| BatchId(*id)).collect();
            read(&spool, |tx| {
                let due = tx.due_beside(Outbound, group, UnixMillis(now), limits, &under_way)?;
                Ok(due.into_iter().map(|batch| batch.id.0).collect::<Vec<_>>())
            })
            .unwrap()
        };
        assert_eq!(due(30, (9, u64::MAX), &[2, 3]), [4, 1]);
        assert_eq!(due(30, (1, u64::MAX), &[2, 4]), [3]);
        assert_eq!(due(30, (9, 0), &[2]), [4]);
        assert_eq!(due(30, (9, u64::MAX), &[1, 2, 3, 4]), [0; 0]);
        let next = |now| read(&spool, |tx| tx.next_due_after(Outbound, group, UnixMillis(now)));
        assert_eq!(next(9), Ok(Some(UnixMillis(10))));
        assert_eq!(next(10), Ok(Some(UnixMillis(20))));
        assert_eq!(next(40), Ok(None));
    }
}

#[test]
fn what_waits_for_a_chain_is_hastened_in_pieces_and_what_waits_for_something_else_is_not() {
    for (spool, _directory) in engines() {
        let away = || Some(Reply::new(Code::NO_ANSWER, "gw1: nobody there"));
        let full = || Some(Reply::new(Code::SPOOL_FULL, "come back tomorrow"));
        // Seven at one moment, as a job that failed leaves them; one sooner, one for another reason.
        for sequence in 1..=9 {
            let id = put(&spool, batch(Outbound, "b2", sequence, [sequence], 10), 0).unwrap();
            let (due, reply) = match sequence {
                3 => (90, away()),
                5 => (500, full()),
                _ => (500, away()),
            };
            let change = Change { reply, ..change(State::Queued, Some(due)) };
            transact(&spool, move |tx| tx.update(Outbound, id, change, UnixMillis(1))).unwrap();
        }
        put(&spool, batch(Outbound, "c3", 1, [10], 10), 0).unwrap();
        let group = (chain("b2"), State::Queued);
        let (mut place, mut rounds) = (Some(Place::all_until(UnixMillis(100))), 0);
        while let Some(from) = place {
            place = transact(&spool, move |tx| {
                let applies = |reply: Option<&Reply>| {
                    reply.is_some_and(|reply| reply.code == Code::NO_ANSWER)
                };
                tx.hasten(Outbound, group, UnixMillis(100), (from, 3), applies)
            })
            .unwrap();
            rounds += 1;
        }
        assert_eq!(rounds, 3);
        let now = UnixMillis(100);
        let due = read(&spool, |tx| tx.due(Outbound, group, now, 99, u64::MAX)).unwrap();
        let due: Vec<_> = due.iter().map(|batch| (batch.id.0, batch.due.unwrap().0)).collect();
        let hastened = [1, 2, 4, 6, 7, 8, 9].map(|id| (id, 100));
        assert_eq!(due, [&[(3, 90)], &hastened[..]].concat());
        let next = read(&spool, |tx| tx.next_due_after(Outbound, group, now));
        assert_eq!(next, Ok(Some(UnixMillis(500))), "the one that was told to wait waits");
    }
}
