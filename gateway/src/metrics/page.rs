//! The metrics page of the documentation, written by the tables themselves.

use std::fmt::Write;

use super::{registry, sample, table};
use crate::watchdog::{
    Task,
    states::{self, LIMITS},
    tasks::GIVEN_UP_AFTER,
};

/// `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{text}");
    };
    line(format_args!(
        "## Metrics\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |"
    ));
    for metric in table::ALL {
        let (name, kind, help) = (metric.name, metric.kind.word(), metric.help);
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        line(format_args!("| `{name}` | {kind} | {} | {help} |", labels.join(" ")));
    }
    line(format_args!(
        "\nWhat is read from the spool is read every {} s, not by the scrape; reasons are read from the \
         first {} batches of the queue, the rest is `reason=\"unread\"`.\n`chain` is the other chain, \
         whichever way messages go. Correspondents (chains with an account, or that the operator named) \
         always have series of their own, of others at most {}; the rest is `chain=\"{}\"`. A chain of \
         which nothing happens for {} min loses its series, and its counters begin anew.\n",
        sample::EVERY.as_secs(),
        sample::BATCHES_MAX,
        registry::CHAINS_MAX,
        registry::OTHER,
        registry::IDLE_AFTER.as_secs() / 60,
    ));
    line(format_args!("## Tasks\n\n| task | does | silent at most |\n| --- | --- | --- |"));
    for task in Task::ALL {
        let seconds = task.silent_max().as_secs();
        line(format_args!("| `{}` | {} | {seconds} s |", task.word(), task.about()));
    }
    line(format_args!(
        "\nA task that is silent for longer is told of and counted. One that ends, panics, or is silent for \
         {GIVEN_UP_AFTER} times as long stops the gateway with exit 70, to be started again by its service \
         manager: the spool has everything.\n\n## States\n\nNothing waits in a state for ever. Every batch \
         is looked at again and again (1,000 each {} s), and made due when it is due too far ahead, or when \
         nobody works on its chain and state for too long though it is due (or has no due time). It is told \
         of once, by the id of its first message, and counted.\n",
        states::LOOKED_AT.as_secs(),
    ));
    line(format_args!("| state | due at most ahead | idle at most |\n| --- | --- | --- |"));
    for limit in LIMITS {
        let hours = |time: std::time::Duration| time.as_secs() / 3_600;
        let (ahead, idle) = (hours(limit.ahead_max), hours(limit.idle_max));
        line(format_args!("| `{}` | {ahead} h | {idle} h |", limit.state.word()));
    }
    page
}

const HEAD: &str = "# Metrics and health

Written by `cargo run -p distpos-examples --example metrics_page > docs/metrics.md`; a test compares.

The gateway tells its metrics at `http://127.0.0.1:7335/metrics` (`[metrics] listen`, `\"off\"` for none), \
in Prometheus' text format. Rules, their tests, a dashboard and a scrape configuration are in \
`examples/monitoring/`.

`/healthz` answers 200 while every task is alive; `/readyz` while the spool takes messages, load is not \
shed, the own chain answers and the peers' listener is there. Else they answer 503. Either way the body \
says what was checked: `{\"status\":\"failed\",\"checks\":[{\"name\":\"chain\",\"ok\":false,\"what\":\"…\"}]}`.

";
