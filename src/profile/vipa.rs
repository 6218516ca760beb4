//! VIPADYNAMIC … ENDVIPADYNAMIC: which DVIPAs this stack owns or backs up.
//!
//! A syntax error ends the block: statements before it stand, the rest is not read. What is
//! well-formed and cannot be (an address defined twice, a DVIPA that is not there) loses only that
//! statement.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::model::{DvipaDefinition, Moveable, Role};
use super::parse::{Entry, Parser, Stop, begins_statement};
use super::token::{Place, Token};
use crate::ident::Dvipa;
use crate::ident::DvipaError;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Most DVIPAs of one stack.
pub const DVIPAS_MAX: usize = 1_024;

pub(super) const END: &str = "ENDVIPAdynamic";

const PARTS: &[&str] =
    &["VIPADEFine", "VIPABackup", "VIPADELete", "VIPADISTribute", "VIPARange", "VIPAROUTE", "VIPASMparms"];

/// Whether `token` begins a statement of the block or ends it.
pub(super) fn begins_part(token: &Token<'_>) -> bool {
    token.is(END) || PARTS.iter().any(|part| token.is(part))
}

impl<'a> Parser<'a> {
    pub(super) fn vipadynamic(&mut self, begin: Token<'a>) {
        while let Some(token) = self.next() {
            let read = if token.is(END) {
                return;
            } else if token.is("VIPADEFine") {
                self.vipadefine()
            } else if token.is("VIPABackup") {
                self.vipabackup()
            } else if token.is("VIPADELete") {
                self.vipadelete()
            } else if token.is("VIPADISTribute") {
                self.vipadistribute(token)
            } else if begins_part(&token) {
                self.skip_part();
                Ok(())
            } else {
                Err(self.stray(&token))
            };
            if let Err(Stop) = read {
                return self.leave_block(begin);
            }
        }
        self.unclosed(begin, "ENDVIPADYNAMIC");
    }

    /// After a syntax error: up to the end of the block, nothing is read.
    fn leave_block(&mut self, begin: Token<'a>) {
        while let Some(token) = self.next() {
            if token.is(END) {
                return;
            }
        }
        self.unclosed(begin, "ENDVIPADYNAMIC");
    }

    fn stray(&mut self, token: &Token<'_>) -> Stop {
        let message = format!("{} cannot stand here: the rest of the VIPADYNAMIC block is ignored", token.shown());
        let hint = if begins_statement(token) {
            "put ENDVIPADYNAMIC before this statement"
        } else {
            "expected a VIPA statement or ENDVIPADYNAMIC; a syntax error ends the block"
        };
        self.fault(token.place, Code::UnexpectedToken, message, hint)
    }

    fn skip_part(&mut self) {
        while self.peek().is_some_and(|token| !begins_part(&token)) {
            self.next();
        }
    }

    /// Takes the next word as an operand within the block.
    pub(super) fn vipa_operand(&mut self, what: &str) -> Result<Token<'a>, Stop> {
        match self.peek() {
            Some(token) if begins_part(&token) => {
                let hint = "the statement above is not complete; a syntax error ends the block";
                Err(self.fault(token.place, Code::Missing, format!("{what} is missing"), hint))
            }
            _ => self.operand(what),
        }
    }

    fn vipadefine(&mut self) -> Result<(), Stop> {
        self.tier();
        let moveable = self.moveable()?;
        self.accept("SERVICEMGR");
        self.definitions(Role::Define, moveable.unwrap_or_default(), true)
    }

    fn vipabackup(&mut self) -> Result<(), Stop> {
        let mut rank = 1;
        if let Some(token) = self.peek().filter(|token| token.text.bytes().all(|byte| byte.is_ascii_digit())) {
            self.next();
            let number = self.number_of(token.place, token.text, "the rank of VIPABACKUP", 1, 254)?;
            rank = u8::try_from(number).unwrap_or(rank);
        }
        self.tier();
        let moveable = self.moveable()?;
        self.accept("SERVICEMGR");
        self.definitions(Role::Backup { rank }, moveable.unwrap_or_default(), moveable.is_some())
    }

    fn tier(&mut self) {
        let _ = self.accept("TIER1") || self.accept("TIER2");
        self.accept("CPCSCOPE");
    }

    fn moveable(&mut self) -> Result<Option<Moveable>, Stop> {
        if !self.accept("MOVEable") {
            return Ok(None);
        }
        if self.accept("IMMEDiate") {
            return Ok(Some(Moveable::Immediate));
        }
        if self.accept("WHENIDLE") {
            return Ok(Some(Moveable::WhenIdle));
        }
        let token = self.vipa_operand("IMMEDIATE or WHENIDLE")?;
        Err(self.not_a(token.place, &token.shown(), "IMMEDIATE or WHENIDLE"))
    }

    /// IPv4: an address mask (where the form has one) and one or more addresses. IPv6: an
    /// interface name and one address, with or without a prefix length.
    fn definitions(&mut self, role: Role, moveable: Moveable, masked: bool) -> Result<(), Stop> {
        let order = self.next_order();
        let token = self.vipa_operand("an address")?;
        let define = |parser: &mut Self, place: Place, dvipa, interface| {
            let line = place.line;
            let (sysplexports, distributions) = (false, Vec::new());
            parser.define(
                place,
                order,
                DvipaDefinition { dvipa, interface, role, moveable, sysplexports, distributions, line },
            );
        };
        let Ok(address) = token.text.parse::<Ipv4Addr>() else {
            if token.is_numeric() {
                return Err(self.not_a(token.place, &token.shown(), "an IPv4 address or an interface name"));
            }
            let interface = self.interface_name(&token)?;
            let token = self.vipa_operand("the IPv6 address")?;
            let (text, prefix) = token.text.split_once('/').unwrap_or((token.text, "128"));
            let fits = prefix.parse::<u8>().is_ok_and(|bits| (1..=128).contains(&bits));
            let (Ok(address), true) = (text.parse::<Ipv6Addr>(), fits) else {
                return Err(self.not_a(token.place, &token.shown(), "an IPv6 address, or one with /1 to /128"));
            };
            let dvipa = self.dvipa(&token, Dvipa::new(address.into()))?;
            define(self, token.place, dvipa, Some(interface));
            return Ok(());
        };
        let mut next = Some(token);
        if masked {
            let bits = u32::from(address);
            if bits.leading_ones() + bits.trailing_zeros() != 32 {
                return Err(self.not_a(token.place, &token.shown(), "an address mask such as 255.255.255.0"));
            }
            next = Some(self.vipa_operand("the DVIPA behind the mask")?);
        }
        while let Some(token) = next {
            let Ok(address) = token.text.parse::<Ipv4Addr>() else {
                return Err(self.not_a(token.place, &token.shown(), "an IPv4 address"));
            };
            let dvipa = self.dvipa(&token, Dvipa::new(address.into()))?;
            define(self, token.place, dvipa, None);
            next = self.next_numeric();
        }
        Ok(())
    }

    /// Takes the next word if it starts as a number does.
    pub(super) fn next_numeric(&mut self) -> Option<Token<'a>> {
        self.peek().filter(Token::is_numeric)?;
        self.next()
    }

    fn dvipa(&mut self, token: &Token<'_>, made: Result<Dvipa, DvipaError>) -> Result<Dvipa, Stop> {
        made.map_err(|fault| self.fault(token.place, Code::BadValue, fault.to_string(), ""))
    }

    fn interface_name(&mut self, token: &Token<'_>) -> Result<String, Stop> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"$@#_".contains(&byte);
        if token.text.len() > INTERFACE_NAME_MAX || !token.text.bytes().all(fits) {
            return Err(self.not_a(token.place, &token.shown(), "an interface name of 1 to 16 characters"));
        }
        Ok(token.text.to_ascii_uppercase())
    }

    fn define(&mut self, place: Place, order: u32, definition: DvipaDefinition) {
        let dvipa = definition.dvipa;
        if let Some(earlier) = self.dvipas.get(&dvipa) {
            let message = format!("{dvipa} is defined in line {} already", earlier.definition.line);
            let hint = "one VIPADEFINE or VIPABACKUP per DVIPA, unless VIPADELETE comes between them";
            self.remarks.add(place, Severity::Error, Code::Duplicate, message, hint);
            return;
        }
        if let Some(interface) = definition.interface.as_ref().filter(|name| self.interfaces.contains_key(*name)) {
            let message = format!("interface {interface} has a DVIPA already");
            self.remarks.add(place, Severity::Error, Code::Duplicate, message, "choose another interface name");
            return;
        }
        if self.dvipas.len() >= DVIPAS_MAX {
            let message = format!("{dvipa}: a stack has at most {DVIPAS_MAX} DVIPAs");
            self.remarks.add(place, Severity::Error, Code::TooMany, message, "");
            return;
        }
        if let Some(interface) = &definition.interface {
            self.interfaces.insert(interface.clone(), dvipa);
        }
        self.dvipas.insert(dvipa, Entry { order, definition, was_distributed: false });
    }

    fn vipadelete(&mut self) -> Result<(), Stop> {
        let mut next = Some(self.vipa_operand("an address or interface name")?);
        while let Some(token) = next {
            let dvipa = self.named_dvipa(&token)?;
            let entry = dvipa.and_then(|dvipa| self.dvipas.remove(&dvipa));
            if let Some(interface) = entry.and_then(|entry| entry.definition.interface) {
                self.interfaces.remove(&interface);
            }
            next = self.next_numeric();
        }
        Ok(())
    }

    /// The DVIPA that a statement names by IPv4 address or IPv6 interface; `None`, and told, if
    /// this stack has no such DVIPA.
    pub(super) fn named_dvipa(&mut self, token: &Token<'_>) -> Result<Option<Dvipa>, Stop> {
        let dvipa = if token.is_numeric() {
            let Ok(address) = token.text.parse::<Ipv4Addr>() else {
                return Err(self.not_a(token.place, &token.shown(), "an IPv4 address or an interface name"));
            };
            Some(self.dvipa(token, Dvipa::new(address.into()))?).filter(|dvipa| self.dvipas.contains_key(dvipa))
        } else {
            let interface = self.interface_name(token)?;
            self.interfaces.get(&interface).copied()
        };
        if dvipa.is_none() {
            let message = format!("{} is no DVIPA of this stack, the statement does not count for it", token.shown());
            let hint = "put its VIPADEFINE or VIPABACKUP before this statement";
            self.remarks.add(token.place, Severity::Error, Code::UnknownDvipa, message, hint);
        }
        Ok(dvipa)
    }
}

const INTERFACE_NAME_MAX: usize = 16;
