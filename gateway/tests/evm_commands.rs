//! `distpos-gateway evm` against a real node: what an operator of an EVM chain does once.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

/// A running anvil; ended when dropped.
struct Node {
    child: Child,
    url: String,
}

impl Node {
    fn start() -> Self {
        let mut child = Command::new("anvil")
            .args(["--host", "127.0.0.1", "--port", "0", "--chain-id", "58084"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil is on the PATH");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned));
        let url = format!("http://{}", listening.expect("anvil says where it listens"));
        // Read on, so that it never waits for its log to be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first account of anvil's well-known mnemonic, which has 10,000 ETH there.
const OWNER: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n";

#[test]
#[ignore = "needs anvil"]
fn a_contract_is_deployed_set_up_and_funded() {
    let node = Node::start();
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_distpos-gateway"))
            .args(arguments)
            .current_dir(&home)
            .output()
            .unwrap()
    };
    let owner = home.path().join("owner.key");
    fs::write(&owner, OWNER).unwrap();
    let at_node = ["--rpc", &node.url, "--key", "owner.key"];
    fs::set_permissions(&owner, fs::Permissions::from_mode(0o644)).unwrap();
    let account = String::from_utf8(run(&["evm", "keygen", "evm.key"]).stdout).unwrap();
    let deploy = ["evm", "deploy", "--chain", "e2e4", "--json", "--gateway", account.trim()];
    let open_to_others = run(&[&deploy[..], &at_node].concat());
    assert_eq!(open_to_others.status.code(), Some(78), "{open_to_others:?}");
    fs::set_permissions(&owner, fs::Permissions::from_mode(0o600)).unwrap();

    let deployed = run(&[&deploy[..], &at_node].concat());
    assert_eq!(deployed.status.code(), Some(0), "{deployed:?}");
    let deployed: Value = serde_json::from_slice(&deployed.stdout).unwrap();
    assert_eq!(deployed["chain_id"], 58084);
    let contract = ["--contract", deployed["contract"].as_str().unwrap(), "--reason", "test"];
    let genesis = deployed["genesis"].as_str().unwrap();
    let at = [&at_node[..], &contract].concat();
    let done = |arguments: &[&str]| {
        let ran = run(&[&["evm"], arguments, &at].concat());
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let told = done(&["peer", "b1c2", "--genesis", genesis]);
    assert_eq!(told, format!("registered b1c2: genesis {genesis}: test\n"));
    done(&["fund", "--amount", "2eth"]);
    let owner = [&["evm", "fund", "--amount", "2eth"], &at_node[..]].concat();
    let nowhere = ["--contract", account.trim(), "--reason", "mistyped"];
    let lost = run(&[&owner[..], &nowhere].concat());
    assert_eq!(lost.status.code(), Some(69), "an account is no contract: {lost:?}");

    // Only the owner may: the gateway's account, which has no ether either, is refused for good.
    let stranger = ["--rpc", &node.url, "--key", "evm.key"];
    let refused = run(&[&["evm", "gateway", account.trim()], &stranger[..], &contract].concat());
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("NotOwner: only the contract's owner may do this"), "{told}");

    an_account_is_opened_changed_and_settled(&done, genesis);
    let ran = |arguments: &[&str]| run(&[&["evm"], arguments, &at].concat());
    what_an_operator_mistakes_is_said(&ran);
    let settle = ["evm", "settle", "b1c2", "e2e4/coin", "--add", "1", "--reason", ""];
    let unsaid = run(&[&settle[..], &at_node, &contract[..2]].concat());
    let told = String::from_utf8_lossy(&unsaid.stderr);
    assert_eq!(
        (unsaid.status.code(), told.contains("reason is missing")),
        (Some(64), true),
        "{told}"
    );
    let deposit = ["evm", "deposit", "b1c2", "e2e4/coin", "--amount", "1gwei", "--json"];
    let paid = run(&[&deposit[..], &at_node, &contract[..2]].concat());
    assert_eq!(paid.status.code(), Some(0), "{paid:?}");
    let paid: Value = serde_json::from_slice(&paid.stdout).unwrap();
    let reserve = |moment: &str| paid[moment]["reserve"].as_str().unwrap().to_owned();
    assert_eq!((reserve("before").as_str(), reserve("after").as_str()), ("5", "1000000005"));
    assert_eq!(paid["after"]["cover"], "1000000005");
}

const TERMS: &str = "7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e";

/// What a command does not name stays as it was, and what it changes is shown.
fn an_account_is_opened_changed_and_settled(done: &dyn Fn(&[&str]) -> String, genesis: &str) {
    let account = ["account", "b1c2", "e2e4/coin"];
    let set = |more: &[&str]| done(&[&account[..], more].concat());
    let told = set(&["--terms", TERMS, "--token", "coin", "--credit-limit", "1.5eth"]);
    let opened = format!("terms none (closed) -> {TERMS}, credit_limit 0 -> 1500000000000000000");
    assert_eq!(told, format!("b1c2 e2e4/coin (coin): {opened}: test\n"));
    let told = set(&["--window-max", "1eth", "--window", "24h"]);
    let window = "window none -> 1000000000000000000 in 86400 s";
    assert_eq!(told, format!("b1c2 e2e4/coin (coin): {window}: test\n"));
    // More credit: terms and window stay, and so does the tag when the peer is named again.
    let told = set(&["--credit-limit", "2eth"]);
    let more = "credit_limit 1500000000000000000 -> 2000000000000000000";
    assert_eq!(told, format!("b1c2 e2e4/coin (coin): {more}: test\n"));
    let told = done(&["peer", "b1c2", "--genesis", genesis]);
    assert_eq!(told, format!("nothing to do: b1c2 is registered, genesis {genesis}: test\n"));
    let told = set(&["--credit-limit", "2eth"]);
    assert_eq!(told, "b1c2 e2e4/coin (coin): nothing changed: test\n");
    let told = set(&["--window", "0s", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["before"]["window_seconds"], 86_400);
    assert_eq!(told["after"]["window_seconds"], Value::Null);
    assert_eq!((&told["after"]["terms"], &told["reason"]), (&TERMS.into(), &"test".into()));
    let settle = ["settle", "b1c2", "e2e4/coin"];
    let told = done(&[&settle[..], &["--add", "7"]].concat());
    assert_eq!(told, "b1c2 e2e4/coin (coin): reserve 0 -> 7: test\n");
    let payee = "0x00000000000000000000000000000000000000AA";
    let told = done(&[&settle[..], &["--take", "2", "--to", payee]].concat());
    assert_eq!(told, "b1c2 e2e4/coin (coin): reserve 7 -> 5: test\n");
}

const ZERO: &str = "0x0000000000000000000000000000000000000000";

fn what_an_operator_mistakes_is_said(ran: &dyn Fn(&[&str]) -> Output) {
    let coin = ["account", "b1c2", "e2e4/coin"];
    let settle = ["settle", "b1c2", "e2e4/coin"];
    for (which, more, code, said) in [
        (
            ["account", "b1c2", "e2e4/gold"],
            &["--credit-limit", "1"][..],
            69,
            "e2e4/gold is not open",
        ),
        (
            ["account", "d3", "e2e4/coin"],
            &["--terms", TERMS, "--token", "coin"],
            69,
            "NoPeer: the chain is not",
        ),
        (["account", "b1c2", "coin"], &["--terms", TERMS], 64, "coin"),
        (coin, &["--window", "1h"], 69, "has no window: its sum is missing"),
        (["account", "b1c2", "e2e4/gold"], &["--terms", TERMS], 64, "--token 0x… or --token coin"),
        (coin, &["--credit-limit", "-1"], 64, "amount is \"-1\", expected 0 or more"),
        (coin, &["--window", "10ms"], 64, "expected whole seconds"),
        (coin, &["--window-max", "0", "--window", "1h"], 64, "--window-max is 0, expected more"),
        (coin, &["--window-max", "5", "--window", "0s"], 64, "--window-max stands beside"),
        (coin, &["--credit-limit", "1.5"], 64, "amount is \"1.5\""),
        (coin, &["--terms", "7e"], 64, "7e"),
        (settle, &["--take", "8"], 69, "is 5, less than the 8 to be taken"),
        (settle, &["--add", "9eth"], 69, "the float of coin is 1999999999999999993, less than"),
        (settle, &["--add", "0"], 64, "--add is 0, expected more"),
        (settle, &["--take", "-1"], 64, "amount is \"-1\", expected 0 or more"),
        (settle, &["--take", "1", "--to", ZERO], 64, "the zero address"),
        (settle, &[], 64, "<--add <AMOUNT>|--take <AMOUNT>>"),
        (["settle", "b1c2", "e2e4/gold"], &["--add", "1"], 69, "NoAccount: "),
    ] {
        let ran = ran(&[&which[..], more].concat());
        let told = String::from_utf8_lossy(&ran.stderr);
        let found = (ran.status.code(), told.contains(said));
        assert_eq!(found, (Some(code), true), "{which:?} {more:?}: {told}");
    }
}
