//! What an administrator is told of records that are wrong on purpose.

use std::collections::BTreeMap;

use distpos_proto::{
    chain::{Family, GenesisTag},
    key::SecretKey,
    record::{GatewayRecord, KeyRecord, Mode},
};
use distpos_resolver::{
    LookupError, LookupFailure, Negative, Security, TxtAnswer,
    publish::{Findings, Found, Own, View, lint},
};

use crate::support::{anchor, chain, gateway, key, pin, policy};

const GATEWAYS: &str = "_distpos.e2e4.chains.test";
const POLICY: &str = "_policy._distpos.e2e4.chains.test";
const KEY: &str = "a._key._distpos.e2e4.chains.test";

fn answer(texts: &[String]) -> TxtAnswer {
    let records = texts.iter().map(|text| text.clone().into_bytes()).collect();
    TxtAnswer { records, ttl: 3_600, secure: Security::Secure }
}

fn nothing() -> LookupError {
    let (negative_ttl, kind) = (300, Negative::NxDomain);
    LookupError::NotFound { negative_ttl, kind, secure: Security::Secure }
}

fn found(texts: &[String]) -> Found {
    let answer = if texts.is_empty() { Err(nothing()) } else { Ok(answer(texts)) };
    let servers = ["ns1", "ns2"].map(|server| (server.to_owned(), answer.clone()));
    Found { servers: servers.into(), resolver: Some(answer), alias: None }
}

/// A chain whose records are as they ought to be, at two servers.
fn good() -> View {
    let mut policy = policy("e2e4", &["a"]);
    policy.family = Family::Ledger;
    let names = BTreeMap::from([
        (GATEWAYS.to_owned(), found(&[gateway("e2e4", 1).to_string()])),
        (POLICY.to_owned(), found(&[policy.to_string()])),
        (KEY.to_owned(), found(&[KeyRecord::new(chain("e2e4"), Some(key(1))).to_string()])),
    ]);
    View { chain: chain("e2e4"), anchor: anchor("e2e4"), names, wildcard: None }
}

fn own() -> Own {
    Own { pin: pin(1), keys: vec![key(1)], family: Family::Ledger }
}

fn with(name: &str, texts: &[String]) -> View {
    let mut view = good();
    view.names.insert(name.to_owned(), found(texts));
    view
}

fn texts(findings: &[distpos_resolver::publish::Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.name, finding.what)).collect()
}

/// The one thing that is found, and where it stands.
fn only(view: &View, is_error: bool) -> String {
    let found = lint(view, Some(&own()));
    let Findings { errors, warnings, .. } = &found;
    let (these, others) = if is_error { (errors, warnings) } else { (warnings, errors) };
    assert!(others.is_empty(), "{found:?}");
    let [one] = these.as_slice() else { panic!("{found:?}") };
    format!("{}: {}", one.name, one.what)
}

#[test]
fn good_records_have_nothing_wrong() {
    let found = lint(&good(), Some(&own()));
    assert_eq!(found, Findings::default());
    assert_eq!(lint(&good(), None), Findings::default(), "a stranger's chain");
}

#[test]
fn each_mistake_is_told_where_it_is() {
    let policy = |change: fn(&mut distpos_proto::record::PolicyRecord)| {
        let mut policy = policy("e2e4", &["a"]);
        policy.family = Family::Ledger;
        change(&mut policy);
        with(POLICY, &[policy.to_string()])
    };
    let g = |at| gateway("e2e4", at).to_string();
    let at_gateways = |texts: &[String]| with(GATEWAYS, texts);
    let errors = [
        (at_gateways(&[]), "no gateway records are published"),
        (at_gateways(&["v=DPOS1".into()]), "tag c is missing"),
        (at_gateways(&[gateway("b1c2", 1).to_string()]), "tag c is b1c2, expected e2e4"),
        (at_gateways(&(1..=7).map(g).collect::<Vec<_>>()), "found 7 records"),
        (at_gateways(&[g(1), "v=DPOS1; c=e2e4; h=.".into()]), "found a null record"),
        (at_gateways(&[g(2)]), "no record has spki=AQEB"),
        (with(POLICY, &["v=DPOSPOL1; c=e2e4".into()]), "tag sel is missing"),
        (policy(|it| it.family = Family::Attested), "this gateway shows ledger"),
        (with(KEY, &[]), "the policy names this selector, and nothing is published there"),
        (with(KEY, &["v=DPOSKEY1; c=e2e4; k=rsa; p=AAAA".into()]), "tag k is \"rsa\""),
        (
            with(KEY, &[KeyRecord::new(chain("e2e4"), Some(key(2))).to_string()]),
            "none of the keys that this gateway signs with",
        ),
    ];
    for (view, expected) in errors {
        let found = lint(&view, Some(&own()));
        let told = texts(&found.errors);
        assert!(told.iter().any(|what| what.contains(expected)), "{expected}: {told:?}");
        assert!(!found.is_temporary, "{expected}");
    }
    let warnings = [
        (at_gateways(&["v=DPOS1; c=e2e4; h=.".into()]), "is a null record"),
        (with(POLICY, &[]), "no policy is published"),
        (with(POLICY, &["v=spf1 -all".into()]), "no policy (v=DPOSPOL1) among them"),
        (policy(|it| it.mode = Mode::Testing), "keys count only with mode=enforce"),
        (policy(|it| it.pin_for = std::time::Duration::from_secs(60)), "ma=60"),
    ];
    for (view, expected) in warnings {
        let told = only(&view, false);
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // The outbox is what evidence is about.
    let view = policy(|it| (it.family, it.outbox) = (Family::Evm, Some(vec![1; 19])));
    let told = texts(&lint(&view, None).errors);
    assert!(told[0].contains("out= has 19 bytes, expected a contract's 20"), "{told:?}");
    let told = texts(&lint(&policy(|it| it.family = Family::Evm), None).warnings);
    assert!(told[0].contains("proof=evm without out="), "{told:?}");
}

#[test]
fn keys_that_are_revoked_or_endorsed_wrongly_are_told() {
    let revoked = with(KEY, &[KeyRecord::new(chain("e2e4"), None).to_string()]);
    let found = lint(&revoked, None);
    assert!(texts(&found.warnings)[0].contains("is revoked (empty p=), and the policy names it"));
    assert!(texts(&found.errors)[0].contains("th=1, and 0 different keys are published"));
    assert!(texts(&found.instructions)[0].contains("take the selector out of sel="));
    // Endorsed for another selector: nobody follows that.
    let old = SecretKey::from_seed(&[9; 32]);
    let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
    let record = record.endorsed(GenesisTag([1; 8]), &"b".parse().unwrap(), [&old]);
    let told = only(&with(KEY, &[record.to_string()]), true);
    assert!(told.contains("1 of 1 signatures in sig= are wrong"), "{told}");
    let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
    let record = record.endorsed(GenesisTag([1; 8]), &"a".parse().unwrap(), [&old]);
    assert_eq!(lint(&with(KEY, &[record.to_string()]), Some(&own())), Findings::default());
}

#[test]
fn servers_and_resolver_are_compared() {
    let mut view = good();
    let other = answer(&[gateway("e2e4", 2).to_string()]);
    view.names.get_mut(GATEWAYS).unwrap().servers[1].1 = Ok(other.clone());
    assert!(only(&view, true).contains("ns1 and ns2 publish different records"));
    let mut view = good();
    view.names.get_mut(GATEWAYS).unwrap().servers[1].1 = Err(nothing());
    assert!(only(&view, true).contains("ns1 and ns2 publish different records"));
    let mut view = good();
    let timeout = LookupError::Temporary(LookupFailure::Timeout);
    view.names.get_mut(KEY).unwrap().servers[0].1 = Err(timeout);
    let found = lint(&view, Some(&own()));
    assert!(found.is_temporary && texts(&found.errors)[0].contains("ns1: no answer in time"));

    let with_resolver = |seen: Result<TxtAnswer, LookupError>| {
        let mut view = good();
        view.names.get_mut(GATEWAYS).unwrap().resolver = Some(seen);
        view
    };
    let old = only(&with_resolver(Ok(other)), false);
    assert!(old.contains("the resolver still has something else, for up to 3600 s"), "{old}");
    let none = only(&with_resolver(Err(nothing())), false);
    assert!(none.contains("still says that there is nothing, for up to 300 s"), "{none}");
    let bogus = LookupError::Temporary(LookupFailure::Bogus);
    assert!(only(&with_resolver(Err(bogus)), true).contains("the DNSSEC signature is wrong"));
    for (secure, expected) in [
        (Security::Insecure, "is not signed (no DS)"),
        (Security::Indeterminate, "is not validated"),
    ] {
        let seen = answer(&[gateway("e2e4", 1).to_string()]);
        let told = only(&with_resolver(Ok(TxtAnswer { secure, ..seen })), false);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn what_works_and_may_not_for_long_is_a_warning() {
    let change = |change: fn(&mut TxtAnswer)| {
        let mut view = good();
        let found = view.names.get_mut(GATEWAYS).unwrap();
        for (_, answer) in &mut found.servers {
            change(answer.as_mut().unwrap());
        }
        change(found.resolver.as_mut().unwrap().as_mut().unwrap());
        view
    };
    assert!(only(&change(|it| it.ttl = 5), false).contains("TTL is 5 s"));
    assert!(only(&change(|it| it.ttl = 604_800), false).contains("TTL is 604800 s"));
    let long = change(|it| it.records[0].extend(format!("; pad={}", "x".repeat(200)).as_bytes()));
    assert!(only(&long, false).contains("more than one string of 255"));
    let many: Vec<_> = (1..=6)
        .map(|at| {
            GatewayRecord { guarantee: Some("g".repeat(110)), ..gateway("e2e4", at) }.to_string()
        })
        .collect();
    let told = only(&with(GATEWAYS, &many), false);
    assert!(told.contains("a signed answer needs TCP"), "{told}");
    let six: Vec<_> = (1..=6).map(|at| gateway("e2e4", at).to_string()).collect();
    assert_eq!(lint(&with(GATEWAYS, &six), Some(&own())), Findings::default(), "six fit");

    let mut view = good();
    view.names.get_mut(KEY).unwrap().alias = Some("elsewhere.example".into());
    assert!(only(&view, false).contains("is a CNAME to elsewhere.example"));
    let mut view = good();
    view.wildcard = Some(answer(&["v=spf1 -all".into()]));
    assert!(only(&view, false).contains("a wildcard answers for names that nobody published"));
}
