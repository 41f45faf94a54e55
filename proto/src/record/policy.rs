//! Policy records: how a chain is verified and which keys are current, as DMARC and MTA-STS say
//! for mail. They may only tighten what the trusted state of a chain already holds.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use data_encoding::HEXLOWER;

use super::{
    RecordError, Selector,
    tags::{List, Tags, wrong},
};
use crate::{
    chain::{ChainId, Family, GenesisTag},
    key::SIGNATURES_MAX,
    message::Message,
};

const SELECTORS_EXPECTED: &str = "1 to 16 different labels, separated by commas";
const ID_EXPECTED: &str = "1 to 32 letters and digits";
const OUTBOX_EXPECTED: &str = "1 to 64 bytes in lower-case hex";
const PIN_EXPECTED: &str = "0 to 31557600 seconds";

/// A year: what RFC 8461 allows MTA-STS.
const PIN_SECONDS_MAX: u32 = 31_557_600;

/// What a chain says of itself. A consistency check, never an anchor of trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// `c`: the chain.
    pub chain: ChainId,
    /// `id`: changes whenever the policy does.
    pub id: String,
    /// `mode`: whether it counts.
    pub mode: Mode,
    /// `ma`: how long the policy is pinned, in whole seconds up to a year.
    pub pin_for: Duration,
    /// `proof`: how its messages are proven.
    pub family: Family,
    /// `gen`: its genesis tag.
    pub genesis: GenesisTag,
    /// `out`: its outbox, 1 to 64 bytes in hex; on EVM the contract's 20. A ledger's is known.
    pub outbox: Option<Vec<u8>>,
    /// `conf`: confirmations before a block counts as final; 0 where the family knows by itself.
    pub confirmations: u32,
    /// `sel`: where its current keys are published.
    pub selectors: Vec<Selector>,
    /// `th`: how many of these keys must sign.
    pub threshold: usize,
}

/// Whether a policy counts, in the words of MTA-STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Withdrawn.
    None,
    /// Breaches are reported, and let through.
    Testing,
    /// Breaches are refused.
    Enforce,
}

impl PolicyRecord {
    /// What such a record starts with.
    pub const VERSION: &'static str = "v=DPOSPOL1";

    /// Reads one record, its strings joined.
    ///
    /// # Errors
    /// [`RecordError`] names the tag, what was found and what was expected.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let tags = Tags::parse(text, Self::VERSION)?;
        let selectors = selectors(&tags)?;
        Ok(Self {
            chain: tags.chain()?,
            id: id(&tags)?,
            mode: tags.read("mode", "none, testing or enforce")?,
            pin_for: pin_for(&tags)?,
            family: tags.read("proof", "attested, ledger or evm")?,
            genesis: tags.read("gen", "16 lower-case hex digits")?,
            outbox: outbox(&tags)?,
            confirmations: tags.number("conf", 0, "a number of blocks")?,
            threshold: threshold(&tags, selectors.len())?,
            selectors,
        })
    }
}

fn id(tags: &Tags<'_>) -> Result<String, RecordError> {
    let id = tags.required("id", ID_EXPECTED)?;
    let valid = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if valid { Ok(id.to_owned()) } else { Err(wrong("id", id, ID_EXPECTED)) }
}

fn pin_for(tags: &Tags<'_>) -> Result<Duration, RecordError> {
    let text = tags.required("ma", PIN_EXPECTED)?;
    let seconds = tags.number("ma", 0, PIN_EXPECTED)?;
    if seconds > PIN_SECONDS_MAX {
        return Err(wrong("ma", text, PIN_EXPECTED));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn outbox(tags: &Tags<'_>) -> Result<Option<Vec<u8>>, RecordError> {
    let Some(text) = tags.optional("out") else { return Ok(None) };
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    let fits = |bytes: &Vec<u8>| (1..=Message::OUTBOX_BYTES_MAX).contains(&bytes.len());
    bytes.filter(fits).map(Some).ok_or_else(|| wrong("out", text, OUTBOX_EXPECTED))
}

fn selectors(tags: &Tags<'_>) -> Result<Vec<Selector>, RecordError> {
    let text = tags.required("sel", SELECTORS_EXPECTED)?;
    let malformed = || wrong("sel", text, SELECTORS_EXPECTED);
    let selectors = text.split(',').map(|label| label.parse().map_err(|_| malformed()));
    let selectors = selectors.collect::<Result<Vec<Selector>, _>>()?;
    let distinct: BTreeSet<_> = selectors.iter().collect();
    if distinct.len() != selectors.len() || selectors.len() > SIGNATURES_MAX {
        return Err(malformed());
    }
    Ok(selectors)
}

fn threshold(tags: &Tags<'_>, selectors: usize) -> Result<usize, RecordError> {
    let expected = "1 to the number of selectors";
    let threshold = tags.number("th", 1, expected)?;
    if threshold == 0 || threshold > selectors {
        return Err(wrong("th", &threshold.to_string(), expected));
    }
    Ok(threshold)
}

impl Mode {
    /// The word of `mode=`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        }
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found the mode {0:?}, expected none, testing or enforce")]
pub struct ModeError(pub String);

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        [Self::None, Self::Testing, Self::Enforce]
            .into_iter()
            .find(|mode| mode.word() == text)
            .ok_or_else(|| ModeError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for PolicyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; c={}; id={}; mode={}", Self::VERSION, self.chain, self.id, self.mode)?;
        write!(f, "; ma={}; proof={}", self.pin_for.as_secs(), self.family)?;
        write!(f, "; gen={}", self.genesis)?;
        if let Some(outbox) = &self.outbox {
            write!(f, "; out={}", HEXLOWER.encode(outbox))?;
        }
        write!(f, "; conf={}", self.confirmations)?;
        write!(f, "; sel={}", List(&self.selectors))?;
        if self.threshold == 1 { Ok(()) } else { write!(f, "; th={}", self.threshold) }
    }
}
