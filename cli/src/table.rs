//! A **table** for people: aligned columns, one line for each row, without control sequences for a terminal.

use std::fmt::{self, Display, Write as _};

use crate::terminal::escaped;

/// The maximum length of a text in a cell of a list.
const MAX_LENGTH: usize = 72;

/// Rows of cells under a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        let heading = heading.map(str::to_owned);
        Self {
            rows: vec![heading.into()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, "{cell:width$}  ")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text from the database as part of a line: line breaks and tabs become spaces, and other control characters are escaped here
/// already, so that the widths of columns are right.
pub(crate) fn plain(text: &str) -> String {
    escaped(&text.replace(['\n', '\r', '\t'], " "))
}

/// The same, cut to the width of a cell.
pub(crate) fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_LENGTH).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    plain(&cut)
}

/// The value if there is one, or a dash.
pub(crate) fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number and its noun: `1 delivery`, `2 deliveries`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_spaces() {
        let mut table = Table::new(["ID", "ERROR"]);
        table.row(["äbc".into(), "-".into()]);
        table.row(["d".into(), String::new()]);
        assert_eq!(table.to_string(), "ID   ERROR\näbc  -\nd\n");
    }

    #[test]
    fn control_sequences_are_escaped_and_a_long_text_is_cut() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\0"), "a\\u{1b}[2Jb c\\u{0}");
        assert_eq!(short(&"ä".repeat(100)).chars().count(), MAX_LENGTH + 1);
    }
}
