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

/// The three programs as they are on the command line: for manual pages and completions.
#[must_use]
pub fn commands() -> [clap::Command; 3] {
    use clap::CommandFactory;
    [gateway::Arguments::command(), send::Arguments::command(), dns::Arguments::command()]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a command lacks in words, as `program command: what`.
    fn unexplained(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        if command.get_about().is_none() {
            found.push(format!("{path}: the command"));
        }
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            if help.trim().is_empty() && !["help", "version"].contains(&argument.get_id().as_str())
            {
                found.push(format!("{path}: {}", argument.get_id()));
            }
        }
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            unexplained(sub, &path, found);
        }
    }

    #[test]
    fn every_command_and_every_option_is_explained() {
        let mut found = Vec::new();
        for command in commands() {
            command.clone().debug_assert();
            unexplained(&command, "", &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
