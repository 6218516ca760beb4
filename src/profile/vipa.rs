//! VIPADYNAMIC … ENDVIPADYNAMIC: which DVIPAs this stack owns or backs up.
//!
//! A syntax error ends the block: statements before it stand, the rest is not read. What is
//! well-formed and cannot be (an address defined twice, a DVIPA that is not there) loses only that
//! statement.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::parse::{Entry, Parser, Stop, begins_statement};
use super::token::{Place, Token};
use super::vipa_model::{DvipaDefinition, Moveable, Role, Tier};
use crate::ident::Dvipa;
use crate::ident::DvipaError;
use std::net::IpAddr;
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
            } else if token.is("VIPARange") {
                self.viparange()
            } else if token.is("VIPAROUTE") {
                self.viparoute()
            } else if token.is("VIPASMparms") {
                self.vipasmparms(token)
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
        let (tier, cpc_scope) = self.tier()?;
        let moveable = self.moveable()?.unwrap_or_default();
        let service_manager = self.accept("SERVICEMGR");
        let creates = false;
        self.definitions(Form { role: Role::Define, tier, cpc_scope, moveable, creates, service_manager }, true)
    }

    fn vipabackup(&mut self) -> Result<(), Stop> {
        let mut rank = 1;
        if let Some(token) = self.peek().filter(|token| token.text.bytes().all(|byte| byte.is_ascii_digit())) {
            self.next();
            let number = self.number_of(token.place, token.text, "the rank of VIPABACKUP", 1, 254)?;
            rank = u8::try_from(number).unwrap_or(rank);
        }
        let (tier, cpc_scope) = self.tier()?;
        let moveable = self.moveable()?;
        let (role, creates) = (Role::Backup { rank }, moveable.is_some());
        let service_manager = creates && self.accept("SERVICEMGR");
        let moveable = moveable.unwrap_or_default();
        self.definitions(Form { role, tier, cpc_scope, moveable, creates, service_manager }, creates)
    }

    fn tier(&mut self) -> Result<(Option<Tier>, bool), Stop> {
        let tier = if self.accept("TIER1") {
            Some(Tier::One)
        } else if self.accept("TIER2") {
            Some(Tier::Two)
        } else {
            None
        };
        let scope = self.peek().filter(|token| token.is("CPCSCOPE"));
        if let (Some(token), Some(Tier::One)) = (scope, tier) {
            let hint = "CPCSCOPE stands alone or behind TIER2";
            return Err(self.fault(token.place, Code::Conflict, "CPCSCOPE cannot stand with TIER1", hint));
        }
        Ok((tier, self.accept("CPCSCOPE")))
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
    fn definitions(&mut self, form: Form, masked: bool) -> Result<(), Stop> {
        let token = self.vipa_operand("an address")?;
        let Ok(address) = token.text.parse::<Ipv4Addr>() else {
            if token.is_numeric() {
                return Err(self.not_a(token.place, &token.shown(), "an IPv4 address or an interface name"));
            }
            return self.definition6(form, &token);
        };
        let mut prefix = None;
        let mut next = Some(token);
        if masked {
            prefix = Some(self.mask(&token, address)?);
            next = Some(self.vipa_operand("the DVIPA behind the mask")?);
        }
        while let Some(token) = next {
            let Ok(address) = token.text.parse::<Ipv4Addr>() else {
                return Err(self.not_a(token.place, &token.shown(), "an IPv4 address"));
            };
            let dvipa = self.dvipa(&token, Dvipa::new(address.into()))?;
            self.define(token.place, form.of(dvipa, None, prefix));
            next = self.next_numeric();
        }
        Ok(())
    }

    fn definition6(&mut self, form: Form, name: &Token<'a>) -> Result<(), Stop> {
        let interface = self.interface_name(name)?;
        if form.moveable == Moveable::WhenIdle || form.service_manager {
            let message = "WHENIDLE and SERVICEMGR are for IPv4 DVIPAs only";
            return Err(self.fault(name.place, Code::Conflict, message, "write MOVEABLE IMMEDIATE, or nothing"));
        }
        let token = self.vipa_operand("the IPv6 address")?;
        let (address, prefix) = self.address6(&token)?;
        let dvipa = self.dvipa(&token, Dvipa::new(address.into()))?;
        self.define(token.place, form.of(dvipa, Some(interface), prefix));
        Ok(())
    }

    /// An IPv6 address, perhaps with a prefix length behind a slash.
    pub(super) fn address6(&mut self, token: &Token<'_>) -> Result<(Ipv6Addr, Option<u8>), Stop> {
        let (text, prefix) = match token.text.split_once('/') {
            Some((text, bits)) => (text, Some(bits.parse::<u8>().ok().filter(|bits| (1..=128).contains(bits)))),
            None => (token.text, None),
        };
        match (text.parse::<Ipv6Addr>(), prefix) {
            (Ok(address), None) if address.to_ipv4_mapped().is_none() => Ok((address, None)),
            (Ok(address), Some(Some(bits))) if address.to_ipv4_mapped().is_none() => Ok((address, Some(bits))),
            _ => Err(self.not_a(token.place, &token.shown(), "an IPv6 address, or one with /1 to /128")),
        }
    }

    /// The bits of an address mask.
    pub(super) fn mask(&mut self, token: &Token<'_>, mask: Ipv4Addr) -> Result<u8, Stop> {
        let bits = u32::from(mask);
        match u8::try_from(bits.leading_ones()) {
            Ok(ones) if u32::from(ones) + bits.trailing_zeros() == 32 => Ok(ones),
            _ => Err(self.not_a(token.place, &token.shown(), "an address mask such as 255.255.255.0")),
        }
    }

    /// Takes the next word if it starts as a number does.
    pub(super) fn next_numeric(&mut self) -> Option<Token<'a>> {
        self.peek().filter(Token::is_numeric)?;
        self.next()
    }

    pub(super) fn dvipa(&mut self, token: &Token<'_>, made: Result<Dvipa, DvipaError>) -> Result<Dvipa, Stop> {
        made.map_err(|fault| self.fault(token.place, Code::BadValue, fault.to_string(), ""))
    }

    /// An interface name in upper case: 1 to 16 characters, and no word of the block.
    pub(super) fn interface_name(&mut self, token: &Token<'_>) -> Result<String, Stop> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"$@#_".contains(&byte);
        let named = token.text.len() <= INTERFACE_NAME_MAX && token.text.bytes().all(fits) && !token.is_numeric();
        if !named || NO_NAMES.iter().any(|keyword| token.is(keyword)) {
            return Err(self.not_a(token.place, &token.shown(), "an interface name of 1 to 16 characters"));
        }
        Ok(token.text.to_ascii_uppercase())
    }

    /// Takes a definition. One of this data set stands against a second; one of an earlier data set
    /// is brought up to date, with its distribution, where that is possible.
    fn define(&mut self, place: Place, mut definition: DvipaDefinition) {
        let dvipa = definition.dvipa;
        (definition.data_set, definition.line) = (self.data_set, place.line);
        if self.dvipas.contains_key(&dvipa) {
            return self.redefine(place, definition);
        }
        if let Some(interface) = definition.interface.as_ref().filter(|name| self.interfaces.contains_key(*name)) {
            let message = format!("interface {interface} has a DVIPA already");
            self.remarks.add(place, Severity::Error, Code::Duplicate, message, "choose another interface name");
            self.remarks.cite("EZZ9654I");
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
        let order = self.next_order();
        self.dvipas.insert(dvipa, Entry { order, definition, place: Some(place), ruling: None });
    }

    fn redefine(&mut self, place: Place, mut new: DvipaDefinition) {
        let Some(entry) = self.dvipas.get_mut(&new.dvipa) else { return };
        let (dvipa, old) = (new.dvipa, &mut entry.definition);
        if old.data_set == new.data_set {
            let message = format!("{dvipa} is defined in line {} already", old.line);
            let hint = "one VIPADEFINE or VIPABACKUP per DVIPA, unless VIPADELETE comes between them";
            self.remarks.add(place, Severity::Error, Code::Duplicate, message, hint);
            return;
        }
        let fixed = if old.role == Role::Define && new.role != Role::Define {
            Some("this stack owns it, and cannot become its backup")
        } else if old.interface != new.interface {
            Some("its interface cannot change")
        } else if old.prefix.is_some() && new.prefix.is_some() && old.prefix != new.prefix {
            Some("its address mask or prefix cannot change")
        } else {
            None
        };
        if let Some(reason) = fixed {
            let message = format!("{dvipa} is active: {reason} while it is defined");
            let hint = "delete it with VIPADELETE first";
            self.remarks.add(place, Severity::Error, Code::NotWhileRunning, message, hint);
            return;
        }
        new.distributions = std::mem::take(&mut old.distributions);
        new.sysplexports = old.sysplexports;
        *old = new;
        entry.place = Some(place);
    }

    /// A DVIPA cannot have the address that dynamic XCF gave this stack.
    pub(super) fn drop_dynamic_xcf_addresses(&mut self, end: Place) {
        let own = [self.profile.ip.dynamic_xcf, self.profile.ip6.dynamic_xcf.map(IpAddr::V6)];
        for address in own.into_iter().flatten() {
            let Ok(dvipa) = Dvipa::new(address) else { continue };
            let Some(entry) = self.dvipas.remove(&dvipa) else { continue };
            if let Some(interface) = &entry.definition.interface {
                self.interfaces.remove(interface);
            }
            let message = format!("{dvipa} is this stack's DYNAMICXCF address and cannot be a DVIPA");
            let hint = "other addresses of the statement stand; give the DVIPA an address of its own";
            self.remarks.add(entry.place.unwrap_or(end), Severity::Error, Code::Duplicate, message, hint);
            self.remarks.cite("EZZ8307I");
        }
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

/// What VIPADEFINE and VIPABACKUP say of all their addresses.
#[derive(Clone, Copy)]
struct Form {
    role: Role,
    tier: Option<Tier>,
    cpc_scope: bool,
    moveable: Moveable,
    creates: bool,
    service_manager: bool,
}

impl Form {
    fn of(self, dvipa: Dvipa, interface: Option<String>, prefix: Option<u8>) -> DvipaDefinition {
        let Self { role, tier, cpc_scope, moveable, creates, service_manager } = self;
        DvipaDefinition {
            dvipa,
            interface,
            prefix,
            role,
            moveable,
            creates,
            tier,
            cpc_scope,
            service_manager,
            sysplexports: false,
            distributions: Vec::new(),
            data_set: 0,
            line: 0,
        }
    }
}

const INTERFACE_NAME_MAX: usize = 16;

/// Words that an interface cannot be called, because they mean something where its name stands.
#[rustfmt::skip]
const NO_NAMES: &[&str] = &[
    "VIPADEFine", "VIPABackup", "VIPADELete", "VIPADISTribute", "VIPARange", "VIPAROUTE", "VIPASMparms",
    "ENDVIPAdynamic", "TIER1", "TIER2", "CPCSCOPE", "MOVEable", "IMMEDiate", "WHENIDLE", "SERVICEMGR", "DEFINE",
    "DELEte", "NONDISRUPTive", "DISRUPTive", "DISTMethod", "SYSPLEXPorts", "TIMEDAFFinity", "OPTLOCAL", "NOOPTLOCAL",
    "PROCTYPE", "PROCXCOST", "ILWEIGHTING", "AUTOSWITCHBack", "NOAUTOSWITCHBack", "HEALTHSWitch", "NOHEALTHSWitch",
    "CP", "ZAAP", "ZIIP", "GRE", "ENCAP", "CONTROLPORT", "PORT", "DESTIP", "SAF", "ZCX", "JOBNAME", "DESTINATION",
    "ENDSRCIP", "TEMPADDRS", "PUBLICADDRS", "CLIENT", "SERVER", "BOTH",
];
