//! PORT and PORTRANGE: which ports are reserved, and for whom.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::model::{Reservation, User};
use super::parse::{Parser, Stop, begins_statement};
use super::token::{Place, Token};
use crate::ident::Transport;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most entries of PORT and PORTRANGE that are kept.
pub const RESERVATIONS_MAX: usize = 131_072;

/// Ports that earlier entries reserved, by transport: each port (PORT) or range (PORTRANGE) with
/// the line of its first entry.
#[derive(Default)]
pub(super) struct Taken {
    ports: [BTreeMap<u16, u32>; 2],
    ranges: [BTreeMap<u16, (u16, u32)>; 2],
}

impl Taken {
    /// The line of an entry that excludes this one. PORT may name a port several times, for several
    /// jobs; everything else may be named once.
    fn conflict(&self, transport: Transport, first: u16, last: u16, from_range: bool) -> Option<u32> {
        let ranges = &self.ranges[transport.index()];
        let before = ranges.range(..=last).next_back().filter(|(_, (end, _))| *end >= first);
        let range = before.map(|(_, (_, line))| *line);
        let ports = &self.ports[transport.index()];
        let port = || ports.range(first..=last).next().map(|(_, line)| *line);
        range.or_else(|| if from_range { port() } else { None })
    }

    fn take(&mut self, entry: &Reservation) {
        let index = entry.transport.index();
        if entry.from_range {
            self.ranges[index].insert(entry.first, (entry.last, entry.line));
        } else {
            self.ports[index].entry(entry.first).or_insert(entry.line);
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn port_list(&mut self) {
        self.entries("PORT", |parser, token| {
            let port = parser.number_of(token.place, token.text, "the port", 1, u16::MAX)?;
            parser.entry(token.place, port, port, false)
        });
    }

    pub(super) fn portrange_list(&mut self) {
        self.entries("PORTRANGE", |parser, token| {
            let first = parser.number_of(token.place, token.text, "the first port", 1, u16::MAX)?;
            let count = parser.number("the number of ports", 1, u16::MAX)?;
            let last = first.checked_add(count - 1).unwrap_or_else(|| {
                let message = format!("PORTRANGE {first} {count} goes past port 65535, where it was cut off");
                let hint = format!("at most {} ports start at {first}", 65_536 - u32::from(first));
                parser.remarks.add(token.place, Severity::Warning, Code::OutOfRange, message, hint);
                u16::MAX
            });
            parser.entry(token.place, first, last, true)
        });
    }

    /// Reads entries up to the next statement. A bad entry is lost, those behind it stand: a lost
    /// reservation would free ports.
    fn entries(&mut self, statement: &str, read: fn(&mut Self, Token<'a>) -> Result<(), Stop>) {
        let mut any = false;
        while let Some(token) = self.peek() {
            if token.is_numeric() {
                self.next();
                if read(self, token).is_err() {
                    self.skip_to_entry();
                }
            } else if token.is("UNRSV") {
                self.next();
                self.skip_unrsv();
            } else if begins_statement(&token) {
                break;
            } else {
                self.next();
                let message = format!("{} is not an entry of {statement}", token.shown());
                let hint = "an entry is a port number, TCP or UDP, and a job name or RESERVED";
                self.remarks.add(token.place, Severity::Error, Code::UnexpectedToken, message, hint);
                self.skip_to_entry();
            }
            any = true;
        }
        if !any {
            let message = format!("{statement} without an entry");
            self.remarks.add(self.tokens.place(), Severity::Warning, Code::Missing, message, "");
        }
    }

    /// Skips what is left of a bad entry: the next one starts with a number that stands first on its
    /// line or behind a word.
    fn skip_to_entry(&mut self) {
        while let Some(token) = self.peek() {
            let entry = token.is_numeric() && (token.first || self.behind_word);
            if entry || token.is("UNRSV") || begins_statement(&token) {
                return;
            }
            self.next();
        }
    }

    /// PORT UNRSV acts on explicit binds to ports that nobody reserved: nothing to us.
    fn skip_unrsv(&mut self) {
        while let Some(token) = self.peek() {
            if token.is_numeric() || token.is("UNRSV") || begins_statement(&token) {
                return;
            }
            self.next();
        }
    }

    fn entry(&mut self, place: Place, first: u16, last: u16, from_range: bool) -> Result<(), Stop> {
        let token = self.operand("TCP or UDP")?;
        let Ok(transport) = token.text.parse() else {
            return Err(self.not_a(token.place, &token.shown(), "TCP or UDP"));
        };
        let user = self.user(from_range)?;
        let mut entry =
            Reservation { first, last, transport, user, bind: None, shared: false, from_range, line: place.line };
        self.options(&mut entry)?;

        if let Some(line) = self.taken.conflict(transport, first, last, from_range) {
            let ports = if first == last { format!("port {first}") } else { format!("ports {first} to {last}") };
            let message = format!("{ports} {transport}: reserved in line {line} already, this entry does not count");
            let hint = "a port may be in PORT or in one PORTRANGE, not in both: remove one entry";
            self.remarks.add(place, Severity::Error, Code::Conflict, message, hint);
        } else if self.profile.reservations.len() >= RESERVATIONS_MAX {
            let message = format!("more than {RESERVATIONS_MAX} reservations, this one does not count");
            self.remarks.add(place, Severity::Error, Code::TooMany, message, "use PORTRANGE");
        } else {
            self.taken.take(&entry);
            self.profile.reservations.push(entry);
        }
        Ok(())
    }

    fn user(&mut self, from_range: bool) -> Result<User, Stop> {
        let token = self.operand("a job name or RESERVED")?;
        if token.is("RESERVED") {
            return Ok(User::Nobody);
        }
        if from_range && token.is("AUTHPORT") {
            return Ok(User::AuthPort);
        }
        let stem = token.text.strip_suffix('*').unwrap_or(token.text);
        let named = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$@#".contains(&byte));
        if !named || token.text.len() > JOB_NAME_MAX || stem.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.not_a(token.place, &token.shown(), "a job name of 1 to 8 characters, or RESERVED"));
        }
        Ok(User::Job(token.text.to_ascii_uppercase()))
    }

    fn options(&mut self, entry: &mut Reservation) -> Result<(), Stop> {
        while let Some(token) = self.peek() {
            if token.is("SHAREPort") || token.is("SHAREPORTWLM") {
                entry.shared = true;
                self.next();
            } else if token.is("BIND") {
                self.next();
                entry.bind = Some(self.address::<IpAddr>("the address of BIND")?);
            } else if token.is("SAF") {
                self.next();
                self.operand("the resource name of SAF")?;
            } else if OPTIONS_OTHER.iter().any(|option| token.is(option)) {
                self.next();
            } else {
                return Ok(());
            }
        }
        Ok(())
    }
}

const JOB_NAME_MAX: usize = 8;

const OPTIONS_OTHER: &[&str] =
    &["NOAUTOLog", "DELAYAcks", "NODELAYAcks", "SMC", "NOSMC", "SMCR", "NOSMCR", "SMCD", "NOSMCD"];
