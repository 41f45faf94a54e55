//! What a delivered message costs in gas, alone and in batches: a table, and the bound that holds.

use alloy_primitives::Address;
use distpos_gateway::chain::{LocalChain, Submission, evm::UserCall};
use distpos_proto::message::{Fields, Message};
use serde_json::{Value as Json, json};

use super::{
    ends::ending,
    world::{GATEWAY, World, amount, call_to, key, local},
};

const BATCHES: [u64; 6] = [1, 2, 5, 10, 20, 50];
/// Most that a message in a batch may cost of what it costs alone, in parts of a hundred.
const BATCH_PERCENT_MAX: u64 = 60;

/// Messages of one kind, of which there can be any number.
struct Kind {
    name: &'static str,
    /// Gas that the chain charges for each, in whatever transaction: no batch can save it.
    charged: u64,
    make: fn(&World, u64, Address) -> Fields,
}

const KINDS: [Kind; 3] = [
    Kind { name: "value to an account that had some", charged: 0, make: to_old_account },
    Kind { name: "value to a new account", charged: NEW_ACCOUNT_GAS, make: to_new_account },
    Kind { name: "a call with 32 bytes, no value", charged: 0, make: call },
];

/// What a payment that makes an account costs beside it (yellow paper, `G_newaccount`).
const NEW_ACCOUNT_GAS: u64 = 25_000;

/// Another account each time: the first look at an account is what costs.
fn to_old_account(world: &World, sequence: u64, _: Address) -> Fields {
    let account = numbered(0xb0, sequence);
    world.node.rpc("anvil_setBalance", &json!([account.to_string(), "0x1"]));
    world.foreign.payment(sequence, &local(account), amount(1_000_000_007))
}

fn to_new_account(world: &World, sequence: u64, _: Address) -> Fields {
    world.foreign.payment(sequence, &local(numbered(0xb1, sequence)), amount(1_000_000_007))
}

fn numbered(kind: u8, number: u64) -> Address {
    let mut account = [kind; 20];
    account[12..].copy_from_slice(&number.to_be_bytes());
    Address::from(account)
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
    let percent =
        |(kind, row): (&Kind, &Vec<u64>)| (row[at] - kind.charged) * 100 / (row[0] - kind.charged);
    let percents = KINDS.iter().zip(&found).map(percent);
    let percents: Vec<_> = KINDS.iter().map(|kind| kind.name).zip(percents).collect();
    println!("a message of 20 against one alone, in percent, less new accounts: {percents:?}");
    for (name, percent) in percents {
        assert!(percent <= BATCH_PERCENT_MAX, "{name}: {percent} %");
    }
}

/// Gas that the gateway counts for one end of a message (`chain/evm/submit.rs`).
const ENDING_GAS: u64 = 160_000;

/// Ends move sums between the figures of an account, and what belongs to its peer.
#[tokio::test]
#[ignore = "needs anvil"]
async fn an_end_costs_less_than_the_gateway_counts_for_it() {
    let world = World::start().await;
    let call = UserCall { amount: amount(1_000_000_007), ..call_to("b1c2", "alice") };
    for delivered in [true, false] {
        for count in [1, 20] {
            let mut ends = Vec::new();
            for _ in 0..count {
                ends.push(ending(world.send(&call).await, delivered));
            }
            let before = height(&world);
            let ended = world.evm.submit(Submission::End(ends)).await.unwrap();
            assert_eq!(ended.refused, []);
            let each = gas_since(&world, before) / count;
            println!("gas per end  delivered {delivered}, {count} at once: {each}");
            assert!(each < ENDING_GAS, "{each}");
        }
    }
}
