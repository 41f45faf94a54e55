//! The calls about accounts.

use distpos_proto::{chain::ChainId, code::Code, message::Asset};
use hyper::StatusCode;

use super::{Refusal, calls::parsed};
use crate::config::text::parse_asset;

mod change;
mod open;
mod read;

pub(super) use change::{close, limit, resume, settle, statement, suspend};
pub(super) use open::open;
pub(super) use read::{Wanted, list, show};

/// An account, by the parts of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) chain: ChainId,
    pub(super) asset: Asset,
}

impl Name {
    pub(super) fn read(chain: &str, issuer: &str, label: &str) -> Result<Self, Refusal> {
        let asset = parse_asset(&format!("{issuer}/{label}"));
        let asset = asset.map_err(|what| Refusal::malformed(format_args!("asset: {what}")))?;
        Ok(Self { chain: parsed("chain", chain)?, asset })
    }

    /// What there is to say where nothing is known of it.
    fn unknown(&self) -> Refusal {
        let text = format!("there is no account {self}: `account list` shows those there are");
        Refusal::new(StatusCode::NOT_FOUND, Code::NO_ACCOUNT, text)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {}", self.asset, self.chain)
    }
}
