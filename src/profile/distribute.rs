//! VIPADISTRIBUTE: what is distributed, to whom, and whether source ports are assigned
//! sysplex-wide.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::parse::{Parser, Stop};
use super::token::Token;
use super::vipa_model::{Destination, Destinations, DistMethod, Distribution, Forwarding, Part, Tier, Tuning};
use crate::ident::Dvipa;
use std::net::IpAddr;

/// Most VIPADISTRIBUTE statements of one DVIPA that are kept.
pub const DISTRIBUTIONS_MAX: usize = 1_024;

/// Most ports, and most targets, of one statement that are kept.
pub(super) const OPERANDS_MAX: usize = 1_024;

/// What z/OS takes in one statement.
const PORTS_USUAL: usize = 64;
const TARGETS_USUAL: usize = 32;
const BACKUPS_MAX: usize = 31;

/// What stands before the address, in any order.
#[derive(Default)]
struct Options<'a> {
    method: DistMethod,
    /// Whether DISTMETHOD was written.
    chosen: bool,
    optlocal: Option<u8>,
    timed_affinity_s: u16,
    sysplexports: Option<Token<'a>>,
    tuning: Tuning,
    /// Words that need a certain method.
    needs: Vec<(Token<'a>, DistMethod)>,
    tier: Option<(Tier, String)>,
    forwarding: Option<Forwarding>,
    control_port: Option<u16>,
}

impl<'a> Parser<'a> {
    pub(super) fn vipadistribute(&mut self, statement: Token<'a>) -> Result<(), Stop> {
        let delete = self.define_or_delete();
        let options = self.distribute_options()?;
        self.tuning_fits(&options)?;
        let named = self.vipa_operand("the DVIPA")?;
        let dvipa = self.named_dvipa(&named)?;
        let ports = if self.accept("PORT") { self.distributed_ports(&statement)? } else { Some(Vec::new()) };
        if !self.accept("DESTIP") {
            let token = self.vipa_operand("DESTIP")?;
            return Err(self.not_a(token.place, &token.shown(), "DESTIP, which ends VIPADISTRIBUTE"));
        }
        let destinations = self.destinations(&statement, options.method, delete)?;
        let (Some(dvipa), Some(ports), Some(destinations)) = (dvipa, ports, destinations) else { return Ok(()) };
        if delete {
            self.undistribute(&statement, dvipa, &ports, &destinations);
            return Ok(());
        }
        if !self.destinations_agree(&statement, options.method, &destinations)
            || !self.tier_agrees(&statement, &options, &ports)
            || !self.versions_agree(&statement, dvipa, &destinations)
        {
            return Ok(());
        }
        let Options {
            method, optlocal, timed_affinity_s, sysplexports, tuning, tier, forwarding, control_port, ..
        } = options;
        let (data_set, line) = (self.data_set, statement.place.line);
        let distribution = Distribution {
            method,
            ports,
            destinations,
            timed_affinity_s,
            optlocal,
            tuning,
            tier,
            forwarding,
            control_port,
            data_set,
            line,
        };
        self.distribute(&statement, dvipa, distribution, sysplexports);
        Ok(())
    }

    fn distribute_options(&mut self) -> Result<Options<'a>, Stop> {
        let mut options = Options::default();
        while let Some(token) = self.peek() {
            if token.is("DISTMethod") {
                self.next();
                let method = self.vipa_operand("the method of DISTMETHOD")?;
                let Some((_, found)) = DistMethod::NAMES.iter().find(|(name, _)| method.is(name)) else {
                    let expected = "BASEWLM, ROUNDROBIN, SERVERWLM, WEIGHTEDACTIVE, HOTSTANDBY or TARGCONTROLLED";
                    return Err(self.not_a(method.place, &method.shown(), expected));
                };
                (options.method, options.chosen) = (*found, true);
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
            } else if token.is("TIER1") || token.is("TIER2") {
                self.next();
                self.distribute_tier(&token, &mut options)?;
            } else if !self.tuning(&token, &mut options)? {
                break;
            }
        }
        Ok(options)
    }

    /// Takes a parameter of a method; `false` if `token` is none.
    fn tuning(&mut self, token: &Token<'a>, options: &mut Options<'a>) -> Result<bool, Stop> {
        let switch = |stem: &str| if token.is(stem) { Some(true) } else { None };
        let tuning = &mut options.tuning;
        let needs = if token.is("PROCTYPE") {
            DistMethod::BaseWlm
        } else if token.is("PROCXCOST") || token.is("ILWEIGHTING") {
            DistMethod::ServerWlm
        } else if let Some(on) = switch("AUTOSWITCHBack").or(token.is("NOAUTOSWITCHBack").then_some(false)) {
            tuning.auto_switch_back = Some(on);
            DistMethod::HotStandby
        } else if let Some(on) = switch("HEALTHSWitch").or(token.is("NOHEALTHSWitch").then_some(false)) {
            tuning.health_switch = Some(on);
            DistMethod::HotStandby
        } else {
            return Ok(false);
        };
        self.next();
        options.needs.push((*token, needs));
        if token.is("PROCTYPE") {
            options.tuning.processor_weights = Some(self.by_processor(["CP", "ZAAP", "ZIIP"], [0; 3], 0)?);
        } else if token.is("PROCXCOST") {
            options.tuning.crossover_costs = Some(self.by_processor(["ZAAP", "ZIIP"], [1; 2], 1)?);
        } else if token.is("ILWEIGHTING") {
            options.tuning.importance_weighting = u8::try_from(self.number("ILWEIGHTING", 0, 3)?).ok();
        }
        Ok(true)
    }

    fn by_processor<const N: usize>(
        &mut self,
        names: [&str; N],
        mut values: [u8; N],
        least: u16,
    ) -> Result<[u8; N], Stop> {
        let mut any = false;
        while let Some(at) = self.peek().and_then(|token| names.iter().position(|name| token.is(name))) {
            self.next();
            let value = self.number("the weight or cost of a processor type", least, 100)?;
            values[at] = u8::try_from(value).unwrap_or(values[at]);
            any = true;
        }
        if !any {
            let token = self.vipa_operand("a processor type")?;
            return Err(self.not_a(token.place, &token.shown(), "a processor type: CP, ZAAP or ZIIP"));
        }
        Ok(values)
    }

    fn distribute_tier(&mut self, token: &Token<'a>, options: &mut Options<'a>) -> Result<(), Stop> {
        let tier = if token.is("TIER1") { Tier::One } else { Tier::Two };
        let group = self.vipa_operand("the group name of the tier")?;
        let name = self.interface_name(&group)?;
        options.tier = Some((tier, name));
        if self.accept("GRE") {
            options.forwarding = Some(Forwarding::Gre);
        } else if self.accept("ENCAP") {
            options.forwarding = Some(Forwarding::Encap);
        }
        if self.accept("CONTROLPORT") {
            options.control_port = Some(self.number("CONTROLPORT", 1, u16::MAX)?);
        }
        if tier == Tier::Two && (options.forwarding.is_some() || options.control_port.is_some()) {
            let message = "GRE, ENCAP and CONTROLPORT need TIER1";
            return Err(self.fault(token.place, Code::Conflict, message, "they are for targets that are no z/OS"));
        }
        Ok(())
    }

    /// Every parameter of a method needs that method; a wrong one ends the block.
    fn tuning_fits(&mut self, options: &Options<'a>) -> Result<(), Stop> {
        let Some((token, needs)) = options.needs.iter().find(|(_, needs)| *needs != options.method) else {
            return Ok(());
        };
        Err(self.needs_method(token, *needs))
    }

    fn needs_method(&mut self, token: &Token<'_>, needs: DistMethod) -> Stop {
        let (shown, method) = (token.shown(), needs.name());
        let message = format!("{shown} needs DISTMETHOD {method}: the rest of the block is ignored");
        let hint = format!("add DISTMETHOD {method} before the address");
        let stop = self.fault(token.place, Code::Conflict, message, hint);
        if needs == DistMethod::HotStandby {
            self.remarks.cite("EZZ0831I");
        }
        stop
    }

    fn small_number_if_any(&mut self, what: &str, least: u16, most: u16) -> Result<Option<u8>, Stop> {
        let digits = |token: &Token<'_>| token.text.bytes().all(|byte| byte.is_ascii_digit());
        if !self.peek().is_some_and(|token| digits(&token)) {
            return Ok(None);
        }
        Ok(u8::try_from(self.number(what, least, most)?).ok())
    }

    /// The ports behind PORT; `None`, and told, if there are too many.
    fn distributed_ports(&mut self, statement: &Token<'_>) -> Result<Option<Vec<(u16, u16)>>, Stop> {
        let (mut ports, mut count) = (Vec::new(), 0_usize);
        while let Some(token) = self.next_numeric() {
            let (first, last) = token.text.split_once('-').unwrap_or((token.text, token.text));
            let first = self.number_of(token.place, first, "a distributed port", 1, u16::MAX)?;
            let last = self.number_of(token.place, last, "a distributed port", 1, u16::MAX)?;
            if last < first {
                let message = format!("{}: the high port is below the low one", token.shown());
                return Err(self.fault(token.place, Code::OutOfRange, message, "write the low port first"));
            }
            count += 1;
            if count <= OPERANDS_MAX {
                ports.push((first, last));
            }
        }
        if ports.is_empty() {
            let token = self.vipa_operand("the port behind PORT")?;
            return Err(self.not_a(token.place, &token.shown(), "a port number or a range such as 5000-5009"));
        }
        Ok(self.not_too_many(statement, "ports", count, PORTS_USUAL).then(|| disjoint(ports)))
    }

    /// Tells of more operands than usual; `false` if there are more than are kept.
    fn not_too_many(&mut self, statement: &Token<'_>, what: &str, count: usize, usual: usize) -> bool {
        let hint = "use several VIPADISTRIBUTE statements";
        if count > OPERANDS_MAX {
            let message = format!("{count} {what}, at most {OPERANDS_MAX} are kept: this statement does not count");
            self.remarks.add(statement.place, Severity::Error, Code::TooMany, message, hint);
            return false;
        }
        if count > usual {
            let message = format!("{count} {what}: z/OS takes {usual} in one statement");
            self.remarks.add(statement.place, Severity::Warning, Code::TooMany, message, hint);
        }
        true
    }

    /// What stands behind DESTIP; `None`, and told, if there are too many targets.
    fn destinations(
        &mut self,
        statement: &Token<'_>,
        method: DistMethod,
        delete: bool,
    ) -> Result<Option<Destinations>, Stop> {
        if self.accept("ALL") {
            return Ok(Some(Destinations::All));
        }
        let (mut targets, mut count) = (Vec::new(), 0_usize);
        while let Some(token) = self.peek() {
            let Ok(address) = token.text.parse::<IpAddr>() else {
                if token.is_numeric() {
                    return Err(self.not_a(token.place, &token.shown(), "the dynamic XCF address of a target"));
                }
                break;
            };
            self.next();
            let part = self.destination_part(method, delete)?;
            count += 1;
            if count <= OPERANDS_MAX {
                targets.push(Destination { address, part });
            }
        }
        if targets.is_empty() {
            let token = self.vipa_operand("ALL or an address behind DESTIP")?;
            return Err(self.not_a(token.place, &token.shown(), "ALL or the dynamic XCF address of a target"));
        }
        let usual = if method == DistMethod::HotStandby { OPERANDS_MAX } else { TARGETS_USUAL };
        Ok(self.not_too_many(statement, "targets", count, usual).then_some(Destinations::Some(targets)))
    }

    fn destination_part(&mut self, method: DistMethod, delete: bool) -> Result<Part, Stop> {
        let Some(token) = self.peek() else { return Ok(Part::Weight(WEIGHT_DEFAULT)) };
        let standby = token.is("PREFERRED") || token.is("BACKUP");
        if standby && method != DistMethod::HotStandby && !delete {
            return Err(self.needs_method(&token, DistMethod::HotStandby));
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
            if method != DistMethod::WeightedActive && !delete {
                let message = format!("WEIGHT has no effect with DISTMETHOD {}", method.name());
                let hint = "add DISTMETHOD WEIGHTEDACTIVE before the address";
                self.remarks.add(token.place, Severity::Warning, Code::Conflict, message, hint);
            }
            return Ok(Part::Weight(u8::try_from(weight).unwrap_or(WEIGHT_DEFAULT)));
        }
        Ok(Part::Weight(WEIGHT_DEFAULT))
    }

    /// HOTSTANDBY wants exactly one PREFERRED and at least one BACKUP target, all different.
    fn destinations_agree(&mut self, statement: &Token<'_>, method: DistMethod, to: &Destinations) -> bool {
        if method != DistMethod::HotStandby {
            return true;
        }
        let (fault, number) = match to {
            Destinations::All => ("DESTIP ALL cannot stand with HOTSTANDBY", "EZZ0165I"),
            Destinations::Some(targets) => {
                let preferred = targets.iter().filter(|target| target.part == Part::Preferred).count();
                let backups = targets.iter().filter(|target| matches!(target.part, Part::Backup(_))).count();
                let mut addresses: Vec<IpAddr> = targets.iter().map(|target| target.address).collect();
                addresses.sort_unstable();
                addresses.dedup();
                if preferred + backups < targets.len() {
                    ("HOTSTANDBY needs PREFERRED or BACKUP behind each target", "EZZ0826I")
                } else if preferred != 1 || backups == 0 {
                    ("HOTSTANDBY needs exactly one PREFERRED and at least one BACKUP target", "EZZ0827I")
                } else if backups > BACKUPS_MAX {
                    ("HOTSTANDBY takes at most 31 BACKUP targets", "EZZ0829I")
                } else if addresses.len() < targets.len() {
                    ("the PREFERRED and BACKUP targets of HOTSTANDBY must all be different", "EZZ0830I")
                } else {
                    return true;
                }
            }
        };
        let hint = "name each target once, with PREFERRED or BACKUP; this statement does not count";
        self.remarks.add(statement.place, Severity::Error, Code::Conflict, fault, hint);
        self.remarks.cite(number);
        false
    }

    fn tier_agrees(&mut self, statement: &Token<'_>, options: &Options<'a>, ports: &[(u16, u16)]) -> bool {
        let method = options.method;
        let wlm = options.chosen && matches!(method, DistMethod::BaseWlm | DistMethod::ServerWlm);
        let first_stage = options.tier.as_ref().is_some_and(|(tier, _)| *tier == Tier::One);
        let (fault, number, hint) = if first_stage && ports.is_empty() {
            ("TIER1 needs PORT: ports learnt from binds cannot be distributed", Some("EZZ0783I"), "add PORT")
        } else if method == DistMethod::TargControlled && options.forwarding.is_none() {
            ("TARGCONTROLLED needs TIER1 with GRE or ENCAP", None, "its weights come from targets that are no z/OS")
        } else if wlm && options.forwarding.is_some() {
            ("targets reached by GRE or ENCAP have no WLM weights", None, "use TARGCONTROLLED or ROUNDROBIN")
        } else {
            return true;
        };
        self.remarks.add(statement.place, Severity::Error, Code::Conflict, fault, hint);
        if let Some(number) = number {
            self.remarks.cite(number);
        }
        false
    }

    fn versions_agree(&mut self, statement: &Token<'_>, dvipa: Dvipa, to: &Destinations) -> bool {
        let is_ipv4 = dvipa.address().is_ipv4();
        let Some(other) = to.addresses().find(|address| address.is_ipv4() != is_ipv4) else { return true };
        let message = format!("{other} cannot be a target of {dvipa}: both must be IPv4, or both IPv6");
        let hint = "name the target's dynamic XCF address of the same version; this statement does not count";
        self.remarks.add(statement.place, Severity::Error, Code::Conflict, message, hint);
        false
    }

    /// SYSPLEXPORTS is settled by the first VIPADISTRIBUTE that is processed for a DVIPA while
    /// nothing of it is distributed. From then on it holds for the DVIPA, whatever later statements
    /// say, until a data set ends with all its distribution deleted.
    fn distribute(
        &mut self,
        statement: &Token<'_>,
        dvipa: Dvipa,
        distribution: Distribution,
        sysplexports: Option<Token<'_>>,
    ) {
        let Some(entry) = self.dvipas.get_mut(&dvipa) else { return };
        let definition = &mut entry.definition;
        if definition.distributions.len() >= DISTRIBUTIONS_MAX {
            let message = format!("{dvipa}: at most {DISTRIBUTIONS_MAX} VIPADISTRIBUTE statements are kept");
            self.remarks.add(statement.place, Severity::Error, Code::TooMany, message, "list several ports in one");
            return;
        }
        let deleted_here = entry.ruling.is_some() && definition.distributions.is_empty();
        let on = *entry.ruling.get_or_insert(sysplexports.is_some());
        definition.distributions.push(distribution);
        definition.sysplexports = on;
        match sysplexports {
            Some(token) if !on && deleted_here => {
                let message = format!(
                    "SYSPLEXPORTS has no effect: {dvipa} was distributed without it when this data set began, and \
                     its deletion counts when the data set ends"
                );
                let hint = "put VIPADISTRIBUTE DELETE into one data set and this statement into a second one";
                self.remarks.add(token.place, Severity::Error, Code::LateSysplexPorts, message, hint);
            }
            Some(token) if !on => {
                let message =
                    format!("SYSPLEXPORTS must be on the first VIPADISTRIBUTE for {dvipa}, here it has no effect");
                let hint = "move it to the first one; a DVIPA that is distributed needs two data sets: \
                            delete all its distribution in one, define it again in another";
                self.remarks.add(token.place, Severity::Error, Code::LateSysplexPorts, message, hint);
            }
            None if on && deleted_here => {
                let message = format!(
                    "SYSPLEXPORTS stays on for {dvipa}: it goes when a data set ends with all \
                     distribution of the DVIPA deleted"
                );
                let hint = "to take it away, put this statement into a second data set";
                self.remarks.add(statement.place, Severity::Warning, Code::LateSysplexPorts, message, hint);
            }
            _ => {}
        }
    }
}

/// Ranges in their order if no two of them meet, else in ascending order with those that meet made
/// one: a port is distributed once, however often it is named.
pub(super) fn disjoint(ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable();
    if sorted.windows(2).all(|two| two[0].1 < two[1].0) {
        return ranges;
    }
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

const WEIGHT_DEFAULT: u8 = 10;
