//! A node of the own EVM chain, and the outbox there.

use alloy_primitives::Address as Account;
use clap::Args;
use distpos_proto::chain::{ChainId, GenesisTag};

use super::super::Failure;
use crate::{chain::evm::user::Reader, config::text::parse_hex, submit::ChainView};

#[derive(Args)]
pub(super) struct NodeArguments {
    /// The JSON-RPC address of a node of the own EVM chain.
    #[arg(long, value_name = "URL", value_parser = super::super::gateway::node_url)]
    pub(super) rpc: Option<String>,
    /// The outbox contract of the own EVM chain; the gateway's unless said otherwise.
    #[arg(long, value_name = "0x…", value_parser = super::super::gateway::account)]
    pub(super) outbox: Option<Account>,
}

/// What a user's transaction has to be sure of.
pub(super) struct Place {
    pub(super) chain: ChainId,
    pub(super) outbox: Account,
    tag: GenesisTag,
}

impl NodeArguments {
    /// The node's address; without one nothing is signed.
    pub(super) fn rpc(&self, chain: &ChainView) -> Result<&str, Failure> {
        self.rpc.as_deref().ok_or_else(|| {
            Failure::usage(format_args!(
                "--rpc is missing: {} is an EVM chain, and your own node takes the transaction",
                chain.chain
            ))
        })
    }

    /// What the gateway says of the chain.
    pub(super) fn place(&self, chain: &ChainView) -> Result<Place, Failure> {
        if chain.family != "evm" {
            let what =
                format_args!("{} is a chain of family {}, not evm", chain.chain, chain.family);
            return Err(Failure::usage(what));
        }
        let outbox = match self.outbox {
            Some(contract) => contract,
            None => {
                let bytes = parse_hex(&chain.outbox).map_err(odd)?;
                let bytes: [u8; 20] = bytes.try_into().map_err(|_| odd("outbox is no contract"))?;
                bytes.into()
            }
        };
        let (own, tag) = (chain.chain.parse().map_err(odd)?, chain.tag.parse().map_err(odd)?);
        Ok(Place { chain: own, outbox, tag })
    }
}

impl Place {
    /// Refuses a node of another chain: a key is good on every EVM chain, and --rpc may name the
    /// wrong one.
    pub(super) async fn check_node(&self, reader: &Reader) -> Result<(), Failure> {
        Ok(reader.check_node(self.tag).await?)
    }

    /// Refuses an address without this contract: value sent there would be gone.
    pub(super) async fn check_outbox(&self, reader: &Reader) -> Result<(), Failure> {
        Ok(reader.check_outbox(self.outbox, self.chain, self.tag).await?)
    }
}

fn odd(what: impl std::fmt::Display) -> Failure {
    Failure::temporary(format_args!("gateway's answer: {what}"))
}
