//! Step 5: what is let in. Hooks and the local chain are asked about what passes the other checks;
//! then all named checks of [`distpos_proto::policy`], in their order, and what they decide happen
//! in one commit: the sum is set aside, or the message takes its place among those that wait.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{
    chain::Family,
    code::{Code, Reply},
    light::Trusted,
    message::{Asset, Message, MessageId},
    policy::{Check, Decision, Failing},
    retry::Cause,
    stage::{Admitted, Proven, Refused},
    time::{UnixMillis, UnixSeconds},
    wire::REQUEST_MESSAGES_MAX,
};
use distpos_spool::{Batch, Direction, SpoolError, State, Tx, Waiting};
use futures_util::future::join_all;

use crate::{
    account::{self, Changed},
    chain::{ChainError, Simulation},
    event::Event,
    gateway::Gateway,
    inbound::{
        deliver::{PutOff, Stopped, waiting},
        ground::{Ground, refuses_by_copy},
        hooks::{Hook, HookAnswer},
    },
    transition::{Move, shift},
};

/// What is told where the reason is this side's.
pub(super) const SILENT: &str = "the local chain does not answer";

/// What is to become of proven messages.
#[derive(Debug, Default)]
pub struct Decided {
    /// To be delivered; what they carry is set aside.
    pub admitted: Vec<Admitted>,
    /// To be voided.
    pub refused: Vec<Refused>,
    /// In the chain's guard already: the final event will tell.
    pub ended: Vec<MessageId>,
    /// Waiting for room in their account.
    pub suspended: Vec<MessageId>,
    /// Not now, and why.
    pub deferred: Vec<(MessageId, Reply)>,
}

/// What others said of a message.
#[derive(Debug)]
enum Asked {
    /// Nobody was asked: an earlier check had failed.
    Not,
    /// Its id is in the chain's guard.
    Ended,
    /// These checks failed; none if it may pass.
    Found(Vec<Failing>),
}

/// Decides about each proven message of one chain.
///
/// # Errors
/// [`Stopped`] if the local chain does not answer, or the spool fails.
pub async fn decide(
    gateway: &Gateway,
    trusted: &Trusted,
    proven: BTreeMap<MessageId, Proven>,
) -> Result<Decided, Stopped> {
    let now = chain_time(gateway).await.map_err(|error| {
        gateway.emit(Event::Alert { what: format!("chain: {error}") });
        PutOff { cause: Cause::Unreachable, reply: Reply::new(Code::NOT_NOW, SILENT) }
    })?;
    let ground = Ground::of(gateway, trusted, now);
    let mut asked = ask(gateway, &ground, proven).await?;
    // In the order in which the source chain sent them: a limit is filled from the front.
    asked.sort_by_key(|(_, proven, _)| proven.message().fields().sequence);
    let (at, jitter) = (gateway.now(), gateway.random_u64());
    let deciding = gateway.spool.transact(move |tx| {
        let mut round = Round::new(ground, at, jitter);
        for (id, proven, asked) in asked {
            round.place(tx, id, proven, asked)?;
        }
        round.end(tx)
    });
    let (decided, events) = deciding.await?;
    for event in events {
        gateway.emit(event);
    }
    Ok(decided)
}

/// Asks hooks and the chain about what passes all that this gateway knows by itself.
async fn ask(
    gateway: &Gateway,
    ground: &Ground,
    proven: BTreeMap<MessageId, Proven>,
) -> Result<Vec<(MessageId, Proven, Asked)>, Stopped> {
    let passes = gateway.spool.read(|tx| passing(tx, ground, &proven))?;
    let questions = proven.iter().filter_map(|(id, proven)| match passes.get(id) {
        Some(Passes::Anew) => Some(async { (*id, hooked(gateway, proven.message()).await) }),
        Some(Passes::Again | Passes::Doubted) | None => None,
    });
    // Side by side: the hooks themselves bound how many at a time.
    let hooked: BTreeMap<MessageId, Failing> = join_all(questions)
        .await
        .into_iter()
        .filter_map(|(id, failing)| Some((id, failing?)))
        .collect();
    let (mut asked, mut told) = (Vec::with_capacity(proven.len()), BTreeSet::new());
    for (id, proven) in proven {
        let found = match (passes.get(&id), hooked.get(&id)) {
            (None, _) => Asked::Not,
            (Some(Passes::Doubted), _) => {
                confirmed(simulated(gateway, proven.message(), &mut told).await?)
            }
            (Some(_), Some(failing)) => Asked::Found(vec![failing.clone()]),
            (Some(_), None) => simulated(gateway, proven.message(), &mut told).await?,
        };
        asked.push((id, proven, found));
    }
    Ok(asked)
}

/// How a message passes the checks for which nobody has to be asked.
enum Passes {
    /// For the first time: the hooks have their say.
    Anew,
    /// It was admitted before; its delivery may be on its way.
    Again,
    /// Not at all, as far as the copy of its account goes. That follows final blocks and may be
    /// behind them: for good only the chain itself refuses it.
    Doubted,
}

/// What the chain says of a message that the copy of its account refuses: nothing but a refusal is
/// an answer to that.
fn confirmed(asked: Asked) -> Asked {
    match asked {
        Asked::Found(found) if !found.iter().any(|failing| failing.reply.code.may_void()) => {
            Asked::Not
        }
        other => other,
    }
}

/// What the operator's hooks say.
async fn hooked(gateway: &Gateway, message: &Message) -> Option<Failing> {
    let hooks = [(Hook::Accept, Check::AcceptHook), (Hook::BeforeDeliver, Check::DeliverHook)];
    for (hook, check) in hooks {
        match gateway.hooks.ask(hook, message).await {
            Ok(()) => {}
            Err(HookAnswer::Defer(reply) | HookAnswer::Refuse(reply)) => {
                return Some(Failing { check, reply });
            }
        }
    }
    None
}

/// Those that pass all checks for which nobody has to be asked, each as if it came alone: those of
/// one round take their turns in it.
fn passing(
    tx: &Tx<'_>,
    ground: &Ground,
    round: &BTreeMap<MessageId, Proven>,
) -> Result<BTreeMap<MessageId, Passes>, SpoolError> {
    let mut ahead: BTreeMap<&Asset, Option<u64>> = BTreeMap::new();
    for proven in round.values() {
        let Some(value) = &proven.message().fields().value else { continue };
        if !ahead.contains_key(&value.asset) {
            let row = tx.waiting(ground.source, &value.asset, REQUEST_MESSAGES_MAX + 1)?;
            let first = row.iter().find(|waiting| !round.contains_key(&waiting.id));
            ahead.insert(&value.asset, first.map(|waiting| waiting.sequence));
        }
    }
    let mut passes = BTreeMap::new();
    for (id, proven) in round {
        let value = proven.message().fields().value.as_ref();
        let ahead = value.and_then(|value| ahead.get(&value.asset).copied().flatten());
        let how = match ground.failing(tx, proven.message(), ahead)? {
            None if tx.reserved(id)?.is_some() => Passes::Again,
            None => Passes::Anew,
            Some(failing) if refuses_by_copy(&failing) => Passes::Doubted,
            Some(_) => continue,
        };
        passes.insert(*id, how);
    }
    Ok(passes)
}

/// What the chain would do with it.
async fn simulated(
    gateway: &Gateway,
    message: &Message,
    told: &mut BTreeSet<String>,
) -> Result<Asked, PutOff> {
    let failing = |reply| Asked::Found(vec![Failing { check: Check::Simulation, reply }]);
    Ok(match gateway.chain.simulate(message).await {
        Ok(Simulation::Passes) => Asked::Found(Vec::new()),
        Ok(Simulation::Ended) => Asked::Ended,
        Ok(Simulation::Refused(reply) | Simulation::Deferred(reply)) => failing(reply),
        Err(error) => {
            // Once for each reason: a batch may hold a thousand messages.
            let what = format!("chain: {error}");
            if told.insert(what.clone()) {
                gateway.emit(Event::Alert { what });
            }
            let reply = Reply::new(Code::NOT_NOW, SILENT);
            if matches!(error, ChainError::Unreachable { .. }) {
                return Err(PutOff { cause: Cause::Unreachable, reply });
            }
            // One odd message must not hold up the others.
            failing(reply)
        }
    })
}

/// The time by which messages expire: that of the chain's final head, so that a gateway's wrong clock
/// voids nothing. The ledger makes no empty blocks: its time is the gateway's.
pub(super) async fn chain_time(gateway: &Gateway) -> Result<UnixSeconds, ChainError> {
    match gateway.facts().family {
        Family::Evm => Ok(gateway.chain.head().await?.time),
        Family::Ledger | Family::Attested => Ok(gateway.now_seconds()),
    }
}

/// One round of decisions, in one transaction.
struct Round {
    ground: Ground,
    at: UnixMillis,
    jitter: u64,
    decided: Decided,
    /// Those that wait, by account, and why the first of them does.
    suspended: BTreeMap<Asset, (Reply, Vec<MessageId>)>,
    changed: Changed,
    events: Vec<Event>,
}

impl Round {
    fn new(ground: Ground, at: UnixMillis, jitter: u64) -> Self {
        let (decided, suspended) = (Decided::default(), BTreeMap::new());
        let (changed, events) = (Changed::default(), Vec::new());
        Self { ground, at, jitter, decided, suspended, changed, events }
    }

    /// Puts one message into its place.
    fn place(
        &mut self,
        tx: &mut Tx<'_>,
        id: MessageId,
        proven: Proven,
        asked: Asked,
    ) -> Result<(), SpoolError> {
        let ended = tx.ended(Direction::Inbound, &id)?.is_some();
        let found = match asked {
            // In the guard, though perhaps not finally: what is set aside stays so until it is.
            Asked::Ended if !ended => {
                self.decided.ended.push(id);
                return Ok(());
            }
            Asked::Ended | Asked::Not => None,
            Asked::Found(found) => Some(found),
        };
        account::leave(tx, id, &mut self.changed)?;
        if ended {
            // By a sibling gateway, while the chain was asked.
            self.release(tx, id)?;
            self.decided.ended.push(id);
            return Ok(());
        }
        let message = proven.message().clone();
        match self.ground.admit(tx, proven, found.as_deref().unwrap_or_default())? {
            Decision::Admitted(admitted) if found.is_some() => {
                self.admit(tx, id, admitted)?;
            }
            // There is room only since nobody was asked about it: it is asked about at once, and
            // keeps its place.
            Decision::Admitted(_) => {
                self.release(tx, id)?;
                put_waiting(tx, &message);
                let reply = Reply::new(Code::SUSPENDED, "there is room now").retry_after(1);
                self.decided.deferred.push((id, reply));
            }
            Decision::Refused(refused) => {
                self.release(tx, id)?;
                self.decided.refused.push(refused);
            }
            Decision::Waits(Failing { check, reply }) => {
                self.release(tx, id)?;
                if check.waits_in_order() {
                    self.suspend(tx, &message, reply)?;
                } else {
                    self.decided.deferred.push((id, reply));
                }
            }
        }
        Ok(())
    }

    /// Sets aside what it carries and what its delivery costs, unless that was done before.
    fn admit(
        &mut self,
        tx: &mut Tx<'_>,
        id: MessageId,
        admitted: Admitted,
    ) -> Result<(), SpoolError> {
        let message = admitted.message();
        if tx.reserved(&id)?.is_none() {
            let fields = message.fields();
            let value = fields.value.as_ref().map(|value| (value.asset.clone(), value.amount));
            let (source, now) = (fields.source, self.ground.now);
            if let Err(error) = account::reserve(tx, id, source, value, self.at, now)? {
                // `admit` has just looked; only a sum that cannot be counted comes here.
                self.decided.deferred.push((id, account::short(&error)));
                return Ok(());
            }
            self.ground.take_gas(tx, message)?;
        }
        self.decided.admitted.push(admitted);
        Ok(())
    }

    fn release(&mut self, tx: &mut Tx<'_>, id: MessageId) -> Result<(), SpoolError> {
        account::release(tx, id, self.at, &mut self.changed, &mut self.events)?;
        Ok(())
    }

    /// Leaves a message to wait until its account wakes it.
    fn suspend(
        &mut self,
        tx: &mut Tx<'_>,
        message: &Message,
        reply: Reply,
    ) -> Result<(), SpoolError> {
        put_waiting(tx, message);
        let due = account::looked_at(self.at, &reply, message.fields().expires);
        let why = reply.clone();
        let change = move |_: &Batch| Move {
            state: Some(State::Suspended),
            due: Some(due),
            attempts: 0,
            reply: Some(why.clone()),
        };
        shift(tx, Direction::Inbound, &[message.id()], &OPEN, change, self.at)?;
        self.decided.suspended.push(message.id());
        if let Some(value) = &message.fields().value {
            let first = || (reply, Vec::new());
            let (_, ids) = self.suspended.entry(value.asset.clone()).or_insert_with(first);
            ids.push(message.id());
        }
        Ok(())
    }

    /// Notes the decisions before anything is submitted: after a crash they are taken up from here.
    fn end(mut self, tx: &mut Tx<'_>) -> Result<(Decided, Vec<Event>), SpoolError> {
        let admitted: Vec<MessageId> =
            self.decided.admitted.iter().map(|admitted| admitted.message().id()).collect();
        let refused: Vec<MessageId> =
            self.decided.refused.iter().map(|refused| refused.message().id()).collect();
        mark(tx, &admitted, State::Delivering, self.at, self.jitter)?;
        mark(tx, &refused, State::Voiding, self.at, self.jitter)?;
        self.events.extend(admitted.into_iter().map(|id| Event::Admitted { id }));
        for refused in &self.decided.refused {
            let (id, reply) = (refused.message().id(), refused.reply().clone());
            self.events.push(Event::Refused { id, reply });
        }
        let chain = self.ground.source;
        for (asset, (reply, ids)) in self.suspended {
            self.changed.note(chain, &asset);
            self.events.push(Event::Suspended { chain, asset, ids, reply });
        }
        self.changed.tend(tx, self.at, self.ground.now, &mut self.events)?;
        Ok((self.decided, self.events))
    }
}

/// Puts a message into the row of those that wait for room in its account.
fn put_waiting(tx: &mut Tx<'_>, message: &Message) {
    let fields = message.fields();
    let Some(value) = &fields.value else { return };
    let (id, sequence, amount) = (message.id(), fields.sequence, value.amount);
    tx.put_waiting(fields.source, &value.asset, Waiting { sequence, id, amount });
}

/// The states in which a message is judged.
const OPEN: [State; 4] = [State::Claimed, State::Suspended, State::Delivering, State::Voiding];

/// Notes a decision with the messages.
fn mark(
    tx: &mut Tx<'_>,
    ids: &[MessageId],
    state: State,
    now: UnixMillis,
    jitter: u64,
) -> Result<(), SpoolError> {
    let decided = |held: &Batch| Move {
        // The round counts when it is submitted or put off.
        attempts: if held.state == state { held.attempts } else { 0 },
        ..waiting(state, now, jitter)(held)
    };
    shift(tx, Direction::Inbound, ids, &OPEN, decided, now)?;
    Ok(())
}
