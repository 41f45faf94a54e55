//! `[policy]`: what the operator lets in, beyond what keeps the chain safe.

use std::{fmt, time::Duration};

use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{ChainId, Family},
    message::Asset,
    policy::rules::{Action, Rule, Rules, RulesError},
};
use hyper::Uri;
use serde::{Deserialize, Deserializer, de};

use super::text;

/// What the operator lets in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Who may send what to whom; the first that matches decides.
    #[serde(rename = "rule", deserialize_with = "rules")]
    pub rules: Rules,
    /// Programs of the operator that are asked about each message.
    pub hooks: Hooks,
    /// Gas for the messages of one source; [`GasBudget::of`] unless said otherwise.
    #[serde(deserialize_with = "text::optional_positive")]
    pub gas_max: Option<u64>,
    /// The time in which so much gas comes back; one hour unless said otherwise.
    #[serde(deserialize_with = "text::optional_duration")]
    pub gas_window: Option<Duration>,
    /// Least standing of a chain whose messages are delivered, in points of 100 (`docs/credit.md`);
    /// below it they wait. 0 holds nothing up.
    #[serde(deserialize_with = "points")]
    pub standing_min: u8,
    /// So long after `expires` a message whose destination is gone is refunded without a receipt,
    /// though the books may then be wrong; none: never.
    #[serde(deserialize_with = "text::optional_duration")]
    pub refund_without_receipt: Option<Duration>,
}

/// Most points a standing can have.
const POINTS_MAX: i64 = 100;
/// The standing of a newcomer: a threshold above it keeps every new chain out.
pub(super) const POINTS_AT_FIRST: u8 = 50;

/// A whole number of points.
fn points<'de, D: Deserializer<'de>>(input: D) -> Result<u8, D::Error> {
    struct Points;
    impl de::Visitor<'_> for Points {
        type Value = u8;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from 0 to {POINTS_MAX}")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u8, E> {
            let wrong = || E::invalid_value(de::Unexpected::Signed(number), &self);
            u8::try_from(number).ok().filter(|_| number <= POINTS_MAX).ok_or_else(wrong)
        }
    }
    input.deserialize_any(Points)
}

/// What the messages of one source may use of the own chain's gas: a bucket that holds `max`, is
/// full at first, and fills up again within `window`. An empty one defers (`4.2.2`).
///
/// A message counts the gas that it names for its recipient's call, and [`Self::MESSAGE`] for its
/// own delivery, so that messages without a call are bounded too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasBudget {
    /// The most at once.
    pub max: u64,
    /// The time in which an empty bucket fills up.
    pub window: Duration,
}

impl GasBudget {
    /// What delivering a message counts beside its call, about what the inbox uses for one of many.
    pub const MESSAGE: u64 = 100_000;
    /// The window unless said otherwise.
    pub const WINDOW: Duration = Duration::from_secs(60 * 60);
    /// On EVM 10^9 gas an hour: a tenth of the room of a chain with 36 million every 12 seconds, so
    /// that no single source crowds the chain out or empties the gateway's account overnight.
    pub const EVM_MAX: u64 = 1_000_000_000;
    /// On the ledger gas costs nobody anything but room: 10^12, ten million messages an hour.
    pub const LEDGER_MAX: u64 = 1_000_000_000_000;

    /// The budget that holds on a chain of this family unless said otherwise.
    #[must_use]
    pub const fn of(family: Family) -> Self {
        let max = match family {
            Family::Evm => Self::EVM_MAX,
            Family::Ledger | Family::Attested => Self::LEDGER_MAX,
        };
        Self { max, window: Self::WINDOW }
    }
}

/// Programs of the operator that are asked about each message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// Asked when a message is proven, before anything of it is reserved.
    #[serde(deserialize_with = "text::optional")]
    pub accept: Option<HookUrl>,
    /// Asked last, just before it is handed to the chain.
    #[serde(deserialize_with = "text::optional")]
    pub before_deliver: Option<HookUrl>,
    /// How long an answer may take; without one in time the message waits (`4.7.1`).
    #[serde(deserialize_with = "text::duration")]
    pub timeout: Duration,
    /// Whether a hook may be on another host: what it is told travels in the clear.
    pub allow_remote: bool,
}

impl Default for Hooks {
    fn default() -> Self {
        let timeout = Self::TIMEOUT_DEFAULT;
        Self { accept: None, before_deliver: None, timeout, allow_remote: false }
    }
}

impl Hooks {
    /// How long an answer may take unless said otherwise.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
    /// Least time for an answer: less than a busy host's hiccup would stop all traffic.
    pub const TIMEOUT_MIN: Duration = Duration::from_millis(10);
    /// Most time for an answer: a message's job waits for it, and with it those of its batch.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);

    /// The hooks that are set, by their keys.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &HookUrl)> {
        let accept = self.accept.as_ref().map(|url| ("policy.hooks.accept", url));
        let deliver = self.before_deliver.as_ref().map(|url| ("policy.hooks.before_deliver", url));
        accept.into_iter().chain(deliver)
    }
}

/// Where a hook is: `http://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookUrl {
    host: String,
    port: u16,
    path: String,
}

impl HookUrl {
    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, from the first slash on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is on this host.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// `host:port`, as the request's Host field has it.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl std::str::FromStr for HookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let found: String = text.chars().take(80).collect();
            format!("found {found:?}, expected an address such as \"http://127.0.0.1:8080/accept\"")
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("http") && !text.contains(['@', '#']);
        let host = uri.host().filter(|host| plain && !host.is_empty()).ok_or_else(wrong)?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(80),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).into(),
        })
    }
}

impl fmt::Display for HookUrl {
    /// Without the path, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// A rule as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(deserialize_with = "text::one")]
    action: RawAction,
    #[serde(default, deserialize_with = "text::optional")]
    chain: Option<ChainId>,
    #[serde(default, deserialize_with = "text::optional")]
    sender: Option<Local>,
    #[serde(default, deserialize_with = "text::optional")]
    recipient: Option<Local>,
    #[serde(default, deserialize_with = "text::optional_asset")]
    asset: Option<Asset>,
    #[serde(default, deserialize_with = "text::optional_sum")]
    amount_min: Option<Amount>,
    #[serde(default, deserialize_with = "text::optional_sum")]
    amount_max: Option<Amount>,
    #[serde(default)]
    text: String,
}

struct RawAction(Action);

impl std::str::FromStr for RawAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "allow" => Ok(Self(Action::Allow)),
            "deny" => Ok(Self(Action::Deny)),
            _ => {
                let found: String = text.chars().take(80).collect();
                Err(format!("found {found:?}, expected \"allow\" or \"deny\""))
            }
        }
    }
}

fn rules<'de, D: Deserializer<'de>>(input: D) -> Result<Rules, D::Error> {
    let raw = Vec::<RawRule>::deserialize(input)?;
    let rules = raw.into_iter().map(|raw| Rule {
        action: raw.action.0,
        chain: raw.chain,
        sender: raw.sender,
        recipient: raw.recipient,
        asset: raw.asset,
        amount_min: raw.amount_min,
        amount_max: raw.amount_max,
        text: raw.text,
    });
    Rules::new(rules.collect()).map_err(|error| match &error {
        RulesError::Rule { number, .. } => {
            de::Error::custom(text::at(&format!("[{number}]"), &error))
        }
        RulesError::Count { .. } => de::Error::custom(error),
    })
}
