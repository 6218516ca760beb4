//! Which source address a connection gets: SRCIP, then TCPSTACKSOURCEVIPA.
#![forbid(unsafe_code)]

use super::model::Profile;
use super::model::job_matches;
use std::net::IpAddr;

/// One SRCIP entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIp {
    /// What it applies to.
    pub rule: SourceRule,
    /// What it gives.
    pub source: Source,
    /// Which data set.
    pub data_set: u16,
    /// Line of the entry, from 1.
    pub line: u32,
}

/// What an SRCIP entry applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceRule {
    /// JOBNAME.
    Job {
        /// A job name in upper case; a `*` at its end stands for anything.
        pattern: String,
        /// CLIENT, SERVER or BOTH.
        side: Side,
    },
    /// DESTINATION.
    Destination {
        /// The destination, or an address of its subnet.
        address: IpAddr,
        /// Bits of the subnet's prefix.
        prefix: u8,
    },
}

/// Which sockets of a job an SRCIP entry applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// CLIENT, the default: `connect` without a bind.
    #[default]
    Client,
    /// SERVER: `bind` to the unspecified address.
    Server,
    /// BOTH.
    Both,
}

/// What an SRCIP entry gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This address.
    Address(IpAddr),
    /// The address of this IPv6 interface.
    Interface(String),
    /// TEMPADDRS: default selection, preferring temporary IPv6 addresses.
    TemporaryAddresses,
    /// PUBLICADDRS: default selection, preferring public IPv6 addresses.
    PublicAddresses,
}

impl Profile {
    /// The source address of `connect` from an unbound socket of `job` to `destination`; `None`
    /// where the stack's own selection decides.
    ///
    /// SRCIP first: the most specific JOBNAME with at least one letter, then the most specific
    /// DESTINATION, then JOBNAME `*`; an entry whose source is of the other IP version does not
    /// match. Then TCPSTACKSOURCEVIPA, which needs SOURCEVIPA (IP Configuration Reference, "SRCIP
    /// statement"; IP Configuration Guide, "TCPSTACKSOURCEVIPA").
    #[must_use]
    pub fn source_address(&self, job: &str, destination: IpAddr) -> Option<IpAddr> {
        match self.source_entry(job, destination) {
            Some(entry) => self.address_of(&entry.source),
            None => self.stack_source(destination),
        }
    }

    /// The SRCIP entry that decides for `connect` from an unbound socket.
    #[must_use]
    pub fn source_entry(&self, job: &str, destination: IpAddr) -> Option<&SourceIp> {
        let destination = destination.to_canonical();
        let fits = |entry: &&SourceIp| match self.address_of(&entry.source) {
            Some(source) => source.is_ipv4() == destination.is_ipv4(),
            None => destination.is_ipv6() && !matches!(entry.source, Source::Interface(_)),
        };
        let weight = |entry: &SourceIp| match &entry.rule {
            SourceRule::Job { side: Side::Server, .. } => None,
            SourceRule::Job { pattern, .. } => job_matches(pattern, job).then(|| match pattern.as_str() {
                "*" => (0, 0),
                // A whole name is more specific than a longer pattern's stem of the same length.
                name => (2, 2 * name.trim_end_matches('*').len() + usize::from(!name.ends_with('*'))),
            }),
            SourceRule::Destination { address, prefix } => {
                within(destination, *address, *prefix).then_some((1, usize::from(*prefix)))
            }
        };
        self.source_ip
            .iter()
            .filter(fits)
            .filter_map(|entry| weight(entry).map(|weight| (weight, entry)))
            .max_by_key(|(weight, _)| *weight)
            .map(|(_, entry)| entry)
    }

    fn address_of(&self, source: &Source) -> Option<IpAddr> {
        match source {
            Source::Address(address) => Some(*address),
            Source::Interface(name) => self.interface_address(name),
            Source::TemporaryAddresses | Source::PublicAddresses => None,
        }
    }

    fn interface_address(&self, name: &str) -> Option<IpAddr> {
        let of_interface = |interface: &Option<String>| interface.as_deref() == Some(name);
        let definition = self.dvipas.iter().find(|definition| of_interface(&definition.interface))?;
        Some(definition.dvipa.address())
    }

    fn stack_source(&self, destination: IpAddr) -> Option<IpAddr> {
        if destination.to_canonical().is_ipv4() {
            return self.ip.tcp_stack_source_vipa.filter(|_| self.ip.source_vipa).map(|dvipa| dvipa.address());
        }
        let name = self.ip6.tcp_stack_source_vipa.as_ref().filter(|_| self.ip6.source_vipa)?;
        self.interface_address(name)
    }
}

/// Whether `address` is in the subnet of `prefix` bits that `of` is in.
pub(super) fn within(address: IpAddr, of: IpAddr, prefix: u8) -> bool {
    match (address, of) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = u32::from(a) ^ u32::from(b);
            differ.checked_shr(32 - u32::from(prefix.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = u128::from(a) ^ u128::from(b);
            differ.checked_shr(128 - u32::from(prefix.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}
