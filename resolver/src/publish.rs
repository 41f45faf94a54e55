//! What a chain publishes: its records as one set, printed for the tools that administrators use,
//! looked over, and put into a zone.

use std::collections::BTreeMap;

use distpos_proto::record::{Anchor, GatewayRecord, KeyRecord, PolicyRecord, Selector};

mod format;
mod lint;
mod look;
mod update;

pub use format::{Format, FormatError, ZoneError};
pub use lint::{Finding, Findings, Found, Own, View, lint};
pub use look::look;
pub use update::{TsigKey, TsigKeyError, UpdateError, update};

/// Everything that a chain publishes at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The place.
    pub anchor: Anchor,
    /// How long resolvers may keep it, in seconds.
    pub ttl: u32,
    /// The gateways, or the null record alone.
    pub gateways: Vec<GatewayRecord>,
    /// The keys by selector.
    pub keys: BTreeMap<Selector, KeyRecord>,
    /// The policy.
    pub policy: Option<PolicyRecord>,
}

/// The TXT records of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name, absolute, without its final dot.
    pub name: String,
    /// Each record's text, its strings joined.
    pub texts: Vec<String>,
}

/// What a resolver keeps, unless said otherwise, in seconds: an hour, as for MX records.
pub const TTL_DEFAULT: u32 = 3_600;

impl RecordSet {
    /// The names and what stands there: gateways, policy, keys.
    #[must_use]
    pub fn owners(&self) -> Vec<Owner> {
        let texts = |records: &[GatewayRecord]| records.iter().map(ToString::to_string).collect();
        let mut owners = vec![Owner { name: self.anchor.gateways(), texts: texts(&self.gateways) }];
        if let Some(policy) = &self.policy {
            owners.push(Owner { name: self.anchor.policy(), texts: vec![policy.to_string()] });
        }
        owners.extend(self.keys.iter().map(|(selector, record)| Owner {
            name: self.anchor.key(selector),
            texts: vec![record.to_string()],
        }));
        owners
    }
}

/// A record's text as the strings that DNS carries it in: at most 255 bytes each (RFC 1035, 3.3).
pub(crate) fn strings(text: &str) -> Vec<&str> {
    // The grammar of records is ASCII, so any byte is a boundary.
    let mut rest = text;
    let mut strings = Vec::new();
    loop {
        let (string, after) = rest.split_at(rest.floor_char_boundary(255));
        strings.push(string);
        if after.is_empty() {
            return strings;
        }
        rest = after;
    }
}
