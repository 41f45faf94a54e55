//! What need not be sent again: what is done and not yet final, and, where several gateways must
//! agree, what this one has approved already.

use alloy_primitives::Address;
use distpos_proto::{message::MessageId, receipt::Ending};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Evm, abi,
    abi::{Arg, Words},
    rpc::{Rpc, garbage},
    view,
};
use crate::chain::ChainError;

/// What a gateway approves; the contract's `Action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Deliver = 0,
    Void = 1,
    Close = 2,
    Refund = 3,
}

impl Action {
    /// The action of an event's word.
    pub(super) fn of(word: u64) -> Option<Self> {
        [Self::Deliver, Self::Void, Self::Close, Self::Refund]
            .into_iter()
            .find(|action| *action as u64 == word)
    }
}

/// The contract's `State` of a message that has neither been closed nor refunded.
const OPEN: u64 = 1;
/// Questions under way at once.
const ASKED_AT_ONCE: usize = 8;

/// How many gateways must agree.
pub(super) async fn required(rpc: &Rpc, contract: Address) -> Result<u64, ChainError> {
    let word = view(rpc, contract, abi::call("required()", &[])).await?;
    Words::new(&word).number(0).ok_or_else(|| garbage("eth_call", "no number of gateways"))
}

impl Evm {
    /// Leaves out what this gateway approved before and what others have to agree to yet: a second
    /// approval of the same gateway changes nothing and costs gas.
    pub(super) async fn unapproved<T: Send>(
        &self,
        items: Vec<T>,
        what: impl Fn(&T) -> (MessageId, Action) + Sync,
    ) -> Result<Vec<T>, ChainError> {
        if required(&self.rpc, self.config.contract).await? == 1 {
            return Ok(items);
        }
        let asked = stream::iter(items.into_iter().map(|item| {
            let (id, action) = what(&item);
            async move {
                let approved = self.has_approved(id, action).await?;
                Ok::<_, ChainError>((!approved).then_some(item))
            }
        }));
        let left: Vec<Option<T>> = asked.buffered(ASKED_AT_ONCE).try_collect().await?;
        Ok(left.into_iter().flatten().collect())
    }

    /// Leaves out what the outbox has closed or refunded in a block that is not final yet: it would
    /// be passed over, and cost gas.
    pub(super) async fn still_open<'a>(
        &self,
        endings: &'a [Ending],
    ) -> Result<Vec<&'a Ending>, ChainError> {
        let ids: Vec<MessageId> = endings.iter().map(Ending::id).collect();
        let asked = stream::iter(ids.into_iter().map(|id| self.is_open(id)));
        let open: Vec<bool> = asked.buffered(ASKED_AT_ONCE).try_collect().await?;
        Ok(endings.iter().zip(open).filter_map(|(ending, open)| open.then_some(ending)).collect())
    }

    async fn is_open(&self, id: MessageId) -> Result<bool, ChainError> {
        let input = abi::call("sent(bytes32)", &[Arg::Word(id.0)]);
        let words = view(&self.rpc, self.config.contract, input).await?;
        let state = Words::new(&words).number(1);
        Ok(state.ok_or_else(|| garbage("eth_call", "no state of a message"))? == OPEN)
    }

    async fn has_approved(&self, id: MessageId, action: Action) -> Result<bool, ChainError> {
        // One gateway has one say, whichever of its accounts has said it.
        for account in self.accounts() {
            let items = [Arg::Word(id.0), Arg::number(action as u64), Arg::address(account)];
            let input = abi::call("hasApproved(bytes32,uint8,address)", &items);
            let word = view(&self.rpc, self.config.contract, input).await?;
            match Words::new(&word).number(0) {
                Some(0) => {}
                Some(1) => return Ok(true),
                _ => return Err(garbage("eth_call", "neither approved nor not")),
            }
        }
        Ok(false)
    }
}
