//! `account limit, settle, close` where the account's place is the contract: its owner does it, with
//! nothing but the gateway's configuration and the owner's key.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value as Json, json};

use super::{
    commands::Home,
    world::{OWNER, USER, World, key, secret},
};

const ACCOUNT: [&str; 2] = ["b1c2", "e2e4/coin"];

/// The command that was printed, as somebody types it who has the key.
fn typed(home: &Home, printed: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    let path = format!("{}:{}", program.parent().unwrap().display(), env::var("PATH").unwrap());
    let text = printed.replace("OWNER_KEY", "owner.key");
    Command::new("sh")
        .args(["-c", &text])
        .env("PATH", path)
        .current_dir(home.path())
        .output()
        .unwrap()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn the_contracts_owner_changes_an_account_by_the_gateways_configuration() {
    let world = World::start().await;
    let home = Home::new(&world, USER, &[&world.node.url], "");
    home.secret("owner.key", &secret(OWNER));
    home.secret("user.key", &secret(USER));
    let run = |act: &str, more: &[&str]| {
        let reason = ["--config", "gateway.toml", "--reason", "it's time"];
        home.run(&[&["account", act], &ACCOUNT[..], more, &reason].concat())
    };

    // Without the key it is said what to run, and that works as it is printed.
    let (code, _, told) =
        run("limit", &["--credit-limit", "7", "--window-max", "9", "--window", "1h"]);
    assert_eq!(code, 64, "{told}");
    assert!(told.contains("the account's place is the contract 0x"), "{told}");
    let printed = told.lines().nth(1).unwrap();
    assert!(
        printed.contains("evm account b1c2 e2e4/coin --credit-limit 7 --window-max 9 --window")
    );
    let ran = typed(&home, printed);
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8(ran.stdout).unwrap();
    let expected = "b1c2 e2e4/coin (coin): credit_limit 5000000000000000000 -> 7, window none -> 9 \
                    in 3600 s: it's time\n";
    assert_eq!(said, expected);

    let (code, said, err) = run("limit", &["--credit-limit", "8", "--key", "owner.key", "--json"]);
    assert_eq!(code, 0, "{err}");
    let said: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["after"]["credit_limit"], &said["reason"]),
        (&"8".into(), &"it's time".into())
    );
    assert_eq!(said["after"]["window_max"], "9", "what is not named stays");
    let (code, _, err) = run("limit", &["--credit-limit", "9", "--key", "user.key"]);
    assert_eq!(code, 69, "{err}");
    assert!(err.contains("NotOwner"), "{err}");

    let (code, said, err) = run("settle", &["--add", "7", "--key", "owner.key"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "b1c2 e2e4/coin (coin): reserve 0 -> 7: it's time\n"),
        "{err}"
    );
    let payee = "0x00000000000000000000000000000000000000aa";
    let (code, said, err) = run("settle", &["--take", "2", "--to", payee, "--key", "owner.key"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "b1c2 e2e4/coin (coin): reserve 7 -> 5: it's time\n"),
        "{err}"
    );
    let (code, _, err) = run("settle", &["--take", "2", "--to", "b0b", "--key", "owner.key"]);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("--to: "), "{err}");
    let nobody = "0".repeat(40);
    let (code, _, err) = run("settle", &["--take", "2", "--to", &nobody, "--key", "owner.key"]);
    assert_eq!((code, err.contains("the zero address")), (64, true), "{err}");
    let none = ["--window-max", "5", "--window", "0s"];
    let (code, _, err) = run("limit", &none);
    assert_eq!((code, err.contains("--window-max stands beside")), (64, true), "{err}");
    let bare = "aa".repeat(20);
    let (_, _, err) = run("settle", &["--take", "1", "--to", &bare]);
    assert!(err.contains("--take 1 --to 0xaA"), "as `evm settle` takes it: {err}");
    let (code, _, err) = run("settle", &["--take", "1"]);
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("distpos-gateway evm settle b1c2 e2e4/coin --take 1 --contract 0x"),
        "{err}"
    );

    let (code, said, err) = run("close", &["--key", "owner.key"]);
    assert_eq!(code, 0, "{err}");
    assert!(said.contains("-> none (closed)"), "{said}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_settlement_that_seems_to_hang_is_not_booked_twice() {
    let world = World::start().await;
    let home = Home::new(&world, USER, &[&world.node.url], "");
    home.secret("owner.key", &secret(OWNER));
    let contract = world.deployed.contract.to_string();
    let sum = ["--add", "7", "--key", "owner.key", "--reason", "paid"];
    let by_configuration =
        [&["account", "settle"], &ACCOUNT[..], &["--config", "gateway.toml"], &sum].concat();
    let at = ["--rpc", &world.node.url, "--contract", &contract];
    let at_contract = [&["evm", "settle"], &ACCOUNT[..], &at, &sum].concat();

    world.node.rpc("evm_setAutomine", &json!([false]));
    let owner = key(OWNER).address().to_string();
    let first = json!([{ "from": owner, "to": owner, "value": "0x1" }]);
    world.node.rpc("eth_sendTransaction", &first);
    for repeated in [&by_configuration, &at_contract] {
        let (code, _, err) = home.run(repeated);
        assert_eq!(code, 75, "{err}");
        assert!(err.contains("has 1 that are in no block yet, so nothing was sent"), "{err}");
    }
    world.node.rpc("evm_setAutomine", &json!([true]));
    world.node.rpc("evm_mine", &json!([]));
    for (again, said) in [(&by_configuration, "0 -> 7"), (&at_contract, "7 -> 14")] {
        let (code, out, err) = home.run(again);
        assert_eq!((code, out.contains(said)), (0, true), "{out} {err}");
        assert!(err.starts_with("distpos-gateway: transaction 0x"), "{err}");
    }
}

impl Home {
    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
