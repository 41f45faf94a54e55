//! What DNS has told of a chain, for people and scripts.

use distpos_proto::{
    chain::ChainId,
    time::UnixSeconds,
    trust::{DnsTrust, OperatorAnchor, TrustLevel, trusted},
};
use serde::{Deserialize, Serialize};

/// What is kept of a chain, and whether it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustView {
    /// The chain.
    pub chain: String,
    /// The owner of its gateway records that was accepted first.
    pub found_at: String,
    /// The genesis that was accepted first, if it has named one.
    pub genesis: Option<String>,
    /// How its keys are known: `pinned`, `dnssec` or `static`.
    pub level: Option<String>,
    /// Its keys.
    pub keys: Vec<KeyView>,
    /// How many of them must sign.
    pub th: Option<usize>,
    /// Until when the keys are good without being confirmed, in Unix seconds.
    pub good_until: Option<u64>,
    /// Keys that will never be believed again.
    pub revoked: Vec<String>,
    /// Until when a change of keys keeps everything waiting, in Unix seconds.
    pub waiting_until: Option<u64>,
    /// What has to be looked at before anything is delivered.
    pub contradiction: Option<String>,
    /// Why nothing of it is believed now; none if it is.
    pub not_believed: Option<String>,
}

/// A key, and where it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The key.
    pub key: String,
    /// The selectors at which it was seen.
    pub selectors: Vec<String>,
}

impl TrustView {
    /// Shows a state as it is under the operator's word.
    #[must_use]
    pub fn of(
        chain: ChainId,
        state: &DnsTrust,
        operator: Option<OperatorAnchor<'_>>,
        least: TrustLevel,
        now: UnixSeconds,
    ) -> Self {
        let why = trusted(chain, Some(state), operator, least, now).err();
        let keys = state.keys().map(|key| KeyView {
            key: key.to_string(),
            selectors: state.selectors_of(*key).map(ToString::to_string).collect(),
        });
        Self {
            chain: chain.to_string(),
            found_at: state.found_at().to_owned(),
            genesis: state.genesis().map(|tag| tag.to_string()),
            level: state.level().map(|level| level.to_string()),
            keys: keys.collect(),
            th: state.threshold(),
            good_until: state.good_until().map(|time| time.0),
            revoked: state.revoked().map(ToString::to_string).collect(),
            waiting_until: state.waiting_until().map(|time| time.0),
            contradiction: state.contradiction().map(str::to_owned),
            not_believed: why.map(|why| why.to_string()),
        }
    }
}
