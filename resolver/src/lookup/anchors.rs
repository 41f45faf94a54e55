//! Where DNSSEC's trust begins: the root's keys, or those of an island of its own.

use std::sync::Arc;

use hickory_resolver::proto::{dnssec::TrustAnchors as Keys, rr::Name};
use thiserror::Error;

/// The keys that signatures are checked down from. Names under none of them are looked up
/// unvalidated: their answers are [`super::Security::Indeterminate`], never better.
///
/// An island without a parent needs every DNSKEY of its zone here, the zone-signing key too: for a
/// zone with one key that is no anchor hickory asks the parent's DS records, and takes their
/// absence for a wrong signature.
#[derive(Clone)]
pub struct TrustAnchors {
    /// The zones that have a key here.
    zones: Vec<Name>,
    keys: Arc<Keys>,
}

/// Why a text holds no trust anchors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustAnchorsError {
    /// A line that is no DNSKEY record.
    #[error(
        "line {line} starts with {found:?}, expected a record such as \
             `chains.example. 3600 IN DNSKEY 257 3 15 …`, on one line"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Its beginning.
        found: String,
    },
    /// No line at all.
    #[error("found no DNSKEY record, expected at least one")]
    Empty,
    /// The keys cannot be read.
    #[error("the DNSKEY records cannot be read: {0}")]
    Keys(String),
}

impl TrustAnchors {
    /// The keys of the DNS root, as IANA publishes them (KSK-2017 and KSK-2024).
    #[must_use]
    pub fn root() -> Self {
        Self { zones: vec![Name::root()], keys: Arc::new(Keys::default()) }
    }

    /// Reads DNSKEY records as zone files have them (RFC 4034, section 2.2), one a line; empty
    /// lines and those that start with `;` are passed over. It is what `dnssec-keygen` and
    /// `keymgr ZONE dnskey` print.
    ///
    /// # Errors
    /// [`TrustAnchorsError`] names the line.
    pub fn parse(text: &str) -> Result<Self, TrustAnchorsError> {
        let mut zones = Vec::new();
        let mut records = String::new();
        for (at, line) in text.lines().enumerate() {
            // What stands behind a semicolon is a comment: BIND notes the key's tag there.
            let line = line.split(';').next().unwrap_or_default();
            if line.trim().is_empty() {
                continue;
            }
            let Some((zone, record)) = key_record(line) else {
                let found = line.chars().take(40).collect();
                return Err(TrustAnchorsError::Line { line: at + 1, found });
            };
            if !zones.contains(&zone) {
                zones.push(zone);
            }
            records.push_str(&record);
        }
        if zones.is_empty() {
            return Err(TrustAnchorsError::Empty);
        }
        let keys: Keys =
            records.parse().map_err(|error| TrustAnchorsError::Keys(format!("{error}")))?;
        Ok(Self { zones, keys: Arc::new(keys) })
    }

    /// Whether a name lies under one of the keys.
    pub(super) fn cover(&self, name: &Name) -> bool {
        self.zones.iter().any(|zone| zone.zone_of(name))
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        self.keys.clone()
    }
}

/// Owner and normal form of one line. hickory reads only the first word of a key, and zone files may
/// have spaces in it (RFC 4034, section 2.2).
fn key_record(line: &str) -> Option<(Name, String)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let zone = Name::from_ascii(words.first()?).ok().filter(Name::is_fqdn)?;
    let at = words.iter().take(4).position(|word| word.eq_ignore_ascii_case("DNSKEY"))?;
    let [flags, protocol, algorithm, key @ ..] = &words[at + 1..] else { return None };
    let key = key.concat();
    Some((zone.clone(), format!("{zone} 300 IN DNSKEY {flags} {protocol} {algorithm} {key}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "chains.test. 300 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";

    #[test]
    fn an_island_covers_its_own_names_alone() {
        let island = TrustAnchors::parse(&format!("; our zone\n\n{KEY}\n")).unwrap();
        for (name, is_covered) in [
            ("chains.test.", true),
            ("_distpos.e2e4.chains.test.", true),
            ("chains.example.", false),
        ] {
            assert_eq!(island.cover(&Name::from_ascii(name).unwrap()), is_covered, "{name}");
        }
        assert!(TrustAnchors::root().cover(&Name::from_ascii("anything.example.").unwrap()));
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        let line = |text: &str| match TrustAnchors::parse(text) {
            Err(TrustAnchorsError::Line { line, .. }) => line,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("read"),
        };
        assert_eq!(line(&format!("{KEY}\n300 IN DNSKEY 257 3 15 AAAA")), 2);
        assert_eq!(line(&KEY.replace("DNSKEY", "DS")), 1);
        assert_eq!(line(&KEY.replace("chains.test.", "chains.test")), 1, "no final dot");
        assert_eq!(TrustAnchors::parse("; nothing\n").err(), Some(TrustAnchorsError::Empty));
        let cut = TrustAnchors::parse("chains.test. 300 IN DNSKEY 257 3 15 ???");
        assert!(matches!(cut, Err(TrustAnchorsError::Keys(_))));
    }
}
