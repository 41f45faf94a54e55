//! What is printed for other people's tools is loaded by these tools, and comes back through DNS as
//! it was.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use distpos_proto::{
    chain::GenesisTag,
    key::SecretKey,
    record::{GatewayRecord, KeyRecord},
};
use distpos_resolver::{
    Authority, HickoryLookup, Lookup, LookupError,
    publish::{Format, RecordSet, TsigKey, UpdateError, update},
};

use crate::{
    bind::{Named, START},
    servers::Running,
    support::{anchor, chain, gateway, policy, weighted},
};

const ZONE: &str = "chains.test";
const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==";

/// An ugly set: six gateways, keys whose records need several strings, two of which must sign.
fn ugly() -> RecordSet {
    let secret = |seed| SecretKey::from_seed(&[seed; 32]);
    let endorsers: Vec<_> = (10..14).map(secret).collect();
    let key = |seed, label: &str| {
        let selector = label.parse().unwrap();
        let record = KeyRecord::new(chain("e2e4"), Some(secret(seed).public()));
        let record = record.endorsed(GenesisTag([1; 8]), &selector, &endorsers);
        assert!(record.to_string().len() > 500);
        (selector, record)
    };
    let revoked = ("k0".parse().unwrap(), KeyRecord::new(chain("e2e4"), None));
    let keys = BTreeMap::from([key(1, "k20261126"), key(2, "20261127"), revoked]);
    let mut policy = policy("e2e4", &["k20261126", "20261127"]);
    (policy.threshold, policy.outbox) = (2, Some(vec![0xab; 20]));
    let gateways = (1..=6).map(|at| weighted(gateway("e2e4", at), u16::from(at) * 10, 7)).collect();
    RecordSet { anchor: anchor("e2e4"), ttl: 3_600, gateways, keys, policy: Some(policy) }
}

/// What was published is what is served, byte for byte.
async fn comes_back(set: &RecordSet, server: std::net::SocketAddr) {
    let lookup = HickoryLookup::new(&[server], None).unwrap();
    for owner in set.owners() {
        let mut found = lookup.txt(&owner.name).await.unwrap();
        let mut expected: Vec<_> =
            owner.texts.iter().map(|text| text.clone().into_bytes()).collect();
        found.records.sort();
        expected.sort();
        assert_eq!((found.records, found.ttl), (expected, set.ttl), "{}", owner.name);
    }
}

fn tool(program: &str, arguments: &[&str], input: &str, directory: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let told = [done.stdout, done.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(done.status.success(), "{program}: {told}");
    told
}

/// A `named` whose zone the holder of a key may change and read.
fn updatable() -> Named {
    Named::serving(|directory, port| {
        let at = directory.display();
        let conf = format!(
            "key \"update\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
             dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             allow-query {{ any; }}; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{ZONE}\"; allow-transfer {{ key update; }}; \
             update-policy {{ grant update zonesub ANY; }}; }};\n"
        );
        fs::write(directory.join("named.conf"), conf).unwrap();
        fs::write(directory.join(ZONE), START).unwrap();
        let key =
            format!("key \"update\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
        fs::write(directory.join("update.key"), key).unwrap();
    })
}

fn tsig(name: &str, secret: &str) -> TsigKey {
    format!("key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};").parse().unwrap()
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn a_zone_file_passes_its_checker_and_is_served() {
    let set = ugly();
    let text = format!("{START}{}", set.print(Format::Zone, ZONE).unwrap());
    let named = Named::serving(|directory, port| {
        let at = directory.display();
        let conf = format!(
            "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
             dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             allow-query {{ any; }}; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{ZONE}\"; }};\n"
        );
        fs::write(directory.join("named.conf"), conf).unwrap();
        fs::write(directory.join(ZONE), &text).unwrap();
        let told = tool("named-checkzone", &[ZONE, ZONE], "", directory);
        assert!(told.contains("\nOK") || told.starts_with("OK"), "{told}");
    });
    comes_back(&set, named.address).await;
}

#[tokio::test]
#[ignore = "needs bind9, dnsutils"]
async fn nsupdate_takes_its_form() {
    let (set, named) = (ugly(), updatable());
    let port = named.address.port();
    for _ in 0..2 {
        // Twice: what is there is replaced, not added to.
        let input =
            format!("server 127.0.0.1 {port}\n{}", set.print(Format::Nsupdate, ZONE).unwrap());
        tool("nsupdate", &["-k", "update.key"], &input, named.directory.path());
        comes_back(&set, named.address).await;
    }
}

#[tokio::test]
#[ignore = "needs bind9, octodns"]
async fn octodns_takes_its_form() {
    let (set, named) = (ugly(), updatable());
    let directory = named.directory.path();
    fs::create_dir(directory.join("zones")).unwrap();
    // What else is in the zone, as an administrator has it there already.
    let others = "ns:\n  ttl: 120\n  type: A\n  value: 127.0.0.1\n";
    let text = set.print(Format::Octodns, ZONE).unwrap() + others;
    fs::write(directory.join("zones/chains.test.yaml"), text).unwrap();
    let port = named.address.port();
    let config = format!(
        "providers:\n  config:\n    class: octodns.provider.yaml.YamlProvider\n    directory: ./zones\n  \
         bind:\n    class: octodns_bind.Rfc2136Provider\n    host: 127.0.0.1\n    port: {port}\n    \
         key_name: update\n    key_secret: {SECRET}\n    key_algorithm: hmac-sha256\n\
         zones:\n  {ZONE}.:\n    sources: [config]\n    targets: [bind]\n"
    );
    fs::write(directory.join("octodns.yaml"), config).unwrap();
    tool("octodns-sync", &["--config-file", "octodns.yaml", "--doit", "--force"], "", directory);
    comes_back(&set, named.address).await;
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn an_update_replaces_what_was_there_at_bind() {
    let (mut set, named) = (ugly(), updatable());
    update(&set, ZONE, named.address, &tsig("update", SECRET)).await.unwrap();
    comes_back(&set, named.address).await;
    set.gateways.truncate(1);
    set.ttl = 60;
    update(&set, ZONE, named.address, &tsig("update", SECRET)).await.unwrap();
    comes_back(&set, named.address).await;
    set.gateways = vec![GatewayRecord::null(chain("e2e4"))];
    update(&set, ZONE, named.address, &tsig("update", SECRET)).await.unwrap();
    comes_back(&set, named.address).await;

    // Each mistake says what to look at, and changes nothing.
    let other = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIh";
    let wrong = [
        (ZONE, tsig("update", other), "another secret"),
        (ZONE, tsig("nobody", SECRET), "another name"),
        ("elsewhere.test", tsig("update", SECRET), "another zone"),
    ];
    set.ttl = 120;
    for (zone, key, what) in wrong {
        let error = update(&set, zone, named.address, &key).await.unwrap_err();
        assert!(
            matches!(error, UpdateError::Refused { .. } | UpdateError::NoAnswer { .. }),
            "{what}: {error:?}"
        );
    }
    set.ttl = 60;
    comes_back(&set, named.address).await;
    let gone = "127.0.0.1:1".parse().unwrap();
    let error = update(&set, ZONE, gone, &tsig("update", SECRET)).await.unwrap_err();
    assert!(matches!(error, UpdateError::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
#[ignore = "needs knot, dnsutils"]
async fn an_update_replaces_what_was_there_at_knot() {
    let knot = Running::updatable_knot(ZONE, START, SECRET);
    let mut set = ugly();
    update(&set, ZONE, knot.address, &tsig("update", SECRET)).await.unwrap();
    comes_back(&set, knot.address).await;
    set.gateways.truncate(2);
    update(&set, ZONE, knot.address, &tsig("update", SECRET)).await.unwrap();
    comes_back(&set, knot.address).await;
    let other = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIh";
    let error = update(&set, ZONE, knot.address, &tsig("update", other)).await.unwrap_err();
    assert!(
        matches!(error, UpdateError::Refused { .. } | UpdateError::NoAnswer { .. }),
        "{error:?}"
    );
}

/// Each server is asked for itself: who lags is seen, and for how long "nothing" is kept.
#[tokio::test]
#[ignore = "needs bind9"]
async fn authoritative_servers_are_asked_one_by_one() {
    let (ahead, behind) = (updatable(), updatable());
    let set = ugly();
    update(&set, ZONE, ahead.address, &tsig("update", SECRET)).await.unwrap();
    let servers = [ahead.address, behind.address];
    let authority = Authority::at(&servers, &set.anchor.gateways()).await.unwrap();
    assert_eq!((authority.zone().as_str(), authority.servers().len()), (ZONE, 2));
    assert_eq!(authority.negative_ttl().await, Ok(77));
    let answers = authority.txt(&set.anchor.gateways()).await;
    assert_eq!(answers[0].1.as_ref().unwrap().records.len(), 6);
    assert!(matches!(answers[1].1, Err(LookupError::NotFound { .. })), "{answers:?}");
    let elsewhere = Authority::at(&servers, "_distpos.e2e4.elsewhere.test").await;
    assert!(elsewhere.is_err(), "{elsewhere:?}");
}

#[test]
fn names_outside_the_zone_are_refused_before_anything_is_printed() {
    let set = ugly();
    let error = set.print(Format::Zone, "other.test").unwrap_err();
    assert_eq!(error.to_string(), "_distpos.e2e4.chains.test is not in the zone other.test");
    assert!(set.print(Format::Octodns, "ains.test").is_err(), "a label is whole or not there");
    assert!(set.print(Format::Octodns, "test").unwrap().contains("_distpos.e2e4.chains:\n"));
}

#[test]
fn a_tsig_key_is_read_as_bind_writes_it() {
    let read = |text: &str| text.parse::<TsigKey>();
    let good = format!(
        "# of the zone\nkey \"update.\" {{\n\talgorithm hmac-sha512; // strong\n\tsecret \"{SECRET}\";\n}};\n"
    );
    assert!(read(&good).is_ok());
    assert!(!format!("{:?}", read(&good).unwrap()).contains(SECRET), "no secret in a log");
    for (wrong, what) in [
        ("".to_owned(), "found no key"),
        (good.replace('{', "("), "found no {"),
        (good.replace("hmac-sha512", "hmac-md5"), "algorithm is \"hmac-md5\""),
        (good.replace("algorithm", "algo"), "found no algorithm"),
        (good.replace("secret", "password"), "found no secret"),
        (good.replace(SECRET, "not base64!"), "secret is no base64"),
        (good.replace(SECRET, "c2hvcnQ="), "less than 16 bytes"),
        (good.replace("\"update.\"", "\"\""), "the key has no name"),
    ] {
        let error = read(&wrong).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("tsig-keygen"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}
