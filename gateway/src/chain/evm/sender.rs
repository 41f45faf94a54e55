//! Sending: which account a transaction goes out from, and the wait until a block has it.
//!
//! Every account is a lane with a task of its own that exists while the lane has something to do
//! (`drive`); what it does next is decided in `lane`, what it offers in `fees`. Whoever submits
//! leaves an order and waits; the lane brings it to its end even if nobody waits any more.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, U256};
use distpos_spool::{Spool, SpoolError};
use serde_json::json;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    EvmKey, Teller,
    answer::{Number, Receipt, hex},
    approvals::required,
    lane::{FLIGHTS_MAX, Lane, Order, Rules, Ticket, USER_FLIGHTS_MAX},
    rpc::{NodeError, Rpc, RpcError},
    store::TransactionStore,
};
use crate::{
    chain::ChainError,
    clock::{self, Clock},
    event::Event,
};

pub(super) mod ask;
pub(super) mod drive;

/// The call whose [`RpcError::Node`] means that the transaction would fail.
pub(super) const ESTIMATE: &str = "eth_estimateGas";
/// Most that a transaction offers per gas unless said otherwise, in wei: 500 gwei, which mainnet
/// asks in its worst hours.
pub const FEE_MAX_DEFAULT: u128 = 500_000_000_000;
/// How long a transaction waits for a block before it offers more, unless said otherwise: two
/// blocks of mainnet.
pub const FEE_BUMP_AFTER_DEFAULT: Duration = Duration::from_secs(30);
/// How long it is believed that an account has the contract's role: it changes by an owner's hand.
const ROLE_AGE_MAX: Duration = Duration::from_secs(60);

/// What a chain is sent to with: keys, the store of what they signed, and what may be paid.
#[derive(Clone)]
pub struct Wallet {
    keys: Vec<EvmKey>,
    store: Arc<dyn TransactionStore>,
    rules: Rules,
}

impl Wallet {
    /// Keys whose signed transactions are kept in `store`. A key is one sender; with several more
    /// is in flight at a time. On a contract that wants several gateways to agree, only the first
    /// sends: each key would count as a gateway.
    #[must_use]
    pub fn new(keys: Vec<EvmKey>, store: Arc<dyn TransactionStore>) -> Self {
        let rules = Rules {
            fee_max: FEE_MAX_DEFAULT,
            fee_bump_after: FEE_BUMP_AFTER_DEFAULT,
            flights_max: FLIGHTS_MAX,
        };
        Self { keys, store, rules }
    }

    /// The most a transaction offers per gas, in wei, and how long it waits for a block before it
    /// offers more.
    #[must_use]
    pub fn fees(self, fee_max: u128, fee_bump_after: Duration) -> Self {
        Self { rules: Rules { fee_max, fee_bump_after, ..self.rules }, ..self }
    }
}

/// A key whose transactions are kept in memory only: for commands, and for tests.
impl From<EvmKey> for Wallet {
    fn from(key: EvmKey) -> Self {
        Self::new(vec![key], Arc::new(Spool::in_memory()))
    }
}

/// What a transaction does.
#[derive(Clone)]
pub(super) struct Action {
    /// The contract; none to deploy one.
    pub(super) to: Option<Address>,
    pub(super) value: U256,
    pub(super) input: Vec<u8>,
    /// Least gas to give it, whatever the node's estimate.
    pub(super) gas_min: u64,
}

/// Accounts that send.
pub(super) struct Sender {
    shared: Arc<Shared>,
    /// The lanes' tasks; they end with it.
    tasks: Mutex<JoinSet<()>>,
    inclusion_time_max: Duration,
    /// The contract on which an account needs the gateway's role; none for a user's key.
    contract: Option<Address>,
}

/// What the lanes' tasks share.
struct Shared {
    rpc: Arc<Rpc>,
    chain_id: u64,
    posts: Vec<Post>,
    store: Arc<dyn TransactionStore>,
    teller: Teller,
    clock: Clock,
    fee_max: u128,
    /// Told of each transaction once it is signed, before it leaves.
    told: OnceLock<Told>,
}

/// Is told a transaction's hash.
pub type Told = fn(&[u8; 32]);

/// One account.
struct Post {
    key: EvmKey,
    account: Address,
    desk: Mutex<Desk>,
    wake: Notify,
    /// Submissions that have chosen this account and not yet left their order.
    coming: AtomicUsize,
    role: Mutex<Option<(bool, Instant)>>,
}

struct Desk {
    lane: Lane,
    waiters: HashMap<Ticket, Vec<oneshot::Sender<Outcome>>>,
    running: bool,
}

/// How an order ended.
#[derive(Debug, Clone)]
enum Outcome {
    /// In a block, be it reverted.
    Included(Box<Receipt>),
    /// The node refuses it, and does not have it.
    Refused(NodeError),
    /// Another transaction of the same key has its number.
    Taken,
    /// It could not be stored, so it was not sent.
    Unstored(SpoolError),
}

impl Sender {
    /// Takes up what the store has of these keys.
    pub(super) fn open(
        rpc: Arc<Rpc>,
        chain_id: u64,
        wallet: Wallet,
        contract: Option<Address>,
        inclusion_time_max: Duration,
        teller: Teller,
    ) -> Result<Self, ChainError> {
        let unread = |error: SpoolError| ChainError::Unsent(error.to_string());
        let mut rules = wallet.rules;
        if contract.is_none() {
            rules.flights_max = USER_FLIGHTS_MAX;
        }
        let mut posts: Vec<Post> = Vec::new();
        for key in wallet.keys {
            if posts.iter().all(|post| post.account != key.address()) {
                posts.push(Post::new(key, rules));
            }
        }
        if posts.is_empty() {
            return Err(ChainError::Unsent("there is no key to send with".into()));
        }
        for (account, nonce, row) in wallet.store.kept().map_err(unread)? {
            match posts.iter().find(|post| post.account == account) {
                Some(post) => post.desk().lane.take_up(nonce, row),
                None => teller.emit(Event::Alert {
                    what: format!(
                        "transaction {nonce} of {account} was signed and is in no block, and its \
                         key is not configured: it is left alone"
                    ),
                }),
            }
        }
        let (store, clock) = (wallet.store, clock::system());
        let fee_max = rules.fee_max;
        let told = OnceLock::new();
        let shared = Arc::new(Shared { rpc, chain_id, posts, store, teller, clock, fee_max, told });
        let tasks = Mutex::default();
        let sender = Self { shared, tasks, inclusion_time_max, contract };
        for index in 0..sender.shared.posts.len() {
            if !sender.shared.posts[index].desk().lane.is_idle() {
                sender.run(index);
            }
        }
        Ok(sender)
    }

    /// The first account that has the role, as far as is known.
    pub(super) fn address(&self) -> Address {
        let posts = &self.shared.posts;
        let able = posts.iter().find(|post| post.known_role().is_none_or(|(role, _)| role));
        able.unwrap_or(&posts[0]).account
    }

    pub(super) fn accounts(&self) -> Vec<Address> {
        self.shared.posts.iter().map(|post| post.account).collect()
    }

    pub(super) fn chain_id(&self) -> u64 {
        self.shared.chain_id
    }

    /// Has somebody told of every transaction, before it leaves; the first who is named.
    pub(super) fn tell(&self, told: Told) {
        self.shared.told.get_or_init(|| told);
    }

    /// How many transactions of the first account wait at the node.
    pub(super) async fn waiting(&self) -> Result<u64, RpcError> {
        let Shared { rpc, posts, .. } = &*self.shared;
        let account = posts[0].account;
        let latest = ask::latest(rpc, account).await?;
        Ok(ask::pending(rpc, account, latest).await?.saturating_sub(latest))
    }

    /// Most transactions that are usefully submitted at a time.
    pub(super) fn in_flight_max(&self) -> usize {
        self.shared.posts.len() * FLIGHTS_MAX
    }

    /// Sends, and waits until it is in a block. What was given up here may be in one later: the
    /// lane goes on.
    pub(super) async fn transact(&self, action: Action) -> Result<Receipt, RpcError> {
        // A gateway's call does the same twice as once, so one is enough. A user means what is
        // said twice.
        if self.contract.is_some()
            && let Some(waiter) = self.join(&action)
        {
            return self.included(waiter).await;
        }
        let usable = self.usable().await?;
        let mut chosen = self.choose(&[], usable).await?;
        let gas_limit = self.gas(chosen.post().account, &action).await?;
        let Action { to, value, input, .. } = action;
        let order = Order { to, value, input, gas_limit };
        let mut tried = Vec::new();
        loop {
            tried.push(chosen.index);
            let is_last = tried.len() == usable;
            if is_last || self.can_pay(chosen.post().account, &order).await? {
                let waiter = self.leave(chosen, order.clone());
                match self.included(waiter).await {
                    // What one account cannot pay for, another may.
                    Err(RpcError::Node(ask::SEND, _)) if !is_last => {}
                    result => return result,
                }
            }
            chosen = self.choose(&tried, usable).await?;
        }
    }

    /// Gas that the node says it uses now.
    pub(super) async fn estimate(&self, from: Address, action: &Action) -> Result<u64, RpcError> {
        let mut call = json!({
            "from": hex(from.as_slice()),
            "value": format!("{:#x}", action.value),
            "data": hex(&action.input),
        });
        if let Some(to) = action.to {
            call["to"] = json!(hex(to.as_slice()));
        }
        Ok(self.shared.rpc.call::<Number>(ESTIMATE, json!([call])).await?.0)
    }

    async fn gas(&self, from: Address, action: &Action) -> Result<u64, RpcError> {
        let estimate = self.estimate(from, action).await?;
        // What is not used is given back; other messages of the block may change the cost.
        let wanted = estimate.saturating_add(estimate / 5).max(action.gas_min);
        // No block takes a transaction that asks for more than it has; the estimate fits.
        let block_max = ask::newest_block(&self.shared.rpc).await?.gas_limit.0;
        Ok(wanted.min(block_max).max(estimate))
    }

    /// Whether an account holds what the node wants to see behind this.
    async fn can_pay(&self, account: Address, order: &Order) -> Result<bool, RpcError> {
        let rpc = &self.shared.rpc;
        let market = ask::market(rpc, &ask::newest_block(rpc).await?).await?;
        let price = market.offer(self.shared.fee_max).max;
        let cost = U256::from(price).saturating_mul(U256::from(order.gas_limit));
        Ok(ask::balance(rpc, account).await? >= cost.saturating_add(order.value))
    }

    /// The account with the least to do that has the role; one without, if none has it: then the
    /// node says why.
    async fn choose(&self, tried: &[usize], usable: usize) -> Result<Chosen<'_>, RpcError> {
        let posts = &self.shared.posts;
        let mut left: Vec<usize> = (0..usable).filter(|at| !tried.contains(at)).collect();
        left.sort_by_key(|at| posts[*at].load());
        for index in &left {
            if posts.len() == 1 || self.has_role(*index).await? {
                return Ok(Chosen::new(&self.shared, *index));
            }
        }
        let index = left.first().copied().unwrap_or(0);
        Ok(Chosen::new(&self.shared, index))
    }

    /// How many of the accounts may send. Where several gateways must agree, a second account of
    /// this one would be a second voice, so only the first configured one speaks.
    async fn usable(&self) -> Result<usize, RpcError> {
        let all = self.shared.posts.len();
        match self.contract {
            Some(contract) if all > 1 && required(&self.shared.rpc, contract).await? > 1 => Ok(1),
            Some(_) | None => Ok(all),
        }
    }

    /// Whether an account has the contract's role; a user's needs none.
    async fn has_role(&self, index: usize) -> Result<bool, RpcError> {
        let post = &self.shared.posts[index];
        let Some(contract) = self.contract else { return Ok(true) };
        if let Some((role, asked)) = post.known_role()
            && asked.elapsed() < ROLE_AGE_MAX
        {
            return Ok(role);
        }
        let role = super::is_gateway(&self.shared.rpc, contract, post.account).await?;
        *post.role.lock().expect("nothing panics while it is held") = Some((role, Instant::now()));
        Ok(role)
    }

    /// Accounts that do not have the role now.
    pub(super) async fn without_role(&self) -> Result<Vec<Address>, RpcError> {
        let mut without = Vec::new();
        for (index, post) in self.shared.posts.iter().enumerate() {
            *post.role.lock().expect("nothing panics while it is held") = None;
            if !self.has_role(index).await? {
                without.push(post.account);
            }
        }
        Ok(without)
    }

    /// Waits with whoever had the same to send and has sent it.
    fn join(&self, action: &Action) -> Option<oneshot::Receiver<Outcome>> {
        self.shared.posts.iter().find_map(|post| {
            let mut desk = post.desk();
            let ticket = desk.lane.find(action.to, action.value, &action.input)?;
            Some(desk.wait(ticket))
        })
    }

    fn leave(&self, chosen: Chosen<'_>, order: Order) -> oneshot::Receiver<Outcome> {
        let post = chosen.post();
        let (waiter, is_running) = {
            let mut desk = post.desk();
            let ticket = desk.lane.want(order);
            (desk.wait(ticket), desk.running)
        };
        post.wake.notify_one();
        if !is_running {
            self.run(chosen.index);
        }
        waiter
    }

    /// Starts a lane's task, unless it runs.
    fn run(&self, index: usize) {
        let mut tasks = self.tasks.lock().expect("nothing panics while it is held");
        while tasks.try_join_next().is_some() {}
        let was_running = std::mem::replace(&mut self.shared.posts[index].desk().running, true);
        if !was_running {
            tasks.spawn(drive::run(Arc::clone(&self.shared), index));
        }
    }

    async fn included(&self, waiter: oneshot::Receiver<Outcome>) -> Result<Receipt, RpcError> {
        let unsent = |what: &str| Err(ChainError::Unsent(what.into()).into());
        match timeout(self.inclusion_time_max, waiter).await {
            Ok(Ok(Outcome::Included(receipt))) => {
                match receipt.status.is_some_and(|status| status.0 == 1) {
                    true => Ok(*receipt),
                    false => Err(RpcError::Reverted(receipt.transaction_hash.0)),
                }
            }
            Ok(Ok(Outcome::Refused(error))) => Err(RpcError::Node(ask::SEND, error)),
            Ok(Ok(Outcome::Taken)) => unsent("another transaction of its key has its number"),
            Ok(Ok(Outcome::Unstored(error))) => unsent(&error.to_string()),
            Ok(Err(_)) => unsent("sending has stopped"),
            Err(_) => {
                let waited = self.inclusion_time_max.as_secs();
                let what = format!("in no block after {waited} s, and may come into one later");
                Err(ChainError::Waiting(what).into())
            }
        }
    }
}

/// An account that a submission is going to leave its order with.
struct Chosen<'s> {
    shared: &'s Shared,
    index: usize,
}

impl<'s> Chosen<'s> {
    fn new(shared: &'s Shared, index: usize) -> Self {
        shared.posts[index].coming.fetch_add(1, Ordering::Relaxed);
        Self { shared, index }
    }

    fn post(&self) -> &'s Post {
        &self.shared.posts[self.index]
    }
}

impl Drop for Chosen<'_> {
    fn drop(&mut self) {
        self.post().coming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Post {
    fn new(key: EvmKey, rules: Rules) -> Self {
        let account = key.address();
        let lane = Lane::new(account, rules);
        Self {
            key,
            account,
            desk: Mutex::new(Desk { lane, waiters: HashMap::new(), running: false }),
            wake: Notify::new(),
            coming: AtomicUsize::new(0),
            role: Mutex::new(None),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("nothing panics while it is held")
    }

    fn load(&self) -> usize {
        self.desk().lane.load() + self.coming.load(Ordering::Relaxed)
    }

    fn known_role(&self) -> Option<(bool, Instant)> {
        *self.role.lock().expect("nothing panics while it is held")
    }
}

impl Desk {
    fn wait(&mut self, ticket: Ticket) -> oneshot::Receiver<Outcome> {
        let (sender, waiter) = oneshot::channel();
        let waiters = self.waiters.entry(ticket).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        waiter
    }

    fn end(&mut self, ticket: Ticket, outcome: &Outcome) {
        for waiter in self.waiters.remove(&ticket).unwrap_or_default() {
            // Who gave up does not want to know.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// What has no number yet and nobody waits for is not sent.
    fn tidy(&mut self) {
        self.waiters.retain(|_, waiters| waiters.iter().any(|waiter| !waiter.is_closed()));
        self.lane.withdraw(|ticket| self.waiters.contains_key(&ticket));
    }
}
