//! `examples/gateway.toml` is a configuration, and names every key there is.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::path::{Path, PathBuf};

use distpos_gateway::config::{Config, Node};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gateway.toml")
}

fn text() -> String {
    std::fs::read_to_string(file()).unwrap()
}

/// The same with the EVM chain's lines in place of the ledger's.
fn evm_text() -> String {
    let mut lines = Vec::new();
    let mut skipped = false;
    for line in text().lines() {
        if line.starts_with('[') {
            skipped = line.starts_with("[chain.ledger]") || line.starts_with("[[chain.ledger");
        }
        if skipped && !line.starts_with("# ") {
            continue;
        }
        lines.push(match line.strip_prefix("# ") {
            Some(line) if line.starts_with("confirmations") => format!("# {line}"),
            Some(line) if line.contains(" = ") || line.starts_with('[') => line.to_owned(),
            _ => line.replace("\"ledger\"           # \"ledger\"", "\"evm\" # \"ledger\""),
        });
    }
    lines.join("\n").replace("proof = \"ledger\"", "proof = \"evm\"")
}

#[test]
fn the_example_is_a_configuration_of_both_families() {
    let config = Config::load(&file()).unwrap();
    assert!(matches!(config.chain.node, Node::Ledger(_)));
    assert_eq!(config.routes.len(), 2);
    let config = Config::parse(&evm_text(), &file()).unwrap();
    assert!(matches!(config.chain.node, Node::Evm(_)));
    assert!(config.listen.token.is_some());
}

/// The keys that a table may have: an unknown one is refused with all of them.
fn keys_of(table: &str, text: &str) -> Vec<String> {
    let (head, tail) = text.split_once(&format!("\n{table}")).expect(table);
    let (line, rest) = tail.split_once('\n').unwrap();
    let unknown = format!("{head}\n{table}{line}\nunknown = 1\n{rest}");
    let error = Config::parse(&unknown, &file()).unwrap_err();
    assert!(
        error.first().what.starts_with("unknown field `unknown`, expected"),
        "{table}: {error}"
    );
    error.first().what.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

const GONE: [&str; 3] = ["asset", "value_max", "assets"];

#[test]
fn every_key_there_is_stands_in_the_example() {
    let (ledger, evm) = (text(), evm_text());
    let tables = [
        ("[chain]", &ledger),
        ("[chain.ledger]", &ledger),
        ("[[chain.ledger.genesis]]", &ledger),
        ("[chain.evm]", &evm),
        ("[identity]", &ledger),
        ("[spool]", &ledger),
        ("[listen]", &ledger),
        ("[resolver]", &ledger),
        ("[route.b1c2]", &ledger),
        ("[peer.b1c2]", &ledger),
        ("[peer.b1c2.account.\"e2e4/coin\"]", &ledger),
        ("[trust]", &ledger),
        ("[policy]", &ledger),
        ("[[policy.rule]]", &ledger),
        ("[policy.hooks]", &ledger),
        ("[admin]", &ledger),
        ("[metrics]", &ledger),
        ("[limits]", &ledger),
        ("[log]", &ledger),
    ];
    let mut seen = 0;
    for (table, text) in tables {
        // Three are known only to be refused with the way out: accounts took their place.
        let gone = |key: &String| table == "[peer.b1c2]" && GONE.contains(&key.as_str());
        for key in keys_of(table, text).into_iter().filter(|key| !gone(key)) {
            let shown = ledger.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} = "))
                    || line.starts_with(&format!("[chain.{key}]"))
                    || line.starts_with(&format!("[[chain.ledger.{key}]]"))
                    || line.starts_with(&format!("[policy.{key}]"))
                    || line.starts_with(&format!("[[policy.{key}]]"))
                    || line.starts_with(&format!("[peer.b1c2.{key}."))
            });
            assert!(shown, "{table} has the key {key}, the example has not");
            seen += 1;
        }
    }
    assert!(seen >= 71, "{seen} keys were looked for");
    let unknown = format!("unknown = 1\n{ledger}");
    let top = Config::parse(&unknown, &file()).unwrap_err().first().what.clone();
    let tables: Vec<_> = top.split('`').skip(3).step_by(2).collect();
    for table in &tables {
        let shown =
            ledger.contains(&format!("\n[{table}]")) || ledger.contains(&format!("\n[{table}."));
        assert!(shown, "the example has no [{table}]");
    }
    assert_eq!(tables.len(), 13);
}
