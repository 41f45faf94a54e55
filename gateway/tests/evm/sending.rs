//! The gateway's own transactions: what a node, a crash and a market may do to them.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, U256, keccak256};
use distpos_gateway::chain::{
    ChainError, LocalChain, Submission, Submitted,
    evm::{self, Evm, EvmConfig, EvmKey, Operator, Wallet},
};
use distpos_proto::{
    message::{Fields, Message, MessageId},
    time::UnixSeconds,
};
use distpos_spool::{SignedTransaction, Spool};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use self::between::{Between, Does};
use super::world::{GATEWAY, World, amount, config, key, local};

#[path = "sending/between.rs"]
mod between;

/// The shortest time to a replacement that the configuration takes.
const BUMP: Duration = Duration::from_secs(1);
const GWEI: u128 = 1_000_000_000;
const CAP: u128 = 500 * GWEI;

/// A gateway whose transactions are in a spool that outlives it.
struct Sending {
    world: World,
    spool: Spool,
    alerts: between::Alerts,
    evm: Option<Arc<Evm>>,
    /// The same for all messages: what is made twice is the same message.
    expires: UnixSeconds,
}

impl Sending {
    async fn start() -> Self {
        Self::start_with(CAP).await
    }

    async fn start_with(fee_max: u128) -> Self {
        let world = World::start().await;
        let (spool, alerts) = (Spool::in_memory(), between::Alerts::default());
        let expires = world.foreign.message(1, "bob").expires;
        let mut sending = Self { world, spool, alerts, evm: None, expires };
        let url = sending.world.node.url.clone();
        sending.open(&url, vec![key(GATEWAY)], fee_max).await;
        sending
    }

    /// Another gateway process over the same spool, at this node.
    async fn open(&mut self, url: &str, keys: Vec<EvmKey>, fee_max: u128) {
        self.evm = None;
        let wallet = Wallet::new(keys, Arc::new(self.spool.clone())).fees(fee_max, BUMP);
        let of_world = config(&self.world.node, &self.world.deployed);
        let teller = evm::Teller::new(Arc::new(self.alerts.clone()));
        let alerts = evm::Alerts { teller, ..evm::Alerts::default() };
        let config = EvmConfig { nodes: url.into(), alerts, ..of_world };
        self.evm = Some(Arc::new(Evm::open(config, wallet).await.unwrap()));
    }

    fn message(&self, sequence: u64) -> Message {
        let to = local(Address::repeat_byte(0xaa));
        let fields = self.world.foreign.payment(sequence, &to, amount(1));
        Message::new(Fields { expires: self.expires, ..fields }).unwrap()
    }

    /// Delivers in the background.
    fn deliver(&self, sequences: &[u64]) -> JoinHandle<Result<Submitted, ChainError>> {
        let admitted = sequences.iter().map(|at| self.world.foreign.admitted(&self.message(*at)));
        let submission = Submission::Deliver(admitted.collect());
        let evm = Arc::clone(self.evm.as_ref().unwrap());
        tokio::spawn(async move { evm.submit(submission).await })
    }

    fn rows(&self) -> Vec<(u64, SignedTransaction)> {
        let rows = self.spool.read(|tx| tx.all_signed()).unwrap();
        rows.into_iter().map(|(_, nonce, row)| (nonce, row)).collect()
    }

    fn account(&self) -> Address {
        key(GATEWAY).address()
    }

    fn count(&self, account: Address, tag: &str) -> u64 {
        number(&self.world.node.rpc("eth_getTransactionCount", &json!([account.to_string(), tag])))
    }

    /// No block is made unless it is asked for.
    fn stop_blocks(&self) {
        self.world.node.rpc("evm_setAutomine", &json!([false]));
    }

    fn mine(&self) {
        self.world.node.rpc("anvil_mine", &json!(["0x1"]));
    }

    fn next_base_fee(&self, fee: u128) {
        let fee = json!([format!("{fee:#x}")]);
        self.world.node.rpc("anvil_setNextBlockBaseFeePerGas", &fee);
    }

    fn transaction(&self, hash: &[u8]) -> Json {
        self.world.node.rpc("eth_getTransactionByHash", &json!([hex(hash)]))
    }

    async fn delivered(&self) -> Vec<MessageId> {
        let (_, events, _) = self.world.all().await;
        let id = |event| match event {
            distpos_gateway::chain::ChainEvent::Delivered { id, .. } => id,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(id).collect()
    }
}

fn number(quantity: &Json) -> u64 {
    u64::from_str_radix(quantity.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(bytes))
}

/// Waits until it is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_stuck_transaction_is_replaced_with_fees_that_a_block_takes() {
    let sending = Sending::start().await;
    sending.stop_blocks();
    let before = sending.count(sending.account(), "latest");
    let submission = sending.deliver(&[1]);
    until("it is in the pool", || sending.count(sending.account(), "pending") > before).await;
    let first = sending.rows();
    assert_eq!((first.len(), first[0].0, first[0].1.attempts.len()), (1, before, 1));
    // The market runs away from it.
    sending.next_base_fee(50 * GWEI);
    sending.mine();
    assert_eq!(sending.count(sending.account(), "latest"), before, "no block takes it");
    until("it is replaced", || sending.rows()[0].1.attempts.len() > 1).await;
    let row = sending.rows()[0].1.clone();
    let (old, new) = (&row.attempts[0], &row.attempts[1]);
    assert_eq!(*old, first[0].1.attempts[0]);
    assert!(new.fee_max >= old.fee_max * 9 / 8 && new.tip >= old.tip * 9 / 8, "{old:?} {new:?}");
    assert!(new.fee_max >= 44 * GWEI && new.fee_max <= CAP, "what the market asks now");
    let hash = keccak256(&new.raw);
    until("the node has it", || !sending.transaction(hash.as_slice()).is_null()).await;
    sending.mine();
    let submitted = submission.await.unwrap().unwrap();
    assert_eq!(submitted.transaction, hash.to_vec());
    assert_eq!(sending.count(sending.account(), "latest"), before + 1);
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
    assert_eq!(sending.rows(), []);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn no_transaction_ever_offers_more_than_the_cap() {
    let cap = 10 * GWEI;
    let sending = Sending::start_with(cap).await;
    sending.stop_blocks();
    let submission = sending.deliver(&[1]);
    until("it is in the pool", || {
        sending.count(sending.account(), "pending") > sending.count(sending.account(), "latest")
    })
    .await;
    for _ in 0..3 {
        sending.next_base_fee(90 * GWEI);
        sending.mine();
        until("the operator is told", || !sending.alerts.all().is_empty()).await;
    }
    assert_eq!(sending.alerts.all().len(), 1, "{:?}", sending.alerts.all());
    assert!(sending.rows()[0].1.attempts.iter().all(|attempt| attempt.fee_max <= cap));
    // It waits, and goes when it is cheap enough.
    until("cheap again", || {
        sending.next_base_fee(GWEI);
        sending.mine();
        sending.rows().is_empty()
    })
    .await;
    submission.await.unwrap().unwrap();
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn an_empty_account_sends_once_it_is_filled() {
    let sending = Sending::start().await;
    let account = sending.account();
    let fill = |wei: &str| {
        sending.world.node.rpc("anvil_setBalance", &json!([account.to_string(), wei]));
    };
    fill("0x0");
    let before = sending.count(account, "latest");
    for _ in 0..2 {
        let error = sending.deliver(&[1]).await.unwrap().unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(sending.rows(), [], "a refused number is free again");
    }
    fill("0xde0b6b3a7640000");
    sending.deliver(&[1]).await.unwrap().unwrap();
    assert_eq!(sending.count(account, "latest"), before + 1);
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_gateway_killed_between_disk_and_node_sends_the_same_bytes() {
    let mut sending = Sending::start().await;
    let (account, real) = (sending.account(), sending.world.node.url.clone());
    let lossy = Between::start(&real, |method, _| match method {
        "eth_sendRawTransaction" => Does::Hang,
        _ => Does::Pass,
    });
    sending.open(&lossy.url, vec![key(GATEWAY)], CAP).await;
    let before = sending.count(account, "latest");
    let submission = sending.deliver(&[1]);
    until("it is stored", || !sending.rows().is_empty()).await;
    submission.abort();
    submission.await.unwrap_err();
    sending.evm = None;
    let (nonce, row) = sending.rows().remove(0);
    let hash = keccak256(&row.attempts[0].raw);
    assert_eq!(
        (nonce, sending.count(account, "pending")),
        (before, before),
        "the node never had it"
    );
    // Whoever is started next finds it, though nobody submits anything.
    sending.open(&real, vec![key(GATEWAY)], CAP).await;
    until("it is sent and done", || sending.rows().is_empty()).await;
    assert_eq!(number(&sending.transaction(hash.as_slice())["nonce"]), before);
    // The message is judged again, as after any crash: it is passed over.
    assert_eq!(sending.deliver(&[1]).await.unwrap().unwrap().refused, []);
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_was_mined_while_the_gateway_was_down_is_only_forgotten() {
    let mut sending = Sending::start().await;
    sending.stop_blocks();
    let submission = sending.deliver(&[1]);
    let account = sending.account();
    let before = sending.count(account, "latest");
    until("it is in the pool", || sending.count(account, "pending") > before).await;
    submission.abort();
    submission.await.unwrap_err();
    sending.evm = None;
    sending.mine();
    assert_eq!(sending.rows().len(), 1);
    let real = sending.world.node.url.clone();
    let counting = Between::start(&real, |_, _| Does::Pass);
    sending.open(&counting.url, vec![key(GATEWAY)], CAP).await;
    until("it is forgotten", || sending.rows().is_empty()).await;
    assert_eq!(counting.calls("eth_sendRawTransaction"), 0);
    assert_eq!(sending.count(account, "pending"), before + 1);
    // A gateway with nothing in flight asks its node nothing.
    let quiet = counting.calls_in_all();
    tokio::time::sleep(BUMP).await;
    assert_eq!(counting.calls_in_all(), quiet);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_the_node_dropped_it_is_given_again() {
    let sending = Sending::start().await;
    sending.stop_blocks();
    let submission = sending.deliver(&[1]);
    until("it is stored", || !sending.rows().is_empty()).await;
    let hash = keccak256(&sending.rows()[0].1.attempts[0].raw);
    let has = || !sending.transaction(hash.as_slice()).is_null();
    until("the node has it", has).await;
    sending.world.node.rpc("anvil_dropTransaction", &json!([hash.to_string()]));
    assert!(!has());
    until("the node has it again", has).await;
    sending.mine();
    assert_eq!(submission.await.unwrap().unwrap().transaction, hash.to_vec());
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_count_that_no_account_can_have_is_signed_for_never() {
    let mut sending = Sending::start().await;
    let real = sending.world.node.url.clone();
    for (count, every) in [("0xffffffffffffffff", 1), ("0x5000", 2)] {
        // What is in blocks and what is in the pool are asked for in turn.
        let lying = Between::start(&real, move |method, nth| match method {
            "eth_getTransactionCount" if nth % every == every - 1 => Does::Says(count),
            _ => Does::Pass,
        });
        sending.open(&lying.url, vec![key(GATEWAY)], CAP).await;
        let submission = sending.deliver(&[1, 2]);
        until("it is asked twice", || lying.calls("eth_getTransactionCount") > 3).await;
        assert_eq!(sending.rows(), [], "{count}");
        submission.abort();
    }
    sending.open(&real, vec![key(GATEWAY)], CAP).await;
    sending.deliver(&[1, 2]).await.unwrap().unwrap();
    assert_eq!(sending.delivered().await.len(), 2);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_number_taken_by_another_program_fails_only_that_attempt() {
    let mut sending = Sending::start().await;
    let real = sending.world.node.url.clone();
    let lossy = Between::start(&real, |method, nth| match method {
        "eth_sendRawTransaction" if nth == 0 => Does::Hang,
        _ => Does::Pass,
    });
    sending.open(&lossy.url, vec![key(GATEWAY)], CAP).await;
    let submission = sending.deliver(&[1]);
    until("it is stored", || !sending.rows().is_empty()).await;
    // Somebody uses the key elsewhere.
    let other = Operator::connect(&real, key(GATEWAY)).await.unwrap();
    other.transfer(Address::repeat_byte(0xbb), amount(1)).await.unwrap();
    let error = submission.await.unwrap().unwrap_err();
    assert!(matches!(error, ChainError::Unsent(_)) && error.is_temporary(), "{error}");
    assert_eq!(sending.rows(), []);
    sending.deliver(&[1]).await.unwrap().unwrap();
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_reorganisation_that_loses_a_delivery_leaves_no_gap() {
    let sending = Sending::start().await;
    let account = sending.account();
    sending.deliver(&[1]).await.unwrap().unwrap();
    let spent = sending.count(account, "latest");
    sending.stop_blocks();
    let submission = sending.deliver(&[2]);
    until("it is in the pool", || sending.count(account, "pending") > spent).await;
    sending.world.node.rpc("anvil_reorg", &json!([1, []]));
    until("the first is lost", || sending.count(account, "latest") < spent).await;
    until("the gap is closed", || {
        sending.mine();
        submission.is_finished()
    })
    .await;
    submission.await.unwrap().unwrap();
    assert_eq!(sending.count(account, "latest"), spent + 1);
    assert_eq!(sending.rows(), []);
    let nth = json!([account.to_string(), format!("{:#x}", spent - 1)]);
    let filler = sending.world.node.rpc("eth_getTransactionBySenderAndNonce", &nth);
    assert_eq!((&filler["to"], &filler["value"]), (&filler["from"], &json!("0x0")));
    // Judged again because no final event came, the first arrives as well, and both once.
    sending.world.node.rpc("evm_setAutomine", &json!([true]));
    sending.deliver(&[1]).await.unwrap().unwrap();
    let mut delivered = sending.delivered().await;
    delivered.sort_unstable();
    let mut expected = vec![sending.message(1).id(), sending.message(2).id()];
    expected.sort_unstable();
    assert_eq!(delivered, expected);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn whoever_asks_for_the_same_again_waits_for_what_is_under_way() {
    let sending = Sending::start().await;
    sending.stop_blocks();
    let first = sending.deliver(&[1]);
    until("it is stored", || !sending.rows().is_empty()).await;
    let again = sending.deliver(&[1]);
    // What gives up does not take it back.
    first.abort();
    first.await.unwrap_err();
    until("a block has it", || {
        sending.mine();
        again.is_finished()
    })
    .await;
    again.await.unwrap().unwrap();
    let spent = sending.count(sending.account(), "pending");
    assert_eq!(spent, sending.count(sending.account(), "latest"), "nothing was sent twice");
    assert_eq!(sending.delivered().await, [sending.message(1).id()]);
}

/// Further accounts of the gateway, with or without role and coins.
async fn account(sending: &Sending, seed: u8, role: bool, wei: &str) -> EvmKey {
    let key = EvmKey::from_bytes(&[seed; 32]).unwrap();
    let contract = sending.world.deployed.contract;
    if role {
        sending.world.owner.set_gateway(contract, key.address(), true).await.unwrap();
    }
    let balance = json!([key.address().to_string(), wei]);
    sending.world.node.rpc("anvil_setBalance", &balance);
    key
}

const ONE_ETHER: &str = "0xde0b6b3a7640000";

#[tokio::test]
#[ignore = "needs anvil"]
async fn two_keys_share_the_work_and_one_that_cannot_is_left_out() {
    let mut sending = Sending::start().await;
    let second = account(&sending, 2, true, ONE_ETHER).await;
    let stranger = account(&sending, 3, false, ONE_ETHER).await;
    let poor = account(&sending, 4, true, "0x0").await;
    let accounts = [second.address(), stranger.address(), poor.address()];
    let url = sending.world.node.url.clone();
    sending.open(&url, vec![stranger, poor, key(GATEWAY), second], CAP).await;
    let first = sending.count(sending.account(), "latest");
    for sequence in 1..=8 {
        let two = [sending.deliver(&[sequence]), sending.deliver(&[sequence + 100])];
        for submission in two {
            submission.await.unwrap().unwrap();
        }
    }
    let sent = accounts.map(|account| sending.count(account, "latest"));
    assert!(sent[0] > 0 && sent[1..] == [0, 0], "{sent:?}");
    assert_eq!(sending.count(sending.account(), "latest") - first + sent[0], 16);
    assert_eq!(sending.delivered().await.len(), 16);
    let without = sending.evm.as_ref().unwrap().without_role().await.unwrap();
    assert_eq!(without, [accounts[1]]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn two_hundred_messages_leave_through_three_lanes() {
    let mut sending = Sending::start().await;
    let mut keys = vec![key(GATEWAY)];
    for seed in [2, 3] {
        keys.push(account(&sending, seed, true, ONE_ETHER).await);
    }
    let accounts: Vec<Address> = keys.iter().map(EvmKey::address).collect();
    let before: u64 = accounts.iter().map(|account| sending.count(*account, "latest")).sum();
    let url = sending.world.node.url.clone();
    sending.open(&url, keys, CAP).await;
    let sequences: Vec<u64> = (1..=200).collect();
    let started = std::time::Instant::now();
    let submitted = sending.deliver(&sequences).await.unwrap().unwrap();
    println!("200 messages through 3 lanes: {} ms", started.elapsed().as_millis());
    assert_eq!(submitted.refused, []);
    let counts = accounts.iter().map(|account| sending.count(*account, "latest"));
    let counts: Vec<u64> = counts.collect();
    assert_eq!(counts.iter().sum::<u64>() - before, 10, "20 messages each: {counts:?}");
    let mut delivered = sending.delivered().await;
    delivered.sort_unstable();
    delivered.dedup();
    assert_eq!(delivered.len(), 200);
    let holds = sending.world.node.balance(Address::repeat_byte(0xaa));
    assert_eq!(holds, U256::from(200));
    assert_eq!(sending.rows(), []);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_chain_without_base_fees_gets_transactions_of_the_older_kind() {
    let mut sending = Sending::start().await;
    let real = sending.world.node.url.clone();
    let no_base_fee = Between::start(&real, |method, _| match method {
        "eth_getBlockByNumber" => Does::Without("baseFeePerGas"),
        _ => Does::Pass,
    });
    let no_history = Between::start(&real, |method, _| match method {
        "eth_feeHistory" => Does::NoSuchMethod,
        _ => Does::Pass,
    });
    for (sequence, node) in [(1, &no_base_fee), (2, &no_history)] {
        sending.open(&node.url, vec![key(GATEWAY)], CAP).await;
        let submitted = sending.deliver(&[sequence]).await.unwrap().unwrap();
        let sent = sending.transaction(&submitted.transaction);
        assert_eq!((&sent["type"], &sent["chainId"]), (&json!("0x0"), &json!("0xe2e4")));
    }
    assert_eq!(sending.delivered().await.len(), 2);
}
