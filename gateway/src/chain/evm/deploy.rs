//! What an operator does once, and what a user does: transactions of a key that is not the
//! gateway's.

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{ChainId, GenesisTag, Height},
    code::{Code, Reply},
    message::{Message, MessageId, OnFail},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    EvmConfig, EvmKey, Teller, abi,
    abi::{Arg, Event, Words},
    answer::{Hex, Quantity, Receipt, hex},
    find_chain, genesis_tag,
    rpc::{Rpc, RpcError, garbage},
    sender::{Action, Sender, Told},
};
use crate::chain::ChainError;

/// How long a transaction may take into a block.
const INCLUSION_TIME_MAX: Duration = Duration::from_secs(120);

/// The contract's abi and creation code; `gateway/contracts/build.sh` makes it.
const ARTEFACT: &str = include_str!("../../../contracts/artefacts/Distpos.json");

#[derive(Deserialize)]
struct Artefact {
    bytecode: Hex,
}

/// A key at a node: the owner's, to deploy and to set up, or a user's, to send.
pub struct Operator {
    pub(super) rpc: Arc<Rpc>,
    sender: Sender,
    /// Whether it refuses to send while an earlier transaction of the key waits.
    is_careful: bool,
}

/// Where a contract stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed {
    /// Its address.
    pub contract: Address,
    /// The block it was deployed in.
    pub start: Height,
    /// What the node's chain calls itself.
    pub eth_chain_id: u64,
    /// The chain's genesis tag.
    pub tag: GenesisTag,
}

/// Who may do what with a new contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Says who else has a role, and sets peers and limits.
    pub owner: Address,
    /// Deliver, void, close and refund.
    pub gateways: Vec<Address>,
    /// How many of them must agree.
    pub required: u8,
    /// May pause, beside the owner.
    pub pauser: Option<Address>,
}

/// What a user sends.
#[derive(Debug, Clone)]
pub struct UserCall {
    /// The chain it goes to.
    pub destination: ChainId,
    /// Who it is for.
    pub recipient: Local,
    /// Value in the native coin's smallest unit.
    pub amount: Amount,
    /// Call data, or with `gas` 0 a note.
    pub data: Vec<u8>,
    /// Gas for the recipient's call; 0 for none.
    pub gas: u64,
    /// What happens when that call fails.
    pub on_fail: OnFail,
    /// Unix seconds; none means in 24 hours.
    pub expires: Option<u64>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operator({})", self.address())
    }
}

impl Operator {
    /// A key at the node `http://host:port/`.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn connect(node: &str, key: EvmKey) -> Result<Self, ChainError> {
        let rpc = Arc::new(Rpc::new(&node.into(), Teller::default())?);
        let call = "eth_chainId";
        let found: Quantity = rpc.call(call, json!([])).await?;
        let chain_id = u64::try_from(found.0).map_err(|_| garbage(call, "2^64 or more"))?;
        Self::over(rpc, chain_id, key)
    }

    /// A key at the nodes of a configuration, whose contract must be there.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`] if the nodes are of another chain or there is no such contract,
    /// others if no node answers.
    pub async fn of(config: &EvmConfig, key: EvmKey) -> Result<Self, ChainError> {
        let rpc = Arc::new(Rpc::new(&config.nodes, config.alerts.teller.clone())?);
        find_chain(&rpc, config).await?;
        rpc.settle().await;
        Self::over(rpc, config.eth_chain_id, key)
    }

    fn over(rpc: Arc<Rpc>, chain_id: u64, key: EvmKey) -> Result<Self, ChainError> {
        let sender = Sender::open(
            Arc::clone(&rpc),
            chain_id,
            key.into(),
            None,
            INCLUSION_TIME_MAX,
            Teller::default(),
        )?;
        Ok(Self { rpc, sender, is_careful: false })
    }

    /// For people, who repeat what seems not to have worked: nothing is sent while another
    /// transaction of the key waits, since that may be the same one; and `told` gets each one's
    /// hash before it leaves, so that it can be looked up.
    #[must_use]
    pub fn careful(self, told: Told) -> Self {
        self.sender.tell(told);
        Self { is_careful: true, ..self }
    }

    /// Refuses while a transaction of the key waits at the node.
    ///
    /// # Errors
    /// [`ChainError::Waiting`] says so; others if the node does not answer.
    pub async fn check_idle(&self) -> Result<(), ChainError> {
        match self.sender.waiting().await? {
            0 => Ok(()),
            waiting => Err(ChainError::Waiting(format!(
                "{} has {waiting} that are in no block yet, so nothing was sent: wait until they \
                 are, and look whether they did what you want",
                self.address()
            ))),
        }
    }

    /// The key's account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// Deploys the contract for `chain`, and gives everybody their role.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or a transaction fails.
    pub async fn deploy(&self, chain: ChainId, roles: &Roles) -> Result<Deployed, ChainError> {
        let tag = genesis_tag(&self.rpc).await?;
        let artefact: Artefact = serde_json::from_str(ARTEFACT)
            .map_err(|error| garbage("artefact", error.to_string()))?;
        let constructor =
            [Arg::text(&chain.to_string()), Arg::tag(tag), Arg::address(self.address())];
        let mut input = artefact.bytecode.0;
        input.extend(abi::arguments(&constructor));
        let receipt = self.transact(None, Amount::ZERO, input).await?;
        let contract = receipt.contract_address.map(|address| Address::from(address.0));
        let contract = contract
            .ok_or_else(|| garbage("eth_getTransactionReceipt", "no contract's address"))?;
        for gateway in &roles.gateways {
            self.set_gateway(contract, *gateway, true).await?;
        }
        if roles.required > 1 {
            self.set_required(contract, roles.required).await?;
        }
        if let Some(pauser) = roles.pauser {
            self.set_pauser(contract, pauser).await?;
        }
        // Last, because only the owner may do what is above.
        if roles.owner != self.address() {
            self.set_owner(contract, roles.owner).await?;
        }
        let start = Height(receipt.block_number.0);
        Ok(Deployed { contract, start, eth_chain_id: self.sender.chain_id(), tag })
    }

    /// Sends a message by a call of the outbox; gives the transaction's hash and the message's id
    /// once it is in a block (final it is later).
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer, or the contract refuses the call.
    pub async fn send(
        &self,
        contract: Address,
        call: &UserCall,
    ) -> Result<(Vec<u8>, MessageId), ChainError> {
        let input = abi::send(
            call.destination,
            &call.recipient,
            &call.data,
            call.gas,
            call.on_fail,
            call.expires.unwrap_or(0),
        );
        let receipt = self.transact(Some(contract), call.amount, input).await?;
        let topic = Event::Sent.topic().0;
        let log = receipt.logs.iter().find(|log| {
            log.address.0 == contract.0 && log.topics.first().is_some_and(|t| t.0 == topic)
        });
        let bytes = log.and_then(|log| Words::new(&log.data.0).bytes(0));
        let message = bytes.and_then(|bytes| Message::from_bytes(bytes).ok());
        let message =
            message.ok_or_else(|| garbage("eth_getTransactionReceipt", "no message was sent"))?;
        Ok((receipt.transaction_hash.0.to_vec(), message.id()))
    }

    /// Pays an account of the own chain; gives the transaction's hash once it is in a block.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or the account is short.
    pub async fn transfer(&self, to: Address, amount: Amount) -> Result<Vec<u8>, ChainError> {
        let receipt = self.transact(Some(to), amount, Vec::new()).await?;
        Ok(receipt.transaction_hash.0.to_vec())
    }

    /// Any transaction with this key: a wallet's last resort, and the tests' way to deploy recipients.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or the transaction fails. Gives the address of
    /// the contract that was created, if `to` is none.
    pub async fn call(
        &self,
        to: Option<Address>,
        amount: Amount,
        input: Vec<u8>,
    ) -> Result<Option<Address>, ChainError> {
        let receipt = self.transact(to, amount, input).await?;
        Ok(receipt.contract_address.map(|address| Address::from(address.0)))
    }

    /// Refuses an address without our contract: an account without code takes any call, and value
    /// paid to it would be gone.
    ///
    /// # Errors
    /// [`ChainError::Refused`] says what is there instead; [`ChainError`] if the node does not answer.
    pub async fn check_contract(&self, contract: Address) -> Result<(), ChainError> {
        let call = json!({
            "to": hex(contract.as_slice()),
            "data": hex(&abi::call("chainId()", &[])),
        });
        let why = match self.rpc.call::<Hex>("eth_call", json!([call, "latest"])).await {
            Ok(answer) if is_chain_id(&answer.0) => return Ok(()),
            Ok(_) => "it does not tell its chain-id".to_owned(),
            Err(RpcError::Node(_, error)) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let what = format!("no contract of DistPOS at {contract}: {why}");
        Err(ChainError::Refused(Reply::new(Code::POLICY, what)))
    }

    /// The answer of a contract's view function.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer or the function reverts.
    pub async fn view(&self, contract: Address, input: &[u8]) -> Result<Vec<u8>, ChainError> {
        let call = json!({
            "from": hex(self.address().as_slice()),
            "to": hex(contract.as_slice()),
            "data": hex(input),
        });
        let answer: Hex = self.rpc.call("eth_call", json!([call, "latest"])).await?;
        Ok(answer.0)
    }

    pub(super) async fn transact(
        &self,
        to: Option<Address>,
        amount: Amount,
        input: Vec<u8>,
    ) -> Result<Receipt, ChainError> {
        if self.is_careful {
            self.check_idle().await?;
        }
        let value = U256::from_be_bytes(amount.to_word());
        match self.sender.transact(Action { to, value, input, gas_min: 0 }).await {
            Ok(receipt) => Ok(receipt),
            // Whoever called is there to read why, and may call again.
            Err(RpcError::Node(_, error)) => {
                let why = error.refusal().unwrap_or_else(|| error.to_string());
                Err(ChainError::Refused(Reply::new(Code::POLICY, why)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn is_chain_id(answer: &[u8]) -> bool {
    Words::new(answer).text(0).is_some_and(|text| text.parse::<ChainId>().is_ok())
}
