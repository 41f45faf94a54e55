//! Group commit: all or nothing, in one order, answered after the flush.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, task::Poll};

use distpos_proto::{
    chain::{BlockHash, Height},
    time::UnixMillis,
};
use distpos_spool::{BatchId, Cursor, Spool, SpoolError, State, Tx};

use crate::support::{
    Inbound, Outbound, batch, chain, change, engines, put, read, runtime, transact,
};

/// An error of a caller, beside the spool's own.
#[derive(Debug, PartialEq)]
enum Failure {
    Changed(&'static str),
    Spool(SpoolError),
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

fn cursor(height: u64) -> Cursor {
    Cursor { height: Height(height), block: BlockHash([0; 32]) }
}

#[test]
fn a_closure_that_fails_leaves_nothing() {
    for (spool, _directory) in engines() {
        let kept = put(&spool, batch(Outbound, "b2", 1, 1..=2, 100), 0).unwrap();
        let before = read(&spool, |tx| tx.batches(Outbound, None, 9)).unwrap();
        let failed = runtime().block_on(spool.transact(move |tx| {
            tx.put(batch(Outbound, "b2", 2, 3..=5, 100), UnixMillis(9))?;
            tx.split(Outbound, kept, &[1], change(State::Held, None), UnixMillis(9))?;
            tx.remove(Outbound, kept)?;
            tx.set_cursor(cursor(9));
            assert_eq!(tx.cursor()?, Some(cursor(9)), "it sees what it does");
            Err::<(), _>(Failure::Changed("its mind"))
        }));
        assert_eq!(failed, Err(Failure::Changed("its mind")));
        read(&spool, |tx| {
            assert_eq!(tx.batches(Outbound, None, 9)?, before);
            assert_eq!(tx.count_for(Outbound, chain("b2"), State::Queued)?, 2);
            assert_eq!(tx.cursor()?, None);
            Ok(())
        })
        .unwrap();
        assert_eq!(put(&spool, batch(Outbound, "b2", 2, 3..=3, 0), 0), Ok(BatchId(2)));
    }
}

#[test]
fn a_closure_that_panics_does_so_in_its_caller_and_leaves_nothing() {
    for (spool, _directory) in engines() {
        let call = || {
            transact(&spool, |tx: &mut Tx<'_>| -> Result<(), SpoolError> {
                tx.set_cursor(cursor(9));
                panic!("as told");
            })
        };
        let panic = std::panic::catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as told"));
        assert_eq!(read(&spool, |tx| tx.cursor()), Ok(None));
        assert_eq!(put(&spool, batch(Outbound, "b2", 1, 1..=1, 0), 0), Ok(BatchId(1)));
    }
}

#[test]
fn of_many_tasks_every_one_is_kept_whole_or_not_at_all() {
    const TASKS: u64 = 400;
    for (spool, _directory) in engines() {
        let answers =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let answers: Vec<_> = answers.block_on(async {
            let tasks = (1..=TASKS).map(|number| {
                let spool = spool.clone();
                tokio::spawn(async move {
                    let work = move |tx: &mut Tx<'_>| {
                        let first = number * 10;
                        let new = batch(Inbound, "b2", number, first..=first + 1, 50);
                        let id = tx.put(new, UnixMillis(number))?;
                        let height = tx.cursor()?.map_or(0, |cursor| cursor.height.0);
                        tx.set_cursor(cursor(height + 1));
                        if number % 3 == 0 { Err(Failure::Changed("its mind")) } else { Ok(id) }
                    };
                    spool.transact(work).await
                })
            });
            let mut answers = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                answers.push(task.await.unwrap());
            }
            answers
        });
        let kept = TASKS - TASKS / 3;
        read(&spool, |tx| {
            for (number, answer) in (1..).zip(&answers) {
                let Ok(id) = answer else {
                    assert_eq!(number % 3, 0);
                    assert_eq!(*answer, Err(Failure::Changed("its mind")));
                    continue;
                };
                let batch = tx.batch(Inbound, *id)?.unwrap();
                assert_eq!((batch.height, batch.items.len()), (Height(number), 2));
                assert_eq!(tx.messages(Inbound, *id)?.len(), 2);
            }
            // Each saw the cursor of the one before, and no number was lost to a failure.
            assert_eq!(tx.cursor()?, Some(cursor(kept)));
            assert_eq!(tx.count_for(Inbound, chain("b2"), State::Claimed)?, kept * 2);
            let batches = tx.batches(Inbound, None, usize::MAX)?;
            assert_eq!(batches.last().unwrap().id, BatchId(kept));
            Ok(())
        })
        .unwrap();
        assert_eq!(spool.stats().transactions, TASKS);
    }
}

#[test]
fn on_disk_those_who_wait_share_a_commit() {
    let [_, (spool, _directory)] = engines();
    runtime().block_on(async {
        // All are handed over before the first is awaited: while the committer is busy with the
        // first, the others gather.
        let mut calls: Vec<_> = (1..=64u64)
            .map(|number| {
                Box::pin(spool.transact(move |tx| {
                    tx.put(batch(Inbound, "b2", number, [number], 0), UnixMillis(0))
                }))
            })
            .collect();
        std::future::poll_fn(|context| {
            for call in &mut calls {
                assert!(matches!(call.as_mut().poll(context), Poll::Pending | Poll::Ready(Ok(_))));
            }
            Poll::Ready(())
        })
        .await;
    });
    let commits = || spool.stats().commits;
    // The calls were dropped, not undone: whoever comes next comes after them.
    put(&spool, batch(Inbound, "b2", 99, [99], 0), 0).unwrap();
    assert_eq!(read(&spool, |tx| tx.count_for(Inbound, chain("b2"), State::Claimed)), Ok(65));
    assert!(commits() < 65, "{} commits for 65 closures", commits());
}

#[test]
fn in_memory_a_closure_runs_at_once_on_its_caller() {
    let spool = Spool::in_memory();
    let here = std::thread::current().id();
    let mut call =
        pin!(spool.transact(move |_| Ok::<_, SpoolError>(std::thread::current().id() == here)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(call.as_mut().poll(&mut context), Poll::Ready(Ok(true)));
}

#[test]
fn a_read_sees_one_moment() {
    for (spool, _directory) in engines() {
        put(&spool, batch(Outbound, "b2", 1, 1..=1, 0), 0).unwrap();
        let writer = spool.clone();
        read(&spool, |tx| {
            put(&writer, batch(Outbound, "b2", 2, 2..=2, 0), 0)?;
            assert_eq!(tx.batches(Outbound, None, 9)?.len(), 1);
            assert_eq!(tx.count_for(Outbound, chain("b2"), State::Queued)?, 1);
            Ok(())
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.batches(Outbound, None, 9)).unwrap().len(), 2);
    }
}

#[test]
fn a_change_of_the_due_order_wakes_who_waits_for_this_direction() {
    for (spool, _directory) in engines() {
        runtime().block_on(async {
            let (out, inwards) = (spool.changed(Outbound), spool.changed(Inbound));
            let new = batch(Outbound, "b2", 1, 1..=1, 0);
            spool.transact(move |tx| tx.put(new, UnixMillis(0))).await.unwrap();
            // Nobody waited: the wake-up is kept.
            out.notified().await;
            let mut nothing = pin!(inwards.notified());
            let polled =
                std::future::poll_fn(|context| Poll::Ready(nothing.as_mut().poll(context)));
            assert_eq!(polled.await, Poll::Pending);
        });
    }
}
