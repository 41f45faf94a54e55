//! Sending from an EVM chain: the user's own transaction at a node, by a call of the outbox.

use distpos_proto::{address::Address, chain::ChainId};

use super::{
    super::{Failure, evm_key},
    Order, SendArguments, Sent,
};
use crate::{
    chain::evm::{self, Operator, UserCall},
    config::text::parse_hex,
    submit::ChainView,
};

/// Signs and submits a call of the outbox, or a transfer within the chain.
pub(super) async fn send(
    chain: &ChainView,
    arguments: &SendArguments,
    order: Order,
) -> Result<Sent, Failure> {
    let rpc = arguments.rpc.as_deref().ok_or_else(|| {
        Failure::usage(format_args!(
            "--rpc is missing: {} is an EVM chain, and your own node takes the transaction",
            chain.chain
        ))
    })?;
    let odd = |what: String| Failure::temporary(format_args!("gateway's answer: {what}"));
    let own: ChainId = chain.chain.parse().map_err(|error| odd(format!("{error}")))?;
    let key = evm_key::load(arguments.key()?, arguments.password.as_deref())?;
    let from = Address::new(own, key.local());
    let tag = chain.tag.parse().map_err(|error| odd(format!("{error}")))?;
    let operator = Operator::connect(rpc, key).await?;
    // The key is good on every EVM chain, and --rpc may name the wrong one.
    operator.check_node(tag).await?;
    if order.to.chain() == own {
        super::plain_transfer(&order)?;
        let to = evm::account_of(order.to.local()).map_err(Failure::usage)?;
        let transaction = operator.transfer(to, order.amount).await?;
        return Ok(Sent { from, transaction, id: None });
    }
    let contract = match arguments.outbox {
        Some(contract) => contract,
        None => {
            let bytes = parse_hex(&chain.outbox).map_err(odd)?;
            let bytes: [u8; 20] =
                bytes.try_into().map_err(|_| odd("outbox is no contract".into()))?;
            bytes.into()
        }
    };
    // Value sent to an address without this contract would be gone.
    operator.check_outbox(contract, own, tag).await?;
    let call = UserCall {
        destination: order.to.chain(),
        recipient: order.to.local().clone(),
        amount: order.amount,
        data: order.data,
        gas: order.gas,
        on_fail: order.on_fail,
        expires: Some(order.expires.0),
    };
    let (transaction, id) = operator.send(contract, &call).await?;
    Ok(Sent { from, transaction, id: Some(id) })
}
