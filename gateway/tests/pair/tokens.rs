//! ERC-20 tokens there and back, the odd ones too, and deposit addresses.

use alloy_primitives::{Address, U256, hex};
use distpos_gateway::submit::Outcome;
use distpos_proto::message::Message;

use crate::{
    audit::{Ends, audit},
    contract::{Arg, Contract, Entry, input},
    daemon::until,
    engine::Engine,
    wallet::Action,
    world::{Account, ENDED_WITHIN, ETHER, Pair, Side, newcomer, newcomer_account, terms},
};

const PLAIN: &str = include_str!("../../contracts/artefacts/Token.json");
const CHARGING: &str = include_str!("../../contracts/artefacts/ChargingToken.json");
const FALSE: &str = include_str!("../../contracts/artefacts/FalseToken.json");
const NO_RETURN: &str = include_str!("../../contracts/artefacts/NoReturnToken.json");

/// What each vault starts with, and each user.
const STOCK: u64 = 1_000_000;

/// An asset between the two, and the tokens that back it.
struct Kind {
    asset: &'static str,
    at_a: &'static str,
    at_b: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind { asset: "e2e4/gold", at_a: PLAIN, at_b: PLAIN },
    Kind { asset: "e2e4/iron", at_a: NO_RETURN, at_b: NO_RETURN },
    Kind { asset: "e2e4/salt", at_a: CHARGING, at_b: PLAIN },
    Kind { asset: "e2e4/silk", at_a: PLAIN, at_b: CHARGING },
    Kind { asset: "e2e4/wool", at_a: FALSE, at_b: FALSE },
];

fn tokens_go_there_and_back(engine: Engine) {
    let mut pair = Pair::prepared(engine, 1);
    let kinds = KINDS.each_ref().map(|kind| opened(&mut pair, kind));
    let [gold, iron, salt, silk, wool] = kinds;
    let (a, b) = (&pair.a, &pair.b);
    pair.start_gateways();
    let to_b = |number| newcomer("b1c2", number);
    let sent = [
        send_token(a, gold.0, 500, &to_b(1)),
        send_token(b, gold.1, 200, &newcomer("e2e4", 2)),
        send_token(a, iron.0, 300, &to_b(3)),
        send_token(b, iron.1, 100, &newcomer("e2e4", 4)),
    ];
    // One in a hundred is kept on the way in: the message carries what arrived.
    let charged = send_token(a, salt.0, 1_000, &to_b(5));
    assert_eq!(charged.amount(), distpos_proto::amount::Amount::from(990u64));
    // One in a hundred would be kept on the way out: nobody gets less than was sent.
    let inexact = send_token(a, silk.0, 1_000, &to_b(6));
    // A token that says false pays nobody, whatever it says later.
    tell(b, wool.1, input("freeze(bool)", &[Arg::number(1)]));
    let frozen = send_token(a, wool.0, 1_000, &to_b(7));
    for (side, message) in
        [(a, &sent[0]), (b, &sent[1]), (a, &sent[2]), (b, &sent[3]), (a, &charged)]
    {
        side.ends(message, Outcome::Delivered);
    }
    for refused in [&inexact, &frozen] {
        let view = a.ends(refused, Outcome::Refunded);
        assert_eq!(view.code.as_deref(), Some("5.2.1"), "{view:?}");
    }
    // What was refused is with its sender again, all of it.
    let left = |side: &Side, token: Address| balance(side, token, side.user.address);
    assert_eq!(left(a, silk.0), U256::from(STOCK));
    assert_eq!(left(a, wool.0), U256::from(STOCK));
    assert_eq!(left(a, gold.0), U256::from(STOCK - 500));
    assert_eq!(left(b, gold.1), U256::from(STOCK - 200));
    assert_eq!(audit(&pair), Ends { delivered: 5, refunded: 2 });
}

/// The tokens of an asset at both sides, with an account each, and a stock in vaults and hands.
fn opened(pair: &mut Pair, kind: &Kind) -> (Address, Address) {
    let tokens = [pair.a.deploy_example(kind.at_a, &[]), pair.b.deploy_example(kind.at_b, &[])];
    let terms = terms((&pair.a, tokens[0]), (&pair.b, tokens[1]), kind.asset);
    for (side, token) in [(&mut pair.a, tokens[0]), (&mut pair.b, tokens[1])] {
        let account = ["--token", &token.to_string(), "--credit-limit", "1000000"];
        side.open_account(&terms, &account);
        for to in [side.contract, side.user.address] {
            let mint = [Arg::address(to), Arg::number(STOCK)];
            tell(side, token, input("mint(address,uint256)", &mint));
        }
        // More than any story sends.
        let allow = [Arg::address(side.contract), Arg::number(STOCK)];
        let call = input("approve(address,uint256)", &allow);
        side.transact(
            &side.user,
            Action { to: Some(token), value: U256::ZERO, input: call, gas: 200_000 },
        );
        side.accounts.push(Account { asset: kind.asset, token, float: U256::from(STOCK) });
    }
    (tokens[0], tokens[1])
}

fn tell(side: &Side, contract: Address, input: Vec<u8>) {
    let action = Action { to: Some(contract), value: U256::ZERO, input, gas: 400_000 };
    side.transact(side.rich(), action);
}

fn balance(side: &Side, token: Address, account: Address) -> U256 {
    let token = Contract { node: &side.node, address: token };
    token.number("balanceOf(address)", &[Arg::address(account)])
}

/// The user's call of the outbox.
fn send_token(side: &Side, token: Address, amount: u64, to: &str) -> Message {
    let arguments = [
        Arg::address(token),
        Arg::number(amount),
        Arg::Bytes(to.as_bytes()),
        Arg::Bytes(&[]),
        Arg::number(0),
        Arg::number(0),
        Arg::number(0),
    ];
    let input = input("sendToken(address,uint256,string,bytes,uint64,uint8,uint64)", &arguments);
    let action = Action { to: Some(side.contract), value: U256::ZERO, input, gas: 600_000 };
    let receipt = side.transact(&side.user, action);
    side.contract().sent_by(&receipt).expect("the outbox says what it sent")
}

mod sent {
    use super::tokens_go_there_and_back;

    crate::on_each_engine!(tokens_go_there_and_back);
}

/// An exchange that can do nothing but pay an address: the address is for one destination, and a
/// refund goes to whom it was made for.
fn a_plain_transfer_to_a_deposit_address_arrives(engine: Engine) {
    let mut pair = Pair::prepared(engine, 1);
    let gold = opened(&mut pair, &KINDS[0]);
    let (a, b) = (&pair.a, &pair.b);
    pair.start_gateways();
    let (sender, to) = (newcomer_account(77), newcomer("b1c2", 1));
    let at = deposit_address(a, &to, sender);
    a.pay(at, ETHER);
    let coin = forward(a, &to, sender, Address::ZERO);
    assert_eq!(coin.fields().sender.as_str(), hex::encode(sender));
    // The same address takes a token, and more of the coin, once it has been used.
    tell(a, gold.0, input("mint(address,uint256)", &[Arg::address(at), Arg::number(700)]));
    let token = forward(a, &to, sender, gold.0);
    a.pay(at, ETHER / 2);
    let again = forward(a, &to, sender, Address::ZERO);
    // Nobody may be paid at the contract itself: it is refused there, and paid back here.
    let nobody = format!("b1c2x{}", hex::encode(b.contract));
    a.pay(deposit_address(a, &nobody, sender), ETHER);
    let refused = forward(a, &nobody, sender, Address::ZERO);
    for message in [&coin, &token, &again] {
        a.ends(message, Outcome::Delivered);
    }
    a.ends(&refused, Outcome::Refunded);
    until("the refund is there", ENDED_WITHIN, || {
        (a.contract().entry(refused.id()) == Entry::Refunded).then_some(())
    });
    assert_eq!(a.balance(sender), U256::from(ETHER), "whom the address was made for");
    assert_eq!(audit(&pair), Ends { delivered: 3, refunded: 1 });
}

fn deposit_address(side: &Side, to: &str, sender: Address) -> Address {
    let arguments = [Arg::Bytes(to.as_bytes()), Arg::address(sender)];
    let answer = side.contract().view("depositAddress(string,address)", &arguments);
    Address::from_slice(&answer[12..32])
}

/// Anybody forwards; here it is the rich account.
fn forward(side: &Side, to: &str, sender: Address, token: Address) -> Message {
    let arguments = [Arg::Bytes(to.as_bytes()), Arg::address(sender), Arg::address(token)];
    let input = input("forwardDeposit(string,address,address)", &arguments);
    let action = Action { to: Some(side.contract), value: U256::ZERO, input, gas: 800_000 };
    let receipt = side.transact(side.rich(), action);
    side.contract().sent_by(&receipt).expect("the outbox says what it sent")
}

mod deposited {
    use super::a_plain_transfer_to_a_deposit_address_arrives;

    crate::on_each_engine!(a_plain_transfer_to_a_deposit_address_arrives);
}
