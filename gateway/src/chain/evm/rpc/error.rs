//! What can go wrong with a call, as those who call read it.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::node::ANSWER_BYTES_MAX;
use crate::chain::{
    ChainError,
    evm::{answer, reverts, watch::LOGS},
};

/// What became of a call.
#[derive(Debug)]
pub(in crate::chain::evm) enum RpcError {
    /// The connection or the answer's form.
    Chain(ChainError),
    /// The answer is longer than [`ANSWER_BYTES_MAX`].
    TooLong(&'static str),
    /// The node says no.
    Node(&'static str, NodeError),
    /// This transaction is in a block and reverted.
    Reverted([u8; 32]),
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::chain::evm) struct NodeError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl NodeError {
    /// JSON-RPC 2.0, 5.1.
    const NO_METHOD: i64 = -32_601;
    const INTERNAL: i64 = -32_603;
    /// EIP-1474. Nodes say it of the rate of questions, and in `eth_getLogs` of what was asked for.
    const LIMIT: i64 = -32_005;
    /// EIP-4444: the node has given up this part of the history.
    const PRUNED: i64 = 4_444;

    /// What a node would say that was found not to have a method.
    pub(super) fn no_method() -> Self {
        let message = "the node did not have this method when it was last asked".into();
        Self { code: Self::NO_METHOD, message, data: None }
    }

    /// The revert's data, where the node gives it.
    fn data(&self) -> Option<Vec<u8>> {
        let text: String = serde_json::from_str(self.data.as_ref()?.get()).ok()?;
        answer::bytes_of(&text)
    }

    /// What our contract says to its caller, where it is the contract that refuses the call.
    pub(in crate::chain::evm) fn refusal(&self) -> Option<String> {
        reverts::own(&self.data()?)
    }

    pub(super) fn is_no_method(&self) -> bool {
        self.code == Self::NO_METHOD
    }

    pub(super) fn is_pruned(&self) -> bool {
        self.code == Self::PRUNED
    }

    /// Whether it is this node that cannot, where another might.
    pub(super) fn is_lack(&self) -> bool {
        self.is_no_method() || self.is_pruned() || self.code == Self::INTERNAL
    }

    /// Whether the node is asked too often. Some give HTTP's number for it.
    pub(super) fn is_limit(&self, call: &str) -> bool {
        self.code == 429 || (self.code == Self::LIMIT && call != LOGS)
    }
}

/// What a node says of itself can be of any length and hold anything.
impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.message.chars().filter(|c| !c.is_control()).take(200).collect();
        write!(f, "error {}: {text}", self.code)?;
        match self.data() {
            Some(data) => write!(f, " ({})", reverts::text(&data)),
            None => Ok(()),
        }
    }
}

impl From<RpcError> for ChainError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Chain(error) => error,
            RpcError::TooLong(call) => {
                garbage(call, format!("more than {} bytes", ANSWER_BYTES_MAX))
            }
            RpcError::Node(call, error) => garbage(call, error.to_string()),
            RpcError::Reverted(hash) => {
                let what = format!("transaction {} reverted", answer::hex(&hash));
                garbage("eth_getTransactionReceipt", what)
            }
        }
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// An answer that is not what was asked for.
pub(in crate::chain::evm) fn garbage(call: &'static str, what: impl Into<String>) -> ChainError {
    ChainError::Garbage { call, what: what.into() }
}
