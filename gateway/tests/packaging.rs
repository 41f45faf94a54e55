//! The systemd unit is one, and shuts in what it runs.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{path::PathBuf, process::Command};

/// "Overall exposure level" of `systemd-analyze security`, 0 to 10; below 2 it calls a service OK.
const EXPOSURE_MAX: f64 = 1.5;

fn unit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging/distpos-gateway.service")
}

#[test]
#[ignore = "needs systemd"]
fn the_unit_leaves_the_gateway_little_to_do_harm_with() {
    let unit = unit();
    let analysed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&unit)
        .output()
        .unwrap();
    let told = String::from_utf8(analysed.stdout).unwrap();
    let last = told.lines().rev().find(|line| line.contains("Overall exposure level"));
    let level = last.unwrap().rsplit(": ").next().unwrap();
    let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
    assert!(level <= EXPOSURE_MAX, "{told}");

    let verified =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let told = String::from_utf8(verified.stderr).unwrap();
    // The program is not installed where this runs; nothing else may be wrong.
    let wrong = told.lines().filter(|line| !line.contains("is not executable"));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Exit codes as `docs/operators.md` has them.
#[test]
fn the_unit_restarts_what_may_be_better_in_a_moment_and_leaves_the_rest_to_a_person() {
    let text = std::fs::read_to_string(unit()).unwrap();
    for line in ["Restart=on-failure", "RestartPreventExitStatus=64 78", "StateDirectoryMode=0700"]
    {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}
