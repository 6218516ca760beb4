//! IPCONFIG, GLOBALCONFIG, TCPCONFIG and UDPCONFIG: parameters in any order, most of them not ours.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::model::ExplicitBind;
use super::parse::{Parser, Stop, begins_statement};
use super::token::Token;
use crate::ident::Dvipa;
use crate::ident::Transport;
use crate::structure::PortRange;
use std::net::Ipv4Addr;

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

    pub(super) fn globalconfig(&mut self) {
        self.parameters("GLOBALCONFIG", GLOBALCONFIG_OTHER, Self::globalconfig_parameter);
    }

    pub(super) fn tcpconfig(&mut self) {
        self.parameters("TCPCONFIG", TCPCONFIG_OTHER, Self::tcpconfig_parameter);
    }

    pub(super) fn udpconfig(&mut self) {
        self.parameters("UDPCONFIG", UDPCONFIG_OTHER, |parser, token| {
            if token.is("EPHEMERALPORTS") {
                parser.ephemeralports(Transport::Udp)?;
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
            let bits = mask.text.strip_prefix('/').and_then(|bits| bits.parse::<u8>().ok());
            if mask.text.parse::<Ipv4Addr>().is_err() && bits.is_none_or(|bits| bits > 32) {
                return Err(self.not_a(mask.place, &mask.shown(), "a subnet mask, 255.255.255.0 or /24"));
            }
            self.number("the cost metric of DYNAMICXCF", 0, 14)?;
            self.profile.ip.dynamic_xcf = Some(address.into());
        } else if token.is("NODYNAMICXCF") {
            self.profile.ip.dynamic_xcf = None;
        } else if token.is("TCPSTACKSOURCEVipa") {
            let dvipa: Dvipa = self.address("the address of TCPSTACKSOURCEVIPA")?;
            self.profile.ip.tcp_stack_source_vipa = Some(dvipa);
        } else if token.is("NOTCPSTACKSOURCEVipa") {
            self.profile.ip.tcp_stack_source_vipa = None;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn globalconfig_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("XCFGRPID") {
            let group = self.number("XCFGRPID", 2, 31)?;
            self.profile.tcp_group = u8::try_from(group).ok();
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
        } else if token.is("NOEXPLICITBINDPORTRANGE") {
            self.profile.explicit_bind = ExplicitBind::No;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn tcpconfig_parameter(&mut self, token: &Token<'a>) -> Result<bool, Stop> {
        if token.is("EPHEMERALPORTS") {
            self.ephemeralports(Transport::Tcp)?;
        } else if token.is("TIMEWAITInterval") {
            self.profile.time_wait_s = self.number("TIMEWAITINTERVAL", 0, 120)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn ephemeralports(&mut self, transport: Transport) -> Result<(), Stop> {
        let first = self.number("the low port of EPHEMERALPORTS", 1024, u16::MAX)?;
        let place = self.peek().map_or(self.tokens.place(), |token| token.place);
        let last = self.number("the high port of EPHEMERALPORTS", 1024, u16::MAX)?;
        if last < first {
            let message = format!("EPHEMERALPORTS {first} {last}: the high port is below the low one");
            return Err(self.fault(place, Code::OutOfRange, message, "write the low port first"));
        }
        self.profile.ephemeral[transport.index()] = (first, last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::token::Place;

    #[test]
    fn no_parameter_of_others_hides_a_statement() {
        let lists = [IPCONFIG_OTHER, GLOBALCONFIG_OTHER, TCPCONFIG_OTHER, UDPCONFIG_OTHER];
        for text in lists.concat() {
            assert!(!begins_statement(&Token { text, place: Place::START, first: true }), "{text}");
        }
    }
}
