//! What a user may ask of the own chain without a key: accounts, tokens, the outbox.

use std::fmt;

use alloy_primitives::{Address, U256};
use distpos_proto::{
    address::Address as Recipient,
    amount::Amount,
    chain::{ChainId, GenesisTag},
    message::Asset,
};
use serde_json::json;

use super::{
    super::{
        AccountStatus, Teller, abi,
        abi::{Arg, Words},
        accounts,
        answer::{Hex, Number, Quantity, hex},
        check_contract, genesis_tag,
        rpc::{Rpc, RpcError, garbage},
        view,
    },
    WalletError, chain,
};
use crate::chain::{Account, ChainError};

/// A node of the own chain.
pub struct Reader {
    pub(super) rpc: Rpc,
}

/// An ERC-20 token, as it describes itself. Both are optional in the standard, and only for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its contract.
    pub address: Address,
    /// How many decimal places people write; at most 77, as 10^78 is no word.
    pub decimals: Option<u8>,
    /// What people call it: printable ASCII.
    pub symbol: Option<String>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Longest symbol that is shown, in characters.
    const SYMBOL_MAX: usize = 16;

    /// The node `http://host:port/`. It is not asked yet.
    ///
    /// # Errors
    /// [`ChainError`] if that is no such address.
    pub fn connect(node: &str) -> Result<Self, ChainError> {
        Ok(Self { rpc: Rpc::new(&node.into(), Teller::default())? })
    }

    /// Refuses a node of another chain than the one with this genesis tag: what is signed for it
    /// would pay somebody else's account, or a contract that is not there.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`] if it is one, others if the node does not answer.
    pub async fn check_node(&self, tag: GenesisTag) -> Result<(), ChainError> {
        match genesis_tag(&self.rpc).await? {
            found if found == tag => Ok(()),
            found => {
                let what = format!("genesis tag of the node's chain is {found}, expected {tag}");
                Err(ChainError::OtherChain(what))
            }
        }
    }

    /// Refuses an outbox that is not the contract of this chain.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`] if it is not, others if the node does not answer.
    pub async fn check_outbox(
        &self,
        outbox: Address,
        chain: ChainId,
        tag: GenesisTag,
    ) -> Result<(), ChainError> {
        check_contract(&self.rpc, outbox, chain, tag).await
    }

    /// An account's coins and its next nonce.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn account(&self, account: Address) -> Result<Account, ChainError> {
        let asked = json!([hex(account.as_slice()), "latest"]);
        let balance: Quantity = self.rpc.call("eth_getBalance", asked).await?;
        let asked = json!([hex(account.as_slice()), "pending"]);
        let nonce: Number = self.rpc.call("eth_getTransactionCount", asked).await?;
        Ok(Account { balance: amount(balance.0), nonce: nonce.0 })
    }

    /// A token as it describes itself.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if there is no token at this address.
    pub async fn token(&self, address: Address) -> Result<Token, WalletError> {
        // Every token has this one; an address without code answers with nothing.
        if self.word(address, abi::call("totalSupply()", &[])).await?.is_none() {
            return Err(WalletError::Refused(format!("{address} is no ERC-20 token")));
        }
        let decimals = self.word(address, abi::call("decimals()", &[])).await?;
        let decimals = decimals.and_then(|found| u8::try_from(found).ok()).filter(|n| *n < 78);
        let symbol = match self.answer(address, abi::call("symbol()", &[])).await? {
            Some(answer) => Words::new(&answer).text(0).filter(|text| is_symbol(text)),
            None => None,
        };
        Ok(Token { address, decimals, symbol })
    }

    /// What an account holds of a token, in its smallest unit.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if there is no token at this address.
    pub async fn token_balance(
        &self,
        token: Address,
        account: Address,
    ) -> Result<Amount, WalletError> {
        let input = abi::call("balanceOf(address)", &[Arg::address(account)]);
        self.word(token, input)
            .await?
            .map(amount)
            .ok_or_else(|| WalletError::Refused(format!("{token} is no ERC-20 token")))
    }

    /// How much of an owner's tokens a spender may take.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if there is no token at this address.
    pub async fn allowance(
        &self,
        token: Address,
        owner: Address,
        spender: Address,
    ) -> Result<Amount, WalletError> {
        let items = [Arg::address(owner), Arg::address(spender)];
        self.word(token, abi::call("allowance(address,address)", &items))
            .await?
            .map(amount)
            .ok_or_else(|| WalletError::Refused(format!("{token} is no ERC-20 token")))
    }

    /// What a token, or with zero the own coin, is counted in with a chain; none without account.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn asset_for(
        &self,
        outbox: Address,
        peer: ChainId,
        token: Address,
    ) -> Result<Option<Asset>, ChainError> {
        let items = [Arg::text(&peer.to_string()), Arg::address(token)];
        let input = abi::call("assetFor(string,address)", &items);
        let text = Words::new(&view(&self.rpc, outbox, input).await?).text(0).unwrap_or_default();
        match text.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error| garbage("assetFor", format!("{error}"))),
        }
    }

    /// The account with a peer in an asset; one that was never opened is closed and empty.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn peer_account(
        &self,
        contract: Address,
        peer: ChainId,
        asset: &Asset,
    ) -> Result<AccountStatus, ChainError> {
        accounts::read(&self.rpc, contract, peer, asset).await
    }

    /// Refunds that could not be paid out and wait for their owner: of a token, or with zero of the
    /// own coin.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn claimable(
        &self,
        outbox: Address,
        account: Address,
        token: Address,
    ) -> Result<Amount, ChainError> {
        let items = [Arg::address(account), Arg::address(token)];
        let input = abi::call("claimable(address,address)", &items);
        let answer = view(&self.rpc, outbox, input).await?;
        let word = Words::new(&answer).word(0);
        word.map(Amount::from_word).ok_or_else(|| garbage("claimable", "no number"))
    }

    /// Where any wallet may pay for one recipient, on behalf of one sender.
    ///
    /// # Errors
    /// [`WalletError::Refused`] if the outbox takes no such recipient or sender.
    pub async fn deposit_address(
        &self,
        outbox: Address,
        to: &Recipient,
        sender: Address,
    ) -> Result<Address, WalletError> {
        let items = [Arg::text(&to.to_string()), Arg::address(sender)];
        let input = abi::call("depositAddress(string,address)", &items);
        let asked = json!([{"to": hex(outbox.as_slice()), "data": hex(&input)}, "latest"]);
        match self.rpc.call::<Hex>("eth_call", asked).await {
            Ok(answer) => {
                let word = Words::new(&answer.0).word(0);
                let word = word.ok_or_else(|| garbage("depositAddress", "no address"))?;
                Ok(Address::from_word(word.into()))
            }
            Err(RpcError::Node(_, error)) => Err(WalletError::Refused(error.to_string())),
            Err(error) => Err(chain(error)),
        }
    }

    /// The first word that a view function answers with; none if it answers with less, or reverts.
    async fn word(&self, contract: Address, input: Vec<u8>) -> Result<Option<U256>, WalletError> {
        let answer = self.answer(contract, input).await?;
        Ok(answer.and_then(|answer| Words::new(&answer).word(0)).map(U256::from_be_bytes))
    }

    async fn answer(
        &self,
        contract: Address,
        input: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, WalletError> {
        let asked = json!([{"to": hex(contract.as_slice()), "data": hex(&input)}, "latest"]);
        match self.rpc.call::<Hex>("eth_call", asked).await {
            Ok(answer) => Ok(Some(answer.0)),
            Err(RpcError::Node(..)) => Ok(None),
            Err(error) => Err(chain(error)),
        }
    }
}

/// A token says of itself what it likes: only what looks like a symbol is shown.
fn is_symbol(text: &str) -> bool {
    (1..=Reader::SYMBOL_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn amount(number: U256) -> Amount {
    Amount::from_word(number.to_be_bytes())
}
