//! Text into words: blanks, line ends and comments only separate them.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Remarks, Severity};
use std::str::Chars;

/// A place in the text, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place,
    /// Whether it is the first word of its line.
    pub(super) first: bool,
}

impl Token<'_> {
    /// Whether the word is `keyword`, whose upper-case letters and digits are the least that must
    /// be written: `VIPADEFine` is met by `vipadef` and `VIPADEFI`.
    pub(super) fn is(&self, keyword: &str) -> bool {
        let least = keyword.bytes().take_while(|byte| !byte.is_ascii_lowercase()).count();
        let written = self.text.len();
        written >= least && keyword.get(..written).is_some_and(|start| start.eq_ignore_ascii_case(self.text))
    }

    /// Whether the word is `keyword` in full.
    pub(super) fn is_full(&self, keyword: &str) -> bool {
        keyword.eq_ignore_ascii_case(self.text)
    }

    /// Whether the word starts as numbers and IPv4 addresses do.
    pub(super) fn is_numeric(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit())
    }

    /// The word as a message shows it: at most 40 characters.
    pub(super) fn shown(&self) -> String {
        match self.text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", &self.text[..end]),
            None => self.text.to_owned(),
        }
    }
}

const SHOWN_MAX: usize = 40;

/// The words of a text, one at a time with one word of lookahead.
pub(super) struct Tokens<'a> {
    rest: Chars<'a>,
    place: Place,
    first: bool,
    peeked: Option<Option<Token<'a>>>,
    told: Told,
}

/// Oddities that are told once per text.
#[derive(Default)]
struct Told {
    carriage_return: bool,
    nul: bool,
    sequence_number: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), place: Place::START, first: true, peeked: None, told: Told::default() }
    }

    /// The next word, which stays.
    pub(super) fn peek(&mut self, remarks: &mut Remarks) -> Option<Token<'a>> {
        if let Some(token) = self.peeked {
            return token;
        }
        let token = self.read(remarks);
        self.peeked = Some(token);
        token
    }

    /// Takes the next word.
    pub(super) fn next(&mut self, remarks: &mut Remarks) -> Option<Token<'a>> {
        let token = self.peek(remarks);
        self.peeked = None;
        token
    }

    /// Where the text read so far ends.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    fn read(&mut self, remarks: &mut Remarks) -> Option<Token<'a>> {
        loop {
            let character = self.rest.clone().next()?;
            match character {
                '\n' | '\r' | '\u{85}' => self.end_line(character, remarks),
                ';' => self.skip_comment(),
                '\0' if !self.told.nul => {
                    self.told.nul = true;
                    let message = "a NUL character, read as a blank";
                    let hint = "check that the file is text and was transferred whole";
                    remarks.add(self.place, Severity::Warning, Code::Nul, message, hint);
                    self.step();
                }
                _ if is_blank(character) => self.step(),
                _ => {
                    let token = self.word(remarks);
                    if !self.is_sequence_number(&token, remarks) {
                        return Some(token);
                    }
                }
            }
        }
    }

    fn word(&mut self, remarks: &mut Remarks) -> Token<'a> {
        let (place, text) = (self.place, self.rest.as_str());
        let first = std::mem::replace(&mut self.first, false);
        let ends = |c: char| is_blank(c) || c == ';';
        let word = &text[..text.find(ends).unwrap_or(text.len())];
        self.rest = text[word.len()..].chars();
        let columns = u32::try_from(word.chars().count()).unwrap_or(u32::MAX);
        self.place.column = self.place.column.saturating_add(columns);
        if self.rest.as_str().starts_with(';') {
            let message = "a comment starts without a blank before it";
            remarks.add(self.place, Severity::Warning, Code::MissingBlank, message, "put a blank before the `;`");
        }
        Token { text: word, place, first }
    }

    /// Columns 73 to 80 of a card image: eight digits that are no part of the statement.
    fn is_sequence_number(&mut self, token: &Token<'_>, remarks: &mut Remarks) -> bool {
        let digits = token.text.len() == 8 && token.text.bytes().all(|byte| byte.is_ascii_digit());
        if token.place.column != SEQUENCE_COLUMN || !digits {
            return false;
        }
        if !std::mem::replace(&mut self.told.sequence_number, true) {
            let message = format!("sequence number {} in columns 73 to 80, skipped", token.text);
            let hint = "profiles must not have sequence numbers: remove them from all lines";
            remarks.add(token.place, Severity::Warning, Code::SequenceNumber, message, hint);
        }
        true
    }

    fn end_line(&mut self, character: char, remarks: &mut Remarks) {
        if character == '\r' {
            if !std::mem::replace(&mut self.told.carriage_return, true) {
                let message = "a carriage return, read as a line end";
                let hint = "convert line ends to LF before the profile goes to z/OS";
                remarks.add(self.place, Severity::Note, Code::CarriageReturn, message, hint);
            }
            if self.rest.as_str().starts_with("\r\n") {
                self.rest.next();
            }
        }
        self.rest.next();
        self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        self.first = true;
    }

    fn skip_comment(&mut self) {
        let text = self.rest.as_str();
        let end = text.find(['\n', '\r', '\u{85}']).unwrap_or(text.len());
        self.rest = text[end..].chars();
    }

    fn step(&mut self) {
        self.rest.next();
        self.place.column = self.place.column.saturating_add(1);
    }
}

const SEQUENCE_COLUMN: u32 = 73;

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> (Vec<(String, u32, u32, bool)>, Remarks) {
        let (mut tokens, mut remarks) = (Tokens::new(text), Remarks::default());
        let mut found = Vec::new();
        while let Some(token) = tokens.next(&mut remarks) {
            found.push((token.text.to_owned(), token.place.line, token.place.column, token.first));
        }
        (found, remarks)
    }

    #[test]
    fn words_know_their_line_and_column() {
        let (found, remarks) = words("PORT ; all\n  4035 TCP\tRSED\n\n;x\nä HOME");
        let expected = [
            ("PORT", 1, 1, true),
            ("4035", 2, 3, true),
            ("TCP", 2, 8, false),
            ("RSED", 2, 12, false),
            ("ä", 5, 1, true),
            ("HOME", 5, 3, false),
        ];
        assert_eq!(found, expected.map(|(text, line, column, first)| (text.to_owned(), line, column, first)));
        assert!(remarks.finish().is_empty());
    }

    #[test]
    fn oddities_are_told_once_each() {
        let card = format!("{:<72}00000100\r\n{:<72}00000200\rA\0B\0C D;e", "PORT", " 23 TCP X");
        let (found, remarks) = words(&card);
        let found: Vec<_> = found.iter().map(|(text, line, ..)| (text.as_str(), *line)).collect();
        let expected = [("PORT", 1), ("23", 2), ("TCP", 2), ("X", 2), ("A", 3), ("B", 3), ("C", 3), ("D", 3)];
        assert_eq!(found, expected);
        let codes: Vec<_> = remarks.finish().iter().map(|remark| remark.code).collect();
        assert_eq!(codes, [Code::SequenceNumber, Code::CarriageReturn, Code::Nul, Code::MissingBlank]);
    }

    #[test]
    fn an_abbreviation_has_at_least_the_upper_case_letters() {
        let token = |text| Token { text, place: Place::START, first: true };
        for good in ["VIPADEF", "vipadef", "VipaDefi", "VIPADEFINE"] {
            assert!(token(good).is("VIPADEFine"), "{good}");
        }
        for bad in ["VIPADE", "VIPADEFINED", "VIPADELETE", "", "VIPADÉF"] {
            assert!(!token(bad).is("VIPADEFine"), "{bad}");
        }
        assert!(token("IPCONFIG6").is("IPCONFIG6") && !token("IPCONFIG6").is("IPCONFig"));
        assert_eq!(token(&"é".repeat(50)).shown().chars().count(), 41);
    }
}
