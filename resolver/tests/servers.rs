//! Name servers as others wrote them, each run unprivileged over files of its own: BIND, Knot, NSD,
//! and unbound as a validating resolver in front of them.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use distpos_resolver::TrustAnchors;
use tempfile::TempDir;

pub(crate) mod hop;
pub(crate) mod zone;

use zone::{BROKEN, CHILD, EXPIRED, PLAIN, SIGNED, WRONG};

/// A running server, killed when it goes out of scope.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    child: Child,
}

/// Who serves zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `named`, which signs by its `dnssec-policy`.
    Bind,
    /// `knotd`, which signs by itself.
    Knot,
    /// `nsd`, with a zone that was signed before.
    Nsd,
}

/// Longest that a server may take until it serves its signed zone.
const START_MAX: Duration = Duration::from_secs(30);

impl Running {
    /// Serves the zones of [`zone`], and gives the keys that its signed ones are trusted by.
    pub(crate) fn serving(kind: Kind) -> (Self, TrustAnchors, String) {
        let running = Self::start(|directory, port| {
            zone::write(directory, kind);
            match kind {
                Kind::Bind => named(directory, port),
                Kind::Knot => knotd(directory, port),
                Kind::Nsd => nsd(directory, port),
            }
        });
        running.until_signed();
        let keys = running.keys();
        (running, TrustAnchors::parse(&keys).unwrap(), keys)
    }

    /// A `knotd` whose zone the holder of the key `update` may change.
    pub(crate) fn updatable_knot(zone: &str, text: &str, secret: &str) -> Self {
        let running = Self::start(|directory, port| {
            let at = directory.display();
            let conf = format!(
                "server:\n  rundir: \"{at}\"\n  listen: 127.0.0.1@{port}\n\
                 database:\n  storage: \"{at}\"\n\
                 key:\n  - id: update\n    algorithm: hmac-sha256\n    secret: {secret}\n\
                 acl:\n  - id: update\n    key: update\n    action: update\n\
                 zone:\n  - domain: {zone}\n    storage: \"{at}\"\n    file: {zone}\n    \
                 acl: update\n    zonefile-sync: -1\n    zonefile-load: difference\n    \
                 journal-content: all\n"
            );
            fs::write(directory.join("knot.conf"), conf).unwrap();
            fs::write(directory.join(zone), text).unwrap();
            let mut command = Command::new("knotd");
            command.arg("-c").arg(directory.join("knot.conf"));
            command
        });
        running.until("serves its zone", |dig| dig(&[zone, "SOA"]).contains("SOA"));
        running
    }

    /// A validating resolver that asks `server` for everything, and trusts these keys.
    pub(crate) fn unbound(server: SocketAddr, keys: &str) -> Self {
        let running = Self::start(|directory, port| {
            fs::write(directory.join("keys"), keys).unwrap();
            unbound(directory, port, server)
        });
        running.until("answers", |dig| dig(&[SIGNED, "SOA"]).contains("SOA"));
        running
    }

    fn start(command: impl Fn(&Path, u16) -> Command) -> Self {
        // Somebody may take the port between looking and binding: then the server ends at once.
        for _ in 0..10 {
            let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
            let mut command = command(directory.path(), address.port());
            let log = fs::File::create(directory.path().join("log")).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().expect("the server can be run");
            if is_bound(&mut child, address) {
                return Self { address, directory, child };
            }
            child.kill().ok();
            child.wait().unwrap();
        }
        panic!("no server came up ten times");
    }

    /// Signing goes on in the background.
    fn until_signed(&self) {
        self.until("has signed its zone", |dig| {
            dig(&["+dnssec", &format!("_distpos.e2e4.{SIGNED}"), "TXT"]).contains("RRSIG")
        });
    }

    fn until(&self, what: &str, is_so: impl Fn(&dyn Fn(&[&str]) -> String) -> bool) {
        let start = Instant::now();
        while !is_so(&|arguments| self.dig(arguments)) {
            if start.elapsed() > START_MAX {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
                panic!("it never {what}:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn dig(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &port, "+noall", "+answer", "+tries=1", "+time=2"]);
        let done = dig.args(arguments).output().expect("dig can be run");
        String::from_utf8(done.stdout).unwrap()
    }

    /// The keys of the zones that are validated, as an operator would copy them; of the zone with
    /// the wrong anchor a key that signed nothing.
    fn keys(&self) -> String {
        let of = |zone| self.dig(&[zone, "DNSKEY"]);
        let directory = tempfile::tempdir().unwrap();
        [of(SIGNED), of(EXPIRED), zone::key_of(directory.path(), WRONG)].concat()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for both UDP and TCP a moment long.
fn free_address() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Waits until the port is taken, by this server or by who came before it.
fn is_bound(child: &mut Child, address: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < START_MAX {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpListener::bind(address).is_err() && UdpSocket::bind(address).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn named(directory: &Path, port: u16) -> Command {
    let at = directory.display();
    let mut conf = format!(
        "options {{ directory \"{at}\"; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         allow-query {{ any; }}; key-directory \"{at}\"; minimal-responses yes; }};\ncontrols {{ }};\n\
         zone \"{SIGNED}\" {{ type primary; file \"{SIGNED}\"; dnssec-policy default; \
         inline-signing yes; }};\n"
    );
    for zone in [EXPIRED, WRONG, CHILD, PLAIN, BROKEN] {
        writeln!(conf, "zone \"{zone}\" {{ type primary; file \"{zone}\"; }};").unwrap();
    }
    fs::write(directory.join("named.conf"), conf).unwrap();
    let mut command = Command::new("named");
    command.arg("-g").arg("-c").arg(directory.join("named.conf"));
    command
}

fn knotd(directory: &Path, port: u16) -> Command {
    let at = directory.display();
    let mut conf = format!(
        "server:\n  rundir: \"{at}\"\n  listen: 127.0.0.1@{port}\n\
         database:\n  storage: \"{at}\"\n\
         log:\n  - target: stderr\n    any: info\n\
         policy:\n  - id: one\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n\
         zone:\n  - domain: {SIGNED}\n    storage: \"{at}\"\n    file: {SIGNED}\n    \
         dnssec-signing: on\n    dnssec-policy: one\n    zonefile-sync: -1\n    \
         zonefile-load: difference-no-serial\n    journal-content: all\n"
    );
    for zone in [EXPIRED, WRONG, CHILD, PLAIN, BROKEN] {
        writeln!(conf, "  - domain: {zone}\n    storage: \"{at}\"\n    file: {zone}").unwrap();
    }
    fs::write(directory.join("knot.conf"), conf).unwrap();
    let mut command = Command::new("knotd");
    command.arg("-c").arg(directory.join("knot.conf"));
    command
}

fn nsd(directory: &Path, port: u16) -> Command {
    let at = directory.display();
    let mut conf = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  \
         pidfile: \"{at}/nsd.pid\"\n  zonesdir: \"{at}\"\n  database: \"\"\n  \
         xfrdfile: \"{at}/xfrd.state\"\n  zonelistfile: \"{at}/zone.list\"\n  xfrdir: \"{at}\"\n\
         remote-control:\n  control-enable: no\n"
    );
    for zone in [SIGNED, EXPIRED, WRONG, CHILD, PLAIN, BROKEN] {
        writeln!(conf, "zone:\n  name: {zone}\n  zonefile: {zone}").unwrap();
    }
    fs::write(directory.join("nsd.conf"), conf).unwrap();
    let mut command = Command::new("nsd");
    command.arg("-d").arg("-c").arg(directory.join("nsd.conf"));
    command
}

fn unbound(directory: &Path, port: u16, server: SocketAddr) -> Command {
    let at = directory.display();
    let stub = format!("127.0.0.1@{}", server.port());
    let mut conf = format!(
        "server:\n  interface: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  \
         directory: \"{at}\"\n  pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  \
         local-zone: \"test.\" nodefault\n  trust-anchor-file: \"{at}/keys\"\n  \
         module-config: \"validator iterator\"\n  do-ip6: no\n  cache-max-ttl: 0\n  \
         cache-max-negative-ttl: 0\n  val-bogus-ttl: 0\n  infra-host-ttl: 0\n  \
         access-control: 127.0.0.0/8 allow\n  qname-minimisation: no\n\
         remote-control:\n  control-enable: no\n"
    );
    for zone in [SIGNED, EXPIRED, WRONG, CHILD, PLAIN, BROKEN, zone::ELSEWHERE] {
        writeln!(conf, "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {stub}").unwrap();
    }
    fs::write(directory.join("unbound.conf"), conf).unwrap();
    let mut command = Command::new("unbound");
    command.arg("-d").arg("-c").arg(directory.join("unbound.conf"));
    command
}
