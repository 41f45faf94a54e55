//! `[policy]`, accounts and the admin socket: what is meant, and what an operator may mistype.

use distpos_proto::{amount::Amount, chain::ChainId};

use super::*;

fn with(more: &str) -> Result<Config, ConfigError> {
    parse(&format!("{LEDGER}{more}\n"))
}

/// Key and text of the error that this line of a table is.
fn wrong(table: &str, line: &str) -> (String, String) {
    let error = with(&format!("{table}\n{line}")).unwrap_err();
    assert!(error.line.is_some(), "{error}");
    (error.key.unwrap(), error.what)
}

fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

const ACCOUNT: &str = "[peer.b1c2.account.\"e2e4/coin\"]";

#[test]
fn an_account_that_nobody_names_has_no_limits_but_those_of_the_chain() {
    let config = with("").unwrap();
    let account = config.account(chain("b1c2"), &"e2e4/coin".parse().unwrap());
    assert_eq!(account, AccountPolicy::default());
    assert_eq!((account.message_value_max, account.attested_value_max), (None, None));
    assert_eq!((account.strained_at, account.mismatch_max), (80, Amount::ZERO));
}

#[test]
fn each_account_is_its_own() {
    let config = with(&format!(
        "{ACCOUNT}\nmessage_value_max = \"500\"\nattested_value_max = 0\nstrained_at = 60\n\
         settle_threshold = 900\nsettle_to = \"account 7\"\nmismatch_max = \"3\"\n\
         [peer.b1c2.account.\"b1c2/gold\"]\n"
    ))
    .unwrap();
    let account = |asset: &str| config.account(chain("b1c2"), &asset.parse().unwrap());
    let coin = account("e2e4/coin");
    assert_eq!(coin.message_value_max, Some(Amount::from(500_u64)));
    assert_eq!(coin.attested_value_max, Some(Amount::ZERO), "nothing on signatures alone");
    assert_eq!(coin.strained_at, 60);
    assert_eq!(coin.settle_threshold, Some(Amount::from(900_u64)));
    assert_eq!(coin.settle_to.as_deref(), Some("account 7"));
    assert_eq!(coin.mismatch_max, Amount::from(3_u64));
    assert_eq!(account("b1c2/gold"), AccountPolicy::default());
}

#[test]
fn a_bad_amount_is_told_with_its_field() {
    let above =
        "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"";
    let negative = "found \"-5\", expected a whole number of the asset's smallest unit, such as \
                    \"1000000\"";
    let cases = [
        ("message_value_max = \"-5\"", negative),
        ("message_value_max = -5", "found -5, expected a whole number of the asset's smallest"),
        ("message_value_max = \"1.5\"", "found \"1.5\", expected a whole number of the asset's"),
        ("message_value_max = 1.5", "found 1.5, expected a whole number of the asset's smallest"),
        ("message_value_max = \"1eth\"", "found \"1eth\", expected a whole number"),
        ("message_value_max = \"\"", "found \"\", expected a whole number"),
        ("message_value_max = \"0\"", "found 0, expected more than zero, or to leave the key out"),
        ("message_value_max = true", "expected a whole number of the asset's smallest unit"),
        ("settle_threshold = 0", "found 0, expected more than zero"),
        ("attested_value_max = \"many\"", "found \"many\", expected a whole number"),
        ("mismatch_max = \"-1\"", "found \"-1\", expected a whole number"),
    ];
    for (line, expected) in cases {
        let (key, what) = wrong(ACCOUNT, line);
        let field = line.split(' ').next().unwrap();
        assert_eq!(key, format!("peer.b1c2.account.e2e4/coin.{field}"), "{line}");
        assert!(what.contains(expected), "{line}: {what}");
    }
    let (_, what) = wrong(ACCOUNT, &format!("settle_threshold = {above}"));
    assert_eq!(what, "found a number of 78 digits, 2^256 or more, expected less than 2^256");
}

#[test]
fn a_bad_limit_or_asset_is_told_with_its_field() {
    for line in
        ["strained_at = 0", "strained_at = 101", "strained_at = \"80\"", "strained_at = 0.8"]
    {
        let (key, what) = wrong(ACCOUNT, line);
        assert_eq!(key, "peer.b1c2.account.e2e4/coin.strained_at");
        assert!(what.ends_with("expected a whole number of percent from 1 to 100"), "{what}");
    }
    let long = "x".repeat(201);
    for to in ["", "  ", "a\\nb", &long] {
        let (key, what) = wrong(ACCOUNT, &format!("settle_to = \"{to}\""));
        assert_eq!(key, "peer.b1c2.account.e2e4/coin.settle_to");
        assert!(what.contains("expected 1 to 200, all printable"), "{what}");
    }
    for asset in ["coin", "e2e4/", "E2E4/coin", "e2e4/co in", ""] {
        let (key, what) = wrong(&format!("[peer.b1c2.account.\"{asset}\"]"), "strained_at = 80");
        assert_eq!(key, format!("peer.b1c2.account.{asset}"));
        let expected =
            format!("found {asset:?}, expected an asset, <issuer chain-id>/<label>, such");
        assert!(what.starts_with(&expected), "{what}");
    }
    let (key, what) = wrong(ACCOUNT, "value_max = 7");
    assert_eq!(key, "peer.b1c2.account.e2e4/coin.value_max");
    assert!(what.starts_with("unknown field `value_max`, expected one of `message_value_max`"));
}

#[test]
fn rules_are_read_in_their_order_and_refused_with_their_number() {
    let config = with(
        "[[policy.rule]]\naction = \"allow\"\nsender = \"a11ce\"\nchain = \"b1c2\"\n\
         [[policy.rule]]\naction = \"deny\"\ntext = \"members only\"\n",
    )
    .unwrap();
    let rules = config.policy.rules.as_slice();
    assert_eq!((rules.len(), rules[1].text.as_str()), (2, "members only"));

    let table = "[peer.b1c2]\n[[policy.rule]]";
    let cases = [
        (
            "action = \"drop\"",
            "policy.rule.action",
            "found \"drop\", expected \"allow\" or \"deny\"",
        ),
        (
            "action = \"deny\"\namount_max = 5",
            "policy.rule",
            "rule 1: found amount_min or amount_max, expected asset beside it",
        ),
        (
            "action = \"deny\"\nasset = \"e2e4/coin\"\namount_min = 6\namount_max = 5",
            "policy.rule",
            "rule 1: amount_min is 6, expected at most amount_max, 5",
        ),
        (
            "action = \"deny\"\nasset = \"coin\"",
            "policy.rule.asset",
            "found \"coin\", expected an asset",
        ),
        (
            "action = \"deny\"\nasset = \"e2e4/coin\"\namount_min = \"-6\"",
            "policy.rule.amount_min",
            "found \"-6\", expected a whole number of the asset's smallest unit",
        ),
        (
            "action = \"deny\"\nsender = \"b1c2x63ea\"",
            "policy.rule.sender",
            "rule 1: sender is b1c2x63ea, expected the part behind the first x, 63ea",
        ),
        (
            "action = \"deny\"\nrecipient = \"e2e4x63ea\"",
            "policy.rule.recipient",
            "rule 1: recipient is e2e4x63ea, expected the part behind the first x, 63ea",
        ),
        ("action = \"deny\"\nfrom = \"x\"", "policy.rule.from", "unknown field `from`"),
        ("chain = \"b1c2\"", "policy.rule.action", "found nothing, expected this key here"),
    ];
    for (lines, key, expected) in cases {
        let (found, what) = wrong(table, lines);
        assert_eq!(found, key, "{what}");
        assert!(what.starts_with(expected), "{what}");
    }
    // Not every address with an x in it is a whole one: this is how Solana's look.
    let base58 =
        "[[policy.rule]]\naction = \"deny\"\nsender = \"7xKXtg2CW87d97TXJSDpbD5jBkheTqA8\"";
    with(base58).unwrap();
}

#[test]
fn hooks_are_on_this_host_unless_the_operator_says_otherwise() {
    let config = with(
        "[policy.hooks]\naccept = \"http://127.0.0.1:8080/accept?x=1\"\n\
         before_deliver = \"http://localhost\"\n",
    )
    .unwrap();
    let hooks = &config.policy.hooks;
    assert_eq!(hooks.timeout, Duration::from_secs(2));
    let accept = hooks.accept.as_ref().unwrap();
    assert_eq!((accept.authority().as_str(), accept.path()), ("127.0.0.1:8080", "/accept?x=1"));
    let deliver = hooks.before_deliver.as_ref().unwrap();
    assert_eq!((deliver.authority().as_str(), deliver.path()), ("localhost:80", "/"));

    let remote = "accept = \"http://hooks.example:80/secret\"";
    let (key, what) = wrong("[policy.hooks]", remote);
    assert_eq!(key, "policy.hooks.accept");
    assert_eq!(
        what,
        "http://hooks.example:80 is not on this host, expected policy.hooks.allow_remote = true \
         beside it: messages travel there in the clear"
    );
    with(&format!("[policy.hooks]\nallow_remote = true\n{remote}")).unwrap();
    for url in ["https://127.0.0.1/", "127.0.0.1:80", "", "http://", "http://me@127.0.0.1/", "/x"] {
        let (key, what) = wrong("[policy.hooks]", &format!("before_deliver = \"{url}\""));
        assert_eq!(key, "policy.hooks.before_deliver");
        assert!(what.starts_with(&format!("found {url:?}, expected an address such as")), "{what}");
    }
    for timeout in ["0s", "9ms", "31s"] {
        let (key, what) = wrong("[policy.hooks]", &format!("timeout = \"{timeout}\""));
        assert_eq!(key, "policy.hooks.timeout");
        assert!(what.ends_with("expected 10ms to 30s"), "{what}");
    }
}

#[test]
fn gas_is_budgeted_by_family_by_the_operator_and_by_peer() {
    let usual = with("").unwrap().gas_budget(chain("b1c2"));
    assert_eq!(usual, GasBudget::of(Family::Ledger));
    assert_eq!(parse(EVM).unwrap().gas_budget(chain("b1c2")).max, 1_000_000_000);
    let config = with(
        "[policy]\ngas_max = 7_000_000\n[peer.b1c2]\ngas_window = \"1m\"\n[peer.a1a1]\ngas_max = 1",
    )
    .unwrap();
    let budget = |peer: &str| {
        let GasBudget { max, window } = config.gas_budget(chain(peer));
        (max, window.as_secs())
    };
    assert_eq!(budget("b1c2"), (7_000_000, 60));
    assert_eq!(budget("a1a1"), (1, 3_600));
    assert_eq!(budget("cafe"), (7_000_000, 3_600));
    for (table, line, key) in [
        ("[policy]", "gas_max = 0", "policy.gas_max"),
        ("[policy]", "gas_max = -1", "policy.gas_max"),
        ("[policy]", "gas_max = \"5\"", "policy.gas_max"),
        ("[peer.b1c2]", "gas_max = 1.5", "peer.b1c2.gas_max"),
    ] {
        let (found, what) = wrong(table, line);
        assert_eq!(found, key);
        assert!(what.ends_with("expected a whole number above zero"), "{what}");
    }
    let (key, what) = wrong("[policy]", "gas_window = \"0s\"");
    assert_eq!(key, "policy.gas_window");
    assert!(what.starts_with("found a duration of zero, expected a longer one"), "{what}");
}

#[test]
fn a_refund_without_receipt_is_off_and_warned_of() {
    assert_eq!(with("").unwrap().policy.refund_without_receipt, None);
    let config = with("[policy]\nrefund_without_receipt = \"30d\"").unwrap();
    let grace = Some(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(config.policy.refund_without_receipt, grace);
    let warned = check::warnings(&config);
    assert!(warned.iter().any(|warning| {
        warning.starts_with("policy.refund_without_receipt is set: a message that was delivered")
    }));
    let hasty = check::warnings(&with("[policy]\nrefund_without_receipt = \"1h\"").unwrap());
    assert!(hasty.iter().any(|warning| warning.contains("is shorter than 5 days")));
    assert_eq!(
        wrong("[policy]", "refund_without_receipt = \"0s\"").0,
        "policy.refund_without_receipt"
    );
}

#[test]
fn the_admin_socket_is_in_the_spool_or_where_it_is_said_to_be() {
    let socket = |more: &str| with(more).unwrap().admin_socket();
    assert_eq!(socket(""), Path::new("/var/spool/distpos/admin.sock"));
    assert_eq!(socket("[admin]\nsocket = \"a.sock\""), Path::new("etc/a.sock"));
    let long = format!("socket = \"/{}\"", "x".repeat(107));
    let (key, what) = wrong("[admin]", &long);
    assert_eq!(key, "admin.socket");
    assert!(
        what.ends_with("has 108 bytes, expected at most 107: set admin.socket to a shorter one")
    );
    let deep = LEDGER.replace("/var/spool/distpos", &format!("/{}", "y".repeat(100)));
    let error = parse(&deep).unwrap_err();
    assert_eq!(error.key.as_deref(), Some("admin.socket"), "{error}");
}

#[test]
fn a_threshold_is_a_score_and_one_that_no_new_chain_reaches_is_warned_of() {
    let min = |text: &str| with(&format!("[policy]\nstanding_min = {text}"));
    assert_eq!(with("").unwrap().policy.standing_min, 0);
    assert_eq!(min("100").unwrap().policy.standing_min, 100);
    for text in ["-1", "101", "400", "40.5", "\"40\""] {
        let error = min(text).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("policy.standing_min"), "{text}");
        assert!(error.what.ends_with("expected a whole number from 0 to 100"), "{error}");
    }
    let warned = |text: &str| {
        let warned = check::warnings(&min(text).unwrap());
        warned.iter().any(|warning| warning.starts_with("policy.standing_min is 51: a new chain"))
    };
    assert!(warned("51") && !warned("50"));
}
