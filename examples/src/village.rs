//! A community with a chain of its own: an embedded ledger, a gateway, and one user.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use distpos_certs::PublicIdentity;
use distpos_gateway::{
    chain::{
        LocalChain, Submission,
        ledger::{Genesis, Ledger, address, transaction},
    },
    clock,
    config::Config,
    daemon::{self, Daemon},
    event::Events,
};
use distpos_proto::{
    account::Limits,
    address::{Address, Local},
    amount::Amount,
    chain::{ChainId, GenesisTag},
    key::{PublicKey, SecretKey},
    message::{MessageId, OnFail},
    record::{GatewayRecord, HostName, Target},
    terms::{Backing, Side, Terms},
    time::UnixSeconds,
};

use crate::dns::Zone;

/// The domain under which the examples' chains are found.
pub const ROOT: &str = "chains.test";
/// What is counted between the examples' chains.
pub const ASSET: &str = "e2e4/coin";
/// What each user holds in the beginning.
pub const BALANCE: u64 = 10_000;
/// What each gateway may pay out before anything came in.
pub const FLOAT: u64 = 1_000_000;

/// Everything an operator prepares before starting a gateway.
pub struct Village {
    /// The chain-id.
    pub chain: ChainId,
    /// The genesis tag that others pin.
    pub tag: GenesisTag,
    /// Public halves of the gateway's keys, for DNS and for others' configurations.
    pub identity: PublicIdentity,
    /// The user's own key.
    pub user: SecretKey,
    directory: PathBuf,
}

impl Village {
    /// Makes the keys of a gateway and of a user, in `directory`.
    ///
    /// # Errors
    /// If `chain` is no chain-id, or the keys cannot be written.
    pub fn prepare(directory: &Path, chain: &str, user: [u8; 32]) -> anyhow::Result<Self> {
        let chain: ChainId = chain.parse()?;
        let directory = directory.join(chain.to_string());
        fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
        let identity = distpos_certs::keygen(&directory.join("keys"))?;
        let user = SecretKey::from_seed(&user);
        let tag = genesis(chain, &user, identity.chain_key).tag();
        Ok(Self { chain, tag, identity, user, directory })
    }

    /// What two villages agree to count in.
    ///
    /// # Errors
    /// If they are one.
    pub fn terms(&self, peer: &Self) -> anyhow::Result<Terms> {
        let side = |village: &Self| Side {
            chain: village.chain,
            tag: village.tag,
            backing: Backing::Ledger,
        };
        Ok(Terms::new(ASSET.parse()?, 0, side(self), side(peer))?)
    }

    /// Opens the account of `peer` on the own ledger, as `distpos-gateway account open` does on a
    /// running gateway; before the gateway runs.
    ///
    /// # Errors
    /// If the ledger is in use, or does not take it.
    pub async fn open_account(&self, peer: &Self, credit_limit: u64) -> anyhow::Result<()> {
        let file = self.directory.join("keys").join(distpos_certs::identity::CHAIN_FILE);
        let kind = distpos_certs::SecretKind::Chain;
        let key = distpos_certs::identity::load_signing_key(&file, kind)?;
        let directory = self.directory.join("ledger");
        let ledger = Ledger::open(&directory, self.genesis(), vec![key], clock::system())?;
        let limits = Limits { credit_limit: Amount::from(credit_limit), window: None };
        let terms = self.terms(peer)?.hash();
        let (chain, asset) = (peer.chain, ASSET.parse()?);
        Ok(ledger.open_account(chain, peer.tag, asset, terms, limits).await?)
    }

    fn genesis(&self) -> Genesis {
        genesis(self.chain, &self.user, self.identity.chain_key)
    }

    /// The configuration an operator would write: own ledger, one peer whose keys are literal.
    #[must_use]
    pub fn configuration(&self, peer: &Self, server: &str) -> String {
        let (chain, user) = (self.chain, address::local(&self.user.public()));
        let (other, keys, tag) = (peer.chain, peer.identity.chain_key, peer.tag);
        format!(
            r#"
[chain]
id = "{chain}"
family = "ledger"

[chain.ledger]
directory = "ledger"
float = "{FLOAT}"

[[chain.ledger.genesis]]
address = "{user}"
balance = "{BALANCE}"

[identity]
directory = "keys"

[spool]
directory = "spool"

[listen]
peers = "127.0.0.1:0"
submission = "127.0.0.1:0"

[metrics]
listen = "127.0.0.1:0"

[resolver]
roots = ["{ROOT}"]
servers = ["{server}"]
# Everything of this example is on one machine; a real gateway leaves this out.
allow_special = true

[peer.{other}]
keys = ["{keys}"]
genesis = "{tag}"
family = "ledger"
"#
        )
    }

    /// Starts the gateway by that configuration.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn start(
        &self,
        configuration: &str,
        events: Arc<dyn Events>,
    ) -> anyhow::Result<Daemon> {
        let file = self.directory.join("gateway.toml");
        fs::write(&file, configuration)?;
        daemon::start(Config::load(&file)?, events).await
    }

    /// Publishes the running gateway in a zone.
    ///
    /// # Errors
    /// If a name is none.
    pub fn publish(&self, daemon: &Daemon, zone: &mut Zone) -> anyhow::Result<()> {
        let (host, pin) = (self.host()?, self.identity.tls_pin);
        zone.address(host.as_str(), daemon.peers.ip())?;
        let mut record = GatewayRecord::new(self.chain, host.clone(), pin);
        record.target = Target::Host { host, port: daemon.peers.port(), pins: vec![pin] };
        zone.text(&format!("_distpos.{}.{ROOT}", self.chain), &record.to_string())
    }

    fn host(&self) -> anyhow::Result<HostName> {
        Ok(format!("gw1.{}.{ROOT}", self.chain).parse()?)
    }

    /// The user's address, as others write it.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new(self.chain, self.local())
    }

    /// The user's address on the own chain.
    #[must_use]
    pub fn local(&self) -> Local {
        address::local(&self.user.public())
    }

    /// What the user holds.
    ///
    /// # Errors
    /// If the chain does not say.
    pub async fn balance(&self, daemon: &Daemon) -> anyhow::Result<Amount> {
        let account = daemon.gateway.chain.account(&self.local()).await?;
        Ok(account.context("the user's account is not open")?.balance)
    }

    /// The user signs and submits a transfer to another chain; gives the message's id.
    ///
    /// # Errors
    /// If the chain does not take it.
    pub async fn send(
        &self,
        daemon: &Daemon,
        to: Address,
        value: u64,
    ) -> anyhow::Result<MessageId> {
        let nonce = self.nonce(daemon).await?;
        self.send_with(daemon, to, value, nonce).await
    }

    /// The nonce of the user's next transaction.
    ///
    /// # Errors
    /// If the chain does not say.
    pub async fn nonce(&self, daemon: &Daemon) -> anyhow::Result<u64> {
        let account = daemon.gateway.chain.account(&self.local()).await?;
        Ok(account.context("the user's account is not open")?.nonce)
    }

    /// As [`Self::send`], by this nonce: several may be under way at once.
    ///
    /// # Errors
    /// If the chain does not take it.
    pub async fn send_with(
        &self,
        daemon: &Daemon,
        to: Address,
        value: u64,
        nonce: u64,
    ) -> anyhow::Result<MessageId> {
        let ledger = daemon.ledger.as_ref().context("no ledger")?;
        let place = transaction::Place { chain: self.chain, tag: self.tag, nonce };
        let order = transaction::SendOrder {
            to,
            amount: Amount::from(value),
            data: Vec::new(),
            gas: 0,
            on_fail: OnFail::Return,
            expires: UnixSeconds(0),
        };
        let signed = transaction::send(place, order, &self.user);
        let id = transaction::transaction_id(&signed).map_err(|r| anyhow::anyhow!("{r}"))?;
        ledger.submit(Submission::User(signed)).await?;
        let included = ledger.included(&id)?.context("the transaction is in no block")?;
        included.message.context("the transaction sends nothing")
    }
}

/// What the daemon makes of [`Village::configuration`].
fn genesis(chain: ChainId, user: &SecretKey, authority: PublicKey) -> Genesis {
    Genesis {
        chain,
        time: UnixSeconds(0),
        accounts: [(address::local(&user.public()), Amount::from(BALANCE))].into(),
        float: Amount::from(FLOAT),
        authorities: [authority].into(),
    }
}
