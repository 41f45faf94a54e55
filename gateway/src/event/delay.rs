//! That messages take long.

use std::{fmt, time::Duration};

use distpos_proto::{chain::ChainId, code::Reply, message::MessageId};
use distpos_spool::State;

use super::Ids;

/// Messages to one chain that have not ended for so long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// The chain.
    pub chain: ChainId,
    /// For how long.
    pub age: Duration,
    /// How many messages.
    pub messages: u64,
    /// How far the first of them has come.
    pub state: State,
    /// What it waits for, if a reason was given.
    pub reply: Option<Reply>,
    /// The first of them.
    pub ids: Vec<MessageId>,
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, age, messages, state, reply, ids } = self;
        write!(
            f,
            "delayed chain={chain} age={}s messages={messages} state={state}",
            age.as_secs()
        )?;
        if let Some(reply) = reply {
            write!(f, " reply=\"{reply}\"")?;
        }
        write!(f, " {}", Ids(ids))
    }
}
