//! Keys of EVM accounts as users and operators make them and unlock them.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const PASSWORD: &str = "käse & wine";

fn secret(home: &Path, name: &str, text: &str) {
    let file = home.join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn send(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-send"));
    command.args(arguments).current_dir(home).stdin(Stdio::null()).output().unwrap()
}

/// An owner's command at a node that is not there: the key is read before the node is asked.
fn fund() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"));
    command.args(["evm", "fund", "--amount", "1", "--reason", "test", "--key", "evm.json"]);
    command.args(["--contract", "0x0000000000000000000000000000000000000001"]);
    // No port 0 is ever open.
    command.args(["--rpc", "http://127.0.0.1:0"]);
    command
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_key_is_made_as_a_keystore_and_never_over_another() {
    let home = tempfile::tempdir().unwrap();
    secret(home.path(), "password", &format!("{PASSWORD}\n"));
    let keygen = ["keygen", "--evm", "evm.json", "--password", "password"];
    let made = send(home.path(), &keygen);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let local = String::from_utf8(made.stdout).unwrap();
    let file = home.path().join("evm.json");
    let text = fs::read_to_string(&file).unwrap();
    let keystore: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(keystore["address"], local.trim());
    assert_eq!(keystore["crypto"]["kdfparams"]["n"], 262_144);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(send(home.path(), &keygen).status.code(), Some(78));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    secret(home.path(), "empty", "\n");
    let empty = send(home.path(), &["keygen", "--evm", "other.json", "--password", "empty"]);
    assert_eq!(empty.status.code(), Some(78));
    assert!(err(&empty).contains("password is empty"), "{empty:?}");
    assert!(!home.path().join("other.json").exists());
    let ledger = send(home.path(), &["keygen", "my.key", "--password", "password"]);
    assert_eq!(ledger.status.code(), Some(64), "ledger keys have no password: {ledger:?}");
}

#[test]
fn a_keystores_password_is_asked_for_on_a_terminal_and_not_shown() {
    let home = tempfile::tempdir().unwrap();
    secret(home.path(), "password", PASSWORD);
    let keygen = ["keygen", "--evm", "evm.json", "--password", "password"];
    assert_eq!(send(home.path(), &keygen).status.code(), Some(0));

    let nobody = fund().current_dir(&home).stdin(Stdio::null()).output().unwrap();
    assert_eq!(nobody.status.code(), Some(78), "{nobody:?}");
    assert!(err(&nobody).contains("name its password file (--password"), "{nobody:?}");

    // Typed with a mistake that is taken back.
    let right = at_a_terminal(home.path(), "käseü\u{7f} & wine\r");
    assert_eq!(right.0, Some(75), "the node is not there: {right:?}");
    assert!(right.1.starts_with("Password of evm.json: "), "{right:?}");
    assert!(!right.1.contains("wine"), "{right:?}");
    let wrong = at_a_terminal(home.path(), "kase & wine\n");
    assert_eq!(wrong.0, Some(78), "{wrong:?}");
    assert!(wrong.1.contains("wrong password"), "{wrong:?}");
    let interrupted = at_a_terminal(home.path(), "kä\u{3}");
    assert_eq!(interrupted.0, Some(78), "{interrupted:?}");
}

/// Runs the owner's command at a terminal of its own; its exit code and what the terminal showed.
fn at_a_terminal(home: &Path, typed: &str) -> (Option<i32>, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let mut options = fs::OpenOptions::new();
    let line = options.read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = fund();
    command.current_dir(home).stdin(line.try_clone().unwrap()).stderr(line);
    let mut child = command.spawn().unwrap();
    // The child alone holds the terminal's other end now, so reading ends when it does.
    drop(command);
    let mut terminal = fs::File::from(terminal);
    let mut shown = Vec::new();
    let mut byte = [0];
    // Typing ahead would be thrown away, as it is by every program that asks for a password.
    while !shown.ends_with(b": ") {
        terminal.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
    }
    terminal.write_all(typed.as_bytes()).unwrap();
    // A terminal whose other end is closed gives an error in place of an end.
    while matches!(terminal.read(&mut byte), Ok(1)) {
        shown.push(byte[0]);
    }
    (child.wait().unwrap().code(), String::from_utf8(shown).unwrap())
}
