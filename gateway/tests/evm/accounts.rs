//! Accounts at the contract: what the owner says of them, deposits, settlements, and what the gateway
//! is told of all that.

use alloy_primitives::{Address, U256};
use distpos_gateway::chain::{
    ChainError, ChainEvent, Cursor, FinalBlock, LocalChain, Simulation,
    evm::{
        AccountChange, AccountStatus, Operator, Settlement, TermsChange, TokenAccount, UserCall,
        set_account, settle,
        user::{Wallet, WalletError},
    },
};
use distpos_proto::{
    account::{Change, Limits, Window},
    amount::Amount,
    code::Code,
    message::{Fields, Message, TermsHash, Value},
    receipt::Ending,
};
use serde_json::json;

use super::{
    ends::ending,
    user::token,
    world::{
        OWNER, TERMS, USER, World, amount, call_to, chain, coin, config, ether, is_of_account, key,
        local,
    },
};

/// One ether from the peer, settled elsewhere.
fn added(note: &str) -> Settlement<'_> {
    Settlement { change: Change::Added(ether(1)), to: None, note }
}

/// For whom hashes are of no interest.
fn untold(_: &[u8; 32]) {}

const OTHER_TERMS: TermsHash = TermsHash([0x5e; 32]);

/// The peer's account in the coin, or in another asset.
async fn account(world: &World, asset: &str) -> AccountStatus {
    let (peer, asset) = (chain("b1c2"), asset.parse().unwrap());
    world.owner.account(world.deployed.contract, peer, &asset).await.unwrap()
}

/// All final blocks in which an account changed.
async fn blocks(world: &World) -> Vec<FinalBlock> {
    world.node.finalize();
    let head = world.evm.head().await.unwrap();
    let (mut blocks, mut after): (_, Option<Cursor>) = (Vec::new(), None);
    loop {
        let watched = world.evm.watch(after).await.unwrap();
        blocks.extend(watched.blocks);
        if watched.cursor.height >= head.height {
            blocks.retain(|block| block.events.iter().any(is_of_account));
            return blocks;
        }
        after = Some(watched.cursor);
    }
}

fn told(error: &ChainError) -> String {
    assert!(matches!(error, ChainError::Refused(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_happens_to_an_account_is_told_with_its_blocks_time() {
    let world = World::start().await;
    let (contract, peer, asset) = (world.deployed.contract, chain("b1c2"), coin());
    let wallet = Wallet::connect(&world.node.url, key(USER)).await.unwrap();
    let which = (peer, &asset);
    wallet.deposit(contract, which, ether(3), &|_| ()).await.unwrap();
    let note = "half of it came by bank\u{7}";
    world.owner.settle(contract, which, Change::Added(ether(2)), None, note).await.unwrap();
    let to = Address::repeat_byte(0xaa);
    world.owner.settle(contract, which, Change::Taken(ether(1)), Some(to), "back").await.unwrap();
    let window = Some(Window { max: Amount::MAX, seconds: 60 });
    let limits = Limits { credit_limit: Amount::MAX, window };
    let change = AccountChange::limits(limits);
    world.owner.change_account(contract, peer, &asset, &change).await.unwrap();
    let close = AccountChange { terms: Some(TermsChange::Closed), ..AccountChange::default() };
    world.owner.change_account(contract, peer, &asset, &close).await.unwrap();

    let found = blocks(&world).await;
    for block in &found {
        let height = format!("{:#x}", block.height.0);
        let node = world.node.rpc("eth_getBlockByNumber", &json!([height, false]));
        assert_eq!(node["timestamp"], format!("{:#x}", block.time.0), "the block's own time");
    }
    let events: Vec<_> = found.into_iter().flat_map(|block| block.events).collect();
    let set = |terms, limits| {
        let asset = asset.clone();
        ChainEvent::AccountSet { chain: peer, asset, terms, limits }
    };
    let changed = |change, by: usize, note: &str| {
        let (asset, by, note) = (asset.clone(), local(key(by).address()), note.to_owned());
        ChainEvent::ReserveChanged { chain: peer, asset, change, by, note }
    };
    let expected = [
        set(Some(TERMS), Limits { credit_limit: ether(5), window: None }),
        changed(Change::Added(ether(3)), USER, ""),
        changed(Change::Added(ether(2)), OWNER, "half of it came by bank"),
        changed(Change::Taken(ether(1)), OWNER, "back"),
        set(Some(TERMS), limits),
        set(None, limits),
    ];
    assert_eq!(events, expected);
    assert_eq!(account(&world, "e2e4/coin").await.figures.reserve, ether(4));
    assert_eq!(world.node.balance(to), U256::from_be_bytes(ether(1).to_word()));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn anybody_deposits_and_what_arrives_is_counted() {
    let world = World::start().await;
    let (contract, peer) = (world.deployed.contract, chain("b1c2"));
    let charging = include_str!("../../contracts/artefacts/ChargingToken.json");
    token(&world, charging, "salt").await;
    let wallet = Wallet::connect(&world.node.url, key(USER)).await.unwrap();
    let salt = "e2e4/salt".parse().unwrap();
    let paid = wallet.deposit(contract, (peer, &salt), amount(1_000), &|_| ()).await;
    let (_, moved) = paid.unwrap();
    assert_eq!(moved.before.figures.reserve, Amount::ZERO);
    assert_eq!(moved.after.figures.reserve, amount(990), "one in a hundred is its charge");
    assert_eq!(moved.after.cover(), amount(990));

    let gold = "e2e4/gold".parse().unwrap();
    let nothing_signed = |_: &[u8; 32]| panic!("nothing is signed");
    for (asset, sum, why) in [
        (&gold, amount(1), "no open account with b1c2 in e2e4/gold"),
        (&salt, amount(99_000_000), "less than 99000000"),
        (&coin(), Amount::ZERO, "NothingArrived: "),
    ] {
        let refused = wallet.deposit(contract, (peer, asset), sum, &nothing_signed).await;
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, WalletError::Refused(what) if what.contains(why)), "{refused}");
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_settlement_is_refused_with_what_is_short() {
    let world = World::start().await;
    let (contract, asset) = (world.deployed.contract, coin());
    let which = (chain("b1c2"), &asset);
    let by = async |operator: &Operator, change, to| {
        operator.settle(contract, which, change, to, "a test").await
    };
    let error = by(&world.owner, Change::Added(ether(11)), None).await.unwrap_err();
    let short = format!("the float of coin is {}, less than the {}", ether(10), ether(11));
    assert!(told(&error).contains(&short), "{error}");
    by(&world.owner, Change::Added(ether(10)), None).await.unwrap();
    let error = by(&world.owner, Change::Taken(ether(11)), None).await.unwrap_err();
    let short = format!("is {}, less than the {} to be taken", ether(10), ether(11));
    assert!(told(&error).contains(&short), "{error}");
    let error = by(&world.user, Change::Taken(ether(1)), None).await.unwrap_err();
    assert!(told(&error).contains("NotOwner: only the contract's owner may do this"), "{error}");
    // What is taken without a payee is the community's again.
    by(&world.owner, Change::Taken(ether(10)), None).await.unwrap();
    assert_eq!(world.of_coin("coveredOf(address)").await, U256::ZERO);
    let gold = "e2e4/gold".parse().unwrap();
    let error =
        world.owner.settle(contract, (chain("b1c2"), &gold), Change::Added(amount(1)), None, "");
    let error = error.await.unwrap_err();
    assert!(told(&error).contains("NoAccount: "), "{error}");
    let error = by(&world.owner, Change::Added(Amount::MAX), None).await.unwrap_err();
    told(&error);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_gateways_configuration_and_the_owners_key_are_enough() {
    let world = World::start().await;
    let (config, peer, asset) = (config(&world.node, &world.deployed), chain("b1c2"), coin());
    let change = AccountChange { credit_limit: Some(ether(7)), ..AccountChange::default() };
    let moved = set_account(&config, key(OWNER), peer, &asset, &change, untold).await.unwrap();
    assert_eq!(
        (moved.before.limits.credit_limit, moved.after.limits.credit_limit),
        (ether(5), ether(7))
    );
    let same = set_account(&config, key(USER), peer, &asset, &change, untold).await.unwrap();
    assert_eq!(same.before, same.after, "nothing was to be done, by whoever asked");
    let which = (peer, &asset);
    let moved = settle(&config, key(OWNER), which, added("cash"), untold).await;
    assert_eq!(moved.unwrap().after.figures.reserve, ether(1));
    let error = settle(&config, key(USER), which, added("mine"), untold).await;
    assert!(told(&error.unwrap_err()).contains("NotOwner: "));
    let stranger =
        AccountChange { terms: Some(TermsChange::Agreed(TERMS)), ..AccountChange::default() };
    let error =
        set_account(&config, key(OWNER), chain("d3"), &asset, &stranger, untold).await.unwrap_err();
    assert!(told(&error).contains("NoPeer: the chain is not registered"), "{error}");
    let token = AccountChange { token: Some(Address::repeat_byte(9)), ..AccountChange::default() };
    let error = set_account(&config, key(OWNER), peer, &asset, &token, untold).await.unwrap_err();
    assert!(told(&error).contains("OtherToken: "), "{error}");
}

fn message(fields: Fields) -> Message {
    Message::new(fields).unwrap()
}

fn refusal(found: Simulation) -> (Code, String) {
    match found {
        Simulation::Refused(reply) => (reply.code, reply.text().to_owned()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_can_never_pass_is_refused_and_what_may_pass_later_waits() {
    let world = World::start().await;
    let (contract, peer) = (world.deployed.contract, chain("b1c2"));
    let to = local(Address::repeat_byte(0xaa));
    let window = Some(Window { max: ether(8), seconds: 3_600 });
    let limits = Limits { credit_limit: ether(5), window };
    let account = TokenAccount { limits, ..TokenAccount::coin(coin(), TERMS, Amount::ZERO) };
    world.owner.set_account(contract, peer, &account).await.unwrap();
    let under = |terms, asset: &str, value| {
        let value = Some(Value { asset: asset.parse().unwrap(), amount: value, terms });
        message(Fields { value, ..world.foreign.message(1, &to) })
    };
    let asked = async |message: &Message| world.evm.simulate(message).await.unwrap();
    let beyond = Amount::from(u128::MAX).checked_add(amount(1)).unwrap();
    for (terms, asset, value, code, text) in [
        (None, "e2e4/coin", amount(1), "5.2.1", "other terms than the account's"),
        (Some(OTHER_TERMS), "e2e4/coin", amount(1), "5.2.1", "other terms than the account's"),
        (Some(TERMS), "e2e4/gold", amount(1), "5.2.1", "no account with the source chain"),
        (Some(TERMS), "e2e4/coin", beyond, "5.2.2", "amount is more than is counted here"),
        (Some(TERMS), "e2e4/coin", ether(9), "5.2.2", "above window_max of the source chain"),
    ] {
        let found = refusal(asked(&under(terms, asset, value)).await);
        assert_eq!((found.0.to_string().as_str(), found.1.as_str()), (code, text));
    }
    let six = under(Some(TERMS), "e2e4/coin", ether(6));
    let waits = |found: Simulation| match found {
        Simulation::Deferred(reply) => (reply.code.to_string(), reply.text().to_owned()),
        other => panic!("{other:?}"),
    };
    let reached = "credit_limit of the source chain is reached";
    assert_eq!(waits(asked(&six).await), ("4.2.1".into(), reached.into()));
    // A deposit frees it.
    let wallet = Wallet::connect(&world.node.url, key(USER)).await.unwrap();
    wallet.deposit(contract, (peer, &coin()), ether(1), &|_| ()).await.unwrap();
    assert_eq!(asked(&six).await, Simulation::Passes);
    assert_eq!(world.deliver(&[&six]).await.refused, []);
    let three = message(world.foreign.payment(2, &to, ether(3)));
    wallet.deposit(contract, (peer, &coin()), ether(3), &|_| ()).await.unwrap();
    let reached = "window_max of the source chain is reached";
    assert_eq!(waits(asked(&three).await), ("4.2.1".into(), reached.into()));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn one_peers_deposit_never_pays_what_comes_from_another() {
    let world = World::start().await;
    let (contract, third) = (world.deployed.contract, chain("d3"));
    world.owner.set_peer(contract, third, super::world::PEER_TAG).await.unwrap();
    let account = TokenAccount::coin(coin(), OTHER_TERMS, Amount::ZERO);
    world.owner.set_account(contract, third, &account).await.unwrap();
    let wallet = Wallet::connect(&world.node.url, key(USER)).await.unwrap();
    wallet.deposit(contract, (third, &coin()), ether(50), &|_| ()).await.unwrap();
    let limits = AccountChange { credit_limit: Some(Amount::MAX), ..AccountChange::default() };
    world.owner.change_account(contract, chain("b1c2"), &coin(), &limits).await.unwrap();
    // 60 ether are there, of which 50 are d3's.
    let to = local(Address::repeat_byte(0xaa));
    let eleven = message(world.foreign.payment(1, &to, ether(11)));
    assert!(matches!(
        world.evm.simulate(&eleven).await.unwrap(),
        Simulation::Deferred(reply) if reply.text() == "vault is short"
    ));
    let ten = message(world.foreign.payment(2, &to, ether(10)));
    assert_eq!(world.deliver(&[&ten]).await.refused, []);
    let covered = U256::from_be_bytes(ether(50).to_word());
    assert_eq!(world.of_coin("coveredOf(address)").await, covered);
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn what_leaves_is_pending_until_it_ends() {
    let world = World::start().await;
    let send = |value| UserCall { amount: ether(value), ..call_to("b1c2", "alice") };
    let (closed, refunded) = (world.send(&send(2)).await, world.send(&send(3)).await);
    assert_eq!(account(&world, "e2e4/coin").await.figures.pending_out, ether(5));
    let (outgoing, ..) = world.all().await;
    let terms = outgoing.iter().map(|message| message.fields().value.as_ref().unwrap().terms);
    assert_eq!(terms.collect::<Vec<_>>(), [Some(TERMS); 2], "sent under the account's terms");
    let ends = vec![ending(closed, true), Ending::unroutable(refunded)];
    world.evm.submit(distpos_gateway::chain::Submission::End(ends)).await.unwrap();
    let after = account(&world, "e2e4/coin").await;
    assert_eq!((after.figures.pending_out, after.figures.sent), (Amount::ZERO, ether(2)));
    assert_eq!(after.cover(), ether(2));
    // To a chain without an account the coin leaves without terms.
    world
        .owner
        .set_peer(world.deployed.contract, chain("d3"), super::world::PEER_TAG)
        .await
        .unwrap();
    world.send(&UserCall { amount: ether(1), ..call_to("d3", "alice") }).await;
    let (outgoing, ..) = world.all().await;
    let last = outgoing.iter().find(|sent| sent.fields().destination == chain("d3")).unwrap();
    assert_eq!(last.fields().value.as_ref().unwrap().terms, None);
}
