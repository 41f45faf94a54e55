//! Two chains on real nodes, each with its contract, its users, and its gateways: the real binary,
//! set up by the commands that an operator types.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256, hex};
use distpos_gateway::submit::{MessageView, Outcome};
use distpos_proto::{
    message::{Message, MessageId},
    terms::{self, Backing, Terms},
};
use serde_json::{Value as Json, json};

use crate::{
    contract::{Contract, send_input},
    daemon::{Daemon, until},
    engine::{Engine, Node},
    wallet::{self, Action, RICH, Secret, Signed, Wallet},
};

/// One name on both sides for what is counted between them.
pub(crate) const ASSET: &str = "e2e4/coin";
/// The float that each contract gets, in wei.
pub(crate) const FLOAT: u128 = 50 * ETHER;
/// What each user starts with, in wei.
const USER_MONEY: u128 = 1_000 * ETHER;
/// What pays for the gas of owners and gateways, in wei.
const FEE_MONEY: u128 = 20 * ETHER;
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;
/// How long a transaction may take into a block, on a busy machine too.
const INCLUDED_WITHIN: Duration = Duration::from_secs(120);
/// How much is shown of each log when a story fails.
const LOG_LINES_SHOWN: usize = 25;
/// After how long a wallet hands over once more what its node shows and puts into no block.
const HANDED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long a message may take to its end when nothing is wrong.
pub(crate) const ENDED_WITHIN: Duration = Duration::from_secs(180);

/// Both chains. `e2e4` is `a`, `b1c2` is `b`.
pub(crate) struct Pair {
    pub(crate) a: Side,
    pub(crate) b: Side,
    home: tempfile::TempDir,
}

impl Pair {
    /// One gateway on each side; they run.
    pub(crate) fn running(engine: Engine) -> Self {
        let pair = Self::prepared(engine, 1);
        pair.start_gateways();
        pair
    }

    /// Nodes run, contracts know each other, gateways are configured: one for `e2e4`, `gateways`
    /// for `b1c2`. None of them runs.
    pub(crate) fn prepared(engine: Engine, gateways: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let [mut a, mut b] = thread::scope(|scope| {
            let path = home.path();
            let a = scope.spawn(move || Side::deployed(engine, path, "e2e4", 1));
            let b = scope.spawn(move || Side::deployed(engine, path, "b1c2", gateways));
            [a.join().unwrap(), b.join().unwrap()]
        });
        thread::scope(|scope| {
            scope.spawn(|| a.agree_with(&b));
            scope.spawn(|| b.agree_with(&a));
        });
        a.configure(&b);
        b.configure(&a);
        (a.other, b.other) = (b.contract, a.contract);
        Self { a, b, home }
    }

    pub(crate) fn start_gateways(&self) {
        thread::scope(|scope| {
            for gateway in self.a.gateways.iter().chain(&self.b.gateways) {
                scope.spawn(|| gateway.daemon.start());
            }
        });
    }

    pub(crate) fn sides(&self) -> [(&Side, &Side); 2] {
        [(&self.a, &self.b), (&self.b, &self.a)]
    }
}

/// A story that failed leaves its logs: their ends are shown, and all of it is kept.
impl Drop for Pair {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        self.home.disable_cleanup(true);
        println!("everything is in {}", self.home.path().display());
        for gateway in self.a.gateways.iter().chain(&self.b.gateways) {
            let log = gateway.daemon.log();
            let end: Vec<_> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
            println!("{}:", gateway.daemon.directory.display());
            end.iter().rev().for_each(|line| println!("  {line}"));
        }
    }
}

/// One chain.
pub(crate) struct Side {
    pub(crate) chain: &'static str,
    pub(crate) node: Node,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) user: Wallet,
    /// What the user had when the story began.
    pub(crate) user_money: U256,
    pub(crate) contract: Address,
    /// The other chain's contract.
    pub(crate) other: Address,
    pub(crate) start: u64,
    /// What is counted with the other side; the coin is the first.
    pub(crate) accounts: Vec<Account>,
    tag: String,
    rich: Wallet,
    home: PathBuf,
}

/// An account with the other side in one asset.
pub(crate) struct Account {
    pub(crate) asset: &'static str,
    /// Zero for the coin.
    pub(crate) token: Address,
    /// What the contract held when the story began.
    pub(crate) float: U256,
}

/// A gateway of a chain.
pub(crate) struct Gateway {
    pub(crate) daemon: Daemon,
    /// Its account at its chain.
    pub(crate) account: Address,
    /// The key file of that account.
    spki: String,
    chain_key: String,
}

impl Side {
    fn deployed(engine: Engine, home: &Path, chain: &'static str, gateways: usize) -> Self {
        let home = home.join(chain);
        let chain_id = u64::from_str_radix(chain, 16).unwrap();
        let node = Node::start(engine, &home.join("node"), chain_id);
        let gateways: Vec<_> = (1..=gateways)
            .map(|number| Gateway::with_keys(&home.join(format!("gw{number}"))))
            .collect();
        let (user, rich) =
            (Secret([chain_id.to_be_bytes()[7]; 32]), Wallet::of(&RICH, chain_id, 0));
        fs::write(home.join("user.key"), format!("0x{}\n", hex::encode(user.0))).unwrap();
        only_mine(&home.join("user.key"));
        let mut side = Self {
            chain,
            node,
            user: Wallet::of(&user, chain_id, 0),
            user_money: U256::from(USER_MONEY),
            contract: Address::ZERO,
            other: Address::ZERO,
            start: 0,
            accounts: vec![Account {
                asset: ASSET,
                token: Address::ZERO,
                float: U256::from(FLOAT),
            }],
            tag: String::new(),
            rich,
            home,
            gateways,
        };
        let owner = run(&side.home, "distpos-gateway", &["evm", "keygen", "owner.key"]);
        let owner: Address = text(&owner).parse().unwrap();
        let mut payments = vec![(owner, FEE_MONEY), (side.user.address, USER_MONEY)];
        payments.extend(side.gateways.iter().map(|gateway| (gateway.account, FEE_MONEY)));
        // The float, too, comes from the owner.
        payments[0].1 += FLOAT;
        side.pay_all(&payments);
        side.deploy();
        side
    }

    fn pay_all(&self, payments: &[(Address, u128)]) {
        let signed = payments.iter().map(|(to, value)| self.plain(*to, *value));
        let signed: Vec<_> = signed.map(|action| self.rich.sign(action)).collect();
        for signed in &signed {
            self.broadcast(signed);
        }
        for signed in &signed {
            self.receipt(signed);
        }
    }

    /// Pays an account from the rich one.
    pub(crate) fn pay(&self, to: Address, value: u128) {
        self.pay_all(&[(to, value)]);
    }

    fn plain(&self, to: Address, value: u128) -> Action {
        Action { to: Some(to), value: U256::from(value), input: Vec::new(), gas: 100_000 }
    }

    fn deploy(&mut self) {
        let accounts: Vec<_> = self.gateways.iter().map(|one| one.account.to_string()).collect();
        let roles = accounts.iter().flat_map(|account| ["--gateway", account]);
        let told = self.owner(
            &[&["deploy", "--chain", self.chain, "--json"], &roles.collect::<Vec<_>>()[..]]
                .concat(),
        );
        let told: Json = serde_json::from_str(&told).unwrap();
        self.contract = told["contract"].as_str().unwrap().parse().unwrap();
        self.tag = told["genesis"].as_str().unwrap().into();
        self.start = told["from_block"].as_u64().unwrap();
    }

    /// `distpos-gateway evm …` with the owner's key.
    pub(crate) fn owner(&self, arguments: &[&str]) -> String {
        let (url, verb) = (self.node.url(), &arguments[..1]);
        let at = ["--rpc", &url, "--key", "owner.key"];
        let output = run(
            &self.home,
            "distpos-gateway",
            &[&["evm"], verb, &arguments[1..], &at[..]].concat(),
        );
        text(&output)
    }

    /// The same for commands that name the contract and a reason.
    pub(crate) fn owner_at(&self, arguments: &[&str]) -> String {
        let contract = self.contract.to_string();
        self.owner(&[arguments, &["--contract", &contract, "--reason", "a story"]].concat())
    }

    fn agree_with(&self, other: &Self) {
        self.owner_at(&["peer", other.chain, "--genesis", &other.tag]);
        let terms = terms((self, Address::ZERO), (other, Address::ZERO), ASSET);
        self.open_account(&terms, &["--token", "coin", "--credit-limit", "100eth"]);
        self.owner_at(&["fund", "--amount", &FLOAT.to_string()]);
    }

    /// Opens an account with the other side under these terms, which both have signed.
    pub(crate) fn open_account(&self, terms: &Terms, more: &[&str]) {
        let other = terms.other(self.chain.parse().unwrap()).unwrap().chain.to_string();
        let (asset, hash) = (terms.asset().as_str(), terms.hash().to_string());
        self.owner_at(&[&["account", &other, asset, "--terms", &hash], more].concat());
    }

    fn configure(&self, other: &Self) {
        let (url, chain_id, contract) = (self.node.url(), self.node.chain_id(), self.contract);
        let (chain, start, finality) = (self.chain, self.start, self.node.engine.finality());
        let list = |side: &Self, of: fn(&Gateway) -> String| -> String {
            side.gateways.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        let key = |gateway: &Gateway| format!("\"{}\"", gateway.chain_key);
        let (own_keys, keys) = (list(self, key), list(other, key));
        let route = list(other, |one| {
            let (port, spki) = (one.daemon.peers.port(), &one.spki);
            format!(
                "{{ host = \"gw.test\", port = {port}, spki = [\"{spki}\"], address = \"127.0.0.1\" }}"
            )
        });
        let (peer, tag, outbox) = (other.chain, &other.tag, hex::encode(other.contract));
        for gateway in &self.gateways {
            let (peers, submission) = (gateway.daemon.peers, gateway.daemon.submission);
            let text = format!(
                r#"[chain]
id = "{chain}"
family = "evm"

[chain.evm]
rpc = "{url}"
chain_id = {chain_id}
contract = "{contract}"
from_block = {start}
{finality}
poll = "100ms"
key = "evm.key"

[identity]
directory = "keys"
keys = [{own_keys}]

[spool]
directory = "spool"

[listen]
peers = "{peers}"
submission = "{submission}"

[metrics]
listen = "127.0.0.1:0"

[resolver]
roots = ["chains.test"]

[route.{peer}]
gateways = [{route}]

[peer.{peer}]
keys = [{keys}]
th = 1
genesis = "{tag}"
family = "evm"
outbox = "{outbox}"
"#
            );
            fs::write(gateway.daemon.config_file(), text).unwrap();
        }
    }

    /// The account that has everything and does what nobody in the story is.
    pub(crate) fn rich(&self) -> &Wallet {
        &self.rich
    }

    /// The first gateway pays all it has to the rich account.
    pub(crate) fn drain_gateway(&self) {
        let gateway = &self.gateways[0];
        let key = fs::read_to_string(gateway.daemon.directory.join("evm.key")).unwrap();
        let secret = Secret(hex::decode(key.trim()).unwrap().try_into().unwrap());
        let wallet = Wallet::of(&secret, self.node.chain_id(), 0);
        let value = self.balance(gateway.account) - U256::from(21_000 * wallet::FEE_MAX);
        let to = Some(self.rich.address);
        let all = Action { to, value, input: Vec::new(), gas: 21_000 };
        let signed = wallet.sign_at_full_price(all);
        self.broadcast(&signed);
        self.receipt(&signed);
        assert_eq!(self.balance(gateway.account), U256::ZERO);
    }

    pub(crate) fn contract(&self) -> Contract<'_> {
        Contract { node: &self.node, address: self.contract }
    }

    /// The first gateway.
    pub(crate) fn gateway(&self) -> &Daemon {
        &self.gateways[0].daemon
    }

    /// Hands a signed transaction over, unless the node has it; one that is away is no fault.
    pub(crate) fn broadcast(&self, signed: &Signed) {
        let known = self.node.try_call("eth_getTransactionByHash", &json!([signed.hash]));
        if known.is_ok_and(|known| known.is_null()) {
            self.hand_over(signed);
        }
    }

    fn hand_over(&self, signed: &Signed) {
        let _ = self.node.try_call("eth_sendRawTransaction", &json!([signed.raw]));
    }

    /// The receipt of a transaction once a block has it; it is handed over again until then, as
    /// wallets do. A reverted one is the story's fault.
    pub(crate) fn receipt(&self, signed: &Signed) -> Json {
        let mut handed = Instant::now();
        let receipt = until("a block has the transaction", INCLUDED_WITHIN, || {
            let receipt = self.receipt_now(&signed.hash);
            if receipt.is_none() {
                self.broadcast(signed);
                // Ganache shows one whose block was taken back, and puts it into no other; given
                // the same twice at once, it runs it twice.
                if handed.elapsed() > HANDED_AGAIN_AFTER {
                    self.hand_over(signed);
                    handed = Instant::now();
                }
                thread::sleep(Duration::from_millis(50));
            }
            receipt
        });
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    pub(crate) fn receipt_now(&self, hash: &str) -> Option<Json> {
        let receipt = self.node.try_call("eth_getTransactionReceipt", &json!([hash])).ok()?;
        (!receipt.is_null()).then_some(receipt)
    }

    pub(crate) fn balance(&self, account: Address) -> U256 {
        let balance = self.node.call("eth_getBalance", &json!([account.to_string(), "latest"]));
        balance.as_str().unwrap().parse().unwrap()
    }

    /// Deploys from the rich account.
    pub(crate) fn deploy_example(&self, artefact: &str, arguments: &[u8]) -> Address {
        let artefact: Json = serde_json::from_str(artefact).unwrap();
        let mut input = hex::decode(artefact["bytecode"].as_str().unwrap()).unwrap();
        input.extend(arguments);
        let receipt = self
            .transact(&self.rich, Action { to: None, value: U256::ZERO, input, gas: 5_000_000 });
        receipt["contractAddress"].as_str().unwrap().parse().unwrap()
    }

    /// Signs, hands over, and waits for the block.
    pub(crate) fn transact(&self, wallet: &Wallet, action: Action) -> Json {
        let signed = wallet.sign(action);
        self.broadcast(&signed);
        self.receipt(&signed)
    }

    /// The user's call of the outbox, signed.
    pub(crate) fn order(&self, order: &Order<'_>) -> Signed {
        let gas = 400_000 + 60 * u64::try_from(order.data.len()).unwrap();
        let input = send_input(order.to, order.data, order.gas, 0, 0);
        self.user.sign(Action {
            to: Some(self.contract),
            value: U256::from(order.value),
            input,
            gas,
        })
    }

    /// The user sends; the message is in a block when this returns, and final later.
    pub(crate) fn send(&self, order: &Order<'_>) -> Message {
        let signed = self.order(order);
        self.broadcast(&signed);
        self.contract().sent_by(&self.receipt(&signed)).expect("the outbox says what it sent")
    }

    /// `distpos-send` with the user's key at the first gateway.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let (url, gateway) = (self.node.url(), format!("http://{}", self.gateway().submission));
        let at = ["--rpc", &url, "--gateway", &gateway, "--key", "user.key", "--json"];
        let output = run_any(&self.home, "distpos-send", &[arguments, &at[..]].concat());
        // It used a number of the wallet's account, and its fee is the audit's business.
        if let Ok(told) = serde_json::from_slice::<Json>(&output.stdout)
            && let Some(hash) = told["transaction"].as_str()
        {
            self.user.used(format!("0x{}", hash.trim_start_matches("0x")));
        }
        output
    }

    /// `distpos-gateway account …` as the operator of the first gateway types it; what it says.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Json {
        let at = ["--config", "gateway.toml", "--json"];
        let arguments = [&["account"], arguments, &at].concat();
        let output = run(&self.gateway().directory, "distpos-gateway", &arguments);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The account in [`ASSET`] as the operator of the first gateway sees it, once it is as expected.
    pub(crate) fn account_when(&self, what: &str, expected: impl Fn(&Json) -> bool) -> Json {
        let mut last = Json::Null;
        let deadline = Instant::now() + ENDED_WITHIN;
        loop {
            let list = self.operator(&["list"]);
            let all = list["accounts"].as_array().unwrap();
            match all.iter().find(|account| account["asset"] == ASSET) {
                Some(account) if expected(account) => return account.clone(),
                other => last = other.cloned().unwrap_or(last),
            }
            assert!(Instant::now() < deadline, "not yet: {what}: {last}");
            // A look is a process.
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// How a message stands at the first gateway when it is as expected.
    pub(crate) fn message_when(
        &self,
        id: MessageId,
        expected: impl Fn(&MessageView) -> bool,
    ) -> MessageView {
        self.gateway().message_when(id, ENDED_WITHIN, expected)
    }

    /// Waits until a message that left here has ended here.
    pub(crate) fn ends(&self, message: &Message, expected: Outcome) -> MessageView {
        let view = self.message_when(message.id(), |view| view.outcome.is_some());
        assert_eq!(view.outcome, Some(expected), "{view:?}");
        view
    }
}

/// What a user wants sent.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The address with its chain.
    pub(crate) to: &'a str,
    /// In wei.
    pub(crate) value: u128,
    pub(crate) data: &'a [u8],
    /// For the recipient's call; 0 for none.
    pub(crate) gas: u64,
}

impl<'a> Order<'a> {
    /// Value alone.
    pub(crate) fn payment(to: &'a str, value: u128) -> Self {
        Self { to, value, data: &[], gas: 0 }
    }
}

impl Gateway {
    fn with_keys(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let keys = run(directory, "distpos-gateway", &["keygen", "--directory", "keys", "--json"]);
        let keys: Json = serde_json::from_str(&text(&keys)).unwrap();
        let account = text(&run(directory, "distpos-gateway", &["evm", "keygen", "evm.key"]));
        Self {
            daemon: Daemon::at(directory.to_owned()),
            account: account.parse().unwrap(),
            spki: keys["spki"].as_str().unwrap().into(),
            chain_key: keys["chain_key"].as_str().unwrap().into(),
        }
    }
}

/// What both sides count in, and the token that backs it at each; zero: the coin.
pub(crate) fn terms(one: (&Side, Address), other: (&Side, Address), asset: &str) -> Terms {
    let side = |(side, token): (&Side, Address)| terms::Side {
        chain: side.chain.parse().unwrap(),
        tag: side.tag.parse().unwrap(),
        backing: if token.is_zero() { Backing::Coin } else { Backing::Erc20(token.into()) },
    };
    Terms::new(asset.parse().unwrap(), 18, side(one), side(other)).unwrap()
}

/// An address that nobody used before, with its chain.
pub(crate) fn newcomer(chain: &str, number: usize) -> String {
    format!("{chain}x{}", hex::encode(newcomer_account(number)))
}

/// The same without its chain.
pub(crate) fn newcomer_account(number: usize) -> Address {
    let mut bytes = [0xd1; 20];
    bytes[12..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    Address::from(bytes)
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = run_any(directory, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

fn run_any(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let program = match program {
        "distpos-send" => env!("CARGO_BIN_EXE_distpos-send"),
        _ => env!("CARGO_BIN_EXE_distpos-gateway"),
    };
    Command::new(program).args(arguments).current_dir(directory).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

fn only_mine(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
