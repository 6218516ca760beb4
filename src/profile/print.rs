//! A profile as text that parses to the same profile.
#![forbid(unsafe_code)]

use super::model::{EPHEMERAL_DEFAULT, ExplicitBind, Profile, Reservation, User};
use super::sources::{Side, Source, SourceRule};
use super::vipa_model::{
    Destinations, DistMethod, Distribution, DvipaDefinition, Forwarding, Moveable, Part, Role, Tier,
};
use crate::ident::Transport;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;

impl fmt::Display for Profile {
    /// Statements in a fixed order, one entry on a line, defaults left out. System symbols, comments
    /// and statements that mean nothing to ports are gone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_global(f)?;
        self.fmt_ip(f)?;
        self.fmt_transports(f)?;
        self.fmt_ports(f)?;
        self.fmt_sources(f)?;
        self.fmt_vipadynamic(f)
    }
}

impl Profile {
    /// Whether both say the same, wherever it stands in their texts.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.without_places() == other.without_places()
    }

    fn without_places(&self) -> Self {
        let mut profile = self.clone();
        profile.data_sets = 0;
        (profile.ephemeral_at, profile.explicit_bind_at) = ([None; 2], None);
        let definitions = profile.dvipas.iter_mut().flat_map(|definition| {
            let distributions = definition.distributions.iter_mut().map(|d| (&mut d.data_set, &mut d.line));
            distributions.chain([(&mut definition.data_set, &mut definition.line)])
        });
        let places = definitions
            .chain(profile.reservations.iter_mut().map(|entry| (&mut entry.data_set, &mut entry.line)))
            .chain(profile.unreserved.iter_mut().map(|entry| (&mut entry.data_set, &mut entry.line)))
            .chain(profile.ranges.iter_mut().map(|entry| (&mut entry.data_set, &mut entry.line)))
            .chain(profile.routes.iter_mut().map(|entry| (&mut entry.data_set, &mut entry.line)))
            .chain(profile.source_ip.iter_mut().map(|entry| (&mut entry.data_set, &mut entry.line)));
        for (data_set, line) in places {
            (*data_set, *line) = (0, 0);
        }
        profile
    }

    fn fmt_global(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tcp_group.is_none() && self.explicit_bind == ExplicitBind::Unspecified {
            return Ok(());
        }
        writeln!(f, "GLOBALCONFIG")?;
        if let Some(group) = self.tcp_group {
            writeln!(f, "  XCFGRPID {group:02}")?;
        }
        match self.explicit_bind {
            ExplicitBind::Unspecified => Ok(()),
            ExplicitBind::No => writeln!(f, "  NOEXPLICITBINDPORTRANGE"),
            ExplicitBind::Range(range) => writeln!(f, "  EXPLICITBINDPORTRANGE {} {}", range.first, range.count),
        }
    }

    fn fmt_ip(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = &self.ip;
        if ip.sysplex_routing {
            writeln!(f, "IPCONFIG SYSPLEXROUTING")?;
        }
        if let Some(address) = ip.dynamic_xcf {
            writeln!(f, "IPCONFIG DYNAMICXCF {address} {} {}", mask(ip.xcf_prefix), ip.xcf_cost)?;
        }
        if ip.source_vipa {
            writeln!(f, "IPCONFIG SOURCEVIPA")?;
        }
        if let Some(dvipa) = ip.tcp_stack_source_vipa {
            writeln!(f, "IPCONFIG TCPSTACKSOURCEVIPA {dvipa}")?;
        }
        let ip6 = &self.ip6;
        if let Some(address) = ip6.dynamic_xcf {
            writeln!(f, "IPCONFIG6 DYNAMICXCF {address}/{}", ip6.xcf_prefix)?;
        }
        if let Some(id) = &ip6.interface_id {
            writeln!(f, "IPCONFIG6 INTFID {id}")?;
        }
        if let Some(name) = &ip6.source_vipa_interface {
            writeln!(f, "IPCONFIG6 SOURCEVIPAINTERFACE {name}")?;
        }
        if ip6.source_vipa {
            writeln!(f, "IPCONFIG6 SOURCEVIPA")?;
        }
        if let Some(name) = &ip6.tcp_stack_source_vipa {
            writeln!(f, "IPCONFIG6 TCPSTACKSOURCEVIPA {name}")?;
        }
        Ok(())
    }

    fn fmt_transports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (transport, statement) in [(Transport::Tcp, "TCPCONFIG"), (Transport::Udp, "UDPCONFIG")] {
            let (first, last) = self.ephemeral[transport.index()];
            if (first, last) != EPHEMERAL_DEFAULT {
                writeln!(f, "{statement} EPHEMERALPORTS {first} {last}")?;
            }
        }
        if self.time_wait_s != TIME_WAIT_DEFAULT_S {
            writeln!(f, "TCPCONFIG TIMEWAITINTERVAL {}", self.time_wait_s)?;
        }
        Ok(())
    }

    fn fmt_ports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut statement = "";
        for entry in &self.reservations {
            let needed = if entry.from_range { "PORTRANGE" } else { "PORT" };
            if statement != needed {
                writeln!(f, "{needed}")?;
                statement = needed;
            }
            fmt_reservation(f, entry)?;
        }
        if !self.unreserved.is_empty() && statement != "PORT" {
            writeln!(f, "PORT")?;
        }
        for entry in &self.unreserved {
            write!(f, "  UNRSV {} {}", entry.transport.name().to_ascii_uppercase(), entry.job)?;
            if entry.deny {
                write!(f, " DENY")?;
            }
            if let Some(saf) = &entry.saf {
                write!(f, " SAF {saf}")?;
            }
            writeln!(f, "{}", if entry.when_bind { " WHENBIND" } else { " WHENLISTEN" })?;
        }
        Ok(())
    }

    fn fmt_sources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source_ip.is_empty() {
            return Ok(());
        }
        writeln!(f, "SRCIP")?;
        for entry in &self.source_ip {
            let (start, end) = match &entry.rule {
                SourceRule::Job { pattern, side } => (
                    format!("JOBNAME {pattern}"),
                    match side {
                        Side::Client => "",
                        Side::Server => " SERVER",
                        Side::Both => " BOTH",
                    },
                ),
                SourceRule::Destination { address, prefix } => (format!("DESTINATION {address}/{prefix}"), ""),
            };
            let source = match &entry.source {
                Source::Address(address) => address.to_string(),
                Source::Interface(name) => name.clone(),
                Source::TemporaryAddresses => "TEMPADDRS".to_owned(),
                Source::PublicAddresses => "PUBLICADDRS".to_owned(),
            };
            writeln!(f, "  {start} {source}{end}")?;
        }
        writeln!(f, "ENDSRCIP")
    }

    fn fmt_vipadynamic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = self.dvipas.is_empty() && self.ranges.is_empty() && self.routes.is_empty();
        if nothing && self.service_manager.is_none() {
            return Ok(());
        }
        writeln!(f, "VIPADYNAMIC")?;
        for definition in &self.dvipas {
            fmt_definition(f, definition)?;
            for (at, distribution) in definition.distributions.iter().enumerate() {
                fmt_distribution(f, definition, distribution, at == 0 && definition.sysplexports)?;
            }
        }
        for range in &self.ranges {
            let moveable = if range.disruptive { "DISRUPTIVE" } else { "NONDISRUPTIVE" };
            write!(f, "  VIPARANGE DEFINE MOVEABLE {moveable} ")?;
            match (&range.interface, range.address) {
                (Some(interface), address) => write!(f, "{interface} {address}/{}", range.prefix)?,
                (None, address) => write!(f, "{} {address}", mask(range.prefix))?,
            }
            if let Some(saf) = &range.saf {
                write!(f, " SAF {saf}")?;
            }
            writeln!(f, "{}", if range.zcx { " ZCX" } else { "" })?;
        }
        for route in &self.routes {
            writeln!(f, "  VIPAROUTE DEFINE {} {}", route.dynamic_xcf, route.target)?;
        }
        if let Some(manager) = &self.service_manager {
            write!(f, "  VIPASMPARMS")?;
            if let Some(group) = manager.multicast {
                write!(f, " SMMCAST {group}")?;
            }
            if let Some(port) = manager.port {
                write!(f, " SMPORT {port}")?;
            }
            if let Some(password) = &manager.password {
                write!(f, " SMPASSWORD {password}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "ENDVIPADYNAMIC")
    }
}

fn fmt_reservation(f: &mut fmt::Formatter<'_>, entry: &Reservation) -> fmt::Result {
    write!(f, "  {} ", entry.first)?;
    if entry.from_range {
        write!(f, "{} ", entry.last - entry.first + 1)?;
    }
    write!(f, "{} ", entry.transport.name().to_ascii_uppercase())?;
    match &entry.user {
        User::Nobody => write!(f, "RESERVED")?,
        User::AuthPort => write!(f, "AUTHPORT")?,
        User::Job(name) => write!(f, "{name}")?,
    }
    let options = &entry.options;
    if options.no_autolog {
        write!(f, " NOAUTOLOG")?;
    }
    if let Some(delay) = options.delay_acks {
        write!(f, "{}", if delay { " DELAYACKS" } else { " NODELAYACKS" })?;
    }
    if entry.shared {
        write!(f, "{}", if options.shared_by_wlm { " SHAREPORTWLM" } else { " SHAREPORT" })?;
    }
    if let Some(address) = entry.bind {
        write!(f, " BIND {address}")?;
    }
    if let Some(saf) = &options.saf {
        write!(f, " SAF {saf}")?;
    }
    match options.smc {
        Some(true) => writeln!(f, " SMC"),
        Some(false) => writeln!(f, " NOSMC"),
        None => writeln!(f),
    }
}

fn fmt_definition(f: &mut fmt::Formatter<'_>, definition: &DvipaDefinition) -> fmt::Result {
    match definition.role {
        Role::Define => write!(f, "  VIPADEFINE")?,
        Role::Backup { rank } => write!(f, "  VIPABACKUP {rank}")?,
    }
    match definition.tier {
        Some(Tier::One) => write!(f, " TIER1")?,
        Some(Tier::Two) => write!(f, " TIER2")?,
        None => {}
    }
    if definition.cpc_scope {
        write!(f, " CPCSCOPE")?;
    }
    if definition.role == Role::Define || definition.creates {
        match definition.moveable {
            Moveable::Immediate => write!(f, " MOVEABLE IMMEDIATE")?,
            Moveable::WhenIdle => write!(f, " MOVEABLE WHENIDLE")?,
        }
    }
    if definition.service_manager {
        write!(f, " SERVICEMGR")?;
    }
    match (&definition.interface, definition.prefix) {
        (Some(interface), Some(prefix)) => writeln!(f, " {interface} {}/{prefix}", definition.dvipa),
        (Some(interface), None) => writeln!(f, " {interface} {}", definition.dvipa),
        (None, Some(prefix)) => writeln!(f, " {} {}", mask(prefix), definition.dvipa),
        (None, None) => writeln!(f, " {}", definition.dvipa),
    }
}

fn fmt_distribution(
    f: &mut fmt::Formatter<'_>,
    definition: &DvipaDefinition,
    distribution: &Distribution,
    sysplexports: bool,
) -> fmt::Result {
    write!(f, "  VIPADISTRIBUTE DEFINE")?;
    fmt_method(f, distribution)?;
    if let Some(value) = distribution.optlocal {
        write!(f, " OPTLOCAL {value}")?;
    }
    if sysplexports {
        write!(f, " SYSPLEXPORTS")?;
    }
    if distribution.timed_affinity_s > 0 {
        write!(f, " TIMEDAFFINITY {}", distribution.timed_affinity_s)?;
    }
    if let Some((tier, group)) = &distribution.tier {
        write!(f, " {} {group}", if *tier == Tier::One { "TIER1" } else { "TIER2" })?;
    }
    match distribution.forwarding {
        Some(Forwarding::Gre) => write!(f, " GRE")?,
        Some(Forwarding::Encap) => write!(f, " ENCAP")?,
        None => {}
    }
    if let Some(port) = distribution.control_port {
        write!(f, " CONTROLPORT {port}")?;
    }
    match &definition.interface {
        Some(interface) => write!(f, "\n    {interface}")?,
        None => write!(f, "\n    {}", definition.dvipa)?,
    }
    if !distribution.ports.is_empty() {
        write!(f, "\n    PORT")?;
    }
    for (at, (first, last)) in distribution.ports.iter().enumerate() {
        if at > 0 && at % PORTS_PER_LINE == 0 {
            write!(f, "\n        ")?;
        }
        if first == last { write!(f, " {first}")? } else { write!(f, " {first}-{last}")? }
    }
    write!(f, "\n    DESTIP")?;
    match &distribution.destinations {
        Destinations::All => writeln!(f, " ALL"),
        Destinations::Some(targets) => {
            for target in targets {
                write!(f, "\n      {}", target.address)?;
                match target.part {
                    Part::Weight(WEIGHT_DEFAULT) => {}
                    Part::Weight(weight) => write!(f, " WEIGHT {weight}")?,
                    Part::Preferred => write!(f, " PREFERRED")?,
                    Part::Backup(rank) => write!(f, " BACKUP {rank}")?,
                }
            }
            writeln!(f)
        }
    }
}

fn fmt_method(f: &mut fmt::Formatter<'_>, distribution: &Distribution) -> fmt::Result {
    let tuning = &distribution.tuning;
    let by_default = tuning.processor_weights.is_none() || distribution.forwarding.is_some();
    if distribution.method != DistMethod::BaseWlm || !by_default {
        write!(f, " DISTMETHOD {}", distribution.method.name())?;
    }
    if let Some([cp, zaap, ziip]) = tuning.processor_weights {
        write!(f, " PROCTYPE CP {cp} ZAAP {zaap} ZIIP {ziip}")?;
    }
    if let Some([zaap, ziip]) = tuning.crossover_costs {
        write!(f, " PROCXCOST ZAAP {zaap} ZIIP {ziip}")?;
    }
    if let Some(weighting) = tuning.importance_weighting {
        write!(f, " ILWEIGHTING {weighting}")?;
    }
    if let Some(on) = tuning.auto_switch_back {
        write!(f, " {}AUTOSWITCHBACK", if on { "" } else { "NO" })?;
    }
    if let Some(on) = tuning.health_switch {
        write!(f, " {}HEALTHSWITCH", if on { "" } else { "NO" })?;
    }
    Ok(())
}

/// The dotted mask of so many bits.
fn mask(bits: u8) -> IpAddr {
    let ones = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::from(ones))
}

const TIME_WAIT_DEFAULT_S: u16 = 60;
const WEIGHT_DEFAULT: u8 = 10;
const PORTS_PER_LINE: usize = 8;
