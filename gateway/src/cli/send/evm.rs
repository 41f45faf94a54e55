//! Sending from an EVM chain: the user's own transaction at a node, by a call of the outbox.

use alloy_primitives::Address as Account;
use distpos_proto::{
    address::Address,
    chain::{ChainId, GenesisTag},
};

use super::{
    super::{Exit, Failure, evm_key},
    Order, SendArguments, Sent,
    own::Quote,
};
use crate::{
    chain::evm::{
        self, UserCall,
        user::{TransactionHash, Wallet, WalletError},
    },
    config::text::parse_hex,
    submit::ChainView,
};

/// A user's account at a node, and the outbox there.
pub(super) struct Purse {
    wallet: Wallet,
    from: Address,
    chain: ChainId,
    tag: GenesisTag,
    outbox: Account,
}

impl Purse {
    pub(super) async fn open(
        chain: &ChainView,
        arguments: &SendArguments,
    ) -> Result<Self, Failure> {
        let rpc = arguments.rpc.as_deref().ok_or_else(|| {
            Failure::usage(format_args!(
                "--rpc is missing: {} is an EVM chain, and your own node takes the transaction",
                chain.chain
            ))
        })?;
        let own: ChainId = chain.chain.parse().map_err(odd)?;
        let tag = chain.tag.parse().map_err(odd)?;
        let outbox = match arguments.outbox {
            Some(contract) => contract,
            None => {
                let bytes = parse_hex(&chain.outbox).map_err(odd)?;
                let bytes: [u8; 20] = bytes.try_into().map_err(|_| odd("outbox is no contract"))?;
                bytes.into()
            }
        };
        let key = evm_key::load(arguments.key()?, arguments.password.as_deref())?;
        let from = Address::new(own, key.local());
        let wallet = Wallet::connect(rpc, key).await?;
        // The key is good on every EVM chain, and --rpc may name the wrong one.
        wallet.check_node(tag).await?;
        Ok(Self { wallet, from, chain: own, tag, outbox })
    }

    pub(super) fn from(&self) -> &Address {
        &self.from
    }

    pub(super) async fn quote(&self, order: &Order) -> Result<Quote, Failure> {
        let cost = match self.recipient_here(order)? {
            Some(to) => self.wallet.transfer_cost(to, order.amount).await,
            None => {
                self.check_outbox().await?;
                self.wallet.send_cost(self.outbox, &call(order)).await
            }
        };
        match cost {
            Ok(cost) => {
                let cost = Some((cost.gas, cost.fee.to_string()));
                Ok(Quote { refused: None, cost })
            }
            Err(WalletError::Refused(why)) => Ok(Quote { refused: Some(why), cost: None }),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn send(&self, order: Order) -> Result<Sent, Failure> {
        let from = self.from.clone();
        if let Some(to) = self.recipient_here(&order)? {
            let transaction = self.wallet.transfer(to, order.amount, &tell).await?;
            return Ok(Sent { from, transaction: transaction.to_vec(), id: None });
        }
        self.check_outbox().await?;
        let (transaction, id) = self.wallet.send(self.outbox, &call(&order), &tell).await?;
        Ok(Sent { from, transaction: transaction.to_vec(), id: Some(id) })
    }

    /// The account that an order of the own chain pays; none for an order to another chain.
    fn recipient_here(&self, order: &Order) -> Result<Option<Account>, Failure> {
        if order.to.chain() != self.chain {
            return Ok(None);
        }
        super::plain_transfer(order)?;
        evm::account_of(order.to.local()).map(Some).map_err(Failure::usage)
    }

    /// Value sent to an address without this contract would be gone.
    async fn check_outbox(&self) -> Result<(), Failure> {
        Ok(self.wallet.check_outbox(self.outbox, self.chain, self.tag).await?)
    }
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
fn tell(transaction: &TransactionHash) {
    eprintln!("distpos-send: transaction 0x{}", super::hex(transaction));
}

fn odd(what: impl std::fmt::Display) -> Failure {
    Failure::temporary(format_args!("gateway's answer: {what}"))
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
