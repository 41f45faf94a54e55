//! Sends a transaction to another chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    distpos_gateway::cli::send()
}
