//! `distpos-gateway run`.

use distpos_spool::SpoolError;
use tracing_subscriber::EnvFilter;

use super::{Exit, Failure};
use crate::{
    config::{Config, ConfigError, Log, LogFormat},
    daemon,
};

pub(super) fn execute(config: Config) -> Result<Exit, Failure> {
    start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    match runtime.block_on(daemon::run(config)) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::new(exit_of(&error), error)),
    }
}

/// What the service manager should make of it: 78 is not worth a restart (the operator has to act
/// first), 75 is (a disk that was full, another process that is still stopping), and 70 (a task that died).
fn exit_of(error: &anyhow::Error) -> Exit {
    use crate::{
        admin::SocketError,
        chain::{ChainError, ledger::LedgerError},
        trust::TrustError,
        watchdog::TaskFailed,
    };
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<TaskFailed>() {
            return Some(Exit::Internal);
        }
        if let Some(error) = cause.downcast_ref::<ChainError>() {
            return Some(if error.is_temporary() { Exit::Temporary } else { Exit::Configuration });
        }
        let ledger = cause.downcast_ref::<LedgerError>().is_some_and(|error| {
            use LedgerError::{
                Authority, Corrupt, Engine, Format, Genesis, NoAuthority, OtherGenesis,
            };
            let configured = matches!(error, Authority(_) | Genesis(_) | NoAuthority);
            let held = matches!(error, OtherGenesis { .. } | Format { .. } | Corrupt { .. });
            configured || held || matches!(error, Engine(_))
        });
        let spool = cause.downcast_ref::<SpoolError>().is_some_and(|error| {
            matches!(
                error,
                SpoolError::Newer { .. } | SpoolError::Older { .. } | SpoolError::Corrupt { .. }
            )
        });
        let socket = cause
            .downcast_ref::<SocketError>()
            .is_some_and(|error| !matches!(error, SocketError::Taken(_)));
        let own = cause
            .downcast_ref::<daemon::OwnChainError>()
            .is_some_and(|error| matches!(error, daemon::OwnChainError::Other { .. }));
        let configuration = ledger
            || own
            || socket
            || spool
            || cause.is::<ConfigError>()
            || cause.is::<TrustError>()
            || cause.is::<distpos_certs::SecretError>()
            || cause.is::<crate::keyring::KeyringError>();
        configuration.then_some(Exit::Configuration)
    };
    error.chain().find_map(of).unwrap_or(Exit::Temporary)
}

fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&log.level).map_err(Failure::configuration)?;
    let log_to = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => log_to.with_ansi(false).init(),
        LogFormat::Json => log_to.json().flatten_event(true).init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watchdog::{Task, TaskFailed};

    #[test]
    fn a_task_that_died_is_a_fault_of_the_program_and_worth_a_restart() {
        let silent = TaskFailed::Silent { task: Task::Keys, silent: 185 };
        for failed in [TaskFailed::Panicked(Task::Watch), TaskFailed::Ended(Task::Load), silent] {
            assert_eq!(exit_of(&anyhow::Error::from(failed)), Exit::Internal);
        }
        assert_eq!(exit_of(&anyhow::anyhow!("a disk that was full")), Exit::Temporary);
    }
}
