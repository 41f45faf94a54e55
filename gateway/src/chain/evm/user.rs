//! A user's own transactions: one key, one transaction at a time, and somebody who waits for it.
//!
//! A transaction's hash is told before it leaves, so that whatever happens afterwards (the node falls
//! silent, the terminal closes) its user can look it up and never has to guess whether to send again.

use std::{fmt, time::Duration};

use alloy_primitives::{Address, U256, keccak256};
use distpos_proto::{
    amount::Amount,
    message::{Message, MessageId},
};
use serde_json::json;
use thiserror::Error;
use tokio::time::Instant;

use super::{
    EvmKey, UserCall, abi,
    abi::{Event, Words},
    answer::{Number, Quantity, Receipt, hex},
    fees::Market,
    lane::Order,
    rpc::{RpcError, garbage},
    sender::{ask, drive::sign},
};
use crate::chain::ChainError;

mod reader;
mod stuck;
mod token;

pub use reader::{Reader, Token};
pub use token::TokenCost;

/// How long a user's transaction may take into a block before its user is told that it waits.
const INCLUSION_TIME_MAX: Duration = Duration::from_secs(120);
/// How often to ask for a transaction's receipt.
const RECEIPT_POLL: Duration = Duration::from_millis(250);

/// A transaction's hash.
pub type TransactionHash = [u8; 32];

/// Is told of each transaction once it is signed and before it leaves.
pub type Told<'t> = &'t (dyn Fn(&TransactionHash) + Sync);

/// A user's key at a node of the own chain.
pub struct Wallet {
    reader: Reader,
    key: EvmKey,
    chain_id: u64,
    inclusion_time_max: Duration,
}

/// What a transaction would use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Gas, by the node's estimate.
    pub gas: u64,
    /// What that comes to at the price of now, in wei.
    pub fee: Amount,
}

/// Why a user's transaction did not do what it should.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Before anything was signed: the node, or what it stands for.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain would refuse it for good, so nothing was sent.
    #[error("the chain refuses the transaction: {0}")]
    Refused(String),
    /// It is in a block, and undone.
    #[error("transaction {} reverted", hex(.0))]
    Reverted(TransactionHash),
    /// It was signed and given away, and how it ends is not known yet.
    #[error(
        "transaction {} was signed and is in no block yet: {why}; look it up before you send again",
        hex(transaction)
    )]
    Waiting {
        /// Which one.
        transaction: TransactionHash,
        /// What is known of the reason.
        why: String,
    },
}

/// A transaction that is to be made.
pub(super) struct Call {
    pub(super) to: Address,
    pub(super) value: Amount,
    pub(super) input: Vec<u8>,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({})", self.address())
    }
}

impl Wallet {
    /// A key at the node `http://host:port/`.
    ///
    /// # Errors
    /// [`ChainError`] if the node does not answer.
    pub async fn connect(node: &str, key: EvmKey) -> Result<Self, ChainError> {
        let reader = Reader::connect(node)?;
        let call = "eth_chainId";
        let found: Quantity = reader.rpc.call(call, json!([])).await?;
        let chain_id = u64::try_from(found.0).map_err(|_| garbage(call, "2^64 or more"))?;
        Ok(Self { reader, key, chain_id, inclusion_time_max: INCLUSION_TIME_MAX })
    }

    /// The same node, for questions.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The same wallet with another patience.
    #[must_use]
    pub fn waiting_at_most(self, inclusion_time_max: Duration) -> Self {
        Self { inclusion_time_max, ..self }
    }

    /// The key's account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// What [`Self::send`] would cost.
    ///
    /// # Errors
    /// [`WalletError::Refused`] says why the contract would refuse it.
    pub async fn send_cost(&self, contract: Address, call: &UserCall) -> Result<Cost, WalletError> {
        self.cost(&send_call(contract, call)).await
    }

    /// Sends a message by a call of the outbox; gives the transaction's hash and the message's id
    /// once it is in a block (final it is later).
    ///
    /// # Errors
    /// [`WalletError`] says whether anything was signed.
    pub async fn send(
        &self,
        contract: Address,
        call: &UserCall,
        told: Told<'_>,
    ) -> Result<(TransactionHash, MessageId), WalletError> {
        let receipt = self.transact(send_call(contract, call), told).await?;
        Ok((receipt.transaction_hash.0, message_of(&receipt, contract)?.id()))
    }

    /// What [`Self::transfer`] would cost.
    ///
    /// # Errors
    /// [`WalletError::Refused`] says why the chain would refuse it.
    pub async fn transfer_cost(&self, to: Address, value: Amount) -> Result<Cost, WalletError> {
        self.cost(&Call { to, value, input: Vec::new() }).await
    }

    /// Pays an account of the own chain; gives the transaction's hash once it is in a block.
    ///
    /// # Errors
    /// [`WalletError`] says whether anything was signed.
    pub async fn transfer(
        &self,
        to: Address,
        value: Amount,
        told: Told<'_>,
    ) -> Result<TransactionHash, WalletError> {
        let receipt = self.transact(Call { to, value, input: Vec::new() }, told).await?;
        Ok(receipt.transaction_hash.0)
    }

    pub(super) async fn cost(&self, call: &Call) -> Result<Cost, WalletError> {
        let gas = self.estimate(call).await?;
        let market = self.market().await?;
        let fee = U256::from(gas).saturating_mul(U256::from(market.least));
        Ok(Cost { gas, fee: Amount::from_word(fee.to_be_bytes()) })
    }

    /// Signs, tells, hands over, and waits until it is in a block.
    pub(super) async fn transact(
        &self,
        call: Call,
        told: Told<'_>,
    ) -> Result<Receipt, WalletError> {
        let estimate = self.estimate(&call).await?;
        let market = self.market().await?;
        let asked = json!([hex(self.address().as_slice()), "pending"]);
        let nonce = self.reader.rpc.call::<Number>("eth_getTransactionCount", asked).await;
        let nonce = nonce.map_err(chain)?.0;
        let order = Order {
            to: Some(call.to),
            value: U256::from_be_bytes(call.value.to_word()),
            input: call.input,
            // What is not used is given back; other transactions of the block may change the cost.
            gas_limit: estimate.saturating_add(estimate / 5),
        };
        let (fees, legacy) = (market.fees, market.legacy);
        let raw = sign(&self.key, self.chain_id, nonce, &order, fees, legacy);
        let signed = stuck::Signed { transaction: keccak256(&raw).0, nonce, price_max: fees.max };
        told(&signed.transaction);
        self.hand_over(&raw, signed.transaction).await?;
        self.included(signed).await
    }

    async fn estimate(&self, call: &Call) -> Result<u64, WalletError> {
        let asked = json!({
            "from": hex(self.address().as_slice()),
            "to": hex(call.to.as_slice()),
            "value": format!("{:#x}", U256::from_be_bytes(call.value.to_word())),
            "data": hex(&call.input),
        });
        match self.reader.rpc.call::<Number>("eth_estimateGas", json!([asked])).await {
            Ok(gas) => Ok(gas.0),
            Err(RpcError::Node(_, error)) => {
                let why = error.refusal().unwrap_or_else(|| error.to_string());
                Err(WalletError::Refused(why))
            }
            Err(error) => Err(chain(error)),
        }
    }

    /// What blocks ask for gas now.
    async fn market(&self) -> Result<Market, WalletError> {
        let rpc = &self.reader.rpc;
        let newest = ask::newest_block(rpc).await.map_err(chain)?;
        ask::market(rpc, &newest).await.map_err(chain)
    }

    /// Hands a signed transaction to the node. One that it has already is not refused: an answer may
    /// have been lost on the way.
    async fn hand_over(&self, raw: &[u8], transaction: TransactionHash) -> Result<(), WalletError> {
        match ask::send_raw(&self.reader.rpc, raw).await {
            Ok(_) => Ok(()),
            Err(RpcError::Node(_, error)) => Err(WalletError::Refused(error.to_string())),
            // It may have it, whatever came back.
            Err(error) => {
                let why = ChainError::from(error).to_string();
                Err(WalletError::Waiting { transaction, why })
            }
        }
    }

    /// Waits for the receipt. A node that falls silent meanwhile may be restarting.
    async fn included(&self, signed: stuck::Signed) -> Result<Receipt, WalletError> {
        let (call, transaction) = ("eth_getTransactionReceipt", signed.transaction);
        let deadline = Instant::now() + self.inclusion_time_max;
        loop {
            let asked =
                self.reader.rpc.call::<Option<Receipt>>(call, json!([hex(&transaction)])).await;
            let error = match asked {
                Ok(Some(receipt)) if receipt.status.is_some_and(|status| status.0 == 1) => {
                    return Ok(receipt);
                }
                Ok(Some(_)) => return Err(WalletError::Reverted(transaction)),
                Ok(None) => None,
                Err(error) => Some(ChainError::from(error)),
            };
            if Instant::now() >= deadline {
                let why = match error {
                    Some(error) => error.to_string(),
                    None => self.why_it_waits(&signed).await,
                };
                return Err(WalletError::Waiting { transaction, why });
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
    }
}

fn chain(error: RpcError) -> WalletError {
    WalletError::Chain(error.into())
}

fn send_call(contract: Address, call: &UserCall) -> Call {
    let input = abi::send(
        call.destination,
        &call.recipient,
        &call.data,
        call.gas,
        call.on_fail,
        call.expires.unwrap_or(0),
    );
    Call { to: contract, value: call.amount, input }
}

/// The message that left with a transaction.
fn message_of(receipt: &Receipt, contract: Address) -> Result<Message, ChainError> {
    let topic = Event::Sent.topic().0;
    let log = receipt.logs.iter().find(|log| {
        log.address.0 == contract.0 && log.topics.first().is_some_and(|t| t.0 == topic)
    });
    let bytes = log.and_then(|log| Words::new(&log.data.0).bytes(0));
    bytes
        .and_then(|bytes| Message::from_bytes(bytes).ok())
        .ok_or_else(|| garbage("eth_getTransactionReceipt", "no message was sent"))
}
