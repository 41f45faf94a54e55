//! Two real nodes, BIND and three gateway processes, by `examples/two_anvils.sh`: the story that
//! operators are shown, and the same world while gateways are killed. Needs `anvil`, `named`
//! (Debian: `bind9`), `curl` and `jq` on the PATH. Run one after the other (`--test-threads 1`) on
//! a machine that is busy: they share nothing but time.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs the script with the binaries of this build; gives back its last line.
fn two_anvils(arguments: &[&str]) -> Value {
    let binaries = Path::new(env!("CARGO_BIN_EXE_distpos-gateway")).parent().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/two_anvils.sh");
    let ran = Command::new("bash")
        .arg(script)
        .args(arguments)
        .env("DISTPOS_BIN", binaries)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}\n{told}", ran.status);
    let answer = String::from_utf8(ran.stdout).unwrap();
    serde_json::from_str(answer.lines().last().unwrap_or_default()).unwrap()
}

#[test]
#[ignore = "needs anvil and bind9"]
fn value_goes_there_and_back_and_outlives_dns_and_a_gateway() {
    let told = two_anvils(&[]);
    assert_eq!((&told["delivered"], &told["refunded"]), (&7.into(), &2.into()), "{told}");
}

#[test]
#[ignore = "needs anvil and bind9"]
fn kills_lose_nothing_and_repeat_nothing() {
    let told = two_anvils(&["--kill", "7"]);
    assert_eq!((&told["delivered"], &told["refunded"]), (&33.into(), &8.into()), "{told}");
    assert_eq!(told["kills"], 7);
}
