//! Which keys speak for the own chain: read at the start, and again whenever `key` has changed them.

use std::{path::PathBuf, time::Duration};

use distpos_proto::key::{KeySet, PublicKey, SecretKey};
use thiserror::Error;
use tokio::time::sleep;

use crate::{
    chain::ledger::Ledger,
    config::{Config, ConfigError},
    event::Event,
    gateway::{ChainKeys, Gateway},
    keyring::{FILE, Keyring, KeyringError},
    stop::Stop,
    watchdog::Task,
};

/// How often the keys on disk are looked at: a stolen one must not sign until somebody comes to
/// restart the gateway.
const KEYS_LOOKED_AT: Duration = Duration::from_secs(2);

/// Why no keys can be signed with: what the operator has to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {what}")]
pub(crate) struct Fault {
    key: &'static str,
    what: String,
}

impl Fault {
    pub(crate) fn of(self, config: &Config) -> ConfigError {
        config.wrong(self.key, self.what)
    }
}

/// Where the chain keys are, and what the configuration says of them.
pub(super) struct OwnKeys {
    directory: PathBuf,
    listed: Vec<PublicKey>,
    th: usize,
}

impl OwnKeys {
    pub(super) fn of(config: &Config) -> Self {
        let identity = &config.identity;
        let (directory, listed) = (identity.directory.clone(), identity.keys.clone());
        Self { directory, listed, th: identity.th }
    }

    /// The keys with which this gateway signs as its keyring stands.
    pub(super) fn read(&self, ring: &Keyring) -> Result<ChainKeys, Fault> {
        let set = key_set(&self.listed, self.th, ring)?;
        let unreadable =
            |error: KeyringError| Fault { key: "identity.directory", what: error.to_string() };
        Ok(ChainKeys { secrets: ring.secrets().map_err(unreadable)?, set })
    }

    /// Takes changes up until asked to stop. While they cannot be read those of before sign on.
    pub(super) async fn follow(&self, gateway: &Gateway, ledger: Option<&Ledger>, stop: &Stop) {
        let mut told = None;
        loop {
            gateway.tasks.beat(Task::Keys);
            tokio::select! { biased;
                () = stop.asked() => return,
                () = sleep(KEYS_LOOKED_AT) => {}
            }
            match self.take_up(gateway, ledger) {
                Ok(None) => told = None,
                Ok(Some(what)) => gateway.emit(Event::Note { what }),
                Err(error) => {
                    let what = format!("chain keys are used as before: {error:#}");
                    // Once for each reason, however long it lasts.
                    if told.replace(what.clone()).is_none_or(|before| before != what) {
                        gateway.emit(Event::Alert { what });
                    }
                }
            }
        }
    }

    /// Says what has changed.
    fn take_up(
        &self,
        gateway: &Gateway,
        ledger: Option<&Ledger>,
    ) -> anyhow::Result<Option<String>> {
        // Without a note there is the first key alone, or somebody is restoring the directory.
        if !self.directory.join(FILE).exists() {
            return Ok(None);
        }
        let ring = Keyring::load(&self.directory)?;
        let before = gateway.identity.keys();
        if ring.in_use().map(|key| key.key).eq(before.secrets.iter().map(SecretKey::public)) {
            return Ok(None);
        }
        let keys = self.read(&ring)?;
        if let Some(ledger) = ledger {
            ledger.seal_with(ring.secrets()?);
        }
        gateway.identity.take_up(keys);
        let selectors: Vec<_> = ring.in_use().map(|key| key.selector.to_string()).collect();
        Ok(Some(format!("signs with the chain keys at {} from now on", selectors.join(", "))))
    }
}

/// The keys that speak for the own chain: those of sibling gateways that the configuration lists
/// beside one of this gateway's, and those with which this gateway signs. A key that has not taken
/// over yet does not speak, nor does one that is revoked: else this gateway would take its own keys
/// for a sibling's.
pub(crate) fn key_set(listed: &[PublicKey], th: usize, keys: &Keyring) -> Result<KeySet, Fault> {
    let own = keys.current().key;
    if !listed.is_empty() && !keys.keys().iter().any(|key| listed.contains(&key.key)) {
        let what = format!("does not hold this gateway's own chain key {own}, expected it there");
        return Err(Fault { key: "identity.keys", what });
    }
    let is_others = |key: &&PublicKey| keys.keys().iter().all(|own| own.key != **key);
    let others = listed.iter().filter(is_others).copied();
    let all = others.chain(keys.in_use().map(|key| key.key));
    let threshold = |what| Fault { key: "identity.th", what };
    let set = KeySet::new(all, th).map_err(|error| threshold(error.to_string()))?;
    if set.threshold() > 1 {
        return Err(threshold(format!(
            "found {}, expected 1: this gateway signs with its own key only, and collecting \
             signatures of sibling gateways is not built yet",
            set.threshold()
        )));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use distpos_proto::{chain::GenesisTag, key::SecretKey, time::UnixSeconds};

    use super::*;
    use crate::keyring::State;

    #[test]
    fn own_keys_that_turn_over_are_no_siblings() {
        let home = tempfile::tempdir().unwrap();
        let public = distpos_certs::keygen(&home.path().join("keys")).unwrap();
        let mut ring = Keyring::load(&home.path().join("keys")).unwrap();
        let (first, sibling) = (public.chain_key, SecretKey::from_seed(&[9; 32]).public());
        let keys = |listed: &[PublicKey], ring: &Keyring| {
            let set = key_set(listed, 1, ring).unwrap();
            set.keys().copied().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(keys(&[], &ring), [first].into());
        assert_eq!(keys(&[sibling, first], &ring), [sibling, first].into());

        let (now, why) = (UnixSeconds(2_000_000_000), "yearly".parse().unwrap());
        let chain = "e2e4".parse().unwrap();
        let made = ring.make(chain, GenesisTag([3; 8]), now, &why).unwrap().clone();
        assert_eq!(keys(&[], &ring), [first].into(), "it does not sign yet");
        let old = ring.genesis_key().selector.clone();
        let takes_over = [(made.selector, State::Signing), (old.clone(), State::Old)];
        ring.shift(&takes_over, now, &why).unwrap();
        assert_eq!(keys(&[sibling, first], &ring), [sibling, first, made.key].into());
        ring.shift(&[(old, State::Revoked)], now, &why).unwrap();
        // The configuration lists the old one on: it is known as its own.
        assert_eq!(keys(&[sibling, first], &ring), [sibling, made.key].into());
        let error = key_set(&[sibling], 1, &ring).unwrap_err().to_string();
        assert!(
            error.starts_with("identity.keys: does not hold this gateway's own chain key"),
            "{error}"
        );
        let error = key_set(&[sibling, first], 2, &ring).unwrap_err().to_string();
        assert!(error.starts_with("identity.th: found 2, expected 1"), "{error}");
    }
}
