//! Tokens: the allowance and the message, deposits for others, and refunds that wait.

use alloy_primitives::Address;
use distpos_proto::{
    address::Address as Recipient,
    amount::Amount,
    chain::ChainId,
    message::{Asset, MessageId},
};
use serde_json::json;

use super::{
    super::{
        AccountMove, UserCall, abi,
        abi::{Arg, Words},
        answer::{Hex, hex},
        rpc::RpcError,
    },
    Call, Cost, Told, TransactionHash, Wallet, WalletError, chain, message_of,
};

/// What sending a token would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCost {
    /// Of the allowance, if it is short; two transactions where a token wants it to be zero first.
    pub allowance: Option<Cost>,
    /// Of the message; none while the allowance is short, since no node can tell before.
    pub message: Option<Cost>,
}

impl Wallet {
    /// What [`Self::send_token`] would cost.
    ///
    /// # Errors
    /// [`WalletError::Refused`] says why the token or the contract would refuse it.
    pub async fn token_cost(
        &self,
        outbox: Address,
        token: Address,
        call: &UserCall,
    ) -> Result<TokenCost, WalletError> {
        self.holds(token, call.amount).await?;
        let allowed = self.reader.allowance(token, self.address(), outbox).await?;
        if allowed >= call.amount {
            let message = self.cost(&send_token(outbox, token, call)).await?;
            return Ok(TokenCost { allowance: None, message: Some(message) });
        }
        let allowance = match self.cost(&approve(token, outbox, call.amount)).await {
            Err(WalletError::Refused(_)) if !allowed.is_zero() => {
                self.cost(&approve(token, outbox, Amount::ZERO)).await?
            }
            other => other?,
        };
        Ok(TokenCost { allowance: Some(allowance), message: None })
    }

    /// Sends a message that carries a token (`call.amount` is in its smallest unit). Where the outbox
    /// may take less than that of it, a transaction before allows exactly the amount.
    ///
    /// # Errors
    /// [`WalletError`] says whether anything was signed.
    pub async fn send_token(
        &self,
        outbox: Address,
        token: Address,
        call: &UserCall,
        told: Told<'_>,
    ) -> Result<(TransactionHash, MessageId), WalletError> {
        // Before the allowance: that costs gas, and would stay.
        self.holds(token, call.amount).await?;
        self.allow(outbox, token, call.amount, told).await?;
        let receipt = self.transact(send_token(outbox, token, call), told).await?;
        Ok((receipt.transaction_hash.0, message_of(&receipt, outbox)?.id()))
    }

    /// Refuses to go on with less than `amount` of the token.
    async fn holds(&self, token: Address, amount: Amount) -> Result<(), WalletError> {
        let held = self.reader.token_balance(token, self.address()).await?;
        if held < amount {
            let what = format!("balance of {token} is {held}, less than {amount}");
            return Err(WalletError::Refused(what));
        }
        Ok(())
    }

    /// Lets `spender` take at least `amount`.
    async fn allow(
        &self,
        spender: Address,
        token: Address,
        amount: Amount,
        told: Told<'_>,
    ) -> Result<(), WalletError> {
        let allowed = self.reader.allowance(token, self.address(), spender).await?;
        if allowed >= amount {
            return Ok(());
        }
        match self.transact(approve(token, spender, amount), told).await {
            Ok(_) => {}
            // Some tokens (USDT) change an allowance only from zero and to zero.
            Err(WalletError::Refused(_)) if !allowed.is_zero() => {
                self.transact(approve(token, spender, Amount::ZERO), told).await?;
                self.transact(approve(token, spender, amount), told).await?;
            }
            Err(error) => return Err(error),
        }
        let allowed = self.reader.allowance(token, self.address(), spender).await?;
        if allowed >= amount {
            return Ok(());
        }
        // It returned false where others revert.
        let what = format!("{token} allows {allowed} after it was asked to allow {amount}");
        Err(WalletError::Refused(what))
    }

    /// What [`Self::transfer_token`] would cost.
    ///
    /// # Errors
    /// [`WalletError::Refused`] says why the token would refuse it.
    pub async fn transfer_token_cost(
        &self,
        token: Address,
        to: Address,
        amount: Amount,
    ) -> Result<Cost, WalletError> {
        let call = transfer(token, to, amount);
        self.takes(&call).await?;
        self.cost(&call).await
    }

    /// Pays an account of the own chain in a token.
    ///
    /// # Errors
    /// [`WalletError`] says whether anything was signed.
    pub async fn transfer_token(
        &self,
        token: Address,
        to: Address,
        amount: Amount,
        told: Told<'_>,
    ) -> Result<TransactionHash, WalletError> {
        let call = transfer(token, to, amount);
        self.takes(&call).await?;
        let receipt = self.transact(call, told).await?;
        Ok(receipt.transaction_hash.0)
    }

    /// Refuses a call that a token would answer with false where others revert.
    async fn takes(&self, call: &Call) -> Result<(), WalletError> {
        let asked = json!([{
            "from": hex(self.address().as_slice()),
            "to": hex(call.to.as_slice()),
            "data": hex(&call.input),
        }, "latest"]);
        match self.reader.rpc.call::<Hex>("eth_call", asked).await {
            Ok(answer) if Words::new(&answer.0).word(0).is_some_and(|word| word == [0; 32]) => {
                Err(WalletError::Refused(format!("{} says no", call.to)))
            }
            Ok(_) => Ok(()),
            Err(RpcError::Node(_, error)) => Err(WalletError::Refused(error.to_string())),
            Err(error) => Err(chain(error)),
        }
    }

    /// Sends on what was paid to a deposit address, in a token or with zero in the own coin; gives the
    /// transaction's hash and the message's id. The message's sender is `sender`, whoever forwards.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if nothing was paid there.
    pub async fn forward_deposit(
        &self,
        outbox: Address,
        to: &Recipient,
        sender: Address,
        token: Address,
        told: Told<'_>,
    ) -> Result<(TransactionHash, MessageId), WalletError> {
        let items = [Arg::text(&to.to_string()), Arg::address(sender), Arg::address(token)];
        let input = abi::call("forwardDeposit(string,address,address)", &items);
        let receipt = self.transact(Call { to: outbox, value: Amount::ZERO, input }, told).await?;
        Ok((receipt.transaction_hash.0, message_of(&receipt, outbox)?.id()))
    }

    /// Pays into a peer's reserve here, in what backs its account; gives the transaction's hash, and
    /// the account as it was and is. Anybody may; a token that takes a charge adds what arrives.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if the account is not open or this key has too little.
    pub async fn deposit(
        &self,
        contract: Address,
        (chain, asset): (ChainId, &Asset),
        amount: Amount,
        told: Told<'_>,
    ) -> Result<(TransactionHash, AccountMove), WalletError> {
        let before = self.reader.peer_account(contract, chain, asset).await?;
        if before.terms.is_none() {
            let what = format!("no open account with {chain} in {asset}");
            return Err(WalletError::Refused(what));
        }
        let value = if before.token.is_zero() {
            amount
        } else {
            // Before the allowance: that costs gas, and would stay.
            self.holds(before.token, amount).await?;
            self.allow(contract, before.token, amount, told).await?;
            Amount::ZERO
        };
        let call = Call { to: contract, value, input: abi::deposit(chain, asset, amount) };
        let transaction = self.transact(call, told).await?.transaction_hash.0;
        let after = self.reader.peer_account(contract, chain, asset).await?;
        Ok((transaction, AccountMove { before, after }))
    }

    /// Takes refunds that could not be paid out, of a token or with zero of the own coin.
    ///
    /// # Errors
    /// [`WalletError`] says whether anything was signed.
    pub async fn claim(
        &self,
        outbox: Address,
        token: Address,
        to: Address,
        told: Told<'_>,
    ) -> Result<TransactionHash, WalletError> {
        let items = [Arg::address(token), Arg::address(to)];
        let input = abi::call("claim(address,address)", &items);
        let receipt = self.transact(Call { to: outbox, value: Amount::ZERO, input }, told).await?;
        Ok(receipt.transaction_hash.0)
    }
}

fn approve(token: Address, spender: Address, amount: Amount) -> Call {
    let items = [Arg::address(spender), Arg::amount(amount)];
    let input = abi::call("approve(address,uint256)", &items);
    Call { to: token, value: Amount::ZERO, input }
}

fn transfer(token: Address, to: Address, amount: Amount) -> Call {
    let items = [Arg::address(to), Arg::amount(amount)];
    let input = abi::call("transfer(address,uint256)", &items);
    Call { to: token, value: Amount::ZERO, input }
}

fn send_token(outbox: Address, token: Address, call: &UserCall) -> Call {
    let items = [
        Arg::address(token),
        Arg::amount(call.amount),
        Arg::text(&format!("{}x{}", call.destination, call.recipient)),
        Arg::Bytes(call.data.clone()),
        Arg::number(call.gas),
        Arg::number(abi::on_fail(call.on_fail)),
        Arg::number(call.expires.unwrap_or(0)),
    ];
    let input = abi::call("sendToken(address,uint256,string,bytes,uint64,uint8,uint64)", &items);
    Call { to: outbox, value: Amount::ZERO, input }
}
