//! Whether the gateway is alive, and whether it is ready: for service managers and load balancers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    gateway::Gateway,
    load::{self, Cause},
    watchdog::Task,
};

/// How long the local chain may take to answer.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What a question after health is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`, or `failed` if any check has.
    pub status: String,
    /// Each check.
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, if it is not.
    pub what: Option<String>,
}

impl HealthView {
    fn of(checks: Vec<CheckView>) -> Self {
        let status = if checks.iter().all(|check| check.ok) { "ok" } else { "failed" };
        Self { status: status.to_owned(), checks }
    }

    /// Whether nothing has failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

fn check(name: impl Into<String>, found: Result<(), String>) -> CheckView {
    CheckView { name: name.into(), ok: found.is_ok(), what: found.err() }
}

/// `/healthz`: every task is alive. What fails here only a new process repairs.
#[must_use]
pub fn alive(gateway: &Gateway) -> HealthView {
    let tasks = gateway.tasks.all().into_iter();
    HealthView::of(tasks.map(|(task, _)| task_check(gateway, task)).collect())
}

fn task_check(gateway: &Gateway, task: Task) -> CheckView {
    let (silent, most) = (gateway.tasks.silent(task), task.silent_max());
    let found = match silent {
        Some(Duration::MAX) => Err("has ended".to_owned()),
        Some(silent) if silent > most => {
            Err(format!("silent for {} s, expected at most {}", silent.as_secs(), most.as_secs()))
        }
        Some(_) | None => Ok(()),
    };
    check(format!("task {}", task.word()), found)
}

/// `/readyz`: messages can come in and go out. What fails here may be well again by itself.
pub async fn ready(gateway: &Gateway) -> HealthView {
    let causes = load::causes(gateway);
    let spool = match gateway.spool.healthy() {
        Ok(()) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    let load = match causes.contains(&Cause::Memory) {
        true => Err("more memory than limits.memory_max: nothing is taken in".to_owned()),
        false => Ok(()),
    };
    let chain = match timeout(CHAIN_TIMEOUT, gateway.chain.head()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CHAIN_TIMEOUT.as_secs())),
    };
    let listens = gateway.tasks.all().iter().any(|(task, alive)| *task == Task::Peers && *alive);
    let listener = if listens { Ok(()) } else { Err("nobody listens for peers".to_owned()) };
    HealthView::of(vec![
        check("spool", spool),
        check("load", load),
        check("chain", chain),
        check("listener", listener),
    ])
}
