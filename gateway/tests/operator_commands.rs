//! The operator's commands, as real processes: keys, configuration, records, pins.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use distpos_proto::record::{self, PortRule, Target};
use serde_json::Value;

/// A directory with a ledger's configuration, and commands run in it.
struct Home(tempfile::TempDir);

const CONFIG: &str = r#"[chain]
id = "e2e4"
family = "ledger"
[chain.ledger]
directory = "ledger"
float = "1000"
[identity]
directory = "keys"
[spool]
directory = "spool"
[resolver]
roots = ["chains.example"]
servers = ["127.0.0.1:1"]
"#;

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With keys and this configuration.
    fn configured(text: &str) -> Self {
        let home = Self::new();
        fs::write(home.path("gateway.toml"), text).unwrap();
        let made = home.run(&["keygen", "--directory", "keys"]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
        command.args(arguments).current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn answering(&self, arguments: &[&str], answer: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The command may refuse before it reads.
        let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keygen_makes_keys_once_and_prints_what_to_publish() {
    let home = Home::new();
    let arguments =
        ["keygen", "--directory", "keys", "--chain", "e2e4", "--host", "gw1.village.example"];
    let made = home.run(&arguments);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(mode(&home.path("keys/tls.key")), 0o600);
    assert_eq!(mode(&home.path("keys/chain.key")), 0o600);
    let text = out(&made);
    let gateway = "_distpos.e2e4.ROOT. 3600 IN TXT \"v=DPOS1; c=e2e4; h=gw1.village.example;";
    assert!(text.contains(gateway), "{text}");
    assert!(text.contains("[peer.e2e4]\nkeys = [\""), "{text}");
    assert!(!text.contains("distpos-chain-key-1"), "no secret on the screen");

    let before = fs::read(home.path("keys/chain.key")).unwrap();
    let again = home.run(&arguments);
    assert_eq!(again.status.code(), Some(78));
    assert!(err(&again).contains("exists already, and a key is never overwritten"), "{again:?}");
    assert_eq!(fs::read(home.path("keys/chain.key")).unwrap(), before);
}

#[test]
fn what_records_prints_is_what_the_resolver_reads() {
    let home = Home::configured(CONFIG);
    let arguments = ["records", "--config", "gateway.toml", "--host", "gw1.village.example"];
    let printed = home.run(&[&arguments[..], &["--selector", "k20261123"]].concat());
    assert_eq!(printed.status.code(), Some(0), "{printed:?}");
    let text = out(&printed);
    let record = |owner: &str| {
        let line = text.lines().find(|line| line.starts_with(owner)).expect(owner);
        line.split('"').nth(1).unwrap().to_owned()
    };
    let chain = "e2e4".parse().unwrap();
    let gateway = record("_distpos.e2e4.chains.example. ");
    let found = record::gateways(&[&gateway], chain, PortRule::default()).unwrap();
    let Target::Host { host, port, .. } = &found[0].target else { panic!("expected a host") };
    assert_eq!((host.as_str(), *port), ("gw1.village.example", 7333));
    let key = record("k20261123._key._distpos.e2e4.chains.example. ");
    let key = record::key(&[&key], chain).unwrap().key.unwrap();
    let policy = record("_policy._distpos.e2e4.chains.example. ");
    let policy = record::policy(&[&policy], chain).unwrap().unwrap();
    assert_eq!(policy.selectors[0].as_str(), "k20261123");

    let checked = home.run(&["check", "--config", "gateway.toml", "--json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["facts"]["genesis"], policy.genesis.to_string());
    assert_eq!(checked["facts"]["chain_key"], key.to_string());

    // The section for peers is a section of their configuration.
    let peer = &text[text.find("[peer.e2e4]").unwrap()..];
    let theirs = format!("{}{peer}", CONFIG.replace("e2e4", "b1c2"));
    fs::write(home.path("theirs.toml"), theirs).unwrap();
    let theirs = home.run(&["trust", "list", "--config", "theirs.toml", "--json"]);
    let theirs: Value = serde_json::from_slice(&theirs.stdout).unwrap();
    assert_eq!(theirs["anchors"][0]["keys"][0], key.to_string());
    assert_eq!(theirs["anchors"][0]["origin"], "configuration");
}

#[test]
fn check_explains_and_exits_with_78() {
    let home = Home::configured(CONFIG);
    let fine = home.run(&["check", "--config", "gateway.toml"]);
    assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    assert!(out(&fine).ends_with("the configuration is usable\n"));
    assert!(!home.path("spool").exists(), "check changes nothing");

    let with = |text: &str| {
        fs::write(home.path("gateway.toml"), text).unwrap();
        let found = home.run(&["check", "--config", "gateway.toml"]);
        (found.status.code(), out(&found))
    };
    let (code, text) = with(&CONFIG.replace("float = \"1000\"", "float = \"ten\""));
    assert_eq!(code, Some(78));
    assert_eq!(
        text,
        "problem: gateway.toml:6: chain.ledger.float: amount is \"ten\", expected decimal digits\n\
         1 problem\n"
    );
    let (code, text) = with(&format!("{CONFIG}[peer.b1c2]\n"));
    assert_eq!(code, Some(0));
    assert!(text.contains("warning: peer.b1c2 has no keys and no pin"), "{text}");

    let stranger = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let keys = format!("[identity]\nkeys = [\"{stranger}\"]");
    let (code, text) = with(&CONFIG.replace("[identity]", &keys));
    assert_eq!(code, Some(78));
    assert!(text.contains(": identity.keys: does not hold this gateway's own"), "{text}");

    fs::set_permissions(home.path("keys/tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = with(CONFIG);
    assert_eq!(code, Some(78));
    assert!(
        text.contains("problem: gateway.toml:") && text.contains(": identity.directory: "),
        "{text}"
    );
    assert!(text.contains("644"), "{text}");
}

#[test]
fn a_missing_configuration_stops_the_daemon_with_78() {
    let started = Home::new().run(&["run", "--config", "nowhere.toml"]);
    assert_eq!(started.status.code(), Some(78));
    let expected = "distpos-gateway: nowhere.toml: No such file or directory (os error 2)\n";
    assert_eq!(err(&started), expected);
}

#[test]
fn wrong_arguments_are_64_and_help_is_0() {
    let home = Home::new();
    assert_eq!(home.run(&["--help"]).status.code(), Some(0));
    assert_eq!(home.run(&["version"]).status.code(), Some(0));
    for wrong in [&["fly"][..], &[], &["keygen"], &["trust", "pin", "B1C2", "--reason", "x"]] {
        let refused = home.run(wrong);
        assert_eq!(refused.status.code(), Some(64), "{wrong:?} {refused:?}");
    }
    let refused = home.run(&["trust", "pin", "b1g2", "--reason", "x"]);
    assert!(err(&refused).contains("chain-id has the character 'g' at position 2"), "{refused:?}");
}

#[test]
fn forgetting_needs_a_pin_and_pinning_an_answer() {
    let home = Home::configured(CONFIG);
    let config = ["--config", "gateway.toml", "--reason", "test"];
    let forget = home.run(&[&["trust", "forget", "b1c2"], &config[..]].concat());
    assert_eq!(forget.status.code(), Some(69));
    assert_eq!(
        err(&forget),
        "distpos-gateway: b1c2 is not pinned, and DNS has told nothing of it\n"
    );
    let own = home.run(&[&["trust", "pin", "e2e4"], &config[..]].concat());
    assert_eq!(own.status.code(), Some(64));
    let list = home.run(&["trust", "list", "--config", "gateway.toml"]);
    assert_eq!(out(&list), "no chain is anchored: neither pins nor peer.<cid>.keys\n");
    // Nothing answers at port 1: that is for now, not for ever.
    let silent = home.answering(&[&["trust", "pin", "b1c2"], &config[..]].concat(), "yes\n");
    assert_eq!(silent.status.code(), Some(75), "{silent:?}");
    assert!(!home.path("spool/trust/b1c2.toml").exists());
}

#[test]
fn an_evm_key_is_made_once_and_checked() {
    let home = Home::new();
    let made = home.run(&["evm", "keygen", "evm.key"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(mode(&home.path("evm.key")), 0o600);
    let account = out(&made);
    assert_eq!(home.run(&["evm", "keygen", "evm.key"]).status.code(), Some(78));
    assert_eq!(home.run(&["keygen", "--directory", "keys"]).status.code(), Some(0));
    let config = CONFIG.replace("family = \"ledger\"", "family = \"evm\"").replace(
        "[chain.ledger]\ndirectory = \"ledger\"\nfloat = \"1000\"",
        "[chain.evm]\nrpc = \"http://127.0.0.1:1\"\nchain_id = 58084\n\
         contract = \"0x5FbDB2315678afecb367f032d93F642f64180aa3\"\nkey = \"evm.key\"",
    );
    fs::write(home.path("gateway.toml"), config).unwrap();
    let checked = home.run(&["check", "--config", "gateway.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(out(&checked).contains(&format!("account    {account}")), "{checked:?}");
    let contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
    let fund = ["evm", "fund", "--rpc", "http://127.0.0.1:1", "--key", "evm.key"];
    let more = ["--contract", contract, "--amount", "1eth", "--reason", "test"];
    let node_down = home.run(&[&fund[..], &more].concat());
    assert_eq!(node_down.status.code(), Some(75), "{node_down:?}");
}

#[tokio::test]
async fn a_frozen_chain_is_believed_again_when_the_operator_says_so() {
    use distpos_spool::{Spool, SpoolError};
    let home = Home::configured(CONFIG);
    let chain: distpos_proto::chain::ChainId = "b1c2".parse().unwrap();
    let thaw = ["trust", "thaw", "b1c2", "--config", "gateway.toml", "--reason", "called them"];
    let spool = Spool::open(&home.path("spool")).unwrap();
    let freezing = spool.transact(move |tx| tx.set_frozen(chain, b"headers at 7"));
    freezing.await.map_err(|error: SpoolError| error.to_string()).unwrap();
    let running = home.run(&thaw);
    assert_eq!(running.status.code(), Some(69), "{running:?}");
    assert!(err(&running).contains("stop the gateway, thaw, start it again"), "{running:?}");
    drop(spool);
    let thawed = home.run(&thaw);
    assert_eq!(thawed.status.code(), Some(0), "{thawed:?}");
    let said = "b1c2 is believed again: called them\nit was frozen for: headers at 7\n";
    assert_eq!(out(&thawed), said);
    assert_eq!(err(&home.run(&thaw)), "distpos-gateway: b1c2 is not frozen\n");
}
