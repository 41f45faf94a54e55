//! DNSSEC against BIND, which signs by itself, and against what somebody in between makes of it.

use std::{
    fmt::Write as _, fs, path::Path, process::Command, sync::atomic::Ordering, time::Duration,
};

use distpos_proto::record::KeyRecord;
use distpos_resolver::{
    HickoryError, HickoryLookup, Lookup, LookupError, LookupFailure, Negative, Options, Resolve,
    ResolveError, Security, TrustAnchors, TrustLevel,
};
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    bind::{Named, START},
    servers::{
        Kind, Running,
        hop::{Deed, Deeds, Hop, is_about},
        zone::{CHILD, SIGNED},
    },
    support::{chain, gateway, host, key, options, over, policy},
};

const ZONE: &str = "chains.test";

/// A `named` that signs one zone with a key of its own making, and serves another unsigned.
fn signing() -> (Named, TrustAnchors) {
    let named = Named::serving(write_files);
    let anchors = anchors_in(named.directory.path());
    (named, anchors)
}

/// Signed before it is served, so that nothing has to be waited for.
fn write_files(directory: &Path, port: u16) {
    write_zones(directory, port);
    tool(directory, "dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", ZONE]);
    tool(directory, "dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", ZONE]);
    tool(directory, "dnssec-signzone", &["-q", "-S", "-o", ZONE, ZONE]);
}

fn write_zones(directory: &Path, port: u16) {
    let at = directory.display();
    let conf = format!(
        "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         allow-query {{ any; }}; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{ZONE}.signed\"; }};\n\
         zone \"plain.test\" {{ type primary; file \"plain.test\"; }};\n"
    );
    fs::write(directory.join("named.conf"), conf).unwrap();
    let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
    let mut records = START.to_owned();
    writeln!(records, "_distpos.e2e4 IN TXT \"{}\"", gateway("e2e4", 1)).unwrap();
    writeln!(records, "_policy._distpos.e2e4 IN TXT \"{}\"", policy("e2e4", &["a"])).unwrap();
    writeln!(records, "a._key._distpos.e2e4 IN TXT \"{record}\"").unwrap();
    fs::write(directory.join("plain.test"), &records).unwrap();
    fs::write(directory.join(ZONE), records).unwrap();
}

fn tool(directory: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What `dnssec-keygen` wrote, as an operator would copy it: both keys, see [`TrustAnchors`].
fn anchors_in(directory: &Path) -> TrustAnchors {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let keys = files.filter(|path| path.extension().is_some_and(|ending| ending == "key"));
    let texts = keys.map(|path| fs::read_to_string(path).unwrap());
    TrustAnchors::parse(&texts.collect::<String>()).unwrap()
}

/// A zone's key that signed nothing here.
fn strangers() -> TrustAnchors {
    let directory = tempfile::tempdir().unwrap();
    tool(directory.path(), "dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", ZONE]);
    anchors_in(directory.path())
}

fn bogus<T>() -> Result<T, LookupError> {
    Err(LookupError::Temporary(LookupFailure::Bogus))
}

fn owner(chain: &str, root: &str) -> String {
    format!("_distpos.{chain}.{root}")
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn a_signed_zone_is_secure_and_one_outside_every_anchor_is_not() {
    let (named, anchors) = signing();
    let lookup = || HickoryLookup::new(&[named.address], Some(anchors.clone())).unwrap();
    for (root, level) in [(ZONE, TrustLevel::Dnssec), ("plain.test", TrustLevel::Pinned)] {
        let options = Options { roots: vec![host(root)], ..options() };
        let (_, resolver) = over(lookup(), options, 1);
        let route = resolver.route(chain("e2e4")).await.unwrap();
        assert_eq!((route.level, route.keys.as_slice()), (level, [key(1)].as_slice()), "{root}");
    }
    // Without anchors nothing is better than what anybody could have said.
    let unvalidated = HickoryLookup::new(&[named.address], None).unwrap();
    let answer = unvalidated.txt(&owner("e2e4", ZONE)).await.unwrap();
    assert_eq!(answer.secure, Security::Indeterminate);
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn that_there_is_nothing_is_proven_too() {
    let (named, anchors) = signing();
    let lookup = HickoryLookup::new(&[named.address], Some(anchors)).unwrap();
    for (name, expected) in [
        (owner("f00", ZONE), Negative::NxDomain),
        (format!("_key.{}", owner("e2e4", ZONE)), Negative::NoData),
    ] {
        let found = lookup.txt(&name).await;
        // By the SOA: hickory itself leaves the time out where it validates.
        let (kind, secure) = (expected, Security::Secure);
        assert_eq!(found, Err(LookupError::NotFound { negative_ttl: 77, kind, secure }), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn another_zones_key_makes_everything_bogus_and_nothing_permanent() {
    let (named, _) = signing();
    let lookup = HickoryLookup::new(&[named.address], Some(strangers())).unwrap();
    assert_eq!(lookup.txt(&owner("e2e4", ZONE)).await, bogus());
    assert_eq!(lookup.txt(&owner("f00", ZONE)).await, bogus());
    let (_, resolver) = over(lookup, options(), 1);
    let error = resolver.route(chain("f00")).await.unwrap_err();
    let name = owner("f00", ZONE);
    assert_eq!(error, ResolveError::Temporary { name, cause: LookupFailure::Bogus });
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn who_tampers_in_between_is_noticed_and_the_next_server_asked() {
    let (named, anchors) = signing();
    let deeds: [(&str, Deeds); 3] = [
        (
            "another host",
            |answer| if is_of_gateways(answer) { Deed::Changes } else { Deed::Passes },
        ),
        ("no such name", |answer| if is_of_gateways(answer) { Deed::Denies } else { Deed::Passes }),
        ("stripped", |answer| if is_of_gateways(answer) { Deed::Strips } else { Deed::Passes }),
    ];
    for (what, deeds) in deeds {
        let hop = Hop::before(named.address, deeds).await;
        let lookup = HickoryLookup::new(&[hop.address], Some(anchors.clone())).unwrap();
        assert_eq!(lookup.txt(&owner("e2e4", ZONE)).await, bogus(), "{what}");
        // Only the answer that was asked for is touched: the unvalidated look-up believes it.
        let blind = HickoryLookup::new(&[hop.address], None).unwrap();
        assert_ne!(blind.txt(&owner("e2e4", ZONE)).await, bogus(), "{what}");
        // hickory asks no other server for a bogus answer: here it is asked, each time.
        let both = [hop.address, named.address];
        for _ in 0..10 {
            let lookup = HickoryLookup::new(&both, Some(anchors.clone())).unwrap();
            let answer = lookup.txt(&owner("e2e4", ZONE)).await.unwrap();
            assert_eq!(answer.secure, Security::Secure, "{what}");
        }
        assert!(hop.touched.load(Ordering::Relaxed) >= 12, "{what}");
    }
}

fn is_of_gateways(answer: &[u8]) -> bool {
    is_about(answer, &["_distpos", "e2e4", "chains", "test"])
}

/// hickory-dns 3963: a pool that validates has stalled on answers that do not fit UDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bind9, nsd, dnsutils"]
async fn signed_answers_that_are_truncated_come_from_several_servers_at_once() {
    let (bind, anchors, _) = Running::serving(Kind::Bind);
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lookup = HickoryLookup::new(&[closed, bind.address], Some(anchors)).unwrap();
    let name = owner("b16", SIGNED);
    let asked = futures_util::future::join_all((0..32).map(|_| lookup.txt(&name)));
    let answers = timeout(Duration::from_secs(60), asked).await.expect("none of them stalls");
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!((answer.records.len(), answer.secure), (6, Security::Secure));
    }
}

#[tokio::test]
#[ignore = "needs bind9, dnsutils"]
async fn below_a_delegation_that_is_not_signed_answers_are_insecure_and_so_is_nothing() {
    let (bind, anchors, _) = Running::serving(Kind::Bind);
    let lookup = HickoryLookup::new(&[bind.address], Some(anchors)).unwrap();
    let answer = lookup.txt(&owner("e2e4", CHILD)).await.unwrap();
    assert_eq!(answer.secure, Security::Insecure);
    let found = lookup.txt(&owner("f00", CHILD)).await;
    let (kind, secure) = (Negative::NxDomain, Security::Insecure);
    assert_eq!(found, Err(LookupError::NotFound { negative_ttl: 77, kind, secure }));
}

/// From the root's keys down: the zone's own keys are proven by the DS records above it.
#[tokio::test]
#[ignore = "needs bind9"]
async fn the_roots_keys_prove_what_is_below_them() {
    let named = Named::serving(|directory, port| {
        let at = directory.display();
        let zones = [".", "test"].map(|zone| {
            let file = if zone == "." { "root" } else { zone };
            format!("zone \"{zone}\" {{ type primary; file \"{file}.signed\"; }};\n")
        });
        let conf = format!(
            "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
             dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             allow-query {{ any; }}; }};\ncontrols {{ }};\n{}",
            zones.concat()
        );
        fs::write(directory.join("named.conf"), conf).unwrap();
        let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
        let mut test = START.to_owned();
        writeln!(test, "_distpos.e2e4 IN TXT \"{}\"", gateway("e2e4", 1)).unwrap();
        writeln!(test, "_policy._distpos.e2e4 IN TXT \"{}\"", policy("e2e4", &["a"])).unwrap();
        writeln!(test, "a._key._distpos.e2e4 IN TXT \"{record}\"").unwrap();
        fs::write(directory.join("test"), test).unwrap();
        let sign = |zone: &str, file: &str| {
            let keys = ["-q", "-a", "ECDSAP256SHA256"];
            tool(directory, "dnssec-keygen", &[&keys[..], &["-f", "KSK", zone]].concat());
            tool(directory, "dnssec-keygen", &[&keys[..], &[zone]].concat());
            tool(
                directory,
                "dnssec-signzone",
                &["-q", "-S", "-o", zone, "-f", &format!("{file}.signed"), file],
            );
        };
        sign("test", "test");
        let above = fs::read_to_string(directory.join("dsset-test.")).unwrap();
        let root = format!("{}test. IN NS ns.test.\nns.test. IN A 127.0.0.1\n{above}", START);
        fs::write(directory.join("root"), root).unwrap();
        sign(".", "root");
    });
    // The root's keys alone, as an operator has them.
    let files = fs::read_dir(named.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_roots = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("K.+") && name.ends_with(".key")
    };
    let keys: String =
        files.filter(is_roots).map(|path| fs::read_to_string(path).unwrap()).collect();
    let lookup = HickoryLookup::new(&[named.address], Some(TrustAnchors::parse(&keys).unwrap()));
    let options = Options { roots: vec![host("test")], ..options() };
    let (_, resolver) = over(lookup.unwrap(), options, 1);
    let route = resolver.route(chain("e2e4")).await.unwrap();
    assert_eq!((route.level, route.keys.as_slice()), (TrustLevel::Dnssec, [key(1)].as_slice()));
    let unknown = resolver.route(chain("f00")).await.unwrap_err();
    assert_eq!(unknown, ResolveError::UnknownChain { chain: chain("f00") });
    // Under other keys of the root, nothing of it is right.
    let strange = HickoryLookup::new(&[named.address], Some(TrustAnchors::root())).unwrap();
    assert_eq!(strange.txt("_distpos.e2e4.test").await, bogus());
}

/// hickory-dns 3933: what is kept must not outlive its signature.
#[tokio::test]
#[ignore = "needs bind9"]
async fn a_signature_that_ends_soon_ends_the_answer() {
    let named = Named::serving(|directory, port| {
        write_zones(directory, port);
        let keys = ["-q", "-a", "ECDSAP256SHA256"];
        tool(directory, "dnssec-keygen", &[&keys[..], &["-f", "KSK", ZONE]].concat());
        tool(directory, "dnssec-keygen", &[&keys[..], &[ZONE]].concat());
        tool(directory, "dnssec-signzone", &["-q", "-S", "-e", "now+60", "-o", ZONE, ZONE]);
    });
    let anchors = anchors_in(named.directory.path());
    let lookup = HickoryLookup::new(&[named.address], Some(anchors)).unwrap();
    let answer = lookup.txt(&owner("e2e4", ZONE)).await.unwrap();
    assert!(answer.ttl <= 60 && answer.secure == Security::Secure, "{answer:?}, published: 120 s");
}

#[test]
fn the_ad_bit_of_a_server_elsewhere_proves_nothing() {
    let far = "192.0.2.1:53".parse().unwrap();
    let near = "127.0.0.1:53".parse().unwrap();
    assert!(matches!(HickoryLookup::believing(&[]), Err(HickoryError::NoServers)));
    assert!(HickoryLookup::believing(&[near, "[::1]:53".parse().unwrap()]).is_ok());
    let Err(HickoryError::NotLoopback(found)) = HickoryLookup::believing(&[near, far]) else {
        panic!("a server elsewhere is believed");
    };
    assert_eq!(found, far);
}
