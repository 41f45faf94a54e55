use alloy_primitives::{U256, keccak256};
use distpos_gateway::chain::{ChainEvent, LocalChain, Submission, evm::UserCall};
use distpos_proto::{
    amount::Amount,
    code::Code,
    key::{KeySet, SecretKey},
    message::{MessageId, Value},
    receipt::{Call, Ending, Outcome, Receipt},
};

use super::world::{USER, World, amount, call_to, chain, coin, ether, key};
use distpos_proto::chain::Height;

/// An ending by a signed receipt, as every ending but the unroutable comes about.
pub(crate) fn ending(id: MessageId, delivered: bool) -> Ending {
    let key = SecretKey::from_seed(&[4; 32]);
    let outcome = if delivered {
        Outcome::Delivered { height: Height(1), transaction: vec![1], call: Call::None }
    } else {
        Outcome::Refused { code: Code::CALL_REVERTS, text: String::new() }
    };
    let receipt = Receipt { id, source: chain("e2e4"), destination: chain("b1c2"), outcome };
    let keys = KeySet::new([key.public()], 1).unwrap();
    receipt.sign([&key]).verify(&keys).unwrap().ending()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_message_is_closed_or_refunded_once_and_never_both() {
    let world = World::start().await;
    let user = key(USER).address();
    let paid = |value| UserCall { amount: value, ..call_to("b1c2", "alice") };
    let arrived = world.send(&paid(ether(2))).await;
    let refused = world.send(&paid(ether(1))).await;
    let stranger = MessageId([5; 32]);
    let before = world.node.balance(user);
    let end = async |endings: Vec<Ending>| {
        world.evm.submit(Submission::End(endings)).await.unwrap();
    };
    end(vec![ending(arrived, true), ending(refused, false), ending(stranger, false)]).await;
    let one = U256::from_be_bytes(ether(1).to_word());
    assert_eq!(world.node.balance(user), before + one);
    // Repeated by another gateway, and contradicted.
    end(vec![ending(refused, false), ending(refused, true), ending(arrived, false)]).await;
    assert_eq!(world.node.balance(user), before + one);
    assert_eq!(world.of_coin("openEscrow(address)").await, U256::ZERO);
    let (_, events, _) = world.all().await;
    let value = Some(Value { asset: coin(), amount: ether(2), terms: None });
    let expected = [
        ChainEvent::Closed { id: arrived, destination: chain("b1c2"), value },
        ChainEvent::Refunded { id: refused },
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_was_delivered_there_pays_what_arrives_from_there() {
    let world = World::start().await;
    // No float beyond the 10 ether, and at most 5 more out than in: 6 has to wait at first.
    let to = "aa".repeat(20);
    let six = distpos_proto::message::Message::new(world.foreign.payment(1, &to, ether(6)));
    let six = six.unwrap();
    assert_eq!(world.deliver(&[&six]).await.refused[0].1.code, Code::SUSPENDED);
    let id = world.send(&UserCall { amount: ether(1), ..call_to("b1c2", "alice") }).await;
    assert_eq!(world.deliver(&[&six]).await.refused[0].1.code, Code::SUSPENDED, "not yet there");
    world.evm.submit(Submission::End(vec![ending(id, true)])).await.unwrap();
    assert_eq!(world.deliver(&[&six]).await.refused, []);
    assert_eq!(world.of_coin("free(address)").await, U256::from_be_bytes(ether(5).to_word()));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_refund_that_is_refused_can_be_claimed_later() {
    let world = World::start().await;
    let contract = world.deployed.contract;
    let sender = world.reverter(false).await;
    // The contract sends by `call(address to, bytes input)`, the input being a call of `send`.
    let word = |number: u64| U256::from(number).to_be_bytes::<32>().to_vec();
    let padded = |bytes: &[u8]| {
        let mut out = word(bytes.len() as u64);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    };
    let through = |input: &[u8]| {
        let mut out = keccak256("call(address,bytes)")[..4].to_vec();
        out.extend(contract.into_word());
        out.extend(word(64));
        out.extend(padded(input));
        out
    };
    let mut send = keccak256("send(string,bytes,uint64,uint8,uint64)")[..4].to_vec();
    for head in [160, 224, 0, 0, 0] {
        send.extend(word(head));
    }
    send.extend(padded(b"b1c2xalice"));
    send.extend(padded(b""));
    world.user.call(Some(sender), amount(500), through(&send)).await.unwrap();
    let (outgoing, ..) = world.all().await;
    let id = outgoing[0].id();
    world.evm.submit(Submission::End(vec![ending(id, false)])).await.unwrap();
    assert_eq!(world.node.balance(sender), U256::ZERO);
    assert_eq!(world.of_coin("owed(address)").await, U256::from(500));
    let free = U256::from_be_bytes(ether(10).to_word());
    assert_eq!(world.of_coin("free(address)").await, free, "what is owed pays nothing else");

    let wallet = alloy_primitives::Address::repeat_byte(0xdd);
    let mut claim = keccak256("claim(address,address)")[..4].to_vec();
    claim.extend([0; 32]);
    claim.extend(wallet.into_word());
    world.user.call(Some(sender), Amount::ZERO, through(&claim)).await.unwrap();
    world.user.call(Some(sender), Amount::ZERO, through(&claim)).await.unwrap_err();
    assert_eq!(world.node.balance(wallet), U256::from(500));
    assert_eq!(world.of_coin("owed(address)").await, U256::ZERO);
}

/// A contract that sends one wei to `b1c2` when it is made, and burns all gas of a payment that
/// is real, and none in an estimate.
async fn two_faced_sender(world: &World) {
    // GASPRICE PUSH1 5 JUMPI STOP; JUMPDEST PUSH1 5 JUMP
    let code = [0x3a, 0x60, 5, 0x57, 0, 0x5b, 0x60, 5, 0x56];
    let input = super::outbox::send_input("b1c2xalice", 0, 0, 0);
    let length = u16::try_from(input.len()).unwrap().to_be_bytes();
    // PUSH2 length PUSH2 offset PUSH1 0 CODECOPY
    let copy = [&[0x61], &length[..], &[0x61, 0, 65, 0x60, 0, 0x39]].concat();
    // PUSH1 0 PUSH1 0 PUSH2 length PUSH1 0 CALLVALUE PUSH20 contract GAS CALL, or INVALID
    let send = [&[0x60, 0, 0x60, 0, 0x61], &length[..], &[0x60, 0, 0x34, 0x73]].concat();
    let contract = world.deployed.contract;
    let send = [&send[..], contract.as_slice(), &[0x5a, 0xf1, 0x60, 46, 0x57, 0xfe, 0x5b]].concat();
    // PUSH9 code PUSH1 0 MSTORE PUSH1 9 PUSH1 23 RETURN
    let made = [&[0x68], &code[..], &[0x60, 0, 0x52, 0x60, 9, 0x60, 23, 0xf3]].concat();
    let creation = [copy, send, made].concat();
    assert_eq!(creation.len(), 65);
    let creation = [creation, input].concat();
    world.owner.call(None, amount(1), creation).await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_sender_that_cheats_the_estimate_holds_up_nobody_elses_refund() {
    let world = World::start().await;
    for _ in 0..8 {
        two_faced_sender(&world).await;
    }
    let honest = world.send(&UserCall { amount: amount(7), ..call_to("b1c2", "alice") }).await;
    let (outgoing, ..) = world.all().await;
    assert_eq!(outgoing.len(), 9);
    assert_eq!(outgoing[8].id(), honest);
    let endings = outgoing.iter().map(|message| ending(message.id(), false)).collect();
    let submitted = world.evm.submit(Submission::End(endings)).await.unwrap();
    assert_eq!(submitted.refused, []);
    assert_eq!(world.of_coin("openEscrow(address)").await, U256::ZERO);
    assert_eq!(world.of_coin("owed(address)").await, U256::from(8), "they refused theirs");
}
