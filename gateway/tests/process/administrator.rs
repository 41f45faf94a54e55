//! A DNS administrator's day: a chain is published in a real zone by its tools, looked over, and its
//! key turns over with messages under way.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use distpos_examples::village::ROOT;
use distpos_gateway::{
    keyring::Keyring,
    submit::{MessageView, Outcome},
};
use distpos_proto::message::MessageId;
use serde_json::Value;

use crate::{
    accounts::{account_when, as_json},
    daemon::until,
    delivery::check,
    world::{Gateway, World},
};

const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==";

/// BIND with the zone of all chains, which the holder of a key may change.
struct Named {
    child: Child,
    address: SocketAddr,
    key: PathBuf,
    _directory: tempfile::TempDir,
}

impl Named {
    fn start() -> Self {
        Self::with("")
    }

    /// With more said of the zone.
    fn with(more: &str) -> Self {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            write(directory.path(), address.port(), more);
            let mut command = Command::new("named");
            command.arg("-g").arg("-c").arg(directory.path().join("named.conf"));
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("named can be run");
            if comes_up(&mut child) {
                let key = directory.path().join("update.key");
                return Self { child, address, key, _directory: directory };
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        panic!("named did not come up ten times");
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(directory: &Path, port: u16, more: &str) {
    let at = directory.display();
    let key = format!("key \"update\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n");
    let conf = format!(
        "{key}options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         allow-query {{ any; }}; }};\ncontrols {{ }};\n\
         zone \"{ROOT}\" {{ type primary; file \"zone\"; \
         update-policy {{ grant update zonesub TXT; }}; {more} }};\n"
    );
    fs::write(directory.join("named.conf"), conf).unwrap();
    let zone = "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n\
                gw1.e2e4 IN A 127.0.0.1\ngw1.b1c2 IN A 127.0.0.1\n";
    fs::write(directory.join("zone"), zone).unwrap();
    fs::write(directory.join("update.key"), key).unwrap();
    fs::set_permissions(directory.join("update.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn comes_up(child: &mut Child) -> bool {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut has_port = true;
    let is_up = loop {
        match lines.next() {
            Some(Ok(line)) if line.contains("could not listen") => has_port = false,
            Some(Ok(line)) if line.contains("address in use") => has_port = false,
            Some(Ok(line)) if line.ends_with(" running") => break has_port,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break false,
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    is_up
}

/// A world whose DNS is BIND.
fn world() -> (World, Named) {
    let named = Named::start();
    (over(&named, World::prepared()), named)
}

fn over(named: &Named, world: World) -> World {
    for gateway in [&world.a, &world.b] {
        gateway.edit(&world.server.to_string(), &named.address.to_string());
    }
    world
}

fn dig(named: &Named, arguments: &[&str]) -> String {
    let port = named.address.port().to_string();
    let mut dig = Command::new("dig");
    dig.args(["@127.0.0.1", "-p", &port, "+noall", "+answer", "+tries=1", "+time=2"]);
    String::from_utf8(dig.args(arguments).output().unwrap().stdout).unwrap()
}

fn host(gateway: &Gateway) -> String {
    format!("gw1.{}.{ROOT}", gateway.village.chain)
}

fn dns(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-dns"));
    command.args(arguments).arg("--config").arg(gateway.config_file());
    command.stdin(Stdio::null()).output().unwrap()
}

fn publish(gateway: &Gateway, named: &Named, more: &[&str]) -> Output {
    let (server, key) = (named.address.to_string(), named.key.display().to_string());
    let arguments = ["publish", "--ttl", "30", "--primary", &server, "--server", &server];
    let host = host(gateway);
    let rest = ["--tsig", &key, "--host", &host, "--timeout", "20s"];
    dns(gateway, &[&arguments[..], &rest, more].concat())
}

fn key(gateway: &Gateway, named: &Named, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.arg("key").args(arguments).args(["--host", &host(gateway), "--ttl", "30"]);
    if arguments[0] == "rotate" {
        command.args(["--server", &named.address.to_string()]);
    }
    command.args(["--reason", "its year is over", "--json", "--config"]).arg(gateway.config_file());
    let done = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or(Value::String(told)))
}

/// The next step of a turn-over, which is this one.
fn step(gateway: &Gateway, named: &Named, expected: &str) -> Value {
    let (code, told) = key(gateway, named, &["rotate"]);
    assert_eq!((code, &told["step"]), (Some(0), &expected.into()), "{told}");
    told
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn delivered(gateway: &Gateway, id: MessageId) {
    let ended = |view: &MessageView| view.outcome.is_some();
    let view = gateway.message_when(id, Duration::from_secs(120), ended);
    assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
}

#[test]
#[ignore = "needs bind9"]
fn a_chain_is_published_and_what_is_wrong_is_told_at_once() {
    let (world, named) = world();
    let server = named.address.to_string();
    let check = || dns(&world.a, &["check", "e2e4", "--server", &server, "--json"]);
    // Nothing is there: errors, and what to do.
    let found = check();
    assert_eq!(found.status.code(), Some(69), "{found:?}");
    let told = json(&found);
    assert_eq!(told["errors"][0]["what"], "no gateway records are published", "{told}");
    assert_eq!(told["instructions"][0]["what"], "publish what `distpos-dns records` prints");

    // What is printed is what is put there.
    let printed = dns(&world.a, &["records", "--host", &host(&world.a), "--ttl", "30", "--json"]);
    let sets = json(&printed);
    assert_eq!(sets.as_array().unwrap().len(), 3, "{sets}");
    let done = publish(&world.a, &named, &["--json"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(json(&done)["published"], true);
    let done = publish(&world.b, &named, &[]);
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(told.contains("took 3 names\n") && told.contains("every server has them: "), "{told}");

    // The gateway does not run yet: its hello fails, and nothing else.
    let told = json(&check());
    let errors = told["errors"].as_array().unwrap();
    assert!(errors.len() == 1 && errors[0]["what"].as_str().unwrap().contains("connect"), "{told}");
    world.a.start();
    world.b.start();
    let found = check();
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    let told = json(&found);
    assert_eq!(told["errors"], Value::Array(vec![]), "{told}");
    let warnings: Vec<_> = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap().to_owned())
        .collect();
    assert!(warnings.iter().all(|what| what.starts_with("is not validated")), "{warnings:?}");
    let words = dns(&world.a, &["check", "e2e4", "--server", &server]);
    assert!(String::from_utf8(words.stdout).unwrap().starts_with("Warnings:\n  _distpos.e2e4."));
    let seen = json(&dns(&world.b, &["lookup", "e2e4", "--json"]));
    assert_eq!(
        seen["gateways"][0]["gateway"],
        format!("{}:{}", host(&world.a), world.a.peers.port())
    );
    delivered(&world.a, world.a.send(0, &world.b.village.address(), 10));

    // On the administrator's own machine there is no gateway, nor its configuration.
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_distpos-dns"));
    elsewhere.args(["check", "e2e4", "--root", ROOT, "--server", &server, "--no-hello", "--json"]);
    let found = elsewhere.stdin(Stdio::null()).output().unwrap();
    assert_eq!((found.status.code(), &json(&found)["errors"]), (Some(0), &Value::Array(vec![])));

    // A TSIG key that others can read, one that the server does not know, a name in another zone.
    fs::set_permissions(&named.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(publish(&world.a, &named, &[]).status.code(), Some(78));
    fs::set_permissions(&named.key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&named.key).unwrap();
    fs::write(&named.key, text.replace("\"update\"", "\"nobody\"")).unwrap();
    let refused = publish(&world.a, &named, &[]);
    assert!(matches!(refused.status.code(), Some(69 | 75)), "{refused:?}");
    fs::write(&named.key, text).unwrap();
    let elsewhere = publish(&world.a, &named, &["--zone", "elsewhere.test"]);
    assert_eq!(elsewhere.status.code(), Some(64), "{elsewhere:?}");
}

/// Nobody has told anybody a key: the zone is signed, and that suffices for value, too.
#[test]
#[ignore = "needs bind9, dnsutils"]
fn chains_in_a_signed_zone_believe_each_other_without_a_word() {
    let named = Named::with("dnssec-policy default; inline-signing yes; key-directory \".\";");
    let world = over(&named, World::strangers());
    until("the zone is signed", Duration::from_secs(60), || {
        dig(&named, &["+dnssec", ROOT, "SOA"]).contains("RRSIG").then_some(())
    });
    let keys = dig(&named, &[ROOT, "DNSKEY"]);
    for (gateway, other) in [(&world.a, &world.b), (&world.b, &world.a)] {
        fs::write(gateway.directory.join("island.keys"), &keys).unwrap();
        gateway.edit("[resolver]\n", "[resolver]\ntrust_anchors = \"island.keys\"\n");
        let village = &other.village;
        let (key, tag) = (village.identity.chain_key, village.tag);
        let literal = format!("keys = [\"{key}\"]\ngenesis = \"{tag}\"\nfamily = \"ledger\"\n");
        gateway.edit(&literal, "");
        assert_eq!(publish(gateway, &named, &[]).status.code(), Some(0));
    }
    for chain in ["e2e4", "b1c2"] {
        let name = format!("_distpos.{chain}.{ROOT}");
        until("the records are signed", Duration::from_secs(60), || {
            dig(&named, &["+dnssec", &name, "TXT"]).contains("RRSIG").then_some(())
        });
    }
    let seen = json(&dns(&world.a, &["lookup", "b1c2", "--json"]));
    assert_eq!(seen["level"], "dnssec", "{seen}");
    let (a, b) = (&world.a, &world.b);
    a.start();
    b.start();
    let open = |gateway, peer| {
        let limit = ["--credit-limit", "500", "--reason", "met them"];
        as_json(gateway, &[&["open", peer, "e2e4/coin"], &limit[..]].concat())
    };
    assert_eq!(open(a, "b1c2")["state"], "awaiting");
    account_when(b, "the proposal is there", |one| one["state"] == "proposed");
    assert_eq!(open(b, "e2e4")["state"], "open");
    account_when(a, "b's signature is there", |one| one["state"] == "agreed");
    assert_eq!(open(a, "b1c2")["state"], "open");
    delivered(a, a.send(0, &b.village.address(), 10));
    delivered(b, b.send(0, &a.village.address(), 5));
    let found = dns(&world.a, &["check", "e2e4", "--server", &named.address.to_string()]);
    assert_eq!(found.stdout, b"nothing is wrong\n", "{found:?}");
}

/// Sets the moment of every state so many days back: what waiting would do.
fn wait(gateway: &Gateway, days: u64) {
    let file = gateway.directory.join("keys/keys.toml");
    let text = fs::read_to_string(&file).unwrap();
    let back = |line: &str| match line.strip_prefix("since = ") {
        Some(since) => format!("since = {}\n", since.parse::<u64>().unwrap() - days * 86_400),
        None => format!("{line}\n"),
    };
    fs::write(&file, text.lines().map(back).collect::<String>()).unwrap();
}

#[test]
#[ignore = "needs bind9"]
fn a_chain_key_turns_over_with_messages_under_way() {
    let (world, named) = world();
    let (a, b) = (&world.a, &world.b);
    for gateway in [a, b] {
        assert_eq!(publish(gateway, &named, &[]).status.code(), Some(0));
    }
    a.start();
    b.start();
    let to = b.village.address();
    delivered(a, a.send(0, &to, 10));

    // One command at a time.
    let busy = Keyring::lock(&a.directory.join("keys")).unwrap();
    assert_eq!(key(a, &named, &["rotate"]).0, Some(75));
    drop(busy);
    let made = step(a, &named, "made");
    assert_eq!(made["publish"].as_array().unwrap().len(), 4, "{made}");
    // Not published: it says where, and what to publish.
    let (code, waits) = key(a, &named, &["rotate"]);
    assert_eq!(code, Some(75), "{waits}");
    assert!(waits["waits"].as_str().unwrap().contains("found no record"), "{waits}");
    assert_eq!(publish(a, &named, &[]).status.code(), Some(0));
    step(a, &named, "published");
    let (code, early) = key(a, &named, &["rotate"]);
    assert_eq!(code, Some(75), "{early}");
    assert!(early["seconds_left"].as_u64().unwrap() > 60, "{early}");
    wait(a, 1);

    // Under way while the keys change hands: sent, and its destination away.
    b.terminate();
    let under_way = a.send(1, &to, 20);
    // Others may read the new key: the gateway does not use such a file.
    let file = a.directory.join(format!("keys/chain.{}.key", made["selector"].as_str().unwrap()));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let signs = step(a, &named, "signing");
    // Its time may be over: a gateway that still signs with the old key alone must not lose it.
    assert_eq!(signs["gateway"], "as before", "{signs}");
    wait(a, 8);
    let (code, late) = key(a, &named, &["rotate"]);
    assert_eq!(code, Some(75), "{late}");
    assert!(late.as_str().unwrap().contains("does not sign with"), "{late}");
    assert!(a.log().contains("chain keys are used as before"), "{}", a.log());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    until("the new key is taken up", Duration::from_secs(60), || {
        a.log().contains("signs with the chain keys at").then_some(())
    });
    b.start();
    delivered(a, under_way);
    delivered(a, a.send(2, &to, 30));
    let log = b.log();
    assert!(log.contains("is believed, endorsed by"), "{log}");

    // A week later the old one is revoked: what b has in its configuration ends with it.
    let revoked = step(a, &named, "revoked");
    assert_eq!(revoked["gateway"], "taken up", "{revoked}");
    assert_eq!(publish(a, &named, &[]).status.code(), Some(0));
    // It looks a chain up when it is asked about it.
    b.terminate();
    b.start();
    delivered(a, a.send(3, &to, 40));
    assert!(b.log().contains("is revoked"), "{}", b.log());
    // And back: a's receipts and b's messages, by the new key alone.
    delivered(b, b.send(0, &a.village.address(), 5));
    step(a, &named, "ended");
    assert_eq!(key(a, &named, &["rotate"]).0, Some(75), "its day has only begun");
    wait(a, 2);
    step(a, &named, "removed");
    assert_eq!(publish(a, &named, &[]).status.code(), Some(0));
    delivered(a, a.send(4, &to, 50));
    // All of it while one process ran; the next one signs as it did.
    a.terminate();
    a.start();
    delivered(a, a.send(5, &to, 60));
    let keys = listed(a);
    assert_eq!(
        (&keys[0]["state"], &keys[0]["reason"]),
        (&"removed".into(), &"its year is over".into())
    );
}

/// Stolen: it ends at once. The last one goes only if another takes over, which nobody believes
/// unasked.
#[test]
#[ignore = "needs bind9"]
fn a_stolen_key_is_ended_at_once_and_what_is_sent_waits_for_people() {
    let (world, named) = world();
    let (a, b) = (&world.a, &world.b);
    for gateway in [a, b] {
        assert_eq!(publish(gateway, &named, &[]).status.code(), Some(0));
        gateway.start();
    }
    delivered(b, b.send(0, &a.village.address(), 5));
    let selector = current(a);
    let (code, refused) = key(a, &named, &["retire", &selector]);
    assert_eq!(code, Some(69), "{refused}");
    let (code, retired) = key(a, &named, &["retire", &selector, "--replace"]);
    assert_eq!((code, &retired["retired"]), (Some(0), &selector.as_str().into()), "{retired}");
    assert_ne!(retired["signs"], selector);
    let lines = retired["publish"].as_array().unwrap();
    assert!(lines.iter().all(|line| !line.as_str().unwrap().contains("by=")), "{retired}");
    assert_eq!(publish(a, &named, &[]).status.code(), Some(0));
    assert_eq!(retired["gateway"], "taken up", "it signs with the stolen key no more");
    b.terminate();
    b.start();
    // Nobody believes the new one unasked: what is sent now waits, and the check says for whom.
    b.send(1, &a.village.address(), 5);
    let report = until("the revocation is seen", Duration::from_secs(60), || {
        let (code, report) = check(b, "e2e4");
        (code == Some(75)).then_some(report)
    });
    let stages = report["stages"].as_array().unwrap();
    let keys = stages.iter().find(|stage| stage["stage"] == "keys").unwrap();
    let what = keys["what"].as_str().unwrap();
    assert!(what.contains("0 keys are left that are not revoked"), "{report}");
}

/// What `key list` shows.
fn listed(gateway: &Gateway) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.args(["key", "list", "--json", "--config"]).arg(gateway.config_file());
    json(&command.output().unwrap())["keys"].as_array().unwrap().clone()
}

/// The selector of the key that signs.
fn current(gateway: &Gateway) -> String {
    let keys = listed(gateway);
    let signing = keys.iter().find(|key| key["state"] == "signing").unwrap();
    signing["selector"].as_str().unwrap().to_owned()
}
