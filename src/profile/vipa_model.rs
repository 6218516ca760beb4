//! What VIPADYNAMIC comes to: DVIPAs, their distribution, ranges, routes, the service manager.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// One DVIPA of this stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DvipaDefinition {
    /// The address.
    pub dvipa: Dvipa,
    /// The interface's name: IPv6 statements name it instead of the address.
    pub interface: Option<String>,
    /// Bits of the address mask or prefix; none where the form had none (a backup that only takes
    /// over, an IPv6 address alone).
    pub prefix: Option<u8>,
    /// Owner or backup.
    pub role: Role,
    /// When another stack may take it.
    pub moveable: Moveable,
    /// Whether a backup may create the DVIPA when no stack has it: VIPABACKUP with MOVEABLE.
    pub creates: bool,
    /// TIER1 or TIER2.
    pub tier: Option<Tier>,
    /// CPCSCOPE: it stays on this machine.
    pub cpc_scope: bool,
    /// SERVICEMGR.
    pub service_manager: bool,
    /// Whether its source ports are assigned sysplex-wide.
    pub sysplexports: bool,
    /// What is distributed, in order.
    pub distributions: Vec<Distribution>,
    /// Which data set its statement is in: 0 is the profile, n the nth one that was obeyed.
    pub data_set: u16,
    /// Line of its statement, from 1.
    pub line: u32,
}

/// What this stack is to a DVIPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// VIPADEFINE: the owner.
    Define,
    /// VIPABACKUP.
    Backup {
        /// 1 (last, the default) to 254 (first in the backup chain).
        rank: u8,
    },
}

/// MOVEABLE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moveable {
    /// At once, connections are kept: the default.
    #[default]
    Immediate,
    /// After the last connection has ended.
    WhenIdle,
}

/// A stage of two-stage distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The first stage: targets may be other machines.
    One,
    /// The second stage.
    Two,
}

/// One VIPADISTRIBUTE DEFINE, or what DELETE left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// DISTMETHOD.
    pub method: DistMethod,
    /// Ports, first and last inclusive; none = every port that a server listens on.
    pub ports: Vec<(u16, u16)>,
    /// DESTIP.
    pub destinations: Destinations,
    /// TIMEDAFFINITY, s, 0 to 9,999; 0 = off.
    pub timed_affinity_s: u16,
    /// OPTLOCAL, 0 to 16.
    pub optlocal: Option<u8>,
    /// What the method can be told.
    pub tuning: Tuning,
    /// TIER1 or TIER2 with the name of its group.
    pub tier: Option<(Tier, String)>,
    /// TIER1: how targets that are no z/OS are reached.
    pub forwarding: Option<Forwarding>,
    /// TIER1: CONTROLPORT, where the targets' agent listens.
    pub control_port: Option<u16>,
    /// Which data set its statement is in.
    pub data_set: u16,
    /// Line of its statement, from 1.
    pub line: u32,
}

/// Parameters of DISTMETHOD; what was not said is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// BASEWLM PROCTYPE: weights of CP, zAAP and zIIP, 0 to 100.
    pub processor_weights: Option<[u8; 3]>,
    /// SERVERWLM PROCXCOST: costs of zAAP and zIIP work on a CP, 1 to 100.
    pub crossover_costs: Option<[u8; 2]>,
    /// SERVERWLM ILWEIGHTING, 0 to 3.
    pub importance_weighting: Option<u8>,
    /// HOTSTANDBY: AUTOSWITCHBACK (`true`) or NOAUTOSWITCHBACK.
    pub auto_switch_back: Option<bool>,
    /// HOTSTANDBY: HEALTHSWITCH (`true`) or NOHEALTHSWITCH.
    pub health_switch: Option<bool>,
}

/// How a first-stage distributor sends to targets that are no z/OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Forwarding {
    Gre,
    Encap,
}

/// DISTMETHOD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum DistMethod {
    #[default]
    BaseWlm,
    RoundRobin,
    ServerWlm,
    WeightedActive,
    HotStandby,
    TargControlled,
}

/// DESTIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// All stacks that are reachable over dynamic XCF, present and future.
    All,
    /// These.
    Some(Vec<Destination>),
}

/// One target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its dynamic XCF address.
    pub address: IpAddr,
    /// What it is to the distributor.
    pub part: Part,
}

/// A target's part in the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One of many, weight 1 to 99, 10 by default.
    Weight(u8),
    /// HOTSTANDBY: takes everything while it can.
    Preferred,
    /// HOTSTANDBY: rank 1 to 254.
    Backup(u8),
}

/// One VIPARANGE: binds and ioctls may create DVIPAs of this subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipaRange {
    /// An address of the subnet, as written.
    pub address: IpAddr,
    /// Bits of its mask or prefix.
    pub prefix: u8,
    /// The interface's name: IPv6 only.
    pub interface: Option<String>,
    /// MOVEABLE DISRUPTIVE.
    pub disruptive: bool,
    /// SAF: the resource that guards it.
    pub saf: Option<String>,
    /// ZCX: only for container hosts.
    pub zcx: bool,
    /// Which data set.
    pub data_set: u16,
    /// Line of its statement, from 1.
    pub line: u32,
}

/// One VIPAROUTE: packets to a target go by the routes to another of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipaRoute {
    /// The target's dynamic XCF address.
    pub dynamic_xcf: IpAddr,
    /// The address whose routes are taken.
    pub target: IpAddr,
    /// Which data set.
    pub data_set: u16,
    /// Line of its statement, from 1.
    pub line: u32,
}

/// VIPASMPARMS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceManager {
    /// SMMCAST: the multicast group.
    pub multicast: Option<Ipv4Addr>,
    /// SMPORT.
    pub port: Option<u16>,
    /// SMPASSWORD.
    pub password: Option<String>,
}

impl DistMethod {
    /// Every method with its name; the upper-case letters are the least that is written.
    pub(super) const NAMES: [(&'static str, Self); 6] = [
        ("BASEWLM", Self::BaseWlm),
        ("ROUNDROBIN", Self::RoundRobin),
        ("SERVERWLM", Self::ServerWlm),
        ("WEIGHTEDActive", Self::WeightedActive),
        ("HOTSTANDBY", Self::HotStandby),
        ("TARGControlled", Self::TargControlled),
    ];

    /// Its name as in the profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BaseWlm => "BASEWLM",
            Self::RoundRobin => "ROUNDROBIN",
            Self::ServerWlm => "SERVERWLM",
            Self::WeightedActive => "WEIGHTEDACTIVE",
            Self::HotStandby => "HOTSTANDBY",
            Self::TargControlled => "TARGCONTROLLED",
        }
    }
}

impl Distribution {
    /// Whether a PORT list names `port`.
    #[must_use]
    pub fn names(&self, port: u16) -> bool {
        self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

impl Destinations {
    /// The targets' addresses; none for ALL.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let targets = match self {
            Self::All => &[][..],
            Self::Some(targets) => targets,
        };
        targets.iter().map(|target| target.address)
    }
}

impl DvipaDefinition {
    /// Whether `port` is distributed: its daemon listens on every target, so binding it takes no
    /// claim and it is nobody's source port.
    #[must_use]
    pub fn distributes(&self, port: u16) -> bool {
        self.distributions.iter().any(|distribution| distribution.names(port))
    }
}
