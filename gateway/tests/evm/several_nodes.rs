//! An operator has several nodes, and each of them fails in its own way.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use distpos_gateway::{
    chain::{
        ChainError, LocalChain,
        evm::{Alerts, Evm, EvmConfig, Nodes, Teller},
    },
    event::{Event, Events},
};
use distpos_proto::message::MessageId;
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{
    false_node::{Answer, FalseNode, bent, counting, pass_on, refusal, result},
    world::{GATEWAY, World, call_to, config, ether, key, of_messages},
};

/// Everything that was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Events for Told {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event.to_string());
    }
}

impl Told {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn with(&self, words: &str) -> usize {
        self.all().iter().filter(|event| event.contains(words)).count()
    }
}

/// The gateway at these nodes.
async fn open(
    world: &World,
    nodes: &[&FalseNode],
    quorum: usize,
) -> (Result<Evm, ChainError>, Told) {
    open_at(world, nodes.iter().map(|node| node.url.clone()).collect(), quorum).await
}

async fn open_at(
    world: &World,
    urls: Vec<String>,
    quorum: usize,
) -> (Result<Evm, ChainError>, Told) {
    // Longer than any of these stories takes.
    open_resting(world, urls, quorum, Duration::from_secs(100)).await
}

/// The same with the first rest of a node that has failed.
async fn open_resting(
    world: &World,
    urls: Vec<String>,
    quorum: usize,
    rest: Duration,
) -> (Result<Evm, ChainError>, Told) {
    let told = Told::default();
    let nodes = Nodes {
        call_time_max: Duration::from_millis(500),
        rest_min: rest,
        ..Nodes::new(urls, quorum)
    };
    let teller = Teller::new(Arc::new(told.clone()));
    let alerts = Alerts { teller, ..Alerts::default() };
    let config = EvmConfig { nodes, alerts, ..config(&world.node, &world.deployed) };
    (Evm::open(config, key(GATEWAY)).await, told)
}

/// A node that was there and is not any more.
fn gone() -> FalseNode {
    FalseNode::start_raw(|_, _| Answer::Status(503, None))
}

async fn sent(world: &World) -> MessageId {
    let id = world.send(&call_to("b1c2", "alice")).await;
    world.node.finalize();
    id
}

async fn watched(evm: &Evm) -> Result<Vec<MessageId>, ChainError> {
    let watched = evm.watch(None).await?;
    let sent = watched.blocks.into_iter().flat_map(|block| block.outgoing);
    Ok(sent.map(|message| message.id()).collect())
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_next_node_answers_for_one_that_does_not_and_the_first_takes_its_place_again() {
    let world = World::start().await;
    let id = sent(&world).await;
    let (first, _) = counting(&world);
    let (second, asked_second) = counting(&world);
    let urls = vec![first.url.clone(), second.url.clone()];
    let (evm, told) = open_resting(&world, urls, 1, Duration::from_millis(20)).await;
    let evm = evm.unwrap();
    assert_eq!(watched(&evm).await.unwrap(), [id]);
    let before = asked_second.lock().unwrap().len();
    assert_eq!(asked_second.lock().unwrap()[..], ["eth_chainId", "eth_getBlockByNumber"]);

    let address = first.stop();
    assert_eq!(watched(&evm).await.unwrap(), [id]);
    assert!(asked_second.lock().unwrap().len() > before);
    assert_eq!(told.with("does not answer"), 1, "{:?}", told.all());

    // It is back: asked again, told once, and the second is left alone.
    let pass = pass_on(&world);
    let asked_first = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_first);
    let _first = FalseNode::restart(address, move |body, _| {
        count.fetch_add(1, Ordering::SeqCst);
        pass(body).to_string().into_bytes()
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while told.with("works again") == 0 {
        assert!(Instant::now() < deadline, "{:?}", told.all());
        evm.head().await.unwrap();
    }
    let (first, second) = (asked_first.load(Ordering::SeqCst), asked_second.lock().unwrap().len());
    assert_eq!(watched(&evm).await.unwrap(), [id]);
    assert!(asked_first.load(Ordering::SeqCst) > first);
    assert_eq!(asked_second.lock().unwrap().len(), second);
    assert_eq!(told.all().len(), 2, "{:?}", told.all());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_is_killed_and_the_other_goes_on() {
    let world = World::start().await;
    let id = sent(&world).await;
    let second = world.node.second();
    let (evm, told) = open_at(&world, vec![second.url.clone(), world.node.url.clone()], 1).await;
    let evm = evm.unwrap();
    assert_eq!(watched(&evm).await.unwrap(), [id]);
    let cursor = of_messages(&evm, None).await.cursor;
    assert_eq!(told.all(), Vec::<String>::new());
    drop(second);
    let more = sent(&world).await;
    let after = of_messages(&evm, Some(cursor)).await;
    let outgoing = after.blocks.iter().flat_map(|block| &block.outgoing);
    assert_eq!(outgoing.map(|message| message.id()).collect::<Vec<_>>(), [more]);
    assert_eq!(told.with("does not answer"), 1, "{:?}", told.all());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn every_kind_of_failure_makes_the_next_node_answer() {
    let world = World::start().await;
    let id = sent(&world).await;
    type Failure = fn(&str) -> Answer;
    let failures: [(&str, Failure); 6] = [
        ("garbage", |_| b"<html>".to_vec().into()),
        ("nothing", |_| Answer::Never),
        ("502", |_| Answer::Status(502, None)),
        ("429", |_| Answer::Status(429, Some(3600))),
        ("another type", |body| {
            let call: Json = serde_json::from_str(body).unwrap();
            result(&call["id"], &json!("no block")).into()
        }),
        ("another limit", |body| refusal(body, -32_005).into()),
    ];
    for (name, failure) in failures {
        let fails = Arc::new(AtomicUsize::new(0));
        let (is_failing, pass) = (Arc::clone(&fails), pass_on(&world));
        let first = FalseNode::start_raw(move |body, _| match is_failing.load(Ordering::SeqCst) {
            0 => pass(body).to_string().into_bytes().into(),
            _ => failure(body),
        });
        let (second, _) = counting(&world);
        let (evm, told) = open(&world, &[&first, &second], 1).await;
        let evm = evm.unwrap();
        fails.store(1, Ordering::SeqCst);
        assert_eq!(watched(&evm).await.unwrap(), [id], "{name}");
        let limits = name.contains("429") || name.contains("limit");
        assert_eq!(told.all().len(), usize::from(!limits), "{name}: {:?}", told.all());
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_of_another_chain_among_several_is_left_out() {
    let world = World::start().await;
    let id = sent(&world).await;
    let other_id = bent(&world, |method, answer| {
        if method == "eth_chainId" {
            answer["result"] = json!("0x1");
        }
    });
    // The same chain id, as two development chains have it, and another first block.
    let other_genesis = bent(&world, |method, answer| {
        if method == "eth_getBlockByNumber" && answer["result"]["number"] == "0x0" {
            answer["result"]["hash"] = json!(format!("0x{}", "77".repeat(32)));
        }
        if method == "eth_getLogs" {
            answer["result"] = json!([]);
        }
    });
    let (right, _) = counting(&world);
    let (evm, told) = open(&world, &[&other_id, &other_genesis, &right], 1).await;
    assert_eq!(watched(&evm.unwrap()).await.unwrap(), [id]);
    assert_eq!(told.with("left out"), 2, "{:?}", told.all());

    for (nodes, quorum) in
        [(vec![&other_id], 1), (vec![&other_id, &other_genesis], 1), (vec![&right, &other_id], 2)]
    {
        let error = open(&world, &nodes, quorum).await.0.unwrap_err();
        assert!(matches!(error, ChainError::OtherChain(_)), "{quorum}: {error}");
    }
    // One that does not answer may be the right one: it is waited for.
    let error = open(&world, &[&other_id, &gone()], 1).await.0.unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn one_liar_of_three_changes_nothing_and_is_named() {
    let world = World::start().await;
    let id = sent(&world).await;
    let no_logs = bent(&world, |method, answer| {
        if method == "eth_getLogs" {
            answer["result"] = json!([]);
        }
    });
    let other_block = bent(&world, |method, answer| {
        if method == "eth_getBlockByNumber" && answer["result"]["number"] != "0x0" {
            answer["result"]["hash"] = json!(format!("0x{}", "77".repeat(32)));
        }
    });
    let far_head = bent(&world, |method, answer| {
        if method == "eth_getBlockByNumber" && answer["result"]["number"] != "0x0" {
            answer["result"]["number"] = json!("0xffffffff");
        }
    });
    let (one, two) = (counting(&world).0, counting(&world).0);
    for liar in [&no_logs, &other_block, &far_head] {
        let (evm, told) = open(&world, &[liar, &one, &two], 2).await;
        let evm = evm.unwrap();
        assert_eq!(watched(&evm).await.unwrap(), [id]);
        let height = of_messages(&evm, None).await.blocks[0].height;
        let honest = world.evm.prove(height, &[id]).await.unwrap();
        assert_eq!(evm.prove(height, &[id]).await.unwrap(), honest);
        let name = liar.url.trim_start_matches("http://").trim_end_matches('/');
        assert_eq!(told.with(name), 1, "{:?}", told.all());
    }

    // Of two that must both agree, a lie stops the gateway rather than being believed.
    let (evm, told) = open(&world, &[&no_logs, &one], 2).await;
    let evm = evm.unwrap();
    for _ in 0..3 {
        let error = evm.watch(None).await.unwrap_err();
        let named = matches!(error, ChainError::Disagreement { call: "eth_getLogs", .. });
        assert!(named && error.is_temporary(), "{error}");
    }
    assert_eq!(told.with("disagree"), 1, "{:?}", told.all());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn with_fewer_nodes_than_the_quorum_nothing_is_believed() {
    let world = World::start().await;
    let id = sent(&world).await;
    let nodes: Vec<_> = (0..3).map(|_| counting(&world).0).collect();
    let (evm, _) = open(&world, &nodes.iter().collect::<Vec<_>>(), 2).await;
    let evm = evm.unwrap();
    let mut nodes = nodes.into_iter();
    nodes.next().unwrap().stop();
    assert_eq!(watched(&evm).await.unwrap(), [id], "two of three are enough");
    let address = nodes.next().unwrap().stop();
    let error = evm.watch(None).await.unwrap_err();
    assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");

    let pass = pass_on(&world);
    let _again = FalseNode::restart(address, move |body, _| pass(body).to_string().into_bytes());
    assert_eq!(watched(&evm).await.unwrap(), [id], "and it goes on by itself");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_rate_limit_is_waited_for_within_bounds() {
    let world = World::start().await;
    let id = sent(&world).await;
    let limited = |wait: u64, times: usize| {
        let (left, pass) = (AtomicUsize::new(times), pass_on(&world));
        FalseNode::start_raw(move |body, method| {
            let less = |left: usize| left.checked_sub(1);
            if method == "eth_getLogs"
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
            {
                return Answer::Status(429, Some(wait));
            }
            pass(body).to_string().into_bytes().into()
        })
    };
    let node = limited(1, 1);
    let (evm, _) = open(&world, &[&node], 1).await;
    let start = Instant::now();
    assert_eq!(watched(&evm.unwrap()).await.unwrap(), [id]);
    assert!(start.elapsed() >= Duration::from_secs(1), "it asked to be left alone for so long");

    let node = limited(3600, 1);
    let (evm, _) = open(&world, &[&node], 1).await;
    let evm = evm.unwrap();
    for _ in 0..2 {
        // The second time it is not even asked.
        let error = evm.watch(None).await.unwrap_err();
        let typed = matches!(&error, ChainError::RateLimited { wait: Some(_), .. });
        assert!(typed && error.is_temporary(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn pruned_history_is_asked_of_another_node_or_named() {
    let world = World::start().await;
    let id = sent(&world).await;
    let height = of_messages(&world.evm, None).await.blocks[0].height;
    let hidden = format!("{:#x}", height.0);
    let pruned = |says_so: bool| {
        let (hidden, pass) = (hidden.clone(), pass_on(&world));
        FalseNode::start_raw(move |body, method| {
            let call: Json = serde_json::from_str(body).unwrap();
            let about = call["params"][0] == json!(hidden) || method == "eth_getTransactionReceipt";
            match (about, says_so) {
                (true, true) => refusal(body, 4_444),
                (true, false) => result(&call["id"], &Json::Null),
                (false, _) => pass(body).to_string().into_bytes(),
            }
        })
    };
    let whole = counting(&world).0;
    for node in [pruned(true), pruned(false)] {
        let error = open(&world, &[&node], 1).await.0.unwrap().prove(height, &[id]).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, ChainError::HistoryMissing { .. }), "{error}");
        assert!(error.to_string().contains(&format!("block {height} ")), "{error}");
        let (evm, told) = open(&world, &[&node, &whole], 1).await;
        let proof = evm.unwrap().prove(height, &[id]).await.unwrap();
        assert_eq!(proof, world.evm.prove(height, &[id]).await.unwrap());
        assert_eq!(told.all(), Vec::<String>::new(), "it is good for what is newer");
        let error = open(&world, &[&node, &whole], 2).await.0.unwrap().prove(height, &[id]).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, ChainError::HistoryMissing { .. }), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn receipts_come_one_by_one_and_several_at_once_from_a_poorer_node() {
    let world = World::start().await;
    world.node.rpc("evm_setAutomine", &json!([false]));
    let calls: Vec<_> = (0..16).map(|_| call_to("b1c2", "alice")).collect();
    let sends = calls.iter().map(|call| world.send(call));
    let mine = async {
        // All of them, as many as one account has under way in one block.
        loop {
            let status = world.node.rpc("txpool_status", &json!([]));
            if status["pending"] == "0x10" {
                return world.node.rpc("evm_mine", &json!([]));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (ids, _) = tokio::join!(futures_util::future::join_all(sends), mine);
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.finalize();
    let height = of_messages(&world.evm, None).await.blocks[0].height;

    for refused in [Answer::Status(404, None), Answer::Body(Vec::new())] {
        let blocks = Arc::new(AtomicUsize::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (pass, asked) = (pass_on(&world), Arc::clone(&blocks));
        let (here, top) = (Arc::clone(&now), Arc::clone(&most));
        let node = FalseNode::start_raw(move |body, method| {
            if method == "eth_getBlockReceipts" {
                asked.fetch_add(1, Ordering::SeqCst);
                return match refused {
                    Answer::Status(status, wait) => Answer::Status(status, wait),
                    _ => refusal(body, -32_601).into(),
                };
            }
            let at_once = here.fetch_add(1, Ordering::SeqCst) + 1;
            top.fetch_max(at_once, Ordering::SeqCst);
            let answer = pass(body).to_string().into_bytes();
            here.fetch_sub(1, Ordering::SeqCst);
            answer.into()
        });
        let evm = open(&world, &[&node], 1).await.0.unwrap();
        let honest = world.evm.prove(height, &ids).await.unwrap();
        assert_eq!(evm.prove(height, &ids).await.unwrap(), honest);
        let most = most.load(Ordering::SeqCst);
        assert!((2..=8).contains(&most), "{most} at once");
        // Another block: it is known by now that the node has no such call.
        let id = sent(&world).await;
        let cursor = of_messages(&evm, None).await;
        let last = cursor.blocks.last().unwrap().height;
        evm.prove(last, &[id]).await.unwrap();
        assert_eq!(blocks.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_transaction_goes_to_every_node_and_one_that_takes_it_is_enough() {
    let world = World::start().await;
    let deaf = FalseNode::start_raw({
        let pass = pass_on(&world);
        move |body, method| match method {
            "eth_sendRawTransaction" => refusal(body, -32_000),
            _ => pass(body).to_string().into_bytes(),
        }
    });
    let (second, asked) = counting(&world);
    let (evm, _) = open(&world, &[&deaf, &second], 1).await;
    let evm = evm.unwrap();
    let message = world.foreign.message(1, &super::world::local(key(GATEWAY).address()));
    let message = distpos_proto::message::Message::new(message).unwrap();
    let admitted = world.foreign.admitted(&message);
    let submitted = evm.submit(distpos_gateway::chain::Submission::Deliver(vec![admitted])).await;
    assert!(!submitted.unwrap().transaction.is_empty());
    assert!(asked.lock().unwrap().iter().any(|method| method == "eth_sendRawTransaction"));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_took_a_transaction_and_did_not_say_so_counts_more_than_one_that_refuses() {
    let world = World::start().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let mute = FalseNode::start_raw({
        let (pass, taken) = (pass_on(&world), Arc::clone(&taken));
        move |body, method| {
            let answer = pass(body).to_string().into_bytes();
            match method {
                "eth_sendRawTransaction" => {
                    taken.fetch_add(1, Ordering::SeqCst);
                    Answer::Never
                }
                _ => Answer::Body(answer),
            }
        }
    });
    let deaf = FalseNode::start_raw({
        let pass = pass_on(&world);
        move |body, method| match method {
            "eth_sendRawTransaction" => refusal(body, -32_000),
            "eth_getTransactionByHash" => {
                let call: Json = serde_json::from_str(body).unwrap();
                result(&call["id"], &Json::Null)
            }
            _ => pass(body).to_string().into_bytes(),
        }
    });
    let (evm, _) = open(&world, &[&deaf, &mute], 1).await;
    let (evm, account) = (evm.unwrap(), key(GATEWAY).address());
    let before = world.node.rpc("eth_getTransactionCount", &json!([account.to_string(), "latest"]));
    let message = world.foreign.message(1, &super::world::local(account));
    let message = distpos_proto::message::Message::new(message).unwrap();
    let admitted = world.foreign.admitted(&message);
    let submitted = evm.submit(distpos_gateway::chain::Submission::Deliver(vec![admitted])).await;
    assert!(!submitted.unwrap().transaction.is_empty());
    let after = world.node.rpc("eth_getTransactionCount", &json!([account.to_string(), "latest"]));
    let number = |count: &Json| u64::from_str_radix(&count.as_str().unwrap()[2..], 16).unwrap();
    assert_eq!(number(&after), number(&before) + 1, "signed once");
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn ranges_shrink_to_what_a_node_grants_and_one_that_grants_nothing_is_named() {
    let world = World::start().await;
    sent(&world).await;
    for refused in [-32_005, -32_000] {
        let pass = pass_on(&world);
        let node = FalseNode::start_raw(move |body, method| match method {
            "eth_getLogs" => refusal(body, refused),
            _ => pass(body).to_string().into_bytes(),
        });
        let error = open(&world, &[&node], 1).await.0.unwrap().watch(None).await.unwrap_err();
        let named = matches!(error, ChainError::LogsRefused { .. });
        assert!(named && error.is_temporary(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_head_that_stands_still_and_an_empty_account_are_told_once_each() {
    let world = World::start().await;
    let told = Told::default();
    let offset = Arc::new(AtomicUsize::new(0));
    let later = Arc::clone(&offset);
    let alerts = Alerts {
        head_age_max: Duration::from_secs(900),
        balance_min: ether(20_000),
        look_every: Duration::from_millis(1),
        clock: Arc::new(move || {
            let later = Duration::from_secs(later.load(Ordering::SeqCst) as u64);
            distpos_gateway::clock::system()().after(later)
        }),
        teller: Teller::new(Arc::new(told.clone())),
    };
    let config = EvmConfig { alerts, ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    let (_, _, cursor) = world.all().await;
    let until = async |words: &str| {
        let watch = evm.watch(Some(cursor));
        tokio::pin!(watch);
        let deadline = Instant::now() + Duration::from_secs(20);
        // A few looks more, which must not tell it again.
        let mut more = 3;
        while more > 0 {
            assert!(Instant::now() < deadline, "{words}: {:?}", told.all());
            tokio::time::timeout(Duration::from_millis(20), &mut watch).await.ok();
            watch.set(evm.watch(Some(cursor)));
            more -= usize::from(told.with(words) > 0);
        }
        assert_eq!(told.with(words), 1, "{:?}", told.all());
    };
    until("balance_min").await;
    world.node.rpc(
        "anvil_setBalance",
        &json!([key(GATEWAY).address().to_string(), "0x21e19e0c9bab240000000"]),
    );
    until("for gas again").await;
    offset.store(1_000, Ordering::SeqCst);
    until("head_age_max").await;
    world.node.rpc("evm_increaseTime", &json!([1_000]));
    world.node.rpc("evm_mine", &json!([]));
    until("blocks come again").await;
    assert_eq!(told.all().len(), 4, "{:?}", told.all());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_stands_still_gives_its_place_to_one_that_does_not() {
    let world = World::start().await;
    world.node.finalize();
    // The first node has lost its peers: it knows nothing newer than what it had then.
    let last = world.node.rpc("eth_getBlockByNumber", &json!(["latest", false]));
    let is_still = Arc::new(AtomicUsize::new(1));
    let (still, old) = (Arc::clone(&is_still), last.clone());
    let first = bent(&world, move |method, answer| {
        let is_head = method == "eth_getBlockByNumber"
            && answer["result"]["number"].as_str().is_some_and(|number| {
                u64::from_str_radix(&number[2..], 16).unwrap()
                    > u64::from_str_radix(&old["number"].as_str().unwrap()[2..], 16).unwrap()
            });
        if is_head && still.load(Ordering::SeqCst) == 1 {
            answer["result"] = old.clone();
        }
    });
    let (second, _) = counting(&world);
    let told = Told::default();
    let clock = Arc::new(AtomicUsize::new(0));
    let later = Arc::clone(&clock);
    let alerts = Alerts {
        head_age_max: Duration::from_secs(900),
        look_every: Duration::ZERO,
        clock: Arc::new(move || {
            let later = Duration::from_secs(later.load(Ordering::SeqCst) as u64);
            distpos_gateway::clock::system()().after(later)
        }),
        teller: Teller::new(Arc::new(told.clone())),
        ..Alerts::default()
    };
    let nodes = Nodes::new(vec![first.url.clone(), second.url.clone()], 1);
    let config = EvmConfig { nodes, alerts, ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    let cursor = of_messages(&evm, None).await.cursor;

    clock.store(1_000, Ordering::SeqCst);
    world.node.rpc("evm_increaseTime", &json!([1_000]));
    let id = sent(&world).await;
    let found = of_messages(&evm, Some(cursor)).await;
    let outgoing = found.blocks.iter().flat_map(|block| &block.outgoing);
    assert_eq!(outgoing.map(|message| message.id()).collect::<Vec<_>>(), [id]);
    assert_eq!(told.with("stands still"), 1, "{:?}", told.all());

    is_still.store(0, Ordering::SeqCst);
    world.node.finalize();
    of_messages(&evm, Some(found.cursor)).await;
    assert_eq!(told.with("has new blocks again"), 1, "{:?}", told.all());
    assert_eq!(told.all().len(), 2, "{:?}", told.all());
}
