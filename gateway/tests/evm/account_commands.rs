//! `account limit, settle, close` where the account's place is the contract: its owner does it, with
//! nothing but the gateway's configuration and the owner's key.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value as Json;

use super::{
    commands::Home,
    world::{OWNER, USER, World, secret},
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

impl Home {
    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
