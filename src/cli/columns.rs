//! Text in columns that are as wide as what stands in them.
#![forbid(unsafe_code)]

/// Rows under titles.
pub(crate) struct Columns {
    titles: Vec<String>,
    /// Whether a column is set flush right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// One letter of `sides` per title: `l` or `r`.
    pub(crate) fn new(titles: &[&str], sides: &str) -> Self {
        assert_eq!(titles.len(), sides.len(), "one side per column");
        let right = sides.bytes().map(|side| side == b'r').collect();
        Self { titles: titles.iter().map(|&title| title.to_owned()).collect(), right, rows: Vec::new() }
    }

    /// Adds a row; as many cells as titles.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.titles.len(), "one cell per column");
        self.rows.push(cells);
    }

    /// All of it, two blanks between columns, no blanks at the end of a line.
    pub(crate) fn render(&self) -> String {
        let lines = || std::iter::once(&self.titles).chain(&self.rows);
        let widths: Vec<usize> = (0..self.titles.len())
            .map(|column| lines().map(|cells| cells[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for cells in lines() {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .zip(&self.right)
                .map(
                    |((cell, &width), &right)| {
                        if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    },
                )
                .collect();
            text.push_str(padded.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}
