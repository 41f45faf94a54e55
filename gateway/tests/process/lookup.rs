//! `distpos-dns lookup`: the route to a chain as its gateway sees it.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::world::{Gateway, World};

fn look_up(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-dns"));
    command.arg("lookup").args(arguments).arg("--config").arg(gateway.config_file());
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_lookup_shows_the_route_and_says_what_there_is_not() {
    let mut world = World::prepared();
    world.publish();
    let (asking, asked) = (&world.a, &world.b.village);
    for of in [asked.chain.to_string(), asked.address().to_string()] {
        let found = look_up(asking, &[&of, "--json"]);
        assert_eq!(found.status.code(), Some(0), "{found:?}");
        let route: Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!(route["chain"], asked.chain.to_string());
        assert_eq!(route["level"], "pinned");
        assert_eq!(route["keys"][0], asked.identity.chain_key.to_string());
        assert_eq!(route["gateways"][0]["spki"][0], asked.identity.tls_pin.to_string());
        let address = route["gateways"][0]["addresses"][0].as_str().unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{route}");
    }
    let shown = look_up(asking, &[&asked.chain.to_string()]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("level    pinned\n") && text.contains("policy   v=DPOSPOL1; "), "{text}");

    let unknown = look_up(asking, &["f00f"]);
    assert_eq!(unknown.status.code(), Some(69), "{unknown:?}");
    let wrong = look_up(asking, &["village.example"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert!(told.contains("expected a chain-id such as e2e4"), "{told}");
}
