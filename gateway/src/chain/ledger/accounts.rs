//! The accounts with peer chains, as operators and audits see them.

use distpos_proto::{
    account::{Account, Limits},
    amount::Amount,
    chain::{ChainId, GenesisTag},
    message::{Asset, TermsHash},
};

use super::{
    Ledger, credit, judge,
    queue::Work,
    state::{Correspondent, Peer, Row, load},
    transaction::{AccountOrder, Action},
};
use crate::chain::ChainError;

impl Ledger {
    /// The account with a peer in an asset, open or closed; none if nothing was ever counted in it.
    /// Its `pending_in` is 0: a ledger decides on a delivery and makes it at once.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn correspondent(
        &self,
        peer: ChainId,
        asset: &Asset,
    ) -> Result<Option<Account>, ChainError> {
        Ok(credit::account(&self.store.snapshot()?, peer, asset)?)
    }

    /// All accounts with all chains, ordered by chain and asset: open ones, closed ones, and those
    /// in the own coin that were never open and only count what left without one.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn correspondents(&self) -> Result<Vec<(ChainId, Asset, Account)>, ChainError> {
        let mut accounts = Vec::new();
        self.store.snapshot()?.each_row(Correspondent::KIND, |key, row| {
            let (chain, asset) = Correspondent::read_key(key)?;
            accounts.push((chain, asset, Correspondent::from_bytes(row)?.0));
            Ok(())
        })?;
        Ok(accounts)
    }

    /// Whose the vault is: what covers the peers' accounts, and the float, which is the community's
    /// own. Together they are the vault of [`Ledger::pots`].
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn covered_and_float(&self) -> Result<(Amount, Amount), ChainError> {
        let totals = judge::totals(&self.store.snapshot()?)?;
        Ok((totals.covered.into(), totals.float().into()))
    }

    /// Tells the ledger of a peer chain: its genesis tag, which messages to it carry. No value
    /// passes by that alone: see [`Ledger::open_account`]. Makes a block only where the ledger
    /// knows otherwise.
    ///
    /// # Errors
    /// [`ChainError`], `5.4.6` for the ledger's own chain.
    pub async fn register(&self, peer: ChainId, tag: GenesisTag) -> Result<(), ChainError> {
        // That its tag is not known now unlearns none.
        if self.registered(peer)?.is_some_and(|known| known == tag || tag.is_unset()) {
            return Ok(());
        }
        self.in_a_block(Work::Authority(vec![Action::Register(peer, tag)])).await.map(|_| ())
    }

    /// The tag of a peer, as it is registered; none of a stranger.
    pub(super) fn registered(&self, peer: ChainId) -> Result<Option<GenesisTag>, ChainError> {
        Ok(load::<Peer>(&self.store.snapshot()?, &peer)?.map(|peer| peer.tag))
    }

    /// Registers a peer chain and opens the account with it, or changes its terms and limits, in one
    /// block. What an operator does in two steps ([`Ledger::register`] at the start, then
    /// [`crate::chain::Submission::Account`]); for demonstrations and tests.
    ///
    /// # Errors
    /// [`ChainError`], `5.7.1` where the account with this peer is open in another asset.
    pub async fn open_account(
        &self,
        peer: ChainId,
        tag: GenesisTag,
        asset: Asset,
        terms: TermsHash,
        limits: Limits,
    ) -> Result<(), ChainError> {
        let order = AccountOrder { chain: peer, asset, terms: Some(terms), limits };
        let actions = vec![Action::Register(peer, tag), Action::Account(order)];
        self.in_a_block(Work::Authority(actions)).await.map(|_| ())
    }
}
