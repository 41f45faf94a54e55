//! What two operators do with the account of their chains, by their commands alone.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use distpos_gateway::submit::Outcome;
use serde_json::{Value, json};

use crate::{
    admin::{call, command, err, out, socket},
    daemon::until,
    world::{Gateway, World},
};

/// Papers leave twice a minute.
const TIME_MAX: Duration = Duration::from_secs(120);
/// A look is a process.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A command about the account, that has to succeed.
fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = command(gateway, &[&["account"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}\n{}", gateway.log());
    out(&output)
}

pub(crate) fn as_json(gateway: &Gateway, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(gateway, &[arguments, &["--json"]].concat())).unwrap()
}

/// The one account of a gateway, once it is as expected.
pub(crate) fn account_when(
    gateway: &Gateway,
    what: &str,
    expected: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let deadline = Instant::now() + TIME_MAX;
    loop {
        let list = as_json(gateway, &["list"]);
        match list["accounts"].get(0) {
            Some(account) if expected(account) => return account.clone(),
            other => last = other.cloned().unwrap_or(last),
        }
        assert!(Instant::now() < deadline, "not yet: {what}: {last}\n{}", gateway.log());
        sleep(LOOK_EVERY);
    }
}

fn show(gateway: &Gateway, peer: &str) -> Value {
    as_json(gateway, &["show", peer, "e2e4/coin"])
}

#[test]
fn an_account_is_opened_by_both_operators_and_then_kept_by_them() {
    let mut world = World::strangers();
    world.publish();
    let account =
        "[peer.e2e4.account.\"e2e4/coin\"]\nsettle_threshold = 90\nsettle_to = \"the mill\"\n";
    world.b.edit("[peer.e2e4]", &format!("{account}[peer.e2e4]"));
    world.a.start();
    world.b.start();
    let (a, b) = (&world.a, &world.b);
    assert_eq!(as_json(a, &["list"]), json!({ "accounts": [] }));
    assert_eq!(done(a, &["list"]), "no account: `account open CHAIN ASSET` signs terms for one\n");

    // One side alone opens nothing.
    let open = ["open", "b1c2", "e2e4/coin", "--credit-limit", "500", "--reason", "met them"];
    let asked = done(a, &open);
    assert!(
        asked.starts_with("account      e2e4/coin with b1c2: awaiting\nterms        "),
        "{asked}"
    );
    assert!(asked.ends_with(
        "the operator of b1c2 has to run `account open` for it, too; then repeat this\n"
    ));
    let proposed = account_when(b, "the proposal is there", |one| one["state"] == "proposed");
    assert_eq!((&proposed["chain"], &proposed["terms"]), (&json!("e2e4"), &Value::Null));
    assert!(done(b, &["list"]).contains("e2e4   e2e4/coin  proposed"), "{}", done(b, &["list"]));

    // The other signs the same without being told any of it, and its chain opens it.
    let limits = ["--credit-limit", "300", "--window-max", "250", "--window", "24h"];
    let opened =
        as_json(b, &[&["open", "e2e4", "e2e4/coin", "--reason", "agreed"][..], &limits].concat());
    assert_eq!(opened["state"], "open");
    assert_eq!(opened["limits"]["window_seconds"], 86_400);
    assert!(opened["transaction"].as_str().unwrap().len() == 64, "{opened}");
    account_when(a, "b's signature is there", |one| one["state"] == "agreed");
    assert_eq!(as_json(a, &open)["state"], "open");
    let at_a = account_when(a, "it is open", |one| one["state"] == "open");
    let at_b = account_when(b, "it is open", |one| one["state"] == "open");
    assert_eq!(at_a["terms"], at_b["terms"]);
    assert_eq!((&at_a["credit_limit"], &at_b["credit_limit"]), (&json!("500"), &json!("300")));
    assert_eq!((&at_b["window_max"], &at_b["room"]), (&json!("250"), &json!("300")));
    let again = as_json(a, &["open", "b1c2", "e2e4/coin", "--reason", "again"]);
    assert_eq!((&again["state"], &again["transaction"]), (&json!("open"), &Value::Null));

    // Value passes, and both books say so.
    let to = b.village.address();
    let id = a.send(0, &to, 100);
    a.message_when(id, TIME_MAX, |view| view.outcome == Some(Outcome::Delivered));
    let at_a = account_when(a, "it is closed", |one| one["sent"] == "100");
    let at_b = account_when(b, "it is delivered", |one| one["received"] == "100");
    assert_eq!((&at_a["pending_out"], &at_b["pending_in"]), (&json!("0"), &json!("0")));
    assert_eq!((&at_a["room"], &at_b["room"]), (&json!("600"), &json!("200")));

    let notice = "account e2e4/coin with e2e4: the peer owes 100, settle_threshold is 90: it is time \
                  to settle; the peer is to pay to the mill";
    until("b's operator is told to settle", TIME_MAX, || b.log().contains(notice).then_some(()));

    standing(b);
    limits_and_settlements(b);
    suspended(a, b);
    statements(a, b);
}

fn standing(b: &Gateway) {
    let run = |arguments: &[&str]| command(b, &[&["standing"], arguments].concat());
    let list = out(&run(&["list"]));
    assert!(list.starts_with("SUBJECT"), "{list}");
    assert!(list.lines().any(|line| line.starts_with("e2e4 ") && line.contains("51")), "{list}");
    let shown: Value = serde_json::from_str(&out(&run(&["show", "e2e4", "--json"]))).unwrap();
    assert_eq!((&shown["subject"], &shown["chain"]), (&json!("e2e4"), &json!("e2e4")));
    assert_eq!(shown["journal"][0]["before"], "50");
    assert!(out(&run(&["show", "e2e4"])).contains("standing  51"), "{shown}");
    let unknown = run(&["show", "cafe"]);
    assert_eq!(unknown.status.code(), Some(69));
    let expected = "distpos-gateway: nothing is known of cafe: it has a newcomer's standing, 50\n";
    assert_eq!(err(&unknown), expected);
    let mistyped = run(&["show", "Village"]);
    assert_eq!(mistyped.status.code(), Some(64));
    assert!(
        err(&mistyped).contains("expected a chain-id such as e2e4, or a gateway"),
        "{mistyped:?}"
    );
}

fn limits_and_settlements(b: &Gateway) {
    let limit =
        ["limit", "e2e4", "e2e4/coin", "--window", "0s", "--reason", "they are slow payers"];
    let told = done(b, &limit);
    assert!(told.contains("credit limit 300\ntransaction  "), "{told}");
    account_when(b, "the window is gone", |one| one["window_max"] == Value::Null);
    let settle = ["settle", "e2e4", "e2e4/coin", "--add", "40", "--reason", "paid in grain"];
    done(b, &settle);
    account_when(b, "the reserve is there", |one| one["reserve"] == "40" && one["room"] == "240");
    let take = ["settle", "e2e4", "e2e4/coin", "--take", "41", "--reason", "more than there is"];
    let refused = command(b, &[&["account"], &take[..]].concat());
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    assert!(err(&refused).contains("41"), "{refused:?}");
    let user = b.village.local();
    let before = b.balance();
    // What arrived has used it: nothing is given back twice.
    let take = ["settle", "e2e4", "e2e4/coin", "--take", "15"];
    let pay =
        [&["account"], &take[..], &["--to", user.as_str(), "--reason", "given back"]].concat();
    let refused = command(b, &pay);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    assert!(err(&refused).contains("are left, less than the 15 to be paid out"), "{refused:?}");
    assert_eq!(b.balance(), before);
    done(b, &[&take[..], &["--reason", "given back"]].concat());
    account_when(b, "the reserve is less", |one| one["reserve"] == "25");

    let account = show(b, "e2e4");
    let journal = account["journal"].as_array().unwrap();
    let entry = |act: &str| journal.iter().find(|entry| entry["act"] == act).expect(act);
    assert_eq!(entry("deposit")["amount"], "40");
    assert_eq!(entry("deposit")["why"], "paid in grain");
    assert_eq!(entry("withdraw")["why"], "given back");
    assert!(entry("deposit")["height"].is_u64());
    assert_eq!(account["entries"], journal.len());
    let one = as_json(b, &["show", "e2e4", "e2e4/coin", "--entries", "1", "--since", "1"]);
    assert_eq!(one["journal"].as_array().unwrap().len(), 1);
    assert_eq!(one["journal"][0]["act"], "set");
    let text = done(b, &["show", "e2e4", "e2e4/coin"]);
    assert!(
        text.contains("FIGURE        AMOUNT\nreserve           25\nreceived         100\n"),
        "{text}"
    );
    assert!(text.contains("paid in grain"), "{text}");
}

fn suspended(a: &Gateway, b: &Gateway) {
    let mark = |act: &str, reason: &str| {
        command(b, &["account", act, "e2e4", "e2e4/coin", "--reason", reason])
    };
    let told = mark("suspend", "their node looks odd");
    assert_eq!(out(&told).lines().next(), Some("account      e2e4/coin with e2e4: suspended"));
    let again = mark("suspend", "again");
    assert_eq!(again.status.code(), Some(69));
    let me = rustix::process::getuid().as_raw();
    let expected = format!(
        "distpos-gateway: e2e4/coin with e2e4 is suspended already, by uid {me}: their node looks odd\n"
    );
    assert_eq!(err(&again), expected);
    let id = a.send(1, &b.village.address(), 10);
    b.message_when(id, TIME_MAX, |view| view.state == "suspended");
    assert_eq!(as_json(b, &["list"])["accounts"][0]["state"], "suspended");
    assert_eq!(as_json(b, &["list"])["accounts"][0]["received"], "100");

    let told = mark("resume", "it was the clock");
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    a.message_when(id, TIME_MAX, |view| view.outcome == Some(Outcome::Delivered));
    account_when(b, "it is delivered", |one| one["received"] == "110");
    let again = mark("resume", "again");
    assert_eq!(err(&again), "distpos-gateway: e2e4/coin with e2e4 is not suspended\n");
    let journal = show(b, "e2e4")["journal"].clone();
    let resumed = journal.as_array().unwrap().iter().find(|entry| entry["act"] == "resume");
    let resumed = resumed.expect("a resume entry");
    assert_eq!(resumed["by"], format!("uid {me}"));
    assert_eq!(resumed["why"], "it was the clock");
}

fn statements(a: &Gateway, b: &Gateway) {
    account_when(a, "both are closed", |one| one["sent"] == "110");
    let now = ["statement", "e2e4", "e2e4/coin", "--now", "--reason", "month's end"];
    done(b, &now);
    until("a has b's statement, and it matches", TIME_MAX, || {
        let papers = as_json(a, &["statement", "b1c2", "e2e4/coin"]);
        let came = &papers["received"];
        (came["received"] == "110" && came["comparison"] == "matches").then_some(())
    });
    let text = done(a, &["statement", "b1c2", "e2e4/coin"]);
    assert!(text.contains("2 messages with 110 delivered, reserve 25"), "{text}");
    assert!(text.trim_end().ends_with(": matches"), "{text}");
}

/// 2^256.
const OVER: &str = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
const SUM: &str = "expected a whole number of the asset's smallest unit, such as \"1000000\"";

/// What an operator may type, and what is said.
const MISTYPED: &[(&[&str], &str)] = &[
    (&["limit", "b1c2", "e2e4/coin", "--credit-limit", "-5"], SUM),
    (&["limit", "b1c2", "e2e4/coin", "--credit-limit", "1.5"], SUM),
    (&["limit", "b1c2", "e2e4/coin", "--credit-limit", "1e3"], SUM),
    (&["limit", "b1c2", "e2e4/coin", "--credit-limit", ""], SUM),
    (
        &["limit", "b1c2", "e2e4/coin", "--credit-limit", OVER],
        "found a number of 78 digits, 2^256 or more, expected less than 2^256",
    ),
    (&["limit", "b1c2", "e2e4/coin"], "no limit is named: --credit-limit, --window-max"),
    (
        &["limit", "b1c2", "e2e4/coin", "--window-max", "0"],
        "for '--window-max <AMOUNT>': found 0, expected more than zero",
    ),
    (
        &["limit", "b1c2", "e2e4/coin", "--window-max", "5"],
        "--window-max is named, expected --window beside it",
    ),
    (
        &["limit", "b1c2", "e2e4/coin", "--window", "1h"],
        "--window is named, expected --window-max beside it",
    ),
    (&["limit", "b1c2", "e2e4/coin", "--window", "1"], "expected a duration such as"),
    (&["limit", "b1c2", "e2e4/coin", "--window", "10ms"], "expected whole seconds"),
    (&["settle", "b1c2", "e2e4/coin", "--add", "0"], "found 0, expected more than zero"),
    (&["settle", "b1c2", "e2e4/coin", "--take", "-1"], SUM),
    (&["settle", "b1c2", "e2e4/coin"], "<--add <AMOUNT>|--take <AMOUNT>>"),
    (&["settle", "b1c2", "e2e4/coin", "--add", "1", "--take", "1"], "cannot be used with"),
    (
        &["settle", "b1c2", "e2e4/coin", "--add", "1", "--to", "63ea"],
        "--to stands beside --add, expected it only beside --take",
    ),
    (
        &["settle", "b1c2", "coin", "--add", "1"],
        "found \"coin\", expected an asset, <issuer chain-id>/<label>, such as \"e2e4/coin\"",
    ),
    (&["settle", "B1C2", "e2e4/coin", "--add", "1"], "expected a hex digit"),
    (
        &["open", "b1c2", "e2e4/coin", "--backing", "gold"],
        "found the backing \"gold\", expected coin, ledger or erc20:<40 lower-case hex digits>",
    ),
    (
        &["open", "b1c2", "e2e4/coin", "--backing", "coin"],
        "backing is coin, on a chain of family ledger",
    ),
    (&["open", "b1c2", "e2e4/coin", "--decimals", "78"], "78 is not in 0..=77"),
    (&["open", "b1c2", "cafe/coin"], "decimals is missing: how many digits of cafe/coin"),
    (&["open", "b1c2", "e2e4/coin", "--terms", "00"], "--terms"),
    (&["open", "b1c2", "e2e4/coin", "--key", "owner.key"], "--key is for an EVM chain"),
];

#[test]
fn what_is_mistyped_is_told_before_anything_is_done() {
    let world = World::prepared();
    world.a.start();
    for (arguments, expected) in MISTYPED {
        let all = [&["account"], *arguments, &["--reason", "test"]].concat();
        let refused = command(&world.a, &all);
        assert_eq!(refused.status.code(), Some(64), "{arguments:?} {refused:?}");
        assert!(err(&refused).contains(expected), "{arguments:?} {}", err(&refused));
    }
    for reason in ["", " ", "a\nb", &"x".repeat(201)] {
        for act in ["suspend", "resume", "close", "open"] {
            let all = ["account", act, "b1c2", "e2e4/coin", "--reason", reason];
            let refused = command(&world.a, &all);
            assert_eq!(refused.status.code(), Some(64), "{refused:?}");
            assert!(err(&refused).contains("'--reason <REASON>': reason "), "{}", err(&refused));
        }
    }
    let missing = command(&world.a, &["account", "suspend", "b1c2", "e2e4/coin"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(err(&missing).contains("--reason <REASON>"), "{missing:?}");
}

#[test]
fn what_cannot_be_done_is_told_with_why() {
    let world = World::prepared();
    world.a.start();
    let refused = |arguments: &[&str]| {
        let all = [&["account"], arguments, &["--reason", "test"]].concat();
        let refused = command(&world.a, &all);
        assert_eq!(refused.status.code(), Some(69), "{arguments:?} {refused:?}");
        err(&refused)
    };
    let nowhere = "there is no account e2e4/coin with cafe: `account list` shows those there are\n";
    for act in ["suspend", "resume", "close"] {
        assert!(refused(&[act, "cafe", "e2e4/coin"]).ends_with(nowhere));
    }
    let shown = command(&world.a, &["account", "show", "cafe", "e2e4/coin"]);
    assert_eq!(shown.status.code(), Some(69));
    assert!(err(&shown).ends_with(nowhere), "{shown:?}");
    assert!(
        refused(&["open", "cafe", "e2e4/coin"])
            .contains("chain cafe is not believed: no trusted keys are known")
    );
    assert!(refused(&["open", "e2e4", "e2e4/coin"]).contains("e2e4 is this gateway's own chain"));
    let hash = "ab".repeat(32);
    let other = refused(&["open", "b1c2", "e2e4/coin", "--terms", &hash]);
    assert!(other.contains(&format!("b1c2 has not signed the terms {hash}")), "{other}");

    // The gateway itself checks what a command may not have.
    let path = "/v1/accounts/b1c2/e2e4/coin/settle";
    for (body, expected) in [
        (r#"{"reason":"x"}"#, "expected add or take, one of them"),
        (r#"{"reason":"x","add":"1","take":"1"}"#, "expected add or take, one of them"),
        (r#"{"reason":"x","add":"-1"}"#, "add: found \"-1\", expected a whole number"),
        (r#"{"reason":"x","add":"0"}"#, "add: found 0, expected more than zero"),
        (r#"{"reason":"x","add":1}"#, "body: invalid type: integer `1`, expected a string"),
        (r#"{"reason":"x","add":"1","to":"63ea"}"#, "--to stands beside --add"),
        (r#"{"reason":"x","take":"1","to":""}"#, "to: local address has 0 characters"),
        (r#"{"add":"1"}"#, "reason is missing"),
    ] {
        let (status, answer) = call(&socket(&world.a), "POST", path, body);
        let text = answer["error"]["text"].as_str().unwrap();
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.starts_with(expected), "{body}: {text}");
    }
    for path in ["/v1/accounts/b1c2/e2e4/coin/fly", "/v1/accounts/b1c2/coin", "/v1/accounts"] {
        assert_eq!(call(&socket(&world.a), "POST", path, r#"{"reason":"x"}"#).0, 404);
    }
    let (status, answer) = call(&socket(&world.a), "GET", "/v1/accounts/b1c2/e2e4/coin?from=x", "");
    assert_eq!(status, 400, "{answer}");

    let closed =
        command(&world.a, &["account", "close", "b1c2", "e2e4/coin", "--reason", "quarrel"]);
    assert!(out(&closed).starts_with("account      e2e4/coin with b1c2: closed\n"), "{closed:?}");
    until("it is closed", TIME_MAX, || (show(&world.a, "b1c2")["state"] == "closed").then_some(()));
    assert!(refused(&["close", "b1c2", "e2e4/coin"]).contains("is not open: `account open` it"));
}
