//! Where in the file something is wrong: TOML errors know a byte range, operators want line and key.

use std::{collections::BTreeMap, ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{ConfigError, text::of_key};

/// The line of every key of a file, by the key's full name; `policy.rule[2].sender` is the second
/// rule's.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(BTreeMap<String, usize>);

impl Places {
    pub(super) fn of(table: &DeTable<'_>, text: &str) -> Self {
        let mut places = Self::default();
        places.note(table, "", text);
        places
    }

    fn note(&mut self, table: &DeTable<'_>, front: &str, text: &str) {
        for (name, value) in table {
            let key = joined(front, name.get_ref());
            self.0.insert(key.clone(), line(text, name.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => self.note(inner, &key, text),
                DeValue::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        let key = format!("{key}[{}]", at + 1);
                        self.0.insert(key.clone(), line(text, item.span().start));
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.note(inner, &key, text);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The line of a key; of the nearest table around it if the file does not have it.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.0.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

/// A key's full name for people: its line says which of an array's tables is meant.
pub(super) fn shown(key: &str) -> String {
    let parts = key.split('[').enumerate();
    parts.map(|(at, part)| if at == 0 { part } else { after_number(part) }).collect()
}

fn after_number(part: &str) -> &str {
    part.split_once(']').map_or(part, |(_, rest)| rest)
}

fn joined(front: &str, name: &str) -> String {
    if front.is_empty() { name.to_owned() } else { format!("{front}.{name}") }
}

/// The reader's error with line and the full name of the key.
pub(super) fn explain(
    error: &toml::de::Error,
    table: &DeTable<'_>,
    text: &str,
    file: &Path,
) -> ConfigError {
    // What the file as a whole lacks has an empty range at its start.
    let span = error.span().filter(|span| *span != (0..0));
    let mut names = Vec::new();
    let mut at = span.as_ref().map(|span| {
        descend(table, span, &mut names);
        span.start
    });
    let message = error.message().trim().replace('\n', ", ");
    let mut what = message.as_str();
    if let Some((name, rest)) = of_key(what) {
        at = key_in(table, &names, name).map(|span| span.start).or(at);
        // Which of an array's tables is meant, the line tells.
        names.extend((!name.starts_with('[')).then(|| name.to_owned()));
        what = rest;
    }
    let missing = what.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let what = match missing {
        Some(name) => {
            names.push(name.to_owned());
            // Every key of the whole file is a table.
            match names.len() {
                1 => format!("found nothing, expected a table [{name}]"),
                _ => "found nothing, expected this key here".to_owned(),
            }
        }
        None => in_operators_words(what),
    };
    // What is nowhere is missed at the file's end.
    let end = missing.map(|_| text.trim_end().len());
    let line = at.or(end).map(|at| line(text, at));
    ConfigError { file: file.into(), line, key: (!names.is_empty()).then(|| names.join(".")), what }
}

/// An error of a text that is no TOML.
pub(super) fn syntax(error: &toml::de::Error, text: &str, file: &Path) -> ConfigError {
    let line = error.span().map(|span| line(text, span.start));
    let what = error.message().trim().replace('\n', ", ");
    ConfigError { file: file.into(), line, key: None, what }
}

/// The reader says what type it expected in the words of Rust.
fn in_operators_words(what: &str) -> String {
    const WORDS: [(&str, &str); 7] = [
        ("u8", "a whole number from 0 to 255"),
        ("u16", "a whole number from 0 to 65535"),
        ("u64", "a whole number, 0 or more"),
        ("usize", "a whole number, 0 or more"),
        ("a map", "a table"),
        ("a sequence", "an array"),
        ("path string", "a path"),
    ];
    let Some((found, expected)) = what.rsplit_once(", expected ") else { return what.to_owned() };
    let word = WORDS.iter().find(|(rust, _)| *rust == expected).map(|(_, word)| *word);
    let table = expected.starts_with("struct ").then_some("a table");
    format!("{found}, expected {}", word.or(table).unwrap_or(expected))
}

/// Takes out of a table what an error is about, so that what else is wrong can be looked for. Says
/// whether there was anything.
pub(super) fn remove(table: &mut DeTable<'_>, error: &toml::de::Error) -> bool {
    let Some(span) = error.span().filter(|span| *span != (0..0)) else { return false };
    let mut names = Vec::new();
    descend(table, &span, &mut names);
    let message = error.message();
    if let Some((name, _)) = of_key(message)
        && !name.starts_with('[')
        && key_in(table, &names, name).is_some()
    {
        names.push(name.to_owned());
    }
    // A table that lacks a key is left out as a whole.
    let Some((last, around)) = names.split_last() else { return false };
    let Some(table) = table_in(table, around) else { return false };
    let name = table.keys().find(|name| name.get_ref() == last).cloned();
    name.is_some_and(|name| table.remove(&name).is_some())
}

fn table_in<'a, 'i>(table: &'a mut DeTable<'i>, names: &[String]) -> Option<&'a mut DeTable<'i>> {
    let Some((first, rest)) = names.split_first() else { return Some(table) };
    let (_, value) = table.iter_mut().find(|(name, _)| name.get_ref() == first)?;
    match value.get_mut() {
        DeValue::Table(inner) => table_in(inner, rest),
        _ => None,
    }
}

/// Where a key is that a table with these names has; `[2]` is an array's second table.
fn key_in(table: &DeTable<'_>, names: &[String], key: &str) -> Option<Range<usize>> {
    let mut table = table;
    for wanted in names {
        let (_, value) = table.iter().find(|(name, _)| name.get_ref() == wanted)?;
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(items) => {
                let number = key.strip_prefix('[')?.strip_suffix(']')?.parse::<usize>().ok()?;
                return items.get(number.checked_sub(1)?).map(toml::Spanned::span);
            }
            _ => return None,
        }
    }
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span())
}

/// The names of the keys down to the innermost one whose name or value covers the range.
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
