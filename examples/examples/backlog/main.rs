//! A million messages for fifty chains, one of them dead: what a gateway needs then, and what the
//! dead chain costs the others.
//!
//! ```text
//! cargo run --release -p distpos-examples --example backlog [-- --messages N --chains N --block N --json]
//! ```
//! The gateway is a process of its own, with its ledger and its spool on disk; the other chains'
//! gateways run in this one. Every figure is printed, none is judged; exit code 1 if a message is
//! lost.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::ensure;
use clap::Parser;
use serde::Serialize;

mod city;
mod gateway;

use city::World;
use gateway::Gateway;

/// Measures a gateway with a long queue.
#[derive(Parser)]
struct Arguments {
    /// Messages, spread evenly over the chains.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Chains; the first of them is dead.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=200))]
    chains: u16,
    /// Messages in a block: with as many as there are chains each is a batch of its own.
    #[arg(long, default_value_t = 4_096)]
    block: u64,
    /// Folder for all files, on the disk to be measured; removed afterwards.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    messages: u64,
    chains: u16,
    batches: u64,
    /// From the first block until the last message was in the spool.
    queue_seconds: f64,
    /// The most memory that the gateway ever had.
    memory_mib: u64,
    /// The same of the process that was started after SIGKILL, when it had found everything.
    memory_after_restart_mib: u64,
    /// After SIGKILL, until commands and users are answered.
    start_ms: f64,
    list_first_100_ms: f64,
    summary_ms: f64,
    /// Messages a second to all chains but the dead one, with its backlog and without.
    rate_with_dead: f64,
    rate_without: f64,
    rate_ratio: f64,
    /// Messages a second to the dead chain, once it is back.
    recovery_rate: f64,
    spool_mib_full: u64,
    spool_mib_drained: u64,
    spool_mib_compacted: u64,
}

fn main() -> ExitCode {
    // As the program that it measures.
    if std::env::args().nth(1).is_some_and(|word| word == gateway::WORD) {
        return gateway::serve();
    }
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(&Arguments::parse()))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backlog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (messages, chains) = (arguments.messages, arguments.chains);
    let of_dead = messages.div_ceil(chains.into());
    let directory = directory(arguments)?;
    let mut world = World::prepare(directory.path(), chains).await?;
    world.fill(messages, arguments.block, 0).await?;
    let began = Instant::now();
    let gateway = Gateway::start(&world).await?;
    gateway.queued(messages).await?;
    let queue_seconds = began.elapsed().as_secs_f64();
    let memory_mib = gateway.memory_most()?;
    say(
        arguments,
        &format!("{messages} messages are queued in {queue_seconds:.0} s and {memory_mib} MiB"),
    );
    gateway.kill()?;
    let batches = world.batches()?;

    let began = Instant::now();
    let gateway = Gateway::start(&world).await?;
    let start_ms = ms(began);
    let (summary_ms, list_first_100_ms) = gateway.looks().await?;
    gateway.queued(messages).await?;
    let looks = format!(
        "start {start_ms:.0} ms, list {list_first_100_ms:.1} ms, summary {summary_ms:.1} ms"
    );
    say(arguments, &looks);
    let spool_mib_full = world.spool_mib()?;

    say(arguments, "all chains but one come up");
    world.start_living().await?;
    let rate_with_dead = gateway.drained(messages - of_dead, of_dead).await?;
    let memory_after_restart_mib = gateway.memory_most()?;
    say(arguments, &format!("{rate_with_dead:.0} messages a second"));
    say(arguments, "the dead one is back");
    world.start_dead().await?;
    let recovery_rate = gateway.drained(of_dead, 0).await?;
    world.check(messages)?;
    let spool_mib_drained = world.spool_mib()?;
    let spool_mib_compacted = gateway.compacted(&world).await?;
    gateway.kill()?;
    world.stop().await;
    let without = without_dead(arguments).await?;
    let report = Report {
        messages,
        chains,
        batches,
        queue_seconds,
        memory_mib,
        memory_after_restart_mib,
        start_ms,
        list_first_100_ms,
        summary_ms,
        rate_with_dead,
        rate_without: without,
        rate_ratio: rate_with_dead / without,
        recovery_rate,
        spool_mib_full,
        spool_mib_drained,
        spool_mib_compacted,
    };
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => println!("{report:#?}"),
    }
    Ok(())
}

/// The rate to all chains but the dead one where nothing waits for that.
async fn without_dead(arguments: &Arguments) -> anyhow::Result<f64> {
    let (messages, chains) = (arguments.messages, arguments.chains);
    let living = messages - messages.div_ceil(chains.into());
    let directory = directory(arguments)?;
    let mut world = World::prepare(directory.path(), chains).await?;
    world.fill(living, arguments.block, 1).await?;
    let gateway = Gateway::start(&world).await?;
    gateway.queued(living).await?;
    // As in the other run: what was learnt of chains that are not there is forgotten.
    gateway.kill()?;
    let gateway = Gateway::start(&world).await?;
    say(arguments, "without the dead chain");
    world.start_living().await?;
    let rate = gateway.drained(living, 0).await?;
    say(arguments, &format!("{rate:.0} messages a second"));
    gateway.kill()?;
    world.check(living)?;
    world.stop().await;
    ensure!(rate > 0.0, "nothing was delivered");
    Ok(rate)
}

fn directory(arguments: &Arguments) -> anyhow::Result<tempfile::TempDir> {
    Ok(match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    })
}

fn say(arguments: &Arguments, what: &str) {
    if !arguments.json {
        println!("{what}");
    }
}

fn ms(from: Instant) -> f64 {
    from.elapsed().as_secs_f64() * 1_000.0
}
