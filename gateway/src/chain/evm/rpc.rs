//! The operator's nodes as one: who is asked, what counts as an answer.
//!
//! With a quorum of one, nodes stand in for each other: the first that works answers. With more,
//! whatever decides about money and evidence ([`Rpc::agreed`], [`Rpc::found`], [`Rpc::height`]) is
//! believed only when so many nodes say the same; the rest ([`Rpc::call`]) is asked of one, for a
//! lie about a fee or an estimate costs a retry. A transaction goes to every node.
//!
//! Decisions are pure: [`health`] (in which order nodes are asked), [`quorum`] (what they agree on).

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

pub(super) use self::error::{NodeError, RpcError, garbage};
use self::node::{Fault, Memory, Node};
use super::Teller;
use crate::chain::ChainError;

mod broadcast;
mod error;
mod health;
mod identity;
mod node;
mod quorum;
mod report;

/// How long one call to one node may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Rest of a node after its first failure; it doubles.
const REST_MIN: Duration = Duration::from_secs(5);
/// Longest wait inside a call for a node that wants to be asked less: callers have time limits.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a call waits like that before the caller is told.
const LIMIT_WAITS_MAX: u32 = 3;
const SEND: &str = "eth_sendRawTransaction";

/// Which nodes there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Where they are, `http://host:port/`, in the order in which they are tried.
    pub urls: Vec<String>,
    /// How many must agree. 1: nobody is compared, they stand in for each other.
    pub quorum: usize,
    /// How long one call to one of them may take.
    pub call_time_max: Duration,
    /// How long one that failed is asked after the others; doubled each time, up to two minutes.
    pub rest_min: Duration,
}

impl Nodes {
    /// Several nodes, of which `quorum` must agree.
    #[must_use]
    pub fn new(urls: Vec<String>, quorum: usize) -> Self {
        Self { urls, quorum, call_time_max: CALL_TIME_MAX, rest_min: REST_MIN }
    }
}

impl<T: Into<String>> From<T> for Nodes {
    /// One node.
    fn from(url: T) -> Self {
        Self::new(vec![url.into()], 1)
    }
}

/// The nodes, as JSON-RPC reaches them.
pub(super) struct Rpc {
    nodes: Vec<Node>,
    quorum: usize,
    rest_min: Duration,
    /// What every node must be before its answers count; none for an operator's one node.
    expected: Mutex<Option<identity::Identity>>,
    /// Calls about which nodes disagree, so that it is told once.
    disputed: Mutex<BTreeSet<&'static str>>,
    teller: Teller,
    /// Until it is known which chain is the right one, it cannot be told who is of another.
    muted: AtomicBool,
}

/// What one round of questions gave.
struct Round<T> {
    /// From which node.
    answers: Vec<(usize, T)>,
    /// Such as null for a block that must exist: kept, for what it means is the caller's business.
    incomplete: Option<T>,
    faults: Vec<(usize, Fault)>,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { answers: Vec::new(), incomplete: None, faults: Vec::new() }
    }
}

impl Rpc {
    /// The nodes. Nothing is asked yet.
    pub(super) fn new(nodes: &Nodes, teller: Teller) -> Result<Self, ChainError> {
        let open = |url: &String| Node::new(url, nodes.call_time_max);
        Ok(Self {
            nodes: nodes.urls.iter().map(open).collect::<Result<_, _>>()?,
            quorum: nodes.quorum.clamp(1, nodes.urls.len().max(1)),
            rest_min: nodes.rest_min,
            expected: Mutex::default(),
            disputed: Mutex::default(),
            teller,
            muted: AtomicBool::new(true),
        })
    }

    /// Calls a method at the first node that works; `params` is the JSON array of its arguments. A
    /// signed transaction goes to every node, and it is enough that one takes it.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<T, RpcError> {
        match call {
            SEND => self.broadcast(call, &params).await,
            _ => self.first(call, &params, |_| true).await,
        }
    }

    /// The same for what decides about money and evidence: as many nodes as the quorum says.
    pub(super) async fn agreed<T: DeserializeOwned + PartialEq>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<T, RpcError> {
        self.decide(call, &params, |_| true).await
    }

    /// The same for what must exist: a node that has it not (null) is no answer, and another is
    /// asked. [`ChainError::HistoryMissing`] if nobody has it.
    pub(super) async fn found<T: DeserializeOwned + PartialEq>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<T, RpcError> {
        let what = subject(&params);
        self.sought(call, params).await?.ok_or_else(|| {
            let nodes = self.names(0..self.nodes.len());
            ChainError::HistoryMissing { call, what, nodes }.into()
        })
    }

    /// The same for what need not exist: none if nobody has it.
    pub(super) async fn sought<T: DeserializeOwned + PartialEq>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<Option<T>, RpcError> {
        self.decide(call, &params, Option::is_some).await
    }

    /// What any node has, such as a transaction in its pool; none if no node has it that is well.
    pub(super) async fn anywhere<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<Option<T>, RpcError> {
        let mut answered = false;
        let ready = self.order().into_iter().filter(|index| !self.is_resting(*index));
        for index in ready.collect::<Vec<_>>() {
            match self.ask::<Option<T>>(index, call, &params).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => answered = true,
                Err(_) => {}
            }
        }
        if answered { Ok(None) } else { self.first(call, &params, Option::is_some).await }
    }

    /// The newest height that enough nodes have reached, by an answer that holds one: the head
    /// moves while it is asked for, so that equal answers cannot be had.
    pub(super) async fn height<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: Json,
        height_of: impl Fn(&T) -> Option<u64>,
    ) -> Result<u64, RpcError> {
        let mut waits = 0;
        loop {
            let mut round = Round::default();
            let (resting, ready): (Vec<_>, Vec<_>) =
                self.order().into_iter().partition(|index| self.is_resting(*index));
            for group in [ready, resting] {
                if round.answers.len() < self.quorum {
                    self.ask_all(&mut round, &group, call, &params, |answer| {
                        height_of(answer).is_some()
                    })
                    .await;
                }
            }
            let reached = round.answers.iter().filter_map(|(_, answer)| height_of(answer));
            if let Some(height) = quorum::height(reached.collect(), self.quorum) {
                return Ok(height);
            }
            if self.waited(&mut waits, &round.faults).await {
                continue;
            }
            if round.faults.is_empty() {
                let names = self.names(0..self.nodes.len());
                return Err(garbage(call, format!("no height from {names}")).into());
            }
            return Err(self.told(call, &params, round.faults));
        }
    }

    /// What every node says that is there to answer, and which it is: where they may differ.
    pub(super) async fn each<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: Json,
    ) -> Result<Vec<(usize, T)>, RpcError> {
        let mut round = Round::default();
        let ready = self.order().into_iter().filter(|index| !self.is_resting(*index));
        let mut asked: Vec<_> = ready.collect();
        if asked.is_empty() {
            asked = self.order();
        }
        self.ask_all(&mut round, &asked, call, &params, |_| true).await;
        match round.answers.is_empty() {
            true => Err(self.told(call, &params, round.faults)),
            false => Ok(round.answers),
        }
    }

    /// The nodes' names.
    pub(super) fn name(&self) -> String {
        self.names(0..self.nodes.len())
    }

    /// How many nodes must agree.
    pub(super) fn quorum(&self) -> usize {
        self.quorum
    }

    async fn decide<T: DeserializeOwned + PartialEq>(
        &self,
        call: &'static str,
        params: &Json,
        complete: impl Fn(&T) -> bool,
    ) -> Result<T, RpcError> {
        match self.quorum {
            1 => self.first(call, params, complete).await,
            _ => self.vote(call, params, complete).await,
        }
    }

    /// The first complete answer.
    async fn first<T: DeserializeOwned>(
        &self,
        call: &'static str,
        params: &Json,
        complete: impl Fn(&T) -> bool,
    ) -> Result<T, RpcError> {
        let mut waits = 0;
        loop {
            let (mut incomplete, mut faults) = (None, Vec::new());
            for index in self.order() {
                match self.ask(index, call, params).await {
                    Ok(answer) if complete(&answer) => return Ok(answer),
                    Ok(answer) => incomplete = Some(answer),
                    Err(fault) if fault.is_answer() => {
                        return Err(self.told(call, params, vec![(index, fault)]));
                    }
                    Err(fault) => faults.push((index, fault)),
                }
            }
            if self.waited(&mut waits, &faults).await {
                continue;
            }
            return incomplete.ok_or_else(|| self.told(call, params, faults));
        }
    }

    /// What enough nodes say. Only as many are asked as are needed.
    async fn vote<T: DeserializeOwned + PartialEq>(
        &self,
        call: &'static str,
        params: &Json,
        complete: impl Fn(&T) -> bool,
    ) -> Result<T, RpcError> {
        let mut waits = 0;
        loop {
            let mut round = Round::default();
            let mut left = self.order().into_iter();
            loop {
                let missing = self.quorum.saturating_sub(quorum::votes_max(&round.answers));
                let next: Vec<usize> = left.by_ref().take(missing).collect();
                if next.is_empty() {
                    break;
                }
                self.ask_all(&mut round, &next, call, params, &complete).await;
                if let Some(at) = quorum::agreed(&round.answers, self.quorum) {
                    self.outvoted(call, &quorum::others(&round.answers, at));
                    return Ok(round.answers.swap_remove(at).1);
                }
            }
            if self.waited(&mut waits, &round.faults).await {
                continue;
            }
            // A range that one node refuses is asked for in pieces before anybody is accused.
            if !round.faults.iter().any(|(_, fault)| fault.is_answer())
                && let Some(camps) = quorum::camps(&round.answers)
            {
                return Err(self.disagreement(call, &camps).into());
            }
            return match round.incomplete {
                Some(answer) if round.answers.is_empty() => Ok(answer),
                Some(_) if round.faults.is_empty() => {
                    let (what, nodes) = (subject(params), self.lacking(&round));
                    Err(ChainError::HistoryMissing { call, what, nodes }.into())
                }
                _ => Err(self.told(call, params, round.faults)),
            };
        }
    }

    /// Asks these nodes at once.
    async fn ask_all<T: DeserializeOwned>(
        &self,
        round: &mut Round<T>,
        nodes: &[usize],
        call: &'static str,
        params: &Json,
        complete: impl Fn(&T) -> bool,
    ) {
        let asked = nodes.iter().map(|index| self.ask::<T>(*index, call, params));
        for (index, outcome) in nodes.iter().zip(join_all(asked).await) {
            match outcome {
                Ok(answer) if complete(&answer) => round.answers.push((*index, answer)),
                Ok(answer) => round.incomplete = Some(answer),
                Err(fault) => round.faults.push((*index, fault)),
            }
        }
    }

    /// Asks one node, once it is known to be of the right chain.
    async fn ask<T: DeserializeOwned>(
        &self,
        index: usize,
        call: &'static str,
        params: &Json,
    ) -> Result<T, Fault> {
        let now = Instant::now();
        let (wait, lacks) = {
            let memory = self.memory(index);
            (memory.health.wait(now), memory.health.is_lacking(call, now))
        };
        if wait.is_some() {
            return Err(Fault::Limited(wait));
        }
        if lacks {
            return Err(Fault::Error(NodeError::no_method()));
        }
        self.check(index).await?;
        let outcome = self.nodes[index].call(call, params).await;
        self.note(index, call, outcome.as_ref().err());
        outcome
    }

    /// Waits if that is all it takes; false if the caller has to be told.
    async fn waited(&self, waits: &mut u32, faults: &[(usize, Fault)]) -> bool {
        let now = Instant::now();
        let limited = faults.iter().filter(|(_, fault)| matches!(fault, Fault::Limited(_)));
        let shortest = limited.filter_map(|(index, _)| self.memory(*index).health.wait(now)).min();
        let Some(wait) = shortest.filter(|wait| *wait <= LIMIT_WAIT_MAX) else { return false };
        if *waits == LIMIT_WAITS_MAX {
            return false;
        }
        *waits += 1;
        sleep(wait).await;
        true
    }

    /// The fault that tells most.
    fn told(&self, call: &'static str, params: &Json, faults: Vec<(usize, Fault)>) -> RpcError {
        match faults.into_iter().min_by_key(|(_, fault)| fault.rank()) {
            Some((index, fault)) => fault.told(call, subject(params), &self.nodes[index].name),
            None => garbage(call, "there is no node to ask").into(),
        }
    }

    fn order(&self) -> Vec<usize> {
        let memories: Vec<_> = (0..self.nodes.len()).map(|index| self.memory(index)).collect();
        health::order(memories.iter().map(|memory| &memory.health), Instant::now())
    }

    fn is_resting(&self, index: usize) -> bool {
        self.memory(index).health.is_resting(Instant::now())
    }

    fn memory(&self, index: usize) -> MutexGuard<'_, Memory> {
        self.nodes[index].memory.lock().expect("nothing panics while it is held")
    }

    fn disputed(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.disputed.lock().expect("nothing panics while it is held")
    }

    /// Those that neither answered nor failed.
    fn lacking<T>(&self, round: &Round<T>) -> String {
        let answered = |index: &usize| round.answers.iter().any(|(node, _)| node == index);
        self.names((0..self.nodes.len()).filter(|index| !answered(index)))
    }

    fn names(&self, nodes: impl IntoIterator<Item = usize>) -> String {
        let names: Vec<_> = nodes.into_iter().map(|at| self.nodes[at].name.as_str()).collect();
        names.join(", ")
    }
}

/// What a call asks about, for whoever reads that it is not there.
fn subject(params: &Json) -> String {
    let first = params.get(0);
    let of = first.and_then(|first| first.get("fromBlock")).or(first).and_then(Json::as_str);
    let Some(text) = of else { return "what was asked for".into() };
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() <= 16);
    match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(height) => format!("block {height}"),
        None => text.chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_call_asks_about_is_named() {
        assert_eq!(subject(&json!(["0x11", false])), "block 17");
        assert_eq!(subject(&json!([{"fromBlock": "0x10", "toBlock": "0x20"}])), "block 16");
        let hash = format!("0x{}", "ab".repeat(32));
        assert_eq!(subject(&json!([hash])), hash);
        assert_eq!(subject(&json!([])), "what was asked for");
    }
}
