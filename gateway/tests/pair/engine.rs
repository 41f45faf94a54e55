//! The nodes: three engines, each started, stopped, killed and started again with its data.
//!
//! | | anvil | ganache | geth `--dev` |
//! | --- | --- | --- | --- |
//! | blocks | made by the test, which can pause them | the same | one a second, by itself |
//! | final | its `finalized` tag, two blocks behind | `confirmations`: its tag is the newest block | `confirmations`: its tag moves every 32 blocks |
//! | receipts | `eth_getBlockReceipts` | one by one | `eth_getBlockReceipts` |
//! | after SIGKILL | its last dump; what came later is lost | its database | its database: every state, and each write at once |
//! | reorganisations | `anvil_reorg` | `evm_snapshot`, `evm_revert` | none by a call |

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::{
    daemon::{Claim, until},
    rpc::{self, Fault},
    wallet,
};

/// An engine that does not answer by then is broken, on a busy machine too.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Blocks after one that make it final where the tag does not serve.
const CONFIRMATIONS: u64 = 2;
/// The development nodes' well-known mnemonic; its first account is [`RICH`](wallet::RICH).
const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Which program runs the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Anvil,
    Ganache,
    Geth,
}

impl Engine {
    /// The lines of `[chain.evm]` that say what is final.
    pub(crate) fn finality(self) -> String {
        match self {
            Self::Anvil => "finality = \"finalized\"".into(),
            Self::Ganache | Self::Geth => format!("confirmations = {CONFIRMATIONS}"),
        }
    }

    /// Whether the test makes its blocks.
    pub(crate) fn is_mined_by_hand(self) -> bool {
        match self {
            Self::Anvil | Self::Ganache => true,
            Self::Geth => false,
        }
    }

    /// Time between two blocks that the test makes: short, since a message waits for about ten.
    fn block_every(self) -> Duration {
        match self {
            Self::Anvil | Self::Geth => Duration::from_millis(200),
            // Each costs it twenty times as much.
            Self::Ganache => Duration::from_millis(500),
        }
    }

    fn command(self, home: &Path, port: u16, chain_id: u64, begun: SystemTime) -> Command {
        let id = chain_id.to_string();
        let port = port.to_string();
        let mut command;
        match self {
            Self::Anvil => {
                command = Command::new("anvil");
                let begun = begun.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
                command.args(["--host", "127.0.0.1", "--port", &port, "--chain-id", &id]);
                // Two slots: final is what two more blocks follow. Without a fixed time each start
                // would make another genesis block.
                command.args(["--slots-in-an-epoch", "1", "--timestamp", &begun.to_string()]);
                command.args(["--no-mining", "--gas-limit", "1000000000", "--mnemonic", MNEMONIC]);
                command.args(["--state-interval", "1", "--quiet", "--state"]).arg(state_file(home));
            }
            Self::Ganache => {
                command = Command::new("ganache");
                command.args(["--server.host", "127.0.0.1", "--server.port", &port]);
                command.args(["--chain.chainId", &id, "--chain.networkId", &id]);
                command.args(["--wallet.mnemonic", MNEMONIC, "--wallet.defaultBalance", "100000"]);
                command.args(["--miner.blockGasLimit", "1000000000", "--database.dbPath"]);
                command.arg(home.join("database"));
            }
            Self::Geth => {
                command = Command::new("geth");
                command.args(["--dev", "--dev.period", "1", "--networkid", &id]);
                command.args(["--http", "--http.addr", "127.0.0.1", "--http.port", &port]);
                command.args(["--http.api", "eth,web3,net,debug,txpool"]);
                command.args(["--gcmode", "archive", "--miner.gaslimit", "1000000000"]);
                command.args([
                    "--nodiscover",
                    "--port",
                    "0",
                    "--authrpc.port",
                    "0",
                    "--ipcdisable",
                ]);
                command.args(["--cache", "64", "--verbosity", "2"]).args(geth_data(home));
            }
        }
        command
    }
}

/// Pebble keeps the last 32 KiB of its log in the process; a SIGKILL takes them.
fn geth_data(home: &Path) -> [String; 6] {
    let data = home.join("data").to_str().unwrap().to_owned();
    ["--state.scheme", "hash", "--db.engine", "leveldb", "--datadir", &data].map(str::to_owned)
}

/// A chain of its own, where [`RICH`] is rich: without it all geths share one.
fn geth_genesis(home: &Path, chain_id: u64) {
    let rich = wallet::RICH.address();
    let blobs = json!({"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477});
    let genesis = json!({
        "config": {
            "chainId": chain_id, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
            "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "shanghaiTime": 0, "cancunTime": 0, "terminalTotalDifficulty": 0,
            "blobSchedule": {"cancun": blobs},
        },
        "nonce": "0x0", "timestamp": format!("{chain_id:#x}"), "extraData": "0x",
        "gasLimit": "0x3b9aca00", "difficulty": "0x0",
        "alloc": {rich.to_string(): {"balance": "0x52b7d2dcc80cd2e4000000"}},
    });
    let file = home.join("genesis.json");
    fs::write(&file, genesis.to_string()).unwrap();
    let mut command = Command::new("geth");
    command.arg("init").args(geth_data(home)).arg(file);
    let made = command.output().expect("geth is on the PATH");
    assert!(made.status.success(), "{made:?}");
}

fn state_file(home: &Path) -> PathBuf {
    home.join("state.json")
}

/// A node of the pair; killed when dropped.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    home: PathBuf,
    chain_id: u64,
    begun: SystemTime,
    process: Mutex<Option<Child>>,
    shared: Arc<Shared>,
    /// Makes blocks, and keeps whole dumps.
    keeper: Mutex<Option<JoinHandle<()>>>,
    _claim: Claim,
}

/// What the test tells the thread that makes blocks.
#[derive(Default)]
struct Shared {
    paused: AtomicBool,
    /// A block is being made while it is held.
    mining: Mutex<()>,
    ended: AtomicBool,
}

impl Node {
    /// Starts a chain of its own.
    pub(crate) fn start(engine: Engine, home: &Path, chain_id: u64) -> Self {
        fs::create_dir_all(home).unwrap();
        let claim = Claim::any();
        let node = Self {
            engine,
            address: claim.address,
            home: home.to_owned(),
            chain_id,
            begun: SystemTime::now(),
            process: Mutex::default(),
            shared: Arc::default(),
            keeper: Mutex::default(),
            _claim: claim,
        };
        if engine == Engine::Geth {
            geth_genesis(home, chain_id);
        }
        node.run();
        let (address, shared) = (node.address, Arc::clone(&node.shared));
        let dumps = (engine == Engine::Anvil).then(|| state_file(home));
        let keeper = thread::spawn(move || {
            while !shared.ended.load(Ordering::SeqCst) {
                if engine.is_mined_by_hand() {
                    shared.make_block(address);
                }
                if let Some(file) = &dumps {
                    keep_whole(file);
                }
                thread::sleep(engine.block_every());
            }
        });
        *node.keeper.lock().unwrap() = Some(keeper);
        node
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn run(&self) {
        let log = self.home.join("node.log");
        let log = fs::File::options().append(true).create(true).open(log).unwrap();
        let mut command =
            self.engine.command(&self.home, self.address.port(), self.chain_id, self.begun);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let name = format!("{:?} is on the PATH", self.engine);
        let child = command.spawn().expect(&name);
        assert!(self.process.lock().unwrap().replace(child).is_none(), "it runs already");
        until("the node answers", READY_WITHIN, || {
            let ended = self.process.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "it ended: {}", self.log());
            rpc::call(self.address, "eth_chainId", &json!([])).ok()
        });
        match self.engine {
            // Its clock would stand where it stood when the chain began.
            Engine::Anvil => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                self.call("evm_setTime", &json!([now.as_secs()]));
            }
            Engine::Ganache => _ = self.call("miner_stop", &json!([])),
            Engine::Geth => {}
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("node.log")).unwrap_or_default()
    }

    /// SIGKILL, in the middle of whatever it does.
    ///
    /// Only what was final for the node is on its disk for certain, as with any real one: anvil
    /// dumps its state once a second, so it is let live until the dump has reached the final block.
    pub(crate) fn kill(&self) {
        // No block is made until it is dead: with each, another one would be final.
        let _mining = self.shared.mining.lock().unwrap();
        if self.engine == Engine::Anvil {
            let last = self.final_height();
            let file = state_file(&self.home);
            // A copy of its own: the next dump may be cut off by the kill.
            let copy = last_file(&file);
            until("a dump holds the final block", READY_WITHIN, || {
                fs::copy(&file, &copy).ok()?;
                (dumped_height(&copy)? >= last).then_some(())
            });
        }
        self.kill_now();
    }

    fn kill_now(&self) {
        let mut child = self.process.lock().unwrap().take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again with its data, at the same address.
    pub(crate) fn restart(&self) {
        if self.engine == Engine::Anvil {
            let file = state_file(&self.home);
            // Killed while it wrote its dump.
            if dumped_height(&file).is_none() {
                let kept = [whole_file(&file), last_file(&file)];
                let newest = kept.iter().max_by_key(|kept| dumped_height(kept)).unwrap();
                fs::copy(newest, &file).unwrap();
            }
        }
        self.run();
    }

    /// SIGSTOP: connections to it open, and nothing answers.
    pub(crate) fn stall(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap();
        let child = process.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// No blocks from now on, but those that [`Self::mine`] makes.
    pub(crate) fn pause_blocks(&self) {
        assert!(self.engine.is_mined_by_hand(), "{:?} makes its blocks itself", self.engine);
        self.shared.paused.store(true, Ordering::SeqCst);
        // One that is being made is waited for.
        drop(self.shared.mining.lock().unwrap());
    }

    pub(crate) fn resume_blocks(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    pub(crate) fn mine(&self, blocks: usize) {
        for _ in 0..blocks {
            self.call("evm_mine", &json!([]));
        }
    }

    /// Where the chain is now, to be taken back to.
    pub(crate) fn mark(&self) -> Mark {
        let snapshot = match self.engine {
            Engine::Ganache => Some(self.call("evm_snapshot", &json!([]))),
            Engine::Anvil | Engine::Geth => None,
        };
        Mark { height: self.height(), snapshot }
    }

    /// Takes the blocks since then back, none of them final. What was in them is forgotten.
    pub(crate) fn take_back(&self, mark: &Mark, how: TakenBack) {
        let depth = self.height() - mark.height;
        let done = match (self.engine, how) {
            (Engine::Anvil, TakenBack::Replaced) => self.call("anvil_reorg", &json!([depth, []])),
            (Engine::Anvil, TakenBack::RolledBack) => self.call("anvil_rollback", &json!([depth])),
            (Engine::Ganache, TakenBack::RolledBack) => {
                self.call("evm_revert", &json!([mark.snapshot]))
            }
            (engine, how) => panic!("{engine:?} has no {how:?}"),
        };
        assert_ne!(done, json!(false));
    }

    /// The result of a call that must succeed.
    pub(crate) fn call(&self, method: &str, params: &Json) -> Json {
        match rpc::call(self.address, method, params) {
            Ok(result) => result,
            Err(fault) => panic!("{method}{params}: {fault}\n{}", self.log()),
        }
    }

    pub(crate) fn try_call(&self, method: &str, params: &Json) -> Result<Json, Fault> {
        rpc::call(self.address, method, params)
    }

    pub(crate) fn height(&self) -> u64 {
        number(&self.call("eth_blockNumber", &json!([])))
    }

    pub(crate) fn final_height(&self) -> u64 {
        self.try_final_height().expect("the node runs")
    }

    /// None while the node is away.
    pub(crate) fn try_final_height(&self) -> Option<u64> {
        match self.engine {
            Engine::Anvil => {
                let block = self.try_call("eth_getBlockByNumber", &json!(["finalized", false]));
                Some(number(&block.ok()?["number"]))
            }
            Engine::Ganache | Engine::Geth => {
                let latest = self.try_call("eth_blockNumber", &json!([])).ok()?;
                Some(number(&latest).saturating_sub(CONFIRMATIONS))
            }
        }
    }
}

/// A place in a chain.
pub(crate) struct Mark {
    height: u64,
    snapshot: Option<Json>,
}

/// What comes in the place of blocks that are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenBack {
    /// Empty blocks, as many.
    Replaced,
    /// Nothing: the chain is shorter for a while.
    RolledBack,
}

impl Shared {
    /// A node that is away makes none.
    fn make_block(&self, address: SocketAddr) {
        let _mining = self.mining.lock().unwrap();
        if !self.paused.load(Ordering::SeqCst) {
            let _ = rpc::call(address, "evm_mine", &json!([]));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // A failed assertion elsewhere may have poisoned the lock.
        let mut process = self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(mut child) = process.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::CONT);
            let _ = child.kill();
            let _ = child.wait();
        }
        drop(process);
        if let Ok(Some(keeper)) = self.keeper.lock().map(|mut keeper| keeper.take()) {
            let _ = keeper.join();
        }
    }
}

/// A quantity in hex.
pub(crate) fn number(quantity: &Json) -> u64 {
    let text = quantity.as_str().unwrap_or_else(|| panic!("{quantity} is no quantity"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn whole_file(dump: &Path) -> PathBuf {
    dump.with_extension("whole")
}

fn last_file(dump: &Path) -> PathBuf {
    dump.with_extension("last")
}

/// The newest block in a dump; none if it was cut off in the middle.
fn dumped_height(file: &Path) -> Option<u64> {
    let dump: Json = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    match &dump["best_block_number"] {
        Json::Number(height) => height.as_u64(),
        height => Some(number(height)),
    }
}

/// Anvil writes its dumps over the old ones: the last whole one is kept beside.
fn keep_whole(file: &Path) {
    let changed = |file: &Path| fs::metadata(file).and_then(|found| found.modified()).ok();
    let whole = whole_file(file);
    let Some(at) = changed(file) else { return };
    if changed(&whole).is_some_and(|kept| kept >= at) || dumped_height(file).is_none() {
        return;
    }
    // Renamed over the old one, so that a test that ends here leaves a whole one, too.
    let next = file.with_extension("next");
    if fs::copy(file, &next).is_ok() && dumped_height(&next).is_some() {
        let _ = fs::rename(&next, whole);
    }
}
