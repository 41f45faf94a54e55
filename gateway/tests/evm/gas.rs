//! What a delivered message costs in gas, alone and in batches: a table, and the bound that holds.

use alloy_primitives::Address;
use distpos_proto::{
    amount::Amount,
    message::{Fields, Message},
};
use serde_json::{Value as Json, json};

use super::world::{GATEWAY, World, amount, key, local};

const BATCHES: [u64; 6] = [1, 2, 5, 10, 20, 50];
/// Most that a message in a batch may cost of what it costs alone, in parts of a hundred.
const BATCH_PERCENT_MAX: u64 = 60;
/// What the chain itself takes for an account that did not exist (EIP-161).
const NEW_ACCOUNT: u64 = 25_000;

/// Messages of one kind, of which there can be any number.
struct Kind {
    name: &'static str,
    /// Gas of each that no batch can save.
    fixed: u64,
    make: fn(&World, u64, Address) -> Fields,
}

const KINDS: [Kind; 3] = [
    Kind { name: "value to an account that had some", fixed: 0, make: to_old_account },
    Kind { name: "value to a new account", fixed: NEW_ACCOUNT, make: to_new_account },
    Kind { name: "a call with 32 bytes, no value", fixed: 0, make: call },
];

fn to_old_account(world: &World, sequence: u64, _: Address) -> Fields {
    world.foreign.payment(sequence, &local(Address::repeat_byte(0xb0)), amount(1_000_000_007))
}

fn to_new_account(world: &World, sequence: u64, _: Address) -> Fields {
    let mut account = [0xb1; 20];
    account[12..].copy_from_slice(&sequence.to_be_bytes());
    world.foreign.payment(sequence, &local(Address::from(account)), amount(1_000_000_007))
}

/// The same bytes each time: what the recipient keeps costs least.
fn call(world: &World, sequence: u64, recipient: Address) -> Fields {
    let message = world.foreign.message(sequence, &local(recipient));
    Fields { data: vec![7; 32], gas: 200_000, ..message }
}

/// Gas of all the gateway's transactions in the blocks after `height`.
fn gas_since(world: &World, height: u64) -> u64 {
    let number = |word: &Json| u64::from_str_radix(&word.as_str().unwrap()[2..], 16).unwrap();
    let gateway = key(GATEWAY).address().to_string().to_lowercase();
    let mut gas = 0;
    for height in height + 1..=self::height(world) {
        let receipts = world.node.rpc("eth_getBlockReceipts", &json!([format!("{height:#x}")]));
        let own = receipts.as_array().unwrap().iter().filter(|receipt| receipt["from"] == gateway);
        gas += own.map(|receipt| number(&receipt["gasUsed"])).sum::<u64>();
    }
    gas
}

fn height(world: &World) -> u64 {
    let height = world.node.rpc("eth_blockNumber", &json!([]));
    u64::from_str_radix(&height.as_str().unwrap()[2..], 16).unwrap()
}

/// Gas a message of one kind when that many are delivered at once.
async fn measure(world: &World, kind: &Kind, count: u64, next: &mut u64, to: Address) -> u64 {
    let mut messages = Vec::new();
    for _ in 0..count {
        *next += 1;
        messages.push(Message::new((kind.make)(world, *next, to)).unwrap());
    }
    let before = height(world);
    let submitted = world.deliver(&messages.iter().collect::<Vec<_>>()).await;
    assert_eq!(submitted.refused, []);
    gas_since(world, before) / count
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_message_in_a_batch_costs_at_most_three_fifths_of_one_alone() {
    let world = World::start().await;
    let echo = world.echo().await;
    world.owner.transfer(Address::repeat_byte(0xb0), Amount::from(1u64)).await.unwrap();
    let mut next = 0;
    let heads: Vec<_> = BATCHES.iter().map(|count| format!("{count:>8}")).collect();
    println!("gas per delivered message  {:<34}{}", "messages in the batch:", heads.concat());
    let mut found = Vec::new();
    for kind in &KINDS {
        // The first of a kind pays for what is kept ever after: the book, what the contract keeps.
        measure(&world, kind, 1, &mut next, echo).await;
        let mut row = Vec::new();
        for count in BATCHES {
            row.push(measure(&world, kind, count, &mut next, echo).await);
        }
        let cells: Vec<_> = row.iter().map(|gas| format!("{gas:>8}")).collect();
        println!("gas per delivered message  {:<34}{}", kind.name, cells.concat());
        found.push(row);
    }
    let at = BATCHES.iter().position(|count| *count == 20).unwrap();
    for (kind, row) in KINDS.iter().zip(found) {
        let [alone, batch] = [row[0], row[at]].map(|gas| gas - kind.fixed);
        let percent = batch * 100 / alone;
        println!("{}: a message of 20 costs {percent} % of one alone", kind.name);
        assert!(percent <= BATCH_PERCENT_MAX, "{}: {percent} %", kind.name);
    }
}
