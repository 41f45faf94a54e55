//! `distpos-send` of a user of an EVM chain, at a real node.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    sync::Arc,
};

use alloy_primitives::U256;
use async_trait::async_trait;
use distpos_gateway::{
    chain::evm::Evm,
    outbound::simulate::{Asked, Forecast},
    submit::{DryRuns, MessageStatus, MessageView, serve},
};
use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
};
use serde_json::Value as Json;
use tokio::{net::TcpListener, sync::watch};

use super::{
    user::token,
    world::{GATEWAY, OWNER, USER, World, config, key, local},
};

/// Nothing that was sent is known here.
struct Unknown;

impl MessageStatus for Unknown {
    fn message(&self, _: MessageId) -> Option<MessageView> {
        None
    }

    fn by_transaction(&self, _: &[u8]) -> Vec<MessageId> {
        Vec::new()
    }
}

#[async_trait]
impl DryRuns for Unknown {
    async fn dry_run(&self, _: Asked) -> Result<Forecast, Reply> {
        let reply = Reply::new(Code::DELIVERED, "would be delivered");
        Ok(Forecast { gateway: Some("gw.b1c2.example:7333".into()), reply, gas: Some(48_000) })
    }
}

/// A user's folder with a key in it, a gateway that listens for users, and a node.
struct Desk {
    home: tempfile::TempDir,
    gateway: String,
    node: String,
    _stop: watch::Sender<bool>,
}

impl Desk {
    async fn of(world: &World) -> Self {
        let evm = Evm::open(config(&world.node, &world.deployed), key(GATEWAY)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let unknown = Arc::new(Unknown);
        tokio::spawn(serve(listener, Arc::new(evm), unknown.clone(), unknown, None, stopped));
        let home = tempfile::tempdir().unwrap();
        for (name, text) in [("key", key(USER).to_hex().to_string()), ("password", "rose".into())] {
            let file = home.path().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { home, gateway, node: world.node.url.clone(), _stop: stop }
    }

    /// Without a gateway or a node.
    fn alone(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-send"));
        command.args(arguments).current_dir(&self.home).output().unwrap()
    }

    fn send(&self, arguments: &[&str], more: &[&str]) -> Output {
        let at = ["--gateway", &self.gateway, "--rpc", &self.node];
        self.alone(&[arguments, more, &at].concat())
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs anvil"]
async fn the_users_command_shows_the_cost_and_sends_from_a_keystore() {
    let world = World::start().await;
    let desk = Desk::of(&world).await;
    let send = |arguments: &[&str], key: &[&str]| desk.send(arguments, key);
    let plain = ["--key", "key"];
    let order = ["b1c2xalice", "--amount", "0.5eth", "--data", "(uint256) 7", "--gas", "auto"];
    let before = world.node.balance(key(USER).address());
    let dry = send(&[&order[..], &["--dry-run", "--json"]].concat(), &plain);
    done(&dry);
    let dry: Json = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&dry["gas"], &dry["destination"]["gas"]), (&48_000.into(), &48_000.into()));
    assert!(dry["own"]["gas"].as_u64().unwrap() > 60_000, "{dry}");
    let fee: U256 = dry["own"]["fee"].as_str().unwrap().parse().unwrap();
    assert!(fee > U256::from(60_000) && dry["own"]["accepted"] == true, "{dry}");
    assert_eq!(world.node.balance(key(USER).address()), before, "nothing was sent");
    let rich = send(&["b1c2xalice", "--amount", "99999999eth", "--dry-run"], &plain);
    assert_eq!(rich.status.code(), Some(69), "{rich:?}");
    assert!(String::from_utf8_lossy(&rich.stdout).contains("own chain    would refuse it: "));
    let mistyped = "b1c2x5fbDB2315678afecb367f032d93F642f64180aa3";
    let mistyped = send(&[mistyped, "--amount", "1eth"], &plain);
    assert_eq!(mistyped.status.code(), Some(64), "{mistyped:?}");
    assert_eq!(world.node.balance(key(USER).address()), before, "nothing was sent");

    // A key of one's own, sealed, is paid and pays.
    let made = desk.alone(&["keygen", "--evm", "sealed.json", "--password", "password"]);
    let account = format!("0x{}", String::from_utf8(made.stdout).unwrap().trim());
    let paid = send(&[&account, "--amount", "2eth"], &plain);
    done(&paid);
    let sealed = ["--key", "sealed.json", "--password", "password"];
    let sent = send(&[&order[..], &["--json"]].concat(), &sealed);
    done(&sent);
    let told = String::from_utf8(sent.stderr).unwrap();
    let sent: Json = serde_json::from_slice(&sent.stdout).unwrap();
    let hash = sent["transaction"].as_str().unwrap();
    assert_eq!(told, format!("distpos-send: transaction 0x{hash}\n"));
    let (outgoing, _, _) = world.all().await;
    let fields = outgoing[0].fields();
    assert_eq!((fields.gas, fields.data.last()), (48_000, Some(&7)));
    assert_eq!(outgoing[0].id().to_string(), sent["id"]);
    assert_eq!(sent["from"], format!("e2e4x{}", &account[2..]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs anvil"]
async fn a_token_is_sent_in_its_own_unit_or_not_at_all() {
    let world = World::start().await;
    let reset = include_str!("../../contracts/artefacts/ResetToken.json");
    let token = token(&world, reset, "reset").await;
    let desk = Desk::of(&world).await;
    let run = |arguments: &[&str], more: &[&str]| desk.send(arguments, more);
    let token_text = token.to_checksum(None);
    let with_token = ["--erc20", &token_text, "--key", "key"];

    let dry = run(&["b1c2xalice", "--amount", "1.5token", "--dry-run"], &with_token);
    done(&dry);
    assert!(out(&dry).contains("the cost of the token's allowance;"), "{dry:?}");
    let sent = run(&["b1c2xalice", "--amount", "1.5token"], &with_token);
    done(&sent);
    for (arguments, code, text) in [
        (["b1c2xalice", "--amount", "1.5"], 64, "such as 1.5token"),
        (["b1c2xalice", "--amount", "0.0000001token"], 64, "up to 6 decimal places"),
        (["c3xalice", "--amount", "1token"], 69, "is not counted with c3"),
        (["b1c2xalice", "--amount", "99token"], 69, "less than 99000000"),
    ] {
        let dry = run(&[&arguments[..], &["--dry-run"]].concat(), &with_token);
        let told = format!("{}{}", out(&dry), String::from_utf8_lossy(&dry.stderr));
        assert_eq!((dry.status.code(), told.contains(text)), (Some(code), true), "{told}");
        let sent = run(&arguments, &with_token);
        let told = String::from_utf8_lossy(&sent.stderr);
        assert_eq!((sent.status.code(), told.contains(text)), (Some(code), true), "{told}");
        assert!(!told.contains("transaction 0x"), "nothing was signed: {told}");
    }
    let account = run(&["account", "--json"], &with_token);
    let account: Json = serde_json::from_slice(&account.stdout).unwrap();
    assert_eq!(account["tokens"][0]["balance"], "8500000", "{account}");
    assert_eq!(
        (&account["tokens"][0]["symbol"], &account["claimable"]),
        (&"RST".into(), &"0".into())
    );
    let nothing = run(&["claim"], &["--key", "key"]);
    assert_eq!(nothing.status.code(), Some(69), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no refund waits for"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs anvil"]
async fn anybody_pays_into_a_peers_reserve() {
    let world = World::start().await;
    let charging = include_str!("../../contracts/artefacts/ChargingToken.json");
    token(&world, charging, "salt").await;
    let desk = Desk::of(&world).await;
    let run = |peer: &str, asset: &str, amount: &str| {
        let pays = ["reserve", peer, "--asset", asset, "--amount", amount, "--wait", "--json"];
        desk.send(&pays, &["--key", "key"])
    };
    for (asset, amount, told) in [
        ("e2e4/coin", "1.5eth", "e2e4/coin was 0, and is 1500000000000000000\n"),
        ("e2e4/coin", "7", "was 1500000000000000000, and is 1500000000000000007\n"),
        // One in a hundred is the token's charge.
        ("e2e4/salt", "1000", "e2e4/salt was 0, and is 990\n"),
    ] {
        let paid = run("b1c2", asset, amount);
        done(&paid);
        let said = String::from_utf8_lossy(&paid.stderr).into_owned();
        assert!(said.ends_with(told), "{said}");
        let paid: Json = serde_json::from_slice(&paid.stdout).unwrap();
        assert_eq!(paid["from"], format!("e2e4x{}", local(key(USER).address())), "{paid}");
        assert!(
            said.contains(paid["transaction"].as_str().unwrap()),
            "told before it left: {said}"
        );
    }
    for (peer, asset, amount, code, told) in [
        ("b1c2", "e2e4/gold", "1", 69, "e2e4 has no open account with b1c2 in e2e4/gold"),
        ("c3", "e2e4/coin", "1", 69, "e2e4 has no open account with c3"),
        ("e2e4", "e2e4/coin", "1", 64, "expected a peer chain"),
        ("b1c2", "e2e4/coin", "0", 64, "--amount is 0"),
        ("b1c2", "e2e4/coin", "1.5", 64, "amount is \"1.5\""),
        ("b1c2", "e2e4/coin", "99999999eth", 69, "nsufficient"),
        ("b1c2", "e2e4/salt", "99000000", 69, "less than 99000000"),
    ] {
        let refused = run(peer, asset, amount);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), said.contains(told)), (Some(code), true), "{said}");
        assert!(!said.contains("transaction 0x"), "nothing was signed: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs anvil"]
async fn anybody_pays_to_a_deposit_address_and_anybody_forwards() {
    let world = World::start().await;
    let reset = include_str!("../../contracts/artefacts/ResetToken.json");
    let token = token(&world, reset, "reset").await;
    let desk = Desk::of(&world).await;
    let run = |arguments: &[&str], more: &[&str]| desk.send(arguments, more);
    let token_text = token.to_checksum(None);
    let with_token = ["--erc20", &token_text, "--key", "key"];

    let sender = key(OWNER).address().to_checksum(None);
    let deposit = ["deposit", "address", "b1c2xbob", "--sender", &sender];
    let found = run(&deposit, &[]);
    done(&found);
    let address = out(&found).trim().to_owned();
    let to_deposit = format!("0x{}", &address[2..]);
    let paid = run(&[&to_deposit, "--amount", "2token"], &with_token);
    done(&paid);
    let coins = run(&[&to_deposit, "--amount", "3gwei"], &["--key", "key"]);
    done(&coins);
    let forward = ["deposit", "forward", "b1c2xbob", "--sender", &sender, "--key", "key"];
    for options in [&with_token[..2], &[]] {
        let forwarded = run(&forward, options);
        done(&forwarded);
        let again = run(&forward, options);
        assert_eq!(again.status.code(), Some(69), "nothing is left: {again:?}");
    }
    let (outgoing, _, _) = world.all().await;
    let sent: Vec<(String, String, String)> = outgoing
        .iter()
        .map(|message| {
            let (fields, value) = (message.fields(), message.fields().value.as_ref().unwrap());
            (fields.sender.to_string(), value.asset.to_string(), value.amount.to_string())
        })
        .collect();
    let owner = local(key(OWNER).address());
    let expected = [
        (owner.clone(), "e2e4/reset".to_owned(), "2000000".to_owned()),
        (owner, "e2e4/coin".to_owned(), "3000000000".to_owned()),
    ];
    assert_eq!(sent, expected);
}
