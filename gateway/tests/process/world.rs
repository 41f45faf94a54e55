//! Two communities as their operators set them up: keys, configuration files, a name server. Their
//! gateways are processes of their own.

use std::{fs, net::SocketAddr, ops::Deref, path::PathBuf, time::Duration};

use distpos_certs::{SecretKind, identity::load_signing_key};
use distpos_examples::{
    dns::{NameServer, Sockets, Zone},
    village::{ROOT, Village},
};
use distpos_gateway::{
    chain::ledger::{Ledger, TransactionId, transaction},
    clock,
    config::{Config, Node},
};
use distpos_proto::{
    address::Address,
    amount::Amount,
    key::SecretKey,
    message::{MessageId, OnFail},
    record::{GatewayRecord, HostName, KeyRecord, Target},
    time::UnixSeconds,
};
use tokio::runtime::Runtime;

use crate::{
    daemon::{Daemon, until},
    http,
};

/// How much credit each gives the other: more than any story sends.
pub(crate) const CREDIT_LIMIT: u64 = 5_000;

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
    /// Keys, ports, configuration files and open accounts; nothing runs, and the name server is silent.
    pub(crate) fn prepared() -> Self {
        let world = Self::strangers();
        world.agree();
        world
    }

    /// The same without any account.
    pub(crate) fn strangers() -> Self {
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
        a.configure(a.village.configuration(&b.village, &server.to_string()));
        b.configure(b.village.configuration(&a.village, &server.to_string()));
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

    /// Opens the account of each on the other's ledger, before any gateway has it open.
    fn agree(&self) {
        let both = [(&self.a, &self.b), (&self.b, &self.a)];
        for (own, other) in both {
            let opening = own.village.open_account(&other.village, CREDIT_LIMIT);
            self.runtime.block_on(opening).unwrap();
        }
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
    /// Where the name server says that it listens.
    pub(crate) published: SocketAddr,
    daemon: Daemon,
}

/// What any gateway's process can be asked.
impl Deref for Gateway {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl Gateway {
    fn of(village: Village, directory: PathBuf) -> Self {
        let daemon = Daemon::at(directory);
        Self { village, published: daemon.peers, daemon }
    }

    fn configure(&self, text: String) {
        let (peers, submission) = (self.peers, self.submission);
        let text = text
            .replace("peers = \"127.0.0.1:0\"", &format!("peers = \"{peers}\""))
            .replace("submission = \"127.0.0.1:0\"", &format!("submission = \"{submission}\""));
        fs::write(self.config_file(), text).unwrap();
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

/// An account of that chain which nobody has opened.
pub(crate) fn stranger_on(gateway: &Gateway) -> Address {
    let key = SecretKey::from_seed(&[99; 32]).public();
    let local = distpos_gateway::chain::ledger::address::local(&key);
    Address::new(gateway.village.chain, local)
}
