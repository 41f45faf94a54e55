//! Peers and the accounts with them: registered, opened, closed, deposited into, settled.

use distpos_proto::{
    account::{Account, Change, Step},
    amount::Amount,
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    key::PublicKey,
    message::{Asset, TermsHash, Value},
};

use super::{Work, refuse};
use crate::chain::{
    ChainError, ChainEvent,
    ledger::{
        LedgerError, address,
        block::NOTE_BYTES_MAX,
        credit::{self, StepError, Vault, stepped},
        judge,
        state::{AccountRow, Correspondent, OpenAsset, Peer, load},
        transaction::{AccountOrder, SettleOrder},
    },
};

impl Work<'_> {
    pub(super) fn register(&mut self, chain: ChainId, tag: GenesisTag) -> Result<(), ChainError> {
        if chain == self.rules.own.chain {
            return refuse(Code::LOOP, "a chain is not its own peer");
        }
        let peer = Peer { tag };
        if load::<Peer>(&self.state, &chain)? != Some(peer) {
            self.state.put(&chain, &peer);
        }
        Ok(())
    }

    /// Opens an account, closes it, or changes its limits. What is so already makes no event.
    pub(super) fn set_account(&mut self, order: &AccountOrder) -> Result<(), ChainError> {
        let AccountOrder { chain, asset, terms, limits } = order;
        if load::<Peer>(&self.state, chain)?.is_none() {
            let text = format!("chain {chain} is not registered here: its keys are not known");
            return refuse(Code::POLICY, text);
        }
        if *terms == Some(TermsHash([0; 32])) {
            return refuse(Code::MALFORMED, "terms are zero: no terms close an account");
        }
        if limits.window.is_some_and(|window| window.seconds == 0) {
            return refuse(Code::MALFORMED, "window_seconds is 0, expected 1 or more");
        }
        let open = load::<OpenAsset>(&self.state, chain)?.unwrap_or_default().0;
        if let Some(other) = open.as_ref().filter(|open| terms.is_some() && *open != asset) {
            let text = format!(
                "the account with {chain} in {other} is open: a ledger has one coin, and one open \
                 account a peer"
            );
            return refuse(Code::POLICY, text);
        }
        let held = credit::account(&self.state, *chain, asset)?;
        if held.is_none() && terms.is_none() {
            return Err(ChainError::Refused(no_account(*chain, asset)));
        }
        let held = held.unwrap_or_default();
        if (held.terms, held.limits) == (*terms, *limits) {
            return Ok(());
        }
        let step = Step::Set { terms: *terms, limits: *limits };
        self.step(*chain, asset, &held, &step, Vault::Same).map_err(StepError::refusal)?;
        // Whoever changes the limits of a closed account does not close the open one.
        if terms.is_some() || open.as_ref() == Some(asset) {
            self.state.put(chain, &OpenAsset(terms.map(|_| asset.clone())));
        }
        self.events.push(ChainEvent::AccountSet {
            chain: *chain,
            asset: asset.clone(),
            terms: *terms,
            limits: *limits,
        });
        Ok(())
    }

    /// Pays from an account of this ledger into a peer's reserve.
    pub(super) fn deposit(
        &mut self,
        by: PublicKey,
        chain: ChainId,
        asset: &Asset,
        amount: Amount,
    ) -> Result<(), ChainError> {
        not_nothing(amount)?;
        let held = credit::account(&self.state, chain, asset)?;
        let Some(held) = held.filter(|account| account.terms.is_some()) else {
            return refuse(Code::NO_ACCOUNT, format!("no account with {chain} in {asset} is open"));
        };
        let paid = self.debit(by, amount)?;
        let step = Step::Deposit(amount);
        self.step(chain, asset, &held, &step, Vault::In(paid)).map_err(StepError::refusal)?;
        self.reserve_changed(by, chain, asset, Change::Added(amount), "");
        Ok(())
    }

    /// Notes a settlement that happened elsewhere, or gives a deposit back; also of an account that
    /// is closed, whose reserve is the peer's all the same.
    pub(super) fn settle(&mut self, by: PublicKey, order: &SettleOrder) -> Result<(), ChainError> {
        let SettleOrder { chain, asset, change, to, note } = order;
        well_formed(note)?;
        if note.is_empty() {
            // By it a settlement is told from a deposit.
            return refuse(Code::MALFORMED, "note is empty, expected why");
        }
        let Some(held) = credit::account(&self.state, *chain, asset)? else {
            return Err(ChainError::Refused(no_account(*chain, asset)));
        };
        let vault = match (*change, to) {
            (Change::Added(_), Some(_)) => {
                return refuse(Code::MALFORMED, "to: only what is taken is paid to somebody");
            }
            (Change::Added(amount), None) | (Change::Taken(amount), None) => {
                not_nothing(amount)?;
                Vault::Same
            }
            (Change::Taken(amount), Some(to)) => {
                not_nothing(amount)?;
                if load::<AccountRow>(&self.state, to)?.is_none() {
                    return Err(ChainError::Refused(judge::not_open(&address::local(to))));
                }
                // What is in no reserve is the step's to refuse.
                let cover = held.cover();
                if amount > cover && amount <= held.figures.reserve {
                    let text = format!(
                        "of the reserve of {asset} with {chain} {cover} are left, less than the \
                         {amount} to be paid out: what arrived from there has used the rest"
                    );
                    return refuse(Code::POLICY, text);
                }
                // More than 2^128 - 1 is in no reserve: the step says so.
                Vault::Out(amount.to_u128().unwrap_or(u128::MAX))
            }
        };
        let step = Step::from(*change);
        self.step(*chain, asset, &held, &step, vault).map_err(StepError::refusal)?;
        if let (Some(to), Vault::Out(paid)) = (to, vault) {
            self.credit(to, paid)?;
        }
        self.reserve_changed(by, *chain, asset, *change, note);
        Ok(())
    }

    /// The step that a message's value makes of the account it names, open or not: what leaves
    /// without one is counted all the same, as the contract does and gateways' copies do. The
    /// ledger's own books say that the step is possible.
    pub(super) fn step_of(
        &mut self,
        chain: ChainId,
        value: &Value,
        step: &Step,
        vault: Vault,
    ) -> Result<(), LedgerError> {
        let held = credit::account(&self.state, chain, &value.asset)?.unwrap_or_default();
        self.step(chain, &value.asset, &held, step, vault).map_err(StepError::damage)
    }

    /// Makes a step of an account, with what it does to the vault and to the sum of covers.
    fn step(
        &mut self,
        chain: ChainId,
        asset: &Asset,
        held: &Account,
        step: &Step,
        vault: Vault,
    ) -> Result<(), StepError> {
        let totals = judge::totals(&self.state)?;
        let (account, totals) = stepped(held, &totals, step, vault, self.time)?;
        self.state.put(&(chain, asset.clone()), &Correspondent(account));
        self.state.put(&(), &totals);
        Ok(())
    }

    fn reserve_changed(
        &mut self,
        by: PublicKey,
        chain: ChainId,
        asset: &Asset,
        change: Change,
        note: &str,
    ) {
        let (asset, by) = (asset.clone(), address::local(&by).as_str().to_owned());
        let note = note.to_owned();
        self.events.push(ChainEvent::ReserveChanged { chain, asset, change, by, note });
    }
}

fn not_nothing(amount: Amount) -> Result<(), ChainError> {
    match amount.is_zero() {
        true => refuse(Code::MALFORMED, "amount is 0, expected more"),
        false => Ok(()),
    }
}

fn no_account(chain: ChainId, asset: &Asset) -> Reply {
    Reply::new(Code::NO_ACCOUNT, format!("there is no account with {chain} in {asset}"))
}

/// A note stands in journals and logs for ever: it is short, and one line.
fn well_formed(note: &str) -> Result<(), ChainError> {
    if note.len() > NOTE_BYTES_MAX {
        let found = note.len();
        let text = format!("note has {found} bytes, expected {NOTE_BYTES_MAX} at most");
        return refuse(Code::MALFORMED, text);
    }
    if note.chars().any(char::is_control) {
        return refuse(Code::MALFORMED, "note has a control character, expected one line of text");
    }
    Ok(())
}
