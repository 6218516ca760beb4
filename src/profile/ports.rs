//! PORT, PORTRANGE and DELETE: which ports are reserved, and for whom.
#![forbid(unsafe_code)]

use super::book::{Entered, RESERVATIONS_MAX};
use super::diagnostic::{Code, Severity};
use super::model::{PortOptions, Reservation, Unreserved, User};
use super::parse::{Parser, Stop, begins_statement};
use super::token::{Place, Token};
use crate::ident::Transport;
use std::net::IpAddr;

impl<'a> Parser<'a> {
    pub(super) fn port_list(&mut self, delete: bool) {
        self.entries("PORT", delete, |parser, token, delete| {
            let port = parser.number_of(token.place, token.text, "the port", 1, u16::MAX)?;
            parser.entry(token.place, port, port, false, delete)
        });
    }

    pub(super) fn portrange_list(&mut self, delete: bool) {
        self.entries("PORTRANGE", delete, |parser, token, delete| {
            let first = parser.number_of(token.place, token.text, "the first port", 1, u16::MAX)?;
            let count = parser.number("the number of ports", 1, u16::MAX)?;
            let last = first.checked_add(count - 1).unwrap_or_else(|| {
                let message = format!("PORTRANGE {first} {count} goes past port 65535, where it was cut off");
                let hint = format!("at most {} ports start at {first}", 65_536 - u32::from(first));
                parser.remarks.add(token.place, Severity::Warning, Code::OutOfRange, message, hint);
                u16::MAX
            });
            parser.entry(token.place, first, last, true, delete)
        });
    }

    /// DELETE: of PORT and PORTRANGE entries; of a device or link is nothing to us.
    pub(super) fn delete(&mut self) {
        let Some(token) = self.peek() else {
            let hint = "write DELETE PORT or DELETE PORTRANGE and the entries";
            self.remarks.add(self.tokens.place(), Severity::Warning, Code::Missing, "DELETE of nothing", hint);
            return;
        };
        if token.is("PORT") {
            self.next();
            self.port_list(true);
        } else if token.is("PORTRange") {
            self.next();
            self.portrange_list(true);
        } else if token.is("DEVice") || token.is("LINK") {
            self.next();
            self.skip_statement();
        } else {
            let message = format!("DELETE {}: only PORT, PORTRANGE, DEVICE and LINK are deleted so", token.shown());
            let hint = "an interface is deleted by INTERFACE name DELETE, a DVIPA by VIPADELETE";
            self.remarks.add(token.place, Severity::Error, Code::UnexpectedToken, message, hint);
            self.skip_statement();
        }
    }

    /// Reads entries up to the next statement. A bad entry is lost, those behind it stand: a lost
    /// reservation would free ports.
    fn entries(&mut self, statement: &str, delete: bool, read: fn(&mut Self, Token<'a>, bool) -> Result<(), Stop>) {
        let mut any = false;
        while let Some(token) = self.peek() {
            if token.is_numeric() {
                self.next();
                if read(self, token, delete).is_err() {
                    self.skip_to_entry();
                }
            } else if token.is("UNRSV") && statement == "PORT" {
                self.next();
                if self.unrsv(token.place, delete).is_err() {
                    self.skip_to_entry();
                }
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

    fn transport(&mut self) -> Result<Transport, Stop> {
        let token = self.operand("TCP or UDP")?;
        token.text.parse().map_err(|()| self.not_a(token.place, &token.shown(), "TCP or UDP"))
    }

    fn entry(&mut self, place: Place, first: u16, last: u16, from_range: bool, delete: bool) -> Result<(), Stop> {
        let transport = self.transport()?;
        let user = self.user(from_range)?;
        let (options, data_set, line) = (PortOptions::default(), self.data_set, place.line);
        let (bind, shared) = (None, false);
        let mut entry = Reservation { first, last, transport, user, bind, shared, from_range, options, data_set, line };
        self.options(&mut entry)?;

        let ports = if first == last { format!("port {first}") } else { format!("ports {first} to {last}") };
        if delete {
            if !self.book.remove(&entry) {
                let message = format!("{ports} {transport}: there is no such reservation to delete");
                let hint = "DELETE repeats ports, protocol and user as they were reserved";
                self.remarks.add(place, Severity::Warning, Code::UnknownReservation, message, hint);
            }
            return Ok(());
        }
        match self.book.enter(entry) {
            Entered::Taken => {}
            Entered::Excluded { line, data_set } => {
                let by = if data_set == self.data_set { format!("in line {line}") } else { "earlier".to_owned() };
                let message = format!("{ports} {transport}: reserved {by} already, this entry does not count");
                let hint = "a port may be in PORT or in one PORTRANGE, not in both: remove one entry";
                self.remarks.add(place, Severity::Error, Code::Conflict, message, hint);
                self.remarks.cite("EZZ0326I");
            }
            Entered::Full => {
                let message = format!("more than {RESERVATIONS_MAX} reservations, this one does not count");
                self.remarks.add(place, Severity::Error, Code::TooMany, message, "use PORTRANGE");
            }
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
        Ok(User::Job(self.job_name(&token, "a job name of 1 to 8 characters, or RESERVED")?))
    }

    /// A job name in upper case, perhaps with a `*` at its end.
    pub(super) fn job_name(&mut self, token: &Token<'_>, what: &str) -> Result<String, Stop> {
        let stem = token.text.strip_suffix('*').unwrap_or(token.text);
        let named = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$@#".contains(&byte));
        if !named || token.text.len() > JOB_NAME_MAX || stem.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.not_a(token.place, &token.shown(), what));
        }
        Ok(token.text.to_ascii_uppercase())
    }

    /// The resource name behind SAF: 1 to 8 characters.
    pub(super) fn resource(&mut self) -> Result<String, Stop> {
        let token = self.operand("the resource name of SAF")?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"$@#".contains(&byte);
        let starts_well = !token.text.starts_with(|c: char| c.is_ascii_digit());
        if token.text.len() > JOB_NAME_MAX || !starts_well || !token.text.bytes().all(fits) {
            return Err(self.not_a(token.place, &token.shown(), "a resource name of 1 to 8 characters"));
        }
        Ok(token.text.to_ascii_uppercase())
    }

    fn options(&mut self, entry: &mut Reservation) -> Result<(), Stop> {
        let (mut rank, mut told) = (0, false);
        while let Some(token) = self.peek() {
            let Some(found) = OPTIONS.iter().position(|names| names.iter().any(|name| token.is(name))) else {
                break;
            };
            self.next();
            let value = !token.text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("NO"));
            match found {
                0 => entry.options.no_autolog = true,
                1 => self.one_of_two(token, &mut entry.options.delay_acks, value),
                2 if entry.from_range => self.not_of_a_range(token),
                2 => {
                    entry.shared = true;
                    entry.options.shared_by_wlm = token.is("SHAREPORTWLM");
                }
                3 => {
                    let address = self.address::<IpAddr>("the address of BIND")?;
                    if entry.from_range {
                        self.not_of_a_range(token);
                    } else {
                        entry.bind = Some(address);
                    }
                }
                4 => entry.options.saf = Some(self.resource()?),
                _ => self.one_of_two(token, &mut entry.options.smc, value),
            }
            if found < rank && !std::mem::replace(&mut told, true) {
                let message = format!("{} stands behind a later option", token.shown());
                let hint = "the order is NOAUTOLOG, DELAYACKS, SHAREPORT, BIND, SAF, SMC";
                self.remarks.add(token.place, Severity::Warning, Code::OutOfOrder, message, hint);
            }
            rank = rank.max(found);
            if !matches!(entry.user, User::Job(_)) && !std::mem::replace(&mut told, true) {
                let message = format!("{} has no effect: options need a job name", token.shown());
                self.remarks.add(token.place, Severity::Warning, Code::Conflict, message, "");
            }
        }
        if !matches!(entry.user, User::Job(_)) {
            (entry.bind, entry.shared, entry.options) = (None, false, PortOptions::default());
        }
        Ok(())
    }

    fn one_of_two(&mut self, token: Token<'_>, option: &mut Option<bool>, value: bool) {
        if option.is_some_and(|before| before != value) {
            let message = format!("{} contradicts an earlier option and is ignored", token.shown());
            self.remarks.add(token.place, Severity::Warning, Code::Conflict, message, "remove one of the two");
            self.remarks.cite("EZZ0356I");
        } else {
            *option = Some(value);
        }
    }

    fn not_of_a_range(&mut self, token: Token<'_>) {
        let message = format!("{} is no option of PORTRANGE, ignored", token.shown());
        let hint = "name the port in a PORT statement";
        self.remarks.add(token.place, Severity::Warning, Code::UnexpectedToken, message, hint);
    }

    /// `UNRSV TCP|UDP job|* [DENY|SAF resource] [WHENLISTEN|WHENBIND]`.
    fn unrsv(&mut self, place: Place, delete: bool) -> Result<(), Stop> {
        let transport = self.transport()?;
        let token = self.operand("a job name or *")?;
        let job = self.job_name(&token, "a job name of 1 to 8 characters, or *")?;
        let (mut deny, mut saf, mut when_bind) = (false, None, transport == Transport::Udp);
        if self.accept("DENY") {
            deny = true;
        } else if self.accept("SAF") {
            saf = Some(self.resource()?);
        }
        if let Some(token) = self.peek().filter(|token| token.is("WHENLISTEN") || token.is("WHENBIND")) {
            self.next();
            when_bind = token.is("WHENBIND");
            if !when_bind && transport == Transport::Udp {
                let hint = "UDP ports are checked at bind only";
                return Err(self.fault(token.place, Code::Conflict, "WHENLISTEN cannot stand with UDP", hint));
            }
        }
        let key = (transport, job.clone());
        if delete {
            if self.unreserved.remove(&key).is_none() {
                let message = format!("UNRSV {transport} {job}: there is no such entry to delete");
                let hint = "DELETE repeats protocol and job name as they were given";
                self.remarks.add(place, Severity::Warning, Code::UnknownReservation, message, hint);
            }
            return Ok(());
        }
        if deny && job != "*" {
            let hint = "to deny all but some jobs, name those jobs without DENY and add UNRSV with * DENY";
            self.remarks.add(place, Severity::Error, Code::Conflict, "DENY can stand with job name * only", hint);
            self.remarks.cite("EZZ0146I");
            return Ok(());
        }
        // TCP entries come first in the map, and all of them agree.
        let other = self.unreserved.iter().take(2).find(|(known, _)| **known != key).map(|(_, entry)| entry);
        let disagrees = |entry: &&Unreserved| entry.transport == transport && entry.when_bind != when_bind;
        if transport == Transport::Tcp && other.filter(disagrees).is_some() {
            let message = "all UNRSV TCP entries must be checked at the same time, WHENLISTEN or WHENBIND";
            let hint = "this entry does not count; write the same word on all of them";
            self.remarks.add(place, Severity::Error, Code::Conflict, message, hint);
            self.remarks.cite("EZZ0147I");
            return Ok(());
        }
        let (data_set, line) = (self.data_set, place.line);
        self.unreserved.insert(key, Unreserved { transport, job, deny, saf, when_bind, data_set, line });
        Ok(())
    }
}

const JOB_NAME_MAX: usize = 8;

/// The options in the order that z/OS wants.
const OPTIONS: [&[&str]; 6] = [
    &["NOAUTOLog"],
    &["DELAYAcks", "NODELAYAcks"],
    &["SHAREPort", "SHAREPORTWLM"],
    &["BIND"],
    &["SAF"],
    &["SMC", "NOSMC", "SMCR", "NOSMCR", "SMCD", "NOSMCD"],
];
