//! The form of `keys.toml`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use data_encoding::BASE64URL_NOPAD;
use distpos_proto::{
    key::{KeySignature, PublicKey},
    record::Selector,
    time::UnixSeconds,
};
use serde::Deserialize;

use super::{KEYS_MAX, Keyring, KeyringError, OwnKey, State};
use crate::config::text;

/// Its name in the key directory.
pub const FILE: &str = "keys.toml";

/// Longest file, in bytes: all keys with all endorsements.
const BYTES_MAX: u64 = 128 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    changes: u32,
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    #[serde(deserialize_with = "text::one")]
    selector: Selector,
    #[serde(deserialize_with = "text::one")]
    key: PublicKey,
    file: String,
    state: String,
    since: u64,
    #[serde(default, deserialize_with = "text::list")]
    by: Vec<PublicKey>,
    #[serde(default)]
    sig: Vec<String>,
    reason: Option<String>,
}

/// Reads the file; none if there is none.
pub(super) fn read(directory: &Path) -> Result<Option<Keyring>, KeyringError> {
    let path = directory.join(FILE);
    let io = |source| KeyringError::Io { path: path.clone(), action: "read", source };
    let format = |what| KeyringError::Format { path: path.clone(), what };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    // Whoever can write it decides which keys sign.
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format(format!("has mode {mode:o}, expected 600")));
    }
    if metadata.len() > BYTES_MAX {
        let found = metadata.len();
        return Err(format(format!("has {found} bytes, expected at most {BYTES_MAX}")));
    }
    let text = fs::read_to_string(&path).map_err(io)?;
    let (keys, changes) = parse(&text).map_err(format)?;
    Ok(Some(Keyring { directory: directory.into(), keys, changes }))
}

fn parse(file: &str) -> Result<(Vec<OwnKey>, u32), String> {
    let raw: Raw = toml::from_str(file).map_err(|error| error.to_string().trim().to_owned())?;
    let keys = raw.key.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
    if !(1..=KEYS_MAX).contains(&keys.len()) {
        return Err(format!("found {} keys, expected 1 to {KEYS_MAX}", keys.len()));
    }
    let is_twice = |(at, key): (usize, &OwnKey)| {
        keys[..at].iter().any(|other| other.selector == key.selector || other.file == key.file)
    };
    if let Some((_, twice)) = keys.iter().enumerate().find(|it| is_twice(*it)) {
        return Err(format!(
            "found {} twice, expected each selector and file once",
            twice.selector
        ));
    }
    match keys.iter().filter(|key| key.state == State::Signing).count() {
        1 => Ok((keys, raw.changes)),
        found => Err(format!("found {found} keys with state = \"signing\", expected 1")),
    }
}

fn key(raw: RawKey) -> Result<OwnKey, String> {
    let selector = raw.selector;
    let known = State::ALL.into_iter().find(|state| state.word() == raw.state);
    let state = known.ok_or_else(|| {
        let words: Vec<_> = State::ALL.map(State::word).to_vec();
        format!("key {selector}: state is {:?}, expected one of {}", raw.state, words.join(", "))
    })?;
    if raw.file.is_empty() || raw.file.contains(['/', '\0']) || raw.file.starts_with('.') {
        return Err(format!(
            "key {selector}: file is {:?}, expected a name without a path",
            raw.file
        ));
    }
    if raw.by.len() != raw.sig.len() {
        let (by, sig) = (raw.by.len(), raw.sig.len());
        return Err(format!("key {selector}: by has {by} keys and sig {sig} signatures"));
    }
    let endorsements = raw.by.into_iter().zip(&raw.sig).map(|(key, text)| {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let signature = bytes.and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or_else(|| {
            format!("key {selector}: sig is {text:?}, expected 86 characters of base64url")
        })?;
        Ok(KeySignature { key, signature })
    });
    let endorsements = endorsements.collect::<Result<_, String>>()?;
    let reason = raw.reason.as_deref().map(str::parse).transpose();
    let reason = reason.map_err(|error| format!("key {selector}: {error}"))?;
    let since = UnixSeconds(raw.since);
    Ok(OwnKey { selector, key: raw.key, file: raw.file, state, since, endorsements, reason })
}

/// Writes the file in place of what was there; on disk when the call returns.
pub(super) fn write(ring: &Keyring) -> Result<(), KeyringError> {
    let path = ring.directory.join(FILE);
    let new = path.with_extension("toml.new");
    let io = |source| KeyringError::Io { path: path.clone(), action: "write", source };
    // Of an interrupted write; nobody reads it.
    let _ = fs::remove_file(&new);
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(print(ring).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&ring.directory)?.sync_all()
    };
    written().map_err(io)
}

fn print(ring: &Keyring) -> String {
    let mut text = format!(
        "# The chain keys of this gateway, the oldest first. Written by `distpos-gateway key`; \
         change it with that command.\nchanges = {}\n",
        ring.changes
    );
    for key in &ring.keys {
        let quoted = |list: Vec<String>| {
            let quoted: Vec<_> = list.into_iter().map(|one| format!("\"{one}\"")).collect();
            quoted.join(", ")
        };
        let by = quoted(key.endorsements.iter().map(|it| it.key.to_string()).collect());
        let encoded = key.endorsements.iter().map(|it| BASE64URL_NOPAD.encode(&it.signature));
        let sig = quoted(encoded.collect());
        text.push_str(&format!(
            "\n[[key]]\nselector = \"{}\"\nkey = \"{}\"\nfile = \"{}\"\nstate = \"{}\"\nsince = {}\n\
             by = [{by}]\nsig = [{sig}]\n",
            key.selector,
            key.key,
            key.file,
            key.state.word(),
            key.since.0,
        ));
        if let Some(reason) = &key.reason {
            let quoted = toml::Value::String(reason.to_string());
            text.push_str(&format!("reason = {quoted}\n"));
        }
    }
    text
}
