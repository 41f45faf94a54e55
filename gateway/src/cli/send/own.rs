//! The own chain, ready to take what a user orders: which account sends, what it costs, and the
//! sending itself.

use distpos_proto::{address::Address, amount::Amount, message::Asset};

use super::{
    super::{Exit, Failure},
    Order, SendArguments, Sent,
    client::Client,
    evm, ledger,
};
use crate::{amount, submit::ChainView};

/// A user's key on the own chain, of whichever family.
pub(super) enum Purse<'c> {
    Ledger(ledger::Purse<'c>),
    Evm(evm::Purse),
}

/// What the own chain says of an order before it is signed.
pub(super) struct Quote {
    /// Why it would be refused; none if it would be taken.
    pub(super) refused: Option<String>,
    /// Gas of the user's own transaction, and the fee in the own coin's smallest unit; none where
    /// the chain takes none.
    pub(super) cost: Option<(u64, String)>,
    /// What the cost does not hold.
    pub(super) note: Option<&'static str>,
}

impl<'c> Purse<'c> {
    /// Reads the key, and looks whether the chain is the one that was meant.
    pub(super) async fn open(
        client: &'c Client,
        chain: &ChainView,
        arguments: &SendArguments,
    ) -> Result<Self, Failure> {
        match chain.family.as_str() {
            "ledger" if arguments.token.is_some() => {
                Err(Failure::usage("--erc20: a ledger has no tokens"))
            }
            "ledger" => Ok(Self::Ledger(ledger::Purse::open(client, chain, arguments).await?)),
            "evm" => Ok(Self::Evm(evm::Purse::open(chain, arguments).await?)),
            other => Err(Failure::of(Exit::Unavailable, format_args!("chain of family {other}"))),
        }
    }

    /// Who sends.
    pub(super) fn from(&self) -> &Address {
        match self {
            Self::Ledger(purse) => purse.from(),
            Self::Evm(purse) => purse.from(),
        }
    }

    /// A sum as the user types it.
    pub(super) fn amount(&self, text: &str) -> Result<Amount, Failure> {
        match self {
            Self::Ledger(_) => amount::parse(text, false).map_err(Failure::usage),
            Self::Evm(purse) => purse.amount(text),
        }
    }

    /// What the sum is counted in, where the own chain says so.
    pub(super) async fn asset(&self, order: &Order) -> Result<Option<Asset>, Failure> {
        match self {
            Self::Ledger(_) => Ok(None),
            Self::Evm(purse) => purse.asset(order).await,
        }
    }

    /// What the own chain would say.
    pub(super) async fn quote(&self, order: &Order) -> Result<Quote, Failure> {
        match self {
            Self::Ledger(purse) => purse.quote(order),
            Self::Evm(purse) => purse.quote(order).await,
        }
    }

    /// Signs and submits.
    pub(super) async fn send(&self, order: Order) -> Result<Sent, Failure> {
        match self {
            Self::Ledger(purse) => purse.send(order).await,
            Self::Evm(purse) => purse.send(order).await,
        }
    }
}
