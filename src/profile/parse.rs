//! The parser: finds statements, hands each to the module that knows it, skips the others.
//!
//! A statement ends where the next one begins, so the names of all statements are known here, also
//! of those that mean nothing to us. Every loop takes a word each time round: the time is linear in
//! the text.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Remarks, Severity};
use super::model::{DvipaDefinition, Profile};
use super::ports::Taken;
use super::token::{Place, Token, Tokens};
use crate::ident::Dvipa;
use std::collections::BTreeMap;
use std::fmt;

/// The parser's state: the words to come, and what those before came to.
pub(super) struct Parser<'a> {
    pub(super) tokens: Tokens<'a>,
    pub(super) remarks: Remarks,
    pub(super) profile: Profile,
    pub(super) dvipas: BTreeMap<Dvipa, Entry>,
    /// IPv6 DVIPAs by interface name, in upper case.
    pub(super) interfaces: BTreeMap<String, Dvipa>,
    pub(super) taken: Taken,
    /// Whether the last word taken was not a number.
    pub(super) behind_word: bool,
    statements: u32,
}

/// A DVIPA while its statements are read.
pub(super) struct Entry {
    /// How many statements came before its own.
    pub(super) order: u32,
    pub(super) definition: DvipaDefinition,
    /// Whether a VIPADISTRIBUTE of this text was processed for it, also one deleted since.
    pub(super) was_distributed: bool,
}

/// A syntax error, told already: the rest of the list is not read.
pub(super) struct Stop;

/// What a statement means to us.
#[derive(Clone, Copy)]
enum Kind {
    VipaDynamic,
    IpConfig,
    GlobalConfig,
    TcpConfig,
    UdpConfig,
    Port,
    PortRange,
    Include,
    /// Nothing, up to the next statement.
    Skip,
    /// Nothing, up to the word that ends the block.
    Block(&'static str),
}

/// Every statement of a TCP/IP profile, upper-case letters being the least that is written.
/// Source: z/OS Communications Server IP Configuration Reference, "TCP/IP profile (PROFILE.TCPIP)
/// and configuration statements".
const STATEMENTS: &[(&str, Kind)] = &[
    ("VIPADynamic", Kind::VipaDynamic),
    ("IPCONFig", Kind::IpConfig),
    ("GLOBALCONFig", Kind::GlobalConfig),
    ("TCPCONFIG", Kind::TcpConfig),
    ("UDPCONFIG", Kind::UdpConfig),
    ("PORT", Kind::Port),
    ("PORTRange", Kind::PortRange),
    ("INCLUDE", Kind::Include),
    ("ARPAGE", Kind::Skip),
    ("ATMARPSV", Kind::Skip),
    ("ATMLIS", Kind::Skip),
    ("ATMPVC", Kind::Skip),
    ("DELETE", Kind::Skip),
    ("DEVICE", Kind::Skip),
    ("GATEWAY", Kind::Skip),
    ("HOME", Kind::Skip),
    ("INTERFACE", Kind::Skip),
    ("IPCONFIG6", Kind::Skip),
    ("ITRACE", Kind::Skip),
    ("LINK", Kind::Skip),
    ("NETMONITOR", Kind::Skip),
    ("OSAENTA", Kind::Skip),
    ("PKTTRACE", Kind::Skip),
    ("PRIMARYINTERFACE", Kind::Skip),
    ("SACONFIG", Kind::Skip),
    ("SMFCONFIG", Kind::Skip),
    ("SMFPARMS", Kind::Skip),
    ("SOMAXCONN", Kind::Skip),
    ("START", Kind::Skip),
    ("STOP", Kind::Skip),
    ("TRANSLATE", Kind::Skip),
    ("ASSORTEDPARMS", Kind::Block("ENDASSORTEDPARMS")),
    ("AUTOLOG", Kind::Block("ENDAUTOLOG")),
    ("BEGINROUTES", Kind::Block("ENDROUTES")),
    ("BEGINVTAM", Kind::Block("ENDVTAM")),
    ("BSDROUTINGPARMS", Kind::Block("ENDBSDROUTINGPARMS")),
    ("DEFADDRTABLE", Kind::Block("ENDDEFADDRTABLE")),
    ("IPSEC", Kind::Block("ENDIPSEC")),
    ("KEEPALIVEOPTIONS", Kind::Block("ENDKEEPALIVEOPTIONS")),
    ("NETACCESS", Kind::Block("ENDNETACCESS")),
    ("SRCIP", Kind::Block("ENDSRCIP")),
    ("TELNETGLOBALS", Kind::Block("ENDTELNETGLOBALS")),
    ("TELNETPARMS", Kind::Block("ENDTELNETPARMS")),
];

fn statement(token: &Token<'_>) -> Option<Kind> {
    STATEMENTS.iter().find(|(name, _)| token.is(name)).map(|(_, kind)| *kind)
}

/// Whether `token` begins a statement.
pub(super) fn begins_statement(token: &Token<'_>) -> bool {
    statement(token).is_some()
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, remarks: Remarks) -> Self {
        Self {
            tokens: Tokens::new(text),
            remarks,
            profile: Profile::default(),
            dvipas: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            taken: Taken::default(),
            behind_word: false,
            statements: 0,
        }
    }

    pub(super) fn run(mut self) -> (Profile, Remarks) {
        while let Some(token) = self.next() {
            match statement(&token) {
                Some(Kind::VipaDynamic) => self.vipadynamic(token),
                Some(Kind::IpConfig) => self.ipconfig(),
                Some(Kind::GlobalConfig) => self.globalconfig(),
                Some(Kind::TcpConfig) => self.tcpconfig(),
                Some(Kind::UdpConfig) => self.udpconfig(),
                Some(Kind::Port) => self.port_list(),
                Some(Kind::PortRange) => self.portrange_list(),
                Some(Kind::Include) => {
                    let message = "INCLUDE is not followed: what the other data set reserves is not known here";
                    let hint = "put the included statements in its place";
                    self.remarks.add(token.place, Severity::Warning, Code::Include, message, hint);
                    self.skip_statement(false);
                }
                Some(Kind::Skip) => self.skip_statement(true),
                Some(Kind::Block(end)) => self.skip_block(token, end),
                None => {
                    let message = format!("{} is not a statement, skipped", token.shown());
                    let hint = "if it is a parameter, an earlier word ended its statement";
                    self.remarks.add(token.place, Severity::Warning, Code::UnknownStatement, message, hint);
                    self.skip_statement(false);
                }
            }
        }
        self.finish()
    }

    fn finish(mut self) -> (Profile, Remarks) {
        if self.profile.ip.tcp_stack_source_vipa.is_some() && !self.profile.ip.source_vipa {
            self.profile.ip.tcp_stack_source_vipa = None;
            let message = "TCPSTACKSOURCEVIPA without SOURCEVIPA has no effect";
            let hint = "add SOURCEVIPA to IPCONFIG";
            self.remarks.add(self.tokens.place(), Severity::Warning, Code::Conflict, message, hint);
        }
        let mut entries: Vec<Entry> = self.dvipas.into_values().collect();
        entries.sort_by_key(|entry| entry.order);
        self.profile.dvipas = entries.into_iter().map(|entry| entry.definition).collect();
        (self.profile, self.remarks)
    }

    /// Skips to the next statement: a statement's name at the start of a line, or in full anywhere
    /// but, with `spare_next`, right behind the present one's (`DELETE PORT 4035 …`).
    pub(super) fn skip_statement(&mut self, spare_next: bool) {
        let mut spare = spare_next;
        while let Some(token) = self.peek() {
            let full = || STATEMENTS.iter().any(|(name, _)| token.is_full(name));
            let begins = if token.first { begins_statement(&token) } else { !spare && full() };
            if begins {
                return;
            }
            spare = false;
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
