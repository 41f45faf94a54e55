//! `distpos-send` against two running gateways: from a user's key to the receipt.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use distpos_certs::{SecretKind, write_secret};
use distpos_examples::village::BALANCE;
use serde_json::Value;

use crate::world::{Gateway, World};

/// A world in whose directory the user of the first chain has the key file `ann.key`.
fn world() -> World {
    let world = World::running();
    write_secret(&world.home.path().join("ann.key"), SecretKind::Ledger, &[1; 32]).unwrap();
    world
}

fn command(world: &World, gateway: Option<&Gateway>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-send"));
    command.args(arguments).current_dir(world.home.path()).stdin(Stdio::null());
    if let Some(gateway) = gateway {
        command.arg("--gateway").arg(format!("http://{}", gateway.submission));
    }
    command
}

fn run(world: &World, gateway: Option<&Gateway>, arguments: &[&str]) -> Output {
    command(world, gateway, arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_user_sends_to_an_account_that_is_opened_only_after_the_first_attempt() {
    let world = world();
    let made = run(&world, None, &["keygen", "bob.key"]);
    let bob = format!("b1c2x{}", out(&made).trim());
    let send = [bob.as_str(), "--amount", "30", "--key", "ann.key", "--wait"];

    let refused = run(&world, Some(&world.a), &send);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    assert!(out(&refused).contains("refused and refunded 5.1.1 account "), "{refused:?}");
    assert_eq!(world.a.balance(), BALANCE);

    let opened = run(&world, Some(&world.b), &["open", "--key", "bob.key"]);
    assert_eq!(out(&opened), format!("{bob}\n"), "{opened:?}");
    let sent = run(&world, Some(&world.a), &[&send[..], &["--json"]].concat());
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let told: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(told["message"]["outcome"], "delivered");
    assert_eq!(told["message"]["code"], "2.0.0");
    let id = told["id"].as_str().unwrap();
    assert_eq!(told["message"]["id"], id);
    assert_eq!(world.a.balance(), BALANCE - 30);
    let account = run(&world, Some(&world.b), &["account", "--key", "bob.key"]);
    assert!(out(&account).ends_with(" balance 30 nonce 1\n"), "{account:?}");

    // Both ends can be asked.
    let status = run(&world, Some(&world.a), &["status", id]);
    assert!(out(&status).contains("now delivered (to b1c2)\n"), "{status:?}");
    let status = run(&world, Some(&world.b), &["status", id, "--json"]);
    let there: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&there["direction"], &there["peer"]), (&"in".into(), &"e2e4".into()));
    assert_eq!(there["outcome"], "delivered");
}

#[test]
fn what_nobody_can_know_or_answer_has_its_own_exit_code() {
    let world = world();
    let nobody = "0".repeat(64);
    let unknown = run(&world, Some(&world.a), &["status", &nobody]);
    assert_eq!(unknown.status.code(), Some(69), "{unknown:?}");
    assert!(err(&unknown).contains("no such message here"), "{unknown:?}");

    // No such chain in DNS, and nothing was ever sent there: refunded without a receipt.
    let arguments = ["ffffxbob", "--amount", "5", "--key", "ann.key", "--wait"];
    let nowhere = run(&world, Some(&world.a), &arguments);
    assert_eq!(nowhere.status.code(), Some(69), "{nowhere:?} {}", world.a.log());
    assert!(out(&nowhere).contains("refused and refunded"), "{nowhere:?}");
    assert!(out(&nowhere).contains("5.1.2"), "every refusal has a code: {nowhere:?}");
    assert_eq!(world.a.balance(), BALANCE);

    world.a.terminate();
    for arguments in [&["status", &nobody][..], &arguments] {
        let silent = run(&world, Some(&world.a), arguments);
        assert_eq!(silent.status.code(), Some(75), "{silent:?}");
    }
}

#[test]
fn whoever_waits_is_told_the_end_across_crashes_of_both_gateways() {
    let world = world();
    let bob = world.b.village.address().to_string();
    world.b.kill();
    let send = [bob.as_str(), "--amount", "30", "--key", "ann.key", "--wait"];
    let mut sending =
        command(&world, Some(&world.a), &send).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(sending.stdout.take().unwrap()).lines();
    let id = lines.next().unwrap().unwrap();
    world.a.kill();
    world.b.start();
    world.a.start();
    assert_eq!(sending.wait().unwrap().code(), Some(0), "{}", world.a.log());
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(told.last().map(String::as_str), Some("delivered 2.0.0 delivered"), "{told:?}");
    let status = run(&world, Some(&world.b), &["status", &id]);
    assert!(out(&status).contains("now delivered (from e2e4)\n"), "{status:?}");
    assert_eq!(world.b.balance(), BALANCE + 30);
}
