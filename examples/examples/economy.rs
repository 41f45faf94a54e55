//! Twenty chains that trade, settle and fail for days of virtual time, and whose books add up in
//! the end: `distpos_examples::economy`.
//!
//! ```text
//! cargo run --release -p distpos-examples --example economy -- \
//!     --chains 20 --messages 100000 --seed 1 [--json]
//! ```
//! The pipelines and the spool are the daemon's own, the chains are ledgers; time, network and DNS
//! are simulated. Exit code 0 only when value is conserved, every message was either delivered or
//! refunded, all books agree, and every kind of trouble came; 1 says on stderr what failed; 64:
//! wrong arguments.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use distpos_examples::{
    economy::{self, CHAINS, MESSAGES, Plan, Report},
    simulation::audit::Inventory,
};
use distpos_gateway::cli::Exit;
use distpos_proto::amount::Amount;

/// Lets chains trade while much goes wrong, and audits their books.
#[derive(Parser)]
struct Arguments {
    /// How many chains there are.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(CHAINS))]
    chains: u64,
    /// How many messages their users send.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(MESSAGES))]
    messages: u64,
    /// What makes this run differ from others: the same seed gives the same output.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
    /// Falsify what is audited, to show that the audit sees it.
    #[arg(long, hide = true)]
    falsify: Option<Falsify>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Falsify {
    /// One unit more on one chain.
    Value,
    /// A message that its destination never ended.
    End,
    /// A deposit that only the ledger knows.
    Account,
}

/// Most faults that are told one by one.
const TOLD_MAX: usize = 20;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(report) => tell(&report, arguments.json),
        Err(error) => {
            eprintln!("economy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On one thread and with virtual time: one seed, one story.
fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let Arguments { seed, .. } = *arguments;
    let (chains, messages) = (arguments.chains.try_into()?, arguments.messages.try_into()?);
    let plan = Plan { seed, chains, messages };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let told = |line: &str| {
        if !arguments.json {
            println!("{line}");
        }
    };
    let (mut inventory, counts) = runtime.block_on(economy::run(plan, told));
    if let Some(falsify) = arguments.falsify {
        falsified(&mut inventory, falsify);
    }
    Ok(Report::new(plan, &inventory, &counts))
}

fn falsified(inventory: &mut Inventory, falsify: Falsify) {
    let one = Amount::from(1u64);
    for chain in inventory.chains.values_mut().take(1) {
        match falsify {
            Falsify::Value => chain.total = chain.total.saturating_add(one),
            Falsify::End => _ = chain.record.ends.pop_first(),
            Falsify::Account => {
                for account in chain.accounts.values_mut().take(1) {
                    account.figures.reserve = account.figures.reserve.saturating_add(one);
                }
            }
        }
    }
}

fn tell(report: &Report, json: bool) -> ExitCode {
    if json {
        match serde_json::to_string(report) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("economy: {error}"),
        }
    } else {
        print(report);
    }
    let wrong = report.wrong();
    for what in wrong.iter().take(TOLD_MAX) {
        eprintln!("economy: {what}");
    }
    if let Some(more) = wrong.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        eprintln!("economy: and {more} more");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(report: &Report) {
    let Report { seed, messages, delivered, refunded, pending, .. } = report;
    println!(
        "\nseed {seed}: {messages} messages, {delivered} delivered, {refunded} refunded, {pending} pending"
    );
    println!("value before {}, after {}", report.value_before, report.value_after);
    println!("accounts that are not equal: {}", report.accounts_unequal);
    println!("what went wrong on the way:");
    for (fault, times) in &report.faults {
        println!("  {fault:<16} {times:>7}");
    }
}
