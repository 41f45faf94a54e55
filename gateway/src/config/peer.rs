//! `[route.<cid>]` and `[peer.<cid>]`: what the operator says of other chains.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use distpos_proto::{
    chain::{ChainId, Family, GenesisTag},
    key::{KeySet, PublicKey, SpkiPin},
    light::Trusted,
    message::{Asset, Message},
    record::HostName,
};
use distpos_resolver::Host;
use serde::Deserialize;

use super::{AccountPolicy, text};

/// Where a chain's gateways are; comes before DNS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawRoute")]
pub enum Route {
    /// They are looked up at this domain: `_distpos.<domain>`.
    Domain(HostName),
    /// They are these.
    Gateways(Vec<Gateway>),
}

/// One gateway of a static route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Its host name.
    #[serde(deserialize_with = "text::one")]
    pub host: HostName,
    /// Its port.
    #[serde(default = "peers_port")]
    pub port: u16,
    /// SHA-256 pins of its TLS key: one, or two while it changes.
    #[serde(deserialize_with = "text::list")]
    pub spki: Vec<SpkiPin>,
    /// Its address, where the host name is not to be looked up.
    #[serde(default, deserialize_with = "text::optional_ip")]
    pub address: Option<IpAddr>,
}

impl Gateway {
    /// As the resolver gives it. An address stands in for the name: it is the operator's own word.
    #[must_use]
    pub fn to_try(&self) -> distpos_resolver::Gateway {
        let host = match self.address {
            Some(address) => Host::Address(address),
            None => Host::Name(self.host.clone()),
        };
        let (port, pins) = (self.port, self.spki.clone());
        // What a gateway record has unless it says otherwise.
        distpos_resolver::Gateway { host, port, pins, pri: 10, weight: 1, guarantee: None }
    }
}

/// What the operator says of one other chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "RawPeer")]
pub struct Peer {
    /// Literal keys and what belongs to them; without it `trust pin`, or DNS where it may.
    pub anchor: Option<StaticAnchor>,
    /// What the operator says of single accounts with it.
    pub accounts: BTreeMap<Asset, AccountPolicy>,
    /// `policy.gas_max` for this source, where it is another.
    pub gas_max: Option<u64>,
    /// `policy.gas_window` for this source, where it is another.
    pub gas_window: Option<Duration>,
}

/// The anchor of everything proven about a chain, stated literally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAnchor {
    /// The keys that speak for it.
    pub keys: KeySet,
    /// Its genesis tag.
    pub genesis: GenesisTag,
    /// How it is verified.
    pub family: Family,
    /// Its outbox.
    pub outbox: Vec<u8>,
}

impl StaticAnchor {
    /// As the verifier wants it.
    #[must_use]
    pub fn trusted(&self, chain: ChainId) -> Trusted {
        Trusted {
            chain,
            tag: self.genesis,
            family: self.family,
            outbox: self.outbox.clone(),
            keys: self.keys.clone(),
        }
    }
}

/// The outbox of every embedded ledger, as its messages name it.
pub const LEDGER_OUTBOX: &[u8] = crate::chain::ledger::OUTBOX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    #[serde(default, deserialize_with = "text::optional")]
    domain: Option<HostName>,
    gateways: Option<Vec<Gateway>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    #[serde(default, deserialize_with = "text::list")]
    keys: Vec<PublicKey>,
    th: Option<usize>,
    #[serde(default, deserialize_with = "text::optional")]
    genesis: Option<GenesisTag>,
    #[serde(default, deserialize_with = "text::optional")]
    family: Option<Family>,
    outbox: Option<String>,
    asset: Option<toml::Value>,
    value_max: Option<toml::Value>,
    assets: Option<toml::Value>,
    #[serde(default, deserialize_with = "text::by_asset")]
    account: BTreeMap<Asset, AccountPolicy>,
    #[serde(default, deserialize_with = "text::optional_positive")]
    gas_max: Option<u64>,
    #[serde(default, deserialize_with = "text::optional_duration")]
    gas_window: Option<Duration>,
}

impl TryFrom<RawRoute> for Route {
    type Error = String;

    fn try_from(raw: RawRoute) -> Result<Self, String> {
        match (raw.domain, raw.gateways) {
            (Some(domain), None) => Ok(Self::Domain(domain)),
            (None, Some(gateways)) => {
                if let Some(wrong) = gateways.iter().find(|g| !(1..=2).contains(&g.spki.len())) {
                    let (host, found) = (&wrong.host, wrong.spki.len());
                    let what = format!("gateway {host} has {found} spki pins, expected 1 or 2");
                    return Err(text::at("gateways", what));
                }
                match gateways.len() {
                    1..=6 => Ok(Self::Gateways(gateways)),
                    found => Err(text::at(
                        "gateways",
                        format!("found {found} gateways, expected 1 to 6"),
                    )),
                }
            }
            (None, None) => Err("found neither domain nor gateways, expected one of them".into()),
            (Some(_), Some(_)) => {
                Err(text::at("domain", "found domain and gateways, expected one of them"))
            }
        }
    }
}

impl TryFrom<RawPeer> for Peer {
    type Error = String;

    fn try_from(raw: RawPeer) -> Result<Self, String> {
        let anchor = anchor(&raw)?;
        let gone = [("asset", &raw.asset), ("value_max", &raw.value_max), ("assets", &raw.assets)];
        if let Some((key, _)) = gone.iter().find(|(_, value)| value.is_some()) {
            let what = format!(
                "found {key}, which is a key no more: what a chain may owe stands in its account, \
                 on the chain itself (`distpos-gateway account open`, docs/credit.md)"
            );
            return Err(text::at(key, what));
        }
        let RawPeer { account: accounts, gas_max, gas_window, .. } = raw;
        Ok(Self { anchor, accounts, gas_max, gas_window })
    }
}

fn anchor(raw: &RawPeer) -> Result<Option<StaticAnchor>, String> {
    if raw.keys.is_empty() {
        let others = [
            ("th", raw.th.is_some()),
            ("genesis", raw.genesis.is_some()),
            ("family", raw.family.is_some()),
            ("outbox", raw.outbox.is_some()),
        ];
        return match others.iter().find(|(_, is_there)| *is_there) {
            Some((key, _)) => {
                let what = "found th, genesis, family or outbox without keys, expected keys";
                Err(text::at(key, what))
            }
            None => Ok(None),
        };
    }
    let beside = |key| text::at("keys", format!("found keys, expected {key} beside them"));
    let genesis = raw.genesis.ok_or_else(|| beside("genesis"))?;
    let family = raw.family.ok_or_else(|| beside("family"))?;
    let wrong = |what: String| text::at("outbox", what);
    let outbox = match &raw.outbox {
        Some(text) => text::parse_hex(text).map_err(|what| wrong(format!("outbox: {what}")))?,
        None if family == Family::Ledger => LEDGER_OUTBOX.into(),
        None => {
            let what = format!("family is {family}, expected outbox beside it");
            return Err(text::at("family", what));
        }
    };
    outbox_fits(&outbox, family).map_err(wrong)?;
    let keys = KeySet::new(raw.keys.iter().copied(), raw.th.unwrap_or(1));
    let keys =
        keys.map_err(|error| text::at(if raw.th.is_some() { "th" } else { "keys" }, error))?;
    Ok(Some(StaticAnchor { keys, genesis, family, outbox }))
}

/// Whether a family's outbox can have this length.
///
/// # Errors
/// Says what was found and what was expected.
pub fn outbox_fits(outbox: &[u8], family: Family) -> Result<(), String> {
    let found = outbox.len();
    match family {
        Family::Evm if found != 20 => {
            Err(format!("outbox has {found} bytes, expected a contract's 20"))
        }
        _ if !(1..=Message::OUTBOX_BYTES_MAX).contains(&found) => {
            Err(format!("outbox has {found} bytes, expected 1 to {}", Message::OUTBOX_BYTES_MAX))
        }
        Family::Evm | Family::Ledger | Family::Attested => Ok(()),
    }
}

const fn peers_port() -> u16 {
    super::Listen::PEERS_PORT
}
