//! `distpos-gateway delivery check`: where a message would stop, without one.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::world::{Gateway, World};

pub(crate) fn check(gateway: &Gateway, to: &str) -> (Option<i32>, Value) {
    let done = run(gateway, &[to, "--json"]);
    let report = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
    (done.status.code(), report)
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.args(["delivery", "check"]).args(arguments);
    command.arg("--config").arg(gateway.config_file());
    command.stdin(Stdio::null()).output().unwrap()
}

/// The stages in order, those that failed in capitals.
fn stages(report: &Value) -> Vec<String> {
    let stages = report["stages"].as_array().unwrap();
    let name = |stage: &Value| {
        assert!(stage["ms"].as_f64().unwrap() >= 0.0);
        let name = stage["stage"].as_str().unwrap();
        if stage["ok"] == true { name.to_owned() } else { name.to_uppercase() }
    };
    stages.iter().map(name).collect()
}

fn last_failed(report: &Value) -> String {
    let stages = report["stages"].as_array().unwrap();
    let failed = stages.iter().rfind(|stage| stage["ok"] == false).unwrap();
    failed["what"].as_str().unwrap().to_owned()
}

#[test]
fn every_stage_is_told_and_nothing_is_sent() {
    let world = World::running();
    let to = world.b.village.address().to_string();
    let (code, report) = check(&world.a, &to);
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "tcp", "tls", "hello", "keys", "account"]);
    let hello = report["stages"][4]["what"].as_str().unwrap();
    assert!(hello.contains(&format!("chain b1c2 genesis {}", world.b.village.tag)), "{hello}");
    assert_eq!(report["stages"][5]["what"], "1 key believed (static)");
    let account = report["stages"][6]["what"].as_str().unwrap();
    assert!(account.starts_with("open in "), "{account}");
    let told = String::from_utf8(run(&world.a, &["b1c2"]).stdout).unwrap();
    assert!(told.starts_with("to b1c2; nothing is sent\nlook-up "), "{told}");
    assert!(told.contains(" ms  ok "), "{told}");

    // Its gateway is down: which stage, and what to look at.
    world.b.terminate();
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!((code, &report["ok"]), (Some(75), &Value::Bool(false)), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "TCP", "keys", "account"]);
    assert!(last_failed(&report).contains("is the gateway running"), "{report}");

    // Beside a gateway that does not run, what only it knows is not known.
    world.a.terminate();
    let (_, report) = check(&world.a, "b1c2");
    let account = report["stages"].as_array().unwrap().last().unwrap();
    assert!(account["what"].as_str().unwrap().starts_with("not known"), "{report}");
}

#[test]
fn a_chain_that_cannot_be_reached_is_told_why() {
    let mut world = World::strangers();
    world.publish();
    world.a.start();
    world.b.start();
    let (code, report) = check(&world.a, "f00f");
    assert_eq!((code, stages(&report)), (Some(69), vec!["LOOK-UP".to_owned()]), "{report}");
    let (_, report) = check(&world.a, "b1c2");
    let account = report["stages"].as_array().unwrap().last().unwrap();
    assert!(account["what"].as_str().unwrap().starts_with("none: "), "{report}");
    assert_eq!(run(&world.a, &["village.example"]).status.code(), Some(64));

    // Somebody else answers there: the key is not the one that is written down.
    let address = world.b.published;
    let route = |chain: &str, pin: &str| {
        format!(
            "[route.{chain}]\ngateways = [{{ host = \"gw1.b1c2.test\", address = \"127.0.0.1\", \
             port = {}, spki = [\"{pin}\"] }}]\n\n[resolver]",
            address.port()
        )
    };
    let other = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    world.a.edit("[resolver]", &route("b1c2", other));
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!(code, Some(75), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "tcp", "TLS", "keys", "account"]);
    assert!(last_failed(&report).contains("for their operator to compare spki="), "{report}");
    // The right key, of another chain.
    let pin = world.b.village.identity.tls_pin.to_string();
    world.a.edit(&route("b1c2", other), &route("cafe", &pin));
    let (code, report) = check(&world.a, "cafe");
    assert_eq!(code, Some(75), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "tcp", "tls", "HELLO", "KEYS", "account"]);
    let hello = report["stages"][4]["what"].as_str().unwrap();
    assert!(hello.contains("5.7.1") && hello.ends_with(": for their operator"), "{report}");
    assert!(last_failed(&report).contains("no trusted keys are known"), "{report}");
}

/// Somebody answers, and it is not the chain that is meant, or nobody's word would count here.
#[test]
fn a_chain_that_answers_and_would_not_be_believed_is_told_why() {
    let mut world = World::strangers();
    world.publish();
    world.b.start();
    let tag = world.b.village.tag.to_string();
    let genesis = |tag: &str| format!("genesis = \"{tag}\"");
    // Set up anew under its old id: the operator has written down another genesis.
    world.a.edit(&genesis(&tag), &genesis("0123456789abcdef"));
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!(code, Some(75), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "tcp", "tls", "HELLO", "keys", "account"]);
    let told = last_failed(&report);
    assert!(told.contains("another chain of that id") && told.contains(&tag), "{told}");

    // Nobody has written a key down, and the zone is not signed.
    let key = world.b.village.identity.chain_key;
    let anchor =
        format!("keys = [\"{key}\"]\n{}\nfamily = \"ledger\"\n", genesis("0123456789abcdef"));
    world.a.edit(&anchor, "");
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!(code, Some(75), "{report}");
    assert_eq!(stages(&report), ["look-up", "addresses", "tcp", "tls", "hello", "KEYS", "account"]);
    let told = last_failed(&report);
    assert!(
        told.contains("1 key found in DNS at the level pinned, [trust] keys wants dnssec"),
        "{told}"
    );
    world.a.edit("[resolver]", "[trust]\nkeys = \"pinned\"\n\n[resolver]");
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!(
        (code, &report["stages"][5]["what"]),
        (Some(0), &"1 key would be believed (pinned)".into())
    );
    // Nor may its records lead anywhere.
    world.a.edit("keys = \"pinned\"", "route = \"dnssec\"");
    let (code, report) = check(&world.a, "b1c2");
    assert_eq!((code, stages(&report)), (Some(75), vec!["LOOK-UP".to_owned()]), "{report}");
    assert!(last_failed(&report).contains("[trust] route wants dnssec"), "{report}");
}
