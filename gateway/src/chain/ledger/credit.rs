//! Accounts with peers as the ledger keeps them, by the rules of [`distpos_proto::account`].
//!
//! A step of an account may move money in or out of the vault, and changes the account's cover: what
//! of the vault is that peer's. All of it is one change, and it must leave the covers of all
//! accounts within the vault. So a payment beyond a peer's own cover comes out of the community's
//! float, and never out of what another peer has deposited.

use distpos_proto::{
    account::{Account, AccountError, Step},
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    message::Asset,
    time::UnixSeconds,
};
use thiserror::Error;

use super::{
    LedgerError,
    state::{Correspondent, OpenAsset, Row, Totals, load},
    store::Rows,
};
use crate::chain::ChainError;

/// What a step does to the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vault {
    /// Nothing.
    Same,
    /// So much comes in.
    In(u128),
    /// So much is paid out.
    Out(u128),
}

/// Why a step cannot be made; nothing has changed.
#[derive(Debug, Error)]
pub(super) enum StepError {
    /// The account does not allow it.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// It needs more than what is the community's own.
    #[error("vault is short: the float is {float}, this takes {needed} of it")]
    Short {
        /// The float as it is.
        float: u128,
        /// What the step takes of it.
        needed: Amount,
    },
    /// Rows on disk are wrong.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl StepError {
    /// For what somebody has asked for: a refusal.
    pub(super) fn refusal(self) -> ChainError {
        let code = match &self {
            Self::Account(_) => Code::POLICY,
            Self::Short { .. } => Code::SUSPENDED,
            Self::Ledger(_) => return self.damage().into(),
        };
        ChainError::Refused(Reply::new(code, self.to_string()))
    }

    /// For what the ledger's own books say must be possible: they are wrong.
    pub(super) fn damage(self) -> LedgerError {
        match self {
            Self::Ledger(error) => error,
            other => LedgerError::Corrupt { row: Correspondent::NAME, what: other.to_string() },
        }
    }
}

/// An account and the totals after a step at a time.
pub(super) fn stepped(
    account: &Account,
    totals: &Totals,
    step: &Step,
    vault: Vault,
    time: UnixSeconds,
) -> Result<(Account, Totals), StepError> {
    let next = account.apply(step, time)?;
    let (comes, goes) = match vault {
        Vault::Same => (0, 0),
        Vault::In(amount) => (amount, 0),
        Vault::Out(amount) => (0, amount),
    };
    let wrong =
        || LedgerError::Corrupt { row: "totals row", what: "do not hold the covers".into() };
    let others = Amount::from(totals.covered).checked_sub(account.cover()).ok_or_else(wrong)?;
    let covered = others.saturating_add(next.cover());
    // What goes and is not taken from a cover, or comes to a cover and did not come in, is taken
    // from the float.
    let needed = covered
        .saturating_add(goes.into())
        .saturating_sub(Amount::from(totals.covered).saturating_add(comes.into()));
    let float = totals.float();
    if needed > float.into() {
        return Err(StepError::Short { float, needed });
    }
    let vault = totals.vault.checked_add(comes).and_then(|vault| vault.checked_sub(goes));
    let (vault, covered) = vault.zip(covered.to_u128()).ok_or_else(wrong)?;
    Ok((next, Totals { vault, covered, ..*totals }))
}

/// The account with a peer in an asset, open or not; none if nothing was ever
/// counted in it.
pub(super) fn account(
    rows: &dyn Rows,
    chain: ChainId,
    asset: &Asset,
) -> Result<Option<Account>, LedgerError> {
    let row = load::<Correspondent>(rows, &(chain, asset.clone()))?;
    Ok(row.map(|Correspondent(account)| account))
}

/// The account that is open with a peer, and its asset.
pub(super) fn open_account(
    rows: &dyn Rows,
    chain: ChainId,
) -> Result<Option<(Asset, Account)>, LedgerError> {
    let Some(OpenAsset(Some(asset))) = load(rows, &chain)? else { return Ok(None) };
    let what = || format!("the open one with {chain} is missing");
    let missing = || LedgerError::Corrupt { row: Correspondent::NAME, what: what() };
    let account = account(rows, chain, &asset)?.ok_or_else(missing)?;
    Ok(Some((asset, account)))
}
