//! The gateway's daemon and its operator's commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    distpos_gateway::cli::gateway()
}
