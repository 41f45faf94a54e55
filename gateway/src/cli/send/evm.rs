//! Sending from an EVM chain: the user's own transaction at a node, by a call of the outbox.

use std::path::Path;

use alloy_primitives::Address as Account;
use distpos_proto::{address::Address, amount::Amount, message::Asset};

use super::{
    super::{Exit, Failure, evm_key},
    Order, SendArguments, Sent,
    node::{NodeArguments, Place},
    own::Quote,
};
use crate::{
    amount,
    chain::evm::{
        self, UserCall,
        user::{Cost, Reader, Token, TokenCost, TransactionHash, Wallet, WalletError},
    },
    submit::ChainView,
};

/// A user's account at a node, and the outbox there.
pub(super) struct Purse {
    pub(super) wallet: Wallet,
    pub(super) place: Place,
    from: Address,
    /// What is sent; none for the own coin.
    token: Option<Token>,
}

impl Purse {
    pub(super) async fn open(
        chain: &ChainView,
        arguments: &SendArguments,
    ) -> Result<Self, Failure> {
        let password = arguments.password.as_deref();
        let purse = Self::at(chain, &arguments.node, arguments.key()?, password).await?;
        let token = match arguments.token {
            Some(token) => Some(purse.reader().token(token).await?),
            None => None,
        };
        Ok(Self { token, ..purse })
    }

    /// A key at a node of the chain that the gateway speaks for.
    pub(super) async fn at(
        chain: &ChainView,
        node: &NodeArguments,
        key: &Path,
        password: Option<&Path>,
    ) -> Result<Self, Failure> {
        let (place, rpc) = (node.place(chain)?, node.rpc(chain)?);
        let key = evm_key::load(key, password)?;
        let from = Address::new(place.chain, key.local());
        let wallet = Wallet::connect(rpc, key).await?;
        place.check_node(wallet.reader()).await?;
        Ok(Self { wallet, place, from, token: None })
    }

    pub(super) fn from(&self) -> &Address {
        &self.from
    }

    pub(super) fn reader(&self) -> &Reader {
        self.wallet.reader()
    }

    /// A sum as the user types it.
    pub(super) fn amount(&self, text: &str) -> Result<Amount, Failure> {
        match &self.token {
            Some(token) => amount::parse_token(text, token.decimals).map_err(Failure::usage),
            None => amount::parse(text, true).map_err(Failure::usage),
        }
    }

    /// What the sum is counted in with the destination; none for an order within the own chain.
    pub(super) async fn asset(&self, order: &Order) -> Result<Option<Asset>, Failure> {
        let peer = order.to.chain();
        if peer == self.place.chain {
            return Ok(None);
        }
        self.place.check_outbox(self.reader()).await?;
        let token = self.token.as_ref().map(|token| token.address);
        let counted = token.unwrap_or(Account::ZERO);
        let asset = self.reader().asset_for(self.place.outbox, peer, counted).await?;
        match (asset, token) {
            (None, Some(token)) => {
                let what = format!("token {token} is not counted with {peer}: no account names it");
                Err(Failure::of(Exit::Unavailable, what))
            }
            (asset, _) => Ok(asset),
        }
    }

    pub(super) async fn quote(&self, order: &Order) -> Result<Quote, Failure> {
        let (wallet, outbox) = (&self.wallet, self.place.outbox);
        let token = self.token.as_ref().map(|token| token.address);
        let cost = match (self.recipient_here(order)?, token) {
            (Some(to), None) => wallet.transfer_cost(to, order.amount).await.map(whole),
            (Some(to), Some(token)) => {
                wallet.transfer_token_cost(token, to, order.amount).await.map(whole)
            }
            (None, None) => wallet.send_cost(outbox, &call(order)).await.map(whole),
            (None, Some(token)) => wallet.token_cost(outbox, token, &call(order)).await,
        };
        match cost {
            Ok(TokenCost { allowance, message }) => {
                let needed = "the cost of the token's allowance; what the message costs can be told \
                              once that is there";
                let note = allowance.is_some().then_some(needed);
                let cost = message.or(allowance).map(|cost| (cost.gas, cost.fee.to_string()));
                Ok(Quote { refused: None, cost, note })
            }
            Err(WalletError::Refused(why)) => {
                Ok(Quote { refused: Some(why), cost: None, note: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn send(&self, order: Order) -> Result<Sent, Failure> {
        let (wallet, outbox, from) = (&self.wallet, self.place.outbox, self.from.clone());
        let token = self.token.as_ref().map(|token| token.address);
        if let Some(to) = self.recipient_here(&order)? {
            let transaction = match token {
                Some(token) => wallet.transfer_token(token, to, order.amount, &tell).await?,
                None => wallet.transfer(to, order.amount, &tell).await?,
            };
            return Ok(Sent { from, transaction: transaction.to_vec(), id: None });
        }
        let (transaction, id) = match token {
            Some(token) => wallet.send_token(outbox, token, &call(&order), &tell).await?,
            None => wallet.send(outbox, &call(&order), &tell).await?,
        };
        Ok(Sent { from, transaction: transaction.to_vec(), id: Some(id) })
    }

    /// The account that an order of the own chain pays; none for an order to another chain.
    fn recipient_here(&self, order: &Order) -> Result<Option<Account>, Failure> {
        if order.to.chain() != self.place.chain {
            return Ok(None);
        }
        super::plain_transfer(order)?;
        evm::account_of(order.to.local()).map(Some).map_err(Failure::usage)
    }
}

fn whole(cost: Cost) -> TokenCost {
    TokenCost { allowance: None, message: Some(cost) }
}

fn call(order: &Order) -> UserCall {
    UserCall {
        destination: order.to.chain(),
        recipient: order.to.local().clone(),
        amount: order.amount,
        data: order.data.clone(),
        gas: order.gas,
        on_fail: order.on_fail,
        expires: Some(order.expires.0),
    }
}

/// The hash goes to the terminal before the transaction leaves: it can be looked up whatever happens.
pub(super) fn tell(transaction: &TransactionHash) {
    eprintln!("distpos-send: transaction 0x{}", super::hex(transaction));
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::Chain(error) => error.into(),
            WalletError::Refused(_) | WalletError::Reverted(_) => {
                Self::new(Exit::Unavailable, error)
            }
            WalletError::Waiting { .. } => Self::new(Exit::Temporary, error),
        }
    }
}
