//! A gateway's process, its configuration file and its ports, whatever its chain.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use distpos_gateway::submit::{AccountView, MessageView};
use distpos_proto::{address::Local, message::MessageId};
use rustix::process::{Pid, Signal, kill_process};

use crate::http;

/// A gateway that is not ready by then is broken, on a busy machine too.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// `distpos-gateway run`, or what is needed to start it.
pub(crate) struct Daemon {
    /// Where its configuration, keys, spool and log are.
    pub(crate) directory: PathBuf,
    /// Where it listens for users.
    pub(crate) submission: SocketAddr,
    /// Where it listens for peers.
    pub(crate) peers: SocketAddr,
    process: Mutex<Option<Child>>,
    _claims: [Claim; 2],
}

impl Daemon {
    /// With ports of its own; nothing runs yet.
    pub(crate) fn at(directory: PathBuf) -> Self {
        let _claims = [Claim::any(), Claim::any()];
        let [submission, peers] = [&_claims[0], &_claims[1]].map(|claim| claim.address);
        Self { directory, submission, peers, process: Mutex::default(), _claims }
    }

    /// The operator edits the configuration; what is replaced must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config_file()).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(self.config_file(), text.replace(from, to)).unwrap();
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.join("gateway.toml")
    }

    /// `distpos-gateway run`, with its log in a file.
    pub(crate) fn command(&self) -> Command {
        let log = File::options().append(true).create(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
        command.arg("run").arg("--config").arg(self.config_file());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("gateway.log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts the gateway; tells how long it took until it answered.
    pub(crate) fn start(&self) -> Duration {
        let began = Instant::now();
        let child = self.command().spawn().unwrap();
        assert!(self.process.lock().unwrap().replace(child).is_none(), "it runs already");
        until("the gateway is ready", READY_WITHIN, || {
            let mut process = self.process.lock().unwrap();
            let ended = process.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "it ended: {}", self.log());
            http::get(self.submission, "/v1/chain").ok()
        });
        began.elapsed()
    }

    /// SIGKILL: no word of farewell.
    pub(crate) fn kill(&self) {
        let mut child = self.process.lock().unwrap().take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends it a signal, and waits for nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap();
        kill_process(Pid::from_child(process.as_ref().expect("it runs")), signal).unwrap();
    }

    /// SIGTERM; tells how it ended, and after how long.
    pub(crate) fn terminate(&self) -> (ExitStatus, Duration) {
        let mut child = self.process.lock().unwrap().take().expect("it runs");
        let began = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        (child.wait().unwrap(), began.elapsed())
    }

    /// Waits for it to end by itself; its exit code.
    pub(crate) fn ended_by_itself(&self, time_max: Duration) -> Option<i32> {
        let mut process = self.process.lock().unwrap();
        let child = process.as_mut().expect("it runs");
        let status = until("it ends", time_max, || child.try_wait().unwrap());
        *process = None;
        status.code()
    }

    /// Physical memory the process occupies, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.process.lock().unwrap().as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// None if it is not there, or the gateway is not.
    pub(crate) fn account(&self, local: &Local) -> Option<AccountView> {
        let (status, answer) = http::get(self.submission, &format!("/v1/accounts/{local}")).ok()?;
        (status == 200).then(|| serde_json::from_value(answer).unwrap())
    }

    /// None if the gateway does not know it, or is not there.
    pub(crate) fn message(&self, id: MessageId) -> Option<MessageView> {
        let (status, answer) = http::get(self.submission, &format!("/v1/messages/{id}")).ok()?;
        (status == 200).then(|| serde_json::from_value(answer).unwrap())
    }

    /// The message as it stands when it is as expected.
    pub(crate) fn message_when(
        &self,
        id: MessageId,
        time_max: Duration,
        expected: impl Fn(&MessageView) -> bool,
    ) -> MessageView {
        let mut last = None;
        let deadline = Instant::now() + time_max;
        loop {
            last = self.message(id).or(last);
            match &last {
                Some(view) if expected(view) => return view.clone(),
                _ => assert!(Instant::now() < deadline, "still {last:?}\n{}", self.log()),
            }
            sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A failed assertion elsewhere may have poisoned the lock.
        let mut process = self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(mut child) = process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, time_max: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time_max;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {time_max:?}: {what}");
        sleep(LOOK_EVERY);
    }
}

/// A port that a process gets again after each restart: below those which the system hands out,
/// and claimed against other tests by its UDP twin.
pub(crate) struct Claim {
    pub(crate) address: SocketAddr,
    _twin: UdpSocket,
}

impl Claim {
    /// Of any port that nobody else has.
    pub(crate) fn any() -> Self {
        static TRIED: AtomicU16 = AtomicU16::new(0);
        loop {
            let start = std::process::id().wrapping_mul(61);
            let next = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
            let port = u16::try_from(10_000 + start.wrapping_add(next) % 20_000).unwrap();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if let Ok(_twin) = UdpSocket::bind(address)
                && TcpListener::bind(address).is_ok()
            {
                return Self { address, _twin };
            }
        }
    }
}
