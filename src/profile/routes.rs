//! VIPARANGE, VIPAROUTE and VIPASMPARMS.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::parse::{Parser, Stop};
use super::token::Token;
use super::vipa_model::{ServiceManager, VipaRange, VipaRoute};
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// Most VIPARANGE statements of one stack.
pub const RANGES_MAX: usize = 4_096;

impl<'a> Parser<'a> {
    /// Takes DEFINE or DELETE, if one is there; whether it is DELETE.
    pub(super) fn define_or_delete(&mut self) -> bool {
        !self.accept("DEFINE") && self.accept("DELEte")
    }

    /// `VIPARANGE [DEFINE|DELETE] [MOVEABLE NONDISRUPTIVE|DISRUPTIVE] mask address [SAF name] [ZCX]`,
    /// or an interface name and an IPv6 prefix.
    pub(super) fn viparange(&mut self) -> Result<(), Stop> {
        let delete = self.define_or_delete();
        let mut disruptive = false;
        if self.accept("MOVEable") {
            disruptive = self.accept("DISRUPTive");
            if !disruptive && !self.accept("NONDISRUPTive") {
                let token = self.vipa_operand("NONDISRUPTIVE or DISRUPTIVE")?;
                return Err(self.not_a(token.place, &token.shown(), "NONDISRUPTIVE or DISRUPTIVE"));
            }
        }
        let token = self.vipa_operand("an address mask or interface name")?;
        let (address, prefix, interface) = match token.text.parse::<Ipv4Addr>() {
            Ok(mask) => {
                let prefix = self.mask(&token, mask)?;
                let address: Ipv4Addr = self.address("the IPv4 address of VIPARANGE")?;
                (IpAddr::V4(address), prefix, None)
            }
            Err(_) => {
                let interface = self.interface_name(&token)?;
                let token = self.vipa_operand("the IPv6 prefix of VIPARANGE")?;
                let (address, Some(prefix)) = self.address6(&token)? else {
                    return Err(self.not_a(token.place, &token.shown(), "an IPv6 address with a prefix length"));
                };
                (IpAddr::V6(address), prefix, Some(interface))
            }
        };
        let saf = if self.accept("SAF") { Some(self.resource()?) } else { None };
        let zcx = self.accept("ZCX");
        let (key, data_set, line) = ((address, prefix), self.data_set, token.place.line);
        if delete {
            self.delete_range(&token, key, interface.as_deref());
        } else if self.ranges.len() >= RANGES_MAX && !self.ranges.contains_key(&key) {
            let message = format!("a stack has at most {RANGES_MAX} VIPARANGE statements, this one does not count");
            self.remarks.add(token.place, Severity::Error, Code::TooMany, message, "use wider masks");
        } else {
            let range = VipaRange { address, prefix, interface, disruptive, saf, zcx, data_set, line };
            self.ranges.insert(key, range);
        }
        Ok(())
    }

    fn delete_range(&mut self, token: &Token<'_>, key: (IpAddr, u8), interface: Option<&str>) {
        if self.ranges.get(&key).is_some_and(|range| range.interface.as_deref() == interface) {
            self.ranges.remove(&key);
            return;
        }
        let message = format!("there is no VIPARANGE of {}/{} to delete", key.0, key.1);
        let hint = "DELETE repeats mask and address, or interface and prefix, as they were defined";
        self.remarks.add(token.place, Severity::Warning, Code::UnknownDistribution, message, hint);
    }

    /// `VIPAROUTE [DEFINE|DELETE] dynxcfip target`.
    pub(super) fn viparoute(&mut self) -> Result<(), Stop> {
        let delete = self.define_or_delete();
        let place = self.peek().map_or(self.tokens.place(), |token| token.place);
        let dynamic_xcf: IpAddr = self.address("the dynamic XCF address of VIPAROUTE")?;
        let target: IpAddr = self.address("the target address of VIPAROUTE")?;
        if dynamic_xcf.is_ipv4() != target.is_ipv4() {
            let message = "both addresses of VIPAROUTE must be IPv4, or both IPv6";
            return Err(self.fault(place, Code::Conflict, message, ""));
        }
        if delete {
            if self.routes.get(&dynamic_xcf).is_some_and(|route| route.target == target) {
                self.routes.remove(&dynamic_xcf);
            } else {
                let message = format!("there is no VIPAROUTE from {dynamic_xcf} to {target} to delete");
                let hint = "DELETE repeats both addresses as they were defined";
                self.remarks.add(place, Severity::Warning, Code::UnknownDistribution, message, hint);
            }
        } else {
            let (data_set, line) = (self.data_set, place.line);
            self.routes.insert(dynamic_xcf, VipaRoute { dynamic_xcf, target, data_set, line });
        }
        Ok(())
    }

    /// `VIPASMPARMS [SMMCAST group] [SMPORT port] [SMPASSWORD password]`: what is named changes.
    pub(super) fn vipasmparms(&mut self, statement: Token<'a>) -> Result<(), Stop> {
        let mut manager = self.profile.service_manager.clone().unwrap_or_default();
        let mut any = false;
        loop {
            if self.accept("SMMCAST") {
                let place = self.peek().map_or(self.tokens.place(), |token| token.place);
                let group: Ipv4Addr = self.address("the multicast group of SMMCAST")?;
                if !group.is_multicast() {
                    let hint = "groups are 224.0.0.0 to 239.255.255.255";
                    return Err(self.fault(place, Code::BadValue, format!("{group} is no multicast group"), hint));
                }
                manager.multicast = Some(group);
            } else if self.accept("SMPORT") {
                manager.port = Some(self.number("SMPORT", 1, u16::MAX)?);
            } else if self.accept("SMPASSword") {
                manager.password = Some(self.vipa_operand("the password of SMPASSWORD")?.text.to_owned());
            } else {
                break;
            }
            any = true;
        }
        if !any {
            let hint = "write SMMCAST, SMPORT or SMPASSWORD behind it";
            return Err(self.fault(statement.place, Code::Missing, "VIPASMPARMS without a parameter", hint));
        }
        self.profile.service_manager = Some(manager).filter(|manager| *manager != ServiceManager::default());
        Ok(())
    }
}
