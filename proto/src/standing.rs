//! How far a chain and its gateways have earned trust here: a score from 0 to 100, 50 at first.
//!
//! Named events move it by published weights ([`Happening`]; the table is in `docs/credit.md`), and
//! time takes it back to 50. It defers ([`check`]) and it orders ([`Standing::rank`]); it never
//! freezes, refuses or voids anything.
//!
//! Scores are whole thousandths and time counts in whole hours, so that the same history gives the
//! same score on every machine, however often somebody looked in between.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

use crate::{
    chain::ChainId,
    code::{Code, Reply},
    time::UnixMillis,
};

pub mod sequences;

/// The score of a newcomer, and what every score goes back to, in thousandths.
const MIDDLE: u32 = 50_000;
/// The best score, in thousandths.
const MOST: u32 = 100_000;
/// Decay counts in steps of an hour: fine enough for weights of a point, and few enough to count.
const STEP_MILLIS: u64 = 60 * 60 * 1000;
/// What an hour leaves of the distance to 50, in parts of [`KEPT_OF`]: half of it in 7 days,
/// 2^(-1/168) = 0.995883.
const KEPT: u64 = 995_883;
const KEPT_OF: u64 = 1_000_000;
/// A band of ranks, in thousandths ([`Standing::rank`]): as much as one wrong proof costs a gateway.
const BAND: u32 = 10_000;
/// When a message that low standing holds up is looked at again, in seconds: scores move by the
/// hour, and an operator who lowers the threshold should not wait that long.
const LOOK_AGAIN_SECONDS: u32 = 15 * 60;

/// Whose standing it is.
///
/// A gateway goes by `host:port`, as records, logs and operators name it, not by its key: a new key
/// must not wash a bad name clean, nor cost a good one its record. Whoever publishes new names
/// instead starts at 50 again, and leaves what it did with its chain's own standing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    chain: ChainId,
    gateway: Option<String>,
}

/// A chain, or one of its gateways: the same event weighs differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All of a chain.
    Chain,
    /// One gateway.
    Gateway,
}

impl Subject {
    /// Longest name of a gateway, in bytes: a host name of 253 and its port.
    pub const GATEWAY_BYTES_MAX: usize = 260;

    /// A chain.
    #[must_use]
    pub fn chain(chain: ChainId) -> Self {
        Self { chain, gateway: None }
    }

    /// A gateway of a chain, `host:port`.
    ///
    /// # Errors
    /// [`SubjectError`] if that is no such name.
    pub fn gateway(chain: ChainId, name: &str) -> Result<Self, SubjectError> {
        let fits = (1..=Self::GATEWAY_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if !fits {
            return Err(SubjectError::Gateway(name.chars().take(40).collect()));
        }
        Ok(Self { chain, gateway: Some(name.to_ascii_lowercase()) })
    }

    /// The chain, also of a gateway.
    #[must_use]
    pub fn of_chain(&self) -> ChainId {
        self.chain
    }

    /// The gateway's `host:port`; none for a chain.
    #[must_use]
    pub fn gateway_name(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.gateway.is_none() { Kind::Chain } else { Kind::Gateway }
    }
}

impl fmt::Display for Subject {
    /// `chain` or `chain@host:port`, as commands take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gateway {
            None => self.chain.fmt(f),
            Some(name) => write!(f, "{}@{name}", self.chain),
        }
    }
}

/// A text that names neither a chain nor a gateway. The user's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// Before the `@`, or all of it.
    #[error(
        "found {0:?}, expected a chain-id such as e2e4, or a gateway such as e2e4@gw1.example:7333"
    )]
    Chain(String),
    /// Behind the `@`.
    #[error("found {0:?}, expected a gateway's host:port")]
    Gateway(String),
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let (chain, gateway) = match text.split_once('@') {
            Some((chain, gateway)) => (chain, Some(gateway)),
            None => (text, None),
        };
        let wrong = |_| SubjectError::Chain(text.chars().take(40).collect());
        let chain = chain.parse().map_err(wrong)?;
        gateway.map_or(Ok(Self::chain(chain)), |name| Self::gateway(chain, name))
    }
}

/// What moves a standing. The numbers are part of the spool's format: never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A message was delivered here, and proven within [`IN_TIME`] of its claim and before it
    /// expired. To the chain, and to the gateway that gave the proof.
    ProvenInTime,
    /// A deposit that was asked for came, in full and by the time that was named.
    SettlementHonoured,
    /// A signed statement of the peer says what the books here say.
    StatementMatched,
    /// Evidence of a gateway failed a check that only a wrong giver fails. To the gateway, and less
    /// to its chain, which lists it.
    InvalidProof,
    /// A message was proven whose predecessors were not, for longer than
    /// [`sequences::GAP_GRACE`].
    SequenceGap,
    /// A gateway that was to answer did not: once for each outage. To the chain when none of its
    /// gateways answered.
    Timeout,
    /// Messages were claimed and not proven in 7 days.
    Spam,
    /// A guarantee was claimed with valid evidence and not paid.
    GuaranteeDefault,
}

/// How soon after its claim a message has to be proven to count as proven in time.
pub const IN_TIME: Duration = Duration::from_secs(60 * 60);

impl Happening {
    /// Every one, in the order of the published table.
    pub const ALL: [Self; 8] = [
        Self::ProvenInTime,
        Self::SettlementHonoured,
        Self::StatementMatched,
        Self::InvalidProof,
        Self::SequenceGap,
        Self::Timeout,
        Self::Spam,
        Self::GuaranteeDefault,
    ];

    /// How far it moves a standing, in thousandths; zero where it does not concern this kind.
    #[must_use]
    pub fn weight(self, kind: Kind) -> i32 {
        let (chain, gateway) = match self {
            Self::ProvenInTime => (1_000, 1_000),
            Self::SettlementHonoured => (5_000, 0),
            Self::StatementMatched => (1_000, 0),
            Self::InvalidProof => (-2_000, -10_000),
            Self::SequenceGap => (-5_000, 0),
            Self::Timeout => (-1_000, -2_000),
            Self::Spam => (-3_000, 0),
            Self::GuaranteeDefault => (-40_000, 0),
        };
        match kind {
            Kind::Chain => chain,
            Kind::Gateway => gateway,
        }
    }

    /// How long after it counted for a subject the same event counts for it again: many small
    /// messages lift nobody further than a few, and one fault that is met at each attempt costs
    /// what it costs once an hour.
    #[must_use]
    pub fn interval(self) -> Duration {
        const HOUR: u64 = 60 * 60;
        Duration::from_secs(match self {
            Self::ProvenInTime => 6 * HOUR,
            Self::SettlementHonoured | Self::StatementMatched => 24 * HOUR,
            Self::InvalidProof | Self::SequenceGap | Self::Timeout | Self::Spam => HOUR,
            // Each is a debt of its own.
            Self::GuaranteeDefault => 0,
        })
    }

    /// The word in journals, logs and commands.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProvenInTime => "proven-in-time",
            Self::SettlementHonoured => "settlement-honoured",
            Self::StatementMatched => "statement-matched",
            Self::InvalidProof => "invalid-proof",
            Self::SequenceGap => "sequence-gap",
            Self::Timeout => "timeout",
            Self::Spam => "spam",
            Self::GuaranteeDefault => "guarantee-default",
        }
    }

    /// The number in rows.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::ProvenInTime => 1,
            Self::SettlementHonoured => 2,
            Self::StatementMatched => 3,
            Self::InvalidProof => 4,
            Self::SequenceGap => 5,
            Self::Timeout => 6,
            Self::Spam => 7,
            Self::GuaranteeDefault => 8,
        }
    }

    /// The one with this number; none if there is none.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|happening| happening.number() == number)
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A score, and the hour at which it was that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    thousandths: u32,
    /// Hours since the Unix epoch.
    hour: u64,
}

impl Standing {
    /// A newcomer's.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self { thousandths: MIDDLE, hour: hour(now) }
    }

    /// As it was written down: thousandths, and hours since the Unix epoch. None if there is no
    /// such score.
    #[must_use]
    pub fn from_parts(thousandths: u32, hour: u64) -> Option<Self> {
        (thousandths <= MOST).then_some(Self { thousandths, hour })
    }

    /// The score in thousandths, 0 to 100,000.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.thousandths
    }

    /// The hour since the Unix epoch at which it was that.
    #[must_use]
    pub fn hour(self) -> u64 {
        self.hour
    }

    /// What time has made of it. The distance to 50 halves in 7 days, in steps of an hour; a clock
    /// that was set back changes nothing. Looking twice gives what looking once gives.
    #[must_use]
    pub fn at(self, now: UnixMillis) -> Self {
        let now = hour(now);
        let Some(mut hours) = now.checked_sub(self.hour) else { return self };
        let mut distance = self.thousandths.abs_diff(MIDDLE);
        // Each step takes at least one thousandth, so this ends within a few thousand of them.
        while hours > 0 && distance > 0 {
            let kept = u64::from(distance) * KEPT / KEPT_OF;
            distance = u32::try_from(kept).unwrap_or(distance).min(distance - 1);
            hours -= 1;
        }
        let thousandths =
            if self.thousandths >= MIDDLE { MIDDLE + distance } else { MIDDLE - distance };
        Self { thousandths, hour: now }
    }

    /// What an event makes of it: decay until now, then the weight, within 0 and 100.
    #[must_use]
    pub fn after(self, happening: Happening, kind: Kind, now: UnixMillis) -> Self {
        let decayed = self.at(now);
        let weight = happening.weight(kind);
        let moved = if weight < 0 {
            decayed.thousandths.saturating_sub(weight.unsigned_abs())
        } else {
            decayed.thousandths.saturating_add(weight.unsigned_abs())
        };
        Self { thousandths: moved.min(MOST), ..decayed }
    }

    /// In which order to ask: the least first, those that are alike as they came.
    ///
    /// Only what is clearly below 50 counts, in bands of 10 points: a gateway at 45 and above has
    /// done nothing that should take its share of the work away, however little it did before, or
    /// whoever was asked first would be asked for ever.
    #[must_use]
    pub fn rank(self) -> u32 {
        let nearest = (self.thousandths.min(MIDDLE) + BAND / 2) / BAND;
        MIDDLE / BAND - nearest
    }
}

impl fmt::Display for Standing {
    /// `48`, `48.5` or `48.513`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (points, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        if rest == 0 {
            return write!(f, "{points}");
        }
        let digits = format!("{rest:03}");
        write!(f, "{points}.{}", digits.trim_end_matches('0'))
    }
}

/// Whether a chain stands too low for its messages to be delivered now; none if it does not.
///
/// `standing_min` is the operator's threshold in points; 0 defers nothing. Only ever temporary: the
/// message waits, and goes on when the score has risen or the threshold was lowered.
#[must_use]
pub fn check(
    chain: ChainId,
    standing: Standing,
    standing_min: u8,
    now: UnixMillis,
) -> Option<Reply> {
    let standing = standing.at(now);
    (standing.thousandths < u32::from(standing_min) * 1000).then(|| {
        let text = format!(
            "standing of {chain} is {standing}, standing_min is {standing_min}: settlements and \
             matching statements raise it, and time up to 50"
        );
        Reply::new(Code::NOT_NOW, text).retry_after(LOOK_AGAIN_SECONDS)
    })
}

fn hour(now: UnixMillis) -> u64 {
    now.0 / STEP_MILLIS
}

#[cfg(test)]
mod tests;
