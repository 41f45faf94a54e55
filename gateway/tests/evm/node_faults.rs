use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::Address;
use distpos_gateway::chain::{
    ChainError, LocalChain,
    evm::{Alerts, Evm, EvmConfig, Finality, Nodes},
};
use distpos_proto::chain::Height;
use serde_json::{Value as Json, json};

use super::{
    false_node::{FalseNode, bent, pass_on, result},
    world::{GATEWAY, World, chain, config, key, of_messages},
};

async fn opened(node: &str) -> Result<Evm, ChainError> {
    let config = EvmConfig {
        nodes: node.into(),
        chain: chain("e2e4"),
        eth_chain_id: 58_084,
        contract: Address::repeat_byte(1),
        start: Height(0),
        finality: Finality::Confirmations(2),
        poll: Duration::from_millis(10),
        inclusion_time_max: Duration::from_secs(1),
        alerts: Alerts::default(),
    };
    Evm::open(config, key(GATEWAY)).await
}

#[tokio::test]
async fn garbage_from_the_node_is_named_and_temporary() {
    let cases: [fn(&Json) -> Vec<u8>; 9] = [
        |_| Vec::new(),
        |_| b"<html>502 Bad Gateway</html>".to_vec(),
        |id| result(id, &json!("0xe2e4"))[..20].to_vec(),
        |_| result(&json!(4711), &json!("0xe2e4")),
        |_| result(&json!(null), &json!("0xe2e4")),
        |id| result(id, &json!(58_084)),
        |id| result(id, &json!("0x")),
        |id| result(id, &json!(null)),
        |id| {
            json!({"id": id, "error": {"code": -32_000, "message": "\u{1b}[2Jno"}})
                .to_string()
                .into()
        },
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let node = FalseNode::start(move |id, _| case(id));
        let error = opened(&node.url).await.unwrap_err();
        let named = matches!(error, ChainError::Garbage { call: "eth_chainId", .. });
        assert!(named && error.is_temporary(), "{index}: {error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_given_up_and_not_kept() {
    let node = FalseNode::start(|id, _| {
        let mut body = result(id, &json!("0xe2e4"));
        body.resize(64 * 1024 * 1024 + 1, b' ');
        body
    });
    let error = opened(&node.url).await.unwrap_err();
    assert!(matches!(error, ChainError::Garbage { call: "eth_chainId", .. }), "{error}");
}

#[tokio::test]
async fn another_chain_is_for_the_operator() {
    let node = FalseNode::start(|id, _| result(id, &json!("0x1")));
    let error = opened(&node.url).await.unwrap_err();
    assert!(matches!(error, ChainError::OtherChain(_)) && !error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    for url in [url.as_str(), "https://127.0.0.1/", "127.0.0.1:8545", "", "http://u:p@127.0.0.1/"] {
        let error = opened(url).await.unwrap_err();
        assert!(matches!(error, ChainError::Unreachable { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_bends_its_answers_makes_no_evidence_and_no_messages() {
    let world = World::start().await;
    let id = world.send(&super::world::call_to("b1c2", "alice")).await;
    world.node.finalize();
    let watched = of_messages(&world.evm, None).await;
    let height = watched.blocks[0].height;
    let open = async |node: &FalseNode| {
        let config =
            EvmConfig { nodes: node.url.as_str().into(), ..config(&world.node, &world.deployed) };
        Evm::open(config, key(GATEWAY)).await.unwrap()
    };
    let is_garbage = |error: &ChainError| matches!(error, ChainError::Garbage { .. });

    // A receipt with another status does not lead to the root; nor does another header.
    let node = bent(&world, |method, answer| {
        if method == "eth_getBlockReceipts" {
            answer["result"][0]["status"] = json!("0x0");
        }
    });
    let error = open(&node).await.prove(height, &[id]).await.unwrap_err();
    assert!(is_garbage(&error) && error.to_string().contains("receiptsRoot"), "{error}");
    let node = bent(&world, |method, answer| {
        if method == "eth_getBlockByNumber" {
            answer["result"]["gasUsed"] = json!("0x1");
        }
    });
    let error = open(&node).await.prove(height, &[id]).await.unwrap_err();
    assert!(is_garbage(&error) && error.to_string().contains("hash"), "{error}");

    // A node without block receipts gives them one by one; one that refuses ranges, block by block.
    let node = bent(&world, |method, answer| {
        if method == "eth_getBlockReceipts" {
            let error = json!({"code": -32_601, "message": "the method does not exist"});
            *answer = json!({"jsonrpc": "2.0", "id": answer["id"], "error": error});
        }
    });
    let poorer = open(&node).await;
    assert_eq!(
        poorer.prove(height, &[id]).await.unwrap(),
        world.evm.prove(height, &[id]).await.unwrap()
    );

    // Logs of another contract or of another block are none of ours.
    let other = format!("0x{}", "11".repeat(20));
    let hash = format!("0x{}", "22".repeat(32));
    for (field, value) in
        [("address", other), ("blockHash", hash), ("blockNumber", "0xffff".into())]
    {
        let node = bent(&world, move |method, answer| {
            if method == "eth_getLogs" {
                for log in answer["result"].as_array_mut().unwrap() {
                    log[field] = json!(value);
                }
            }
        });
        let error = open(&node).await.watch(None).await.unwrap_err();
        assert!(is_garbage(&error), "{field}: {error}");
    }

    // A message of our own that cannot be read is not passed over: it would be lost.
    let node = bent(&world, |method, answer| {
        if method == "eth_getLogs" {
            for log in answer["result"].as_array_mut().unwrap() {
                if log["topics"].as_array().unwrap().len() == 2 {
                    let data = log["data"].as_str().unwrap().replace("b000", "b100");
                    log["data"] = json!(data);
                }
            }
        }
    });
    let error = open(&node).await.watch(None).await.unwrap_err();
    let id = data_encoding::HEXLOWER.encode(&id.0);
    assert!(is_garbage(&error) && error.to_string().contains(&id), "{error}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_refuses_long_ranges_is_asked_for_shorter_ones() {
    let world = World::start().await;
    let id = world.send(&super::world::call_to("b1c2", "alice")).await;
    world.node.rpc("anvil_mine", &json!(["0x40"]));
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let most = Arc::new(AtomicU64::new(10));
    let node = refusing_ranges(&world, Arc::clone(&most), Arc::clone(&asked));
    let config =
        EvmConfig { nodes: node.url.as_str().into(), ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    let catch_up = async |mut after| {
        let head = evm.head().await.unwrap();
        let mut found = Vec::new();
        loop {
            let watched = of_messages(&evm, after).await;
            let outgoing = watched.blocks.into_iter().flat_map(|block| block.outgoing);
            found.extend(outgoing.map(|message| message.id()));
            after = Some(watched.cursor);
            if watched.cursor.height >= head.height {
                return (found, after);
            }
        }
    };
    let (found, after) = catch_up(None).await;
    assert_eq!(found, [id]);
    let blocks = std::mem::take(&mut *asked.lock().unwrap());
    assert!(blocks.iter().any(|blocks| *blocks > 10) && blocks.iter().any(|blocks| *blocks <= 10));

    // Once it gives more, it is asked for more again.
    most.store(u64::MAX, Ordering::SeqCst);
    world.node.rpc("anvil_mine", &json!(["0x200"]));
    assert_eq!(catch_up(after).await.0, []);
    let blocks = asked.lock().unwrap();
    assert!(blocks.iter().any(|blocks| *blocks > 100), "{blocks:?}");
}

/// Passes everything on but `eth_getLogs` over more than so many blocks.
fn refusing_ranges(
    world: &World,
    most: Arc<AtomicU64>,
    asked: Arc<std::sync::Mutex<Vec<u64>>>,
) -> FalseNode {
    let pass = pass_on(world);
    FalseNode::start_raw(move |body, method| {
        if method == "eth_getLogs" {
            let call: Json = serde_json::from_str(body).unwrap();
            let number = |field: &str| {
                let text = call["params"][0][field].as_str().unwrap();
                u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
            };
            let blocks = number("toBlock") - number("fromBlock") + 1;
            asked.lock().unwrap().push(blocks);
            if blocks > most.load(Ordering::SeqCst) {
                let error = json!({"code": -32_005, "message": "limited to a 10 block range"});
                return json!({"jsonrpc": "2.0", "id": call["id"], "error": error})
                    .to_string()
                    .into_bytes();
            }
        }
        pass(body).to_string().into_bytes()
    })
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn logs_that_a_node_leaves_out_keep_the_cursor_where_it_is() {
    let world = World::start().await;
    let id = world.send(&super::world::call_to("b1c2", "alice")).await;
    world.node.finalize();
    // It lags behind the head that it names, or gave up its logs without saying so.
    let forgets = Arc::new(AtomicBool::new(true));
    let forgetting = Arc::clone(&forgets);
    let node = bent(&world, move |method, answer| {
        if method == "eth_getLogs" && forgetting.load(Ordering::SeqCst) {
            answer["result"] = json!([]);
        }
    });
    let config =
        EvmConfig { nodes: node.url.as_str().into(), ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    let error = evm.watch(None).await.unwrap_err();
    assert!(matches!(error, ChainError::Garbage { .. }), "{error}");
    assert!(error.to_string().contains("receipts"), "{error}");
    forgets.store(false, Ordering::SeqCst);
    let watched = of_messages(&evm, None).await;
    assert_eq!(watched.blocks[0].outgoing[0].id(), id);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_block_of_which_a_node_gives_only_some_logs_is_not_passed() {
    let world = World::start().await;
    world.node.rpc("evm_setAutomine", &json!([false]));
    let call = super::world::call_to("b1c2", "alice");
    let mine = async {
        while world.node.rpc("txpool_status", &json!([]))["pending"] != "0x2" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.node.rpc("evm_mine", &json!([]));
    };
    let (one, two, ()) = tokio::join!(world.send(&call), world.send(&call), mine);
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.finalize();
    // It gives no more than so many of a block.
    let node = bent(&world, |method, answer| {
        if method == "eth_getLogs" {
            let logs = answer["result"].as_array_mut().unwrap();
            let last = logs.last().map(|log| log["blockNumber"].clone());
            if logs.iter().filter(|log| Some(&log["blockNumber"]) == last.as_ref()).count() == 2 {
                logs.pop();
            }
        }
    });
    let of_world = config(&world.node, &world.deployed);
    let nodes = Nodes::new(vec![node.url.clone(), world.node.url.clone()], 1);
    let evm = Evm::open(EvmConfig { nodes, ..of_world }, key(GATEWAY)).await.unwrap();
    let error = evm.watch(None).await.unwrap_err();
    assert!(error.to_string().contains("1 of the contract's in block"), "{error}");
    // The next node gives all.
    let watched = of_messages(&evm, None).await;
    let mut found: Vec<_> = watched.blocks[0].outgoing.iter().map(|sent| sent.id()).collect();
    found.sort_unstable();
    let mut sent = [one, two];
    sent.sort_unstable();
    assert_eq!(found, sent);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_leaves_logs_out_gives_its_place_to_one_that_does_not() {
    let world = World::start().await;
    let id = world.send(&super::world::call_to("b1c2", "alice")).await;
    world.node.finalize();
    let forgetful = bent(&world, |method, answer| {
        if method == "eth_getLogs" {
            answer["result"] = json!([]);
        }
    });
    let nodes = Nodes::new(vec![forgetful.url.clone(), world.node.url.clone()], 1);
    let config = EvmConfig { nodes, ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    evm.watch(None).await.unwrap_err();
    let watched = of_messages(&evm, None).await;
    assert_eq!(watched.blocks[0].outgoing[0].id(), id);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_node_that_is_not_at_the_deployment_yet_is_waited_for() {
    let world = World::start().await;
    let nobody = Address::repeat_byte(9);
    let open = async |start: Height| {
        let of_world = config(&world.node, &world.deployed);
        let config = EvmConfig { contract: nobody, start, ..of_world };
        Evm::open(config, key(GATEWAY)).await.unwrap_err()
    };
    assert!(matches!(open(Height(0)).await, ChainError::OtherChain(_)));
    let behind = open(Height(1_000_000)).await;
    assert!(behind.is_temporary() && behind.to_string().contains("1000000"), "{behind}");
}
