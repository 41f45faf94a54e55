//! Accounts of an EVM chain: their place is the contract, and its owner changes them. With the
//! owner's key a command does it itself, without one it says what to run.

use std::{path::Path, sync::Arc};

use alloy_primitives::Address;
use distpos_proto::{account::Change, amount::Amount, message::TermsHash, terms::Backing};

use super::{Failure, OwnerKey, Which, change::tell};
use crate::{
    admin::{DoneView, LimitsAsked, Reason, SettleAsked},
    chain::evm::{self, AccountChange, EvmConfig, EvmKey, Settlement, TermsChange},
    cli::{
        evm_key,
        gateway::evm::{account_told, checked, note, payee_of, signed, token_word},
    },
    config::{Config, Node},
    daemon,
    event::Log,
};

/// The contract of the configured chain.
pub(super) struct Contract {
    rpc: String,
    node: EvmConfig,
}

impl Contract {
    /// None on a ledger.
    pub(super) fn of(config: &Config) -> Option<Self> {
        match &config.chain.node {
            Node::Evm(node) => Some(Self {
                // There is at least one, or the configuration was refused.
                rpc: node.rpc.first().cloned().unwrap_or_default(),
                node: daemon::evm_config(config.chain.id, node, Arc::new(Log)),
            }),
            Node::Ledger(_) => None,
        }
    }

    /// Opens an account under terms that both sides have signed. Without the owner's key that much
    /// is done, and it is said how to go on.
    pub(super) async fn open(
        &self,
        which: &Which,
        reason: &Reason,
        owner: &OwnerKey,
        mut done: DoneView,
    ) -> Result<(), Failure> {
        let (terms, backing) = (done.terms.clone(), done.backing.clone());
        let odd = || Failure::temporary("the gateway tells no terms to open the account under");
        let terms: TermsHash = terms.and_then(|text| text.parse().ok()).ok_or_else(odd)?;
        let backing: Backing = backing.and_then(|text| text.parse().ok()).ok_or_else(odd)?;
        let token = match backing {
            Backing::Erc20(token) => Some(Address::from(token)),
            // Said, so that an account that has a token is not opened under terms of the coin.
            Backing::Coin => Some(Address::ZERO),
            Backing::Ledger => None,
        };
        let limits = done.limits.clone().unwrap_or_default();
        checked(&change(&limits)?)?;
        if owner.key.is_none() {
            let mut words = vec!["--terms".into(), terms.to_string()];
            words.extend(token.iter().flat_map(|token| ["--token".into(), token_word(*token)]));
            words.extend(limit_words(&limits));
            let command = self.command("account", which, &words, reason);
            done.note = Some(format!(
                "both sides have signed; the contract's owner opens it: repeat this with --key, or \
                 run where that key is\n  {command}"
            ));
            return tell(which, &done);
        }
        let terms = Some(TermsChange::Agreed(terms));
        let change = AccountChange { token, terms, ..change(&limits)? };
        self.set(which, reason, owner, &change, &[]).await
    }

    /// Changes an account's limits.
    pub(super) async fn limit(
        &self,
        which: &Which,
        reason: &Reason,
        owner: &OwnerKey,
        limits: &LimitsAsked,
    ) -> Result<(), Failure> {
        self.set(which, reason, owner, &change(limits)?, &limit_words(limits)).await
    }

    /// Closes an account.
    pub(super) async fn close(
        &self,
        which: &Which,
        reason: &Reason,
        owner: &OwnerKey,
    ) -> Result<(), Failure> {
        let change = AccountChange { terms: Some(TermsChange::Closed), ..AccountChange::default() };
        self.set(which, reason, owner, &change, &["--close".into()]).await
    }

    /// Notes a settlement.
    pub(super) async fn settle(
        &self,
        which: &Which,
        reason: &Reason,
        owner: &OwnerKey,
        asked: &SettleAsked,
    ) -> Result<(), Failure> {
        let to = asked.to.as_deref().map(payee).transpose()?;
        let (change, sum) = match (&asked.add, &asked.take) {
            (Some(sum), _) => (Change::Added(amount(sum)?), ["--add".to_owned(), sum.clone()]),
            (None, Some(sum)) => (Change::Taken(amount(sum)?), ["--take".to_owned(), sum.clone()]),
            (None, None) => return Err(Failure::usage("expected --add or --take")),
        };
        let note = note(reason)?;
        let mut words = Vec::from(sum);
        words.extend(to.iter().flat_map(|to| ["--to".to_owned(), to.to_checksum(None)]));
        let key = self.key("settle", which, &words, reason, owner)?;
        let account = (which.chain, &which.asset);
        let settlement = Settlement { change, to, note };
        let moved = evm::settle(&self.node, key, account, settlement, signed).await?;
        account_told(&moved, reason.as_str(), which.json)?;
        Ok(())
    }

    async fn set(
        &self,
        which: &Which,
        reason: &Reason,
        owner: &OwnerKey,
        change: &AccountChange,
        words: &[String],
    ) -> Result<(), Failure> {
        checked(change)?;
        let key = self.key("account", which, words, reason, owner)?;
        let (chain, asset) = (which.chain, &which.asset);
        let moved = evm::set_account(&self.node, key, chain, asset, change, signed).await?;
        account_told(&moved, reason.as_str(), which.json)?;
        Ok(())
    }

    /// The owner's key, or what to run where it is.
    fn key(
        &self,
        command: &str,
        which: &Which,
        words: &[String],
        reason: &Reason,
        owner: &OwnerKey,
    ) -> Result<EvmKey, Failure> {
        let Some(file) = &owner.key else {
            let contract = self.node.contract.to_checksum(None);
            let command = self.command(command, which, words, reason);
            return Err(Failure::usage(format_args!(
                "the account's place is the contract {contract}, and its owner changes it: name \
                 the owner's key with --key, or run where that key is\n  {command}"
            )));
        };
        evm_key::load(file, owner.password.as_deref().map(Path::new))
    }

    fn command(&self, command: &str, which: &Which, words: &[String], reason: &Reason) -> String {
        let Which { chain, asset, .. } = which;
        let (contract, rpc) = (self.node.contract.to_checksum(None), &self.rpc);
        let words = words.join(" ");
        let reason = reason.as_str().replace('\'', r"'\''");
        format!(
            "distpos-gateway evm {command} {chain} {asset} {words} --contract {contract} --rpc \
             {rpc} --key OWNER_KEY --reason '{reason}'"
        )
    }
}

/// What the contract is told of limits; what is not named stays.
fn change(limits: &LimitsAsked) -> Result<AccountChange, Failure> {
    let sum = |text: &Option<String>| text.as_deref().map(amount).transpose();
    Ok(AccountChange {
        credit_limit: sum(&limits.credit_limit)?,
        window_max: sum(&limits.window_max)?,
        window_seconds: limits.window_seconds,
        ..AccountChange::default()
    })
}

fn amount(text: &str) -> Result<Amount, Failure> {
    text.parse().map_err(Failure::usage)
}

/// An account of the own chain that is paid.
fn payee(text: &str) -> Result<Address, Failure> {
    // As wallets write it.
    let text = format!("0x{}", text.trim_start_matches("0x"));
    payee_of(&text).map_err(|what| Failure::usage(format_args!("--to: {what}")))
}

fn limit_words(limits: &LimitsAsked) -> Vec<String> {
    let window = limits.window_seconds.map(|seconds| format!("{seconds}s"));
    let named = [
        ("--credit-limit", limits.credit_limit.clone()),
        ("--window-max", limits.window_max.clone()),
        ("--window", window),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some([name.to_owned(), value?]))
        .flatten()
        .collect()
}
