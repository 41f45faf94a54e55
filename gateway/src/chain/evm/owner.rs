//! What the contract's owner says once and changes seldom: roles, peers, limits, the float; and how
//! the contract is paused.

use std::time::Duration;

use alloy_primitives::Address;
use distpos_proto::{
    amount::Amount,
    chain::{ChainId, GenesisTag},
    message::Asset,
};

use super::{Operator, abi, abi::Arg};
use crate::chain::ChainError;

/// What is counted with a peer chain in one asset, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAccount {
    /// The asset's name, the same on both sides.
    pub asset: Asset,
    /// What backs it here: an ERC-20 contract, or zero for the chain's own coin. It never changes.
    pub token: Address,
    /// Most that `in − out` may come to, in the smallest unit.
    pub value_max: Amount,
    /// Most that may arrive at once; it frees itself evenly over `window`.
    pub window_max: Amount,
    /// How long a used-up `window_max` takes to be free again, in whole seconds; zero: no such limit.
    pub window: Duration,
}

impl TokenAccount {
    /// The chain's own coin under this name, without a window.
    #[must_use]
    pub fn coin(asset: Asset, value_max: Amount) -> Self {
        let (token, window_max, window) = (Address::ZERO, Amount::ZERO, Duration::ZERO);
        Self { asset, token, value_max, window_max, window }
    }
}

/// Every call fails with [`ChainError`] if the node does not answer, and is refused unless this is
/// the contract's owner.
impl Operator {
    /// Gives an account the gateway role, or takes it.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn set_gateway(
        &self,
        contract: Address,
        gateway: Address,
        active: bool,
    ) -> Result<(), ChainError> {
        let items = [Arg::address(gateway), Arg::number(u64::from(active))];
        self.tell(contract, abi::call("setGateway(address,bool)", &items)).await
    }

    /// How many gateways must agree to each delivery, void, close and refund.
    ///
    /// # Errors
    /// [`ChainError`], as said above; refused if it is zero or more than there are gateways.
    pub async fn set_required(&self, contract: Address, required: u8) -> Result<(), ChainError> {
        let items = [Arg::number(u64::from(required))];
        self.tell(contract, abi::call("setRequired(uint8)", &items)).await
    }

    /// Who, beside the owner, may pause the contract: a key that can do nothing else.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn set_pauser(&self, contract: Address, pauser: Address) -> Result<(), ChainError> {
        self.tell(contract, abi::call("setPauser(address)", &[Arg::address(pauser)])).await
    }

    /// Hands the contract over.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn set_owner(&self, contract: Address, owner: Address) -> Result<(), ChainError> {
        self.tell(contract, abi::call("setOwner(address)", &[Arg::address(owner)])).await
    }

    /// Stops sending and delivering; refunds go on. Owner or pauser.
    ///
    /// # Errors
    /// [`ChainError`], as said above; the pauser may, too.
    pub async fn pause(&self, contract: Address) -> Result<(), ChainError> {
        self.tell(contract, abi::call("pause()", &[])).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn resume(&self, contract: Address) -> Result<(), ChainError> {
        self.tell(contract, abi::call("resume()", &[])).await
    }

    /// Registers a peer chain under its genesis tag.
    ///
    /// # Errors
    /// [`ChainError`], as said above.
    pub async fn set_peer(
        &self,
        contract: Address,
        chain: ChainId,
        tag: GenesisTag,
    ) -> Result<(), ChainError> {
        self.tell(contract, abi::set_peer(chain, tag)).await
    }

    /// Opens an account with a registered peer, or changes its limits.
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

    /// Adds to the contract's own float of the coin. Anybody may.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or the account is short.
    pub async fn fund(&self, contract: Address, amount: Amount) -> Result<(), ChainError> {
        self.transact(Some(contract), amount, abi::call("fund()", &[])).await.map(drop)
    }

    /// Adds to the contract's own float of a token: an allowance of exactly that much, then the
    /// payment. Anybody may.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or the account is short.
    pub async fn fund_token(
        &self,
        contract: Address,
        token: Address,
        amount: Amount,
    ) -> Result<(), ChainError> {
        let allow = [Arg::address(contract), Arg::amount(amount)];
        self.tell(token, abi::call("approve(address,uint256)", &allow)).await?;
        let items = [Arg::address(token), Arg::amount(amount)];
        self.tell(contract, abi::call("fundToken(address,uint256)", &items)).await
    }

    /// A transaction that carries nothing but its input.
    pub(super) async fn tell(&self, to: Address, input: Vec<u8>) -> Result<(), ChainError> {
        self.transact(Some(to), Amount::ZERO, input).await.map(drop)
    }
}
