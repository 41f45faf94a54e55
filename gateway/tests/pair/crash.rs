//! Gateways and nodes that are killed again and again: every message ends, and ends once.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, hex};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{
    audit::{Ends, audit_within},
    contract::{Arg, encoded},
    daemon::until,
    engine::{self, Engine},
    there_and_back::{ECHO, REVERTER},
    wallet::Signed,
    world::{Order, Pair, Side, newcomer},
};

/// How long the last messages may take after the last crash: retries that were put off.
const TAIL_MAX: Duration = Duration::from_secs(400);
/// How long one step of the run may take, on a busy machine too.
const STEP_MAX: Duration = Duration::from_secs(200);
/// How often a wallet looks after what it sent.
const LOOK_AFTER: Duration = Duration::from_millis(300);

/// How much is sent, and how often somebody dies.
#[derive(Clone, Copy)]
struct Run {
    messages: usize,
    kills: usize,
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
        const LEAD_MAX: usize = 5;
        let next = self.at.get(self.kills.load(Ordering::SeqCst));
        next.is_some_and(|at| self.sent.load(Ordering::SeqCst) >= at + LEAD_MAX)
    }
}

/// Contracts at one side.
struct Recipients {
    echo: Address,
    reverter: Address,
}

/// What one side's user sent.
#[derive(Default)]
struct Sent {
    delivered: usize,
    refunded: usize,
    /// Calls that are answered by a message of their own.
    answered: usize,
}

/// Who dies.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway(usize),
    Node,
    /// The node and a gateway of it at once: a machine.
    Both(usize),
}

/// `DISTPOS_SEED` gives another.
const SEED: u64 = 11;

fn killed_at_random_nothing_is_lost_or_doubled(engine: Engine, run: Run) {
    let seed = std::env::var("DISTPOS_SEED").map_or(SEED, |text| text.parse().unwrap());
    println!("{engine:?}: seed {seed}, {} messages, {} kills", run.messages, run.kills);
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    // Two gateways at `b1c2`: they race for every delivery.
    let pair = Pair::prepared(engine, 2);
    let there = recipients(&pair.b);
    let here = recipients(&pair.a);
    pair.start_gateways();
    let every = run.messages / (run.kills + 1);
    let at = (1..=run.kills).map(|kill| kill * every - random.random_range(0..every / 2)).collect();
    let pace = Pace { sent: AtomicUsize::new(0), kills: AtomicUsize::new(0), at };
    let seeds = [random.next_u64(), random.next_u64()];
    let (from_a, from_b) = thread::scope(|scope| {
        let (pair, pace, count) = (&pair, &pace, run.messages / 2);
        let (there, here) = (&there, &here);
        let from_a = scope.spawn(move || send_all(&pair.a, "b1c2", there, seeds[0], count, pace));
        let from_b = scope.spawn(move || send_all(&pair.b, "e2e4", here, seeds[1], count, pace));
        kill_all(pair, pace, &mut random);
        (from_a.join().unwrap(), from_b.join().unwrap())
    });
    println!("all are sent, and final, after {:?}", began.elapsed());
    let found = audit_within(&pair, TAIL_MAX);
    let both = [&from_a, &from_b];
    let delivered = both.iter().map(|sent| sent.delivered + sent.answered).sum();
    let refunded = both.iter().map(|sent| sent.refunded).sum();
    assert_eq!(found, Ends { delivered, refunded });
    println!("all have ended after {:?}", began.elapsed());
}

fn recipients(side: &Side) -> Recipients {
    let word: [u8; 32] = side.contract().view("executor()", &[])[..32].try_into().unwrap();
    let arguments = encoded(&[Arg::Word(word), Arg::address(side.contract)]);
    Recipients {
        echo: side.deploy_example(ECHO, &arguments),
        reverter: side.deploy_example(REVERTER, &encoded(&[Arg::number(1)])),
    }
}

/// A user who sends one message after the other, whatever happens to the node meanwhile, and goes
/// on until all of them are final.
fn send_all(
    from: &Side,
    to: &str,
    there: &Recipients,
    seed: u64,
    count: usize,
    pace: &Pace,
) -> Sent {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut sent, mut open) = (Sent::default(), VecDeque::new());
    let mut looked = Instant::now();
    for number in 0..count {
        until("somebody is killed", STEP_MAX, || {
            look_after(from, &mut open, &mut looked);
            (!pace.is_too_early()).then_some(())
        });
        let signed = next_order(from, to, there, number, &mut random, &mut sent);
        from.broadcast(&signed);
        open.push_back(signed);
        pace.sent.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(random.random_range(0..100)));
    }
    until("all that was sent is final", STEP_MAX, || {
        look_after(from, &mut open, &mut looked);
        open.is_empty().then_some(())
    });
    sent
}

fn next_order(
    from: &Side,
    to: &str,
    there: &Recipients,
    number: usize,
    random: &mut StdRng,
    sent: &mut Sent,
) -> Signed {
    let value = u128::from(random.random_range(1..=1_000_000_000u64));
    let at = |account: Address| format!("{to}x{}", hex::encode(account));
    let call = |to, data, gas| Order { to, value, data, gas };
    match random.random_range(0..10) {
        0..=1 => {
            sent.refunded += 1;
            from.order(&call(&at(there.reverter), b"no", 100_000))
        }
        2..=3 => {
            sent.delivered += 1;
            from.order(&call(&at(there.echo), b"take this", 900_000))
        }
        4 => {
            sent.delivered += 1;
            sent.answered += 1;
            from.order(&call(&at(there.echo), b"answer", 900_000))
        }
        _ => {
            sent.delivered += 1;
            from.order(&Order::payment(&newcomer(to, number), value))
        }
    }
}

/// Forgets what is final, and hands over again what the node does not have any more. A node that
/// is away is asked the next time.
fn look_after(side: &Side, open: &mut VecDeque<Signed>, looked: &mut Instant) {
    if looked.elapsed() < LOOK_AFTER {
        return;
    }
    *looked = Instant::now();
    let Some(last) = side.node.try_final_height() else { return };
    while let Some(first) = open.front() {
        let receipt = side.receipt_now(&first.hash);
        match receipt.map(|receipt| engine::number(&receipt["blockNumber"])) {
            Some(height) if height <= last => _ = open.pop_front(),
            _ => break,
        }
    }
    open.iter().for_each(|signed| side.broadcast(signed));
}

fn kill_all(pair: &Pair, pace: &Pace, random: &mut StdRng) {
    let mut dead = [0; 3];
    for at in &pace.at {
        until("enough is sent", STEP_MAX, || {
            (pace.sent.load(Ordering::SeqCst) >= *at).then_some(())
        });
        let side = if random.random() { &pair.a } else { &pair.b };
        let gateway = random.random_range(0..side.gateways.len());
        let victim = match random.random_range(0..5) {
            0..=1 => Victim::Gateway(gateway),
            2..=3 => Victim::Node,
            _ => Victim::Both(gateway),
        };
        thread::sleep(Duration::from_millis(random.random_range(0..150)));
        let pause = Duration::from_millis(random.random_range(0..300));
        match victim {
            Victim::Gateway(index) => {
                dead[0] += 1;
                let daemon = &side.gateways[index].daemon;
                daemon.kill();
                thread::sleep(pause);
                daemon.start();
            }
            Victim::Node => {
                dead[1] += 1;
                side.node.kill();
                thread::sleep(pause);
                side.node.restart();
            }
            Victim::Both(index) => {
                dead[2] += 1;
                let daemon = &side.gateways[index].daemon;
                side.node.kill();
                daemon.kill();
                thread::sleep(pause);
                side.node.restart();
                daemon.start();
            }
        }
        pace.kills.fetch_add(1, Ordering::SeqCst);
    }
    let [gateways, nodes, both] = dead;
    println!("SIGKILL: {gateways} gateways, {nodes} nodes, {both} times both at once");
}

#[test]
#[ignore = "needs anvil"]
fn on_anvil() {
    let run = Run { messages: 400, kills: 40 };
    killed_at_random_nothing_is_lost_or_doubled(Engine::Anvil, run);
}

/// Shorter: a batch of a dozen deliveries takes it half a minute to estimate.
#[test]
#[ignore = "needs ganache"]
fn on_ganache() {
    let run = Run { messages: 20, kills: 3 };
    killed_at_random_nothing_is_lost_or_doubled(Engine::Ganache, run);
}

/// Shorter: a block a second.
#[test]
#[ignore = "needs geth"]
fn on_geth() {
    let run = Run { messages: 60, kills: 6 };
    killed_at_random_nothing_is_lost_or_doubled(Engine::Geth, run);
}
