//! Tables for people: columns as wide as their longest cell, two spaces between.

use std::io::{self, Write};

use anstyle::Style;

use super::styles::{self, Colours};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    /// Whether cells stand at its right edge, as numbers do.
    pub(crate) right: bool,
}

/// A text in its style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) style: Style,
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), style: Style::new() }
    }
}

/// How wide the columns of a table are.
#[derive(Debug)]
pub(crate) struct Layout<'c> {
    columns: &'c [Column],
    widths: Vec<usize>,
}

impl<'c> Layout<'c> {
    /// As these rows need it.
    pub(crate) fn of(columns: &'c [Column], rows: &[Vec<Cell>]) -> Self {
        let width = |position: usize| {
            let cells = rows.iter().filter_map(|row| row.get(position));
            let cells = cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default();
            cells.max(columns[position].heading.len())
        };
        Self { columns, widths: (0..columns.len()).map(width).collect() }
    }

    /// Writes the headings.
    pub(crate) fn write_headings(&self, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
        let cells = self
            .columns
            .iter()
            .map(|column| Cell { text: column.heading.to_owned(), style: styles::HEADING });
        self.write_row(&cells.collect::<Vec<_>>(), colours, out)
    }

    /// Writes a row.
    pub(crate) fn write_row(
        &self,
        row: &[Cell],
        colours: Colours,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // Spaces are written when something follows them.
        let mut spaces = 0;
        for ((cell, column), width) in row.iter().zip(self.columns).zip(&self.widths) {
            let missing = width.saturating_sub(cell.text.chars().count());
            let (before, behind) = if column.right { (missing, 0) } else { (0, missing) };
            spaces += before;
            if !cell.text.is_empty() {
                write!(out, "{:spaces$}{}", "", colours.paint(cell.style, &cell.text))?;
                spaces = 0;
            }
            spaces += behind + 2;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let columns = [("NAME", false), ("PODS", true), ("WHY", false)]
            .map(|(heading, right)| Column { heading, right });
        let rows: Vec<Vec<Cell>> = vec![
            vec!["a".into(), 12345.into(), "so".into()],
            vec!["größer".into(), 1.into(), "".into()],
        ];
        let layout = Layout::of(&columns, &rows);
        let mut out = Vec::new();
        layout.write_headings(Colours::NONE, &mut out).expect("it is written");
        for row in &rows {
            layout.write_row(row, Colours::NONE, &mut out).expect("it is written");
        }
        let text = String::from_utf8(out).expect("it is UTF-8");
        assert_eq!(text, "NAME     PODS  WHY\na       12345  so\ngrößer      1\n");
    }
}
