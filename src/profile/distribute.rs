//! VIPADISTRIBUTE: what is distributed, to whom, and whether source ports are assigned
//! sysplex-wide.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::model::{Destination, Destinations, DistMethod, Distribution, Part};
use super::parse::{Parser, Stop};
use super::token::Token;
use crate::ident::Dvipa;
use std::net::IpAddr;

/// Most VIPADISTRIBUTE statements of one DVIPA that are kept.
pub const DISTRIBUTIONS_MAX: usize = 1_024;

const METHODS: &[(&str, DistMethod)] = &[
    ("BASEWLM", DistMethod::BaseWlm),
    ("ROUNDROBIN", DistMethod::RoundRobin),
    ("SERVERWLM", DistMethod::ServerWlm),
    ("WEIGHTEDActive", DistMethod::WeightedActive),
    ("HOTSTANDBY", DistMethod::HotStandby),
    ("TARGControlled", DistMethod::TargControlled),
];

const METHOD_SWITCHES: &[&str] = &["AUTOSWITCHBack", "NOAUTOSWITCHBack", "HEALTHSWitch", "NOHEALTHSWitch"];

/// What stands before the address, in any order.
#[derive(Default)]
struct Options<'a> {
    method: DistMethod,
    optlocal: Option<u8>,
    timed_affinity_s: u16,
    sysplexports: Option<Token<'a>>,
}

impl<'a> Parser<'a> {
    pub(super) fn vipadistribute(&mut self, statement: Token<'a>) -> Result<(), Stop> {
        let delete = !self.accept("DEFINE") && self.accept("DELEte");
        let options = self.distribute_options()?;
        let named = self.vipa_operand("the DVIPA")?;
        let dvipa = self.named_dvipa(&named)?;
        let ports = if self.accept("PORT") { self.distributed_ports()? } else { Vec::new() };
        if !self.accept("DESTIP") {
            let token = self.vipa_operand("DESTIP")?;
            return Err(self.not_a(token.place, &token.shown(), "DESTIP, which ends VIPADISTRIBUTE"));
        }
        let destinations = self.destinations(options.method)?;
        let Some(dvipa) = dvipa else { return Ok(()) };

        if delete {
            self.undistribute(&statement, dvipa, &ports, &destinations);
            return Ok(());
        }
        if !self.destinations_agree(&statement, options.method, &destinations) {
            return Ok(());
        }
        let Options { method, optlocal, timed_affinity_s, sysplexports } = options;
        let line = statement.place.line;
        let distribution = Distribution { method, ports, destinations, timed_affinity_s, optlocal, line };
        self.distribute(&statement, dvipa, distribution, sysplexports);
        Ok(())
    }

    fn distribute_options(&mut self) -> Result<Options<'a>, Stop> {
        let mut options = Options::default();
        while let Some(token) = self.peek() {
            if token.is("DISTMethod") {
                self.next();
                let method = self.vipa_operand("the method of DISTMETHOD")?;
                let Some((_, found)) = METHODS.iter().find(|(name, _)| method.is(name)) else {
                    let expected = "BASEWLM, ROUNDROBIN, SERVERWLM, WEIGHTEDACTIVE, HOTSTANDBY or TARGCONTROLLED";
                    return Err(self.not_a(method.place, &method.shown(), expected));
                };
                options.method = *found;
            } else if token.is("SYSPLEXPorts") {
                self.next();
                options.sysplexports = Some(token);
            } else if token.is("TIMEDAFFinity") {
                self.next();
                options.timed_affinity_s = self.number("TIMEDAFFINITY", 0, 9_999)?;
            } else if token.is("OPTLOCAL") {
                self.next();
                options.optlocal = Some(self.small_number_if_any("OPTLOCAL", 0, 16)?.unwrap_or(1));
            } else if token.is("NOOPTLOCAL") {
                self.next();
                options.optlocal = None;
            } else if token.is("PROCTYPE") || token.is("PROCXCOST") {
                self.next();
                while self.accept("CP") || self.accept("ZAAP") || self.accept("ZIIP") {
                    self.number("the weight or cost of a processor type", 0, 100)?;
                }
            } else if token.is("ILWEIGHTING") {
                self.next();
                self.number("ILWEIGHTING", 0, 3)?;
            } else if token.is("TIER1") || token.is("TIER2") {
                self.next();
                self.vipa_operand("the group name of the tier")?;
                let _ = self.accept("GRE") || self.accept("ENCAP");
            } else if METHOD_SWITCHES.iter().any(|switch| token.is(switch)) {
                self.next();
            } else {
                break;
            }
        }
        Ok(options)
    }

    fn small_number_if_any(&mut self, what: &str, least: u16, most: u16) -> Result<Option<u8>, Stop> {
        let digits = |token: &Token<'_>| token.text.bytes().all(|byte| byte.is_ascii_digit());
        if !self.peek().is_some_and(|token| digits(&token)) {
            return Ok(None);
        }
        Ok(u8::try_from(self.number(what, least, most)?).ok())
    }

    fn distributed_ports(&mut self) -> Result<Vec<(u16, u16)>, Stop> {
        let mut ports = Vec::new();
        while let Some(token) = self.next_numeric() {
            let (first, last) = token.text.split_once('-').unwrap_or((token.text, token.text));
            let first = self.number_of(token.place, first, "a distributed port", 1, u16::MAX)?;
            let last = self.number_of(token.place, last, "a distributed port", 1, u16::MAX)?;
            if last < first {
                let message = format!("{}: the high port is below the low one", token.shown());
                return Err(self.fault(token.place, Code::OutOfRange, message, "write the low port first"));
            }
            ports.push((first, last));
        }
        if ports.is_empty() {
            let token = self.vipa_operand("the port behind PORT")?;
            return Err(self.not_a(token.place, &token.shown(), "a port number or a range such as 5000-5009"));
        }
        Ok(ports)
    }

    fn destinations(&mut self, method: DistMethod) -> Result<Destinations, Stop> {
        if self.accept("ALL") {
            return Ok(Destinations::All);
        }
        let mut targets = Vec::new();
        while let Some(token) = self.peek() {
            let Ok(address) = token.text.parse::<IpAddr>() else {
                if token.is_numeric() {
                    return Err(self.not_a(token.place, &token.shown(), "the dynamic XCF address of a target"));
                }
                break;
            };
            self.next();
            let part = self.destination_part(method)?;
            targets.push(Destination { address, part });
        }
        if targets.is_empty() {
            let token = self.vipa_operand("ALL or an address behind DESTIP")?;
            return Err(self.not_a(token.place, &token.shown(), "ALL or the dynamic XCF address of a target"));
        }
        Ok(Destinations::Some(targets))
    }

    fn destination_part(&mut self, method: DistMethod) -> Result<Part, Stop> {
        let Some(token) = self.peek() else { return Ok(Part::Weight(WEIGHT_DEFAULT)) };
        let standby = token.is("PREFERRED") || token.is("BACKUP");
        if standby && method != DistMethod::HotStandby {
            let message = format!("{} needs DISTMETHOD HOTSTANDBY: the rest of the block is ignored", token.shown());
            return Err(self.fault(
                token.place,
                Code::Conflict,
                message,
                "add DISTMETHOD HOTSTANDBY before the address",
            ));
        }
        if self.accept("PREFERRED") {
            return Ok(Part::Preferred);
        }
        if self.accept("BACKUP") {
            let rank = self.small_number_if_any("the rank of BACKUP", 1, 254)?;
            return Ok(Part::Backup(rank.unwrap_or(1)));
        }
        if self.accept("WEIGHT") {
            let weight = self.number("WEIGHT", 1, 99)?;
            return Ok(Part::Weight(u8::try_from(weight).unwrap_or(WEIGHT_DEFAULT)));
        }
        Ok(Part::Weight(WEIGHT_DEFAULT))
    }

    /// HOTSTANDBY wants exactly one PREFERRED and at least one BACKUP target, all different.
    fn destinations_agree(&mut self, statement: &Token<'_>, method: DistMethod, to: &Destinations) -> bool {
        if method != DistMethod::HotStandby {
            return true;
        }
        let fault = match to {
            Destinations::All => "DESTIP ALL cannot stand with HOTSTANDBY",
            Destinations::Some(targets) => {
                let preferred = targets.iter().filter(|target| target.part == Part::Preferred).count();
                let backup = targets.iter().any(|target| matches!(target.part, Part::Backup(_)));
                let mut addresses: Vec<IpAddr> = targets.iter().map(|target| target.address).collect();
                addresses.sort_unstable();
                addresses.dedup();
                if preferred == 1 && backup && addresses.len() == targets.len() {
                    return true;
                }
                "HOTSTANDBY needs one PREFERRED target, at least one BACKUP, and all different"
            }
        };
        let hint = "name each target with PREFERRED or BACKUP; this statement does not count";
        self.remarks.add(statement.place, Severity::Error, Code::Conflict, fault, hint);
        false
    }

    /// SYSPLEXPORTS counts on the first VIPADISTRIBUTE that is processed for a DVIPA; once on, it is
    /// on for the DVIPA until all its distribution is deleted, and then on again only from another
    /// data set.
    fn distribute(
        &mut self,
        statement: &Token<'_>,
        dvipa: Dvipa,
        distribution: Distribution,
        sysplexports: Option<Token<'_>>,
    ) {
        let Some(entry) = self.dvipas.get_mut(&dvipa) else { return };
        if entry.definition.distributions.len() >= DISTRIBUTIONS_MAX {
            let message = format!("{dvipa}: at most {DISTRIBUTIONS_MAX} VIPADISTRIBUTE statements are kept");
            self.remarks.add(statement.place, Severity::Error, Code::TooMany, message, "list several ports in one");
            return;
        }
        let first = !std::mem::replace(&mut entry.was_distributed, true);
        entry.definition.distributions.push(distribution);
        match sysplexports {
            Some(_) if first => entry.definition.sysplexports = true,
            Some(token) if !entry.definition.sysplexports => {
                let message =
                    format!("SYSPLEXPORTS must be on the first VIPADISTRIBUTE for {dvipa}, here it has no effect");
                let hint = "move it to the first one; a DVIPA that is distributed needs two data sets: \
                            delete all its distribution in one, define it again in another";
                self.remarks.add(token.place, Severity::Error, Code::LateSysplexPorts, message, hint);
            }
            _ => {}
        }
    }

    fn undistribute(&mut self, statement: &Token<'_>, dvipa: Dvipa, ports: &[(u16, u16)], destinations: &Destinations) {
        let Some(entry) = self.dvipas.get_mut(&dvipa) else { return };
        let distributions = &mut entry.definition.distributions;
        let same = |found: &Distribution| found.ports == ports && same_targets(&found.destinations, destinations);
        match distributions.iter().position(same) {
            Some(at) => {
                distributions.remove(at);
                if distributions.is_empty() {
                    entry.definition.sysplexports = false;
                }
            }
            None => {
                let message = format!("{dvipa} has no such distribution to delete");
                let hint = "DELETE repeats address, PORT and DESTIP as they were defined";
                self.remarks.add(statement.place, Severity::Warning, Code::UnknownDistribution, message, hint);
            }
        }
    }
}

fn same_targets(a: &Destinations, b: &Destinations) -> bool {
    let addresses = |to: &Destinations| match to {
        Destinations::All => Vec::new(),
        Destinations::Some(targets) => targets.iter().map(|target| target.address).collect(),
    };
    addresses(a) == addresses(b)
}

const WEIGHT_DEFAULT: u8 = 10;
