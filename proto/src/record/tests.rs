use std::time::Duration;

use proptest::{
    collection::{hash_set, vec},
    option,
    prelude::*,
    sample::select,
};

use super::*;
use crate::{
    chain::{Family, GenesisTag},
    key::{SecretKey, SpkiPin},
};

const PIN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PIN_2: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

fn value(tag: &'static str, found: &str) -> Result<GatewayRecord, (&'static str, String)> {
    Err((tag, found.to_owned()))
}

fn gateway(tags: &str) -> Result<GatewayRecord, RecordError> {
    GatewayRecord::parse(format!("v=DPOS1; {tags}").as_bytes())
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    let key = SecretKey::from_seed(&[7; 32]).public();
    let text =
        format!("v=DPOS1; c=e2e4; pri=10; w=50; h=gw1.village.example; port=7333; spki={PIN}");
    let [record] =
        gateways(&[&text], chain("e2e4"), PortRule::Unprivileged).unwrap().try_into().unwrap();
    let pins = vec![SpkiPin([0; 32])];
    let target = Target::Host { host: host("gw1.village.example"), port: 7333, pins };
    let expected =
        GatewayRecord { chain: chain("e2e4"), target, pri: 10, weight: 50, guarantee: None };
    assert_eq!(record, expected);
    assert_eq!(record.to_string(), text);

    let text = format!("v=DPOSKEY1; c=e2e4; k=ed25519; p={key}");
    let record = super::key(&[&text], chain("e2e4")).unwrap();
    assert_eq!(record, KeyRecord::new(chain("e2e4"), Some(key)));
    assert_eq!(record.to_string(), text);

    let text = "v=DPOSPOL1; c=e2e4; id=2026112201; mode=enforce; ma=604800; proof=evm; \
                gen=0123456789abcdef; conf=12; sel=k20261122;";
    let record = policy(&[text], chain("e2e4")).unwrap().unwrap();
    assert_eq!(record.mode, Mode::Enforce);
    assert_eq!(record.pin_for, Duration::from_hours(24 * 7));
    assert_eq!(record.family, Family::Evm);
    assert_eq!(record.confirmations, 12);
    assert_eq!(record.selectors, ["k20261122".parse().unwrap()]);
    assert_eq!(record.threshold, 1);
    assert_eq!(format!("{record};"), text);

    let null = "v=DPOS1; c=dead; h=.";
    let records = gateways(&[null], chain("dead"), PortRule::Unprivileged).unwrap();
    assert_eq!(records, [GatewayRecord::null(chain("dead"))]);
    assert_eq!(records[0].to_string(), null);
}

#[test]
fn what_is_not_said_has_a_default_and_what_is_unknown_is_passed_over() {
    let record =
        gateway(&format!("later=a:b,c/d+e@f;c=e2e4;spki={PIN}; h=GW1.Village.Example;")).unwrap();
    let expected = GatewayRecord::new(chain("e2e4"), host("gw1.village.example"), SpkiPin([0; 32]));
    assert_eq!(record, expected);
    assert_eq!((record.pri, record.weight), (10, 1));
    let two = gateway(&format!("c=1; h=a.b; spki={PIN},{PIN_2}; g=abc")).unwrap();
    assert_eq!(two.guarantee.as_deref(), Some("abc"));
    assert!(matches!(two.target, Target::Host { pins, .. } if pins.len() == 2));
}

#[test]
fn a_value_is_split_off_at_the_first_equals_sign() {
    let error = gateway(&format!("c=e2e4; h=a.b; spki={PIN}=")).unwrap_err();
    assert_eq!(error, RecordError::Character { tag: "spki".into(), found: '=' });
}

#[test]
fn what_breaks_the_grammar_is_named() {
    let tag = |found: &str| RecordError::Tag { found: found.into() };
    let character = |found| RecordError::Character { tag: "h".into(), found };
    let duplicate = |tag: &str| RecordError::Duplicate { tag: tag.into() };
    let cases = [
        ("c=e2e4;  h=a.b", tag(" h=a.b")),
        ("c=e2e4; ; h=a.b", tag("")),
        ("c=e2e4; h=a.b; ", tag("")),
        ("c=e2e4; h=a.b;;", tag("")),
        ("c=e2e4; h", tag("h")),
        ("c=e2e4; H=a.b", tag("H=a.b")),
        ("c=e2e4; 1h=a.b", tag("1h=a.b")),
        ("c=e2e4; =a.b", tag("=a.b")),
        ("c=e2e4; h =a.b", tag("h =a.b")),
        ("c=e2e4; abcdefghijklmnopq=1", tag("abcdefghijklmnopq=1")),
        ("c=e2e4; h=a b", character(' ')),
        ("c=e2e4; h=\"a.b\"", character('"')),
        ("c=e2e4; h=a\\b", character('\\')),
        ("c=e2e4; h=`a`", character('`')),
        ("c=e2e4; h=\u{e4}.b", character('\u{c3}')),
        ("c=e2e4; h=a\0", character('\0')),
        ("c=e2e4; c=e2e4", duplicate("c")),
        ("c=e2e4; x=1; x=1", duplicate("x")),
        ("c=e2e4; v=DPOS1", duplicate("v")),
    ];
    for (tags, expected) in cases {
        assert_eq!(gateway(tags).unwrap_err(), expected, "{tags}");
    }
    let longest = "x".repeat(RECORD_BYTES_MAX);
    let padded = |bytes: usize| {
        let start = format!("v=DPOS1; c=1; h=.; x={longest}");
        GatewayRecord::parse(&start.as_bytes()[..bytes])
    };
    assert_eq!(padded(RECORD_BYTES_MAX), Ok(GatewayRecord::null(chain("1"))));
    assert_eq!(padded(1_025), Err(RecordError::Length { found: 1_025 }));
}

#[test]
fn the_version_comes_first_and_is_exact() {
    for wrong in
        ["", "v=DPOS2; c=1; h=.", "v=DPOS1 ; c=1; h=.", " v=DPOS1; c=1; h=.", "c=1; v=DPOS1; h=."]
    {
        let found = GatewayRecord::parse(wrong.as_bytes()).unwrap_err();
        assert!(
            matches!(found, RecordError::Version { expected: "v=DPOS1", .. }),
            "{wrong}: {found}"
        );
    }
    assert_eq!(
        GatewayRecord::parse(b"v=DPOS1").unwrap_err(),
        RecordError::Missing {
            tag: "c",
            expected: "a chain-id: lower-case hex without leading zeros"
        }
    );
}

#[test]
fn wrong_values_are_named_with_their_tag() {
    let cases = [
        ("c", "E2E4", "h=."),
        ("c", "0e2e4", "h=."),
        ("c", "0", "h=."),
        ("h", "10.0.0.1", "c=1"),
        ("h", "0x7f.1", "c=1"),
        ("h", "::1", "c=1"),
        ("h", "a..b", "c=1"),
        ("h", ".a", "c=1"),
        ("h", "a.", "c=1"),
        ("h", "", "c=1"),
        ("h", "-a.b", "c=1"),
        ("h", "a_b.c", "c=1"),
        ("h", "a:80", "c=1"),
        ("port", "0", "c=1; h=a.b; spki=P"),
        ("port", "65536", "c=1; h=a.b; spki=P"),
        ("port", "07333", "c=1; h=a.b; spki=P"),
        ("port", "+7333", "c=1; h=a.b; spki=P"),
        ("port", "", "c=1; h=a.b; spki=P"),
        ("pri", "65536", "c=1; h=a.b; spki=P"),
        ("w", "-1", "c=1; h=a.b; spki=P"),
        ("spki", "", "c=1; h=a.b"),
        ("spki", "AAAA", "c=1; h=a.b"),
        ("spki", "P,P", "c=1; h=a.b"),
        ("spki", "P,Q,R", "c=1; h=a.b"),
        ("spki", "P,", "c=1; h=a.b"),
    ];
    for (tag, found, others) in cases {
        let full = |text: &str| {
            text.replace('P', PIN).replace('Q', PIN_2).replace('R', &PIN.replace('A', "E"))
        };
        let (found, others) = (full(found), full(others));
        let outcome = gateway(&format!("{others}; {tag}={found}")).map_err(|error| match error {
            RecordError::Value { tag, found, .. } => (tag, found),
            other => ("another error", other.to_string()),
        });
        let shown: String = found.chars().take(80).collect();
        assert_eq!(outcome, value(tag, &shown));
    }
    for missing in ["h=.", "c=1", "c=1; h=a.b"] {
        let error = gateway(missing).unwrap_err();
        assert!(matches!(error, RecordError::Missing { .. }), "{missing}: {error}");
    }
}

#[test]
fn host_names_have_at_most_253_characters_and_labels_63() {
    let name = |characters: usize| format!("{}b", "a.".repeat(characters / 2));
    assert_eq!(name(253).len(), 253);
    assert!(name(253).parse::<HostName>().is_ok());
    assert!(format!("{}c", name(253)).parse::<HostName>().is_err());
    assert!(format!("{}.b", "a".repeat(63)).parse::<HostName>().is_ok());
    assert!(format!("{}.b", "a".repeat(64)).parse::<HostName>().is_err());
}

#[test]
fn a_record_leads_only_to_ports_that_gateways_use() {
    let text = |port| format!("v=DPOS1; c=1; h=a.b; spki={PIN}; port={port}");
    let read = |port: u32, rule| gateways(&[text(port)], chain("1"), rule);
    for port in [443, 1024, 7333, 65_535] {
        assert!(read(port, PortRule::Unprivileged).is_ok(), "{port}");
    }
    for port in [1, 25, 80, 1023] {
        let expected = RecordError::Value {
            tag: "port",
            found: port.to_string(),
            expected: "443, or 1024 to 65535",
        };
        assert_eq!(read(port, PortRule::Unprivileged), Err(expected));
        assert!(read(port, PortRule::Any).is_ok(), "{port}");
    }
}

#[test]
fn a_record_of_another_chain_spoils_the_set() {
    let (mine, other) = ("v=DPOS1; c=e2e4; h=.", "v=DPOS1; c=b1c2; h=.");
    let expected = RecordError::Chain { found: chain("b1c2"), expected: chain("e2e4") };
    assert_eq!(gateways(&[other], chain("e2e4"), PortRule::Any), Err(expected.clone()));
    assert_eq!(gateways(&[mine, other], chain("e2e4"), PortRule::Any), Err(expected.clone()));
    let key = "v=DPOSKEY1; c=b1c2; p=";
    assert_eq!(super::key(&[key], chain("e2e4")), Err(expected.clone()));
    let text =
        "v=DPOSPOL1; c=b1c2; id=1; mode=none; ma=0; proof=ledger; gen=0000000000000000; sel=k";
    assert_eq!(policy(&[text], chain("e2e4")), Err(expected));
    assert!(policy(&[text], chain("b1c2")).is_ok());
}

#[test]
fn sets_are_counted_without_what_is_not_of_their_kind() {
    let asked = chain("1");
    let spf = "v=spf1 -all".to_owned();
    let one = |at: usize| format!("v=DPOS1; c=1; h=gw{at}.b; spki={PIN}");
    let count = |version, found, expected| RecordError::Count { version, found, expected };

    let mut set: Vec<_> = (0..6).map(one).collect();
    set.extend([spf.clone(), "v=DPOS10; x".to_owned(), "garbage \" ;;".to_owned()]);
    assert_eq!(gateways(&set, asked, PortRule::Any).unwrap().len(), 6);
    set.push(one(6));
    assert_eq!(gateways(&set, asked, PortRule::Any), Err(count("v=DPOS1", 7, "1 to 6")));
    assert_eq!(gateways(&[&spf], asked, PortRule::Any), Err(count("v=DPOS1", 0, "1 to 6")));
    let set = [one(0), "v=DPOS1; c=1; h=.".to_owned()];
    assert_eq!(
        gateways(&set, asked, PortRule::Any),
        Err(RecordError::NullAmongOthers { found: 2 })
    );
    let set = [one(0), "v=DPOS1; c=1; h".to_owned()];
    assert_eq!(gateways(&set, asked, PortRule::Any), Err(RecordError::Tag { found: "h".into() }));

    let revoked = "v=DPOSKEY1; c=1; p=".to_owned();
    assert_eq!(key(&[&spf, &revoked], asked), Ok(KeyRecord::new(asked, None)));
    let expected = count("v=DPOSKEY1", 2, "exactly 1");
    assert_eq!(key(&[&revoked, &revoked], asked), Err(expected));
    assert_eq!(key(&[&spf], asked), Err(count("v=DPOSKEY1", 0, "exactly 1")));

    assert_eq!(policy(&[&spf], asked), Ok(None));
    let twice = ["v=DPOSPOL1; c=1", "v=DPOSPOL1; c=1"];
    assert_eq!(policy(&twice, asked), Err(count("v=DPOSPOL1", 2, "0 or 1")));
}

#[test]
fn a_name_with_too_much_under_it_is_read_by_nobody() {
    let asked = chain("1");
    let ours = format!("v=DPOS1; c=1; h=gw1.b; spki={PIN}");
    let rest = ANSWER_BYTES_MAX - ours.len();
    let of = |bytes: usize| [ours.clone(), "x".repeat(bytes)];
    assert_eq!(gateways(&of(rest), asked, PortRule::Any).map(|set| set.len()), Ok(1));
    let found = ANSWER_BYTES_MAX + 1;
    let refused = RecordError::Answer { found };
    assert_eq!(gateways(&of(rest + 1), asked, PortRule::Any), Err(refused.clone()));
    assert_eq!(key(&of(rest + 1), asked), Err(refused.clone()));
    assert_eq!(policy(&of(rest + 1), asked), Err(refused));
}

#[test]
fn keys_and_policies_with_wrong_values_are_refused() {
    let key = SecretKey::from_seed(&[1; 32]).public();
    let read = |tags: &str| KeyRecord::parse(format!("v=DPOSKEY1; c=1; {tags}").as_bytes());
    assert!(read(&format!("k=ed25519; p={key}")).is_ok());
    assert!(matches!(read(&format!("p={key}")), Err(RecordError::Missing { tag: "k", .. })));
    let rsa = read(&format!("k=rsa; p={key}"));
    assert!(matches!(rsa, Err(RecordError::Value { tag: "k", .. })), "{rsa:?}");
    assert!(matches!(read("k=ed25519"), Err(RecordError::Missing { tag: "p", .. })));
    assert_eq!(read("k=rsa; p=").unwrap().key, None, "a revocation counts for any kind of key");
    // The all-zero key is weak: signatures by it verify for anyone.
    let weak = read(&format!("k=ed25519; p={PIN}"));
    assert!(matches!(weak, Err(RecordError::Value { tag: "p", .. })), "{weak:?}");

    let good =
        "c=1; id=a1; mode=testing; ma=60; proof=attested; gen=0123456789abcdef; sel=a,b; th=2";
    let read = |tags: &str| PolicyRecord::parse(format!("v=DPOSPOL1; {tags}").as_bytes());
    assert_eq!(read(good).unwrap().threshold, 2);
    let cases = [
        ("id=a1", "id=", "id"),
        ("id=a1", "id=a-1", "id"),
        ("id=a1", "id=123456789012345678901234567890123", "id"),
        ("mode=testing", "mode=Testing", "mode"),
        ("ma=60", "ma=31557601", "ma"),
        ("ma=60", "ma=1e3", "ma"),
        ("proof=attested", "proof=hearsay", "proof"),
        ("gen=0123456789abcdef", "gen=0123456789abcde", "gen"),
        ("gen=0123456789abcdef", "gen=0123456789ABCDEF", "gen"),
        ("th=2", "th=2; out=", "out"),
        ("th=2", "th=2; out=abc", "out"),
        ("th=2", "th=2; out=0xab", "out"),
        ("th=2", "th=2; out=AB", "out"),
        ("sel=a,b", "sel=", "sel"),
        ("sel=a,b", "sel=a,a", "sel"),
        ("sel=a,b", "sel=a,A", "sel"),
        ("sel=a,b", "sel=a.b,c", "sel"),
        ("sel=a,b", "sel=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "sel"),
        ("th=2", "th=0", "th"),
        ("th=2", "th=3", "th"),
    ];
    for (right, wrong, tag) in cases {
        match read(&good.replace(right, wrong)) {
            Err(RecordError::Value { tag: found, .. }) => assert_eq!(found, tag, "{wrong}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    for tag in ["c=1", "id=a1", "mode=testing", "ma=60", "proof=attested", "sel=a,b"] {
        let without = good.replace(&format!("{tag}; "), "");
        assert!(matches!(read(&without), Err(RecordError::Missing { .. })), "{without}");
    }
}

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

#[test]
fn an_endorsement_is_of_one_key_at_one_place() {
    let (old, new, tag) = (secret(1), secret(2), GenesisTag([9; 8]));
    let record = KeyRecord::new(chain("e2e4"), Some(new.public()));
    let record = record.endorsed(tag, &selector("k2"), [&old]);
    let read = KeyRecord::parse(record.to_string().as_bytes()).unwrap();
    let by = |record: &KeyRecord, tag, at: &str| -> Vec<_> {
        record.endorsers(tag, &selector(at), |_| true).collect()
    };
    assert_eq!(by(&read, tag, "k2"), [old.public()]);
    // Moved to another label, another genesis, another key, another chain: it says nothing.
    assert!(by(&read, tag, "k3").is_empty());
    assert!(by(&read, GenesisTag([8; 8]), "k2").is_empty());
    let other = KeyRecord { key: Some(secret(3).public()), ..read.clone() };
    assert!(by(&other, tag, "k2").is_empty());
    let other = KeyRecord { chain: chain("b1c2"), ..read.clone() };
    assert!(by(&other, tag, "k2").is_empty());
    // Who signs as somebody else endorses nothing.
    let mut forged = read;
    forged.endorsements[0].key = secret(4).public();
    assert!(by(&forged, tag, "k2").is_empty());
    let revoked = KeyRecord::new(chain("e2e4"), None).endorsed(tag, &selector("k2"), [&old]);
    assert!(revoked.endorsements.is_empty());
}

#[test]
fn endorsements_that_do_not_pair_are_refused() {
    let [a, b] = [1, 2].map(|seed| secret(seed).public().to_string());
    let sig = "A".repeat(86);
    let text = |by: &str, sig: &str| {
        let tag = |name: &str, value: &str| match value {
            "-" => String::new(),
            value => format!("; {name}={value}"),
        };
        format!("v=DPOSKEY1; c=1; k=ed25519; p={a}{}{}", tag("by", by), tag("sig", sig))
    };
    let read = |by: &str, sig: &str| KeyRecord::parse(text(by, sig).as_bytes());
    assert_eq!(read(&b, &sig).unwrap().endorsements.len(), 1);
    let missing = |tag| move |error: &RecordError| matches!(error, RecordError::Missing { tag: found, .. } if *found == tag);
    assert!(missing("sig")(&read(&b, "-").unwrap_err()));
    assert!(missing("by")(&read("-", &sig).unwrap_err()));
    let value = |tag| move |error: &RecordError| matches!(error, RecordError::Value { tag: found, .. } if *found == tag);
    for (by, sig) in [
        (b.as_str(), format!("{sig},{sig}")),
        (&b, sig[1..].to_owned()),
        (&b, String::new()),
        (&b, format!("{sig},")),
    ] {
        assert!(value("sig")(&read(by, &sig).unwrap_err()), "{sig}");
    }
    for by in [format!("{b},{b}"), "k20261122".to_owned(), format!("{b},"), String::new()] {
        assert!(value("by")(&read(&by, &format!("{sig},{sig}")).unwrap_err()), "{by}");
    }
    let many: Vec<_> = (1..=7).map(|seed| secret(seed).public().to_string()).collect();
    let signatures = vec![sig; 7].join(",");
    assert!(value("by")(&read(&many.join(","), &signatures).unwrap_err()));
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

#[test]
fn names_of_records_are_built_from_root_or_domain() {
    let under = Anchor::under(chain("e2e4"), &host("Chains.test"));
    assert_eq!(under.gateways(), "_distpos.e2e4.chains.test");
    assert_eq!(under.policy(), "_policy._distpos.e2e4.chains.test");
    let key = under.key(&"K20261122".parse().unwrap());
    assert_eq!(key, "k20261122._key._distpos.e2e4.chains.test");
    assert_eq!(Anchor::at(&host("village.example")).gateways(), "_distpos.village.example");
}

fn any_chain() -> impl Strategy<Value = ChainId> {
    (1..=u128::MAX).prop_map(|number| ChainId::from_number(number).unwrap())
}

fn any_host() -> impl Strategy<Value = HostName> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){1,4}"
        .prop_map(|text| host(&text))
}

fn any_value() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:,/+@-]{0,43}"
}

prop_compose! {
    fn any_gateway()(
        chain in any_chain(),
        host in any_host(),
        port in 1..=u16::MAX,
        pins in vec(any::<[u8; 32]>(), 1..=2),
        (pri, weight) in any::<(u16, u16)>(),
        guarantee in option::of(any_value()),
    ) -> GatewayRecord {
        let mut pins: Vec<_> = pins.into_iter().map(SpkiPin).collect();
        pins.dedup();
        GatewayRecord { chain, target: Target::Host { host, port, pins }, pri, weight, guarantee }
    }
}

prop_compose! {
    fn any_key()(
        chain in any_chain(),
        seed in option::of(any::<[u8; 32]>()),
        others in hash_set(any::<[u8; 32]>(), 0..=6),
    ) -> KeyRecord {
        let key = seed.map(|seed| SecretKey::from_seed(&seed).public());
        let others: Vec<_> = others.iter().map(SecretKey::from_seed).collect();
        KeyRecord::new(chain, key).endorsed(GenesisTag([7; 8]), &selector("k"), &others)
    }
}

prop_compose! {
    fn any_policy()(
        chain in any_chain(),
        id in "[A-Za-z0-9]{1,32}",
        mode in select(vec![Mode::None, Mode::Testing, Mode::Enforce]),
        seconds in 0..=31_557_600_u64,
        family in select(vec![Family::Attested, Family::Ledger, Family::Evm]),
        genesis in any::<[u8; 8]>(),
        confirmations in any::<u32>(),
        outbox in option::of(vec(any::<u8>(), 1..=20)),
        (keys, signing) in (1..=16_usize).prop_flat_map(|keys| (Just(keys), 1..=keys)),
    ) -> PolicyRecord {
        PolicyRecord {
            chain,
            id,
            mode,
            pin_for: Duration::from_secs(seconds),
            family,
            genesis: GenesisTag(genesis),
            outbox,
            confirmations,
            selectors: (0..keys).map(|at| format!("k{at}").parse().unwrap()).collect(),
            threshold: signing,
        }
    }
}

proptest! {
    #[test]
    fn a_printed_gateway_reads_back(record in any_gateway()) {
        let text = record.to_string();
        prop_assert_eq!(GatewayRecord::parse(text.as_bytes()), Ok(record.clone()));
        let Target::Host { pins, .. } = &record.target else { unreachable!() };
        if pins.len() == 1 && record.guarantee.is_none() {
            prop_assert!(text.len() <= RECORD_BYTES_PUBLISHED, "{} bytes: {text}", text.len());
        }
    }

    #[test]
    fn a_printed_key_reads_back(record in any_key()) {
        let text = record.to_string();
        prop_assert_eq!(KeyRecord::parse(text.as_bytes()), Ok(record.clone()));
        prop_assert!(text.len() <= RECORD_BYTES_MAX, "{} bytes", text.len());
        // What fits one string: a key of its own, or with one endorsement.
        let one = record.endorsements.len() <= 1;
        prop_assert!(!one || text.len() <= RECORD_BYTES_PUBLISHED, "{} bytes", text.len());
    }

    #[test]
    fn a_printed_policy_reads_back(record in any_policy()) {
        let text = record.to_string();
        prop_assert_eq!(PolicyRecord::parse(text.as_bytes()), Ok(record.clone()));
        // One string, unless there are both an outbox and many selectors.
        let short = record.outbox.is_none() || record.selectors.len() <= 8;
        prop_assert!(!short || text.len() <= RECORD_BYTES_PUBLISHED, "{} bytes: {text}", text.len());
    }

    #[test]
    fn whatever_strangers_publish_is_read_or_refused(bytes in vec(any::<u8>(), 0..80), kind in 0..3_usize) {
        let version = ["v=DPOS1;", "v=DPOSKEY1;", "v=DPOSPOL1;"][kind].as_bytes();
        let text = [version, &bytes].concat();
        let asked = chain("1");
        let _ = gateways(&[&text], asked, PortRule::Any);
        let _ = key(&[&text], asked);
        let _ = policy(&[&text], asked);
    }
}
