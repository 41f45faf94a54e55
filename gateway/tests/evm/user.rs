//! A user's own transactions at a real node.

use std::{sync::Mutex, time::Duration};

use alloy_primitives::{Address, U256, keccak256};
use distpos_gateway::chain::{
    ChainEvent, LocalChain, Submission,
    evm::{
        TokenAccount, UserCall,
        user::{TransactionHash, Wallet, WalletError},
    },
};
use distpos_proto::{
    amount::Amount,
    message::{Fields, Message},
    receipt::Call,
};
use serde_json::json;

use super::{
    ends::ending,
    world::{GATEWAY, TERMS, USER, World, amount, call_to, chain, coin, ether, key, local},
};

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
        (call_to("e2e4", "alice"), "OwnChain: this is the contract"),
        (UserCall { expires: Some(5), ..call_to("b1c2", "alice") }, "Expires: "),
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

/// Ten of an example token for the user, counted with `b1c2` under a name of its own.
pub(crate) async fn token(world: &World, artefact: &str, name: &str) -> Address {
    let token = world.recipient(artefact, &[]).await;
    let mint = [
        &keccak256("mint(address,uint256)")[..4],
        &key(USER).address().into_word().0,
        &U256::from(10_000_000).to_be_bytes::<32>(),
    ];
    world.owner.call(Some(token), Amount::ZERO, mint.concat()).await.unwrap();
    let account = TokenAccount {
        asset: format!("e2e4/{name}").parse().unwrap(),
        token,
        ..TokenAccount::coin(coin(), TERMS, ether(1))
    };
    let contract = world.deployed.contract;
    world.owner.set_account(contract, chain("b1c2"), &account).await.unwrap();
    token
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_token_is_allowed_exactly_and_sent_however_stubborn_it_is() {
    let world = World::start().await;
    let (wallet, contract) = (wallet(&world).await, world.deployed.contract);
    let (reader, own) = (wallet.reader(), wallet.address());
    let told = Mutex::new(0);
    let tell = |_: &TransactionHash| *told.lock().unwrap() += 1;
    let call = |value| UserCall { amount: amount(value), ..call_to("b1c2", "alice") };
    let mut names = Vec::new();
    for (name, artefact) in [
        ("plain", include_str!("../../contracts/artefacts/Token.json")),
        ("mute", include_str!("../../contracts/artefacts/NoReturnToken.json")),
        ("reset", include_str!("../../contracts/artefacts/ResetToken.json")),
    ] {
        let token = token(&world, artefact, name).await;
        let asset = reader.asset_for(contract, chain("b1c2"), token).await.unwrap();
        assert_eq!(asset.unwrap().to_string(), format!("e2e4/{name}"));
        // The allowance first: what the message costs, no node can say before.
        let cost = wallet.token_cost(contract, token, &call(700)).await.unwrap();
        assert!(cost.allowance.is_some() && cost.message.is_none(), "{cost:?}");
        *told.lock().unwrap() = 0;
        wallet.send_token(contract, token, &call(700), &tell).await.unwrap();
        assert_eq!(*told.lock().unwrap(), 2, "{name}: allowance and message");
        assert_eq!(reader.allowance(token, own, contract).await.unwrap(), Amount::ZERO);
        // An older allowance that is too small, and one that is enough.
        let approve = [
            &keccak256("approve(address,uint256)")[..4],
            &contract.into_word().0,
            &U256::from(5).to_be_bytes::<32>(),
        ];
        world.user.call(Some(token), Amount::ZERO, approve.concat()).await.unwrap();
        *told.lock().unwrap() = 0;
        wallet.send_token(contract, token, &call(6), &tell).await.unwrap();
        assert_eq!(*told.lock().unwrap(), if name == "reset" { 3 } else { 2 }, "{name}");
        world.user.call(Some(token), Amount::ZERO, approve.concat()).await.unwrap();
        let cost = wallet.token_cost(contract, token, &call(5)).await.unwrap();
        assert!(cost.allowance.is_none() && cost.message.is_some(), "{cost:?}");
        *told.lock().unwrap() = 0;
        wallet.send_token(contract, token, &call(5), &tell).await.unwrap();
        assert_eq!(*told.lock().unwrap(), 1, "{name}: the message alone");
        let left = reader.token_balance(token, own).await.unwrap();
        assert_eq!(left, amount(10_000_000 - 711), "{name}");
        let poor = wallet.send_token(contract, token, &call(20_000_000), &tell).await;
        assert!(matches!(poor, Err(WalletError::Refused(_))), "{poor:?}");
        names.push(name);
    }
    let (outgoing, _, _) = world.all().await;
    let sent: Vec<String> = outgoing
        .iter()
        .map(|message| format!("{:?}", message.fields().value.as_ref().unwrap()))
        .collect();
    assert_eq!(sent.len(), 3 * names.len(), "{sent:?}");
    let token = reader.token(contract).await;
    assert!(matches!(token, Err(WalletError::Refused(_))), "the outbox is no token: {token:?}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_refund_that_a_token_refuses_waits_for_its_owner() {
    let world = World::start().await;
    let (wallet, contract) = (wallet(&world).await, world.deployed.contract);
    let (reader, own) = (wallet.reader(), wallet.address());
    let artefact = include_str!("../../contracts/artefacts/FalseToken.json");
    let token = token(&world, artefact, "false").await;
    let quiet = |_: &TransactionHash| {};
    let call = UserCall { amount: amount(40), ..call_to("b1c2", "alice") };
    let (_, id) = wallet.send_token(contract, token, &call, &quiet).await.unwrap();
    let freeze = async |on: u8| {
        let word = U256::from(on).to_be_bytes::<32>();
        let input = [&keccak256("freeze(bool)")[..4], &word].concat();
        world.owner.call(Some(token), Amount::ZERO, input).await.unwrap();
    };
    freeze(1).await;
    world.evm.submit(Submission::End(vec![ending(id, false)])).await.unwrap();
    assert_eq!(reader.claimable(contract, own, token).await.unwrap(), amount(40));
    // While it is frozen it says no, and nothing is signed for it.
    let unsigned = |_: &TransactionHash| panic!("nothing is signed");
    let refused = wallet.claim(contract, token, own, &unsigned).await.unwrap_err();
    assert!(matches!(&refused, WalletError::Refused(_)), "{refused}");
    let to = key(GATEWAY).address();
    let refused = wallet.transfer_token(token, to, amount(1), &unsigned).await.unwrap_err();
    assert!(refused.to_string().ends_with("says no"), "{refused}");

    freeze(0).await;
    wallet.claim(contract, token, to, &quiet).await.unwrap();
    assert_eq!(reader.claimable(contract, own, token).await.unwrap(), Amount::ZERO);
    assert_eq!(reader.token_balance(token, to).await.unwrap(), amount(40));
}
