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
    let peer = ["evm", "peer", "b1c2", "--genesis", genesis, "--asset", "e2e4/coin"];
    let registered = run(&[&peer[..], &["--value-max", "1.5eth"], &at_node, &contract].concat());
    assert_eq!(registered.status.code(), Some(0), "{registered:?}");
    let told = String::from_utf8(registered.stdout).unwrap();
    assert!(
        told.ends_with("asset e2e4/coin, value_max 1500000000000000000, no window: test\n"),
        "{told}"
    );
    let fund = run(&[&["evm", "fund", "--amount", "2eth"], &at_node[..], &contract].concat());
    assert_eq!(fund.status.code(), Some(0), "{fund:?}");
    let owner = [&["evm", "fund", "--amount", "2eth"], &at_node[..]].concat();
    let nowhere = ["--contract", account.trim(), "--reason", "mistyped"];
    let lost = run(&[&owner[..], &nowhere].concat());
    assert_eq!(lost.status.code(), Some(69), "an account is no contract: {lost:?}");

    // Only the owner may: the gateway's account, which has no ether either, is refused for good.
    let stranger = ["--rpc", &node.url, "--key", "evm.key"];
    let refused = run(&[&["evm", "gateway", account.trim()], &stranger[..], &contract].concat());
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
}
