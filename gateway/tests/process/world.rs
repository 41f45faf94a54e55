//! Two communities as their operators set them up: keys, configuration files, a name server. Their
//! gateways are processes of their own.

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

use distpos_certs::{SecretKind, identity::load_signing_key};
use distpos_examples::{
    dns::{NameServer, Sockets, Zone},
    village::{ROOT, Village},
};
use distpos_gateway::{
    chain::ledger::{Ledger, TransactionId, transaction},
    clock,
    config::{Config, Node},
    submit::{AccountView, MessageView},
};
use distpos_proto::{
    address::{Address, Local},
    amount::Amount,
    key::SecretKey,
    message::{MessageId, OnFail},
    record::{GatewayRecord, HostName, KeyRecord, Target},
    time::UnixSeconds,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::http;

/// What may come in from the other side and not go out: more than any story sends.
pub(crate) const VALUE_MAX: u64 = 5_000;
/// A gateway that is not ready by then is broken, on a busy machine too.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Both communities, and the name server.
pub(crate) struct World {
    pub(crate) a: Gateway,
    pub(crate) b: Gateway,
    pub(crate) home: tempfile::TempDir,
    /// Where the name server is.
    pub(crate) server: SocketAddr,
    sockets: Option<Sockets>,
    /// Behind both gateways: it answers until they are gone.
    name_server: Option<NameServer>,
    runtime: Runtime,
}

impl World {
    /// Keys, ports and configuration files; nothing runs, and the name server is silent.
    pub(crate) fn prepared() -> Self {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sockets = runtime.block_on(Sockets::bind()).unwrap();
        let server = sockets.address().unwrap();
        let [a, b] = [("e2e4", 1), ("b1c2", 2)].map(|(chain, seed)| {
            let village = Village::prepare(home.path(), chain, [seed; 32]).unwrap();
            Gateway::of(village, home.path().join(chain))
        });
        a.configure(a.village.configuration(&b.village, &server.to_string(), VALUE_MAX));
        b.configure(b.village.configuration(&a.village, &server.to_string(), VALUE_MAX));
        Self { a, b, home, server, sockets: Some(sockets), name_server: None, runtime }
    }

    /// The name server answers from now on.
    pub(crate) fn publish(&mut self) {
        let mut zone = Zone::new(ROOT).unwrap();
        for gateway in [&self.a, &self.b] {
            let chain = gateway.village.chain;
            let host: HostName = format!("gw1.{chain}.{ROOT}").parse().unwrap();
            zone.address(host.as_str(), gateway.published.ip()).unwrap();
            let pin = gateway.village.identity.tls_pin;
            let mut record = GatewayRecord::new(chain, host.clone(), pin);
            record.target = Target::Host { host, port: gateway.published.port(), pins: vec![pin] };
            zone.text(&format!("_distpos.{chain}.{ROOT}"), &record.to_string()).unwrap();
            let key = KeyRecord::new(chain, Some(gateway.village.identity.chain_key));
            zone.text(&format!("k1._key._distpos.{chain}.{ROOT}"), &key.to_string()).unwrap();
            let tag = gateway.village.tag;
            let policy = format!(
                "v=DPOSPOL1; c={chain}; id=1; mode=enforce; ma=604800; proof=ledger; gen={tag}; \
                 conf=0; sel=k1; th=1"
            );
            zone.text(&format!("_policy._distpos.{chain}.{ROOT}"), &policy).unwrap();
        }
        let sockets = self.sockets.take().unwrap();
        let _in_runtime = self.runtime.enter();
        self.name_server = Some(sockets.serve(zone).unwrap());
    }

    /// Both gateways run, and find each other.
    pub(crate) fn running() -> Self {
        let mut world = Self::prepared();
        world.publish();
        world.a.start();
        world.b.start();
        world
    }
}

/// One community's gateway.
pub(crate) struct Gateway {
    pub(crate) village: Village,
    pub(crate) directory: PathBuf,
    /// Where it listens for users.
    pub(crate) submission: SocketAddr,
    /// Where it listens for peers.
    pub(crate) peers: SocketAddr,
    /// Where the name server says that it listens.
    pub(crate) published: SocketAddr,
    process: Mutex<Option<Child>>,
    _claims: [UdpSocket; 2],
}

impl Gateway {
    fn of(village: Village, directory: PathBuf) -> Self {
        let [(submission, first), (peers, second)] = [reserve(), reserve()];
        let _claims = [first, second];
        let process = Mutex::default();
        Self { village, directory, submission, peers, published: peers, process, _claims }
    }

    fn configure(&self, text: String) {
        let (peers, submission) = (self.peers, self.submission);
        let text = text
            .replace("peers = \"127.0.0.1:0\"", &format!("peers = \"{peers}\""))
            .replace("submission = \"127.0.0.1:0\"", &format!("submission = \"{submission}\""));
        fs::write(self.config_file(), text).unwrap();
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

    /// The user's signed transfer to another chain.
    pub(crate) fn signed(&self, nonce: u64, to: &Address, value: u64) -> Vec<u8> {
        let Village { chain, tag, user, .. } = &self.village;
        let order = transaction::SendOrder {
            to: to.clone(),
            amount: Amount::from(value),
            data: Vec::new(),
            gas: 0,
            on_fail: OnFail::Return,
            expires: UnixSeconds(0),
        };
        transaction::send(transaction::Place { chain: *chain, tag: *tag, nonce }, order, user)
    }

    /// The user sends, and comes back as long as the gateway is down: the nonce makes a repeated
    /// transaction harmless.
    pub(crate) fn send(&self, nonce: u64, to: &Address, value: u64) -> MessageId {
        let signed = self.signed(nonce, to, value);
        let id = transaction::transaction_id(&signed).unwrap();
        until("the transaction is in a block", Duration::from_secs(120), || {
            match http::post(self.submission, "/v1/transactions", &signed) {
                Ok((200, _)) => Some(()),
                // It may have been in the block that the gateway made as it died.
                _ => {
                    self.account(&self.village.local()).filter(|held| held.nonce > nonce).map(drop)
                }
            }
        });
        self.sent_with(&id)
    }

    fn sent_with(&self, id: &TransactionId) -> MessageId {
        let path = format!("/v1/messages?transaction={id}");
        until("the message's id is told", Duration::from_secs(120), || {
            let (status, answer) = http::get(self.submission, &path).ok()?;
            assert_eq!(status, 200, "{answer}");
            Some(answer["messages"][0].as_str()?.parse().unwrap())
        })
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

    /// What the user holds.
    pub(crate) fn balance(&self) -> u64 {
        let account = self.account(&self.village.local()).expect("an account from genesis");
        account.balance.parse().unwrap()
    }

    /// The ledger itself, when no gateway has it open.
    pub(crate) fn ledger(&self) -> Ledger {
        let config = Config::load(&self.config_file()).unwrap();
        let Node::Ledger(node) = &config.chain.node else { panic!("expected a ledger") };
        let file = config.identity.directory.join(distpos_certs::identity::CHAIN_FILE);
        let key = load_signing_key(&file, SecretKind::Chain).unwrap();
        let genesis = node.genesis(config.chain.id, key.public());
        Ledger::open(&node.directory, genesis, vec![key], clock::system()).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A failed assertion elsewhere may have poisoned the lock.
        let mut process = self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(mut child) = process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An account of that chain which nobody has opened.
pub(crate) fn stranger_on(gateway: &Gateway) -> Address {
    let key = SecretKey::from_seed(&[99; 32]).public();
    let local = distpos_gateway::chain::ledger::address::local(&key);
    Address::new(gateway.village.chain, local)
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

/// A port that a gateway gets again after each restart: below those which the system hands out,
/// and claimed against other tests by its UDP twin.
fn reserve() -> (SocketAddr, UdpSocket) {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    loop {
        let start = std::process::id().wrapping_mul(61);
        let next = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + start.wrapping_add(next) % 20_000).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(claim) = UdpSocket::bind(address)
            && TcpListener::bind(address).is_ok()
        {
            return (address, claim);
        }
    }
}
