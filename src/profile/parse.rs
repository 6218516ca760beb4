//! The parser: finds statements, hands each to the module that knows it, skips the others.
//!
//! It starts from what earlier data sets came to: nothing for a profile, the running stack's profile
//! for a data set that is obeyed. Every loop takes a word each time round: the time is linear in the
//! text.
#![forbid(unsafe_code)]

use super::book::Book;
use super::diagnostic::{Code, Remarks, Severity};
use super::model::{Profile, Unreserved};
use super::statements::{Kind, ends_skipped, statement};
use super::token::{Place, Token, Tokens};
use super::vipa_model::{DvipaDefinition, VipaRange, VipaRoute};
use crate::ident::Dvipa;
use crate::ident::Transport;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

pub(super) use super::statements::begins_statement;

/// The parser's state: the words to come, and what those before came to.
pub(super) struct Parser<'a> {
    pub(super) tokens: Tokens<'a>,
    pub(super) remarks: Remarks,
    pub(super) profile: Profile,
    pub(super) dvipas: BTreeMap<Dvipa, Entry>,
    /// IPv6 DVIPAs by interface name, in upper case.
    pub(super) interfaces: BTreeMap<String, Dvipa>,
    pub(super) book: Book,
    pub(super) unreserved: BTreeMap<(Transport, String), Unreserved>,
    pub(super) ranges: BTreeMap<(IpAddr, u8), VipaRange>,
    pub(super) routes: BTreeMap<IpAddr, VipaRoute>,
    /// Whether this data set had an SRCIP block.
    pub(super) srcip_seen: bool,
    /// Which data set is read: 0 is the profile.
    pub(super) data_set: u16,
    /// VIPADISTRIBUTE DELETE statements so far that took only a part away.
    pub(super) partial_deletes: usize,
    /// Whether the last word taken was not a number.
    pub(super) behind_word: bool,
    /// Words taken and things compared: what the time is linear in.
    pub(super) steps: u64,
    statements: u32,
}

/// A DVIPA while its statements are read.
pub(super) struct Entry {
    /// How many statements came before its own.
    pub(super) order: u32,
    pub(super) definition: DvipaDefinition,
    /// Where this data set defines it.
    pub(super) place: Option<Place>,
    /// Whether SYSPLEXPORTS is on, settled by the first VIPADISTRIBUTE that was processed: an earlier
    /// data set's if anything was distributed when this one started, else this one's first.
    pub(super) ruling: Option<bool>,
}

/// A syntax error, told already: the rest of the list is not read.
pub(super) struct Stop;

impl<'a> Parser<'a> {
    /// Reads `text` on top of `base`, as data set number `data_set`.
    pub(super) fn new(text: &'a str, remarks: Remarks, base: Profile, data_set: u16) -> Self {
        let mut profile = base;
        let (mut dvipas, mut interfaces, mut statements) = (BTreeMap::new(), BTreeMap::new(), 0);
        for definition in std::mem::take(&mut profile.dvipas) {
            statements += 1;
            if let Some(interface) = &definition.interface {
                interfaces.insert(interface.clone(), definition.dvipa);
            }
            let ruling = (!definition.distributions.is_empty()).then_some(definition.sysplexports);
            dvipas.insert(definition.dvipa, Entry { order: statements, definition, place: None, ruling });
        }
        let unreserved = std::mem::take(&mut profile.unreserved);
        let ranges = std::mem::take(&mut profile.ranges);
        let routes = std::mem::take(&mut profile.routes);
        Self {
            tokens: Tokens::new(text),
            remarks,
            book: Book::new(std::mem::take(&mut profile.reservations)),
            unreserved: unreserved.into_iter().map(|entry| ((entry.transport, entry.job.clone()), entry)).collect(),
            ranges: ranges.into_iter().map(|range| ((range.address, range.prefix), range)).collect(),
            routes: routes.into_iter().map(|route| (route.dynamic_xcf, route)).collect(),
            profile,
            dvipas,
            interfaces,
            srcip_seen: false,
            data_set,
            partial_deletes: 0,
            behind_word: false,
            steps: 0,
            statements,
        }
    }

    pub(super) fn run(mut self) -> (Profile, Remarks, u64) {
        while let Some(token) = self.next() {
            match statement(&token) {
                Some(Kind::VipaDynamic) => self.vipadynamic(token),
                Some(Kind::IpConfig) => self.ipconfig(),
                Some(Kind::IpConfig6) => self.ipconfig6(),
                Some(Kind::GlobalConfig) => self.globalconfig(),
                Some(Kind::TcpConfig) => self.tcpconfig(),
                Some(Kind::UdpConfig) => self.udpconfig(),
                Some(Kind::Port) => self.port_list(false),
                Some(Kind::PortRange) => self.portrange_list(false),
                Some(Kind::Delete) => self.delete(),
                Some(Kind::SourceIp) => self.srcip(token),
                Some(Kind::Include) => {
                    let message = "INCLUDE is not followed: what the other data set reserves is not known here";
                    let hint = "put the included statements in its place";
                    self.remarks.add(token.place, Severity::Warning, Code::Include, message, hint);
                    self.skip_statement();
                }
                Some(Kind::Skip | Kind::Old) => self.skip_statement(),
                Some(Kind::Block(end)) => self.skip_block(token, end),
                None => {
                    let message = format!("{} is not a statement, skipped", token.shown());
                    let hint = "if it is a parameter, an earlier word ended its statement";
                    self.remarks.add(token.place, Severity::Warning, Code::UnknownStatement, message, hint);
                    self.skip_statement();
                }
            }
        }
        self.finish()
    }

    fn finish(mut self) -> (Profile, Remarks, u64) {
        let end = self.tokens.place();
        if self.profile.ip.tcp_stack_source_vipa.is_some() && !self.profile.ip.source_vipa {
            self.profile.ip.tcp_stack_source_vipa = None;
            self.source_vipa_missing(end, "IPCONFIG");
        }
        if self.profile.ip6.tcp_stack_source_vipa.is_some() && !self.profile.ip6.source_vipa {
            self.profile.ip6.tcp_stack_source_vipa = None;
            self.source_vipa_missing(end, "IPCONFIG6");
        }
        self.drop_dynamic_xcf_addresses(end);
        let mut entries: Vec<Entry> = self.dvipas.into_values().collect();
        entries.sort_by_key(|entry| entry.order);
        self.profile.dvipas = entries.into_iter().map(|entry| entry.definition).collect();
        for definition in self.profile.dvipas.iter_mut().filter(|definition| definition.distributions.is_empty()) {
            definition.sysplexports = false;
        }
        self.profile.reservations = self.book.into_entries();
        self.profile.unreserved = self.unreserved.into_values().collect();
        self.profile.ranges = self.ranges.into_values().collect();
        self.profile.routes = self.routes.into_values().collect();
        self.profile.data_sets = self.data_set;
        (self.profile, self.remarks, self.steps)
    }

    fn source_vipa_missing(&mut self, end: Place, statement: &str) {
        let message = format!("TCPSTACKSOURCEVIPA without SOURCEVIPA on {statement} has no effect");
        let hint = format!("add SOURCEVIPA to {statement}");
        self.remarks.add(end, Severity::Warning, Code::Conflict, message, hint);
    }

    /// Skips to the next statement: a statement's name at the start of a line, or in full anywhere.
    pub(super) fn skip_statement(&mut self) {
        while self.peek().is_some_and(|token| !ends_skipped(&token)) {
            self.next();
        }
    }

    fn skip_block(&mut self, begin: Token<'_>, end: &str) {
        while let Some(token) = self.next() {
            if token.is_full(end) {
                return;
            }
        }
        self.unclosed(begin, end);
    }

    /// Tells that a block has no end.
    pub(super) fn unclosed(&mut self, begin: Token<'_>, end: &str) {
        let message = format!("no {end} follows: all the rest of the profile was taken as part of this block");
        let hint = format!("put {end} behind the block's last statement");
        self.remarks.add(begin.place, Severity::Error, Code::Unclosed, message, hint);
    }

    pub(super) fn peek(&mut self) -> Option<Token<'a>> {
        self.tokens.peek(&mut self.remarks)
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.next(&mut self.remarks)?;
        self.steps += 1;
        self.behind_word = !token.is_numeric();
        Some(token)
    }

    /// Takes the next word if it is `keyword`.
    pub(super) fn accept(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(keyword));
        if found {
            self.next();
        }
        found
    }

    /// Tells an error and stops the list.
    pub(super) fn fault(
        &mut self,
        place: Place,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Stop {
        self.remarks.add(place, Severity::Error, code, message, hint);
        Stop
    }

    /// Takes the next word as an operand; a missing one is an error, and so is one that begins
    /// another statement.
    pub(super) fn operand(&mut self, what: &str) -> Result<Token<'a>, Stop> {
        match self.peek() {
            Some(token) if !(token.first && begins_statement(&token)) => {
                self.next();
                Ok(token)
            }
            other => {
                let place = other.map_or(self.tokens.place(), |token| token.place);
                let hint = "the statement above is not complete";
                Err(self.fault(place, Code::Missing, format!("{what} is missing"), hint))
            }
        }
    }

    /// Takes the next word as a number from `least` to `most`.
    pub(super) fn number(&mut self, what: &str, least: u16, most: u16) -> Result<u16, Stop> {
        let token = self.operand(what)?;
        self.number_of(token.place, token.text, what, least, most)
    }

    /// Reads `text` as a number from `least` to `most`.
    pub(super) fn number_of(
        &mut self,
        place: Place,
        text: &str,
        what: &str,
        least: u16,
        most: u16,
    ) -> Result<u16, Stop> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let shown = Token { text, place, first: false }.shown();
        if !digits {
            return Err(self.not_a(place, &shown, &format!("{what}, a number from {least} to {most}")));
        }
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                let message = format!("{what} {shown} is outside {least} to {most}");
                Err(self.fault(place, Code::OutOfRange, message, ""))
            }
        }
    }

    /// Tells that `shown` is no `expected`.
    pub(super) fn not_a(&mut self, place: Place, shown: &str, expected: &str) -> Stop {
        let hint = if shown.contains('&') { "resolve system symbols before the profile is read" } else { "" };
        self.fault(place, Code::BadValue, format!("{shown} is not {expected}"), hint)
    }

    /// Takes the next word as an address.
    pub(super) fn address<T: std::str::FromStr>(&mut self, what: impl fmt::Display) -> Result<T, Stop> {
        let token = self.operand(&what.to_string())?;
        token.text.parse().map_err(|_| self.not_a(token.place, &token.shown(), &what.to_string()))
    }

    /// The place of a new statement in the order of the text.
    pub(super) fn next_order(&mut self) -> u32 {
        self.statements = self.statements.saturating_add(1);
        self.statements
    }
}
