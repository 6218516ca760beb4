//! What a profile says, as far as ports are concerned.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::StructureNameError;
use crate::ident::Transport;
use crate::structure::PortRange;
use std::net::IpAddr;
use std::net::Ipv6Addr;

use super::sources::SourceIp;
use super::vipa_model::DvipaDefinition;
use super::vipa_model::ServiceManager;
use super::vipa_model::VipaRange;
use super::vipa_model::VipaRoute;

/// One stack's profile: what the statements acted on come to, with the defaults of the origin
/// where nothing was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// DVIPAs in the order of their statements.
    pub dvipas: Vec<DvipaDefinition>,
    /// PORT and PORTRANGE, in order; entries that lost against an earlier one are left out.
    pub reservations: Vec<Reservation>,
    /// PORT UNRSV, in order: who may bind ports that nobody reserved.
    pub unreserved: Vec<Unreserved>,
    /// VIPARANGE: where a bind or an ioctl may create a DVIPA.
    pub ranges: Vec<VipaRange>,
    /// VIPAROUTE: over which address a target is reached.
    pub routes: Vec<VipaRoute>,
    /// VIPASMPARMS.
    pub service_manager: Option<ServiceManager>,
    /// SRCIP, in order.
    pub source_ip: Vec<SourceIp>,
    /// EPHEMERALPORTS by transport, first and last inclusive.
    pub ephemeral: [(u16, u16); 2],
    /// Where EPHEMERALPORTS stands, by transport; `None`: the default holds.
    pub ephemeral_at: [Option<Mention>; 2],
    /// GLOBALCONFIG EXPLICITBINDPORTRANGE.
    pub explicit_bind: ExplicitBind,
    /// Where EXPLICITBINDPORTRANGE or NOEXPLICITBINDPORTRANGE stands.
    pub explicit_bind_at: Option<Mention>,
    /// GLOBALCONFIG XCFGRPID, 2 to 31.
    pub tcp_group: Option<u8>,
    /// TCPCONFIG TIMEWAITINTERVAL, s.
    pub time_wait_s: u16,
    /// IPCONFIG.
    pub ip: IpConfig,
    /// IPCONFIG6.
    pub ip6: Ip6Config,
    /// How many data sets came after the first one: see [`Profile::obey`].
    pub data_sets: u16,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Which data set: 0 is the profile, n the nth one that was obeyed.
    pub data_set: u16,
    /// Line of the parameter, from 1.
    pub line: u32,
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
    /// What else was said.
    pub options: PortOptions,
    /// Which data set: 0 is the profile, n the nth one that was obeyed.
    pub data_set: u16,
    /// Line of the entry, from 1.
    pub line: u32,
}

/// Options of PORT and PORTRANGE that change no port's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortOptions {
    /// NOAUTOLOG.
    pub no_autolog: bool,
    /// DELAYACKS (`true`) or NODELAYACKS.
    pub delay_acks: Option<bool>,
    /// SHAREPORTWLM rather than SHAREPORT.
    pub shared_by_wlm: bool,
    /// SAF: the resource that guards the port.
    pub saf: Option<String>,
    /// SMC (`true`) or NOSMC.
    pub smc: Option<bool>,
}

/// One PORT UNRSV entry. It acts on explicit binds to ports above 0, never on ports that the stack
/// assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreserved {
    /// The port space.
    pub transport: Transport,
    /// A job name in upper case; a `*` at its end stands for anything.
    pub job: String,
    /// DENY.
    pub deny: bool,
    /// SAF: the resource that guards these ports.
    pub saf: Option<String>,
    /// Checked at WHENBIND rather than WHENLISTEN.
    pub when_bind: bool,
    /// Which data set.
    pub data_set: u16,
    /// Line of the entry, from 1.
    pub line: u32,
}

/// For whom a port is reserved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// DYNAMICXCF: bits of the subnet mask, 0 to 32.
    pub xcf_prefix: u8,
    /// DYNAMICXCF: the cost metric, 0 to 14.
    pub xcf_cost: u8,
    /// SOURCEVIPA.
    pub source_vipa: bool,
    /// TCPSTACKSOURCEVIPA, with SOURCEVIPA only.
    pub tcp_stack_source_vipa: Option<Dvipa>,
}

/// IPCONFIG6, as far as source addresses are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ip6Config {
    /// DYNAMICXCF: this stack's address on it.
    pub dynamic_xcf: Option<Ipv6Addr>,
    /// DYNAMICXCF: bits of the prefix, 128 where none was written.
    pub xcf_prefix: u8,
    /// DYNAMICXCF INTFID, as written.
    pub interface_id: Option<String>,
    /// SOURCEVIPA.
    pub source_vipa: bool,
    /// DYNAMICXCF SOURCEVIPAINTERFACE: the interface whose address packets over dynamic XCF carry.
    pub source_vipa_interface: Option<String>,
    /// TCPSTACKSOURCEVIPA: an interface, with SOURCEVIPA only.
    pub tcp_stack_source_vipa: Option<String>,
}

/// EPHEMERALPORTS where nothing was said (z/OS Communications Server IP Configuration Reference).
pub const EPHEMERAL_DEFAULT: (u16, u16) = (1024, 65_535);

impl Default for Profile {
    fn default() -> Self {
        Self {
            dvipas: Vec::new(),
            reservations: Vec::new(),
            ephemeral: [EPHEMERAL_DEFAULT; 2],
            ephemeral_at: [None; 2],
            explicit_bind: ExplicitBind::Unspecified,
            explicit_bind_at: None,
            tcp_group: None,
            time_wait_s: 60,
            ip: IpConfig::default(),
            ip6: Ip6Config::default(),
            unreserved: Vec::new(),
            ranges: Vec::new(),
            routes: Vec::new(),
            service_manager: None,
            source_ip: Vec::new(),
            data_sets: 0,
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

impl User {
    /// Whether `job` is meant.
    pub(super) fn is(&self, job: &str) -> bool {
        match self {
            Self::Nobody | Self::AuthPort => false,
            Self::Job(pattern) => job_matches(pattern, job),
        }
    }
}

/// Whether a job name is meant by a pattern: case is folded, a `*` at the end stands for anything.
pub(super) fn job_matches(pattern: &str, job: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => job.get(..stem.len()).is_some_and(|start| start.eq_ignore_ascii_case(stem)),
        None => pattern.eq_ignore_ascii_case(job),
    }
}
