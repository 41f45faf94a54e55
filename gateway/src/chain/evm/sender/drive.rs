//! A lane's task: asks the node, lets the lane decide, stores, hands over. It ends when nothing is
//! in flight, so that an idle gateway sleeps.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy_consensus::{TxEip1559, TxLegacy};
use alloy_primitives::{Bytes, TxKind, keccak256};
use distpos_spool::SignedTransaction;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        EvmKey,
        answer::Receipt,
        fees::Fees,
        lane::{End, Order, Pool, Refusal, Said, Signed, Step, Ticket, Why},
        rpc::RpcError,
    },
    Outcome, Post, Shared, ask,
};
use crate::event::Event;

/// How often to ask whether blocks have what is in flight.
const POLL: Duration = Duration::from_millis(250);
/// Pause after an answer that was none: the node may be starting.
const NODE_PAUSE: Duration = Duration::from_secs(1);

/// What goes to the node.
struct Outgoing {
    nonce: u64,
    raw: Vec<u8>,
    /// None if it went before.
    why: Option<Why>,
}

/// What a plan comes to.
#[derive(Default)]
struct Work {
    rows: Vec<(u64, Option<SignedTransaction>)>,
    outgoing: Vec<Outgoing>,
    ended: Vec<(Ticket, Outcome)>,
    alerts: Vec<String>,
}

/// Runs the lane until it is idle.
pub(super) async fn run(shared: Arc<Shared>, index: usize) {
    let post = &shared.posts[index];
    loop {
        let pause = match turn(&shared, post).await {
            Ok(()) => POLL,
            Err(error) => {
                tracing::debug!(account = %post.account, ?error, "the node's answer is awaited");
                NODE_PAUSE
            }
        };
        {
            let mut desk = post.desk();
            desk.tidy();
            if desk.lane.is_idle() {
                desk.running = false;
                return;
            }
        }
        tokio::select! {
            () = post.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

async fn turn(shared: &Shared, post: &Post) -> Result<(), RpcError> {
    let latest = ask::latest(&shared.rpc, post.account).await?;
    let (below, from, looks) = {
        let desk = post.desk();
        (desk.lane.below(latest), desk.lane.from(latest), desk.lane.looks(Instant::now()))
    };
    let mut receipts = receipts(shared, below).await?;
    let pool = if looks { Some(pool(shared, post, latest, from).await?) } else { None };
    let head = pool.as_ref().map_or(0, |pool| pool.head);
    let said = Said { latest, mined: receipts.keys().copied().collect(), pool };
    let work = {
        let mut desk = post.desk();
        let steps = desk.lane.plan(&said, Instant::now(), (shared.clock)());
        let mut work = Work::default();
        for step in steps {
            prepare(shared, &post.key, &mut desk.lane, step, &mut receipts, &mut work);
        }
        work
    };
    perform(shared, post, work, head).await;
    Ok(())
}

async fn receipts(
    shared: &Shared,
    flights: Vec<(u64, Vec<[u8; 32]>)>,
) -> Result<BTreeMap<u64, Receipt>, RpcError> {
    let mut found = BTreeMap::new();
    for (nonce, hashes) in flights {
        for hash in hashes {
            if let Some(receipt) = ask::receipt(&shared.rpc, hash).await? {
                found.insert(nonce, receipt);
                break;
            }
        }
    }
    Ok(found)
}

async fn pool(
    shared: &Shared,
    post: &Post,
    latest: u64,
    flights: Vec<(u64, Vec<[u8; 32]>)>,
) -> Result<Pool, RpcError> {
    let rpc = &shared.rpc;
    let pending = ask::pending(rpc, post.account, latest).await?;
    let mut known = std::collections::BTreeSet::new();
    for (nonce, hashes) in flights {
        // What the node counts it has; what it does not count may wait for a lower number.
        let mut is_known = nonce < pending;
        for hash in hashes {
            is_known = is_known || ask::knows(rpc, hash).await?;
        }
        if is_known {
            known.insert(nonce);
        }
    }
    let newest = ask::newest_block(rpc).await?;
    let market = ask::market(rpc, &newest).await?;
    Ok(Pool { pending, known, head: newest.number.0, market })
}

fn prepare(
    shared: &Shared,
    key: &EvmKey,
    lane: &mut super::Lane,
    step: Step,
    receipts: &mut BTreeMap<u64, Receipt>,
    work: &mut Work,
) {
    match step {
        Step::Alert(what) => work.alerts.push(what),
        Step::Forget { nonce, ticket, end } => {
            let outcome = match (end, receipts.remove(&nonce)) {
                (End::Mined, Some(receipt)) => Outcome::Included(Box::new(receipt)),
                (End::Mined | End::Taken, _) => Outcome::Taken,
            };
            work.rows.push((nonce, None));
            work.ended.push((ticket, outcome));
        }
        Step::Broadcast { nonce } => {
            if let Some(newest) = lane.newest(nonce) {
                work.outgoing.push(Outgoing { nonce, raw: newest.raw.clone(), why: None });
            }
        }
        Step::Sign { nonce, fees, legacy, why } => {
            let Some(order) = lane.order(nonce) else { return };
            let raw = sign(key, shared.chain_id, nonce, order, fees, legacy);
            lane.signed(nonce, Signed { hash: keccak256(&raw).0, raw: raw.clone(), fees });
            work.rows.push((nonce, lane.row(nonce)));
            work.outgoing.push(Outgoing { nonce, raw, why: Some(why) });
        }
    }
}

/// The transaction as nodes take it.
pub(in crate::chain::evm) fn sign(
    key: &EvmKey,
    chain_id: u64,
    nonce: u64,
    order: &Order,
    fees: Fees,
    legacy: bool,
) -> Vec<u8> {
    let (gas_limit, value) = (order.gas_limit, order.value);
    let to = order.to.map_or(TxKind::Create, TxKind::Call);
    let input = Bytes::from(order.input.clone());
    if legacy {
        let (chain_id, gas_price) = (Some(chain_id), fees.max);
        return key.sign(TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input });
    }
    key.sign(TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: fees.max,
        max_priority_fee_per_gas: fees.tip,
        to,
        value,
        access_list: Default::default(),
        input,
    })
}

/// Stores first, then hands over, lowest number first.
async fn perform(shared: &Shared, post: &Post, work: Work, head: u64) {
    let Work { rows, mut outgoing, mut ended, alerts } = work;
    for what in alerts {
        shared.teller.emit(Event::Alert { what });
    }
    let written = match rows.is_empty() {
        true => Ok(()),
        false => shared.store.write(post.account, rows).await,
    };
    if let Err(error) = written {
        // Nothing leaves that would not be known after a crash.
        shared.teller.emit(Event::Alert { what: format!("transactions are not sent: {error}") });
        let mut desk = post.desk();
        for unstored in outgoing.extract_if(.., |outgoing| outgoing.why.is_some()) {
            let ticket = desk.lane.unstored(unstored.nonce, Instant::now());
            ended.extend(ticket.map(|ticket| (ticket, Outcome::Unstored(error.clone()))));
        }
    }
    {
        let mut desk = post.desk();
        for (ticket, outcome) in ended {
            desk.end(ticket, &outcome);
        }
    }
    outgoing.sort_by_key(|outgoing| outgoing.nonce);
    for outgoing in outgoing {
        if let Some(told) = shared.told.get().filter(|_| outgoing.why.is_some()) {
            told(&keccak256(&outgoing.raw).0);
        }
        hand_over(shared, post, outgoing, head).await;
    }
}

async fn hand_over(shared: &Shared, post: &Post, outgoing: Outgoing, head: u64) {
    let Outgoing { nonce, raw, why } = outgoing;
    let Err(RpcError::Node(ask::SEND, error)) = ask::send_raw(&shared.rpc, &raw).await else {
        // An answer that was lost counts as a yes until the node says otherwise.
        post.desk().lane.handed_over(nonce, Instant::now(), head);
        return;
    };
    let (refusal, row) = {
        let mut desk = post.desk();
        let refusal = desk.lane.refused(nonce, why, Instant::now(), head);
        (refusal, desk.lane.row(nonce))
    };
    let tell = match refusal {
        Refusal::Freed { tell, .. } | Refusal::Dropped { tell } => {
            if let Err(error) = shared.store.write(post.account, vec![(nonce, row)]).await {
                shared.teller.emit(Event::Alert { what: format!("spool: {error}") });
            }
            tell
        }
        Refusal::Kept { tell } => tell,
    };
    if tell {
        let account = post.account;
        let what = format!("node refuses transaction {nonce} of {account}, which waits: {error}");
        shared.teller.emit(Event::Alert { what });
    }
    if let Refusal::Freed { ticket, .. } = refusal {
        post.desk().end(ticket, &Outcome::Refused(error));
    }
}
