//! Two gateways of one chain that must agree: they meet on the chain.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use distpos_gateway::chain::{
    ChainError, ChainEvent, FinalBlock, LocalChain, Proposal, Simulation, Submission,
    evm::{Evm, Operator, UserCall, Wallet},
};
use distpos_proto::{
    code::{Code, Reply},
    message::{Message, MessageId},
};

use distpos_spool::Spool;
use serde_json::json;

use super::{
    ends::ending,
    world::{
        GATEWAY, OWNER, SECOND, USER, World, amount, call_to, config, ether, key, local,
        of_messages,
    },
};

/// The world of one gateway, to which a second is added, and both must agree.
async fn two() -> (World, Evm) {
    let world = World::start().await;
    let contract = world.deployed.contract;
    let second = key(SECOND).address();
    world.owner.set_gateway(contract, second, true).await.unwrap();
    world.owner.set_required(contract, 2).await.unwrap();
    let evm = Evm::open(config(&world.node, &world.deployed), key(SECOND)).await.unwrap();
    (world, evm)
}

/// All final blocks as one gateway sees them.
async fn blocks(world: &World, evm: &Evm) -> Vec<FinalBlock> {
    world.node.finalize();
    let head = evm.head().await.unwrap();
    let (mut blocks, mut after) = (Vec::new(), None);
    loop {
        let watched = of_messages(evm, after).await;
        blocks.extend(watched.blocks);
        if watched.cursor.height >= head.height {
            return blocks;
        }
        after = Some(watched.cursor);
    }
}

async fn proposals(world: &World, evm: &Evm) -> Vec<Proposal> {
    blocks(world, evm).await.into_iter().flat_map(|block| block.proposals).collect()
}

async fn events(world: &World) -> Vec<ChainEvent> {
    blocks(world, &world.evm).await.into_iter().flat_map(|block| block.events).collect()
}

async fn deliver(world: &World, evm: &Evm, message: &Message) {
    let admitted = vec![world.foreign.admitted(message)];
    let submitted = evm.submit(Submission::Deliver(admitted)).await.unwrap();
    assert_eq!(submitted.refused, []);
}

fn payment(world: &World, sequence: u64, recipient: Address) -> Message {
    Message::new(world.foreign.payment(sequence, &local(recipient), amount(7))).unwrap()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn one_gateway_proposes_a_delivery_and_the_second_makes_it() {
    let (world, second) = two().await;
    let wallet = Address::repeat_byte(0xaa);
    let message = payment(&world, 1, wallet);
    assert_eq!(world.evm.simulate(&message).await.unwrap(), Simulation::Passes);
    deliver(&world, &world.evm, &message).await;
    assert_eq!(world.node.balance(wallet), U256::ZERO, "one is not enough");
    let waits = Reply::new(Code::NOT_NOW, "awaits other gateways");
    assert_eq!(world.evm.simulate(&message).await.unwrap(), Simulation::Deferred(waits));

    // The other one learns of it from the chain; its own proposals tell a gateway nothing.
    let wanted = [Proposal::Inbound(Box::new(message.clone()))];
    assert_eq!(proposals(&world, &second).await, wanted);
    assert_eq!(proposals(&world, &world.evm).await, []);

    assert_eq!(second.simulate(&message).await.unwrap(), Simulation::Passes);
    deliver(&world, &second, &message).await;
    assert_eq!(world.node.balance(wallet), U256::from(7));
    let found = events(&world).await;
    assert!(matches!(&found[..], [ChainEvent::Delivered { id, .. }] if *id == message.id()));
    assert_eq!(second.simulate(&message).await.unwrap(), Simulation::Ended);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_same_gateway_twice_is_one_gateway() {
    let (world, _) = two().await;
    let wallet = Address::repeat_byte(0xaa);
    let message = payment(&world, 1, wallet);
    let void = || world.foreign.void(&message, Reply::new(Code::CALL_REVERTS, "no"));
    for _ in 0..3 {
        let admitted = vec![world.foreign.admitted(&message)];
        world.evm.submit(Submission::Deliver(admitted)).await.unwrap();
        world.evm.submit(void()).await.unwrap();
    }
    assert_eq!(world.node.balance(wallet), U256::ZERO);
    assert_eq!(events(&world).await, []);
    let gas = |block: &str| world.node.rpc("eth_getBlockByNumber", &json!([block, false]));
    let before = gas("latest")["number"].clone();
    world.evm.submit(void()).await.unwrap();
    assert_eq!(gas("latest")["number"], before, "what is approved already costs no transaction");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn two_accounts_of_one_gateway_are_one_voice() {
    let (world, _) = two().await;
    let keys = vec![key(GATEWAY), key(SECOND)];
    let wallet = Wallet::new(keys, Arc::new(Spool::in_memory()));
    let both = Evm::open(config(&world.node, &world.deployed), wallet).await.unwrap();
    let recipient = Address::repeat_byte(0xaa);
    let [one, two] = [1, 2].map(|sequence| payment(&world, sequence, recipient));
    let deliver = |messages: &[&Message]| {
        let admitted = messages.iter().map(|message| world.foreign.admitted(message)).collect();
        both.submit(Submission::Deliver(admitted))
    };
    let pending = async |count: &str| {
        while world.node.rpc("txpool_status", &json!([]))["pending"] != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    world.node.rpc("evm_setAutomine", &json!([false]));
    let later = async {
        // The first account has something to do now: the second would take this.
        pending("0x1").await;
        let together = async {
            pending("0x2").await;
            world.node.rpc("evm_mine", &json!([]));
        };
        tokio::join!(deliver(&[&one, &two]), together).0
    };
    let (alone, together) = tokio::join!(deliver(&[&one]), later);
    alone.unwrap();
    together.unwrap();
    assert_eq!(world.node.balance(recipient), U256::ZERO);
    assert_eq!(events(&world).await, []);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_void_and_a_refund_need_both_as_well() {
    let (world, second) = two().await;
    let message = payment(&world, 1, Address::repeat_byte(0xaa));
    let void = || world.foreign.void(&message, Reply::new(Code::CALL_REVERTS, "no"));
    world.evm.submit(void()).await.unwrap();
    let wanted = [Proposal::Inbound(Box::new(message.clone()))];
    assert_eq!(proposals(&world, &second).await, wanted);
    second.submit(void()).await.unwrap();

    let call = UserCall { amount: ether(1), ..call_to("b1c2", "alice") };
    let [closed, refunded]: [MessageId; 2] = [world.send(&call).await, world.send(&call).await];
    let user = world.node.balance(key(USER).address());
    let end = || vec![ending(closed, true), ending(refunded, false)];
    world.evm.submit(Submission::End(end())).await.unwrap();
    assert_eq!(world.node.balance(key(USER).address()), user, "one is not enough");
    let wanted = [Proposal::Outbound(closed), Proposal::Outbound(refunded)];
    assert_eq!(proposals(&world, &second).await[1..], wanted);
    second.submit(Submission::End(end())).await.unwrap();
    let one = U256::from_be_bytes(ether(1).to_word());
    assert_eq!(world.node.balance(key(USER).address()), user + one);
    let found = events(&world).await;
    let [ChainEvent::Voided { id, .. }, ChainEvent::Closed { .. }, ChainEvent::Refunded { .. }] =
        &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(*id, message.id());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_gateway_that_was_removed_has_no_say_and_cannot_be_missed() {
    let (world, second) = two().await;
    let (contract, wallet) = (world.deployed.contract, Address::repeat_byte(0xaa));
    let message = payment(&world, 1, wallet);
    deliver(&world, &world.evm, &message).await;
    world.owner.set_gateway(contract, world.evm.address(), false).await.unwrap();
    // What it said before does not count either; and alone the second moves nothing.
    deliver(&world, &second, &message).await;
    assert_eq!(world.node.balance(wallet), U256::ZERO);
    let admitted = vec![world.foreign.admitted(&message)];
    let error = world.evm.submit(Submission::Deliver(admitted)).await.unwrap_err();
    assert!(matches!(&error, ChainError::Garbage { .. }), "{error}");
    // The owner decides that one is enough: the next call is all it takes.
    let stranger = Operator::connect(&world.node.url, key(USER)).await.unwrap();
    let refused = stranger.set_required(contract, 1).await.unwrap_err();
    assert!(refused.to_string().contains("NotOwner"), "{refused}");
    assert_eq!(world.owner.address(), key(OWNER).address());
    world.owner.set_required(contract, 1).await.unwrap();
    deliver(&world, &second, &message).await;
    assert_eq!(world.node.balance(wallet), U256::from(7));
}
