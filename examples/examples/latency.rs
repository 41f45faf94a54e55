//! What the relay adds to a transfer, measured: two ledgers, two gateways over real sockets and
//! TLS, a name server, all in one process and with nothing installed.
//!
//! ```text
//! cargo run --release -p distpos-examples --example latency [-- --json] [--count N] [--burst N]
//! ```
//! Transfers are sent one after the other, so each finds both gateways idle. `added` runs from the
//! moment the transfer is final on its own chain until its delivery is final on the other: the
//! making of the destination's block is in it. Exit code 1 if a message fails, never for slowness.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use distpos_examples::{
    dns::{NameServer, Sockets, Zone},
    village::{BALANCE, ROOT, Village},
};
use distpos_gateway::{
    daemon::Daemon,
    event::{Event, Events},
};
use distpos_proto::{message::MessageId, receipt::Outcome};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};

/// Measures what the relay adds to a transfer.
#[derive(Parser)]
struct Arguments {
    /// Transfers sent one after the other.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    count: u64,
    /// Transfers submitted at once afterwards; 0 for none.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=4_000))]
    burst: u64,
    /// Folder for both gateways' files, on the disk to be measured; removed afterwards.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
}

/// How long a single transfer, or the whole burst, may take.
const TIME_MAX: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let directory = match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }?;
    let mut bench = Bench::start(directory.path()).await?;
    // The first look-up, handshake and tables are paid once, not by each transfer.
    let first = bench.transfer().await?;
    let idle_rss = rss_mib();
    let mut measured = Vec::new();
    for _ in 0..arguments.count {
        measured.push(bench.transfer().await?);
    }
    let burst = match arguments.burst {
        0 => None,
        count => Some(bench.burst(count).await?),
    };
    let report = Report::new(&first, &measured, burst, idle_rss);
    bench.check(arguments.count + arguments.burst + 1).await?;
    bench.stop().await;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print(&measured);
    }
    Ok(())
}

/// Two chains and their gateways.
struct Bench {
    a: Village,
    b: Village,
    gateway_a: Daemon,
    gateway_b: Daemon,
    _name_server: NameServer,
    stamps: Stamps,
    ends: mpsc::UnboundedReceiver<Result<MessageId, String>>,
}

impl Bench {
    async fn start(directory: &std::path::Path) -> anyhow::Result<Self> {
        let a = Village::prepare(directory, "e2e4", [1; 32])?;
        let b = Village::prepare(directory, "b1c2", [2; 32])?;
        let sockets = Sockets::bind().await?;
        let server = sockets.address()?.to_string();
        let stamps = Stamps::default();
        let (sender, ends) = mpsc::unbounded_channel();
        let clerk = |at_source| -> Arc<dyn Events> {
            Arc::new(Clerk { at_source, stamps: stamps.clone(), ends: sender.clone() })
        };
        a.open_account(&b, BALANCE).await?;
        b.open_account(&a, BALANCE).await?;
        let gateway_a = a.start(&a.configuration(&b, &server), clerk(true)).await?;
        let gateway_b = b.start(&b.configuration(&a, &server), clerk(false)).await?;
        let mut zone = Zone::new(ROOT)?;
        a.publish(&gateway_a, &mut zone)?;
        b.publish(&gateway_b, &mut zone)?;
        let _name_server = sockets.serve(zone)?;
        Ok(Self { a, b, gateway_a, gateway_b, _name_server, stamps, ends })
    }

    /// One unit from a to b, until its receipt has closed it at a.
    async fn transfer(&mut self) -> anyhow::Result<Transfer> {
        let submitted = Instant::now();
        let id = self.a.send(&self.gateway_a, self.b.address(), 1).await?;
        let returned = Instant::now();
        let closed = self.ended(1).await?;
        if closed != [id] {
            bail!("{closed:?} closed, expected {id}");
        }
        let at =
            |point| self.stamps.of(id, point).with_context(|| format!("{id} was never {point:?}"));
        // The watching gateway may be told of the block before the user is.
        let last = returned.min(at(Point::Watched)?);
        let passed = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let mut steps = Vec::new();
        let mut from = last;
        for point in Point::ALL {
            let to = at(point)?;
            steps.push(passed(from, to));
            from = to;
        }
        Ok(Transfer {
            chain: passed(submitted, last),
            added: passed(last, at(Point::Delivered)?),
            round_trip: passed(last, at(Point::Closed)?),
            steps,
        })
    }

    /// So many units at once; messages a second from the first submission to the last receipt.
    async fn burst(&mut self, count: u64) -> anyhow::Result<f64> {
        let nonce = self.a.nonce(&self.gateway_a).await?;
        let started = Instant::now();
        let sends = (nonce..nonce + count)
            .map(|nonce| self.a.send_with(&self.gateway_a, self.b.address(), 1, nonce));
        try_join_all(sends).await?;
        self.ended(count).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand messages")]
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    async fn ended(&mut self, count: u64) -> anyhow::Result<Vec<MessageId>> {
        let mut closed = Vec::new();
        let all = async {
            for _ in 0..count {
                let end = self.ends.recv().await.context("the gateways are gone")?;
                closed.push(end.map_err(anyhow::Error::msg)?);
            }
            anyhow::Ok(())
        };
        timeout(TIME_MAX, all).await.context("a message did not end in time")??;
        Ok(closed)
    }

    /// What was sent is there, once.
    async fn check(&self, sent: u64) -> anyhow::Result<()> {
        let (left, right) =
            (self.a.balance(&self.gateway_a).await?, self.b.balance(&self.gateway_b).await?);
        if left != (BALANCE - sent).into() || right != (BALANCE + sent).into() {
            bail!("{left} and {right} are left, {sent} of {BALANCE} were sent");
        }
        Ok(())
    }

    async fn stop(self) {
        self.gateway_a.stop().await;
        self.gateway_b.stop().await;
    }
}

/// What a message passes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Watched,
    Claimed,
    Proven,
    Admitted,
    Delivered,
    Receipt,
    Closed,
}

impl Point {
    const ALL: [Self; 7] = [
        Self::Watched,
        Self::Claimed,
        Self::Proven,
        Self::Admitted,
        Self::Delivered,
        Self::Receipt,
        Self::Closed,
    ];
}

/// When each message passed each point.
#[derive(Clone, Default)]
struct Stamps(Arc<Mutex<BTreeMap<(MessageId, Point), Instant>>>);

impl Stamps {
    fn set(&self, id: MessageId, point: Point) {
        let now = Instant::now();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry((id, point)).or_insert(now);
    }

    fn of(&self, id: MessageId, point: Point) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(id, point)).copied()
    }
}

/// Writes down what one gateway tells.
struct Clerk {
    at_source: bool,
    stamps: Stamps,
    ends: mpsc::UnboundedSender<Result<MessageId, String>>,
}

impl Events for Clerk {
    fn emit(&self, event: Event) {
        let set = |ids: &[MessageId], point| ids.iter().for_each(|id| self.stamps.set(*id, point));
        match event {
            Event::Watched { messages, .. } if self.at_source => {
                messages.iter().for_each(|(id, _)| self.stamps.set(*id, Point::Watched));
            }
            Event::Claimed { ids, .. } => set(&ids, Point::Claimed),
            Event::Proven { ids, .. } => set(&ids, Point::Proven),
            Event::Admitted { id } => self.stamps.set(id, Point::Admitted),
            Event::Ended { id, outcome: Outcome::Delivered { .. } } => {
                self.stamps.set(id, Point::Delivered);
            }
            Event::ReceiptTaken { id, .. } => self.stamps.set(id, Point::Receipt),
            Event::Closed { id } => {
                self.stamps.set(id, Point::Closed);
                _ = self.ends.send(Ok(id));
            }
            Event::Refused { .. } | Event::Refunded { .. } | Event::Conflict { .. } => {
                _ = self.ends.send(Err(event.to_string()));
            }
            Event::Alert { .. } | Event::Deferred { .. } | Event::ProofInvalid { .. } => {
                eprintln!("latency: {event}");
            }
            _ => {}
        }
    }
}

/// What one transfer took.
struct Transfer {
    /// From its submission until it was final on its own chain.
    chain: Duration,
    /// From then until its delivery was final on the other chain.
    added: Duration,
    /// From the same moment until its receipt closed it.
    round_trip: Duration,
    /// Between each of [`Point::ALL`] and the point before.
    steps: Vec<Duration>,
}

#[derive(Serialize)]
struct Report {
    messages: usize,
    first_added_ms: f64,
    chain_ms: Figures,
    added_ms: Figures,
    round_trip_ms: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst_messages_per_second: Option<f64>,
    /// Of this process: both gateways, both ledgers, name server.
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_after_mib: Option<f64>,
}

#[derive(Serialize)]
struct Figures {
    p50: f64,
    p90: f64,
    max: f64,
}

impl Report {
    fn new(first: &Transfer, all: &[Transfer], burst: Option<f64>, rss: Option<f64>) -> Self {
        Self {
            messages: all.len(),
            first_added_ms: ms(first.added),
            chain_ms: Figures::of(all.iter().map(|t| t.chain)),
            added_ms: Figures::of(all.iter().map(|t| t.added)),
            round_trip_ms: Figures::of(all.iter().map(|t| t.round_trip)),
            burst_messages_per_second: burst,
            rss_mib: rss,
            rss_after_mib: rss_mib(),
        }
    }

    fn print(&self, all: &[Transfer]) {
        println!("{} transfers, one after the other; milliseconds", self.messages);
        println!("{:<44} {:>8} {:>8} {:>8}", "", "p50", "p90", "max");
        let row = |name: &str, figures: &Figures| {
            let Figures { p50, p90, max } = figures;
            println!("{name:<44} {p50:>8.1} {p90:>8.1} {max:>8.1}");
        };
        row("submitted -> final at the source (chain)", &self.chain_ms);
        row("final at the source -> delivered (added)", &self.added_ms);
        row("final at the source -> receipt (round trip)", &self.round_trip_ms);
        for (n, point) in Point::ALL.into_iter().enumerate() {
            let name = format!("  until {}", format!("{point:?}").to_lowercase());
            row(&name, &Figures::of(all.iter().map(|t| t.steps[n])));
        }
        println!("the first transfer, with look-ups and handshakes: {:.1}", self.first_added_ms);
        if let Some(rate) = self.burst_messages_per_second {
            println!("burst: {rate:.0} messages a second, from submission to receipt");
        }
        if let (Some(before), Some(after)) = (self.rss_mib, self.rss_after_mib) {
            println!(
                "memory of both gateways together: {before:.1} MiB, at the end {after:.1} MiB"
            );
        }
    }
}

impl Figures {
    fn of(all: impl Iterator<Item = Duration>) -> Self {
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(rank).copied().map_or(f64::NAN, ms)
        };
        Self { p50: at(50), p90: at(90), max: at(100) }
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Resident memory of this process, where the system tells it as Linux does.
fn rss_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
