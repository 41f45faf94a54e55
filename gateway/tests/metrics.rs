//! The metrics page is current, and what is built on metrics names those that exist.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{collections::BTreeSet, path::Path, process::Command};

use distpos_gateway::metrics::{
    page::page,
    table::{self, Kind},
};

const PAGE: &str = include_str!("../../docs/metrics.md");
const ALERTS: &str = include_str!("../../examples/monitoring/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../examples/monitoring/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../examples/monitoring/grafana.json");

#[test]
fn the_page_is_what_the_tables_say() {
    let how = "cargo run -p distpos-examples --example metrics_page > docs/metrics.md";
    assert!(page() == PAGE, "docs/metrics.md is not current: {how}");
}

/// Every name of a series that is told.
fn series() -> BTreeSet<String> {
    let of = |metric: &&table::Definition| {
        let suffixes: &[&str] = match metric.kind {
            Kind::Counter | Kind::Gauge => &[""],
            Kind::Histogram(_) => &["_bucket", "_sum", "_count"],
            Kind::Summary => &["_sum", "_count"],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", metric.name)).collect::<Vec<_>>()
    };
    table::ALL.iter().flat_map(of).collect()
}

/// Names of metrics in a text, with what stands in the braces behind them.
fn used(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("distpos_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let braces = rest[end..].strip_prefix('{').and_then(|rest| rest.split('}').next());
        found.push((rest[..end].to_owned(), braces.unwrap_or_default().to_owned()));
    }
    found
}

#[test]
fn rules_and_dashboard_use_only_metrics_and_labels_that_there_are() {
    let known = series();
    let mut seen = BTreeSet::new();
    for (file, text) in [("alerts.yml", ALERTS), ("grafana.json", DASHBOARD)] {
        for (name, braces) in used(text) {
            assert!(known.contains(&name), "{file}: {name} does not exist");
            let metric = table::ALL
                .iter()
                .filter(|metric| name.starts_with(metric.name))
                .max_by_key(|m| m.name.len())
                .unwrap();
            for pair in braces.split(',').filter(|pair| !pair.is_empty()) {
                let label = pair.split(['=', '!', '~']).next().unwrap().trim();
                let of_all = ["instance", "job"].contains(&label);
                assert!(of_all || metric.labels.contains(&label), "{file}: {name} has no {label}");
            }
            seen.insert(metric.name);
        }
    }
    // A metric that nobody looks at is one that nobody misses.
    let all: BTreeSet<&str> = table::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(seen, all);
}

#[test]
fn every_alert_is_shown_firing_and_not_firing_and_says_what_to_do() {
    let alerts: Vec<&str> =
        ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 15, "{alerts:?}");
    for alert in &alerts {
        for case in ["fires", "is quiet"] {
            let name = format!("- name: {alert} {case}\n");
            assert!(ALERTS_TEST.contains(&name), "alerts_test.yml has no {name}");
        }
    }
    for needed in ["severity: ", "runbook: \"docs/operating.md#", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(needed).count(), alerts.len(), "{needed}");
    }
}

#[test]
#[ignore = "needs prometheus"]
fn promtool_accepts_the_configuration_and_each_alert_does_what_it_is_for() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring");
    let cases: [&[&str]; 3] = [
        &["check", "rules", "alerts.yml"],
        &["check", "config", "prometheus.yml"],
        &["test", "rules", "alerts_test.yml"],
    ];
    for arguments in cases {
        let told = Command::new("promtool").args(arguments).current_dir(&directory).output();
        let told = told.expect("promtool is installed");
        let said =
            [told.stdout, told.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(told.status.success(), "{arguments:?}: {}", said.concat());
    }
}
