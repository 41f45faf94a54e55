//! What comes of each answer that DNS can give, from each server: outcome and trust level. The table
//! of it is in `docs/measured/dns_servers.md`, written by this test where
//! `DISTPOS_WRITE_TABLE=1` says so.

use std::{fmt::Write as _, path::Path};

use distpos_proto::record::RecordError;
use distpos_resolver::{
    HickoryLookup, LookupFailure, Options, Resolve, ResolveError, Resolver, Route,
};
use futures_util::future::join_all;

use crate::{
    servers::{
        Kind, Running,
        hop::Hop,
        zone::{self, BROKEN, CHILD, ELSEWHERE, EXPIRED, PLAIN, SIGNED, WILD, WRONG},
    },
    support::{chain, host, hosts, options, over},
};

/// A question: under which root, for which chain.
struct Case {
    what: &'static str,
    root: &'static str,
    chain: &'static str,
    /// What comes of it from an authoritative server whose answers are validated here.
    here: &'static str,
    /// From a validating resolver whose AD bit is believed.
    believed: &'static str,
    /// From servers whose answers nobody validates.
    blind: &'static str,
}

const fn case(
    what: &'static str,
    (root, chain): (&'static str, &'static str),
    [here, believed, blind]: [&'static str; 3],
) -> Case {
    Case { what, root, chain, here, believed, blind }
}

const SIGNED_OR_NOT: [&str; 3] = ["dnssec gw1", "dnssec gw1", "pinned gw1"];
const UNKNOWN: [&str; 3] = ["5.1.2 unknown chain"; 3];
const BOGUS: &str = "4.4.3 bogus";
const SERVFAIL: &str = "4.4.3 SERVFAIL";
/// Whether unbound gives up before it is given up is a matter of milliseconds.
const EITHER: &str = "4.4.3 SERVFAIL or no answer";
const MALFORMED_CHAIN: [&str; 3] = ["4.4.3 malformed: c is another chain's"; 3];

const CASES: [Case; 26] = [
    case("signed", (SIGNED, "e2e4"), SIGNED_OR_NOT),
    case("unsigned, outside every anchor", (PLAIN, "e2e4"), ["pinned gw1"; 3]),
    case("unsigned, delegated without DS", (CHILD, "e2e4"), ["pinned gw1"; 3]),
    case("changed on the way", (SIGNED, "7a"), [BOGUS, SERVFAIL, "pinned gw6"]),
    case("signatures stripped", (SIGNED, "7b"), [BOGUS, SERVFAIL, "pinned gw1"]),
    case("NXDOMAIN spoofed", (SIGNED, "7c"), [BOGUS, SERVFAIL, "5.1.2 unknown chain"]),
    case("signatures expired", (EXPIRED, "e2e4"), [BOGUS, SERVFAIL, "pinned gw1"]),
    case("another key is the anchor", (WRONG, "e2e4"), [BOGUS, SERVFAIL, "pinned gw1"]),
    case("NXDOMAIN", (SIGNED, "f00"), UNKNOWN),
    case("NODATA", (SIGNED, "a9"), UNKNOWN),
    case("NXDOMAIN, unsigned", (PLAIN, "f00"), UNKNOWN),
    case("null record", (SIGNED, "dead"), ["5.1.10 accepts nothing"; 3]),
    case("REFUSED", (ELSEWHERE, "e2e4"), ["4.4.3 REFUSED", SERVFAIL, "4.4.3 REFUSED"]),
    case("SERVFAIL", (BROKEN, "e2e4"), [SERVFAIL; 3]),
    case("no answer", (SIGNED, "7d"), ["4.4.3 no answer", EITHER, "4.4.3 no answer"]),
    case("truncated, then over TCP", (SIGNED, "b16"), ["dnssec 6", "dnssec 6", "pinned 6"]),
    case("CNAME to a record of its own", (SIGNED, "a2"), SIGNED_OR_NOT),
    case("CNAME to another chain's record", (SIGNED, "a1"), MALFORMED_CHAIN),
    // hickory 0.26 takes the proof for a wrong one: temporary, so nothing is lost by it.
    case("CNAME to nothing", (SIGNED, "a3"), [BOGUS, UNKNOWN[0], UNKNOWN[0]]),
    case("wildcard, for its chain", (WILD, "e2e4"), SIGNED_OR_NOT),
    case("wildcard, for another", (WILD, "b1c2"), MALFORMED_CHAIN),
    case("a string of 255 bytes", (SIGNED, "a5"), SIGNED_OR_NOT),
    case("four strings in one record", (SIGNED, "a6"), SIGNED_OR_NOT),
    case("the same record twice", (SIGNED, "a7"), SIGNED_OR_NOT),
    case("two keys at one selector", (SIGNED, "a8"), ["4.4.3 malformed: 2 records"; 3]),
    case("upper-case names", (SIGNED, "ab"), SIGNED_OR_NOT),
];

/// How a server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Its answers are validated here.
    Here,
    /// The same over a resolver that validates, too: it keeps what is bogus to itself.
    Through,
    /// Its AD bit is believed.
    Believed,
    /// Nothing is validated.
    Blind,
}

struct Column {
    name: &'static str,
    way: Way,
    found: Vec<String>,
}

async fn column(name: &'static str, way: Way, lookup: impl Fn() -> HickoryLookup) -> Column {
    let asked = CASES.iter().map(|case| {
        let roots = vec![host(case.root)];
        let (_, resolver) = over(lookup(), Options { roots, ..options() }, 1);
        async move { outcome(&resolver, case).await }
    });
    let mut found = join_all(asked).await;
    for (case, found) in CASES.iter().zip(&mut found) {
        let is_either = [SERVFAIL, "4.4.3 no answer"].contains(&found.as_str());
        if case.believed == EITHER && is_either && matches!(way, Way::Believed | Way::Through) {
            EITHER.clone_into(found);
        }
    }
    Column { name, way, found }
}

async fn outcome(resolver: &Resolver<HickoryLookup>, case: &Case) -> String {
    match resolver.route(chain(case.chain)).await {
        Ok(route) => found(&route),
        Err(error) => {
            // Only DNS's own word ends messages.
            let is_word = matches!(
                error,
                ResolveError::UnknownChain { .. } | ResolveError::NullRecord { .. }
            );
            assert_eq!(error.is_permanent(), is_word, "{}: {error:?}", case.what);
            refused(&error)
        }
    }
}

fn found(route: &Route) -> String {
    match hosts(route).as_slice() {
        [one] => format!("{} {one}", route.level),
        several => format!("{} {}", route.level, several.len()),
    }
}

fn refused(error: &ResolveError) -> String {
    let what = match error {
        ResolveError::UnknownChain { .. } => "unknown chain".to_owned(),
        ResolveError::NullRecord { .. } => "accepts nothing".to_owned(),
        ResolveError::Temporary { cause, .. } => match cause {
            LookupFailure::ServFail => "SERVFAIL".to_owned(),
            LookupFailure::Refused => "REFUSED".to_owned(),
            LookupFailure::Timeout => "no answer".to_owned(),
            LookupFailure::Bogus => "bogus".to_owned(),
            other => format!("{other:?}"),
        },
        ResolveError::Malformed { what: RecordError::Chain { .. }, .. } => {
            "malformed: c is another chain's".to_owned()
        }
        ResolveError::Malformed { what: RecordError::Count { found, .. }, .. } => {
            format!("malformed: {found} records")
        }
        other => format!("{other:?}"),
    };
    format!("{} {what}", error.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bind9, knot, nsd, unbound, dnsutils"]
async fn every_answer_of_every_server_comes_to_what_the_table_says() {
    let mut columns = Vec::new();
    for (kind, name) in [(Kind::Bind, "BIND"), (Kind::Knot, "Knot"), (Kind::Nsd, "NSD")] {
        let (server, anchors, keys) = Running::serving(kind);
        let hop = Hop::before(server.address, zone::deeds).await;
        let here = || HickoryLookup::new(&[hop.address], Some(anchors.clone())).unwrap();
        columns.push(column(name, Way::Here, here).await);
        if kind == Kind::Bind {
            let blind = || HickoryLookup::new(&[hop.address], None).unwrap();
            columns.push(column("BIND, not validated", Way::Blind, blind).await);
            let unbound = Running::unbound(hop.address, &keys);
            let believed = || HickoryLookup::believing(&[unbound.address]).unwrap();
            columns.push(column("unbound, AD bit", Way::Believed, believed).await);
            let over = Hop::before(unbound.address, |_| crate::servers::hop::Deed::Passes).await;
            let here = || HickoryLookup::new(&[over.address], Some(anchors.clone())).unwrap();
            columns.push(column("unbound, validated here", Way::Through, here).await);
        }
    }
    let mut wrong = String::new();
    for column in &columns {
        for (case, found) in CASES.iter().zip(&column.found) {
            let expected = match column.way {
                Way::Here => case.here,
                Way::Through if [SERVFAIL, EITHER].contains(&case.believed) => case.believed,
                Way::Through => case.here,
                Way::Believed => case.believed,
                Way::Blind => case.blind,
            };
            if found != expected {
                writeln!(wrong, "{}: {}: {found}, expected {expected}", column.name, case.what)
                    .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    compare(&table(&columns));
}

fn table(columns: &[Column]) -> String {
    let mut text = String::from("| answer |");
    columns.iter().for_each(|column| write!(text, " {} |", column.name).unwrap());
    text.push_str("\n| --- |");
    columns.iter().for_each(|_| text.push_str(" --- |"));
    for (at, case) in CASES.iter().enumerate() {
        write!(text, "\n| {} |", case.what).unwrap();
        columns.iter().for_each(|column| write!(text, " {} |", column.found[at]).unwrap());
    }
    text.push('\n');
    text
}

/// The table in the documentation is this one.
fn compare(table: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/measured/dns_servers.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (start, end) = ("<!-- table -->\n", "<!-- end of table -->\n");
    let (before, rest) = text.split_once(start).unwrap();
    let (held, after) = rest.split_once(end).unwrap();
    if std::env::var_os("DISTPOS_WRITE_TABLE").is_some() {
        std::fs::write(&file, format!("{before}{start}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(held, table, "docs/measured/dns_servers.md is not what was found");
    }
}
