//! Wrong files are refused with file, line and key; right ones mean what they say.

use std::{path::Path, time::Duration};

use distpos_proto::chain::Family;

use super::*;

const LEDGER: &str = r#"[chain]
id = "e2e4"
family = "ledger"
[chain.ledger]
directory = "ledger"
[identity]
directory = "keys"
[spool]
directory = "/var/spool/distpos"
"#;

const EVM: &str = r#"[chain]
id = "e2e4"
family = "evm"
[chain.evm]
rpc = "http://127.0.0.1:8545"
chain_id = 58084
contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
key = "evm.key"
[identity]
directory = "keys"
[spool]
directory = "spool"
"#;

const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn parse(text: &str) -> Result<Config, ConfigError> {
    all_of(text).map_err(|errors| errors.first().clone())
}

fn all_of(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("etc/gateway.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_short_file_is_enough_and_its_paths_are_beside_it() {
    let config = parse(LEDGER).unwrap();
    assert_eq!(config.chain.id.to_string(), "e2e4");
    assert_eq!(config.chain.proof, Family::Ledger);
    assert_eq!(config.identity.directory, Path::new("etc/keys"));
    assert_eq!(config.spool.directory, Path::new("/var/spool/distpos"));
    let Node::Ledger(node) = &config.chain.node else { panic!("expected a ledger") };
    assert_eq!(node.directory, Path::new("etc/ledger"));
    assert_eq!(node.block_interval, Duration::ZERO);
    assert_eq!(config.listen.peers.to_string(), "0.0.0.0:7333");
    assert_eq!(config.listen.submission.to_string(), "127.0.0.1:7334");
    assert_eq!(config.trust.keys, TrustLevel::Dnssec);
    assert_eq!(config.trust.route, TrustLevel::Pinned);
    assert!(config.peers.is_empty() && config.routes.is_empty());
}

#[test]
fn an_evm_node_is_final_by_tag_or_by_confirmations() {
    let node = |extra: &str| {
        let text = EVM.replace("key = \"evm.key\"", &format!("key = \"evm.key\"\n{extra}"));
        parse(&text).map(|config| match config.chain.node {
            Node::Evm(node) => node,
            Node::Ledger(_) => panic!("expected an evm node"),
        })
    };
    let plain = node("").unwrap();
    assert_eq!(plain.finality, Finality::Finalized);
    assert_eq!(plain.poll, Duration::from_secs(1));
    assert_eq!(plain.contract[..2], [0x5f, 0xbd]);
    assert_eq!(plain.keys, [Path::new("etc/evm.key")]);
    let restless = node("poll = \"0s\"");
    assert!(restless.unwrap_err().what.contains("poll is 0ns, expected 10ms or more"));
    assert_eq!(node("confirmations = 12").unwrap().finality, Finality::Confirmations(12));
    let both = node("finality = \"finalized\"\nconfirmations = 12").unwrap_err();
    assert_eq!(both.line, Some(9), "{both}");
    assert_eq!(both.key.as_deref(), Some("chain.evm.finality"));
    assert_eq!(both.what, "finality and confirmations are both set, expected one of them");
}

#[test]
fn an_evm_node_is_sent_to_with_one_key_or_several_and_never_for_any_price() {
    let node = |key: &str| {
        let text = EVM.replace("key = \"evm.key\"", key);
        parse(&text).map(|config| match config.chain.node {
            Node::Evm(node) => node,
            Node::Ledger(_) => panic!("expected an evm node"),
        })
    };
    let plain = node("key = \"evm.key\"").unwrap();
    assert_eq!((plain.fee_max, plain.fee_bump_after), (500_000_000_000, Duration::from_secs(30)));
    let several = node("key = [\"a.key\", \"/b.key\"]\nfee_max = \"0.5gwei\"").unwrap();
    assert_eq!(several.keys, [Path::new("etc/a.key"), Path::new("/b.key")]);
    assert_eq!(several.fee_max, 500_000_000);
    let wrong = |key: &str| node(key).unwrap_err().what;
    assert_eq!(wrong("key = []"), "key names 0 files, expected 1 to 32");
    assert_eq!(wrong("key = 7"), "expected a file, or a list of files");
    let key = "key = \"evm.key\"\n";
    assert!(wrong(&format!("{key}fee_max = \"0\"")).starts_with("fee_max is \"0\", expected more"));
    assert!(wrong(&format!("{key}fee_max = \"1.5\"")).contains("20gwei"));
    let hasty = wrong(&format!("{key}fee_bump_after = \"10ms\""));
    assert_eq!(hasty, "fee_bump_after is 10ms, expected 1s or more");
}

#[test]
fn an_error_names_file_line_and_key() {
    let cases = [
        (
            LEDGER.replace("\"e2e4\"", "\"e2g4\""),
            "etc/gateway.toml:2: chain.id: chain-id has the character 'g' at position 2, \
             expected a hex digit",
        ),
        (
            format!("{LEDGER}colour = 1\n"),
            "etc/gateway.toml:10: spool.colour: unknown field `colour`, expected `directory`",
        ),
        (
            LEDGER.replace("[identity]\ndirectory = \"keys\"\n", ""),
            "etc/gateway.toml:7: identity: found nothing, expected a table [identity]",
        ),
        (
            LEDGER.replace("\"ledger\"\n[chain", "\"evm\"\n[chain"),
            "etc/gateway.toml:3: chain.family: family is evm, expected one table, [chain.evm]",
        ),
        (
            format!("{LEDGER}[log]\nlevel = \"inof\"\n"),
            "etc/gateway.toml:11: log.level: found \"inof\", expected off, error, warn, info, debug or trace, \
             then perhaps `,module=level`",
        ),
        (
            format!("{LEDGER}[peer.B1C2]\n"),
            "etc/gateway.toml:10: peer.B1C2: chain-id has the character 'B' at position 0, \
             expected a hex digit",
        ),
        (
            format!("{LEDGER}[peer.e2e4]\n"),
            "etc/gateway.toml:10: peer.e2e4: found e2e4, expected other chains: that is chain.id",
        ),
        (format!("{LEDGER}[identity\n"), "etc/gateway.toml:10: unclosed table, expected `]`"),
        (
            format!("{LEDGER}[listen]\nsubmission = \"0.0.0.0:7334\"\n"),
            "etc/gateway.toml:11: listen.submission: 0.0.0.0:7334 is not on loopback, expected \
             listen.token (a file) beside it",
        ),
        (
            format!("{LEDGER}[resolver]\nroots = [\"chains.local\"]\n"),
            "etc/gateway.toml:11: resolver.roots: found chains.local, expected a domain that name \
             servers are asked for (RFC 6761)",
        ),
        (
            format!("{LEDGER}[trust]\nroute = \"signed\"\n"),
            "etc/gateway.toml:11: trust.route: found \"signed\", expected pinned, dnssec or static",
        ),
        (
            LEDGER.replace("\"ledger\"\n[id", "\"ledger\"\nblock_interval = \"5\"\n[id"),
            "etc/gateway.toml:6: chain.ledger.block_interval: found \"5\", expected a duration \
             such as \"500ms\", \"10s\", \"5m\" or \"24h\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(&text), expected);
    }
}

#[test]
fn a_peer_is_anchored_completely_or_not_at_all() {
    let peer = |body: &str| {
        parse(&format!("{LEDGER}[peer.b1c2]\n{body}\n"))
            .map(|config| config.peers.into_values().next().unwrap())
            .map_err(|error| (error.key.unwrap(), error.what))
    };
    let whole =
        peer(&format!("keys = [\"{KEY}\"]\ngenesis = \"00112233aabbccdd\"\nfamily = \"ledger\""))
            .unwrap();
    let anchor = whole.anchor.as_ref().unwrap();
    assert_eq!(anchor.outbox, LEDGER_OUTBOX_TEXT.as_bytes());
    assert_eq!(anchor.keys.threshold(), 1);
    assert_eq!(peer("").unwrap(), Peer::default());

    let at = |key: &str, what: &str| (format!("peer.b1c2.{key}"), what.to_owned());
    // What accounts have taken the place of.
    for gone in ["value_max = 7", "asset = \"e2e4/coin\"", "assets = { \"e2e4/coin\" = 7 }"] {
        let (key, what) = peer(gone).unwrap_err();
        let named = gone.split(' ').next().unwrap();
        assert_eq!(key, format!("peer.b1c2.{named}"));
        let expected = format!("found {named}, which is a key no more: what a chain may owe");
        assert!(what.starts_with(&expected) && what.contains("docs/credit.md"), "{what}");
    }
    let keys = format!("keys = [\"{KEY}\"]\ngenesis = \"00112233aabbccdd\"\n");
    assert_eq!(
        peer(&format!("{keys}family = \"evm\"")).unwrap_err(),
        at("family", "family is evm, expected outbox beside it")
    );
    assert_eq!(
        peer(&format!("{keys}family = \"evm\"\noutbox = \"0xabcd\"")).unwrap_err(),
        at("outbox", "outbox has 2 bytes, expected a contract's 20")
    );
    assert_eq!(
        peer(&format!("{keys}family = \"ledger\"\nth = 2")).unwrap_err(),
        at("th", "th is 2 of 1 distinct keys, expected 1 to 1 of at most 16")
    );
    let (key, what) = peer("keys = [\"short\"]").unwrap_err();
    assert_eq!(key, "peer.b1c2.keys");
    assert_eq!(what, "key is not 43 characters of base64url without padding");
}

#[test]
fn a_route_names_a_domain_or_gateways() {
    let route = |body: &str| {
        parse(&format!("{LEDGER}[route.b1c2]\n{body}\n"))
            .map(|config| config.routes.into_values().next().unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        route("domain = \"village.example\""),
        Ok(Route::Domain("village.example".parse().unwrap()))
    );
    let gateway =
        format!("{{ host = \"gw1.village.example\", spki = [\"{KEY}\"], address = \"::1\" }}");
    let Route::Gateways(gateways) = route(&format!("gateways = [{gateway}]")).unwrap() else {
        panic!("expected gateways")
    };
    assert_eq!(gateways[0].port, 7333);
    let literal = distpos_resolver::Host::Address("::1".parse().unwrap());
    assert_eq!(gateways[0].to_try().host, literal);
    assert_eq!(
        route("domain = \"10.0.0.1\"").unwrap_err(),
        "etc/gateway.toml:11: route.b1c2.domain: found \"10.0.0.1\", expected a host name such as \
         gw1.village.example"
    );
    assert_eq!(
        route("").unwrap_err(),
        "etc/gateway.toml:10: route.b1c2: found neither domain nor gateways, expected one of them"
    );
    assert_eq!(
        route("gateways = [{ host = \"a\", spki = [] }]").unwrap_err(),
        "etc/gateway.toml:11: route.b1c2.gateways: gateway a has 0 spki pins, expected 1 or 2"
    );
    assert_eq!(
        route("gateways = [{ host = \"a\", spki = [\"x\"] }]").unwrap_err(),
        "etc/gateway.toml:11: route.b1c2.gateways.spki: key is not 43 characters of base64url \
         without padding"
    );
}

#[test]
fn warnings_say_what_will_surprise() {
    let text = format!("{LEDGER}[peer.b1c2]\n");
    let warnings = check::warnings(&parse(&text).unwrap());
    assert_eq!(
        warnings,
        [
            "resolver.roots is empty and there is no route: no other chain can be found",
            "chain.ledger.float is 0: nothing can be paid out before something came in",
        ]
    );
}

mod faults;
mod policy;

const LEDGER_OUTBOX_TEXT: &str = "ledger";

#[test]
fn an_evm_chain_has_one_node_or_several_and_what_it_alerts_of() {
    let node = |text: &str| match parse(text).unwrap().chain.node {
        Node::Evm(node) => node,
        Node::Ledger(_) => panic!("expected an EVM chain"),
    };
    let short = node(EVM);
    assert_eq!((short.rpc.len(), short.quorum), (1, 1));
    assert_eq!(short.head_age_max, Duration::from_secs(900));
    assert_eq!(short.balance_min.to_string(), "50000000000000000");

    let with = |rpc: &str, more: &str| {
        EVM.replace("rpc = \"http://127.0.0.1:8545\"", &format!("rpc = {rpc}\n{more}"))
    };
    let three = r#"["http://a:1", "http://b:1", "http://c:1"]"#;
    let long = node(&with(three, "quorum = 2\nhead_age_max = \"0s\"\nbalance_min = \"20gwei\""));
    assert_eq!(long.rpc, ["http://a:1", "http://b:1", "http://c:1"]);
    assert_eq!((long.quorum, long.head_age_max), (2, Duration::ZERO));
    assert_eq!(long.balance_min.to_string(), "20000000000");

    for (rpc, more, what) in [
        (three, "quorum = 4", "quorum is 4, expected 1 to 3"),
        (three, "quorum = 0", "quorum is 0, expected 1 to 3"),
        ("[]", "", "rpc has 0 addresses, expected 1 to 8"),
        ("[\"http://a:1\", \"https://b:1/v2/secret\"]", "", "rpc is \"https://b:1\","),
        ("[\"http://a:1\", \"http://a:1\"]", "", "rpc has \"http://a:1\" twice"),
        ("7", "", "expected a text, or an array of texts"),
        ("\"http://a:1\"", "balance_min = \"0.05\"", "amount is \"0.05\", expected whole wei"),
    ] {
        let found = refusal(&with(rpc, more));
        assert!(found.contains(what), "{what}: {found}");
    }
}

#[test]
fn only_a_server_on_loopback_is_believed_for_its_ad_bit() {
    let with = |servers: &str| {
        let text = format!("{LEDGER}\n[resolver]\nservers = [{servers}]\ntrust_ad = true\n");
        let parsed = Config::parse(&text, Path::new("etc/gateway.toml")).unwrap();
        parsed.lookup().err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(with("\"127.0.0.1:53\", \"[::1]:53\""), "");
    let far = with("\"127.0.0.1:53\", \"192.0.2.1:53\"");
    assert!(far.contains("resolver.servers: name server 192.0.2.1:53 is not on loopback"), "{far}");
    assert!(
        with("").contains("resolver.servers: found no name server"),
        "the system's are not taken"
    );
}

#[test]
fn dnssec_begins_at_the_root_or_at_a_file_of_keys() {
    let directory = tempfile::tempdir().unwrap();
    let with = |line: &str| {
        let text = format!("{LEDGER}\n[resolver]\nservers = [\"127.0.0.1:53\"]\n{line}\n");
        let file = directory.path().join("gateway.toml");
        Config::parse(&text, &file).unwrap().lookup().err().map(|error| error.to_string())
    };
    assert_eq!(with(""), None);
    assert_eq!(with("trust_anchors = \"root\""), None);

    assert_eq!(with("trust_ad = true"), None);
    let both = with("trust_ad = true\ntrust_anchors = \"root\"").unwrap();
    assert!(both.contains("resolver.trust_ad: found beside trust_anchors"), "{both}");

    let island = "trust_anchors = \"island.keys\"";
    let found = with(island).unwrap();
    assert!(found.contains("resolver.trust_anchors: ") && found.contains("island.keys"), "{found}");
    let file = directory.path().join("island.keys");
    std::fs::write(&file, "; none yet\nchains.example. IN DS 1 13 2 00\n").unwrap();
    let found = with(island).unwrap();
    assert!(found.contains("line 2 starts with \"chains.example. IN DS"), "{found}");
    let key = "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
    std::fs::write(&file, format!("chains.example. IN DNSKEY 257 3 15 {key}\n")).unwrap();
    assert_eq!(with(island), None);
}
