//! Where in the file something is wrong: TOML errors know a byte range, operators want line and key.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// The reader's error with file, line and the full name of the key.
pub(super) fn explain(error: &toml::de::Error, text: &str, file: &Path) -> ConfigError {
    // What the file as a whole lacks has an empty range at its start.
    let span = error.span().filter(|span| *span != (0..0));
    ConfigError {
        file: file.into(),
        line: span.as_ref().map(|span| line(text, span.start)),
        key: span.and_then(|span| key_at(text, &span)),
        what: error.message().trim().replace('\n', ", "),
    }
}

/// An error about a key with a known name; its line if the file has the key, or the nearest table
/// around it.
pub(super) fn at_key(key: &str, what: String, text: &str, file: &Path) -> ConfigError {
    let mut line_found = None;
    if let Ok(table) = DeTable::parse(text) {
        let mut table = table.get_ref();
        for part in key.split('.') {
            let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
                break;
            };
            line_found = Some(line(text, name.span().start));
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
    }
    ConfigError { file: file.into(), line: line_found, key: Some(key.into()), what }
}

/// The full name of the innermost key whose name or value covers the range.
fn key_at(text: &str, range: &Range<usize>) -> Option<String> {
    // A text that is no TOML at all has no keys yet.
    let table = DeTable::parse(text).ok()?;
    let mut names = Vec::new();
    descend(table.get_ref(), range, &mut names);
    (!names.is_empty()).then(|| names.join("."))
}

fn descend(table: &DeTable<'_>, range: &Range<usize>, names: &mut Vec<String>) {
    // A table's own range covers only its header, so each table is entered, not only covering ones.
    for (name, value) in table {
        names.push(name.get_ref().to_string());
        let found = names.len();
        inside(value.get_ref(), range, names);
        if names.len() > found || covers(&name.span(), range) || covers(&value.span(), range) {
            return;
        }
        names.pop();
    }
}

fn inside(value: &DeValue<'_>, range: &Range<usize>, names: &mut Vec<String>) {
    match value {
        DeValue::Table(table) => descend(table, range, names),
        DeValue::Array(items) => {
            for item in items {
                inside(item.get_ref(), range, names);
            }
        }
        _ => {}
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
