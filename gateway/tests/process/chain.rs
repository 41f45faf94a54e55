//! Suspending chains with the real commands, on running gateways.

use std::time::Duration;

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use serde_json::Value;

use crate::{
    admin::{command, err, out},
    world::World,
};

/// What does not happen by then does not happen.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn a_chain_is_suspended_through_a_crash_and_goes_on_when_it_is_resumed() {
    let world = World::running();
    let (a, b) = (&world.a, &world.b);
    let said = |arguments: &[&str]| {
        let output = command(a, &[&["chain"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}\n{}", a.log());
        out(&output)
    };
    assert_eq!(said(&["suspended"]), "nothing is suspended\n");
    let told =
        said(&["suspend", "b1c2", "--direction", "out", "--for", "2h", "--reason", "they move"]);
    assert!(told.lines().nth(1).unwrap().ends_with("they move"), "{told}");
    let id = a.send(0, &b.village.address(), 5);
    let view = a.message_when(id, SOON, |view| view.code.as_deref() == Some("4.2.1"));
    assert_eq!(view.state, "queued");
    a.kill();
    a.start();
    let listed: Value = serde_json::from_str(&said(&["suspended", "--json"])).unwrap();
    let one = &listed["suspended"][0];
    assert_eq!((&one["chain"], &one["direction"]), (&"b1c2".into(), &"out".into()), "{one}");
    let lasts = one["until_ms"].as_u64().unwrap() - one["since_ms"].as_u64().unwrap();
    assert_eq!(lasts, 2 * 60 * 60 * 1_000);
    let reasons = out(&command(a, &["queue", "reasons"]));
    assert!(reasons.contains("4.2.1 suspended until ") && reasons.contains("they move"));
    assert_eq!(b.balance(), BALANCE);

    let resumed = said(&["resume", "b1c2", "--reason", "they have moved"]);
    assert_eq!(resumed, "b1c2 is not suspended any more\n");
    a.message_when(id, SOON, |view| view.outcome == Some(Outcome::Delivered));
    assert!(a.log().contains("they have moved"));

    for (wrong, exit, why) in [
        (&["resume", "b1c2", "--reason", "again"][..], 69, "b1c2 is not suspended"),
        (&["suspend", "b1c2"], 64, "--reason"),
        (&["suspend", "xyz", "--reason", "it"], 64, "chain"),
        (&["suspend", "e2e4", "--reason", "it"], 64, "this gateway's own"),
        (&["suspend", "b1c2", "--for", "31d", "--reason", "it"], 64, "expected 1 to 2592000"),
        (&["suspend", "b1c2", "--for", "0s", "--reason", "it"], 64, "expected"),
        (&["suspend", "b1c2", "--direction", "up", "--reason", "it"], 64, "out, in, both"),
    ] {
        let output = command(a, &[&["chain"], wrong].concat());
        assert_eq!(output.status.code(), Some(exit), "{wrong:?} {output:?}");
        assert!(err(&output).contains(why), "{wrong:?} {output:?}");
    }
}
