//! Keys from `trust pin`: the operator looks at what DNS publishes and says yes, once.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use distpos_proto::chain::ChainId;
use serde_json::Value;

use crate::world::{Gateway, World};

/// Takes the other chain's literal keys out of a configuration.
fn forget_keys(gateway: &Gateway, other: &Gateway) {
    let village = &other.village;
    let (keys, tag) = (village.identity.chain_key, village.tag);
    let lines = format!("keys = [\"{keys}\"]\ngenesis = \"{tag}\"\nfamily = \"ledger\"\n");
    gateway.edit(&lines, "");
}

fn trust(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.arg("trust").args(arguments).arg("--config").arg(gateway.config_file());
    command.stdin(Stdio::null()).output().unwrap()
}

/// Pins a chain; gives the key it printed.
fn pin(gateway: &Gateway, chain: ChainId) -> String {
    let chain = chain.to_string();
    let pinned =
        trust(gateway, &["pin", &chain, "--reason", "read to me by phone", "--yes", "--json"]);
    assert_eq!(pinned.status.code(), Some(0), "{pinned:?}");
    let told: Value = serde_json::from_slice(&pinned.stdout).unwrap();
    told["keys"][0].as_str().unwrap().to_owned()
}

#[test]
fn what_the_operator_pinned_from_dns_is_believed_and_nothing_before() {
    let mut world = World::prepared();
    forget_keys(&world.a, &world.b);
    forget_keys(&world.b, &world.a);
    world.publish();
    let (e2e4, b1c2) = (world.a.village.chain, world.b.village.chain);
    assert_eq!(pin(&world.a, b1c2), world.b.village.identity.chain_key.to_string());
    world.a.start();
    world.b.start();

    // DNS publishes the keys of e2e4, and that alone is not enough.
    let id = world.a.send(0, &world.b.village.address(), 10);
    let waits =
        |view: &distpos_gateway::submit::MessageView| view.code.as_deref() == Some("4.7.20");
    let view = world.a.message_when(id, Duration::from_secs(60), waits);
    assert_eq!(view.outcome, None);
    assert_eq!(world.b.balance(), BALANCE);

    // The operator of b1c2 pins it too; its ledger learns of the peer at the next start.
    assert_eq!(pin(&world.b, e2e4), world.a.village.identity.chain_key.to_string());
    for gateway in [&world.a, &world.b] {
        gateway.terminate();
    }
    world.b.start();
    world.a.start();
    let next = world.a.send(1, &world.b.village.address(), 5);
    let ended = |view: &distpos_gateway::submit::MessageView| view.outcome.is_some();
    let view = world.a.message_when(next, Duration::from_secs(60), ended);
    assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");

    // What DNS says is kept beside the pin, and shown by the running gateway.
    let listed = trust(&world.b, &["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["anchors"][0]["origin"], "pin", "{listed}");
    let (told, key) = (&listed["dns"][0], world.a.village.identity.chain_key.to_string());
    assert_eq!((&told["chain"], &told["level"]), (&"e2e4".into(), &"static".into()), "{listed}");
    assert_eq!((&told["keys"][0]["key"], &told["not_believed"]), (&key.into(), &Value::Null));
    let shown = String::from_utf8(trust(&world.b, &["list"]).stdout).unwrap();
    assert!(shown.contains("what DNS has told:\ne2e4 at _distpos.e2e4."), "{shown}");

    // Forgotten, it is believed no more.
    let gone = trust(&world.b, &["forget", &e2e4.to_string(), "--reason", "key lost"]);
    assert_eq!(gone.status.code(), Some(0), "{gone:?}");
    let said = String::from_utf8(gone.stdout).unwrap();
    assert!(said.contains("forgot the pin of e2e4 (read to me by phone): key lost\n"), "{said}");
    assert!(said.contains("forgot what DNS has told of e2e4: key lost\n"), "{said}");
    let listed = trust(&world.b, &["list"]);
    assert_eq!(listed.stdout, b"no chain is anchored: neither pins nor peer.<cid>.keys\n");
}
