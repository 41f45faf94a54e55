//! Files that are wrong in every way there is: each fault is told with file, line and key, what was
//! found and what was expected.

use super::*;

/// The lines that a file with these lines behind the shortest ledger's is refused with.
fn told(more: &str) -> Vec<String> {
    let errors = all_of(&format!("{LEDGER}{more}\n")).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn each_fault_has_its_line_and_key() {
    // What follows the shortest file begins at line 10.
    let cases = [
        ("[colour]", "10: colour: unknown field `colour`, expected one of `chain`, `identity`, "),
        ("[listen]\nport = 1", "11: listen.port: unknown field `port`, expected one of `peers`, "),
        (
            "[listen]\npeers = \"0.0.0.0\"",
            "11: listen.peers: found \"0.0.0.0\", expected an address with its port, such as \
             \"127.0.0.1:7334\"",
        ),
        (
            "[resolver]\nservers = [\n  \"127.0.0.1:53\",\n  \"ns\",\n]",
            "11: resolver.servers: found \"ns\", expected an address with its port, such as \
             \"127.0.0.1:7334\"",
        ),
        (
            "[resolver]\nallow_special = \"no\"",
            "11: resolver.allow_special: invalid type: string \"no\", expected a boolean",
        ),
        ("listen = 1", "10: spool.listen: unknown field `listen`, expected `directory`"),
        (
            "[route.b1c2]\ngateways = [{ host = \"a\", port = 70000, spki = [] }]",
            "11: route.b1c2.gateways.port: invalid value: integer `70000`, expected a whole number \
             from 0 to 65535",
        ),
        (
            "[route.b1c2]\ngateways = [{ host = \"a\", address = \"x\", spki = [] }]",
            "11: route.b1c2.gateways.address: found \"x\", expected an address such as \
             \"192.0.2.7\"",
        ),
        (
            &format!(
                "[route.b1c2]\ndomain = \"a.example\"\n\
                 gateways = [{{ host = \"a\", spki = [\"{KEY}\"] }}]"
            ),
            "11: route.b1c2.domain: found domain and gateways, expected one of them",
        ),
    ];
    each_is_told(&cases);
}

#[test]
fn a_peer_a_rule_or_a_log_that_is_wrong_has_its_line_and_key() {
    let cases = [
        (
            "[peer.b1c2]\n\nth = 1",
            "12: peer.b1c2.th: found th, genesis, family or outbox without keys, expected keys",
        ),
        (
            "[peer.b1c2]\nth = \"one\"",
            "11: peer.b1c2.th: invalid type: string \"one\", expected a whole number, 0 or more",
        ),
        ("peer = 7\n", "10: spool.peer: unknown field `peer`, expected `directory`"),
        ("[peer]\nb1c2 = 7", "11: peer.b1c2: invalid type: integer `7`, expected a table"),
        (
            "[log]\nformat = \"xml\"",
            "11: log.format: unknown variant `xml`, expected `text` or `json`",
        ),
        (
            "[limits]\nmemory_max = \"1MiB\"",
            "11: limits.memory_max: found 1 MiB, expected at least 256 MiB",
        ),
        (
            "[[policy.rule]]\naction = \"deny\"\n[[policy.rule]]\naction = \"allow\"\ntext = \"no\"",
            "12: policy.rule: rule 2: text stands beside action = \"allow\", expected it only \
             beside \"deny\"",
        ),
        (
            "[[policy.rule]]\naction = \"deny\"\n[[policy.rule]]\naction = \"deny\"\n\
             recipient = \"e2e4x63ea\"",
            "14: policy.rule.recipient: rule 2: recipient is e2e4x63ea, expected the part behind \
             the first x, 63ea",
        ),
        ("[trust\n", "10: unclosed table, expected `]`"),
    ];
    each_is_told(&cases);
}

fn each_is_told(cases: &[(&str, &str)]) {
    for (more, expected) in cases {
        let told = told(more);
        let expected = format!("etc/gateway.toml:{expected}");
        // Lists of all keys are long, and grow.
        let whole = !expected.ends_with(", ");
        let fits = if whole { told[0] == expected } else { told[0].starts_with(&expected) };
        assert!(fits && told.len() == 1, "{more}: {told:#?}, expected {expected}");
    }
}

#[test]
fn what_is_missing_is_missed_where_it_belongs() {
    let without = |lines: &str| {
        assert!(LEDGER.contains(lines));
        refusal(&LEDGER.replace(lines, ""))
    };
    assert_eq!(
        without("directory = \"keys\"\n"),
        "etc/gateway.toml:6: identity.directory: found nothing, expected this key here"
    );
    assert_eq!(
        without("id = \"e2e4\"\n"),
        "etc/gateway.toml:1: chain.id: found nothing, expected this key here"
    );
    let at = refusal("");
    assert_eq!(at, "etc/gateway.toml:1: chain: found nothing, expected a table [chain]");
}

#[test]
fn all_faults_of_one_kind_are_told_at_once() {
    let text = LEDGER.replace("\"e2e4\"", "\"e2g4\"").replace("\"keys\"", "7");
    let more =
        "[listen]\npeers = 1\nport = 2\n[peer.B1C2]\n[peer.a1a1]\nth = 2\n[trust]\nkeys = \"no\"\n";
    let errors = all_of(&format!("{text}{more}")).unwrap_err();
    let keys: Vec<_> =
        errors.iter().map(|it| (it.line.unwrap(), it.key.clone().unwrap())).collect();
    let mut lines: Vec<_> = keys.iter().map(|(line, key)| (*line, key.as_str())).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            (2, "chain.id"),
            (7, "identity.directory"),
            (11, "listen.peers"),
            (12, "listen.port"),
            (13, "peer.B1C2"),
            (15, "peer.a1a1.th"),
            (17, "trust.keys"),
        ]
    );

    // What does not go together is told when everything can be read.
    let told = told(
        "[limits]\nmemory_max = \"1MiB\"\n[log]\nlevel = \"loud\"\n[route.e2e4]\ndomain = \"a.example\"",
    );
    assert_eq!(told.len(), 3, "{told:#?}");
}

#[test]
fn a_thousand_faults_do_not_fill_the_screen() {
    let many: String = (0..1_000).map(|at| format!("key{at} = 1\n")).collect();
    assert_eq!(all_of(&format!("{LEDGER}{many}")).unwrap_err().iter().count(), 20);
}
