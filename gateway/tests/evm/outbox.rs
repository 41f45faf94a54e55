use alloy_primitives::{U256, keccak256};
use distpos_gateway::chain::{
    ChainError, Cursor, LocalChain, Watched,
    evm::{Evm, EvmConfig, Finality, UserCall, user::Reader},
};
use distpos_proto::{
    amount::Amount,
    chain::GenesisTag,
    message::{Message, OnFail},
};
use serde_json::json;

use super::world::{
    GATEWAY, PEER_TAG, USER, World, amount, call_to, chain, config, ether, key, local, of_messages,
};

/// Shapes around every border of CBOR's heads, and at the limits.
fn shapes(now: u64) -> Vec<UserCall> {
    let base = || call_to("b1c2", "alice");
    let mut calls = vec![base()];
    for length in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
        calls.push(UserCall { data: vec![0xa5; length], ..base() });
    }
    for length in [1, 23, 24, 127, 128] {
        calls.push(call_to("b1c2", &"r".repeat(length)));
    }
    for gas in [23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, u64::MAX] {
        calls.push(UserCall { gas, ..base() });
    }
    for value in [1, 255, 256, 65_536, 1_000_000_007] {
        calls.push(UserCall { amount: amount(value), ..base() });
    }
    calls.push(UserCall { amount: ether(1), on_fail: OnFail::Keep, ..base() });
    calls.push(UserCall { expires: Some(now + 300), ..base() });
    calls.push(UserCall { expires: Some(now + 5 * 86_400 - 60), ..base() });
    calls.push(UserCall { amount: amount(3), ..call_to("1", "-._:/+@=09azAZ") });
    calls.push(call_to(&"f".repeat(32), "63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab"));
    calls
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_contract_writes_the_bytes_that_proto_would_write() {
    let world = World::start().await;
    let calls = shapes(world.node.now());
    let mut ids = Vec::new();
    for call in &calls {
        ids.push(world.send(call).await);
    }
    let (outgoing, events, _) = world.all().await;
    assert_eq!(events, []);
    assert_eq!(outgoing.len(), calls.len());
    let mut next = std::collections::BTreeMap::new();
    for (call, id) in calls.iter().zip(ids) {
        let message = outgoing.iter().find(|message| message.id() == id).unwrap();
        let sequence = next.entry(call.destination).or_insert(0u64);
        *sequence += 1;
        // What was read gives the same bytes when proto writes it: nothing is left to trust.
        assert_eq!(Message::new(message.fields().clone()).unwrap().bytes(), message.bytes());
        let fields = message.fields();
        assert_eq!((fields.source, fields.source_tag), (chain("e2e4"), world.deployed.tag));
        let known = call.destination == chain("b1c2");
        assert_eq!(fields.destination_tag, if known { PEER_TAG } else { GenesisTag::UNSET });
        assert_eq!(fields.outbox, world.deployed.contract.to_vec());
        assert_eq!((fields.destination, fields.sequence), (call.destination, *sequence));
        assert_eq!((&fields.sender, &fields.recipient), (&key(USER).local(), &call.recipient));
        assert_eq!(message.amount(), call.amount);
        let asset = fields.value.as_ref().map(|value| value.asset.as_str());
        assert_eq!(asset, (!call.amount.is_zero()).then_some("e2e4/coin"));
        assert_eq!((&fields.data, fields.gas), (&call.data, call.gas));
        assert_eq!(fields.on_fail, call.on_fail);
        if let Some(expires) = call.expires {
            assert_eq!(fields.expires.0, expires);
        }
    }
}

/// The input of `send` for texts and numbers that no honest client would make.
pub(crate) fn send_input(to: &str, data_bytes: usize, on_fail: u8, expires: u64) -> Vec<u8> {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    let padded = |bytes: &[u8]| {
        let mut out = word(bytes.len() as u64).to_vec();
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    };
    let mut out = keccak256("send(string,bytes,uint64,uint8,uint64)")[..4].to_vec();
    let to = padded(to.as_bytes());
    for head in [160, 160 + to.len() as u64, 0, u64::from(on_fail), expires] {
        out.extend(word(head));
    }
    out.extend(to);
    out.extend(padded(&vec![1; data_bytes]));
    out
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_outbox_refuses_what_no_message_could_carry() {
    let world = World::start().await;
    let (contract, now) = (world.deployed.contract, world.node.now());
    let send = async |input: Vec<u8>| world.user.call(Some(contract), amount(5), input).await;
    let long = format!("b1c2x{}", "a".repeat(129));
    let many = format!("{}xa", "f".repeat(33));
    for to in [
        "",
        "b1c2",
        "x",
        "xa",
        "b1c2x",
        "0xab",
        "0b1c2xa",
        "B1C2xa",
        "b1g2xa",
        "b1c2Xa",
        "b1c2xa b",
        "b1c2xä",
        "b1c2xa\u{0}",
        "b1c2xa,",
        "b1c2xa`",
        "b1c2x[",
        "e2e4xa",
        &long,
        &many,
    ] {
        let error = send(send_input(to, 0, 0, 0)).await.unwrap_err();
        let named = error.to_string().contains(if to == "e2e4xa" { "OwnChain" } else { "NotAnA" });
        assert!(matches!(error, ChainError::Refused(_)) && named, "{to:?}: {error}");
    }
    assert!(send(send_input("b1c2xa", 65_537, 0, 0)).await.is_err(), "data");
    assert!(send(send_input("b1c2xa", 0, 2, 0)).await.is_err(), "on_fail");
    assert!(send(send_input("b1c2xa", 0, 0, now - 1)).await.is_err(), "expired");
    assert!(send(send_input("b1c2xa", 0, 0, now + 5 * 86_400 + 600)).await.is_err(), "too late");
    assert!(send(Vec::new()).await.is_err(), "a plain payment");
    assert!(send(send_input("b1c2xa", 65_536, 1, now + 600)).await.is_ok());
    assert_eq!(world.of_coin("openEscrow(address)").await, U256::from(5));
    let (outgoing, ..) = world.all().await;
    assert_eq!(outgoing.len(), 1);
    assert_eq!(outgoing[0].fields().sequence, 1, "what was refused took no number");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn only_final_blocks_are_seen_and_a_reorganisation_before_that_is_not() {
    let world = World::start().await;
    let (_, _, start) = world.all().await;
    let lost = world.send(&call_to("b1c2", "lost")).await;
    let early = of_messages(&world.evm, Some(start)).await;
    assert!(early.blocks.is_empty() && early.cursor.height > start.height, "{early:?}");
    world.node.rpc("anvil_reorg", &json!([1, []]));
    let kept = world.send(&call_to("b1c2", "kept")).await;
    assert_ne!(lost, kept);
    let (outgoing, _, cursor) = world.all().await;
    assert_eq!(outgoing.iter().map(Message::id).collect::<Vec<_>>(), [kept]);
    assert_eq!(outgoing[0].fields().sequence, 1, "the lost message left no gap");

    let other = Cursor { block: distpos_proto::chain::BlockHash([3; 32]), ..cursor };
    let error = world.evm.watch(Some(other)).await.unwrap_err();
    assert!(matches!(error, ChainError::OtherChain(_)), "{error}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn where_the_node_knows_no_finality_blocks_are_counted() {
    let world = World::start().await;
    let config =
        EvmConfig { finality: Finality::Confirmations(3), ..config(&world.node, &world.deployed) };
    let evm = Evm::open(config, key(GATEWAY)).await.unwrap();
    let id = world.send(&call_to("b1c2", "alice")).await;
    let height = |block: &serde_json::Value| {
        u64::from_str_radix(block.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let latest = height(&world.node.rpc("eth_blockNumber", &json!([])));
    assert_eq!(evm.head().await.unwrap().height.0, latest - 3);
    let before = of_messages(&evm, None).await;
    assert!(before.blocks.is_empty());
    // Waits for the third block after it, which comes while it waits.
    let mined = async { world.node.rpc("anvil_mine", &json!(["0x3"])) };
    let (after, _) = tokio::join!(evm.watch(Some(before.cursor)), mined);
    let after = after.unwrap();
    assert_eq!(after.cursor.height.0, latest);
    let sent: Vec<_> = after.blocks.iter().flat_map(|block| &block.outgoing).collect();
    assert_eq!((sent.len(), sent[0].id()), (1, id));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn messages_of_one_block_come_in_the_order_of_their_leaves() {
    let world = World::start().await;
    world.node.rpc("evm_setAutomine", &json!([false]));
    let from = local(key(USER).address());
    let contract = local(world.deployed.contract);
    for to in ["c3xa", "b1c2xb", "c3xc", "b1c2xd", "1xe"] {
        let data = data_encoding::HEXLOWER.encode(&send_input(to, 3, 0, 0));
        let transaction = json!([{
            "from": format!("0x{from}"), "to": format!("0x{contract}"),
            "data": format!("0x{data}"), "gas": "0x100000",
        }]);
        world.node.rpc("eth_sendTransaction", &transaction);
    }
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.finalize();
    let Watched { blocks, .. } = of_messages(&world.evm, None).await;
    assert_eq!(blocks.len(), 1);
    let order: Vec<_> = blocks[0]
        .outgoing
        .iter()
        .map(|message| (message.recipient().to_string(), message.fields().sequence))
        .collect();
    let expected = [("1xe", 1), ("c3xa", 1), ("c3xc", 2), ("b1c2xb", 1), ("b1c2xd", 2)];
    assert_eq!(order, expected.map(|(text, sequence)| (text.to_owned(), sequence)));

    let account = world.evm.account(&key(USER).local()).await.unwrap().unwrap();
    assert_eq!(account.nonce, 5);
    assert!(account.balance > Amount::ZERO);
    assert_eq!(world.evm.account(&"alice".parse().unwrap()).await.unwrap(), None);
    assert!(world.evm.has_role().await.unwrap());
    assert_eq!(world.evm.address(), key(GATEWAY).address());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_user_at_the_wrong_node_or_outbox_is_told_before_anything_is_signed() {
    let world = World::start().await;
    let (tag, contract) = (world.deployed.tag, world.deployed.contract);
    let user = Reader::connect(&world.node.url).unwrap();
    user.check_node(tag).await.unwrap();
    user.check_outbox(contract, chain("e2e4"), tag).await.unwrap();
    let other_chain = |found: Result<(), ChainError>| {
        assert!(matches!(found, Err(ChainError::OtherChain(_))), "{found:?}");
    };
    other_chain(user.check_node(PEER_TAG).await);
    other_chain(user.check_outbox(key(USER).address(), chain("e2e4"), tag).await);
    other_chain(user.check_outbox(contract, chain("b1c2"), tag).await);
    other_chain(user.check_outbox(contract, chain("e2e4"), PEER_TAG).await);
}

/// The input of `setAccount` with any text for an asset.
fn set_account_input(asset: &[u8]) -> Vec<u8> {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    let signature = "setAccount(string,string,address,bytes32,uint256,uint256,uint64)";
    let mut out = keccak256(signature)[..4].to_vec();
    let heads = [224, 288, 0, 1, 0, 0, 0].map(word);
    out.extend([heads.concat(), word(4).to_vec()].concat());
    out.extend(b"b1c2");
    out.resize(4 + 288, 0);
    out.extend(word(asset.len() as u64));
    out.extend(asset);
    out.resize(4 + (out.len() - 4).next_multiple_of(32), 0);
    out
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_peers_asset_is_one_that_a_message_can_name() {
    let world = World::start().await;
    let set = async |asset: &[u8]| {
        let input = set_account_input(asset);
        world.owner.call(Some(world.deployed.contract), Amount::ZERO, input).await
    };
    let long = |issuer, label| [vec![b'f'; issuer], vec![b'/'], vec![b'Z'; label]].concat();
    let wrong = [
        &b""[..],
        b"ETH",
        b"/",
        b"/coin",
        b"b1c2/",
        b"0b1c2/coin",
        b"B1C2/coin",
        b"xyz/coin",
        b"b1c2/co in",
        b"b1c2/coin/x",
        b"b1c2/c+n",
        b"b1c2/c:n",
        b"b1c2/c@n",
        b"b1c2/c[n",
        b"b1c2/c`n",
        b"b1c2/c{n",
        b"b1c2/c\0n",
        b"b1c2/\xc3\xa4",
        &long(33, 1),
        &long(32, 33),
    ];
    for asset in wrong {
        let text = std::str::from_utf8(asset).unwrap();
        assert!(text.parse::<distpos_proto::message::Asset>().is_err(), "{text:?}");
        let error = set(asset).await.unwrap_err();
        let named =
            matches!(&error, ChainError::Refused(_)) && error.to_string().contains("NotAnAsset");
        assert!(named, "{text:?}: {error}");
    }
    // What it takes, the other side can read in a message.
    let right = [&b"1/c"[..], b"b1c2/-._azAZ09", b"ffff0/_", &long(32, 32)];
    for asset in right {
        set(asset).await.unwrap();
        world.send(&UserCall { amount: amount(5), ..call_to("b1c2", "alice") }).await;
    }
    let (outgoing, ..) = world.all().await;
    let named =
        outgoing.iter().map(|m| m.fields().value.as_ref().unwrap().asset.as_str().as_bytes());
    assert_eq!(named.collect::<Vec<_>>(), right);
}
