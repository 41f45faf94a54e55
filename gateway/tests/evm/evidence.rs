use distpos_gateway::chain::{
    ChainError, FinalBlock, LocalChain, NativeProof,
    evm::{NOT_PROVABLE, UserCall},
};
use distpos_proto::{
    chain::Family,
    header::{Header, HeaderHash},
    key::{KeySet, SecretKey},
    light::{Evidence, Known, Trusted, Verdict, evm::ReceiptProof, verify},
    message::{Message, MessageId},
};
use serde_json::json;

use super::world::{World, amount, call_to, chain, now, of_messages};

fn keys() -> (SecretKey, KeySet) {
    let key = SecretKey::from_seed(&[6; 32]);
    let set = KeySet::new([key.public()], 1).unwrap();
    (key, set)
}

fn judged(world: &World, block: &FinalBlock, receipts: ReceiptProof) -> Verdict {
    let (key, keys) = keys();
    let header = Header {
        chain: chain("e2e4"),
        tag: world.deployed.tag,
        height: block.height,
        block: block.block,
        time: block.time,
        previous: HeaderHash::NONE,
        key_set: keys.hash(),
        leaf_count: 0,
        root: [0; 32],
    };
    let trusted = Trusted {
        chain: chain("e2e4"),
        tag: world.deployed.tag,
        family: Family::Evm,
        outbox: world.deployed.contract.to_vec(),
        keys,
    };
    let evidence = Evidence::Evm { header: header.sign([&key]), receipts };
    verify(&trusted, Known::default(), &evidence, now())
}

async fn proof(world: &World, block: &FinalBlock, ids: &[MessageId]) -> ReceiptProof {
    match world.evm.prove(block.height, ids).await.unwrap() {
        NativeProof::Evm(proof) => proof,
        other @ NativeProof::Ledger(..) => panic!("{other:?}"),
    }
}

fn ids(verdict: Verdict) -> Vec<MessageId> {
    match verdict {
        Verdict::Proven(proven) => proven.iter().map(|proven| proven.message().id()).collect(),
        other => panic!("{other:?}"),
    }
}

/// One block with 20 messages among other transactions.
async fn crowded_block(world: &World) -> FinalBlock {
    world.node.rpc("evm_setAutomine", &json!([false]));
    let accounts = world.node.rpc("eth_accounts", &json!([]));
    for index in 0..20u32 {
        let call = UserCall { amount: amount(9), ..call_to("b1c2", "alice") };
        let from = accounts[usize::try_from(index % 10).unwrap()].clone();
        let other = json!([{"from": from, "to": accounts[0], "value": "0x1"}]);
        world.node.rpc("eth_sendTransaction", &other);
        let data = data_encoding::HEXLOWER.encode(&input(&call, index));
        let send = json!([{
            "from": from, "to": world.deployed.contract.to_string(), "gas": "0x80000",
            "value": "0x9", "data": format!("0x{data}"),
        }]);
        world.node.rpc("eth_sendTransaction", &send);
    }
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.finalize();
    let watched = of_messages(&world.evm, None).await;
    assert_eq!(watched.blocks.len(), 1);
    watched.blocks.into_iter().next().unwrap()
}

/// `send` with data that makes receipts of many sizes.
fn input(call: &UserCall, index: u32) -> Vec<u8> {
    use alloy_primitives::{U256, keccak256};
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let to = format!("{}x{}", call.destination, call.recipient);
    let data = vec![5; index as usize * 40];
    let mut out = keccak256("send(string,bytes,uint64,uint8,uint64)")[..4].to_vec();
    for head in [160, 224, 0, 0, 0] {
        out.extend(word(head));
    }
    for bytes in [to.as_bytes(), &data] {
        out.extend(word(bytes.len()));
        out.extend(bytes);
        out.resize(4 + (out.len() - 4).next_multiple_of(32), 0);
    }
    out
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn evidence_made_here_passes_the_verifier_of_the_other_side() {
    let world = World::start().await;
    let block = crowded_block(&world).await;
    let all: Vec<_> = block.outgoing.iter().map(Message::id).collect();
    assert_eq!(all.len(), 20);
    let proof_of_all = proof(&world, &block, &all).await;
    let mut found = ids(judged(&world, &block, proof_of_all));
    let mut expected = all.clone();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for id in [all[0], all[7], all[19]] {
        let one = proof(&world, &block, &[id]).await;
        assert_eq!(ids(judged(&world, &block, one)), [id]);
    }
    let pair = proof(&world, &block, &[all[12], all[3], all[12]]).await;
    assert_eq!(ids(judged(&world, &block, pair)).len(), 2);

    let stranger = world.evm.prove(block.height, &[MessageId([1; 32])]).await.unwrap_err();
    assert!(matches!(stranger, ChainError::Garbage { call: "prove", .. }), "{stranger}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn evidence_with_any_bit_flipped_proves_nothing_else() {
    let world = World::start().await;
    let block = crowded_block(&world).await;
    let id = block.outgoing[5].id();
    let good = proof(&world, &block, &[id]).await;
    let mut flipped = 0;
    let mut wrong = |receipts: ReceiptProof| {
        flipped += 1;
        let verdict = judged(&world, &block, receipts);
        assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
    };
    // Every third bit: a bit of each byte, and each bit somewhere.
    for bit in (0..good.block.len() * 8).step_by(3) {
        let mut bad = good.clone();
        bad.block[bit / 8] ^= 1 << (bit % 8);
        wrong(bad);
    }
    for node in 0..good.nodes.len() {
        for bit in (0..good.nodes[node].len() * 8).step_by(3) {
            let mut bad = good.clone();
            bad.nodes[node][bit / 8] ^= 1 << (bit % 8);
            wrong(bad);
        }
    }
    let place = good.logs[0];
    for bit in 0..12 {
        let mut bad = good.clone();
        bad.logs[0].transaction = place.transaction ^ (1 << bit);
        wrong(bad);
        let mut bad = good.clone();
        bad.logs[0].log = place.log ^ (1 << bit);
        wrong(bad);
    }
    assert!(flipped > 2_000, "{flipped}");
    assert_eq!(ids(judged(&world, &block, good)), [id]);
}

/// A contract that sends a message, whatever it is called with, after so many logs of so many bytes.
fn noisy(logs: u16, bytes: u32, world: &World) -> Vec<u8> {
    let (contract, input) = (world.deployed.contract, input(&call_to("b1c2", "alice"), 0));
    let length = u16::try_from(input.len()).unwrap().to_be_bytes();
    // PUSH2 logs; JUMPDEST: PUSH4 bytes PUSH1 0 LOG0 PUSH1 1 SWAP1 SUB DUP1 PUSH1 3 JUMPI
    let mut code = [&[0x61][..], &logs.to_be_bytes(), &[0x5b, 0x63], &bytes.to_be_bytes()].concat();
    code.extend([0x60, 0, 0xa0, 0x60, 1, 0x90, 0x03, 0x80, 0x60, 3, 0x57]);
    // CODECOPY of the input to 0, and a CALL of the contract with it.
    let at = u16::try_from(code.len() + 9 + 35).unwrap().to_be_bytes();
    code.extend([&[0x61][..], &length, &[0x61], &at, &[0x60, 0, 0x39]].concat());
    code.extend([&[0x60, 0, 0x60, 0, 0x61][..], &length, &[0x60, 0, 0x60, 0, 0x73]].concat());
    code.extend(contract);
    code.extend([0x5a, 0xf1, 0x00]);
    assert_eq!(usize::from(u16::from_be_bytes(at)), code.len());
    code.extend(input);
    // PUSH2 length DUP1 PUSH1 12 PUSH1 0 CODECOPY PUSH1 0 RETURN
    let length = u16::try_from(code.len()).unwrap().to_be_bytes();
    [&[0x61][..], &length, &[0x80, 0x60, 12, 0x60, 0, 0x39, 0x60, 0, 0xf3], &code].concat()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_receipt_that_nobody_takes_keeps_no_other_message_back() {
    let world = World::start().await;
    let mut senders = Vec::new();
    for (logs, bytes) in [(4, 810_000), (2, 1_000_000), (1, 10)] {
        let code = noisy(logs, bytes, &world);
        senders.push(world.owner.call(None, amount(0), code).await.unwrap().unwrap());
    }
    world.node.rpc("evm_setBlockGasLimit", &json!(["0x5f5e100"]));
    world.node.rpc("evm_setAutomine", &json!([false]));
    let accounts = world.node.rpc("eth_accounts", &json!([]));
    for (index, sender) in senders.iter().enumerate() {
        let from = &accounts[5 + index];
        let call = json!([{"from": from, "to": sender.to_string(), "gas": "0x1c00000"}]);
        world.node.rpc("eth_sendTransaction", &call);
    }
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.rpc("evm_mine", &json!([]));
    let (outgoing, ..) = world.all().await;
    assert_eq!(outgoing.len(), 3);
    let by = |sender: &alloy_primitives::Address| {
        let text = data_encoding::HEXLOWER.encode(sender.as_slice());
        let found = outgoing.iter().find(|m| m.fields().sender.as_str() == text);
        found.unwrap().id()
    };
    let [large, legal, small] = [0, 1, 2].map(|index: usize| by(&senders[index]));
    let watched = of_messages(&world.evm, None).await;
    let block = &watched.blocks[0];
    for asked in [vec![large], vec![large, small]] {
        let error = world.evm.prove(block.height, &asked).await.unwrap_err();
        let one_is_not = matches!(error, ChainError::Garbage { call: NOT_PROVABLE, .. });
        assert!(one_is_not, "{error}");
    }
    let receipts = proof(&world, block, &[small]).await;
    assert_eq!(ids(judged(&world, block, receipts)), [small]);
    // As much as a transaction of 16.7 million gas can log is provable.
    let receipts = proof(&world, block, &[legal]).await;
    assert!(receipts.nodes.iter().any(|node| node.len() > 2_000_000));
    assert_eq!(ids(judged(&world, block, receipts)), [legal]);
}
