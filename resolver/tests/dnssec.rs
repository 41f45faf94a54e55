//! DNSSEC against BIND, which signs by itself, and against what somebody in between makes of it.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use distpos_proto::record::KeyRecord;
use distpos_resolver::{
    HickoryLookup, Lookup, LookupError, LookupFailure, Negative, Options, Resolve, ResolveError,
    Security, TrustAnchors, TrustLevel,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::{
    bind::{Named, START},
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
    tool(directory, "dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", ZONE]);
    tool(directory, "dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", ZONE]);
    tool(directory, "dnssec-signzone", &["-q", "-S", "-o", ZONE, ZONE]);
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
        let Err(LookupError::NotFound { kind, secure, .. }) = found else { panic!("{found:?}") };
        assert_eq!((kind, secure), (expected, Security::Secure), "{name}");
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
    type Tamper = fn(&mut Vec<u8>);
    let tampers: [(&str, Tamper); 3] = [
        ("another host", |answer| replace(answer, b"gw1", b"gw6")),
        ("no such name", spoof_nxdomain),
        ("signatures stripped", strip),
    ];
    for (what, tamper) in tampers {
        let between = Between::start(named.address, tamper).await;
        let lookup = HickoryLookup::new(&[between.address], Some(anchors.clone())).unwrap();
        assert_eq!(lookup.txt(&owner("e2e4", ZONE)).await, bogus(), "{what}");
        // Only the answer that was asked for is touched: the unvalidated look-up believes it.
        let blind = HickoryLookup::new(&[between.address], None).unwrap();
        assert_ne!(blind.txt(&owner("e2e4", ZONE)).await, bogus(), "{what}");
        let both = [between.address, named.address];
        let lookup = HickoryLookup::new(&both, Some(anchors.clone())).unwrap();
        let answer = lookup.txt(&owner("e2e4", ZONE)).await.unwrap();
        assert_eq!(answer.secure, Security::Secure, "{what}");
        assert!(*between.touched.lock().unwrap() > 0, "{what}");
    }
}

/// Passes questions on to a server, and changes what comes back for the gateway records.
struct Between {
    address: SocketAddr,
    touched: Arc<Mutex<usize>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Between {
    async fn start(server: SocketAddr, tamper: fn(&mut Vec<u8>)) -> Self {
        let (outside, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Over TCP too, where hickory would try next.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = outside.local_addr().unwrap();
        let touched = Arc::new(Mutex::new(0));
        let count = touched.clone();
        let udp = tokio::spawn(async move {
            let mut question = [0; 4_096];
            loop {
                let (length, asker) = outside.recv_from(&mut question).await.unwrap();
                let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                inside.send_to(&question[..length], server).await.unwrap();
                let mut answer = vec![0; 4_096];
                let length = inside.recv(&mut answer).await.unwrap();
                answer.truncate(length);
                if is_of_gateways(&answer) {
                    *count.lock().unwrap() += 1;
                    tamper(&mut answer);
                }
                outside.send_to(&answer, asker).await.unwrap();
            }
        });
        let closing = tokio::spawn(async move {
            loop {
                let _: (TcpStream, _) = tcp.accept().await.unwrap();
            }
        });
        Self { address, touched, tasks: vec![udp, closing] }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Whether the question, which every answer repeats, is for `_distpos.e2e4`'s TXT records.
fn is_of_gateways(answer: &[u8]) -> bool {
    let question = b"\x08_distpos\x04e2e4\x06chains\x04test\x00\x00\x10";
    answer.get(12..12 + question.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(question))
}

fn replace(answer: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..answer.len() - from.len() {
        if answer[at..].starts_with(from) {
            answer[at..at + from.len()].copy_from_slice(to);
        }
    }
}

/// NXDOMAIN with nothing beside the question: what an attacker without keys can say.
fn spoof_nxdomain(answer: &mut Vec<u8>) {
    strip_to_question(answer);
    answer[3] = (answer[3] & 0xf0) | 3;
}

/// The answer's first record, which is the TXT record, and none of the signatures.
fn strip(answer: &mut Vec<u8>) {
    let start = question_end(answer);
    // A compressed name (2), type, class, TTL (8), and the length of what follows (2).
    let length = usize::from(u16::from_be_bytes([answer[start + 10], answer[start + 11]]));
    answer.truncate(start + 12 + length);
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
}

fn strip_to_question(answer: &mut Vec<u8>) {
    answer.truncate(question_end(answer));
    answer[6..12].copy_from_slice(&[0; 6]);
}

fn question_end(answer: &[u8]) -> usize {
    let mut at = 12;
    while answer[at] != 0 {
        at += 1 + usize::from(answer[at]);
    }
    at + 5
}
