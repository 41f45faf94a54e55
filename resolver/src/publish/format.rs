//! The forms in which a set is pasted or loaded elsewhere.

use std::{fmt::Write as _, str::FromStr};

use serde_json::json;
use thiserror::Error;

use super::{Owner, RecordSet, strings};

/// Whose form records are printed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A zone file's lines (RFC 1035, section 5).
    Zone,
    /// The input of `nsupdate`.
    Nsupdate,
    /// A zone of octoDNS's YAML provider.
    Octodns,
    /// JSON, for scripts.
    Json,
}

/// A word that names no form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {0:?}, expected zone, nsupdate, octodns or json")]
pub struct FormatError(pub String);

/// A name outside the zone that it is to be printed for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name} is not in the zone {zone}")]
pub struct ZoneError {
    /// The name.
    pub name: String,
    /// The zone.
    pub zone: String,
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "zone" => Ok(Self::Zone),
            "nsupdate" => Ok(Self::Nsupdate),
            "octodns" => Ok(Self::Octodns),
            "json" => Ok(Self::Json),
            other => Err(FormatError(other.chars().take(40).collect())),
        }
    }
}

impl RecordSet {
    /// The set, ready to paste or load. `zone` is the zone that holds it, without a final dot.
    ///
    /// # Errors
    /// [`ZoneError`] if a name is not in the zone.
    pub fn print(&self, format: Format, zone: &str) -> Result<String, ZoneError> {
        let owners = self.owners();
        for owner in &owners {
            relative(&owner.name, zone)?;
        }
        match format {
            Format::Zone => Ok(self.zone_lines(&owners)),
            Format::Nsupdate => Ok(self.nsupdate(&owners, zone)),
            Format::Octodns => self.octodns(&owners, zone),
            Format::Json => Ok(self.json(&owners)),
        }
    }

    /// The quotes matter: outside them a semicolon begins a comment, and zone checkers let that pass.
    fn zone_lines(&self, owners: &[Owner]) -> String {
        let mut text = String::new();
        for (name, record) in lines(owners) {
            let _infallible = writeln!(text, "{name}. {} IN TXT {}", self.ttl, quoted(record));
        }
        text
    }

    /// Replaces what these names hold, in one message.
    fn nsupdate(&self, owners: &[Owner], zone: &str) -> String {
        let mut text = format!("zone {zone}.\n");
        for owner in owners {
            let _infallible = writeln!(text, "update delete {}. TXT", owner.name);
        }
        for (name, record) in lines(owners) {
            let ttl = self.ttl;
            let _infallible = writeln!(text, "update add {name}. {ttl} TXT {}", quoted(record));
        }
        text.push_str("send\n");
        text
    }

    /// octoDNS wants semicolons escaped, and cuts long values itself.
    fn octodns(&self, owners: &[Owner], zone: &str) -> Result<String, ZoneError> {
        let mut text = String::from("---\n");
        // Its provider wants the names in order.
        let mut owners: Vec<_> = owners.iter().collect();
        owners.sort_by(|a, b| a.name.cmp(&b.name));
        for owner in owners {
            let name = relative(&owner.name, zone)?;
            let _infallible =
                write!(text, "{name}:\n  ttl: {}\n  type: TXT\n  values:\n", self.ttl);
            for record in &owner.texts {
                let _infallible = writeln!(text, "  - '{}'", record.replace(';', "\\;"));
            }
        }
        Ok(text)
    }

    fn json(&self, owners: &[Owner]) -> String {
        let sets = owners.iter().map(|owner| {
            let strings: Vec<_> = owner.texts.iter().map(|text| strings(text)).collect();
            json!({
                "name": owner.name, "type": "TXT", "ttl": self.ttl,
                "texts": owner.texts, "strings": strings,
            })
        });
        format!("{}\n", serde_json::Value::Array(sets.collect()))
    }
}

fn lines(owners: &[Owner]) -> impl Iterator<Item = (&String, &String)> {
    owners.iter().flat_map(|owner| owner.texts.iter().map(move |text| (&owner.name, text)))
}

/// The record's strings in quotes; its grammar has neither quotes nor backslashes.
fn quoted(text: &str) -> String {
    let quoted: Vec<_> = strings(text).into_iter().map(|string| format!("\"{string}\"")).collect();
    quoted.join(" ")
}

fn relative<'n>(name: &'n str, zone: &str) -> Result<&'n str, ZoneError> {
    name.strip_suffix(zone)
        .and_then(|rest| rest.strip_suffix('.'))
        .ok_or_else(|| ZoneError { name: name.to_owned(), zone: zone.to_owned() })
}
