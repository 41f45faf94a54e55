//! `[peer.<cid>.account."<asset>"]`: what the operator says of one account, beside the limits that
//! stand on the chain.

use distpos_proto::{amount::Amount, policy::AccountSettings};
use serde::Deserialize;

use super::text;

/// What the operator says of one account. Sums are in the asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountPolicy {
    /// Most that one message may carry (`5.2.2` above it); none: no limit.
    #[serde(deserialize_with = "text::optional_positive_sum")]
    pub message_value_max: Option<Amount>,
    /// Most that one message may carry whose proof rests on signatures alone, family `attested`
    /// (`5.2.2` above it); none: no limit.
    #[serde(deserialize_with = "text::optional_sum")]
    pub attested_value_max: Option<Amount>,
    /// From so many percent of its limit on the account is strained, 1 to 100: the operators are
    /// told, and the peer is asked for more reserve.
    #[serde(deserialize_with = "percent")]
    pub strained_at: u8,
    /// From this sum owed on the operator is told to settle; none: never.
    #[serde(deserialize_with = "text::optional_positive_sum")]
    pub settle_threshold: Option<Amount>,
    /// Where the peer is to pay: shown in notices, and to the peer in requests for reserve.
    #[serde(deserialize_with = "settle_to")]
    pub settle_to: Option<String>,
    /// So far the peer's statement may differ before the account is suspended.
    #[serde(deserialize_with = "text::sum")]
    pub mismatch_max: Amount,
}

impl AccountPolicy {
    /// The part of it that policy checks.
    #[must_use]
    pub fn settings(&self) -> AccountSettings {
        AccountSettings {
            message_value_max: self.message_value_max,
            attested_value_max: self.attested_value_max,
        }
    }

    /// `strained_at` unless said otherwise, in percent: time to act before anything has to wait.
    pub const STRAINED_AT_DEFAULT: u8 = 80;
    /// Longest `settle_to`, in bytes: a line that people read.
    pub const SETTLE_TO_BYTES_MAX: usize = 200;
}

impl Default for AccountPolicy {
    fn default() -> Self {
        Self {
            message_value_max: None,
            attested_value_max: None,
            strained_at: Self::STRAINED_AT_DEFAULT,
            settle_threshold: None,
            settle_to: None,
            mismatch_max: Amount::ZERO,
        }
    }
}

fn percent<'de, D: serde::Deserializer<'de>>(input: D) -> Result<u8, D::Error> {
    text::number(input, "a whole number of percent from 1 to 100", |found| {
        u8::try_from(found).ok().filter(|percent| (1..=100).contains(percent))
    })
}

fn settle_to<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(input)?;
    let length = 1..=AccountPolicy::SETTLE_TO_BYTES_MAX;
    if !length.contains(&text.trim().len()) || text.chars().any(char::is_control) {
        return Err(serde::de::Error::custom(format_args!(
            "found {} bytes, expected 1 to {}, all printable: where the peer is to pay",
            text.len(),
            AccountPolicy::SETTLE_TO_BYTES_MAX
        )));
    }
    Ok(Some(text))
}
