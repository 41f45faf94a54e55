//! The chain whose queue is long, and those to which its messages go.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use anyhow::{Context, bail, ensure};
use distpos_examples::{
    dns::{NameServer, Sockets, Zone},
    village::{ROOT, Village},
};
use distpos_gateway::{
    chain::{
        LocalChain, Submission,
        ledger::{Ledger, transaction},
    },
    clock,
    config::{Config, Node},
    daemon::Daemon,
    event::{Event, Events},
};
use distpos_proto::{
    amount::Amount,
    message::OnFail,
    receipt::Outcome,
    record::{GatewayRecord, HostName, Target},
    time::UnixSeconds,
};
use distpos_spool::{Direction, Spool};
use futures_util::future::try_join_all;

/// What each message says: a call of usual length.
const DATA: [u8; 300] = [7; 300];

/// All chains, with ports that stay.
pub(crate) struct World {
    /// Where the files of the gateway that is measured are.
    pub(crate) directory: PathBuf,
    city: Village,
    others: Vec<Other>,
    witness: Arc<Witness>,
    _name_server: NameServer,
}

struct Other {
    village: Village,
    configuration: String,
    running: Option<Daemon>,
}

/// Counts what the others deliver, and tells what goes wrong there.
#[derive(Default)]
struct Witness {
    delivered: AtomicU64,
}

impl Events for Witness {
    fn emit(&self, event: Event) {
        match event {
            Event::Ended { outcome: Outcome::Delivered { .. }, .. } => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Event::Alert { .. } | Event::Refused { .. } | Event::ProofInvalid { .. } => {
                eprintln!("backlog: {event}");
            }
            _ => {}
        }
    }
}

impl World {
    /// Keys, ports, configurations, and DNS; nothing runs.
    pub(crate) async fn prepare(home: &Path, chains: u16) -> anyhow::Result<Self> {
        let sockets = Sockets::bind().await?;
        let server = sockets.address()?.to_string();
        let city = Village::prepare(home, "e2e4", [1; 32])?;
        let mut zone = Zone::new(ROOT)?;
        let (peers, submission) = (port()?, port()?);
        publish(&city, peers, &mut zone)?;
        let mut others = Vec::new();
        for number in 0..chains {
            let village = Village::prepare(home, &format!("{:x}", 0x100 + number), [2; 32])?;
            let place = port()?;
            publish(&village, place, &mut zone)?;
            let configuration = village.configuration(&city, &server);
            // All of these are in one process, which has its memory counted by none of them.
            let configuration = configuration.replacen("127.0.0.1:0", &place.to_string(), 1)
                + "\n[limits]\nmemory_max = \"64GiB\"\n";
            others.push(Other { village, configuration, running: None });
        }
        let first = others.first().context("no chains")?;
        let mut configuration = city
            .configuration(&first.village, &server)
            .replacen("127.0.0.1:0", &peers.to_string(), 1)
            .replacen("127.0.0.1:0", &submission.to_string(), 1);
        for Other { village: Village { chain, tag, identity, .. }, .. } in &others[1..] {
            let key = identity.chain_key;
            configuration += &format!(
                "\n[peer.{chain}]\nkeys = [\"{key}\"]\ngenesis = \"{tag}\"\nfamily = \"ledger\"\n"
            );
        }
        // Here all of them call from one address.
        configuration += "\n[limits]\nconnections_per_address_max = 1024\n";
        let directory = home.join("e2e4");
        fs::write(directory.join("gateway.toml"), configuration)?;
        let _name_server = sockets.serve(zone)?;
        Ok(Self { directory, city, others, witness: Arc::default(), _name_server })
    }

    /// Puts so many messages on the ledger, `block` of them in a block, to all chains but the first
    /// `skipped` in turn.
    pub(crate) async fn fill(
        &self,
        messages: u64,
        block: u64,
        skipped: usize,
    ) -> anyhow::Result<()> {
        let config = Config::load(&self.directory.join("gateway.toml"))?;
        let Node::Ledger(node) = &config.chain.node else { bail!("expected a ledger") };
        let file = config.identity.directory.join(distpos_certs::identity::CHAIN_FILE);
        let kind = distpos_certs::SecretKind::Chain;
        let key = distpos_certs::identity::load_signing_key(&file, kind)?;
        let genesis = node.genesis(config.chain.id, key.public());
        let ledger = Ledger::open(&node.directory, genesis, vec![key], clock::system())?;
        let to: Vec<_> = self.others[skipped..].iter().map(|o| o.village.address()).collect();
        let (mut nonce, mut to) = (0, to.iter().cycle());
        while nonce < messages {
            let until = messages.min(nonce + block);
            let sends = (nonce..until).zip(&mut to);
            let sends = sends.map(|(nonce, to)| {
                let Village { chain, tag, user, .. } = &self.city;
                let order = transaction::SendOrder {
                    to: to.clone(),
                    amount: Amount::ZERO,
                    data: DATA.to_vec(),
                    gas: 0,
                    on_fail: OnFail::Return,
                    expires: UnixSeconds(0),
                };
                let place = transaction::Place { chain: *chain, tag: *tag, nonce };
                ledger.submit(Submission::User(transaction::send(place, order, user)))
            });
            try_join_all(sends).await?;
            nonce = until;
        }
        Ok(())
    }

    /// All chains but the dead one come up.
    pub(crate) async fn start_living(&mut self) -> anyhow::Result<()> {
        for other in &mut self.others[1..] {
            other.start(self.witness.clone()).await?;
        }
        Ok(())
    }

    /// The dead one, too.
    pub(crate) async fn start_dead(&mut self) -> anyhow::Result<()> {
        self.others[0].start(self.witness.clone()).await
    }

    /// What was sent is there, once.
    pub(crate) fn check(&self, sent: u64) -> anyhow::Result<()> {
        let found = self.witness.delivered.load(Ordering::Relaxed);
        ensure!(found == sent, "{found} messages were delivered, {sent} were sent");
        Ok(())
    }

    /// In how many batches what waits is; while the gateway does not run.
    pub(crate) fn batches(&self) -> anyhow::Result<u64> {
        let spool = Spool::open(&self.directory.join("spool"))?;
        let (mut batches, mut last) = (0, None);
        loop {
            let page = spool.read(|tx| tx.lines(Direction::Outbound, last, 1_000))?;
            let Some(line) = page.last() else { return Ok(batches) };
            (batches, last) = (batches + page.len() as u64, Some(line.id));
        }
    }

    /// Bytes on the disk that the spool of the measured gateway takes, in MiB.
    pub(crate) fn spool_mib(&self) -> anyhow::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let mut bytes = 0;
        for entry in fs::read_dir(self.directory.join("spool"))? {
            bytes += entry?.metadata()?.blocks() * 512;
        }
        Ok(bytes >> 20)
    }

    pub(crate) async fn stop(self) {
        for other in self.others {
            if let Some(daemon) = other.running {
                daemon.stop().await;
            }
        }
    }
}

impl Other {
    async fn start(&mut self, witness: Arc<Witness>) -> anyhow::Result<()> {
        let daemon = self.village.start(&self.configuration, witness).await?;
        self.running = Some(daemon);
        Ok(())
    }
}

/// A port that nobody listens on, now or later: below those that the system gives to connections.
fn port() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..20_000 {
        let number =
            std::process::id().wrapping_mul(61) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + number % 20_000)?;
        if let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(free.local_addr()?);
        }
    }
    bail!("no port is free")
}

fn publish(village: &Village, peers: SocketAddr, zone: &mut Zone) -> anyhow::Result<()> {
    let chain = village.chain;
    let host: HostName = format!("gw1.{chain}.{ROOT}").parse()?;
    zone.address(host.as_str(), peers.ip())?;
    let pin = village.identity.tls_pin;
    let mut record = GatewayRecord::new(chain, host.clone(), pin);
    record.target = Target::Host { host, port: peers.port(), pins: vec![pin] };
    zone.text(&format!("_distpos.{chain}.{ROOT}"), &record.to_string())
}
