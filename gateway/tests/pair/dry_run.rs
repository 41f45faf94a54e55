//! `distpos-send` between two real gateways: what it says would happen, and that it does.

use std::process::Output;

use alloy_primitives::{Address, hex};
use serde_json::Value as Json;

use crate::{
    contract::{Arg, encoded},
    engine::Engine,
    there_and_back::{ECHO, REVERTER},
    world::{Pair, newcomer},
};

fn said(output: &Output, exit: i32) -> Json {
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn what_a_dry_run_says_is_what_happens(engine: Engine) {
    let pair = Pair::running(engine);
    let (a, b) = (&pair.a, &pair.b);
    let executor: [u8; 32] = b.contract().view("executor()", &[])[..32].try_into().unwrap();
    let echo = b.deploy_example(ECHO, &encoded(&[Arg::Word(executor), Arg::address(b.contract)]));
    let reverter = b.deploy_example(REVERTER, &encoded(&[Arg::number(1)]));
    let at = |account: Address| format!("b1c2x{}", hex::encode(account));
    let (echo, reverter) = (at(echo), at(reverter));
    let greeting = ["--data", "greet(string,uint256) \"hello there\" 5"];
    let call = |to: &str, more: &[&str]| {
        let arguments = [&[to, "--amount", "77"][..], &greeting, &["--gas", "auto"], more];
        a.command(&arguments.concat())
    };

    let told = said(&call(&echo, &["--dry-run"]), 0);
    assert_eq!(
        (&told["own"]["accepted"], &told["destination"]["code"]),
        (&true.into(), &"2.0.0".into())
    );
    let gas = told["gas"].as_u64().unwrap();
    assert!((50_000..1_000_000).contains(&gas), "the call of a contract that remembers: {told}");
    let refused = call(&reverter, &["--dry-run"]);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not today"), "{refused:?}");
    let arguments = [reverter.as_str(), "--data", "0x01", "--gas", "100000", "--dry-run"];
    let told = said(&a.command(&arguments), 69);
    assert_eq!(told["destination"]["code"], "5.3.0", "{told}");
    let told = said(&a.command(&[&newcomer("b1c2", 1), "--amount", "1eth", "--dry-run"]), 0);
    assert_eq!(told["destination"]["gas"], 0, "nothing is called: {told}");
    assert!(a.contract().events(a.start).sent.is_empty(), "nothing was sent");

    // With the gas that it found out itself.
    let told = said(&call(&echo, &["--wait"]), 0);
    assert_eq!(told["message"]["outcome"], "delivered", "{told}");
}

crate::on_each_engine!(what_a_dry_run_says_is_what_happens);
