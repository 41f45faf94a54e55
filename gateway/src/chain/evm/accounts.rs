//! Accounts with peers as the contract keeps them: read, set, settled. Their rules are
//! `proto::account`'s; their place is the contract.

use alloy_primitives::Address;
use distpos_proto::{
    account::{Account, AccountError, Change, Figures, Limits, Step, Window},
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    message::{Asset, TermsHash},
    time::UnixSeconds,
};

use super::{
    EvmConfig, EvmKey, Operator, Told, abi,
    abi::{Arg, Words},
    rpc::{Rpc, garbage},
    status::words,
};
use crate::chain::ChainError;

/// What the owner says of an account: all of it at once, as the contract takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAccount {
    /// The asset's name, the same on both sides.
    pub asset: Asset,
    /// What backs it here: an ERC-20 contract, or zero for the chain's own coin. It never changes.
    pub token: Address,
    /// What both sides signed; none: the account is closed.
    pub terms: Option<TermsHash>,
    /// How far the peer is trusted. Sums of 2^128 − 1 and more are no limit.
    pub limits: Limits,
}

impl TokenAccount {
    /// The chain's own coin under this name, without a window.
    #[must_use]
    pub fn coin(asset: Asset, terms: TermsHash, credit_limit: Amount) -> Self {
        let limits = Limits { credit_limit, window: None };
        Self { asset, token: Address::ZERO, terms: Some(terms), limits }
    }
}

/// What is counted with a chain in one asset; sums in the token's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStatus {
    /// The chain.
    pub chain: ChainId,
    /// What it is counted in.
    pub asset: Asset,
    /// The token that backs it; zero: the coin.
    pub token: Address,
    /// What both sides signed; none: it is closed.
    pub terms: Option<TermsHash>,
    /// How far the peer is trusted.
    pub limits: Limits,
    /// What of the window is used now.
    pub window_used: Amount,
    /// Its figures; `pending_in` is a gateway's own, and nothing here.
    pub figures: Figures,
}

impl AccountStatus {
    /// Money here that is the peer's.
    #[must_use]
    pub fn cover(&self) -> Amount {
        self.account().cover()
    }

    /// `coin`, or the token's address.
    #[must_use]
    pub fn backing(&self) -> String {
        if self.token.is_zero() { "coin".into() } else { self.token.to_checksum(None) }
    }

    fn account(&self) -> Account {
        let (terms, limits, figures) = (self.terms, self.limits, self.figures);
        Account { terms, limits, figures, ..Account::default() }
    }

    fn name(&self) -> String {
        format!("the account with {} in {}", self.chain, self.asset)
    }
}

/// What the contract holds of a token; sums in its smallest unit.
#[derive(Debug, Clone)]
pub struct TokenStatus {
    /// The token; zero: the coin.
    pub token: Address,
    /// What is neither in escrow nor owed: the covers and the float.
    pub free: Amount,
    /// The covers of all accounts: what belongs to peers.
    pub covered: Amount,
    /// What has left and is neither delivered nor refunded yet.
    pub escrow: Amount,
    /// What waits to be claimed.
    pub owed: Amount,
}

impl TokenStatus {
    /// The community's own, which pays what arrives beyond an account's cover.
    #[must_use]
    pub fn float(&self) -> Amount {
        self.free.saturating_sub(self.covered)
    }
}

/// What is to be changed of an account. What is none stays as it is on the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// What backs it; given once, when it is opened. The coin unless said otherwise.
    pub token: Option<Address>,
    /// What both sides signed, or that it is closed.
    pub terms: Option<TermsChange>,
    /// What may arrive beyond what has left and what the peer has deposited; at first 0.
    pub credit_limit: Option<Amount>,
    /// Most that may arrive over the window.
    pub window_max: Option<Amount>,
    /// The window's length; 0 for none.
    pub window_seconds: Option<u64>,
}

/// How an account opens or closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermsChange {
    /// These are signed by both sides.
    Agreed(TermsHash),
    /// It is closed: no value arrives any more.
    Closed,
}

impl AccountChange {
    /// Other limits, all of them.
    #[must_use]
    pub fn limits(limits: Limits) -> Self {
        Self {
            credit_limit: Some(limits.credit_limit),
            window_max: limits.window.map(|window| window.max),
            window_seconds: Some(limits.window.map_or(0, |window| window.seconds)),
            ..Self::default()
        }
    }

    /// The whole account after this change.
    fn of(&self, before: &AccountStatus) -> Result<TokenAccount, ChainError> {
        let name = before.name();
        let terms = match (self.terms, before.terms) {
            (Some(TermsChange::Agreed(terms)), _) => Some(terms),
            (Some(TermsChange::Closed), Some(_)) => None,
            (None, Some(terms)) => Some(terms),
            (Some(TermsChange::Closed) | None, None) => {
                return Err(refused(format!("{name} is not open")));
            }
        };
        let limits = Limits {
            credit_limit: self.credit_limit.unwrap_or(before.limits.credit_limit),
            window: self
                .window(before.limits.window)
                .map_err(|lacks| refused(format!("{name} has no window: {lacks} is missing")))?,
        };
        let token = self.token.unwrap_or(before.token);
        Ok(TokenAccount { asset: before.asset.clone(), token, terms, limits })
    }

    fn window(&self, before: Option<Window>) -> Result<Option<Window>, &'static str> {
        let seconds = self.window_seconds.or(before.map(|window| window.seconds));
        let max = self.window_max.or(before.map(|window| window.max));
        match (max, seconds) {
            (_, Some(0)) | (None, None) => Ok(None),
            (Some(max), Some(seconds)) => Ok(Some(Window { max, seconds })),
            (Some(_), None) => Err("its length"),
            (None, Some(_)) => Err("its sum"),
        }
    }
}

/// An account before and after; the same where there was nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountMove {
    /// As it was.
    pub before: AccountStatus,
    /// As it is.
    pub after: AccountStatus,
}

/// Changes an account at the contract of a configuration, with its owner's key. What is not named
/// stays as it is; where nothing would change, nothing is sent.
///
/// # Errors
/// [`ChainError::Refused`] if the key is not the owner's, the peer is not registered, or the account
/// is not open and no terms are given; [`ChainError::Waiting`] while another transaction of the key is
/// in no block; others if no node answers.
pub async fn set_account(
    config: &EvmConfig,
    key: EvmKey,
    chain: ChainId,
    asset: &Asset,
    change: &AccountChange,
    told: Told,
) -> Result<AccountMove, ChainError> {
    let operator = Operator::of(config, key).await?.careful(told);
    operator.change_account(config.contract, chain, asset, change).await
}

/// What was settled outside the chain.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'n> {
    /// How the peer's reserve changes.
    pub change: Change,
    /// Who is paid what is taken; none: it becomes float.
    pub to: Option<Address>,
    /// Why, on the chain for good; at most 200 bytes.
    pub note: &'n str,
}

/// Books a settlement outside the chain at the contract of a configuration, with its owner's key:
/// see [`Operator::settle`].
///
/// # Errors
/// As there; [`ChainError::Waiting`] while another transaction of the key is in no block.
pub async fn settle(
    config: &EvmConfig,
    key: EvmKey,
    (chain, asset): (ChainId, &Asset),
    settlement: Settlement<'_>,
    told: Told,
) -> Result<AccountMove, ChainError> {
    let Settlement { change, to, note } = settlement;
    let operator = Operator::of(config, key).await?.careful(told);
    operator.settle(config.contract, (chain, asset), change, to, note).await
}

/// Every call fails with [`ChainError`] if the node does not answer, and what changes something is
/// refused unless this is the contract's owner.
impl Operator {
    /// An account as it stands; one that was never opened is closed and empty.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn account(
        &self,
        contract: Address,
        chain: ChainId,
        asset: &Asset,
    ) -> Result<AccountStatus, ChainError> {
        read(&self.rpc, contract, chain, asset).await
    }

    /// Opens an account with a registered peer, or changes all that is said of it.
    ///
    /// # Errors
    /// [`ChainError`], as said above; refused for a peer that is not registered, and for another
    /// token than the account has.
    pub async fn set_account(
        &self,
        contract: Address,
        chain: ChainId,
        account: &TokenAccount,
    ) -> Result<(), ChainError> {
        self.tell(contract, abi::set_account(chain, account)).await
    }

    /// Changes what is named of an account, and nothing else.
    ///
    /// # Errors
    /// As [`Self::set_account`]; refused, too, if it is not open and no terms are given.
    pub async fn change_account(
        &self,
        contract: Address,
        chain: ChainId,
        asset: &Asset,
        change: &AccountChange,
    ) -> Result<AccountMove, ChainError> {
        let before = self.account(contract, chain, asset).await?;
        let account = change.of(&before)?;
        let as_before = TokenAccount {
            asset: asset.clone(),
            token: before.token,
            terms: before.terms,
            limits: before.limits,
        };
        if account == as_before {
            return Ok(AccountMove { after: before.clone(), before });
        }
        self.set_account(contract, chain, &account).await?;
        let after = self.account(contract, chain, asset).await?;
        Ok(AccountMove { before, after })
    }

    /// Books what was settled outside the chain. What is added comes out of the float and is the
    /// peer's from now on; what is taken is paid to `to`, or becomes float.
    ///
    /// # Errors
    /// [`ChainError`], as said above; refused if the account was never opened, the reserve is less
    /// than is taken, or the float less than is needed.
    pub async fn settle(
        &self,
        contract: Address,
        (chain, asset): (ChainId, &Asset),
        change: Change,
        to: Option<Address>,
        note: &str,
    ) -> Result<AccountMove, ChainError> {
        let before = self.account(contract, chain, asset).await?;
        let held = holdings(&self.rpc, contract, before.token).await?;
        payable(&before, &held, change, to.is_some())?;
        let payee = to.unwrap_or_default();
        let input = abi::settle(chain, asset, change, payee, note);
        let input = input.ok_or_else(|| refused("the sum is more than is counted here"))?;
        self.tell(contract, input).await?;
        let after = self.account(contract, chain, asset).await?;
        Ok(AccountMove { before, after })
    }
}

/// What the contract would say, with the figures; it has the last word.
fn payable(
    before: &AccountStatus,
    held: &TokenStatus,
    change: Change,
    is_paid: bool,
) -> Result<(), ChainError> {
    let account = before.account();
    // No window has a part in this.
    let later = match account.apply(&Step::from(change), UnixSeconds(0)) {
        Ok(later) => later,
        Err(AccountError::Underflow { found, taken, .. }) => {
            let name = before.name();
            return Err(refused(format!(
                "the reserve of {name} is {found}, less than the {taken} to be taken"
            )));
        }
        Err(error) => return Err(refused(error.to_string())),
    };
    if let Change::Taken(amount) = change
        && is_paid
        && amount > account.cover()
    {
        return Err(refused(format!(
            "of the reserve of {} {} are left, less than the {amount} to be paid out: what arrived \
             from there has used the rest",
            before.name(),
            account.cover()
        )));
    }
    let needed = match change {
        Change::Added(_) => later.cover().saturating_sub(account.cover()),
        Change::Taken(amount) if is_paid => {
            amount.saturating_sub(account.cover().saturating_sub(later.cover()))
        }
        Change::Taken(_) => Amount::ZERO,
    };
    let float = held.float();
    if needed <= float {
        return Ok(());
    }
    Err(refused(format!(
        "the float of {} is {float}, less than the {needed} that is needed of it: `evm fund` adds \
         to it",
        before.backing()
    )))
}

fn refused(what: impl Into<String>) -> ChainError {
    ChainError::Refused(Reply::new(Code::POLICY, what.into()))
}

/// An account as it stands.
pub(super) async fn read(
    rpc: &Rpc,
    contract: Address,
    chain: ChainId,
    asset: &Asset,
) -> Result<AccountStatus, ChainError> {
    let items = [Arg::text(&chain.to_string()), Arg::text(asset.as_str())];
    let account = words(rpc, contract, "accountOf(string,string)", &items, 7).await?;
    let book = words(rpc, contract, "bookOf(string,string)", &items, 4).await?;
    let found = account.concat();
    let terms_and_limits = abi::terms_and_limits(Words::new(&found), 2);
    let (terms, limits) =
        terms_and_limits.ok_or_else(|| garbage("eth_call", "accountOf: a window of 2^64 s"))?;
    let [reserve, received, sent, pending_out] = [0, 1, 2, 3].map(|i| Amount::from_word(book[i]));
    let pending_in = Amount::ZERO;
    Ok(AccountStatus {
        chain,
        asset: asset.clone(),
        token: Address::from_word(account[1].into()),
        terms,
        limits,
        window_used: Amount::from_word(account[6]),
        figures: Figures { reserve, received, sent, pending_in, pending_out },
    })
}

/// What the contract holds of a token.
pub(super) async fn holdings(
    rpc: &Rpc,
    contract: Address,
    token: Address,
) -> Result<TokenStatus, ChainError> {
    let of = [Arg::address(token)];
    let sum = async |signature| {
        let words = words(rpc, contract, signature, &of, 1).await?;
        Ok::<_, ChainError>(Amount::from_word(words[0]))
    };
    Ok(TokenStatus {
        token,
        free: sum("free(address)").await?,
        covered: sum("coveredOf(address)").await?,
        escrow: sum("openEscrow(address)").await?,
        owed: sum("owed(address)").await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: TermsHash = TermsHash([7; 32]);

    fn amount(value: u64) -> Amount {
        Amount::from(value)
    }

    fn status(terms: Option<TermsHash>, window: Option<Window>, figures: Figures) -> AccountStatus {
        AccountStatus {
            chain: "b1c2".parse().unwrap(),
            asset: "e2e4/coin".parse().unwrap(),
            token: Address::ZERO,
            terms,
            limits: Limits { credit_limit: amount(9), window },
            window_used: Amount::ZERO,
            figures,
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let window = Some(Window { max: amount(3), seconds: 60 });
        let before = status(Some(TERMS), window, Figures::default());
        let after = |change: AccountChange| change.of(&before).unwrap();
        let more = after(AccountChange { credit_limit: Some(amount(10)), ..Default::default() });
        assert_eq!((more.terms, more.limits.window), (Some(TERMS), window));
        assert_eq!(more.limits.credit_limit, amount(10));
        let longer = after(AccountChange { window_seconds: Some(120), ..Default::default() });
        assert_eq!(longer.limits.window, Some(Window { max: amount(3), seconds: 120 }));
        assert_eq!(longer.limits.credit_limit, amount(9));
        let none = after(AccountChange::limits(Limits::default()));
        assert_eq!((none.terms, none.limits), (Some(TERMS), Limits::default()));
        let closed =
            after(AccountChange { terms: Some(TermsChange::Closed), ..Default::default() });
        assert_eq!((closed.terms, closed.limits), (None, before.limits));
    }

    #[test]
    fn an_account_opens_with_terms_and_a_window_has_two_sides() {
        let before = status(None, None, Figures::default());
        let told = |change: AccountChange| change.of(&before).unwrap_err().to_string();
        let unopened = told(AccountChange { credit_limit: Some(amount(1)), ..Default::default() });
        assert!(unopened.ends_with("the account with b1c2 in e2e4/coin is not open"), "{unopened}");
        let terms = Some(TermsChange::Agreed(TERMS));
        let half = AccountChange { terms, window_max: Some(amount(1)), ..Default::default() };
        assert!(told(half).ends_with("has no window: its length is missing"));
        let closed = AccountChange { terms: Some(TermsChange::Closed), ..Default::default() };
        assert!(told(closed).ends_with("is not open"));
    }

    #[test]
    fn a_settlement_names_what_is_short() {
        let figures = Figures { reserve: amount(5), received: amount(3), ..Figures::default() };
        let before = status(Some(TERMS), None, figures);
        // Cover 2, float 4.
        let held = TokenStatus {
            token: Address::ZERO,
            free: amount(6),
            covered: amount(2),
            escrow: Amount::ZERO,
            owed: Amount::ZERO,
        };
        let may = |change, is_paid| payable(&before, &held, change, is_paid);
        let told = |change, is_paid| may(change, is_paid).unwrap_err().to_string();
        assert!(may(Change::Added(amount(4)), false).is_ok());
        assert!(
            told(Change::Added(amount(5)), false).contains("float of coin is 4, less than the 5")
        );
        // All of it may become float; paid out only what is not spent.
        assert!(may(Change::Taken(amount(5)), false).is_ok());
        assert!(may(Change::Taken(amount(2)), true).is_ok());
        assert!(told(Change::Taken(amount(3)), true).contains("2 are left, less than the 3"));
        assert!(told(Change::Taken(amount(6)), true).contains("is 5, less than the 6 to be taken"));
    }
}
