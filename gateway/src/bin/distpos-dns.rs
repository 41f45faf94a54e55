//! What DNS says of a chain, for those who publish it.

use std::process::ExitCode;

fn main() -> ExitCode {
    distpos_gateway::cli::dns()
}
