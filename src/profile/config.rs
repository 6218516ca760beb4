//! IPCONFIG, GLOBALCONFIG, TCPCONFIG and UDPCONFIG: parameters in any order, most of them not ours.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::model::ExplicitBind;
use super::model::Mention;
use super::parse::{Parser, Stop, begins_statement};
use super::token::Token;
use crate::ident::Dvipa;
use crate::ident::Transport;
use crate::structure::PortRange;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Parameters that mean nothing to us. Their own operands that are words are listed too; numbers
/// are skipped as such.
#[rustfmt::skip]
const IPCONFIG_OTHER: &[&str] = &[
    "ARPTO", "CHECKSUMOFFLoad", "NOCHECKSUMOFFLoad", "CLAWUSEDOUBLENOP", "DATAGRAMFwd", "NODATAGRAMFwd",
    "FWDMULTipath", "NOFWDMULTipath", "PERPacket", "PERConnection", "DEVRETRYDURation", "FORMAT", "LONG", "SHORT",
    "IGNORERedirect", "IPSECURITY", "IQDIORouting", "NOIQDIORouting", "QDIOPriority", "QDIOACCELerator",
    "NOQDIOACCELerator", "MULTIPATH", "NOMULTIPATH", "PATHMTUDISCovery", "NOPATHMTUDISCovery", "REASSEMBLytimeout",
    "SECCLASS", "SEGMENTATIONOFFLoad", "NOSEGMENTATIONOFFLoad", "SRCVIPAINT", "STOPONclawerror", "TTL",
    "VARSUBNETTING", "NOVARSUBNETTING",
];

#[rustfmt::skip]
const IPCONFIG6_OTHER: &[&str] = &[
    "ADDRSELPolicy", "CHECKSUMOFFLoad", "NOCHECKSUMOFFLoad", "DATAGRAMFwd", "NODATAGRAMFwd", "FWDMULTipath",
    "NOFWDMULTipath", "PERPacket", "PERConnection", "HOPLIMIT", "ICMPERRORLIMIT", "IGNORERedirect", "IGNOREROUTERhoplimit",
    "NOIGNOREROUTERhoplimit", "IPSECURITY", "OSMSECCLASS", "IQDIOROUTING", "MULTIPATH", "NOMULTIPATH",
    "OSMFWD", "SECCLASS", "SEGMENTATIONOFFLoad", "NOSEGMENTATIONOFFLoad", "TEMPADDRS", "NOTEMPADDRS",
    "PREFERREDLIFETIME", "VALIDLIFETIME", "SMCD", "NOSMCD",
];

#[rustfmt::skip]
const GLOBALCONFIG_OTHER: &[&str] = &[
    "ADJUSTDVIPAMSS", "AUTO", "ALL", "NONE", "AUTOIQDC", "NOAUTOIQDC", "ALLTRAFFIC", "NOLARGEDATA", "AUTOIQDX",
    "NOAUTOIQDX", "AUTOSMCD", "AUTOSMCR", "ECSALIMIT", "IQDMULTIWRITE", "NOIQDMULTIWRITE", "IQDVLANID", "MAXRECS",
    "MLSCHKTERMinate", "NOMLSCHKTERMinate", "POOLLIMIT", "SEGMENTATIONOFFLoad", "NOSEGMENTATIONOFFLoad", "SMCGLOBAL",
    "AUTOCACHE", "NOAUTOCACHE", "AUTOSMC", "NOAUTOSMC", "SMCR", "NOSMCR", "SMCD", "NOSMCD", "SMCEID", "ENDSMCEID",
    "SYSTEMEID", "NOSYSTEMEID", "PFID", "PORTNUM", "MTU", "FIXEDMEMory", "TCPKEEPmininterval", "SYSPLEXMONitor",
    "AUTOREJOIN", "NOAUTOREJOIN", "DELAYJOIN", "NODELAYJOIN", "DYNROUTE", "NODYNROUTE", "MONINTERFACE",
    "NOMONINTERFACE", "MONIPSEC", "NOMONIPSEC", "RECOVERY", "NORECOVERY", "NOJOIN", "TIMERSECS", "SYSPLEXWLMPoll",
    "TCPIPSTATistics", "NOTCPIPSTATistics", "WLMPRIORITYQ", "NOWLMPRIORITYQ", "ZERT", "NOZERT", "AGGREGation",
    "NOAGGREGation", "ZIIP", "IPSECURITY", "NOIPSECURITY", "IQDIOMULTIWRITE", "NOIQDIOMULTIWRITE", "IOPRI0", "IOPRI1",
    "IOPRI2", "IOPRI3", "IOPRI4",
];

#[rustfmt::skip]
const TCPCONFIG_OTHER: &[&str] = &[
    "CONNECTINITINTERVAL", "CONNECTTIMEOUT", "DELAYAcks", "NODELAYAcks", "FINWAIT2TIME", "FRRTHRESHOLD", "INTERVAL",
    "KEEPALIVEPROBEINTERVAL", "KEEPALIVEPROBES", "MAXIMUMRETRANSMITTIME", "NAGLE", "NONAGLE", "QUEUEDRTT",
    "RESTRICTLOWPORTS", "UNRESTRICTLOWPORTS", "RETRANSMITATTEMPTS", "SELECTIVEACK", "NOSELECTIVEACK", "SENDGarbage",
    "TRUE", "FALSE", "TCPMAXRCVBUFRSIZE", "TCPMAXSENDBUFRSIZE", "TCPRCVBUFRSIZE", "TCPSENDBUFRSIZE", "TCPTIMESTAMP",
    "NOTCPTIMESTAMP", "TTLS", "NOTTLS",
];

#[rustfmt::skip]
const UDPCONFIG_OTHER: &[&str] = &[
    "RESTRICTLOWPORTS", "UNRESTRICTLOWPORTS", "UDPCHKSUM", "NOUDPCHKSUM", "UDPQUEUELIMIT", "NOUDPQUEUELIMIT",
    "UDPRCVBUFRSIZE", "UDPSENDBUFRSIZE",
];

/// Takes the parameter that a word names; `Ok(false)` if it is none of ours.
type Take<'a> = fn(&mut Parser<'a>, &Token<'a>) -> Result<bool, Stop>;

impl<'a> Parser<'a> {
    pub(super) fn ipconfig(&mut self) {
        self.parameters("IPCONFIG", IPCONFIG_OTHER, Self::ipconfig_parameter);
    }

    pub(super) fn ipconfig6(&mut self) {
        self.parameters("IPCONFIG6", IPCONFIG6_OTHER, Self::ipconfig6_parameter);
    }

    pub(super) fn globalconfig(&mut self) {
        self.parameters("GLOBALCONFIG", GLOBALCONFIG_OTHER, Self::globalconfig_parameter);
    }

    pub(super) fn tcpconfig(&mut self) {
        self.parameters("TCPCONFIG", TCPCONFIG_OTHER, Self::tcpconfig_parameter);
    }

    pub(super) fn udpconfig(&mut self) {
        self.parameters("UDPCONFIG", UDPCONFIG_OTHER, |parser, token| {
            if token.is("EPHEMERALPORTS") {
                parser.ephemeralports(token, Transport::Udp)?;
                return Ok(true);
            }
            Ok(false)
        });
    }

    /// Reads parameters up to the next statement. A bad value loses that parameter, an unknown word
    /// is told once per statement.
    fn parameters(&mut self, statement: &str, other: &[&str], take: Take<'a>) {
        let mut told = false;
        while let Some(token) = self.peek() {
            let listed = token.is_numeric() || other.iter().any(|keyword| token.is(keyword));
            if !listed && begins_statement(&token) {
                return;
            }
            self.next();
            let taken = take(self, &token).unwrap_or(true);
            if !taken && !listed && !told {
                told = true;
                let message = format!("{} is not a parameter of {statement}, skipped", token.shown());
                let hint = "unknown words up to the next statement are skipped";
                self.remarks.add(token.place, Severity::Warning, Code::UnknownParameter, message, hint);
            }
        }
    }

    fn ipconfig_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("SYSPLEXRouting") || token.is("NOSYSPLEXRouting") {
            self.profile.ip.sysplex_routing = token.is("SYSPLEXRouting");
        } else if token.is("SOURCEVIPA") || token.is("NOSOURCEVIPA") {
            self.profile.ip.source_vipa = token.is("SOURCEVIPA");
        } else if token.is("DYNAMICXCF") {
            let address: Ipv4Addr = self.address("the IPv4 address of DYNAMICXCF")?;
            let mask = self.operand("the subnet mask of DYNAMICXCF")?;
            let bits = match (mask.text.parse::<Ipv4Addr>(), mask.text.strip_prefix('/')) {
                (Ok(dotted), _) => self.mask(&mask, dotted)?,
                (_, Some(bits)) => match bits.parse::<u8>() {
                    Ok(bits) if bits <= 32 => bits,
                    _ => return Err(self.not_a(mask.place, &mask.shown(), "a subnet mask, 255.255.255.0 or /24")),
                },
                _ => return Err(self.not_a(mask.place, &mask.shown(), "a subnet mask, 255.255.255.0 or /24")),
            };
            let cost = self.number("the cost metric of DYNAMICXCF", 0, 14)?;
            let ip = &mut self.profile.ip;
            (ip.dynamic_xcf, ip.xcf_prefix) = (Some(address.into()), bits);
            ip.xcf_cost = u8::try_from(cost).unwrap_or(ip.xcf_cost);
        } else if token.is("NODYNAMICXCF") {
            let ip = &mut self.profile.ip;
            (ip.dynamic_xcf, ip.xcf_prefix, ip.xcf_cost) = (None, 0, 0);
        } else if token.is("TCPSTACKSOURCEVipa") {
            let place = self.peek().map_or(self.tokens.place(), |token| token.place);
            let address: Ipv4Addr = self.address("the IPv4 address of TCPSTACKSOURCEVIPA")?;
            let made = Dvipa::new(address.into());
            let dvipa = made.map_err(|fault| self.fault(place, Code::BadValue, fault.to_string(), ""))?;
            self.profile.ip.tcp_stack_source_vipa = Some(dvipa);
        } else if token.is("NOTCPSTACKSOURCEVipa") {
            self.profile.ip.tcp_stack_source_vipa = None;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn ipconfig6_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("SOURCEVIPA") || token.is("NOSOURCEVIPA") {
            self.profile.ip6.source_vipa = token.is("SOURCEVIPA");
        } else if token.is("DYNAMICXCF") {
            let word = self.operand("the IPv6 address of DYNAMICXCF")?;
            let (address, prefix): (Ipv6Addr, _) = self.address6(&word)?;
            let ip = &mut self.profile.ip6;
            (ip.dynamic_xcf, ip.xcf_prefix) = (Some(address), prefix.unwrap_or(128));
            (ip.interface_id, ip.source_vipa_interface) = (None, None);
        } else if token.is("INTFID") {
            let id = self.operand("the interface id of INTFID")?;
            if id.text.parse::<Ipv6Addr>().is_err() && !id.text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return Err(self.not_a(id.place, &id.shown(), "an interface id such as ::1:2:3:4"));
            }
            self.profile.ip6.interface_id = Some(id.text.to_ascii_uppercase());
        } else if token.is("NODYNAMICXCF") {
            let ip = &mut self.profile.ip6;
            (ip.dynamic_xcf, ip.xcf_prefix) = (None, 0);
            (ip.interface_id, ip.source_vipa_interface) = (None, None);
        } else if token.is("SOURCEVIPAINTerface") {
            let name = self.operand("the interface of SOURCEVIPAINTERFACE")?;
            self.profile.ip6.source_vipa_interface = Some(self.interface_name(&name)?);
        } else if token.is("TCPSTACKSOURCEVipa") {
            let name = self.operand("the interface of TCPSTACKSOURCEVIPA")?;
            self.profile.ip6.tcp_stack_source_vipa = Some(self.interface_name(&name)?);
        } else if token.is("NOTCPSTACKSOURCEVipa") {
            self.profile.ip6.tcp_stack_source_vipa = None;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn globalconfig_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("XCFGRPID") {
            let place = self.peek().map_or(self.tokens.place(), |token| token.place);
            let group = u8::try_from(self.number("XCFGRPID", 2, 31)?).ok();
            if self.data_set > 0 && self.profile.tcp_group != group {
                let message = "XCFGRPID cannot change while the stack runs";
                let hint = "change the profile and start the stack again: its structure has another name then";
                return Err(self.fault(place, Code::NotWhileRunning, message, hint));
            }
            self.profile.tcp_group = group;
        } else if token.is("EXPLICITBINDPORTRANGE") {
            let place = token.place;
            let first = self.number("the first port of EXPLICITBINDPORTRANGE", 1024, u16::MAX)?;
            let count = self.number("the number of ports of EXPLICITBINDPORTRANGE", 1, 64_512)?;
            if first.checked_add(count - 1).is_none() {
                let message = format!("EXPLICITBINDPORTRANGE {first} {count} goes past port 65535");
                let hint = format!("at most {} ports start at {first}", 65_536 - u32::from(first));
                return Err(self.fault(place, Code::OutOfRange, message, hint));
            }
            self.profile.explicit_bind = ExplicitBind::Range(PortRange { first, count });
            self.profile.explicit_bind_at = Some(self.mention(token));
        } else if token.is("NOEXPLICITBINDPORTRANGE") {
            self.profile.explicit_bind = ExplicitBind::No;
            self.profile.explicit_bind_at = Some(self.mention(token));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn tcpconfig_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("EPHEMERALPORTS") {
            self.ephemeralports(token, Transport::Tcp)?;
        } else if token.is("TIMEWAITInterval") {
            self.profile.time_wait_s = self.number("TIMEWAITINTERVAL", 0, 120)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn mention(&self, token: &Token<'_>) -> Mention {
        Mention { data_set: self.data_set, line: token.place.line }
    }

    fn ephemeralports(&mut self, token: &Token<'_>, transport: Transport) -> Result<(), Stop> {
        let first = self.number("the low port of EPHEMERALPORTS", 1024, u16::MAX)?;
        let place = self.peek().map_or(self.tokens.place(), |token| token.place);
        let last = self.number("the high port of EPHEMERALPORTS", 1024, u16::MAX)?;
        if last < first {
            let message = format!("EPHEMERALPORTS {first} {last}: the high port is below the low one");
            return Err(self.fault(place, Code::OutOfRange, message, "write the low port first"));
        }
        self.profile.ephemeral[transport.index()] = (first, last);
        self.profile.ephemeral_at[transport.index()] = Some(self.mention(token));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::token::Place;

    #[test]
    fn no_parameter_of_others_hides_a_statement() {
        let lists = [IPCONFIG_OTHER, IPCONFIG6_OTHER, GLOBALCONFIG_OTHER, TCPCONFIG_OTHER, UDPCONFIG_OTHER];
        for text in lists.concat() {
            assert!(!begins_statement(&Token { text, place: Place::START, first: true }), "{text}");
        }
    }
}
