use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use distpos_gateway::chain::{
    ChainError, ChainEvent, LocalChain, Simulation, Submission, evm::TokenAccount,
};
use distpos_proto::{
    amount::Amount,
    code::{Code, Reply},
    message::{Fields, Message, OnFail, TermsHash},
    receipt::Call,
    time::UnixSeconds,
};
use serde_json::json;

use super::world::{World, amount, chain, config, ether, key, local, now};

fn message(fields: Fields) -> Message {
    Message::new(fields).unwrap()
}

/// An account that never sends, so that its balance tells what arrived.
fn wallet(number: u8) -> Address {
    Address::repeat_byte(number)
}

async fn simulated(world: &World, message: &Message) -> Simulation {
    world.evm.simulate(message).await.unwrap()
}

fn delivered(event: &ChainEvent) -> (distpos_proto::message::MessageId, Amount, Call) {
    let ChainEvent::Delivered { id, source, value, transaction, call } = event else {
        panic!("{event:?}")
    };
    assert_eq!((*source, transaction.len()), (chain("b1c2"), 32));
    (*id, value.as_ref().map_or(Amount::ZERO, |value| value.amount), *call)
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn value_and_data_arrive_once_however_often_they_are_delivered() {
    let world = World::start().await;
    let echo = world.echo().await;
    let plain = message(world.foreign.payment(1, &local(wallet(0xaa)), ether(1)));
    let call = message(Fields {
        data: b"hello".to_vec(),
        gas: 400_000,
        ..world.foreign.payment(2, &local(echo), amount(77))
    });
    let note = message(Fields {
        data: b"only a note".to_vec(),
        ..world.foreign.message(3, &local(wallet(0xbb)))
    });
    for message in [&plain, &call, &note] {
        assert_eq!(simulated(&world, message).await, Simulation::Passes);
    }
    let submitted = world.deliver(&[&plain, &call, &note]).await;
    assert_eq!(submitted.refused, []);
    for _ in 0..2 {
        let again = world.deliver(&[&note, &plain, &call, &call]).await;
        assert_eq!(again.refused, [], "an id in the guard is passed over");
    }
    assert_eq!(simulated(&world, &plain).await, Simulation::Ended);

    assert_eq!(world.node.balance(wallet(0xaa)), U256::from_be_bytes(ether(1).to_word()));
    assert_eq!(world.node.balance(echo), U256::from(77));
    assert_eq!(world.number(echo, "count()").await, U256::from(1));
    assert_eq!(world.word(echo, "id()").await, call.id().0);
    assert_eq!(world.text(echo, "source()").await, "b1c2");
    assert_eq!(world.text(echo, "sender()").await, "b1c2xalice", "the sender with its chain");
    assert_eq!(world.text(echo, "asset()").await, "e2e4/coin");
    assert_eq!(world.text(echo, "data()").await, "hello");
    assert_eq!(world.number(echo, "amount()").await, U256::from(77));

    let (_, events, _) = world.all().await;
    let found: Vec<_> = events.iter().map(delivered).collect();
    let expected = [
        (plain.id(), ether(1), Call::None),
        (call.id(), amount(77), Call::Ok),
        (note.id(), Amount::ZERO, Call::None),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_recipient_answers_from_within_its_call() {
    let world = World::start().await;
    let echo = world.echo().await;
    let question = message(Fields {
        data: b"answer".to_vec(),
        gas: 900_000,
        ..world.foreign.message(1, &local(echo))
    });
    world.deliver(&[&question]).await;
    let (outgoing, events, _) = world.all().await;
    assert_eq!(delivered(&events[0]).2, Call::Ok);
    assert_eq!(outgoing.len(), 1);
    assert_eq!(outgoing[0].recipient().to_string(), "b1c2xalice");
    assert_eq!(outgoing[0].fields().sender.as_str(), local(echo));
    assert_eq!(outgoing[0].fields().data, b"answered");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_failed_call_undoes_the_payment_or_keeps_it_as_the_sender_said() {
    let world = World::start().await;
    let reverter = world.reverter(true).await;
    let refuser = world.reverter(false).await;
    let fails = |sequence, recipient, data: &[u8], on_fail| {
        let data = data.to_vec();
        let fields = world.foreign.payment(sequence, &local(recipient), amount(1000));
        message(Fields { data, gas: 100_000, on_fail, ..fields })
    };
    let back = fails(1, reverter, b"x", OnFail::Return);
    let kept = fails(2, reverter, b"x", OnFail::Keep);
    let burnt = fails(3, reverter, b"burn", OnFail::Keep);
    let unpaid = fails(4, refuser, b"", OnFail::Keep);
    let nobody = fails(5, wallet(0xcc), b"call me", OnFail::Return);

    let reply = Reply::new(Code::CALL_REVERTS, "call reverts: not today");
    assert_eq!(simulated(&world, &back).await, Simulation::Refused(reply));
    assert_eq!(simulated(&world, &kept).await, Simulation::Passes);
    let reply = Reply::new(Code::UNKNOWN_RECIPIENT, "recipient refuses payment");
    assert_eq!(simulated(&world, &unpaid).await, Simulation::Refused(reply));

    let submitted = world.deliver(&[&back, &kept, &burnt, &unpaid, &nobody]).await;
    assert_eq!(submitted.refused, []);
    assert_eq!(world.node.balance(reverter), U256::from(2000));
    assert_eq!(world.node.balance(refuser), U256::ZERO);
    assert_eq!(world.node.balance(wallet(0xcc)), U256::ZERO);
    let (_, events, _) = world.all().await;
    assert_eq!(delivered(&events[1]), (kept.id(), amount(1000), Call::Failed));
    assert_eq!(delivered(&events[2]), (burnt.id(), amount(1000), Call::Failed));
    let voided = |event: &ChainEvent| match event {
        ChainEvent::Voided { id, code, text, .. } => (*id, *code, text.clone()),
        other => panic!("{other:?}"),
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(voided(&events[0]), (back.id(), Code::CALL_REVERTS, text("call reverts")));
    let refused = (unpaid.id(), Code::UNKNOWN_RECIPIENT, text("recipient refuses payment"));
    assert_eq!(voided(&events[3]), refused);
    assert_eq!(voided(&events[4]).1, Code::UNKNOWN_RECIPIENT);
    assert_eq!(simulated(&world, &back).await, Simulation::Ended, "void is for ever");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_void_id_is_never_delivered_and_a_delivered_one_never_void() {
    let world = World::start().await;
    let first = message(world.foreign.payment(1, &local(wallet(0xaa)), amount(5)));
    let second = message(world.foreign.payment(2, &local(wallet(0xbb)), amount(5)));
    let reply = Reply::new(Code::POLICY, "ä".repeat(120));
    world.evm.submit(world.foreign.void(&first, reply.clone())).await.unwrap();
    world.deliver(&[&first, &second]).await;
    world.evm.submit(world.foreign.void(&second, reply)).await.unwrap();
    assert_eq!(world.node.balance(wallet(0xaa)), U256::ZERO);
    assert_eq!(world.node.balance(wallet(0xbb)), U256::from(5));
    let (_, events, _) = world.all().await;
    let [ChainEvent::Voided { id, source, code, text }, end] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*id, *source, *code), (first.id(), chain("b1c2"), Code::POLICY));
    assert_eq!(text, &"ä".repeat(100));
    assert_eq!(delivered(end).0, second.id());
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_may_not_be_delivered_is_skipped_with_its_reason() {
    let world = World::start().await;
    let (contract, to) = (world.deployed.contract, local(wallet(0xaa)));
    let executor = Address::from_word(world.word(contract, "executor()").await.into());
    let pay = |sequence, value| world.foreign.payment(sequence, &to, value);
    let plain = |sequence, recipient: &str| world.foreign.message(sequence, recipient);
    let mut other_asset = pay(1, amount(5));
    other_asset.value.as_mut().unwrap().asset = "b1c2/coin".parse().unwrap();
    let mut other_terms = pay(3, amount(5));
    other_terms.value.as_mut().unwrap().terms = Some(TermsHash([1; 32]));
    let wrong = |fields, code| (message(fields), code);
    let cases = [
        wrong(other_asset, Code::NO_ACCOUNT),
        wrong(pay(2, Amount::from_word([255; 32])), Code::VALUE_MAX),
        wrong(other_terms, Code::NO_ACCOUNT),
        wrong(plain(4, "alice"), Code::BAD_ADDRESS),
        wrong(plain(5, &local(contract)), Code::UNKNOWN_RECIPIENT),
        wrong(plain(6, &local(executor)), Code::UNKNOWN_RECIPIENT),
        wrong(plain(7, &local(Address::ZERO)), Code::UNKNOWN_RECIPIENT),
        wrong(plain(8, &local(Address::with_last_byte(9))), Code::UNKNOWN_RECIPIENT),
        wrong(Fields { gas: 5_000_001, ..plain(9, &to) }, Code::TOO_BIG),
        wrong(Fields { expires: UnixSeconds(now().0 - 60), ..plain(10, &to) }, Code::EXPIRED),
    ];
    for (message, code) in &cases {
        match simulated(&world, message).await {
            Simulation::Refused(reply) => assert_eq!(reply.code, *code, "{reply}"),
            other => panic!("{other:?}, expected {code}"),
        }
    }
    let good = message(pay(11, amount(5)));
    let mut all: Vec<_> = cases.iter().map(|(message, _)| message).collect();
    all.push(&good);
    let submitted = world.deliver(&all).await;
    let found: Vec<_> = submitted.refused.iter().map(|(id, reply)| (*id, reply.code)).collect();
    let expected: Vec<_> = cases.iter().map(|(message, code)| (message.id(), *code)).collect();
    assert_eq!(found, expected);
    assert_eq!(world.node.balance(wallet(0xaa)), U256::from(5), "the others are not held up");
    // Mixed case is judged before the chain, which knows no checksums.
    let mistyped = message(plain(12, "5aAeb6053f3E94C9b9A09f33669435E7Ef1BeAed"));
    let refused = simulated(&world, &mistyped).await;
    assert!(matches!(refused, Simulation::Refused(reply) if reply.code == Code::BAD_ADDRESS));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_vault_never_pays_with_what_may_be_refunded() {
    let world = World::start().await;
    let contract = world.deployed.contract;
    let peer = chain("b1c2");
    let most = Amount::from_word([255; 32]);
    let account = TokenAccount::coin(super::world::coin(), super::world::TERMS, most);
    world.owner.set_account(contract, peer, &account).await.unwrap();
    let open = distpos_gateway::chain::evm::UserCall {
        amount: ether(3),
        ..super::world::call_to("b1c2", "alice")
    };
    let id = world.send(&open).await;
    // 13 ether are there, 3 of them escrowed.
    let to = local(wallet(0xaa));
    let large = message(world.foreign.payment(1, &to, ether(11)));
    let short = Reply::new("4.2.1".parse().unwrap(), "vault is short");
    assert_eq!(simulated(&world, &large).await, Simulation::Deferred(short.clone()));
    assert_eq!(world.deliver(&[&large]).await.refused, [(large.id(), short)]);
    let all = message(world.foreign.payment(2, &to, ether(10)));
    assert_eq!(world.deliver(&[&all]).await.refused, []);
    assert_eq!(world.of_coin("free(address)").await, U256::ZERO);
    let before = world.node.balance(key(super::world::USER).address());
    let refund = vec![distpos_proto::receipt::Ending::unroutable(id)];
    world.evm.submit(Submission::End(refund)).await.unwrap();
    let after = world.node.balance(key(super::world::USER).address());
    assert_eq!(after - before, U256::from_be_bytes(ether(3).to_word()));
    assert_eq!(world.node.balance(contract), U256::ZERO);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn without_the_role_nothing_moves() {
    let world = World::start().await;
    let stranger = config(&world.node, &world.deployed);
    let stranger = distpos_gateway::chain::evm::Evm::open(stranger, key(super::world::USER));
    let stranger = stranger.await.unwrap();
    assert!(!stranger.has_role().await.unwrap());
    let pay = message(world.foreign.payment(1, &local(wallet(0xaa)), amount(5)));
    let is_role = |error: &ChainError| matches!(error, ChainError::Garbage { what, .. } if what.contains("NotGateway"));
    let error = stranger.simulate(&pay).await.unwrap_err();
    assert!(is_role(&error) && error.is_temporary(), "never a verdict on the message: {error}");
    let admitted = vec![world.foreign.admitted(&pay)];
    let error = stranger.submit(Submission::Deliver(admitted)).await.unwrap_err();
    assert!(is_role(&error), "{error}");
    let reply = Reply::new(Code::POLICY, "mine");
    let error = stranger.submit(world.foreign.void(&pay, reply)).await.unwrap_err();
    assert!(is_role(&error), "{error}");
    let id = world.send(&super::world::call_to("b1c2", "alice")).await;
    let refund = vec![distpos_proto::receipt::Ending::unroutable(id)];
    let error = stranger.submit(Submission::End(refund)).await.unwrap_err();
    assert!(is_role(&error), "{error}");
    let contract = world.deployed.contract;
    let error = world.user.set_gateway(contract, key(super::world::USER).address(), true).await;
    assert!(error.unwrap_err().to_string().contains("NotOwner"));
    assert_eq!(world.node.balance(wallet(0xaa)), U256::ZERO);
    // A role that is taken away is gone.
    world.owner.set_gateway(contract, world.evm.address(), false).await.unwrap();
    assert!(is_role(&world.evm.simulate(&pay).await.unwrap_err()));
    world.node.rpc("evm_mine", &json!([]));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn large_messages_are_delivered_in_several_transactions() {
    let world = World::start().await;
    let to = local(wallet(0xaa));
    let messages: Vec<_> = (1..=25)
        .map(|sequence| {
            let data = if sequence <= 3 { vec![7; 65_536] } else { Vec::new() };
            message(Fields { data, ..world.foreign.payment(sequence, &to, amount(1)) })
        })
        .collect();
    let submitted = world.deliver(&messages.iter().collect::<Vec<_>>()).await;
    assert_eq!(submitted.refused, []);
    let (_, events, _) = world.all().await;
    // The transactions go out at once, and blocks take them in any order.
    let ids: BTreeSet<_> = events.iter().map(|event| delivered(event).0).collect();
    assert_eq!((events.len(), ids), (25, messages.iter().map(Message::id).collect()));
    assert_eq!(world.node.balance(wallet(0xaa)), U256::from(25));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_gateway_cannot_make_a_call_fail_by_giving_it_too_little_gas() {
    let world = World::start().await;
    let echo = world.echo().await;
    let call = message(Fields {
        data: b"hello".to_vec(),
        gas: 400_000,
        ..world.foreign.payment(1, &local(echo), amount(77))
    });
    let snapshot = world.node.rpc("evm_snapshot", &json!([]));
    let hash = world.deliver(&[&call]).await.transaction;
    let hash = format!("0x{}", data_encoding::HEXLOWER.encode(&hash));
    let input = world.node.rpc("eth_getTransactionByHash", &json!([hash]))["input"].clone();
    world.node.rpc("evm_revert", &json!([snapshot]));
    let (from, to) = (world.evm.address().to_string(), world.deployed.contract.to_string());
    let mut outcomes = Vec::new();
    for gas in (100_000..1_200_000).step_by(10_000) {
        let gas = format!("{gas:#x}");
        let call = json!([{"from": from, "to": to, "data": input, "gas": gas}, "latest"]);
        let answer = world.node.try_rpc("eth_call", &call);
        // Offset, length and offset of the one result stand before its outcome.
        outcomes.push(answer.map(|answer| answer.as_str().unwrap()[2 + 3 * 64..][..64].to_owned()));
    }
    let delivered = format!("{:064x}", 1);
    assert!(outcomes.first().unwrap().is_none());
    assert_eq!(outcomes.last().unwrap().as_deref(), Some(delivered.as_str()));
    let all_or_nothing =
        |outcome: &Option<String>| outcome.as_ref().is_none_or(|o| *o == delivered);
    assert!(outcomes.iter().all(all_or_nothing), "{outcomes:?}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_users_transaction_is_passed_on_or_refused_for_good() {
    let world = World::start().await;
    for raw in [Vec::new(), vec![2; 100]] {
        let error = world.evm.submit(Submission::User(raw)).await.unwrap_err();
        assert!(matches!(error, ChainError::Refused(_)) && !error.is_temporary(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn two_gateways_that_race_deliver_once() {
    let world = World::start().await;
    let owner = key(super::world::OWNER);
    world.owner.set_gateway(world.deployed.contract, owner.address(), true).await.unwrap();
    let second = config(&world.node, &world.deployed);
    let second = distpos_gateway::chain::evm::Evm::open(second, owner).await.unwrap();
    let to = local(wallet(0xaa));
    let messages: Vec<_> =
        (1..=3).map(|n| message(world.foreign.payment(n, &to, amount(1)))).collect();
    let batch = || {
        let admitted = messages.iter().map(|message| world.foreign.admitted(message));
        Submission::Deliver(admitted.collect())
    };
    // Both are in the pool, and so estimated, before either is in a block.
    world.node.rpc("evm_setAutomine", &json!([false]));
    let mined = async {
        let both = || world.node.rpc("txpool_status", &json!([]))["pending"] == json!("0x2");
        while !both() {
            tokio::task::yield_now().await;
        }
        world.node.rpc("evm_mine", &json!([]));
    };
    let (first, second, ()) =
        tokio::join!(world.evm.submit(batch()), second.submit(batch()), mined);
    assert_eq!((first.unwrap().refused, second.unwrap().refused), (Vec::new(), Vec::new()));
    assert_eq!(world.node.balance(wallet(0xaa)), U256::from(3));
    let (_, events, _) = world.all().await;
    let ids: Vec<_> = events.iter().map(|event| delivered(event).0).collect();
    assert_eq!(ids, messages.iter().map(Message::id).collect::<Vec<_>>());
}

/// Burns all gas it is given in a transaction that pays for it, and none in an estimate.
async fn two_faced(world: &World) -> Address {
    // GASPRICE PUSH1 5 JUMPI STOP; JUMPDEST PUSH1 5 JUMP
    let code = [0x3a, 0x60, 5, 0x57, 0, 0x5b, 0x60, 5, 0x56];
    // PUSH9 code PUSH1 0 MSTORE PUSH1 9 PUSH1 23 RETURN
    let creation = [&[0x68], &code[..], &[0x60, 0, 0x52, 0x60, 9, 0x60, 23, 0xf3]].concat();
    world.owner.call(None, Amount::ZERO, creation).await.unwrap().unwrap()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_recipient_that_cheats_the_estimate_takes_nobody_elses_gas() {
    let world = World::start().await;
    let cheat = local(two_faced(&world).await);
    let honest = local(wallet(0xaa));
    let messages: Vec<_> = (1..=8)
        .map(|sequence| match sequence {
            1..=5 => message(Fields {
                data: b"burn".to_vec(),
                gas: 1_000_000,
                on_fail: OnFail::Keep,
                ..world.foreign.message(sequence, &cheat)
            }),
            _ => message(world.foreign.payment(sequence, &honest, amount(5))),
        })
        .collect();
    let submitted = world.deliver(&messages.iter().collect::<Vec<_>>()).await;
    assert_eq!(submitted.refused, []);
    assert_eq!(world.node.balance(wallet(0xaa)), U256::from(15));
    let (_, events, _) = world.all().await;
    let calls: Vec<_> = events.iter().map(|event| delivered(event).2).collect();
    assert_eq!(calls[..5], [Call::Failed; 5], "each had all it asked for, and burnt it");
    assert_eq!(calls[5..], [Call::None; 3]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_stolen_role_cannot_stop_the_watching_for_good() {
    let world = World::start().await;
    let note = message(world.foreign.message(1, &local(wallet(0xaa))));
    let hash = data_encoding::HEXLOWER.encode(&world.deliver(&[&note]).await.transaction);
    let found = world.node.rpc("eth_getTransactionByHash", &json!([format!("0x{hash}")]));
    let thief = key(super::world::OWNER).address();
    world.owner.set_gateway(world.deployed.contract, thief, true).await.unwrap();
    // The same with "zzzz" for "b1c2".
    let input = found["input"].as_str().unwrap()[2..].replace("62316332", "7a7a7a7a");
    let input = data_encoding::HEXLOWER.decode(input.as_bytes()).unwrap();
    world.owner.call(Some(world.deployed.contract), Amount::ZERO, input).await.unwrap();
    let next = message(world.foreign.message(2, &local(wallet(0xaa))));
    world.deliver(&[&next]).await;
    let (_, events, _) = world.all().await;
    let ids: Vec<_> = events.iter().map(|event| delivered(event).0).collect();
    assert_eq!(ids, [note.id(), next.id()]);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_no_block_has_room_for_holds_up_nobody_else() {
    let world = World::start().await;
    let (echo, honest) = (local(world.echo().await), local(wallet(0xaa)));
    let before = message(world.foreign.payment(1, &honest, amount(5)));
    let wide =
        message(Fields { data: b"x".to_vec(), gas: 5_000_000, ..world.foreign.message(2, &echo) });
    let after: Vec<_> =
        (3..=12).map(|n| message(world.foreign.payment(n, &honest, amount(5)))).collect();
    world.node.rpc("evm_setBlockGasLimit", &json!(["0x2dc6c0"]));
    world.node.rpc("evm_mine", &json!([]));
    let mut all = vec![&before, &wide];
    all.extend(&after);
    let submitted = world.deliver(&all).await;
    let [(id, reply)] = &submitted.refused[..] else { panic!("{:?}", submitted.refused) };
    assert_eq!((*id, reply.code), (wide.id(), Code::NOT_NOW), "{reply}");
    assert_eq!(world.node.balance(wallet(0xaa)), U256::from(55));
    // Alone it is no less than a failure of the submission, which the operator reads.
    let admitted = vec![world.foreign.admitted(&wide)];
    let error = world.evm.submit(Submission::Deliver(admitted)).await.unwrap_err();
    assert!(matches!(error, ChainError::Garbage { call: "eth_estimateGas", .. }), "{error}");

    // Voids that no block takes together are cut too.
    let voids: Vec<_> = (20..26)
        .map(|sequence| {
            let fields = world.foreign.message(sequence, &honest);
            let fields = message(Fields { data: vec![7; 20_000], ..fields });
            world.foreign.proven(&fields).refuse(Reply::new(Code::POLICY, "mine")).unwrap()
        })
        .collect();
    let submitted = world.evm.submit(Submission::Void(voids)).await.unwrap();
    assert_eq!(submitted.refused, []);
    let (_, events, _) = world.all().await;
    let voided = events.iter().filter(|event| matches!(event, ChainEvent::Voided { .. }));
    assert_eq!((voided.count(), events.len()), (6, 17));
}
