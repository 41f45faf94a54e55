//! The commands: `distpos-gateway` for operators, `distpos-send` for users, `distpos-dns` for who
//! publishes a chain.
//!
//! Exit codes are those of sysexits ([`Exit`]); what is data goes to standard output, everything
//! else to standard error.

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

pub use exit::Exit;

mod dns;
mod evm_key;
mod exit;
mod gateway;
mod own_records;
mod prompt;
mod send;
mod table;

use crate::amount;
use exit::Failure;

/// `distpos-gateway`, with the process's arguments.
#[must_use]
pub fn gateway() -> ExitCode {
    ended("distpos-gateway", parsed(std::env::args_os()).and_then(gateway::execute))
}

/// `distpos-send`, with the process's arguments.
#[must_use]
pub fn send() -> ExitCode {
    ended("distpos-send", parsed(std::env::args_os()).and_then(send::execute))
}

/// `distpos-dns`, with the process's arguments.
#[must_use]
pub fn dns() -> ExitCode {
    ended("distpos-dns", parsed(std::env::args_os()).and_then(dns::execute))
}

/// Reads arguments; clap's own exit code for a wrong one is 2, sysexits has 64.
fn parsed<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, Failure> {
    T::try_parse_from(arguments).map_err(|error| {
        let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
        // Nothing can be done about a closed terminal.
        let _ = error.print();
        Failure::told(exit)
    })
}

fn ended(program: &str, result: Result<Exit, Failure>) -> ExitCode {
    let exit = result.unwrap_or_else(|failure| failure.tell(program));
    ExitCode::from(exit.code())
}

/// Runs a future on this thread; for commands that end.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, error))?
        .block_on(future)
}

/// Writes a line of data to standard output; a reader that has gone away ends the command quietly.
fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").map_err(|_| Failure::told(Exit::Done))
}

/// Writes a value as one line of JSON.
fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::new(Exit::Internal, e))?;
    say(text)
}
