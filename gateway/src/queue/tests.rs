//! What each verb does in each state.

use super::*;

const NOW: UnixMillis = UnixMillis(5_000);

fn found(verb: Verb, direction: Direction, state: State) -> String {
    let reply = Some(Reply::new(Code::NO_ANSWER, "nobody there"));
    let before = Change { state, due: Some(UnixMillis(9_000)), attempts: 7, reply };
    match rule(verb, direction, before, NOW, (UnixMillis(8_000), "why")) {
        Ok(Act::Become(change)) => {
            let due = change.due.map_or_else(|| "-".to_owned(), |due| due.0.to_string());
            format!("{} {due} {}", change.state, change.attempts)
        }
        Ok(Act::Remove) => "removed".to_owned(),
        Ok(Act::GiveUp) => "given up".to_owned(),
        Err(why) => format!("! {why}"),
    }
}

/// Whoever changes a line of this changes what happens to money: see `docs/queue.md`.
#[test]
fn each_verb_does_to_each_state_what_the_page_says() {
    use Direction::{Inbound, Outbound};
    let chain = "! it is with the own chain, which decides";
    let theirs = "! the other chain has it: only its receipt says how it ends";
    let held = "! it is held: release it";
    let room = "! it waits for room in its account: `account show` says what would free it";
    let locked = "! its sender's value is locked in the outbox: hold it, or let it end";
    let source = "! it is another chain's: its source refunds it, on a receipt from here";
    let over = "! it has ended; its receipt is on the way back";
    let not = "! it is not held";
    let out = [State::Queued, State::Accepted, State::Closing, State::Refunding, State::Held];
    let table: [(Verb, [&str; 5]); 6] = [
        (
            Verb::Flush,
            ["queued 5000 7", "accepted 5000 7", "closing 5000 7", "refunding 5000 7", held],
        ),
        (Verb::Hold, ["held 8000 0", theirs, chain, chain, "held 8000 0"]),
        (Verb::Release, [not, not, not, not, "queued 5000 0"]),
        (Verb::Requeue, ["queued 5000 0", "queued 5000 0", chain, chain, held]),
        (
            Verb::Expire,
            ["given up", theirs, chain, chain, "! it is held: release it, and expire it then"],
        ),
        (Verb::Drop, [locked, theirs, chain, chain, locked]),
    ];
    for (verb, expected) in table {
        for (state, expected) in out.into_iter().zip(expected) {
            assert_eq!(found(verb, Outbound, state), expected, "{verb:?} {state}");
        }
    }
    let inward = [
        State::Claimed,
        State::Suspended,
        State::Delivering,
        State::Voiding,
        State::Ended,
        State::Held,
    ];
    let table: [(Verb, [&str; 6]); 6] = [
        (
            Verb::Flush,
            [
                "claimed 5000 7",
                "suspended 5000 7",
                "delivering 5000 7",
                "voiding 5000 7",
                "ended 5000 7",
                held,
            ],
        ),
        (Verb::Hold, ["held 8000 0", room, chain, chain, over, "held 8000 0"]),
        (Verb::Release, [not, not, not, not, not, "claimed 5000 0"]),
        (Verb::Requeue, ["claimed 5000 0", room, chain, chain, "ended 5000 0", held]),
        (Verb::Expire, [source, source, chain, chain, over, source]),
        (Verb::Drop, ["removed", room, chain, chain, "removed", "removed"]),
    ];
    for (verb, expected) in table {
        for (state, expected) in inward.into_iter().zip(expected) {
            assert_eq!(found(verb, Inbound, state), expected, "{verb:?} {state}");
        }
    }
}

#[test]
fn a_cursor_is_read_back_and_others_are_refused() {
    let cursor = Cursor { direction: Direction::Inbound, after: 7, until: [9, u64::MAX] };
    assert_eq!(cursor.to_string(), "in-7-9-18446744073709551615");
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for wrong in ["", "in", "in-1-2", "up-1-2-3", "in-1-2-3-4", "in--1-2-3", "in-1-2-x"] {
        assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
    }
}
