//! The queue's commands on a running gateway: why messages wait, and what is done about it.

use std::time::Duration;

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use distpos_proto::{
    address::{Address, Local},
    message::MessageId,
};
use serde_json::{Value, json};

use crate::{
    admin::{call, command, err, out, socket},
    proxy::{Mode, Proxy},
    world::{Gateway, World},
};

/// What does not happen by then does not happen.
const SOON: Duration = Duration::from_secs(120);

/// What the command says, which has to succeed.
fn said(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = command(gateway, &[&["queue"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}\n{}", gateway.log());
    out(&output)
}

fn as_json(gateway: &Gateway, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(gateway, &[arguments, &["--json"]].concat())).unwrap()
}

/// What the command refuses, and with which exit code.
fn refused(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(gateway, &[&["queue"], arguments].concat());
    (output.status.code(), format!("{}{}", out(&output), err(&output)))
}

/// Waits until a message has met the reason for which it will wait.
fn waits(gateway: &Gateway, id: MessageId, code: &str) {
    gateway.message_when(id, SOON, |view| view.code.as_deref() == Some(code));
}

fn delivered(gateway: &Gateway, ids: &[MessageId]) {
    for id in ids {
        gateway.message_when(*id, SOON, |view| view.outcome == Some(Outcome::Delivered));
    }
}

#[test]
fn one_look_tells_why_messages_wait_and_the_operator_has_his_way_with_them() {
    let mut world = World::prepared();
    world.publish();
    let (a, b) = (&world.a, &world.b);
    a.start();
    assert_eq!(said(a, &["list"]), "nothing waits\n");
    assert_eq!(said(a, &["summary"]), "nothing waits\n");
    let to = b.village.address();
    let ids = [0, 1, 2].map(|nonce| a.send(nonce, &to, 5));
    ids.iter().for_each(|id| waits(a, *id, "4.4.1"));
    looked_at(a, &ids);

    // Held, it stays when its chain comes.
    let [first, second, third] = ids.map(|id| id.to_string());
    let hold = ["hold", &first, "--reason", "the buyer rang", "--for", "2d"];
    assert_eq!(said(a, &hold), "hold: done to 1 messages\n");
    let view = a.message_when(ids[0], SOON, |view| view.state == "held");
    assert_eq!(view.code.as_deref(), Some("4.7.1"));
    assert_eq!(view.text.as_deref(), Some("held by the operator: the buyer rang"));
    let held = as_json(a, &["list", "--state", "held"]);
    let wait = held["messages"][0]["due_ms"].as_u64().unwrap()
        - held["messages"][0]["since_ms"].as_u64().unwrap();
    assert_eq!(wait, 2 * 24 * 60 * 60 * 1_000, "{held}");
    let (code, told) = refused(a, &["flush", &first, "--reason", "now"]);
    assert_eq!(code, Some(69));
    assert_eq!(told, "flush: done to 0 messages\nnot to 1: it is held: release it\n");

    // What chains have locked is not given up as long as another may have it.
    let (code, told) = refused(a, &["expire", &second, "--reason", "it is old"]);
    assert_eq!(code, Some(69));
    assert!(told.contains("or the chain is named or has an account: only a receipt"), "{told}");
    let (code, told) = refused(a, &["drop", &second, "--reason", "it is old"]);
    assert_eq!(code, Some(69));
    assert!(told.contains("its sender's value is locked in the outbox"), "{told}");
    a.kill();
    a.start();

    b.start();
    said(a, &["flush", "--chain", "b1c2", "--state", "queued", "--yes", "--reason", "it is back"]);
    delivered(a, &ids[1..]);
    assert_eq!(b.balance(), BALANCE + 10, "the third is held, through a crash, too");
    let told = said(a, &["list"]);
    assert!(told.contains(&first) && !told.contains(&second) && !told.contains(&third), "{told}");
    assert_eq!(
        said(a, &["release", "ALL", "--yes", "--reason", "they have paid"]),
        "release: done to 1 messages\n"
    );
    delivered(a, &ids[..1]);
    assert_eq!(b.balance(), BALANCE + 15);
    let (code, told) = refused(a, &["requeue", &first, "--reason", "once more"]);
    assert_eq!(code, Some(69));
    assert_eq!(
        told,
        format!("requeue: done to 0 messages\nnot to 1 that are not in the queue: {first}\n")
    );
    let log = a.log();
    for reason in ["the buyer rang", "it is back", "they have paid"] {
        assert!(log.contains(reason), "{reason:?} is not in {log}");
    }
}

/// Three messages for a chain that is away.
fn looked_at(a: &Gateway, ids: &[MessageId]) {
    let list = as_json(a, &["list"]);
    assert_eq!(list["messages"].as_array().unwrap().len(), 3, "{list}");
    let one = &list["messages"][0];
    assert_eq!((&one["direction"], &one["chain"]), (&json!("out"), &json!("b1c2")));
    assert_eq!((&one["state"], &one["code"]), (&json!("queued"), &json!("4.4.1")));
    assert_eq!(one["amount"], "5");
    let sums = as_json(a, &["summary"]);
    assert_eq!((&sums["whole"], sums["rows"].as_array().unwrap().len()), (&json!(true), 1));
    assert_eq!(
        (&sums["rows"][0]["messages"], &sums["rows"][0]["state"]),
        (&json!(3), &json!("queued"))
    );
    let reasons = as_json(a, &["reasons"]);
    let all: u64 = reasons["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["messages"].as_u64().unwrap())
        .sum();
    assert_eq!(all, 3, "{reasons}");
    assert!(said(a, &["reasons"]).lines().nth(1).unwrap().contains("out  b1c2   queued  4.4.1 "));

    // By any of what is known of them.
    let sender = a.village.local().to_string();
    for (like, messages) in [
        (&["--chain", "b1c2", "--direction", "out", "--code", "4.4.1"][..], 3),
        (&["--sender", &sender, "--state", "queued", "--state", "held"], 3),
        (&["--chain", "cafe"], 0),
        (&["--direction", "in"], 0),
        (&["--state", "accepted"], 0),
        (&["--code", "4.3.1"], 0),
        (&["--older-than", "1d"], 0),
        (&["--expired"], 0),
        (&["--sender", "nobody"], 0),
    ] {
        let found = as_json(a, &[&["list"], like].concat());
        assert_eq!(found["messages"].as_array().unwrap().len(), messages, "{like:?} {found}");
    }
    let page = as_json(a, &["list", "--messages", "1"]);
    let mut seen = page["messages"].as_array().unwrap().clone();
    let next = page["next"].as_str().unwrap();
    let rest = as_json(a, &["list", "--after", next]);
    seen.extend(rest["messages"].as_array().unwrap().clone());
    assert_eq!(seen, *list["messages"].as_array().unwrap(), "pages leave none out");

    let id = ids[0].to_string();
    let trace = command(a, &["trace", &id]);
    assert_eq!(trace.status.code(), Some(0), "{trace:?}");
    let told = out(&trace);
    for part in [
        format!("message   {id}\nway       to chain b1c2\n"),
        format!("from      e2e4x{sender}\n"),
        "value     5 e2e4/coin\n".to_owned(),
        "place     number 1 between the chains, block ".to_owned(),
        "state     queued\nreason    4.4.1 ".to_owned(),
        ", tried ".to_owned(),
    ] {
        assert!(told.contains(&part), "{part:?} is not in {told}");
    }
    assert_eq!(said(a, &["show", &id]).lines().count(), told.lines().count());
    let unknown = "ab".repeat(32);
    let absent = command(a, &["trace", &unknown]);
    assert_eq!(absent.status.code(), Some(69));
    assert_eq!(
        err(&absent),
        format!("distpos-gateway: no message {unknown} is known to this gateway\n")
    );
}

#[test]
fn what_another_chain_sent_may_be_held_or_forgotten_until_it_is_proven() {
    let mut world = World::prepared();
    // What comes to B is claimed, but its proof cannot be fetched for now.
    let proxy = Proxy::before(world.a.peers, Mode::Closed);
    world.a.published = proxy.address;
    world.publish();
    let (a, b) = (&world.a, &world.b);
    a.start();
    b.start();
    let to = b.village.address();
    let ids = [0, 1].map(|nonce| a.send(nonce, &to, 5));
    for id in ids {
        a.message_when(id, SOON, |view| view.state == "accepted");
        b.message_when(id, SOON, |view| view.state == "claimed" && view.code.is_some());
    }
    let [first, second] = ids.map(|id| id.to_string());
    let (code, told) = refused(a, &["hold", &first, "--reason", "wait"]);
    assert_eq!((code, told.contains("the other chain has it: only its receipt")), (Some(69), true));
    let (code, told) = refused(b, &["expire", &first, "--reason", "not ours"]);
    assert_eq!((code, told.contains("its source refunds it")), (Some(69), true), "{told}");
    said(b, &["hold", "--chain", "e2e4", "--yes", "--reason", "who are they"]);
    b.message_when(ids[1], SOON, |view| view.state == "held");
    assert_eq!(said(b, &["drop", &first, "--reason", "not theirs"]), "drop: done to 1 messages\n");
    assert_eq!(as_json(b, &["list"])["messages"].as_array().unwrap().len(), 1);

    // Its chain has it still, and tells of it again: nothing is lost by dropping it.
    proxy.set(Mode::Open);
    said(b, &["release", &second, "--reason", "they are friends"]);
    said(a, &["requeue", &first, "--reason", "they dropped it"]);
    delivered(a, &ids);
    assert_eq!(b.balance(), BALANCE + 10);
}

#[test]
fn what_nobody_can_have_got_is_given_up_and_paid_back() {
    // No name server answers, so nothing says that there is no such chain.
    let world = World::prepared();
    let a = &world.a;
    a.start();
    let nobody = Address::new("cafe".parse().unwrap(), "somebody".parse::<Local>().unwrap());
    let id = a.send(0, &nobody, 7);
    waits(a, id, "4.4.3");
    let balance = a.balance();
    assert_eq!(
        said(a, &["expire", &id.to_string(), "--reason", "there is no cafe"]),
        "expire: done to 1 messages\n"
    );
    let view = a.message_when(id, SOON, |view| view.outcome == Some(Outcome::Refunded));
    let text = "given up by the operator, nothing was ever sent there: there is no cafe";
    assert_eq!(view.text.as_deref(), Some(text), "{view:?}");
    assert_eq!(a.balance(), balance + 7);
}

#[test]
fn wrong_use_is_told_before_anything_is_done() {
    let world = World::prepared();
    let a = &world.a;
    a.start();
    let id = "ab".repeat(32);
    for (arguments, expected) in [
        (
            &["flush", "--reason", "x"][..],
            "nothing says which messages to flush: ids, options such as",
        ),
        (&["flush", "all", "--reason", "x"], "expected the id of a message, or ALL in capitals"),
        (&["hold", &id, "ALL", "--reason", "x"], "exclude each other"),
        (&["hold", &id, "--chain", "b1c2", "--reason", "x"], "exclude each other"),
        (&["release", "ALL", "--reason", "x"], "without a terminal, say --yes"),
        (&["release", "--chain", "b1c2", "--reason", "x"], "without a terminal, say --yes"),
        (&["drop", &id], "--reason <REASON>"),
        (&["drop", &id, "--reason", ""], "reason"),
        (
            &["hold", &id, "--reason", "x", "--for", "31d"],
            "for_seconds: found 2678400, expected 1 to",
        ),
        (&["hold", &id, "--reason", "x", "--for", "soon"], "--for <TIME>"),
        (&["list", "--state", "lost"], "[possible values: queued, "),
        (&["list", "--chain", "Village"], "--chain <CHAIN>"),
        (&["list", "--after", "7"], "expected what an answer gave as \"next\""),
        (&["list", "--code", "900"], "--code <CODE>"),
        (&["show", "7"], "<ID>"),
        (&["tidy"], "unrecognized subcommand 'tidy'"),
    ] {
        let (code, told) = refused(a, arguments);
        assert_eq!(code, Some(64), "{arguments:?} {told}");
        assert!(told.contains(expected), "{arguments:?} {expected:?} is not in {told}");
    }
    let calls = [
        ("GET", "/v1/queue?filter=%7B%22chain%22%3A7%7D", "", 400),
        ("GET", "/v1/queue?order=oldest", "", 400),
        ("GET", "/v1/messages/7", "", 400),
        ("POST", "/v1/queue/hold", "{}", 400),
        ("POST", "/v1/queue/hold", "{\"reason\":\"x\",\"all\":true,\"for_seconds\":0}", 400),
        ("POST", "/v1/queue/flush", "{\"reason\":\"x\",\"all\":true,\"for_seconds\":9}", 400),
        ("POST", "/v1/queue/flush", "{\"reason\":\"x\",\"everything\":true}", 400),
        ("POST", "/v1/queue/tidy", "{\"reason\":\"x\",\"all\":true}", 400),
    ];
    for (method, path, body, status) in calls {
        let (found, answer) = call(&socket(a), method, path, body);
        assert_eq!(found, status, "{method} {path} {body}: {answer}");
    }
}
