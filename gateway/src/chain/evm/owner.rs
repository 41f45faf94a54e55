//! What the contract's owner says once and changes seldom: roles, peers, the float; and how the
//! contract is paused. What is counted with peers is in `accounts`.

use alloy_primitives::Address;
use distpos_proto::{
    amount::Amount,
    chain::{ChainId, GenesisTag},
};

use super::{Operator, abi, abi::Arg, status};
use crate::chain::ChainError;

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

    /// The genesis tag that a chain is registered with; none if it is not.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn peer(
        &self,
        contract: Address,
        chain: ChainId,
    ) -> Result<Option<GenesisTag>, ChainError> {
        status::peer(&self.rpc, contract, chain).await
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
