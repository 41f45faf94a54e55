//! Against BIND, whose answers are not of our making. Needs `named` (Debian: `bind9`).

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use distpos_proto::record::{KeyRecord, RecordError};
use distpos_resolver::{
    Budget, HickoryLookup, Lookup, LookupError, LookupFailure, Negative, Options, Resolve,
    ResolveError, Resolver, Security,
};
use tempfile::TempDir;

use crate::support::{chain, gateway, host, hosts, key, options, over, policy};

/// A `named` of our own, stopped when it goes out of scope.
pub(crate) struct Named {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
}

impl Named {
    fn start() -> Self {
        Self::serving(write_files)
    }

    /// Runs over the files that `write` makes, among them `named.conf`.
    pub(crate) fn serving(write: impl Fn(&Path, u16)) -> Self {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let address = free_address();
            write(directory.path(), address.port());
            let mut child = Command::new("named")
                .arg("-g")
                .arg("-c")
                .arg(directory.path().join("named.conf"))
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("named can be run");
            if comes_up(&mut child) {
                return Self { child, address, directory };
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        panic!("named did not come up ten times");
    }

    fn lookup(&self) -> HickoryLookup {
        HickoryLookup::new(&[self.address], None).unwrap()
    }

    fn resolver(&self, root: &str) -> Resolver<HickoryLookup> {
        over(self.lookup(), Options { roots: vec![host(root)], ..options() }, 1).1
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Both fail when it was stopped already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago; who loses it meanwhile starts again with another.
fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Reads the log until it says that all is loaded; without its port, named runs all the same.
fn comes_up(child: &mut Child) -> bool {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut has_port = true;
    let is_up = loop {
        match lines.next() {
            Some(Ok(line)) if line.contains("could not listen") => has_port = false,
            Some(Ok(line)) if line.contains("address in use") => has_port = false,
            Some(Ok(line)) if line.ends_with(" running") => break has_port,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break false,
        }
    };
    // Somebody has to go on reading, or named stops when the pipe is full.
    thread::spawn(move || lines.for_each(drop));
    is_up
}

fn write_files(directory: &Path, port: u16) {
    let at = directory.display();
    let mut conf = format!(
        "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         allow-query {{ any; }}; }};\ncontrols {{ }};\n"
    );
    for zone in ["chains.test", "wild.test", "broken.test"] {
        writeln!(conf, "zone \"{zone}\" {{ type primary; file \"{zone}\"; }};").unwrap();
    }
    fs::write(directory.join("named.conf"), conf).unwrap();
    fs::write(directory.join("chains.test"), chains()).unwrap();
    let wildcard = format!("{START}* IN TXT \"{}\"\n", gateway("e2e4", 1));
    fs::write(directory.join("wild.test"), wildcard).unwrap();
    fs::write(directory.join("broken.test"), "this is no zone\n").unwrap();
}

pub(crate) const START: &str =
    "$TTL 120\n@ IN SOA ns admin 1 60 60 60 77\n@ IN NS ns\nns IN A 127.0.0.1\n";

fn chains() -> String {
    let record = KeyRecord::new(chain("e2e4"), Some(key(1)));
    let padding = "x".repeat(200);
    let mut zone = START.to_owned();
    for at in [1, 2] {
        writeln!(zone, "_distpos.e2e4 IN TXT \"{}\"", gateway("e2e4", at)).unwrap();
    }
    writeln!(zone, "_policy._distpos.e2e4 IN TXT \"{}\"", policy("e2e4", &["a"])).unwrap();
    writeln!(zone, "a._key._distpos.e2e4 IN TXT \"{record}\"").unwrap();
    for at in 1..=6 {
        let record = gateway("b16", at);
        writeln!(zone, "_distpos.b16 IN TXT \"{record}\" \"; a={padding}\" \"; b={padding}\"")
            .unwrap();
    }
    zone.push_str("_distpos.dead IN TXT \"v=DPOS1; c=dead; h=.\"\n");
    zone.push_str("_distpos.b1c2 IN CNAME _distpos.e2e4\n");
    zone.push_str("_distpos.c1 IN CNAME nowhere\n");
    zone.push_str("_distpos.100b IN CNAME _distpos.200b\n_distpos.200b IN CNAME _distpos.100b\n");
    // What a zone's author gets who forgets the quotes: the rest is a comment.
    zone.push_str("_distpos.a1 IN TXT v=DPOS1; c=a1; h=.\n");
    // Somebody else's zone, about which this server knows nothing.
    zone.push_str("abc IN NS ns.elsewhere.test.\n");
    zone
}

fn temporary(name: &str, cause: LookupFailure) -> ResolveError {
    ResolveError::Temporary { name: name.to_owned(), cause }
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn bind_leads_to_a_chain() {
    let named = Named::start();
    let route = named.resolver("chains.test").route(chain("e2e4")).await.unwrap();
    let mut found = hosts(&route);
    found.sort();
    assert_eq!(found, ["gw1", "gw2"]);
    assert_eq!(route.keys, [key(1)]);
    assert_eq!(route.policy, Some(policy("e2e4", &["a"])));
    assert_eq!(route.expires.since(route.fetched).as_secs(), 120);
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn bind_says_that_there_is_nothing() {
    let named = Named::start();
    let resolver = named.resolver("chains.test");
    let nothing = |kind| {
        Err(LookupError::NotFound { negative_ttl: 77, kind, secure: Security::Indeterminate })
    };
    let lookup = named.lookup();
    // NXDOMAIN, NODATA, and a CNAME that leads to NXDOMAIN.
    assert_eq!(lookup.txt("_distpos.f00.chains.test").await, nothing(Negative::NxDomain));
    assert_eq!(lookup.txt("_key._distpos.e2e4.chains.test").await, nothing(Negative::NoData));
    assert_eq!(lookup.txt("_distpos.c1.chains.test").await, nothing(Negative::NxDomain));
    let unknown = resolver.route(chain("f00")).await.unwrap_err();
    assert_eq!(unknown, ResolveError::UnknownChain { chain: chain("f00") });
    let null = resolver.route(chain("dead")).await.unwrap_err();
    assert_eq!(null, ResolveError::NullRecord { chain: chain("dead") });
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn binds_failures_are_temporary() {
    let mut named = Named::start();
    let refused = named.resolver("elsewhere.test").route(chain("e2e4")).await.unwrap_err();
    let name = "_distpos.e2e4.elsewhere.test";
    assert_eq!(refused, temporary(name, LookupFailure::Refused));
    let broken = named.resolver("broken.test").route(chain("e2e4")).await.unwrap_err();
    let name = "_distpos.e2e4.broken.test";
    assert_eq!(broken, temporary(name, LookupFailure::ServFail));

    // A referral: the answer is elsewhere, and not that there is nothing.
    let referred = named.resolver("chains.test").route(chain("abc")).await.unwrap_err();
    let what = "the server only refers to other servers".to_owned();
    let name = "_distpos.abc.chains.test";
    assert_eq!(referred, temporary(name, LookupFailure::Other(what)));
    let looping = named.resolver("chains.test").route(chain("100b")).await.unwrap_err();
    assert!(matches!(looping, ResolveError::Temporary { .. }), "{looping:?}");

    let (hands, resolver) = over(named.lookup(), options(), 1);
    assert!(!resolver.route(chain("e2e4")).await.unwrap().stale);
    named.stop();
    let silent = resolver.route(chain("b16")).await.unwrap_err();
    assert!(!silent.is_permanent(), "{silent:?}");
    hands.forward(121);
    let stale = resolver.route(chain("e2e4")).await.unwrap();
    assert!(stale.stale && stale.keys.is_empty());
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn binds_large_answers_come_over_tcp() {
    let named = Named::start();
    let answer = named.lookup().txt("_distpos.b16.chains.test").await.unwrap();
    assert!(answer.records.iter().map(Vec::len).sum::<usize>() > 1_232);
    let route = named.resolver("chains.test").route(chain("b16")).await.unwrap();
    assert_eq!(route.gateways.len(), 6);
}

/// More than any answer holds: who publishes that is not reached, and costs nobody much.
#[tokio::test]
#[ignore = "needs bind9"]
async fn ten_thousand_records_are_given_up_within_the_budget() {
    let named = Named::serving(|directory, port| {
        write_files(directory, port);
        let mut zone = START.to_owned();
        for number in 0..10_000 {
            writeln!(zone, "_distpos.e2e4 IN TXT \"v=DPOS1; c=e2e4; h=gw{number}.village.test\"")
                .unwrap();
        }
        fs::write(directory.join("chains.test"), zone).unwrap();
    });
    let start = tokio::time::Instant::now();
    let error = named.resolver("chains.test").route(chain("e2e4")).await.unwrap_err();
    // BIND cannot fit them into any answer, and says so.
    assert_eq!(error, temporary("_distpos.e2e4.chains.test", LookupFailure::ServFail));
    assert!(start.elapsed() < Budget::TIME_MAX, "{:?}", start.elapsed());
}

#[tokio::test]
#[ignore = "needs bind9"]
async fn records_that_speak_of_another_chain_are_malformed() {
    let named = Named::start();
    for (root, asked) in [("wild.test", "b1c2"), ("chains.test", "b1c2")] {
        let error = named.resolver(root).route(chain(asked)).await.unwrap_err();
        let what = RecordError::Chain { found: chain("e2e4"), expected: chain(asked) };
        let name = format!("_distpos.{asked}.{root}");
        assert_eq!(error, ResolveError::Malformed { name, what });
    }
    let error = named.resolver("chains.test").route(chain("a1")).await.unwrap_err();
    let ResolveError::Malformed { what: RecordError::Missing { tag: "c", .. }, .. } = error else {
        panic!("{error:?}");
    };
}
