//! Prints `docs/metrics.md` from the tables of metrics, tasks and states.

fn main() {
    print!("{}", distpos_gateway::metrics::page::page());
}
