//! The zones that every server is given: one case a chain.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use distpos_proto::record::KeyRecord;

use super::{
    Kind,
    hop::{Deed, is_about},
};
use crate::support::{chain, gateway, key, policy};

/// Signed, and trusted by its own keys.
pub(crate) const SIGNED: &str = "chains.test";
/// Below it, and delegated without a DS record.
pub(crate) const CHILD: &str = "unsigned.chains.test";
/// Below it, and holding a wildcard.
pub(crate) const WILD: &str = "wild.chains.test";
/// Signed so that the signatures have expired.
pub(crate) const EXPIRED: &str = "expired.test";
/// Signed by another key than the one that is trusted.
pub(crate) const WRONG: &str = "wrong.test";
/// Not signed, and outside every anchor.
pub(crate) const PLAIN: &str = "plain.test";
/// A zone that the server cannot load.
pub(crate) const BROKEN: &str = "broken.test";
/// A zone that the server knows nothing of.
pub(crate) const ELSEWHERE: &str = "elsewhere.test";

pub(crate) const START: &str =
    "$TTL 120\n@ IN SOA ns admin 1 3600 600 86400 77\n@ IN NS ns\nns IN A 127.0.0.1\n";

/// What somebody in between does to single chains.
pub(crate) fn deeds(answer: &[u8]) -> Deed {
    let of = |chain: &str| is_about(answer, &["_distpos", chain]);
    match () {
        () if of("7a") => Deed::Changes,
        () if of("7b") => Deed::Strips,
        () if of("7c") => Deed::Denies,
        () if of("7d") => Deed::Swallows,
        () => Deed::Passes,
    }
}

/// Writes the zones; those that the server does not sign itself are signed here.
pub(super) fn write(directory: &Path, kind: Kind) {
    fs::write(directory.join(SIGNED), signed()).unwrap();
    for zone in [EXPIRED, WRONG, CHILD, PLAIN] {
        fs::write(directory.join(zone), format!("{START}{}", chain_records("e2e4"))).unwrap();
    }
    fs::write(directory.join(BROKEN), "this is no zone\n").unwrap();
    if kind == Kind::Nsd {
        sign(directory, SIGNED, &[]);
    }
    sign(directory, WRONG, &[]);
    sign(directory, EXPIRED, &["-s", "20200101000000", "-e", "20200201000000"]);
}

/// Makes both kinds of key, signs the file with them, and puts the outcome in its place.
fn sign(directory: &Path, zone: &str, arguments: &[&str]) {
    make_keys(directory, zone);
    // Elsewhere, since BIND would take the keys for its own.
    let keys = directory.join(format!("keys-{zone}"));
    let signing = ["-P", "-S", "-K", keys.to_str().unwrap(), "-o", zone, "-f", "out"];
    tool(directory, "dnssec-signzone", &[&signing[..], arguments, &[zone]].concat());
    fs::rename(directory.join("out"), directory.join(zone)).unwrap();
}

fn make_keys(directory: &Path, zone: &str) {
    let keys = directory.join(format!("keys-{zone}"));
    fs::create_dir(&keys).unwrap();
    let make = ["-q", "-a", "ECDSAP256SHA256", "-K", keys.to_str().unwrap()];
    tool(directory, "dnssec-keygen", &[&make[..], &["-f", "KSK", zone]].concat());
    tool(directory, "dnssec-keygen", &[&make[..], &[zone]].concat());
}

/// Fresh keys of a zone, which signed nothing.
pub(super) fn key_of(directory: &Path, zone: &str) -> String {
    make_keys(directory, zone);
    let entries = fs::read_dir(directory.join(format!("keys-{zone}"))).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let keys = files.filter(|path| path.extension().is_some_and(|ending| ending == "key"));
    keys.map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn tool(directory: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A gateway, a policy and a key of a chain, relative to the zone.
fn chain_records(id: &str) -> String {
    let mut zone = String::new();
    writeln!(zone, "_distpos.{id} IN TXT \"{}\"", gateway(id, 1)).unwrap();
    writeln!(zone, "_policy._distpos.{id} IN TXT \"{}\"", policy(id, &["a"])).unwrap();
    let record = KeyRecord::new(chain(id), Some(key(1)));
    writeln!(zone, "a._key._distpos.{id} IN TXT \"{record}\"").unwrap();
    zone
}

fn signed() -> String {
    let mut zone = START.to_owned();
    for id in ["e2e4", "7a", "7b", "7c", "7d"] {
        zone.push_str(&chain_records(id));
    }
    // Only another type there; nothing at all; one that accepts nothing.
    zone.push_str("_distpos.a9 IN HINFO none none\n");
    zone.push_str("_distpos.dead IN TXT \"v=DPOS1; c=dead; h=.\"\n");
    // More than fits UDP.
    let padding = "x".repeat(200);
    for at in 1..=6 {
        let record = gateway("b16", at);
        writeln!(zone, "_distpos.b16 IN TXT \"{record}\" \"; a={padding}\" \"; b={padding}\"")
            .unwrap();
    }
    // CNAMEs: to the own record, to another chain's, to nothing.
    writeln!(
        zone,
        "elsewhere.a2 IN TXT \"{}\"\n_distpos.a2 IN CNAME elsewhere.a2",
        gateway("a2", 1)
    )
    .unwrap();
    zone.push_str("_distpos.a1 IN CNAME _distpos.e2e4\n_distpos.a3 IN CNAME nowhere\n");
    writeln!(zone, "*.wild IN TXT \"{}\"", gateway("e2e4", 1)).unwrap();
    // One string of 255 bytes; one record in four strings.
    let record = gateway("a5", 1).to_string();
    let padding = "x".repeat(255 - record.len() - "; pad=".len());
    writeln!(zone, "_distpos.a5 IN TXT \"{record}; pad={padding}\"").unwrap();
    let record = gateway("a6", 1).to_string();
    let (a, b) = record.split_at(30);
    writeln!(zone, "_distpos.a6 IN TXT \"{a}\" \"\" \"{b}\" \"; pad=x\"").unwrap();
    // The same record twice is one; two keys at one selector are one too many.
    let record = gateway("a7", 1);
    writeln!(zone, "_distpos.a7 IN TXT \"{record}\"\n_distpos.a7 IN TXT \"{record}\"").unwrap();
    zone.push_str(&chain_records("a8"));
    let second = KeyRecord::new(chain("a8"), Some(key(2)));
    writeln!(zone, "a._key._distpos.a8 IN TXT \"{second}\"").unwrap();
    writeln!(zone, "_DISTPOS.AB IN TXT \"{}\"", gateway("ab", 1)).unwrap();
    // Unquoted, the rest is a comment.
    zone.push_str("_distpos.ac IN TXT v=DPOS1; c=ac; h=.\n");
    writeln!(zone, "unsigned IN NS ns.unsigned\nns.unsigned IN A 127.0.0.1").unwrap();
    zone
}
