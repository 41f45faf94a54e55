//! Gateways that are killed again and again: every message ends, and ends once.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use distpos_examples::village::BALANCE;
use distpos_gateway::{
    chain::ledger::{Ended, Ledger},
    submit::Outcome,
};
use distpos_proto::{amount::Amount, message::MessageId};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{
    daemon::until,
    world::{Gateway, World, stranger_on},
};

/// How long the last messages may take after the last crash: a retry that was put off, and one
/// question for a receipt.
const TAIL_MAX: Duration = Duration::from_secs(240);

/// One message as its sender knows it.
struct Sent {
    id: MessageId,
    value: u64,
    /// Its recipient's account was never opened.
    to_nobody: bool,
}

/// How far the run is, for those who send and those who kill.
struct Pace {
    sent: AtomicUsize,
    kills: AtomicUsize,
    /// The counts of sent messages at which somebody is killed.
    at: Vec<usize>,
}

impl Pace {
    /// Whether the next message would leave the coming kill too far behind: all of the kills are
    /// to happen while messages are sent.
    fn is_too_early(&self) -> bool {
        const LEAD_MAX: usize = 10;
        let next = self.at.get(self.kills.load(Ordering::SeqCst));
        next.is_some_and(|at| self.sent.load(Ordering::SeqCst) >= at + LEAD_MAX)
    }
}

/// Of the random numbers: which gateway dies when, who is sent what. `DISTPOS_SEED` gives another.
const SEED: u64 = 2;
const MESSAGES: usize = 500;
const KILLS: usize = 20;

#[test]
fn killed_twenty_times_in_five_hundred_messages_nothing_is_lost_or_doubled() {
    let seed = std::env::var("DISTPOS_SEED").map_or(SEED, |text| text.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::running();
    let every = MESSAGES / (KILLS + 1);
    let at = (1..=KILLS).map(|kill| kill * every - random.random_range(0..every / 2)).collect();
    let pace = Pace { sent: AtomicUsize::new(0), kills: AtomicUsize::new(0), at };
    let [there, back] = [random.next_u64(), random.next_u64()];
    let (from_a, from_b) = thread::scope(|scope| {
        let (a, b, pace) = (&world.a, &world.b, &pace);
        let there = scope.spawn(move || send_all(a, b, there, pace));
        let back = scope.spawn(move || send_all(b, a, back, pace));
        kill_all(&world, pace, &mut random);
        (there.join().unwrap(), back.join().unwrap())
    });
    all_end_as_expected(&world, &from_a, &from_b);
    for gateway in [&world.a, &world.b] {
        println!("{}: {} KiB resident", gateway.village.chain, gateway.resident_kib());
        let (status, _) = gateway.terminate();
        assert_eq!(status.code(), Some(0), "{}", gateway.log());
    }
    books_are_right(&world.a, &from_a, &world.b, &from_b);
    books_are_right(&world.b, &from_b, &world.a, &from_a);
}

fn all_end_as_expected(world: &World, from_a: &[Sent], from_b: &[Sent]) {
    let last = Instant::now();
    for (gateway, sent) in [(&world.a, from_a), (&world.b, from_b)] {
        for message in sent {
            let left = TAIL_MAX.saturating_sub(last.elapsed());
            let view = gateway.message_when(message.id, left, |view| view.outcome.is_some());
            let expected = if message.to_nobody { Outcome::Refunded } else { Outcome::Delivered };
            assert_eq!(view.outcome, Some(expected), "{view:?}");
        }
    }
    println!("all {MESSAGES} ended {:?} after the last was sent", last.elapsed());
}

/// A user who sends one message after the other, whatever happens to the gateway meanwhile.
fn send_all(from: &Gateway, to: &Gateway, seed: u64, pace: &Pace) -> Vec<Sent> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = Vec::with_capacity(MESSAGES / 2);
    for nonce in 0..MESSAGES / 2 {
        until("somebody is killed", Duration::from_secs(120), || {
            (!pace.is_too_early()).then_some(())
        });
        let to_nobody = random.random_ratio(1, 6);
        let value = random.random_range(1..=20);
        let recipient = if to_nobody { stranger_on(to) } else { to.village.address() };
        let id = from.send(u64::try_from(nonce).unwrap(), &recipient, value);
        sent.push(Sent { id, value, to_nobody });
        pace.sent.fetch_add(1, Ordering::SeqCst);
    }
    sent
}

fn kill_all(world: &World, pace: &Pace, random: &mut StdRng) {
    let mut restarts = Vec::new();
    for at in &pace.at {
        until("enough is sent", Duration::from_secs(120), || {
            (pace.sent.load(Ordering::SeqCst) >= *at).then_some(())
        });
        let victim = if random.random() { &world.a } else { &world.b };
        thread::sleep(Duration::from_millis(random.random_range(0..150)));
        victim.kill();
        thread::sleep(Duration::from_millis(random.random_range(0..300)));
        restarts.push(victim.start());
        pace.kills.fetch_add(1, Ordering::SeqCst);
    }
    restarts.sort();
    println!(
        "ready again after SIGKILL: median {:?}, longest {:?}",
        restarts[restarts.len() / 2],
        restarts.last().unwrap()
    );
}

/// What one side's ledger must say after its own messages and the other's have ended.
fn books_are_right(own: &Gateway, sent: &[Sent], peer: &Gateway, received: &[Sent]) {
    let (ledger, theirs) = (own.ledger(), peer.ledger());
    let sum = |messages: &[Sent]| -> u64 {
        messages.iter().filter(|message| !message.to_nobody).map(|message| message.value).sum()
    };
    let balance = ledger.balance(&own.village.local()).unwrap();
    assert_eq!(balance, Some(Amount::from(BALANCE - sum(sent) + sum(received))));
    let (escrow, _) = ledger.pots().unwrap();
    assert_eq!(escrow, Amount::ZERO, "everything that left was closed or refunded");
    let supply = BALANCE + distpos_examples::village::FLOAT;
    assert_eq!(ledger.total().unwrap(), Amount::from(supply));
    for message in sent {
        guard_is_right(&theirs, message);
    }
}

fn guard_is_right(ledger: &Ledger, message: &Sent) {
    match ledger.ended(&message.id).unwrap() {
        Some(Ended::Delivered { message: held, .. }) => {
            assert!(!message.to_nobody, "{} went to nobody", message.id);
            assert_eq!(held.amount(), Amount::from(message.value));
        }
        Some(Ended::Void(reply)) => assert!(message.to_nobody, "{} is void: {reply}", message.id),
        None => panic!("{} has not ended where it went", message.id),
    }
}

#[test]
fn killed_while_it_starts_for_the_first_time_it_starts_the_next() {
    let mut random = StdRng::seed_from_u64(SEED);
    let world = World::prepared();
    // Both in one directory, as an operator may have it.
    world.a.edit("directory = \"spool\"", "directory = \"held\"");
    world.a.edit("directory = \"ledger\"", "directory = \"held\"");
    for _ in 0..40 {
        // Not there if it was killed before it made it.
        let _ = std::fs::remove_dir_all(world.a.directory.join("held"));
        for _ in 0..2 {
            let mut starting = world.a.command().spawn().unwrap();
            thread::sleep(Duration::from_micros(random.random_range(2_000..40_000)));
            starting.kill().unwrap();
            starting.wait().unwrap();
        }
        world.a.start();
        let (status, _) = world.a.terminate();
        assert_eq!(status.code(), Some(0), "{}", world.a.log());
    }
}
