//! A map of the 1,024 groups of one list, for people: one character each, 64 in a row.
//!
//! A letter is a stack, capital where it holds all 64 ports of the group and small where it holds
//! some. Colour helps, and is never the only sign: without it the map says the same.
#![forbid(unsafe_code)]

pub(crate) use crate::shapes::map::Cell;
pub(crate) use crate::shapes::map::Map;
pub(crate) use crate::shapes::map::Stack;

use anstyle::AnsiColor;
use anstyle::Style;
use std::fmt::Write as _;

/// Groups in one row: 4,096 ports.
const GROUPS_PER_ROW: usize = 64;

impl Map {
    /// The map and its legend as lines, with styles.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let dim = Style::new().dimmed();
        let _ = writeln!(text, "{dim}  port  {}{dim:#}", ruler());
        for (row, cells) in self.cells.chunks(GROUPS_PER_ROW).enumerate() {
            let first = row * GROUPS_PER_ROW * usize::from(crate::ident::PORTS_PER_GROUP);
            let _ = write!(text, "{dim}{first:>6}{dim:#}  ");
            self.render_cells(cells, &mut text);
            text.push('\n');
        }
        text.push('\n');
        self.render_legend(&mut text);
        text
    }

    /// One run of styles per run of equal cells: a map is a few hundred bytes of escapes, not ten
    /// thousand.
    fn render_cells(&self, cells: &[Cell], text: &mut String) {
        for run in cells.chunk_by(|left, right| left == right) {
            let (sign, style) = look(run[0]);
            let _ = write!(text, "{style}");
            text.extend(std::iter::repeat_n(sign, run.len()));
            let _ = write!(text, "{style:#}");
        }
    }

    fn render_legend(&self, text: &mut String) {
        let width = self.stacks.iter().map(|stack| stack.name.chars().count()).max().unwrap_or(0);
        for (place, stack) in self.stacks.iter().enumerate() {
            let (sign, style) = look(Cell::Held { stack: place, whole: true });
            let Stack { name, groups, ports } = stack;
            let plural = if *groups == 1 { " " } else { "s" };
            let _ = writeln!(
                text,
                "        {style}{sign}{style:#}  {name:<width$}  {groups:>4} group{plural} {ports:>6} ports"
            );
        }
        let mut signs = Vec::new();
        let mut note = |cell: Cell, meaning: &str| {
            if self.cells.contains(&cell) {
                let (sign, style) = look(cell);
                signs.push(format!("{style}{sign}{style:#} {meaning}"));
            }
        };
        note(Cell::Shared, "several stacks");
        note(Cell::Quarantine, "quarantine");
        note(Cell::Excluded, "reserved");
        note(Cell::Free, "free");
        if self.cells.iter().any(|cell| matches!(cell, Cell::Held { whole: false, .. })) {
            signs.insert(0, "small letter: part of a group".to_owned());
        }
        let _ = writeln!(text, "        {}", signs.join("   "));
    }
}

/// A mark at every 8th group.
fn ruler() -> String {
    "|.......".repeat(GROUPS_PER_ROW / 8)
}

/// Sign and style of a cell.
fn look(cell: Cell) -> (char, Style) {
    let style = match cell {
        Cell::Free => Style::new().dimmed(),
        Cell::Excluded => Style::new(),
        Cell::Shared => Style::new().bold(),
        Cell::Quarantine => Style::new().fg_color(Some(AnsiColor::BrightBlack.into())),
        Cell::Held { stack, whole } => {
            let style = Style::new().fg_color(Some(COLOURS[stack % COLOURS.len()].into()));
            if whole { style.bold() } else { style }
        }
    };
    (cell.sign(), style)
}

/// Told apart on dark and on light terminals; yellow and white are not.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Green, AnsiColor::Blue, AnsiColor::Magenta, AnsiColor::Cyan, AnsiColor::Red, AnsiColor::BrightBlue];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::sample::items;
    use crate::shapes::state::State;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_group_is_found_by_its_row_and_place() {
        let map = Map::of_list(&State::new(items()).lists[0]);
        let text = plain(&map.render());
        let row = text.lines().find(|line| line.starts_with(" 40960  ")).expect("16 rows");
        // 40,960 is group 640: 700 to 703 stand at places 60 to 63.
        assert_eq!(row, format!(" 40960  {}A+b~", ".".repeat(60)));
        assert_eq!(text.lines().filter(|line| line.len() == 8 + 64 && !line.contains('|')).count(), 16);
        assert!(text.contains("A  SYS1.TCPIP     2 groups     72 ports"), "{text}");
        assert!(text.contains("B  SYS2.TCPIP     2 groups      9 ports"), "{text}");
        assert!(text.contains("small letter: part of a group   + several stacks   ~ quarantine   . free"), "{text}");
    }

    #[test]
    fn colour_is_never_the_only_sign() {
        let map = Map::of_list(&State::new(items()).lists[0]);
        let text = map.render();
        assert!(text.contains('\u{1b}'));
        assert!(!plain(&text).contains('\u{1b}'));
    }

    #[test]
    fn a_hundred_stacks_still_have_a_map() {
        let mut map = Map::new(vec![Stack::default(); 100]);
        for (place, cell) in map.cells.iter_mut().enumerate() {
            *cell = Cell::Held { stack: place % 100, whole: true };
        }
        let text = plain(&map.render());
        assert!(text.contains("ABCDEFGHIJKLMNOPQRSTUVWXYZ####"), "{text}");
    }
}
