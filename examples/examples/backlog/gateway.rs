//! The gateway that is measured: a process, looked at from outside.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use distpos_gateway::{config::Config, daemon};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::sleep,
};

use crate::{city::World, ms};

/// The word after which this program is the gateway.
pub(crate) const WORD: &str = "gateway";

/// How often is looked how far it is.
const LOOKED_AT: Duration = Duration::from_millis(200);
/// Without any progress for so long it has failed.
const STUCK_AFTER: Duration = Duration::from_secs(400);

/// `distpos-gateway run`, by the configuration that the last argument names.
pub(crate) fn serve() -> ExitCode {
    let run = || {
        let file = env::args_os().nth(2).context("no configuration")?;
        let config = Config::load(file.as_ref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(daemon::run(config))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The running process.
pub(crate) struct Gateway {
    child: Child,
    socket: PathBuf,
}

impl Gateway {
    /// Starts it, and waits until it answers commands.
    pub(crate) async fn start(world: &World) -> anyhow::Result<Self> {
        let child = Command::new(env::current_exe()?)
            .arg(WORD)
            .arg(world.directory.join("gateway.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut gateway = Self { child, socket: world.directory.join("spool/admin.sock") };
        let began = Instant::now();
        while gateway.get("/v1/queue/summary").await.is_err() {
            if let Some(status) = gateway.child.try_wait()? {
                bail!("the gateway has ended: {status}");
            }
            ensure!(began.elapsed() < STUCK_AFTER, "the gateway does not answer");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(gateway)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until so many messages are in the queue.
    pub(crate) async fn queued(&self, messages: u64) -> anyhow::Result<()> {
        self.until(|found| found == messages).await?;
        Ok(())
    }

    /// Waits until all but `left` of the messages are gone; messages a second since the last look
    /// at which all were there.
    pub(crate) async fn drained(&self, messages: u64, left: u64) -> anyhow::Result<f64> {
        let began = self.until(|found| found < messages + left).await?;
        self.until(|found| found == left).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few million messages")]
        Ok(messages as f64 / began.elapsed().as_secs_f64())
    }

    /// The milliseconds that a summary and a list of the first hundred take.
    pub(crate) async fn looks(&self) -> anyhow::Result<(f64, f64)> {
        let began = Instant::now();
        self.get("/v1/queue/summary").await?;
        let summary = ms(began);
        let began = Instant::now();
        let list = self.get("/v1/queue?messages=100").await?;
        let listed = ms(began);
        let found = list["messages"].as_array().map_or(0, Vec::len);
        ensure!(found >= 100, "{found} messages are listed");
        Ok((summary, listed))
    }

    /// The most memory that it has had, in MiB.
    pub(crate) fn memory_most(&self) -> anyhow::Result<u64> {
        let id = self.child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).context("VmHWM")?.parse()?;
        Ok(kib >> 10)
    }

    /// What the spool takes once it is compacted.
    pub(crate) async fn compacted(&self, world: &World) -> anyhow::Result<u64> {
        world.spool_mib()
    }

    /// Waits for a number of messages; when was the last look at which it was another.
    async fn until(&self, is_there: impl Fn(u64) -> bool) -> anyhow::Result<Instant> {
        let (mut last, mut moved) = (u64::MAX, Instant::now());
        let mut before = moved;
        loop {
            let sums = self.get("/v1/queue/summary").await?;
            let rows = sums["rows"].as_array().context("no rows")?;
            let found = rows.iter().filter_map(|row| row["messages"].as_u64()).sum();
            if is_there(found) {
                return Ok(before);
            }
            before = Instant::now();
            if found != last {
                (last, moved) = (found, Instant::now());
            }
            ensure!(moved.elapsed() < STUCK_AFTER, "stuck at {found} messages: {sums}");
            sleep(LOOKED_AT).await;
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head} {body}");
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A run that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
