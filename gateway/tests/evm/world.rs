//! One node, one contract, and a foreign chain whose messages are proven and admitted as any.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use alloy_primitives::{Address, U256, keccak256};
use distpos_gateway::chain::{
    ChainEvent, Cursor, LocalChain, Submission, Submitted, Watched,
    evm::{
        Alerts, Deployed, Evm, EvmConfig, EvmKey, Finality, Operator, Roles, TokenAccount, UserCall,
    },
};
use distpos_proto::{
    account::{Account, Limits},
    amount::Amount,
    chain::{BlockHash, ChainId, Family, GenesisTag, Height},
    code::Reply,
    header::{Header, HeaderHash},
    key::{KeySet, SecretKey},
    light::{Evidence, Known, Trusted, Verdict, verify},
    message::{Asset, Fields, Message, MessageId, OnFail, TermsHash, Value},
    policy::{AccountSettings, Case, Decision, Own, admit, rules::Rules},
    proof::merkle::{Tree, TreeProof, leaf_hash},
    stage::{Admitted, Proven},
    time::UnixSeconds,
    trust::TrustLevel,
};
use serde_json::{Value as Json, json};

/// The well-known keys of development nodes.
const KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];
pub(crate) const OWNER: usize = 0;
pub(crate) const GATEWAY: usize = 1;
pub(crate) const USER: usize = 2;
pub(crate) const SECOND: usize = 3;
pub(crate) const PEER_TAG: GenesisTag = GenesisTag([7; 8]);
/// What both sides have signed. The contract compares the hash and reads nothing else of it.
pub(crate) const TERMS: TermsHash = TermsHash([0x7e; 32]);

pub(crate) fn key(index: usize) -> EvmKey {
    let bytes = data_encoding::HEXLOWER.decode(KEYS[index].as_bytes()).unwrap();
    EvmKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

/// The same as a key file holds it.
pub(crate) fn secret(index: usize) -> String {
    format!("0x{}\n", KEYS[index])
}

pub(crate) fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

pub(crate) fn amount(value: u64) -> Amount {
    Amount::from(value)
}

/// A running anvil; killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    authority: String,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Another node of the same chain, as far as that has come.
    pub(crate) fn second(&self) -> Self {
        Self::start_with(&["--fork-url", &self.url])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new("anvil")
            .args(["--host", "127.0.0.1", "--port", "0", "--chain-id", "58084"])
            .args(["--slots-in-an-epoch", "4"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil is on the PATH");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let authority = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // Read on, so that it never waits for its log to be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{authority}/"), authority }
    }

    /// A call that the gateway has no business with, such as mining.
    pub(crate) fn rpc(&self, method: &str, params: &Json) -> Json {
        self.try_rpc(method, params).unwrap_or_else(|| panic!("{method} failed"))
    }

    /// The same where the node may say no.
    pub(crate) fn try_rpc(&self, method: &str, params: &Json) -> Option<Json> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        let (host, length) = (&self.authority, body.len());
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Json = serde_json::from_str(body).unwrap();
        answer.get("result").cloned()
    }

    /// Adds blocks until everything so far is final: two epochs of four slots.
    pub(crate) fn finalize(&self) {
        self.rpc("anvil_mine", &json!(["0x9"]));
    }

    pub(crate) fn balance(&self, account: Address) -> U256 {
        let balance = self.rpc("eth_getBalance", &json!([account.to_string(), "latest"]));
        balance.as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn now(&self) -> u64 {
        let block = self.rpc("eth_getBlockByNumber", &json!(["latest", false]));
        let time = block["timestamp"].as_str().unwrap();
        u64::from_str_radix(time.trim_start_matches("0x"), 16).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A node with the contract of `e2e4`, whose peer is `b1c2`.
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) owner: Operator,
    pub(crate) user: Operator,
    pub(crate) deployed: Deployed,
    pub(crate) evm: Evm,
    pub(crate) foreign: Foreign,
}

impl World {
    /// Deployed, funded with 10 ether, and `b1c2` allowed to take out 5 more than it paid in.
    pub(crate) async fn start() -> Self {
        let node = Node::start();
        let owner = Operator::connect(&node.url, key(OWNER)).await.unwrap();
        let user = Operator::connect(&node.url, key(USER)).await.unwrap();
        let roles = Roles {
            owner: owner.address(),
            gateways: vec![key(GATEWAY).address()],
            required: 1,
            pauser: None,
        };
        let deployed = owner.deploy(chain("e2e4"), &roles).await.unwrap();
        let contract = deployed.contract;
        owner.fund(contract, ether(10)).await.unwrap();
        let peer = chain("b1c2");
        owner.set_peer(contract, peer, PEER_TAG).await.unwrap();
        let account = TokenAccount::coin(coin(), TERMS, ether(5));
        owner.set_account(contract, peer, &account).await.unwrap();
        let evm = Evm::open(config(&node, &deployed), key(GATEWAY)).await.unwrap();
        let foreign = Foreign { own: Own { chain: chain("e2e4"), tag: deployed.tag }, deployed };
        Self { node, owner, user, deployed, evm, foreign }
    }

    /// Deploys one of the example recipients.
    pub(crate) async fn recipient(&self, artefact: &str, arguments: &[[u8; 32]]) -> Address {
        let artefact: Json = serde_json::from_str(artefact).unwrap();
        let code = artefact["bytecode"].as_str().unwrap().trim_start_matches("0x");
        let mut input = data_encoding::HEXLOWER.decode(code.as_bytes()).unwrap();
        input.extend(arguments.concat());
        self.owner.call(None, Amount::ZERO, input).await.unwrap().unwrap()
    }

    /// A recipient that remembers what it got.
    pub(crate) async fn echo(&self) -> Address {
        let executor = self.word(self.deployed.contract, "executor()").await;
        let artefact = include_str!("../../contracts/artefacts/Echo.json");
        self.recipient(artefact, &[executor, self.deployed.contract.into_word().0]).await
    }

    /// A recipient that refuses calls, and payments unless told otherwise.
    pub(crate) async fn reverter(&self, takes_payment: bool) -> Address {
        let artefact = include_str!("../../contracts/artefacts/Reverter.json");
        let word = U256::from(u8::from(takes_payment)).to_be_bytes();
        self.recipient(artefact, &[word]).await
    }

    pub(crate) async fn word(&self, contract: Address, getter: &str) -> [u8; 32] {
        let answer = self.owner.view(contract, &keccak256(getter)[..4]).await.unwrap();
        answer[..32].try_into().unwrap()
    }

    pub(crate) async fn number(&self, contract: Address, getter: &str) -> U256 {
        U256::from_be_bytes(self.word(contract, getter).await)
    }

    /// A figure that the contract keeps for each token, of the coin.
    pub(crate) async fn of_coin(&self, getter: &str) -> U256 {
        let input = [&keccak256(getter)[..4], &[0; 32]].concat();
        let answer = self.owner.view(self.deployed.contract, &input).await.unwrap();
        U256::from_be_slice(&answer)
    }

    pub(crate) async fn text(&self, contract: Address, getter: &str) -> String {
        let answer = self.owner.view(contract, &keccak256(getter)[..4]).await.unwrap();
        let length: usize = U256::from_be_slice(&answer[32..64]).to();
        String::from_utf8(answer[64..64 + length].to_vec()).unwrap()
    }

    pub(crate) async fn send(&self, call: &UserCall) -> MessageId {
        self.user.send(self.deployed.contract, call).await.unwrap().1
    }

    pub(crate) async fn deliver(&self, messages: &[&Message]) -> Submitted {
        let admitted = messages.iter().map(|message| self.foreign.admitted(message)).collect();
        self.evm.submit(Submission::Deliver(admitted)).await.unwrap()
    }

    /// Everything final so far of messages, from the contract's first block.
    pub(crate) async fn all(&self) -> (Vec<Message>, Vec<ChainEvent>, Cursor) {
        self.node.finalize();
        let head = self.evm.head().await.unwrap();
        let (mut outgoing, mut events, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let watched = of_messages(&self.evm, after).await;
            for block in watched.blocks {
                outgoing.extend(block.outgoing);
                events.extend(block.events);
            }
            if watched.cursor.height >= head.height {
                return (outgoing, events, watched.cursor);
            }
            after = Some(watched.cursor);
        }
    }
}

/// What is new of messages. What is said of accounts is left out: each world begins with it.
pub(crate) async fn of_messages(evm: &Evm, after: Option<Cursor>) -> Watched {
    let mut watched = evm.watch(after).await.unwrap();
    for block in &mut watched.blocks {
        block.events.retain(|event| !is_of_account(event));
    }
    watched.blocks.retain(|block| {
        !block.outgoing.is_empty() || !block.events.is_empty() || !block.proposals.is_empty()
    });
    watched
}

pub(crate) fn is_of_account(event: &ChainEvent) -> bool {
    matches!(event, ChainEvent::AccountSet { .. } | ChainEvent::ReserveChanged { .. })
}

pub(crate) fn config(node: &Node, deployed: &Deployed) -> EvmConfig {
    EvmConfig {
        nodes: node.url.as_str().into(),
        chain: chain("e2e4"),
        eth_chain_id: deployed.eth_chain_id,
        contract: deployed.contract,
        start: deployed.start,
        finality: Finality::Tag,
        poll: Duration::from_millis(20),
        inclusion_time_max: Duration::from_secs(20),
        alerts: Alerts::default(),
    }
}

pub(crate) fn coin() -> Asset {
    "e2e4/coin".parse().unwrap()
}

pub(crate) fn ether(count: u64) -> Amount {
    Amount::from(u128::from(count) * 1_000_000_000_000_000_000)
}

pub(crate) fn local(account: Address) -> String {
    data_encoding::HEXLOWER.encode(account.as_slice())
}

pub(crate) fn call_to(destination: &str, recipient: &str) -> UserCall {
    UserCall {
        destination: chain(destination),
        recipient: recipient.parse().unwrap(),
        amount: Amount::ZERO,
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: None,
    }
}

/// The chain `b1c2`, attested by one key.
pub(crate) struct Foreign {
    own: Own,
    deployed: Deployed,
}

impl Foreign {
    /// A message to `recipient` that expires in an hour of the machine's time.
    pub(crate) fn message(&self, sequence: u64, recipient: &str) -> Fields {
        Fields {
            source: chain("b1c2"),
            source_tag: PEER_TAG,
            destination: self.own.chain,
            destination_tag: self.deployed.tag,
            outbox: b"escrow".to_vec(),
            sequence,
            sender: "alice".parse().unwrap(),
            recipient: recipient.parse().unwrap(),
            value: None,
            data: Vec::new(),
            gas: 0,
            on_fail: OnFail::Return,
            expires: UnixSeconds(now().0 + 3600),
        }
    }

    /// The same with value.
    pub(crate) fn payment(&self, sequence: u64, recipient: &str, amount: Amount) -> Fields {
        let value = Some(Value { asset: coin(), amount, terms: Some(TERMS) });
        Fields { value, ..self.message(sequence, recipient) }
    }

    /// Proven by a header and a tree, as by any gateway of `b1c2`.
    pub(crate) fn proven(&self, message: &Message) -> Proven {
        let key = SecretKey::from_seed(&[9; 32]);
        let keys = KeySet::new([key.public()], 1).unwrap();
        let tree = Tree::new(vec![leaf_hash(message.bytes())]);
        let header = Header {
            chain: chain("b1c2"),
            tag: PEER_TAG,
            height: Height(message.fields().sequence),
            block: BlockHash([1; 32]),
            time: now(),
            previous: HeaderHash::NONE,
            key_set: keys.hash(),
            leaf_count: 1,
            root: tree.root(),
        };
        let tree = TreeProof {
            indices: vec![0],
            leaves: vec![message.bytes().to_vec()],
            hashes: Vec::new(),
        };
        let trusted = Trusted {
            chain: chain("b1c2"),
            tag: PEER_TAG,
            family: Family::Attested,
            outbox: b"escrow".to_vec(),
            keys,
        };
        let evidence = Evidence::Attested { header: header.sign([&key]), tree };
        match verify(&trusted, Known::default(), &evidence, now()) {
            Verdict::Proven(mut proven) => proven.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// Admitted by a policy that leaves value to the contract.
    pub(crate) fn admitted(&self, message: &Message) -> Admitted {
        let (most, settings) = (Amount::from_word([255; 32]), AccountSettings::default());
        let limits = Limits { credit_limit: most, window: None };
        let terms = message.fields().value.as_ref().and_then(|value| value.terms);
        let case = Case {
            own: self.own,
            now: UnixSeconds(0),
            family: Family::Attested,
            trust: TrustLevel::Static,
            account: Some(&Account { terms, limits, ..Account::default() }),
            is_admitted: false,
            is_suspended: false,
            ahead: None,
            settings: &settings,
            gas: None,
            standing: None,
            rules: &Rules::default(),
            found: &[],
        };
        match admit(self.proven(message), &case) {
            Decision::Admitted(admitted) => admitted,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn void(&self, message: &Message, reply: Reply) -> Submission {
        Submission::Void(vec![self.proven(message).refuse(reply).unwrap()])
    }
}

/// The machine's time, which anvil's blocks follow.
pub(crate) fn now() -> UnixSeconds {
    distpos_gateway::clock::system()().seconds()
}
