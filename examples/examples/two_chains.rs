//! The main job, on one machine and with nothing installed: two chains that know each other only
//! through DNS exchange a transfer that arrives and one that is refused and refunded.
//!
//! ```text
//! cargo run --release -p distpos-examples --example two_chains [-- --json]
//! ```
//! The name server, both gateways, their TLS and their sockets are real. Exit code 0 only when both
//! transfers ended as they should.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use distpos_examples::{
    dns::{Sockets, Zone},
    village::{BALANCE, ROOT, Village},
};
use distpos_gateway::event::{Event, Events};
use distpos_proto::{
    address::Address, amount::Amount, chain::ChainId, key::SecretKey, message::MessageId,
    receipt::Outcome,
};
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};

/// Two chains exchange transactions as mail servers exchange mail.
#[derive(Parser)]
struct Arguments {
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
}

/// How long both transfers may take together.
const TIME_MAX: Duration = Duration::from_secs(15);
const VALUE: u64 = 250;
const REFUSED_VALUE: u64 = 40;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("two_chains: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let a = Village::prepare(directory.path(), "e2e4", [1; 32])?;
    let b = Village::prepare(directory.path(), "b1c2", [2; 32])?;
    let sockets = Sockets::bind().await?;
    let server = sockets.address()?.to_string();
    let (story, mut ends) = Story::new(!arguments.json);
    a.open_account(&b, 5_000).await?;
    b.open_account(&a, 5_000).await?;
    let gateway_a = a.start(&a.configuration(&b, &server), story.of(a.chain)).await?;
    let gateway_b = b.start(&b.configuration(&a, &server), story.of(b.chain)).await?;
    let mut zone = Zone::new(ROOT)?;
    a.publish(&gateway_a, &mut zone)?;
    b.publish(&gateway_b, &mut zone)?;
    let _name_server = sockets.serve(zone)?;
    story.say(&format!(
        "name server at {server}, gateway of {} at {}, of {} at {}\nbefore: {} has {BALANCE} on \
         {}, {} has {BALANCE} on {}\n",
        a.chain,
        gateway_a.peers,
        b.chain,
        gateway_b.peers,
        short(&a.address()),
        a.chain,
        short(&b.address()),
        b.chain,
    ));

    let stranger = SecretKey::from_seed(&[3; 32]).public();
    let stranger = Address::new(b.chain, distpos_gateway::chain::ledger::address::local(&stranger));
    let good = a.send(&gateway_a, b.address(), VALUE).await?;
    story.say(&format!("{VALUE} to {}: message {good}", short(&b.address())));
    let bad = a.send(&gateway_a, stranger.clone(), REFUSED_VALUE).await?;
    let text = "an account nobody opened";
    story.say(&format!("{REFUSED_VALUE} to {}, {text}: message {bad}\n", short(&stranger)));

    let both = async {
        let (mut delivered, mut refunded) = (false, false);
        while !(delivered && refunded) {
            match ends.recv().await.context("the gateways are gone")? {
                End::Closed(id) => delivered |= id == good,
                End::Refunded(id) => refunded |= id == bad,
            }
        }
        anyhow::Ok(())
    };
    timeout(TIME_MAX, both).await.context("not both messages ended in 15 s")??;

    let (left, right) = (a.balance(&gateway_a).await?, b.balance(&gateway_b).await?);
    story.say(&format!(
        "\nafter: {} has {left} on {}, {} has {right} on {}",
        short(&a.address()),
        a.chain,
        short(&b.address()),
        b.chain,
    ));
    ensure!(left == Amount::from(BALANCE - VALUE), "{} holds {left}", a.chain);
    ensure!(right == Amount::from(BALANCE + VALUE), "{} holds {right}", b.chain);
    gateway_a.stop().await;
    gateway_b.stop().await;
    if arguments.json {
        let closing = Closing { delivered: 1, refunded: 1, steps: story.steps() };
        println!("{}", serde_json::to_string(&closing)?);
    }
    Ok(())
}

#[derive(Serialize)]
struct Closing {
    delivered: u32,
    refunded: u32,
    steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Clone, Serialize)]
struct Step {
    /// The paper's step, 1 to 6; 7 is the way back.
    step: u8,
    /// At which chain's gateway.
    at: String,
    /// Milliseconds since the start.
    ms: u64,
    /// What happened, in words.
    what: String,
}

/// How a message ended at its source.
enum End {
    Closed(MessageId),
    Refunded(MessageId),
}

/// Tells and keeps what happens.
#[derive(Clone)]
struct Story {
    start: Instant,
    aloud: bool,
    steps: Arc<Mutex<Vec<Step>>>,
    ends: mpsc::UnboundedSender<End>,
}

impl Story {
    fn new(aloud: bool) -> (Self, mpsc::UnboundedReceiver<End>) {
        let (ends, receiver) = mpsc::unbounded_channel();
        (Self { start: Instant::now(), aloud, steps: Arc::default(), ends }, receiver)
    }

    fn say(&self, text: &str) {
        if self.aloud {
            println!("{text}");
        }
    }

    fn of(&self, chain: ChainId) -> Arc<dyn Events> {
        Arc::new(Teller { story: self.clone(), chain })
    }

    fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Teller {
    story: Story,
    chain: ChainId,
}

impl Events for Teller {
    fn emit(&self, event: Event) {
        match &event {
            Event::Closed { id } => _ = self.story.ends.send(End::Closed(*id)),
            Event::Refunded { id } => _ = self.story.ends.send(End::Refunded(*id)),
            _ => {}
        }
        let ms = u64::try_from(self.story.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (step, what) = words(&event);
        self.story.say(&format!("{ms:>5} ms  {:<5} step {step}  {what}", self.chain.to_string()));
        let step = Step { step, at: self.chain.to_string(), ms, what };
        self.story.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

/// The paper's step of an event, and what to say of it.
fn words(event: &Event) -> (u8, String) {
    match event {
        Event::Watched { height, messages } => {
            (1, format!("block {height} sends {} message(s) to other chains", messages.len()))
        }
        Event::Resolved { chain, gateways, source } => {
            (2, format!("looked up {chain}: {} by {source}", gateways.join(", ")))
        }
        Event::Sent { chain, gateway, ids, reply } => {
            (2, format!("sent {} message(s) to {gateway} of {chain}: {reply}", ids.len()))
        }
        Event::Claimed { source, ids } => {
            (3, format!("{} message(s) claim to come from {source}", ids.len()))
        }
        Event::ProofAsked { source, gateway, messages } => {
            (3, format!("asked {gateway} of {source} for the proof of {messages} message(s)"))
        }
        Event::Proven { source, height, family, ids } => {
            let count = ids.len();
            (4, format!("proven by {family}: {count} message(s) are in block {height} of {source}"))
        }
        Event::Admitted { id } => (5, format!("admitted {}", id_of(id))),
        Event::Refused { id, reply } => (5, format!("refused {}: {reply}", id_of(id))),
        Event::Submitted { what, ids, .. } => {
            (if *what == "end" { 7 } else { 6 }, format!("{what}: {} message(s)", ids.len()))
        }
        Event::Ended { id, outcome } => (6, format!("final here: {} {}", id_of(id), end(outcome))),
        Event::ReceiptSent { source, gateway, ids } => {
            (7, format!("{} receipt(s) taken by {gateway} of {source}", ids.len()))
        }
        Event::ReceiptTaken { id, outcome } => {
            (7, format!("receipt for {}: {}", id_of(id), end(outcome)))
        }
        Event::Closed { id } => (7, format!("closed {}: it is paid there", id_of(id))),
        Event::Refunded { id } => (7, format!("refunded {} to its sender", id_of(id))),
        other => (0, other.to_string()),
    }
}

fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { height, .. } => format!("delivered in block {height}"),
        Outcome::Refused { code, text } => format!("refused, {code} {text}"),
    }
}

fn id_of(id: &MessageId) -> String {
    id.to_string().chars().take(8).collect()
}

fn short(address: &Address) -> String {
    let text: String = address.to_string().chars().take(13).collect();
    format!("{text}…")
}
