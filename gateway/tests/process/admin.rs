//! The operator's commands to a running gateway: who may give them, and what is left of them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use distpos_spool::{Spool, SpoolError};
use serde_json::{Value, json};

use crate::world::{Gateway, World};

/// The gateway's admin socket.
pub(crate) fn socket(gateway: &Gateway) -> PathBuf {
    gateway.directory.join("spool/admin.sock")
}

/// One of the operator's commands on a gateway's configuration.
pub(crate) fn command(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.args(arguments).arg("--config").arg(gateway.config_file());
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A call without the command around it.
pub(crate) fn call(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    // A body that is too long is refused before it is read to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn commands_reach_a_running_gateway_and_say_so_when_there_is_none() {
    let world = World::prepared();
    let gateway = &world.a;
    let nobody = command(gateway, &["status"]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    let expected = format!(
        "distpos-gateway: the gateway is not running: nobody listens at {}. Start it with \
         `distpos-gateway run`; if it runs, --config has to name its configuration\n",
        socket(gateway).display()
    );
    assert_eq!(err(&nobody), expected);

    gateway.start();
    assert_eq!(mode(&socket(gateway)), 0o600);
    let status = command(gateway, &["status", "--json"]);
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["chain"], &status["family"]), (&json!("e2e4"), &json!("ledger")));

    // After a crash the socket's file is still there, and nobody listens.
    gateway.kill();
    assert!(socket(gateway).exists());
    assert_eq!(err(&command(gateway, &["status"])), expected);
    gateway.start();
    assert_eq!(mode(&socket(gateway)), 0o600);
    assert!(out(&command(gateway, &["status"])).starts_with("chain    e2e4 (ledger, genesis "));
    gateway.terminate();
    assert!(!socket(gateway).exists(), "it goes with the gateway");
}

#[test]
fn only_the_gateways_own_user_can_command_it() {
    let world = World::prepared();
    let gateway = &world.a;
    gateway.start();
    // Everybody may come as far as to the socket, and read the configuration.
    for open in [&gateway.directory, &gateway.directory.join("spool"), &world.home.path().into()] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let refused = if rustix::process::getuid().is_root() {
        let program = world.home.path().join("distpos-gateway");
        fs::copy(env!("CARGO_BIN_EXE_distpos-gateway"), &program).unwrap();
        let mut command = Command::new(program);
        command.args(["status", "--config"]).arg(gateway.config_file());
        const NOBODY: u32 = 65_534;
        command.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null()).output().unwrap()
    } else {
        // Nobody else is at hand: as another user would meet it.
        fs::set_permissions(socket(gateway), fs::Permissions::from_mode(0o0)).unwrap();
        command(gateway, &["status"])
    };
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    let expected = format!(
        "distpos-gateway: {} is for the gateway's own user alone: run this command as that user, \
         or as root\n",
        socket(gateway).display()
    );
    assert_eq!(err(&refused), expected);
}

#[test]
fn a_second_gateway_takes_neither_the_spool_nor_the_socket() {
    let world = World::prepared();
    world.a.start();
    let mut command = world.a.command();
    let second = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    assert!(err(&second).contains("spool.directory"), "{second:?}");

    // Another chain's gateway with a careless configuration.
    let taken = format!("[admin]\nsocket = \"{}\"\n[spool]", socket(&world.a).display());
    world.b.edit("[spool]", &taken);
    let mut command = world.b.command();
    let other = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(other.status.code(), Some(75), "{other:?}");
    let expected = format!("another process listens at {}", socket(&world.a).display());
    assert!(err(&other).contains(&expected), "{other:?}");
    assert_eq!(command_status(&world.a), "e2e4", "the first is as it was");

    fs::write(world.home.path().join("letter"), "to whom it may concern").unwrap();
    world.b.edit(socket(&world.a).to_str().unwrap(), "../letter");
    let other = world.b.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(other.status.code(), Some(78), "{other:?}");
    assert!(err(&other).contains("is there and is no socket"), "{other:?}");
    assert!(world.home.path().join("letter").exists());
}

fn command_status(gateway: &Gateway) -> String {
    let status = command(gateway, &["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    status["chain"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_is_changed_without_a_reason_and_all_of_it_is_logged() {
    let world = World::prepared();
    let gateway = &world.a;
    let spool = Spool::open(&gateway.directory.join("spool")).unwrap();
    let frozen = "b1c2".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let freezing = spool.transact(move |tx| tx.set_frozen(frozen, b"headers at 7"));
    runtime.block_on(freezing).map_err(|error: SpoolError| error.to_string()).unwrap();
    drop(spool);
    gateway.start();
    let status = out(&command(gateway, &["status"]));
    assert!(status.ends_with("frozen   b1c2: headers at 7\n"), "{status}");

    let path = "/v1/chains/b1c2/thaw";
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(201));
    let missing = "reason is missing, expected 1 to 200 characters that say why";
    for (body, text) in [
        ("{}", missing),
        (r#"{"reason":""}"#, missing),
        (r#"{"reason":"  \n "}"#, missing),
        (long.as_str(), "reason has 201 characters, expected at most 200"),
        (
            r#"{"reason":"a\nb"}"#,
            "reason has the character '\\n' at position 1, expected printable ones in one line",
        ),
        (r#"{"reason":"why","why":1}"#, "body: unknown field `why`, expected `reason` at line 1"),
        ("reason", "body: expected value at line 1 column 1"),
    ] {
        let (status, answer) = call(&socket(gateway), "POST", path, body);
        assert_eq!(status, 400, "{body}: {answer}");
        let found = answer["error"]["text"].as_str().unwrap();
        assert!(found.starts_with(text), "{body}: {found}");
    }
    let huge = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(call(&socket(gateway), "POST", path, &huge).0, 413);
    let reason = r#"{"reason":"x"}"#;
    assert_eq!(call(&socket(gateway), "POST", "/v1/chains/B1/thaw", reason).0, 400);
    assert_eq!(call(&socket(gateway), "POST", "/v1/chains/cafe/thaw", reason).0, 404);
    assert_eq!(call(&socket(gateway), "POST", "/v1/gateway", reason).0, 404);
    assert_eq!(call(&socket(gateway), "GET", path, "").0, 404);
    assert_eq!(call(&socket(gateway), "PUT", path, reason).0, 404);
    assert!(out(&command(gateway, &["status"])).contains("frozen"), "nothing was changed");

    let typed = command(gateway, &["trust", "thaw", "b1c2", "--reason", " "]);
    assert_eq!(typed.status.code(), Some(64), "{typed:?}");
    assert!(err(&typed).contains(missing), "{typed:?}");
    let thawed = command(gateway, &["trust", "thaw", "b1c2", "--reason", "called them"]);
    assert_eq!(thawed.status.code(), Some(0), "{thawed:?}");
    let said = "b1c2 is believed again: called them\nit was frozen for: headers at 7\n";
    assert_eq!(out(&thawed), said);
    let again = command(gateway, &["trust", "thaw", "b1c2", "--reason", "called them"]);
    assert_eq!(again.status.code(), Some(69), "{again:?}");
    assert_eq!(err(&again), "distpos-gateway: b1c2 is not frozen\n");
    assert!(!out(&command(gateway, &["status"])).contains("frozen"));

    let me = rustix::process::getuid().as_raw();
    let log = gateway.log();
    let done = format!("admin: POST {path} by uid {me}: \"called them\": done");
    assert!(log.contains(&done), "{log}");
    let not_done = format!("admin: POST {path} by uid {me}: \"\": not done: {missing}");
    assert!(log.contains(&not_done), "{log}");
}
