//! What a node and the contract on it lack for a gateway: for `check --online`. Nothing is changed.

use std::fmt;

use alloy_primitives::{Address, U256, utils::format_ether};
use distpos_proto::chain::Height;
use futures_util::future::join_all;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value as Json, json};

use super::{
    EvmConfig, Finality, Nodes, Teller, abi,
    abi::{Arg, Words},
    answer::{Block, Hex, LogEntry, Quantity, Receipt, hex},
    check_contract, number,
    prove::RECEIPTS,
    rpc::{Rpc, RpcError},
    view,
    watch::{LOGS, RANGE_BLOCKS_MAX},
};
use crate::chain::ChainError;

const BLOCK: &str = "eth_getBlockByNumber";
/// Fewer blocks of logs at once than this, and catching up after a day takes long.
const RANGE_BLOCKS_WANTED: u64 = 100;

/// What was found at one node.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// The node, without what may be secret in its address.
    pub node: String,
    /// What it is.
    pub facts: Vec<(&'static str, String)>,
    /// What keeps a gateway from working with it.
    pub problems: Vec<String>,
    /// What will surprise.
    pub warnings: Vec<String>,
}

/// Looks at every node of a configuration, as the gateway's `accounts` would use it.
///
/// # Errors
/// [`ChainError`] if an address is none.
pub async fn inspect(
    config: &EvmConfig,
    accounts: &[Address],
) -> Result<Vec<Inspection>, ChainError> {
    let mut looks = Vec::new();
    for url in &config.nodes.urls {
        let nodes = Nodes { urls: vec![url.clone()], quorum: 1, ..config.nodes.clone() };
        let rpc = Rpc::new(&nodes, Teller::default())?;
        let found = Inspection { node: rpc.name(), ..Inspection::default() };
        looks.push(Look { rpc, config, found });
    }
    Ok(join_all(looks.into_iter().map(|look| look.at_all(accounts))).await)
}

struct Look<'a> {
    rpc: Rpc,
    config: &'a EvmConfig,
    found: Inspection,
}

impl Look<'_> {
    /// Each look stands for itself, but for those without which the others mean nothing.
    async fn at_all(mut self, accounts: &[Address]) -> Inspection {
        if let Some(head) = self.identity().await {
            self.finality().await;
            self.receipts(&head).await;
            self.ranges(&head).await;
            self.history().await;
            if self.contract().await {
                self.roles(accounts).await;
            }
            self.balances(accounts).await;
        }
        self.found
    }

    fn problem(&mut self, what: impl fmt::Display) {
        self.found.problems.push(format!("node {}: {what}", self.found.node));
    }

    fn warning(&mut self, what: impl fmt::Display) {
        self.found.warnings.push(format!("node {}: {what}", self.found.node));
    }

    fn fact(&mut self, name: &'static str, fact: impl fmt::Display) {
        self.found.facts.push((name, fact.to_string()));
    }

    /// An answer; what went wrong is a problem.
    async fn ask<T: DeserializeOwned>(&mut self, call: &'static str, params: Json) -> Option<T> {
        match self.rpc.call(call, params).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.problem(ChainError::from(error));
                None
            }
        }
    }

    /// Whether it is the right chain, and its newest block.
    async fn identity(&mut self) -> Option<Block> {
        let identity = match self.rpc.chains(self.config.eth_chain_id).await {
            Ok(identities) => *identities.first()?,
            Err(error) => {
                self.problem(error);
                return None;
            }
        };
        self.fact("chain_id", identity.eth_chain_id);
        self.fact("genesis", identity.tag());
        let head: Option<Block> = self.ask(BLOCK, json!(["latest", false])).await?;
        let Some(head) = head else {
            self.problem("no newest block");
            return None;
        };
        self.fact("head", head.number.0);
        self.fact("fees", if head.has_base_fee() { "market" } else { "legacy" });
        let age = (self.config.alerts.clock)().seconds().0.saturating_sub(head.timestamp.0);
        let age_max = self.config.alerts.head_age_max.as_secs();
        if age_max > 0 && age > age_max {
            self.warning(format_args!(
                "its newest block is {age} s old, expected at most {age_max} (head_age_max; \"0s\" \
                 where blocks are made on demand)"
            ));
        }
        Some(head)
    }

    async fn finality(&mut self) {
        if self.config.finality != Finality::Tag {
            return;
        }
        match self.rpc.call::<Option<Block>>(BLOCK, json!(["finalized", false])).await {
            Ok(Some(block)) => self.fact("finalized", block.number.0),
            Ok(None) => self.problem(NOT_FINAL),
            Err(RpcError::Node(..)) => self.problem(NOT_FINAL),
            Err(error) => self.problem(ChainError::from(error)),
        }
    }

    async fn receipts(&mut self, head: &Block) {
        let height = number(Height(head.number.0));
        match self.rpc.call::<Option<Vec<IgnoredAny>>>(RECEIPTS, json!([height])).await {
            Ok(Some(_)) => self.fact("block_receipts", "yes"),
            Ok(None) | Err(RpcError::Node(..) | RpcError::Chain(ChainError::Garbage { .. })) => {
                self.fact("block_receipts", "no");
                self.warning(format_args!(
                    "no {RECEIPTS}: receipts are fetched one by one, which is slower"
                ));
            }
            Err(error) => self.problem(ChainError::from(error)),
        }
    }

    /// How many blocks of logs it gives at once.
    async fn ranges(&mut self, head: &Block) {
        let first = self.config.start.0.min(head.number.0);
        let mut blocks = (head.number.0 - first).saturating_add(1).min(RANGE_BLOCKS_MAX);
        let wanted = blocks.min(RANGE_BLOCKS_WANTED);
        loop {
            match self.logs(head.number.0 - (blocks - 1), head.number.0).await {
                Ok(_) => break,
                Err(RpcError::Node(..) | RpcError::TooLong(_)) if blocks > 1 => blocks /= 2,
                Err(error) => return self.problem(ChainError::from(error)),
            }
        }
        self.fact("log_range", blocks);
        if blocks < wanted {
            self.warning(format_args!(
                "{LOGS} gives {blocks} blocks at once: catching up after a pause takes long"
            ));
        }
    }

    async fn logs(&self, from: u64, to: u64) -> Result<Vec<LogEntry>, RpcError> {
        let filter = json!([{
            "address": hex(self.config.contract.as_slice()),
            "fromBlock": number(Height(from)),
            "toBlock": number(Height(to)),
        }]);
        self.rpc.call(LOGS, filter).await
    }

    /// Whether block, receipts and logs are there as far back as a new spool starts.
    async fn history(&mut self) {
        let start = self.config.start;
        let back = async {
            let block: Block = self.rpc.found(BLOCK, json!([number(start), false])).await?;
            if let Some(hash) = block.transactions.first() {
                let call = "eth_getTransactionReceipt";
                self.rpc.found::<Receipt>(call, json!([hex(&hash.0)])).await?;
            }
            self.logs(start.0, start.0).await
        };
        match back.await {
            Ok(_) => self.fact("history", format_args!("from block {start} on")),
            Err(error) => {
                let error = ChainError::from(error);
                self.problem(format_args!("no history back to from_block {start}: {error}"));
            }
        }
    }

    /// Whether the contract is there, of this chain, and has what the gateway calls.
    async fn contract(&mut self) -> bool {
        let address = self.config.contract;
        let get = json!([hex(address.as_slice()), "latest"]);
        let Some(code) = self.ask::<Hex>("eth_getCode", get).await else { return false };
        if code.0.is_empty() {
            self.problem(format_args!("no contract at {address}"));
            return false;
        }
        let mut lacking = lacking(&code.0);
        // The rest of its code stands elsewhere, and answers for itself. Contracts before accounts
        // had terms have the same calls and not this view.
        if lacking.is_empty() && !self.has_accounts().await {
            lacking.push("coveredOf");
        }
        if !lacking.is_empty() {
            self.problem(format_args!(
                "the contract at {address} has no {}: it is of another version than this gateway, \
                 or another contract",
                lacking.join(", ")
            ));
            return false;
        }
        let tag = super::genesis_tag(&self.rpc).await;
        let checked = match tag {
            Ok(tag) => check_contract(&self.rpc, address, self.config.chain, tag).await,
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => self.fact("contract", address),
            Err(error) => self.problem(&error),
        }
        true
    }

    /// Whether the contract keeps accounts as this gateway knows them. A node that does not answer
    /// is found out elsewhere.
    async fn has_accounts(&self) -> bool {
        let input = abi::call("coveredOf(address)", &[Arg::address(Address::ZERO)]);
        let call = json!({"to": hex(self.config.contract.as_slice()), "data": hex(&input)});
        match self.rpc.call::<Hex>("eth_call", json!([call, "latest"])).await {
            Ok(answer) => Words::new(&answer.0).word(0).is_some(),
            Err(RpcError::Node(..)) => false,
            Err(_) => true,
        }
    }

    async fn roles(&mut self, accounts: &[Address]) {
        for account in accounts {
            match self.number("isGateway(address)", &[Arg::address(*account)]).await {
                Some(0) => self.problem(format_args!(
                    "account {account} has no gateway role on the contract: `evm gateway` gives it"
                )),
                Some(_) => {}
                None => self.problem("the contract does not say who is a gateway"),
            }
        }
        let required = self.number("required()", &[]).await;
        let count = self.number("gatewayCount()", &[]).await;
        if let (Some(required), Some(count)) = (required, count) {
            self.fact("required", format_args!("{required} of {count} gateways"));
            if required > count {
                self.problem(format_args!(
                    "{required} gateways must agree (required), but {count} have the role: nothing \
                     can be delivered or refunded"
                ));
            }
        }
        if self.number("paused()", &[]).await == Some(1) {
            self.warning("the contract is paused: nothing is sent or delivered");
        }
    }

    /// A view's number; none where the contract has no such view.
    async fn number(&self, signature: &str, items: &[Arg]) -> Option<u64> {
        let answer = view(&self.rpc, self.config.contract, abi::call(signature, items)).await;
        Words::new(&answer.ok()?).number(0)
    }

    async fn balances(&mut self, accounts: &[Address]) {
        let least = U256::from_be_bytes(self.config.alerts.balance_min.to_word());
        for account in accounts {
            let get = json!([hex(account.as_slice()), "latest"]);
            let Some(balance) = self.ask::<Quantity>("eth_getBalance", get).await else { continue };
            let has = format_ether(balance.0);
            if balance.0.is_zero() {
                self.problem(format_args!("account {account} has nothing to pay gas with"));
            } else if balance.0 < least {
                let least = format_ether(least);
                self.warning(format_args!(
                    "account {account} has {has} of the coin for gas, expected at least {least} \
                     (balance_min)"
                ));
            }
            self.fact("balance", format_args!("{account} {has}"));
        }
    }
}

const NOT_FINAL: &str = "no block has the tag finalized: in place of it, set chain.evm.confirmations, \
                         or wait until it has synchronised";

/// What the gateway calls and this code has not. Solidity compares a call's selector with each of
/// its functions' as a constant, so that a version with other arguments shows.
fn lacking(code: &[u8]) -> Vec<&'static str> {
    let functions = [
        ("deliver", abi::deliver(&[])),
        ("voidMessages", abi::void(&[])),
        ("end", abi::end(&[], &[])),
    ];
    let lacking = functions.into_iter().filter(|(_, input)| !has_selector(code, &input[..4]));
    lacking.map(|(name, _)| name).collect()
}

/// Whether `PUSHn` of a selector, without the zeros in front, is in the code.
fn has_selector(code: &[u8], selector: &[u8]) -> bool {
    const PUSH0: u8 = 0x5f;
    let zeros = selector.iter().take_while(|byte| **byte == 0).count();
    let bytes = &selector[zeros..];
    let push = PUSH0 + u8::try_from(bytes.len()).unwrap_or(4);
    code.windows(bytes.len() + 1).any(|window| window[0] == push && window[1..] == *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_found_as_the_compiler_writes_it() {
        assert!(has_selector(&[0x80, 0x63, 1, 2, 3, 4, 0x14], &[1, 2, 3, 4]));
        assert!(has_selector(&[0x62, 2, 3, 4], &[0, 2, 3, 4]));
        assert!(!has_selector(&[0x64, 1, 2, 3, 4], &[1, 2, 3, 4]));
        assert!(!has_selector(&[0x63, 1, 2, 3], &[1, 2, 3, 4]));
        assert!(!has_selector(&[], &[1, 2, 3, 4]));
    }
}
