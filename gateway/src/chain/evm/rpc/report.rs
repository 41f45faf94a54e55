//! What is remembered of nodes, and what the operator is told of them: once when it begins and once
//! when it is over.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Fault, Rpc, garbage, health::Standing};
use crate::{
    chain::{ChainError, evm::prove::RECEIPTS},
    event::Event,
};

impl Rpc {
    /// Asks a node after those that do not stand still, while it does.
    pub(in crate::chain::evm) fn stalled(&self, index: usize, stalled: bool) {
        let is_new = self.memory(index).health.stalled(stalled);
        if is_new {
            self.tell_of(index, |name| match stalled {
                true => Event::Alert {
                    what: format!("node {name} stands still; it is asked after the others"),
                },
                false => Event::Note { what: format!("node {name} has new blocks again") },
            });
        }
    }

    /// Remembers how a node fared, and tells the operator when that changes.
    pub(super) fn note(&self, index: usize, call: &'static str, fault: Option<&Fault>) {
        let now = Instant::now();
        let mut memory = self.memory(index);
        let Some(fault) = fault else {
            if memory.health.worked(now, self.rest_min) {
                memory.illness = None;
                drop(memory);
                self.tell_of(index, |name| Event::Note {
                    what: format!("node {name} works again"),
                });
            }
            return;
        };
        match fault {
            Fault::Limited(wait) => memory.health.limited(now, *wait),
            Fault::Error(error) if error.is_no_method() => memory.health.lacks(call, now),
            Fault::Status(status) if call == RECEIPTS && status.is_client_error() => {
                memory.health.lacks(call, now);
            }
            // It may come back as a node of another chain.
            Fault::Unreached(_) | Fault::Silent(_) => memory.standing = Standing::Unchecked,
            Fault::Status(_)
            | Fault::Garbage(_)
            | Fault::TooLong
            | Fault::OtherChain(_)
            | Fault::Error(_) => {}
        }
        let newly = fault.is_failure() && memory.health.failed(now, self.rest_min);
        if newly {
            let rest = match fault {
                Fault::OtherChain(_) => "it is left out",
                _ => "it is asked after the others",
            };
            let what = format!("node {} {fault}; {rest}", self.nodes[index].name);
            memory.illness = Some(what.clone());
            drop(memory);
            self.tell_of(index, |_| Event::Alert { what });
        }
    }

    /// With several nodes, nobody else tells of one of them: what fails altogether is an error.
    fn tell_of(&self, index: usize, event: impl FnOnce(&str) -> Event) {
        if self.nodes.len() > 1 && !self.muted.load(Ordering::Relaxed) {
            self.teller.emit(event(&self.nodes[index].name));
        }
    }

    /// The node that is asked first has given an answer that others of its answers contradict: another
    /// is asked before it for a while.
    pub(in crate::chain::evm) fn doubted(&self, call: &'static str, what: String) -> ChainError {
        if let Some(first) = self.order().first() {
            let fault = Fault::Garbage(format!("{call}: {what}"));
            self.note(*first, call, Some(&fault));
        }
        garbage(call, what)
    }

    /// Notes that enough nodes agreed, against these.
    pub(super) fn outvoted(&self, call: &'static str, odd: &[usize]) {
        for index in odd {
            let fault = Fault::Garbage(format!("its answer to {call} is not what the others say"));
            self.note(*index, call, Some(&fault));
        }
        if self.disputed().remove(call) {
            let what = format!("nodes agree about {call} again");
            self.teller.emit(Event::Note { what });
        }
    }

    pub(super) fn disagreement(&self, call: &'static str, camps: &[Vec<usize>]) -> ChainError {
        let camps: Vec<_> = camps.iter().map(|nodes| self.names(nodes.iter().copied())).collect();
        let error = ChainError::Disagreement { call, nodes: camps.join(" against ") };
        if self.disputed().insert(call) {
            self.teller.emit(Event::Alert { what: format!("chain: {error}") });
        }
        error
    }
}
