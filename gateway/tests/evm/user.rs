//! A user's own transactions and commands at a real node.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::U256;
use async_trait::async_trait;
use distpos_gateway::{
    chain::{
        ChainEvent, LocalChain,
        evm::{
            Evm, UserCall,
            user::{TransactionHash, Wallet, WalletError},
        },
    },
    outbound::simulate::{Asked, Forecast},
    submit::{DryRuns, MessageStatus, MessageView, serve},
};
use distpos_proto::{
    amount::Amount,
    code::{Code, Reply},
    message::{Fields, Message, MessageId},
    receipt::Call,
};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::watch};

use super::world::{GATEWAY, USER, World, amount, call_to, config, ether, key, local};

async fn wallet(world: &World) -> Wallet {
    Wallet::connect(&world.node.url, key(USER)).await.unwrap()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_hash_is_told_before_the_transaction_leaves_and_a_slow_chain_loses_nothing() {
    let world = World::start().await;
    let contract = world.deployed.contract;
    let wallet = wallet(&world).await.waiting_at_most(Duration::from_millis(600));
    let told = Mutex::new(Vec::new());
    let tell = |hash: &TransactionHash| told.lock().unwrap().push(*hash);
    let call = UserCall { amount: amount(5), ..call_to("b1c2", "alice") };
    let (hash, _) = wallet.send(contract, &call, &tell).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [hash]);

    world.node.rpc("evm_setAutomine", &json!([false]));
    let waiting = wallet.send(contract, &call, &tell).await.unwrap_err();
    let second = told.lock().unwrap()[1];
    let WalletError::Waiting { transaction, why } = &waiting else { panic!("{waiting}") };
    assert_eq!(*transaction, second);
    assert!(why.ends_with("the node has it, and no block has taken it"), "{why}");
    assert!(waiting.to_string().contains("look it up before you send again"), "{waiting}");

    let third = wallet.transfer(key(GATEWAY).address(), amount(1), &tell).await.unwrap_err();
    let WalletError::Waiting { why, .. } = &third else { panic!("{third}") };
    assert!(why.contains("has to come before it"), "{why}");

    // What was signed arrives as it is, once blocks are made again.
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.rpc("anvil_mine", &json!(["0x2"]));
    let hash = format!("0x{}", data_encoding::HEXLOWER.encode(&second));
    let receipt = world.node.rpc("eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["status"], "0x1", "{receipt}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_transaction_that_its_node_has_dropped_is_said_to_be_gone() {
    let world = World::start().await;
    let wallet = wallet(&world).await.waiting_at_most(Duration::from_secs(1));
    world.node.rpc("evm_setAutomine", &json!([false]));
    let quiet = |_: &TransactionHash| {};
    let rises = async {
        while world.node.rpc("txpool_status", &json!([]))["pending"] == "0x0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.node.rpc("anvil_setNextBlockBaseFeePerGas", &json!(["0xe8d4a51000"]));
        world.node.rpc("anvil_mine", &json!(["0x1"]));
    };
    let sent = wallet.transfer(key(GATEWAY).address(), amount(1), &quiet);
    let (sent, ()) = tokio::join!(sent, rises);
    let waiting = sent.unwrap_err();
    let WalletError::Waiting { why, .. } = &waiting else { panic!("{waiting}") };
    // Anvil throws away what no longer pays; geth keeps it, and its price is named.
    assert!(why.ends_with("and the node does not know it any more"), "{why}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_the_contract_would_refuse_is_told_before_anything_is_signed() {
    let world = World::start().await;
    let contract = world.deployed.contract;
    let wallet = wallet(&world).await;
    let cost = wallet.send_cost(contract, &call_to("b1c2", "alice")).await.unwrap();
    assert!((60_000..400_000).contains(&cost.gas), "{cost:?}");
    assert!(cost.fee > Amount::from(cost.gas), "more than a wei for each: {cost:?}");
    for (call, reason) in [
        (call_to("e2e4", "alice"), "OwnChain()"),
        (UserCall { expires: Some(5), ..call_to("b1c2", "alice") }, "Expires()"),
        (UserCall { amount: ether(1_000_000), ..call_to("b1c2", "alice") }, "nsufficient"),
    ] {
        let unsigned = |_: &TransactionHash| panic!("nothing is signed");
        let quoted = wallet.send_cost(contract, &call).await.unwrap_err().to_string();
        assert!(quoted.contains(reason), "{quoted}");
        let refused = wallet.send(contract, &call, &unsigned).await.unwrap_err();
        assert!(matches!(&refused, WalletError::Refused(why) if why.contains(reason)), "{refused}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn estimated_gas_is_enough_for_the_call_and_nobody_pays_for_none() {
    let world = World::start().await;
    let (echo, reverter) = (world.echo().await, world.reverter(true).await);
    let with_data = |sequence, account| Fields {
        data: vec![0x5a; 700],
        ..world.foreign.message(sequence, &local(account))
    };
    let estimate = async |fields: &Fields| {
        world.evm.estimate(&Message::new(fields.clone()).unwrap()).await.unwrap()
    };
    let gas = estimate(&with_data(u64::MAX, echo)).await.unwrap();
    assert!((30_000..2_000_000).contains(&gas), "{gas}");
    let enough = Message::new(Fields { gas, ..with_data(1, echo) }).unwrap();
    let little = Message::new(Fields { gas: 3_000, ..with_data(2, echo) }).unwrap();
    world.deliver(&[&enough, &little]).await;
    let (_, events, _) = world.all().await;
    let calls: Vec<bool> = events
        .iter()
        .map(|event| matches!(event, ChainEvent::Delivered { call: Call::Ok, .. }))
        .collect();
    assert_eq!(calls, [true, false], "{events:?}");
    assert_eq!(estimate(&with_data(3, key(USER).address())).await, Some(0), "no contract");
    assert_eq!(estimate(&world.foreign.message(4, &local(echo))).await, Some(0), "no data");
    assert_eq!(estimate(&with_data(5, reverter)).await, None, "it reverts");
    assert_eq!(estimate(&world.foreign.message(6, "nobody")).await, None);
}

/// Nothing that was sent is known here.
struct Unknown;

impl MessageStatus for Unknown {
    fn message(&self, _: MessageId) -> Option<MessageView> {
        None
    }

    fn by_transaction(&self, _: &[u8]) -> Vec<MessageId> {
        Vec::new()
    }
}

#[async_trait]
impl DryRuns for Unknown {
    async fn dry_run(&self, _: Asked) -> Result<Forecast, Reply> {
        let reply = Reply::new(Code::DELIVERED, "would be delivered");
        Ok(Forecast { gateway: Some("gw.b1c2.example:7333".into()), reply, gas: Some(48_000) })
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs anvil"]
async fn the_users_command_shows_the_cost_and_sends_from_a_keystore() {
    let world = World::start().await;
    let evm = Evm::open(config(&world.node, &world.deployed), key(GATEWAY)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("http://{}", listener.local_addr().unwrap());
    let (_stop, stopped) = watch::channel(false);
    let unknown = Arc::new(Unknown);
    tokio::spawn(serve(listener, Arc::new(evm), unknown.clone(), unknown, None, stopped));
    let home = tempfile::tempdir().unwrap();
    for (name, text) in [("key", key(USER).to_hex().to_string()), ("password", "rose".into())] {
        let file = home.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let run = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-send"));
        command.args(arguments).current_dir(&home).output().unwrap()
    };
    let send = |arguments: &[&str], key: &[&str]| {
        let at = ["--gateway", &gateway, "--rpc", &world.node.url];
        run(&[arguments, key, &at].concat())
    };
    let plain = ["--key", "key"];
    let order = ["b1c2xalice", "--amount", "0.5eth", "--data", "(uint256) 7", "--gas", "auto"];
    let before = world.node.balance(key(USER).address());
    let dry = send(&[&order[..], &["--dry-run", "--json"]].concat(), &plain);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    let dry: Json = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&dry["gas"], &dry["destination"]["gas"]), (&48_000.into(), &48_000.into()));
    assert!(dry["own"]["gas"].as_u64().unwrap() > 60_000, "{dry}");
    let fee: U256 = dry["own"]["fee"].as_str().unwrap().parse().unwrap();
    assert!(fee > U256::from(60_000) && dry["own"]["accepted"] == true, "{dry}");
    assert_eq!(world.node.balance(key(USER).address()), before, "nothing was sent");
    let rich = send(&["b1c2xalice", "--amount", "99999999eth", "--dry-run"], &plain);
    assert_eq!(rich.status.code(), Some(69), "{rich:?}");
    assert!(String::from_utf8_lossy(&rich.stdout).contains("own chain    would refuse it: "));

    // A key of one's own, sealed, is paid and pays.
    let made = run(&["keygen", "--evm", "sealed.json", "--password", "password"]);
    let account = format!("0x{}", String::from_utf8(made.stdout).unwrap().trim());
    let paid = send(&[&account, "--amount", "2eth"], &plain);
    assert_eq!(paid.status.code(), Some(0), "{paid:?}");
    let sealed = ["--key", "sealed.json", "--password", "password"];
    let sent = send(&[&order[..], &["--json"]].concat(), &sealed);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let told = String::from_utf8(sent.stderr).unwrap();
    let sent: Json = serde_json::from_slice(&sent.stdout).unwrap();
    let hash = sent["transaction"].as_str().unwrap();
    assert_eq!(told, format!("distpos-send: transaction 0x{hash}\n"));
    let (outgoing, _, _) = world.all().await;
    let fields = outgoing[0].fields();
    assert_eq!((fields.gas, fields.data.last()), (48_000, Some(&7)));
    assert_eq!(outgoing[0].id().to_string(), sent["id"]);
    assert_eq!(sent["from"], format!("e2e4x{}", &account[2..]));
}
