//! The form of a pin's file.

use distpos_proto::{
    chain::{ChainId, Family, GenesisTag},
    key::{KeySet, PublicKey},
    light::Trusted,
    time::UnixSeconds,
};
use serde::Deserialize;

use super::Pin;
use crate::config::{peer::outbox_fits, text};

/// Longest file, in bytes: 16 keys and a reason.
pub(super) const BYTES_MAX: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(deserialize_with = "text::one")]
    chain: ChainId,
    #[serde(deserialize_with = "text::one")]
    genesis: GenesisTag,
    #[serde(deserialize_with = "text::one")]
    family: Family,
    outbox: String,
    #[serde(deserialize_with = "text::list")]
    keys: Vec<PublicKey>,
    th: usize,
    found_at: String,
    reason: String,
    pinned_at: u64,
}

/// Reads a pin, or says what was found and what was expected.
pub(super) fn parse(file: &str) -> Result<Pin, String> {
    let raw: Raw = toml::from_str(file).map_err(|error| error.to_string().trim().to_owned())?;
    let outbox = text::parse_hex(&raw.outbox).map_err(|what| format!("outbox: {what}"))?;
    outbox_fits(&outbox, raw.family)?;
    let keys = KeySet::new(raw.keys, raw.th).map_err(|error| error.to_string())?;
    let trusted = Trusted { chain: raw.chain, tag: raw.genesis, family: raw.family, outbox, keys };
    Ok(Pin {
        trusted,
        found_at: raw.found_at,
        reason: raw.reason,
        pinned_at: UnixSeconds(raw.pinned_at),
    })
}

/// The file of a pin.
pub(super) fn print(pin: &Pin) -> String {
    let Trusted { chain, tag, family, outbox, keys } = &pin.trusted;
    let list: Vec<_> = keys.keys().map(|key| format!("    \"{key}\",\n")).collect();
    let outbox = data_encoding::HEXLOWER.encode(outbox);
    // As TOML writes them: what an operator says may hold quotes and line breaks.
    let quoted = |text: &str| toml::Value::String(text.into()).to_string();
    format!(
        "# Written by `distpos-gateway trust pin`; change it with that command.\n\
         chain = \"{chain}\"\ngenesis = \"{tag}\"\nfamily = \"{family}\"\noutbox = \"{outbox}\"\n\
         keys = [\n{}]\nth = {}\nfound_at = {}\nreason = {}\npinned_at = {}\n",
        list.concat(),
        keys.threshold(),
        quoted(&pin.found_at),
        quoted(&pin.reason),
        pin.pinned_at.0,
    )
}
