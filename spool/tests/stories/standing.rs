//! Standing: moved by events with their causes, kept within bounds; and what proofs say of a source.

use distpos_proto::{
    standing::{Happening, Standing, Subject},
    time::UnixMillis,
};
use distpos_spool::{Prover, STANDING_ENTRIES_MAX, STANDING_GATEWAYS_MAX, Spool, StandingEntry};

use crate::support::{chain, engines, message, read, transact};

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn note(spool: &Spool, who: &str, what: Happening, at: u64) -> Option<StandingEntry> {
    let who = subject(who);
    transact(spool, move |tx| tx.note_standing(&who, what, &format!("at {at}"), UnixMillis(at)))
        .unwrap()
}

fn score(spool: &Spool, who: &str, now: u64) -> u32 {
    read(spool, |tx| tx.standing(&subject(who), UnixMillis(now))).unwrap().thousandths()
}

#[test]
fn events_move_a_subject_and_nobody_else_and_the_journal_says_why() {
    for (spool, _directory) in engines() {
        let (gateway, other) = ("b2@gw1.b2.test:7333", "b2@gw1.b2.test:73");
        assert_eq!(score(&spool, gateway, HOUR), 50_000);
        note(&spool, gateway, Happening::InvalidProof, HOUR).unwrap();
        note(&spool, "b2", Happening::InvalidProof, HOUR).unwrap();
        assert_eq!(note(&spool, gateway, Happening::InvalidProof, 2 * HOUR - 1), None, "too soon");
        let last = note(&spool, gateway, Happening::ProvenInTime, 8 * DAY).unwrap();
        assert_eq!((last.number, last.at), (2, UnixMillis(8 * DAY)));
        assert_eq!(note(&spool, gateway, Happening::Spam, 8 * DAY), None, "is no gateway's doing");
        let found = [gateway, other, "b2", "b3"].map(|who| score(&spool, who, HOUR));
        assert_eq!(found, [last.after.thousandths(), 50_000, 48_000, 50_000]);

        let entries = read(&spool, |tx| tx.standing_entries(&subject(gateway), 9)).unwrap();
        assert_eq!(entries[0], last);
        let first = &entries[1];
        assert_eq!(
            (first.happening, first.cause.as_str()),
            (Happening::InvalidProof, "at 3600000")
        );
        assert_eq!((first.before.thousandths(), first.after.thousandths()), (50_000, 40_000));
        // What lies between two entries is time: the journal adds up.
        assert_eq!(first.after.at(last.at), last.before);
        assert_eq!(entries.len(), 2);
        let all = read(&spool, |tx| tx.standings()).unwrap();
        let names: Vec<String> = all.iter().map(|(who, _)| who.to_string()).collect();
        assert_eq!(names, ["b2", gateway]);
    }
}

#[test]
fn an_outage_counts_when_it_begins_and_ends_with_an_answer() {
    for (spool, _directory) in engines() {
        let silent = |at: u64| {
            let work = move |tx: &mut distpos_spool::Tx<'_>| {
                tx.note_silent(&subject("b2@gw1:1"), "no connection", UnixMillis(at))
            };
            transact(&spool, work).unwrap().is_some()
        };
        let answered = || transact(&spool, |tx| tx.note_answered(&subject("b2@gw1:1"))).unwrap();
        answered();
        assert_eq!(read(&spool, |tx| tx.standings()).unwrap(), [], "nothing to note");
        assert!(silent(HOUR));
        assert!(!silent(HOUR + 10_000) && !silent(9 * DAY), "the same outage");
        answered();
        assert!(silent(9 * DAY));
        answered();
        assert!(!silent(9 * DAY + HOUR / 2), "comes and goes");
        let row = read(&spool, |tx| tx.standing_row(&subject("b2@gw1:1"))).unwrap().unwrap();
        assert_eq!(row.silent_since, Some(UnixMillis(9 * DAY + HOUR / 2)));
        assert_eq!(row.entries, 2);
    }
}

#[test]
fn a_journal_and_the_names_of_a_chain_stay_within_bounds() {
    let spool = Spool::in_memory();
    let more = STANDING_ENTRIES_MAX + 5;
    for n in 0..more {
        note(&spool, "b2", Happening::GuaranteeDefault, n).unwrap();
    }
    let entries = read(&spool, |tx| tx.standing_entries(&subject("b2"), usize::MAX)).unwrap();
    assert_eq!(entries.len() as u64, STANDING_ENTRIES_MAX);
    assert_eq!((entries[0].number, entries[999].number), (more, 6));

    note(&spool, "b2@bad:1", Happening::InvalidProof, 0).unwrap();
    for n in 0..3 * STANDING_GATEWAYS_MAX {
        note(&spool, &format!("b2@gw{n}:1"), Happening::Timeout, 0).unwrap();
        note(&spool, "b3@gw0:1", Happening::Timeout, n as u64);
    }
    let all = read(&spool, |tx| tx.standings()).unwrap();
    assert_eq!(all.len(), 1 + STANDING_GATEWAYS_MAX + 1);
    assert_eq!(score(&spool, "b2@bad:1", 0), 40_000, "whoever is worst known is kept");
    let forgotten = read(&spool, |tx| tx.standing_entries(&subject("b2@gw0:1"), 9)).unwrap();
    assert_eq!(forgotten, []);
}

#[test]
fn a_long_cause_is_cut_and_a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    let spool = Spool::open(&path).unwrap();
    let cause = format!("\n{}", "ä".repeat(300));
    transact(&spool, move |tx| {
        tx.note_standing(&subject("b2"), Happening::SequenceGap, &cause, UnixMillis(7))
    })
    .unwrap();
    drop(spool);
    let spool = Spool::open(&path).unwrap();
    let entries = read(&spool, |tx| tx.standing_entries(&subject("b2"), 9)).unwrap();
    assert_eq!(entries[0].cause, format!(" {}", "ä".repeat(99)));
    assert_eq!(entries[0].after, Standing::from_parts(45_000, 0).unwrap());
}

#[test]
fn who_proved_a_message_is_known_until_it_ends() {
    for (spool, _directory) in engines() {
        let id = message("b2", "a1", 1, 0).id();
        let [first, second] = [("gw1:1", true), ("gw2:1", false)]
            .map(|(gateway, in_time)| Prover { gateway: gateway.into(), in_time });
        let kept = first.clone();
        transact(&spool, move |tx| {
            tx.put_prover(&id, &first)?;
            tx.put_prover(&id, &second)
        })
        .unwrap();
        assert_eq!(read(&spool, |tx| tx.prover(&id)).unwrap(), Some(kept.clone()));
        assert_eq!(transact(&spool, move |tx| tx.take_prover(&id)).unwrap(), Some(kept));
        assert_eq!(read(&spool, |tx| tx.prover(&id)).unwrap(), None);
    }
}

#[test]
fn a_gap_in_what_a_source_proves_is_given_once() {
    for (spool, _directory) in engines() {
        let prove = |source: &'static str, sequences: &'static [u64], at: u64| {
            transact(&spool, move |tx| {
                for sequence in sequences {
                    let proven = message(source, "a1", *sequence, 0);
                    tx.note_proven(chain(source), &[&proven], UnixMillis(at))?;
                }
                Ok(())
            })
            .unwrap();
        };
        prove("b2", &[4, 5, 9, 7], 0);
        prove("c3", &[1, 2, 4, 3], 0);
        let overdue = |at: u64| read(&spool, |tx| tx.overdue(UnixMillis(at))).unwrap();
        assert_eq!(overdue(3 * HOUR - 1), []);
        assert_eq!(overdue(3 * HOUR), [chain("b2")]);
        let gaps = |at: u64| {
            let gaps = transact(&spool, move |tx| tx.take_gaps(chain("b2"), UnixMillis(at)));
            gaps.unwrap().iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>()
        };
        assert_eq!(gaps(3 * HOUR), [(6, 6), (8, 8)]);
        // What is proven together has no order; a source begun anew has no past.
        let again = [9, 8, 7].map(|n| message("d4", "a1", n, 0));
        transact(&spool, move |tx| {
            tx.note_proven(chain("d4"), &again.each_ref(), UnixMillis(0))?;
            let mut anew = again[2].fields().clone();
            (anew.source_tag.0, anew.sequence) = ([9; 8], 1);
            let anew = distpos_proto::message::Message::new(anew).unwrap();
            tx.note_proven(chain("d4"), &[&anew], UnixMillis(0))
        })
        .unwrap();
        prove("b2", &[6], 3 * HOUR);
        assert_eq!((overdue(99 * DAY), gaps(99 * DAY)), (vec![], vec![]));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever happens, at whatever times: each entry begins where the one before it ended and
    /// time took it, and the last one is the score.
    #[test]
    fn the_journal_always_adds_up(steps in proptest::collection::vec((0usize..8, 0u64..400), 1..60)) {
        let spool = Spool::in_memory();
        let mut now = 0;
        for (which, hours) in steps {
            now += hours * HOUR / 10;
            note(&spool, "b2", Happening::ALL[which], now);
        }
        let mut entries = read(&spool, |tx| tx.standing_entries(&subject("b2"), 99)).unwrap();
        entries.reverse();
        let mut last = Standing::new(UnixMillis(0));
        for (number, entry) in (1..).zip(&entries) {
            assert_eq!((entry.number, entry.before), (number, last.at(entry.at)));
            let weight = entry.happening.weight(subject("b2").kind());
            let moved = entry.after.thousandths() as i32 - entry.before.thousandths() as i32;
            let is_bound = [0, 100_000].contains(&entry.after.thousandths());
            assert!(moved == weight || is_bound && moved.abs() < weight.abs(), "{entry:?}");
            last = entry.after;
        }
        let row = read(&spool, |tx| tx.standing_row(&subject("b2"))).unwrap().unwrap();
        assert_eq!((row.standing, row.entries), (last, entries.len() as u64));
    }
}
