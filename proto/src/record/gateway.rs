//! Gateway records: where a chain is reached, as MX records say it for mail.

use std::fmt;

use super::{
    HostName, RecordError,
    tags::{List, Tags, is_value_byte, wrong},
};
use crate::{chain::ChainId, key::SpkiPin};

/// The port gateways listen on when a record names none.
pub const PORT_DEFAULT: u16 = 7333;

const PRI_DEFAULT: u16 = 10;
const WEIGHT_DEFAULT: u16 = 1;
const PINS_EXPECTED: &str = "one or two different SHA-256 pins, 43 characters of base64url each";

/// One gateway of a chain, or the word that it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRecord {
    /// `c`: the chain.
    pub chain: ChainId,
    /// `h`, `port`, `spki`: where it is.
    pub target: Target,
    /// `pri`: lower is tried first.
    pub pri: u16,
    /// `w`: share among gateways of one `pri`.
    pub weight: u16,
    /// `g`: the staker's guarantee key, read elsewhere (`docs/credit.md`).
    pub guarantee: Option<String>,
}

/// Where a gateway record points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `h=.`: this chain accepts nothing (RFC 7505's null MX).
    Null,
    /// A gateway.
    Host {
        /// Its name; addresses are looked up.
        host: HostName,
        /// Its TLS port.
        port: u16,
        /// One or two pins of its TLS key; two during a rollover.
        pins: Vec<SpkiPin>,
    },
}

/// Which ports a record may name. Without a rule it could make a gateway speak to the mail server
/// or the database of somebody who never asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortRule {
    /// 443, and 1024 and above.
    #[default]
    Unprivileged,
    /// Any but 0, because the operator said so.
    Any,
}

impl PortRule {
    pub(super) fn check(self, target: &Target) -> Result<(), RecordError> {
        match target {
            Target::Host { port, .. } if !self.allows(*port) => {
                Err(wrong("port", &port.to_string(), "443, or 1024 to 65535"))
            }
            Target::Host { .. } | Target::Null => Ok(()),
        }
    }

    /// Whether a gateway may be called at this port.
    #[must_use]
    pub fn allows(self, port: u16) -> bool {
        match self {
            Self::Unprivileged => port == 443 || port >= 1024,
            Self::Any => port != 0,
        }
    }
}

impl GatewayRecord {
    /// What such a record starts with.
    pub const VERSION: &'static str = "v=DPOS1";

    /// A record with the usual port, priority and weight.
    #[must_use]
    pub fn new(chain: ChainId, host: HostName, pin: SpkiPin) -> Self {
        Self {
            chain,
            target: Target::Host { host, port: PORT_DEFAULT, pins: vec![pin] },
            pri: PRI_DEFAULT,
            weight: WEIGHT_DEFAULT,
            guarantee: None,
        }
    }

    /// The record of a chain that accepts nothing.
    #[must_use]
    pub fn null(chain: ChainId) -> Self {
        Self {
            chain,
            target: Target::Null,
            pri: PRI_DEFAULT,
            weight: WEIGHT_DEFAULT,
            guarantee: None,
        }
    }

    /// Reads one record, its strings joined. Whether chain and port are the right ones is for
    /// [`super::gateways`] to say.
    ///
    /// # Errors
    /// [`RecordError`] names the tag, what was found and what was expected.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let tags = Tags::parse(text, Self::VERSION)?;
        Ok(Self {
            chain: tags.chain()?,
            target: target(&tags)?,
            pri: tags.number("pri", PRI_DEFAULT, "0 to 65535")?,
            weight: tags.number("w", WEIGHT_DEFAULT, "0 to 65535")?,
            guarantee: tags.optional("g").map(str::to_owned),
        })
    }
}

fn target(tags: &Tags<'_>) -> Result<Target, RecordError> {
    if tags.required("h", "a host name, or . for a chain that accepts nothing")? == "." {
        return Ok(Target::Null);
    }
    let host = tags.read("h", "a host name without address literals and empty labels")?;
    let port = tags.number("port", PORT_DEFAULT, "1 to 65535")?;
    if port == 0 {
        return Err(wrong("port", "0", "1 to 65535"));
    }
    Ok(Target::Host { host, port, pins: pins(tags)? })
}

fn pins(tags: &Tags<'_>) -> Result<Vec<SpkiPin>, RecordError> {
    let text = tags.required("spki", PINS_EXPECTED)?;
    let malformed = || wrong("spki", text, PINS_EXPECTED);
    let pins = text.split(',').map(|pin| pin.parse().map_err(|_| malformed()));
    let pins = pins.collect::<Result<Vec<SpkiPin>, _>>()?;
    match pins.as_slice() {
        [_] => Ok(pins),
        [first, second] if first != second => Ok(pins),
        _ => Err(malformed()),
    }
}

impl fmt::Display for GatewayRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; c={}", Self::VERSION, self.chain)?;
        match &self.target {
            Target::Null => return f.write_str("; h=."),
            Target::Host { host, port, pins } => {
                write!(f, "; pri={}; w={}; h={host}; port={port}", self.pri, self.weight)?;
                write!(f, "; spki={}", List(pins))?;
            }
        }
        // A guarantee that no record could carry is left out rather than printed as something else.
        match &self.guarantee {
            Some(key) if key.bytes().all(is_value_byte) => write!(f, "; g={key}"),
            Some(_) | None => Ok(()),
        }
    }
}
