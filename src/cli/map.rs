//! A map of the 1,024 groups of one list, for people: one character each, 64 in a row.
//!
//! A letter is a stack, capital where it holds all 64 ports of the group and small where it holds
//! some. Colour helps, and is never the only sign: without it the map says the same.
#![forbid(unsafe_code)]

use super::state::List;
use crate::ident::GroupNumber;
use crate::ident::PortMask;
use anstyle::AnsiColor;
use anstyle::Style;
use std::fmt::Write as _;

/// Groups in one row: 4,096 ports.
const GROUPS_PER_ROW: usize = 64;

/// What one group shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Nobody holds a port of it.
    #[default]
    Free,
    /// One stack, named by its place in the legend, holds all of it, or some.
    Held {
        /// Place in [`Map::stacks`].
        stack: usize,
        /// All 64 ports.
        whole: bool,
    },
    /// Two or more stacks hold disjoint parts.
    Shared,
    /// No port is held, some are in quarantine.
    Quarantine,
    /// No stack may have a port of it: reserved by every profile, or outside the pool's range.
    Excluded,
}

/// One line of the legend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Its name.
    pub(crate) name: String,
    /// Groups in which it holds ports.
    pub(crate) groups: u32,
    /// Ports it holds.
    pub(crate) ports: u32,
}

/// The groups of one list and who is on them.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    /// By group.
    pub(crate) cells: Vec<Cell>,
    /// In the order of their letters.
    pub(crate) stacks: Vec<Stack>,
}

impl Map {
    /// A map on which everything is free.
    pub(crate) fn new(stacks: Vec<Stack>) -> Self {
        Self { cells: vec![Cell::Free; usize::from(GroupNumber::COUNT)], stacks }
    }

    /// The map of a list.
    pub(crate) fn of_list(list: &List) -> Self {
        let mut map = Self::new(Vec::with_capacity(list.members.len()));
        for ports in &list.quarantine {
            map.cells[ports.group.index()] = Cell::Quarantine;
        }
        for (stack, member) in list.members.iter().enumerate() {
            let mut mine = vec![0_u64; usize::from(GroupNumber::COUNT)];
            for held in &member.grants {
                mine[held.group.index()] |= held.mask.0;
            }
            for (cell, mask) in map.cells.iter_mut().zip(&mine).filter(|(_, mask)| **mask != 0) {
                *cell = match *cell {
                    Cell::Held { .. } | Cell::Shared => Cell::Shared,
                    _ => Cell::Held { stack, whole: *mask == u64::MAX },
                };
            }
            let groups = mine.iter().filter(|mask| **mask != 0).count();
            map.stacks.push(Stack {
                name: member.connector.to_string(),
                groups: u32::try_from(groups).unwrap_or(u32::MAX),
                ports: member.ports(),
            });
        }
        map
    }

    /// Only these ports can be granted: free groups without any of them are not shown as free.
    pub(crate) fn keep(&mut self, allowed: impl Fn(GroupNumber) -> PortMask) {
        for (cell, group) in self.cells.iter_mut().zip(GroupNumber::all()) {
            if *cell == Cell::Free && allowed(group).is_empty() {
                *cell = Cell::Excluded;
            }
        }
    }

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

/// Sign and style of a cell. Stacks beyond the letters share one sign.
fn look(cell: Cell) -> (char, Style) {
    match cell {
        Cell::Free => ('.', Style::new().dimmed()),
        Cell::Excluded => (' ', Style::new()),
        Cell::Shared => ('+', Style::new().bold()),
        Cell::Quarantine => ('~', Style::new().fg_color(Some(AnsiColor::BrightBlack.into()))),
        Cell::Held { stack, whole } => {
            let letter =
                u8::try_from(stack).ok().filter(|place| *place < 26).map_or('#', |place| char::from(b'A' + place));
            let sign = if whole { letter } else { letter.to_ascii_lowercase() };
            let colour = COLOURS[stack % COLOURS.len()];
            let style = Style::new().fg_color(Some(colour.into()));
            (sign, if whole { style.bold() } else { style })
        }
    }
}

/// Told apart on dark and on light terminals; yellow and white are not.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Green, AnsiColor::Blue, AnsiColor::Magenta, AnsiColor::Cyan, AnsiColor::Red, AnsiColor::BrightBlue];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample::items;
    use crate::cli::state::State;

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
