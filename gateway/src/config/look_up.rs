//! How names are asked for, as `[resolver]` has it: servers and DNSSEC's trust anchors.

use std::{fs, path::Path};

use distpos_resolver::{HickoryLookup, TrustAnchors};

use super::{Config, ConfigError};

/// The word that stands for the keys of the DNS root, which are built in.
pub(super) const ROOT: &str = "root";

/// Largest file of trust anchors, in bytes: some hundred keys.
const BYTES_MAX: u64 = 256 * 1024;

impl Config {
    /// What asks DNS for this gateway.
    ///
    /// # Errors
    /// [`ConfigError`] names `resolver.trust_anchors` or `resolver.servers`, and what was expected.
    pub fn lookup(&self) -> Result<HickoryLookup, ConfigError> {
        if self.resolver.trust_ad {
            if self.resolver.trust_anchors.is_some() {
                let what = "found beside trust_anchors, expected one of them".to_owned();
                return Err(self.wrong("resolver.trust_ad", what));
            }
            let believing = HickoryLookup::believing(&self.resolver.servers);
            return believing.map_err(|error| self.wrong("resolver.servers", error.to_string()));
        }
        let anchors = match &self.resolver.trust_anchors {
            None => None,
            Some(word) if word == Path::new(ROOT) => Some(TrustAnchors::root()),
            Some(file) => {
                let read = read(file).map_err(|what| {
                    let what = format!("{}: {what}", file.display());
                    self.wrong("resolver.trust_anchors", what)
                })?;
                Some(read)
            }
        };
        let lookup = match self.resolver.servers.as_slice() {
            [] => HickoryLookup::system(anchors),
            servers => HickoryLookup::new(servers, anchors),
        };
        lookup.map_err(|error| self.wrong("resolver.servers", error.to_string()))
    }
}

fn read(file: &Path) -> Result<TrustAnchors, String> {
    let found = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if found > BYTES_MAX {
        return Err(format!("has {found} bytes, expected at most {BYTES_MAX}"));
    }
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    TrustAnchors::parse(&text).map_err(|error| error.to_string())
}
