//! What a profile says, as far as ports are concerned.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::StructureNameError;
use crate::ident::Transport;
use crate::structure::PortRange;
use std::net::IpAddr;

/// One stack's profile: what the statements acted on come to, with the defaults of the origin
/// where nothing was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// DVIPAs in the order of their statements.
    pub dvipas: Vec<DvipaDefinition>,
    /// PORT and PORTRANGE, in order; entries that lost against an earlier one are left out.
    pub reservations: Vec<Reservation>,
    /// EPHEMERALPORTS by transport, first and last inclusive.
    pub ephemeral: [(u16, u16); 2],
    /// GLOBALCONFIG EXPLICITBINDPORTRANGE.
    pub explicit_bind: ExplicitBind,
    /// GLOBALCONFIG XCFGRPID, 2 to 31.
    pub tcp_group: Option<u8>,
    /// TCPCONFIG TIMEWAITINTERVAL, s.
    pub time_wait_s: u16,
    /// IPCONFIG.
    pub ip: IpConfig,
}

/// One DVIPA of this stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DvipaDefinition {
    /// The address.
    pub dvipa: Dvipa,
    /// The interface's name: IPv6 statements name it instead of the address.
    pub interface: Option<String>,
    /// Owner or backup.
    pub role: Role,
    /// When another stack may take it.
    pub moveable: Moveable,
    /// Whether its source ports are assigned sysplex-wide.
    pub sysplexports: bool,
    /// What is distributed, in order.
    pub distributions: Vec<Distribution>,
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

/// One VIPADISTRIBUTE DEFINE.
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
    /// Line of its statement, from 1.
    pub line: u32,
}

/// DISTMETHOD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// One entry of PORT or PORTRANGE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The first port.
    pub first: u16,
    /// The last port, inclusive.
    pub last: u16,
    /// The port space.
    pub transport: Transport,
    /// For whom.
    pub user: User,
    /// BIND: the address that a bind to the unspecified one becomes.
    pub bind: Option<IpAddr>,
    /// SHAREPORT or SHAREPORTWLM.
    pub shared: bool,
    /// PORTRANGE rather than PORT.
    pub from_range: bool,
    /// Line of the entry, from 1.
    pub line: u32,
}

/// For whom a port is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// RESERVED: nobody may use it.
    Nobody,
    /// AUTHPORT: only the FTP server's passive data ports.
    AuthPort,
    /// A job name in upper case; a `*` at its end stands for anything.
    Job(String),
}

/// GLOBALCONFIG EXPLICITBINDPORTRANGE, TCP only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExplicitBind {
    /// Nothing was said.
    #[default]
    Unspecified,
    /// NOEXPLICITBINDPORTRANGE.
    No,
    /// The range for `bind(ANY, 0)`.
    Range(PortRange),
}

/// IPCONFIG, as far as source addresses are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpConfig {
    /// SYSPLEXROUTING.
    pub sysplex_routing: bool,
    /// DYNAMICXCF: this stack's address on it.
    pub dynamic_xcf: Option<IpAddr>,
    /// SOURCEVIPA.
    pub source_vipa: bool,
    /// TCPSTACKSOURCEVIPA, with SOURCEVIPA only.
    pub tcp_stack_source_vipa: Option<Dvipa>,
}

/// EPHEMERALPORTS where nothing was said (z/OS Communications Server IP Configuration Reference).
pub const EPHEMERAL_DEFAULT: (u16, u16) = (1024, 65_535);

impl Default for Profile {
    fn default() -> Self {
        Self {
            dvipas: Vec::new(),
            reservations: Vec::new(),
            ephemeral: [EPHEMERAL_DEFAULT; 2],
            explicit_bind: ExplicitBind::Unspecified,
            tcp_group: None,
            time_wait_s: 60,
            ip: IpConfig::default(),
        }
    }
}

impl Profile {
    /// The ports that this stack allows as source ports: EPHEMERALPORTS without what PORT and
    /// PORTRANGE reserve for the same transport and, for TCP, without the explicit-bind range.
    #[must_use]
    pub fn allowable(&self, transport: Transport) -> PortSet {
        let mut ports = PortSet::empty();
        let (first, last) = self.ephemeral[transport.index()];
        ports.insert_range(first, last);
        for reservation in self.reservations.iter().filter(|r| r.transport == transport) {
            ports.remove_range(reservation.first, reservation.last);
        }
        if let (Transport::Tcp, ExplicitBind::Range(range)) = (transport, self.explicit_bind) {
            ports.remove_range(range.first, range.first.saturating_add(range.count - 1));
        }
        ports
    }

    /// The DVIPAs whose source ports are assigned sysplex-wide, in order.
    pub fn sysplexports(&self) -> impl Iterator<Item = &DvipaDefinition> {
        self.dvipas.iter().filter(|definition| definition.sysplexports)
    }

    /// The definition of a DVIPA.
    #[must_use]
    pub fn dvipa(&self, dvipa: Dvipa) -> Option<&DvipaDefinition> {
        self.dvipas.iter().find(|definition| definition.dvipa == dvipa)
    }

    /// Whether PORT or PORTRANGE reserves `port` for a job: `None` if it is not reserved at all.
    #[must_use]
    pub fn reserved_for(&self, transport: Transport, port: u16, job: &str) -> Option<bool> {
        let mut of_port = self
            .reservations
            .iter()
            .filter(|r| r.transport == transport && (r.first..=r.last).contains(&port))
            .peekable();
        of_port.peek()?;
        Some(of_port.any(|reservation| reservation.user.is(job)))
    }

    /// The structure that this stack connects to. The VTAM group id is no profile statement.
    ///
    /// # Errors
    /// [`StructureNameError::GroupId`] if `vtam_group` is outside 2 to 31.
    pub fn structure_name(&self, vtam_group: Option<u8>) -> Result<StructureName, StructureNameError> {
        StructureName::new(vtam_group, self.tcp_group)
    }
}

impl DvipaDefinition {
    /// Whether `port` is distributed: its daemon listens on every target, so binding it takes no
    /// claim and it is nobody's source port.
    #[must_use]
    pub fn distributes(&self, port: u16) -> bool {
        let covers = |(first, last): &(u16, u16)| (*first..=*last).contains(&port);
        self.distributions.iter().any(|distribution| distribution.ports.iter().any(covers))
    }
}

impl User {
    fn is(&self, job: &str) -> bool {
        match self {
            Self::Nobody | Self::AuthPort => false,
            Self::Job(pattern) => match pattern.strip_suffix('*') {
                Some(stem) => job.get(..stem.len()).is_some_and(|start| start.eq_ignore_ascii_case(stem)),
                None => pattern.eq_ignore_ascii_case(job),
            },
        }
    }
}
