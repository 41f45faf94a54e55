//! Columns for people. Numbers stand at the right, so that their digits are under each other.

use super::{Failure, say};

/// Where a column's texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table that is printed when it is whole: only then the widths are known.
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a text for each column.
    pub(super) fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        self.rows.push(texts.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        self.lines().iter().try_for_each(say)
    }

    fn lines(&self) -> Vec<String> {
        let head: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |at: usize| {
            let lengths = all.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count());
            lengths.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        all.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells =
            row.iter().zip(widths).zip(&self.columns).map(
                |((text, width), (_, side))| match side {
                    Side::Left => format!("{text:<width$}"),
                    Side::Right => format!("{text:>width$}"),
                },
            );
        let line: Vec<String> = cells.collect();
        line.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_each_other_and_nothing_is_cut() {
        let mut table = Table::new(&[("NAME", Side::Left), ("SUM", Side::Right), ("", Side::Left)]);
        let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        table.row(["é".into(), "7".into(), String::new()]);
        table.row(["longer".into(), most.into(), "x".into()]);
        let lines = table.lines();
        assert_eq!(lines[0], format!("NAME    {:>78}", "SUM"));
        assert_eq!(lines[1], format!("é       {:>78}", "7"));
        assert_eq!(lines[2], format!("longer  {most}  x"));
    }
}
