//! The examples of the documentation are records that can be read and commands that exist.

use std::{collections::BTreeSet, process::Command};

use distpos_proto::record::{GatewayRecord, KeyRecord, PolicyRecord};

const DNS: &str = include_str!("../../docs/dns.md");
const OPERATORS: &str = include_str!("../../docs/operators.md");
const OPERATING: &str = include_str!("../../docs/operating.md");
const CHAINS: &str = include_str!("../../docs/chains.md");
const QUEUE: &str = include_str!("../../docs/queue.md");
const ALERTS: &str = include_str!("../../examples/monitoring/alerts.yml");

/// The lines inside ``` fences.
fn fenced(page: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    page.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        is_inside && !is_fence
    })
}

#[test]
fn every_record_in_the_page_for_administrators_is_read_as_it_stands() {
    let (mut kinds, mut count) = (BTreeSet::new(), 0);
    for line in fenced(DNS).filter(|line| line.contains(" IN TXT ")) {
        let (owner, rest) = line.split_once(". 3600 IN TXT \"").expect(line);
        let text = rest.strip_suffix('"').expect(line);
        let (kind, printed) = match text.split(';').next().unwrap() {
            "v=DPOS1" => {
                ("gateway", GatewayRecord::parse(text.as_bytes()).map(|it| it.to_string()))
            }
            "v=DPOSKEY1" => ("key", KeyRecord::parse(text.as_bytes()).map(|it| it.to_string())),
            "v=DPOSPOL1" => {
                ("policy", PolicyRecord::parse(text.as_bytes()).map(|it| it.to_string()))
            }
            other => panic!("{other}"),
        };
        let printed = printed.unwrap_or_else(|wrong| panic!("{line}: {wrong}"));
        let chain = owner.split('.').skip_while(|label| *label != "_distpos").nth(1).unwrap();
        assert!(text.contains(&format!("; c={chain};")), "{line}: another chain than its name");
        if kind != "gateway" {
            assert_eq!(printed, text, "as the tools print it");
        }
        kinds.insert(kind);
        count += 1;
    }
    assert_eq!((kinds.len(), count), (3, 5));
}

/// Where an alert sends its reader, there is a section.
#[test]
fn every_alert_has_its_page() {
    let anchors: BTreeSet<String> = OPERATING
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let links = ALERTS.lines().filter_map(|line| line.split("docs/operating.md#").nth(1));
    let links: Vec<_> = links.map(|link| link.trim_end_matches('"')).collect();
    assert!(links.len() >= 18, "{links:?}");
    for link in links {
        assert!(anchors.contains(link), "docs/operating.md has no {link}");
    }
}

/// Each command and each of its options is one that the program knows.
#[test]
fn every_command_in_the_examples_exists() {
    let mut known = BTreeSet::new();
    for line in [DNS, OPERATORS, OPERATING, QUEUE, CHAINS].into_iter().flat_map(fenced) {
        let line = line.split(" # ").next().unwrap();
        let mut words = line.split_whitespace();
        let program = match words.next() {
            Some("distpos-dns") => env!("CARGO_BIN_EXE_distpos-dns"),
            Some("distpos-gateway") => env!("CARGO_BIN_EXE_distpos-gateway"),
            _ => continue,
        };
        let words: Vec<&str> = words.collect();
        // Subcommands come first, in lower case and without digits; at most two of them.
        let is_command = |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase());
        let commands: Vec<&str> = words.iter().take_while(is_command).take(2).copied().collect();
        let help = Command::new(program).args(&commands).arg("--help").output().unwrap();
        let help = if help.status.success() {
            help
        } else {
            Command::new(program).args(&commands[..1]).arg("--help").output().unwrap()
        };
        assert!(help.status.success(), "{line}: {help:?}");
        let text = String::from_utf8(help.stdout).unwrap();
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(text.contains(option), "{line}: no {option}");
        }
        known.insert(commands.join(" "));
    }
    for expected in ["records", "check", "publish", "key rotate"] {
        assert!(known.contains(expected), "{expected}: {known:?}");
    }
}
