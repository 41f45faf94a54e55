//! Writes manual pages and shell completions, from the same definitions as the programs' `--help`.
//!
//! ```text
//! cargo run -p distpos-examples --example manual -- DIRECTORY
//! ```
//! makes `DIRECTORY/man/*.1` (one page a command) and `DIRECTORY/completions/{bash,zsh,fish}/`, with
//! the names under which shells look for them.

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::Context;
use clap_complete::Shell;
use distpos_gateway::cli;

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("manual: expected the directory to write to");
        return ExitCode::from(64);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> anyhow::Result<()> {
    let pages = directory.join("man");
    fs::create_dir_all(&pages).with_context(|| format!("create {}", pages.display()))?;
    for command in cli::commands() {
        clap_mangen::generate_to(command, &pages).context("manual pages")?;
    }
    for (shell, name) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let place = directory.join("completions").join(name);
        fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
        for mut command in cli::commands() {
            let program = command.get_name().to_owned();
            clap_complete::generate_to(shell, &mut command, program, &place)
                .with_context(|| format!("completions for {name}"))?;
        }
    }
    Ok(())
}
