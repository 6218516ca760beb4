//! SRCIP … ENDSRCIP: which source address a job, or a connection to a destination, gets.
//!
//! One block per data set; it replaces that of earlier ones as a whole. A syntax error drops the
//! whole block, and what an earlier data set said stands.
#![forbid(unsafe_code)]

use super::diagnostic::{Code, Severity};
use super::parse::{Parser, Stop};
use super::sources::{Side, Source, SourceIp, SourceRule};
use super::token::Token;
use std::collections::BTreeMap;
use std::net::IpAddr;

const END: &str = "ENDSRCIP";

impl<'a> Parser<'a> {
    pub(super) fn srcip(&mut self, begin: Token<'a>) {
        if std::mem::replace(&mut self.srcip_seen, true) {
            let message = "only one SRCIP block counts in a data set, this one is ignored";
            let hint = "put all entries into the first block";
            self.remarks.add(begin.place, Severity::Warning, Code::Duplicate, message, hint);
            return self.leave_srcip(begin);
        }
        let mut entries = BTreeMap::new();
        let mut order = Vec::new();
        while let Some(token) = self.next() {
            if token.is_full(END) {
                self.profile.source_ip = order.iter().filter_map(|rule| entries.remove(rule)).collect();
                return;
            }
            let Ok(entry) = self.source_entry(&token) else { return self.leave_srcip(begin) };
            let rule = entry.rule.clone();
            if entries.insert(rule.clone(), entry).is_some() {
                let message = format!("{} names this a second time, the later entry counts", token.shown());
                self.remarks.add(token.place, Severity::Warning, Code::Duplicate, message, "remove one of the two");
            } else {
                order.push(rule);
            }
        }
        self.unclosed(begin, END);
    }

    fn leave_srcip(&mut self, begin: Token<'a>) {
        while let Some(token) = self.next() {
            if token.is_full(END) {
                return;
            }
        }
        self.unclosed(begin, END);
    }

    fn source_entry(&mut self, token: &Token<'a>) -> Result<SourceIp, Stop> {
        let (data_set, line) = (self.data_set, token.place.line);
        if token.is("JOBNAME") {
            let name = self.operand("the job name of JOBNAME")?;
            let pattern = self.job_name(&name, "a job name of 1 to 8 characters, or *")?;
            let source = self.source(true)?;
            let side = if self.accept("SERVER") {
                Side::Server
            } else if self.accept("BOTH") {
                Side::Both
            } else {
                self.accept("CLIENT");
                Side::Client
            };
            return Ok(SourceIp { rule: SourceRule::Job { pattern, side }, source, data_set, line });
        }
        if token.is("DESTINATION") {
            let destination = self.operand("the address of DESTINATION")?;
            let (address, prefix) = self.subnet(&destination)?;
            let place = self.peek().map_or(self.tokens.place(), |token| token.place);
            let source = self.source(false)?;
            if matches!(source, Source::Address(source) if source.is_ipv4() != address.is_ipv4()) {
                let message = "destination and source must both be IPv4, or both IPv6";
                return Err(self.fault(place, Code::Conflict, message, "the whole SRCIP block is ignored"));
            }
            return Ok(SourceIp { rule: SourceRule::Destination { address, prefix }, source, data_set, line });
        }
        let message = format!("{} cannot stand here: the whole SRCIP block is ignored", token.shown());
        Err(self.fault(token.place, Code::UnexpectedToken, message, "expected JOBNAME, DESTINATION or ENDSRCIP"))
    }

    fn subnet(&mut self, token: &Token<'_>) -> Result<(IpAddr, u8), Stop> {
        let (text, bits) = token.text.split_once('/').map_or((token.text, None), |(text, bits)| (text, Some(bits)));
        if let Ok(address) = text.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok());
            if let Some(bits) = bits.filter(|bits| (1..=most).contains(bits)) {
                return Ok((address, bits));
            }
        }
        Err(self.not_a(token.place, &token.shown(), "an address, or one with a prefix length such as 10.1.0.0/16"))
    }

    fn source(&mut self, of_job: bool) -> Result<Source, Stop> {
        let token = self.operand("the source address")?;
        if let Ok(address) = token.text.parse::<IpAddr>() {
            if address.is_multicast() || address.is_unspecified() {
                return Err(self.not_a(token.place, &token.shown(), "a source address: no host can own it"));
            }
            return Ok(Source::Address(address.to_canonical()));
        }
        match token {
            _ if of_job && token.is_full("TEMPADDRS") => Ok(Source::TemporaryAddresses),
            _ if of_job && token.is_full("PUBLICADDRS") => Ok(Source::PublicAddresses),
            _ => Ok(Source::Interface(self.interface_name(&token)?)),
        }
    }
}
