//! Names in DNS: hosts, selectors, and where a chain's records live.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::chain::ChainId;

/// A host name in lower case: labels of letters, digits and hyphens, at most 253 characters, no
/// address literal, no final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Why a text is no host name or no selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {found:?}, expected {expected}")]
pub struct NameError {
    /// The start of the text.
    pub found: String,
    /// What it was to be.
    pub expected: &'static str,
}

impl HostName {
    /// Longest host name, in characters: 255 bytes on the wire less two length bytes (RFC 1035).
    pub const TEXT_MAX: usize = 253;

    const EXPECTED: &'static str = "a host name such as gw1.village.example";

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let last = text.rsplit('.').next().unwrap_or_default();
        // A last label that starts with a digit is how every address literal ends: 10.0.0.1, and
        // 0x7f.1 for those who read it so. No top-level domain does.
        let valid = text.len() <= Self::TEXT_MAX
            && text.split('.').all(is_label)
            && last.starts_with(|c: char| c.is_ascii_alphabetic());
        if valid { Ok(Self(text.to_ascii_lowercase())) } else { Err(error(text, Self::EXPECTED)) }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The label under which a key is published, by custom with the day of its making: `k20261122`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(String);

impl Selector {
    /// The label, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Selector {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(error(text, "one label of letters, digits and hyphens"))
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a chain's records live: `<cid>.<root>`, or a domain that a static route names. Prints
/// without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor(String);

impl Anchor {
    /// Under one of the roots that the operator trusts to hand out chain-ids.
    #[must_use]
    pub fn under(chain: ChainId, root: &HostName) -> Self {
        Self(format!("{chain}.{root}"))
    }

    /// At a domain of the chain's own.
    #[must_use]
    pub fn at(domain: &HostName) -> Self {
        Self(domain.to_string())
    }

    /// Owner of the gateway records.
    #[must_use]
    pub fn gateways(&self) -> String {
        format!("_distpos.{}", self.0)
    }

    /// Owner of the policy record.
    #[must_use]
    pub fn policy(&self) -> String {
        format!("_policy._distpos.{}", self.0)
    }

    /// Owner of one key record.
    #[must_use]
    pub fn key(&self, selector: &Selector) -> String {
        format!("{selector}._key._distpos.{}", self.0)
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn error(text: &str, expected: &'static str) -> NameError {
    NameError { found: text.chars().take(80).collect(), expected }
}
