//! `distpos-send reserve` on an EVM chain: a call of the contract, in whatever backs the account.

use super::{
    super::{Exit, Failure},
    evm::{Purse, tell},
    reserve::{Arguments, Deposited},
};
use crate::{
    amount,
    chain::evm::{AccountMove, user::Token},
    submit::ChainView,
};

/// Pays, and waits until a block has it: the key's next transaction must not be kept waiting by it.
pub(super) async fn deposit(
    arguments: &Arguments,
    chain: &ChainView,
) -> Result<Deposited, Failure> {
    let Arguments { chain: peer, asset, key, password, node, .. } = arguments;
    let purse = Purse::at(chain, node, key, password.as_deref()).await?;
    purse.place.check_outbox(purse.reader()).await?;
    let contract = purse.place.outbox;
    let account = purse.reader().peer_account(contract, *peer, asset).await?;
    if account.terms.is_none() {
        let what = format!("{} has no open account with {peer} in {asset}", chain.chain);
        return Err(Failure::of(Exit::Unavailable, what));
    }
    let sum = if account.token.is_zero() {
        amount::parse(&arguments.amount, true)
    } else {
        let Token { decimals, .. } = purse.reader().token(account.token).await?;
        amount::parse_token(&arguments.amount, decimals)
    };
    let deposit = arguments.deposit(sum.map_err(Failure::usage)?)?;
    let which = (deposit.peer, &deposit.asset);
    let paid = purse.wallet.deposit(contract, which, deposit.amount, &tell).await?;
    let (transaction, AccountMove { before, after }) = paid;
    eprintln!(
        "distpos-send: the reserve of {peer} in {asset} was {}, and is {}",
        before.figures.reserve, after.figures.reserve
    );
    Ok(Deposited { from: purse.from().to_string(), transaction: super::hex(&transaction) })
}
